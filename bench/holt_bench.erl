%% SPDX-License-Identifier: Apache-2.0
%% @doc The conductor of the benchmarks: rounds, ratios, and one table.
%%
%% In each round every contender is measured once, in an order that rotates, and the
%% ratio is taken within the round: what else the machine does disturbs both sides of
%% it.  A row shows medians, and the least and the greatest of the ratios.
-module(holt_bench).

-export([main/1]).

%% Of ratios below this the inverse is easier to read.
-define(RATIO_TINY, 0.01).

-define(REMOTE_NAMES, 10000).
-define(REGISTER_NAMES, 24000).
-define(BULK_NAMES, 100000).
-define(SAMPLES, 300).
-define(CNODE_CALLS, 5000).
-define(FEW_NAMES, 10).
-define(CUT_MS, 3000).

%% Nodes that are linked as they are told to, and not otherwise.
-define(APART, ["-connect_all", "false", "-kernel", "dist_auto_connect", "never"]).

%% @doc `main([WorkFolder, EbinFolder, Commit, Rounds | Sections])'.
-spec main([string()]) -> no_return().
main([Work, Ebin, Commit, Rounds | Sections]) ->
    try
        Start = erlang:monotonic_time(second),
        machine(Commit, Rounds),
        Setup = bench_nodes:setup(Work, Ebin),
        [section(list_to_atom(Section), Setup, list_to_integer(Rounds)) || Section <- Sections],
        io:format("~n~b s~n", [erlang:monotonic_time(second) - Start]),
        halt(0)
    catch
        Class:Reason:Stack ->
            io:format("~nbench: ~tp~n~tp~n", [{Class, Reason}, Stack]),
            halt(1)
    end.

machine(Commit, Rounds) ->
    {{Year, Month, Day}, {Hour, Minute, _}} = calendar:universal_time(),
    io:format("~b-~2..0b-~2..0b ~2..0b:~2..0b UTC, commit ~s, ~s rounds~n", [
        Year, Month, Day, Hour, Minute, Commit, Rounds
    ]),
    io:format("~s, ~b processors, load ~s; OTP ~s, erts ~s, ~s~n", [
        processor(),
        erlang:system_info(logical_processors),
        load(),
        erlang:system_info(otp_release),
        erlang:system_info(version),
        erlang:system_info(emu_flavor)
    ]),
    io:format("ratio = holt / the other, within a round; below 1: holt takes less~n").

processor() ->
    case file:read_file("/proc/cpuinfo") of
        {ok, Text} ->
            case re:run(Text, "model name\\s*:\\s*(.*)", [{capture, [1], list}]) of
                {match, [Model]} -> string:trim(Model);
                nomatch -> erlang:system_info(system_architecture)
            end;
        {error, _} ->
            erlang:system_info(system_architecture)
    end.

load() ->
    case file:read_file("/proc/loadavg") of
        {ok, Text} -> hd(string:split(Text, " "));
        {error, _} -> "unknown"
    end.

%%--------------------------------------------------------------------
%% Sections

section(lookup, Setup, Rounds) ->
    title("lookup", "one local pid per name"),
    A = bench_nodes:start(Setup, "a"),
    [
        lookups(A, Shape, Names, 1, Rounds)
     || Shape <- [tuple, binary], Names <- [1000, 100000]
    ],
    lookups(A, tuple, 100000, 8, Rounds),
    B = bench_nodes:start(Setup, "b"),
    bench_nodes:connect(A, B),
    remote_lookups(A, B, Rounds),
    stop([A, B]);
section(register, Setup, Rounds) ->
    title("register, unregister", "a new process for each name, no other node"),
    A = bench_nodes:start(Setup, "a"),
    [registers(A, Callers, Rounds) || Callers <- [1, 8]],
    stop([A]);
section(visible, Setup, Rounds) ->
    title("visible on a second node", "from the call there until seen here"),
    with_two(Setup, fun(A, B) -> visible(A, B, Rounds) end);
section(bulk, Setup, Rounds) ->
    title("100,000 names, two nodes", "registered on A by one caller, then seen on B"),
    with_two(Setup, fun(A, B) -> bulk(A, B, Rounds) end);
section(cnode, Setup, Rounds) ->
    case bench_cnode:is_built(Setup) of
        true -> cnode(Setup, Rounds);
        false -> io:format("~ncnode: the daemon is not built (make node)~n")
    end;
section(presence, Setup, Rounds) ->
    title("presence, three nodes", "from nodedown until its names are gone on the others"),
    presence(Setup, Rounds);
section(registry, Setup, Rounds) ->
    case os:getenv("ELIXIR_EBIN", "") of
        "" ->
            io:format("~nregistry: there is no elixir to compare with~n");
        Elixir ->
            title("the registry", "beside Elixir's Registry, 100,000 names, a process for each"),
            reading(Setup, Elixir, Rounds)
    end,
    title("subscribers", "10,000 names registered on A by one caller, subscribers on B"),
    with_two(Setup, fun(A, B) -> subscribers(A, B, Rounds) end);
section(death, Setup, Rounds) ->
    title("kill -9 of a node", "from nodedown until its names are gone"),
    [deaths(Setup, Names, Rounds) || Names <- [10000, 100000]].

with_two(Setup, Fun) ->
    A = bench_nodes:start(Setup, "a"),
    B = bench_nodes:start(Setup, "b"),
    bench_nodes:connect(A, B),
    Fun(A, B),
    stop([A, B]).

stop(Nodes) ->
    lists:foreach(fun bench_nodes:stop/1, Nodes).

%%--------------------------------------------------------------------
%% Lookup

lookups(A, Shape, Names, Readers, Rounds) ->
    ok = bench_nodes:call(A, bench_lookup, prepare, [Shape, Names]),
    Case = io_lib:format("~s, ~s~s", [Shape, thousands(Names), readers(Readers)]),
    Local = [
        {"ets, is it alive?", ets_alive},
        {"pg:get_local_members", pg_local},
        {"pg:get_members", pg_all}
    ],
    lookup_rows(A, Case, Readers, Names, Local, Rounds),
    ok = bench_nodes:call(A, bench_lookup, clear, []).

remote_lookups(A, B, Rounds) ->
    Keys = bench_names:keys(tuple, ?REMOTE_NAMES),
    ok = bench_nodes:call(B, bench_names, own, [?REMOTE_NAMES]),
    [ok = bench_nodes:call(B, bench_names, fill, [Contender, Keys]) || Contender <- [holt, pg]],
    ok = bench_nodes:call(A, bench_lookup, adopt, [tuple, ?REMOTE_NAMES]),
    Case = io_lib:format("tuple, ~s, remote pid", [thousands(?REMOTE_NAMES)]),
    lookup_rows(A, Case, 1, ?REMOTE_NAMES, [{"pg:get_members", pg_all}], Rounds).

lookup_rows(A, Case, Readers, Names, Others, Rounds) ->
    Loops = [empty, whereis, lookup, ets_element, ets_lookup] ++ [Loop || {_, Loop} <- Others],
    Raw = rounds(Rounds, Loops, fun(Loop) ->
        bench_nodes:call(A, bench_lookup, run, [Loop, Readers, Names])
    end),
    %% Nothing is measured as less than a nanosecond.
    Net = [
        maps:map(fun(_, Ns) -> max(1.0, Ns - maps:get(empty, Round)) end, Round)
     || Round <- Raw
    ],
    row([Case, ": whereis_name"], whereis, "ets:lookup_element", ets_element, ns, Net),
    [row([Case, ": whereis_name"], whereis, Call, Loop, ns, Net) || {Call, Loop} <- Others],
    row([Case, ": lookup, small value"], lookup, "ets:lookup", ets_lookup, ns, Net).

readers(1) -> "";
readers(N) -> io_lib:format(", ~b readers", [N]).

%%--------------------------------------------------------------------
%% Register

registers(A, Callers, Rounds) ->
    Pairs = rounds(Rounds, [holt, pg, ets], fun(Contender) ->
        bench_nodes:call(A, bench_register, run, [Contender, Callers, ?REGISTER_NAMES])
    end),
    Add = [maps:map(fun(_, {Ns, _}) -> Ns end, Round) || Round <- Pairs],
    Remove = [maps:map(fun(_, {_, Ns}) -> Ns end, Round) || Round <- Pairs],
    Case = callers(Callers),
    row(["register, ", Case], holt, "pg:join", pg, ns, Add),
    row(["register, ", Case], holt, "ets:insert", ets, ns, Add),
    row(["unregister, ", Case], holt, "pg:leave", pg, ns, Remove),
    row(["unregister, ", Case], holt, "ets:delete", ets, ns, Remove).

callers(1) -> "1 caller";
callers(N) -> io_lib:format("~b callers", [N]).

%%--------------------------------------------------------------------
%% The functions of the registry

reading(Setup, Elixir, Rounds) ->
    A = bench_nodes:start(Setup, "a", ["-pa", Elixir]),
    ok = bench_nodes:call(A, bench_registry, prepare, [?BULK_NAMES]),
    lists:foreach(
        fun({What, Call, Beside, Unit}) ->
            Times = rounds(Rounds, [holt, elixir], fun(Contender) ->
                bench_nodes:call(A, bench_registry, run, [Call, Contender])
            end),
            row(What, holt, Beside, elixir, Unit, Times)
        end,
        [
            {"match, one key, a guard", match, "match", ns},
            {"count_match, one key, a guard", count_match, "count_match", ns},
            {"dispatch, one entry", dispatch, "dispatch", ns},
            {"dispatch, 1,000 entries", dispatch_all, "dispatch", us},
            {"select, the pids", select_pids, "select", ms},
            {"select, key, pid and value", select_all, "select", ms},
            {"select, 100 by their value", select_few, "select", ms},
            {"count_select, 100 by their value", count_select_few, "count_select", ms},
            {"prefix, 1,000 of them", prefix, "select, by order", ms},
            {"count/1", count, "count", ns},
            {"count/2, of a node", count_node, "count_select", us}
        ]
    ),
    stop([A]).

%% What those who watch other names on B cost, and one who watches these.
subscribers(A, B, Rounds) ->
    Keys = bench_names:keys(binary, ?REMOTE_NAMES),
    Cases = [none, keys, prefixes, one],
    All = rounds(Rounds, Cases, fun(Case) -> subscribers_once(A, B, Case, Keys) end),
    Part = fun(Key) -> [maps:map(fun(_, Use) -> maps:get(Key, Use) end, Round) || Round <- All] end,
    [
        row([Watchers, What], Case, "nobody", none, Unit, Part(Key))
     || {Watchers, Case} <- [
            {"10k keys: ", keys}, {"10k prefixes: ", prefixes}, {"one of all these: ", one}
        ],
        {What, Key, Unit} <- [
            {"register on A, per name", calls, ns},
            {"until all are seen on B", time, ms},
            {"processor time on B", cpu, ms}
        ]
    ].

subscribers_once(A, B, Case, Keys) ->
    Names = tuple_size(Keys),
    ok = bench_nodes:call(A, bench_names, own, [Names]),
    ok = bench_nodes:call(B, bench_registry, subscribe, [Case, Names]),
    Self = self(),
    Last = {holt, element(Names, Keys)},
    Cpu = bench_nodes:call(B, bench_registry, own_cpu_ms, []),
    Looker = spawn_link(fun() ->
        Self ! {self(), bench_nodes:call(B, bench_cluster, looked, [Last])}
    end),
    {Start, Filled} = bench_nodes:call(A, bench_cluster, fill, [holt, Keys]),
    End =
        receive
            {Looker, Time} -> Time
        end,
    ok = bench_nodes:call(B, bench_names, await, [holt, Names]),
    CpuEnd = bench_nodes:call(B, bench_registry, own_cpu_ms, []),
    ok = bench_nodes:call(B, bench_registry, unsubscribe, []),
    ok = bench_nodes:call(A, bench_names, disown, []),
    ok = bench_nodes:call(B, bench_names, await, [holt, 0]),
    #{calls => (Filled - Start) / Names, time => End - Start, cpu => (CpuEnd - Cpu) * 1000000}.

%%--------------------------------------------------------------------
%% Two nodes

visible(A, B, Rounds) ->
    Rounds1 = rounds(Rounds, [holt, pg, message], fun(Contender) ->
        lists:sort(
            bench_nodes:call(A, bench_cluster, visible, [
                Contender, bench_nodes:name(B), ?SAMPLES
            ])
        )
    end),
    lists:foreach(
        fun({Name, Percent}) ->
            Part = [
                maps:map(fun(_, Times) -> percentile(Percent, Times) end, Round)
             || Round <- Rounds1
            ],
            row(["visible on B, ", Name], holt, "a bare message", message, us, Part),
            row(["visible on B, ", Name], holt, "pg", pg, us, Part)
        end,
        [{"p50", 50}, {"p99", 99}]
    ).

bulk(A, B, Rounds) ->
    Keys = bench_names:keys(tuple, ?BULK_NAMES),
    All = rounds(Rounds, [holt, pg], fun(Contender) -> bulk_once(A, B, Contender, Keys) end),
    Part = fun(Key) -> [maps:map(fun(_, Use) -> maps:get(Key, Use) end, Round) || Round <- All] end,
    row("register on A, per name", holt, "pg:join", pg, ns, Part(calls)),
    row("until all are seen on B", holt, "pg", pg, ms, Part(time)),
    row("processor time on A", holt, "pg", pg, ms, Part(cpu_a)),
    row("processor time on B", holt, "pg", pg, ms, Part(cpu_b)),
    row("sent by A, per name", holt, "pg", pg, bytes, Part(sent)),
    row("packets sent by A, 100,000 names", holt, "pg", pg, count, Part(packets)),
    row("memory on A, per name", holt, "pg", pg, bytes, Part(memory_a)),
    row("memory on B, per name", holt, "pg", pg, bytes, Part(memory_b)),
    [{_, NativeA}, {_, NativeB}] = [
        {Key, median([maps:get(holt, Round) || Round <- Part(Key)])}
     || Key <- [native_a, native_b]
    ],
    io:format("  of the memory, allocated by holt's C itself: ~b on A, ~b on B~n", [
        round(NativeA), round(NativeB)
    ]).

bulk_once(A, B, Contender, Keys) ->
    [NodeA, NodeB] = [bench_nodes:name(Node) || Node <- [A, B]],
    ok = bench_nodes:call(A, bench_names, own, [?BULK_NAMES]),
    BeforeA = bench_nodes:call(A, bench_cluster, use, [NodeB]),
    BeforeB = bench_nodes:call(B, bench_cluster, use, [NodeA]),
    Last = {Contender, element(?BULK_NAMES, Keys)},
    Self = self(),
    Looker = spawn_link(fun() ->
        Self ! {self(), bench_nodes:call(B, bench_cluster, looked, [Last])}
    end),
    {Start, Filled} = bench_nodes:call(A, bench_cluster, fill, [Contender, Keys]),
    End =
        receive
            {Looker, Time} -> Time
        end,
    ok = bench_nodes:call(B, bench_names, await, [Contender, ?BULK_NAMES]),
    UsedA = bench_nodes:call(A, bench_cluster, used, [NodeB, BeforeA]),
    UsedB = bench_nodes:call(B, bench_cluster, used, [NodeA, BeforeB]),
    ok = bench_nodes:call(A, bench_names, disown, []),
    [ok = bench_nodes:call(B, bench_names, await, [Each, 0]) || Each <- [holt, pg]],
    #{
        calls => (Filled - Start) / ?BULK_NAMES,
        time => End - Start,
        cpu_a => maps:get(cpu_ms, UsedA) * 1000000,
        cpu_b => maps:get(cpu_ms, UsedB) * 1000000,
        sent => maps:get(bytes, UsedA) / ?BULK_NAMES,
        packets => maps:get(packets, UsedA),
        memory_a => maps:get(memory, UsedA) / ?BULK_NAMES,
        memory_b => maps:get(memory, UsedB) / ?BULK_NAMES,
        native_a => maps:get(native, UsedA) / ?BULK_NAMES,
        native_b => maps:get(native, UsedB) / ?BULK_NAMES
    }.

%%--------------------------------------------------------------------
%% The C-node

%% All of it beside a node of Erlang that holds the same names.
cnode(Setup, Rounds) ->
    title("the C-node", "a daemon beside a node of Erlang, as a third node sees them"),
    A = bench_nodes:start(Setup, "a"),
    Keys = bench_names:keys(tuple, ?BULK_NAMES),
    ok = bench_nodes:call(A, bench_names, own, [?BULK_NAMES]),
    All = rounds(Rounds, [holtd, beam], fun(Which) -> cnode_once(Setup, A, Which, Keys) end),
    Part = fun(Key) -> [maps:map(fun(_, Use) -> maps:get(Key, Use) end, Round) || Round <- All] end,
    Rows = [
        {"from its start until it is a member", start, ms},
        {"until it has 100,000 new names", filled, ms},
        {"... processor time", cpu, ms},
        {"... resident memory, per name", memory, bytes},
        {"started again, until it has all of them", again, ms},
        {"gen_server:call for one of 100k names", call, us}
    ],
    [row(What, holtd, "an Erlang node", beam, Unit, Part(Key)) || {What, Key, Unit} <- Rows],
    row("a program that asks for one name", holtd, "erl_call", beam, ms, Part(command)),
    stop([A]).

cnode_once(Setup, A, Contender, Keys) ->
    {Start, Node} = cnode_start(Setup, A, Contender),
    {OsPid, Target} = cnode_target(Node),
    {Cpu, Memory} = bench_cnode:os_use(OsPid),
    {Begin, _} = bench_nodes:call(A, bench_cluster, fill, [holt, Keys]),
    End = bench_nodes:call(A, bench_cnode, await_count, [Target, ?BULK_NAMES]),
    {CpuUsed, MemoryUsed} = bench_cnode:os_use(OsPid),
    Call = bench_nodes:call(A, bench_cnode, ask, [Target, Keys, ?CNODE_CALLS]),
    Command = lists:sort([
        bench_cnode:command(Setup, cnode_command(Contender), element(2, Target))
     || _ <- lists:seq(1, 11)
    ]),
    ok = cnode_stop(Node),
    AgainFrom = bench_names:now_ns(),
    {_, Again} = cnode_start(Setup, A, Contender),
    {_, AgainTarget} = cnode_target(Again),
    AgainTo = bench_nodes:call(A, bench_cnode, await_count, [AgainTarget, ?BULK_NAMES]),
    ok = bench_nodes:call(A, bench_names, disown, []),
    _ = bench_nodes:call(A, bench_cnode, await_count, [AgainTarget, 0]),
    ok = cnode_stop(Again),
    ok = bench_nodes:call(A, bench_names, own, [?BULK_NAMES]),
    #{
        start => Start,
        filled => End - Begin,
        cpu => CpuUsed - Cpu,
        memory => (MemoryUsed - Memory) / ?BULK_NAMES,
        again => AgainTo - AgainFrom,
        call => Call,
        command => median(Command)
    }.

cnode_start(Setup, A, Contender) ->
    Start = bench_names:now_ns(),
    Node =
        case Contender of
            holtd ->
                bench_cnode:start_daemon(Setup, bench_nodes:name(A));
            beam ->
                B = bench_nodes:start(Setup, "b"),
                ok = bench_nodes:call(B, bench_cnode, serve, []),
                true = bench_nodes:call(B, net_kernel, connect_node, [bench_nodes:name(A)]),
                B
        end,
    {_, {_, Name}} = cnode_target(Node),
    Members = lists:sort([bench_nodes:name(A), Name]),
    ok = bench_nodes:call(A, bench_names, await, [bench_names_members, Members]),
    {bench_names:now_ns() - Start, Node}.

cnode_target({_Daemon, Name, OsPid}) -> {OsPid, {holtd, Name}};
cnode_target(Node) -> {bench_nodes:os_pid(Node), {bench_cnode, bench_nodes:name(Node)}}.

cnode_stop({Daemon, _, _}) -> bench_cnode:stop_daemon(Daemon);
cnode_stop(Node) -> bench_nodes:stop(Node).

cnode_command(holtd) -> holt;
cnode_command(beam) -> erl_call.

%%--------------------------------------------------------------------
%% A node dies

deaths(Setup, Names, Rounds) ->
    Keys = bench_names:keys(tuple, Names),
    A = bench_nodes:start(Setup, "a"),
    Times = rounds(Rounds, [holt, pg], fun(Contender) -> death(Setup, A, Contender, Keys) end),
    row([thousands(Names), " names"], holt, "pg", pg, us, Times),
    stop([A]).

death(Setup, A, Contender, Keys) ->
    B = bench_nodes:start(Setup, "b"),
    bench_nodes:connect(A, B),
    ok = bench_nodes:call(B, bench_names, own, [tuple_size(Keys)]),
    ok = bench_nodes:call(B, bench_names, fill, [Contender, Keys]),
    ok = bench_nodes:call(A, bench_names, await, [Contender, tuple_size(Keys)]),
    Watcher = bench_nodes:call(A, bench_cluster, watch_down, [Contender, bench_nodes:name(B)]),
    ok = bench_nodes:kill(B),
    Ns = bench_nodes:call(A, bench_cluster, watched, [Watcher]),
    undefined = bench_nodes:call(A, bench_names, find, [Contender, element(1, Keys)]),
    Ns.

%%--------------------------------------------------------------------
%% Who is there

%% Whether a node is gone or only cut off is for the others to say.
presence(Setup, Rounds) ->
    [A, B] = [bench_nodes:start(Setup, Letter, ?APART) || Letter <- ["a", "b"]],
    All = rounds(Rounds, [?BULK_NAMES, ?FEW_NAMES, trip], fun
        (trip) ->
            Trip = [bench_nodes:name(B)],
            presence_death(Setup, A, B, ?FEW_NAMES, {watch_trip, Trip});
        (Names) ->
            presence_death(Setup, A, B, Names, {watch_gone, [holt]})
    end),
    Part = fun(Key) ->
        [maps:map(fun(_, Use) -> maps:get(Key, Use) end, Round) || Round <- All]
    end,
    [
        begin
            row([What, ", 100k names"], ?BULK_NAMES, "10 names", ?FEW_NAMES, us, Part(Key)),
            row([What, ", 10 names"], ?FEW_NAMES, "a message and back", trip, us, Part(Key))
        end
     || {What, Key} <- [{"from nodedown here", told}, {"from both nodedowns", both}]
    ],
    Cuts = [presence_cut(Setup, A, B, bench_names:keys(tuple, ?BULK_NAMES)) || _ <- [1, 2, 3]],
    io:format("  cut off from ~b names for ~b s, ~b times: never less than ~b, in ~b looks~n", [
        ?BULK_NAMES,
        ?CUT_MS div 1000,
        length(Cuts),
        lists:min([Least || {Least, _} <- Cuts]),
        lists:sum([Looks || {_, Looks} <- Cuts])
    ]),
    stop([A, B]).

%% Until A shows no name of the node that has died, or has heard from B: from when A has
%% been told, and from when B has, too.  B does not look, to leave A the processors.
presence_death(Setup, A, B, Names, {Watch, Args}) ->
    C = presence_start(Setup, A, B, bench_names:keys(tuple, Names)),
    Name = bench_nodes:name(C),
    Watcher = bench_nodes:call(A, bench_cluster, Watch, [Name | Args]),
    Other = bench_nodes:call(B, bench_cluster, watch_told, [Name]),
    ok = bench_nodes:kill(C),
    {Down, Gone} = bench_nodes:call(A, bench_cluster, watched, [Watcher]),
    OtherDown = bench_nodes:call(B, bench_cluster, watched, [Other]),
    ok = bench_nodes:call(B, bench_names, await, [holt, 0]),
    #{told => Gone - Down, both => Gone - max(Down, OtherDown)}.

%% A and C lose each other; B has both.
presence_cut(Setup, A, B, Keys) ->
    C = presence_start(Setup, A, B, Keys),
    Watch = [holt, bench_nodes:name(C), tuple_size(Keys), ?CUT_MS],
    Watcher = bench_nodes:call(A, bench_cluster, watch_cut, Watch),
    ok = bench_nodes:disconnect(A, C),
    Seen = bench_nodes:call(A, bench_cluster, watched, [Watcher]),
    ok = bench_nodes:kill(C),
    [ok = bench_nodes:call(Node, bench_names, await, [holt, 0]) || Node <- [A, B]],
    Seen.

presence_start(Setup, A, B, Keys) ->
    C = bench_nodes:start(Setup, "c", ?APART),
    bench_nodes:connect([A, B, C]),
    ok = bench_nodes:call(C, bench_names, own, [tuple_size(Keys)]),
    ok = bench_nodes:call(C, bench_names, fill, [holt, Keys]),
    [ok = bench_nodes:call(Node, bench_names, await, [holt, tuple_size(Keys)]) || Node <- [A, B]],
    C.

%%--------------------------------------------------------------------
%% Rounds and rows

%% One map per round: contender => what was measured.
rounds(Rounds, Contenders, Measure) ->
    [
        maps:from_list([{Contender, Measure(Contender)} || Contender <- rotate(Round, Contenders)])
     || Round <- lists:seq(1, Rounds)
    ].

rotate(Round, List) ->
    {Front, Back} = lists:split(Round rem length(List), List),
    Back ++ Front.

title(What, How) ->
    io:format("~n~s: ~s~n~-47s ~11s  ~-20s ~11s  ~8s  ~s~n", [
        What, How, "", "holt", "beside", "", "ratio", "(spread)"
    ]).

row(What, Holt, Beside, Other, Unit, Rounds) ->
    Of = fun(Key) -> [maps:get(Key, Round) || Round <- Rounds] end,
    Ratios = [maps:get(Holt, Round) / max(1, maps:get(Other, Round)) || Round <- Rounds],
    io:format("~-47ts ~11s  ~-20s ~11s  ~8s  (~s .. ~s)~n", [
        What,
        in(Unit, median(Of(Holt))),
        Beside,
        in(Unit, median(Of(Other))),
        ratio(median(Ratios)),
        ratio(lists:min(Ratios)),
        ratio(lists:max(Ratios))
    ]).

in(ns, Ns) -> io_lib:format("~b ns", [round(Ns)]);
in(us, Ns) -> io_lib:format("~.1f us", [Ns / 1000]);
in(ms, Ns) -> io_lib:format("~.1f ms", [Ns / 1000000]);
in(count, Count) -> io_lib:format("~b", [round(Count)]);
in(bytes, Bytes) -> io_lib:format("~.1f B", [Bytes * 1.0]).

ratio(Ratio) when Ratio < ?RATIO_TINY -> io_lib:format("1/~b", [round(1 / Ratio)]);
ratio(Ratio) -> io_lib:format("~.2f", [Ratio]).

thousands(N) when N rem 1000 =:= 0 -> io_lib:format("~bk", [N div 1000]).

median(List) ->
    Sorted = lists:sort(List),
    Length = length(Sorted),
    (lists:nth((Length + 1) div 2, Sorted) + lists:nth(Length div 2 + 1, Sorted)) / 2.

percentile(Percent, Sorted) ->
    lists:nth(max(1, (length(Sorted) * Percent) div 100), Sorted).
