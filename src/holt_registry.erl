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
-export([start_link/1, child_spec/1, stop/1, stop/2, stop/3]).
%% Via
-export([register_name/2, unregister_name/1, whereis_name/1, send/2]).
%% Names
-export([
    register/3,
    unregister/2,
    lookup/2,
    is_registered/2,
    keys/2,
    update_value/3,
    count/1,
    to_list/1
]).
%% For the replica process
-export([decode/1, encode/1]).

-export_type([registry/0, key/0, value/0, name/0, options/0]).

-type registry() :: atom().
%% Any term without funs.
-type key() :: term().
-type value() :: term().
%% What stands behind `{via, holt_registry, ...}'.
-type name() :: {registry(), key()} | {registry(), key(), value()}.
%% `name' is needed; what else there is: {@link start_link/1}.
-type options() :: holt_options:options().

%% How long to wait for another node, in milliseconds.
-define(REMOTE_MS, 5000).
%% How often to follow a name that moves on while we ask for it.
-define(REMOTE_HOPS_MAX, 4).

%% The arguments are those of the function it stands in.
-define(BADARG(Cause, Arguments), erlang:error(badarg, Arguments, holt_error:info(Cause))).

%%--------------------------------------------------------------------
%% Instances

%% @doc Start a registry on this node and link to it.
%%
%% Options, as map, proplist or keyword list:
%% <ul>
%% <li>`name': an atom, needed. The same on every node that takes part.</li>
%% <li>`keys': `unique', the default.</li>
%% <li>`members': `auto', the default: all connected nodes that run this registry.</li>
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

%% @doc Give a name to a process of this node.  `no': it is taken, or the process is
%% dead.
-spec register_name(name(), pid()) -> yes | no.
register_name(Name, Pid) when is_pid(Pid) ->
    case split(Name) of
        {Registry, Key, Value} ->
            case holt_nif:register(Registry, Key, encode(Value), Pid) of
                {ok, _} -> yes;
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
        {Registry, Key, _} ->
            case remove_own(Registry, Key) of
                {invalid, Cause} -> ?BADARG(Cause, [Name]);
                Answer -> Answer
            end;
        error ->
            ?BADARG(not_a_name, [Name])
    end.

%% @doc Who has this name?
-spec whereis_name(name()) -> pid() | undefined.
whereis_name({Registry, Key} = Name) ->
    case holt_nif:whereis(Registry, Key) of
        {invalid, Cause} -> ?BADARG(Cause, [Name]);
        Found -> Found
    end;
whereis_name({Registry, Key, _Value}) ->
    whereis_name({Registry, Key});
whereis_name(Name) ->
    ?BADARG(not_a_name, [Name]).

%% @doc Send a message to whoever has this name; raises `badarg' when nobody has it.
-spec send(name(), Message :: term()) -> pid().
send(Name, Message) ->
    case split(Name) of
        {Registry, Key, _} ->
            case holt_nif:whereis(Registry, Key) of
                Pid when is_pid(Pid) ->
                    _ = Pid ! Message,
                    Pid;
                undefined ->
                    ?BADARG(no_such_name, [Name, Message]);
                {invalid, Cause} ->
                    ?BADARG(Cause, [Name, Message])
            end;
        error ->
            ?BADARG(not_a_name, [Name, Message])
    end.

%%--------------------------------------------------------------------
%% Names

%% @doc Give a name to the calling process.
%%
%% `ok' means: visible to every later lookup on this node.  `already_registered' is also
%% the answer when the caller itself has the name.
-spec register(registry(), key(), value()) ->
    {ok, Replica :: pid()}
    | {error,
        {already_registered, pid()}
        | {too_large, Bytes :: non_neg_integer(), Max :: pos_integer()}}.
register(Registry, Key, Value) ->
    case holt_nif:register(Registry, Key, encode(Value), self()) of
        {ok, Replica} -> {ok, Replica};
        {error, not_alive} -> exit(kill);
        {error, Reason} -> {error, Reason};
        {invalid, Cause} -> ?BADARG(Cause, [Registry, Key, Value])
    end.

%% @doc Take a name away from whoever has it; its process lives on and keeps its other
%% names.
%%
%% A name of another node is removed there; then this waits until it is gone here, too.
%% `unreachable': that node, or the way back, did not answer in time; the name may go yet.
-spec unregister(registry(), key()) -> ok | {error, {no_instance | unreachable, node()}}.
unregister(Registry, Key) ->
    case remove(Registry, Key) of
        {invalid, Cause} -> ?BADARG(Cause, [Registry, Key]);
        Answer -> Answer
    end.

%% @doc Who has this name, and with which value?
-spec lookup(registry(), key()) -> [{pid(), value()}].
lookup(Registry, Key) ->
    case holt_nif:lookup(Registry, Key) of
        [{Pid, Value}] -> [{Pid, decode(Value)}];
        [] -> [];
        {invalid, Cause} -> ?BADARG(Cause, [Registry, Key])
    end.

%% @doc Does anybody have this name?
-spec is_registered(registry(), key()) -> boolean().
is_registered(Registry, Key) ->
    case holt_nif:whereis(Registry, Key) of
        {invalid, Cause} -> ?BADARG(Cause, [Registry, Key]);
        Found -> is_pid(Found)
    end.

%% @doc The names of a process, of this node or another one.
-spec keys(registry(), pid()) -> [key()].
keys(Registry, Pid) when is_pid(Pid) ->
    case holt_nif:keys(Registry, Pid) of
        {invalid, Cause} -> ?BADARG(Cause, [Registry, Pid]);
        Keys -> Keys
    end;
keys(Registry, Pid) ->
    ?BADARG(not_a_pid, [Registry, Pid]).

%% @doc Change the value of a name of the calling process; `error' when it has no such
%% name.
%%
%% The fun runs here, and again if somebody changed the value meanwhile.
-spec update_value(registry(), key(), fun((Old) -> New)) -> {New, Old} | error when
    Old :: value(), New :: value().
update_value(Registry, Key, Fun) when is_function(Fun, 1) ->
    case update_loop(Registry, Key, Fun) of
        {invalid, Cause} -> ?BADARG(Cause, [Registry, Key, Fun]);
        Answer -> Answer
    end;
update_value(Registry, Key, Fun) ->
    ?BADARG(not_a_fun, [Registry, Key, Fun]).

%% @doc How many names are there?
-spec count(registry()) -> non_neg_integer().
count(Registry) ->
    case holt_nif:count(Registry) of
        {invalid, Cause} -> ?BADARG(Cause, [Registry]);
        Count -> Count
    end.

%% @doc All names, in no order.  Names that come or go meanwhile may be there or not.
-spec to_list(registry()) -> [{key(), pid(), value()}].
to_list(Registry) ->
    case collect(Registry, 0, []) of
        {invalid, Cause} -> ?BADARG(Cause, [Registry]);
        List -> List
    end.

%% @private
-spec decode(binary()) -> value().
decode(<<>>) -> undefined;
decode(Binary) -> binary_to_term(Binary).

%%--------------------------------------------------------------------
%% Internal

%% @private
-spec encode(value()) -> binary().
encode(undefined) -> <<>>;
encode(Value) -> term_to_binary(Value).

-spec split(term()) -> {registry(), key(), value()} | error.
split({Registry, Key}) -> {Registry, Key, undefined};
split({Registry, Key, Value}) -> {Registry, Key, Value};
split(_) -> error.

-spec update_loop(registry(), key(), fun((value()) -> value())) ->
    {value(), value()} | error | {invalid, holt_error:cause()}.
update_loop(Registry, Key, Fun) ->
    case holt_nif:fetch(Registry, Key, self()) of
        none ->
            error;
        {invalid, Cause} ->
            {invalid, Cause};
        {Binary, Token} ->
            Old = decode(Binary),
            New = Fun(Old),
            case holt_nif:update(Registry, Key, self(), Token, encode(New)) of
                ok -> {New, Old};
                changed -> update_loop(Registry, Key, Fun);
                none -> error;
                {error, TooLarge} -> {invalid, TooLarge};
                {invalid, Cause} -> {invalid, Cause}
            end
    end.

-spec collect(registry(), non_neg_integer(), [{key(), pid(), value()}]) ->
    [{key(), pid(), value()}] | {invalid, holt_error:cause()}.
collect(Registry, Cursor, List) ->
    case holt_nif:next(Registry, Cursor, all) of
        {invalid, Cause} ->
            {invalid, Cause};
        {Slice, Next} ->
            More = [{Key, Pid, decode(Value)} || {Key, Pid, Value} <- Slice] ++ List,
            case Next of
                done -> More;
                _ -> collect(Registry, Next, More)
            end
    end.

-spec remove(registry(), key()) ->
    ok | {error, {no_instance | unreachable, node()}} | {invalid, holt_error:cause()}.
remove(Registry, Key) ->
    case holt_nif:unregister(Registry, Key, self()) of
        {ok, _, _} -> ok;
        none -> ok;
        {remote, Node} -> remove_at(Registry, Node, Key, ?REMOTE_HOPS_MAX);
        {invalid, Cause} -> {invalid, Cause}
    end.

-spec remove_own(registry(), key()) ->
    ok | {error, not_owner} | {invalid, holt_error:cause()}.
remove_own(Registry, Key) ->
    case holt_nif:whereis(Registry, Key) of
        Pid when Pid =:= self() ->
            %% Lost meanwhile, it is on another node, and stays there.
            _ = holt_nif:unregister(Registry, Key, self()),
            ok;
        undefined ->
            ok;
        {invalid, Cause} ->
            {invalid, Cause};
        _Other ->
            {error, not_owner}
    end.

%% On the node that has the name; it may have gone on to another one meanwhile.
-spec remove_at(registry(), node(), key(), non_neg_integer()) ->
    ok | {error, {no_instance | unreachable, node()}} | {invalid, holt_error:cause()}.
remove_at(_Registry, Node, _Key, 0) ->
    {error, {unreachable, Node}};
remove_at(Registry, Node, Key, _Hops) when Node =:= node() ->
    remove(Registry, Key);
remove_at(Registry, Node, Key, Hops) ->
    case holt_replica:unregister_at(Registry, Node, Key, self(), ?REMOTE_MS) of
        {ok, Actor, Seq} -> await(Registry, Node, Actor, Seq);
        {remote, Other} -> remove_at(Registry, Other, Key, Hops - 1);
        {error, Reason} -> {error, Reason};
        {invalid, Cause} -> {invalid, Cause}
    end.

-spec await(registry(), node(), non_neg_integer(), non_neg_integer()) ->
    ok | {error, {unreachable, node()}} | {invalid, no_instance}.
await(Registry, Node, Actor, Seq) ->
    case holt_replica:await(Registry, Node, Actor, Seq, ?REMOTE_MS) of
        ok ->
            ok;
        {error, timeout} ->
            {error, {unreachable, Node}};
        {error, no_instance} ->
            %% Without its replica process nothing gets here.
            case holt_nif:count(Registry) of
                {invalid, Cause} -> {invalid, Cause};
                _ -> {error, {unreachable, Node}}
            end
    end.
