%% SPDX-License-Identifier: Apache-2.0
%% @doc The daemon among real nodes: it holds what they hold, and says so to who asks.
%%
%% `HOLTD=...' runs another build of it, for example one with sanitizers.
-module(holt_cnode_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, groups/0, init_per_suite/1, end_per_suite/1]).
-export([init_per_group/2, end_per_group/2, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

-import(holt_ct_cluster, [no_overlap/0, start_everywhere/1, stop_registry/2]).
-import(holt_ct_daemon, [
    start_daemon/2, daemon_name/0, peer_name/1, ask/3, list/4, holt/3, same_answers/3,
    await_answer/4, await_count/4, await_sync/3, await_members/4, members/3, register_many/3,
    register_keys/2
]).

all() ->
    [{group, shared}, {group, options}].

%% The nodes of `shared' are those of all its cases; each has a registry and a daemon of its own.
groups() ->
    [
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
            daemon_tells_of_peers,
            daemon_refuses_another_kind,
            daemon_keeps_to_the_list,
            daemon_takes_any_key,
            command_line_answers
        ]},
        {options, [], [
            options_are_checked,
            options_file_is_checked,
            options_file_is_used,
            options_may_be_small
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
%% What it holds

%% It is told of one node; the other one is named in that one's hello.
daemon_is_a_member(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    Members = members([A, B], Reg, [Daemon]),
    ok = holt_ct_daemon:await_members(A, Daemon, Reg, Members),
    holt_ct:await(B, fun() -> lists:member(holt_test_daemon:node_of(Daemon), nodes(hidden)) end),
    ?assertNot(lists:member(holt_test_daemon:node_of(Daemon), holt_ct:call(B, erlang, nodes, []))),
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
    Node = holt_test_daemon:node_of(Daemon),
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
        {unknown_request, {count, Reg, "more"}},
        {unknown_request, {count, Reg, more, more}},
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
    Node = holt_test_daemon:node_of(Daemon),
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
    ok = holt_test_daemon:kill(One),
    await_members(A, Two, Reg, members([A, B], Reg, [Two])),
    holt_daemon:stop(Two).

%% Ended in order it is forgotten at once; killed, it may come back.
daemon_says_goodbye(Config) ->
    {Reg, [A, B] = Nodes} = start_everywhere(Config),
    Known = fun(Node, Daemon) ->
        Name = holt_test_daemon:node_of(Daemon),
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
    ok = holt_test_daemon:kill(Killed),
    _ = members(Nodes, Reg, []),
    [?assertEqual([absent], Known(Node, Killed)) || Node <- [A, B]].

daemon_hears_goodbyes(Config) ->
    {Reg, [A, B] = Nodes} = start_everywhere(Config),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    _ = register_many(B, Reg, 10),
    await_count(A, Daemon, Reg, 10),
    State = fun() ->
        All = ask(A, Daemon, {members, Reg, all}),
        [{S, Names} || #{member := {_, N}, state := S, names := Names} <- All, N =:= B]
    end,
    ?assertEqual([{present, 10}], State()),
    ok = holt_ct:call(B, application, stop, [holt]),
    await_count(A, Daemon, Reg, 0),
    ?assertEqual([{paused, 10}], State()),
    Two = lists:sort([{Reg, A}, {Reg, holt_test_daemon:node_of(Daemon)}]),
    ?assertEqual(Two, lists:sort(ask(A, Daemon, {members, Reg}))),
    {0, Out} = holt(Config, Daemon, ["members", "--all", atom_to_list(Reg)]),
    ?assertMatch({match, _}, re:run(Out, "\tpaused\tnone\tundefined\t[0-9]+\tfalse\t10\t1\t")),
    ok = holt_ct:call(B, application, start, [holt]),
    await_count(A, Daemon, Reg, 10),
    ?assertEqual([{present, 10}], State()),
    %% A may have vouched for it first; goodbye is said to those who have greeted.
    holt_ct:wait_until(fun() ->
        All = ask(A, Daemon, {members, Reg, all}),
        [direct] =:= [C || #{member := {_, N}, contact := C} <- All, N =:= B]
    end),
    stop_registry(B, Reg),
    await_count(A, Daemon, Reg, 0),
    ?assertEqual([], State()),
    ?assertEqual(Two, lists:sort(ask(A, Daemon, {members, Reg}))),
    _ = holt_ct:start_registry(B, #{name => Reg}),
    _ = members(Nodes, Reg, [Daemon]),
    holt_daemon:stop(Daemon).

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
        lists:sort([{Reg, Node} || Node <- Nodes]),
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
    BMembers = holt_ct:call(B, holt_cluster, members, [Reg, all]),
    %% Who is whose own, and connected to whom, differs.
    Same = fun(Infos) ->
        lists:sort([maps:without([processes, contact, voucher], Info) || Info <- Infos])
    end,
    ?assertEqual(Same(BMembers), Same(All)),
    Info = ask(A, Daemon, {info, Reg}),
    Counters = [
        asks, backwards, conflicts, diverged, duplicates, flaps, forwarded, forwarded_bytes, gaps,
        mixed_rules, probes, repairs, repairs_served, stalls, stamps_capped, stamps_refused,
        vouches, vouches_lapsed
    ],
    ?assertEqual([], Counters -- maps:keys(Info)),
    %% What only those count who decide of conflicts, or tell losers.
    Theirs = holt_ct:call(A, holt_cluster, info, [Reg]),
    Their = maps:without([creation, contests, contests_failed, losers_killed], Theirs),
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
    ?assertMatch(
        {match, _},
        re:run(Status, Name ++ "\tunique\ttrue\t20\t3\t0\t0\t0\t0\t2\t0\t0\t0\n")
    ),
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
    Daemon = holt_test_daemon:start(["--config", File, "--name", daemon_name()], #{}),
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

%% Who is not in it holds nothing, and nobody holds anything of it; it passes the list on.
daemon_keeps_to_the_list(Config) ->
    {Reg, [A, B] = Nodes} = start_everywhere(Config),
    _ = register_many(B, Reg, 50),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    Node = holt_test_daemon:node_of(Daemon),
    await_count(A, Daemon, Reg, 50),
    [MA, MB, MD] = Members = [{Reg, N} || N <- [A, B, Node]],
    Set = fun(At, List) -> ok = holt_ct:call(At, holt_cluster, set_members, [Reg, List]) end,
    _ = members(Nodes, Reg, [Daemon]),
    Set(A, [MA, MB]),
    _ = members(Nodes, Reg, []),
    await_members(A, Daemon, Reg, [MD]),
    await_count(A, Daemon, Reg, 0),
    _ = holt_daemon:await_line("who may take part has changed", Daemon),
    _ = register_many(A, Reg, 50),
    Set(B, Members),
    _ = members(Nodes, Reg, [Daemon]),
    await_count(A, Daemon, Reg, 100),
    %% One of them is left out.
    Set(A, [MA, MD]),
    await_members(A, Daemon, Reg, lists:sort([MA, MD])),
    await_count(A, Daemon, Reg, 50),
    Set(A, auto),
    await_members(A, Daemon, Reg, lists:sort(Members)),
    _ = members(Nodes, Reg, [Daemon]),
    await_count(A, Daemon, Reg, 100),
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
    DaemonName = atom_to_list(holt_test_daemon:node_of(Daemon)),
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
            {Status, Output} = holt_daemon:command(holt_test_daemon:program("holtd"), Args),
            ?assertEqual({Args, 2, Output}, {Args, Status, Output}),
            ?assertMatch({match, _}, re:run(Output, Regex), {Args, Output})
        end,
        Wrong
    ),
    {0, "usage: holtd" ++ _} = holt_daemon:command(holt_test_daemon:program("holtd"), ["--help"]),
    {0, "holtd " ++ _} = holt_daemon:command(holt_test_daemon:program("holtd"), ["--version"]).

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
                holt_test_daemon:program("holtd"), ["--config", File]
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
    Daemon = holt_test_daemon:start(["--config", File, "--name", daemon_name()], #{}),
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
    Daemon = holt_test_daemon:start(["--config", File, "--name", daemon_name()], #{}),
    _ = members([A], Reg, [Daemon]),
    await_count(A, Daemon, Reg, 5000),
    _ = register_many(A, Reg, 5000),
    await_count(A, Daemon, Reg, 10000),
    same_answers([A], Daemon, Reg),
    ok = holt_daemon:stop(Daemon),
    holt_ct:stop_nodes([A]).

%%--------------------------------------------------------------------
%% Daemons

shown(Pid) ->
    <<131, _, Rest/binary>> = term_to_binary(Pid, [{minor_version, 2}]),
    <<119, Size, Node:Size/binary, Id:32, Serial:32, _/binary>> = Rest,
    lists:flatten(
        io_lib:format("<~s.~b.~b>", [
            unicode:characters_to_list(io_lib:format("~0tp", [binary_to_atom(Node)])), Id, Serial
        ])
    ).
