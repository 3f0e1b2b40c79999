%% SPDX-License-Identifier: Apache-2.0
%% @doc Registries of one node that come and go, and processes that do, while others use them.
-module(holt_life_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_suite/1, end_per_suite/1]).
-compile([export_all, nowarn_export_all]).

%% Rounds of stop and start: so many, or in a soak so many.
-define(ROUNDS, 100).
-define(ROUNDS_SOAK, 1000).
%% Until then things may grow: tables, pools of memory, code that is loaded.
-define(ROUNDS_WARM, 20).

-define(WORKERS, 8).
%% No call takes longer, whatever goes on.
-define(CALL_MS, 5000).

%% Bytes that may come and go with other things.
-define(BYTES_SLACK, 4000000).

all() ->
    [
        hundred_processes_one_name,
        dying_processes_leave_nothing,
        terminating_process_may_do_anything,
        waiting_for_an_instance_that_stops,
        stopped_and_started_under_load,
        application_stopped_and_started_under_load
    ].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(holt),
    Config.

end_per_suite(_Config) ->
    application:stop(holt).

%%--------------------------------------------------------------------
%% Processes

%% One has it, 99 are told who, and nobody dies of it.
hundred_processes_one_name(_Config) ->
    start(Reg = ?FUNCTION_NAME),
    lists:foreach(
        fun(Round) ->
            Self = self(),
            Pids = [
                spawn_link(fun() ->
                    receive
                        go -> Self ! {self(), holt_registry:register(Reg, Round, self())}
                    end,
                    receive
                        stop -> ok
                    end
                end)
             || _ <- lists:seq(1, 100)
            ],
            _ = [Pid ! go || Pid <- Pids],
            Answers = [
                receive
                    {Pid, Answer} -> {Pid, Answer}
                end
             || Pid <- Pids
            ],
            [Winner] = [Pid || {Pid, {ok, _}} <- Answers],
            Told = [Pid || {Pid, {error, {already_registered, Who}}} <- Answers, Who =:= Winner],
            ?assertEqual(99, length(Told)),
            ?assert(lists:all(fun is_process_alive/1, Pids)),
            ?assertEqual([{Winner, Winner}], holt_registry:lookup(Reg, Round)),
            _ = [Pid ! stop || Pid <- Pids]
        end,
        lists:seq(1, 50)
    ),
    holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 0 end),
    ok = holt_registry:stop(Reg).

%% Killed in the middle of whatever they do.
dying_processes_leave_nothing(_Config) ->
    Seed = seed(),
    start(Unique = unique),
    start(#{name => Duplicate = duplicate, keys => duplicate}),
    Regs = [Unique, Duplicate],
    lists:foreach(
        fun(_) ->
            Salt = rand:uniform(1 bsl 50),
            Pids = [spawn(fun() -> work_for_ever(Salt + N, Regs) end) || N <- lists:seq(1, 4)],
            spin(rand:uniform(20000)),
            _ = [holt_ct:kill(Pid) || Pid <- Pids],
            _ = [
                ?assertEqual({Seed, []}, {Seed, holt_registry:keys(Reg, Pid)})
             || Reg <- Regs, Pid <- Pids
            ]
        end,
        lists:seq(1, 300)
    ),
    _ = [holt_ct:wait_until(fun() -> holt_registry:to_list(Reg) =:= [] end) || Reg <- Regs],
    _ = [holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 0 end) || Reg <- Regs],
    _ = [ok = holt_registry:stop(Reg) || Reg <- Regs].

work_for_ever(Seed, Regs) ->
    _ = rand:seed(exsss, Seed),
    work_for_ever(lists:append([calls(Reg) || Reg <- Regs])).

work_for_ever(Calls) ->
    {Function, Arguments} = lists:nth(rand:uniform(length(Calls)), Calls),
    _ = catch apply(holt_registry, Function, Arguments),
    work_for_ever(Calls).

spin(0) -> ok;
spin(N) -> spin(N - 1).

%% As a server does in terminate, or OTP on its behalf when init has failed.
terminating_process_may_do_anything(_Config) ->
    start(Reg = ?FUNCTION_NAME),
    Via = {via, holt_registry, {Reg, key}},
    ?assertEqual({error, refused}, gen_server:start(Via, ?MODULE, refuse, [])),
    ?assertEqual([], holt_registry:to_list(Reg)),
    Self = self(),
    lists:foreach(
        fun(End) ->
            {ok, Pid} = gen_server:start(Via, ?MODULE, {Self, calls(Reg)}, []),
            End(Pid),
            receive
                {Pid, Outcomes} -> [] = [O || {_, {_, _, _} = O} <- Outcomes, not is_wrong_use(O)]
            after ?CALL_MS -> error({hangs, Pid})
            end,
            _ = holt_ct:exit_of(Pid),
            ?assertEqual([], holt_registry:to_list(Reg))
        end,
        [
            fun(Pid) -> gen_server:stop(Pid) end,
            fun(Pid) -> exit(Pid, shutdown) end,
            fun(Pid) -> exit(Pid, crash) end,
            %% Having lost its name.
            fun(Pid) ->
                ok = holt_registry:unregister(Reg, key),
                gen_server:stop(Pid)
            end
        ]
    ),
    ok = holt_registry:stop(Reg).

init(refuse) ->
    {stop, refused};
init({To, Calls}) ->
    _ = process_flag(trap_exit, true),
    {ok, {To, Calls}}.

handle_call(_, _, State) -> {noreply, State}.
handle_cast(_, State) -> {noreply, State}.
handle_info({'EXIT', _, Reason}, State) -> {stop, Reason, State};
handle_info(_, State) -> {noreply, State}.

terminate(_Reason, {To, Calls}) ->
    To ! {self(), [{Call, outcome(Call)} || Call <- Calls]}.

%%--------------------------------------------------------------------
%% Instances

waiting_for_an_instance_that_stops(_Config) ->
    Reg = ?FUNCTION_NAME,
    Waits = [
        {await, [Reg, nobodys, infinity]},
        {await, [Reg, nobodys, 600000]}
    ],
    lists:foreach(
        fun(Call) ->
            start(Reg),
            Self = self(),
            Pid = spawn_link(fun() -> Self ! {self(), outcome(Call)} end),
            holt_ct:wait_until(fun() ->
                process_info(Pid, status) =:= {status, waiting}
            end),
            ok = holt_registry:stop(Reg),
            receive
                {Pid, Outcome} -> ?assertMatch({error, badarg, no_instance}, Outcome)
            after ?CALL_MS -> error({hangs, Call})
            end
        end,
        Waits
    ).

%% What users do goes on; what is left in the end is what was there in the beginning.
stopped_and_started_under_load(Config) ->
    Reg = ?FUNCTION_NAME,
    Rounds =
        case os:getenv("HOLT_SOAK") of
            false -> ?ROUNDS;
            _ -> ?ROUNDS_SOAK
        end,
    Seed = seed(),
    Holder = holt_ct:start(),
    Workers = [start_worker(Seed + N, Reg) || N <- lists:seq(1, ?WORKERS)],
    Round = fun(N) ->
        start(Reg),
        ?assertEqual({Seed, N, []}, {Seed, N, holt_registry:lookup(Reg, ghost)}),
        ?assertEqual({Seed, N, []}, {Seed, N, holt_registry:keys(Reg, Holder)}),
        yes = holt_registry:register_name({Reg, ghost}, Holder),
        holt_ct:wait_until(fun() -> holt_registry:count(Reg) > 5 end),
        case N rem 4 of
            0 -> kill_and_stop(Reg);
            _ -> ok = holt_registry:stop(Reg)
        end
    end,
    lists:foreach(Round, lists:seq(1, ?ROUNDS_WARM)),
    Before = pause_and_measure(Workers, [Holder]),
    lists:foreach(Round, lists:seq(1, Rounds)),
    After = pause_and_measure(Workers, [Holder]),
    ct:pal("~b rounds, seed ~b: ~p, then ~p", [Rounds, Seed, Before, After]),
    #{bytes := BytesBefore} = Before,
    #{bytes := BytesAfter} = After,
    ?assertEqual(maps:remove(bytes, Before), maps:remove(bytes, After)),
    ?assert(BytesAfter < BytesBefore + ?BYTES_SLACK),
    Slowest = lists:max([stop_worker(Worker) || Worker <- Workers]),
    ct:pal("the slowest call: ~p", [Slowest]),
    ?assert(element(1, Slowest) < ?CALL_MS),
    exit(Holder, kill),
    Config.

%% An orphan: the next one of its name may adopt it, so it is stopped in order then.
kill_and_stop(Reg) ->
    holt_ct:kill(whereis(Reg)),
    ok = holt_registry:stop(Reg).

application_stopped_and_started_under_load(_Config) ->
    Reg = ?FUNCTION_NAME,
    start(Reg),
    Seed = seed(),
    Workers = [start_worker(Seed + N, Reg) || N <- lists:seq(1, ?WORKERS)],
    {ok, _} = holt_registry:register(Reg, mine, 1),
    lists:foreach(
        fun(_) ->
            ok = application:stop(holt),
            ?assertEqual([{self(), 1}], holt_registry:lookup(Reg, mine)),
            ok = application:start(holt),
            ?assertEqual([{self(), 1}], holt_registry:lookup(Reg, mine))
        end,
        lists:seq(1, 20)
    ),
    Slowest = lists:max([stop_worker(Worker) || Worker <- Workers]),
    ct:pal("the slowest call: ~p", [Slowest]),
    ?assert(element(1, Slowest) < ?CALL_MS),
    holt_ct:wait_until(fun() -> holt_registry:to_list(Reg) =:= [{mine, self(), 1}] end),
    ok = holt_registry:stop(Reg).

%%--------------------------------------------------------------------
%% Workers: call everything, in any order, and note what took how long

start_worker(Seed, Reg) ->
    spawn_link(fun() ->
        _ = rand:seed(exsss, Seed),
        worker(list_to_tuple(calls(Reg)), {0, none})
    end).

worker(Calls, Slowest) ->
    receive
        {pause, From} ->
            From ! {self(), paused},
            flush(),
            receive
                go_on -> worker(Calls, Slowest)
            end;
        {stop, From} ->
            From ! {self(), Slowest}
    after 0 ->
        flush(),
        Call = element(rand:uniform(tuple_size(Calls)), Calls),
        Begin = erlang:monotonic_time(millisecond),
        case outcome(Call) of
            {error, badarg, no_instance} -> ok;
            {_, _, _} = Outcome -> is_wrong_use(Outcome) orelse error({Call, Outcome});
            _ -> ok
        end,
        Took = erlang:monotonic_time(millisecond) - Begin,
        worker(Calls, max(Slowest, {Took, element(1, Call)}))
    end.

%% Messages of subscriptions, and to names.
flush() ->
    receive
        {holt, _, _, _} -> flush();
        hello -> flush()
    after 0 -> ok
    end.

stop_worker(Worker) ->
    Worker ! {stop, self()},
    receive
        {Worker, Slowest} -> Slowest
    after 2 * ?CALL_MS -> error({hangs, process_info(Worker, current_stacktrace)})
    end.

%% What there is when nobody does anything.
pause_and_measure(Workers, Holders) ->
    _ = [Worker ! {pause, self()} || Worker <- Workers],
    _ = [
        receive
            {Worker, paused} -> ok
        after 2 * ?CALL_MS -> error({hangs, process_info(Worker, current_stacktrace)})
        end
     || Worker <- Workers
    ],
    holt_ct:wait_until(fun() -> holt_nif:instances() =:= [] andalso swept() end),
    %% Processes that are about to end, memory that is about to be freed.
    Measure = fun() -> measure(Workers ++ Holders) end,
    Measured = settled(Measure, Measure(), 50),
    _ = [Worker ! go_on || Worker <- Workers],
    Measured.

swept() ->
    _ = sys:get_state(holt_janitor),
    holt_nif:sweep() =:= done.

%% The same, so many times in a row.
settled(_Measure, Last, 0) ->
    Last;
settled(Measure, #{processes := Count}, Left) ->
    erlang:yield(),
    case Measure() of
        #{processes := Count} = Same -> settled(Measure, Same, Left - 1);
        Other -> settled(Measure, Other, 50)
    end.

measure(Pids) ->
    _ = [garbage_collect(Pid) || Pid <- Pids],
    #{
        processes => length(processes()),
        atoms => erlang:system_info(atom_count),
        tables => length(ets:all()),
        monitored => [length(element(2, process_info(P, monitored_by))) || P <- Pids],
        monitors => [length(element(2, process_info(P, monitors))) || P <- Pids],
        subscriptions => ets:info(holt_subscriptions, size),
        bytes => erlang:memory(system)
    }.

%%--------------------------------------------------------------------
%% Helpers

%% Calls of all functions with arguments that are right, if the instance is there.
calls(Reg) ->
    Key = {key, rand:uniform(20)},
    Keys = [{key, N} || N <- lists:seq(1, 5)],
    Some = [
        {subscribe, [Reg, {key, Key}]},
        {subscribe, [Reg, {prefix, <<"p">>}]},
        {unsubscribe, [Reg, make_ref()]},
        {await, [Reg, Key, 1]},
        {register, [Reg, [{K, 1} || K <- Keys]]},
        {register, [Reg, Key, 1, #{sync => quorum, timeout => 100}]},
        {unregister_keys, [Reg, Keys]}
    ],
    [
        Call
     || {Function, _} = Call <- Some ++ holt_names_SUITE:calls(Reg), Function =/= stop
    ].

outcome({Function, Arguments}) ->
    try
        {ok, apply(holt_registry, Function, Arguments)}
    catch
        Class:Reason:Stack ->
            [{_, _, _, Info} | _] = Stack,
            #{cause := Cause} = proplists:get_value(error_info, Info, #{cause => none}),
            {Class, Reason, Cause}
    end.

%% As calls of one kind of registry may be for another.
is_wrong_use({error, badarg, no_such_name}) -> true;
is_wrong_use({error, badarg, duplicate_keys}) -> true;
is_wrong_use(_) -> false.

start(Options) when is_map(Options) ->
    {ok, Root} = holt_registry:start_link(Options),
    true = unlink(Root);
start(Reg) ->
    start(#{name => Reg}).

seed() ->
    Seed = erlang:unique_integer([positive]) + erlang:system_time(),
    _ = rand:seed(exsss, Seed),
    ct:pal("seed ~b", [Seed]),
    Seed.
