%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The replica process of an instance: transport and effects, no decisions.
%%
%% What is registered, who wins and what is sent to whom is decided in the native code,
%% which does no input or output.  This process tells it what came in, asks what to do,
%% and does it.
%%
%% ```
%%   nodeup, nodedown, hello, data, 'DOWN' --> holt_nif --> poll --> effects
%%                                                 |
%%   holt_wake, timer -----------------------------+      hello, send  --> peers
%%                                                        conflict     --> exit(Loser)
%% '''
%%
%% No name depends on this process: killed, it is started again and finds the instance
%% as it was.  Nothing that a peer sends may end it: what has another shape is dropped
%% and counted, bytes are checked by the native code.
-module(holt_replica).

-behaviour(gen_server).

-include_lib("kernel/include/logger.hrl").

%% API
-export([start_link/1, process_name/1, pause/1, resume/1, close/1]).
%% Names of other members
-export([register_at/7, unregister_at/5, update_at/6]).
%% Waiting
-export([await/5, await_acks/4, await_at/5, barrier/2]).
%% Looking inside
-export([last_conflict/2]).
%% For sys:replace_state/2
-export([reload_loss/1]).
%% gen_server callbacks
-export([
    init/1,
    handle_call/3,
    handle_cast/2,
    handle_info/2,
    terminate/2,
    format_status/1
]).

%% How long a hidden node may stay without being greeted.
-define(HIDDEN_MS, 1000).

%% Nodes named in a hello.
-define(NODES_MAX, 256).

%% Polls at the end: as many as there may be peers, and some more.
-define(GOODBYES_MAX, 2048).

%% Polls in a row before the mailbox has its turn.
-define(POLLS_MAX, 16).

%% What others say is checked before it is believed.
-define(IS_UINT64(Number), is_integer(Number), Number >= 0, Number < 1 bsl 64).
-define(IS_MEMBER(Member),
    tuple_size(Member) =:= 2, is_atom(element(1, Member)), is_atom(element(2, Member))
).
-define(IS_CLAIM(How),
    (How =:= new orelse How =:= standby orelse
        (tuple_size(How) =:= 3 andalso element(1, How) =:= replace andalso
            is_integer(element(2, How)) andalso is_integer(element(3, How)) andalso
            element(2, How) > 0 andalso element(2, How) < 1 bsl 64 andalso
            element(3, How) > 0 andalso element(3, How) < 1 bsl 64))
).
-define(IS_LOSS(How), (How =:= exit orelse How =:= standby)).

-type identity() :: {node(), Creation :: non_neg_integer()}.

-record(peer, {
    member :: holt_nif:member(),
    %% Known since its hello; monitored as long as it is.
    pid = undefined :: undefined | pid(),
    monitor = undefined :: undefined | reference()
}).

-record(data, {
    name :: atom(),
    %% The node as the native code knows it.
    identity :: identity(),
    contests :: holt_contest:contests(),
    peers = #{} :: #{holt_nif:peer() => #peer{}},
    ids = #{} :: #{holt_nif:member() => holt_nif:peer()},
    monitors = #{} :: #{reference() => holt_nif:peer()},
    waiters = holt_waiters:new() :: holt_waiters:waiters(),
    met_at = erlang:monotonic_time(millisecond) :: integer(),
    %% The next poll that nothing asks for: its timer, and when in milliseconds of the
    %% monotonic clock.
    timer = undefined :: undefined | {reference(), integer()},
    %% Why which node was refused, the last time that was said.
    noticed = #{} :: #{node() => atom()},
    %% Messages nobody of this version sends.
    dropped = 0 :: non_neg_integer(),
    %% What tests have get lost; in production nothing.
    loss = none :: none | holt_loss:rules()
}).

%%--------------------------------------------------------------------
%% API

%% @doc Start the replica process of an instance.
-spec start_link(holt_options:config()) -> {ok, pid()} | {error, term()}.
start_link(#{name := Name} = Config) ->
    case gen_server:start_link({local, process_name(Name)}, ?MODULE, Config, []) of
        {ok, Pid} -> {ok, Pid};
        {error, Reason} -> {error, Reason};
        ignore -> {error, ignore}
    end.

%% @doc The registered name of an instance's replica process, the same on every node.
-spec process_name(Name :: atom()) -> atom().
process_name(Name) ->
    holt_remote:process_name(Name).

%% @doc Have the other nodes hide the names of an instance of this node until it resumes.
-spec pause(Name :: atom()) -> ok.
pause(Name) ->
    %% The native code wakes the replica process.
    _ = holt_nif:goodbye(Name, paused),
    ok.

%% @doc Greet the other nodes again, if the instance was paused.
-spec resume(Name :: atom()) -> ok.
resume(Name) ->
    case {holt_nif:resume(Name), whereis(process_name(Name))} of
        {ok, Replica} when is_pid(Replica) ->
            _ = Replica ! holt_resume,
            ok;
        %% The next one greets everybody in any case.
        _ ->
            ok
    end.

%% @doc The state of a replica process that has looked anew what is to get lost.
-spec reload_loss(#data{}) -> #data{}.
reload_loss(#data{} = Data) ->
    Data#data{loss = holt_loss:load()}.

%% @doc End an instance of this node; its rows are freed soon.
-spec close(Name :: atom()) -> ok.
close(Name) ->
    _ = holt_nif:close(Name),
    holt_janitor:sweep().

%%--------------------------------------------------------------------
%% Names of other members

%% @doc Register a name for a process of another node, or, `{replace, Actor, Birth}', give it
%% a name in the place of that registration.  Actor and seq are for {@link await/5}.
-spec register_at(
    Name :: atom(), node(), Key :: term(), Value :: binary(), pid(), holt_nif:claimed(),
    holt_remote:timeout_ms()
) ->
    {ok, Actor :: non_neg_integer(), Seq :: non_neg_integer()}
    | holt_nif:refusal()
    | {error, not_found | changed | unsupported}
    | holt_remote:failure()
    | holt_nif:invalid().
register_at(Name, Node, Key, Value, Pid, How, TimeoutMs) ->
    Request = {claim, Key, Value, Pid, How},
    answer_of(Node, holt_remote:call(Name, {Node, Key}, Request, TimeoutMs)).

%% @doc Unregister a name where it is held, for Caller.  `remote': it is held by a process of
%% that node now.
-spec unregister_at(
    Name :: atom(), node(), Key :: term(), Caller :: pid(), holt_remote:timeout_ms()
) ->
    {ok, Actor :: non_neg_integer(), Seq :: non_neg_integer()}
    | {remote, node()}
    | {error, not_owner}
    | holt_remote:failure()
    | holt_nif:invalid().
unregister_at(Name, Node, Key, Caller, TimeoutMs) ->
    answer_of(Node, holt_remote:call(Name, {Node, Key}, {unregister, Key, Caller}, TimeoutMs)).

%% @doc Change the value of a name of a process of another node.  The fun runs there, in a
%% process of its own.
-spec update_at(
    Name :: atom(), node(), Key :: term(), pid(), fun((term()) -> term()),
    holt_remote:timeout_ms()
) ->
    {{ok, New :: term(), Old :: term()}, Actor :: non_neg_integer(), Seq :: non_neg_integer()}
    | holt_remote:updated()
    | holt_remote:failure().
update_at(Name, Node, Key, Pid, Fun, TimeoutMs) ->
    answer_of(Node, holt_remote:call(Name, {Node, Key}, {update, Key, Pid, Fun}, TimeoutMs)).

%% A member of another version, or with an instance that is ending.
-spec answer_of(node(), {ok, term()} | holt_remote:failure()) -> term().
answer_of(Node, {ok, {invalid, no_instance}}) -> {error, {no_instance, Node}};
answer_of(Node, {ok, {error, unsupported_request}}) -> {error, {no_instance, Node}};
answer_of(_Node, {ok, Answer}) -> Answer;
answer_of(_Node, Failure) -> Failure.

%%--------------------------------------------------------------------
%% Waiting

%% @doc Return when this node sees what the actor of `Node' wrote as its change `Seq',
%% or sees nothing of that node any more.
-spec await(
    Name :: atom(), node(), Actor :: non_neg_integer(), Seq :: non_neg_integer(),
    holt_remote:timeout_ms()
) -> ok | {error, timeout | no_instance}.
await(Name, Node, Actor, Seq, TimeoutMs) ->
    wait(Name, {seen, Node, Actor, Seq}, TimeoutMs).

%% @doc Return when what this member wrote up to its change `Seq' is held by all members that
%% are present, or by a majority of those there are.
-spec await_acks(
    Name :: atom(), Seq :: non_neg_integer(), all | quorum, holt_remote:timeout_ms()
) -> ok | {error, timeout | no_instance}.
await_acks(Name, Seq, Whom, TimeoutMs) ->
    wait(Name, {acked, Seq, Whom}, TimeoutMs).

%% @doc Wait at another member, the one on a node that has this key, if one has it.
-spec await_at(
    Name :: atom(), {node(), Key :: term()}, all | quorum | seen, holt_waiters:change(),
    holt_remote:timeout_ms()
) -> ok | {error, timeout} | holt_remote:failure().
await_at(Name, Where, What, {Node, Actor, Seq}, TimeoutMs) ->
    Condition =
        case What of
            seen -> {seen, Node, Actor, Seq};
            _ -> {acked, Seq, What}
        end,
    case holt_remote:call(Name, Where, {await_for, Condition, TimeoutMs}, TimeoutMs) of
        {ok, ok} -> ok;
        {ok, _} -> {error, {no_instance, element(1, Where)}};
        {error, {unreachable, _}} -> {error, timeout};
        Failure -> Failure
    end.

%% @doc Return when all that this member has written by now is held by all that are present.
-spec barrier(Name :: atom(), holt_remote:timeout_ms()) ->
    ok | {error, timeout | no_instance}.
barrier(Name, TimeoutMs) ->
    case holt_nif:info(Name) of
        #{version := Seq} -> await_acks(Name, Seq, all, TimeoutMs);
        {invalid, _} -> {error, no_instance}
    end.

-spec wait(atom(), holt_waiters:condition(), holt_remote:timeout_ms()) ->
    ok | {error, timeout | no_instance}.
wait(Name, Condition, TimeoutMs) ->
    Deadline = erlang:monotonic_time(millisecond) + TimeoutMs,
    case ask(Name, {await, Condition, Deadline}, TimeoutMs) of
        {ok, Answer} -> Answer;
        Error -> Error
    end.

%% Ask the replica process of this node.
-spec ask(atom(), term(), timeout()) -> {ok, term()} | {error, timeout | no_instance}.
ask(Name, Request, TimeoutMs) ->
    try
        {ok, gen_server:call(process_name(Name), Request, TimeoutMs)}
    catch
        exit:{timeout, _} -> {error, timeout};
        exit:_ -> {error, no_instance}
    end.

%%--------------------------------------------------------------------
%% Looking inside

%% @doc The last conflict about a name in which a process of this node has lost it, if it is
%% remembered: the last 1,000 are.
-spec last_conflict(Name :: atom(), Key :: term()) ->
    none
    | #{
        lost := pid(),
        won := pid(),
        value := term(),
        %% Milliseconds since 1970.
        at_ms := integer()
    }.
last_conflict(Name, Key) ->
    case ask(Name, {last_conflict, Key}, 5000) of
        {ok, Answer} -> Answer;
        {error, _} -> none
    end.

%%--------------------------------------------------------------------
%% gen_server callbacks

%% @private
-spec init(holt_options:config()) -> {ok, #data{}} | {stop, term()}.
init(#{name := Name} = Config) ->
    %% Else a stop would leave no time to close the instance.
    _ = process_flag(trap_exit, true),
    case holt_nif:open(Name, holt_options:native(Config)) of
        Opened when Opened =:= ok; Opened =:= adopted ->
            ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
            Data = #data{
                name = Name,
                identity = identity(),
                contests = holt_contest:new(Name, Config),
                loss = holt_loss:load()
            },
            {ok, work(begin_with(Opened, Data))};
        {_, Reason} ->
            {stop, Reason}
    end.

%% @private
-spec handle_call(term(), gen_server:from(), #data{}) -> {noreply, #data{}}.
handle_call({await, Condition, Deadline}, From, #data{waiters = Waiters} = Data) ->
    More = holt_waiters:add(From, Condition, Deadline, Waiters),
    {noreply, answer_waiters(Data#data{waiters = More})};
handle_call({await_for, Condition, TimeoutMs}, From, Data) when ?IS_UINT64(TimeoutMs) ->
    case holt_waiters:is_of_change(Condition) of
        true ->
            Deadline = erlang:monotonic_time(millisecond) + TimeoutMs,
            handle_call({await, Condition, Deadline}, From, Data);
        false ->
            reply(From, {error, unsupported_request}),
            {noreply, drop(Condition, Data)}
    end;
handle_call({last_conflict, Key}, From, #data{contests = Contests} = Data) ->
    reply(From, holt_contest:last(Key, Contests)),
    {noreply, Data};
%% From other members.  The native code wakes this process for what is to be sent.
handle_call({claim, Key, Value, Pid, How}, From, #data{name = Name} = Data) when
    is_binary(Value), is_pid(Pid), ?IS_CLAIM(How)
->
    reply(From, holt_nif:claim(Name, Key, Value, Pid, How)),
    {noreply, Data};
handle_call({unregister, Key, Caller}, From, #data{name = Name} = Data) when is_pid(Caller) ->
    reply(From, unregister(Name, Key, Caller)),
    {noreply, Data};
handle_call({update, Key, Pid, Fun}, From, #data{name = Name} = Data) when
    is_pid(Pid), is_function(Fun, 1)
->
    _ = spawn(fun() -> reply(From, update(Name, Key, Pid, Fun)) end),
    {noreply, Data};
handle_call({lose, Key, Birth, {Actor, WinnerBirth}, How}, From, #data{name = Name} = Data) when
    ?IS_UINT64(Birth), ?IS_UINT64(Actor), ?IS_UINT64(WinnerBirth), ?IS_LOSS(How)
->
    reply(From, holt_contest:lose(Name, Key, {Birth, {Actor, WinnerBirth}, How})),
    {noreply, work(Data)};
handle_call({relay, Member, Request, TimeoutMs}, From, Data) when
    ?IS_MEMBER(Member), ?IS_UINT64(TimeoutMs), element(1, Request) =/= relay
->
    _ = holt_remote:relay(From, Member, Request, TimeoutMs),
    {noreply, Data};
handle_call(Request, From, Data) ->
    reply(From, {error, unsupported_request}),
    {noreply, drop(Request, Data)}.

%% @private
-spec handle_cast(term(), #data{}) -> {noreply, #data{}}.
handle_cast(Message, Data) ->
    {noreply, drop(Message, Data)}.

%% @private
-spec handle_info(term(), #data{}) -> {noreply, #data{}}.
handle_info(Message, #data{loss = none} = Data) ->
    take(Message, Data);
handle_info(Message, #data{loss = Loss} = Data) ->
    case holt_loss:received(Message, Loss) of
        {true, Next} -> {noreply, Data#data{loss = Next}};
        {false, Next} -> take(Message, Data#data{loss = Next})
    end.

-spec take(term(), #data{}) -> {noreply, #data{}}.
take(Message, #data{identity = Identity} = Data) ->
    case identity() of
        Identity -> handle_message(Message, Data);
        _ -> handle_message(Message, renode(Data))
    end.

-spec handle_message(term(), #data{}) -> {noreply, #data{}}.
handle_message(holt_wake, Data) ->
    {noreply, work(Data)};
handle_message(holt_resume, Data) ->
    {noreply, work(meet_all(nodes(connected), alone(Data)))};
handle_message({timeout, Timer, poll}, #data{timer = {Timer, _}} = Data) ->
    {noreply, work(Data#data{timer = undefined})};
handle_message({timeout, _Earlier, poll}, Data) ->
    {noreply, Data};
handle_message({holt_data, Header, Body}, #data{name = Name} = Data) when
    is_binary(Header), is_binary(Body)
->
    deliver(Name, Header, Body, 0),
    {noreply, work(Data)};
handle_message({holt_nodes, _Nodes}, Data) ->
    %% For members that do not hear of other nodes by themselves.
    {noreply, Data};
handle_message({holt_hello, Pid, Name, Bytes, _Nodes}, #data{name = Name} = Data) when
    is_pid(Pid), is_binary(Bytes)
->
    %% To monitor a process of a node that is gone would call the node.
    case lists:member(node(Pid), nodes(connected)) of
        true -> {noreply, work(hello({Name, node(Pid)}, Pid, Bytes, Data))};
        false -> {noreply, Data}
    end;
handle_message({nodeup, Node, _Info}, Data) ->
    {noreply, work(meet_in_time(Node, Data))};
handle_message({holt_meet, Node}, Data) ->
    case lists:member(Node, nodes(connected)) of
        true -> {noreply, work(meet(Node, Data))};
        false -> {noreply, Data}
    end;
handle_message({nodedown, Node, _Info}, #data{name = Name, ids = Ids} = Data) ->
    case Ids of
        #{{Name, Node} := Id} -> {noreply, work(part(Id, Data))};
        #{} -> {noreply, Data}
    end;
handle_message({'DOWN', Monitor, process, _Pid, Reason}, #data{monitors = Monitors} = Data) ->
    case Monitors of
        #{Monitor := Id} ->
            {noreply, work(peer_down(Id, Reason, Data))};
        #{} ->
            case holt_contest:down(Monitor, Reason, Data#data.contests) of
                false -> {noreply, Data};
                Contests -> {noreply, work(Data#data{contests = Contests})}
            end
    end;
handle_message({holt_grace, Loser}, #data{contests = Contests} = Data) when is_pid(Loser) ->
    {noreply, Data#data{contests = holt_contest:grace(Loser, Contests)}};
handle_message({holt_overdue, Decider}, Data) when is_pid(Decider) ->
    true = exit(Decider, kill),
    {noreply, Data};
handle_message(Message, Data) ->
    {noreply, drop(Message, Data)}.

%% @private
%% An instance ends when its process ends in order, as its root told it to: its peers are
%% told.  Those that cannot be see the reason of the exit, and hide its names; after a
%% crash they wait for its successor.
-spec terminate(term(), #data{}) -> ok.
terminate(Reason, #data{name = Name} = Data) ->
    case is_orderly(Reason) of
        true ->
            _ = holt_nif:goodbye(Name, ended),
            ok = say_goodbye(?GOODBYES_MAX, Data),
            close(Name);
        false ->
            ok
    end.

%% @private
-spec format_status(gen_server:format_status()) -> gen_server:format_status().
format_status(Status) ->
    maps:map(
        fun
            (state, #data{} = Data) -> describe(Data);
            (_, Value) -> Value
        end,
        Status
    ).

%%--------------------------------------------------------------------
%% Peers

-spec meet_all([node()], #data{}) -> #data{}.
meet_all(Nodes, Data) ->
    lists:foldl(fun meet_in_time/2, Data, Nodes).

%% A hidden node that takes part says so as soon as there is a link.  Others come to ask
%% one thing and go, as erl_call does, and do not bear to be spoken to: they get some time.
-spec meet_in_time(node(), #data{}) -> #data{}.
meet_in_time(Node, Data) ->
    %% To a node that is itself hidden all the others seem to be.
    case lists:member(Node, nodes(hidden)) andalso init:get_argument(hidden) =:= error of
        true ->
            _ = erlang:send_after(?HIDDEN_MS, self(), {holt_meet, Node}),
            Data;
        false ->
            meet(Node, Data)
    end.

%% A link is new once: a nodeup that was on its way while the nodes were listed, or
%% that was overtaken by nothing else, finds the peer known.
-spec meet(node(), #data{}) -> #data{}.
meet(Node, Data) when Node =:= node() ->
    Data;
meet(Node, #data{name = Name, ids = Ids} = Data) ->
    Member = {Name, Node},
    case Ids of
        #{Member := _} -> Data;
        #{} -> know(holt_nif:peer_up(Name, Member), Member, Data)
    end.

-spec know(holt_nif:peer() | {refused | invalid, atom()}, holt_nif:member(), #data{}) ->
    #data{}.
know(Id, Member, #data{ids = Ids} = Data) when is_integer(Id) ->
    case Ids of
        #{Member := Id} ->
            Data;
        #{Member := Former} ->
            %% The native code has given that one up.
            know(Id, Member, forget(Former, Data));
        #{} ->
            #data{peers = Peers} = Data,
            Data#data{peers = Peers#{Id => #peer{member = Member}}, ids = Ids#{Member => Id}}
    end;
know({_, Reason}, {_, Node}, #data{name = Name, noticed = Noticed} = Data) ->
    case Noticed of
        #{Node := Reason} ->
            Data;
        #{} ->
            ?LOG_NOTICE("holt: instance ~p cannot sync with ~p: ~p", [Name, Node, Reason]),
            Data#data{noticed = Noticed#{Node => Reason}}
    end.

-spec hello(holt_nif:member(), pid(), binary(), #data{}) -> #data{}.
hello(Member, Pid, Bytes, #data{name = Name} = Data) ->
    case holt_nif:hello(Name, Member, Bytes) of
        Id when is_integer(Id) -> bind(Id, Pid, know(Id, Member, Data));
        Refused -> know(Refused, Member, Data)
    end.

%% The process behind a peer.
-spec bind(holt_nif:peer(), pid(), #data{}) -> #data{}.
bind(Id, Pid, #data{peers = Peers} = Data) ->
    case Peers of
        #{Id := #peer{pid = Pid}} ->
            Data;
        #{Id := Peer} ->
            #data{monitors = Monitors} = Unbound = unbind(Id, Data),
            Monitor = erlang:monitor(process, Pid),
            introduce(node(Pid), Unbound),
            ok = holt_janitor:peer_met(),
            Unbound#data{
                peers = Peers#{Id := Peer#peer{pid = Pid, monitor = Monitor}},
                monitors = Monitors#{Monitor => Id}
            }
    end.

%% Tell hidden nodes of a new member: nobody else tells them which nodes there are.  One
%% that is too busy to hear it is told by the others.
-spec introduce(node(), #data{}) -> ok.
introduce(Node, #data{peers = Peers}) ->
    Hidden = nodes(hidden),
    lists:foreach(
        fun(#peer{pid = Pid}) ->
            _ =
                is_pid(Pid) andalso lists:member(node(Pid), Hidden) andalso
                    erlang:send(Pid, {holt_nodes, [Node]}, [noconnect, nosuspend])
        end,
        maps:values(Peers)
    ).

%% Where members are, for a hello.
-spec member_nodes(#data{}) -> [node()].
member_nodes(#data{peers = Peers}) ->
    Nodes = [node(Pid) || #peer{pid = Pid} <- maps:values(Peers), is_pid(Pid)],
    lists:sublist(Nodes, ?NODES_MAX).

-spec unbind(holt_nif:peer(), #data{}) -> #data{}.
unbind(Id, #data{peers = Peers, monitors = Monitors} = Data) ->
    case Peers of
        #{Id := #peer{monitor = undefined}} ->
            Data;
        #{Id := #peer{monitor = Monitor} = Peer} ->
            true = erlang:demonitor(Monitor, [flush]),
            Data#data{
                peers = Peers#{Id := Peer#peer{pid = undefined, monitor = undefined}},
                monitors = maps:remove(Monitor, Monitors)
            }
    end.

%% Gone with its link, or ended in order: nothing to wait for.
-spec peer_down(holt_nif:peer(), term(), #data{}) -> #data{}.
peer_down(Id, Reason, #data{name = Name} = Data) ->
    case Reason =:= noconnection orelse is_orderly(Reason) of
        true ->
            part(Id, Data);
        false ->
            _ = holt_nif:peer_down(Name, Id, replica),
            unbind(Id, Data)
    end.

-spec part(holt_nif:peer(), #data{}) -> #data{}.
part(Id, #data{name = Name} = Data) ->
    _ = holt_nif:peer_down(Name, Id, link),
    forget(Id, Data).

-spec forget(holt_nif:peer(), #data{}) -> #data{}.
forget(Id, Data) ->
    #data{peers = Peers, ids = Ids} = Unbound = unbind(Id, Data),
    {#peer{member = Member}, Rest} = maps:take(Id, Peers),
    Unbound#data{peers = Rest, ids = maps:remove(Member, Ids)}.

-spec is_orderly(term()) -> boolean().
is_orderly(normal) -> true;
is_orderly(shutdown) -> true;
is_orderly({shutdown, _}) -> true;
is_orderly(_) -> false.

%% Distribution was started or stopped: the same names on a node with another name.
-spec renode(#data{}) -> #data{}.
renode(#data{name = Name} = Data) ->
    _ = holt_nif:renode(Name),
    meet_all(nodes(connected), (alone(Data))#data{identity = identity()}).

%% The native code has given up all peers.
-spec alone(#data{}) -> #data{}.
alone(#data{peers = Peers} = Data) ->
    (lists:foldl(fun unbind/2, Data, maps:keys(Peers)))#data{peers = #{}, ids = #{}}.

%% A node that stops distribution and starts it again by the same name is another one: its
%% processes have other pids.
-spec identity() -> identity().
identity() ->
    {node(), erlang:system_info(creation)}.

%% An adopted instance knows the peers it had: some may have gone, and this node may have
%% been renamed, while no process was there to see it.
-spec begin_with(ok | adopted, #data{}) -> #data{}.
begin_with(ok, Data) ->
    meet_all(nodes(connected), Data);
begin_with(adopted, #data{name = Name} = Data) ->
    Nodes = nodes(connected),
    case holt_nif:info(Name) of
        #{member := {_, Node}, creation := Creation} when
            {Node, Creation} =/= Data#data.identity
        ->
            renode(Data);
        #{peers := Peers} ->
            _ = [
                holt_nif:peer_down(Name, Id, link)
             || #{peer := Id, member := {_, Node}} <- Peers,
                not lists:member(Node, Nodes)
            ],
            Up = [Node || #{up := true, member := {_, Node}} <- Peers],
            Known = [Node || Node <- Nodes, lists:member(Node, Up)],
            meet_all(Nodes -- Known, lists:foldl(fun meet/2, Data, Known))
    end.

%%--------------------------------------------------------------------
%% Work

%% What one message brought is applied before the next is looked at.
-spec deliver(atom(), binary(), binary(), non_neg_integer()) -> ok.
deliver(Name, Header, Body, Offset) ->
    case holt_nif:deliver(Name, Header, Body, Offset) of
        {more, Next} -> deliver(Name, Header, Body, Next);
        %% What was refused has been counted.
        _ -> ok
    end.

-spec work(#data{}) -> #data{}.
work(Data) ->
    answer_waiters(poll(?POLLS_MAX, Data)).

-spec poll(non_neg_integer(), #data{}) -> #data{}.
poll(0, Data) ->
    _ = self() ! holt_wake,
    Data;
poll(Count, #data{name = Name} = Data) ->
    case holt_nif:poll(Name) of
        {invalid, _} ->
            %% Closed: the end of this process is on its way.
            Data;
        {Effects, Next} ->
            Done = lists:foldl(fun perform/2, Data, Effects),
            case Next of
                again -> poll(Count - 1, Done);
                Ms -> set_timer(Ms, Done)
            end
    end.

%% Whoever has no room for it does without.
-spec say_goodbye(non_neg_integer(), #data{}) -> ok.
say_goodbye(0, _Data) ->
    ok;
say_goodbye(Count, #data{name = Name} = Data) ->
    case holt_nif:poll(Name) of
        {invalid, _} ->
            ok;
        {Effects, Next} ->
            Done = lists:foldl(fun perform/2, Data, Effects),
            case Next of
                again -> say_goodbye(Count - 1, Done);
                _ -> ok
            end
    end.

%% A timer that fires before it is needed costs one poll; setting it anew with every
%% message costs more.
-spec set_timer(non_neg_integer(), #data{}) -> #data{}.
set_timer(Ms, #data{timer = Timer} = Data) ->
    At = erlang:monotonic_time(millisecond) + Ms,
    case Timer of
        {_, Earlier} when Earlier =< At ->
            Data;
        _ ->
            _ = is_tuple(Timer) andalso
                erlang:cancel_timer(element(1, Timer), [{async, true}, {info, false}]),
            Data#data{timer = {erlang:start_timer(At, self(), poll, [{abs, true}]), At}}
    end.

-spec perform(holt_nif:effect(), #data{}) -> #data{}.
perform({send, Targets, Body}, Data) ->
    lists:foreach(
        fun({Id, Header}) -> send(Id, pid_of(Id, Data), {holt_data, Header, Body}, Data) end,
        Targets
    ),
    Data;
perform({hello, Id, Bytes}, #data{name = Name, peers = Peers} = Data) ->
    case Peers of
        #{Id := #peer{member = {PeerName, Node}}} ->
            Process = {process_name(PeerName), Node},
            Hello = {holt_hello, self(), Name, Bytes, member_nodes(Data)},
            send(Id, Process, Hello, Data);
        #{} ->
            ok
    end,
    Data;
perform({conflict, Loser, Key, Value, Winner, Replaced}, #data{contests = Contests} = Data) ->
    Conflict = {Loser, Key, Value, Winner},
    Data#data{contests = holt_contest:conflict(Conflict, Replaced, Contests)};
perform({contest, Own, Other}, #data{contests = Contests} = Data) ->
    Data#data{contests = holt_contest:contest(Own, Other, Contests)}.

-spec pid_of(holt_nif:peer(), #data{}) -> pid() | undefined.
pid_of(Id, #data{peers = Peers}) ->
    case Peers of
        #{Id := #peer{pid = Pid}} -> Pid;
        #{} -> undefined
    end.

%% Never wait for a link, never make one.
-spec send(holt_nif:peer(), pid() | {atom(), node()} | undefined, term(), #data{}) -> ok.
send(Id, undefined, _Message, #data{name = Name}) ->
    _ = holt_nif:peer_busy(Name, Id),
    ok;
send(Id, To, Message, #data{loss = Loss} = Data) ->
    case Loss =/= none andalso holt_loss:is_sent_lost(To, Loss) of
        true ->
            ok;
        false ->
            case erlang:send(To, Message, [noconnect, nosuspend]) of
                ok -> ok;
                _ -> send(Id, undefined, Message, Data)
            end
    end.

-spec answer_waiters(#data{}) -> #data{}.
answer_waiters(#data{name = Name, ids = Ids, waiters = Waiters} = Data) ->
    Now = erlang:monotonic_time(millisecond),
    Surroundings = #{
        name => Name,
        nodes => [Node || {_, Node} <- maps:keys(Ids)],
        declared => 0,
        met_at => Data#data.met_at
    },
    Data#data{waiters = holt_waiters:answer(Now, Surroundings, Waiters)}.

%%--------------------------------------------------------------------
%% Messages

%% Unregister a name of this node.  Nobody has it: the answer is where that is seen.
-spec unregister(atom(), term(), pid()) ->
    {ok, non_neg_integer(), non_neg_integer()}
    | {remote, node()}
    | {error, not_owner}
    | holt_nif:invalid().
unregister(Name, Key, Caller) ->
    case holt_nif:unregister(Name, Key, Caller) of
        none -> version(ok, Name);
        Answer -> Answer
    end.

%% In a process of its own: what the fun does is not ours.
-spec update(atom(), term(), pid(), fun((term()) -> term())) -> term().
update(Name, Key, Pid, Fun) ->
    case holt_remote:update(Name, Key, Pid, Fun) of
        {ok, _, _} = Done -> version(Done, Name);
        Answer -> Answer
    end.

%% With where it is seen.
-spec version(Answer, atom()) ->
    {Answer, non_neg_integer(), non_neg_integer()} | holt_nif:invalid().
version(Answer, Name) ->
    case holt_nif:info(Name) of
        #{actor := Actor, version := Version} -> {Answer, Actor, Version};
        Invalid -> Invalid
    end.

%% Who asked may be anything: it came from outside.
-spec reply(term(), term()) -> ok.
reply(From, Answer) ->
    try
        gen_server:reply(From, Answer)
    catch
        _:_ -> ok
    end.

-spec drop(term(), #data{}) -> #data{}.
drop(_Message, #data{dropped = Dropped, name = Name} = Data) ->
    _ =
        Dropped =:= 0 andalso
            ?LOG_NOTICE("holt: instance ~p dropped a message it does not know", [Name]),
    Data#data{dropped = Dropped + 1}.

-spec describe(#data{}) -> map().
describe(#data{name = Name, peers = Peers} = Data) ->
    Native =
        case holt_nif:info(Name) of
            #{} = Info -> Info;
            {invalid, Reason} -> #{state => Reason}
        end,
    Native#{
        name => Name,
        dropped => Data#data.dropped,
        waiters => holt_waiters:count(Data#data.waiters),
        processes => [{Member, Pid} || #peer{member = Member, pid = Pid} <- maps:values(Peers)]
    }.
