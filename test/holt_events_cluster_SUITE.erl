%% SPDX-License-Identifier: Apache-2.0
%% @doc Who is told of what on several nodes: real ones, with real links.
-module(holt_events_cluster_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

-import(holt_ct_cluster, [
    registry/1, nodes_of/1, start_everywhere/1, stop_registry/2, await_name/4, await_count/3
]).
-import(holt_ct_events, [
    follow/3, follow/4, events/1, messages/1, replayed/1, strip/1, await_events/2,
    await_replayed/2
]).

%% Of the random case.
-define(KEYS, 40).
-define(STEPS, 400).

all() ->
    [
        changes_are_told_on_all_nodes,
        name_is_given_to_another_node,
        name_of_another_node_is_awaited,
        late_member_is_told_of_all,
        conflict_is_told_on_all_nodes,
        listeners_see_a_conflict_in_order,
        node_with_many_names_goes_and_returns,
        node_returns_with_other_names,
        node_is_killed,
        standby_takes_over_and_hands_back,
        contested_name_after_a_cut,
        listeners_are_told_of_each_name,
        node_is_given_a_name,
        random_changes_are_replayed
    ].

init_per_suite(Config) ->
    [{nodes, holt_ct:start_nodes(2, holt_ct_cluster:no_overlap())} | Config].

end_per_suite(Config) ->
    holt_ct:stop_nodes(nodes_of(Config)).

init_per_testcase(Case, Config) ->
    [{registry, Case} | Config].

end_per_testcase(Case, Config) ->
    ok = heal(Config),
    lists:foreach(fun(Node) -> stop_registry(Node, Case) end, nodes_of(Config)).

%%--------------------------------------------------------------------
%% Changes of one node, told on both

changes_are_told_on_all_nodes(Config) ->
    {Reg, [A, _] = Nodes} = start_everywhere(Config),
    ok = await_members(Nodes, Reg),
    [OfA, OfB] = Followers = [follow(Node, Reg, {key, key}) || Node <- Nodes],
    {First, Second, Third} = holt_ct:call(A, fun() ->
        First = holt_ct:register(Reg, key, 1, []),
        _ = holt_ct:do(First, fun() -> holt_registry:update_value(Reg, key, fun(_) -> 2 end) end),
        ok = holt_registry:unregister(Reg, key),
        Second = holt_ct:register(Reg, key, 3, []),
        Third = holt_ct:start(),
        ok = holt_registry:give_away(Reg, key, Third),
        {First, Second, Third}
    end),
    Told = [
        {registered, user, key, {First, 1}, undefined},
        {updated, user, key, {First, 2}, {First, 1}},
        {unregistered, user, key, {First, 2}, {First, 2}},
        {registered, user, key, {Second, 3}, undefined},
        {registered, given_away, key, {Third, 3}, {Second, 3}}
    ],
    await_events(OfA, Told),
    %% Another node may hear of several changes at once, and then only of their sum.
    holt_ct:wait_until(fun() -> replayed(OfB) =:= #{key => {Third, 3}} end),
    ok = holt_ct:call(A, fun() -> holt_ct:kill(Third) end),
    Down = {unregistered, down, key, {Third, 3}, {Third, 3}},
    await_events(OfA, Told ++ [Down]),
    await_last(OfB, Down),
    %% Step by step it hears of each.
    Pid = holt_ct:call(A, fun() -> holt_ct:register(Reg, key, 1, []) end),
    await_last(OfB, {registered, user, key, {Pid, 1}, undefined}),
    holt_ct:call(A, fun() ->
        holt_ct:do(Pid, fun() -> holt_registry:update_value(Reg, key, fun(_) -> 2 end) end)
    end),
    await_last(OfB, {updated, user, key, {Pid, 2}, {Pid, 1}}),
    holt_ct:call(A, fun() -> ok = holt_registry:unregister(Reg, key) end),
    await_last(OfB, {unregistered, user, key, {Pid, 2}, {Pid, 2}}),
    stop(Followers).

await_last(Follower, Event) ->
    holt_ct:wait_until(fun() ->
        Got = strip(events(Follower)),
        lists:suffix([Event], Got) orelse Got
    end).

name_is_given_to_another_node(Config) ->
    {Reg, [A, B] = Nodes} = start_everywhere(Config),
    ok = await_members(Nodes, Reg),
    Here = holt_ct:call(A, fun() -> holt_ct:register(Reg, key, 1, []) end),
    ok = await_name(Nodes, Reg, key, Here),
    Followers = [follow(Node, Reg, {key, key}) || Node <- Nodes],
    There = holt_ct:call(B, fun() -> holt_ct:start() end),
    ok = holt_ct:call(A, fun() -> holt_registry:give_away(Reg, key, There) end),
    _ = [
        await_events(Follower, [
            {initial, key, {Here, 1}}, {registered, given_away, key, {There, 1}, {Here, 1}}
        ])
     || Follower <- Followers
    ],
    stop(Followers).

name_of_another_node_is_awaited(Config) ->
    {Reg, [A, B] = Nodes} = start_everywhere(Config),
    ok = await_members(Nodes, Reg),
    Self = self(),
    spawn_link(fun() ->
        Self ! holt_ct:call(A, fun() -> holt_registry:await(Reg, key, 10000) end)
    end),
    holt_ct:await(A, fun() -> ets:info(holt_subscriptions, size) =:= 1 end),
    Pid = holt_ct:call(B, fun() -> holt_ct:register(Reg, key, 7, []) end),
    receive
        Answer -> ?assertEqual({Pid, 7}, Answer)
    end.

late_member_is_told_of_all(Config) ->
    Reg = registry(Config),
    [A, B] = nodes_of(Config),
    _ = holt_ct:start_registry(A, #{name => Reg}),
    _ = holt_ct_cluster:register_many(A, Reg, 5000),
    _ = holt_ct:start_registry(B, #{name => Reg}),
    Follower = follow(B, Reg, all),
    ok = await_count([B], Reg, 5000),
    await_replayed(Follower, Reg),
    ?assertEqual(5000, map_size(replayed(Follower))),
    stop([Follower]).

%%--------------------------------------------------------------------
%% Conflicts

conflict_is_told_on_all_nodes(Config) ->
    Reg = registry(Config),
    [A, B] = nodes_of(Config),
    _ = holt_ct:start_registry(A, #{name => Reg}),
    OfA = follow(A, Reg, {key, key}),
    Older = older(A, Reg),
    _ = holt_ct:start_registry(B, #{name => Reg}),
    OfB = follow(B, Reg, {key, key}),
    Newer = holt_ct:call(B, fun() -> holt_ct:register(Reg, key, newer, []) end),
    ok = meet(A, Reg),
    ok = await_name([A, B], Reg, key, Older),
    await_last(OfB, {registered, conflict, key, {Older, older}, {Newer, newer}}),
    ?assertEqual(
        [
            {registered, user, key, {Newer, newer}, undefined},
            {registered, conflict, key, {Older, older}, {Newer, newer}}
        ],
        of_names(OfB)
    ),
    %% Here nothing has changed.
    ?assertEqual([{registered, user, key, {Older, older}, undefined}], of_names(OfA)),
    stop([OfA, OfB]).

%% Without members.
of_names(Follower) ->
    [Event || Event <- strip(events(Follower)), element(1, Event) =/= member_up,
        element(1, Event) =/= member_down].

%% Registered while its node hears of no other; so it counts as early, as the other one does.
older(A, Reg) ->
    holt_ct:call(A, fun() ->
        ok = sys:suspend(holt_replica:process_name(Reg)),
        Pid = holt_ct:register(Reg, key, older, []),
        holt_ct_cluster:tick(),
        Pid
    end).

meet(A, Reg) ->
    holt_ct:call(A, fun() -> sys:resume(holt_replica:process_name(Reg)) end).

%% The process that waits for the loser's end is the listener: what it gets first came first.
listeners_see_a_conflict_in_order(Config) ->
    Reg = registry(Config),
    [A, B] = nodes_of(Config),
    Options = #{name => Reg, listeners => [in_order, {module, holt_ct_events}]},
    OfB = holt_ct_events:listen(B, in_order),
    Callbacks = holt_ct_events:listen(
        B, list_to_atom(atom_to_list(Reg) ++ "_callbacks")
    ),
    _ = holt_ct:start_registry(A, Options),
    Older = older(A, Reg),
    _ = holt_ct:start_registry(B, Options),
    Newer = holt_ct:call(B, fun() -> holt_ct:register(Reg, key, newer, []) end),
    ok = monitor_by(OfB, Newer),
    ok = meet(A, Reg),
    holt_ct:wait_until(fun() ->
        case messages(OfB) of
            [
                {register, Reg, key, Newer, newer},
                {unregister, Reg, key, Newer},
                {register, Reg, key, Older, older},
                {'DOWN', _, process, Newer, {shutdown, {name_conflict, _, Reg, Older}}}
            ] ->
                true;
            Other ->
                Other
        end
    end),
    ?assertEqual(
        [
            {registered, key, Newer, newer, normal},
            {unregistered, key, Newer, newer, syn_conflict_resolution},
            {registered, key, Older, older, syn_conflict_resolution}
        ],
        messages(Callbacks)
    ),
    stop([OfB, Callbacks]).

monitor_by(Listener, Pid) ->
    holt_ct:call(node(Listener), fun() ->
        _ = sys:replace_state(Listener, fun(State) ->
            _ = monitor(process, Pid),
            State
        end),
        ok
    end).

%%--------------------------------------------------------------------
%% Members come and go

node_with_many_names_goes_and_returns(Config) ->
    {Reg, [A, B] = Nodes} = start_everywhere(Config),
    ok = await_members(Nodes, Reg),
    Count = 5000,
    Pid = holt_ct_cluster:register_many(B, Reg, Count),
    ok = await_count([A], Reg, Count),
    Own = holt_ct:call(A, fun() -> holt_ct:register(Reg, own, 1, []) end),
    All = follow(A, Reg, all, #{initial => false}),
    ByKey = follow(A, Reg, {key, {B, 1}}),
    ByPrefix = follow(A, Reg, {prefix, <<>>}),
    WithRows = follow(A, Reg, all),
    await_replayed(WithRows, Reg),
    ok = cut(Config),
    ok = await_count([A], Reg, 1),
    Down = {member_down, {Reg, B}, Count},
    await_events(All, [Down]),
    await_events(ByKey, [{initial, {B, 1}, {Pid, {B, 1}}}, Down]),
    await_events(ByPrefix, [Down]),
    await_replayed(WithRows, Reg),
    ?assertEqual(#{own => {Own, 1}}, replayed(WithRows)),
    ok = heal(Config),
    ok = await_count([A], Reg, Count + 1),
    Up = {member_up, {Reg, B}, Count},
    await_events(All, [Down, Up]),
    await_events(ByKey, [{initial, {B, 1}, {Pid, {B, 1}}}, Down, Up]),
    await_events(ByPrefix, [Down, Up]),
    await_replayed(WithRows, Reg),
    stop([All, ByKey, ByPrefix, WithRows]).

node_returns_with_other_names(Config) ->
    {Reg, [A, B] = Nodes} = start_everywhere(Config),
    ok = await_members(Nodes, Reg),
    Pid = holt_ct_cluster:register_many(B, Reg, 300),
    ok = await_count([A], Reg, 300),
    Followers = [follow(Node, Reg, all) || Node <- Nodes],
    Waiter = holt_ct:call(A, fun() -> holt_ct:start() end),
    _ = [await_replayed(Follower, Reg) || Follower <- Followers],
    ok = cut(Config),
    ok = await_count([A], Reg, 0),
    Self = self(),
    %% The name comes with its node, not by itself.
    spawn_link(fun() ->
        Self ! holt_ct:call(A, fun() -> holt_registry:await(Reg, new, 20000) end)
    end),
    holt_ct:call(B, fun() ->
        _ = [ok = holt_registry:unregister(Reg, {B, N}) || N <- lists:seq(1, 100)],
        yes = holt_registry:register_name({Reg, new, 1}, Pid),
        holt_ct:do(Pid, fun() ->
            {_, _} = holt_registry:update_value(Reg, {B, 200}, fun(_) -> changed end)
        end)
    end),
    holt_ct:call(A, fun() -> yes = holt_registry:register_name({Reg, a, 1}, Waiter) end),
    ok = heal(Config),
    ok = await_count(Nodes, Reg, 202),
    receive
        Answer -> ?assertEqual({Pid, 1}, Answer)
    end,
    _ = [await_replayed(Follower, Reg) || Follower <- Followers],
    stop(Followers).

node_is_killed(Config) ->
    Reg = registry(Config),
    [A | _] = nodes_of(Config),
    _ = holt_ct:start_registry(A, #{name => Reg}),
    holt_ct_cluster:with_nodes(1, holt_ct_cluster:no_overlap(), fun([C]) ->
        connect_foreign(A, C),
        _ = holt_ct:start_registry(C, #{name => Reg}),
        ok = await_members([A, C], Reg),
        _ = holt_ct_cluster:register_many(C, Reg, 1000),
        ok = await_count([A], Reg, 1000),
        Follower = follow(A, Reg, all, #{initial => false}),
        ok = holt_test:kill(C),
        await_events(Follower, [{member_down, {Reg, C}, 1000}]),
        stop([Follower])
    end).

connect_foreign(A, C) ->
    Cookie = holt_ct:call(C, fun() -> erlang:get_cookie() end),
    holt_ct:call(A, fun() ->
        true = erlang:set_cookie(C, Cookie),
        holt_ct:wait_until(fun() -> net_kernel:connect_node(C) end)
    end).

%% Who waits for a name takes it over when its holder's node goes, and hands it back.
standby_takes_over_and_hands_back(Config) ->
    {Reg, [A, B] = Nodes} = start_everywhere(Config),
    ok = await_members(Nodes, Reg),
    Holder = holt_ct:call(B, fun() -> holt_ct:register(Reg, key, 1, []) end),
    ok = await_name([A], Reg, key, Holder),
    Standby = holt_ct:call(A, fun() ->
        Pid = holt_ct:start(),
        _ = holt_ct:do(Pid, fun() -> holt_registry:standby(Reg, key, 2) end),
        Pid
    end),
    ByKey = follow(A, Reg, {key, key}),
    All = follow(A, Reg, all),
    await_events(ByKey, [{initial, key, {Holder, 1}}]),
    ok = cut(Config),
    ok = await_name([A], Reg, key, Standby),
    holt_ct:wait_until(fun() -> replayed(ByKey) =:= #{key => {Standby, 2}} end),
    ?assertMatch([{member_down, _, _}], [E || {member_down, _, _} = E <- strip(events(ByKey))]),
    await_replayed(All, Reg),
    ok = heal(Config),
    ok = await_name(Nodes, Reg, key, Holder),
    holt_ct:wait_until(fun() -> replayed(ByKey) =:= #{key => {Holder, 1}} end),
    await_replayed(All, Reg),
    ok = holt_ct:call(B, fun() -> holt_ct:kill(Holder) end),
    holt_ct:wait_until(fun() -> replayed(ByKey) =:= #{key => {Standby, 2}} end),
    {registered, down, key, {Standby, 2}, {Holder, 1}} = lists:last(strip(events(ByKey))),
    stop([ByKey, All]).

contested_name_after_a_cut(Config) ->
    {Reg, [A, B] = Nodes} = start_everywhere(Config),
    ok = await_members(Nodes, Reg),
    ok = cut(Config),
    _ = [holt_ct:await(N, fun() -> length(holt_cluster:members(Reg)) =:= 1 end) || N <- Nodes],
    Older = holt_ct:call(A, fun() ->
        Pid = holt_ct:register(Reg, key, older, []),
        holt_ct_cluster:tick(),
        Pid
    end),
    Newer = holt_ct:call(B, fun() -> holt_ct:register(Reg, key, newer, []) end),
    [OfA, OfB] = Followers = [follow(Node, Reg, {key, key}) || Node <- Nodes],
    await_events(OfA, [{initial, key, {Older, older}}]),
    await_events(OfB, [{initial, key, {Newer, newer}}]),
    ok = heal(Config),
    ok = await_name(Nodes, Reg, key, Newer),
    holt_ct:wait_until(fun() -> replayed(OfA) =:= #{key => {Newer, newer}} end),
    ?assertEqual(
        [
            {initial, key, {Older, older}},
            {registered, conflict, key, {Newer, newer}, {Older, older}}
        ],
        of_names(OfA)
    ),
    ?assertEqual([{initial, key, {Newer, newer}}], of_names(OfB)),
    ?assertEqual(#{key => {Newer, newer}}, replayed(OfB)),
    stop(Followers).

%% Listeners have no word for a member.
listeners_are_told_of_each_name(Config) ->
    Reg = registry(Config),
    [A, B] = Nodes = nodes_of(Config),
    Listeners = #{name => Reg, listeners => [each_name, {module, holt_ct_events}]},
    _ = holt_ct:start_registry(A, Listeners),
    _ = holt_ct:start_registry(B, #{name => Reg}),
    ok = await_members(Nodes, Reg),
    Named = holt_ct_events:listen(A, each_name),
    Callbacks = holt_ct_events:listen(A, list_to_atom(atom_to_list(Reg) ++ "_callbacks")),
    Pid = holt_ct_cluster:register_many(B, Reg, 100),
    Own = holt_ct:call(A, fun() -> holt_ct:register(Reg, own, 1, []) end),
    Keys = [{B, N} || N <- lists:seq(1, 100)],
    Up = [{register, Reg, Key, Pid, Key} || Key <- Keys],
    Down = [{unregister, Reg, Key, Pid} || Key <- Keys],
    Mine = {register, Reg, own, Own, 1},
    await_sorted(Named, [Mine | Up]),
    ok = cut(Config),
    await_sorted(Named, [Mine | Up] ++ Down),
    ok = heal(Config),
    await_sorted(Named, [Mine | Up] ++ Down ++ Up),
    await_sorted(
        Callbacks,
        [{registered, own, Own, 1, normal}] ++
            [{registered, Key, Pid, Key, normal} || Key <- Keys] ++
            [
                {unregistered, Key, Pid, Key, {syn_remote_scope_node_down, Reg, B}}
             || Key <- Keys
            ] ++
            [{registered, Key, Pid, Key, {syn_remote_scope_node_up, Reg, B}} || Key <- Keys]
    ),
    stop([Named, Callbacks]).

await_sorted(Listener, Expected) ->
    holt_ct:wait_until(fun() ->
        Got = messages(Listener),
        lists:sort(Got) =:= lists:sort(Expected) orelse {length(Got), lists:sublist(Got, 5)}
    end).

%% Distribution is started under those who follow: the actor is another one then.
node_is_given_a_name(Config) ->
    Reg = registry(Config),
    Node = holt_ct:start_unnamed([]),
    try
        {Before, After} = holt_ct:call(Node, holt_ct_events, follow_renamed, [Reg]),
        ?assertEqual(1, maps:size(Before)),
        ?assertEqual(2, maps:size(After))
    after
        holt_ct:stop_nodes([Node])
    end.

%%--------------------------------------------------------------------
%% Anything

%% Two nodes do what they do; whoever has followed from the beginning, has come late or has
%% resumed knows in the end what there is, by what was told alone.
random_changes_are_replayed(Config) ->
    Seed =
        case os:getenv("SEED") of
            false -> erlang:phash2(make_ref());
            String -> list_to_integer(String)
        end,
    ct:pal("SEED=~b", [Seed]),
    _ = rand:seed(exsss, Seed),
    {Reg, Nodes} = {registry(Config), nodes_of(Config)},
    %% Links come and go by the second.
    _ = [holt_ct:start_registry(Node, #{name => Reg, flap_ms_max => 10}) || Node <- Nodes],
    ok = await_members(Nodes, Reg),
    First = [follow(Node, Reg, all) || Node <- Nodes],
    Last = lists:foldl(
        fun(_, Followers) -> random_step(Reg, Config, Followers) end, First, lists:seq(1, ?STEPS)
    ),
    ok = heal(Config),
    ok = holt_ct_cluster:await_agreement(Nodes, Reg),
    _ = [await_replayed(Follower, Reg) || Follower <- Last],
    stop(Last).

random_step(Reg, Config, Followers) ->
    Nodes = nodes_of(Config),
    Node = lists:nth(rand:uniform(2), Nodes),
    Key = rand:uniform(?KEYS),
    case rand:uniform(100) of
        N when N =< 45 ->
            _ = holt_ct:call(Node, fun() ->
                Pid = holt_ct:start(),
                holt_registry:register_name({Reg, Key, N}, Pid)
            end),
            Followers;
        N when N =< 60 ->
            on_owner(Node, Reg, Key, fun(Pid) ->
                holt_ct:do(Pid, fun() ->
                    holt_registry:update_value(Reg, Key, fun(_) -> N end)
                end)
            end),
            Followers;
        N when N =< 75 ->
            on_owner(Node, Reg, Key, fun(_) -> holt_registry:unregister(Reg, Key) end),
            Followers;
        N when N =< 88 ->
            on_owner(Node, Reg, Key, fun(Pid) -> exit(Pid, kill) end),
            Followers;
        N when N =< 91 ->
            on_owner(Node, Reg, Key, fun(_) ->
                holt_registry:give_away(Reg, Key, holt_ct:start())
            end),
            Followers;
        N when N =< 94 ->
            cut(Config),
            Followers;
        N when N =< 97 ->
            heal(Config),
            Followers;
        98 ->
            kill_process(Node, holt_events:process_name(Reg)),
            Followers;
        99 ->
            kill_process(Node, holt_replica:process_name(Reg)),
            Followers;
        100 ->
            [follow(Node, Reg, all) | Followers]
    end.

%% Of a process of this node.
on_owner(Node, Reg, Key, Fun) ->
    holt_ct:call(Node, fun() ->
        case holt_registry:whereis_name({Reg, Key}) of
            Pid when node(Pid) =:= node() ->
                catch Fun(Pid),
                ok;
            _ ->
                ok
        end
    end).

kill_process(Node, Name) ->
    holt_ct:call(Node, fun() ->
        case whereis(Name) of
            undefined -> ok;
            Pid -> exit(Pid, kill)
        end
    end).

%%--------------------------------------------------------------------
%% Helpers

stop(Followers) ->
    _ = [holt_ct_events:stop(Follower) || Follower <- Followers],
    ok.

await_members(Nodes, Reg) ->
    Count = length(Nodes),
    lists:foreach(
        fun(Node) ->
            holt_ct:await(Node, fun() -> length(holt_cluster:members(Reg)) =:= Count end)
        end,
        Nodes
    ).

cut(Config) ->
    [A, B] = nodes_of(Config),
    holt_test:cut(A, B).

heal(Config) ->
    [A, B] = nodes_of(Config),
    holt_test:heal(A, B).
