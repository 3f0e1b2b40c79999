%% SPDX-License-Identifier: Apache-2.0
%% @doc Registries on one node: every function, every refusal, every end.
-module(holt_registry_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

all() ->
    [
        name_is_registered_found_and_removed,
        name_goes_by_via,
        value_is_updated_by_its_owner,
        value_that_is_not_given_is_undefined,
        keys_are_compared_exactly,
        names_are_listed,
        wrong_use_says_what_is_wrong,
        wrong_use_is_readable_in_the_shell,
        limits_are_options,
        started_twice_is_refused,
        application_not_started_is_said,
        fifty_processes_one_name,
        dead_process_leaves_no_name,
        successor_takes_the_name_at_once,
        supervisor_restarts_a_thousand_times,
        process_with_a_thousand_names_dies,
        instances_are_independent,
        registry_in_a_supervision_tree,
        replica_killed_keeps_names,
        root_killed_and_restarted_keeps_names,
        root_killed_for_good_ends_the_instance,
        root_ends_with_its_parent,
        root_gives_up_on_its_replica,
        orphan_still_works,
        orphan_is_adopted_with_the_same_options,
        janitor_killed_still_adopts,
        application_restarted_watches_again,
        stopped_and_started_is_empty,
        stopped_in_every_way,
        root_answers_as_a_supervisor,
        code_reloaded_keeps_names,
        status_is_readable,
        strange_messages_are_dropped
    ].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(holt),
    Config.

end_per_suite(_Config) ->
    application:stop(holt).

%% Every case has a registry of its own, by the name of the case.
init_per_testcase(Case, Config) ->
    start(#{name => Case}),
    [{registry, Case} | Config].

end_per_testcase(Case, _Config) ->
    _ = [holt_registry:stop(Case) || is_pid(whereis(Case))],
    ok.

%%--------------------------------------------------------------------
%% Names

name_is_registered_found_and_removed(Config) ->
    Reg = registry(Config),
    Self = self(),
    ?assertEqual([], holt_registry:lookup(Reg, key)),
    {ok, Replica} = holt_registry:register(Reg, key, {some, "value"}),
    ?assertEqual(whereis(holt_replica:process_name(Reg)), Replica),
    ?assertEqual([{Self, {some, "value"}}], holt_registry:lookup(Reg, key)),
    ?assert(holt_registry:is_registered(Reg, key)),
    ?assertEqual(
        {error, {already_registered, Self}}, holt_registry:register(Reg, key, {some, "value"})
    ),
    ?assertEqual(ok, holt_registry:unregister(Reg, key)),
    ?assertEqual([], holt_registry:lookup(Reg, key)),
    ?assertNot(holt_registry:is_registered(Reg, key)),
    ?assertEqual(ok, holt_registry:unregister(Reg, key)),
    {ok, Replica} = holt_registry:register(Reg, key, again),
    ?assertEqual([{Self, again}], holt_registry:lookup(Reg, key)),
    %% Anybody may remove a name, and the process keeps the others.
    Other = holt_ct:register(Reg, other, 1, []),
    {ok, _} = holt_ct:do(Other, fun() -> holt_registry:register(Reg, another, 2) end),
    ?assertEqual(ok, holt_registry:unregister(Reg, other)),
    ?assertEqual([another], holt_registry:keys(Reg, Other)),
    exit(Other, kill).

name_goes_by_via(Config) ->
    Reg = registry(Config),
    Via = {via, holt_registry, {Reg, "agent 7"}},
    ?assertEqual(undefined, holt_registry:whereis_name({Reg, "agent 7"})),
    ?assertExit({noproc, _}, gen_server:call(Via, anything)),
    {ok, Pid} = holt_ct:start_link(Via),
    ?assertEqual(Pid, holt_registry:whereis_name({Reg, "agent 7"})),
    ?assertEqual(Pid, holt_registry:whereis_name({Reg, "agent 7", ignored})),
    ?assertEqual({error, {already_started, Pid}}, holt_ct:start_link(Via)),
    ?assertEqual(node(), holt_ct:on(Via)),
    ok = gen_server:cast(Via, {tell, self(), cast}),
    receive
        cast -> ok
    end,
    ?assertEqual(Pid, holt_registry:send({Reg, "agent 7"}, {ask, self()})),
    receive
        {answer, Pid} -> ok
    end,
    {ok, Valued} = holt_ct:start_link({via, holt_registry, {Reg, valued, #{a => 1}}}),
    ?assertEqual([{Valued, #{a => 1}}], holt_registry:lookup(Reg, valued)),
    ?assertEqual(no, holt_registry:register_name({Reg, valued}, self())),
    ?assertEqual(yes, holt_registry:register_name({Reg, mine, 1}, self())),
    ?assertEqual(ok, holt_registry:unregister_name({Reg, mine})),
    ?assertEqual(undefined, holt_registry:whereis_name({Reg, mine})),
    ?assertEqual(ok, holt_registry:unregister_name({Reg, mine})),
    %% As OTP calls it when init fails: what another process has by now stays.
    ?assertEqual({error, not_owner}, holt_registry:unregister_name({Reg, valued})),
    ?assertEqual(Valued, holt_registry:whereis_name({Reg, valued})),
    ok = gen_server:stop(Via),
    ?assertEqual(undefined, holt_registry:whereis_name({Reg, "agent 7"})),
    ?assertExit({noproc, _}, gen_server:call(Via, anything)).

value_is_updated_by_its_owner(Config) ->
    Reg = registry(Config),
    Add = fun(N) -> N + 1 end,
    {ok, _} = holt_registry:register(Reg, key, 1),
    ?assertEqual({2, 1}, holt_registry:update_value(Reg, key, Add)),
    ?assertEqual({3, 2}, holt_registry:update_value(Reg, key, Add)),
    ?assertEqual([{self(), 3}], holt_registry:lookup(Reg, key)),
    ?assertEqual(error, holt_registry:update_value(Reg, nobodys, Add)),
    Other = holt_ct:register(Reg, other, 1, []),
    ?assertEqual(error, holt_registry:update_value(Reg, other, Add)),
    ?assertEqual([{Other, 1}], holt_registry:lookup(Reg, other)),
    %% What the fun raises is raised, and nothing changes.
    ?assertError(badarith, holt_registry:update_value(Reg, key, fun(N) -> N / zero() end)),
    ?assertEqual([{self(), 3}], holt_registry:lookup(Reg, key)),
    %% Somebody else changes it while the fun runs: the fun sees the change.
    Again = fun
        (3) ->
            {4, 3} = holt_registry:update_value(Reg, key, Add),
            lost;
        (4) ->
            5
    end,
    ?assertEqual({5, 4}, holt_registry:update_value(Reg, key, Again)),
    Vanishes = fun(_) -> holt_registry:unregister(Reg, key) end,
    ?assertEqual(error, holt_registry:update_value(Reg, key, Vanishes)),
    exit(Other, kill).

value_that_is_not_given_is_undefined(Config) ->
    Reg = registry(Config),
    yes = holt_registry:register_name({Reg, a}, self()),
    {ok, _} = holt_registry:register(Reg, b, undefined),
    {ok, _} = holt_registry:register(Reg, c, <<>>),
    {ok, _} = holt_registry:register(Reg, d, fun lists:reverse/1),
    ?assertEqual([{self(), undefined}], holt_registry:lookup(Reg, a)),
    ?assertEqual([{self(), undefined}], holt_registry:lookup(Reg, b)),
    ?assertEqual([{self(), <<>>}], holt_registry:lookup(Reg, c)),
    ?assertEqual([{self(), fun lists:reverse/1}], holt_registry:lookup(Reg, d)),
    ?assertEqual({1, undefined}, holt_registry:update_value(Reg, a, fun(_) -> 1 end)),
    ?assertEqual({undefined, 1}, holt_registry:update_value(Reg, a, fun(_) -> undefined end)).

keys_are_compared_exactly(Config) ->
    Reg = registry(Config),
    Keys = [
        1,
        1.0,
        0.0,
        -0.0,
        '1',
        "1",
        <<"1">>,
        <<1:3>>,
        [],
        {},
        #{},
        [1 | 2],
        1 bsl 70,
        -(1 bsl 70),
        {1, [2, #{3 => 4}]},
        {1, [2, #{3 => 4.0}]},
        'ключ',
        self(),
        make_ref(),
        lists:seq(1, 100),
        binary:copy(<<"x">>, 5000)
    ],
    _ = [{ok, _} = holt_registry:register(Reg, Key, {value, Key}) || Key <- Keys],
    ?assertEqual(length(Keys), holt_registry:count(Reg)),
    _ = [
        ?assert([{self(), {value, Key}}] =:= holt_registry:lookup(Reg, Key))
     || Key <- Keys
    ],
    ?assertEqual(lists:sort(fun before/2, Keys), sorted(holt_registry:keys(Reg, self()))).

names_are_listed(Config) ->
    Reg = registry(Config),
    ?assertEqual([], holt_registry:to_list(Reg)),
    ?assertEqual([], holt_registry:keys(Reg, self())),
    ?assertEqual(0, holt_registry:count(Reg)),
    Other = holt_ct:start(),
    Mine = [{{mine, N}, self(), N} || N <- lists:seq(1, 3000)],
    Theirs = [{{theirs, N}, Other, N} || N <- lists:seq(1, 3000)],
    _ = [
        yes = holt_registry:register_name({Reg, Key, Value}, Pid)
     || {Key, Pid, Value} <- Mine ++ Theirs
    ],
    ?assertEqual(6000, holt_registry:count(Reg)),
    %% No call goes on for long.
    {Slice, _} = holt_nif:next(Reg, 0, all),
    ?assert(length(Slice) < 600),
    ?assertEqual(Mine ++ Theirs, lists:sort(holt_registry:to_list(Reg))),
    ?assertEqual(keys_of(Mine), lists:sort(holt_registry:keys(Reg, self()))),
    ?assertEqual(keys_of(Theirs), lists:sort(holt_registry:keys(Reg, Other))),
    holt_ct:kill(Other),
    ?assertEqual([], holt_registry:keys(Reg, Other)),
    ?assertEqual(Mine, lists:sort(holt_registry:to_list(Reg))),
    holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 3000 end).

%%--------------------------------------------------------------------
%% Wrong use

wrong_use_says_what_is_wrong(Config) ->
    Reg = registry(Config),
    Fun = fun() -> ok end,
    NoInstance = "no registry named nowhere on this node",
    FunInKey = "a key cannot hold a fun",
    TooLarge = "the key takes more bytes than the registry's key_bytes_max",
    NotAName = "not of the form {Registry, Key} or {Registry, Key, Value}",
    Large = binary:copy(<<"x">>, 9000),
    Deep = lists:foldl(fun(_, Key) -> {Key} end, key, lists:seq(1, 4000)),
    ValueTooLarge =
        "the value takes 1048582 bytes, more than the registry's value_bytes_max of 1048576",
    Value = binary:copy(<<"x">>, 1048576),
    dead = dead(Dead = spawn(fun() -> ok end)),
    Remote = remote_pid(),
    {ok, _} = holt_registry:register(Reg, mine, 1),
    Cases = [
        {1, NoInstance, fun() -> holt_registry:register(nowhere, key, 1) end},
        {1, NoInstance, fun() -> holt_registry:unregister(nowhere, key) end},
        {1, NoInstance, fun() -> holt_registry:lookup(nowhere, key) end},
        {1, NoInstance, fun() -> holt_registry:is_registered(nowhere, key) end},
        {1, NoInstance, fun() -> holt_registry:keys(nowhere, self()) end},
        {1, NoInstance, fun() -> holt_registry:count(nowhere) end},
        {1, NoInstance, fun() -> holt_registry:to_list(nowhere) end},
        {1, NoInstance, fun() -> holt_registry:update_value(nowhere, key, fun same/1) end},
        {1, NoInstance, fun() -> holt_registry:register_name({nowhere, key}, self()) end},
        {1, NoInstance, fun() -> holt_registry:unregister_name({nowhere, key}) end},
        {1, NoInstance, fun() -> holt_registry:whereis_name({nowhere, key}) end},
        {1, NoInstance, fun() -> holt_registry:send({nowhere, key}, hello) end},
        {1, NoInstance, fun() -> holt_registry:stop(nowhere) end},
        {1, NoInstance, fun() -> holt_registry:stop(nowhere, normal) end},
        {1, NoInstance, fun() -> holt_registry:stop(nowhere, normal, 1000) end},
        {1, NoInstance, fun() -> holt_cluster:members(nowhere) end},
        {1, NoInstance, fun() -> holt_cluster:members(nowhere, all) end},
        {1, NoInstance, fun() -> holt_cluster:peers(nowhere) end},
        {1, NoInstance, fun() -> holt_cluster:in_sync(nowhere) end},
        {1, NoInstance, fun() -> holt_cluster:info(nowhere) end},
        {1, "no registry named \"text\" on this node", fun() -> holt_cluster:peers("text") end},
        {2, "neither left out nor the atom all", fun() -> holt_cluster:members(Reg, some) end},
        {1, "no registry named \"text\" on this node", fun() ->
            holt_registry:lookup("text", key)
        end},
        {1, "no registry named kernel_sup on this node", fun() ->
            holt_registry:stop(kernel_sup)
        end},
        {1, "no registry named My.Registry on this node", fun() ->
            holt_registry:count('Elixir.My.Registry')
        end},
        {2, FunInKey, fun() -> holt_registry:register(Reg, Fun, 1) end},
        {2, FunInKey, fun() -> holt_registry:register(Reg, [{#{a => Fun}}], 1) end},
        {2, FunInKey, fun() -> holt_registry:register(Reg, fun lists:reverse/1, 1) end},
        {2, FunInKey, fun() -> holt_registry:unregister(Reg, Fun) end},
        {2, FunInKey, fun() -> holt_registry:lookup(Reg, Fun) end},
        {2, FunInKey, fun() -> holt_registry:is_registered(Reg, Fun) end},
        {2, FunInKey, fun() -> holt_registry:update_value(Reg, Fun, fun same/1) end},
        {1, FunInKey, fun() -> holt_registry:register_name({Reg, Fun}, self()) end},
        {1, FunInKey, fun() -> holt_registry:unregister_name({Reg, Fun}) end},
        {1, FunInKey, fun() -> holt_registry:whereis_name({Reg, Fun}) end},
        {1, FunInKey, fun() -> holt_registry:send({Reg, Fun}, hello) end},
        {2, TooLarge, fun() -> holt_registry:register(Reg, Large, 1) end},
        {2, TooLarge, fun() -> holt_registry:lookup(Reg, Large) end},
        {1, TooLarge, fun() -> holt_registry:register_name({Reg, Large}, self()) end},
        {2, "the key is nested too deep", fun() -> holt_registry:lookup(Reg, Deep) end},
        {1, NotAName, fun() -> holt_registry:register_name(Reg, self()) end},
        {1, NotAName, fun() -> holt_registry:unregister_name({Reg}) end},
        {1, NotAName, fun() -> holt_registry:whereis_name({Reg, 1, 2, 3}) end},
        {1, NotAName, fun() -> holt_registry:send(Reg, hello) end},
        {1, "nobody has this name", fun() -> holt_registry:send({Reg, nobodys}, hello) end},
        {2, "not a pid", fun() -> holt_registry:register_name({Reg, key}, not_a_pid) end},
        {2, "not a pid", fun() -> holt_registry:keys(Reg, not_a_pid) end},
        {3, "not a fun of one argument", fun() -> holt_registry:update_value(Reg, mine, 7) end},
        {3, "not a fun of one argument", fun() -> holt_registry:update_value(Reg, mine, Fun) end},
        {3, ValueTooLarge, fun() ->
            holt_registry:update_value(Reg, mine, fun(_) -> Value end)
        end},
        {1, ValueTooLarge, fun() -> holt_registry:register_name({Reg, key, Value}, self()) end}
    ],
    _ = [?assertEqual([{At, Text}], holt_ct:badarg(Use)) || {At, Text, Use} <- Cases],
    ?assertEqual(
        {error, {too_large, 1048582, 1048576}}, holt_registry:register(Reg, key, Value)
    ),
    ?assertEqual(no, holt_registry:register_name({Reg, key}, Dead)),
    ?assertEqual(no, holt_registry:register_name({Reg, key}, Remote)),
    ?assertEqual([{mine, self(), 1}], holt_registry:to_list(Reg)).

wrong_use_is_readable_in_the_shell(_Config) ->
    try
        holt_registry:lookup(nowhere, key)
    catch
        Class:Reason:Stack ->
            Text = lists:flatten(erl_error:format_exception(Class, Reason, Stack)),
            ?assertMatch([_ | _], string:find(Text, "argument 1: no registry named nowhere"))
    end.

limits_are_options(_Config) ->
    start(#{name => small, key_bytes_max => 20, value_bytes_max => 10}),
    {ok, _} = holt_registry:register(small, <<"1234567890">>, 1),
    TooLarge = fun() -> holt_registry:register(small, <<"12345678901234567890">>, 1) end,
    ?assertMatch([{2, _}], holt_ct:badarg(TooLarge)),
    ?assertEqual(
        {error, {too_large, 26, 10}},
        holt_registry:register(small, key, <<"12345678901234567890">>)
    ),
    ?assertEqual(1, holt_registry:count(small)),
    holt_registry:stop(small).

started_twice_is_refused(Config) ->
    Reg = registry(Config),
    Root = whereis(Reg),
    ?assertEqual({error, {already_started, Root}}, holt_registry:start_link([{name, Reg}])),
    Kernel = whereis(kernel_sup),
    ?assertEqual(
        {error, {already_started, Kernel}}, holt_registry:start_link(#{name => kernel_sup})
    ).

application_not_started_is_said(Config) ->
    Reg = registry(Config),
    {ok, _} = holt_registry:register(Reg, key, 1),
    ok = application:stop(holt),
    ?assertEqual({error, {not_started, holt}}, holt_registry:start_link(#{name => late})),
    %% What runs already is not hurt.
    ?assertEqual([{self(), 1}], holt_registry:lookup(Reg, key)),
    ok = application:start(holt),
    ok = holt_registry:stop(Reg).

%%--------------------------------------------------------------------
%% Processes

fifty_processes_one_name(Config) ->
    Reg = registry(Config),
    lists:foreach(
        fun(Round) ->
            Pids = [holt_ct:start() || _ <- lists:seq(1, 50)],
            Self = self(),
            _ = [
                spawn_link(fun() ->
                    Register = fun() -> holt_registry:register(Reg, Round, Pid) end,
                    Self ! {Pid, holt_ct:do(Pid, Register)}
                end)
             || Pid <- Pids
            ],
            Answers = [
                receive
                    {Pid, Answer} -> {Pid, Answer}
                end
             || Pid <- Pids
            ],
            [Winner] = [Pid || {Pid, {ok, _}} <- Answers],
            Losers = [Pid || {Pid, {error, {already_registered, P}}} <- Answers, P =:= Winner],
            ?assertEqual(49, length(Losers)),
            ?assert(lists:all(fun is_process_alive/1, Pids)),
            ?assertEqual([{Winner, Winner}], holt_registry:lookup(Reg, Round)),
            _ = [exit(Pid, kill) || Pid <- Pids]
        end,
        lists:seq(1, 20)
    ).

dead_process_leaves_no_name(Config) ->
    Reg = registry(Config),
    lists:foreach(
        fun(N) ->
            Pid = holt_ct:register(Reg, N, value, []),
            holt_ct:kill(Pid),
            %% From the first moment on, not some time later.
            ?assertEqual([], holt_registry:lookup(Reg, N)),
            ?assertEqual(undefined, holt_registry:whereis_name({Reg, N})),
            ?assertEqual([], holt_registry:keys(Reg, Pid))
        end,
        lists:seq(1, 500)
    ),
    holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 0 end).

successor_takes_the_name_at_once(Config) ->
    Reg = registry(Config),
    lists:foldl(
        fun(N, Pid) ->
            holt_ct:kill(Pid),
            Successor = holt_ct:register(Reg, key, N, []),
            ?assertEqual([{Successor, N}], holt_registry:lookup(Reg, key)),
            Successor
        end,
        holt_ct:register(Reg, key, 0, []),
        lists:seq(1, 1000)
    ),
    ?assertEqual(1, holt_registry:count(Reg)).

supervisor_restarts_a_thousand_times(Config) ->
    Reg = registry(Config),
    Via = {via, holt_registry, {Reg, child}},
    Self = self(),
    {ok, Sup} = restarting_sup:start_link(fun() ->
        Answer = holt_ct:start_link(Via),
        Self ! {started, Answer},
        Answer
    end),
    Kill = fun
        Loop(0) ->
            ok;
        Loop(N) ->
            receive
                {started, {ok, Pid}} ->
                    exit(Pid, kill),
                    Loop(N - 1);
                {started, Other} ->
                    error({Other, N})
            end
    end,
    Kill(1000),
    receive
        {started, {ok, Last}} -> ?assertEqual(Last, holt_registry:whereis_name({Reg, child}))
    end,
    unlink(Sup),
    ok = gen_server:stop(Sup).

process_with_a_thousand_names_dies(Config) ->
    Reg = registry(Config),
    Pid = holt_ct:start(),
    _ = [yes = holt_registry:register_name({Reg, N}, Pid) || N <- lists:seq(1, 1000)],
    ?assertEqual(1000, holt_registry:count(Reg)),
    holt_ct:kill(Pid),
    ?assertEqual([], holt_registry:to_list(Reg)),
    _ = [{ok, _} = holt_registry:register(Reg, N, mine) || N <- lists:seq(1, 10)],
    holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 10 end).

%%--------------------------------------------------------------------
%% Instances

instances_are_independent(Config) ->
    Reg = registry(Config),
    Others = [one, two, 'Elixir.My.Registry', 'реестр'],
    _ = [start([{name, Other}]) || Other <- Others],
    _ = [{ok, _} = holt_registry:register(R, key, R) || R <- [Reg | Others]],
    _ = [?assertEqual([{self(), R}], holt_registry:lookup(R, key)) || R <- [Reg | Others]],
    ok = holt_registry:unregister(one, key),
    ?assertEqual([], holt_registry:lookup(one, key)),
    ok = holt_registry:stop(two),
    _ = [
        ?assertEqual([{self(), R}], holt_registry:lookup(R, key))
     || R <- [Reg | Others] -- [one, two]
    ],
    _ = [holt_registry:stop(R) || R <- Others -- [two]].

registry_in_a_supervision_tree(_Config) ->
    {ok, Sup} = restarting_sup:start_link_specs([holt_registry:child_spec([{name, tree}])]),
    [{tree, Root, supervisor, _}] = supervisor:which_children(Sup),
    ?assertEqual(Root, whereis(tree)),
    {ok, _} = holt_registry:register(tree, key, 1),
    holt_ct:kill(Root),
    holt_ct:wait_until(fun() -> is_pid(whereis(tree)) end),
    ?assertEqual([{self(), 1}], holt_registry:lookup(tree, key)),
    unlink(Sup),
    ok = gen_server:stop(Sup),
    ?assertMatch([{1, _}], holt_ct:badarg(fun() -> holt_registry:lookup(tree, key) end)).

replica_killed_keeps_names(Config) ->
    Reg = registry(Config),
    Process = holt_replica:process_name(Reg),
    {ok, _} = holt_registry:register(Reg, key, 1),
    Replica = whereis(Process),
    holt_ct:kill(Replica),
    ?assertEqual([{self(), 1}], holt_registry:lookup(Reg, key)),
    {ok, _} = holt_registry:register(Reg, meanwhile, 2),
    holt_ct:wait_until(fun() -> not lists:member(whereis(Process), [undefined, Replica]) end),
    %% It has its name before it adopts the instance; it answers after that.
    _ = sys:get_state(Process),
    {ok, New} = holt_registry:register(Reg, later, 3),
    ?assertEqual(whereis(Process), New),
    ?assertEqual(
        [{key, self(), 1}, {later, self(), 3}, {meanwhile, self(), 2}],
        lists:sort(holt_registry:to_list(Reg))
    ),
    %% The deaths of processes are still seen.
    Pid = holt_ct:register(Reg, other, 4, []),
    exit(Pid, kill),
    holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 3 end).

root_killed_and_restarted_keeps_names(Config) ->
    Reg = registry(Config),
    Pid = holt_ct:register(Reg, key, 1, []),
    #{actor := Actor} = holt_cluster:info(Reg),
    kill_root(Reg),
    %% An orphan still answers.
    ?assertEqual([{Pid, 1}], holt_registry:lookup(Reg, key)),
    start(#{name => Reg}),
    ?assertEqual([{Pid, 1}], holt_registry:lookup(Reg, key)),
    ?assertMatch(#{actor := Actor}, holt_cluster:info(Reg)),
    exit(Pid, kill),
    holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 0 end),
    %% With other options it is another instance.
    {ok, _} = holt_registry:register(Reg, key, 2),
    kill_root(Reg),
    start(#{name => Reg, key_bytes_max => 100}),
    ?assertEqual([], holt_registry:lookup(Reg, key)),
    %% Many times in a row.
    {ok, _} = holt_registry:register(Reg, key, 3),
    _ = [
        begin
            kill_root(Reg),
            start(#{name => Reg, key_bytes_max => 100})
        end
     || _ <- lists:seq(1, 50)
    ],
    ?assertEqual([{self(), 3}], holt_registry:lookup(Reg, key)).

root_killed_for_good_ends_the_instance(_Config) ->
    start(#{name => orphan, orphan_ms => 50}),
    {ok, _} = holt_registry:register(orphan, key, 1),
    kill_root(orphan),
    holt_ct:wait_until(fun() -> holt_nif:count(orphan) =:= {invalid, no_instance} end),
    start(#{name => orphan, orphan_ms => 50}),
    ?assertEqual([], holt_registry:lookup(orphan, key)),
    holt_registry:stop(orphan).

%% In order it takes the instance with it, else the instance waits.
root_ends_with_its_parent(_Config) ->
    End = fun(Reason) ->
        Self = self(),
        Parent = spawn(fun() ->
            {ok, _} = holt_registry:start_link(#{name => child}),
            Self ! {self(), started},
            receive
                {stop, R} -> exit(R)
            end
        end),
        receive
            {Parent, started} -> ok
        end,
        {ok, _} = holt_registry:register(child, key, Reason),
        Root = whereis(child),
        Parent ! {stop, Reason},
        ?assertEqual(Reason, holt_ct:exit_of(Root)),
        holt_nif:count(child)
    end,
    Gone = {invalid, no_instance},
    _ = [?assertEqual({R, Gone}, {R, End(R)}) || R <- [normal, shutdown, {shutdown, why}]],
    %% The next parent finds the instance as it was.
    ?assertEqual(1, End(crash)),
    ?assertEqual([{self(), crash}], holt_registry:lookup(child, key)),
    start(#{name => child}),
    ?assertEqual([{self(), crash}], holt_registry:lookup(child, key)),
    ok = holt_registry:stop(child),
    ?assertEqual(1, End({badmatch, 1})),
    ok = holt_registry:stop(child),
    ?assertEqual(Gone, holt_nif:count(child)).

%% More crashes than it lets pass.
root_gives_up_on_its_replica(Config) ->
    Reg = registry(Config),
    Process = holt_replica:process_name(Reg),
    {ok, _} = holt_registry:register(Reg, key, 1),
    Root = whereis(Reg),
    Monitor = monitor(process, Root),
    holt_ct:wait_until(fun() ->
        _ = [holt_ct:kill(Replica) || Replica <- [whereis(Process)], is_pid(Replica)],
        not is_process_alive(Root)
    end),
    receive
        {'DOWN', Monitor, process, Root, Reason} ->
            ?assertEqual({replica_crashed, killed}, Reason)
    end,
    start(#{name => Reg}),
    ?assertEqual([{self(), 1}], holt_registry:lookup(Reg, key)).

orphan_still_works(_Config) ->
    Reg = orphan,
    Options = #{name => Reg, orphan_ms => 600000},
    start(Options),
    Pid = holt_ct:register(Reg, key, 1, []),
    kill_root(Reg),
    Replica = holt_replica:process_name(Reg),
    holt_ct:wait_until(fun() -> whereis(Replica) =:= undefined end),
    ?assertEqual([{Pid, 1}], holt_registry:lookup(Reg, key)),
    {ok, _} = holt_registry:register(Reg, mine, 2),
    {3, 2} = holt_registry:update_value(Reg, mine, fun(N) -> N + 1 end),
    holt_ct:kill(Pid),
    ?assertEqual([], holt_registry:lookup(Reg, key)),
    {ok, _} = holt_registry:register(Reg, key, 4),
    ?assertEqual(ok, holt_registry:unregister(Reg, key)),
    ?assertEqual([{mine, self(), 3}], holt_registry:to_list(Reg)),
    ?assertEqual([{Reg, node()}], holt_cluster:members(Reg)),
    %% And after it was adopted.
    start(Options),
    ?assertEqual([{mine, self(), 3}], holt_registry:to_list(Reg)),
    Other = holt_ct:register(Reg, key, 5, []),
    kill_root(Reg),
    start(Options),
    exit(Other, kill),
    holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 1 end),
    ok = holt_registry:stop(Reg),
    %% An orphan can be stopped; once.
    start(Options),
    kill_root(Reg),
    ?assertEqual(ok, holt_registry:stop(Reg)),
    ?assertMatch([{1, _}], holt_ct:badarg(fun() -> holt_registry:stop(Reg) end)),
    start(Options),
    ?assertEqual(0, holt_registry:count(Reg)),
    %% Not with a process of another kind that has taken the name.
    kill_root(Reg),
    Squatter = holt_ct:start(),
    true = register(Reg, Squatter),
    ?assertEqual({error, {already_started, Squatter}}, holt_registry:start_link(Options)),
    ?assertEqual(ok, holt_registry:stop(Reg)),
    ?assert(is_process_alive(Squatter)),
    exit(Squatter, kill).

%% Each option counts; one that is given as it is by default is the same.
orphan_is_adopted_with_the_same_options(_Config) ->
    Base = #{name => orphan, orphan_ms => 600000},
    Start = fun(Options) ->
        start(Options),
        #{actor := Actor} = holt_cluster:info(orphan),
        kill_root(orphan),
        Actor
    end,
    First = Start(Base),
    Same = [{value_bytes_max, 1048576}, {keys, unique}, {conflict_grace_ms, 5000}],
    ?assertEqual(First, Start(maps:merge(Base, maps:from_list(Same)))),
    ?assertEqual(First, Start(Same ++ maps:to_list(Base))),
    Others = [
        {vector_interval_ms, 999},
        {replica_restart_ms, 1999},
        {probe_ms, 499},
        {vouch_ms, 1999},
        {flap_ms_max, 29999},
        {forget_after_ms, 86400001},
        {clock_bound_ms, 4999},
        {window_bytes, 262143},
        {message_bytes_max, 65535},
        {key_bytes_max, 8191},
        {value_bytes_max, 1048575},
        {orphan_ms, 599999},
        {conflict_grace_ms, 4999},
        {conflict_exit, bare},
        {settle_ms, 999}
    ],
    Actors = [Start(Base#{Key => Value}) || {Key, Value} <- Others],
    ?assertEqual(length(Others), length(lists:usort(Actors -- [First]))),
    start(Base),
    ok = holt_registry:stop(orphan).

janitor_killed_still_adopts(_Config) ->
    start(#{name => orphan, orphan_ms => 50}),
    {ok, _} = holt_registry:register(orphan, key, 1),
    Janitor = whereis(holt_janitor),
    holt_ct:kill(Janitor),
    holt_ct:wait_until(fun() -> is_pid(whereis(holt_janitor)) end),
    ?assertEqual([{self(), 1}], holt_registry:lookup(orphan, key)),
    kill_root(orphan),
    holt_ct:wait_until(fun() -> holt_nif:count(orphan) =:= {invalid, no_instance} end).

%% Roots live in the trees of others and outlive it.
application_restarted_watches_again(Config) ->
    Reg = registry(Config),
    Short = #{name => short, orphan_ms => 50},
    _ = [start(Short#{name => Name}) || Name <- [short, shorter, ended, stopped]],
    Names = [Reg, short, shorter, ended, stopped],
    _ = [{ok, _} = holt_registry:register(Name, key, 1) || Name <- Names],
    ok = application:stop(holt),
    _ = [?assertEqual([{self(), 1}], holt_registry:lookup(Name, key)) || Name <- Names],
    {ok, _} = holt_registry:register(short, meanwhile, 2),
    %% Without the application nobody notices this one, and these need nobody.
    kill_root(shorter),
    ok = holt_registry:stop(ended),
    kill_root(stopped),
    ok = holt_registry:stop(stopped),
    ?assertMatch([{1, _}], holt_ct:badarg(fun() -> holt_registry:stop(stopped) end)),
    ok = application:start(holt),
    Gone = fun(Name) ->
        holt_ct:wait_until(fun() -> holt_nif:count(Name) =:= {invalid, no_instance} end)
    end,
    Gone(shorter),
    Gone(ended),
    ?assertEqual([{meanwhile, self(), 2}, {key, self(), 1}], lists:reverse(
        lists:sort(holt_registry:to_list(short))
    )),
    kill_root(short),
    Gone(short),
    kill_root(Reg),
    start(#{name => Reg}),
    ?assertEqual([{self(), 1}], holt_registry:lookup(Reg, key)),
    ok = holt_registry:stop(Reg).

stopped_and_started_is_empty(Config) ->
    Reg = registry(Config),
    lists:foreach(
        fun(N) ->
            {ok, _} = holt_registry:register(Reg, key, N),
            ok = holt_registry:stop(Reg),
            ?assertMatch([{1, _}], holt_ct:badarg(fun() -> holt_registry:count(Reg) end)),
            start(#{name => Reg}),
            ?assertEqual([], holt_registry:lookup(Reg, key)),
            ?assertEqual(0, holt_registry:count(Reg))
        end,
        lists:seq(1, 20)
    ).

stopped_in_every_way(Config) ->
    Reg = registry(Config),
    Ways = [
        {normal, fun() -> holt_registry:stop(Reg) end},
        {shutdown, fun() -> holt_registry:stop(Reg, shutdown) end},
        {{shutdown, why}, fun() -> holt_registry:stop(Reg, {shutdown, why}, 5000) end},
        {why_not, fun() -> holt_registry:stop(Reg, why_not) end}
    ],
    lists:foreach(
        fun({Reason, Stop}) ->
            Monitor = monitor(process, Reg),
            ok = Stop(),
            receive
                {'DOWN', Monitor, process, _, Got} -> ?assertEqual(Reason, Got)
            end,
            ?assertEqual(undefined, whereis(Reg)),
            ?assertEqual({invalid, no_instance}, holt_nif:count(Reg)),
            start(#{name => Reg})
        end,
        Ways
    ).

%% What tools ask.
root_answers_as_a_supervisor(Config) ->
    Reg = registry(Config),
    Root = whereis(Reg),
    Replica = whereis(holt_replica:process_name(Reg)),
    Events = whereis(holt_events:process_name(Reg)),
    ?assertEqual(
        [{replica, Replica, worker, [holt_replica]}, {events, Events, worker, [holt_events]}],
        supervisor:which_children(Reg)
    ),
    ?assertEqual(
        [{active, 2}, {specs, 2}, {supervisors, 0}, {workers, 2}],
        lists:sort(supervisor:count_children(Reg))
    ),
    ?assertEqual({error, unsupported}, gen_server:call(Reg, anything)),
    ok = gen_server:cast(Reg, anything),
    Reg ! {'EXIT', spawn(fun() -> ok end), boom},
    Reg ! anything,
    ?assertMatch({status, Root, _, _}, sys:get_status(Reg)).

code_reloaded_keeps_names(Config) ->
    Reg = registry(Config),
    {ok, _} = holt_registry:register(Reg, key, 1),
    _ = [
        begin
            _ = code:purge(holt_nif),
            {module, holt_nif} = code:load_file(holt_nif),
            ?assertEqual([{self(), 1}], holt_registry:lookup(Reg, key))
        end
     || _ <- lists:seq(1, 3)
    ],
    _ = code:purge(holt_nif),
    Pid = holt_ct:register(Reg, other, 2, []),
    exit(Pid, kill),
    holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 1 end),
    ok = holt_registry:stop(Reg).

status_is_readable(Config) ->
    Reg = registry(Config),
    {ok, _} = holt_registry:register(Reg, key, 1),
    Replica = holt_replica:process_name(Reg),
    Text = lists:flatten(io_lib:format("~p", [sys:get_status(Replica)])),
    _ = [
        ?assertMatch({Word, [_ | _]}, {Word, string:find(Text, Word)})
     || Word <- ["version", "actors", "peers", "count => 1", "dropped => 0"]
    ],
    ?assertMatch(
        #{
            name := Reg,
            count := 1,
            member := {Reg, _},
            actors := [#{rows := 1, sight := self, voucher := undefined, shown := true}],
            peers := [],
            refused := Refused
        } when Refused =:= #{},
        holt_cluster:info(Reg)
    ),
    ?assertEqual([{Reg, node()}], holt_cluster:members(Reg)),
    #{actor := Actor} = holt_cluster:info(Reg),
    Self = #{
        member => {Reg, node()},
        actor => Actor,
        state => present,
        contact => self,
        voucher => undefined,
        absent_ms => 0,
        shown => true,
        names => 1,
        version => 1
    },
    ?assertEqual([Self], holt_cluster:members(Reg, all)),
    ?assertEqual([], holt_cluster:peers(Reg)),
    ?assert(holt_cluster:in_sync(Reg)),
    Counters = [
        creation, memory_bytes, gaps, duplicates, repairs, repairs_served, stalls, diverged,
        conflicts, mixed_rules, stamps_refused, stamps_capped, asks, probes, vouches,
        vouches_lapsed, forwarded, forwarded_bytes, flaps, backwards
    ],
    Info = holt_cluster:info(Reg),
    _ = [?assertMatch({_, N} when is_integer(N), {C, maps:get(C, Info)}) || C <- Counters].

strange_messages_are_dropped(Config) ->
    Reg = registry(Config),
    Process = whereis(holt_replica:process_name(Reg)),
    {ok, _} = holt_registry:register(Reg, key, 1),
    Messages = [
        hello,
        {},
        {holt_hello, self(), Reg, <<>>, []},
        {holt_hello, self(), Reg, not_a_binary, []},
        {holt_hello, not_a_pid, Reg, <<>>, []},
        {holt_hello, self(), other, <<>>, []},
        {holt_data, <<>>, <<>>},
        {holt_data, 1, 2},
        {holt_data, random_bytes(17), random_bytes(100)},
        {timeout, make_ref(), poll},
        {nodeup, 'no@where', []},
        {nodedown, 'no@where', []},
        {'DOWN', make_ref(), process, self(), killed},
        {'EXIT', self(), boom},
        {'$gen_cast', anything},
        {'$gen_call', not_a_from, {unregister, nothing}},
        {'$gen_call', {self(), make_ref()}, {await, node(), -1, 7, 0}},
        {'$gen_call', {self(), make_ref()}, {await, node(), 1 bsl 64, 7, 0}},
        {'$gen_call', {self(), make_ref()}, anything},
        holt_wake
    ],
    _ = [Process ! Message || Message <- Messages],
    ?assertMatch({status, _, _, _}, sys:get_status(Process)),
    ?assertEqual(Process, whereis(holt_replica:process_name(Reg))),
    ?assertEqual([{self(), 1}], holt_registry:lookup(Reg, key)),
    ?assertEqual([{Reg, node()}], holt_cluster:members(Reg)).

%%--------------------------------------------------------------------
%% Helpers

registry(Config) ->
    proplists:get_value(registry, Config).

%% Not linked: a case that kills the root goes on.
start(Options) ->
    {ok, Root} = holt_registry:start_link(Options),
    unlink(Root).

kill_root(Reg) ->
    Root = whereis(Reg),
    holt_ct:kill(Root).

keys_of(Entries) ->
    [Key || {Key, _, _} <- Entries].

dead(Pid) ->
    _ = holt_ct:exit_of(Pid),
    dead.

same(Value) ->
    Value.

zero() ->
    list_to_integer("0").

%% A pid of a node that never was.
remote_pid() ->
    binary_to_term(<<131, 88, 119, 7, "no@here", 1:32, 0:32, 1:32>>).

random_bytes(Size) ->
    rand:bytes(Size).

%% An order in which 1 and 1.0, 0.0 and -0.0 are different.
sorted(Keys) ->
    lists:sort(fun before/2, Keys).

before(Left, Right) ->
    {Left, term_to_binary(Left)} =< {Right, term_to_binary(Right)}.
