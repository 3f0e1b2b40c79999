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
%% Waiting
-export([await/5, await_acks/4, barrier/2]).
%% Members
-export([change_members/2, offer/1, await_ready/3]).
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

%% How long a change of the members may take here.
-define(MEMBERS_MS, 5000).

%% How long a hidden node may stay without being greeted.
-define(HIDDEN_MS, 1000).

%% Nodes named in a hello.
-define(NODES_MAX, 256).

%% Polls at the end: as many as there may be peers, and some more.
-define(GOODBYES_MAX, 2048).

%% Polls in a row before the mailbox has its turn.
-define(POLLS_MAX, 16).

-type identity() :: {node(), Creation :: non_neg_integer()}.

-record(data, {
    name :: atom(),
    %% The node as the native code knows it.
    identity :: identity(),
    contests :: holt_contest:contests(),
    links :: holt_links:links(),
    roll :: holt_roll:roll(),
    waiters = holt_waiters:new() :: holt_waiters:waiters(),
    %% When somebody was met last, and after how long that is long ago, in milliseconds.
    met_at = erlang:monotonic_time(millisecond) :: integer(),
    settle_ms :: pos_integer(),
    %% The next poll that nothing asks for: its timer, and when in milliseconds of the
    %% monotonic clock.
    timer = undefined :: undefined | {reference(), integer()},
    %% Messages nobody of this version sends.
    dropped = 0 :: non_neg_integer()
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
reload_loss(#data{links = Links} = Data) ->
    Data#data{links = holt_links:reload_loss(Links)}.

%% @doc End an instance of this node; its rows are freed soon.
-spec close(Name :: atom()) -> ok.
close(Name) ->
    _ = holt_nif:close(Name),
    ok = holt_members:delete(Name),
    holt_janitor:sweep().

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
    case ask(Name, {await, Condition, TimeoutMs}, TimeoutMs) of
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

%% @doc Return when this member is ready in all that is asked for.
-spec await_ready(Name :: atom(), holt_waiters:ready(), holt_remote:timeout_ms()) ->
    ok | {error, timeout | no_instance}.
await_ready(Name, Ready, TimeoutMs) ->
    wait(Name, {ready, Ready}, TimeoutMs).

%%--------------------------------------------------------------------
%% Members

%% @doc Change who may take part: here when this returns, and soon on all others.
-spec change_members(Name :: atom(), holt_roll:change()) -> ok | {error, timeout | no_instance}.
change_members(Name, Change) ->
    case ask(Name, {members, Change}, ?MEMBERS_MS) of
        {ok, Answer} -> Answer;
        Error -> Error
    end.

%% @doc What another instance is to know that is going to be joined with this one.
-spec offer(Name :: atom()) ->
    {ok, {[holt_nif:member()], holt_members:export() | none}} | {error, timeout | no_instance}.
offer(Name) ->
    ask(Name, offer, ?MEMBERS_MS).

%%--------------------------------------------------------------------
%% Looking inside

%% @doc The last conflict about a name in which a process of this node has lost it, if it is
%% remembered: the last 1,000 are.
-spec last_conflict(Name :: atom(), Key :: term()) ->
    none | holt_contest:last().
last_conflict(Name, Key) ->
    case ask(Name, {last_conflict, Key}, 5000) of
        {ok, Answer} -> Answer;
        {error, _} -> none
    end.

%%--------------------------------------------------------------------
%% gen_server callbacks

%% @private
-spec init(holt_options:config()) -> {ok, #data{}} | {stop, term()}.
init(#{name := Name, settle_ms := SettleMs} = Config) ->
    %% Else a stop would leave no time to close the instance.
    _ = process_flag(trap_exit, true),
    case holt_nif:open(Name, holt_options:native(Config)) of
        Opened when Opened =:= ok; Opened =:= adopted ->
            ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
            Data = #data{
                name = Name,
                identity = identity(),
                contests = holt_contest:new(Name, Config),
                links = holt_links:new(Name),
                roll = holt_roll:new(Opened, Config),
                settle_ms = SettleMs
            },
            {ok, work(begin_with(Opened, Data))};
        {_, Reason} ->
            {stop, Reason}
    end.

%% @private
-spec handle_call(term(), gen_server:from(), #data{}) -> {noreply, #data{}}.
handle_call({await, Condition, TimeoutMs} = Request, From, #data{waiters = Waiters} = Data) ->
    case holt_waiters:is_condition(Condition) andalso is_integer(TimeoutMs) of
        true ->
            Deadline = erlang:monotonic_time(millisecond) + TimeoutMs,
            More = holt_waiters:add(From, Condition, Deadline, Waiters),
            {noreply, answer_waiters(Data#data{waiters = More})};
        false ->
            refuse(Request, From, Data)
    end;
handle_call({last_conflict, Key}, From, #data{contests = Contests} = Data) ->
    holt_remote:reply(From, holt_contest:last(Key, Contests)),
    {noreply, Data};
handle_call({members, Change} = Request, From, #data{links = Links, roll = Roll} = Data) ->
    case holt_roll:change(Change, Links, Roll) of
        unknown ->
            refuse(Request, From, Data);
        Changed ->
            holt_remote:reply(From, ok),
            {noreply, work(enrolled(Changed, Data))}
    end;
handle_call(offer, From, #data{roll = Roll} = Data) ->
    Export = holt_members:export(holt_roll:members(Roll)),
    holt_remote:reply(From, {holt_roll:present(Roll), Export}),
    {noreply, Data};
handle_call(Request, From, #data{name = Name} = Data) ->
    case holt_remote:serve(Request, From, Name) of
        ok -> {noreply, work(Data)};
        unknown -> refuse(Request, From, Data)
    end.

-spec refuse(term(), gen_server:from(), #data{}) -> {noreply, #data{}}.
refuse(Request, From, Data) ->
    holt_remote:reply(From, {error, unsupported_request}),
    {noreply, drop(Request, Data)}.

%% @private
-spec handle_cast(term(), #data{}) -> {noreply, #data{}}.
handle_cast(Message, Data) ->
    {noreply, drop(Message, Data)}.

%% @private
-spec handle_info(term(), #data{}) -> {noreply, #data{}}.
handle_info(Message, #data{links = Links} = Data) ->
    case holt_links:received(Message, Links) of
        {true, Next} -> {noreply, Data#data{links = Next}};
        {false, Next} -> take(Message, Data#data{links = Next})
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
handle_message({holt_hello, Pid, Name, Bytes, _Nodes}, Data) when
    is_pid(Pid), is_atom(Name), is_binary(Bytes)
->
    {noreply, work(hello({Name, Pid}, Bytes, Data))};
handle_message({holt_hello, Pid, Name, Bytes, _Nodes, Theirs} = Message, Data) when
    is_pid(Pid), is_atom(Name), is_binary(Bytes)
->
    case holt_members:is_export(Theirs) of
        true -> {noreply, work(hello({Name, Pid}, Bytes, told(Pid, Theirs, Data)))};
        false -> {noreply, drop(Message, Data)}
    end;
handle_message({holt_members, Pid, Theirs} = Message, Data) when is_pid(Pid) ->
    case holt_members:is_export(Theirs) of
        true -> {noreply, work(told(Pid, Theirs, Data))};
        false -> {noreply, drop(Message, Data)}
    end;
handle_message({holt_leave, Pid}, #data{links = Links, roll = Roll} = Data) when is_pid(Pid) ->
    %% Its node is still there: nobody is to be met for that.
    {Left, Next} = holt_roll:left(Pid, Links, Roll),
    {noreply, work(Data#data{links = Left, roll = Next})};
handle_message(holt_tick, #data{links = Links, roll = Roll} = Data) ->
    {noreply, work(Data#data{roll = holt_roll:tick(Links, Roll)})};
handle_message({nodeup, Node, _Info}, Data) ->
    {noreply, work(meet_in_time(Node, Data))};
handle_message({holt_meet, Node}, Data) ->
    case lists:member(Node, nodes(connected)) of
        true -> {noreply, work(meet(Node, Data))};
        false -> {noreply, Data}
    end;
handle_message({nodedown, Node, _Info}, #data{links = Links} = Data) ->
    Gone = [Member || {_, At} = Member <- holt_links:members(Links), At =:= Node],
    {noreply, work(Data#data{links = lists:foldl(fun holt_links:part/2, Links, Gone)})};
handle_message({'DOWN', Monitor, process, _Pid, Reason}, #data{links = Links} = Data) ->
    case holt_links:down(Monitor, Reason, Links) of
        false ->
            case holt_contest:down(Monitor, Reason, Data#data.contests) of
                false -> {noreply, Data};
                Contests -> {noreply, work(Data#data{contests = Contests})}
            end;
        Left ->
            {noreply, work(Data#data{links = Left})}
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

%% Members on this node have no link to wait for.
-spec meet_all([node()], #data{}) -> #data{}.
meet_all(Nodes, Data) ->
    lists:foldl(fun meet_in_time/2, meet(node(), Data), Nodes).

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

-spec meet(node(), #data{}) -> #data{}.
meet(Node, #data{links = Links, roll = Roll} = Data) ->
    Members = holt_members:on_node(Node, holt_roll:members(Roll)),
    Data#data{links = lists:foldl(fun holt_links:meet/2, Links, Members)}.

-spec hello({Name :: atom(), pid()}, binary(), #data{}) -> #data{}.
hello({Name, Pid}, Bytes, #data{links = Links, roll = Roll} = Data) ->
    {_, Node} = Member = {Name, node(Pid)},
    IsMember = holt_members:is_member(Member, holt_roll:members(Roll)),
    case {holt_remote:is_linked(Node), IsMember} of
        {false, _} ->
            %% To monitor a process of a node that is gone would call the node.
            Data;
        {true, true} ->
            case holt_links:hello(Member, Pid, Bytes, Links) of
                {true, Met} -> Data#data{links = Met, met_at = erlang:monotonic_time(millisecond)};
                {false, Same} -> Data#data{links = Same}
            end;
        {true, false} ->
            Data#data{links = holt_roll:refused(Member, Pid, Links, Roll)}
    end.

%% Another member says who may take part.
-spec told(pid(), holt_members:export(), #data{}) -> #data{}.
told(Pid, Theirs, #data{links = Links, roll = Roll} = Data) ->
    enrolled(holt_roll:told(Pid, Theirs, Links, Roll), Data).

%% Others may take part than before.
-spec enrolled({holt_links:links(), holt_roll:roll()}, #data{}) -> #data{}.
enrolled({Links, Roll}, #data{roll = Roll} = Data) ->
    Data#data{links = Links};
enrolled({Links, Roll}, Data) ->
    meet_all(nodes(connected), Data#data{links = Links, roll = Roll}).

-spec is_orderly(term()) -> boolean().
is_orderly(normal) -> true;
is_orderly(shutdown) -> true;
is_orderly({shutdown, _}) -> true;
is_orderly(_) -> false.

%% Distribution was started or stopped: the same names on a node with another name.
-spec renode(#data{}) -> #data{}.
renode(#data{name = Name, roll = Roll} = Data) ->
    _ = holt_nif:renode(Name),
    Renamed = holt_roll:renamed({Name, node()}, Roll),
    meet_all(nodes(connected), (alone(Data))#data{identity = identity(), roll = Renamed}).

%% The native code has given up all peers.
-spec alone(#data{}) -> #data{}.
alone(#data{links = Links} = Data) ->
    Data#data{links = holt_links:alone(Links)}.

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
            Members = holt_roll:members(Data#data.roll),
            Left = [
                Id
             || #{peer := Id, member := {_, At} = Member} <- Peers,
                not (lists:member(At, [node() | Nodes]) andalso
                    holt_members:is_member(Member, Members))
            ],
            _ = [holt_nif:peer_down(Name, Id, link) || Id <- Left],
            Up = [
                Member
             || #{up := true, peer := Id, member := Member} <- Peers, not lists:member(Id, Left)
            ],
            Links = lists:foldl(fun holt_links:meet/2, Data#data.links, Up),
            meet_all(Nodes, Data#data{links = Links})
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
perform({send, Targets, Body}, #data{links = Links} = Data) ->
    lists:foreach(
        fun({Id, Header}) ->
            send(Id, holt_links:pid(Id, Links), {holt_data, Header, Body}, Data)
        end,
        Targets
    ),
    Data;
perform({hello, Id, Bytes}, #data{links = Links} = Data) ->
    case holt_links:member(Id, Links) of
        {PeerName, Node} ->
            ok = send(Id, {process_name(PeerName), Node}, greeting(Bytes, Data), Data);
        undefined ->
            ok
    end,
    Data;
perform({conflict, Loser, Key, Value, Winner, Replaced}, #data{contests = Contests} = Data) ->
    Conflict = {Loser, Key, Value, Winner},
    Data#data{contests = holt_contest:conflict(Conflict, Replaced, Contests)};
perform({contest, Own, Other}, #data{contests = Contests} = Data) ->
    Data#data{contests = holt_contest:contest(Own, Other, Contests)}.

-spec greeting(binary(), #data{}) -> tuple().
greeting(Bytes, #data{name = Name, links = Links, roll = Roll}) ->
    Nodes = lists:sublist(holt_links:nodes(Links), ?NODES_MAX),
    Hello = [holt_hello, self(), Name, Bytes, Nodes],
    %% With who may take part, if anybody has said so since the start.
    list_to_tuple(Hello ++ holt_roll:greeting(Roll)).

%% Whoever takes nothing now is told what it missed.
-spec send(holt_nif:peer(), pid() | {atom(), node()} | undefined, term(), #data{}) -> ok.
send(Id, To, Message, #data{name = Name, links = Links}) ->
    _ = To =/= undefined andalso holt_links:send(To, Message, Links) orelse
        holt_nif:peer_busy(Name, Id),
    ok.

-spec answer_waiters(#data{}) -> #data{}.
answer_waiters(#data{name = Name, links = Links, waiters = Waiters} = Data) ->
    Now = erlang:monotonic_time(millisecond),
    Surroundings = #{
        name => Name,
        nodes => [Node || {_, Node} <- holt_links:members(Links)],
        greeted => fun() -> holt_links:greeted(Links) end,
        declared => holt_members:declared(holt_roll:members(Data#data.roll)),
        settle_ms => Data#data.settle_ms,
        met_at => Data#data.met_at
    },
    Left = holt_waiters:answer(Now, Surroundings, Waiters),
    case holt_waiters:due(Surroundings, Left) of
        At when is_integer(At), At > Now -> set_timer(At - Now, Data#data{waiters = Left});
        _ -> Data#data{waiters = Left}
    end.

%%--------------------------------------------------------------------
%% Messages

-spec drop(term(), #data{}) -> #data{}.
drop(_Message, #data{dropped = Dropped, name = Name} = Data) ->
    _ =
        Dropped =:= 0 andalso
            ?LOG_NOTICE("holt: instance ~p dropped a message it does not know", [Name]),
    Data#data{dropped = Dropped + 1}.

-spec describe(#data{}) -> map().
describe(#data{name = Name, links = Links} = Data) ->
    Native =
        case holt_nif:info(Name) of
            #{} = Info -> Info;
            {invalid, Reason} -> #{state => Reason}
        end,
    Native#{
        name => Name,
        dropped => Data#data.dropped,
        waiters => holt_waiters:count(Data#data.waiters),
        processes => holt_links:processes(Links),
        members => holt_members:list(holt_roll:members(Data#data.roll))
    }.
