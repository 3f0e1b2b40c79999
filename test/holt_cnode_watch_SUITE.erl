%% SPDX-License-Identifier: Apache-2.0
%% @doc What the daemon says of registrations and of changes, among real nodes.
-module(holt_cnode_watch_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, groups/0, init_per_suite/1, end_per_suite/1]).
-export([init_per_group/2, end_per_group/2, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

-import(holt_ct_cluster, [start_everywhere/1]).
-import(holt_ct_daemon, [
    start_daemon/2, peer_name/1, ask/3, holt/3, await_answer/4, await_count/4, members/3,
    register_many/3, register_keys/2, list/4
]).

-define(DEADLINE_MS, 20000).

all() ->
    [{group, shared}].

groups() ->
    [
        {shared, [], [
            prefixes_are_those_of_the_nodes,
            processes_of_a_node_are_counted,
            rows_are_explained,
            entries_of_duplicate_keys,
            changes_are_told_in_order,
            changes_tell_what_was,
            filters_let_through_what_is_wanted,
            members_come_and_go_as_one,
            shadows_equal_the_view,
            many_watch,
            watches_end_with_their_process,
            a_busy_node_misses_changes,
            command_line_explains,
            command_line_watches
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
%% Reading

prefixes_are_those_of_the_nodes(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    Keys = [<<"a/", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 3000)],
    _ = holt_ct:call(A, fun() -> register_keys(Reg, Keys) end),
    _ = holt_ct:call(B, fun() -> register_keys(Reg, [<<"a">>, <<"b/1">>, <<"ä/1"/utf8>>, a]) end),
    await_count(A, Daemon, Reg, 3004),
    [
        ?assertEqual(
            lists:sort(holt_ct:call(A, holt_registry, prefix, [Reg, Prefix])),
            lists:sort(ask(A, Daemon, {prefix, Reg, Prefix}))
        )
     || Prefix <- [<<>>, <<"a">>, <<"a/">>, <<"a/29">>, <<"ä"/utf8>>, <<"b/1">>, <<"c">>]
    ],
    ?assertEqual(3000, length(ask(A, Daemon, {prefix, Reg, <<"a/">>}))),
    {error, {bad_prefix, _}} = ask(A, Daemon, {prefix, Reg, "a/"}),
    {error, {no_instance, _}} = ask(A, Daemon, {prefix, another, <<"a/">>}),
    %% An answer that is too large is none.
    Large = binary:copy(<<"0123456789abcdef">>, 50000),
    _ = holt_ct:call(B, fun() ->
        holt_ct:do(holt_ct:start(), fun() ->
            [{ok, _} = holt_registry:register(Reg, {large, N}, Large) || N <- lists:seq(1, 30)],
            [
                {ok, _} = holt_registry:register(Reg, <<"l/", (N + $a)>>, Large)
             || N <- lists:seq(0, 45)
            ]
        end)
    end),
    await_count(A, Daemon, Reg, 3080),
    {error, {too_large, _}} = ask(A, Daemon, {prefix, Reg, <<"l/">>}),
    ?assertMatch([{<<"l/a">>, _, Large}], ask(A, Daemon, {prefix, Reg, <<"l/a">>})),
    holt_daemon:stop(Daemon).

processes_of_a_node_are_counted(Config) ->
    {Reg, [A, B] = Nodes} = start_everywhere(Config),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    Owner = register_many(A, Reg, 70),
    _ = register_many(B, Reg, 30),
    await_count(A, Daemon, Reg, 100),
    Counts = fun() ->
        Daemons = [ask(A, Daemon, {count, Reg, Node}) || Node <- Nodes ++ ['no@where']],
        Theirs = [
            holt_ct:call(A, holt_registry, count, [Reg, Node])
         || Node <- Nodes ++ ['no@where']
        ],
        {Daemons, Theirs}
    end,
    ?assertEqual({[70, 30, 0], [70, 30, 0]}, Counts()),
    Holt = fun(Args) -> holt(Config, Daemon, ["count", atom_to_list(Reg) | Args]) end,
    ?assertEqual({0, "70\n"}, Holt([peer_name(A)])),
    ?assertEqual({0, "0\n"}, Holt(["no@where"])),
    ?assertMatch({2, _}, Holt(["nowhere"])),
    holt_ct:call(A, holt_ct, kill, [Owner]),
    await_answer(B, Daemon, {count, Reg, A}, 0),
    {error, {unknown_request, _}} = ask(A, Daemon, {count, Reg, 7}),
    holt_daemon:stop(Daemon).

%% The rows of which the nodes make their explanation.
rows_are_explained(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    Pid = holt_ct:call(B, fun() -> holt_ct:register(Reg, {user, 7}, #{a => 1}, []) end),
    await_count(A, Daemon, Reg, 1),
    Theirs = holt_ct:call(A, holt_nif, explain, [Reg, {user, 7}]),
    Ours = ask(A, Daemon, {explain, Reg, {user, 7}}),
    ?assertMatch(
        [#{
            pid := Pid, value := #{a := 1}, member := {Reg, B}, standby := false, early := _,
            visible := true, winner := true
        }],
        Ours
    ),
    ?assertEqual(
        [maps:without([value], Row) || Row <- Theirs],
        [maps:without([value], Row) || Row <- Ours]
    ),
    ?assertEqual([], ask(A, Daemon, {explain, Reg, {user, 8}})),
    {error, {bad_key, _}} = ask(A, Daemon, {explain, Reg, fun() -> ok end}),
    {error, {no_instance, _}} = ask(A, Daemon, {explain, another, key}),
    holt_daemon:stop(Daemon).

%% Each is counted, and is told of.
entries_of_duplicate_keys(Config) ->
    Reg = proplists:get_value(registry, Config),
    [A, B] = Nodes = holt_ct_cluster:nodes_of(Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg, keys => duplicate}) || Node <- Nodes],
    Daemon = start_met(Config, Reg, Nodes, ["--option", "keys=duplicate"]),
    Ref = watch(A, Daemon, Reg, {prefix, <<"room/">>}),
    Join = fun(Node, Key, Value) ->
        holt_ct:call(Node, fun() -> holt_ct:register(Reg, Key, Value, []) end)
    end,
    One = Join(A, <<"room/1">>, x),
    Two = Join(B, <<"room/1">>, y),
    Three = Join(B, <<"hall">>, z),
    await_count(A, Daemon, Reg, 3),
    ?assertEqual(
        lists:sort([{<<"room/1">>, One, x}, {<<"room/1">>, Two, y}]),
        lists:sort(ask(A, Daemon, {prefix, Reg, <<"room/">>}))
    ),
    ?assertEqual([1, 2], [ask(A, Daemon, {count, Reg, Node}) || Node <- Nodes]),
    ?assertMatch([#{pid := Three, winner := true}], ask(A, Daemon, {explain, Reg, <<"hall">>})),
    ?assertEqual(2, length(ask(A, Daemon, {explain, Reg, <<"room/1">>}))),
    holt_ct:call(A, holt_ct, kill, [One]),
    await_count(A, Daemon, Reg, 2),
    Events = heard(Ref, 3),
    ?assertEqual(
        [{registered, One, x}, {registered, Two, y}, {unregistered, One, x}],
        [{Type, Pid, Value} || #{type := Type, pid := Pid, value := Value} <- Events]
    ),
    holt_daemon:stop(Daemon).

%%--------------------------------------------------------------------
%% Watching

changes_are_told_in_order(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_met(Config, Reg, [A, B], []),
    Ref = watch(A, Daemon, Reg, all),
    _ = holt_ct:call(B, fun() -> register_keys(Reg, lists:seq(1, 5000)) end),
    Events = heard(Ref, 5000),
    ?assertEqual(
        [{registered, N, undefined} || N <- lists:seq(1, 5000)],
        [{Type, Key, Previous} || #{type := Type, key := Key, previous := Previous} <- Events]
    ),
    ok = unwatch(Ref),
    ?assertMatch(#{watches := 0}, ask(A, Daemon, info)),
    ok = unwatch(Ref),
    holt_daemon:stop(Daemon).

changes_tell_what_was(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_met(Config, Reg, [A, B], []),
    Ref = watch(A, Daemon, Reg, {key, {user, 7}}),
    Pid = holt_ct:call(B, fun() -> holt_ct:register(Reg, {user, 7}, v1, []) end),
    [Registered] = heard(Ref, 1),
    ?assertEqual(
        #{
            type => registered, key => {user, 7}, pid => Pid, value => v1, previous => undefined,
            reason => user
        },
        Registered
    ),
    holt_ct:call(B, fun() ->
        {v2, v1} = holt_ct:do(Pid, fun() ->
            holt_registry:update_value(Reg, {user, 7}, fun(_) -> v2 end)
        end)
    end),
    [Updated] = heard(Ref, 1),
    ?assertMatch(#{type := updated, pid := Pid, value := v2, previous := {Pid, v1}}, Updated),
    holt_ct:call(B, fun() ->
        ok = holt_ct:do(Pid, fun() -> holt_registry:unregister(Reg, {user, 7}) end)
    end),
    [Unregistered] = heard(Ref, 1),
    ?assertMatch(
        #{type := unregistered, pid := Pid, value := v2, previous := {Pid, v2}, reason := user},
        Unregistered
    ),
    Next = holt_ct:call(B, fun() -> holt_ct:register(Reg, {user, 7}, v3, []) end),
    holt_ct:call(B, holt_ct, kill, [Next]),
    ?assertMatch(
        [#{type := registered, pid := Next}, #{type := unregistered, pid := Next, reason := down}],
        heard(Ref, 2)
    ),
    holt_daemon:stop(Daemon).

filters_let_through_what_is_wanted(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_met(Config, Reg, [A, B], []),
    Key = watch(A, Daemon, Reg, {key, #{b => 1, a => [2]}}),
    Prefix = watch(A, Daemon, Reg, {prefix, <<"user/">>}),
    Keys = [<<"user/1">>, <<"users">>, user, #{a => [2], b => 1}, {a}, <<"user/">>, <<"usex/1">>],
    _ = holt_ct:call(B, fun() -> register_keys(Reg, Keys ++ [<<"user/last">>]) end),
    ?assertEqual(
        [<<"user/1">>, <<"user/">>, <<"user/last">>], [K || #{key := K} <- heard(Prefix, 3)]
    ),
    ?assertMatch([#{key := #{a := [2], b := 1}}], heard(Key, 1)),
    ?assertEqual([], rest(Key)),
    Wrong = [
        {unknown_request, {watch, Reg}},
        {unknown_request, {watch, Reg, everything}},
        {unknown_request, {watch, Reg, {all, 1}}},
        {unknown_request, {watch, Reg, {key, a, b}}},
        {bad_prefix, {watch, Reg, {prefix, "user/"}}},
        {bad_key, {watch, Reg, {key, fun() -> ok end}}},
        {no_instance, {watch, another, all}},
        {bad_reference, {unwatch, reference}},
        {bad_reference, {unwatch, make_ref()}}
    ],
    [?assertMatch({_, {error, {What, _}}}, {R, ask(A, Daemon, R)}) || {What, R} <- Wrong],
    ?assertMatch(#{watches := 2}, ask(A, Daemon, info)),
    holt_daemon:stop(Daemon).

members_come_and_go_as_one(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    _ = register_many(B, Reg, 2000),
    await_count(A, Daemon, Reg, 2000),
    All = watch(A, Daemon, Reg, all),
    One = watch(A, Daemon, Reg, {key, key}),
    ok = holt_ct:call(B, application, stop, [holt]),
    [
        ?assertMatch([#{type := member_down, member := {Reg, B}, count := 2000}], heard(Ref, 1))
     || Ref <- [All, One]
    ],
    ok = holt_ct:call(B, application, start, [holt]),
    await_count(A, Daemon, Reg, 2000),
    [
        ?assertMatch([#{type := member_up, member := {Reg, B}, count := 2000}], heard(Ref, 1))
     || Ref <- [All, One]
    ],
    ?assertEqual([], rest(All)),
    holt_daemon:stop(Daemon).

%% A copy fed by changes alone is the view, whatever happens.
shadows_equal_the_view(Config) ->
    {Reg, [A | _] = Nodes} = start_everywhere(Config),
    Daemon = start_met(Config, Reg, Nodes, []),
    Ref = watch(A, Daemon, Reg, all),
    Pids = [
        holt_ct:call(Node, fun() -> holt_ct:register(Reg, {own, N, Node}, N, []) end)
     || N <- lists:seq(1, 8), Node <- Nodes
    ],
    [
        holt_ct:call(Node, fun() ->
            [
                catch holt_ct:do(Pid, fun() -> step(Reg, N, I) end)
             || N <- lists:seq(1, 40), {I, Pid} <- lists:enumerate(Pids), node(Pid) =:= node()
            ]
        end)
     || Node <- Nodes
    ],
    [holt_ct:call(node(Pid), holt_ct, kill, [Pid]) || Pid <- lists:sublist(Pids, 5)],
    View = await_same(Nodes, Daemon, Reg),
    Shadow = follow(Ref, #{}, maps:from_list([{K, {P, V}} || {K, P, V} <- View])),
    ?assertEqual(lists:sort(View), lists:sort([{K, P, V} || {K, {P, V}} <- maps:to_list(Shadow)])),
    holt_daemon:stop(Daemon).

%% What the nodes and the daemon hold in the end.
await_same([A | _] = Nodes, Daemon, Reg) ->
    Lists = fun() ->
        lists:usort([
            lists:sort(List)
         || List <- [
                list(A, Daemon, Reg, #{})
                | [holt_ct:call(Node, holt_registry, to_list, [Reg]) || Node <- Nodes]
            ]
        ])
    end,
    holt_ct:wait_until(fun() -> length(Lists()) =:= 1 orelse Lists() end, ?DEADLINE_MS),
    hd(Lists()).

step(Reg, N, I) when (N + I) rem 5 =:= 0 ->
    holt_registry:unregister(Reg, {shared, N rem 7});
step(Reg, N, I) when (N + I) rem 3 =:= 0 ->
    holt_registry:update_value(Reg, {shared, N rem 7}, fun(_) -> {N, I} end);
step(Reg, N, I) ->
    holt_registry:register(Reg, {shared, N rem 7}, {N, I}).

%% Until it is what it has to be in the end.
follow(_Watch, Shadow, Shadow) ->
    Shadow;
follow(Watch, Shadow, End) ->
    [Event] = heard(Watch, 1),
    follow(Watch, change(Event, Shadow), End).

change(#{type := registered, key := K, pid := P, value := V, previous := Was}, Shadow) ->
    ?assertEqual({K, Was}, {K, maps:get(K, Shadow, undefined)}),
    Shadow#{K => {P, V}};
change(#{type := updated, key := K, pid := P, value := V, previous := {P, Was}}, Shadow) ->
    ?assertEqual({K, {P, Was}}, {K, maps:get(K, Shadow, undefined)}),
    Shadow#{K => {P, V}};
change(#{type := unregistered, key := K, pid := P, value := V}, Shadow) ->
    ?assertEqual({K, {P, V}}, {K, maps:get(K, Shadow, undefined)}),
    maps:remove(K, Shadow).

many_watch(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_met(Config, Reg, [A, B], []),
    Refs = [watch(A, Daemon, Reg, {key, N rem 16}) || N <- lists:seq(1, 256)],
    {error, {busy, _}} = ask(A, Daemon, {watch, Reg, all}),
    _ = holt_ct:call(B, fun() -> register_keys(Reg, lists:seq(0, 2000)) end),
    Keys = [Key || Ref <- Refs, #{key := Key} <- heard(Ref, 1)],
    ?assertEqual([N rem 16 || N <- lists:seq(1, 256)], Keys),
    ?assertEqual([], [Event || Ref <- Refs, Event <- rest(Ref)]),
    #{loop := Loop, watches := 256} = ask(A, Daemon, info),
    ct:pal("~p", [Loop]),
    [ok = unwatch(Ref) || Ref <- Refs],
    ?assertMatch(#{watches := 0}, ask(A, Daemon, info)),
    holt_daemon:stop(Daemon).

watches_end_with_their_process(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_met(Config, Reg, [A, B], []),
    Start = fun(Node) ->
        holt_ct:call(Node, fun() ->
            Pid = holt_ct:start(),
            {ok, _} = holt_ct:do(Pid, fun() ->
                gen_server:call({holtd, holt_test_daemon:node_of(Daemon)}, {watch, Reg, all})
            end),
            Pid
        end)
    end,
    One = Start(A),
    _ = Start(B),
    ?assertMatch(#{watches := 2}, ask(A, Daemon, info)),
    holt_ct:call(A, holt_ct, kill, [One]),
    await_watches(A, Daemon, 1),
    holt_ct:call(B, erlang, disconnect_node, [holt_test_daemon:node_of(Daemon)]),
    await_watches(A, Daemon, 0),
    holt_daemon:stop(Daemon).

%% A node whose VM stands still: the daemon keeps little for it, serves the others, and tells it
%% that it has missed something once it goes on.
a_busy_node_misses_changes(Config) ->
    {Reg, [A, B] = Nodes} = start_everywhere(Config),
    [C] = holt_ct:start_strangers(1, holt_ct_cluster:no_overlap()),
    Daemon = start_met(Config, Reg, Nodes, []),
    Other = watch(A, Daemon, Reg, {key, last}),
    Slow = watch(C, Daemon, Reg, all),
    OsPid = holt_ct:call(C, os, getpid, []),
    _ = os:cmd("kill -STOP " ++ OsPid),
    try
        Large = binary:copy(<<"0123456789abcdef">>, 4000),
        holt_ct:call(B, fun() ->
            holt_ct:do(holt_ct:start(), fun() ->
                [{ok, _} = holt_registry:register(Reg, N, Large) || N <- lists:seq(1, 600)],
                {ok, _} = holt_registry:register(Reg, last, 1)
            end)
        end),
        [#{key := last}] = heard(Other, 1),
        #{memory_bytes := Bytes} = ask(A, Daemon, info),
        ?assert(Bytes < 40000000)
    after
        _ = os:cmd("kill -CONT " ++ OsPid)
    end,
    Events = until(Slow, fun(#{type := Type}) -> Type =:= missed end),
    ?assertMatch(#{type := missed}, lists:last(Events)),
    ?assert(length(Events) < 500),
    _ = holt_ct:call(B, fun() -> holt_ct:register(Reg, more, 0, []) end),
    ?assertMatch([#{type := registered, key := more}], heard(Slow, 1)),
    holt_daemon:stop(Daemon),
    holt_ct:stop_nodes([C]).

%%--------------------------------------------------------------------
%% The command line

command_line_explains(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Name = atom_to_list(Reg),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    _ = holt_ct:call(B, fun() -> holt_ct:register(Reg, {user, 7}, "v", []) end),
    await_count(A, Daemon, Reg, 1),
    Holt = fun(Args) -> holt(Config, Daemon, Args) end,
    {0, Table} = Holt(["explain", Name, "{user,7}"]),
    [Head, Row] = string:lexemes(Table, "\n"),
    ?assertEqual(
        "actor\tmember\tbirth\tseq\tstamp\tpid\tvalue\tstandby\tearly\tvisible\twinner", Head
    ),
    ?assertMatch({match, _}, re:run(Row, "\t\"v\"\tfalse\t[a-z]+\ttrue\ttrue$")),
    {0, Json} = Holt(["explain", Name, "{user,7}", "--json"]),
    ?assertMatch({match, _}, re:run(Json, "\"member\":\\[\"" ++ Name ++ "\",\"" ++ peer_name(B))),
    ?assertMatch({match, _}, re:run(Json, "\"value\":\"\\\\\"v\\\\\"\",\"standby\":false")),
    ?assertEqual({1, ""}, Holt(["explain", Name, "{user,8}"])),
    ?assertEqual({1, "[]\n"}, Holt(["explain", Name, "{user,8}", "--json"])),
    ?assertMatch({2, _}, Holt(["explain", Name])),
    ?assertMatch({2, _}, Holt(["explain", Name, "{user"])),
    ?assertMatch({4, _}, Holt(["explain", "another", "key"])),
    holt_daemon:stop(Daemon).

%% A line for each, at once, until it is interrupted or the daemon ends.
command_line_watches(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Name = atom_to_list(Reg),
    Daemon = start_met(Config, Reg, [A, B], []),
    All = watch_port(Config, Daemon, [Name]),
    Some = watch_port(Config, Daemon, [Name, "--prefix", "r/", "--json"]),
    One = watch_port(Config, Daemon, ["--key", "{user,7}", Name]),
    await_watches(A, Daemon, 3),
    Register = fun(Key) ->
        holt_ct:call(B, fun() -> holt_ct:register(Reg, Key, "v", []) end)
    end,
    _ = Register(hall),
    ?assertMatch("registered\thall\t<" ++ _, line(All)),
    Pid = Register({user, 7}),
    ?assertMatch("registered\t{user,7}\t<" ++ _, line(All)),
    ?assertMatch({match, _}, re:run(line(One), "^registered\t.*\t\"v\"\tundefined\tuser$")),
    _ = Register(<<"r/1">>),
    ?assertMatch("registered\t<<\"r/1\">>\t<" ++ _, line(All)),
    Json = line(Some),
    ?assertMatch("{\"type\":\"registered\",\"key\":\"<<\\\"r/1\\\">>\",\"pid\":\"<" ++ _, Json),
    ?assertMatch(
        {match, _},
        re:run(Json, "\"node\":\"" ++ peer_name(B) ++ "\",.*\"previous\":null,\"reason\":\"user\"}")
    ),
    holt_ct:call(B, holt_ct, kill, [Pid]),
    ?assertMatch({match, _}, re:run(line(One), "^unregistered\t.*\tdown$")),
    ok = holt_ct:call(B, application, stop, [holt]),
    ?assertEqual(
        "{\"type\":\"member_down\",\"member\":[\"" ++ Name ++ "\",\"" ++ peer_name(B) ++
            "\"],\"count\":2}",
        line(Some)
    ),
    ?assertMatch("member_down\t{" ++ _, line(One)),
    {os_pid, OsPid} = erlang:port_info(One, os_pid),
    _ = os:cmd("kill -INT " ++ integer_to_list(OsPid)),
    ?assertEqual(128 + 2, exit_status(One)),
    await_watches(A, Daemon, 2),
    Holt = fun(Args) -> holt(Config, Daemon, Args) end,
    ?assertMatch({2, _}, Holt(["watch"])),
    ?assertMatch({2, _}, Holt(["watch", Name, "--key", "{user"])),
    ?assertMatch({2, _}, Holt(["watch", Name, "--key", "a", "--prefix", "b"])),
    ?assertMatch({4, _}, Holt(["watch", "another"])),
    ok = holt_ct:call(B, application, start, [holt]),
    ok = holt_daemon:stop(Daemon),
    [?assertEqual(3, exit_status(Port)) || Port <- [All, Some]].

watch_port(Config, Daemon, Args) ->
    open_port({spawn_executable, holt_test_daemon:program("holt")}, [
        {args, [
            "--node", atom_to_list(holt_test_daemon:node_of(Daemon)),
            "--cookie-file", proplists:get_value(cookie_file, Config),
            "watch"
            | Args
        ]},
        {line, 4096},
        exit_status,
        hide
    ]).

line(Port) ->
    receive
        {Port, {data, {eol, Line}}} -> Line;
        {Port, {exit_status, Status}} -> error({exit_status, Status})
    after ?DEADLINE_MS -> error(no_line)
    end.

exit_status(Port) ->
    receive
        {Port, {exit_status, Status}} -> Status
    after ?DEADLINE_MS -> error(still_running)
    end.

%%--------------------------------------------------------------------
%% Watches

%% All see each other: nobody is told of that any more.
start_met(Config, Reg, [A | _] = Nodes, Args) ->
    Daemon = start_daemon(Config, Args ++ ["--peer", peer_name(A)]),
    Members = members(Nodes, Reg, [Daemon]),
    holt_ct:wait_until(fun() ->
        All = ask(A, Daemon, {members, Reg, all}),
        Members =:= lists:sort([M || #{member := M, shown := true} <- All]) orelse All
    end),
    Daemon.

%% A process of that node watches, and keeps what it hears until somebody asks.
watch(Node, Daemon, Reg, What) ->
    Holtd = {holtd, holt_test_daemon:node_of(Daemon)},
    Pid = holt_ct:call(Node, fun() ->
        Self = self(),
        Pid = spawn(fun() ->
            {ok, Ref} = gen_server:call(Holtd, {watch, Reg, What}, ?DEADLINE_MS),
            Self ! {self(), watches},
            keep(Holtd, Ref, 0, [])
        end),
        receive
            {Pid, watches} -> Pid
        after ?DEADLINE_MS -> error(no_watch)
        end
    end),
    {Node, Pid}.

keep(Holtd, Ref, Seq, Events) ->
    receive
        {holt, Ref, Next, [_ | _] = More} when is_integer(Next), Next > Seq ->
            keep(Holtd, Ref, Next, Events ++ More);
        {take, From, Tag, Enough} ->
            case Enough(Events) of
                {Taken, Left} ->
                    From ! {Tag, Taken},
                    keep(Holtd, Ref, Seq, Left);
                more ->
                    self() ! {take, From, Tag, Enough},
                    receive
                        {holt, Ref, Next, More} when Next > Seq ->
                            keep(Holtd, Ref, Next, Events ++ More)
                    end
            end;
        {unwatch, From, Tag} ->
            From ! {Tag, gen_server:call(Holtd, {unwatch, Ref}, ?DEADLINE_MS)},
            keep(Holtd, Ref, Seq, Events)
    end.

request({Node, Pid}, Make) ->
    holt_ct:call(Node, fun() ->
        Tag = make_ref(),
        Pid ! Make(self(), Tag),
        receive
            {Tag, Answer} -> Answer
        after ?DEADLINE_MS -> error({nothing_heard, erlang:process_info(Pid, messages)})
        end
    end).

take(Watch, Enough) ->
    request(Watch, fun(From, Tag) -> {take, From, Tag, Enough} end).

unwatch(Watch) ->
    request(Watch, fun(From, Tag) -> {unwatch, From, Tag} end).

%% The next so many events.
heard(Watch, Count) ->
    take(Watch, fun(Events) ->
        case length(Events) >= Count of
            true -> lists:split(Count, Events);
            false -> more
        end
    end).

%% All until this one.
until(Watch, Is) ->
    take(Watch, fun(Events) ->
        case lists:splitwith(fun(Event) -> not Is(Event) end, Events) of
            {Before, [Event | Left]} -> {Before ++ [Event], Left};
            _ -> more
        end
    end).

%% Those that have come: what the daemon has been asked after them has been answered.
rest(Watch) ->
    take(Watch, fun(Events) -> {Events, []} end).

await_watches(Node, Daemon, Count) ->
    Holtd = {holtd, holt_test_daemon:node_of(Daemon)},
    holt_ct:await(Node, fun() ->
        #{watches := Watches} = gen_server:call(Holtd, info, ?DEADLINE_MS),
        Watches =:= Count orelse Watches
    end).
