%% SPDX-License-Identifier: Apache-2.0
%% @doc Who is told of what on one node: subscriptions, waiting, listeners.
-module(holt_events_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

-import(holt_ct_events, [
    follow/3, follow/4, events/1, messages/1, strip/1, types/1, token/1, await_events/2,
    await_replayed/2
]).

%% More lines than the log keeps.
-define(LOG_MAX, 65536).

all() ->
    [
        every_change_is_told_in_order,
        dead_owner_and_its_successor,
        given_away_and_standby,
        duplicate_keys_are_told_by_entry,
        one_key_and_one_prefix,
        existing_names_come_first,
        existing_names_while_others_come_and_go,
        many_changes_come_in_batches,
        subscriber_resumes_by_token,
        old_tokens_have_missed_something,
        slow_subscriber_has_missed_something,
        who_is_slow_is_an_option,
        stopped_subscriber_hinders_nobody,
        ten_thousand_subscribers,
        subscriber_dies,
        unsubscribe_leaves_no_message,
        name_is_awaited,
        await_leaves_no_message,
        await_survives_the_events_process,
        await_ends_with_the_instance,
        listeners_get_messages_of_elixir,
        listeners_see_the_loser_exit_last,
        listeners_are_told_of_each_entry,
        module_gets_callbacks_of_syn,
        callbacks_that_raise_hurt_nobody,
        listener_is_killed,
        events_process_is_killed,
        events_process_is_killed_over_and_over,
        root_is_killed_and_adopted,
        orphan_ends_with_its_subscriptions,
        application_is_restarted,
        stopped_instance_tells_nothing,
        nothing_is_read_for_nobody,
        wrong_use_says_what_is_wrong,
        status_is_readable
    ].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(holt),
    Config.

end_per_suite(_Config) ->
    application:stop(holt).

%% Every case has a registry of its own, by the name of the case.
init_per_testcase(Case, Config) ->
    {ok, _} = application:ensure_all_started(holt),
    start(#{name => Case}),
    [{registry, Case} | Config].

end_per_testcase(Case, _Config) ->
    _ = [holt_registry:stop(Case) || is_pid(whereis(Case))],
    ?assertEqual([], ets:tab2list(holt_subscriptions)),
    ok.

%%--------------------------------------------------------------------
%% Subscriptions

every_change_is_told_in_order(Config) ->
    Reg = registry(Config),
    Follower = follow(node(), Reg, all),
    Pid = holt_ct:register(Reg, a, 1, []),
    holt_ct:do(Pid, fun() ->
        {2, 1} = holt_registry:update_value(Reg, a, fun(N) -> N + 1 end),
        {ok, _} = holt_registry:register(Reg, <<"b">>, undefined),
        ok = holt_registry:unregister(Reg, a),
        {ok, _} = holt_registry:register(Reg, {c, [1]}, fun lists:reverse/1)
    end),
    Told = [
        {registered, user, a, {Pid, 1}, undefined},
        {updated, user, a, {Pid, 2}, {Pid, 1}},
        {registered, user, <<"b">>, {Pid, undefined}, undefined},
        {unregistered, user, a, {Pid, 2}, {Pid, 2}},
        {registered, user, {c, [1]}, {Pid, fun lists:reverse/1}, undefined}
    ],
    await_events(Follower, Told),
    ok = holt_ct:kill(Pid),
    holt_ct:wait_until(fun() -> length(events(Follower)) =:= 7 end),
    ?assertEqual(
        [
            {unregistered, down, {c, [1]}, {Pid, fun lists:reverse/1},
                {Pid, fun lists:reverse/1}},
            {unregistered, down, <<"b">>, {Pid, undefined}, {Pid, undefined}}
        ],
        lists:sort(lists:nthtail(5, strip(events(Follower))))
    ),
    await_replayed(Follower, Reg),
    stop(Follower).

%% Whoever registers at once gets the name before its owner has been cleaned up.
dead_owner_and_its_successor(Config) ->
    Reg = registry(Config),
    Follower = follow(node(), Reg, {key, key}),
    ok = sys:suspend(holt_replica:process_name(Reg)),
    First = holt_ct:register(Reg, key, 1, []),
    ok = holt_ct:kill(First),
    ?assertEqual([], holt_registry:lookup(Reg, key)),
    await_events(Follower, [{registered, user, key, {First, 1}, undefined}]),
    Second = holt_ct:register(Reg, key, 2, []),
    ok = sys:resume(holt_replica:process_name(Reg)),
    await_events(Follower, [
        {registered, user, key, {First, 1}, undefined},
        {registered, down, key, {Second, 2}, {First, 1}}
    ]),
    stop(Follower, [Second]).

given_away_and_standby(Config) ->
    Reg = registry(Config),
    [First, Second, Third] = Pids = [holt_ct:start() || _ <- [1, 2, 3]],
    Follower = follow(node(), Reg, {key, key}),
    holt_ct:do(First, fun() -> {ok, _} = holt_registry:register(Reg, key, 1) end),
    ok = holt_registry:give_away(Reg, key, Second),
    holt_ct:do(Third, fun() -> holt_registry:standby(Reg, key) end),
    await_events(Follower, [
        {registered, user, key, {First, 1}, undefined},
        {registered, given_away, key, {Second, 1}, {First, 1}}
    ]),
    %% Who takes over is told as one change.
    ok = holt_ct:kill(Second),
    holt_ct:wait_until(fun() -> length(events(Follower)) =:= 3 end),
    [_, _, Last] = strip(events(Follower)),
    ?assertMatch({registered, down, key, {Third, _}, {Second, 1}}, Last),
    await_replayed(Follower, Reg),
    stop(Follower, Pids).

duplicate_keys_are_told_by_entry(Config) ->
    Reg = registry(Config),
    ok = holt_registry:stop(Reg),
    start(#{name => Reg, keys => duplicate}),
    Follower = follow(node(), Reg, all),
    One = holt_ct:register(Reg, key, 1, []),
    Two = holt_ct:register(Reg, key, 2, []),
    holt_ct:do(One, fun() -> {ok, _} = holt_registry:register(Reg, key, 3) end),
    await_events(Follower, [
        {registered, user, key, {One, 1}, undefined},
        {registered, user, key, {Two, 2}, undefined},
        {registered, user, key, {One, 3}, undefined}
    ]),
    Late = follow(node(), Reg, {key, key}),
    holt_ct:wait_until(fun() -> length(events(Late)) =:= 3 end),
    ?assertEqual(
        [{initial, key, {P, V}} || {P, V} <- lists:sort([{One, 1}, {One, 3}, {Two, 2}])],
        lists:sort(strip(events(Late)))
    ),
    holt_ct:do(One, fun() -> ok = holt_registry:unregister(Reg, key) end),
    holt_ct:wait_until(fun() -> length(events(Follower)) =:= 5 end),
    ?assertEqual(
        [
            {unregistered, user, key, {One, 1}, {One, 1}},
            {unregistered, user, key, {One, 3}, {One, 3}}
        ],
        lists:sort(lists:nthtail(3, strip(events(Follower))))
    ),
    stop(Late),
    stop(Follower, [One, Two]).

one_key_and_one_prefix(Config) ->
    Reg = registry(Config),
    ByKey = follow(node(), Reg, {key, <<"user.1">>}),
    ByPrefix = follow(node(), Reg, {prefix, <<"user.">>}),
    ByOther = follow(node(), Reg, {prefix, <<"x">>}),
    Pid = holt_ct:start(),
    Keys = [<<"user.1">>, <<"user.2">>, <<"use">>, 'user.', "user.3", <<"user.">>],
    _ = [yes = holt_registry:register_name({Reg, Key}, Pid) || Key <- Keys],
    Registered = fun(Key) -> {registered, user, Key, {Pid, undefined}, undefined} end,
    await_events(ByKey, [Registered(<<"user.1">>)]),
    await_events(ByPrefix, [Registered(Key) || Key <- [<<"user.1">>, <<"user.2">>, <<"user.">>]]),
    ?assertEqual([], events(ByOther)),
    _ = [stop(Follower) || Follower <- [ByKey, ByPrefix, ByOther]],
    exit(Pid, kill).

existing_names_come_first(Config) ->
    Reg = registry(Config),
    Pid = holt_ct:start(),
    Count = 3000,
    _ = [yes = holt_registry:register_name({Reg, N, N}, Pid) || N <- lists:seq(1, Count)],
    yes = holt_registry:register_name({Reg, <<"p">>, 0}, Pid),
    All = follow(node(), Reg, all),
    holt_ct:wait_until(fun() -> length(events(All)) =:= Count + 1 end),
    ?assertEqual(
        lists:sort([{initial, N, {Pid, N}} || N <- lists:seq(1, Count)] ++
            [{initial, <<"p">>, {Pid, 0}}]),
        lists:sort(strip(events(All)))
    ),
    ?assert(lists:all(fun({holt, _, _, Events}) -> length(Events) =< 500 end, messages(All))),
    ByKey = follow(node(), Reg, {key, 7}),
    ByPrefix = follow(node(), Reg, {prefix, <<"p">>}),
    None = follow(node(), Reg, {key, nobodys}),
    Without = follow(node(), Reg, all, #{initial => false}),
    _ = holt_registry:unregister(Reg, 7),
    await_events(ByKey, [{initial, 7, {Pid, 7}}, {unregistered, user, 7, {Pid, 7}, {Pid, 7}}]),
    await_events(Without, [{unregistered, user, 7, {Pid, 7}, {Pid, 7}}]),
    await_events(ByPrefix, [{initial, <<"p">>, {Pid, 0}}]),
    ?assertEqual([], events(None)),
    await_replayed(All, Reg),
    _ = [stop(Follower) || Follower <- [All, ByKey, ByPrefix, None, Without]],
    exit(Pid, kill).

%% Each message is true where it stands: a key is never registered twice, nor unregistered
%% without having been there.
existing_names_while_others_come_and_go(Config) ->
    Reg = registry(Config),
    Count = 5000,
    Pid = holt_ct:start(),
    Writer = spawn_link(fun() -> come_and_go(Reg, Pid, Count, 1) end),
    holt_ct:wait_until(fun() -> holt_registry:count(Reg) > Count div 3 end),
    Followers = [follow(node(), Reg, all) || _ <- lists:seq(1, 5)],
    Writer ! {stop, self()},
    receive
        stopped -> ok
    end,
    _ = [await_replayed(Follower, Reg) || Follower <- Followers],
    _ = [ok = check_truth(events(Follower)) || Follower <- Followers],
    _ = [stop(Follower) || Follower <- Followers],
    exit(Pid, kill).

come_and_go(Reg, Pid, Count, N) ->
    receive
        {stop, From} -> From ! stopped
    after 0 ->
        Key = N * 7919 rem Count,
        case holt_registry:register_name({Reg, Key, N}, Pid) of
            yes -> ok;
            no -> ok = holt_registry:unregister(Reg, Key)
        end,
        %% No faster than can be told; there may be nobody to do so just now.
        _ = N rem 50 =:= 0 andalso catch tell_now(Reg),
        come_and_go(Reg, Pid, Count, N + 1)
    end.

%% What is not known may be there still.
check_truth(Events) ->
    _ = lists:foldl(
        fun
            (#{key := Key, initial := true, value := Value}, Seen) ->
                %% Nothing was told of it, or this is it.
                ?assertEqual({Key, Value}, {Key, maps:get(Key, Seen, Value)}),
                Seen#{Key => Value};
            (#{type := registered, key := Key, value := Value}, Seen) ->
                ?assertEqual({Key, gone}, {Key, maps:get(Key, Seen, gone)}),
                Seen#{Key => Value};
            (#{type := unregistered, key := Key, value := Value}, Seen) ->
                ?assertEqual({Key, Value}, {Key, maps:get(Key, Seen, Value)}),
                Seen#{Key => gone}
        end,
        #{},
        Events
    ),
    ok.

many_changes_come_in_batches(Config) ->
    Reg = registry(Config),
    Follower = follow(node(), Reg, all),
    Events = holt_events:process_name(Reg),
    ok = sys:suspend(Events),
    Pid = holt_ct:start(),
    Keys = lists:seq(1, 1700),
    _ = [yes = holt_registry:register_name({Reg, Key}, Pid) || Key <- Keys],
    ok = sys:resume(Events),
    await_events(Follower, [{registered, user, Key, {Pid, undefined}, undefined} || Key <- Keys]),
    Sizes = [length(Told) || {holt, _, _, Told} <- messages(Follower)],
    ?assert(lists:max(Sizes) =< 500),
    ?assert(length(Sizes) < 20),
    stop(Follower, [Pid]).

subscriber_resumes_by_token(Config) ->
    Reg = registry(Config),
    Pid = holt_ct:start(),
    First = follow(node(), Reg, {prefix, <<"a">>}),
    Register = fun(Key) -> yes = holt_registry:register_name({Reg, Key}, Pid) end,
    Told = fun(Key) -> {registered, user, Key, {Pid, undefined}, undefined} end,
    Register(<<"a1">>),
    await_events(First, [Told(<<"a1">>)]),
    Token = token(First),
    Ref = holt_ct_events:ref(First),
    stop(First),
    _ = [Register(Key) || Key <- [<<"b1">>, <<"a2">>, <<"b2">>, <<"a3">>]],
    Second = follow(node(), Reg, {prefix, <<"a">>}, #{from => Token}),
    Register(<<"a4">>),
    await_events(Second, [Told(Key) || Key <- [<<"a2">>, <<"a3">>, <<"a4">>]]),
    ?assertNotEqual(Ref, holt_ct_events:ref(Second)),
    %% From the same place by another filter, as an option in a list.
    Third = follow(node(), Reg, all, [{from, Token}]),
    Keys = [<<"b1">>, <<"a2">>, <<"b2">>, <<"a3">>, <<"a4">>],
    await_events(Third, [Told(Key) || Key <- Keys]),
    %% From where everything has been told.
    Fourth = follow(node(), Reg, all, #{from => token(Third)}),
    Register(<<"c">>),
    await_events(Fourth, [Told(<<"c">>)]),
    %% After many.
    _ = [Register(N) || N <- lists:seq(1, 2000)],
    Fifth = follow(node(), Reg, all, #{from => Token}),
    await_events(
        Fifth, [Told(Key) || Key <- Keys ++ [<<"c">>] ++ lists:seq(1, 2000)]
    ),
    _ = [stop(Follower) || Follower <- [Second, Third, Fourth, Fifth]],
    exit(Pid, kill).

old_tokens_have_missed_something(Config) ->
    Reg = registry(Config),
    {ok, _} = holt_registry:register(Reg, key, 0),
    First = follow(node(), Reg, {key, key}),
    await_events(First, [{initial, key, {self(), 0}}]),
    {Epoch, Next} = Token = token(First),
    stop(First),
    _ = [
        {N, _} = holt_registry:update_value(Reg, key, fun(_) -> N end)
     || N <- lists:seq(1, ?LOG_MAX + 1000)
    ],
    Value = ?LOG_MAX + 1000,
    Missed = follow(node(), Reg, {key, key}, #{from => Token}),
    await_events(Missed, [missed]),
    Again = follow(node(), Reg, {key, key}, #{from => Token, initial => true}),
    await_events(Again, [missed, {initial, key, {self(), Value}}]),
    %% Of another life, and of none.
    Other = follow(node(), Reg, {key, key}, #{from => {Epoch + 1, Next}}),
    await_events(Other, [missed]),
    Future = follow(node(), Reg, {key, key}, #{from => {Epoch, 1 bsl 60}}),
    await_events(Future, [missed]),
    ok = holt_registry:unregister(Reg, key),
    _ = [
        holt_ct:wait_until(fun() -> lists:last(types(events(Follower))) =:= unregistered end)
     || Follower <- [Missed, Again, Other, Future]
    ],
    _ = [stop(Follower) || Follower <- [Missed, Again, Other, Future]],
    ok.

slow_subscriber_has_missed_something(Config) ->
    Reg = registry(Config),
    Slow = follow(node(), Reg, all),
    Quick = follow(node(), Reg, all),
    ok = holt_ct_events:stall(Slow),
    {ok, _} = holt_registry:register(Reg, key, 0),
    Count = 20000,
    %% Each by itself, so that messages are small and many.
    _ = [
        begin
            {N, _} = holt_registry:update_value(Reg, key, fun(_) -> N end),
            N rem 5 =:= 0 andalso tell_now(Reg)
        end
     || N <- lists:seq(1, Count)
    ],
    holt_ct:wait_until(fun() -> length(events(Quick)) =:= Count + 1 end),
    {message_queue_len, Queue} = process_info(Slow, message_queue_len),
    ?assert(Queue < 1100),
    holt_ct_events:go_on(Slow),
    await_replayed(Slow, Reg),
    holt_ct:wait_until(fun() -> lists:member(missed, types(events(Slow))) end),
    ?assertEqual([missed], [Type || Type <- types(events(Slow)), Type =:= missed]),
    ?assertNot(lists:member(missed, types(events(Quick)))),
    %% From here on it is told again.
    ok = holt_registry:unregister(Reg, key),
    holt_ct:wait_until(fun() -> lists:last(types(events(Slow))) =:= unregistered end),
    stop(Quick),
    stop(Slow).

who_is_slow_is_an_option(Config) ->
    Reg = registry(Config),
    ok = holt_registry:stop(Reg),
    start(#{name => Reg, subscriber_messages_max => 10}),
    Slow = follow(node(), Reg, all),
    ok = holt_ct_events:stall(Slow),
    {ok, _} = holt_registry:register(Reg, key, 0),
    _ = [
        begin
            {N, _} = holt_registry:update_value(Reg, key, fun(_) -> N end),
            tell_now(Reg)
        end
     || N <- lists:seq(1, 200)
    ],
    {message_queue_len, Queue} = process_info(Slow, message_queue_len),
    ?assert(Queue > 10),
    ?assert(Queue =< 22),
    ?assertMatch(#{slow := 1}, status(Reg)),
    holt_ct_events:go_on(Slow),
    await_replayed(Slow, Reg),
    holt_ct:wait_until(fun() -> lists:member(missed, types(events(Slow))) end),
    stop(Slow).

%% Debuggers suspend processes.
stopped_subscriber_hinders_nobody(Config) ->
    Reg = registry(Config),
    Stopped = follow(node(), Reg, all),
    Quick = follow(node(), Reg, all),
    true = erlang:suspend_process(Stopped),
    _ = [yes = holt_registry:register_name({Reg, N}, Quick) || N <- lists:seq(1, 3000)],
    holt_ct:wait_until(fun() -> length(events(Quick)) =:= 3000 end),
    true = erlang:resume_process(Stopped),
    await_replayed(Stopped, Reg),
    stop(Quick, [Stopped]).

ten_thousand_subscribers(Config) ->
    Reg = registry(Config),
    Self = self(),
    Count = 10000,
    Pids = [
        spawn_link(fun() ->
            Ref = holt_registry:subscribe(Reg, {key, N}),
            Self ! {subscribed, N},
            receive
                {holt, Ref, _, [#{type := registered, key := N, value := N}]} -> Self ! {told, N}
            end
        end)
     || N <- lists:seq(1, Count)
    ],
    _ = [
        receive
            {subscribed, N} -> ok
        end
     || N <- lists:seq(1, Count)
    ],
    Common = follow(node(), Reg, all),
    Pid = holt_ct:start(),
    _ = [yes = holt_registry:register_name({Reg, N, N}, Pid) || N <- lists:seq(1, Count)],
    _ = [
        receive
            {told, N} -> ok
        end
     || N <- lists:seq(1, Count)
    ],
    await_replayed(Common, Reg),
    holt_ct:wait_until(fun() -> not lists:any(fun is_process_alive/1, Pids) end),
    stop(Common, [Pid]).

subscriber_dies(Config) ->
    Reg = registry(Config),
    Followers = [follow(node(), Reg, What) || What <- [all, {key, k}, {prefix, <<>>}]],
    #{subscribers := 3} = status(Reg),
    _ = [ok = holt_ct:kill(Follower) || Follower <- Followers],
    await_subscribers(Reg, 0),
    ?assertEqual([], ets:tab2list(holt_subscriptions)),
    {ok, _} = holt_registry:register(Reg, key, 1).

unsubscribe_leaves_no_message(Config) ->
    Reg = registry(Config),
    Ref = holt_registry:subscribe(Reg, all),
    Other = holt_registry:subscribe(Reg, {key, 1}),
    Pid = holt_ct:start(),
    _ = [yes = holt_registry:register_name({Reg, N}, Pid) || N <- lists:seq(1, 100)],
    ok = holt_registry:unsubscribe(Reg, Ref),
    _ = [yes = holt_registry:register_name({Reg, N}, Pid) || N <- lists:seq(101, 200)],
    {told, [#{key := 1}]} =
        receive
            {holt, Other, _, Events} -> {told, Events}
        end,
    ok = holt_registry:unsubscribe(Reg, Ref),
    ok = holt_registry:unsubscribe(Reg, Other),
    ok = holt_registry:unsubscribe(Reg, make_ref()),
    ?assertEqual({messages, []}, process_info(self(), messages)),
    #{subscribers := 0} = status(Reg),
    exit(Pid, kill).

%%--------------------------------------------------------------------
%% Waiting

name_is_awaited(Config) ->
    Reg = registry(Config),
    Pid = holt_ct:register(Reg, there, 1, []),
    ?assertEqual({Pid, 1}, holt_registry:await(Reg, there, 0)),
    ?assertEqual({Pid, 1}, holt_registry:await(Reg, there, infinity)),
    ?assertEqual({error, timeout}, holt_registry:await(Reg, nobodys, 0)),
    ?assertEqual({error, timeout}, holt_registry:await(Reg, nobodys, 20)),
    Self = self(),
    Waiting = [
        spawn_link(fun() -> Self ! {self(), holt_registry:await(Reg, late, Timeout)} end)
     || Timeout <- [infinity, 5000, 16#ffffffff]
    ],
    await_waiters(Reg, 3),
    Late = holt_ct:register(Reg, late, 2, []),
    _ = [
        receive
            {Waiter, Answer} -> ?assertEqual({Late, 2}, Answer)
        end
     || Waiter <- Waiting
    ],
    %% One that gives up by dying.
    Dying = spawn(fun() -> holt_registry:await(Reg, never, infinity) end),
    await_waiters(Reg, 1),
    exit(Dying, kill),
    await_waiters(Reg, 0),
    ?assertEqual([], ets:tab2list(holt_subscriptions)),
    _ = [exit(P, kill) || P <- [Pid, Late]],
    ok.

%% Whether it comes in time, too late, or just then.
await_leaves_no_message(Config) ->
    Reg = registry(Config),
    Self = self(),
    Answers = [
        begin
            Starter = spawn(fun() ->
                receive
                after N rem 5 -> holt_registry:register(Reg, {key, N}, N)
                end,
                receive
                    stop -> Self ! {stopped, self()}
                end
            end),
            Answer = holt_registry:await(Reg, {key, N}, 2),
            Starter ! stop,
            receive
                {stopped, Starter} -> ok
            end,
            Answer
        end
     || N <- lists:seq(1, 200)
    ],
    ?assert(lists:member({error, timeout}, Answers)),
    ?assert(lists:any(fun({Pid, _}) -> is_pid(Pid) end, Answers)),
    _ = sys:get_state(holt_events:process_name(Reg)),
    ?assertEqual({messages, []}, process_info(self(), messages)),
    await_waiters(Reg, 0).

await_survives_the_events_process(Config) ->
    Reg = registry(Config),
    Self = self(),
    spawn_link(fun() -> Self ! {answer, holt_registry:await(Reg, key, infinity)} end),
    await_waiters(Reg, 1),
    ok = holt_ct:kill(whereis(holt_events:process_name(Reg))),
    Pid = holt_ct:register(Reg, key, 1, []),
    receive
        {answer, Answer} -> ?assertEqual({Pid, 1}, Answer)
    end,
    exit(Pid, kill).

await_ends_with_the_instance(Config) ->
    Reg = registry(Config),
    Self = self(),
    spawn_link(fun() ->
        Self ! holt_ct:badarg(fun() -> holt_registry:await(Reg, key, infinity) end)
    end),
    await_waiters(Reg, 1),
    ok = holt_registry:stop(Reg),
    receive
        Answer -> ?assertEqual([{1, no_registry(Reg)}], Answer)
    end.

%%--------------------------------------------------------------------
%% Listeners

listeners_get_messages_of_elixir(Config) ->
    Reg = restart(Config, #{listeners => [elixir_1, elixir_2, nobody_yet]}),
    Listeners = [holt_ct_events:listen(node(), Name) || Name <- [elixir_1, elixir_2]],
    Pid = holt_ct:register(Reg, key, 1, []),
    holt_ct:do(Pid, fun() ->
        {2, 1} = holt_registry:update_value(Reg, key, fun(N) -> N + 1 end),
        ok = holt_registry:unregister(Reg, key),
        {ok, _} = holt_registry:register(Reg, again, 3)
    end),
    ok = holt_ct:kill(Pid),
    Expected = [
        {register, Reg, key, Pid, 1},
        {unregister, Reg, key, Pid},
        {register, Reg, again, Pid, 3},
        {unregister, Reg, again, Pid}
    ],
    _ = [
        holt_ct:wait_until(fun() ->
            Got = messages(Listener),
            Got =:= Expected orelse Got
        end)
     || Listener <- Listeners
    ],
    _ = [stop(Listener) || Listener <- Listeners],
    ok.

%% It is told by one who waits for the loser, so that the order of messages is that of time.
listeners_see_the_loser_exit_last(Config) ->
    Reg = restart(Config, #{listeners => [last_listener]}),
    true = erlang:register(last_listener, self()),
    Follower = holt_registry:subscribe(Reg, all),
    Loser = holt_ct:register(Reg, key, 1, []),
    Monitor = monitor(process, Loser),
    Winner = holt_ct:start(),
    ok = holt_registry:give_away(Reg, key, Winner),
    ok = holt_events:exit_after(Reg, Loser, {shutdown, lost}),
    Order = [
        receive
            {holt, Follower, _, Events} -> types(Events);
            {'DOWN', Monitor, process, Loser, {shutdown, lost}} -> down;
            Message -> Message
        after 5000 -> error(nothing)
        end
     || _ <- lists:seq(1, 6)
    ],
    ?assertEqual(
        [
            {register, Reg, key, Loser, 1},
            {unregister, Reg, key, Loser},
            {register, Reg, key, Winner, 1},
            down
        ],
        [Message || Message <- Order, not is_list(Message)]
    ),
    true = erlang:unregister(last_listener),
    exit(Winner, kill).

%% Where keys are duplicate; those of a process may be equal.
listeners_are_told_of_each_entry(Config) ->
    Reg = restart(Config, #{keys => duplicate, listeners => [of_entries]}),
    Named = holt_ct_events:listen(node(), of_entries),
    Pid = holt_ct:register(Reg, key, 1, []),
    Register = fun(Value) -> {ok, _} = holt_registry:register(Reg, key, Value) end,
    _ = [holt_ct:do(Pid, fun() -> Register(Value) end) || Value <- [1, 2]],
    Other = holt_ct:register(Reg, key, 1, []),
    ok = holt_ct:kill(Other),
    holt_ct:do(Pid, fun() -> ok = holt_registry:unregister(Reg, key) end),
    Expected = [
        {register, Reg, key, Pid, 1},
        {register, Reg, key, Pid, 1},
        {register, Reg, key, Pid, 2},
        {register, Reg, key, Other, 1},
        {unregister, Reg, key, Other},
        {unregister, Reg, key, Pid},
        {unregister, Reg, key, Pid},
        {unregister, Reg, key, Pid}
    ],
    holt_ct:wait_until(fun() ->
        Got = messages(Named),
        lists:sort(Got) =:= lists:sort(Expected) orelse Got
    end),
    stop(Named, [Pid]).

module_gets_callbacks_of_syn(Config) ->
    Reg = restart(Config, #{listeners => holt_ct_events}),
    Callbacks = holt_ct_events:listen(node(), module_gets_callbacks_of_syn_callbacks),
    Pid = holt_ct:register(Reg, key, 1, []),
    holt_ct:do(Pid, fun() -> {2, 1} = holt_registry:update_value(Reg, key, fun(_) -> 2 end) end),
    ok = holt_registry:unregister(Reg, key),
    holt_ct:do(Pid, fun() -> {ok, _} = holt_registry:register(Reg, dies, 3) end),
    ok = holt_ct:kill(Pid),
    Expected = [
        {registered, key, Pid, 1, normal},
        {updated, key, Pid, 2, normal},
        {updated, key, Pid, 1, 2, normal},
        {unregistered, key, Pid, 2, normal},
        {registered, dies, Pid, 3, normal},
        {unregistered, dies, Pid, 3, undefined}
    ],
    holt_ct:wait_until(fun() ->
        Got = messages(Callbacks),
        Got =:= Expected orelse Got
    end),
    stop(Callbacks).

callbacks_that_raise_hurt_nobody(Config) ->
    Reg = restart(Config, #{listeners => [{module, holt_ct_events}, beside]}),
    Callbacks = holt_ct_events:listen(node(), callbacks_that_raise_hurt_nobody_callbacks),
    Beside = holt_ct_events:listen(node(), beside),
    Listener = listener(Reg),
    One = holt_ct:register(Reg, bad, raise, []),
    Two = holt_ct:register(Reg, good, 2, []),
    holt_ct:wait_until(fun() -> messages(Callbacks) =:= [{registered, good, Two, 2, normal}] end),
    ?assertEqual(
        [{register, Reg, bad, One, raise}, {register, Reg, good, Two, 2}], messages(Beside)
    ),
    ?assertEqual(Listener, listener(Reg)),
    _ = [stop(Pid) || Pid <- [Callbacks, Beside]],
    _ = [exit(Pid, kill) || Pid <- [One, Two]],
    ok.

%% It begins anew, with what there is.
listener_is_killed(Config) ->
    Reg = restart(Config, #{listeners => [after_the_kill]}),
    Listener = listener(Reg),
    Pid = holt_ct:register(Reg, key, 1, []),
    ok = holt_ct:kill(Listener),
    holt_ct:wait_until(fun() -> is_pid(listener(Reg)) end),
    Named = holt_ct_events:listen(node(), after_the_kill),
    Other = holt_ct:register(Reg, other, 2, []),
    holt_ct:wait_until(fun() ->
        lists:member({register, Reg, other, Other, 2}, messages(Named))
    end),
    stop(Named),
    _ = [exit(P, kill) || P <- [Pid, Other]],
    ok.

%%--------------------------------------------------------------------
%% Ends

%% Nobody was being told anything: nobody notices.
events_process_is_killed(Config) ->
    Reg = registry(Config),
    Followers = [follow(node(), Reg, What) || What <- [all, {key, 2}, {prefix, <<>>}]],
    Pid = holt_ct:start(),
    Register = fun(Key) -> yes = holt_registry:register_name({Reg, Key}, Pid) end,
    Register(1),
    await_events(hd(Followers), [{registered, user, 1, {Pid, undefined}, undefined}]),
    ok = sys:suspend(whereis(Reg)),
    ok = holt_ct:kill(whereis(holt_events:process_name(Reg))),
    Register(2),
    ok = sys:resume(whereis(Reg)),
    Register(3),
    [All, Key, _] = Followers,
    await_events(All, [{registered, user, N, {Pid, undefined}, undefined} || N <- [1, 2, 3]]),
    await_events(Key, [{registered, user, 2, {Pid, undefined}, undefined}]),
    _ = [stop(Follower) || Follower <- Followers],
    exit(Pid, kill).

%% Whatever it was at: who follows ends up with what there is.
events_process_is_killed_over_and_over(Config) ->
    Reg = registry(Config),
    Followers = [follow(node(), Reg, all) || _ <- lists:seq(1, 20)],
    Pid = holt_ct:start(),
    Writer = spawn_link(fun() -> come_and_go(Reg, Pid, 1000, 1) end),
    _ = [
        begin
            holt_ct:wait_until(fun() -> is_pid(whereis(holt_events:process_name(Reg))) end),
            exit(whereis(holt_events:process_name(Reg)), kill),
            sys:get_state(hd(Followers))
        end
     || _ <- lists:seq(1, 15)
    ],
    Writer ! {stop, self()},
    receive
        stopped -> ok
    end,
    _ = [await_replayed(Follower, Reg) || Follower <- Followers],
    _ = [stop(Follower) || Follower <- Followers],
    exit(Pid, kill).

root_is_killed_and_adopted(Config) ->
    Reg = registry(Config),
    Pid = holt_ct:register(Reg, 1, 1, []),
    Follower = follow(node(), Reg, all),
    Waiter = self(),
    spawn_link(fun() -> Waiter ! {answer, holt_registry:await(Reg, 3, infinity)} end),
    await_waiters(Reg, 1),
    ok = holt_ct:kill(whereis(Reg)),
    yes = holt_registry:register_name({Reg, 2, 2}, Pid),
    %% Who comes while nobody is there waits.
    spawn_link(fun() ->
        Late = follow(node(), Reg, {key, 2}),
        Waiter ! {late, Late}
    end),
    start(#{name => Reg}),
    yes = holt_registry:register_name({Reg, 3, 3}, Pid),
    await_events(Follower, [
        {initial, 1, {Pid, 1}},
        {registered, user, 2, {Pid, 2}, undefined},
        {registered, user, 3, {Pid, 3}, undefined}
    ]),
    receive
        {answer, Answer} -> ?assertEqual({Pid, 3}, Answer)
    end,
    receive
        {late, Late} ->
            await_events(Late, [{initial, 2, {Pid, 2}}]),
            stop(Late)
    end,
    stop(Follower, [Pid]).

orphan_ends_with_its_subscriptions(Config) ->
    Reg = restart(Config, #{orphan_ms => 50}),
    Follower = follow(node(), Reg, all),
    ok = holt_ct:kill(whereis(Reg)),
    ?assertEqual(
        [{1, no_registry(Reg)}],
        holt_ct:badarg(fun() -> holt_registry:await(Reg, key, infinity) end)
    ),
    holt_ct:wait_until(fun() -> ets:tab2list(holt_subscriptions) =:= [] end),
    start(#{name => Reg}),
    {ok, _} = holt_registry:register(Reg, key, 1),
    #{subscribers := 0} = status(Reg),
    ?assertEqual([], events(Follower)),
    stop(Follower).

%% The table goes; the instance and its processes do not.
application_is_restarted(Config) ->
    Reg = registry(Config),
    Follower = follow(node(), Reg, all),
    Pid = holt_ct:register(Reg, 1, 1, []),
    ok = application:stop(holt),
    yes = holt_registry:register_name({Reg, 2, 2}, Pid),
    ok = application:start(holt),
    yes = holt_registry:register_name({Reg, 3, 3}, Pid),
    await_events(Follower, [{registered, user, N, {Pid, N}, undefined} || N <- [1, 2, 3]]),
    holt_ct:wait_until(fun() -> length(ets:tab2list(holt_subscriptions)) =:= 2 end),
    ok = holt_ct:kill(whereis(holt_events:process_name(Reg))),
    yes = holt_registry:register_name({Reg, 4, 4}, Pid),
    await_replayed(Follower, Reg),
    stop(Follower, [Pid]).

stopped_instance_tells_nothing(Config) ->
    Reg = registry(Config),
    Follower = follow(node(), Reg, all),
    Pid = holt_ct:register(Reg, key, 1, []),
    await_events(Follower, [{registered, user, key, {Pid, 1}, undefined}]),
    Token = token(Follower),
    ok = holt_registry:stop(Reg),
    ?assertEqual([], ets:tab2list(holt_subscriptions)),
    start(#{name => Reg}),
    Other = holt_ct:register(Reg, other, 1, []),
    Late = follow(node(), Reg, all, #{from => Token}),
    await_events(Late, [missed]),
    ?assertEqual(1, length(events(Follower))),
    %% Its subscription has ended; that is no mistake.
    ok = gen_server:call(Follower, unsubscribe),
    stop(Late),
    stop(Follower, [Pid, Other]).

%% After the last one has gone the log is not read.
nothing_is_read_for_nobody(Config) ->
    Reg = registry(Config),
    Follower = follow(node(), Reg, all),
    stop(Follower),
    await_subscribers(Reg, 0),
    Events = whereis(holt_events:process_name(Reg)),
    Pid = holt_ct:start(),
    _ = [yes = holt_registry:register_name({Reg, N}, Pid) || N <- lists:seq(1, 10)],
    _ = sys:get_state(Events),
    {reductions, Before} = process_info(Events, reductions),
    _ = [yes = holt_registry:register_name({Reg, N}, Pid) || N <- lists:seq(11, 5000)],
    {reductions, After} = process_info(Events, reductions),
    ?assert(After - Before < 1000),
    exit(Pid, kill).

%%--------------------------------------------------------------------
%% Wrong use

wrong_use_says_what_is_wrong(Config) ->
    Reg = registry(Config),
    Fun = fun() -> ok end,
    Wrong = fun(Function, Arguments) ->
        holt_ct:badarg(fun() -> apply(holt_registry, Function, Arguments) end)
    end,
    NotAFilter = "neither all nor {key, Key} nor {prefix, Binary}",
    _ = [
        ?assertEqual([{2, NotAFilter}], Wrong(subscribe, [Reg, Filter]))
     || Filter <- [none, {prefix, "a"}, {prefix, <<1:3>>}, {key}, {prefix, <<>>, <<>>}, {a, <<>>}]
    ],
    ?assertEqual([{2, "a key cannot hold a fun"}], Wrong(subscribe, [Reg, {key, Fun}])),
    _ = [
        ?assertEqual([{1, no_registry(nobodys)}], Wrong(Function, [nobodys | Rest]))
     || {Function, Rest} <- [
            {subscribe, [all]},
            {subscribe, [{key, 1}]},
            {subscribe, [{prefix, <<>>}, #{}]},
            {await, [key, 0]}
        ]
    ],
    ?assertEqual([{1, no_registry("x")}], Wrong(unsubscribe, ["x", make_ref()])),
    ?assertEqual([{2, "not what subscribe has returned"}], Wrong(unsubscribe, [Reg, 1])),
    ?assertEqual(
        [{3, "there is no option since"}], Wrong(subscribe, [Reg, all, #{since => 1}])
    ),
    ?assertEqual(
        [{3, "neither a map nor a list of options"}], Wrong(subscribe, [Reg, all, 1])
    ),
    ?assertEqual(
        [{3, "the option from must be a token of an earlier message, not 1"}],
        Wrong(subscribe, [Reg, all, [{from, 1}]])
    ),
    ?assertEqual(
        [{3, "the option initial must be true or false, not 1"}],
        Wrong(subscribe, [Reg, all, #{initial => 1}])
    ),
    ?assertEqual([{2, "a key cannot hold a fun"}], Wrong(await, [Reg, Fun, 0])),
    _ = [
        ?assertEqual(
            [{3, "neither milliseconds, at most 4294967295, nor infinity"}],
            Wrong(await, [Reg, key, Timeout])
        )
     || Timeout <- [-1, 1.0, 16#100000000, never]
    ],
    #{subscribers := 0, waiters := 0} = status(Reg).

status_is_readable(Config) ->
    Reg = registry(Config),
    Follower = follow(node(), Reg, all),
    ?assertMatch(
        #{name := Reg, token := {_, _}, subscribers := 1, waiters := 0, scans := 0, slow := 0},
        status(Reg)
    ),
    Events = holt_events:process_name(Reg),
    ?assertEqual({error, unsupported}, gen_server:call(Events, anything)),
    ok = gen_server:cast(Events, anything),
    _ = Events ! anything,
    #{subscribers := 1} = status(Reg),
    stop(Follower).

%%--------------------------------------------------------------------
%% Helpers

start(Options) ->
    {ok, Root} = holt_registry:start_link(Options),
    true = unlink(Root),
    Root.

restart(Config, Options) ->
    Reg = registry(Config),
    ok = holt_registry:stop(Reg),
    start(Options#{name => Reg}),
    Reg.

registry(Config) ->
    proplists:get_value(registry, Config).

stop(Follower) ->
    holt_ct_events:stop(Follower).

stop(Follower, Others) ->
    stop(Follower),
    _ = [exit(Pid, kill) || Pid <- Others],
    ok.

status(Reg) ->
    {status, _, _, [_, _, _, _, Misc]} = sys:get_status(holt_events:process_name(Reg)),
    [State] = [State || {data, [{"State", State}]} <- Misc],
    State.

%% Who subscribes is told nothing that was before: so that is told now to all others.
tell_now(Reg) ->
    Ref = holt_registry:subscribe(Reg, {key, none}, #{initial => false}),
    ok = holt_registry:unsubscribe(Reg, Ref).

await_waiters(Reg, Count) ->
    holt_ct:wait_until(fun() ->
        #{waiters := Waiters} = status(Reg),
        Waiters =:= Count orelse Waiters
    end).

listener(Reg) ->
    {listener, Pid, _, _} = lists:keyfind(listener, 1, supervisor:which_children(Reg)),
    Pid.

no_registry(Name) ->
    lists:flatten(io_lib:format("no registry named ~p on this node", [Name])).

await_subscribers(Reg, Count) ->
    holt_ct:wait_until(fun() ->
        #{subscribers := Subscribers} = status(Reg),
        Subscribers =:= Count orelse Subscribers
    end).
