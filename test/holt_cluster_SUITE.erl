%% SPDX-License-Identifier: Apache-2.0
%% @doc Registries on three nodes that stay: real ones, with real links.
-module(holt_cluster_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

-import(holt_ct_cluster, [
    registry/1, nodes_of/1, no_overlap/0, everywhere/2, start_everywhere/1, stop_registry/2,
    register_many/3, two_holders/4, await_name/4, await_count/3, await_agreement/2,
    agreed_list/2
]).

%% Three nodes for all of them; each case has a registry of its own on them.
all() ->
    [
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
        three_nodes_process_elsewhere_gets_a_name
    ].

init_per_suite(Config) ->
    [{nodes, holt_ct:start_nodes(3, no_overlap())} | Config].

end_per_suite(Config) ->
    holt_ct:stop_nodes(nodes_of(Config)).

init_per_testcase(Case, Config) ->
    [{registry, Case} | Config].

end_per_testcase(Case, Config) ->
    lists:foreach(fun(Node) -> stop_registry(Node, Case) end, nodes_of(Config)).

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
    Expected = lists:sort(
        lists:append([
            [{{key, Name}, Pid, Name}, {{more, Name}, Pid, 1}]
         || {Name, Pid} <- lists:zip(Nodes, Pids)
        ])
    ),
    Members = lists:sort([{Reg, Node} || Node <- Nodes]),
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
         || {Name, Pid} <- lists:zip(Nodes, Pids)
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
    _ = [?assertEqual(B, holt_ct:call(N, fun() -> holt_ct:on(Via) end)) || N <- Nodes],
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
        {error, {unreachable, A}},
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
    Watchers = [holt_ct:watch(Node, {Reg, names(Node, Reg)}) || Node <- Nodes],
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
    #{node := A, version := [_ | _], instances := Here} = holt_ct:call(A, holt_cluster, info, []),
    ?assert(lists:member(Reg, Here)),
    _ = holt_ct:start_registry(A, Options),
    ?assertMatch(#{actor := Actor}, holt_ct:call(A, holt_cluster, info, [Reg])),
    await_count(Nodes, Reg, 302),
    await_agreement(Nodes, Reg),
    _ = [
        ?assertMatch({Missed, _} when Missed =:= #{}, holt_ct:missed(Watcher))
     || Watcher <- Watchers
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
    everywhere([B, C], fun() ->
        [] = [K || {{N, _} = K, _, _} <- holt_registry:to_list(Reg), N =:= A],
        false = lists:member({Reg, A}, holt_cluster:members(Reg)),
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
    everywhere(Others, fun() ->
        holt_ct:wait_until(fun() ->
            [] =:= [M || #{member := {_, N} = M} <- holt_cluster:members(Reg, all), N =:= A]
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
    #{actor := Actor} = holt_ct:call(B, holt_cluster, info, [Reg]),
    State = fun() ->
        [S] = [S || #{member := {_, N}, state := S} <- holt_cluster:members(Reg, all), N =:= B],
        S
    end,
    %% On its own node nobody misses a name.
    Own = [Name || {_, P} = Name <- names(B, Reg), node(P) =:= B],
    Watcher = holt_ct:watch(B, {Reg, Own}),
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
    ?assertMatch({Missed, _} when Missed =:= #{}, holt_ct:missed(Watcher)),
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
    Peers = holt_ct:call(A, holt_cluster, peers, [Reg]),
    ?assertEqual(lists:sort([{Reg, B}, {Reg, C}]), [M || #{member := M} <- Peers]),
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
        holt_ct:wait_until(fun() -> maps:get(lag, PeerOfA(B)) =:= 0 end),
        #{lag := 10, acked := 100, version := 110} = PeerOfA(C),
        false = holt_cluster:in_sync(Reg)
    end),
    holt_ct:call(C, fun() -> ok = sys:resume(Replica) end),
    InSync(),
    %% What it sends in a wrong form is counted as its own.
    Process = {Replica, A},
    holt_ct:call(B, fun() ->
        Hello = {holt_hello, whereis(Replica), Reg, <<1, 2, 3>>, []},
        _ = [Process ! Hello || _ <- [1, 2, 3]],
        ok
    end),
    holt_ct:call(A, fun() ->
        holt_ct:wait_until(fun() -> maps:get(refused, PeerOfA(B)) =:= #{malformed => 3} end),
        0 = map_size(maps:get(refused, PeerOfA(C))),
        ok
    end),
    %% One that is missing may come back with anything.
    holt_ct:call(C, fun() -> holt_ct:kill(whereis(Reg)) end),
    holt_ct:call(A, fun() ->
        holt_ct:wait_until(fun() -> maps:get(state, PeerOfA(C)) =:= connecting end),
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
    ?assertEqual(killed, holt_ct:call(B, fun() -> holt_ct:exit_of(Newer) end)),
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
    Target = {holt_replica:process_name(Reg), A},
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

three_nodes_process_elsewhere_gets_a_name(Config) ->
    {Reg, [A, B | _] = Nodes} = start_everywhere(Config),
    await_count(Nodes, Reg, 0),
    await_agreement(Nodes, Reg),
    Pid = holt_ct:call(A, fun() -> holt_ct:start() end),
    yes = holt_ct:call(B, fun() -> holt_registry:register_name({Reg, key}, Pid) end),
    no = holt_ct:call(B, fun() -> holt_registry:register_name({Reg, key}, self()) end),
    await_name(Nodes, Reg, key, Pid).

%%--------------------------------------------------------------------
%% Helpers

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

%% What a node finds.
names(Node, Reg) ->
    [{Key, Pid} || {Key, Pid, _} <- holt_ct:call(Node, holt_registry, to_list, [Reg])].
