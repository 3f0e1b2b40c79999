%% SPDX-License-Identifier: Apache-2.0
%% @doc On a node: how long does it take to find a process by its name?
%%
%% All names are looked up in a random order, again and again.  They are a literal, not
%% on the heap of whoever looks, so no garbage collector walks them and nobody's heap
%% gets in the way of anybody's.  `empty' does all but the lookup; it is subtracted.
-module(bench_lookup).

-export([prepare/2, adopt/2, clear/0, run/3]).

-define(KEYS, bench_lookup_keys).
-define(LOOKUPS, 200000).

%% @doc N local names, in all three contenders, the value with them.
-spec prepare(binary | tuple, pos_integer()) -> ok.
prepare(Shape, N) ->
    ok = bench_names:own(N),
    Keys = bench_names:keys(Shape, N),
    Owners = bench_names:owners(),
    lists:foreach(
        fun(I) ->
            Key = element(I, Keys),
            Pid = element(I, Owners),
            yes = holt_registry:register_name({bench, Key, value(I)}, Pid),
            ok = pg:join(bench_pg, Key, Pid),
            true = ets:insert(bench_ets, {Key, Pid, value(I)})
        end,
        lists:seq(1, N)
    ),
    look_around(Shape, N).

%% @doc The names of another node are there already; the table gets them, too.
-spec adopt(binary | tuple, pos_integer()) -> ok.
adopt(Shape, N) ->
    [ok = bench_names:await(Contender, N) || Contender <- [holt, pg]],
    lists:foreach(
        fun(Key) ->
            Pid = bench_names:find(holt, Key),
            Pid = bench_names:find(pg, Key),
            true = ets:insert(bench_ets, {Key, Pid, value(1)})
        end,
        tuple_to_list(bench_names:keys(Shape, N))
    ),
    look_around(Shape, N).

%% Everybody finds the same before anybody is measured.
look_around(Shape, N) ->
    Keys = bench_names:shuffled(bench_names:keys(Shape, N)),
    lists:foreach(
        fun(Key) ->
            Pid = bench_names:find(holt, Key),
            true = is_pid(Pid),
            Pid = bench_names:find(pg, Key),
            Pid = bench_names:find(ets, Key)
        end,
        tuple_to_list(Keys)
    ),
    persistent_term:put(?KEYS, Keys).

value(I) ->
    {v, I}.

-spec clear() -> ok.
clear() ->
    persistent_term:erase(?KEYS),
    bench_names:disown().

%% @doc Nanoseconds per lookup: of one process, or of several at the same time, then by
%% the clock and not per process.
-spec run(Loop :: atom(), Readers :: pos_integer(), Names :: pos_integer()) -> float().
run(Loop, Readers, Names) ->
    Passes = max(1, ?LOOKUPS div Names),
    Parent = self(),
    Pids = [
        spawn_opt(
            fun() ->
                receive
                    go -> ok
                end,
                Keys = persistent_term:get(?KEYS),
                passes(Loop, Passes, tuple_size(Keys), Keys),
                Parent ! {self(), bench_names:now_ns()}
            end,
            [{min_heap_size, 100000}, link]
        )
     || _ <- lists:seq(1, Readers)
    ],
    Start = bench_names:now_ns(),
    [Pid ! go || Pid <- Pids],
    Ends = [
        receive
            {Pid, End} -> End
        end
     || Pid <- Pids
    ],
    (lists:max(Ends) - Start) / (Passes * Names * Readers).

passes(_Loop, 0, _N, _Keys) ->
    ok;
passes(Loop, Passes, N, Keys) ->
    pass(Loop, N, Keys),
    passes(Loop, Passes - 1, N, Keys).

pass(empty, N, Keys) -> empty(N, Keys);
pass(whereis, N, Keys) -> whereis(N, Keys);
pass(lookup, N, Keys) -> lookup(N, Keys);
pass(ets_element, N, Keys) -> ets_element(N, Keys);
pass(ets_alive, N, Keys) -> ets_alive(N, Keys);
pass(ets_lookup, N, Keys) -> ets_lookup(N, Keys);
pass(pg_local, N, Keys) -> pg_local(N, Keys);
pass(pg_all, N, Keys) -> pg_all(N, Keys).

empty(0, _Keys) ->
    ok;
empty(I, Keys) ->
    nothing(element(I, Keys)),
    empty(I - 1, Keys).

-compile({no_inline, [nothing/1]}).
nothing(_Key) ->
    ok.

whereis(0, _Keys) ->
    ok;
whereis(I, Keys) ->
    holt_registry:whereis_name({bench, element(I, Keys)}),
    whereis(I - 1, Keys).

lookup(0, _Keys) ->
    ok;
lookup(I, Keys) ->
    holt_registry:lookup(bench, element(I, Keys)),
    lookup(I - 1, Keys).

ets_element(0, _Keys) ->
    ok;
ets_element(I, Keys) ->
    ets:lookup_element(bench_ets, element(I, Keys), 2),
    ets_element(I - 1, Keys).

%% What holt does, because the name of a dead process is no name.
ets_alive(0, _Keys) ->
    ok;
ets_alive(I, Keys) ->
    is_process_alive(ets:lookup_element(bench_ets, element(I, Keys), 2)),
    ets_alive(I - 1, Keys).

ets_lookup(0, _Keys) ->
    ok;
ets_lookup(I, Keys) ->
    ets:lookup(bench_ets, element(I, Keys)),
    ets_lookup(I - 1, Keys).

pg_local(0, _Keys) ->
    ok;
pg_local(I, Keys) ->
    pg:get_local_members(bench_pg, element(I, Keys)),
    pg_local(I - 1, Keys).

pg_all(0, _Keys) ->
    ok;
pg_all(I, Keys) ->
    pg:get_members(bench_pg, element(I, Keys)),
    pg_all(I - 1, Keys).
