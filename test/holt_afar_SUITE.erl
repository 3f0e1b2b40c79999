%% SPDX-License-Identifier: Apache-2.0
%% @doc Names of processes of other nodes: given, changed and taken from anywhere.
-module(holt_afar_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

-import(holt_ct_cluster, [
    registry/1, nodes_of/1, no_overlap/0, with_nodes/3, everywhere/2, stop_registry/2,
    await_name/4, await_count/3, await_agreement/2
]).

%% Three nodes for all of them; each case has a registry of its own on them.
all() ->
    [
        process_elsewhere_gets_a_name,
        process_elsewhere_may_not_be_there,
        name_is_on_all_nodes_when_asked_for,
        barrier_is_passed_by_all_names,
        late_acknowledgement_is_a_timeout,
        value_is_changed_where_it_is,
        name_is_given_from_node_to_node,
        standby_elsewhere_takes_over,
        standby_takes_over_from_a_lost_node,
        entries_of_all_nodes_are_one_key,
        only_the_owner_may_from_afar,
        quorum_is_needed,
        name_is_explained_from_afar,
        instance_stops_while_it_is_asked
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
%% Registering

process_elsewhere_gets_a_name(Config) ->
    {Reg, [A, B, C] = Nodes} = start(Config, #{}),
    Pid = holder(A),
    OfB = holder(B),
    %% Seen on both nodes when it returns, each time.
    lists:foreach(
        fun(N) ->
            {ok, Replica} = at(B, fun() ->
                Answer = holt_registry:register(Reg, N, {value, N}, #{pid => Pid}),
                [{Pid, {value, N}}] = holt_registry:lookup(Reg, N),
                Answer
            end),
            B = node(Replica),
            [{Pid, {value, N}}] = at(A, fun() -> holt_registry:lookup(Reg, N) end)
        end,
        lists:seq(1, 100)
    ),
    await_count(Nodes, Reg, 100),
    ?assertEqual(100, length(at(C, fun() -> holt_registry:keys(Reg, Pid) end))),
    ?assertEqual(
        {error, {already_registered, Pid}},
        at(C, fun() -> holt_registry:register(Reg, 1, x, #{pid => OfB}) end)
    ),
    ?assertMatch(
        {error, {too_large, _, _}},
        at(C, fun() ->
            holt_registry:register(Reg, x, binary:copy(<<0>>, 1100000), #{pid => Pid})
        end)
    ),
    ?assertEqual(
        ok, at(C, fun() -> holt_registry:unregister_keys(Reg, lists:seq(1, 100)) end)
    ),
    ?assertEqual(0, at(C, fun() -> holt_registry:count(Reg) end)),
    ?assertEqual(0, at(A, fun() -> holt_registry:count(Reg) end)).

process_elsewhere_may_not_be_there(Config) ->
    {Reg, [A, B, C]} = start(Config, #{}),
    Dead = holder(A),
    at(A, fun() -> holt_ct:kill(Dead) end),
    Register = fun(Pid) ->
        at(B, fun() -> holt_registry:register(Reg, key, 1, #{pid => Pid, timeout => 300}) end)
    end,
    ?assertEqual({error, not_alive}, Register(Dead)),
    Nowhere = binary_to_term(<<131, 88, 119, 7, "no@here", 1:32, 0:32, 1:32>>),
    ?assertEqual({error, {unreachable, 'no@here'}}, Register(Nowhere)),
    Pid = holder(A),
    Replica = holt_replica:process_name(Reg),
    at(A, fun() -> sys:suspend(Replica) end),
    ?assertEqual({error, {unreachable, A}}, Register(Pid)),
    at(A, fun() -> sys:resume(Replica) end),
    %% It was done, too late for an answer.
    await_name([A, B, C], Reg, key, Pid),
    at(C, fun() -> ok = holt_registry:stop(Reg) end),
    ?assertEqual({error, {no_instance, C}}, Register(holder(C))).

name_is_on_all_nodes_when_asked_for(Config) ->
    {Reg, [A, B, C] = Nodes} = start(Config, #{}),
    Pid = holder(A),
    lists:foreach(
        fun({N, Node, Options}) ->
            {ok, _} = at(Node, fun() ->
                holt_registry:register(Reg, N, N, Options#{pid => Pid})
            end),
            Found = [1 || At <- Nodes, at(At, fun() -> holt_registry:lookup(Reg, N) end) =/= []],
            case Options of
                #{sync := all} -> ?assertEqual(3, length(Found));
                #{sync := quorum} -> ?assert(length(Found) >= 2)
            end
        end,
        [
            {{Sync, N, Node}, Node, #{sync => Sync}}
         || Sync <- [all, quorum], N <- lists:seq(1, 20), Node <- [A, B, C]
        ]
    ).

barrier_is_passed_by_all_names(Config) ->
    {Reg, [A | _] = Nodes} = start(Config, #{}),
    lists:foreach(
        fun(Round) ->
            at(A, fun() ->
                Pid = holt_ct:start(),
                _ = [
                    yes = holt_registry:register_name({Reg, {Round, N}}, Pid)
                 || N <- lists:seq(1, 500)
                ],
                ok = holt_registry:sync_barrier(Reg, 10000)
            end),
            ?assertEqual(
                [500 * Round || _ <- Nodes],
                [at(Node, fun() -> holt_registry:count(Reg) end) || Node <- Nodes]
            )
        end,
        lists:seq(1, 5)
    ).

late_acknowledgement_is_a_timeout(Config) ->
    {Reg, [A, B, C] = Nodes} = start(Config, #{}),
    Replica = holt_replica:process_name(Reg),
    Register = fun(Key, Options) ->
        at(A, fun() ->
            holt_registry:register(Reg, Key, 1, Options#{pid => holt_ct:start(), timeout => 300})
        end)
    end,
    at(C, fun() -> sys:suspend(Replica) end),
    ?assertEqual({error, timeout}, Register(all, #{sync => all})),
    ?assertMatch({ok, _}, Register(quorum, #{sync => quorum})),
    ?assertEqual({error, timeout}, at(A, fun() -> holt_registry:sync_barrier(Reg, 100) end)),
    at(B, fun() -> sys:suspend(Replica) end),
    ?assertEqual({error, timeout}, Register(none_but_we, #{sync => quorum})),
    _ = [at(Node, fun() -> sys:resume(Replica) end) || Node <- [B, C]],
    %% They are registered all the same.
    ?assertEqual(ok, at(A, fun() -> holt_registry:sync_barrier(Reg, 10000) end)),
    ?assertEqual([3, 3, 3], [at(Node, fun() -> holt_registry:count(Reg) end) || Node <- Nodes]),
    %% Without its own replica process a node reaches nobody.
    at(A, fun() -> sys:suspend(Replica) end),
    ?assertEqual({error, timeout}, Register(own, #{sync => all})),
    at(A, fun() -> sys:resume(Replica) end),
    await_count(Nodes, Reg, 4).

%%--------------------------------------------------------------------
%% Values, giving away, standbys

value_is_changed_where_it_is(Config) ->
    {Reg, [A, B, C] = Nodes} = start(Config, #{}),
    Pid = holder(A),
    {ok, _} = at(A, fun() -> holt_registry:register(Reg, key, {0, A}, #{pid => Pid}) end),
    await_name(Nodes, Reg, key, Pid),
    Add = fun({N, _}) -> {N + 1, node()} end,
    ?assertEqual(
        {{1, A}, {0, A}}, at(B, fun() -> holt_registry:update_value(Reg, key, Pid, Add) end)
    ),
    %% Seen here when it returns; nobody's change is lost.
    Many = fun() ->
        _ = [
            begin
                {New, _} = holt_registry:update_value(Reg, key, Pid, Add),
                [{Pid, Seen}] = holt_registry:lookup(Reg, key),
                true = Seen >= New
            end
         || _ <- lists:seq(1, 50)
        ],
        ok
    end,
    Self = self(),
    _ = [spawn_link(fun() -> Self ! {Node, at(Node, Many)} end) || Node <- Nodes],
    _ = [receive {Node, Answer} -> ?assertEqual(ok, Answer) end || Node <- Nodes],
    ?assertEqual([{Pid, {151, A}}], at(A, fun() -> holt_registry:lookup(Reg, key) end)),
    %% What it raises is raised, and nothing changes.
    Raised = fun(Fun) ->
        at(B, fun() ->
            try
                holt_registry:update_value(Reg, key, Pid, Fun)
            catch
                Class:Reason -> {raised, Class, Reason}
            end
        end)
    end,
    ?assertEqual({raised, error, oops}, Raised(fun(_) -> error(oops) end)),
    ?assertEqual({raised, throw, oops}, Raised(fun(_) -> throw(oops) end)),
    ?assertEqual({raised, exit, oops}, Raised(fun(_) -> exit(oops) end)),
    Large = fun(_) -> binary:copy(<<0>>, 1100000) end,
    ?assertMatch(
        [{4, "the value takes" ++ _}],
        at(B, fun() ->
            holt_ct:badarg(fun() -> holt_registry:update_value(Reg, key, Pid, Large) end)
        end)
    ),
    ?assertEqual([{Pid, {151, A}}], at(C, fun() ->
        ok = holt_registry:sync_barrier(Reg, 5000),
        holt_registry:lookup(Reg, key)
    end)),
    ?assertEqual(error, at(B, fun() -> holt_registry:update_value(Reg, nobodys, Pid, Add) end)),
    Other = holder(A),
    ?assertEqual(error, at(B, fun() -> holt_registry:update_value(Reg, key, Other, Add) end)),
    at(A, fun() -> holt_ct:kill(Pid) end),
    ?assertEqual(error, at(B, fun() -> holt_registry:update_value(Reg, key, Pid, Add) end)).

name_is_given_from_node_to_node(Config) ->
    {Reg, [A, B, C] = Nodes} = start(Config, #{}),
    Pids = [OfA, OfB, OfC] = [holder(Node) || Node <- Nodes],
    %% The other node may not have heard of the name yet.
    lists:foreach(
        fun(N) ->
            ok = at(A, fun() ->
                {ok, _} = holt_registry:register(Reg, N, N, #{pid => OfA}),
                ok = holt_registry:give_away(Reg, N, OfB),
                [{OfB, N}] = holt_registry:lookup(Reg, N),
                ok
            end)
        end,
        lists:seq(1, 50)
    ),
    ?assertEqual(50, at(B, fun() -> holt_registry:count(Reg, B) end)),
    %% By a third node, round and round; the value goes with it, and nobody exits.
    ok = at(A, fun() -> holt_registry:unregister_keys(Reg, lists:seq(2, 50)) end),
    lists:foreach(
        fun(N) ->
            By = lists:nth(N rem 3 + 1, Nodes),
            To = lists:nth(N rem 2 + 1, Pids),
            ok = at(By, fun() ->
                ok = holt_registry:give_away(Reg, 1, To),
                [{To, 1}] = holt_registry:lookup(Reg, 1),
                ok
            end),
            %% A third node may for a moment find nobody.
            await_name(Nodes, Reg, 1, To)
        end,
        lists:seq(1, 60)
    ),
    ok = at(C, fun() -> holt_registry:give_away(Reg, 1, OfC) end),
    await_name(Nodes, Reg, 1, OfC),
    _ = [?assert(at(node(Pid), fun() -> is_process_alive(Pid) end)) || Pid <- Pids],
    at(B, fun() -> holt_ct:kill(OfB) end),
    ?assertEqual({error, not_alive}, at(A, fun() -> holt_registry:give_away(Reg, 1, OfB) end)),
    ?assertEqual(
        {error, not_found}, at(A, fun() -> holt_registry:give_away(Reg, nobodys, OfC) end)
    ),
    await_agreement(Nodes, Reg).

standby_elsewhere_takes_over(Config) ->
    {Reg, [A, B, C] = Nodes} = start(Config, #{}),
    [OfA, OfB, OfC] = [holder(Node) || Node <- Nodes],
    {ok, _} = at(A, fun() -> holt_registry:register(Reg, key, a, #{pid => OfA, sync => all}) end),
    ok = at(C, fun() -> holt_ct:do(OfC, fun() -> holt_registry:standby(Reg, key, c) end) end),
    ok = at(C, fun() -> holt_registry:sync_barrier(Reg, 5000) end),
    ok = at(B, fun() -> holt_ct:do(OfB, fun() -> holt_registry:standby(Reg, key, b) end) end),
    ok = at(B, fun() -> holt_registry:sync_barrier(Reg, 5000) end),
    await_name(Nodes, Reg, key, OfA),
    at(A, fun() -> holt_ct:kill(OfA) end),
    await_name(Nodes, Reg, key, OfC),
    ok = at(A, fun() -> holt_registry:unregister(Reg, key) end),
    await_name(Nodes, Reg, key, OfB),
    ?assertEqual([{OfB, b}], at(A, fun() -> holt_registry:lookup(Reg, key) end)),
    ?assert(at(C, fun() -> is_process_alive(OfC) end)).

standby_takes_over_from_a_lost_node(Config) ->
    with_nodes(2, no_overlap(), fun([A, B] = Nodes) ->
        Reg = registry(Config),
        _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
        [OfA, OfB] = [holder(Node) || Node <- Nodes],
        {ok, _} = at(A, fun() -> holt_registry:register(Reg, key, a, #{pid => OfA}) end),
        await_name(Nodes, Reg, key, OfA),
        ok = at(B, fun() -> holt_ct:do(OfB, fun() -> holt_registry:standby(Reg, key, b) end) end),
        ok = at(B, fun() -> holt_registry:sync_barrier(Reg, 5000) end),
        ok = holt_test:kill(A),
        await_name([B], Reg, key, OfB)
    end).

%%--------------------------------------------------------------------
%% Duplicate keys, owners, quorum

entries_of_all_nodes_are_one_key(Config) ->
    {Reg, [A, B, C] = Nodes} = start(Config, #{keys => duplicate}),
    Pids = [holder(Node) || Node <- Nodes],
    %% From anywhere, for anybody.
    _ = [
        {ok, _} = at(Node, fun() -> holt_registry:register(Reg, key, Node, #{pid => Pid}) end)
     || Node <- Nodes, Pid <- Pids
    ],
    await_count(Nodes, Reg, 9),
    Expected = lists:sort([{Pid, Node} || Pid <- Pids, Node <- Nodes]),
    everywhere(Nodes, fun() ->
        Expected = lists:sort(holt_registry:lookup(Reg, key)),
        [3, 3, 3] = [holt_registry:count(Reg, Node) || Node <- Nodes],
        _ = [[key, key, key] = holt_registry:keys(Reg, Pid) || Pid <- Pids],
        3 = length(holt_registry:match(Reg, key, A)),
        9 = holt_registry:count_select(Reg, [{{key, '_', '_'}, [], [true]}]),
        %% The caller has none.
        ok = holt_registry:unregister(Reg, key)
    end),
    await_count(Nodes, Reg, 9),
    ok = at(A, fun() -> holt_ct:do(hd(Pids), fun() -> holt_registry:unregister(Reg, key) end) end),
    await_count(Nodes, Reg, 6),
    at(B, fun() -> holt_ct:kill(lists:nth(2, Pids)) end),
    await_count(Nodes, Reg, 3),
    at(C, fun() -> ok = holt_registry:stop(Reg) end),
    await_count([A, B], Reg, 0).

only_the_owner_may_from_afar(Config) ->
    {Reg, [A, B | _] = Nodes} = start(Config, #{owner_only => true}),
    Pid = holder(A),
    Register = fun() -> holt_registry:register(Reg, key, 1, #{pid => Pid}) end,
    ?assertEqual({error, not_owner}, at(A, Register)),
    {ok, _} = at(A, fun() -> holt_ct:do(Pid, Register) end),
    await_name(Nodes, Reg, key, Pid),
    _ = [
        ?assertEqual({error, not_owner}, at(B, Fun))
     || Fun <- [
            Register,
            fun() -> holt_registry:unregister(Reg, key) end,
            fun() -> holt_registry:give_away(Reg, key, self()) end,
            fun() -> holt_registry:update_value(Reg, key, Pid, fun(N) -> N + 1 end) end
        ]
    ],
    await_name(Nodes, Reg, key, Pid),
    %% Given away to another node by its owner, it is another's.
    Other = holder(B),
    ok = at(A, fun() -> holt_ct:do(Pid, fun() -> holt_registry:give_away(Reg, key, Other) end) end),
    await_name(Nodes, Reg, key, Other).

quorum_is_needed(Config) ->
    Reg = registry(Config),
    [A, B, C] = Nodes = nodes_of(Config),
    Start = fun(Node) -> holt_ct:start_registry(Node, #{name => Reg, quorum => 2}) end,
    _ = Start(A),
    OfA = holder(A),
    Register = fun(Key) ->
        at(A, fun() -> holt_registry:register(Reg, Key, 1, #{pid => OfA}) end)
    end,
    ?assertEqual({error, no_quorum}, Register(key)),
    ?assertEqual(no, at(A, fun() -> holt_registry:register_name({Reg, key}, OfA) end)),
    ?assertEqual(
        {error, [{a, no_quorum}, {b, no_quorum}]},
        at(A, fun() -> holt_registry:register(Reg, [{a, 1}, {b, 1}]) end)
    ),
    ?assertEqual(0, at(A, fun() -> holt_registry:count(Reg) end)),
    _ = Start(B),
    at(A, fun() ->
        holt_ct:wait_until(fun() ->
            case holt_registry:register(Reg, key, 1, #{pid => OfA}) of
                {ok, _} -> true;
                {error, no_quorum} -> false
            end
        end)
    end),
    _ = Start(C),
    await_name(Nodes, Reg, key, OfA),
    _ = [at(Node, fun() -> ok = holt_registry:stop(Reg) end) || Node <- [B, C]],
    at(A, fun() ->
        holt_ct:wait_until(fun() ->
            {error, no_quorum} =:= holt_registry:register(Reg, make_ref(), 1, #{pid => OfA})
        end)
    end),
    %% What there is stays, and can be changed and taken.
    ?assertEqual(
        {2, 1},
        at(A, fun() -> holt_registry:update_value(Reg, key, OfA, fun(N) -> N + 1 end) end)
    ),
    ?assertEqual(ok, at(A, fun() -> holt_registry:unregister(Reg, key) end)).

%%--------------------------------------------------------------------
%% Looking, and ends

name_is_explained_from_afar(Config) ->
    {Reg, [A, B, C] = Nodes} = start(Config, #{}),
    [OfA, OfB, _] = [holder(Node) || Node <- Nodes],
    {ok, _} = at(A, fun() -> holt_registry:register(Reg, key, a, #{pid => OfA, sync => all}) end),
    ok = at(B, fun() ->
        ok = holt_ct:do(OfB, fun() -> holt_registry:standby(Reg, key, b) end),
        holt_registry:sync_barrier(Reg, 5000)
    end),
    Explain = fun(Node) -> at(Node, fun() -> holt_registry:explain(Reg, key) end) end,
    MemberA = {Reg, A},
    MemberB = {Reg, B},
    ?assertMatch(
        #{
            owner := OfA,
            value := a,
            member := MemberA,
            siblings := [#{pid := OfB, value := b, member := MemberB, standby := true}],
            lag := #{MemberA := _, MemberB := _}
        },
        Explain(C)
    ),
    %% The same on all nodes, but for what is each one's own.
    [Same] = lists:usort([maps:without([lag, last_conflict], Explain(Node)) || Node <- Nodes]),
    ?assertMatch(#{key := key}, Same),
    Replica = holt_replica:process_name(Reg),
    at(B, fun() -> sys:suspend(Replica) end),
    at(A, fun() ->
        _ = [{ok, _} = holt_registry:register(Reg, N, N, #{pid => OfA}) || N <- lists:seq(1, 10)],
        holt_ct:wait_until(fun() ->
            #{lag := Lag} = holt_registry:explain(Reg, key),
            maps:get(MemberB, Lag) =:= 10 andalso maps:get({Reg, C}, Lag) =:= 0
        end)
    end),
    Text = at(A, fun() -> unicode:characters_to_list(holt_registry:explain(Reg, key, text)) end),
    ?assertMatch([_ | _], string:find(Text, "lacks 10 of our changes"), Text),
    at(B, fun() -> sys:resume(Replica) end).

%% Whoever asks meanwhile gets an answer.
instance_stops_while_it_is_asked(Config) ->
    {Reg, [A, B, C]} = start(Config, #{}),
    OfB = holder(B),
    {ok, _} = at(B, fun() -> holt_registry:register(Reg, key, 0, #{pid => OfB, sync => all}) end),
    Self = self(),
    Ask = fun() ->
        _ = [
            begin
                case holt_registry:register(Reg, {self(), N}, N, #{pid => OfB, timeout => 2000}) of
                    {ok, _} -> ok;
                    {error, {no_instance, B}} -> ok;
                    {error, {unreachable, B}} -> ok
                end,
                case holt_registry:update_value(Reg, key, OfB, fun(V) -> V + 1 end) of
                    {_, _} -> ok;
                    error -> ok;
                    {error, {no_instance, B}} -> ok;
                    {error, {unreachable, B}} -> ok
                end,
                case holt_registry:unregister(Reg, {self(), N}) of
                    ok -> ok;
                    {error, {no_instance, B}} -> ok;
                    {error, {unreachable, B}} -> ok
                end
            end
         || N <- lists:seq(1, 300)
        ],
        ok
    end,
    _ = [spawn_link(fun() -> Self ! {Node, at(Node, Ask)} end) || Node <- [A, C]],
    at(B, fun() ->
        holt_ct:wait_until(fun() ->
            [{_, Value}] = holt_registry:lookup(Reg, key),
            Value > 30
        end),
        ok = holt_registry:stop(Reg)
    end),
    _ = [
        receive
            {Node, Answer} -> ?assertEqual(ok, Answer)
        after 60000 -> error({no_answer, Node})
        end
     || Node <- [A, C]
    ],
    await_count([A, C], Reg, 0).

%%--------------------------------------------------------------------
%% Helpers

%% The case's registry on all nodes, which have met.
start(Config, Options) ->
    Reg = registry(Config),
    Nodes = nodes_of(Config),
    _ = [holt_ct:start_registry(Node, Options#{name => Reg}) || Node <- Nodes],
    await_agreement(Nodes, Reg),
    {Reg, Nodes}.

at(Node, Fun) ->
    holt_ct:call(Node, Fun).

holder(Node) ->
    at(Node, fun() -> holt_ct:start() end).
