%% SPDX-License-Identifier: Apache-2.0
%% @doc The daemon, and the nodes around it, end, freeze, come late and come back.
-module(holt_cnode_life_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, groups/0, init_per_suite/1, end_per_suite/1]).
-export([init_per_group/2, end_per_group/2, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

-import(holt_ct_cluster, [no_overlap/0, start_everywhere/1, stop_registry/2]).
-import(holt_ct_daemon, [
    start_daemon/2, start_daemon/3, start_daemon/4, daemon_name/0, peer_name/1, ask/3,
    same_answers/3, await_count/4, await_members/4, members/3, register_many/3
]).

-define(COOKIE, "holt_ct").

%% Ends with exit code 0 only if its loop was empty; with sanitizers, if nothing leaked.
-define(RESTARTS, list_to_integer(os:getenv("HOLT_RESTARTS", "10"))).

all() ->
    [{group, shared}, {group, own}].

%% The nodes of `shared' are those of all its cases; each has a registry and a daemon of its own.
groups() ->
    [
        {shared, [], [
            erl_call_is_left_alone,
            application_stops_and_starts,
            instance_ends_and_begins_again,
            replica_is_killed,
            daemon_stops_for_a_moment,
            daemon_restarts_under_its_name,
            two_nodes_of_one_name
        ]},
        {own, [], [
            node_arrives_late,
            node_is_killed_and_comes_back,
            daemon_repairs_for_others,
            daemon_is_frozen,
            epmd_comes_and_goes
        ]}
    ].

init_per_suite(Config) ->
    holt_ct_daemon:init_suite(Config).

end_per_suite(_Config) ->
    ok.

init_per_group(Group, Config) ->
    holt_ct_daemon:init_group(Group, Config).

end_per_group(Group, Config) ->
    holt_ct_daemon:end_group(Group, Config).

init_per_testcase(Case, Config) ->
    holt_ct_daemon:init_case(Case, Config).

end_per_testcase(Case, Config) ->
    holt_ct_daemon:end_case(Case, Config).

%%--------------------------------------------------------------------
%% Comings and goings

%% A program that comes to ask is not spoken to; it would not bear it.
erl_call_is_left_alone(Config) ->
    {_Reg, [A | _]} = start_everywhere(Config),
    case os:find_executable("erl_call") of
        false ->
            {skip, "no erl_call"};
        ErlCall ->
            Name = peer_name(A),
            lists:foreach(
                fun(_) ->
                    Args = ["-sname", Name, "-c", ?COOKIE, "-a", "erlang node []"],
                    {0, Output} = holt_daemon:command(ErlCall, Args),
                    ?assertEqual(Name, string:trim(Output, both, "'\n"))
                end,
                lists:seq(1, 20)
            )
    end.

application_stops_and_starts(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    _ = [register_many(Node, Reg, 100) || Node <- [A, B]],
    await_count(A, Daemon, Reg, 200),
    lists:foreach(
        fun(_) ->
            ok = holt_ct:call(B, application, stop, [holt]),
            await_count(A, Daemon, Reg, 100),
            #{actors := Actors} = ask(A, Daemon, {info, Reg}),
            [true] = [Paused || #{member := {_, N}, paused := Paused} <- Actors, N =:= B],
            ok = holt_ct:call(B, application, start, [holt]),
            await_count(A, Daemon, Reg, 200),
            same_answers([A, B], Daemon, Reg)
        end,
        [1, 2, 3]
    ),
    %% An orphan is another matter: waited for.
    holt_ct:call(B, fun() -> holt_ct:kill(whereis(Reg)) end),
    ?assertEqual(200, ask(A, Daemon, {count, Reg})),
    _ = holt_ct:start_registry(B, #{name => Reg}),
    same_answers([A, B], Daemon, Reg),
    holt_daemon:stop(Daemon).

instance_ends_and_begins_again(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    _ = register_many(A, Reg, 30),
    _ = register_many(B, Reg, 30),
    await_count(A, Daemon, Reg, 60),
    stop_registry(B, Reg),
    await_count(A, Daemon, Reg, 30),
    _ = members([A], Reg, [Daemon]),
    _ = holt_ct:start_registry(B, #{name => Reg}),
    _ = register_many(B, Reg, 40),
    await_count(A, Daemon, Reg, 70),
    _ = members([A, B], Reg, [Daemon]),
    same_answers([A, B], Daemon, Reg),
    holt_daemon:stop(Daemon).

%% Its names stay, here as on the nodes, and so does what it registers next.
replica_is_killed(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    _ = register_many(B, Reg, 100),
    await_count(A, Daemon, Reg, 100),
    holt_ct:call(B, fun() -> holt_ct:kill(whereis(holt_replica:process_name(Reg))) end),
    ?assertEqual(100, ask(A, Daemon, {count, Reg})),
    _ = register_many(B, Reg, 100),
    await_count(A, Daemon, Reg, 200),
    same_answers([A, B], Daemon, Reg),
    holt_daemon:stop(Daemon).

%% Too short for anybody to drop it, long enough for its window and buffers to fill.
daemon_stops_for_a_moment(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    Members = members([A, B], Reg, [Daemon]),
    await_members(A, Daemon, Reg, Members),
    ok = holt_daemon:freeze(Daemon),
    _ = [register_many(Node, Reg, 20000) || Node <- [A, B]],
    %% The nodes do not wait for it.
    [
        holt_ct:await(Node, fun() -> holt_registry:count(Reg) =:= 40000 end)
     || Node <- [A, B]
    ],
    ok = holt_daemon:thaw(Daemon),
    await_count(A, Daemon, Reg, 40000),
    #{repairs := 0, gaps := 0} = ask(A, Daemon, {info, Reg}),
    #{loop := Loop} = ask(A, Daemon, info),
    ct:pal("~p", [Loop]),
    holt_daemon:stop(Daemon).

daemon_restarts_under_its_name(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    _ = register_many(A, Reg, 100),
    Name = daemon_name(),
    Last = lists:foldl(
        fun(Round, Count) ->
            Daemon = start_daemon(Name, Config, ["--peer", peer_name(A)]),
            _ = register_many(B, Reg, 10),
            await_count(A, Daemon, Reg, Count + 10),
            _ = members([A, B], Reg, [Daemon]),
            _ =
                case Round rem 2 of
                    0 -> ok = holt_daemon:stop(Daemon);
                    1 -> ok = holt_test_daemon:kill(Daemon)
                end,
            Count + 10
        end,
        100,
        lists:seq(1, ?RESTARTS)
    ),
    _ = members([A, B], Reg, []),
    %% Nothing was lost elsewhere, and no actor was left behind that is shown.
    lists:foreach(
        fun(Node) ->
            Last = holt_ct:call(Node, holt_registry, count, [Reg]),
            #{actors := Actors} = holt_ct:call(Node, holt_cluster, info, [Reg]),
            Here = [S || #{sight := S} <- Actors, lists:member(S, [self, connected])],
            ?assertEqual(2, length(Here)),
            ?assert(length(Actors) =< 3)
        end,
        [A, B]
    ).

%% The second one is told, ends, and does not disturb the first.
two_nodes_of_one_name(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Name = daemon_name(),
    Daemon = start_daemon(Name, Config, ["--peer", peer_name(A)]),
    _ = members([A, B], Reg, [Daemon]),
    Second = start_daemon(Name, Config, ["--peer", peer_name(A)]),
    ?assertEqual(1, holt_test_daemon:exit_status(Second)),
    _ = holt_daemon:await_line("error .*" ++ hd(string:lexemes(Name, "@")), Second),
    ok = holt_test_daemon:close(Second),
    _ = register_many(A, Reg, 10),
    await_count(A, Daemon, Reg, 10),
    holt_daemon:stop(Daemon).

node_arrives_late(Config) ->
    [A] = Nodes = holt_ct:start_nodes(1, no_overlap()),
    Reg = proplists:get_value(registry, Config),
    _ = holt_ct:start_registry(A, #{name => Reg}),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    _ = members([A], Reg, [Daemon]),
    [B] = holt_ct:start_nodes(1, no_overlap()),
    _ = holt_ct:start_registry(B, #{name => Reg}),
    _ = register_many(B, Reg, 10),
    holt_ct:connect([A, B]),
    _ = members([A, B], Reg, [Daemon]),
    await_count(A, Daemon, Reg, 10),
    ok = holt_daemon:stop(Daemon),
    holt_ct:stop_nodes([B | Nodes]).

node_is_killed_and_comes_back(Config) ->
    [A, B] = holt_ct:start_nodes(2, no_overlap()),
    Reg = proplists:get_value(registry, Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- [A, B]],
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    _ = [register_many(Node, Reg, 1000) || Node <- [A, B]],
    await_count(A, Daemon, Reg, 2000),
    ok = holt_test:kill(B),
    await_count(A, Daemon, Reg, 1000),
    same_answers([A], Daemon, Reg),
    ok = holt_test:restart(B),
    _ = holt_ct:start_registry(B, #{name => Reg}),
    _ = members([A, B], Reg, [Daemon]),
    ?assertEqual(1000, ask(A, Daemon, {count, Reg})),
    _ = register_many(B, Reg, 500),
    await_count(A, Daemon, Reg, 1500),
    same_answers([A, B], Daemon, Reg),
    ok = holt_daemon:stop(Daemon),
    holt_ct:stop_nodes([A, B]).

%% A does not hear B, and gets what B registers from the daemon, who hears both.
daemon_repairs_for_others(Config) ->
    Apart = ["-connect_all", "false", "-kernel", "dist_auto_connect", "never" | no_overlap()],
    [A, B] = Nodes = holt_ct:start_nodes(2, Apart),
    holt_ct:disconnect(A, B),
    Reg = proplists:get_value(registry, Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
    Daemon = start_daemon(Config, ["--peer", peer_name(A), "--peer", peer_name(B)]),
    %% By the daemon's word.
    _ = members(Nodes, Reg, [Daemon]),
    First = register_many(B, Reg, 20000),
    await_count(A, Daemon, Reg, 20000),
    Copy = fun(#{actors := Actors}) ->
        [Actor] = [Actor || #{member := {_, N}} = Actor <- Actors, N =:= B],
        maps:with([actor, version, rows, fingerprint], Actor)
    end,
    Agreed = fun(Rows) ->
        holt_ct:wait_until(
            fun() ->
                Theirs = holt_ct:call(A, holt_cluster, info, [Reg]),
                Known = [N || #{member := {_, N}} <- maps:get(actors, Theirs)],
                case lists:member(B, Known) andalso Copy(Theirs) of
                    #{rows := Rows} = Same ->
                        Same =:= Copy(ask(A, Daemon, {info, Reg})) orelse Same;
                    Other ->
                        {Other, Theirs, ask(A, Daemon, {info, Reg})}
                end
            end,
            30000
        )
    end,
    Agreed(20000),
    #{repairs_served := Served} = ask(A, Daemon, {info, Reg}),
    ?assert(Served >= 1),
    %% From then on it gets the changes only.
    _ = register_many(B, Reg, 500),
    Agreed(20500),
    ok = holt_ct:call(B, holt_ct, kill, [First]),
    Agreed(500),
    #{forwarded := Forwarded, refused := Refused} = ask(A, Daemon, {info, Reg}),
    ?assert(Forwarded > 0),
    ?assertEqual(#{}, Refused),
    #{loop := Loop} = ask(A, Daemon, info),
    ct:pal("~p repairs served, ~p deltas passed on, ~p", [Served, Forwarded, Loop]),
    ok = holt_daemon:stop(Daemon),
    holt_ct:stop_nodes(Nodes).

%% Longer than the others wait for it; and then it catches up.
daemon_is_frozen(Config) ->
    Nodes = [A, _] = holt_ct:start_nodes(2, ["-kernel", "net_ticktime", "4" | no_overlap()]),
    Reg = proplists:get_value(registry, Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
    Daemon = start_daemon(Config, ["--peer", peer_name(A), "--net-ticktime-s", "4"]),
    _ = members(Nodes, Reg, [Daemon]),
    Node = holt_test_daemon:node_of(Daemon),
    ok = holt_daemon:freeze(Daemon),
    _ = [register_many(Each, Reg, 1000) || Each <- Nodes],
    [
        holt_ct:call(Each, fun() ->
            holt_ct:wait_until(fun() -> not lists:member(Node, nodes(hidden)) end, 30000)
        end)
     || Each <- Nodes
    ],
    _ = members(Nodes, Reg, []),
    ok = holt_daemon:thaw(Daemon),
    _ = members(Nodes, Reg, [Daemon]),
    await_count(A, Daemon, Reg, 2000),
    same_answers(Nodes, Daemon, Reg),
    ok = holt_daemon:stop(Daemon),
    holt_ct:stop_nodes(Nodes).

%% An epmd of its own: absent, there, killed, there again.
epmd_comes_and_goes(Config) ->
    Reg = proplists:get_value(registry, Config),
    Before = os:getenv("ERL_EPMD_PORT"),
    EpmdPort = free_port(),
    Env = [{"ERL_EPMD_PORT", integer_to_list(EpmdPort)}],
    Daemon = start_daemon(daemon_name(), Config, [], #{env => Env}),
    _ = holt_daemon:await_line("epmd", Daemon),
    Epmd = start_epmd(EpmdPort),
    Port = holt_daemon:port_of(Daemon),
    true = os:putenv("ERL_EPMD_PORT", integer_to_list(EpmdPort)),
    try
        [A] = holt_ct:start_nodes(1, no_overlap()),
        _ = holt_ct:start_registry(A, #{name => Reg}),
        Node = holt_test_daemon:node_of(Daemon),
        pong = holt_ct:call(A, net_adm, ping, [Node]),
        _ = members([A], Reg, [Daemon]),
        [Alive, _] = string:lexemes(atom_to_list(Node), "@"),
        Registered = fun() ->
            {ok, Names} = holt_ct:call(A, erl_epmd, names, []),
            {Alive, Port} =:= lists:keyfind(Alive, 1, Names)
        end,
        ?assert(Registered()),
        ok = stop_epmd(Epmd),
        %% Connections stay.
        _ = register_many(A, Reg, 10),
        await_count(A, Daemon, Reg, 10),
        Again = start_epmd(EpmdPort),
        holt_ct:wait_until(fun() -> (catch Registered()) =:= true end, 20000),
        #{creation := Creation} = ask(A, Daemon, info),
        Line = holt_daemon:await_line("creation", Daemon),
        ?assertNotEqual(nomatch, string:find(Line, integer_to_list(Creation))),
        ok = holt_daemon:stop(Daemon),
        holt_ct:stop_nodes([A]),
        ok = stop_epmd(Again)
    after
        case Before of
            false -> os:unsetenv("ERL_EPMD_PORT");
            _ -> os:putenv("ERL_EPMD_PORT", Before)
        end
    end.

%%--------------------------------------------------------------------
%% epmd

free_port() ->
    {ok, Socket} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Socket),
    ok = gen_tcp:close(Socket),
    Port.

start_epmd(Port) ->
    Epmd = open_port({spawn_executable, os:find_executable("epmd")}, [
        {args, ["-port", integer_to_list(Port)]}, exit_status
    ]),
    holt_ct:wait_until(fun() ->
        case gen_tcp:connect({127, 0, 0, 1}, Port, []) of
            {ok, Socket} ->
                %% It complains about callers who say nothing.
                ok = gen_tcp:send(Socket, <<1:16, $n>>),
                ok = gen_tcp:close(Socket),
                true;
            Error ->
                Error
        end
    end),
    Epmd.

stop_epmd(Epmd) ->
    {os_pid, OsPid} = erlang:port_info(Epmd, os_pid),
    "" = os:cmd("kill -KILL " ++ integer_to_list(OsPid)),
    receive
        {Epmd, {exit_status, _}} -> ok
    end.
