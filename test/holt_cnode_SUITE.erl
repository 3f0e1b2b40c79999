%% SPDX-License-Identifier: Apache-2.0
%% @doc The daemon among real nodes: it holds what they hold, and bears what they do.
%%
%% `HOLTD=...' runs another build of it, for example one with sanitizers.
-module(holt_cnode_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, groups/0, init_per_suite/1, end_per_suite/1]).
-export([init_per_group/2, end_per_group/2, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

-define(COOKIE, "holt_ct").

%% Ends with exit code 0 only if its loop was empty; with sanitizers, if nothing leaked.
-define(RESTARTS, list_to_integer(os:getenv("HOLT_RESTARTS", "10"))).

all() ->
    [{group, shared}, {group, own}, {group, options}].

groups() ->
    [
        %% Two nodes for all of them; each case has a registry and a daemon of its own.
        {shared, [], [
            daemon_is_a_member,
            daemon_answers_as_the_nodes_do,
            daemon_forgets_a_dead_process,
            daemon_is_pinged_and_monitored,
            daemon_answers_what_it_does_not_know,
            daemon_lists_in_pages,
            daemon_holds_several_instances,
            daemon_holds_many_and_large,
            daemon_and_daemon,
            daemon_says_goodbye,
            daemon_hears_goodbyes,
            daemon_ends_in_time,
            daemon_tells_of_peers,
            daemon_refuses_another_kind,
            daemon_takes_any_key,
            command_line_answers,
            erl_call_is_left_alone,
            instance_ends_and_begins_again,
            application_stops_and_starts,
            replica_is_killed,
            daemon_stops_for_a_moment,
            daemon_restarts_under_its_name,
            two_nodes_of_one_name,
            wrong_cookie,
            broken_frames,
            hostile_messages,
            hostile_member,
            thousand_silent_connections,
            peer_that_does_not_read,
            descriptors_run_out
        ]},
        {own, [], [
            node_arrives_late,
            node_is_killed_and_comes_back,
            daemon_repairs_for_others,
            daemon_is_frozen,
            epmd_comes_and_goes
        ]},
        {options, [], [
            options_are_checked,
            options_file_is_checked,
            options_file_is_used,
            options_may_be_small
        ]}
    ].

init_per_suite(Config) ->
    case filelib:is_regular(holt_daemon:program("holtd")) of
        true -> Config;
        false -> {skip, "the daemon is not built: make node"}
    end.

end_per_suite(_Config) ->
    ok.

init_per_group(shared, Config) ->
    [{nodes, holt_ct:start_nodes(2, no_overlap())} | Config];
init_per_group(_, Config) ->
    Config.

end_per_group(shared, Config) ->
    holt_ct:stop_nodes(nodes_of(Config));
end_per_group(_, _Config) ->
    ok.

init_per_testcase(Case, Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "cookie"),
    _ = file:delete(File),
    ok = file:write_file(File, [?COOKIE, "\n"]),
    ok = file:change_mode(File, 8#600),
    [{registry, Case}, {cookie_file, File} | Config].

end_per_testcase(Case, Config) ->
    case proplists:get_value(nodes, Config) of
        undefined -> ok;
        Nodes -> lists:foreach(fun(Node) -> stop_registry(Node, Case) end, Nodes)
    end.

%%--------------------------------------------------------------------
%% What it holds

%% It is told of one node; the other one is named in that one's hello.
daemon_is_a_member(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    Members = members([A, B], Reg, [Daemon]),
    ?assertEqual(Members, lists:sort(ask(A, Daemon, {members, Reg}))),
    holt_ct:await(B, fun() -> lists:member(holt_daemon:node_of(Daemon), nodes(hidden)) end),
    ?assertNot(lists:member(holt_daemon:node_of(Daemon), holt_ct:call(B, erlang, nodes, []))),
    ok = holt_daemon:stop(Daemon),
    _ = members([A, B], Reg, []),
    ok.

daemon_answers_as_the_nodes_do(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    _ = register_many(A, Reg, 200),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    await_count(A, Daemon, Reg, 200),
    _ = register_many(B, Reg, 300),
    Pid = holt_ct:call(B, fun() -> holt_ct:register(Reg, {user, <<"anna">>}, #{a => 1}, []) end),
    await_count(A, Daemon, Reg, 501),
    same_answers([A, B], Daemon, Reg),
    ?assertEqual(Pid, ask(A, Daemon, {whereis, Reg, {user, <<"anna">>}})),
    ?assertEqual([{Pid, #{a => 1}}], ask(A, Daemon, {lookup, Reg, {user, <<"anna">>}})),
    ?assertEqual(undefined, ask(A, Daemon, {whereis, Reg, {user, anna}})),
    ?assertEqual([], ask(A, Daemon, {lookup, Reg, {user, anna}})),
    %% Values change, names go.
    holt_ct:call(B, fun() ->
        {2, #{a := 1}} = holt_ct:do(Pid, fun() ->
            holt_registry:update_value(Reg, {user, <<"anna">>}, fun(_) -> 2 end)
        end)
    end),
    await_answer(A, Daemon, {lookup, Reg, {user, <<"anna">>}}, [{Pid, 2}]),
    holt_ct:call(B, fun() ->
        ok = holt_ct:do(Pid, fun() -> holt_registry:unregister(Reg, {user, <<"anna">>}) end)
    end),
    await_answer(A, Daemon, {whereis, Reg, {user, <<"anna">>}}, undefined),
    same_answers([A, B], Daemon, Reg),
    holt_daemon:stop(Daemon).

daemon_forgets_a_dead_process(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    Owner = register_many(B, Reg, 500),
    await_count(A, Daemon, Reg, 500),
    holt_ct:call(B, holt_ct, kill, [Owner]),
    await_count(A, Daemon, Reg, 0),
    same_answers([A, B], Daemon, Reg),
    holt_daemon:stop(Daemon).

daemon_is_pinged_and_monitored(Config) ->
    {_Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_daemon(Config, []),
    _ = holt_daemon:port_of(Daemon),
    Node = holt_daemon:node_of(Daemon),
    holt_ct:call(A, fun() ->
        pong = net_adm:ping(Node),
        Nowhere = monitor(process, {nowhere, Node}),
        receive
            {'DOWN', Nowhere, process, {nowhere, Node}, noproc} -> ok
        after 10000 -> error(no_down)
        end,
        {'EXIT', {noproc, _}} = (catch gen_server:call({nowhere, Node}, hello)),
        {'EXIT', {{nodedown, _}, _}} = (catch gen_server:call({holtd, 'no@where'}, hello)),
        pong = net_adm:ping(Node)
    end),
    Watcher = holt_ct:call(B, fun() ->
        Self = self(),
        Pid = spawn(fun() ->
            Monitor = monitor(process, {holtd, Node}),
            Self ! {self(), ready},
            receive
                {'DOWN', Monitor, process, {holtd, Node}, Reason} -> exit({saw, Reason})
            end
        end),
        receive
            {Pid, ready} -> ok
        end,
        true = is_map(gen_server:call({holtd, Node}, info)),
        Pid
    end),
    Waiter = spawn_monitor(fun() -> exit(holt_ct:call(B, holt_ct, exit_of, [Watcher])) end),
    ok = holt_daemon:stop(Daemon),
    {Pid, Ref} = Waiter,
    receive
        {'DOWN', Ref, process, Pid, Reason} -> ?assertEqual({saw, noconnection}, Reason)
    end.

%% Readable, and never silence.
daemon_answers_what_it_does_not_know(Config) ->
    {Reg, [A | _]} = start_everywhere(Config),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    await_count(A, Daemon, Reg, 0),
    Answers = [
        {unknown_request, hello},
        {unknown_request, {}},
        {unknown_request, {whereis, Reg}},
        {unknown_request, {whereis, "Reg", key}},
        {unknown_request, {count, Reg, more}},
        {unknown_request, [a | b]},
        {unknown_request, #{a => fun() -> ok end}},
        {no_instance, {count, another}},
        {no_instance, {lookup, another, key}},
        {bad_key, {whereis, Reg, fun() -> ok end}},
        {bad_key, {lookup, Reg, binary:copy(<<0>>, 100000)}},
        {bad_key, {lookup, Reg, deep(100)}},
        {bad_option, {list, Reg, []}},
        {bad_option, {list, Reg, #{limit => 0}}},
        {bad_option, {list, Reg, #{limit => 1 bsl 70}}},
        {bad_option, {list, Reg, #{from => -1}}},
        {bad_option, {list, Reg, #{prefix => "list"}}},
        {bad_option, {list, Reg, #{limits => 1}}}
    ],
    _ = [
        begin
            {error, {Reason, Text}} = ask(A, Daemon, Request),
            ?assert(byte_size(Text) > 10)
        end
     || {Reason, Request} <- Answers
    ],
    Node = holt_daemon:node_of(Daemon),
    holt_ct:call(A, fun() ->
        ok = gen_server:cast({holtd, Node}, hello),
        _ = {holtd, Node} ! hello,
        {'EXIT', {{unknown_request, _}, _}} = (catch sys:get_state({holtd, Node})),
        {error, {unknown_request, _}} = gen_server:call({holt_replica:process_name(Reg), Node}, hi),
        ok
    end),
    await_count(A, Daemon, Reg, 0),
    holt_daemon:stop(Daemon).

deep(0) -> [];
deep(N) -> {deep(N - 1)}.

daemon_lists_in_pages(Config) ->
    {Reg, [A | _]} = start_everywhere(Config),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    Keys = [<<"a/", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 400)] ++
        [<<"b/", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 400)] ++
        [{tuple, N} || N <- lists:seq(1, 400)],
    Pid = holt_ct:call(A, fun() -> register_keys(Reg, Keys) end),
    await_count(A, Daemon, Reg, 1200),
    Entries = [{Key, Pid, undefined} || Key <- Keys],
    ?assertEqual(lists:sort(Entries), lists:sort(list(A, Daemon, Reg, #{limit => 100}))),
    ?assertEqual(lists:sort(Entries), lists:sort(list(A, Daemon, Reg, #{}))),
    ?assertEqual(
        lists:sort([Entry || {<<"b/", _/binary>>, _, _} = Entry <- Entries]),
        lists:sort(list(A, Daemon, Reg, #{limit => 50, prefix => <<"b/">>}))
    ),
    ?assertEqual([], list(A, Daemon, Reg, #{prefix => <<"c/">>})),
    {Page, Next} = ask(A, Daemon, {list, Reg, #{limit => 10}}),
    ?assert(length(Page) >= 10 andalso length(Page) < 40),
    ?assert(is_integer(Next)),
    holt_daemon:stop(Daemon).

daemon_holds_several_instances(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Other = list_to_atom(atom_to_list(Reg) ++ ".zwei_ü"),
    _ = [holt_ct:start_registry(Node, #{name => Other}) || Node <- [A, B]],
    Daemon = start_daemon(Config, ["--peer", peer_name(B), "--instance", atom_to_list(Other)]),
    _ = register_many(A, Reg, 10),
    _ = register_many(B, Other, 20),
    await_count(A, Daemon, Reg, 10),
    await_count(A, Daemon, Other, 20),
    same_answers([A, B], Daemon, Reg),
    same_answers([A, B], Daemon, Other),
    #{instances := Instances} = ask(A, Daemon, info),
    ?assertEqual(lists:sort([Reg, Other]), lists:sort(maps:keys(Instances))),
    _ = [stop_registry(Node, Other) || Node <- [A, B]],
    await_count(A, Daemon, Other, 0),
    await_count(A, Daemon, Reg, 10),
    holt_daemon:stop(Daemon).

daemon_holds_many_and_large(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Large = binary:copy(<<"0123456789abcdef">>, 60000),
    Pid = holt_ct:call(A, fun() -> holt_ct:register(Reg, large, Large, []) end),
    _ = register_many(A, Reg, 20000),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    _ = register_many(B, Reg, 20000),
    await_count(A, Daemon, Reg, 40001),
    ?assertEqual([{Pid, Large}], ask(B, Daemon, {lookup, Reg, large})),
    ?assertEqual(40001, length(list(A, Daemon, Reg, #{}))),
    #{loop := Loop} = ask(A, Daemon, info),
    ct:pal("~p", [Loop]),
    holt_daemon:stop(Daemon).

%% Two daemons find each other through the nodes, and hold the same.
daemon_and_daemon(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    _ = register_many(A, Reg, 50),
    One = start_daemon(Config, ["--peer", peer_name(A)]),
    Two = start_daemon(Config, ["--peer", peer_name(B)]),
    Members = members([A, B], Reg, [One, Two]),
    _ = [await_members(A, D, Reg, Members) || D <- [One, Two]],
    _ = [await_count(A, D, Reg, 50) || D <- [One, Two]],
    ok = holt_daemon:kill(One),
    await_members(A, Two, Reg, members([A, B], Reg, [Two])),
    holt_daemon:stop(Two).

%% Ended in order it is forgotten at once; killed, it may come back.
daemon_says_goodbye(Config) ->
    {Reg, [A, B] = Nodes} = start_everywhere(Config),
    Known = fun(Node, Daemon) ->
        Name = holt_daemon:node_of(Daemon),
        holt_ct:call(Node, fun() ->
            [
                State
             || #{member := {_, N}, state := State} <- holt_cluster:members(Reg, all), N =:= Name
            ]
        end)
    end,
    lists:foreach(
        fun(_) ->
            Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
            _ = members(Nodes, Reg, [Daemon]),
            await_sync(A, Daemon, Reg),
            ok = holt_daemon:stop(Daemon),
            _ = members(Nodes, Reg, []),
            [?assertEqual([], Known(Node, Daemon)) || Node <- Nodes]
        end,
        lists:seq(1, 5)
    ),
    Killed = start_daemon(Config, ["--peer", peer_name(A)]),
    _ = members(Nodes, Reg, [Killed]),
    await_sync(A, Killed, Reg),
    ok = holt_daemon:kill(Killed),
    _ = members(Nodes, Reg, []),
    [?assertEqual([absent], Known(Node, Killed)) || Node <- [A, B]].

daemon_hears_goodbyes(Config) ->
    {Reg, [A, B] = Nodes} = start_everywhere(Config),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    _ = register_many(B, Reg, 10),
    await_count(A, Daemon, Reg, 10),
    Name = holt_ct:node_of(B),
    State = fun() ->
        All = ask(A, Daemon, {members, Reg, all}),
        [{S, Names} || #{member := {_, N}, state := S, names := Names} <- All, N =:= Name]
    end,
    ?assertEqual([{present, 10}], State()),
    ok = holt_ct:call(B, application, stop, [holt]),
    await_count(A, Daemon, Reg, 0),
    ?assertEqual([{paused, 10}], State()),
    Two = lists:sort([{Reg, holt_ct:node_of(A)}, {Reg, holt_daemon:node_of(Daemon)}]),
    ?assertEqual(Two, lists:sort(ask(A, Daemon, {members, Reg}))),
    {0, Out} = holt(Config, Daemon, ["members", "--all", atom_to_list(Reg)]),
    ?assertMatch({match, _}, re:run(Out, "\tpaused\tnone\tundefined\t[0-9]+\tfalse\t10\t1\t")),
    ok = holt_ct:call(B, application, start, [holt]),
    await_count(A, Daemon, Reg, 10),
    ?assertEqual([{present, 10}], State()),
    %% A may have vouched for it first; goodbye is said to those who have greeted.
    holt_ct:wait_until(fun() ->
        All = ask(A, Daemon, {members, Reg, all}),
        [direct] =:= [C || #{member := {_, N}, contact := C} <- All, N =:= Name]
    end),
    stop_registry(B, Reg),
    await_count(A, Daemon, Reg, 0),
    ?assertEqual([], State()),
    ?assertEqual(Two, lists:sort(ask(A, Daemon, {members, Reg}))),
    _ = holt_ct:start_registry(B, #{name => Reg}),
    _ = members(Nodes, Reg, [Daemon]),
    holt_daemon:stop(Daemon).

%% Whoever does not read cannot hold it up; nor does a second signal wait.
daemon_ends_in_time(Config) ->
    {Reg, [A, B] = Nodes} = start_everywhere(Config),
    Large = binary:copy(<<"0123456789abcdef">>, 60000),
    lists:foreach(
        fun(Signals) ->
            _ = holt_ct:call(A, fun() -> holt_ct:register(Reg, large, Large, []) end),
            Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
            await_count(A, Daemon, Reg, 1),
            _ = members(Nodes, Reg, [Daemon]),
            {ok, Socket} = stranger(Config, Daemon, [{recbuf, 4096}]),
            Pid = stranger_pid("stranger@" ++ host()),
            Lookup = {'$gen_call', {Pid, make_ref()}, {lookup, Reg, large}},
            ask_until_closed(Socket, {6, Pid, '', holtd}, Lookup, 20),
            holt_ct:wait_until(fun() ->
                #{network := #{messages_out := Count}} = ask(A, Daemon, info),
                Count > 20 orelse Count
            end),
            {Us, _} = timer:tc(fun() ->
                _ = [ok = holt_daemon:signal("TERM", Daemon) || _ <- lists:seq(1, Signals)],
                ?assertEqual(0, holt_daemon:exit_status(Daemon))
            end),
            ct:pal("~p signals: ended after ~p us", [Signals, Us]),
            ?assert(Us < 5000000),
            _ = Signals =:= 1 andalso holt_daemon:await_line("within 500 ms", Daemon),
            ok = holt_daemon:close(Daemon),
            _ = holt_stranger:close(Socket),
            _ = members([A, B], Reg, []),
            %% A second one may come before the goodbyes have left.
            Known = length(holt_ct:call(B, holt_cluster, members, [Reg, all])),
            ?assert(Known =:= 2 orelse Signals =:= 2),
            %% Whoever is left of it would count in the next round.
            _ = [stop_registry(Node, Reg) || Node <- Nodes],
            start_everywhere(Config)
        end,
        [1, 2]
    ).

%% The same that the nodes say of themselves.
daemon_tells_of_peers(Config) ->
    {Reg, [A, B] = Nodes} = start_everywhere(Config),
    Name = atom_to_list(Reg),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    _ = [register_many(Node, Reg, 10) || Node <- Nodes],
    await_count(A, Daemon, Reg, 20),
    await_sync(A, Daemon, Reg),
    Peers = ask(A, Daemon, {peers, Reg}),
    ?assertEqual(
        lists:sort([{Reg, holt_ct:node_of(Node)} || Node <- Nodes]),
        lists:sort([Member || #{member := Member} <- Peers])
    ),
    Keys = [
        acked, clock_ms, in_flight_bytes, in_sync, lag, member, protocol, refused, state, version
    ],
    [
        begin
            ?assertEqual(Keys, lists:sort(maps:keys(Peer))),
            ?assertMatch(
                #{state := up, lag := 0, protocol := 1, in_sync := true, refused := Refused}
                when Refused =:= #{}, Peer),
            ?assert(abs(maps:get(clock_ms, Peer)) < 5000)
        end
     || Peer <- Peers
    ],
    ?assertEqual(true, ask(A, Daemon, {in_sync, Reg})),
    All = ask(B, Daemon, {members, Reg, all}),
    ?assertEqual(3, length(All)),
    ?assertEqual(
        [{0, 0}, {10, 1}, {10, 1}],
        lists:sort([{N, P} || #{names := N, processes := P, state := present} <- All])
    ),
    Theirs = holt_ct:call(B, holt_cluster, members, [Reg, all]),
    %% Who is whose own, and connected to whom, differs.
    Same = fun(Infos) ->
        lists:sort([maps:without([processes, contact, voucher], Info) || Info <- Infos])
    end,
    ?assertEqual(Same(Theirs), Same(All)),
    Info = ask(A, Daemon, {info, Reg}),
    Counters = [
        asks, conflicts, diverged, duplicates, flaps, forwarded, forwarded_bytes, gaps,
        mixed_rules, probes, repairs, repairs_served, stalls, stamps_capped, stamps_refused,
        vouches, vouches_lapsed
    ],
    ?assertEqual([], Counters -- maps:keys(Info)),
    Their = maps:remove(creation, holt_ct:call(A, holt_cluster, info, [Reg])),
    ?assertEqual([], maps:keys(Their) -- maps:keys(Info)),
    ?assertMatch(#{in_sync := true, keys := unique, refused := Map} when Map =:= #{}, Info),
    ?assertMatch(
        [#{instance := Reg, in_sync := true, names := 20, members := 3, peers := 2, lag := 0}],
        ask(A, Daemon, status)
    ),
    #{loop := #{turns := Turns}} = ask(A, Daemon, info),
    ?assert(Turns > 0),
    %% Wrong use.
    {error, {unknown_request, _}} = ask(A, Daemon, {members, Reg, some}),
    {error, {no_instance, _}} = ask(A, Daemon, {peers, another}),
    {error, {no_instance, _}} = ask(A, Daemon, {in_sync, another}),
    %% The command line.
    Holt = fun(Args) -> holt(Config, Daemon, Args) end,
    {0, PeersOut} = Holt(["peers", Name]),
    [Head | PeerLines] = string:split(string:trim(PeersOut), "\n", all),
    ?assertEqual(2, length(PeerLines)),
    ?assertEqual(
        "member\tstate\tlag\tacked\tversion\tin_flight_bytes\tprotocol\tclock_ms\tin_sync\trefused",
        Head
    ),
    ?assertMatch({match, _}, re:run(hd(PeerLines), "\tup\t0\t0\t0\t0\t1\t-?[0-9]+\ttrue\t#{}$")),
    ?assertEqual({0, "true\n"}, Holt(["in_sync", Name])),
    ?assertEqual({0, "true\n"}, Holt(["--json", "in_sync", Name])),
    {0, "instance\tkeys\tin_sync\t" ++ _ = Status} = Holt(["status"]),
    ?assertMatch({match, _}, re:run(Status, Name ++ "\tunique\ttrue\t20\t3\t0\t0\t0\t0\t2\t0\t0\t0\n")),
    {0, "[{\"instance\":\"" ++ _} = Holt(["--json", "status"]),
    {0, "[{\"member\":[\"" ++ _} = Holt(["--json", "peers", Name]),
    {0, "[{\"member\":[\"" ++ _} = Holt(["--json", "--all", "members", Name]),
    {0, InfoOut} = Holt(["info", Name]),
    [?assertMatch({match, _}, re:run(InfoOut, atom_to_list(C) ++ "\t0")) || C <- Counters],
    ?assertMatch({4, _}, Holt(["peers", "another"])),
    ?assertMatch({2, _}, Holt(["peers"])),
    ?assertMatch({2, _}, Holt(["status", Name])),
    %% A peer that does not answer.
    Cluster = holt_ct:call(B, erlang, whereis, [holt_replica:process_name(Reg)]),
    holt_ct:call(B, fun() -> ok = sys:suspend(Cluster) end),
    _ = register_many(A, Reg, 10),
    await_count(A, Daemon, Reg, 30),
    holt_ct:wait_until(fun() -> ask(A, Daemon, {in_sync, Reg}) =:= false end),
    holt_ct:wait_until(fun() -> Holt(["in_sync", Name]) =:= {1, "false\n"} end),
    holt_ct:call(B, fun() -> ok = sys:resume(Cluster) end),
    await_sync(A, Daemon, Reg),
    holt_daemon:stop(Daemon).

daemon_refuses_another_kind(Config) ->
    {Reg, [A | _]} = start_everywhere(Config),
    File = filename:join(proplists:get_value(priv_dir, Config), "kind.conf"),
    ok = file:write_file(File, [
        "sname = true\n",
        "cookie_file = \"", proplists:get_value(cookie_file, Config), "\"\n",
        "peers = { \"", peer_name(A), "\" }\n",
        "instance ", atom_to_list(Reg), " { keys = \"duplicate\" }\n"
    ]),
    _ = register_many(A, Reg, 10),
    Daemon = holt_daemon:start(["--config", File, "--name", daemon_name()], #{}),
    _ = holt_daemon:await_line("cannot sync with .*policies", Daemon),
    holt_ct:wait_until(fun() ->
        case catch ask(A, Daemon, {info, Reg}) of
            #{refused := #{policy := Count}} -> Count > 0;
            Other -> Other
        end
    end),
    ?assertEqual(0, ask(A, Daemon, {count, Reg})),
    ?assertEqual([], ask(A, Daemon, {lookup, Reg, key})),
    ?assertEqual({[], done}, ask(A, Daemon, {list, Reg, #{}})),
    ?assertEqual([], ask(A, Daemon, {peers, Reg})),
    {error, {not_unique, _}} = ask(A, Daemon, {whereis, Reg, key}),
    ?assertMatch({4, "holt: keys of this instance" ++ _},
        holt(Config, Daemon, ["whereis", atom_to_list(Reg), "key"])),
    holt_daemon:stop(Daemon).

%%--------------------------------------------------------------------
%% The command line

daemon_takes_any_key(Config) ->
    {Reg, [A | _]} = start_everywhere(Config),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    Keys = keys(),
    Pid = holt_ct:call(A, fun() -> register_keys(Reg, Keys) end),
    await_count(A, Daemon, Reg, length(Keys)),
    _ = [?assertEqual({Key, Pid}, {Key, ask(A, Daemon, {whereis, Reg, Key})}) || Key <- Keys],
    %% As Erlang writes them, and as the program writes them.
    Written = [{Key, unicode:characters_to_list(io_lib:format("~0tp", [Key]))} || Key <- Keys],
    Whereis = fun(Text) -> holt(Config, Daemon, ["whereis", atom_to_list(Reg), Text]) end,
    _ = [
        ?assertMatch({_, {0, _}}, {Text, Whereis(Text)})
     || {_, Text} <- Written
    ],
    {0, Out} = holt(Config, Daemon, ["list", atom_to_list(Reg)]),
    Listed = [term(hd(string:split(Line, "\t"))) || Line <- string:lexemes(Out, "\n")],
    ?assertEqual(lists:sort(Keys), lists:sort(Listed)),
    holt_daemon:stop(Daemon).

%% Those that can be written down.
keys() ->
    [
        0, 1, -1, 255, 256, -257, 16#7fffffff, -16#80000000, 1 bsl 40, -(1 bsl 63), 1 bsl 64,
        1 bsl 400, -(1 bsl 400), 0.5, -1.0e300, 1.0e-9, 100000000000000000000.0, 3.141592653589793,
        atom, '', 'Upper', 'with space', 'qu\'ote', 'end', 'ätom', 'nöde@host', '日本', 'new\nline',
        <<>>, <<"text">>, <<"t\"ex\\t">>, <<"日本"/utf8>>, <<0, 255, 1>>, <<5:3>>, <<1, 2, 1:1>>,
        [], "string", "str\"ing", [1, 2, 3], [a | b], [1, [2, [3]], {}], "日本", [0, 1000],
        {}, {a}, {user, <<"anna">>, 7}, list_to_tuple(lists:seq(1, 300)),
        #{}, #{a => 1, "b" => [2], {c} => #{}}, {{{[{#{x => <<"y">>}}]}}}
    ].

term(Text) ->
    {ok, Tokens, _} = erl_scan:string(Text ++ "."),
    {ok, Term} = erl_parse:parse_term(Tokens),
    Term.

command_line_answers(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Name = atom_to_list(Reg),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    Pid = holt_ct:call(B, fun() -> holt_ct:register(Reg, {user, 7}, "v", []) end),
    await_count(A, Daemon, Reg, 1),
    Shown = shown(Pid),
    Holt = fun(Args) -> holt(Config, Daemon, Args) end,
    ?assertEqual({0, Shown ++ "\n"}, Holt(["whereis", Name, "{user,7}"])),
    ?assertEqual({1, ""}, Holt(["whereis", Name, "{user,8}"])),
    ?assertEqual({0, Shown ++ "\t\"v\"\n"}, Holt(["lookup", Name, " { user , 7 } . "])),
    ?assertEqual({1, ""}, Holt(["lookup", Name, "nobody"])),
    ?assertEqual({0, "{user,7}\t" ++ Shown ++ "\t\"v\"\n"}, Holt(["list", Name])),
    ?assertEqual({0, ""}, Holt(["list", Name, "--prefix", "x"])),
    ?assertEqual({0, "1\n"}, Holt(["count", Name])),
    {0, Members} = Holt(["members", Name]),
    ?assertEqual(3, length(string:lexemes(Members, "\n"))),
    {0, Info} = Holt(["info"]),
    DaemonName = atom_to_list(holt_daemon:node_of(Daemon)),
    ?assertMatch({match, _}, re:run(Info, "^node\t'?" ++ DaemonName)),
    {0, InstanceInfo} = Holt(["info", Name]),
    ?assertMatch({match, _}, re:run(InstanceInfo, "count\t1\n")),
    %% For programs.
    Node = atom_to_list(node(Pid)),
    Json = "{\"pid\":\"" ++ Shown ++ "\",\"node\":\"" ++ Node ++ "\"",
    ?assertEqual({0, Json ++ "}\n"}, Holt(["--json", "whereis", Name, "{user,7}"])),
    ?assertEqual({1, "null\n"}, Holt(["--json", "whereis", Name, "{user,8}"])),
    ?assertEqual(
        {0, "[" ++ Json ++ ",\"value\":\"\\\"v\\\"\"}]\n"},
        Holt(["--json", "lookup", Name, "{user,7}"])
    ),
    ?assertEqual({1, "[]\n"}, Holt(["--json", "lookup", Name, "x"])),
    ?assertEqual({0, "1\n"}, Holt(["--json", "count", Name])),
    ?assertMatch({0, "{\"entries\":[{\"key\":\"{user,7}\"," ++ _}, Holt(["--json", "list", Name])),
    ?assertMatch({0, "{\"node\":\"" ++ _}, Holt(["--json", "info"])),
    %% What goes wrong.
    ?assertMatch({4, "holt: this node does not hold" ++ _}, Holt(["count", "another"])),
    ?assertMatch({2, "holt: the key, at " ++ _}, Holt(["whereis", Name, "{user"])),
    ?assertMatch({2, "holt: the key, at \"Variable\": " ++ _}, Holt(["whereis", Name, "Variable"])),
    ?assertMatch({2, _}, Holt(["whereis", Name, "<0.1.2>"])),
    ?assertMatch({2, _}, Holt(["whereis", Name, "[\"\\x{"])),
    ?assertMatch({2, _}, Holt(["whereis", Name])),
    ?assertMatch({2, _}, Holt(["who", Name])),
    ?assertMatch({2, _}, Holt([])),
    ?assertMatch({2, _}, Holt(["--timeout-ms", "soon", "count", Name])),
    ok = holt_daemon:stop(Daemon),
    ?assertMatch({3, _}, Holt(["count", Name])).

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
            BName = holt_ct:node_of(B),
            #{actors := Actors} = ask(A, Daemon, {info, Reg}),
            [true] = [Paused || #{member := {_, N}, paused := Paused} <- Actors, N =:= BName],
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
                    1 -> ok = holt_daemon:kill(Daemon)
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
            ?assertEqual(2, length([S || #{sight := S} <- Actors, S =:= self orelse S =:= connected])),
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
    ?assertEqual(1, holt_daemon:exit_status(Second)),
    _ = holt_daemon:await_line("error .*" ++ hd(string:lexemes(Name, "@")), Second),
    ok = holt_daemon:close(Second),
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
    ok = holt_ct:kill_node(B),
    await_count(A, Daemon, Reg, 1000),
    same_answers([A], Daemon, Reg),
    B2 = holt_ct:restart_node(B, [A]),
    _ = holt_ct:start_registry(B2, #{name => Reg}),
    _ = members([A, B2], Reg, [Daemon]),
    ?assertEqual(1000, ask(A, Daemon, {count, Reg})),
    _ = register_many(B2, Reg, 500),
    await_count(A, Daemon, Reg, 1500),
    same_answers([A, B2], Daemon, Reg),
    ok = holt_daemon:stop(Daemon),
    holt_ct:stop_nodes([A, B2]).

%% A does not hear B, and gets what B registers from the daemon, who hears both.
daemon_repairs_for_others(Config) ->
    Apart = ["-connect_all", "false", "-kernel", "dist_auto_connect", "never" | no_overlap()],
    [A, B] = Nodes = holt_ct:start_nodes(2, Apart),
    holt_ct:cut(A, B),
    Reg = proplists:get_value(registry, Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
    Daemon = start_daemon(Config, ["--peer", peer_name(A), "--peer", peer_name(B)]),
    _ = [members([Node], Reg, [Daemon]) || Node <- Nodes],
    First = register_many(B, Reg, 20000),
    await_count(A, Daemon, Reg, 20000),
    BName = holt_ct:node_of(B),
    Copy = fun(#{actors := Actors}) ->
        [Actor] = [Actor || #{member := {_, N}} = Actor <- Actors, N =:= BName],
        maps:with([actor, version, rows, fingerprint], Actor)
    end,
    Agreed = fun(Rows) ->
        holt_ct:wait_until(
            fun() ->
                Theirs = holt_ct:call(A, holt_cluster, info, [Reg]),
                Known = [N || #{member := {_, N}} <- maps:get(actors, Theirs)],
                case lists:member(BName, Known) andalso Copy(Theirs) of
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
    #{repairs_served := Later, refused := Refused} = ask(A, Daemon, {info, Reg}),
    ?assert(Later > Served),
    ?assertEqual(#{}, Refused),
    #{loop := Loop} = ask(A, Daemon, info),
    ct:pal("~p repairs served, ~p", [Later, Loop]),
    ok = holt_daemon:stop(Daemon),
    holt_ct:stop_nodes(Nodes).

%% Longer than the others wait for it; and then it catches up.
daemon_is_frozen(Config) ->
    Nodes = [A, _] = holt_ct:start_nodes(2, ["-kernel", "net_ticktime", "4" | no_overlap()]),
    Reg = proplists:get_value(registry, Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
    Daemon = start_daemon(Config, ["--peer", peer_name(A), "--net-ticktime-s", "4"]),
    _ = members(Nodes, Reg, [Daemon]),
    Node = holt_daemon:node_of(Daemon),
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
        Node = holt_daemon:node_of(Daemon),
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
%% Strangers and broken peers

%% Neither way, and both are told in the log.
wrong_cookie(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Good = start_daemon(Config, ["--peer", peer_name(A)]),
    _ = members([A, B], Reg, [Good]),
    {error, _} = holt_stranger:connect(
        holt_daemon:port_of(Good), "stranger@" ++ host(), "guess", []
    ),
    _ = holt_daemon:await_line("cookie", Good),
    File = proplists:get_value(cookie_file, Config),
    ok = file:write_file(File, "another\n"),
    Bad = start_daemon(Config, ["--peer", peer_name(A)]),
    _ = holt_daemon:await_line("cannot reach|cookie", Bad),
    pang = holt_ct:call(B, net_adm, ping, [holt_daemon:node_of(Bad)]),
    _ = members([A, B], Reg, [Good]),
    ok = holt_daemon:stop(Bad),
    holt_daemon:stop(Good).

broken_frames(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    _ = register_many(A, Reg, 10),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    await_count(A, Daemon, Reg, 10),
    Port = holt_daemon:port_of(Daemon),
    From = holt_ct:call(A, erlang, self, []),
    %% Before the handshake is over.
    Rude = [
        <<0:16>>,
        <<"GET / HTTP/1.0\r\n\r\n">>,
        <<16#ffff:16, 0>>,
        <<3:16, "N12">>,
        <<20:16, $N, 0:64, 0:32, 500:16, "a@b", 0, 0>>,
        <<18:16, $N, 16#C07475FBC:64, 1:32, 3:16, 0, 255, 0>>,
        rand:bytes(4000)
    ],
    lists:foreach(
        fun(Bytes) ->
            Socket = holt_stranger:silent(Port),
            _ = holt_stranger:raw(Socket, Bytes),
            _ = gen_tcp:shutdown(Socket, write),
            closed = holt_stranger:await_closed(Socket)
        end,
        Rude
    ),
    %% As a node.
    Broken = [
        <<"garbage">>,
        <<$p>>,
        <<$p, 131>>,
        <<$p, 130, 106>>,
        <<131, 68, 0>>,
        [$p, term_to_binary({})],
        [$p, term_to_binary({99, a, b})],
        [$p, term_to_binary({6, From})],
        [$p, term_to_binary({2, '', not_a_pid}), term_to_binary(x)],
        [$p, term_to_binary({6, From, '', 17}), term_to_binary(x)],
        [$p, term_to_binary({6, From, '', holtd}), <<131, 104, 255>>],
        [$p, term_to_binary({6, From, '', holtd}), <<131, 108, 255, 255, 255, 255, 106>>],
        [$p, term_to_binary({6, From, '', holtd}), <<131, 80, 16#7fffffff:32, 1, 2, 3>>],
        [$p, term_to_binary({35, 1})],
        [$p, term_to_binary({19, a, b, c})],
        rand:bytes(10000)
    ],
    lists:foreach(
        fun(Frame) ->
            {ok, Socket} = stranger(Config, Daemon, []),
            ok = holt_stranger:frame(Socket, Frame),
            ?assertEqual({Frame, closed}, {Frame, holt_stranger:await_closed(Socket)})
        end,
        Broken
    ),
    %% More than it takes.
    {ok, Oversized} = stranger(Config, Daemon, []),
    ok = holt_stranger:raw(Oversized, <<16#7fffffff:32, $p, 131>>),
    closed = holt_stranger:await_closed(Oversized),
    %% Half of one, and gone.
    {ok, Half} = stranger(Config, Daemon, []),
    ok = holt_stranger:raw(Half, <<1000:32, $p, 131, 104>>),
    ok = holt_stranger:close(Half),
    #{network := #{broken_peers := Count}} = ask(A, Daemon, info),
    ?assert(Count >= length(Broken)),
    _ = register_many(B, Reg, 10),
    await_count(A, Daemon, Reg, 20),
    same_answers([A, B], Daemon, Reg),
    holt_daemon:stop(Daemon).

%% In good form, with nonsense in them: refused, counted, and the connection stays.
hostile_messages(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    _ = register_many(A, Reg, 10),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    await_count(A, Daemon, Reg, 10),
    {ok, Socket} = stranger(Config, Daemon, []),
    From = holt_ct:call(A, erlang, self, []),
    Process = holt_replica:process_name(Reg),
    Seed = rand:uniform(1 bsl 32),
    ct:pal("seed ~p", [Seed]),
    _ = rand:seed(exsss, Seed),
    Messages = [
        garbage,
        {holt_hello, From, Reg, <<>>, []},
        {holt_hello, From, Reg, <<"H">>, [a, b | c]},
        {holt_hello, From, Reg, <<"H">>, ['no node', 'x@', 17]},
        {holt_hello, not_a_pid, Reg, <<"H">>, []},
        {holt_hello, From, Reg, <<"H">>},
        {holt_hello, From, [deep], <<"H">>, []},
        {holt_nodes, garbage},
        {holt_nodes, ['', '@', 'a@', 'nowhere@nowhere.invalid', holt_daemon:node_of(Daemon)]},
        {holt_data, <<>>, <<>>},
        {holt_data, 1, 2},
        {holt_data, binary:copy(<<0>>, 17), binary:copy(<<255>>, 4 bsl 20)},
        {holt_data, binary:copy(<<255>>, 4 bsl 20), <<>>},
        {'$gen_call', 1, {count, Reg}},
        {'$gen_call', {From, [alias | 1]}, {count, Reg}},
        {'$gen_call', {1, 2}, {count, Reg}},
        {'$gen_call', {From, make_ref()}},
        lists:foldl(fun(_, Term) -> [Term] end, [], lists:seq(1, 100000)),
        lists:foldl(fun(_, Term) -> {Term, Term} end, [], lists:seq(1, 16))
    ],
    Random = [
        {holt_data, rand:bytes(rand:uniform(20)), rand:bytes(rand:uniform(200))}
     || _ <- lists:seq(1, 300)
    ],
    [
        ok = holt_stranger:control(Socket, {6, From, '', To}, Message)
     || To <- [Process, holtd], Message <- Messages ++ Random
    ],
    Self = "stranger_self@" ++ host(),
    Reply = {'$gen_call', {stranger_pid(Self), make_ref()}, {count, Reg}},
    ok = holt_stranger:control(Socket, {6, From, '', holtd}, Reply),
    %% All of it was read, and we are still welcome.
    await_count(A, Daemon, Reg, 10),
    #{refused := Refused} = ask(A, Daemon, {info, Reg}),
    ?assert(lists:sum(maps:values(Refused)) > 100),
    _ = register_many(B, Reg, 10),
    await_count(A, Daemon, Reg, 20),
    ok = holt_stranger:close(Socket),
    same_answers([A, B], Daemon, Reg),
    holt_daemon:stop(Daemon).

%% A member that has greeted, and then sends each kind of message in a form that it must
%% not have: refused, counted by kind, and it stays a member.
hostile_member(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    stop_registry(B, Reg),
    _ = register_many(A, Reg, 10),
    Daemon = start_daemon(Config, ["--peer", peer_name(A), "--peer", peer_name(B)]),
    await_count(A, Daemon, Reg, 10),
    Actor = rand:uniform(1 bsl 60),
    Self = holt_ct:call(B, fun() -> start_member(Reg, holt_daemon:node_of(Daemon), Actor) end),
    BName = holt_ct:node_of(B),
    Refused = fun() ->
        Peers = ask(A, Daemon, {peers, Reg}),
        case [R || #{member := {_, N}, refused := R} <- Peers, N =:= BName] of
            [Of] -> Of;
            [] -> gone
        end
    end,
    holt_ct:wait_until(fun() -> Refused() =:= #{} end),
    Send = fun(Body) -> holt_ct:call(B, fun() -> Self ! {send, Body}, ok end) end,
    Other = Actor bxor 1,
    Bad = [
        {malformed, [
            <<>>,
            %% delta: cut, an unknown item, unknown flags, an end before its begin
            <<1, Actor:64>>,
            <<1, Actor:64, 0, 16#55>>,
            <<1, Actor:64, 0, 0, 16#80, 0>>,
            <<1, Actor:64, 0, 16#80, 0, 0, 1, 0, 0, 2, 106, 0, 1, 1>>,
            <<1, Actor:64, 0, 2, 2, -1:72, 16#7f>>,
            %% ack: cut, unknown flags, more than there is
            <<2, Actor:64>>,
            <<2, Actor:64, 0, 16#fc>>,
            <<2, Actor:64, 0, 0, 0>>,
            %% vector: cut, more promised than there is, an actor 0, unknown flags
            <<3, 1, 0:64, 0>>,
            <<3, 1, 0:64, 0, 2, Actor:64, 1, 0, 0:64>>,
            <<3, 1, 0:64, 0, 1, 0:64, 1, 0, 0:64>>,
            <<3, 1, 0:64, 0, 1, Actor:64, 16#fe, 0, 0:64>>,
            %% request: cut, no token, unknown flags
            <<4, Actor:64, 7:64>>,
            <<4, Actor:64, 0:64, 1, 0, 0, 0>>,
            <<4, Actor:64, 7:64, 16#f0, 0, 0, 0>>,
            %% repair: cut, unknown flags, a live set that is cut
            <<5, Actor:64, 7:64>>,
            <<5, Actor:64, 7:64, 0, 0, 0, 0, 16#f0, 0, 0, 0, 0>>,
            <<5, Actor:64, 7:64, 0, 9, 0, 0, 2, 9, 100, 1>>,
            %% lost: cut, too long
            <<6, Actor:64>>,
            <<6, Actor:64, 0, 0>>,
            %% goodbye: cut, neither of the two, too long
            <<7, Actor:64>>,
            <<7, Actor:64, 3>>,
            <<7, Actor:64, 1, 1>>,
            %% ask: cut, more promised than there is, an actor 0
            <<8, 7:64>>,
            <<8, 7:64, 2, Actor:64>>,
            <<8, 7:64, 1, 0:64>>,
            %% vouch: cut, unknown flags, an unknown word, an actor 0
            <<9, 7:64, 1>>,
            <<9, 7:64, 16#fe, 0>>,
            <<9, 7:64, 1, 1, Actor:64, 4, 0, 0>>,
            <<9, 7:64, 1, 1, 0:64, 1, 0, 0>>,
            %% probe, echo, reached: cut, too long, an actor 0
            <<10>>,
            <<11, 1, 1>>,
            <<12, Actor:64>>,
            <<12, 0:64, 1>>
        ]},
        {limit, [
            <<3, 1, 0:64, 0, 16#ff, 16#ff, 16#7f>>,
            <<8, 7:64, 16#ff, 16#ff, 16#7f>>,
            <<9, 7:64, 0, 16#ff, 16#ff, 16#7f>>
        ]},
        {unsupported, [<<0>>, <<13, Actor:64>>, <<255>>]},
        {too_large, [binary:copy(<<1>>, 20 bsl 20)]},
        %% In form, and about somebody else, or nothing that there is.
        {stale, [
            <<1, Other:64, 0, 0, 1, 0>>,
            <<2, Other:64, 0, 0>>,
            <<5, Actor:64, 7:64, 0, 0, 0, 0, 0, 0, 1, 0, 0>>,
            <<6, Other:64, 0>>,
            <<7, Other:64, 1>>
        ]}
    ],
    lists:foldl(
        fun({Kind, Body}, Before) ->
            ok = Send(Body),
            Expected = maps:update_with(Kind, fun(N) -> N + 1 end, 1, Before),
            holt_ct:wait_until(fun() ->
                Now = Refused(),
                Now =:= Expected orelse {Kind, Body, Before, Now}
            end),
            Expected
        end,
        #{},
        [{Kind, Body} || {Kind, Bodies} <- Bad, Body <- Bodies]
    ),
    %% A request for what there is not is answered, not counted.
    ok = Send(<<4, 12345:64, 7:64, 1, 0, 0, 0>>),
    holt_ct:wait_until(fun() ->
        Got = holt_ct:call(B, fun() -> Self ! {got, self()}, receive {got, L} -> L end end),
        [ok] =:= [ok || <<5, 12345:64, 7:64, _/binary>> <- Got] orelse Got
    end),
    %% Another session, another life.
    ok = holt_ct:call(B, fun() -> Self ! {send_as, 99, <<2, Actor:64, 0, 0>>}, ok end),
    holt_ct:wait_until(fun() ->
        #{refused := #{stale := Stale}} = ask(A, Daemon, {info, Reg}),
        Stale > 5
    end),
    %% And it is still a member, whose names are taken.
    ok = Send(<<1, Actor:64, 0, 16#80, 1, 2, 77, 0, 0, 7, 119, 5, "known", 0, 1, 1>>),
    await_count(A, Daemon, Reg, 11),
    Pid = ask(A, Daemon, {whereis, Reg, known}),
    ?assertEqual(BName, node(Pid)),
    %% Until it says goodbye.
    ok = Send(<<7, Actor:64, 2>>),
    await_count(A, Daemon, Reg, 10),
    States = fun() ->
        All = ask(A, Daemon, {members, Reg, all}),
        [State || #{member := {_, N}, state := State} <- All, N =:= BName]
    end,
    ?assertEqual([paused], States()),
    ?assertEqual(gone, Refused()),
    holt_ct:call(B, holt_ct, kill, [Self]),
    %% Another life of it, which says anything.
    Seed = rand:uniform(1 bsl 32),
    ct:pal("seed ~p", [Seed]),
    _ = rand:seed(exsss, Seed),
    Last = holt_ct:call(B, fun() -> start_member(Reg, holt_daemon:node_of(Daemon), Other) end),
    holt_ct:wait_until(fun() -> Refused() =:= #{} end),
    Valid = <<1, Other:64, 0, 16#80, 1, 2, 77, 0, 0, 7, 119, 5, "known", 0, 1, 1>>,
    Bodies = [random_body(Other, Valid) || _ <- lists:seq(1, 3000)],
    ok = holt_ct:call(B, fun() -> _ = [Last ! {send, Body} || Body <- Bodies], ok end),
    holt_ct:wait_until(fun() ->
        #{refused := Kinds} = ask(A, Daemon, {info, Reg}),
        Sum = lists:sum(maps:values(Kinds)),
        Sum > 1000 orelse Sum
    end),
    #{network := #{broken_peers := 0}} = ask(A, Daemon, info),
    holt_ct:call(B, holt_ct, kill, [Last]),
    holt_ct:wait_until(fun() -> ask(A, Daemon, {count, Reg}) =:= 10 end),
    same_answers([A], Daemon, Reg),
    holt_daemon:stop(Daemon).

%% Of some kind and the right actor, or a message in form with one byte changed.
random_body(Actor, Valid) ->
    case rand:uniform(2) of
        1 ->
            <<(rand:uniform(12)), Actor:64, (rand:bytes(rand:uniform(60)))/binary>>;
        2 ->
            At = 8 + rand:uniform(byte_size(Valid) - 9),
            <<Before:At/binary, _, After/binary>> = Valid,
            <<Before/binary, (rand:uniform(256) - 1), After/binary>>
    end.

%% Something that greets as a replica process does, and then sends what it is told to.
start_member(Reg, Node, Actor) ->
    Name = holt_replica:process_name(Reg),
    spawn(fun() ->
        true = register(Name, self()),
        Session = rand:uniform(1 bsl 60),
        pong = net_adm:ping(Node),
        {Name, Node} ! {holt_hello, self(), Reg, hello(Reg, Actor, Session, 0), []},
        member_loop(Reg, Node, Actor, Session, undefined, [])
    end).

member_loop(Reg, Node, Actor, Session, Peer, Got) ->
    receive
        {holt_hello, Pid, Reg, Bytes, _} when node(Pid) =:= Node ->
            <<$H, _, _, N, _:N/binary, M, _:M/binary, _:64, _:32, Theirs:64, _/binary>> = Bytes,
            {holt_replica:process_name(Reg), Node} !
                {holt_hello, self(), Reg, hello(Reg, Actor, Session, Theirs), []},
            member_loop(Reg, Node, Actor, Session, {Pid, Theirs}, Got);
        {holt_data, _, Body} ->
            member_loop(Reg, Node, Actor, Session, Peer, [Body | Got]);
        {got, To} ->
            To ! {got, Got},
            member_loop(Reg, Node, Actor, Session, Peer, Got);
        {send, Body} when Peer =/= undefined ->
            self() ! {send_as, Session, Body},
            member_loop(Reg, Node, Actor, Session, Peer, Got);
        {send_as, From, Body} when Peer =/= undefined ->
            {Pid, Theirs} = Peer,
            Pid ! {holt_data, <<1, Theirs:64, From:64>>, Body},
            member_loop(Reg, Node, Actor, Session, Peer, Got)
    end.

hello(Reg, Actor, Session, Known) ->
    Name = atom_to_binary(Reg),
    Node = atom_to_binary(node()),
    <<_, Pid/binary>> = term_to_binary(self()),
    Creation = binary:decode_unsigned(binary:part(Pid, byte_size(Pid), -4)),
    <<$H, 1, 1, (byte_size(Name)), Name/binary, (byte_size(Node)), Node/binary, Actor:64,
        Creation:32, Session:64, Known:64, 1:64, (varint(os:system_time(millisecond)))/binary, 0,
        0:64, 0, 0>>.

varint(N) when N < 128 -> <<N>>;
varint(N) -> <<1:1, N:7, (varint(N bsr 7))/binary>>.

thousand_silent_connections(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_daemon(Config, []),
    Port = holt_daemon:port_of(Daemon),
    Silent = [holt_stranger:silent(Port) || _ <- lists:seq(1, 1000)],
    {Us, pong} = timer:tc(fun() ->
        holt_ct:call(A, net_adm, ping, [holt_daemon:node_of(Daemon)])
    end),
    ct:pal("a node connects beside 1,000 silent ones in ~p us", [Us]),
    ?assert(Us < 1000000),
    _ = members([A, B], Reg, [Daemon]),
    _ = [holt_stranger:close(Socket) || Socket <- Silent],
    holt_daemon:stop(Daemon).

%% What piles up for it is bounded; then it is dropped, and nobody else notices.
peer_that_does_not_read(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Large = binary:copy(<<"0123456789abcdef">>, 60000),
    _ = holt_ct:call(A, fun() -> holt_ct:register(Reg, large, Large, []) end),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    await_count(A, Daemon, Reg, 1),
    {ok, Socket} = stranger(Config, Daemon, [{recbuf, 4096}]),
    Pid = stranger_pid("stranger@" ++ host()),
    Lookup = {'$gen_call', {Pid, make_ref()}, {lookup, Reg, large}},
    ask_until_closed(Socket, {6, Pid, '', holtd}, Lookup, 200),
    _ = holt_daemon:await_line("read|queue|slow", Daemon),
    _ = register_many(B, Reg, 100),
    await_count(A, Daemon, Reg, 101),
    holt_ct:wait_until(fun() ->
        #{network := #{slow_peers := Slow}} = ask(A, Daemon, info),
        Slow =:= 1 orelse Slow
    end),
    same_answers([A, B], Daemon, Reg),
    holt_daemon:stop(Daemon).

ask_until_closed(Socket, Control, Message, Left) when Left > 0 ->
    case holt_stranger:control(Socket, Control, Message) of
        ok -> ask_until_closed(Socket, Control, Message, Left - 1);
        {error, _} -> ok
    end;
ask_until_closed(_Socket, _Control, _Message, 0) ->
    ok.

descriptors_run_out(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Name = daemon_name(),
    Daemon = start_daemon(Name, Config, ["--peer", peer_name(A)], #{wrap => "ulimit -n 40"}),
    _ = members([A, B], Reg, [Daemon]),
    Port = holt_daemon:port_of(Daemon),
    Silent = [holt_stranger:silent(Port) || _ <- lists:seq(1, 200)],
    _ = register_many(A, Reg, 100),
    await_count(A, Daemon, Reg, 100),
    _ = [holt_stranger:close(Socket) || Socket <- Silent],
    holt_ct:wait_until(fun() ->
        {Status, _} = holt(Config, Daemon, ["count", atom_to_list(Reg)]),
        Status =:= 0
    end),
    same_answers([A, B], Daemon, Reg),
    holt_daemon:stop(Daemon).

%%--------------------------------------------------------------------
%% Options

options_are_checked(Config) ->
    Cookie = ["--cookie-file", proplists:get_value(cookie_file, Config)],
    Instance = ["--instance", "x"],
    Wrong = [
        {"--cookie-file is missing", Instance ++ ["--sname"]},
        {"nothing to hold", Cookie ++ ["--sname"]},
        {"--name a b: a node name looks like", ["--name", "a b"]},
        {"a long name has a dot", ["--name", "a@b"] ++ Cookie ++ Instance},
        {"a short name .* no dot", ["--sname", "--name", "a@b.c"] ++ Cookie ++ Instance},
        {"--peer b: a node name", ["--peer", "b"]},
        {"--instance x: .*before", ["--instance", "x", "--instance", "x"]},
        {"--option vouch_ms: an option of an instance looks like",
            Instance ++ ["--option", "vouch_ms"]},
        {"--option patience=1: no such option", Instance ++ ["--option", "patience=1"]},
        {"--option probe_ms=0: milliseconds, a whole number from 1 to 4294967295",
            Instance ++ ["--option", "probe_ms=0"]},
        {"--option flap_ms_max=soon: milliseconds", Instance ++ ["--option", "flap_ms_max=soon"]},
        {"--option key_bytes_max=65536: bytes, .* to 65535",
            Instance ++ ["--option", "key_bytes_max=65536"]},
        {"--option keys=many: keys are one of", Instance ++ ["--option", "keys=many"]},
        {"--option vouch_ms=1: it follows the --instance", ["--option", "vouch_ms=1"]},
        {"--log-level loud: a level is one of", ["--log-level", "loud"]},
        {"--net-ticktime-s 1: seconds", ["--net-ticktime-s", "1"]},
        {"--listen 1:2:3:x: an address|--listen", ["--listen", "127.0.0.1:x"]},
        {"unrecognized option|lists the options", ["--nonsense"]},
        {"\"words\" is no option", ["words"]},
        {"/nowhere: No such file", ["--sname", "--cookie-file", "/nowhere"] ++ Instance},
        {"/nowhere.conf: No such file", ["--config", "/nowhere.conf"]}
    ],
    lists:foreach(
        fun({Regex, Args}) ->
            {Status, Output} = holt_daemon:command(holt_daemon:program("holtd"), Args),
            ?assertEqual({Args, 2, Output}, {Args, Status, Output}),
            ?assertMatch({match, _}, re:run(Output, Regex), {Args, Output})
        end,
        Wrong
    ),
    {0, "usage: holtd" ++ _} = holt_daemon:command(holt_daemon:program("holtd"), ["--help"]),
    {0, "holtd " ++ _} = holt_daemon:command(holt_daemon:program("holtd"), ["--version"]).

%% Every complaint names the file and the line.
options_file_is_checked(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "wrong.conf"),
    Wrong = [
        {2, "no such option", "\nnonsense = 1\n"},
        {1, "a node name looks like", "name = \"a b\"\n"},
        {3, "a level is one of", "\n\nlog_level = \"loud\"\n"},
        {2, "a node name looks like", "\npeers = { \"a@b\", \"c\" }\n"},
        {1, "seconds", "net_ticktime_s = 1\n"},
        {2, "window_bytes = 0: bytes, a whole number from 1 to 4294967295",
            "instance x {\nwindow_bytes = 0\n}\n"},
        {2, "message_bytes_max = -1: bytes", "instance x {\nmessage_bytes_max = -1\n}\n"},
        {1, "value_bytes_max = 4294967296: bytes", "instance x { value_bytes_max = 4294967296 }\n"},
        {3, "key_bytes_max = 65536: bytes, .* to 65535",
            "instance x {\n\nkey_bytes_max = 65536 }\n"},
        {2, "vector_interval_ms = 0: milliseconds", "instance x {\nvector_interval_ms = 0\n}\n"},
        {1, "replica_restart_ms = 0: milliseconds", "instance x { replica_restart_ms = 0 }\n"},
        {1, "probe_ms = 0: milliseconds", "instance x { probe_ms = 0 }\n"},
        {1, "vouch_ms = 4294967296: milliseconds", "instance x { vouch_ms = 4294967296 }\n"},
        {1, "flap_ms_max = -1: milliseconds", "instance x { flap_ms_max = -1 }\n"},
        {1, "forget_after_ms = 0: milliseconds", "instance x { forget_after_ms = 0 }\n"},
        {1, "clock_bound_ms = -5: milliseconds", "instance x { clock_bound_ms = -5 }\n"},
        {1, "integer", "instance x { clock_bound_ms = 1.5 }\n"},
        {1, "integer", "instance x { window_bytes = 64k }\n"},
        {2, "\"many\": keys are one of unique, duplicate", "instance x {\nkeys = \"many\"\n}\n"},
        {1, "keys are one of", "instance x { keys = \"\" }\n"},
        {1, "no such option", "keys = \"unique\"\n"},
        {2, "no such option", "instance x {\nwindow = 1\n}\n"},
        {1, "integer", "net_ticktime_s = \"soon\"\n"},
        {2, "duplicate|found|x", "instance x {}\ninstance x {}\n"},
        {2, "end of file", "name =\n"}
    ],
    lists:foreach(
        fun({Line, Regex, Text}) ->
            ok = file:write_file(File, Text),
            {Status, Output} = holt_daemon:command(
                holt_daemon:program("holtd"), ["--config", File]
            ),
            ?assertEqual({Text, 2, Output}, {Text, Status, Output}),
            Prefix = "holtd: " ++ File ++ ":" ++ integer_to_list(Line) ++ ": ",
            ?assertMatch({match, _}, re:run(Output, "^" ++ Prefix ++ ".*" ++ Regex), {Text, Output})
        end,
        Wrong
    ).

options_file_is_used(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "holtd.conf"),
    [A] = holt_ct:start_nodes(1, no_overlap()),
    Reg = proplists:get_value(registry, Config),
    _ = holt_ct:start_registry(A, #{name => Reg}),
    ok = file:write_file(File, [
        "# A comment\n",
        "name = \"overridden@nowhere\"\n",
        "sname = true\n",
        "cookie_file = \"", proplists:get_value(cookie_file, Config), "\"\n",
        "listen = \"127.0.0.1\"\n",
        "log_level = \"debug\"\n",
        "peers = { \"", peer_name(A), "\" }\n",
        "instance ", atom_to_list(Reg), " {\n",
        "  keys = \"unique\" vector_interval_ms = 500 replica_restart_ms = 1000\n",
        "  probe_ms = 250 vouch_ms = 1000 flap_ms_max = 10000\n",
        "  forget_after_ms = 60000 clock_bound_ms = 2000 window_bytes = 100000\n",
        "  message_bytes_max = 10000 key_bytes_max = 500 value_bytes_max = 2000\n",
        "}\n"
    ]),
    Daemon = holt_daemon:start(["--config", File, "--name", daemon_name()], #{}),
    _ = members([A], Reg, [Daemon]),
    %% The limits bound what it is asked, not what others have.
    _ = holt_ct:call(A, fun() -> holt_ct:register(Reg, short, binary:copy(<<"x">>, 1000), []) end),
    _ = holt_ct:call(A, fun() -> holt_ct:register(Reg, long, binary:copy(<<"x">>, 30000), []) end),
    await_count(A, Daemon, Reg, 2),
    {error, {bad_key, _}} = ask(A, Daemon, {whereis, Reg, binary:copy(<<"x">>, 600)}),
    [#{refused := Refused}] = ask(A, Daemon, {peers, Reg}),
    ?assertEqual(#{}, Refused),
    ok = holt_daemon:stop(Daemon),
    holt_ct:stop_nodes([A]).

%% No number that is allowed keeps it from holding what the others hold.
options_may_be_small(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "small.conf"),
    [A] = holt_ct:start_nodes(1, no_overlap()),
    Reg = proplists:get_value(registry, Config),
    _ = holt_ct:start_registry(A, #{name => Reg}),
    _ = register_many(A, Reg, 5000),
    ok = file:write_file(File, [
        "sname = true\n",
        "cookie_file = \"", proplists:get_value(cookie_file, Config), "\"\n",
        "peers = { \"", peer_name(A), "\" }\n",
        "instance ", atom_to_list(Reg), " {\n",
        "  vector_interval_ms = 1 replica_restart_ms = 1 forget_after_ms = 1\n",
        "  probe_ms = 1 vouch_ms = 1 flap_ms_max = 1\n",
        "  clock_bound_ms = 1 window_bytes = 1 message_bytes_max = 1\n",
        "}\n"
    ]),
    Daemon = holt_daemon:start(["--config", File, "--name", daemon_name()], #{}),
    _ = members([A], Reg, [Daemon]),
    await_count(A, Daemon, Reg, 5000),
    _ = register_many(A, Reg, 5000),
    await_count(A, Daemon, Reg, 10000),
    same_answers([A], Daemon, Reg),
    ok = holt_daemon:stop(Daemon),
    holt_ct:stop_nodes([A]).

%%--------------------------------------------------------------------
%% Daemons

start_daemon(Config, Args) ->
    start_daemon(daemon_name(), Config, Args).

start_daemon(Name, Config, Args) ->
    start_daemon(Name, Config, Args, #{}).

start_daemon(Name, Config, Args, Options) ->
    holt_daemon:start(
        [
            "--name", Name, "--sname",
            "--cookie-file", proplists:get_value(cookie_file, Config),
            "--instance", atom_to_list(proplists:get_value(registry, Config))
            | Args
        ],
        Options
    ).

daemon_name() ->
    "holtd_" ++ integer_to_list(erlang:unique_integer([positive])) ++ "_" ++ os:getpid() ++ "@" ++
        host().

host() ->
    {ok, Host} = inet:gethostname(),
    Host.

peer_name(Node) ->
    atom_to_list(holt_ct:node_of(Node)).

ask(Node, Daemon, Request) ->
    holt_ct:call(Node, gen_server, call, [{holtd, holt_daemon:node_of(Daemon)}, Request, 10000]).

await_answer(Node, Daemon, Request, Answer) ->
    Holtd = {holtd, holt_daemon:node_of(Daemon)},
    holt_ct:call(Node, fun() ->
        holt_ct:wait_until(
            fun() ->
                case catch gen_server:call(Holtd, Request, 10000) of
                    Answer -> true;
                    Other -> Other
                end
            end,
            30000
        )
    end).

await_count(Node, Daemon, Reg, Count) ->
    await_answer(Node, Daemon, {count, Reg}, Count).

await_sync(Node, Daemon, Reg) ->
    await_answer(Node, Daemon, {in_sync, Reg}, true).

await_members(Node, Daemon, Reg, Members) ->
    Holtd = {holtd, holt_daemon:node_of(Daemon)},
    holt_ct:await(Node, fun() ->
        Answer = gen_server:call(Holtd, {members, Reg}),
        lists:sort(Answer) =:= Members orelse Answer
    end).

%% All pages.
list(Node, Daemon, Reg, Options) ->
    case ask(Node, Daemon, {list, Reg, Options}) of
        {Entries, done} -> Entries;
        {Entries, Next} -> Entries ++ list(Node, Daemon, Reg, Options#{from => Next})
    end.

%% Every node and the daemon hold the same names, by every way to ask.
same_answers([A | _] = Nodes, Daemon, Reg) ->
    Lists = fun() ->
        lists:usort([
            holt_ct:call(Node, fun() -> lists:sort(holt_registry:to_list(Reg)) end)
         || Node <- Nodes
        ])
    end,
    %% The daemon may have been told before one of them.
    holt_ct:wait_until(fun() -> length(Lists()) =:= 1 orelse Lists() end),
    [List] = Lists(),
    ?assertEqual(List, lists:sort(list(A, Daemon, Reg, #{}))),
    ?assertEqual(length(List), ask(A, Daemon, {count, Reg})),
    Node = holt_daemon:node_of(Daemon),
    Differ = holt_ct:call(A, fun() ->
        [
            Key
         || {Key, Pid, Value} <- List,
            {Pid, [{Pid, Value}]} =/=
                {
                    gen_server:call({holtd, Node}, {whereis, Reg, Key}),
                    gen_server:call({holtd, Node}, {lookup, Reg, Key})
                }
        ]
    end),
    ?assertEqual([], Differ).

%% The command line, asking this daemon.
holt(Config, Daemon, Args) ->
    holt_daemon:command(holt_daemon:program("holt"), [
        "--node", atom_to_list(holt_daemon:node_of(Daemon)),
        "--cookie-file", proplists:get_value(cookie_file, Config)
        | Args
    ]).

shown(Pid) ->
    <<131, _, Rest/binary>> = term_to_binary(Pid, [{minor_version, 2}]),
    <<119, Size, Node:Size/binary, Id:32, Serial:32, _/binary>> = Rest,
    lists:flatten(
        io_lib:format("<~s.~b.~b>", [
            unicode:characters_to_list(io_lib:format("~0tp", [binary_to_atom(Node)])), Id, Serial
        ])
    ).

stranger(Config, Daemon, Options) ->
    _ = Config,
    Name = "stranger" ++ integer_to_list(erlang:unique_integer([positive])) ++ "@" ++ host(),
    holt_stranger:connect(holt_daemon:port_of(Daemon), Name, ?COOKIE, Options).

%% A process of a node that is none.
stranger_pid(Node) ->
    Name = list_to_binary(Node),
    binary_to_term(<<131, 88, 119, (byte_size(Name)), Name/binary, 17:32, 0:32, 1:32>>).

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

%%--------------------------------------------------------------------
%% Nodes

no_overlap() ->
    ["-kernel", "prevent_overlapping_partitions", "false"].

nodes_of(Config) ->
    proplists:get_value(nodes, Config).

start_everywhere(Config) ->
    Reg = proplists:get_value(registry, Config),
    Nodes = nodes_of(Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
    {Reg, Nodes}.

stop_registry(Node, Reg) ->
    holt_ct:call(Node, fun() ->
        case whereis(Reg) of
            undefined -> ok;
            _ -> holt_registry:stop(Reg)
        end
    end).

%% Wait until each node has these members, and return them.
members(Nodes, Reg, Daemons) ->
    Members = lists:sort(
        [{Reg, holt_ct:node_of(Node)} || Node <- Nodes] ++
            [{Reg, holt_daemon:node_of(Daemon)} || Daemon <- Daemons]
    ),
    [
        holt_ct:call(Node, fun() ->
            holt_ct:wait_until(
                fun() ->
                    Now = holt_cluster:members(Reg),
                    Now =:= Members orelse Now
                end,
                30000
            )
        end)
     || Node <- Nodes
    ],
    Members.

%% One process with so many names, new ones each time.
register_many(Node, Reg, Count) ->
    First = erlang:unique_integer([positive]) * 1000000,
    holt_ct:call(Node, fun() ->
        register_keys(Reg, [{name, node(), N} || N <- lists:seq(First, First + Count - 1)])
    end).

register_keys(Reg, Keys) ->
    Pid = holt_ct:start(),
    holt_ct:do(Pid, fun() ->
        lists:foreach(fun(Key) -> {ok, _} = holt_registry:register(Reg, Key, undefined) end, Keys)
    end),
    Pid.
