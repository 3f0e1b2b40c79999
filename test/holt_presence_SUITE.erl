%% SPDX-License-Identifier: Apache-2.0
%% @doc Who is there, on real nodes whose links are refused two by two.
%%
%% ```
%%       A --- P --- X        cut from each other: A and X.  P, another node or the
%%        \         /         daemon, has links with both, and says so.
%%         '-- / --'
%% '''
%%
%% All the while somebody on A looks for all names of X, as fast as it can: while anybody
%% reaches both, none may ever be missing.
-module(holt_presence_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, groups/0, init_per_suite/1, end_per_suite/1]).
-export([init_per_group/2, end_per_group/2, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

-import(holt_ct_cluster, [
    registry/1, nodes_of/1, no_overlap/0, start_everywhere/1, await_count/3, await_agreement/2
]).

-define(NAMES, 1000).

all() ->
    [{group, shared}, {group, own}].

groups() ->
    [
        %% Three nodes for all of them; each case has a registry of its own.
        {shared, [], [
            cut_from_both_sides,
            cut_from_one_side,
            cut_from_the_other_side,
            names_come_and_go_through_the_voucher,
            conflicts_are_settled_through_the_voucher,
            silence_is_suspect_then_absent,
            replicas_are_killed,
            replica_is_away_while_vouched_for,
            application_is_stopped,
            link_flaps,
            daemon_alone_vouches,
            daemon_is_vouched_to
        ]},
        %% Nodes of their own, which do not outlive it.
        {own, [], [
            node_is_killed_while_vouched_for,
            node_is_frozen_while_vouched_for,
            voucher_is_killed,
            vouches_are_first_hand
        ]}
    ].

init_per_suite(Config) ->
    Config.

end_per_suite(_Config) ->
    ok.

init_per_group(shared, Config) ->
    [{nodes, holt_ct:start_nodes(3, arguments())} | Config];
init_per_group(own, Config) ->
    Config.

end_per_group(shared, Config) ->
    holt_ct:stop_nodes(nodes_of(Config));
end_per_group(own, _Config) ->
    ok.

init_per_testcase(Case, Config) ->
    IsDaemons = lists:prefix("daemon_", atom_to_list(Case)),
    case IsDaemons andalso holt_ct_daemon:init_suite(Config) of
        {skip, Reason} -> {skip, Reason};
        _ -> holt_ct_daemon:init_case(Case, Config)
    end.

%% Whatever came of it: the nodes are the next one's.
end_per_testcase(Case, Config) ->
    case proplists:get_value(nodes, Config) of
        undefined ->
            ok;
        [A, P, X] ->
            _ = [holt_test:heal(Left, Right) || {Left, Right} <- [{A, X}, {A, P}, {P, X}]],
            holt_ct_daemon:end_case(Case, Config)
    end.

%%--------------------------------------------------------------------
%% Cuts

cut_from_both_sides(Config) ->
    vouched_for(Config, fun holt_test:cut/2).

cut_from_one_side(Config) ->
    vouched_for(Config, fun holt_ct:refuse/2).

cut_from_the_other_side(Config) ->
    vouched_for(Config, fun(A, X) -> holt_ct:refuse(X, A) end).

%% From the cut over some renewals of the vouch to the healing nobody misses anything.
vouched_for(Config, Cut) ->
    {Reg, [A, P, X]} = start_everywhere(Config),
    Names = [{Node, register_names(Node, Reg, ?NAMES)} || Node <- [A, P, X]],
    await_count([A, P, X], Reg, 3 * ?NAMES),
    ?assertMatch(#{state := present, contact := direct}, info_of(A, Reg, X)),
    Watchers = [
        holt_ct:watch(At, {Reg, proplists:get_value(Of, Names)})
     || {At, Of} <- [{A, X}, {X, A}, {P, X}]
    ],
    #{asks := Asks} = holt_ct:call(A, holt_cluster, info, [Reg]),
    ok = Cut(A, X),
    Voucher = {Reg, P},
    {Ms, _} = timed(fun() ->
        [await_info(At, Reg, Of, #{contact => vouched, voucher => Voucher, state => present})
         || {At, Of} <- [{A, X}, {X, A}]]
    end),
    ct:pal("vouched for, and the voucher chosen: ~b ms", [Ms]),
    Members = lists:sort([{Reg, Node} || Node <- [A, P, X]]),
    [?assertEqual(Members, holt_ct:call(Node, holt_cluster, members, [Reg])) || Node <- [A, P, X]],
    ?assertMatch(#{contact := direct, voucher := undefined}, info_of(P, Reg, X)),
    %% The first question, and what keeps the answer from lapsing.
    holt_ct:await(A, fun() ->
        #{asks := Now} = holt_cluster:info(Reg),
        Now - Asks >= 4 orelse Now
    end),
    ?assertMatch(#{contact := vouched, shown := true, absent_ms := 0}, info_of(A, Reg, X)),
    ok = holt_test:heal(A, X),
    [
        await_info(At, Reg, Of, #{contact => direct, voucher => undefined, state => present})
     || {At, Of} <- [{A, X}, {X, A}]
    ],
    nothing_missed(Watchers),
    await_agreement([A, P, X], Reg).

names_come_and_go_through_the_voucher(Config) ->
    {Reg, [A, P, X]} = start_everywhere(Config),
    Names = register_names(X, Reg, ?NAMES),
    await_count([A, P, X], Reg, ?NAMES),
    Watcher = holt_ct:watch(A, {Reg, Names}),
    part_until_vouched(A, X, Reg),
    #{forwarded := Before} = holt_ct:call(P, holt_cluster, info, [Reg]),
    {NewMs, Pid} = timed(fun() ->
        Pid = holt_ct:call(X, fun() -> holt_ct:register(Reg, new, 1, []) end),
        await_name(A, Reg, new, [{Pid, 1}]),
        Pid
    end),
    ct:pal("a new name, through the voucher: ~b ms", [NewMs]),
    holt_ct:call(X, fun() ->
        {2, 1} = holt_ct:do(Pid, fun() -> holt_registry:update_value(Reg, new, fun(_) -> 2 end) end)
    end),
    await_name(A, Reg, new, [{Pid, 2}]),
    %% A name is given once, though its holder cannot be spoken to.
    ?assertEqual(
        {error, {already_registered, Pid}},
        holt_ct:call(A, fun() -> holt_registry:register(Reg, new, 3) end)
    ),
    %% The voucher carries that, too.
    ?assertEqual(ok, holt_ct:call(A, fun() -> holt_registry:unregister(Reg, new) end)),
    await_name(A, Reg, new, []),
    %% A whole process, and more than one message of names.
    More = register_names(X, Reg, 3 * ?NAMES),
    await_count([A], Reg, 4 * ?NAMES),
    {_, Holder} = hd(More),
    holt_ct:call(X, fun() -> holt_ct:kill(Holder) end),
    await_count([A], Reg, ?NAMES),
    #{forwarded := After, forwarded_bytes := Bytes} = holt_ct:call(P, holt_cluster, info, [Reg]),
    ?assert(After > Before),
    ?assert(Bytes > 0),
    nothing_missed([Watcher]),
    ok = holt_test:heal(A, X),
    await_agreement([A, P, X], Reg).

%% Both have the name before they can have heard of it: there is one winner, and the loser is
%% told, though they do not speak with each other.
conflicts_are_settled_through_the_voucher(Config) ->
    {Reg, [A, P, X]} = start_everywhere(Config),
    _ = [register_names(Node, Reg, 10) || Node <- [A, P, X]],
    await_count([A, P, X], Reg, 30),
    part_until_vouched(A, X, Reg),
    lists:foreach(
        fun(N) ->
            Key = {leader, N},
            Replica = holt_replica:process_name(Reg),
            %% It passes on nothing for a moment, for less than vouch_ms.
            ok = holt_ct:call(P, sys, suspend, [Replica]),
            [OnA, OnX] = [
                holt_ct:call(Node, fun() -> holt_ct:register(Reg, Key, node(), []) end)
             || Node <- [A, X]
            ],
            Exits = [
                {Pid, {Node, holt_ct:exit_watch(Node, Pid)}}
             || {Node, Pid} <- [{A, OnA}, {X, OnX}]
            ],
            ok = holt_ct:call(P, sys, resume, [Replica]),
            Winner = await_one_holder([A, P, X], Reg, Key, [OnA, OnX]),
            [Loser] = [OnA, OnX] -- [Winner],
            {At, Watcher} = proplists:get_value(Loser, Exits),
            ?assertMatch(
                {shutdown, {name_conflict, {Key, _}, Reg, Winner}},
                holt_ct:exit_reason(At, Watcher)
            )
        end,
        [1, 2, 3]
    ),
    ok = holt_test:heal(A, X),
    await_agreement([A, P, X], Reg).

%% The only one to ask does not answer.  What was suspect stays in sight until the time is
%% up; a late word still counts.
silence_is_suspect_then_absent(Config) ->
    Reg = registry(Config),
    [A, P, X] = Nodes = nodes_of(Config),
    Options = #{name => Reg, probe_ms => 1500, vouch_ms => 4000, replica_restart_ms => 600000},
    _ = [holt_ct:start_registry(Node, Options) || Node <- Nodes],
    Names = register_names(X, Reg, ?NAMES),
    await_count(Nodes, Reg, ?NAMES),
    Watcher = holt_ct:watch(A, {Reg, Names}),
    ok = holt_ct:call(P, sys, suspend, [holt_replica:process_name(Reg)]),
    At = erlang:system_time(millisecond),
    ok = holt_test:cut(A, X),
    await_info(A, Reg, X, #{state => suspect, contact => none, shown => true, absent_ms => 0}),
    ?assert(lists:member({Reg, X}, holt_ct:call(A, holt_cluster, members, [Reg]))),
    ?assertEqual(?NAMES, holt_ct:call(A, holt_registry, count, [Reg])),
    await_info(A, Reg, X, #{state => absent, contact => none, shown => false}),
    await_count([A], Reg, 0),
    {Missed, _} = holt_ct:missed(Watcher),
    ?assertEqual(?NAMES, map_size(Missed)),
    FirstMs = lists:min(maps:values(Missed)) - At,
    ct:pal("hidden after ~b ms; probe_ms is 1500", [FirstMs]),
    ?assert(FirstMs >= 1500),
    ?assert(FirstMs < 3000),
    ?assertNot(
        lists:member({Reg, X}, holt_ct:call(A, holt_cluster, members, [Reg]))
    ),
    holt_ct:await(A, fun() ->
        [#{absent_ms := Ms}] = [M || #{state := absent} = M <- holt_cluster:members(Reg, all)],
        Ms > 100 orelse Ms
    end),
    ok = holt_ct:call(P, sys, resume, [holt_replica:process_name(Reg)]),
    await_info(A, Reg, X, #{state => present, contact => vouched, shown => true, absent_ms => 0}),
    await_count([A], Reg, ?NAMES),
    ok = holt_test:heal(A, X),
    await_agreement(Nodes, Reg).

%% No name depends on a replica process: neither on that of the one who is vouched for, nor
%% on the voucher's, nor on our own.
replicas_are_killed(Config) ->
    Reg = registry(Config),
    [A, P, X] = Nodes = nodes_of(Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
    Names = register_names(X, Reg, ?NAMES),
    await_count(Nodes, Reg, ?NAMES),
    Watcher = holt_ct:watch(A, {Reg, Names}),
    Kill = fun(Node) ->
        holt_ct:call(Node, fun() ->
            Replica = holt_replica:process_name(Reg),
            ok = holt_ct:kill(whereis(Replica)),
            holt_ct:wait_until(fun() -> is_pid(whereis(Replica)) end)
        end)
    end,
    Direct = fun() -> await_info(A, Reg, X, #{contact => direct, shown => true}) end,
    Vouched = fun() -> await_info(A, Reg, X, #{contact => vouched, shown => true}) end,
    [begin Kill(Node), Direct() end || Node <- [X, P, A]],
    part_until_vouched(A, X, Reg),
    [
        begin
            Kill(Node),
            Vouched(),
            Key = {after_kill, N},
            Pid = holt_ct:call(X, fun() -> holt_ct:register(Reg, Key, 0, []) end),
            await_name(A, Reg, Key, [{Pid, 0}])
        end
     || {N, Node} <- [{1, X}, {2, P}, {3, A}]
    ],
    nothing_missed([Watcher]),
    ok = holt_test:heal(A, X),
    await_agreement(Nodes, Reg).

%% Its link with the voucher lives, so it counts as there for replica_restart_ms: also for
%% those who ask meanwhile.
replica_is_away_while_vouched_for(Config) ->
    {Reg, [A, P, X] = Nodes} = start_everywhere(Config),
    Names = register_names(X, Reg, ?NAMES),
    await_count(Nodes, Reg, ?NAMES),
    part_until_vouched(A, X, Reg),
    Watchers = [holt_ct:watch(Node, {Reg, Names}) || Node <- [A, P]],
    Replica = holt_replica:process_name(Reg),
    ok = holt_ct:call(X, fun() ->
        %% Else it would be started again at once.
        ok = sys:suspend(Reg),
        holt_ct:kill(whereis(Replica))
    end),
    #{asks := Asks} = holt_ct:call(A, holt_cluster, info, [Reg]),
    holt_ct:await(A, fun() ->
        #{asks := Now} = holt_cluster:info(Reg),
        Now > Asks
    end),
    ok = holt_ct:call(X, sys, resume, [Reg]),
    Pid = holt_ct:call(X, fun() -> holt_ct:register(Reg, new, 1, []) end),
    await_name(A, Reg, new, [{Pid, 1}]),
    await_info(A, Reg, X, #{state => present, contact => vouched, shown => true}),
    nothing_missed(Watchers),
    ok = holt_test:heal(A, X),
    await_agreement(Nodes, Reg).

%% A member that pauses says so, also to those who do not hear it themselves.
application_is_stopped(Config) ->
    {Reg, [A, _, X] = Nodes} = start_everywhere(Config),
    Names = register_names(X, Reg, ?NAMES),
    await_count(Nodes, Reg, ?NAMES),
    part_until_vouched(A, X, Reg),
    ok = holt_ct:call(X, application, stop, [holt]),
    await_info(A, Reg, X, #{state => paused, contact => none, shown => false}),
    await_count([A], Reg, 0),
    ok = holt_ct:call(X, application, start, [holt]),
    await_info(A, Reg, X, #{state => present, contact => vouched, shown => true}),
    await_count([A], Reg, ?NAMES),
    %% Paused while cut, and healed before it is back.
    ok = holt_ct:call(X, application, stop, [holt]),
    await_info(A, Reg, X, #{state => paused}),
    ok = holt_test:heal(A, X),
    ok = holt_ct:call(X, application, start, [holt]),
    await_info(A, Reg, X, #{state => present, contact => direct, shown => true}),
    Watcher = holt_ct:watch(A, {Reg, Names}),
    await_agreement(Nodes, Reg),
    nothing_missed([Watcher]).

%% Two members, nobody to ask: who comes and goes waits before it is shown again, the first
%% time not.
link_flaps(Config) ->
    Reg = registry(Config),
    [A, _, X] = nodes_of(Config),
    Options = #{name => Reg, probe_ms => 200, flap_ms_max => 2000},
    _ = [holt_ct:start_registry(Node, Options) || Node <- [A, X]],
    _ = register_names(X, Reg, ?NAMES),
    await_count([A], Reg, ?NAMES),
    Times = [
        begin
            ok = holt_test:cut(A, X),
            await_info(A, Reg, X, #{state => absent, shown => false}),
            await_count([A], Reg, 0),
            ok = holt_test:heal(A, X),
            {Ms, _} = timed(fun() -> await_count([A], Reg, ?NAMES) end),
            Ms
        end
     || _ <- lists:seq(1, 4)
    ],
    #{flaps := Flaps} = holt_ct:call(A, holt_cluster, info, [Reg]),
    ct:pal("shown again after ~w ms; ~b flaps", [Times, Flaps]),
    ?assert(Flaps >= 2),
    ?assert(lists:max(Times) < 4000),
    ?assert(lists:last(Times) > 150),
    await_info(A, Reg, X, #{state => present, contact => direct}).

%%--------------------------------------------------------------------
%% The daemon

%% Two nodes and the daemon: a hidden node's word is as good as any.
daemon_alone_vouches(Config) ->
    Reg = registry(Config),
    [A, _, X] = nodes_of(Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- [A, X]],
    Names = register_names(X, Reg, ?NAMES),
    await_count([A], Reg, ?NAMES),
    Daemon = start_daemon(Config, [A, X]),
    DaemonNode = holt_test_daemon:node_of(Daemon),
    Voucher = {Reg, DaemonNode},
    Ask = fun(Request) -> holt_ct:call(A, gen_server, call, [{holtd, DaemonNode}, Request]) end,
    holt_ct:await(A, fun() -> length(holt_cluster:members(Reg)) =:= 3 end),
    holt_ct:await(X, fun() -> length(holt_cluster:members(Reg)) =:= 3 end),
    holt_ct:wait_until(fun() -> Ask({count, Reg}) =:= ?NAMES end),
    Watcher = holt_ct:watch(A, {Reg, Names}),
    ok = holt_test:cut(A, X),
    await_info(A, Reg, X, #{state => present, contact => vouched, voucher => Voucher}),
    await_info(X, Reg, A, #{state => present, contact => vouched}),
    Pid = holt_ct:call(X, fun() -> holt_ct:register(Reg, new, 1, []) end),
    await_name(A, Reg, new, [{Pid, 1}]),
    ok = holt_ct:call(X, fun() -> holt_registry:unregister(Reg, new) end),
    await_name(A, Reg, new, []),
    #{probes := Probes, forwarded := Forwarded} = Ask({info, Reg}),
    ?assert(Probes > 0),
    ?assert(Forwarded > 0),
    ?assertEqual(
        lists:sort([self | lists:duplicate(2, direct)]),
        lists:sort([C || #{contact := C} <- Ask({members, Reg, all})])
    ),
    nothing_missed([Watcher]),
    %% Frozen, it says nothing more: its word lapses.
    Frozen = holt_ct:watch(A, {Reg, Names}),
    At = erlang:system_time(millisecond),
    ok = holt_daemon:freeze(Daemon),
    await_info(A, Reg, X, #{state => absent, shown => false}),
    ok = holt_daemon:thaw(Daemon),
    await_info(A, Reg, X, #{state => present, contact => vouched, shown => true}),
    await_count([A], Reg, ?NAMES),
    {Missed, _} = holt_ct:missed(Frozen),
    FirstMs = lists:min(maps:values(Missed)) - At,
    ct:pal("voucher frozen: hidden after ~b ms", [FirstMs]),
    ?assert(FirstMs < 2000 + 500 + 1000),
    %% Killed: there is nobody left to ask.
    ok = holt_test_daemon:kill(Daemon),
    await_info(A, Reg, X, #{state => absent}),
    await_count([A], Reg, 0),
    Again = start_daemon(Config, [A, X]),
    AgainVoucher = {Reg, holt_test_daemon:node_of(Again)},
    await_info(A, Reg, X, #{state => present, voucher => AgainVoucher, shown => true}),
    await_count([A], Reg, ?NAMES),
    ok = holt_test:heal(A, X),
    await_info(A, Reg, X, #{contact => direct, voucher => undefined}),
    ok = holt_daemon:stop(Again).

%% The daemon is the one who hears somebody no longer.
daemon_is_vouched_to(Config) ->
    {Reg, [A, P, X]} = start_everywhere(Config),
    Names = register_names(X, Reg, ?NAMES),
    Daemon = start_daemon(Config, [A]),
    DaemonNode = holt_test_daemon:node_of(Daemon),
    Ask = fun(Request) -> holt_ct:call(A, gen_server, call, [{holtd, DaemonNode}, Request]) end,
    Of = fun(Node) ->
        All = Ask({members, Reg, all}),
        [Info] = [M || #{member := {_, N}} = M <- All, N =:= Node],
        Info
    end,
    [holt_ct:await(N, fun() -> length(holt_cluster:members(Reg)) =:= 4 end) || N <- [A, P, X]],
    holt_ct:wait_until(fun() -> Ask({count, Reg}) =:= ?NAMES end),
    #{contact := direct} = Of(X),
    holt_ct:call(X, fun() ->
        true = erlang:set_cookie(DaemonNode, refused_by_x),
        true = erlang:disconnect_node(DaemonNode)
    end),
    Vouchers = [{Reg, Node} || Node <- [A, P]],
    holt_ct:wait_until(fun() ->
        #{contact := Contact, voucher := Voucher} = Info = Of(X),
        (Contact =:= vouched andalso lists:member(Voucher, Vouchers)) orelse Info
    end),
    ?assertMatch([#{members := 4, vouched := 1, suspect := 0, absent := 0}], Ask(status)),
    {Key, Holder} = hd(Names),
    ?assertEqual(Holder, Ask({whereis, Reg, Key})),
    Pid = holt_ct:call(X, fun() -> holt_ct:register(Reg, new, 1, []) end),
    holt_ct:wait_until(fun() -> Ask({lookup, Reg, new}) =:= [{Pid, 1}] end),
    %% To X the daemon is still there, too.
    await_state(X, Reg, DaemonNode, #{state => present, contact => vouched}),
    true = holt_ct:call(X, erlang, set_cookie, [DaemonNode, holt_ct]),
    %% It dials for ever.
    holt_ct:wait_until(fun() -> maps:get(contact, Of(X)) =:= direct end),
    await_state(X, Reg, DaemonNode, #{state => present, contact => direct}),
    ok = holt_daemon:stop(Daemon).

%%--------------------------------------------------------------------
%% Ends

%% Nobody vouches for the dead.
node_is_killed_while_vouched_for(Config) ->
    with_nodes(3, fun([A, P, X] = Nodes) ->
        Reg = registry(Config),
        _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
        Names = register_names(X, Reg, ?NAMES),
        await_count(Nodes, Reg, ?NAMES),
        part_until_vouched(A, X, Reg),
        Watchers = [holt_ct:watch(Node, {Reg, Names}) || Node <- [A, P]],
        At = erlang:system_time(millisecond),
        ok = holt_test:kill(X),
        await_info(A, Reg, X, #{state => absent, contact => none, shown => false}),
        [await_count([Node], Reg, 0) || Node <- [A, P]],
        GoneMs = [
            begin
                {Missed, _} = holt_ct:missed(Watcher),
                ?assertEqual(?NAMES, map_size(Missed)),
                lists:max(maps:values(Missed)) - At
            end
         || Watcher <- Watchers
        ],
        ct:pal("gone after the kill, through the voucher and there: ~w ms", [GoneMs]),
        ?assert(lists:max(GoneMs) < 1500)
    end).

%% A frozen node has all its links.  Who has none with it finds out sooner than they.
node_is_frozen_while_vouched_for(Config) ->
    with_nodes(3, fun([A, P, X] = Nodes) ->
        Reg = registry(Config),
        _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
        Names = register_names(X, Reg, ?NAMES),
        await_count(Nodes, Reg, ?NAMES),
        _ = part_until_vouched(A, X, Reg),
        [OnA, OnP] = [holt_ct:watch(Node, {Reg, Names}) || Node <- [A, P]],
        At = erlang:system_time(millisecond),
        ok = holt_test:freeze(X),
        await_state(A, Reg, X, #{state => absent, contact => none}),
        ?assertMatch(#{state := present, contact := direct}, state_of(P, Reg, X)),
        {Missed, _} = holt_ct:missed(OnA),
        Ms = lists:min(maps:values(Missed)) - At,
        ct:pal("frozen: hidden where it was vouched for after ~b ms", [Ms]),
        ?assert(Ms < 2000 + 500 + 1000),
        ok = holt_test:thaw(X),
        await_state(A, Reg, X, #{state => present, contact => vouched, shown => true}),
        await_count([A], Reg, ?NAMES),
        nothing_missed([OnP]),
        ok = holt_test:heal(A, X),
        await_agreement(Nodes, Reg)
    end).

voucher_is_killed(Config) ->
    with_nodes(4, fun([A, _, _, X] = Nodes) ->
        Reg = registry(Config),
        _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
        Names = register_names(X, Reg, ?NAMES),
        await_count(Nodes, Reg, ?NAMES),
        Watcher = holt_ct:watch(A, {Reg, Names}),
        First = part_until_vouched(A, X, Reg),
        [Killed] = [Node || Node <- Nodes, {Reg, Node} =:= First],
        ok = holt_test:kill(Killed),
        [Second] = [{Reg, N} || N <- Nodes, N =/= A, N =/= X, N =/= Killed],
        {Ms, _} = timed(fun() ->
            await_info(A, Reg, X, #{contact => vouched, voucher => Second})
        end),
        ct:pal("another voucher after ~b ms", [Ms]),
        Pid = holt_ct:call(X, fun() -> holt_ct:register(Reg, new, 1, []) end),
        await_name(A, Reg, new, [{Pid, 1}]),
        nothing_missed([Watcher]),
        ok = holt_test:heal(A, X),
        await_agreement(Nodes -- [Killed], Reg)
    end).

%% Who is only vouched to vouches for nobody: A hears of X as long as one of its own links
%% has one with X, and no longer.
vouches_are_first_hand(Config) ->
    with_nodes(4, fun([A, P, Q, X] = Nodes) ->
        Reg = registry(Config),
        _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
        _ = register_names(X, Reg, ?NAMES),
        await_count(Nodes, Reg, ?NAMES),
        Q1 = {Reg, Q},
        _ = part_until_vouched(A, X, Reg),
        _ = part_until_vouched(P, X, Reg),
        [await_info(At, Reg, X, #{contact => vouched, voucher => Q1}) || At <- [A, P]],
        %% A - P - Q - X
        ok = holt_test:cut(A, Q),
        await_info(A, Reg, Q, #{state => present, contact => vouched}),
        await_info(A, Reg, X, #{state => absent, contact => none, shown => false}),
        await_count([A], Reg, 0),
        ?assertMatch(#{state := present, contact := vouched, shown := true}, info_of(P, Reg, X)),
        ok = holt_test:heal(A, Q),
        await_info(A, Reg, X, #{state => present, contact => vouched, shown => true}),
        await_count([A], Reg, ?NAMES),
        [holt_test:heal(Left, Right) || {Left, Right} <- [{A, X}, {P, X}]],
        await_agreement(Nodes, Reg)
    end).

%%--------------------------------------------------------------------
%% Helpers

%% What they would say of refused links is not wanted.
arguments() ->
    ["-kernel", "logger_level", "emergency" | no_overlap()].

with_nodes(Count, Fun) ->
    Nodes = holt_ct:start_nodes(Count, arguments()),
    try
        Fun(Nodes)
    after
        holt_ct:stop_nodes(Nodes)
    end.

start_daemon(Config, Peers) ->
    Args = [["--peer", holt_ct_daemon:peer_name(Peer)] || Peer <- Peers],
    holt_ct_daemon:start_daemon(Config, lists:append(Args)).

%% One process with so many names.
register_names(Node, Reg, Count) ->
    First = erlang:unique_integer([positive]) * 1000000,
    holt_ct:call(Node, fun() ->
        Pid = holt_ct:start(),
        Keys = [{name, node(), N} || N <- lists:seq(First, First + Count - 1)],
        holt_ct:do(Pid, fun() ->
            lists:foreach(fun(Key) -> {ok, _} = holt_registry:register(Reg, Key, 0) end, Keys)
        end),
        [{Key, Pid} || Key <- Keys]
    end).

%% What a node knows of another one's member.
info_of(At, Reg, Of) ->
    state_of(At, Reg, Of).

state_of(At, Reg, Node) ->
    holt_ct:call(At, fun() -> info_here(Reg, Node) end).

info_here(Reg, Node) ->
    [Info] = [M || #{member := {_, N}} = M <- holt_cluster:members(Reg, all), N =:= Node],
    Info.

%% Wait until it says this of it.
await_info(At, Reg, Of, Expected) ->
    await_state(At, Reg, Of, Expected).

await_state(At, Reg, Node, Expected) ->
    holt_ct:await(At, fun() ->
        Info = info_here(Reg, Node),
        maps:with(maps:keys(Expected), Info) =:= Expected orelse Info
    end).

part_until_vouched(A, X, Reg) ->
    ok = holt_test:cut(A, X),
    [
        holt_ct:await(At, fun() ->
            #{contact := Contact, voucher := Voucher} = Info = info_here(Reg, Node),
            (Contact =:= vouched andalso Voucher =/= undefined) orelse Info
        end)
     || {At, Node} <- [{A, X}, {X, A}]
    ],
    #{voucher := Voucher} = info_of(A, Reg, X),
    Voucher.

nothing_missed(Watchers) ->
    Seen = [holt_ct:missed(Watcher) || Watcher <- Watchers],
    ct:pal("watched for ~w rounds", [[Rounds || {_, Rounds} <- Seen]]),
    %% How many, and the first of them.
    Missing = lists:append([maps:to_list(Missed) || {Missed, _} <- Seen]),
    ?assertEqual({0, []}, {length(Missing), lists:sublist(lists:keysort(2, Missing), 3)}),
    _ = [?assert(Rounds > 1) || {_, Rounds} <- Seen],
    ok.

await_name(Node, Reg, Key, Expected) ->
    holt_ct:await(Node, fun() ->
        Now = holt_registry:lookup(Reg, Key),
        Now =:= Expected orelse Now
    end).

await_one_holder(Nodes, Reg, Key, Pids) ->
    Holders = fun() ->
        lists:usort([holt_ct:call(N, holt_registry, whereis_name, [{Reg, Key}]) || N <- Nodes])
    end,
    holt_ct:wait_until(fun() ->
        Now = Holders(),
        (length(Now) =:= 1 andalso lists:member(hd(Now), Pids)) orelse Now
    end),
    [Winner] = Holders(),
    Winner.

timed(Fun) ->
    Start = erlang:monotonic_time(millisecond),
    Result = Fun(),
    {erlang:monotonic_time(millisecond) - Start, Result}.
