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

-export([info/1, format_error/2, show/2]).

-export_type([cause/0]).

-type cause() ::
    holt_options:cause()
    | no_instance
    | fun_in_key
    | key_too_large
    | key_too_deep
    | duplicate_keys
    | remote_pid
    | no_memory
    | no_such_name
    | not_a_name
    | not_a_pid
    | not_a_fun
    | not_a_fold
    | not_a_callback
    | not_a_node
    | not_a_binary
    | not_a_timeout
    | not_a_filter
    | not_a_reference
    | not_a_list
    | not_a_module
    | not_pairs
    | not_text
    | not_all
    | not_members
    | not_a_member
    | bad_dispatch_options
    | {bad_pattern | bad_guards | bad_spec, Words :: string()}
    | {bad_register_option, term(), term()}
    | {bad_register_option, term()}
    | {bad_ready_option, term(), term()}
    | {bad_ready_option, term()}
    | {too_large, Bytes :: non_neg_integer(), Max :: pos_integer()}.

%% @doc The third argument of `erlang:error/3' for this cause.
-spec info(cause()) -> [{error_info, #{module := module(), cause := cause()}}].
info(Cause) ->
    [{error_info, #{module => ?MODULE, cause => Cause}}].

%% @doc Words for each wrong argument, by its position.
-spec format_error(term(), erlang:stacktrace()) -> #{pos_integer() | general => unicode:chardata()}.
format_error(_Reason, [{_Module, Function, Arguments, Info} | _]) ->
    #{cause := Cause} = proplists:get_value(error_info, Info, #{cause => unknown}),
    #{position(role(Cause), roles(Function, arity(Arguments))) => text(Cause, Arguments)}.

%% @doc A term on one line, cut short, as its users write it: where Elixir runs, in Elixir.
-spec show(term(), Limit :: pos_integer() | infinity) -> unicode:chardata().
show(Term, Limit) ->
    Inspect = 'Elixir.Kernel',
    case erlang:function_exported(Inspect, inspect, 2) of
        true -> Inspect:inspect(Term, [{limit, Limit}, {width, infinity}]);
        false when Limit =:= infinity -> io_lib:format("~0tp", [Term]);
        false -> io_lib:format("~0tP", [Term, Limit])
    end.

%%--------------------------------------------------------------------
%% Internal

-spec show(term()) -> unicode:chardata().
show(Term) ->
    show(Term, 10).

-spec arity([term()] | arity()) -> arity().
arity(Arguments) when is_list(Arguments) -> length(Arguments);
arity(Arity) -> Arity.

%% What the arguments of a function are, in order; `name' is a whole via name.
-spec roles(atom(), arity()) -> [atom()].
roles(start_link, 1) -> [options];
roles(start_link, 3) -> [module, argument, options];
roles(register_name, _) -> [name, pid];
roles(unregister_name, _) -> [name];
roles(whereis_name, _) -> [name];
roles(send, _) -> [name, message];
roles(keys, _) -> [instance, pid];
roles(values, _) -> [instance, key, pid];
roles(give_away, _) -> [instance, key, pid];
roles(update_value, 3) -> [instance, key, function];
roles(update_value, 4) -> [instance, key, pid, function];
roles(register, 2) -> [instance, key];
roles(register, _) -> [instance, key, value, choice];
roles(standby, 3) -> [instance, key, value];
roles(match, _) -> [instance, key, pattern, guards];
roles(count_match, _) -> [instance, key, pattern, guards];
roles(unregister_match, _) -> [instance, key, pattern, guards];
roles(dispatch, _) -> [instance, key, function, choice];
roles(await, _) -> [instance, key, choice];
roles(subscribe, _) -> [instance, key, options];
roles(unsubscribe, _) -> [instance, choice];
roles(explain, _) -> [instance, key, choice];
roles(fold, _) -> [instance, function, accumulator];
roles(count, 2) -> [instance, choice];
roles(members, _) -> [instance, choice];
roles(set_members, _) -> [instance, choice];
roles(join, _) -> [instance, choice];
roles(evict, _) -> [instance, choice];
roles(await_ready, _) -> [instance, choice];
roles(select, _) -> [instance, choice];
roles(count_select, _) -> [instance, choice];
roles(prefix, _) -> [instance, choice];
roles(sync_barrier, _) -> [instance, choice];
roles(stop, 3) -> [instance, reason, choice];
roles(_, _) -> [instance, key].

-spec role(cause() | unknown) -> atom().
role(no_instance) -> instance;
role(duplicate_keys) -> instance;
role(fun_in_key) -> key;
role(key_too_large) -> key;
role(key_too_deep) -> key;
role(not_a_list) -> key;
role(not_pairs) -> key;
role(remote_pid) -> pid;
role(not_a_pid) -> pid;
role(not_a_fun) -> function;
role(not_a_fold) -> function;
role(not_a_callback) -> function;
role(not_a_module) -> module;
role(not_a_name) -> name;
role(no_such_name) -> name;
role(not_a_node) -> choice;
role(not_a_binary) -> choice;
role(not_a_timeout) -> choice;
role(not_a_filter) -> key;
role(not_a_reference) -> choice;
role(not_text) -> choice;
role(not_all) -> choice;
role(not_members) -> choice;
role(not_a_member) -> choice;
role(bad_dispatch_options) -> choice;
role({bad_register_option, _, _}) -> choice;
role({bad_register_option, _}) -> choice;
role({bad_ready_option, _, _}) -> choice;
role({bad_ready_option, _}) -> choice;
role({bad_spec, _}) -> choice;
role({bad_pattern, _}) -> pattern;
role({bad_guards, _}) -> guards;
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
text(duplicate_keys, _) ->
    "the keys of this registry are duplicate: none of them has a single holder";
text(remote_pid, _) ->
    "a process of another node";
text(not_a_pid, _) ->
    "not a pid";
text(not_a_fun, _) ->
    "not a fun of one argument";
text(not_a_fold, _) ->
    "not a fun of two arguments";
text(not_a_callback, _) ->
    "neither a fun of one argument nor {Module, Function, Arguments}";
text(not_a_module, _) ->
    "not the name of a module";
text(not_a_node, _) ->
    "not the name of a node";
text(not_a_binary, _) ->
    "not a binary";
text(not_a_timeout, _) ->
    "neither milliseconds, at most 4294967295, nor infinity";
text(not_a_filter, _) ->
    "neither all nor {key, Key} nor {prefix, Binary}";
text(not_a_reference, _) ->
    "not what subscribe has returned";
text(not_a_list, _) ->
    "not a list of keys";
text(not_pairs, _) ->
    "not a list of {Key, Value}";
text(not_text, _) ->
    "neither left out nor the atom text";
text(bad_dispatch_options, _) ->
    "the only option is parallel, true or false";
text({bad_register_option, pid, Value}, _) ->
    io_lib:format("the option pid must be a pid, not ~ts", [show(Value)]);
text({bad_register_option, sync, Value}, _) ->
    io_lib:format("the option sync must be none, quorum or all, not ~ts", [show(Value)]);
text({bad_register_option, timeout, Value}, _) ->
    io_lib:format("the option timeout must be milliseconds or infinity, not ~ts", [show(Value)]);
text({bad_register_option, Key, _}, _) ->
    text({unknown_option, Key}, []);
text({bad_register_option, Options}, _) ->
    text({not_options, Options}, []);
text({bad_pattern, Words}, _) ->
    ["not a valid pattern of a match specification", because(Words)];
text({bad_guards, Words}, _) ->
    ["not valid guards of a match specification", because(Words)];
text({bad_spec, Words}, _) ->
    ["invalid match specification", because(Words)];
text(not_all, _) ->
    "neither left out nor the atom all";
text(not_members, _) ->
    "neither auto nor a list of members: nodes, names on this node, {Name, Node}";
text(not_a_member, _) ->
    "not a member: a node, a name on this node, {Name, Node}";
text({bad_ready_option, members, Value}, _) ->
    io_lib:format("the option members must be a number from 1 on, not ~ts", [show(Value)]);
text({bad_ready_option, quorum, Value}, _) ->
    io_lib:format("the option quorum must be majority, not ~ts", [show(Value)]);
text({bad_ready_option, settle, Value}, _) ->
    io_lib:format("the option settle must be milliseconds, not ~ts", [show(Value)]);
text({bad_ready_option, timeout, Value}, _) ->
    text({bad_register_option, timeout, Value}, []);
text({bad_ready_option, Key, _}, _) ->
    text({unknown_option, Key}, []);
text({bad_ready_option, Options}, _) ->
    text({not_options, Options}, []);
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
    io_lib:format("the option name must be an atom, not ~ts", [show(Name)]);
text({unknown_option, Key}, _) when is_atom(Key) ->
    io_lib:format("there is no option ~tp", [Key]);
text({unknown_option, Key}, _) ->
    io_lib:format("there is no option ~ts", [show(Key)]);
text({option_not_available, Key}, _) ->
    io_lib:format("the option ~tp is not available in this version", [Key]);
text({option_not_available, Key, Value}, _) ->
    io_lib:format("the option ~tp => ~tp is not available in this version", [Key, Value]);
text({options_exclude, Key, Other, Value}, _) ->
    io_lib:format("the option ~tp does not go with ~tp => ~tp", [Key, Other, Value]);
text({bad_option, Key, Value, Expected}, _) ->
    io_lib:format("the option ~tp must be ~ts, not ~ts", [Key, Expected, show(Value)]);
text({not_an_option, Term}, _) ->
    io_lib:format("not an option: ~ts", [show(Term)]);
text({not_options, _}, _) ->
    "neither a map nor a list of options";
text(_, _) ->
    "wrong use".

-spec because(string()) -> string().
because("") -> "";
because(Words) -> ": " ++ Words.

%% The instance that the first argument names, as its users write it.
-spec instance([term()] | arity()) -> unicode:chardata().
instance([Name | _]) when is_tuple(Name), tuple_size(Name) > 1 ->
    instance([element(1, Name)]);
instance([Name | _]) when is_atom(Name) ->
    case atom_to_list(Name) of
        "Elixir." ++ Alias -> Alias;
        _ -> show(Name)
    end;
instance([Term | _]) ->
    show(Term);
instance(_) ->
    "this".
