%% SPDX-License-Identifier: Apache-2.0
%% @doc On two nodes: how long until the other one knows, and what does it cost?
%%
%% A clock that all OS processes of one machine share makes it possible to start the
%% measurement on one node and to end it on the other.
-module(bench_cluster).

-export([visible/3, start_looking/1, looked/1]).
-export([use/1, used/2, fill/2]).
-export([watch_down/2, watch_gone/2, watch_told/1, watch_trip/2]).
-export([watch_cut/4, watched/1, start_echo/0]).

%% The reductions between two looks at the sockets.
-define(TIMESLICES, 8000).

%%--------------------------------------------------------------------
%% One name

%% @doc On A: times in nanoseconds from the call on A until a process on B, which does
%% nothing but look, sees the name.  `message': until it sees a message, no name.
-spec visible(bench_names:contender() | message, node(), Samples :: pos_integer()) ->
    [integer()].
visible(Contender, Node, Samples) ->
    Looker = spawn_link(Node, ?MODULE, start_looking, [self()]),
    Keys = [{sample, I} || I <- lists:seq(1, Samples)],
    Times = [visible_one(Contender, Looker, Key) || Key <- Keys],
    %% Not earlier, because nothing else should be under way while a name is.
    Contender =:= message orelse
        [ok = bench_names:remove(Contender, Key, self()) || Key <- Keys],
    unlink(Looker),
    exit(Looker, kill),
    Times.

visible_one(Contender, Looker, Key) ->
    Looker ! {look, Contender, Key},
    receive
        {Looker, looking} -> ok
    end,
    Start = bench_names:now_ns(),
    case Contender of
        message -> Looker ! Key;
        _ -> ok = bench_names:add(Contender, Key, self())
    end,
    End =
        receive
            {Looker, seen, Time} -> Time
        end,
    End - Start.

%% @private
-spec start_looking(pid()) -> no_return().
start_looking(Asker) ->
    receive
        {look, Contender, Key} ->
            Asker ! {self(), looking},
            Asker ! {self(), seen, look(Contender, Key)},
            start_looking(Asker)
    end.

look(message, Key) ->
    receive
        Key -> bench_names:now_ns()
    after 0 ->
        let_others_run(),
        look(message, Key)
    end;
look(Contender, Key) ->
    case bench_names:find(Contender, Key) of
        undefined ->
            let_others_run(),
            look(Contender, Key);
        _ -> bench_names:now_ns()
    end.

%% Whoever brings the name may be waiting for this scheduler, and a scheduler looks for
%% what has arrived only when enough reductions have been used: without this, whoever
%% looks cheaply, by this count, would see everything later.
let_others_run() ->
    erlang:bump_reductions(?TIMESLICES),
    erlang:yield().

%% @doc On B: wait for a name; when was it there?
-spec looked({bench_names:contender(), Key :: term()}) -> integer().
looked({Contender, Key}) ->
    ok = bench_names:await({found, Contender, Key}, true),
    bench_names:now_ns().

%%--------------------------------------------------------------------
%% Many names

%% @doc What this node has used so far: memory, processor time, what it sent to Node.
-spec use(node()) -> map().
use(Node) ->
    Memory = memory(),
    maps:merge(Memory, work(Node)).

%% @doc The difference to what it had used then.  What it takes to look is left out.
-spec used(node(), map()) -> map().
used(Node, Before) ->
    Work = work(Node),
    maps:map(fun(Key, Now) -> Now - maps:get(Key, Before) end, maps:merge(Work, memory())).

work(Node) ->
    {Cpu, _} = statistics(runtime),
    {_, Port} = lists:keyfind(Node, 1, erlang:system_info(dist_ctrl)),
    {ok, [{send_oct, Bytes}, {send_cnt, Packets}]} = inet:getstat(Port, [send_oct, send_cnt]),
    #{cpu_ms => Cpu, bytes => Bytes, packets => Packets}.

memory() ->
    collect_garbage(),
    #{
        memory => erlang:memory(total),
        native => maps:get(memory_bytes, holt_cluster:info(bench))
    }.

%% The owners of names have no garbage.
collect_garbage() ->
    [
        erlang:garbage_collect(Pid)
     || Pid <- processes(),
        {total_heap_size, Words} <- [erlang:process_info(Pid, total_heap_size)],
        Words > 1000
    ].

%% @doc Give a name to each owner; when was that begun, and when was it done?
-spec fill(bench_names:contender(), Keys :: tuple()) -> {integer(), integer()}.
fill(Contender, Keys) ->
    Start = bench_names:now_ns(),
    ok = bench_names:fill(Contender, Keys),
    {Start, bench_names:now_ns()}.

%%--------------------------------------------------------------------
%% A node dies

%% @doc Measure, from the moment in which this node is told that Node is gone, how long
%% it takes until the contender has no names left.
-spec watch_down(bench_names:contender(), node()) -> pid().
watch_down(Contender, Node) ->
    watch(Node, fun(Down) ->
        gone(Contender, fun() -> ok end),
        bench_names:now_ns() - Down
    end).

%% @doc When is this node told, and when has the contender no names left?  What others have
%% to say to that is not kept waiting.
-spec watch_gone(node(), bench_names:contender()) -> pid().
watch_gone(Node, Contender) ->
    watch(Node, fun(Down) ->
        gone(Contender, fun let_others_run/0),
        {Down, bench_names:now_ns()}
    end).

%% @doc When is this node told, and when is a message to Other and back that it sends then?
%% It looks for it as it does for the last name.
-spec watch_trip(node(), Other :: node()) -> pid().
watch_trip(Node, Other) ->
    Echo = spawn(Other, ?MODULE, start_echo, []),
    watch(Node, fun(Down) ->
        Echo ! self(),
        _ = look(message, Echo),
        Measured = {Down, bench_names:now_ns()},
        exit(Echo, kill),
        Measured
    end).

%% @doc When is this node told?
-spec watch_told(node()) -> pid().
watch_told(Node) ->
    watch(Node, fun(Down) -> Down end).

%% @doc The least number of names that the contender has within so many ms from the moment
%% in which this node is told that Node is gone, and how often that was looked at.
-spec watch_cut(bench_names:contender(), node(), Names :: pos_integer(), pos_integer()) ->
    pid().
watch_cut(Contender, Node, Names, Ms) ->
    watch(Node, fun(Down) -> least(Contender, Down + Ms * 1000000, Names, 0) end).

watch(Node, Measure) ->
    Parent = self(),
    Watcher = spawn(fun() ->
        ok = net_kernel:monitor_nodes(true),
        Parent ! {self(), ready},
        receive
            {nodedown, Node} -> ok
        end,
        Measured = Measure(bench_names:now_ns()),
        receive
            {tell, Who} -> Who ! {self(), Measured}
        end
    end),
    receive
        {Watcher, ready} -> Watcher
    end.

gone(Contender, Pause) ->
    case bench_names:count(Contender) of
        0 ->
            ok;
        _ ->
            Pause(),
            gone(Contender, Pause)
    end.

least(Contender, Until, Least, Looks) ->
    case bench_names:now_ns() < Until of
        true ->
            Count = bench_names:count(Contender),
            let_others_run(),
            least(Contender, Until, min(Count, Least), Looks + 1);
        false ->
            {Least, Looks}
    end.

-spec watched(pid()) -> term().
watched(Watcher) ->
    Monitor = monitor(process, Watcher),
    Watcher ! {tell, self()},
    receive
        {Watcher, Measured} ->
            demonitor(Monitor, [flush]),
            Measured;
        {'DOWN', Monitor, process, _, Reason} ->
            error(Reason)
    end.

%% @private
-spec start_echo() -> no_return().
start_echo() ->
    receive
        Who -> Who ! self()
    end,
    start_echo().
