%% SPDX-License-Identifier: Apache-2.0
%% @doc The conductor of the demo: starts the nodes, tells the story, checks it.
%%
%% It takes no part in the cluster, and speaks with its nodes over their standard input
%% and output: so it can cut every link between them and still ask both sides.
%%
%% ```
%%   conductor --stdio--> a ---+
%%        |                    |   Erlang distribution,
%%        +------stdio--> b ---+   found through an epmd of the demo's own
%%        |                    |
%%        +------stdio--> c ---+
%%        |                    |
%%        +---- starts    h ---+   holtd, the daemon in C: asked through a
%% '''
%%
%% The nodes connect only when they are told to (`dist_auto_connect never'), because
%% otherwise any message would mend a cut.  The daemon connects by itself: it is told of
%% a, and a tells it of the others.
-module(holt_demo).

-export([main/1]).

-define(NAMES_EACH, 1000).
-define(NAMES, (3 * ?NAMES_EACH)).

%% Nothing here takes a second, unless something is wrong.
-define(DEADLINE_MS, 10000).

-record(node, {
    peer :: pid(),
    name :: node(),
    os_pid :: string(),
    %% The first of its names; the others follow.
    first :: pos_integer()
}).

-record(daemon, {port :: port(), name :: node(), os_pid :: string()}).

%% @doc `main([WorkFolder, EbinFolder, Holtd])', as called by the script `run'.
-spec main([string()]) -> no_return().
main([Work, Ebin, Holtd]) ->
    Start = now_ms(),
    try
        story(Work, Ebin, Holtd),
        io:format("~nAll of it as it should be, in ~.1f s.~n", [(now_ms() - Start) / 1000]),
        halt(0)
    catch
        throw:{unexpected, What, Expected, Instead} ->
            io:format(
                "~nFAILED: ~ts~n  expected  ~tp~n  but got   ~tp~n", [What, Expected, Instead]
            ),
            halt(1);
        Class:Reason:Stack ->
            io:format("~nFAILED: the demo itself: ~tp~n~tp~n", [{Class, Reason}, Stack]),
            halt(1)
    end.

story(Work, Ebin, Holtd) ->
    io:format("holt: three nodes and a C-node, ~b names, cuts, a fight, a kill -9~n", [?NAMES]),
    Setup = setup(Work, Ebin, Holtd),
    {A, B, C} = start_nodes(Setup),
    register_names([A, B, C]),
    find_names([A, B, C]),
    fight(A, B, C),
    Daemon = start_daemon([A, B, C], Setup),
    kill(A, B, C),
    same_answers([A, B], Daemon),
    lose_each_other(A, B, Daemon),
    same_answers([A, B], Daemon),
    C2 = return(A, B, C, Daemon, Setup),
    Daemon2 = restart_daemon([A, B, C2], Daemon, Setup),
    stop_daemon(Daemon2),
    stop_nodes([A, B, C2]).

%%--------------------------------------------------------------------
%% 1. Three nodes

setup(Work, Ebin, Holtd) ->
    Unique = string:lowercase(integer_to_list(rand:uniform(1 bsl 40), 36)),
    Port = start_epmd(Work, 5),
    #{work => Work, ebin => Ebin, holtd => Holtd, unique => Unique, port => Port}.

start_nodes(Setup) ->
    say("Three Erlang nodes start, each with the registry 'demo'.", []),
    {Ms, [A, B, C]} = timed(fun() ->
        Places = [{"a", 1}, {"b", 1 + ?NAMES_EACH}, {"c", 1 + 2 * ?NAMES_EACH}],
        parallel(fun({Letter, First}) -> start_node(Setup, Letter, First) end, Places)
    end),
    [tell("~s, OS process ~s", [Name, Pid]) || #node{name = Name, os_pid = Pid} <- [A, B, C]],
    measured("all three up", Ms),
    {Join, _} = timed(fun() ->
        connect(A, [B, C]),
        connect(B, [C]),
        await_members([A, B, C], undefined)
    end),
    measured("connected, and each sees the other two registries", Join),
    {A, B, C}.

start_node(#{unique := Unique, port := Port, ebin := Ebin, work := Work}, Letter, First) ->
    {ok, Peer, Name} = peer:start(#{
        name => list_to_atom(Letter ++ "_" ++ Unique),
        host => "127.0.0.1",
        longnames => true,
        connection => standard_io,
        peer_down => continue,
        shutdown => close,
        wait_boot => ?DEADLINE_MS,
        env => [{"ERL_EPMD_PORT", integer_to_list(Port)}],
        args => ["-pa", Ebin, Work, "-setcookie", Unique, "-start_epmd", "false"] ++
            kernel_arguments()
    }),
    OsPid = peer:call(Peer, os, getpid, []),
    note_pid(Work, OsPid),
    ok = peer:call(Peer, holt_demo_app, start, [], ?DEADLINE_MS),
    #node{peer = Peer, name = Name, os_pid = OsPid, first = First}.

%% Loopback only, and no link but those that the story asks for: with the prevention of
%% overlapping partitions Erlang would cut more links than we do.
kernel_arguments() ->
    [
        "-kernel",
        "inet_dist_use_interface",
        "{127,0,0,1}",
        "-kernel",
        "dist_auto_connect",
        "never",
        "-kernel",
        "prevent_overlapping_partitions",
        "false",
        "-kernel",
        "logger_level",
        "error"
    ].

await_members(Nodes, Daemon) ->
    Daemons = [{demo, Name} || #daemon{name = Name} <- [Daemon]],
    Expected = lists:sort(Daemons ++ [{demo, Name} || #node{name = Name} <- Nodes]),
    await_all("the members of the registry", Nodes, holt_cluster, members, [demo], Expected).

%%--------------------------------------------------------------------
%% 2. 3,000 names

register_names(Nodes) ->
    say("~b GenServers start on each node under {via, holt_registry, {demo, {counter, N}}}.", [
        ?NAMES_EACH
    ]),
    Took = parallel(fun(Node) -> call(Node, holt_demo_node, fill, [keys(Node)]) end, Nodes),
    {Ms, _} = timed(fun() -> await_count(Nodes, ?NAMES) end),
    [
        measured([Letter, ": all started and registered"], Us / 1000)
     || {Letter, Us} <- lists:zip("abc", Took)
    ],
    measured(io_lib:format("then, until every node counts ~b names", [?NAMES]), Ms).

find_names([A | _] = Nodes) ->
    say("Every node finds all names, and calls all of them.", []),
    Expected = maps:from_list([{Name, ?NAMES_EACH} || #node{name = Name} <- Nodes]),
    Keys = keys(1, ?NAMES),
    Lookups = [call(Node, holt_demo_node, lookup_ns, [Keys]) || Node <- Nodes],
    {Ms, Answers} = timed(fun() ->
        parallel(fun(Node) -> call(Node, holt_demo_node, call_all, [Keys]) end, Nodes)
    end),
    [check("which node's processes answered", Expected, Answer) || Answer <- Answers],
    tell("a lookup takes ~.2f us", [lists:sum(Lookups) / length(Lookups) / 1000]),
    measured(io_lib:format("~b calls, two of three to another node", [3 * ?NAMES]), Ms),
    say("A name is given once: {counter, 1} belongs to a, so b may not start it.", []),
    Holder = whereis_name(A, {counter, 1}),
    Again = call(lists:nth(2, Nodes), holt_demo_app, start_counter, [{counter, 1}]),
    check("starting a second {counter, 1}", {error, {already_started, Holder}}, Again),
    tell("b is told {error, {already_started, Pid}}, and Pid is the one on ~s", [node(Holder)]).

%%--------------------------------------------------------------------
%% 3. A cut, and two of one name

fight(#node{name = AName} = A, #node{name = BName} = B, C) ->
    say("b is cut off from a and c.", []),
    {CutMs, _} = timed(fun() ->
        disconnect(B, [A, C]),
        await_count([A, C], ?NAMES - ?NAMES_EACH),
        await_count([B], ?NAMES_EACH)
    end),
    measured("a and c have forgotten b's names, b theirs; no process has died", CutMs),

    say("While they are apart, a and b both start the process named 'leader'.", []),
    {ok, APid} = call(A, holt_demo_app, start_counter, [leader, {born_on, a}]),
    await_leader([C], APid),
    await_later(B, [A, B, C]),
    {ok, BPid} = call(B, holt_demo_app, start_counter, [leader, {born_on, b}]),
    check("the leader as a sees it", APid, whereis_name(A, leader)),
    check("the leader as b sees it", BPid, whereis_name(B, leader)),
    tell("a and c find the one on a, b finds its own: there are two", []),

    say("They meet again. Every node picks the same one, the newer: b's.", []),
    Watcher = call(A, holt_demo_node, watch_exit, [APid]),
    {MeetMs, _} = timed(fun() ->
        connect(B, [A, C]),
        await_leader([A, B, C], BPid),
        await_count([A, B, C], ?NAMES + 1)
    end),
    measured(io_lib:format("one leader, ~b names on every node", [?NAMES + 1]), MeetMs),
    Reason = {shutdown, {name_conflict, {leader, {born_on, a}}, demo, BPid}},
    {ok, Exit} = call(A, holt_demo_node, watched, [Watcher]),
    check("the exit reason of the process that lost", Reason, Exit),
    tell("the process on a exits with the reason", []),
    tell("  {shutdown, {name_conflict, {leader, {born_on, a}}, demo, Pid}}", []),
    tell("where Pid is the one on ~s", [node(BPid)]),
    Lookup = call(C, holt_registry, lookup, [demo, leader]),
    check("the leader as c looks it up", [{BPid, {born_on, b}}], Lookup),
    check_owners("the counters after the cut", [A, B, C], #{
        AName => ?NAMES_EACH, BName => ?NAMES_EACH, C#node.name => ?NAMES_EACH
    }).

%% What is newer is a matter of milliseconds, and of the clock of each Erlang VM.
await_later(Node, Nodes) ->
    Clocks = [call(Each, erlang, system_time, [millisecond]) || Each <- Nodes],
    await_all("a later time", [Node], holt_demo_node, is_later, [lists:max(Clocks)], true).

await_leader(Nodes, Pid) ->
    await_all(
        "the leader", Nodes, holt_registry, whereis_name, [{demo, leader}], Pid
    ).

%%--------------------------------------------------------------------
%% 4. kill -9

kill(A, B, #node{name = CName, os_pid = OsPid} = C) ->
    say("kill -9 ~s: c is gone without a word.", [OsPid]),
    Left = ?NAMES + 1 - ?NAMES_EACH,
    Watchers = [{N, call(N, holt_demo_node, watch_down, [CName, Left])} || N <- [A, B]],
    %% The same clock for all OS processes of one machine.
    Kill = os:perf_counter(microsecond),
    [] = os:cmd("kill -KILL " ++ OsPid),
    lists:foreach(
        fun({Letter, {Node, Watcher}}) ->
            {ok, {NodeDown, Gone}} = call(Node, holt_demo_node, watched, [Watcher]),
            measured([Letter, ": nodedown, since the kill was ordered"], (NodeDown - Kill) / 1000),
            %% Whoever only looks may see it before the other process has read its clock.
            measured(
                [Letter, ": its 1,000 names gone, since nodedown"],
                max(0, Gone - NodeDown) / 1000
            ),
            Count = call(Node, holt_demo_node, count, []),
            check("the names left after the death of c", Left, Count),
            check("gone within a second", true, Gone - NodeDown < 1000000)
        end,
        lists:zip("ab", Watchers)
    ),
    peer:stop(C#node.peer),
    check_owners("the counters after the death of c", [A, B], #{
        A#node.name => ?NAMES_EACH, B#node.name => ?NAMES_EACH, undefined => ?NAMES_EACH
    }),
    tell("the other ~b names are where they were", [Left]).

%%--------------------------------------------------------------------
%% 5. A cut that is none

lose_each_other(_A, _B, undefined) ->
    ok;
lose_each_other(A, #node{name = BName} = B, #daemon{name = Daemon}) ->
    say("a and b lose each other. The C-node, which reaches both, says so.", []),
    Watcher = call(A, holt_demo_node, watch_names, [keys(B)]),
    {CutMs, _} = timed(fun() ->
        disconnect(A, [B]),
        await_contact([A], BName, {vouched, {demo, Daemon}})
    end),
    measured("cut a from b: all 1,000 names of b still found on a,", CutMs),
    tell("  vouched for by ~s", [Daemon]),
    {NewMs, _} = timed(fun() ->
        {ok, Pid} = call(B, holt_demo_app, start_counter, [during_the_cut]),
        await_all("a new name", [A], holt_registry, whereis_name, [{demo, during_the_cut}], Pid)
    end),
    measured("a name that b gives meanwhile is found on a, passed on by the C-node", NewMs),
    {HealMs, _} = timed(fun() ->
        connect(A, [B]),
        await_contact([A], BName, {direct, undefined})
    end),
    {ok, {Lookups, Missed}} = call(A, holt_demo_node, watched_names, [Watcher]),
    check("names of b that were missing on a", 0, Missed),
    measured(
        io_lib:format("healed; of ~b lookups of b's names on a none has failed", [Lookups]), HealMs
    ),
    ok = call(B, holt_registry, unregister, [demo, during_the_cut]),
    await_all("the name is free", [A], holt_registry, whereis_name, [{demo, during_the_cut}],
        undefined).

await_contact(Nodes, Of, Expected) ->
    await_all("how it knows of b", Nodes, holt_demo_node, contact, [Of], Expected).

%%--------------------------------------------------------------------
%% 6. The one that was killed comes back

return(A, B, C, Daemon, Setup) ->
    say("c starts again under its own name.", []),
    {Ms, C2} = timed(fun() -> start_node(Setup, "c", C#node.first) end),
    check("the name of the node that came back", C#node.name, C2#node.name),
    check("whether it is the same OS process", false, C#node.os_pid =:= C2#node.os_pid),
    measured("up", Ms),
    Nodes = [A, B, C2],
    {Join, _} = timed(fun() ->
        connect(C2, [A, B]),
        await_members(Nodes, Daemon),
        await_count(Nodes, ?NAMES + 1 - ?NAMES_EACH)
    end),
    measured("connected; it sees the others' names, and nobody sees its old ones", Join),
    check_owners("the counters before c registers anew", Nodes, #{
        A#node.name => ?NAMES_EACH, B#node.name => ?NAMES_EACH, undefined => ?NAMES_EACH
    }),
    {Fill, _} = timed(fun() ->
        _ = call(C2, holt_demo_node, fill, [keys(C2)]),
        await_count(Nodes, ?NAMES + 1)
    end),
    measured("its 1,000 processes started, registered and seen by all", Fill),
    Answers = [call(Node, holt_demo_node, call_all, [keys(C2)]) || Node <- Nodes],
    [check("who answers for c", #{C2#node.name => ?NAMES_EACH}, Each) || Each <- Answers],
    tell("each of them answers, called from every node: no ghosts", []),
    C2.

%%--------------------------------------------------------------------
%% The C-node

start_daemon(Nodes, #{holtd := Holtd} = Setup) ->
    case filelib:is_regular(Holtd) of
        true ->
            say("A fourth member: holtd, a node in C, is told of a and finds the others.", []),
            {Ms, Daemon} = timed(fun() -> run_daemon(Nodes, Setup) end),
            tell("~s, OS process ~s", [Daemon#daemon.name, Daemon#daemon.os_pid]),
            measured("started, connected to all three, a member for each of them", Ms),
            same_answers(Nodes, Daemon),
            Daemon;
        false ->
            say("The C-node is not built (make node): it is left out.", []),
            undefined
    end.

run_daemon([A | _] = Nodes, #{holtd := Holtd, work := Work, unique := Unique, port := Port}) ->
    Cookie = filename:join(Work, "cookie"),
    ok = file:write_file(Cookie, [Unique, $\n]),
    ok = file:change_mode(Cookie, 8#600),
    Name = "h_" ++ Unique ++ "@127.0.0.1",
    Log = filename:join(Work, "holtd.log"),
    %% Its log is not part of the story.
    Program = open_port({spawn_executable, "/bin/sh"}, [
        {args, [
            "-c", "log=$1; shift; exec \"$@\" 2>>\"$log\"", "sh", Log,
            Holtd, "--name", Name, "--cookie-file", Cookie, "--listen", "127.0.0.1",
            "--instance", "demo", "--peer", atom_to_list(A#node.name)
        ]},
        {env, [{"ERL_EPMD_PORT", integer_to_list(Port)}]},
        exit_status
    ]),
    {os_pid, OsPid} = erlang:port_info(Program, os_pid),
    note_pid(Work, integer_to_list(OsPid)),
    Daemon = #daemon{
        port = Program, name = list_to_atom(Name), os_pid = integer_to_list(OsPid)
    },
    await_members(Nodes, Daemon),
    await_daemon(A, Daemon),
    Daemon.

%% Until it has as many names as a.
await_daemon(A, #daemon{name = Name}) ->
    Count = call(A, holt_demo_node, count, []),
    await_all("the names of the C-node", [A], holt_demo_node, daemon_count, [Name], Count).

%% It is asked by gen_server:call({holtd, Node}, {whereis, demo, Key}).
same_answers(_Nodes, undefined) ->
    ok;
same_answers([A | _] = Nodes, #daemon{name = Name} = Daemon) ->
    Keys = [leader | keys(1, ?NAMES)],
    await_daemon(A, Daemon),
    {Ms, Answers} = timed(fun() -> call(A, holt_demo_node, daemon_answers, [Name, Keys]) end),
    [
        check(on("who has which name", Node), call(Each, holt_demo_node, answers, [Keys]), Answers)
     || #node{name = Node} = Each <- Nodes
    ],
    measured(
        io_lib:format("the C-node, asked for ~b names, answers as every node does", [length(Keys)]),
        Ms
    ).

restart_daemon(_Nodes, undefined, _Setup) ->
    undefined;
restart_daemon([A | _] = Nodes, #daemon{os_pid = OsPid} = Daemon, Setup) ->
    say("kill -9 ~s: the C-node is gone, and nobody misses a name.", [OsPid]),
    end_daemon("KILL", Daemon),
    await_members(Nodes, undefined),
    check("the names without the C-node", ?NAMES + 1, call(A, holt_demo_node, count, [])),
    say("Meanwhile a starts 500 more; the C-node starts again, and catches up.", []),
    _ = call(A, holt_demo_node, fill, [keys(?NAMES + 1, 500)]),
    {Ms, Daemon2} = timed(fun() -> run_daemon(Nodes, Setup) end),
    measured(io_lib:format("started, a member for all, with ~b names", [?NAMES + 501]), Ms),
    same_answers(Nodes, Daemon2),
    Daemon2.

stop_daemon(undefined) ->
    ok;
stop_daemon(Daemon) ->
    check("the exit code of the C-node", 0, end_daemon("TERM", Daemon)).

end_daemon(Signal, #daemon{port = Port, os_pid = OsPid}) ->
    [] = os:cmd("kill -" ++ Signal ++ " " ++ OsPid),
    receive
        {Port, {exit_status, Status}} -> Status
    after ?DEADLINE_MS -> unexpected("the end of the C-node", exited, running)
    end.

stop_nodes(Nodes) ->
    lists:foreach(fun(#node{peer = Peer}) -> peer:stop(Peer) end, Nodes).

%%--------------------------------------------------------------------
%% Nodes

call(#node{peer = Peer}, M, F, A) ->
    peer:call(Peer, M, F, A, 3 * ?DEADLINE_MS).

whereis_name(Node, Key) ->
    call(Node, holt_registry, whereis_name, [{demo, Key}]).

keys(#node{first = First}) ->
    keys(First, ?NAMES_EACH).

keys(First, Count) ->
    [{counter, N} || N <- lists:seq(First, First + Count - 1)].

connect(From, Nodes) ->
    lists:foreach(
        fun(#node{name = Name}) ->
            check("connecting", true, call(From, net_kernel, connect_node, [Name]))
        end,
        Nodes
    ).

disconnect(From, Nodes) ->
    lists:foreach(
        fun(#node{name = Name}) ->
            check("disconnecting", true, call(From, erlang, disconnect_node, [Name]))
        end,
        Nodes
    ).

await_count(Nodes, Count) ->
    await_all("the number of names", Nodes, holt_demo_node, count, [], Count).

await_all(What, Nodes, M, F, A, Expected) ->
    lists:foreach(
        fun(#node{name = Name} = Node) ->
            case call(Node, holt_demo_node, await, [M, F, A, Expected, ?DEADLINE_MS]) of
                ok -> ok;
                {instead, Other} -> unexpected(on(What, Name), Expected, Other)
            end
        end,
        Nodes
    ).

check_owners(What, Nodes, Expected) ->
    lists:foreach(
        fun(#node{name = Name} = Node) ->
            Owners = call(Node, holt_demo_node, owners, [keys(1, ?NAMES)]),
            check(on(What, Name), Expected, Owners)
        end,
        Nodes
    ).

on(What, Name) ->
    io_lib:format("~s, on ~s", [What, Name]).

%% An epmd of our own, so that nobody else's is touched, and none is left behind.
start_epmd(_Work, 0) ->
    unexpected("starting epmd on a free port", started, nothing);
start_epmd(Work, Tries) ->
    {ok, Socket} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Number} = inet:port(Socket),
    ok = gen_tcp:close(Socket),
    Port = open_port({spawn_executable, os:find_executable("epmd")}, [
        {args, ["-address", "127.0.0.1", "-port", integer_to_list(Number)]},
        exit_status
    ]),
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    note_pid(Work, integer_to_list(OsPid)),
    case await_epmd(Port, Number, now_ms() + ?DEADLINE_MS) of
        ok -> Number;
        error -> start_epmd(Work, Tries - 1)
    end.

await_epmd(Port, Number, Deadline) ->
    case gen_tcp:connect({127, 0, 0, 1}, Number, [binary, {active, false}], ?DEADLINE_MS) of
        {ok, Socket} ->
            %% It is asked for names, because it complains about callers who say nothing.
            ok = gen_tcp:send(Socket, <<1:16, $n>>),
            {ok, <<Number:32, _/binary>>} = gen_tcp:recv(Socket, 0, ?DEADLINE_MS),
            gen_tcp:close(Socket);
        {error, _} ->
            receive
                {Port, {exit_status, _}} -> error
            after 5 ->
                case now_ms() > Deadline of
                    true -> error;
                    false -> await_epmd(Port, Number, Deadline)
                end
            end
    end.

%% The script ends what is listed here, whatever happens to us.
note_pid(Work, OsPid) ->
    ok = file:write_file(filename:join(Work, "pids"), [OsPid, $\n], [append]).

%%--------------------------------------------------------------------
%% Telling and checking

say(Format, Arguments) ->
    io:format("~n" ++ Format ++ "~n", Arguments).

tell(Format, Arguments) ->
    io:format("    " ++ Format ++ "~n", Arguments).

measured(What, Ms) ->
    io:format("    ~-68ts ~9.2f ms~n", [What, Ms * 1.0]).

check(_What, Expected, Expected) ->
    ok;
check(What, Expected, Instead) ->
    unexpected(What, Expected, Instead).

unexpected(What, Expected, Instead) ->
    throw({unexpected, What, Expected, Instead}).

timed(Fun) ->
    Start = erlang:monotonic_time(microsecond),
    Result = Fun(),
    {(erlang:monotonic_time(microsecond) - Start) / 1000, Result}.

now_ms() ->
    erlang:monotonic_time(millisecond).

%% Like lists:map/2, all at once; what one of them throws or raises is raised here.
parallel(Fun, List) ->
    Workers = [
        spawn_monitor(fun() ->
            exit(
                try
                    {ok, Fun(Element)}
                catch
                    Class:Reason:Stack -> {Class, Reason, Stack}
                end
            )
        end)
     || Element <- List
    ],
    [
        receive
            {'DOWN', Monitor, process, Pid, {ok, Result}} -> Result;
            {'DOWN', Monitor, process, Pid, {Class, Why, Stack}} -> erlang:raise(Class, Why, Stack)
        end
     || {Pid, Monitor} <- Workers
    ].
