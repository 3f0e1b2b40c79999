%% SPDX-License-Identifier: Apache-2.0
%% @doc Names for processes, the same on every node of a cluster.
%%
%% A registry is started on each node that takes part, under the same name, and there
%% are as many registries as you like:
%%
%% ```
%%   {ok, _} = holt_registry:start_link(#{name => my_registry}),
%%   {ok, Pid} = gen_server:start_link({via, holt_registry, {my_registry, "agent 7"}}, m, [], []),
%%   Pid = holt_registry:whereis_name({my_registry, "agent 7"}),
%%   answer = gen_server:call({via, holt_registry, {my_registry, "agent 7"}}, question).
%% '''
%%
%% Reading and registering work on this node's copy, in the calling process: no call
%% waits for another node.  `ok' means that every later lookup on this node sees it;
%% the other nodes see it a moment later.  A name goes with its process, and the names
%% of a node with the node.
%%
%% When two nodes have given a name to two processes, which can happen before they hear
%% of each other, all nodes choose the same one, the newer; but a name that was given
%% before its node had met any other gives way.  The other process exits
%% with the reason `{shutdown, {name_conflict, {Key, Value}, Registry, Winner}}'; one
%% that traps exits and stays is killed after `conflict_grace_ms'.
%%
%% Keys are any terms without funs, compared as by `=:='.  Wrong use raises `badarg',
%% and the shell says what was wrong.
-module(holt_registry).

%% Instances
-export([start_link/1, start_link/3, child_spec/1, stop/1, stop/2, stop/3]).
%% Via
-export([register_name/2, unregister_name/1, whereis_name/1, send/2]).
%% Giving and taking names
-export([register/2, register/3, register/4, standby/2, standby/3, give_away/3]).
-export([unregister/2, unregister_keys/2, unregister_match/3, unregister_match/4]).
-export([update_value/3, update_value/4]).
%% Reading one name
-export([lookup/2, is_registered/2, values/3, keys/2, match/3, match/4, count_match/3]).
-export([count_match/4, dispatch/3, dispatch/4]).
%% Reading many
-export([count/1, count/2, to_list/1, fold/3, prefix/2, select/2, count_select/2]).
%% Waiting and watching
-export([await/3, subscribe/2, subscribe/3, unsubscribe/2, sync_barrier/2]).
-export([explain/2, explain/3]).
%% For the other modules
-export([encode/1, decode/1]).

-export_type([registry/0, key/0, value/0, name/0, options/0, register_options/0]).

-type registry() :: atom().
%% Any term without funs.
-type key() :: term().
-type value() :: term().
%% What stands behind `{via, holt_registry, ...}'.
-type name() :: {registry(), key()} | {registry(), key(), value()}.
%% `name' is needed; what else there is: {@link start_link/1}.
-type options() :: holt_options:options().
%% As map or list: {@link register/4}.
-type register_options() ::
    #{pid => pid(), sync => none | quorum | all, timeout => timeout()} | [{atom(), term()}].
-type refusal() :: holt_write:refusal().
%% Of a change that another node has to make.
-type failure() :: holt_write:failure().

%% The arguments are those of the function it stands in.
-define(BADARG(Cause, Arguments), erlang:error(badarg, Arguments, holt_error:info(Cause))).

%% What is no answer is a wrong argument.  Once in a function.
-define(ANSWER(Result, Arguments),
    case Result of
        {invalid, Cause} -> ?BADARG(Cause, Arguments);
        Answer -> Answer
    end
).

%%--------------------------------------------------------------------
%% Instances

%% @doc Start a registry on this node and link to it.
%%
%% Options, as map, proplist or keyword list:
%% <ul>
%% <li>`name': an atom, needed. The same on every node that takes part.</li>
%% <li>`keys': `unique', the default, or `duplicate': any number of processes have a key, and
%%     a process may have it several times.</li>
%% <li>`members': `auto', the default: all connected nodes that run this registry; or a list
%%     of nodes, of names on this node, of `{Name, Node}', to which this one is added.</li>
%% <li>`conflict': who keeps a name that two nodes have given: `keep_newest', the default,
%%     `keep_oldest', or `{Module, Function}', which is asked.</li>
%% <li>`conflict_exit': how the other process exits: `wrapped', the default, with
%%     `{shutdown, {name_conflict, ...}}'; `bare', without `shutdown'; `none', not at all.</li>
%% <li>`owner_only' (false): only a process itself may take a name, give it back, give it away
%%     and change its value; others get `{error, not_owner}'.</li>
%% <li>`quorum': names are given while so many members are present, else `{error, no_quorum}':
%%     `none', the default, `majority' or a number.</li>
%% <li>`listeners': names of processes, which get `{register, Registry, Key, Pid, Value}' and
%%     `{unregister, Registry, Key, Pid}', or a module with callbacks.</li>
%% <li>`settle_ms' (1,000): without peers, ready after this.</li>
%% <li>`conflict_grace_ms' (5,000): a process that has lost its name and traps exits is
%%     killed after this.</li>
%% <li>`orphan_ms' (10,000): how long the names wait after the root process has crashed,
%%     until the registry is started again.</li>
%% <li>`replica_restart_ms' (2,000): how long other nodes wait for a crashed replica
%%     process before they hide its names.</li>
%% <li>`probe_ms' (500): silence of a member that is asked whether it reaches another one
%%     counts as a no.</li>
%% <li>`vouch_ms' (2,000): its yes is good for so long, unless it is renewed.</li>
%% <li>`flap_ms_max' (30,000): the longest that a member which comes and goes is made to
%%     wait before its names are shown again.</li>
%% <li>`forget_after_ms' (86,400,000): absent members are forgotten after this.</li>
%% <li>`clock_bound_ms' (5,000): how far ahead another node's clock is believed.</li>
%% <li>`vector_interval_ms' (1,000): how often members compare what they hold.</li>
%% <li>`window_bytes' (262,144): unacknowledged bytes per member.</li>
%% <li>`message_bytes_max' (65,536; at most 262,144): size of a message.</li>
%% <li>`key_bytes_max' (8,192; at most 65,535), `value_bytes_max' (1,048,576; at most
%%     16,777,216): larger ones are refused on this node.</li>
%% <li>`subscriber_messages_max' (500): who has more messages in its mailbox is told nothing
%%     more of what it has subscribed to, until it has at most half as many.</li>
%% </ul>
%% Others are refused; docs/operations.md says more of all of them.
%%
%% The pid is that of the root process, registered as `name': linking to it or stopping it
%% acts on the whole registry on this node.  It ends with `normal', `shutdown' or
%% `{shutdown, _}', and the registry ends here: its names go, on all nodes.  It ends
%% otherwise, because it was killed or its parent has crashed, and the registry waits for
%% `orphan_ms': names are still found and given on this node, and seen by other nodes for
%% `replica_restart_ms'; started again by then with the same options, it goes on as if
%% nothing had been, names, values and all.  Started later or with other options, it
%% begins without names.
-spec start_link(options()) ->
    {ok, pid()} | {error, {already_started, pid()} | {not_started, holt} | term()}.
start_link(Options) ->
    case holt_options:parse(Options) of
        {ok, Config} -> holt_instance:start_link(Config);
        {error, Cause} -> ?BADARG(Cause, [Options])
    end.

%% @doc Start a registry with the options that the `init/1' of a module has the last word on.
%%
%% `Module:init(Argument)' returns `{ok, Options}', which are put over those given here, or
%% `ignore'.
-spec start_link(module(), Argument :: term(), options()) ->
    {ok, pid()} | ignore | {error, {already_started, pid()} | {not_started, holt} | term()}.
start_link(Module, Argument, Options) when is_atom(Module) ->
    case Module:init(Argument) of
        {ok, More} ->
            case holt_options:parse(More, Options) of
                {ok, Config} -> holt_instance:start_link(Config);
                {error, Cause} -> ?BADARG(Cause, [Module, Argument, Options])
            end;
        ignore ->
            ignore;
        Other ->
            {error, {bad_return, {Module, init, Other}}}
    end;
start_link(Module, Argument, Options) ->
    ?BADARG(not_a_module, [Module, Argument, Options]).

%% @doc How a supervisor starts this registry.
-spec child_spec(options()) -> supervisor:child_spec().
child_spec(Options) ->
    Id =
        case holt_options:name(Options) of
            {ok, Name} -> Name;
            error -> ?MODULE
        end,
    #{id => Id, start => {?MODULE, start_link, [Options]}, type => supervisor}.

%% @equiv stop(Registry, normal, infinity)
-spec stop(registry()) -> ok.
stop(Registry) ->
    stop_root(Registry) orelse ?BADARG(no_instance, [Registry]),
    ok.

%% @equiv stop(Registry, Reason, infinity)
-spec stop(registry(), Reason :: term()) -> ok.
stop(Registry, Reason) ->
    stop_root(Registry, Reason, infinity) orelse ?BADARG(no_instance, [Registry, Reason]),
    ok.

%% @doc Stop the registry on this node, also one that waits for its root to come back.  Its
%% names here go, on all nodes; the processes live on.
-spec stop(registry(), Reason :: term(), timeout()) -> ok.
stop(Registry, Reason, Timeout) ->
    _ = holt_write:timeout_ms(Timeout) =:= error andalso
        ?BADARG(not_a_timeout, [Registry, Reason, Timeout]),
    stop_root(Registry, Reason, Timeout) orelse ?BADARG(no_instance, [Registry, Reason, Timeout]),
    ok.

-spec stop_root(registry()) -> boolean().
stop_root(Registry) ->
    stop_root(Registry, normal, infinity).

%% False when there is no such registry.
-spec stop_root(registry(), term(), timeout()) -> boolean().
stop_root(Registry, Reason, Timeout) ->
    case is_atom(Registry) andalso holt_nif:count(Registry) of
        Count when is_integer(Count) ->
            case holt_instance:root(Registry) of
                undefined -> holt_janitor:end_orphan(Registry);
                Root -> ok =:= holt_instance:stop(Root, Reason, Timeout)
            end;
        _ ->
            false
    end.

%%--------------------------------------------------------------------
%% Via

%% @doc Give a name to a process.  `no': it is taken, or the process is dead, or its node
%% does not answer.
-spec register_name(name(), pid()) -> yes | no.
register_name(Name, Pid) when is_pid(Pid) ->
    case split(Name) of
        {Registry, Key, Value} ->
            case register_for(Registry, Key, encode(Value), Pid) of
                ok -> yes;
                {error, {too_large, _, _} = Cause} -> ?BADARG(Cause, [Name, Pid]);
                {error, _} -> no;
                {invalid, Cause} -> ?BADARG(Cause, [Name, Pid])
            end;
        error ->
            ?BADARG(not_a_name, [Name, Pid])
    end;
register_name(Name, Pid) ->
    ?BADARG(not_a_pid, [Name, Pid]).

%% @doc Give the calling process's name back; another's is left alone.
%%
%% OTP calls this when the `init' of a process fails.  By then the process may have lost
%% its name to another one, which must keep it.  {@link unregister/2} takes a name from
%% whoever has it.
-spec unregister_name(name()) -> ok | {error, not_owner}.
unregister_name(Name) ->
    case split(Name) of
        {Registry, Key, _} -> ?ANSWER(holt_write:unregister_own(Registry, Key), [Name]);
        error -> ?BADARG(not_a_name, [Name])
    end.

%% @doc Who has this name?  Of a registry with unique keys.
-spec whereis_name(name()) -> pid() | undefined.
whereis_name({Registry, Key} = Name) ->
    ?ANSWER(holt_nif:whereis(Registry, Key), [Name]);
whereis_name({Registry, Key, _Value}) ->
    whereis_name({Registry, Key});
whereis_name(Name) ->
    ?BADARG(not_a_name, [Name]).

%% @doc Send a message to whoever has this name, where keys are duplicate, to all entries, and
%% return the pid, or one of them; raises `badarg' when nobody has it.
-spec send(name(), Message :: term()) -> pid().
send(Name, Message) ->
    case split(Name) of
        {Registry, Key, _} ->
            case holders(Registry, Key) of
                [Pid | _] = Pids ->
                    lists:foreach(fun(To) -> To ! Message end, Pids),
                    Pid;
                [] ->
                    ?BADARG(no_such_name, [Name, Message]);
                {invalid, Cause} ->
                    ?BADARG(Cause, [Name, Message])
            end;
        error ->
            ?BADARG(not_a_name, [Name, Message])
    end.

%%--------------------------------------------------------------------
%% Giving and taking names

%% @doc Give a name to the calling process; where keys are duplicate, one more entry.
%%
%% `ok' means: visible to every later lookup on this node.  `already_registered' is also
%% the answer when the caller itself has the name.  The pid is that of the process that
%% carries changes to other nodes; while it is started again, the forms of this function
%% that ask for it give `undefined' in its place.
-spec register(registry(), key(), value()) -> {ok, Replica :: pid()} | {error, refusal()}.
register(Registry, Key, Value) ->
    case holt_nif:register(Registry, Key, encode(Value), self()) of
        {ok, Replica} -> {ok, Replica};
        {error, not_alive} -> exit(kill);
        {error, Reason} -> {error, Reason};
        {invalid, Cause} -> ?BADARG(Cause, [Registry, Key, Value])
    end.

%% @doc Give a name to a process of any node, and wait until others know it.
%%
%% <ul>
%% <li>`pid': whose name it will be; by default the caller's.  A dead one: `not_alive'.</li>
%% <li>`sync': `all', wait until all members that are present hold it; `quorum', until a
%%     majority of those known do; `none', the default.</li>
%% <li>`timeout' (5,000): for how long, in milliseconds.  After `{error, timeout}' the name is
%%     registered, and the others will hear of it.</li>
%% </ul>
%% A name of another node's process is seen there, and here, when this returns.
%% `unreachable': that node, or the way back, did not answer in time; it may be registered.
-spec register(registry(), key(), value(), register_options()) ->
    {ok, Replica :: pid() | undefined} | {error, refusal() | timeout | failure()}.
register(Registry, Key, Value, Options) ->
    case holt_write:options(Options) of
        {ok, Checked} ->
            case holt_write:register(Registry, Key, encode(Value), Checked) of
                ok -> {ok, replica(Registry)};
                {error, Reason} -> {error, Reason};
                {invalid, Cause} -> ?BADARG(Cause, [Registry, Key, Value, Options])
            end;
        {invalid, Cause} ->
            ?BADARG(Cause, [Registry, Key, Value, Options])
    end.

%% @doc Give names to the calling process, each by itself: those that can be had are its own
%% afterwards, the others are listed with the reason.
-spec register(registry(), [{key(), value()}]) ->
    {ok, Replica :: pid() | undefined} | {error, [{key(), refusal()}]}.
register(Registry, Names) ->
    KeyOf = fun({Key, _Value}) -> Key end,
    Register = fun({Key, Value}) -> register(Registry, Key, Value) end,
    case holt_write:each(Registry, Names, KeyOf, Register) of
        [] -> {ok, replica(Registry)};
        {invalid, not_a_list} -> ?BADARG(not_pairs, [Registry, Names]);
        {invalid, Cause} -> ?BADARG(Cause, [Registry, Names]);
        Refused -> {error, Refused}
    end.

%% @equiv standby(Registry, Key, undefined)
-spec standby(registry(), key()) -> ok | {error, refusal()}.
standby(Registry, Key) ->
    ?ANSWER(holt_write:standby(Registry, Key, encode(undefined)), [Registry, Key]).

%% @doc Have the calling process take over a name, with this value, when whoever has it has
%% it no more; when nobody has it, now.
%%
%% Of several that wait, the one who came first is next.  Unregistering the name takes it
%% from its holder alone; the standby's own way out is {@link unregister_name/1}.
-spec standby(registry(), key(), value()) -> ok | {error, refusal()}.
standby(Registry, Key, Value) ->
    ?ANSWER(holt_write:standby(Registry, Key, encode(Value)), [Registry, Key, Value]).

%% @doc Give a name, with its value, to another process, of any node, in one step: on the
%% nodes of both nobody finds it free meanwhile.
%%
%% A third node may hear of the old owner's end before it hears of the new one, and find the
%% name free for a moment.
%%
%% Whoever has it, unless `owner_only'.  `not_found': nobody has it.  `changed': it went from
%% hand to hand while we tried.
-spec give_away(registry(), key(), pid()) ->
    ok | {error, not_found | not_owner | changed | refusal() | failure()}.
give_away(Registry, Key, Pid) when is_pid(Pid) ->
    ?ANSWER(holt_write:give_away(Registry, Key, Pid), [Registry, Key, Pid]);
give_away(Registry, Key, Pid) ->
    ?BADARG(not_a_pid, [Registry, Key, Pid]).

%% @doc Take a name away from whoever has it; where keys are duplicate, the calling process's
%% entries.  The process lives on and keeps its other names.
%%
%% A name of another node is removed there; then this waits until it is gone here, too.
%% `unreachable': that node, or the way back, did not answer in time; the name may go yet.
-spec unregister(registry(), key()) -> ok | {error, not_owner | failure()}.
unregister(Registry, Key) ->
    ?ANSWER(holt_write:unregister(Registry, Key), [Registry, Key]).

%% @doc Take several names away, each by itself.  (A list given to {@link unregister/2} is one
%% key: a string, say.)
-spec unregister_keys(registry(), [key()]) -> ok | {error, [{key(), not_owner | failure()}]}.
unregister_keys(Registry, Keys) ->
    Unregister = fun(Key) -> unregister(Registry, Key) end,
    case holt_write:each(Registry, Keys, fun(Key) -> Key end, Unregister) of
        [] -> ok;
        {invalid, Cause} -> ?BADARG(Cause, [Registry, Keys]);
        Refused -> {error, Refused}
    end.

%% @equiv unregister_match(Registry, Key, Pattern, [])
-spec unregister_match(registry(), key(), Pattern :: term()) -> ok.
unregister_match(Registry, Key, Pattern) ->
    ?ANSWER(
        holt_write:unregister_match(Registry, Key, Pattern, []), [Registry, Key, Pattern]
    ).

%% @doc Take from the calling process those of its entries of a key whose values match a
%% pattern and guards of match specifications.
-spec unregister_match(registry(), key(), Pattern :: term(), Guards :: [term()]) -> ok.
unregister_match(Registry, Key, Pattern, Guards) ->
    ?ANSWER(
        holt_write:unregister_match(Registry, Key, Pattern, Guards),
        [Registry, Key, Pattern, Guards]
    ).

%% @doc Change the value of a name of the calling process; `error' when it has no such
%% name.
%%
%% The fun runs here, and again if somebody changed the value meanwhile.
-spec update_value(registry(), key(), fun((Old) -> New)) -> {New, Old} | error when
    Old :: value(), New :: value().
update_value(Registry, Key, Fun) when is_function(Fun, 1) ->
    case holt_write:update(Registry, Key, self(), Fun) of
        {ok, New, Old} -> {New, Old};
        error -> error;
        {invalid, Cause} -> ?BADARG(Cause, [Registry, Key, Fun])
    end;
update_value(Registry, Key, Fun) ->
    ?BADARG(not_a_fun, [Registry, Key, Fun]).

%% @doc Change the value of a name of any process; `error' when it has no such name.
%%
%% The fun runs on the node of the process, and again if somebody changed the value
%% meanwhile.  What it raises is raised here, and nothing changes.
-spec update_value(registry(), key(), pid(), fun((Old) -> New)) ->
    {New, Old} | error | {error, not_owner | failure()}
when
    Old :: value(), New :: value().
update_value(Registry, Key, Pid, Fun) when is_pid(Pid), is_function(Fun, 1) ->
    case holt_write:update(Registry, Key, Pid, Fun) of
        {ok, New, Old} -> {New, Old};
        {invalid, Cause} -> ?BADARG(Cause, [Registry, Key, Pid, Fun]);
        Refused -> Refused
    end;
update_value(Registry, Key, Pid, Fun) when is_pid(Pid) ->
    ?BADARG(not_a_fun, [Registry, Key, Pid, Fun]);
update_value(Registry, Key, Pid, Fun) ->
    ?BADARG(not_a_pid, [Registry, Key, Pid, Fun]).

%%--------------------------------------------------------------------
%% Reading one name

%% @doc Who has this name, and with which value?  Where keys are duplicate, all who do.
-spec lookup(registry(), key()) -> [{pid(), value()}].
lookup(Registry, Key) ->
    ?ANSWER(holt_read:lookup(Registry, Key), [Registry, Key]).

%% @doc Does anybody have this name?
-spec is_registered(registry(), key()) -> boolean().
is_registered(Registry, Key) ->
    ?ANSWER(holders(Registry, Key), [Registry, Key]) =/= [].

%% @doc The values with which this process has a name: none or one, where keys are unique.
-spec values(registry(), key(), pid()) -> [value()].
values(Registry, Key, Pid) when is_pid(Pid) ->
    Entries = ?ANSWER(holt_read:lookup(Registry, Key), [Registry, Key, Pid]),
    [Value || {Holder, Value} <- Entries, Holder =:= Pid];
values(Registry, Key, Pid) ->
    ?BADARG(not_a_pid, [Registry, Key, Pid]).

%% @doc The names of a process, of this node or another one; where keys are duplicate, each
%% as often as it has it.
-spec keys(registry(), pid()) -> [key()].
keys(Registry, Pid) when is_pid(Pid) ->
    ?ANSWER(holt_nif:keys(Registry, Pid), [Registry, Pid]);
keys(Registry, Pid) ->
    ?BADARG(not_a_pid, [Registry, Pid]).

%% @equiv match(Registry, Key, Pattern, [])
-spec match(registry(), key(), Pattern :: term()) -> [{pid(), value()}].
match(Registry, Key, Pattern) ->
    ?ANSWER(holt_read:match(Registry, Key, Pattern, []), [Registry, Key, Pattern]).

%% @doc Who has this name with a value that matches?  Pattern and guards are those of match
%% specifications: `'_'' matches anything, `'$1'' too, and can be used in guards.
-spec match(registry(), key(), Pattern :: term(), Guards :: [term()]) -> [{pid(), value()}].
match(Registry, Key, Pattern, Guards) ->
    ?ANSWER(
        holt_read:match(Registry, Key, Pattern, Guards), [Registry, Key, Pattern, Guards]
    ).

%% @equiv count_match(Registry, Key, Pattern, [])
-spec count_match(registry(), key(), Pattern :: term()) -> non_neg_integer().
count_match(Registry, Key, Pattern) ->
    ?ANSWER(holt_read:count_match(Registry, Key, Pattern, []), [Registry, Key, Pattern]).

%% @doc How many have this name with a value that matches?
-spec count_match(registry(), key(), Pattern :: term(), Guards :: [term()]) ->
    non_neg_integer().
count_match(Registry, Key, Pattern, Guards) ->
    ?ANSWER(
        holt_read:count_match(Registry, Key, Pattern, Guards), [Registry, Key, Pattern, Guards]
    ).

%% @equiv dispatch(Registry, Key, Callback, [])
-spec dispatch(registry(), key(), Callback) -> ok when
    Callback :: fun(([{pid(), value()}]) -> term()) | {module(), Function :: atom(), [term()]}.
dispatch(Registry, Key, Callback) ->
    ?ANSWER(call_back(Registry, Key, Callback), [Registry, Key, Callback]).

%% @doc Call a fun, or a function with more arguments, here with all who have this name, if
%% anybody does.
%%
%% The option `parallel' of Elixir's registry is accepted: there are no partitions to go
%% through in parallel.
-spec dispatch(registry(), key(), Callback, [{parallel, boolean()}]) -> ok when
    Callback :: fun(([{pid(), value()}]) -> term()) | {module(), Function :: atom(), [term()]}.
dispatch(Registry, Key, Callback, Options) ->
    case holt_options:merge(Options, #{parallel => false}) of
        {ok, #{parallel := IsParallel} = Map} when is_boolean(IsParallel), map_size(Map) =:= 1 ->
            ?ANSWER(call_back(Registry, Key, Callback), [Registry, Key, Callback, Options]);
        _ ->
            ?BADARG(bad_dispatch_options, [Registry, Key, Callback, Options])
    end.

%%--------------------------------------------------------------------
%% Reading many names

%% @doc How many names are there?  Where keys are duplicate, how many entries?
-spec count(registry()) -> non_neg_integer().
count(Registry) ->
    ?ANSWER(holt_nif:count(Registry), [Registry]).

%% @doc How many of them are of processes of this node?
-spec count(registry(), node()) -> non_neg_integer().
count(Registry, Node) when is_atom(Node) ->
    ?ANSWER(holt_nif:count_node(Registry, Node), [Registry, Node]);
count(Registry, Node) ->
    ?BADARG(not_a_node, [Registry, Node]).

%% @doc All names, in no order.  Names that come or go meanwhile may be there or not.
-spec to_list(registry()) -> [{key(), pid(), value()}].
to_list(Registry) ->
    ?ANSWER(holt_read:list(Registry, terms), [Registry]).

%% @doc Fold over all names, `{Key, Pid, Value}', in no order, without a copy of all of them.
%% Names that come or go meanwhile may be there or not.
-spec fold(registry(), fun(({key(), pid(), value()}, Acc) -> Acc), Acc) -> Acc.
fold(Registry, Fun, Acc) when is_function(Fun, 2) ->
    case holt_read:fold(Registry, terms, Fun, Acc) of
        {ok, Result} -> Result;
        {invalid, Cause} -> ?BADARG(Cause, [Registry, Fun, Acc])
    end;
fold(Registry, Fun, Acc) ->
    ?BADARG(not_a_fold, [Registry, Fun, Acc]).

%% @doc The names of which the key is a binary that begins so, in no order.
-spec prefix(registry(), binary()) -> [{binary(), pid(), value()}].
prefix(Registry, Prefix) when is_binary(Prefix) ->
    ?ANSWER(holt_read:list(Registry, {terms, Prefix}), [Registry, Prefix]);
prefix(Registry, Prefix) ->
    ?BADARG(not_a_binary, [Registry, Prefix]).

%% @doc What a match specification of clauses `{{Key, Pid, Value}, Guards, Body}' says of all
%% names, in no order.
%%
%% One that names its keys, without variables, looks at those alone.
-spec select(registry(), ets:match_spec()) -> [term()].
select(Registry, Spec) ->
    ?ANSWER(holt_read:select(Registry, Spec), [Registry, Spec]).

%% @doc Of how many names does a match specification say `true'?
-spec count_select(registry(), ets:match_spec()) -> non_neg_integer().
count_select(Registry, Spec) ->
    ?ANSWER(holt_read:count_select(Registry, Spec), [Registry, Spec]).

%%--------------------------------------------------------------------
%% Waiting and watching

%% @doc Wait until somebody has this name.
-spec await(registry(), key(), timeout()) -> {pid(), value()} | {error, timeout}.
await(Registry, Key, Timeout) ->
    ?ANSWER(holt_events:await(Registry, Key, Timeout), [Registry, Key, Timeout]).

%% @equiv subscribe(Registry, What, #{})
-spec subscribe(registry(), all | {key, key()} | {prefix, binary()}) -> reference().
subscribe(Registry, What) ->
    ?ANSWER(holt_events:subscribe(Registry, What, #{}), [Registry, What]).

%% @doc Be told of changes: of all names, of one, or of those whose key is a binary that
%% begins so.
-spec subscribe(registry(), all | {key, key()} | {prefix, binary()}, map() | list()) ->
    reference().
subscribe(Registry, What, Options) ->
    ?ANSWER(holt_events:subscribe(Registry, What, Options), [Registry, What, Options]).

%% @doc No longer.  Messages that are on their way are taken out of the mailbox.
-spec unsubscribe(registry(), reference()) -> ok.
unsubscribe(Registry, Ref) ->
    ?ANSWER(holt_events:unsubscribe(Registry, Ref), [Registry, Ref]).

%% @doc Wait until all members that are present hold what this node has registered by now.
-spec sync_barrier(registry(), timeout()) -> ok | {error, timeout}.
sync_barrier(Registry, Timeout) ->
    case holt_write:timeout_ms(Timeout) of
        error -> ?BADARG(not_a_timeout, [Registry, Timeout]);
        Ms -> ?ANSWER(holt_write:barrier(Registry, Ms), [Registry, Timeout])
    end.

%% @doc Why does this process have this name?
%%
%% <ul>
%% <li>`owner', `value', `member', `actor', `birth', `stamp', `time': who has it, since when
%%     by the clock that decides conflicts, and by UTC; `owner' is `undefined', and there is
%%     nothing else of these, when nobody has it. Where keys are duplicate, of the first.</li>
%% <li>`siblings': the other rows of the key in order of rank, each with the same and
%%     `standby', `early', `visible': the next one takes over when the owner goes.</li>
%% <li>`last_conflict': the last one about this name that a process of this node has lost, or
%%     `none'.</li>
%% <li>`lag': for each peer, how many changes of this node it has not acknowledged.</li>
%% </ul>
-spec explain(registry(), key()) -> holt_explain:explanation().
explain(Registry, Key) ->
    ?ANSWER(holt_explain:explain(Registry, Key), [Registry, Key]).

%% @doc The same for a human reader.
-spec explain(registry(), key(), text) -> iodata().
explain(Registry, Key, text = Form) ->
    holt_explain:text(?ANSWER(holt_explain:explain(Registry, Key), [Registry, Key, Form]));
explain(Registry, Key, Form) ->
    ?BADARG(not_text, [Registry, Key, Form]).

%%--------------------------------------------------------------------
%% For the other modules

%% @private
-spec encode(value()) -> binary().
encode(undefined) -> <<>>;
encode(Value) -> term_to_binary(Value).

%% @private
-spec decode(binary()) -> value().
decode(<<>>) -> undefined;
decode(Binary) -> binary_to_term(Binary).

%%--------------------------------------------------------------------
%% Internal

-spec split(term()) -> {registry(), key(), value()} | error.
split({Registry, Key}) -> {Registry, Key, undefined};
split({Registry, Key, Value}) -> {Registry, Key, Value};
split(_) -> error.

-spec replica(registry()) -> pid() | undefined.
replica(Registry) ->
    whereis(holt_replica:process_name(Registry)).

-spec register_for(registry(), key(), binary(), pid()) ->
    ok | {error, term()} | {invalid, holt_error:cause()}.
register_for(Registry, Key, Value, Pid) ->
    case holt_write:may(Registry, Pid) of
        true ->
            case holt_nif:register(Registry, Key, Value, Pid) of
                {ok, _} ->
                    ok;
                {invalid, remote_pid} ->
                    {ok, Options} = holt_write:options(#{pid => Pid}),
                    holt_write:register(Registry, Key, Value, Options);
                Refused ->
                    Refused
            end;
        false ->
            {error, not_owner};
        Invalid ->
            Invalid
    end.

-spec holders(registry(), key()) -> [pid()] | {invalid, holt_error:cause()}.
holders(Registry, Key) ->
    case holt_nif:whereis(Registry, Key) of
        Pid when is_pid(Pid) ->
            [Pid];
        undefined ->
            [];
        {invalid, duplicate_keys} ->
            case holt_nif:lookup(Registry, Key) of
                {invalid, Cause} -> {invalid, Cause};
                Entries -> [Pid || {Pid, _} <- Entries]
            end;
        {invalid, Cause} ->
            {invalid, Cause}
    end.

-spec call_back(registry(), key(), term()) -> ok | {invalid, holt_error:cause()}.
call_back(Registry, Key, Callback) ->
    case holt_read:lookup(Registry, Key) of
        {invalid, Cause} ->
            {invalid, Cause};
        Entries ->
            case Callback of
                _ when is_function(Callback, 1) ->
                    _ = Entries =/= [] andalso Callback(Entries),
                    ok;
                {Module, Function, Arguments} when
                    is_atom(Module), is_atom(Function), is_list(Arguments)
                ->
                    _ = Entries =/= [] andalso apply(Module, Function, [Entries | Arguments]),
                    ok;
                _ ->
                    {invalid, not_a_callback}
            end
    end.
