%% SPDX-License-Identifier: Apache-2.0
%% @doc Real nodes and a real daemon in real trouble, judged by a record that observers outside
%% holt keep ({@link holt_observer}, {@link holt_record}).
%%
%% ```
%%   node 1: observer, clients --- file 1 \
%%   node 2: observer, clients --- file 2  >--- holt_record:check/1
%%   kills, and what is there at rest ----/
%% '''
%%
%% `HOLT_SOAK' is how many seconds all cases together may take; each then has ten times as
%% many rounds, or as many as fit. A failure prints the seed of the clients; the files of the
%% record stay in the case's folder.
-module(holt_real_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

-define(SYNC_MS, 60000).
-define(SETTLE_MS, 10000).

all() ->
    [
        partial_cuts_split_no_names,
        halves_meet_again,
        daemon_sees_both_halves,
        node_is_killed_and_restarted,
        replicas_are_killed_under_load,
        a_third_of_the_messages_is_lost,
        roots_are_killed,
        clocks_are_an_hour_apart
    ].

init_per_testcase(Case, Config) ->
    case holt_ct_daemon:init_suite(Config) of
        {skip, Reason} -> {skip, Reason};
        _ -> [{case_name, Case} | Config]
    end.

end_per_testcase(_Case, _Config) ->
    ok.

suite() ->
    [{timetrap, {seconds, 120 + soak_seconds()}}].

%%--------------------------------------------------------------------
%% Cuts

%% Any two lose each other, again and again, the daemon among them: a third one sees both.
partial_cuts_split_no_names(Config) ->
    with_world(Config, 3, #{}, fun(World) ->
        #{nodes := Nodes, daemons := [Daemon]} = World,
        Stable = register_stable(World),
        _ = [await_found(At, Stable, World) || At <- Nodes],
        Watchers = [holt_ct:watch(Node, {reg(World), Stable}) || Node <- Nodes],
        rounds(100, fun(_) ->
            [One, Other | _] = shuffled([Daemon | Nodes]),
            ok = holt_test:cut(One, Other),
            ok = work(World, 200),
            ok = holt_test:heal(One, Other)
        end),
        nothing_missed(Watchers),
        rest(World)
    end).

%% Each half goes on alone, with the daemon or without.
halves_meet_again(Config) ->
    with_world(Config, 4, #{}, fun(World) ->
        #{nodes := Nodes, daemons := [Daemon]} = World,
        Stable = register_stable(World),
        rounds(20, fun(_) ->
            [A, B, C, D] = shuffled(Nodes),
            Left = [A, B, Daemon],
            Right = [C, D],
            _ = [ok = holt_test:cut(One, Other) || One <- Left, Other <- Right],
            _ = [await_gone(At, Stable, Right, World) || At <- [A, B]],
            _ = [await_gone(At, Stable, Left, World) || At <- Right],
            ok = work(World, 300),
            ok = holt_test:heal(),
            %% Every name that lived is back.
            _ = [await_found(At, Stable, World) || At <- Nodes],
            ok = work(World, 100)
        end),
        rest(World)
    end).

%% No Erlang node has links with both halves: it is by the daemon's word that they are whole.
daemon_sees_both_halves(Config) ->
    with_world(Config, 4, #{}, fun(World) ->
        #{nodes := [A, B, C, D] = Nodes, daemons := [Daemon]} = World,
        Stable = register_stable(World),
        _ = [await_found(At, Stable, World) || At <- Nodes],
        Watchers = [holt_ct:watch(Node, {reg(World), Stable}) || Node <- Nodes],
        Pairs = [{One, Other} || One <- [A, B], Other <- [C, D]],
        rounds(20, fun(_) ->
            _ = [ok = holt_test:cut(One, Other) || {One, Other} <- Pairs],
            ok = work(World, 300),
            Vouched = [
                Voucher
             || #{contact := vouched, member := {_, Node}, voucher := {_, Voucher}} <-
                    holt_test:call(A, holt_cluster, members, [reg(World), all]),
                lists:member(Node, [C, D])
            ],
            ?assertEqual([Daemon, Daemon], Vouched),
            ok = holt_test:heal()
        end),
        nothing_missed(Watchers),
        rest(World)
    end).

%%--------------------------------------------------------------------
%% Ends

%% No ghost of any of its lives is left, and nobody else loses a name.
node_is_killed_and_restarted(Config) ->
    with_world(Config, 3, #{unregister_shared => false}, fun(World) ->
        #{nodes := [A, B, C] = Nodes} = World,
        Stable = [{Key, Pid} || {Key, Pid} <- register_stable(World), node(Pid) =/= C],
        _ = [await_found(At, Stable, World) || At <- Nodes],
        Watchers = [holt_ct:watch(Node, {reg(World), Stable}) || Node <- [A, B]],
        rounds(200, fun(Round) ->
            ok = kill(C, World),
            ok = holt_test:restart(C),
            ok = observe(C, World),
            Creation = holt_test:call(C, erlang, system_info, [creation]),
            _ = [
                holt_ct:await(At, fun() -> [] =:= ghosts(reg(World), C, Creation) end)
             || At <- [A, B]
            ],
            %% The one that was just there has some names, too.
            ok = work(C, World, 60),
            _ = Round rem 10 =:= 0 andalso rest(World),
            ok
        end),
        nothing_missed(Watchers),
        rest(World)
    end).

ghosts(Reg, Node, Creation) ->
    [
        {Key, Pid}
     || {Key, Pid, _} <- holt_registry:to_list(Reg),
        node(Pid) =:= Node,
        holt_record:creation(Pid) =/= Creation
    ].

%% All names are where they were, all the time: no name depends on that process.
replicas_are_killed_under_load(Config) ->
    with_world(Config, 3, #{}, fun(World) ->
        #{nodes := Nodes} = World,
        Stable = register_stable(World),
        _ = [await_found(At, Stable, World) || At <- Nodes],
        Watchers = [holt_ct:watch(Node, {reg(World), Stable}) || Node <- Nodes],
        Replica = holt_replica:process_name(reg(World)),
        rounds(100, fun(Round) ->
            %% A root bears ten of them in ten seconds.
            Node = lists:nth(1 + Round rem 3, Nodes),
            ok = holt_test:call(Node, holt_observer, kill_registered, [Replica]),
            ok = work(World, 300)
        end),
        nothing_missed(Watchers),
        rest(World)
    end).

%% Instances under a supervisor: rows, monitors and names are as before.
roots_are_killed(Config) ->
    with_world(Config, 3, #{}, fun(World) ->
        #{nodes := Nodes} = World,
        Reg = reg(World),
        ok = work(World, 300),
        rounds(20, fun(Round) ->
            Node = lists:nth(1 + Round rem 3, Nodes),
            Key = {monitored, Round},
            Pid = register_key(Node, Key, World),
            ok = stop_clients(World),
            ok = sync(World),
            Before = table(Node, World),
            #{actor := Actor} = holt_test:call(Node, holt_cluster, info, [Reg]),
            ok = holt_test:call(Node, holt_observer, kill_registered, [Reg]),
            ok = sync(World),
            ?assertEqual(Before, table(Node, World)),
            ?assertMatch(#{actor := Actor}, holt_test:call(Node, holt_cluster, info, [Reg])),
            %% It is still watched.
            ok = note({dying, holt_record:now_ns(), Pid}, World),
            _ = [holt_ct:await(At, fun() -> is_found(Reg, Key, Pid) end) || At <- Nodes],
            _ = holt_test:call(Node, erlang, exit, [Pid, kill]),
            _ = [holt_ct:await(At, fun() -> is_found(Reg, Key, undefined) end) || At <- Nodes],
            ok = go_on(World),
            ok = work(World, 200)
        end),
        rest(World)
    end).

is_found(Reg, Key, Pid) ->
    holt_registry:whereis_name({Reg, Key}) =:= Pid.

%%--------------------------------------------------------------------
%% Messages and clocks

%% On each way between any two, the daemon's both ways among them, nearly a third.
a_third_of_the_messages_is_lost(Config) ->
    with_world(Config, 3, #{}, fun(World) ->
        #{nodes := Nodes, daemons := Daemons} = World,
        All = Nodes ++ Daemons,
        _ = register_stable(World),
        _ = [ok = holt_test:drop(From, To, 0.3) || From <- All, To <- All, From =/= To],
        rounds(20, fun(_) ->
            ok = work(World, 1000),
            %% As they are: nothing is healed.
            ok = stop_clients(World),
            ok = sync(World),
            ok = go_on(World)
        end),
        %% Nothing gets through at all, one way.
        [A, B | _] = Nodes,
        ok = holt_test:cut_one_way(A, B),
        ok = work(World, 500),
        rest(World)
    end).

%% Who is late, or early, by an hour wins and loses, and nobody loses without a word.
clocks_are_an_hour_apart(Config) ->
    Hour = 3600000,
    with_world(Config, 4, #{clock_offset_ms => [0, Hour, -Hour, 0]}, fun(World) ->
        #{nodes := [A, B, C, D] = Nodes, daemons := [Daemon]} = World,
        Stable = register_stable(World),
        rounds(10, fun(_) ->
            Pairs = [{One, Other} || One <- [A, B, Daemon], Other <- [C, D]],
            _ = [ok = holt_test:cut(One, Other) || {One, Other} <- Pairs],
            _ = [await_gone(At, Stable, [A, B], World) || At <- [C, D]],
            ok = work(World, 300),
            ok = holt_test:heal(),
            _ = [await_found(At, Stable, World) || At <- Nodes],
            ok = work(World, 100)
        end),
        Clocks = [
            round(Ms / Hour)
         || #{member := {_, Node}, clock_ms := Ms} <-
                holt_test:call(A, holt_cluster, peers, [reg(World)]),
            Other <- [B, C],
            Node =:= Other
        ],
        ?assertEqual([-1, 1], lists:sort(Clocks)),
        rest(World)
    end).

%%--------------------------------------------------------------------
%% The world: a cluster with a daemon, its observers, and what is known of it

with_world(Config, Count, Options, Fun) ->
    Reg = proplists:get_value(case_name, Config),
    Dir = filename:join(proplists:get_value(priv_dir, Config), atom_to_list(Reg)),
    ok = filelib:ensure_path(Dir),
    Seed = rand:uniform(1 bsl 32),
    _ = rand:seed(exsss, Seed),
    ct:pal("seed ~b, record in ~ts", [Seed, Dir]),
    %% Whoever comes and goes so often would wait for long.
    Instance = #{name => Reg, vector_interval_ms => 200, flap_ms_max => 500},
    Clocks = maps:with([clock_offset_ms], Options),
    Cluster = holt_test:start_cluster(Count, Clocks#{
        holtd => 1, instances => [Instance], seed => Seed
    }),
    Table = ets:new(world, [public, ordered_set]),
    World = maps:merge(Cluster, #{
        reg => Reg,
        dir => Dir,
        table => Table,
        seed => Seed,
        unregister_shared => maps:get(unregister_shared, Options, true)
    }),
    true = ets:insert(Table, {number, 0}),
    try
        ok = sync(World),
        _ = [ok = observe(Node, World) || Node <- maps:get(nodes, World)],
        Result = Fun(World),
        ct:pal("~b events", [length(events(World))]),
        Result
    after
        holt_test:stop(Cluster)
    end.

reg(#{reg := Reg}) -> Reg.

%% A node begins to work, and to write a file of its own.
observe(Node, #{dir := Dir, table := Table, seed := Seed} = World) ->
    Number = ets:update_counter(Table, number, 1),
    File = filename:join(Dir, integer_to_list(Number)),
    Observer = holt_test:call(Node, holt_observer, start, [
        #{
            registry => reg(World),
            file => File,
            seed => Seed + Number,
            clients => 2,
            pause_ms => 8,
            unregister_shared => maps:get(unregister_shared, World)
        }
    ]),
    true = ets:insert(Table, [{{observer, Node}, Observer}, {{file, Number}, File, Node, lives}]),
    ok.

observers(#{table := Table}) ->
    [{Node, Observer} || {{observer, Node}, Observer} <- ets:tab2list(Table)].

%% Something that the test itself knows.
note(Event, #{table := Table}) ->
    true = ets:insert(Table, {{event, erlang:unique_integer([monotonic])}, Event}),
    ok.

kill(Node, #{table := Table} = World) ->
    Creation = holt_test:call(Node, erlang, system_info, [creation]),
    Begin = holt_record:now_ns(),
    ok = holt_test:kill(Node),
    ok = note({node_killed, Begin, holt_record:now_ns(), Node, Creation}, World),
    true = ets:delete(Table, {observer, Node}),
    [{Key, File}] = [
        {Key, File}
     || {{file, _} = Key, File, At, lives} <- ets:tab2list(Table), At =:= Node
    ],
    true = ets:insert(Table, {Key, File, Node, killed}),
    ok.

%% All that is known so far.
events(#{table := Table} = World) ->
    _ = [holt_test:call(Node, holt_observer, flush, [Pid]) || {Node, Pid} <- observers(World)],
    Read = [
        case State of
            lives -> holt_observer:read(File);
            killed -> holt_record:without_end(holt_observer:read(File))
        end
     || {{file, _}, File, _, State} <- ets:tab2list(Table)
    ],
    lists:append(Read) ++ [Event || {{event, _}, Event} <- ets:tab2list(Table)].

stop_clients(World) ->
    each_observer(stop_clients, World).

go_on(World) ->
    each_observer(go_on, World).

each_observer(What, World) ->
    lists:foreach(
        fun({Node, Pid}) -> ok = holt_test:call(Node, holt_observer, What, [Pid]) end,
        observers(World)
    ).

%% Wait until each node has done so much more.
work(World, Count) ->
    Before = [{Node, count(Node, World)} || {Node, _} <- observers(World)],
    lists:foreach(fun({Node, N}) -> await_work(Node, World, N + Count) end, Before).

work(Node, World, Count) ->
    await_work(Node, World, count(Node, World) + Count).

await_work(Node, World, Count) ->
    Done = fun() ->
        N = count(Node, World),
        N >= Count orelse {N, Count}
    end,
    holt_ct:wait_until(Done, 60000).

count(Node, World) ->
    {Node, Observer} = lists:keyfind(Node, 1, observers(World)),
    holt_test:call(Node, holt_observer, count, [Observer]).

sync(World) ->
    holt_test:await_in_sync(reg(World), ?SYNC_MS).

%% Some names on each node that nobody ends.
register_stable(#{nodes := Nodes} = World) ->
    [
        begin
            Key = {stable, Node, N},
            {Key, register_key(Node, Key, World)}
        end
     || Node <- Nodes, N <- lists:seq(1, 20)
    ].

register_key(Node, Key, World) ->
    {Node, Observer} = lists:keyfind(Node, 1, observers(World)),
    Pid = holt_test:call(Node, holt_observer, register_one, [Observer, reg(World), Key]),
    ?assert(is_pid(Pid)),
    Pid.

await_gone(At, Stable, Nodes, World) ->
    Reg = reg(World),
    Keys = [Key || {Key, Pid} <- Stable, lists:member(node(Pid), Nodes)],
    holt_ct:await(At, fun() -> [] =:= [K || K <- Keys, holt_registry:is_registered(Reg, K)] end).

await_found(At, Stable, World) ->
    Reg = reg(World),
    holt_ct:await(At, fun() ->
        [] =:= [Key || {Key, Pid} <- Stable, holt_registry:whereis_name({Reg, Key}) =/= Pid]
    end).

nothing_missed(Watchers) ->
    Seen = [holt_ct:missed(Watcher) || Watcher <- Watchers],
    ct:pal("looked ~w times", [[Rounds || {_, Rounds} <- Seen]]),
    Missing = lists:append([maps:to_list(Missed) || {Missed, _} <- Seen]),
    ?assertEqual({0, []}, {length(Missing), lists:sublist(Missing, 3)}).

%%--------------------------------------------------------------------
%% At rest

%% Nothing is going on and nothing is in the way: the record of all so far has to be good.
%% What is still to be told is told soon.
rest(World) ->
    ok = stop_clients(World),
    ok = holt_test:heal(),
    ok = sync(World),
    Deadline = erlang:monotonic_time(millisecond) + ?SETTLE_MS,
    Rests = rest_until(World, Deadline),
    _ = [ok = note(Rest, World) || Rest <- Rests],
    go_on(World).

rest_until(#{nodes := Nodes, daemons := Daemons} = World, Deadline) ->
    Rests = [
        {rest, holt_record:now_ns(), Node, table(Node, World)}
     || Node <- Nodes ++ Daemons
    ],
    case holt_record:check(events(World) ++ Rests) of
        [] ->
            Rests;
        Violations ->
            case erlang:monotonic_time(millisecond) < Deadline of
                true ->
                    rest_until(World, Deadline);
                false ->
                    Some = lists:sublist(Violations, 5),
                    ct:pal("~b violations: ~p", [length(Violations), Some]),
                    ct:pal("of ~p", [story(element(2, hd(Violations)), World)]),
                    error({violations, length(Violations), Some})
            end
    end.

%% All that is known of a name, in order.
story(Key, World) ->
    lists:keysort(2, [
        Event
     || Event <- events(World),
        lists:member(Key, tuple_to_list(Event)),
        element(1, Event) =/= rest
    ]).

table(Node, #{nodes := Nodes} = World) ->
    Reg = reg(World),
    Entries =
        case lists:member(Node, Nodes) of
            true -> holt_test:call(Node, holt_registry, to_list, [Reg]);
            false -> daemon_table(hd(Nodes), Node, {list, Reg, #{}}, [])
        end,
    lists:sort([{Key, Pid} || {Key, Pid, _} <- Entries]).

daemon_table(At, Daemon, {list, Reg, Options} = Request, Acc) ->
    case holt_test:call(At, gen_server, call, [{holtd, Daemon}, Request, 10000]) of
        {Entries, done} ->
            Entries ++ Acc;
        {Entries, Next} ->
            daemon_table(At, Daemon, {list, Reg, Options#{from => Next}}, Entries ++ Acc)
    end.

%%--------------------------------------------------------------------
%% How much

%% In `make test' a tenth; in `make soak' all, or what fits into the case's share of the time.
rounds(Full, Fun) ->
    Count =
        case soak_seconds() of
            0 -> max(1, Full div 10);
            _ -> Full
        end,
    rounds(1, Count, deadline(), Fun).

rounds(Round, Count, Deadline, Fun) ->
    case Round > Count orelse erlang:monotonic_time(second) > Deadline of
        true ->
            ct:pal("~b rounds", [Round - 1]);
        false ->
            _ = Fun(Round),
            rounds(Round + 1, Count, Deadline, Fun)
    end.

deadline() ->
    Share =
        case soak_seconds() of
            0 -> 60;
            Seconds -> Seconds div length(all())
        end,
    erlang:monotonic_time(second) + Share.

soak_seconds() ->
    list_to_integer(os:getenv("HOLT_SOAK", "0")).

shuffled(List) ->
    [Item || {_, Item} <- lists:sort([{rand:uniform(), Item} || Item <- List])].
