%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc Says what was wrong with which argument, in the way of EEP 54.
%%
%% Wrong use raises `badarg' with a cause; the shell, the logger and Elixir ask
%% {@link format_error/2} for words:
%%
%% ```
%%   1> holt_registry:lookup(my_registry, key).
%%   ** exception error: bad argument
%%        in function  holt_registry:lookup/2
%%           called as holt_registry:lookup(my_registry,key)
%%           *** argument 1: no registry named my_registry on this node
%% '''
-module(holt_error).

-export([info/1, format_error/2]).

-export_type([cause/0]).

-type cause() ::
    holt_options:cause()
    | no_instance
    | fun_in_key
    | key_too_large
    | key_too_deep
    | remote_pid
    | no_memory
    | no_such_name
    | not_a_name
    | not_a_pid
    | not_a_fun
    | not_all
    | {too_large, Bytes :: non_neg_integer(), Max :: pos_integer()}.

%% @doc The third argument of `erlang:error/3' for this cause.
-spec info(cause()) -> [{error_info, #{module := module(), cause := cause()}}].
info(Cause) ->
    [{error_info, #{module => ?MODULE, cause => Cause}}].

%% @doc Words for each wrong argument, by its position.
-spec format_error(term(), erlang:stacktrace()) -> #{pos_integer() | general => unicode:chardata()}.
format_error(_Reason, [{_Module, Function, Arguments, Info} | _]) ->
    #{cause := Cause} = proplists:get_value(error_info, Info, #{cause => unknown}),
    #{position(role(Cause), roles(Function)) => text(Cause, Arguments)}.

%%--------------------------------------------------------------------
%% Internal

%% What the arguments of a function are, in order; `name' is a whole via name.
-spec roles(atom()) -> [atom()].
roles(start_link) -> [options];
roles(register_name) -> [name, pid];
roles(unregister_name) -> [name];
roles(whereis_name) -> [name];
roles(send) -> [name, message];
roles(keys) -> [instance, pid];
roles(update_value) -> [instance, key, function];
roles(register) -> [instance, key, value];
roles(members) -> [instance, which];
roles(_) -> [instance, key].

-spec role(cause() | unknown) -> atom().
role(no_instance) -> instance;
role(fun_in_key) -> key;
role(key_too_large) -> key;
role(key_too_deep) -> key;
role(remote_pid) -> pid;
role(not_a_pid) -> pid;
role(not_a_fun) -> function;
role(not_a_name) -> name;
role(not_all) -> which;
role(no_such_name) -> name;
role({too_large, _, _}) -> value;
role(no_memory) -> general;
role(unknown) -> general;
role(_) -> options.

-spec position(atom(), [atom()]) -> pos_integer() | general.
position(Role, Roles) ->
    case {index(Role, Roles), index(name, Roles), Role} of
        {none, none, value} -> position(function, Roles);
        {none, Position, Role} when is_integer(Position), Role =/= general -> Position;
        {none, _, _} -> general;
        {Position, _, _} -> Position
    end.

-spec index(atom(), [atom()]) -> pos_integer() | none.
index(Role, Roles) ->
    case lists:takewhile(fun(Other) -> Other =/= Role end, Roles) of
        Roles -> none;
        Before -> length(Before) + 1
    end.

-spec text(cause() | unknown, [term()] | arity()) -> unicode:chardata().
text(no_instance, Arguments) ->
    io_lib:format("no registry named ~ts on this node", [instance(Arguments)]);
text(fun_in_key, _) ->
    "a key cannot hold a fun";
text(key_too_large, _) ->
    "the key takes more bytes than the registry's key_bytes_max";
text(key_too_deep, _) ->
    "the key is nested too deep";
text(remote_pid, _) ->
    "a process of another node; it can be registered on its own node only";
text(not_a_pid, _) ->
    "not a pid";
text(not_a_fun, _) ->
    "not a fun of one argument";
text(not_all, _) ->
    "neither left out nor the atom all";
text(not_a_name, _) ->
    "not of the form {Registry, Key} or {Registry, Key, Value}";
text(no_such_name, _) ->
    "nobody has this name";
text({too_large, Bytes, Max}, _) ->
    io_lib:format(
        "the value takes ~b bytes, more than the registry's value_bytes_max of ~b", [Bytes, Max]
    );
text(no_memory, _) ->
    "out of memory";
text(no_name, _) ->
    "the option name is missing";
text({bad_name, Name}, _) when is_atom(Name) ->
    "the option name is longer than 250 characters";
text({bad_name, Name}, _) ->
    io_lib:format("the option name must be an atom, not ~tP", [Name, 10]);
text({unknown_option, Key}, _) ->
    io_lib:format("there is no option ~tP", [Key, 10]);
text({option_not_available, Key}, _) ->
    io_lib:format("the option ~tp is not available in this version", [Key]);
text({option_not_available, Key, Value}, _) ->
    io_lib:format("the option ~tp => ~tP is not available in this version", [Key, Value, 10]);
text({options_exclude, Key, Other, Value}, _) ->
    io_lib:format("the option ~tp does not go with ~tp => ~tP", [Key, Other, Value, 10]);
text({bad_init, Module, Answer}, _) ->
    io_lib:format(
        "~tp:init/1 returned neither {ok, Options} nor ignore: ~tP", [Module, Answer, 10]
    );
text({bad_option, Key, Value, Expected}, _) ->
    io_lib:format("the option ~tp must be ~ts, not ~tP", [Key, Expected, Value, 10]);
text({not_an_option, Term}, _) ->
    io_lib:format("not an option: ~tP", [Term, 10]);
text({not_options, _}, _) ->
    "neither a map nor a list of options";
text(_, _) ->
    "wrong use".

%% The instance that the first argument names, as its users write it.
-spec instance([term()] | arity()) -> unicode:chardata().
instance([Name | _]) when is_tuple(Name), tuple_size(Name) > 1 ->
    instance([element(1, Name)]);
instance([Name | _]) when is_atom(Name) ->
    case atom_to_list(Name) of
        "Elixir." ++ Alias -> Alias;
        _ -> io_lib:format("~tp", [Name])
    end;
instance([Term | _]) ->
    io_lib:format("~tP", [Term, 10]);
instance(_) ->
    "this".
