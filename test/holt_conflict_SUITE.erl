%% SPDX-License-Identifier: Apache-2.0
%% @doc Two processes have one name: who keeps it, who says so, and what becomes of the other.
-module(holt_conflict_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2, end_per_testcase/2]).
%% Conflict functions
-export([older/4, newer/4, both/4, none/4, crash/4, garbage/4, hang/4, larger/4]).
%% A supervisor, and a handler of the logger
-export([init/1, log/2]).
-compile([export_all, nowarn_export_all]).

-import(holt_ct_cluster, [
    registry/1, nodes_of/1, no_overlap/0, stop_registry/2, tick/0, await_name/4,
    await_count/3, await_agreement/2
]).

-define(MANY, 300).

all() ->
    [
        loser_is_told_wrapped,
        loser_is_told_bare,
        loser_lives_on,
        oldest_is_kept,
        loser_that_stays_is_killed,
        loser_that_stays_may_stay,
        given_away_is_no_conflict,
        transient_child_is_not_restarted,
        function_keeps_the_older,
        function_keeps_the_newer,
        function_keeps_both,
        function_keeps_none,
        function_crashes,
        function_returns_garbage,
        function_hangs,
        function_decides_beyond_a_cut,
        function_decides_many,
        other_name_loses,
        conflict_is_explained,
        log_is_not_flooded
    ].

init_per_suite(Config) ->
    Nodes = holt_ct:start_nodes(3, ["-kernel", "dist_auto_connect", "never" | no_overlap()]),
    [{nodes, Nodes} | Config].

end_per_suite(Config) ->
    holt_ct:stop_nodes(nodes_of(Config)).

init_per_testcase(Case, Config) ->
    [
        holt_ct:call(Node, fun() -> persistent_term:put(?MODULE, counters:new(2, [])) end)
     || Node <- nodes_of(Config)
    ],
    [{registry, Case} | Config].

end_per_testcase(Case, Config) ->
    Nodes = nodes_of(Config),
    _ = [holt_test:heal(A, B) || A <- Nodes, B <- Nodes, A < B],
    lists:foreach(fun(Node) -> stop_registry(Node, Case) end, Nodes).

%%--------------------------------------------------------------------
%% Conflict functions

older(_Reg, _Key, {Pid, _, _}, _) ->
    called(),
    Pid.

newer(_Reg, _Key, _, {Pid, _, _}) ->
    called(),
    Pid.

both(_Reg, _Key, {Older, older, Stamp1}, {Newer, newer, Stamp2}) when
    is_pid(Older), is_pid(Newer), Stamp1 < Stamp2
->
    called(),
    both.

none(_Reg, _Key, _, _) ->
    called(),
    none.

crash(_Reg, _Key, _, _) ->
    called(),
    error(deliberate).

garbage(_Reg, _Key, _, _) ->
    called(),
    self().

hang(_Reg, _Key, _, _) ->
    called(),
    receive
    after infinity -> ok
    end.

larger(_Reg, _Key, {Pid1, Value1, _}, {Pid2, Value2, _}) ->
    called(),
    case Value1 > Value2 of
        true -> Pid1;
        false -> Pid2
    end.

called() ->
    counters:add(persistent_term:get(?MODULE), 1, 1).

%% On all nodes together.
calls(Nodes) ->
    lists:sum([
        holt_ct:call(Node, fun() -> counters:get(persistent_term:get(?MODULE), 1) end)
     || Node <- Nodes
    ]).

%%--------------------------------------------------------------------
%% Exits

loser_is_told_wrapped(Config) ->
    {Reg, _, [A, B, _]} = Case = given(Config, #{}),
    {Older, Newer} = two_watched(Case, #{}, []),
    ?assertEqual(
        {shutdown, {name_conflict, {key, older}, Reg, pid(Newer)}}, reason(A, Older)
    ),
    await_name([A, B], Reg, key, pid(Newer)).

loser_is_told_bare(Config) ->
    {Reg, _, [A, B, _]} = Case = given(Config, #{}),
    {Older, Newer} = two_watched(Case, #{conflict_exit => bare}, []),
    ?assertEqual({name_conflict, {key, older}, Reg, pid(Newer)}, reason(A, Older)),
    await_name([A, B], Reg, key, pid(Newer)).

%% It only loses the name.
loser_lives_on(Config) ->
    {Reg, _, [A, B, _]} = Case = given(Config, #{}),
    {Older, Newer} = two_watched(Case, #{conflict_exit => none}, []),
    await_name([A, B], Reg, key, pid(Newer)),
    holt_ct:call(A, fun() ->
        {ok, _} = holt_ct:do(pid(Older), fun() -> holt_registry:register(Reg, another, 0) end)
    end),
    await_name([A, B], Reg, another, pid(Older)).

oldest_is_kept(Config) ->
    {Reg, _, [A, B, _]} = Case = given(Config, #{}),
    {Older, Newer} = two_watched(Case, #{conflict => keep_oldest}, []),
    ?assertEqual(
        {shutdown, {name_conflict, {key, newer}, Reg, pid(Older)}}, reason(B, Newer)
    ),
    await_name([A, B], Reg, key, pid(Older)).

loser_that_stays_is_killed(Config) ->
    {Reg, _, [A, B, _]} = Case = given(Config, #{}),
    {Older, Newer} = two_watched(Case, #{conflict_grace_ms => 200}, [trap_exit]),
    ?assertEqual(killed, reason(A, Older)),
    await_name([A, B], Reg, key, pid(Newer)),
    ?assertMatch(#{losers_killed := 1}, holt_ct:call(A, holt_cluster, info, [Reg])).

%% Nobody told it to go.
loser_that_stays_may_stay(Config) ->
    {Reg, _, [A, B, _]} = Case = given(Config, #{}),
    Options = #{conflict_grace_ms => 1, conflict_exit => none},
    {Older, Newer} = two_watched(Case, Options, [trap_exit]),
    await_name([A, B], Reg, key, pid(Newer)),
    holt_ct:call(A, fun() ->
        %% A timer that was started later has fired by now.
        _ = erlang:start_timer(50, self(), later),
        receive {timeout, _, later} -> ok end,
        true = is_process_alive(pid(Older))
    end).

given_away_is_no_conflict(Config) ->
    {Reg, Options, [A, B, _] = Nodes} = given(Config, #{}),
    _ = [holt_ct:start_registry(Node, Options) || Node <- Nodes],
    Pid = holt_ct:call(A, fun() -> holt_ct:register(Reg, key, 1, []) end),
    await_name(Nodes, Reg, key, Pid),
    Other = holt_ct:call(B, fun() -> holt_ct:start() end),
    ok = holt_ct:call(A, holt_registry, give_away, [Reg, key, Other]),
    await_name(Nodes, Reg, key, Other),
    ?assert(holt_ct:call(A, erlang, is_process_alive, [Pid])),
    ?assertEqual(none, holt_ct:call(A, holt_replica, last_conflict, [Reg, key])).

%% A supervisor takes {shutdown, _} of a transient child for its end.
transient_child_is_not_restarted(Config) ->
    {Reg, Options, [A, B, _]} = given(Config, #{}),
    Start = fun() ->
        {ok, Sup} = supervisor:start_link(?MODULE, {Reg, key}),
        true = unlink(Sup),
        Sup
    end,
    apart(Reg, Options, #{}, [A, B]),
    OnA = holt_ct:call(A, fun() ->
        Sup = Start(),
        tick(),
        Sup
    end),
    OnB = holt_ct:call(B, Start),
    together(Reg, [A, B]),
    holt_ct:await(A, fun() ->
        Children = supervisor:which_children(OnA),
        [Pid || {child, Pid, worker, _} <- Children] =:= [undefined] orelse Children
    end),
    [{child, Child, worker, _}] = holt_ct:call(B, supervisor, which_children, [OnB]),
    await_name([A, B], Reg, key, Child),
    ?assert(holt_ct:call(A, erlang, is_process_alive, [OnA])).

%% One restart, and it would be over.
init({Reg, Key}) ->
    Child = #{
        id => child,
        start => {holt_ct, start_link, [{via, holt_registry, {Reg, Key}}]},
        restart => transient
    },
    {ok, {#{intensity => 0}, [Child]}}.

%%--------------------------------------------------------------------
%% Functions

function_keeps_the_older(Config) ->
    {Reg, _, [A, B, _] = Nodes} = Case = given(Config, #{}),
    {Older, Newer} = two_watched(Case, #{conflict => {?MODULE, older}}, []),
    ?assertEqual(
        {shutdown, {name_conflict, {key, newer}, Reg, pid(Older)}}, reason(B, Newer)
    ),
    await_name([A, B], Reg, key, pid(Older)),
    ?assertEqual(1, calls(Nodes)),
    ?assertMatch(
        #{contests := 1, contests_failed := 0}, holt_ct:call(B, holt_cluster, info, [Reg])
    ),
    await_agreement([A, B], Reg).

function_keeps_the_newer(Config) ->
    {Reg, _, [A, B, _] = Nodes} = Case = given(Config, #{}),
    Options = #{conflict => {?MODULE, newer}, conflict_exit => bare},
    {Older, Newer} = two_watched(Case, Options, []),
    ?assertEqual({name_conflict, {key, older}, Reg, pid(Newer)}, reason(A, Older)),
    await_name([A, B], Reg, key, pid(Newer)),
    ?assertEqual(1, calls(Nodes)),
    await_agreement([A, B], Reg).

%% The newest has it, the other one waits; nobody exits.
function_keeps_both(Config) ->
    {Reg, _, [A, B, _] = Nodes} = Case = given(Config, #{}),
    {Older, Newer} = two_watched(Case, #{conflict => {?MODULE, both}}, []),
    await_name([A, B], Reg, key, pid(Newer)),
    holt_ct:await(B, fun() ->
        Rows = holt_nif:explain(Reg, key),
        [{Pid, IsStandby} || #{pid := Pid, standby := IsStandby} <- Rows] =:=
            [{pid(Newer), false}, {pid(Older), true}] orelse Rows
    end),
    ?assert(holt_ct:call(A, erlang, is_process_alive, [pid(Older)])),
    ?assertEqual(1, calls(Nodes)),
    holt_ct:call(B, fun() -> holt_ct:kill(pid(Newer)) end),
    await_name([A, B], Reg, key, pid(Older)),
    ?assertEqual([{pid(Older), older}], holt_ct:call(B, holt_registry, lookup, [Reg, key])).

function_keeps_none(Config) ->
    {Reg, Base, [A, B, _] = Nodes} = Case = given(Config, #{}),
    apart(Reg, Base, #{conflict => {?MODULE, none}}, [A, B]),
    Followers = [holt_ct_events:follow(Node, Reg, all) || Node <- [A, B]],
    {Older, Newer} = two_of_one_name(Case, []),
    ?assertEqual(
        {shutdown, {name_conflict, {key, older}, Reg, pid(Newer)}}, reason(A, Older)
    ),
    ?assertEqual(
        {shutdown, {name_conflict, {key, newer}, Reg, pid(Older)}}, reason(B, Newer)
    ),
    await_name([A, B], Reg, key, undefined),
    ?assertEqual(1, calls(Nodes)),
    %% Nobody has unregistered anything.
    _ = [
        holt_ct:wait_until(fun() ->
            Events = holt_ct_events:events(Follower),
            [Reason || #{type := unregistered, reason := Reason} <- Events] =:= [conflict] orelse
                Events
        end)
     || Follower <- Followers
    ],
    _ = [holt_ct_events:stop(Follower) || Follower <- Followers],
    await_agreement([A, B], Reg).

function_crashes(Config) ->
    fails(Config, crash).

function_returns_garbage(Config) ->
    fails(Config, garbage).

function_hangs(Config) ->
    fails(Config, hang).

%% Then the newest keeps it.
fails(Config, Function) ->
    {Reg, _, [A, B, _] = Nodes} = Case = given(Config, #{}),
    {Older, Newer} = two_watched(Case, #{conflict => {?MODULE, Function}}, []),
    ?assertEqual(
        {shutdown, {name_conflict, {key, older}, Reg, pid(Newer)}}, reason(A, Older)
    ),
    await_name([A, B], Reg, key, pid(Newer)),
    ?assertEqual(1, calls(Nodes)),
    ?assertMatch(
        #{contests := 1, contests_failed := 1}, holt_ct:call(B, holt_cluster, info, [Reg])
    ).

%% A and C do not speak with each other; B carries the verdict.
function_decides_beyond_a_cut(Config) ->
    {Reg, Options, [A, B, C] = Nodes} = given(Config, #{conflict => {?MODULE, larger}}),
    _ = [holt_ct:start_registry(Node, Options) || Node <- Nodes],
    _ = [holt_ct:call(Node, fun() -> holt_ct:register(Reg, node(), 0, []) end) || Node <- Nodes],
    await_count(Nodes, Reg, 3),
    ok = holt_test:cut(A, C),
    [
        holt_ct:await(At, fun() ->
            Infos = holt_cluster:members(Reg, all),
            [x || #{member := {_, On}, contact := vouched, voucher := {_, Via}} <- Infos,
                On =:= Of, Via =:= B] =:= [x] orelse Infos
        end)
     || {At, Of} <- [{A, C}, {C, A}]
    ],
    lists:foreach(
        fun({N, ValueOnA, ValueOnC}) ->
            Key = {key, N},
            %% It passes nothing on for a moment, for less than vouch_ms.
            ok = holt_ct:call(B, fun() -> sys:suspend(holt_replica:process_name(Reg)) end),
            OnA = holt_ct:call(A, fun() ->
                Pid = holt_ct:register(Reg, Key, ValueOnA, []),
                tick(),
                Pid
            end),
            OnC = holt_ct:call(C, fun() -> holt_ct:register(Reg, Key, ValueOnC, []) end),
            ok = holt_ct:call(B, fun() -> sys:resume(holt_replica:process_name(Reg)) end),
            Winner =
                case ValueOnA > ValueOnC of
                    true -> OnA;
                    false -> OnC
                end,
            [Loser] = [OnA, OnC] -- [Winner],
            holt_ct:await(node_of(Loser, OnA, A, C), fun() -> not is_process_alive(Loser) end),
            await_name(Nodes, Reg, Key, Winner)
        end,
        [{1, 1, 2}, {2, 2, 1}]
    ),
    ok = holt_test:heal(A, C),
    await_agreement(Nodes, Reg).

node_of(Pid, Pid, Left, _Right) -> Left;
node_of(_, _, _Left, Right) -> Right.

%% Both sides of a cut have given the same names; half of each goes.
function_decides_many(Config) ->
    {Reg, Options, [A, B, _]} = given(Config, #{conflict => {?MODULE, larger}}),
    Nodes = [A, B],
    _ = [holt_ct:start_registry(Node, Options) || Node <- Nodes],
    await_agreement(Nodes, Reg),
    ok = holt_test:cut(A, B),
    [
        holt_ct:call(Node, fun() ->
            [
                holt_ct:register(Reg, N, value(N, Side), [])
             || N <- lists:seq(1, ?MANY)
            ]
        end)
     || {Node, Side} <- [{A, 0}, {B, 1}]
    ],
    ok = holt_test:heal(A, B),
    Expected = [{N, 1} || N <- lists:seq(1, ?MANY)],
    [
        holt_ct:await(Node, fun() ->
            Found = lists:sort([{Key, Value} || {Key, _, Value} <- holt_registry:to_list(Reg)]),
            Found =:= Expected orelse length(Found -- Expected)
        end)
     || Node <- Nodes
    ],
    await_agreement(Nodes, Reg),
    ?assertEqual(?MANY, calls(Nodes)),
    #{conflicts := OnA} = holt_ct:call(A, holt_cluster, info, [Reg]),
    #{conflicts := OnB} = holt_ct:call(B, holt_cluster, info, [Reg]),
    ?assertEqual(?MANY, OnA + OnB),
    List = holt_ct:call(A, fun() -> lists:sort(holt_registry:to_list(Reg)) end),
    ?assertEqual(List, holt_ct:call(B, fun() -> lists:sort(holt_registry:to_list(Reg)) end)).

%% Odd ones are worth more on one side, even ones on the other.
value(N, Side) ->
    (N + Side) rem 2.

%% Members of different names on one node settle it likewise.
other_name_loses(Config) ->
    Reg = registry(Config),
    [A | _] = nodes_of(Config),
    Other = other_name_loses_other,
    Options = #{conflict => {?MODULE, older}},
    try
        _ = [holt_ct:start_registry(A, Options#{name => Name}) || Name <- [Reg, Other]],
        {Older, Newer} = holt_ct:call(A, fun() ->
            First = holt_ct:register(Other, key, older, []),
            tick(),
            {First, holt_ct:register(Reg, key, newer, [])}
        end),
        Watched = watched(A, Newer),
        ok = holt_ct:call(A, holt_cluster, join, [Reg, Other]),
        ?assertEqual(
            {shutdown, {name_conflict, {key, newer}, Reg, Older}}, reason(A, Watched)
        ),
        await_name([A], Reg, key, Older),
        await_name([A], Other, key, Older)
    after
        stop_registry(A, Other)
    end.

%%--------------------------------------------------------------------
%% What is told

conflict_is_explained(Config) ->
    {Reg, _, [A, B, _]} = Case = given(Config, #{}),
    {Older, Newer} = two_watched(Case, #{}, []),
    await_name([A, B], Reg, key, pid(Newer)),
    _ = reason(A, Older),
    #{last_conflict := Last} = holt_ct:call(A, holt_registry, explain, [Reg, key]),
    ?assertMatch(#{value := older, time := <<"20", _/binary>>}, Last),
    ?assertEqual(
        #{lost => pid(Older), won => pid(Newer)}, maps:with([lost, won], Last)
    ),
    ?assertMatch(
        #{last_conflict := none}, holt_ct:call(A, holt_registry, explain, [Reg, another])
    ).

%% A few lines, and then how many there would have been.
log_is_not_flooded(Config) ->
    {Reg, Options, [A, B, _]} = given(Config, #{}),
    Nodes = [A, B],
    _ = [holt_ct:start_registry(Node, Options) || Node <- Nodes],
    await_agreement(Nodes, Reg),
    #{level := Level} = holt_ct:call(A, logger, get_primary_config, []),
    ok = holt_ct:call(A, logger, set_primary_config, [level, notice]),
    ok = holt_ct:call(A, logger, add_handler, [?MODULE, ?MODULE, #{}]),
    ok = holt_test:cut(A, B),
    [
        %% Those of A are older.
        holt_ct:call(Node, fun() ->
            _ = [holt_ct:register(Reg, N, N, []) || N <- lists:seq(1, ?MANY)],
            tick()
        end)
     || Node <- [A, B]
    ],
    ok = holt_test:heal(A, B),
    holt_ct:await(A, fun() ->
        #{conflicts := Lost} = holt_cluster:info(Reg),
        Lost =:= ?MANY orelse Lost
    end),
    Lines = holt_ct:call(A, fun() ->
        ok = logger:remove_handler(?MODULE),
        ok = logger:set_primary_config(level, Level),
        counters:get(persistent_term:get(?MODULE), 2)
    end),
    ct:pal("~b lines for ~b conflicts", [Lines, ?MANY]),
    ?assert(Lines >= 1 andalso Lines =< 10).

log(#{meta := #{domain := [holt]}, msg := {Format, _}}, _Config) when is_list(Format) ->
    case string:find(Format, "has lost the name") of
        nomatch -> ok;
        _ -> counters:add(persistent_term:get(?MODULE), 2, 1)
    end;
log(_, _) ->
    ok.

%%--------------------------------------------------------------------
%% What the cases share

given(Config, Options) ->
    Reg = registry(Config),
    {Reg, Options#{name => Reg}, nodes_of(Config)}.

%% Two that have met have given one name, and do not know it yet; and who waits for the end of
%% each holder.
two_watched({Reg, Base, [A, B, _]} = Case, More, Flags) ->
    apart(Reg, Base, More, [A, B]),
    two_of_one_name(Case, Flags).

two_of_one_name({Reg, _, [A, B, _]}, Flags) ->
    Older = holt_ct:call(A, fun() ->
        Pid = holt_ct:register(Reg, key, older, Flags),
        tick(),
        Pid
    end),
    Newer = holt_ct:call(B, fun() -> holt_ct:register(Reg, key, newer, Flags) end),
    Watched = {watched(A, Older), watched(B, Newer)},
    together(Reg, [A, B]),
    Watched.

apart(Reg, Base, More, Nodes) ->
    _ = [holt_ct:start_registry(Node, maps:merge(Base, More)) || Node <- Nodes],
    await_agreement(Nodes, Reg),
    Replica = holt_replica:process_name(Reg),
    _ = [ok = holt_ct:call(Node, sys, suspend, [Replica]) || Node <- Nodes],
    ok.

together(Reg, Nodes) ->
    Replica = holt_replica:process_name(Reg),
    _ = [ok = holt_ct:call(Node, sys, resume, [Replica]) || Node <- Nodes],
    ok.

watched(Node, Pid) ->
    {Pid, holt_ct:exit_watch(Node, Pid)}.

pid({Pid, _Watcher}) ->
    Pid.

reason(Node, {_Pid, Watcher}) ->
    holt_ct:exit_reason(Node, Watcher).
