%% SPDX-License-Identifier: Apache-2.0
%% @doc Registries on several nodes: real ones, with real links.
-module(holt_cluster_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, groups/0, init_per_suite/1, end_per_suite/1]).
-export([init_per_group/2, end_per_group/2, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

all() ->
    [{group, shared}, {group, own}].

groups() ->
    %% Three nodes for all of them; each case has a registry of its own on them.
    [
        {shared, [], [
            three_nodes_find_each_others_names,
            three_nodes_call_by_via,
            three_nodes_see_values_change,
            three_nodes_forget_a_dead_process,
            three_nodes_do_not_mix_instances,
            three_nodes_one_stops_its_instance,
            three_nodes_one_starts_late,
            three_nodes_two_thousand_names_each,
            three_nodes_unregister_from_afar,
            three_nodes_frozen_replica_is_unreachable,
            three_nodes_replica_is_killed,
            three_nodes_replicas_crash_together,
            three_nodes_root_is_killed,
            three_nodes_orphan_is_adopted,
            three_nodes_orphan_is_given_up,
            three_nodes_tree_is_shut_down,
            three_nodes_application_is_stopped,
            three_nodes_know_how_far_they_are,
            three_nodes_race_for_names,
            three_nodes_loser_that_stays_is_killed,
            three_nodes_large_values,
            three_nodes_peer_sends_garbage,
            three_nodes_pid_of_another_node_is_refused
        ]},
        %% Nodes of their own, which do not come out of it as they went in.
        {own, [], [
            node_is_killed_and_its_names_vanish,
            node_comes_back_under_its_name,
            node_stops_in_order,
            two_holders_meet,
            link_is_cut_and_heals,
            distribution_starts_after_the_instance,
            distribution_starts_and_stops_again,
            distribution_starts_under_an_orphan,
            hidden_node_takes_part,
            chaos_ends_in_agreement,
            overlapping_partitions_are_warned_of_once
        ]}
    ].

init_per_suite(Config) ->
    Config.

end_per_suite(_Config) ->
    ok.

init_per_group(shared, Config) ->
    [{nodes, holt_ct:start_nodes(3, no_overlap())} | Config];
init_per_group(own, Config) ->
    Config.

end_per_group(shared, Config) ->
    holt_ct:stop_nodes(nodes_of(Config));
end_per_group(own, _Config) ->
    ok.

init_per_testcase(Case, Config) ->
    [{registry, Case} | Config].

end_per_testcase(Case, Config) ->
    case proplists:get_value(nodes, Config) of
        undefined -> ok;
        Nodes -> lists:foreach(fun(Node) -> stop_registry(Node, Case) end, Nodes)
    end.

%%--------------------------------------------------------------------
%% Names

three_nodes_find_each_others_names(Config) ->
    {Reg, Nodes} = start_everywhere(Config),
    Pids = [
        holt_ct:call(Node, fun() ->
            Pid = holt_ct:register(Reg, {key, node()}, node(), []),
            {ok, _} = holt_ct:do(Pid, fun() -> holt_registry:register(Reg, {more, node()}, 1) end),
            Pid
        end)
     || Node <- Nodes
    ],
    Names = [holt_ct:node_of(Node) || Node <- Nodes],
    Expected = lists:sort(
        lists:append([
            [{{key, Name}, Pid, Name}, {{more, Name}, Pid, 1}]
         || {Name, Pid} <- lists:zip(Names, Pids)
        ])
    ),
    Members = lists:sort([{Reg, Name} || Name <- Names]),
    everywhere(Nodes, fun() ->
        holt_ct:wait_until(fun() -> lists:sort(holt_registry:to_list(Reg)) =:= Expected end),
        6 = holt_registry:count(Reg),
        Members = holt_cluster:members(Reg),
        _ = [
            begin
                [{Pid, Name}] = holt_registry:lookup(Reg, {key, Name}),
                Pid = holt_registry:whereis_name({Reg, {key, Name}}),
                [{key, Name}, {more, Name}] = lists:sort(holt_registry:keys(Reg, Pid)),
                {error, {already_registered, Pid}} = holt_registry:register(Reg, {key, Name}, 2),
                no = holt_registry:register_name({Reg, {key, Name}}, self())
            end
         || {Name, Pid} <- lists:zip(Names, Pids)
        ],
        ok
    end).

three_nodes_call_by_via(Config) ->
    {Reg, [A, B, C] = Nodes} = start_everywhere(Config),
    Via = {via, holt_registry, {Reg, server}},
    Server = holt_ct:call(B, fun() ->
        {ok, Pid} = holt_ct:start_link(Via),
        unlink(Pid),
        Pid
    end),
    await_name(Nodes, Reg, server, Server),
    BName = holt_ct:node_of(B),
    _ = [?assertEqual(BName, holt_ct:call(N, fun() -> holt_ct:on(Via) end)) || N <- Nodes],
    ?assertEqual(
        {error, {already_started, Server}},
        holt_ct:call(A, fun() -> holt_ct:start_link(Via) end)
    ),
    {answer, Server} = holt_ct:call(C, fun() ->
        Server = holt_registry:send({Reg, server}, {ask, self()}),
        receive
            Answer -> Answer
        end
    end).

three_nodes_see_values_change(Config) ->
    {Reg, [A | _] = Nodes} = start_everywhere(Config),
    Pid = holt_ct:call(A, fun() -> holt_ct:register(Reg, counter, 0, []) end),
    await_name(Nodes, Reg, counter, Pid),
    holt_ct:call(A, fun() ->
        Add = fun() -> holt_registry:update_value(Reg, counter, fun(N) -> N + 1 end) end,
        _ = [{N, _} = holt_ct:do(Pid, Add) || N <- lists:seq(1, 1000)],
        ok
    end),
    everywhere(Nodes, fun() ->
        holt_ct:wait_until(fun() -> holt_registry:lookup(Reg, counter) =:= [{Pid, 1000}] end)
    end).

three_nodes_forget_a_dead_process(Config) ->
    {Reg, [A | _] = Nodes} = start_everywhere(Config),
    Pid = holt_ct:call(A, fun() -> holt_ct:register(Reg, mortal, 0, []) end),
    await_name(Nodes, Reg, mortal, Pid),
    holt_ct:call(A, fun() -> holt_ct:kill(Pid) end),
    await_name(Nodes, Reg, mortal, undefined),
    everywhere(Nodes, fun() ->
        holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 0 end)
    end).

three_nodes_do_not_mix_instances(Config) ->
    {Reg, [A, B, C] = Nodes} = start_everywhere(Config),
    Other = other,
    _ = [holt_ct:start_registry(Node, #{name => Other}) || Node <- [A, B]],
    One = holt_ct:call(A, fun() -> holt_ct:register(Reg, key, one, []) end),
    Two = holt_ct:call(B, fun() -> holt_ct:register(Other, key, two, []) end),
    await_name(Nodes, Reg, key, One),
    await_name([A, B], Other, key, Two),
    ?assertEqual(
        [{1, "no registry named other on this node"}],
        holt_ct:call(C, fun() -> holt_ct:badarg(fun() -> holt_registry:count(Other) end) end)
    ),
    everywhere([A, B], fun() ->
        [{key, One, one}] = holt_registry:to_list(Reg),
        [{key, Two, two}] = holt_registry:to_list(Other),
        ok
    end),
    _ = [stop_registry(Node, Other) || Node <- [A, B]],
    await_name(Nodes, Reg, key, One).

three_nodes_one_stops_its_instance(Config) ->
    {Reg, [A, B, C] = Nodes} = start_everywhere(Config),
    [OfA, OfB, OfC] = [
        holt_ct:call(Node, fun() -> holt_ct:register(Reg, {of_node, node()}, 1, []) end)
     || Node <- Nodes
    ],
    await_count(Nodes, Reg, 3),
    holt_ct:call(B, fun() -> ok = holt_registry:stop(Reg) end),
    everywhere([A, C], fun() ->
        holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 2 end, 1000),
        [OfA] = [P || {{of_node, _}, P, _} <- holt_registry:to_list(Reg), P =:= OfA],
        [] = [P || {_, P, _} <- holt_registry:to_list(Reg), P =:= OfB],
        [OfC] = [P || {_, P, _} <- holt_registry:to_list(Reg), P =:= OfC],
        2 = length(holt_cluster:members(Reg)),
        ok
    end),
    %% Started again, it has nothing of its own and everything of the others.
    _ = holt_ct:start_registry(B, #{name => Reg}),
    await_count(Nodes, Reg, 2),
    ?assert(holt_ct:call(B, fun() -> is_process_alive(OfB) end)),
    yes = holt_ct:call(B, fun() -> holt_registry:register_name({Reg, again}, OfB) end),
    await_name(Nodes, Reg, again, OfB).

three_nodes_one_starts_late(Config) ->
    Reg = registry(Config),
    [A, B, C] = Nodes = nodes_of(Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- [A, B]],
    _ = [register_many(Node, Reg, 500) || Node <- [A, B]],
    _ = holt_ct:start_registry(C, #{name => Reg}),
    await_count(Nodes, Reg, 1000),
    await_agreement(Nodes, Reg).

three_nodes_two_thousand_names_each(Config) ->
    {Reg, Nodes} = start_everywhere(Config),
    _ = [register_many(Node, Reg, 2000) || Node <- Nodes],
    await_count(Nodes, Reg, 6000),
    await_agreement(Nodes, Reg),
    [First | Others] = [
        holt_ct:call(Node, fun() -> lists:sort(holt_registry:to_list(Reg)) end)
     || Node <- Nodes
    ],
    ?assertEqual(6000, length(First)),
    _ = [?assertEqual(First, Other) || Other <- Others],
    %% And gone again, most of them.
    everywhere(Nodes, fun() ->
        Mine = [Key || {{Node, _} = Key, _, _} <- holt_registry:to_list(Reg), Node =:= node()],
        _ = [ok = holt_registry:unregister(Reg, {N, I}) || {N, I} <- Mine, I rem 10 =/= 0],
        ok
    end),
    await_count(Nodes, Reg, 600),
    await_agreement(Nodes, Reg).

three_nodes_unregister_from_afar(Config) ->
    {Reg, [A, B, C] = Nodes} = start_everywhere(Config),
    Pid = holt_ct:call(A, fun() -> holt_ct:register(Reg, key, 1, []) end),
    yes = holt_ct:call(A, fun() -> holt_registry:register_name({Reg, other}, Pid) end),
    await_count(Nodes, Reg, 2),
    holt_ct:call(B, fun() ->
        ok = holt_registry:unregister(Reg, key),
        [] = holt_registry:lookup(Reg, key),
        ok = holt_registry:unregister(Reg, key)
    end),
    await_count(Nodes, Reg, 1),
    await_name(Nodes, Reg, other, Pid),
    ?assert(holt_ct:call(A, fun() -> is_process_alive(Pid) end)),
    %% A name that goes round: taken away here, given again there.
    holt_ct:call(C, fun() ->
        lists:foreach(
            fun(N) ->
                {ok, _} = holt_ct:do(Pid, fun() -> holt_registry:register(Reg, key, N) end),
                holt_ct:wait_until(fun() -> holt_registry:lookup(Reg, key) =:= [{Pid, N}] end),
                ok = holt_registry:unregister(Reg, key),
                [] = holt_registry:lookup(Reg, key)
            end,
            lists:seq(1, 200)
        )
    end).

%% A node that does not answer is named; nothing is changed.
three_nodes_frozen_replica_is_unreachable(Config) ->
    {Reg, [A, B | _] = Nodes} = start_everywhere(Config),
    Replica = holt_replica:process_name(Reg),
    Pid = holt_ct:call(A, fun() -> holt_ct:register(Reg, key, 1, []) end),
    await_name(Nodes, Reg, key, Pid),
    holt_ct:call(A, fun() -> sys:suspend(Replica) end),
    ?assertEqual(
        {error, {unreachable, holt_ct:node_of(A)}},
        holt_ct:call(B, fun() -> holt_registry:unregister(Reg, key) end)
    ),
    holt_ct:call(A, fun() -> sys:resume(Replica) end),
    await_name(Nodes, Reg, key, undefined).

%%--------------------------------------------------------------------
%% Processes of ours that end

three_nodes_replica_is_killed(Config) ->
    {Reg, [A | _] = Nodes} = start_everywhere(Config),
    _ = register_many(A, Reg, 100),
    await_count(Nodes, Reg, 100),
    holt_ct:call(A, fun() -> holt_ct:kill(whereis(holt_replica:process_name(Reg))) end),
    %% The others do not even blink.
    everywhere(Nodes, fun() -> 100 = holt_registry:count(Reg) end),
    _ = register_many(A, Reg, 200),
    await_count(Nodes, Reg, 200),
    await_agreement(Nodes, Reg).

three_nodes_replicas_crash_together(Config) ->
    {Reg, [A, B, C] = Nodes} = start_everywhere(Config),
    _ = [register_many(Node, Reg, 100) || Node <- Nodes],
    await_count(Nodes, Reg, 300),
    Kill = fun() -> holt_ct:kill(whereis(holt_replica:process_name(Reg))) end,
    _ = [holt_ct:call(Node, Kill) || Node <- [A, B]],
    %% While the instance of one of them goes for good.
    holt_ct:call(B, fun() -> holt_registry:stop(Reg) end),
    _ = register_many(A, Reg, 150),
    await_count([A, C], Reg, 250),
    await_agreement([A, C], Reg).

three_nodes_root_is_killed(Config) ->
    Reg = registry(Config),
    [A | _] = Nodes = nodes_of(Config),
    Options = #{name => Reg, replica_restart_ms => 200, orphan_ms => 600000},
    _ = [holt_ct:start_registry(Node, Options) || Node <- Nodes],
    _ = register_many(A, Reg, 100),
    await_count(Nodes, Reg, 100),
    holt_ct:call(A, fun() -> holt_ct:kill(whereis(Reg)) end),
    %% Nobody serves the names of A: hidden elsewhere, after a while.
    await_count(tl(Nodes), Reg, 0),
    holt_ct:call(A, fun() -> 100 = holt_registry:count(Reg) end),
    _ = holt_ct:start_registry(A, Options),
    await_count(Nodes, Reg, 100),
    await_agreement(Nodes, Reg).

%% Killed, or down with its parent: nobody misses a name, here or there.
three_nodes_orphan_is_adopted(Config) ->
    Reg = registry(Config),
    [A | _] = Nodes = nodes_of(Config),
    Options = #{name => Reg, replica_restart_ms => 600000, orphan_ms => 600000},
    _ = [holt_ct:start_registry(Node, Options) || Node <- Nodes],
    _ = [register_many(Node, Reg, 100) || Node <- Nodes],
    Pid = holt_ct:call(A, fun() -> holt_ct:register(Reg, mortal, 0, []) end),
    await_count(Nodes, Reg, 301),
    #{actor := Actor} = holt_ct:call(A, holt_cluster, info, [Reg]),
    Readers = [{Node, holt_ct:call(Node, fun() -> start_reader(Reg) end)} || Node <- Nodes],
    Ends = [
        fun() -> holt_ct:kill(whereis(Reg)) end,
        fun() ->
            %% A supervisor of its own, which crashes.
            {ok, Sup} = restarting_sup:start_link_specs([holt_registry:child_spec(Options)]),
            true = unlink(Sup),
            Root = whereis(Reg),
            holt_ct:kill(Sup),
            killed = holt_ct:exit_of(Root),
            ok
        end,
        fun() ->
            Self = self(),
            spawn(fun() ->
                {ok, Root} = holt_registry:start_link(Options),
                Self ! {root, Root},
                exit(crash)
            end),
            receive
                {root, Root} -> crash = holt_ct:exit_of(Root)
            end,
            ok
        end
    ],
    holt_ct:call(A, fun() -> lists:foreach(fun(End) -> End() end, Ends) end),
    %% The orphan goes on giving names.
    {ok, _} = holt_ct:call(A, fun() ->
        holt_ct:do(Pid, fun() -> holt_registry:register(Reg, {mortal, 2}, 0) end)
    end),
    _ = holt_ct:start_registry(A, Options),
    ?assertMatch(#{actor := Actor}, holt_ct:call(A, holt_cluster, info, [Reg])),
    await_count(Nodes, Reg, 302),
    await_agreement(Nodes, Reg),
    _ = [
        ?assertMatch({_, []}, {Node, holt_ct:call(Node, fun() -> ask(Reader, stop) end)})
     || {Node, Reader} <- Readers
    ],
    %% Its processes are watched as before.
    holt_ct:call(A, fun() -> holt_ct:kill(Pid) end),
    await_name(Nodes, Reg, mortal, undefined),
    await_count(Nodes, Reg, 300),
    await_agreement(Nodes, Reg).

three_nodes_orphan_is_given_up(Config) ->
    Reg = registry(Config),
    [A, B, C] = Nodes = nodes_of(Config),
    Options = #{name => Reg, replica_restart_ms => 100, orphan_ms => 200},
    _ = [holt_ct:start_registry(Node, Options) || Node <- Nodes],
    _ = [register_many(Node, Reg, 100) || Node <- Nodes],
    await_count(Nodes, Reg, 300),
    holt_ct:call(A, fun() -> holt_ct:kill(whereis(Reg)) end),
    await_count([B, C], Reg, 200),
    holt_ct:await(A, fun() -> holt_nif:count(Reg) =:= {invalid, no_instance} end),
    ?assertMatch(
        [{1, "no registry named" ++ _}],
        holt_ct:call(A, fun() -> holt_ct:badarg(fun() -> holt_registry:count(Reg) end) end)
    ),
    AName = holt_ct:node_of(A),
    everywhere([B, C], fun() ->
        [] = [K || {{N, _} = K, _, _} <- holt_registry:to_list(Reg), N =:= AName],
        false = lists:member({Reg, AName}, holt_cluster:members(Reg)),
        ok
    end),
    %% What is started there is another one.
    _ = holt_ct:start_registry(A, Options),
    await_count(Nodes, Reg, 200),
    _ = register_many(A, Reg, 50),
    await_count(Nodes, Reg, 250),
    await_agreement(Nodes, Reg).

%% Gone at once, without waiting for a replica that might come back.
three_nodes_tree_is_shut_down(Config) ->
    Reg = registry(Config),
    [A | Others] = Nodes = nodes_of(Config),
    Options = #{name => Reg, replica_restart_ms => 600000, orphan_ms => 600000},
    _ = [holt_ct:start_registry(Node, Options) || Node <- Others],
    Sup = holt_ct:call(A, fun() ->
        {ok, Sup} = restarting_sup:start_link_specs([holt_registry:child_spec(Options)]),
        true = unlink(Sup),
        Sup
    end),
    _ = [register_many(Node, Reg, 100) || Node <- Nodes],
    await_count(Nodes, Reg, 300),
    holt_ct:call(A, fun() -> ok = gen_server:stop(Sup) end),
    everywhere(Others, fun() ->
        holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 200 end, 1000)
    end),
    ?assertEqual({invalid, no_instance}, holt_ct:call(A, holt_nif, count, [Reg])),
    %% It has said so itself: nothing of it is kept for its return.
    AName = holt_ct:node_of(A),
    everywhere(Others, fun() ->
        holt_ct:wait_until(fun() ->
            [] =:= [M || #{member := {_, N} = M} <- holt_cluster:members(Reg, all), N =:= AName]
        end)
    end).

%% Hidden until it is back, whatever it is asked to do meanwhile.
three_nodes_application_is_stopped(Config) ->
    Reg = registry(Config),
    [A, B, C] = Nodes = nodes_of(Config),
    Options = #{name => Reg, replica_restart_ms => 600000, orphan_ms => 600000},
    _ = [holt_ct:start_registry(Node, Options) || Node <- Nodes],
    _ = [register_many(Node, Reg, 100) || Node <- Nodes],
    Pid = holt_ct:call(B, fun() -> holt_ct:register(Reg, mortal, 0, []) end),
    await_count(Nodes, Reg, 301),
    BName = holt_ct:node_of(B),
    #{actor := Actor} = holt_ct:call(B, holt_cluster, info, [Reg]),
    State = fun() ->
        [S] = [S || #{member := {_, N}, state := S} <- holt_cluster:members(Reg, all), N =:= BName],
        S
    end,
    %% On its own node nobody misses a name.
    Reader = holt_ct:call(B, fun() ->
        Own = [Entry || {_, P, _} = Entry <- holt_registry:to_list(Reg), node(P) =:= BName],
        start_reader(Reg, Own)
    end),
    Round = fun(N) ->
        ok = holt_ct:call(B, application, stop, [holt]),
        everywhere([A, C], fun() ->
            holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 200 + N - 1 end, 1000),
            paused = State(),
            undefined = holt_registry:whereis_name({Reg, mortal}),
            2 = length(holt_cluster:members(Reg)),
            ok
        end),
        holt_ct:call(B, fun() ->
            Pid = holt_registry:whereis_name({Reg, mortal}),
            yes = holt_registry:register_name({Reg, {meanwhile, N}}, Pid)
        end),
        %% Its replica process may crash; it stays hidden.
        holt_ct:call(B, fun() -> holt_ct:kill(whereis(holt_replica:process_name(Reg))) end),
        _ = register_many(A, Reg, 100 + N),
        await_count([C], Reg, 200 + N),
        everywhere([A, C], fun() -> paused = State() end),
        holt_ct:call(B, fun() -> ok = application:start(holt) end),
        await_count(Nodes, Reg, 301 + 2 * N),
        await_agreement(Nodes, Reg),
        everywhere(Nodes, fun() -> present = State() end)
    end,
    ok = lists:foreach(Round, [1, 2, 3]),
    ?assertEqual([], holt_ct:call(B, fun() -> ask(Reader, stop) end)),
    ?assertMatch(#{actor := Actor}, holt_ct:call(B, holt_cluster, info, [Reg])),
    holt_ct:call(B, fun() -> holt_ct:kill(Pid) end),
    await_name(Nodes, Reg, mortal, undefined),
    %% Its root is watched again.
    holt_ct:call(B, fun() -> holt_ct:kill(whereis(Reg)) end),
    _ = holt_ct:start_registry(B, Options),
    await_agreement(Nodes, Reg),
    holt_ct:call(B, fun() -> ok = holt_registry:stop(Reg) end),
    await_agreement([A, C], Reg).

three_nodes_know_how_far_they_are(Config) ->
    Reg = registry(Config),
    [A, B, C] = Nodes = nodes_of(Config),
    Options = #{name => Reg, vector_interval_ms => 50, replica_restart_ms => 600000},
    _ = [holt_ct:start_registry(Node, Options) || Node <- Nodes],
    _ = [register_many(Node, Reg, 100) || Node <- Nodes],
    InSync = fun() ->
        everywhere(Nodes, fun() ->
            holt_ct:wait_until(fun() -> holt_cluster:in_sync(Reg) end)
        end)
    end,
    InSync(),
    await_count(Nodes, Reg, 300),
    [AName, BName, CName] = [holt_ct:node_of(Node) || Node <- Nodes],
    Peers = holt_ct:call(A, holt_cluster, peers, [Reg]),
    ?assertEqual(lists:sort([{Reg, BName}, {Reg, CName}]), [M || #{member := M} <- Peers]),
    _ = [
        begin
            ?assertMatch(
                #{
                    state := up,
                    lag := 0,
                    acked := 100,
                    version := 100,
                    in_flight_bytes := 0,
                    protocol := 1,
                    in_sync := true,
                    refused := Refused
                } when Refused =:= #{},
                Peer
            ),
            %% The same machine.
            #{clock_ms := ClockMs} = Peer,
            ?assert(abs(ClockMs) < 5000),
            ?assertEqual(10, map_size(Peer))
        end
     || Peer <- Peers
    ],
    PeerOfA = fun(Node) ->
        [Peer] = [P || #{member := {_, N}} = P <- holt_cluster:peers(Reg), N =:= Node],
        Peer
    end,
    %% Who does not answer is behind.
    Replica = holt_replica:process_name(Reg),
    holt_ct:call(C, fun() -> ok = sys:suspend(Replica) end),
    _ = register_many(A, Reg, 110),
    holt_ct:call(A, fun() ->
        holt_ct:wait_until(fun() -> maps:get(lag, PeerOfA(BName)) =:= 0 end),
        #{lag := 10, acked := 100, version := 110} = PeerOfA(CName),
        false = holt_cluster:in_sync(Reg)
    end),
    holt_ct:call(C, fun() -> ok = sys:resume(Replica) end),
    InSync(),
    %% What it sends in a wrong form is counted as its own.
    Process = {Replica, AName},
    holt_ct:call(B, fun() ->
        Hello = {holt_hello, whereis(Replica), Reg, <<1, 2, 3>>, []},
        _ = [Process ! Hello || _ <- [1, 2, 3]],
        ok
    end),
    holt_ct:call(A, fun() ->
        holt_ct:wait_until(fun() -> maps:get(refused, PeerOfA(BName)) =:= #{malformed => 3} end),
        0 = map_size(maps:get(refused, PeerOfA(CName))),
        ok
    end),
    %% One that is missing may come back with anything.
    holt_ct:call(C, fun() -> holt_ct:kill(whereis(Reg)) end),
    holt_ct:call(A, fun() ->
        holt_ct:wait_until(fun() -> maps:get(state, PeerOfA(CName)) =:= connecting end),
        false = holt_cluster:in_sync(Reg)
    end),
    _ = holt_ct:start_registry(C, Options),
    InSync(),
    holt_ct:call(C, fun() -> ok = holt_registry:stop(Reg) end),
    holt_ct:call(A, fun() ->
        holt_ct:wait_until(fun() -> length(holt_cluster:peers(Reg)) =:= 1 end),
        [_, _] = holt_cluster:members(Reg, all),
        ok
    end).

%%--------------------------------------------------------------------
%% Conflicts

%% Each node gives every name away before it hears of the others.
three_nodes_race_for_names(Config) ->
    {Reg, Nodes} = start_everywhere(Config),
    Replica = holt_replica:process_name(Reg),
    Keys = lists:seq(1, 100),
    everywhere(Nodes, fun() -> sys:suspend(Replica) end),
    Run = fun() ->
        [
            begin
                Pid = holt_ct:start(),
                Register = fun() -> holt_registry:register(Reg, Key, node()) end,
                {Key, Pid, holt_ct:do(Pid, Register)}
            end
         || Key <- Keys
        ]
    end,
    Answers = lists:append([holt_ct:call(Node, Run) || Node <- Nodes]),
    everywhere(Nodes, fun() -> sys:resume(Replica) end),
    await_count(Nodes, Reg, 100),
    await_agreement(Nodes, Reg),
    Winners = agreed_list(Nodes, Reg),
    Registered = [{Key, Pid} || {Key, Pid, {ok, _}} <- Answers],
    Losers = Registered -- [{Key, Pid} || {Key, Pid, _} <- Winners],
    ?assertEqual(300, length(Registered)),
    ?assertEqual(200, length(Losers)),
    %% Who lost a name is gone; who never had it, or kept it, lives.
    _ = [
        holt_ct:await(Node, fun() ->
            [] =:=
                [
                    Pid
                 || {Key, Pid, _} <- Answers,
                    node(Pid) =:= node(),
                    is_process_alive(Pid) =:= lists:member({Key, Pid}, Losers)
                ]
        end)
     || Node <- Nodes
    ],
    ok.

three_nodes_loser_that_stays_is_killed(Config) ->
    Reg = registry(Config),
    [A, B | _] = nodes_of(Config),
    Options = #{name => Reg, conflict_grace_ms => 100},
    %% Neither had met the other when it registered: the older keeps the name.
    {Older, Newer} = two_holders(A, B, Options, [trap_exit]),
    await_name([A, B], Reg, key, Older),
    ?assertEqual(killed, holt_ct:call(B, fun() -> final_reason(Newer) end)),
    ?assert(holt_ct:call(A, fun() -> is_process_alive(Older) end)).

%%--------------------------------------------------------------------
%% What peers send

three_nodes_large_values(Config) ->
    {Reg, Nodes} = start_everywhere(Config),
    Sizes = [0, 1, 1000, 65535, 65536, 65537, 200000, 1000000],
    everywhere(Nodes, fun() ->
        _ = [
            holt_ct:register(Reg, {node(), Size}, binary:copy(<<Size:8>>, Size), [])
         || Size <- Sizes
        ],
        ok
    end),
    await_count(Nodes, Reg, 3 * length(Sizes)),
    await_agreement(Nodes, Reg),
    List = agreed_list(Nodes, Reg),
    _ = [?assert(Value =:= binary:copy(<<Size:8>>, Size)) || {{_, Size}, _, Value} <- List].

three_nodes_peer_sends_garbage(Config) ->
    {Reg, [A, B | _] = Nodes} = start_everywhere(Config),
    _ = register_many(A, Reg, 200),
    await_count(Nodes, Reg, 200),
    Target = {holt_replica:process_name(Reg), holt_ct:node_of(A)},
    Replica = holt_ct:call(A, fun() -> whereis(holt_replica:process_name(Reg)) end),
    BReplica = holt_ct:call(B, fun() -> whereis(holt_replica:process_name(Reg)) end),
    Seed = rand:uniform(1 bsl 32),
    ct:pal("seed ~p", [Seed]),
    %% B starts again, so that A hears a hello.
    {Hello, Data} = holt_ct:call(A, fun() ->
        overheard(Reg, fun() -> exit(BReplica, kill) end)
    end),
    _ = register_many(B, Reg, 100),
    holt_ct:call(B, fun() ->
        _ = rand:seed(exsss, Seed),
        From = whereis(holt_replica:process_name(Reg)),
        Hellos = [{holt_hello, From, Reg, Bytes, []} || Bytes <- mutants(Hello, 300)],
        Datas = [
            {holt_data, Header, Body}
         || {H, D} <- Data,
            {Header, Body} <-
                [{Mutant, D} || Mutant <- mutants(H, 100)] ++
                    [{H, Mutant} || Mutant <- mutants(D, 300)]
        ],
        Huge = binary:copy(<<255>>, 4 bsl 20),
        Others = [
            garbage,
            {holt_hello, From, Reg, Huge, []},
            {holt_data, Huge, <<>>},
            {holt_data, <<>>, Huge},
            {holt_data, binary:copy(<<0>>, 17), Huge},
            {holt_hello, From, [deep], Hello, []},
            {holt_hello, From, Reg, {not_a, binary}, []},
            {holt_hello, self(), Reg, <<>>, []},
            {holt_hello, From, Reg, Hello, garbage},
            {holt_nodes, garbage},
            {holt_data, [1], [2]},
            {'$gen_call', {self(), make_ref()}, {unregister, fun() -> ok end}},
            {'$gen_call', self(), {await, a, b, c, d}},
            {'$gen_cast', garbage},
            {nodedown, a, b, c}
        ],
        _ = [Target ! Message || Message <- Hellos ++ Datas ++ Others],
        ok
    end),
    holt_ct:call(A, fun() ->
        {status, _, _, _} = sys:get_status(Replica),
        Replica = whereis(holt_replica:process_name(Reg)),
        #{refused := #{malformed := Refused}} = holt_cluster:info(Reg),
        true = Refused > 100,
        ok
    end),
    %% It still works, in both directions.
    _ = [register_many(Node, Reg, 300) || Node <- Nodes],
    await_count(Nodes, Reg, 900),
    await_agreement(Nodes, Reg).

three_nodes_pid_of_another_node_is_refused(Config) ->
    {Reg, [A, B | _]} = start_everywhere(Config),
    Pid = holt_ct:call(A, fun() -> holt_ct:start() end),
    ?assertMatch(
        [{2, "a process of another node" ++ _}],
        holt_ct:call(B, fun() ->
            holt_ct:badarg(fun() -> holt_registry:register_name({Reg, key}, Pid) end)
        end)
    ).

%%--------------------------------------------------------------------
%% Nodes that go and come

node_is_killed_and_its_names_vanish(Config) ->
    with_nodes(3, no_overlap(), fun([A, B, C] = Nodes) ->
        Reg = registry(Config),
        _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
        _ = [register_many(Node, Reg, 1000) || Node <- Nodes],
        await_count(Nodes, Reg, 3000),
        CName = holt_ct:node_of(C),
        Self = self(),
        %% As soon as a node knows of it, not some time later.
        Watch = fun() ->
            true = monitor_node(CName, true),
            receive
                {nodedown, CName} -> ok
            end,
            Begin = erlang:monotonic_time(millisecond),
            holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 2000 end),
            erlang:monotonic_time(millisecond) - Begin
        end,
        _ = [spawn_link(fun() -> Self ! {Node, holt_ct:call(Node, Watch)} end) || Node <- [A, B]],
        holt_ct:kill_node(C),
        Took = [
            receive
                {Node, Ms} -> Ms
            end
         || Node <- [A, B]
        ],
        ct:pal("vanished within ~p ms", [Took]),
        ?assert(lists:max(Took) < 500),
        everywhere([A, B], fun() ->
            undefined = holt_registry:whereis_name({Reg, {CName, 1}}),
            [] = holt_registry:lookup(Reg, {CName, 1}),
            [] = [K || {{Node, _} = K, _, _} <- holt_registry:to_list(Reg), Node =:= CName],
            false = lists:member({Reg, CName}, holt_cluster:members(Reg)),
            ok
        end),
        %% And can be given again.
        Pid = holt_ct:call(A, fun() -> holt_ct:register(Reg, {CName, 1}, new, []) end),
        await_name([A, B], Reg, {CName, 1}, Pid)
    end).

node_comes_back_under_its_name(Config) ->
    with_nodes(3, no_overlap(), fun([A, B, C] = Nodes) ->
        Reg = registry(Config),
        _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
        _ = [register_many(Node, Reg, 300) || Node <- Nodes],
        await_count(Nodes, Reg, 900),
        holt_ct:kill_node(C),
        New = holt_ct:restart_node(C, [A, B]),
        try
            All = [A, B, New],
            await_count([A, B], Reg, 600),
            _ = holt_ct:start_registry(New, #{name => Reg}),
            await_count(All, Reg, 600),
            await_agreement(All, Reg),
            %% The names of its predecessor are free.
            _ = register_many(New, Reg, 200),
            await_count(All, Reg, 800),
            await_agreement(All, Reg),
            CName = holt_ct:node_of(New),
            everywhere(All, fun() ->
                Pids = [P || {{N, _}, P, _} <- holt_registry:to_list(Reg), N =:= CName],
                200 = length(Pids),
                ok
            end),
            holt_ct:call(New, fun() ->
                true = lists:all(
                    fun(Pid) -> node(Pid) =/= node() orelse is_process_alive(Pid) end,
                    [P || {_, P, _} <- holt_registry:to_list(Reg)]
                ),
                ok
            end)
        after
            holt_ct:stop_nodes([New])
        end
    end).

node_stops_in_order(Config) ->
    with_nodes(2, no_overlap(), fun([A, B] = Nodes) ->
        Reg = registry(Config),
        _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
        _ = [register_many(Node, Reg, 100) || Node <- Nodes],
        await_count(Nodes, Reg, 200),
        holt_ct:stop_nodes([B]),
        await_count([A], Reg, 100)
    end).

two_holders_meet(Config) ->
    with_nodes(0, [], fun([]) ->
        Reg = registry(Config),
        Nodes = [holt_ct:start_node(peer:random_name("holt_ct"), apart()) || _ <- [a, b, c]],
        try
            [A, B, C] = Nodes,
            _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
            %% One after the other, so that A's is the oldest: of nodes that had met
            %% nobody the incumbent keeps the name.
            Holders = [
                holt_ct:call(Node, fun() ->
                    Pid = holt_ct:register(Reg, {the, key}, node(), []),
                    {ok, _} = holt_ct:do(Pid, fun() ->
                        holt_registry:register(Reg, {own, node()}, 1)
                    end),
                    _ = holt_ct:register(Reg, {bystander, node()}, 1, []),
                    tick(),
                    Pid
                end)
             || Node <- Nodes
            ],
            [OfA, OfB, OfC] = Holders,
            Self = self(),
            _ = [
                spawn_link(fun() ->
                    Self ! {Pid, holt_ct:call(Node, fun() -> final_reason(Pid) end)}
                end)
             || {Node, Pid} <- [{B, OfB}, {C, OfC}]
            ],
            holt_ct:connect(Nodes),
            Reasons = [
                receive
                    {Pid, Reason} -> {Pid, Reason}
                end
             || Pid <- [OfB, OfC]
            ],
            await_name(Nodes, Reg, {the, key}, OfA),
            await_agreement(Nodes, Reg),
            _ = [
                begin
                    Value = holt_ct:node_of(Node),
                    {Pid, {shutdown, {name_conflict, {{the, key}, Value}, Reg, Winner}}} =
                        lists:keyfind(Pid, 1, Reasons),
                    %% C's holder may have lost to B's before A's won.
                    ?assert(lists:member(Winner, [OfA, OfB] -- [Pid]))
                end
             || {Node, Pid} <- [{B, OfB}, {C, OfC}]
            ],
            %% A's two, and the bystanders.
            Expected = lists:sort(
                [{the, key}, {own, holt_ct:node_of(A)}] ++
                    [{bystander, holt_ct:node_of(Node)} || Node <- Nodes]
            ),
            ?assertEqual(Expected, [Key || {Key, _, _} <- agreed_list(Nodes, Reg)])
        after
            holt_ct:stop_nodes(Nodes)
        end
    end).

link_is_cut_and_heals(Config) ->
    with_nodes(3, apart(), fun([A, B, C] = Nodes) ->
        Reg = registry(Config),
        _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
        _ = [register_many(Node, Reg, 100) || Node <- Nodes],
        await_count(Nodes, Reg, 300),
        _ = [holt_ct:cut(C, Other) || Other <- [A, B]],
        await_count([A, B], Reg, 200),
        await_count([C], Reg, 100),
        Older = holt_ct:call(A, fun() -> holt_ct:register(Reg, key, old, []) end),
        _ = [register_many(Node, Reg, 150) || Node <- Nodes],
        Newer = holt_ct:call(C, fun() -> holt_ct:register(Reg, key, new, []) end),
        await_name([A, B], Reg, key, Older),
        holt_ct:connect(Nodes),
        await_count(Nodes, Reg, 451),
        await_name(Nodes, Reg, key, Newer),
        await_agreement(Nodes, Reg),
        holt_ct:await(A, fun() -> not is_process_alive(Older) end),
        %% Again and again.
        _ = [
            begin
                holt_ct:cut(A, B),
                holt_ct:connect(Nodes)
            end
         || _ <- lists:seq(1, 10)
        ],
        await_count(Nodes, Reg, 451),
        await_agreement(Nodes, Reg)
    end).

distribution_starts_after_the_instance(Config) ->
    with_nodes(1, no_overlap(), fun([A]) ->
        Reg = registry(Config),
        _ = holt_ct:start_registry(A, #{name => Reg}),
        _ = register_many(A, Reg, 50),
        Alone = holt_ct:start_node(undefined, no_overlap()),
        try
            _ = holt_ct:start_registry(Alone, #{name => Reg}),
            Pid = holt_ct:call(Alone, fun() -> holt_ct:register(Reg, lonely, 1, []) end),
            [{Reg, nonode@nohost}] = holt_ct:call(Alone, holt_cluster, members, [Reg]),
            Name = list_to_atom(peer:random_name("holt_ct")),
            AName = holt_ct:node_of(A),
            Node = holt_ct:call(Alone, fun() ->
                {ok, _} = net_kernel:start(Name, #{name_domain => shortnames}),
                true = net_kernel:connect_node(AName),
                node()
            end),
            await_count([A, Alone], Reg, 51),
            await_agreement([A, Alone], Reg),
            %% Pids are written with the node's new name.
            Found = holt_ct:call(A, holt_registry, whereis_name, [{Reg, lonely}]),
            ?assertEqual(Node, node(Found)),
            ?assertEqual(Node, holt_ct:call(A, fun() -> holt_ct:on(Found) end)),
            ?assertEqual(
                Found, holt_ct:call(Alone, fun() -> holt_registry:whereis_name({Reg, lonely}) end)
            ),
            ?assert(is_pid(Pid)),
            %% And alone again.
            holt_ct:call(Alone, fun() -> ok = net_kernel:stop() end),
            await_count([Alone], Reg, 1),
            await_count([A], Reg, 50)
        after
            holt_ct:stop_nodes([Alone])
        end
    end).

%% Each time it is another node, also under the name that it had.
distribution_starts_and_stops_again(Config) ->
    with_late_node(Config, #{}, fun(Reg, A, Late, Start) ->
        [_, Two, Two] = [Start(Name, fun() -> ok end) || Name <- [one, two, two]],
        %% Faster than its replica process can see.
        Replica = holt_replica:process_name(Reg),
        holt_ct:call(Late, fun() -> ok = sys:suspend(Replica) end),
        Resume = fun() -> holt_ct:call(Late, fun() -> ok = sys:resume(Replica) end) end,
        Two = Start(two, Resume),
        holt_ct:call(Late, fun() -> ok = net_kernel:stop() end),
        await_count([Late], Reg, 1),
        await_count([A], Reg, 50)
    end).

%% Nobody is there to see that the node is another one; who adopts the orphan is.
distribution_starts_under_an_orphan(Config) ->
    with_late_node(Config, #{orphan_ms => 600000}, fun(Reg, A, Late, Start) ->
        Kill = fun() -> holt_ct:call(Late, fun() -> holt_ct:kill(whereis(Reg)) end) end,
        Again = fun() -> holt_ct:start_registry(Late, #{name => Reg, orphan_ms => 600000}) end,
        Actor = fun() ->
            #{actor := Actor} = holt_ct:call(Late, holt_cluster, info, [Reg]),
            Actor
        end,
        Actors = [
            begin
                Kill(),
                _ = Start(Name, Again),
                Actor()
            end
         || Name <- [one, two, two]
        ],
        ?assertEqual(3, length(lists:usort(Actors))),
        Kill(),
        holt_ct:call(Late, fun() -> ok = net_kernel:stop() end),
        Again(),
        await_count([Late], Reg, 1),
        await_count([A], Reg, 50)
    end).

%% Node A has fifty names; the late one has one, `lonely', before it is any node.  Start
%% gives it a name, whatever it had before, and checks that both have all names.
with_late_node(Config, More, Fun) ->
    with_nodes(1, no_overlap(), fun([A]) ->
        Reg = registry(Config),
        Options = More#{name => Reg},
        _ = holt_ct:start_registry(A, Options),
        _ = register_many(A, Reg, 50),
        Late = holt_ct:start_node(undefined, no_overlap()),
        try
            _ = holt_ct:start_registry(Late, Options),
            Pid = holt_ct:call(Late, fun() -> holt_ct:register(Reg, lonely, 1, []) end),
            Suffix = peer:random_name("holt_ct"),
            Check = fun(Node) ->
                await_count([A, Late], Reg, 51),
                await_agreement([A, Late], Reg),
                %% The old pid does not fit any more.
                Found = holt_ct:call(A, holt_registry, whereis_name, [{Reg, lonely}]),
                ?assertEqual(Node, node(Found)),
                ?assertEqual(Node, holt_ct:call(A, fun() -> holt_ct:on(Found) end)),
                holt_ct:call(Late, fun() ->
                    [{Found, 1}] = holt_registry:lookup(Reg, lonely),
                    [lonely] = holt_registry:keys(Reg, Found),
                    2 = length(holt_cluster:members(Reg)),
                    ok
                end),
                ?assert(is_pid(Pid))
            end,
            Fun(Reg, A, Late, fun(Name, Then) ->
                Node = start_distribution(Late, lists:concat([Name, Suffix]), A, Then),
                Check(Node),
                Node
            end)
        after
            holt_ct:stop_nodes([Late])
        end
    end).

start_distribution(Late, Name, Other, Then) ->
    Stop = fun() ->
        Node = node(),
        _ = is_alive() andalso (ok = net_kernel:stop()),
        Node
    end,
    Before = holt_ct:call(Late, Stop),
    holt_ct:await(Other, fun() -> not lists:member(Before, nodes(connected)) end),
    Start = fun() ->
        %% The name is free when epmd has seen the node's end, too.
        holt_ct:wait_until(fun() ->
            case net_kernel:start(list_to_atom(Name), #{name_domain => shortnames}) of
                {ok, _} -> true;
                {error, Reason} -> Reason
            end
        end),
        node()
    end,
    Node = holt_ct:call(Late, Start),
    Then(),
    OtherNode = holt_ct:node_of(Other),
    holt_ct:await(Late, fun() -> net_kernel:connect_node(OtherNode) end),
    Node.

hidden_node_takes_part(Config) ->
    with_nodes(1, no_overlap(), fun([A]) ->
        Reg = registry(Config),
        Hidden = holt_ct:start_node(peer:random_name("holt_ct"), ["-hidden" | no_overlap()]),
        try
            Nodes = [A, Hidden],
            holt_ct:connect(Nodes),
            _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
            _ = [register_many(Node, Reg, 10) || Node <- Nodes],
            await_count(Nodes, Reg, 20)
        after
            holt_ct:stop_nodes([Hidden])
        end
    end).

%% Names come and go on three nodes while links are cut and our processes are killed.
%% In the end every name has the holder that still believes to have it.
chaos_ends_in_agreement(Config) ->
    Seed = rand:uniform(1 bsl 32),
    ct:pal("seed ~p", [Seed]),
    _ = rand:seed(exsss, Seed),
    with_nodes(3, apart(), fun(Nodes) ->
        Reg = registry(Config),
        %% Whoever comes and goes so often would wait for long.
        Options = #{
            name => Reg,
            conflict_grace_ms => 600000,
            vector_interval_ms => 100,
            flap_ms_max => 500
        },
        _ = [holt_ct:start_registry(Node, Options) || Node <- Nodes],
        Workers = [
            {Node, holt_ct:call(Node, fun() -> spawn(fun() -> worker(Reg, Seed) end) end)}
         || Node <- Nodes
        ],
        Pick = fun() -> lists:nth(rand:uniform(3), Nodes) end,
        %% A supervisor lets ten crashes pass.
        What = fun
            (Step) when Step rem 10 =:= 0 -> kill;
            (Step) when Step rem 10 =:= 5 -> orphan;
            (Step) when Step rem 10 =:= 7 -> pause;
            (Step) when Step rem 3 =:= 0 -> connect;
            (_) -> cut
        end,
        _ = [disturb(What(Step), Options, Pick(), Pick(), Nodes) || Step <- lists:seq(1, 100)],
        holt_ct:connect(Nodes),
        Believed = lists:append([
            holt_ct:call(Node, fun() -> ask(Worker, stop) end)
         || {Node, Worker} <- Workers
        ]),
        ct:pal("~p names at the end of ~p registrations", [
            length(Believed),
            lists:sum([
                holt_ct:call(Node, fun() -> ask(Worker, registrations) end)
             || {Node, Worker} <- Workers
            ])
        ]),
        await_agreement(Nodes, Reg),
        Told = lists:sort(
            lists:append([
                holt_ct:call(Node, fun() -> ask(Worker, names) end)
             || {Node, Worker} <- Workers
            ])
        ),
        ?assertEqual(Told, [{Key, Pid} || {Key, Pid, _} <- agreed_list(Nodes, Reg)]),
        ?assertEqual([], Told -- Believed)
    end).

disturb(connect, _Options, _A, _B, Nodes) ->
    holt_ct:connect(Nodes);
disturb(cut, _Options, Node, Node, Nodes) ->
    holt_ct:connect(Nodes);
disturb(cut, _Options, A, B, _Nodes) ->
    holt_ct:cut(A, B);
disturb(orphan, #{name := Reg} = Options, A, _B, _Nodes) ->
    holt_ct:call(A, fun() -> holt_ct:kill(whereis(Reg)) end),
    _ = holt_ct:start_registry(A, Options);
disturb(pause, _Options, A, B, _Nodes) ->
    ok = holt_ct:call(A, application, stop, [holt]),
    _ = A =/= B andalso holt_ct:cut(A, B),
    ok = holt_ct:call(A, application, start, [holt]);
disturb(kill, #{name := Reg}, A, _B, _Nodes) ->
    Process = holt_replica:process_name(Reg),
    holt_ct:call(A, fun() ->
        _ = [holt_ct:kill(Pid) || Pid <- [whereis(Process)], is_pid(Pid)],
        holt_ct:wait_until(fun() -> is_pid(whereis(Process)) end)
    end).

%% Holds names and gives them back, until it is told to stop.  It traps exits, so that a
%% lost name costs it that name and nothing else.
worker(Reg, Seed) ->
    _ = process_flag(trap_exit, true),
    _ = rand:seed(exsss, Seed + erlang:phash2(node())),
    work(Reg, #{}, 0, running).

work(Reg, Names, Count, State) ->
    receive
        {'EXIT', _, {shutdown, {name_conflict, {Key, {Id, _}}, Reg, _}}} ->
            case Names of
                #{Key := Id} -> work(Reg, maps:remove(Key, Names), Count, State);
                #{} -> work(Reg, Names, Count, State)
            end;
        {From, registrations} ->
            From ! {self(), Count},
            work(Reg, Names, Count, State);
        {From, names} ->
            From ! {self(), [{Key, self()} || Key <- maps:keys(Names)]},
            work(Reg, Names, Count, State);
        {From, stop} ->
            From ! {self(), [{Key, self()} || Key <- maps:keys(Names)]},
            work(Reg, Names, Count, stopped)
    after wait_ms(State) ->
        Key = rand:uniform(30),
        case {Names, rand:uniform(3)} of
            {#{Key := Id}, 1} ->
                _ = holt_registry:update_value(Reg, Key, fun({I, N}) when I =:= Id ->
                    {Id, N + 1}
                end),
                work(Reg, Names, Count, State);
            {#{Key := _}, 2} ->
                %% Only here: the name may have a holder on another node by now.
                _ = holt_nif:unregister(Reg, Key),
                work(Reg, maps:remove(Key, Names), Count, State);
            {#{Key := _}, 3} ->
                work(Reg, Names, Count, State);
            {#{}, _} ->
                case holt_registry:register(Reg, Key, {Count, 0}) of
                    {ok, _} -> work(Reg, Names#{Key => Count}, Count + 1, State);
                    {error, {already_registered, _}} -> work(Reg, Names, Count, State)
                end
        end
    end.

wait_ms(running) -> rand:uniform(3) - 1;
wait_ms(stopped) -> infinity.

ask(Worker, Question) ->
    Worker ! {self(), Question},
    receive
        {Worker, Answer} -> Answer
    after 10000 -> error({no_answer, Question})
    end.

%% Once for as long as a node runs, and only if there is somebody to lose.
overlapping_partitions_are_warned_of_once(_Config) ->
    Meet = fun([A, B], Reg) ->
        _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- [A, B]],
        holt_ct:await(A, fun() -> length(holt_cluster:members(Reg)) =:= 2 end),
        %% What that made them do has been done.
        holt_ct:call(A, fun() ->
            _ = [sys:get_state(P) || P <- [holt_replica:process_name(Reg), holt_janitor]],
            ok
        end)
    end,
    Warnings = fun(Args) ->
        with_nodes(2, Args, fun([A, _] = Nodes) ->
            Counter = holt_ct:call(A, fun() -> start_counter() end),
            Count = fun() -> holt_ct:call(A, fun() -> ask(Counter, count) end) end,
            _ = holt_ct:start_registry(A, #{name => alone}),
            0 = Count(),
            ok = Meet(Nodes, first),
            First = Count(),
            ok = Meet(Nodes, second),
            ok = holt_ct:call(A, fun() -> holt_ct:kill(whereis(holt_janitor)) end),
            holt_ct:await(A, fun() -> is_pid(whereis(holt_janitor)) end),
            ok = Meet(Nodes, third),
            ok = holt_ct:call(A, fun() ->
                ok = application:stop(holt),
                application:start(holt)
            end),
            ok = Meet(Nodes, fourth),
            First = Count()
        end)
    end,
    ?assertEqual(1, Warnings([])),
    ?assertEqual(1, Warnings(["-kernel", "prevent_overlapping_partitions", "true"])),
    ?assertEqual(0, Warnings(["-connect_all", "false"])),
    ?assertEqual(0, Warnings(no_overlap())).

start_counter() ->
    Counter = spawn(fun() -> count_warnings(0) end),
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => Counter, level => warning}),
    Counter.

count_warnings(Count) ->
    receive
        warning ->
            count_warnings(Count + 1);
        {From, count} ->
            From ! {self(), Count},
            count_warnings(Count)
    end.

%% A logger handler.
log(#{level := warning, msg := {string, Text}}, #{config := Pid}) ->
    _ = string:find(Text, "prevent_overlapping_partitions") =/= nomatch andalso (Pid ! warning),
    ok;
log(#{msg := {Format, _}} = Event, Config) when is_list(Format) ->
    log(Event#{msg := {string, Format}}, Config);
log(_, _) ->
    ok.

%%--------------------------------------------------------------------
%% Helpers

registry(Config) ->
    proplists:get_value(registry, Config).

nodes_of(Config) ->
    proplists:get_value(nodes, Config).

no_overlap() ->
    ["-kernel", "prevent_overlapping_partitions", "false"].

%% Links are made and cut by the test alone.
apart() ->
    ["-connect_all", "false", "-kernel", "dist_auto_connect", "never" | no_overlap()].

with_nodes(Count, Args, Fun) ->
    Nodes = holt_ct:start_nodes(Count, Args),
    try
        Fun(Nodes)
    after
        holt_ct:stop_nodes(Nodes)
    end.

start_everywhere(Config) ->
    Reg = registry(Config),
    Nodes = nodes_of(Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
    {Reg, Nodes}.

stop_registry(Node, Reg) ->
    holt_ct:call(Node, fun() ->
        _ = [holt_registry:stop(Reg) || is_pid(whereis(Reg))],
        ok
    end).

everywhere(Nodes, Fun) ->
    lists:foreach(fun(Node) -> holt_ct:call(Node, Fun) end, Nodes).

await_name(Nodes, Reg, Key, Pid) ->
    everywhere(Nodes, fun() ->
        holt_ct:wait_until(fun() ->
            Found = holt_registry:whereis_name({Reg, Key}),
            Found =:= Pid orelse Found
        end)
    end).

await_count(Nodes, Reg, Count) ->
    everywhere(Nodes, fun() ->
        holt_ct:wait_until(fun() ->
            Found = holt_registry:count(Reg),
            Found =:= Count orelse Found
        end)
    end).

%% Names {node(), 1..Count} on a node, those that are not there yet, all of one process.
register_many(Node, Reg, Count) ->
    holt_ct:call(Node, fun() ->
        Pid = holt_ct:start(),
        Keys = [{node(), N} || N <- lists:seq(1, Count)],
        [yes | _] = [
            holt_registry:register_name({Reg, Key, Key}, Pid)
         || Key <- Keys, not holt_registry:is_registered(Reg, Key)
        ],
        Pid
    end).

%% Equal versions of equal actors everywhere, and so equal fingerprints.
await_agreement(Nodes, Reg) ->
    Present = fun() ->
        #{actors := Actors} = holt_cluster:info(Reg),
        lists:sort([
            {Actor, Version, Rows, Fingerprint}
         || #{
                actor := Actor,
                version := Version,
                rows := Rows,
                fingerprint := Fingerprint,
                shown := true
            } <- Actors
        ])
    end,
    holt_ct:wait_until(fun() ->
        All = [holt_ct:call(Node, Present) || Node <- Nodes],
        length(lists:usort(All)) =:= 1 andalso length(hd(All)) =:= length(Nodes) orelse All
    end).

%% The list of names, the same on all nodes.
agreed_list(Nodes, Reg) ->
    Lists = [
        holt_ct:call(Node, fun() -> lists:sort(holt_registry:to_list(Reg)) end)
     || Node <- Nodes
    ],
    [List] = lists:usort(Lists),
    List.

%% Looks for all names that there are now, over and over, until it is asked: which of them
%% were not there once?
start_reader(Reg) ->
    start_reader(Reg, holt_registry:to_list(Reg)).

start_reader(Reg, List) ->
    spawn(fun() -> read(Reg, List, []) end).

read(Reg, List, Missed) ->
    receive
        {From, stop} -> From ! {self(), Missed}
    after 0 ->
        Misses = [Key || {Key, Pid, _} <- List, holt_registry:whereis_name({Reg, Key}) =/= Pid],
        read(Reg, List, lists:usort(Misses ++ Missed))
    end.

%% Two processes with the name `key' on two connected nodes: B's instance does not hear
%% of A's before it has registered, because the replica process of A is held.
two_holders(A, B, #{name := Reg} = Options, Flags) ->
    _ = holt_ct:start_registry(A, Options),
    Older = holt_ct:call(A, fun() ->
        ok = sys:suspend(holt_replica:process_name(Reg)),
        Pid = holt_ct:register(Reg, key, older, Flags),
        tick(),
        Pid
    end),
    _ = holt_ct:start_registry(B, Options),
    Newer = holt_ct:call(B, fun() -> holt_ct:register(Reg, key, newer, Flags) end),
    holt_ct:call(A, fun() -> ok = sys:resume(holt_replica:process_name(Reg)) end),
    {Older, Newer}.

%% What is registered from now on is newer, on all nodes of this machine.
tick() ->
    Now = erlang:system_time(millisecond),
    holt_ct:wait_until(fun() -> erlang:system_time(millisecond) > Now + 5 end).

final_reason(Pid) ->
    holt_ct:exit_of(Pid).

%% What a replica process really gets while the fun runs, until it has had a hello and
%% data.
overheard(Reg, Fun) ->
    Replica = whereis(holt_replica:process_name(Reg)),
    1 = erlang:trace(Replica, true, ['receive']),
    Fun(),
    Overheard = overheard(Replica, undefined, []),
    1 = erlang:trace(Replica, false, ['receive']),
    Overheard.

overheard(_Replica, Hello, [_, _ | _] = Data) when Hello =/= undefined ->
    {Hello, Data};
overheard(Replica, Hello, Data) ->
    receive
        {trace, Replica, 'receive', {holt_hello, _, _, Bytes, _}} ->
            overheard(Replica, Bytes, Data);
        {trace, Replica, 'receive', {holt_data, H, B}} ->
            overheard(Replica, Hello, [{H, B} | Data])
    after 10000 -> error({heard, Hello, Data})
    end.

%% Cut short, bits turned, bytes put in, two halves.
mutants(Bytes, Count) ->
    [mutant(rand:uniform(4), Bytes) || _ <- lists:seq(1, Count)].

mutant(1, Bytes) ->
    binary:part(Bytes, 0, rand:uniform(byte_size(Bytes)) - 1);
mutant(2, Bytes) ->
    At = rand:uniform(byte_size(Bytes)) - 1,
    <<Before:At/binary, Byte, After/binary>> = Bytes,
    <<Before/binary, (Byte bxor (1 bsl (rand:uniform(8) - 1))), After/binary>>;
mutant(3, Bytes) ->
    At = rand:uniform(byte_size(Bytes)) - 1,
    <<Before:At/binary, After/binary>> = Bytes,
    <<Before/binary, (rand:bytes(rand:uniform(8)))/binary, After/binary>>;
mutant(4, Bytes) ->
    Cut = rand:uniform(byte_size(Bytes)) - 1,
    <<(binary:part(Bytes, Cut, byte_size(Bytes) - Cut))/binary, Bytes/binary>>.
