%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc What may be said to start_link: read once, checked whole.
%%
%% Options come as map, proplist or keyword list.  What is known but not built yet is
%% refused by name, never accepted and ignored; what other registries have and this one has
%% no use for is accepted, and said once.
-module(holt_options).

-include_lib("kernel/include/logger.hrl").

-export([parse/1, parse/2, native/1, name/1, merge/2, members/2]).

-export_type([options/0, config/0, cause/0, conflict/0, conflict_exit/0, listener/0]).

-type options() :: #{atom() => term()} | [{atom(), term()} | atom()].

-type config() :: #{
    name := atom(),
    keys := unique | duplicate,
    conflict := conflict(),
    conflict_exit := conflict_exit(),
    conflict_grace_ms := pos_integer(),
    owner_only := boolean(),
    quorum := none | majority | pos_integer(),
    %% A list has this member in it.
    members := auto | [holt_nif:member()],
    listeners := [listener()],
    settle_ms := pos_integer(),
    orphan_ms := pos_integer(),
    subscriber_messages_max := pos_integer(),
    %% What the native side takes; what is missing there has its default there.
    native := #{atom() => pos_integer()}
}.

-type conflict() :: keep_newest | keep_oldest | {module(), Function :: atom()}.
-type conflict_exit() :: wrapped | bare | none.
%% The name of a process of this node, or a module with callbacks.
-type listener() :: atom() | {module, module()}.

-type cause() ::
    {not_options, term()}
    | {not_an_option, term()}
    | no_name
    | {bad_name, term()}
    | {unknown_option, term()}
    | {option_not_available, atom()}
    | {option_not_available, atom(), term()}
    | {options_exclude, atom(), Other :: atom(), OtherValue :: term()}
    | {bad_option, atom(), term(), Expected :: string()}.

%% Larger numbers fit neither a timer nor a sensible message.
-define(NUMBER_MAX, 16#ffffffff).

%% HOLT_KEY_BYTES_LIMIT of include/holt/key.h.
-define(KEY_BYTES_LIMIT, 65535).

%% HOLT_MESSAGE_BYTES_LIMIT and HOLT_VALUE_BYTES_LIMIT of include/holt/replica.h.
-define(MESSAGE_BYTES_LIMIT, 262144).
-define(VALUE_BYTES_LIMIT, 16777216).

%% HOLT_POLICY_* of include/holt/replica.h.
-define(POLICY_KEEP_NEWEST, 1).
-define(POLICY_KEEP_OLDEST, 16#0101).
-define(POLICY_CUSTOM, 16#0201).
-define(POLICY_DUPLICATE, 2).

%% As the native side writes `majority'; a number of members is below it.
-define(QUORUM_MAJORITY, 16#ffffffff).
-define(QUORUM_MAX, 65535).

%% "holt." and the name have to fit an atom: {@link holt_replica:process_name/1}.
-define(NAME_CHARACTERS_MAX, 250).

-define(CALLBACKS, [
    {on_process_registered, 5},
    {on_process_unregistered, 5},
    {on_registry_process_updated, 5},
    {on_registry_process_updated, 6}
]).

%% @doc Check all options.
-spec parse(term()) -> {ok, config()} | {error, cause()}.
parse(Options) ->
    try
        Map = to_map(Options),
        Name = checked_name(Map),
        Given = maps:remove(name, Map),
        maps:foreach(fun check/2, Given),
        ok = check_together(Given),
        ok = say_useless(Given),
        Native = maps:filter(fun(Key, _) -> kind(Key) =:= native end, Given),
        Own = maps:filter(fun(Key, _) -> is_map_key(Key, defaults()) end, Given),
        Config = maps:merge(defaults(), Own),
        #{members := Members, listeners := Listeners} = Config,
        {ok, Config#{
            name => Name,
            members := with_self(Members, Name),
            listeners := listeners(Listeners),
            native => maps:merge(Native, rules(Config))
        }}
    catch
        throw:{?MODULE, Cause} -> {error, Cause}
    end.

%% @doc Check all options of two sets; the first has the last word.
-spec parse(term(), term()) -> {ok, config()} | {error, cause()}.
parse(First, Second) ->
    case merge(First, Second) of
        {ok, Options} -> parse(Options);
        {error, Cause} -> {error, Cause}
    end.

%% @doc What the native code is opened with.  It keeps what stands for the other options,
%% too: an instance is adopted with the same options only.  Who its members are and who
%% listens may be different by then.
-spec native(config()) -> #{atom() => pos_integer()}.
native(#{native := Native, orphan_ms := OrphanMs} = Config) ->
    Hash = erlang:phash2(maps:without([native, members, listeners], Config)),
    Native#{orphan_ms => OrphanMs, options_hash => Hash + 1}.

%% @doc The name among options that need not be right otherwise.
-spec name(term()) -> {ok, term()} | error.
name(#{name := Name}) ->
    {ok, Name};
name([{name, Name} | _]) ->
    {ok, Name};
name([_ | Rest]) ->
    name(Rest);
name(_) ->
    error.

%% @doc Two sets of options as one; the first has the last word.
-spec merge(term(), term()) -> {ok, options()} | {error, cause()}.
merge(First, Second) ->
    try
        {ok, maps:merge(to_map(Second), to_map(First))}
    catch
        throw:{?MODULE, Cause} -> {error, Cause}
    end.

%% @doc Members as users write them: an atom with @ is a node, another one a name on this
%% node, a pair both.  The order stays, what is twice in it comes once.
-spec members(Name :: atom(), term()) -> {ok, [holt_nif:member()]} | error.
members(Name, List) when is_list(List) ->
    case length_of(List) =/= improper andalso [member(Name, Member) || Member <- List] of
        false ->
            error;
        Members ->
            case lists:member(error, Members) of
                true -> error;
                false -> {ok, lists:uniq(Members)}
            end
    end;
members(_Name, _) ->
    error.

%%--------------------------------------------------------------------
%% Internal

-spec defaults() -> #{atom() => term()}.
defaults() ->
    #{
        keys => unique,
        conflict => keep_newest,
        conflict_exit => wrapped,
        conflict_grace_ms => 5000,
        owner_only => false,
        quorum => none,
        members => auto,
        listeners => [],
        settle_ms => 1000,
        orphan_ms => 10000,
        subscriber_messages_max => 500
    }.

-spec to_map(term()) -> #{term() => term()}.
to_map(Options) when is_map(Options) ->
    Options;
to_map(Options) ->
    is_list(Options) andalso length_of(Options) =/= improper orelse refuse({not_options, Options}),
    %% The first of two wins, as in a proplist.
    maps:from_list(lists:reverse([pair(Option) || Option <- Options])).

-spec length_of(maybe_improper_list()) -> non_neg_integer() | improper.
length_of(List) ->
    try
        length(List)
    catch
        error:badarg -> improper
    end.

-spec pair(term()) -> {term(), term()}.
pair({Key, Value}) -> {Key, Value};
pair(Key) when is_atom(Key) -> {Key, true};
pair(Other) -> refuse({not_an_option, Other}).

-spec checked_name(map()) -> atom().
checked_name(#{name := Name}) when Name =/= undefined, Name =/= nil ->
    is_atom(Name) andalso length(atom_to_list(Name)) =< ?NAME_CHARACTERS_MAX orelse
        refuse({bad_name, Name}),
    Name;
checked_name(_) ->
    refuse(no_name).

-spec check(term(), term()) -> true.
check(Key, Value) ->
    case kind(Key) of
        unknown -> refuse({unknown_option, Key});
        later -> refuse({option_not_available, Key});
        useless -> true;
        number -> number(Key, Value);
        native -> number(Key, Value);
        form -> is_good(Key, Value) orelse refuse({bad_option, Key, Value, expected(Key)})
    end.

-spec is_good(atom(), term()) -> boolean().
is_good(keys, Keys) ->
    lists:member(Keys, [unique, duplicate]);
is_good(conflict, {Module, Function}) when is_atom(Module), is_atom(Function) ->
    is_exported(Module, Function, 4);
is_good(conflict, Rule) ->
    lists:member(Rule, [keep_newest, keep_oldest]);
is_good(conflict_exit, Form) ->
    lists:member(Form, [wrapped, bare, none]);
is_good(owner_only, Flag) ->
    is_boolean(Flag);
is_good(quorum, strict) ->
    refuse({option_not_available, quorum, strict});
is_good(quorum, Count) when is_integer(Count) ->
    Count >= 1 andalso Count =< ?QUORUM_MAX;
is_good(quorum, Quorum) ->
    lists:member(Quorum, [none, majority]);
is_good(members, auto) ->
    true;
is_good(members, List) ->
    members(name, List) =/= error;
is_good(listeners, Module) when is_atom(Module) ->
    is_listener({module, Module});
is_good(listeners, List) ->
    is_list(List) andalso length_of(List) =/= improper andalso lists:all(fun is_listener/1, List).

-spec is_listener(term()) -> boolean().
is_listener({module, Module}) when is_atom(Module) ->
    lists:any(fun({Function, Arity}) -> is_exported(Module, Function, Arity) end, ?CALLBACKS);
is_listener(Name) ->
    is_atom(Name).

-spec expected(atom()) -> string().
expected(keys) ->
    "unique or duplicate";
expected(conflict) ->
    "keep_newest, keep_oldest or {Module, Function} of an exported function of 4 arguments";
expected(conflict_exit) ->
    "wrapped, bare or none";
expected(owner_only) ->
    "true or false";
expected(quorum) ->
    lists:concat(["none, majority or an integer from 1 to ", ?QUORUM_MAX]);
expected(members) ->
    "auto or a list of members: nodes, names on this node, {Name, Node}";
expected(listeners) ->
    "names of processes in a list, or a module with callbacks".

%% Without conflicts there is nothing to say of them.
-spec check_together(map()) -> ok.
check_together(#{keys := duplicate} = Options) ->
    lists:foreach(
        fun(Key) ->
            is_map_key(Key, Options) andalso refuse({options_exclude, Key, keys, duplicate})
        end,
        [conflict, conflict_exit, conflict_grace_ms]
    );
check_together(_) ->
    ok.

-spec rules(#{atom() => term()}) -> #{atom() => pos_integer()}.
rules(#{keys := Keys, conflict := Conflict, owner_only := OwnerOnly, quorum := Quorum}) ->
    maps:from_list(
        [{policy, Policy} || Policy <- [policy(Keys, Conflict)], Policy =/= ?POLICY_KEEP_NEWEST] ++
            [{owner_only, 1} || OwnerOnly] ++
            [{quorum, native_quorum(Quorum)} || Quorum =/= none]
    ).

-spec policy(unique | duplicate, conflict()) -> pos_integer().
policy(duplicate, _) -> ?POLICY_DUPLICATE;
policy(unique, keep_newest) -> ?POLICY_KEEP_NEWEST;
policy(unique, keep_oldest) -> ?POLICY_KEEP_OLDEST;
policy(unique, {_, _}) -> ?POLICY_CUSTOM.

-spec native_quorum(majority | pos_integer()) -> pos_integer().
native_quorum(majority) -> ?QUORUM_MAJORITY;
native_quorum(Count) -> Count.

-spec with_self(auto | list(), atom()) -> auto | [holt_nif:member()].
with_self(auto, _Name) ->
    auto;
with_self(List, Name) ->
    {ok, Members} = members(Name, List),
    Self = {Name, node()},
    case lists:member(Self, Members) of
        true -> Members;
        false -> [Self | Members]
    end.

-spec member(atom(), term()) -> holt_nif:member() | error.
member(_Name, {Other, Node}) when is_atom(Other), is_atom(Node) ->
    case is_node(Node) of
        true -> {Other, Node};
        false -> error
    end;
member(Name, Atom) when is_atom(Atom) ->
    case is_node(Atom) of
        true -> {Name, Atom};
        false -> {Atom, node()}
    end;
member(_Name, _) ->
    error.

-spec is_node(atom()) -> boolean().
is_node(Atom) ->
    lists:member($@, atom_to_list(Atom)).

-spec listeners(module() | [listener()]) -> [listener()].
listeners(Module) when is_atom(Module) -> [{module, Module}];
listeners(List) -> lists:uniq(List).

-spec is_exported(module(), atom(), arity()) -> boolean().
is_exported(Module, Function, Arity) ->
    _ = code:ensure_loaded(Module),
    erlang:function_exported(Module, Function, Arity).

%% Once for as long as the node runs, whoever gives it.
-spec say_useless(map()) -> ok.
say_useless(Options) ->
    lists:foreach(
        fun(Key) ->
            Said = {?MODULE, said, Key},
            case kind(Key) =:= useless andalso not persistent_term:get(Said, false) of
                true ->
                    ok = persistent_term:put(Said, true),
                    ?LOG_NOTICE("holt: the option ~p means nothing to holt", [Key]);
                false ->
                    ok
            end
        end,
        maps:keys(Options)
    ).

-spec number(atom(), term()) -> true.
number(Key, Value) ->
    Max = maximum(Key),
    is_integer(Value) andalso Value >= 1 andalso Value =< Max orelse
        refuse({bad_option, Key, Value, lists:concat(["an integer from 1 to ", Max])}).

-spec maximum(atom()) -> pos_integer().
maximum(key_bytes_max) -> ?KEY_BYTES_LIMIT;
maximum(message_bytes_max) -> ?MESSAGE_BYTES_LIMIT;
maximum(value_bytes_max) -> ?VALUE_BYTES_LIMIT;
maximum(_) -> ?NUMBER_MAX.

-spec kind(term()) -> form | number | native | later | useless | unknown.
kind(keys) -> form;
kind(members) -> form;
kind(conflict) -> form;
kind(conflict_exit) -> form;
kind(owner_only) -> form;
kind(quorum) -> form;
kind(listeners) -> form;
kind(orphan_ms) -> number;
kind(conflict_grace_ms) -> number;
kind(settle_ms) -> number;
kind(subscriber_messages_max) -> number;
kind(vector_interval_ms) -> native;
kind(replica_restart_ms) -> native;
kind(probe_ms) -> native;
kind(vouch_ms) -> native;
kind(flap_ms_max) -> native;
kind(forget_after_ms) -> native;
kind(clock_bound_ms) -> native;
kind(window_bytes) -> native;
kind(message_bytes_max) -> native;
kind(key_bytes_max) -> native;
kind(value_bytes_max) -> native;
kind(meta) -> later;
kind(voters) -> later;
kind(partitions) -> useless;
kind(compressed) -> useless;
kind(delta_crdt_options) -> useless;
kind(_) -> unknown.

-spec refuse(cause()) -> no_return().
refuse(Cause) ->
    throw({?MODULE, Cause}).
