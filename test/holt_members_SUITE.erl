%% SPDX-License-Identifier: Apache-2.0
%% @doc Who takes part: lists of members, instances of several names made one, leaving, being
%% ready, and having a majority; on real nodes.
-module(holt_members_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, groups/0, init_per_suite/1, end_per_suite/1]).
-export([init_per_group/2, end_per_group/2, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

-import(holt_ct_cluster, [
    registry/1, nodes_of/1, no_overlap/0, with_nodes/3, start_everywhere/1,
    stop_registry/2, await_name/4, await_count/3, await_agreement/2
]).

-define(NAMES, 200).

all() ->
    [{group, shared}, {group, own}].

groups() ->
    [
        %% Four nodes for all of them; each case has registries of its own.
        {shared, [], [
            other_name_on_the_same_node,
            other_names_on_other_nodes,
            names_of_another_member_on_the_same_node_change,
            dead_of_another_member_on_the_same_node_are_not_found,
            two_clusters_become_one,
            joins_at_the_same_time,
            join_nobody,
            list_at_the_start,
            stranger_gets_nothing,
            list_is_set_everywhere,
            lists_set_at_the_same_time,
            list_reaches_who_was_away,
            list_goes_back_to_auto,
            list_outlives_crashes,
            leave_a_list,
            leave_without_a_list,
            evicted_is_forgotten,
            ready_when_all_are_here,
            ready_alone,
            minority_refuses,
            list_decides_what_a_majority_is,
            sync_waits_for_all,
            voucher_carries_requests,
            nonsense_is_dropped,
            wrong_use_is_told
        ]},
        %% Nodes of their own, which do not outlive it.
        {own, [], [eight_start_at_once]}
    ].

init_per_suite(Config) ->
    Config.

end_per_suite(_Config) ->
    ok.

init_per_group(shared, Config) ->
    %% The test alone makes links, and cuts them.
    Nodes = holt_ct:start_nodes(4, ["-kernel", "dist_auto_connect", "never" | no_overlap()]),
    [{nodes, Nodes} | Config];
init_per_group(own, Config) ->
    Config.

end_per_group(shared, Config) ->
    holt_ct:stop_nodes(nodes_of(Config));
end_per_group(own, _Config) ->
    ok.

init_per_testcase(Case, Config) ->
    [{registry, Case} | Config].

%% Whatever came of it: the nodes are the next one's.
end_per_testcase(Case, Config) ->
    case proplists:get_value(nodes, Config) of
        undefined ->
            ok;
        Nodes ->
            _ = [holt_test:thaw(Node) || Node <- Nodes],
            _ = [holt_test:heal(A, B) || A <- Nodes, B <- Nodes, A < B],
            _ = [stop_registry(Node, Reg) || Node <- Nodes, Reg <- [Case, other(Case)]],
            ok
    end.

%%--------------------------------------------------------------------
%% Several names

other_name_on_the_same_node(Config) ->
    Reg = registry(Config),
    [A, B | _] = nodes_of(Config),
    Other = other(Reg),
    _ = [holt_ct:start_registry(A, #{name => Name}) || Name <- [Reg, Other]],
    _ = holt_ct:start_registry(B, #{name => Reg}),
    OnReg = register_names(A, Reg, reg, ?NAMES),
    OnOther = register_names(A, Other, other, ?NAMES),
    await_count([A, B], Reg, ?NAMES),
    ok = holt_ct:call(A, holt_cluster, join, [Reg, Other]),
    %% Here at once, on both of them.
    All = lists:sort([{Reg, A}, {Reg, B}, {Other, A}]),
    ?assertEqual(All, members(A, Reg)),
    ?assertEqual(All, members(A, Other)),
    await_members([B], Reg, All),
    [await_count([Node], Name, 2 * ?NAMES) || {Name, Node} <- All],
    %% Somebody dies: for all of them.
    holt_ct:call(A, fun() -> holt_ct:kill(OnOther) end),
    [await_count([Node], Name, ?NAMES) || {Name, Node} <- All],
    %% The same name is given once, whichever of them is asked.
    Pid = holt_ct:call(A, fun() -> holt_ct:register(Other, taken, 1, []) end),
    await_name([A, B], Reg, taken, Pid),
    ?assertEqual(
        {error, {already_registered, Pid}},
        holt_ct:call(A, fun() -> holt_registry:register(Reg, taken, 2) end)
    ),
    %% One ends: the other one goes on.
    ok = holt_ct:call(A, holt_registry, stop, [Reg]),
    await_name([B], Reg, taken, Pid),
    await_count([B], Reg, 1),
    await_count([A], Other, 1),
    %% And is back: nobody makes it a link.
    _ = holt_ct:start_registry(A, #{name => Reg, members => [Other]}),
    await_name([A], Reg, taken, Pid),
    await_members([A], Reg, All),
    true = is_process_alive_at(A, OnReg).

other_names_on_other_nodes(Config) ->
    Reg = registry(Config),
    [A, B, C | _] = nodes_of(Config),
    Names = [{reg_on_a, A}, {reg_on_b, B}, {reg_on_c, C}],
    Start = fun() ->
        _ = [
            holt_ct:start_registry(Node, #{name => Name, members => Names}) || {Name, Node} <- Names
        ]
    end,
    _ = Start(),
    try
        _ = [register_names(Node, Name, Node, ?NAMES) || {Name, Node} <- Names],
        [await_count([Node], Name, 3 * ?NAMES) || {Name, Node} <- Names],
        [?assertEqual(Names, members(Node, Name)) || {Name, Node} <- Names],
        %% Its rows are still there for the others, and it comes back to the same ones.
        holt_ct:call(B, fun() ->
            Replica = holt_replica:process_name(reg_on_b),
            ok = holt_ct:kill(whereis(Replica)),
            holt_ct:wait_until(fun() -> is_pid(whereis(Replica)) end)
        end),
        Pid = holt_ct:call(B, fun() -> holt_ct:register(reg_on_b, after_kill, 0, []) end),
        [await_name([Node], Name, after_kill, Pid) || {Name, Node} <- Names],
        %% The link is cut: the third vouches for it, by its own name.
        ok = holt_test:cut(A, B),
        await_info(A, reg_on_a, {reg_on_b, B}, #{contact => vouched, voucher => {reg_on_c, C}}),
        ?assertEqual(3 * ?NAMES + 1, holt_ct:call(A, holt_registry, count, [reg_on_a])),
        ok = holt_test:heal(A, B),
        await_info(A, reg_on_a, {reg_on_b, B}, #{contact => direct})
    after
        [stop_registry(Node, Name) || {Name, Node} <- Names]
    end,
    Reg.

names_of_another_member_on_the_same_node_change(Config) ->
    Reg = registry(Config),
    [A | _] = nodes_of(Config),
    Other = other(Reg),
    _ = [holt_ct:start_registry(A, #{name => Name}) || Name <- [Reg, Other]],
    ok = holt_ct:call(A, holt_cluster, join, [Reg, Other]),
    Pid = holt_ct:call(A, fun() -> holt_ct:register(Other, key, 1, []) end),
    await_name([A], Reg, key, Pid),
    ?assertEqual(
        {2, 1},
        holt_ct:call(A, fun() -> holt_registry:update_value(Reg, key, Pid, fun(N) -> N + 1 end) end)
    ),
    ?assertEqual([{Pid, 2}], holt_ct:call(A, holt_registry, lookup, [Reg, key])),
    ?assertEqual(ok, holt_ct:call(A, holt_registry, unregister, [Reg, key])),
    await_name([A], Reg, key, undefined),
    await_name([A], Other, key, undefined).

%% At once, though nothing has been heard of it: its replica process does not run.
dead_of_another_member_on_the_same_node_are_not_found(Config) ->
    Reg = registry(Config),
    [A, B | _] = nodes_of(Config),
    Other = other(Reg),
    _ = [holt_ct:start_registry(A, #{name => Name}) || Name <- [Reg, Other]],
    _ = holt_ct:start_registry(B, #{name => Reg}),
    ok = holt_ct:call(A, holt_cluster, join, [Reg, Other]),
    Pid = register_names(A, Other, other, 1),
    Key = {other, 1},
    Elsewhere = holt_ct:call(B, fun() -> holt_ct:register(Reg, on_b, 1, []) end),
    await_name([A, B], Reg, Key, Pid),
    await_name([A, B], Reg, on_b, Elsewhere),
    Found = fun() ->
        [
            holt_registry:whereis_name({Reg, Key}),
            holt_registry:lookup(Reg, Key),
            holt_registry:keys(Reg, Pid),
            lists:sort([Name || {Name, _, _} <- holt_registry:to_list(Reg)])
        ]
    end,
    Replica = holt_replica:process_name(Other),
    ok = holt_ct:call(A, sys, suspend, [Replica]),
    ?assertEqual([Pid, [{Pid, 1}], [Key], [on_b, Key]], holt_ct:call(A, Found)),
    holt_ct:call(A, fun() ->
        holt_ct:kill(Pid),
        ?assertEqual([undefined, [], [], [on_b]], Found()),
        %% It is its own instance that sets the name free.
        ?assertEqual(
            {error, {already_registered, Pid}}, holt_registry:register(Reg, Key, 2)
        )
    end),
    ok = holt_ct:call(A, sys, resume, [Replica]),
    await_count([A, B], Reg, 1),
    ?assertEqual(Elsewhere, holt_ct:call(A, holt_registry, whereis_name, [{Reg, on_b}])).

two_clusters_become_one(Config) ->
    Reg = registry(Config),
    [A, B, C, D] = nodes_of(Config),
    Other = other(Reg),
    _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- [A, B]],
    _ = [holt_ct:start_registry(Node, #{name => Other}) || Node <- [C, D]],
    _ = [register_names(Node, Reg, Node, ?NAMES) || Node <- [A, B]],
    _ = [register_names(Node, Other, Node, ?NAMES) || Node <- [C, D]],
    await_count([A, B], Reg, 2 * ?NAMES),
    await_count([C, D], Other, 2 * ?NAMES),
    await_members([A, B], Reg, [{Reg, A}, {Reg, B}]),
    await_members([C, D], Other, [{Other, C}, {Other, D}]),
    ok = holt_ct:call(B, holt_cluster, join, [Reg, {Other, C}]),
    All = lists:sort([{Reg, A}, {Reg, B}, {Other, C}, {Other, D}]),
    await_members([A, B], Reg, All),
    await_members([C, D], Other, All),
    await_count([A, B], Reg, 4 * ?NAMES),
    await_count([C, D], Other, 4 * ?NAMES).

%% Each joins with the one in the middle, at once: neither is forgotten.
joins_at_the_same_time(Config) ->
    Reg = registry(Config),
    [A, B, C, D] = nodes_of(Config),
    Names = [{one, A}, {two, B}, {three, C}, {four, D}],
    try
        _ = [holt_ct:start_registry(Node, #{name => Name}) || {Name, Node} <- Names],
        Self = self(),
        Pids = [
            spawn_link(fun() ->
                Self ! {self(), holt_ct:call(Node, holt_cluster, join, [Name, {two, B}])}
            end)
         || {Name, Node} <- Names, Name =/= two
        ],
        [receive {Pid, Answer} -> ?assertEqual(ok, Answer) end || Pid <- Pids],
        [await_members([Node], Name, lists:sort(Names)) || {Name, Node} <- Names],
        _ = [register_names(Node, Name, Node, 10) || {Name, Node} <- Names],
        [await_count([Node], Name, 40) || {Name, Node} <- Names]
    after
        [stop_registry(Node, Name) || {Name, Node} <- Names]
    end,
    Reg.

join_nobody(Config) ->
    Reg = registry(Config),
    [A, B | _] = nodes_of(Config),
    _ = holt_ct:start_registry(A, #{name => Reg}),
    Join = fun(Other) -> holt_ct:call(A, holt_cluster, join, [Reg, Other]) end,
    ?assertEqual({error, {no_instance, A}}, Join(nobody_here)),
    ?assertEqual({error, {no_instance, B}}, Join({nobody_here, B})),
    ?assertEqual({error, {no_instance, B}}, Join(B)),
    ?assertEqual({error, {unreachable, 'no@where'}}, Join('no@where')),
    ?assertEqual(ok, Join(Reg)),
    ?assertEqual([{Reg, A}], members(A, Reg)).

%%--------------------------------------------------------------------
%% Lists

list_at_the_start(Config) ->
    Reg = registry(Config),
    [A, B, C, _] = nodes_of(Config),
    List = lists:sort([{Reg, A}, {Reg, B}]),
    _ = holt_ct:start_registry(A, #{name => Reg, members => [B]}),
    ?assertEqual(List, members(A, Reg)),
    %% In the list, and never seen.
    ?assertMatch(
        [#{actor := 0, state := absent, contact := none, shown := false}],
        [Info || #{member := {_, Node}} = Info <- all_members(A, Reg), Node =:= B]
    ),
    _ = holt_ct:start_registry(B, #{name => Reg, members => [A, B]}),
    _ = holt_ct:start_registry(C, #{name => Reg, members => [A, B, C]}),
    _ = [register_names(Node, Reg, Node, ?NAMES) || Node <- [A, B, C]],
    await_count([A, B], Reg, 2 * ?NAMES),
    await_info(A, Reg, {Reg, B}, #{state => present, contact => direct}),
    ?assertEqual(List, members(B, Reg)),
    %% It wants them, and they do not want it.
    ?assertEqual(lists:sort([{Reg, C} | List]), members(C, Reg)),
    ?assertEqual(?NAMES, holt_ct:call(C, holt_registry, count, [Reg])),
    ?assertEqual([{Reg, A}, {Reg, B}], known(A, Reg)).

%% By its own list or without one: it has asked, and has heard of nobody.
stranger_gets_nothing(Config) ->
    Reg = registry(Config),
    [A, B, C, D] = nodes_of(Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg, members => [A, B]}) || Node <- [A, B]],
    _ = [register_names(Node, Reg, Node, ?NAMES) || Node <- [A, B]],
    await_count([A, B], Reg, 2 * ?NAMES),
    _ = holt_ct:start_registry(C, #{name => Reg}),
    _ = holt_ct:start_registry(D, #{name => Reg, members => [A, B, C]}),
    %% C and D have each other: so each has been told of all who are there.
    _ = [register_names(Node, Reg, Node, 1) || Node <- [C, D]],
    await_count([C, D], Reg, 2),
    ?assertEqual([{Reg, C}, {Reg, D}], known(C, Reg)),
    ?assertEqual([{Reg, C}, {Reg, D}], known(D, Reg)),
    ?assertEqual([], [P || Node <- [C, D], #{member := {_, At}} = P <- peers(Node, Reg), At =:= A]),
    %% Something changes, the link is new: still nothing.
    _ = register_names(A, Reg, more, ?NAMES),
    await_count([A, B], Reg, 3 * ?NAMES),
    ok = holt_test:cut(A, C),
    ok = holt_test:heal(A, C),
    _ = register_names(C, Reg, more, 1),
    await_count([C, D], Reg, 3),
    ?assertEqual(3 * ?NAMES, holt_ct:call(A, holt_registry, count, [Reg])),
    ?assertEqual([{Reg, C}, {Reg, D}], known(C, Reg)).

list_is_set_everywhere(Config) ->
    {Reg, [A, B, C, D] = Nodes} = start_everywhere(Config),
    _ = [register_names(Node, Reg, Node, ?NAMES) || Node <- Nodes],
    await_count(Nodes, Reg, 4 * ?NAMES),
    ok = set(B, Reg, [A, B, C]),
    Three = lists:sort([{Reg, Node} || Node <- [A, B, C]]),
    ?assertEqual(Three, members(B, Reg)),
    await_members([A, C], Reg, Three),
    %% It knows, keeps its own, and is seen by nobody.
    await_members([D], Reg, [{Reg, D}]),
    await_count([D], Reg, ?NAMES),
    await_count([A, B, C], Reg, 3 * ?NAMES),
    %% Nor remembered.
    [await_known(Node, Reg, Three) || Node <- [A, B, C]],
    %% One that starts now is told, whatever it was started with.
    ok = holt_ct:call(C, holt_registry, stop, [Reg]),
    _ = holt_ct:start_registry(C, #{name => Reg}),
    await_members([C], Reg, Three),
    await_count([C], Reg, 2 * ?NAMES),
    %% Back again, said by another one.
    ok = set(A, Reg, Nodes),
    Four = lists:sort([{Reg, D} | Three]),
    [await_members([Node], Reg, Four) || Node <- Nodes],
    await_count(Nodes, Reg, 3 * ?NAMES),
    await_agreement(Nodes, Reg).

lists_set_at_the_same_time(Config) ->
    Reg = registry(Config),
    [A, B, C, D] = Nodes = nodes_of(Config),
    %% Who comes and goes is not to be made to wait.
    _ = [holt_ct:start_registry(Node, #{name => Reg, flap_ms_max => 1}) || Node <- Nodes],
    await_members(Nodes, Reg, lists:sort([{Reg, Node} || Node <- Nodes])),
    Lists = [{A, [A, B, C]}, {B, [A, B, D]}, {C, [B, C, D]}, {D, Nodes}],
    lists:foreach(
        fun(_) ->
            Self = self(),
            Pids = [
                spawn_link(fun() -> Self ! {self(), set(Node, Reg, List)} end)
             || {Node, List} <- Lists
            ],
            [receive {Pid, Answer} -> ?assertEqual(ok, Answer) end || Pid <- Pids],
            %% One of them, the same for all that are in it; the others are alone.
            holt_ct:wait_until(fun() ->
                Found = [{Node, members(Node, Reg)} || Node <- Nodes],
                {Alone, In} = lists:partition(
                    fun({Node, Members}) -> Members =:= [{Reg, Node}] end, Found
                ),
                Agreed = lists:usort([Members || {_, Members} <- In]),
                length(Agreed) =:= 1 andalso
                    lists:sort([Node || {Node, _} <- In]) =:=
                        lists:sort([Node || {_, Node} <- hd(Agreed)]) andalso
                    length(Alone) + length(In) =:= 4 orelse Found
            end),
            ok = set(A, Reg, Nodes),
            await_members(Nodes, Reg, lists:sort([{Reg, Node} || Node <- Nodes]))
        end,
        lists:seq(1, 5)
    ),
    _ = [register_names(Node, Reg, Node, 10) || Node <- Nodes],
    await_count(Nodes, Reg, 40),
    await_agreement(Nodes, Reg).

%% Cut from all, it hears of it when it is back, though those who told it have ended.
list_reaches_who_was_away(Config) ->
    {Reg, [A, B, C, D] = Nodes} = start_everywhere(Config),
    _ = [register_names(Node, Reg, Node, 10) || Node <- Nodes],
    await_count(Nodes, Reg, 40),
    _ = [ok = holt_test:cut(D, Node) || Node <- [A, B, C]],
    await_count([A, B, C], Reg, 30),
    ok = set(A, Reg, [A, B, C]),
    await_members([B, C], Reg, lists:sort([{Reg, Node} || Node <- [A, B, C]])),
    ok = holt_ct:call(A, holt_registry, stop, [Reg]),
    _ = [ok = holt_test:heal(D, Node) || Node <- [A, B, C]],
    await_members([D], Reg, [{Reg, D}]),
    await_count([D], Reg, 10),
    await_count([B, C], Reg, 20).

list_goes_back_to_auto(Config) ->
    {Reg, [A, B | _] = Nodes} = start_everywhere(Config),
    ok = set(A, Reg, [A, B]),
    await_members([B], Reg, lists:sort([{Reg, A}, {Reg, B}])),
    ok = set(B, Reg, auto),
    ok = set(lists:last(Nodes), Reg, auto),
    ok = set(lists:nth(3, Nodes), Reg, auto),
    await_members(Nodes, Reg, lists:sort([{Reg, Node} || Node <- Nodes])).

list_outlives_crashes(Config) ->
    {Reg, [A, B, C, _] = Nodes} = start_everywhere(Config),
    _ = [register_names(Node, Reg, Node, 10) || Node <- Nodes],
    ok = set(B, Reg, [A, B, C]),
    Three = lists:sort([{Reg, Node} || Node <- [A, B, C]]),
    await_members([A, C], Reg, Three),
    await_count([A, B, C], Reg, 30),
    %% Nobody is left who could tell it.
    _ = [ok = holt_ct:call(Node, holt_registry, stop, [Reg]) || Node <- [B, C]],
    holt_ct:call(A, fun() ->
        Replica = holt_replica:process_name(Reg),
        ok = holt_ct:kill(whereis(Replica)),
        holt_ct:wait_until(fun() -> is_pid(whereis(Replica)) end)
    end),
    ?assertEqual(Three, members(A, Reg)),
    holt_ct:call(A, fun() -> ok = holt_ct:kill(whereis(Reg)) end),
    ?assertEqual(Three, members(A, Reg)),
    _ = holt_ct:start_registry(A, #{name => Reg}),
    ?assertEqual(Three, members(A, Reg)),
    await_count([A], Reg, 10),
    %% A new instance of the name knows nothing of it.
    ok = holt_ct:call(A, holt_registry, stop, [Reg]),
    _ = holt_ct:start_registry(A, #{name => Reg, members => []}),
    ?assertEqual([{Reg, A}], members(A, Reg)).

leave_a_list(Config) ->
    Reg = registry(Config),
    [A, B, C, _] = nodes_of(Config),
    List = [A, B, C],
    _ = [holt_ct:start_registry(Node, #{name => Reg, members => List}) || Node <- List],
    _ = [register_names(Node, Reg, Node, ?NAMES) || Node <- List],
    await_count(List, Reg, 3 * ?NAMES),
    ok = holt_ct:call(C, holt_cluster, leave, [Reg]),
    ?assertEqual([{Reg, C}], members(C, Reg)),
    Two = lists:sort([{Reg, A}, {Reg, B}]),
    await_members([A, B], Reg, Two),
    await_count([A, B], Reg, 2 * ?NAMES),
    await_count([C], Reg, ?NAMES),
    [await_known(Node, Reg, Two) || Node <- [A, B]],
    ok = holt_ct:call(C, holt_cluster, join, [Reg, A]),
    await_members(List, Reg, lists:sort([{Reg, Node} || Node <- List])),
    await_count(List, Reg, 3 * ?NAMES),
    await_agreement(List, Reg).

leave_without_a_list(Config) ->
    {Reg, [A, B, C, D] = Nodes} = start_everywhere(Config),
    _ = [register_names(Node, Reg, Node, ?NAMES) || Node <- Nodes],
    await_count(Nodes, Reg, 4 * ?NAMES),
    ok = holt_ct:call(D, holt_cluster, leave, [Reg]),
    ?assertEqual([{Reg, D}], members(D, Reg)),
    Three = lists:sort([{Reg, Node} || Node <- [A, B, C]]),
    await_members([A, B, C], Reg, Three),
    await_count([A, B, C], Reg, 3 * ?NAMES),
    await_count([D], Reg, ?NAMES),
    [await_known(Node, Reg, Three) || Node <- [A, B, C]],
    %% A new link does not bring it back.
    ok = holt_test:cut(A, D),
    ok = holt_test:heal(A, D),
    _ = register_names(A, Reg, more, 1),
    await_count([A, B, C], Reg, 3 * ?NAMES + 1),
    ?assertEqual([{Reg, D}], members(D, Reg)),
    ?assertEqual(?NAMES, holt_ct:call(D, holt_registry, count, [Reg])),
    ok = set(D, Reg, auto),
    await_members(Nodes, Reg, lists:sort([{Reg, D} | Three])),
    await_count(Nodes, Reg, 4 * ?NAMES + 1).

evicted_is_forgotten(Config) ->
    Reg = registry(Config),
    [A, B, C, D] = Nodes = nodes_of(Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg, quorum => majority}) || Node <- Nodes],
    _ = [register_names(Node, Reg, Node, 10) || Node <- Nodes],
    await_count(Nodes, Reg, 40),
    Evict = fun(Which) -> holt_ct:call(A, holt_cluster, evict, [Reg, Which]) end,
    ?assertEqual({error, present}, Evict(B)),
    ?assertEqual({error, not_found}, Evict('no@where')),
    _ = [ok = holt_test:cut(A, Node) || Node <- [B, C, D]],
    await_count([A], Reg, 10),
    ?assertEqual({error, no_quorum}, register_one(A, Reg, refused)),
    ?assertEqual(ok, Evict(B)),
    ?assertEqual(ok, Evict({Reg, C})),
    ?assertEqual({error, not_found}, Evict(B)),
    %% One of two is no majority; one is.
    ?assertEqual({error, no_quorum}, register_one(A, Reg, refused)),
    ?assertEqual(ok, Evict(D)),
    holt_ct:await(A, fun() -> element(1, holt_registry:register(Reg, given, 0)) =:= ok end),
    ?assertEqual([{Reg, A}], known(A, Reg)),
    %% They are back all the same.
    _ = [ok = holt_test:heal(A, Node) || Node <- [B, C, D]],
    await_members([A], Reg, lists:sort([{Reg, Node} || Node <- Nodes])),
    await_agreement(Nodes, Reg).

%%--------------------------------------------------------------------
%% Ready

ready_when_all_are_here(Config) ->
    Reg = registry(Config),
    [A, B, C, D] = nodes_of(Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- [A, B]],
    _ = [register_names(Node, Reg, Node, ?NAMES) || Node <- [A, B]],
    Ready = fun(Options) -> holt_ct:call(A, holt_cluster, await_ready, [Reg, Options]) end,
    ?assertEqual(ok, Ready(#{members => 2})),
    ?assertEqual({error, timeout}, Ready(#{members => 4, timeout => 100})),
    Self = self(),
    _ = spawn_link(fun() -> Self ! {ready, Ready([{members, 4}])} end),
    _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- [C, D]],
    receive {ready, Answer} -> ?assertEqual(ok, Answer) end,
    %% Who is ready has all their names.
    holt_ct:call(D, fun() ->
        ok = holt_cluster:await_ready(Reg, #{members => 4}),
        ?assertEqual(2 * ?NAMES, holt_registry:count(Reg))
    end),
    ?assertEqual(ok, Ready(#{quorum => majority, members => 4, settle => 50})),
    _ = [ok = holt_test:cut(A, Node) || Node <- [B, C, D]],
    await_members([A], Reg, [{Reg, A}]),
    ?assertEqual({error, timeout}, Ready(#{quorum => majority, timeout => 100})),
    _ = [ok = holt_test:heal(A, Node) || Node <- [B, C, D]],
    ?assertEqual(ok, Ready(#{quorum => majority})).

ready_alone(Config) ->
    Reg = registry(Config),
    [A, B | _] = nodes_of(Config),
    holt_ct:call(A, fun() ->
        Start = erlang:monotonic_time(millisecond),
        {ok, Root} = holt_registry:start_link(#{name => Reg, settle_ms => 300}),
        true = unlink(Root),
        ok = holt_cluster:await_ready(Reg, #{}),
        Ms = erlang:monotonic_time(millisecond) - Start,
        ?assert(Ms >= 300 andalso Ms < 3000)
    end),
    %% A majority of a list is one of those that are in it, seen or not.
    ok = holt_ct:call(A, holt_registry, stop, [Reg]),
    _ = holt_ct:start_registry(A, #{name => Reg, members => [A, B]}),
    ?assertEqual(
        {error, timeout},
        holt_ct:call(A, holt_cluster, await_ready, [Reg, #{quorum => majority, timeout => 100}])
    ),
    _ = holt_ct:start_registry(B, #{name => Reg, members => [A, B]}),
    ?assertEqual(ok, holt_ct:call(A, holt_cluster, await_ready, [Reg, #{quorum => majority}])).

%%--------------------------------------------------------------------
%% Majorities

minority_refuses(Config) ->
    Reg = registry(Config),
    [A, B, C, _] = nodes_of(Config),
    Nodes = [A, B, C],
    _ = [holt_ct:start_registry(Node, #{name => Reg, quorum => majority}) || Node <- Nodes],
    _ = [register_names(Node, Reg, Node, 10) || Node <- Nodes],
    await_count(Nodes, Reg, 30),
    _ = [ok = holt_test:cut(C, Node) || Node <- [A, B]],
    await_count([C], Reg, 10),
    await_count([A, B], Reg, 20),
    ?assertEqual({error, no_quorum}, register_one(C, Reg, key)),
    ?assertMatch({ok, _}, register_one(A, Reg, key)),
    ?assertMatch({ok, _}, register_one(B, Reg, key_of_b)),
    %% What is there stays there, and may go.
    ?assertEqual(10, holt_ct:call(C, holt_registry, count, [Reg])),
    ?assertEqual(ok, holt_ct:call(C, holt_registry, unregister, [Reg, {C, 1}])),
    _ = [ok = holt_test:heal(C, Node) || Node <- [A, B]],
    holt_ct:await(C, fun() -> element(1, holt_registry:register(Reg, later, 0)) =:= ok end).

%% Two that have never met the third are no minority by what they have seen, but by what they
%% have been told; and the other way round.
list_decides_what_a_majority_is(Config) ->
    Reg = registry(Config),
    [A, B, C, D] = nodes_of(Config),
    Options = #{name => Reg, quorum => majority, members => [A, B, C]},
    _ = holt_ct:start_registry(A, Options),
    ?assertEqual({error, no_quorum}, register_one(A, Reg, key)),
    _ = holt_ct:start_registry(B, Options),
    holt_ct:await(A, fun() -> element(1, holt_registry:register(Reg, key, 0)) =:= ok end),
    %% Five members, two of them here.
    ok = set(A, Reg, [A, B, C, D, 'e@nowhere']),
    holt_ct:await(A, fun() ->
        holt_registry:register(Reg, {refused, make_ref()}, 0) =:= {error, no_quorum}
    end),
    holt_ct:await(B, fun() ->
        holt_registry:register(Reg, {refused, make_ref()}, 0) =:= {error, no_quorum}
    end),
    ok = set(A, Reg, [A]),
    holt_ct:await(A, fun() -> element(1, holt_registry:register(Reg, alone, 0)) =:= ok end).

sync_waits_for_all(Config) ->
    Reg = registry(Config),
    [A, B, C, _] = nodes_of(Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- [A, B, C]],
    _ = [register_names(Node, Reg, Node, 10) || Node <- [A, B, C]],
    await_count([A, B, C], Reg, 30),
    Sync = fun(Key, Sync, TimeoutMs) ->
        holt_ct:call(A, fun() ->
            Pid = holt_ct:start(),
            Options = #{pid => Pid, sync => Sync, timeout => TimeoutMs},
            holt_registry:register(Reg, Key, 0, Options)
        end)
    end,
    ?assertMatch({ok, _}, Sync(all_here, all, 5000)),
    %% It is there now, without waiting.
    [
        ?assert(holt_ct:call(Node, holt_registry, is_registered, [Reg, all_here]))
     || Node <- [B, C]
    ],
    ?assertMatch({ok, _}, Sync(most_here, quorum, 5000)),
    ?assertEqual(ok, holt_ct:call(A, holt_registry, sync_barrier, [Reg, 5000])),
    ok = holt_test:freeze(C),
    ?assertEqual({error, timeout}, Sync(not_all, all, 500)),
    ?assertMatch({ok, _}, Sync(quorum_of_two, quorum, 5000)),
    ?assert(holt_ct:call(B, holt_registry, is_registered, [Reg, quorum_of_two])),
    ?assertEqual({error, timeout}, holt_ct:call(A, holt_registry, sync_barrier, [Reg, 300])),
    ok = holt_test:freeze(B),
    ?assertEqual({error, timeout}, Sync(nobody, quorum, 500)),
    %% What was not confirmed is registered all the same.
    ?assert(holt_ct:call(A, holt_registry, is_registered, [Reg, nobody])),
    _ = [ok = holt_test:thaw(Node) || Node <- [B, C]],
    ?assertEqual(ok, holt_ct:call(A, holt_registry, sync_barrier, [Reg, 10000])),
    ?assert(holt_ct:call(C, holt_registry, is_registered, [Reg, nobody])).

%% A and C do not speak with each other; B carries what A wants from C.
voucher_carries_requests(Config) ->
    Reg = registry(Config),
    [A, B, C, _] = nodes_of(Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- [A, B, C]],
    Pid = holt_ct:call(C, fun() -> holt_ct:register(Reg, key, 1, []) end),
    await_name([A, B], Reg, key, Pid),
    ok = holt_test:cut(A, C),
    await_info(A, Reg, {Reg, C}, #{contact => vouched, voucher => {Reg, B}}),
    await_info(C, Reg, {Reg, A}, #{contact => vouched, voucher => {Reg, B}}),
    ?assertEqual(
        {2, 1},
        holt_ct:call(A, fun() -> holt_registry:update_value(Reg, key, Pid, fun(N) -> N + 1 end) end)
    ),
    ?assertEqual([{Pid, 2}], holt_ct:call(A, holt_registry, lookup, [Reg, key])),
    ?assertMatch({ok, _}, holt_ct:call(A, holt_registry, register, [Reg, more, 0, #{pid => Pid}])),
    ?assertEqual(ok, holt_ct:call(A, holt_registry, unregister, [Reg, key])),
    await_name([A, B, C], Reg, key, undefined),
    await_name([C], Reg, more, Pid),
    ok = holt_test:cut(A, B),
    holt_ct:await(A, fun() -> holt_cluster:members(Reg) =:= [{Reg, node()}] end),
    %% Not seen, so not held by anybody.
    ?assertEqual(ok, holt_ct:call(A, holt_registry, unregister, [Reg, more])),
    ?assertEqual(
        {error, {unreachable, C}},
        holt_ct:call(A, holt_registry, register, [Reg, another, 0, #{pid => Pid}])
    ),
    ?assertNot(lists:member(C, holt_ct:call(A, erlang, nodes, []))).

%%--------------------------------------------------------------------
%% Wrong use

nonsense_is_dropped(Config) ->
    {Reg, [A, B, C, _] = Nodes} = start_everywhere(Config),
    _ = [register_names(Node, Reg, Node, 10) || Node <- Nodes],
    await_count(Nodes, Reg, 40),
    Replica = holt_ct:call(A, erlang, whereis, [holt_replica:process_name(Reg)]),
    holt_ct:call(B, fun() ->
        Process = {holt_replica:process_name(Reg), A},
        Stamp = {1, {Reg, B}},
        [
            Process ! Message
         || Message <- [
                {holt_members, self(), nonsense},
                {holt_members, nobody, {{Stamp, auto}, []}},
                {holt_members, self(), {{Stamp, other}, []}},
                {holt_members, self(), {{Stamp, list}, [nonsense]}},
                {holt_members, self(), {{Stamp, list}, [{{Reg, B}, Stamp, maybe}]}},
                {holt_members, self(), {{Stamp, list}, [{{Reg, B}, Stamp, true} | improper]}},
                {holt_members, self(), {{{-1, {Reg, B}}, list}, []}},
                {holt_leave, self()},
                {holt_leave, nobody},
                {holt_hello, self(), Reg, <<"nonsense">>, [], nonsense},
                {holt_hello, self(), other_name, <<"nonsense">>, []},
                {holt_grace, nobody},
                holt_tick,
                {'$gen_call', {self(), make_ref()}, {members, nonsense}},
                {'$gen_call', {self(), make_ref()}, {members, {set, [nonsense]}}},
                {'$gen_call', {self(), make_ref()}, {await, nonsense, 1}},
                {'$gen_call', {self(), make_ref()}, {await, {acked, 1, all}, never}},
                {'$gen_call', {self(), make_ref()}, {claim, key, value, self(), nonsense}},
                {'$gen_call', {self(), make_ref()}, {lose, key, a, b, exit}},
                {'$gen_call', {self(), make_ref()}, {relay, {Reg, C}, nonsense, 10}},
                {'$gen_call', nonsense, {update, key, self(), fun(X) -> X end}},
                {'$gen_call', nonsense, {claim, key, <<>>, self(), new}}
            ]
        ]
    end),
    Pid = holt_ct:call(B, fun() -> holt_ct:register(Reg, after_all, 0, []) end),
    ?assertEqual(Replica, holt_ct:call(A, erlang, whereis, [holt_replica:process_name(Reg)])),
    await_name(Nodes, Reg, after_all, Pid),
    ?assertEqual(lists:sort([{Reg, Node} || Node <- Nodes]), members(A, Reg)),
    await_agreement(Nodes, Reg).

wrong_use_is_told(Config) ->
    Reg = registry(Config),
    [A | _] = nodes_of(Config),
    _ = holt_ct:start_registry(A, #{name => Reg}),
    holt_ct:call(A, fun() ->
        NoInstance = [{1, "no registry named nobody on this node"}],
        [
            ?assertEqual(NoInstance, holt_ct:badarg(Fun))
         || Fun <- [
                fun() -> holt_cluster:members(nobody) end,
                fun() -> holt_cluster:set_members(nobody, []) end,
                fun() -> holt_cluster:join(nobody, Reg) end,
                fun() -> holt_cluster:leave(nobody) end,
                fun() -> holt_cluster:evict(nobody, node()) end,
                fun() -> holt_cluster:await_ready(nobody, #{}) end
            ]
        ],
        Members = [
            {2, "neither auto nor a list of members: nodes, names on this node, {Name, Node}"}
        ],
        [
            ?assertEqual(Members, holt_ct:badarg(fun() -> holt_cluster:set_members(Reg, List) end))
         || List <- [all, ["a@b"], [{a, b, c}], [a | b], #{}]
        ],
        Member = [{2, "not a member: a node, a name on this node, {Name, Node}"}],
        ?assertEqual(Member, holt_ct:badarg(fun() -> holt_cluster:join(Reg, "a") end)),
        ?assertEqual(Member, holt_ct:badarg(fun() -> holt_cluster:evict(Reg, "a") end)),
        [
            ?assertEqual(
                [{2, Text}], holt_ct:badarg(fun() -> holt_cluster:await_ready(Reg, Options) end)
            )
         || {Text, Options} <- [
                {"neither a map nor a list of options", all},
                {"the option members must be a number from 1 on, not true", [members]},
                {"the option members must be a number from 1 on, not 0", #{members => 0}},
                {"the option quorum must be majority, not 1", #{quorum => 1}},
                {"the option settle must be milliseconds, not -1", #{settle => -1}},
                {"the option timeout must be milliseconds or infinity, not forever", #{
                    timeout => forever
                }},
                {"there is no option other", #{other => 1}}
            ]
        ]
    end).

%%--------------------------------------------------------------------
%% Many at once

%% All are started at the same instant, want the same name, and have their own.
eight_start_at_once(Config) ->
    Reg = registry(Config),
    with_nodes(8, no_overlap(), fun(Nodes) ->
        At = erlang:system_time(millisecond) + 500,
        Self = self(),
        Starters = [
            spawn_link(fun() ->
                Pid = holt_ct:call(Node, fun() -> start_at(At, Reg) end),
                Self ! {self(), {Node, Pid}}
            end)
         || Node <- Nodes
        ],
        Started = [receive {Starter, Answer} -> Answer end || Starter <- Starters],
        Begin = erlang:monotonic_time(millisecond),
        await_members(Nodes, Reg, lists:sort([{Reg, Node} || Node <- Nodes])),
        %% One of them has it; the others lost it, or never had it.
        await_count(Nodes, Reg, 8 * 50 + 1),
        await_agreement(Nodes, Reg),
        ct:pal("eight nodes agree after ~b ms", [erlang:monotonic_time(millisecond) - Begin]),
        [Holder] = lists:usort([
            holt_ct:call(Node, holt_registry, whereis_name, [{Reg, leader}]) || Node <- Nodes
        ]),
        Had = [{Node, Pid} || {Node, {Pid, {ok, _}}} <- Started],
        ?assert(lists:keymember(Holder, 2, Had)),
        ct:pal("~b of them have had the name", [length(Had)]),
        [
            holt_ct:await(Node, fun() -> not is_process_alive(Pid) end)
         || {Node, Pid} <- Had, Pid =/= Holder
        ]
    end).

start_at(At, Reg) ->
    _ = erlang:start_timer(At - erlang:time_offset(millisecond), self(), now, [{abs, true}]),
    receive
        {timeout, _, now} -> ok
    end,
    {ok, Root} = holt_registry:start_link(#{name => Reg}),
    true = unlink(Root),
    Pid = holt_ct:start(),
    Answer = holt_registry:register(Reg, leader, node(), #{pid => Pid}),
    Holder = holt_ct:start(),
    [
        {ok, _} = holt_registry:register(Reg, {node(), N}, N, #{pid => Holder})
     || N <- lists:seq(1, 50)
    ],
    {Pid, Answer}.

%%--------------------------------------------------------------------
%% What the cases share

other(Reg) ->
    list_to_atom(atom_to_list(Reg) ++ "_other").

%% Names {Tag, 1..Count} of a process of a node.
register_names(Node, Reg, Tag, Count) ->
    holt_ct:call(Node, fun() ->
        Pid = holt_ct:start(),
        [yes = holt_registry:register_name({Reg, {Tag, N}, N}, Pid) || N <- lists:seq(1, Count)],
        Pid
    end).

register_one(Node, Reg, Key) ->
    holt_ct:call(Node, fun() ->
        holt_registry:register(Reg, Key, 0, #{pid => holt_ct:start()})
    end).

set(Node, Reg, List) ->
    holt_ct:call(Node, holt_cluster, set_members, [Reg, List]).

members(Node, Reg) ->
    holt_ct:call(Node, holt_cluster, members, [Reg]).

all_members(Node, Reg) ->
    holt_ct:call(Node, holt_cluster, members, [Reg, all]).

peers(Node, Reg) ->
    holt_ct:call(Node, holt_cluster, peers, [Reg]).

%% Of whom has a member ever heard?
known(Node, Reg) ->
    All = all_members(Node, Reg),
    lists:usort([Member || #{member := Member, actor := Actor} <- All, Actor > 0]).

await_known(Node, Reg, Members) ->
    holt_ct:wait_until(fun() ->
        Known = known(Node, Reg),
        Known =:= Members orelse Known
    end).

await_members(Nodes, Reg, Members) ->
    lists:foreach(
        fun(Node) ->
            holt_ct:await(Node, fun() ->
                Found = holt_cluster:members(Reg),
                Found =:= Members orelse Found
            end)
        end,
        Nodes
    ).

await_info(Node, Reg, Member, Wanted) ->
    holt_ct:await(Node, fun() ->
        Found = [
            Info
         || #{member := Of} = Info <- holt_cluster:members(Reg, all), Of =:= Member
        ],
        [maps:with(maps:keys(Wanted), Info) || Info <- Found] =:= [Wanted] orelse Found
    end).

is_process_alive_at(Node, Pid) ->
    holt_ct:call(Node, erlang, is_process_alive, [Pid]).
