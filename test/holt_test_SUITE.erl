%% SPDX-License-Identifier: Apache-2.0
%% @doc What other suites rely on: nodes of tests do what they are told, and end with the
%% process of their case.
-module(holt_test_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0]).
-compile([export_all, nowarn_export_all]).

-define(SYNC_MS, 20000).

all() ->
    [
        wrong_arguments_are_named,
        this_node_has_a_name,
        cluster_ends_with_its_owner,
        cluster_ends_with_this_node,
        clusters_do_not_meet,
        isolated_on_this_node,
        isolated_on_a_cluster,
        cut_outlives_a_restart,
        one_way_is_one_way,
        daemon_may_lose_and_be_deaf,
        shares_are_drawn,
        clocks_are_shifted
    ].

%%--------------------------------------------------------------------
%% Errors

wrong_arguments_are_named(_Config) ->
    Wrong = fun(Fun) ->
        [{At, Words}] = holt_ct:badarg(Fun),
        ct:pal("~p: ~ts", [At, Words]),
        At
    end,
    ?assertEqual(1, Wrong(fun() -> holt_test:start_cluster(0) end)),
    ?assertEqual(2, Wrong(fun() -> holt_test:start_cluster(1, #{nodes => 3}) end)),
    ?assertEqual(2, Wrong(fun() -> holt_test:start_cluster(1, [holtd]) end)),
    ?assertEqual(2, Wrong(fun() -> holt_test:start_cluster(2, #{clock_offset_ms => [1]}) end)),
    ?assertEqual(2, Wrong(fun() -> holt_test:start_cluster(1, #{instances => [#{a => 1}]}) end)),
    ?assertEqual(1, Wrong(fun() -> holt_test:cut(a@b, b@b) end)),
    ?assertEqual(1, Wrong(fun() -> holt_test:kill(a@b) end)),
    ?assertEqual(1, Wrong(fun() -> holt_test:stop(#{}) end)),
    ?assertEqual(1, Wrong(fun() -> holt_test:await_in_sync("names", 1) end)),
    ?assertEqual(2, Wrong(fun() -> holt_test:await_in_sync(names, soon) end)),
    ?assertEqual(general, Wrong(fun() -> holt_test:await_in_sync(names, 1) end)),
    ?assertEqual(1, Wrong(fun() -> holt_test:isolated(#{}) end)),
    #{nodes := [A, B], daemons := [D, E]} =
        holt_test:start_cluster(2, #{holtd => 2, instances => [names]}),
    ?assertEqual(2, Wrong(fun() -> holt_test:cut(A, A) end)),
    ?assertEqual(2, Wrong(fun() -> holt_test:cut(D, E) end)),
    ?assertEqual(3, Wrong(fun() -> holt_test:drop(A, B, 1.1) end)),
    ?assertEqual(1, Wrong(fun() -> holt_test:call(D, erlang, node, []) end)),
    ?assertEqual(2, Wrong(fun() -> holt_test:call(A, fun(_) -> ok end) end)),
    ok = holt_test:freeze(B),
    ?assertEqual(2, Wrong(fun() -> holt_test:cut(A, B) end)),
    ok = holt_test:kill(B),
    ?assertEqual(1, Wrong(fun() -> holt_test:freeze(B) end)),
    ?assertEqual(1, Wrong(fun() -> holt_test:call(B, erlang, node, []) end)),
    %% What a function returns is nothing that went wrong.
    ?assertEqual({failed, x}, holt_test:call(A, erlang, hd, [[{failed, x}]])),
    ?assertEqual({badarg, x}, holt_test:call(A, fun() -> {badarg, x} end)),
    ?assertError(
        {not_in_time, {no_instance, others}}, holt_test:await_in_sync(others, 10)
    ).

%%--------------------------------------------------------------------
%% Ends

%% Even if it had none before.
this_node_has_a_name(_Config) ->
    #{nodes := [A]} = holt_test:start_cluster(1),
    ?assert(is_alive()),
    ?assertEqual(A, erpc:call(A, erlang, node, [])),
    ok = holt_test:stop(),
    ok = holt_test:stop().

cluster_ends_with_its_owner(_Config) ->
    Self = self(),
    {Owner, Monitor} = spawn_monitor(fun() ->
        Cluster = holt_test:start_cluster(2, #{holtd => 1, instances => [names]}),
        Self ! {os_pids, os_pids(Cluster)},
        receive
            never -> ok
        end
    end),
    OsPids = receive_os_pids(),
    ?assertEqual([], [P || P <- OsPids, not runs(P)]),
    true = exit(Owner, kill),
    receive
        {'DOWN', Monitor, process, Owner, _} -> ok
    end,
    holt_ct:wait_until(fun() -> [] =:= [P || P <- OsPids, runs(P)] end).

%% Whatever became of that: killed, with a node that is frozen and hears nothing.
cluster_ends_with_this_node(_Config) ->
    {ok, Control, _} = peer:start(#{connection => standard_io, args => code_paths()}),
    Start = fun() ->
        Cluster = #{nodes := [A | _]} =
            holt_test:start_cluster(2, #{holtd => 1, instances => [names], owner => none}),
        ok = holt_test:freeze(A),
        {os:getpid(), os_pids(Cluster)}
    end,
    {OsPid, OsPids} = peer:call(Control, erlang, apply, [Start, []], 60000),
    ?assertEqual([], [P || P <- OsPids, not runs(P)]),
    "" = os:cmd("kill -KILL " ++ OsPid),
    holt_ct:wait_until(fun() -> [] =:= [P || P <- OsPids, runs(P)] end).

code_paths() ->
    lists:append([
        ["-pa", filename:dirname(code:which(Module))]
     || Module <- [?MODULE, holt_registry]
    ]).

os_pids(#{nodes := Nodes, daemons := Daemons}) ->
    [holt_test:os_pid(Node) || Node <- Nodes ++ Daemons].

receive_os_pids() ->
    receive
        {os_pids, OsPids} -> OsPids
    after 60000 -> error(no_cluster)
    end.

runs(OsPid) ->
    case string:trim(os:cmd("ps -o stat= -p " ++ OsPid)) of
        "" -> false;
        "Z" ++ _ -> false;
        _ -> true
    end.

%%--------------------------------------------------------------------
%% Clusters and instances

%% The same names, at the same time, of two tests.
clusters_do_not_meet(_Config) ->
    Self = self(),
    Start = fun() ->
        #{nodes := [A, B]} = holt_test:start_cluster(2, #{instances => [names]}),
        register_on(A, names, key),
        ok = holt_test:await_in_sync(names, ?SYNC_MS),
        Self ! {self(), [A, B], holt_test:call(B, holt_cluster, members, [names])},
        receive
            {Self, go_on} -> ok
        end,
        1 = holt_test:call(B, holt_registry, count, [names]),
        ok = holt_test:kill(A),
        Self ! {self(), ended}
    end,
    Tests = [spawn_monitor(Start) || _ <- [one, other]],
    Found = [
        receive
            {Pid, Nodes, Members} -> {Nodes, [Node || {names, Node} <- Members]}
        after 60000 -> error(no_cluster)
        end
     || {Pid, _} <- Tests
    ],
    [?assertEqual(lists:sort(Nodes), Members) || {Nodes, Members} <- Found],
    [Pid ! {Self, go_on} || {Pid, _} <- Tests],
    [
        receive
            {'DOWN', Monitor, process, Pid, Reason} -> ?assertEqual(normal, Reason)
        end
     || {Pid, Monitor} <- Tests
    ],
    ok.

isolated_on_this_node(_Config) ->
    Self = self(),
    {Owner, Monitor} = spawn_monitor(fun() ->
        Names = holt_test:isolated(names),
        Other = holt_test:isolated([{name, names}, {keys, unique}]),
        {ok, _} = holt_registry:register(Names, key, 1),
        Self ! {Names, Other, holt_registry:count(Names), holt_registry:count(Other)},
        receive
            never -> ok
        end
    end),
    {Names, Other} =
        receive
            {One, Two, 1, 0} -> {One, Two}
        after 10000 -> error(no_instance)
        end,
    true = exit(Owner, kill),
    receive
        {'DOWN', Monitor, process, Owner, _} -> ok
    end,
    holt_ct:wait_until(fun() -> [whereis(Names), whereis(Other)] =:= [undefined, undefined] end).

%% A daemon that has held nothing begins to run.
isolated_on_a_cluster(_Config) ->
    Cluster = #{nodes := [A, B], daemons := [D]} = holt_test:start_cluster(2, #{holtd => 1}),
    Self = self(),
    {Owner, Monitor} = spawn_monitor(fun() ->
        Names = holt_test:isolated(Cluster, #{name => names, vector_interval_ms => 200}),
        register_on(A, Names, key),
        ok = holt_test:await_in_sync(Cluster, Names, ?SYNC_MS),
        Self ! {names, Names},
        receive
            never -> ok
        end
    end),
    Names =
        receive
            {names, Unique} -> Unique
        after 60000 -> error(no_instance)
        end,
    ?assertEqual(1, holt_test:call(B, holt_registry, count, [Names])),
    ?assertEqual(1, holt_test:call(B, gen_server, call, [{holtd, D}, {count, Names}])),
    true = exit(Owner, kill),
    receive
        {'DOWN', Monitor, process, Owner, _} -> ok
    end,
    [holt_ct:await(Node, fun() -> whereis(Names) =:= undefined end) || Node <- [A, B]],
    ok.

%%--------------------------------------------------------------------
%% Cuts and losses

cut_outlives_a_restart(_Config) ->
    #{nodes := [A, B, C], daemons := [D]} =
        holt_test:start_cluster(3, #{holtd => 1, instances => [names]}),
    ok = holt_test:cut(A, B),
    ok = holt_test:cut(A, D),
    ok = holt_test:kill(A),
    ok = holt_test:restart(A),
    ?assertEqual([C], cluster_nodes(A, [B, C, D])),
    ?assertEqual([], [N || N <- cluster_nodes(B, [A])]),
    ok = holt_test:restart(D),
    ok = holt_test:await_in_sync(names, ?SYNC_MS),
    ?assertEqual([C], cluster_nodes(A, [B, C, D])),
    ok = holt_test:heal(A, B),
    ?assertEqual([B, C], cluster_nodes(A, [B, C, D])),
    ok = holt_test:heal(),
    ?assertEqual([B, C, D], cluster_nodes(A, [B, C, D])),
    ok = holt_test:await_in_sync(names, ?SYNC_MS).

cluster_nodes(At, Of) ->
    Connected = holt_test:call(At, erlang, nodes, [connected]),
    [Node || Node <- Of, lists:member(Node, Connected)].

one_way_is_one_way(_Config) ->
    #{nodes := [A, B]} = holt_test:start_cluster(2, #{instances => [names]}),
    ok = holt_test:await_in_sync(names, ?SYNC_MS),
    ok = holt_test:cut_one_way(A, B),
    OnA = register_on(A, names, a),
    OnB = register_on(B, names, b),
    await_name(A, names, b, OnB),
    %% What is to be lost will have been when as much has come the other way.
    ?assertEqual(undefined, holt_test:call(B, holt_registry, whereis_name, [{names, a}])),
    ?assertError({not_in_time, _}, holt_test:await_in_sync(names, 1500)),
    ?assertEqual(undefined, holt_test:call(B, holt_registry, whereis_name, [{names, a}])),
    ?assertEqual([B], cluster_nodes(A, [B])),
    ok = holt_test:heal(A, B),
    await_name(B, names, a, OnA),
    ok = holt_test:await_in_sync(names, ?SYNC_MS).

%% The one who loses what a daemon sends, and what it is sent, is the node.
daemon_may_lose_and_be_deaf(_Config) ->
    #{nodes := [A, B], daemons := [D]} =
        holt_test:start_cluster(2, #{holtd => 1, instances => [names]}),
    ok = holt_test:await_in_sync(names, ?SYNC_MS),
    Count = fun() -> holt_test:call(B, gen_server, call, [{holtd, D}, {count, names}]) end,
    ok = holt_test:drop(D, A, 1),
    _ = register_on(A, names, one),
    %% The daemon does not get through to A, not even with a hello: no session, no stream.
    ?assertError({not_in_time, _}, holt_test:await_in_sync(names, 1500)),
    ok = holt_test:heal(D, A),
    ok = holt_test:await_in_sync(names, ?SYNC_MS),
    ?assertEqual(1, Count()),
    ok = holt_test:cut_one_way(A, D),
    _ = register_on(A, names, two),
    ?assertError({not_in_time, _}, holt_test:await_in_sync(names, 1500)),
    ?assertEqual(1, Count()),
    ok = holt_test:heal(),
    ok = holt_test:await_in_sync(names, ?SYNC_MS),
    ?assertEqual(2, Count()).

%% About as many as were wanted.
shares_are_drawn(_Config) ->
    Rules = #{seed => 1, to => #{a@b => 0.3}, from => #{}},
    ok = application:set_env(holt, message_loss, Rules),
    Loaded = holt_loss:load(),
    ok = application:unset_env(holt, message_loss),
    Lost = length([N || N <- lists:seq(1, 10000), holt_loss:is_sent_lost({x, a@b}, Loaded), N > 0]),
    ct:pal("~b of 10,000", [Lost]),
    ?assert(abs(Lost - 3000) < 300),
    ?assertNot(holt_loss:is_sent_lost({x, c@b}, Loaded)),
    ?assertEqual(none, holt_loss:load()).

clocks_are_shifted(_Config) ->
    Hour = 3600000,
    #{nodes := [A, B, C]} = holt_test:start_cluster(3, #{
        instances => [names], clock_offset_ms => [0, Hour, -Hour]
    }),
    ok = holt_test:await_in_sync(names, ?SYNC_MS),
    Peers = holt_test:call(A, holt_cluster, peers, [names]),
    Hours = [{Node, round(Ms / Hour)} || #{member := {_, Node}, clock_ms := Ms} <- Peers],
    ?assertEqual(lists:sort([{B, 1}, {C, -1}]), lists:sort(Hours)).

%%--------------------------------------------------------------------
%% Helpers

register_on(Node, Registry, Key) ->
    holt_test:call(Node, fun() -> holt_ct:register(Registry, Key, undefined, []) end).

await_name(Node, Registry, Key, Pid) ->
    holt_ct:await(Node, fun() -> holt_registry:whereis_name({Registry, Key}) =:= Pid end).
