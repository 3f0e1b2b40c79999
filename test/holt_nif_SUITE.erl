%% SPDX-License-Identifier: Apache-2.0
%% @doc The functions of the native code, each answer and each refusal, without the
%% processes that usually call them.
-module(holt_nif_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

-define(KEEP_OLDEST, 16#0101).
-define(CUSTOM, 16#0201).
-define(DUPLICATE, 2).
-define(MAJORITY, 16#ffffffff).

all() ->
    [
        wrong_terms_are_badarg,
        wrong_keys_are_told,
        options_are_checked,
        instance_is_adopted_with_the_same_options,
        name_is_claimed,
        name_is_claimed_by_a_standby,
        name_is_claimed_in_the_place_of_another,
        name_of_the_dead_is_not_replaced,
        name_is_located,
        registration_is_dropped,
        owner_only_unregisters,
        heavy_values,
        duplicates_are_entries,
        duplicates_of_many_processes,
        duplicates_have_no_holder,
        thousands_of_entries,
        value_is_updated_by_token,
        scan_goes_by_prefix,
        scan_of_many_is_quick,
        names_are_counted,
        key_is_explained,
        members_are_counted,
        acks_are_counted,
        member_is_evicted,
        quorum_of_so_many,
        quorum_of_the_majority,
        replaced_is_told,
        contest_is_decided,
        contest_ends_with_a_standby,
        changes_are_read,
        changes_say_why,
        changes_of_duplicates,
        changes_wake_once,
        changes_are_bounded,
        changes_of_heavy_values,
        changes_outlive_the_watcher,
        changes_of_members,
        another_library_takes_over
    ].

init_per_testcase(Case, Config) ->
    _ = code:ensure_loaded(holt_nif),
    [{name, Case} | Config].

end_per_testcase(_Case, _Config) ->
    _ = [holt_nif:close(Name) || {Name, _} <- holt_nif:instances()],
    sweep(holt_nif:sweep()).

%%--------------------------------------------------------------------
%% Wrong use

wrong_terms_are_badarg(Config) ->
    Name = open(Config, #{}),
    Self = self(),
    _ = [
        ?assertError(badarg, apply(holt_nif, Function, [Name | Arguments]), {Function, Arguments})
     || {Function, Arguments} <- [
            {register, [k, not_a_binary, Self]},
            {register, [k, <<>>, not_a_pid]},
            {claim, [k, <<>>, Self, newer]},
            {claim, [k, <<>>, Self, {replace, 1}]},
            {claim, [k, <<>>, Self, {replace, -1, 1}]},
            {unregister, [k, not_a_pid]},
            {drop, [-1]},
            {drop, [one]},
            {entries, [k, not_a_pid]},
            {update, [k, Self, {1, 2, 3}, <<>>]},
            {update, [k, Self, one, <<>>]},
            {next, [0, every]},
            {next, [0, {prefix, "list"}]},
            {next, [0, {prefix, <<1:3>>}]},
            {next, [0, {terms, "list"}]},
            {next, [1 bsl 40, all]},
            {count_node, ["a@host"]},
            {acks, [-1]},
            {changes, [-1, 1]},
            {changes, [0, 0]},
            {evict, [not_a_member]},
            {evict, [{a, b, c}]},
            {lose, [1, 2, 3, die]},
            {lose, [1, 2, -3, exit]}
        ]
    ].

wrong_keys_are_told(Config) ->
    Name = open(Config, #{key_bytes_max => 100}),
    Self = self(),
    Calls = fun(Instance, Key) ->
        [
            holt_nif:register(Instance, Key, <<>>, Self),
            holt_nif:claim(Instance, Key, <<>>, Self, standby),
            holt_nif:unregister(Instance, Key, Self),
            holt_nif:whereis(Instance, Key),
            holt_nif:lookup(Instance, Key),
            holt_nif:read(Instance, Key),
            holt_nif:locate(Instance, Key),
            holt_nif:entries(Instance, Key, Self),
            holt_nif:count_key(Instance, Key),
            holt_nif:explain(Instance, Key)
        ]
    end,
    ?assertEqual([{invalid, fun_in_key}], lists:usort(Calls(Name, [fun() -> ok end]))),
    ?assertEqual([{invalid, key_too_large}], lists:usort(Calls(Name, <<0:1000>>))),
    ?assertEqual([{invalid, no_instance}], lists:usort(Calls(no_such_instance, key))),
    ?assertEqual(
        [{invalid, no_instance}],
        lists:usort([
            holt_nif:drop(nobody, 1),
            holt_nif:count(nobody),
            holt_nif:count_node(nobody, node()),
            holt_nif:next(nobody, 0, all),
            holt_nif:next(nobody, 0, terms),
            holt_nif:acks(nobody, 1),
            holt_nif:census(nobody),
            holt_nif:watch(nobody),
            holt_nif:changes(nobody, 0, 1),
            holt_nif:head(nobody),
            holt_nif:evict(nobody, {nobody, node()}),
            holt_nif:lose(nobody, 1, 2, 3, exit)
        ])
    ),
    %% Of these the size is not known beforehand: they go by a dirty scheduler.
    _ = [
        begin
            ?assertMatch({ok, _, _}, holt_nif:claim(Name, Key, <<"v">>, Self, new)),
            ?assertMatch({Self, <<"v">>, _, _, _}, holt_nif:locate(Name, Key)),
            ?assertMatch([_], holt_nif:explain(Name, Key)),
            ?assertMatch([_], holt_nif:entries(Name, Key, Self)),
            ?assertEqual(1, holt_nif:count_key(Name, Key)),
            ?assertMatch({ok, _, _}, holt_nif:unregister(Name, Key, Self))
        end
     || Key <- [1 bsl 200, <<5:3>>, {big, 1 bsl 99}]
    ].

options_are_checked(_Config) ->
    _ = [
        ?assertError(badarg, holt_nif:open(never, Options))
     || Options <- [
            #{policy => 3},
            #{policy => 16#0301},
            #{policy => unique},
            #{owner_only => 2},
            #{owner_only => true},
            #{quorum => -1},
            #{quorum => majority}
        ]
    ],
    ?assertEqual([], holt_nif:instances()).

%% Others: the old instance is closed, and a new one begins.
instance_is_adopted_with_the_same_options(Config) ->
    Name = proplists:get_value(name, Config),
    Options = [
        #{},
        #{policy => ?KEEP_OLDEST},
        #{policy => ?KEEP_OLDEST, owner_only => 1},
        #{policy => ?KEEP_OLDEST, owner_only => 1, quorum => 1},
        #{policy => ?CUSTOM, quorum => ?MAJORITY},
        #{policy => ?DUPLICATE}
    ],
    _ = [
        begin
            ?assertEqual(ok, holt_nif:open(Name, Each)),
            ?assertMatch({ok, _}, holt_nif:register(Name, key, <<>>, self())),
            ?assertEqual(adopted, holt_nif:open(Name, Each)),
            ?assertEqual(1, holt_nif:count(Name))
        end
     || Each <- Options
    ].

%%--------------------------------------------------------------------
%% Claims

name_is_claimed(Config) ->
    Name = open(Config, #{value_bytes_max => 10}),
    Self = self(),
    #{actor := Actor} = holt_nif:info(Name),
    ?assertEqual({ok, Actor, 1}, holt_nif:claim(Name, a, <<"v">>, Self, new)),
    ?assertEqual({ok, Actor, 2}, holt_nif:claim(Name, b, <<"v">>, Self, new)),
    ?assertEqual(
        {error, {already_registered, Self}}, holt_nif:claim(Name, a, <<"w">>, Self, new)
    ),
    ?assertEqual(
        {error, {too_large, 11, 10}}, holt_nif:claim(Name, c, <<"elevenbytes">>, Self, new)
    ),
    Dead = dead(),
    ?assertEqual({error, not_alive}, holt_nif:claim(Name, c, <<>>, Dead, new)),
    ?assertEqual({error, not_alive}, holt_nif:claim(Name, c, <<>>, Dead, standby)),
    ?assertEqual({invalid, remote_pid}, holt_nif:claim(Name, c, <<>>, remote(), new)),
    ?assertEqual(none, holt_nif:locate(Name, c)).

name_is_claimed_by_a_standby(Config) ->
    Name = open(Config, #{}),
    Self = self(),
    Holder = spawn_waiting(),
    {ok, _, _} = holt_nif:claim(Name, key, <<"holder">>, Holder, new),
    {ok, Actor, Seq} = holt_nif:claim(Name, key, <<"standby">>, Self, standby),
    ?assertEqual(Holder, holt_nif:whereis(Name, key)),
    ?assertEqual([], holt_nif:keys(Name, Self)),
    ?assertEqual([{<<"standby">>, Seq, Seq}], holt_nif:entries(Name, key, Self)),
    stop(Holder),
    ?assertEqual({Self, <<"standby">>, Actor, Seq, Seq}, located(Name, key, Self)),
    ?assertEqual([key], holt_nif:keys(Name, Self)),
    %% A standby may come first, too.
    {ok, _, _} = holt_nif:claim(Name, other, <<>>, Self, standby),
    ?assertEqual(Self, holt_nif:whereis(Name, other)).

name_is_claimed_in_the_place_of_another(Config) ->
    Name = open(Config, #{}),
    Self = self(),
    Holder = spawn_waiting(),
    ?assertEqual({error, not_found}, holt_nif:claim(Name, key, <<>>, Self, {replace, 1, 1})),
    {ok, Actor, Birth} = holt_nif:claim(Name, key, <<"old">>, Holder, new),
    ?assertEqual(
        {error, changed}, holt_nif:claim(Name, key, <<>>, Self, {replace, Actor, Birth + 1})
    ),
    {ok, Actor, Next} = holt_nif:claim(Name, key, <<"new">>, Self, {replace, Actor, Birth}),
    ?assertEqual({Self, <<"new">>, Actor, Next, Next}, holt_nif:locate(Name, key)),
    ?assertEqual(
        {error, changed}, holt_nif:claim(Name, key, <<>>, Holder, {replace, Actor, Birth})
    ).

name_of_the_dead_is_not_replaced(Config) ->
    Name = open(Config, #{}),
    Holder = spawn_waiting(),
    {ok, Actor, Birth} = holt_nif:claim(Name, key, <<>>, Holder, new),
    stop(Holder),
    ?assertEqual(
        {error, not_found}, holt_nif:claim(Name, key, <<>>, self(), {replace, Actor, Birth})
    ),
    ?assertMatch({ok, _, _}, holt_nif:claim(Name, key, <<>>, self(), new)).

name_is_located(Config) ->
    Name = open(Config, #{}),
    Self = self(),
    ?assertEqual(none, holt_nif:locate(Name, key)),
    {ok, Actor, Birth} = holt_nif:claim(Name, key, <<"1">>, Self, new),
    ?assertEqual({Self, <<"1">>, Actor, Birth, Birth}, holt_nif:locate(Name, key)),
    ok = holt_nif:update(Name, key, Self, Birth, <<"2">>),
    ?assertEqual({Self, <<"2">>, Actor, Birth, Birth + 1}, holt_nif:locate(Name, key)),
    Holder = spawn_waiting(),
    {ok, _, _} = holt_nif:claim(Name, other, <<>>, Holder, new),
    stop(Holder),
    ?assertEqual(none, holt_nif:locate(Name, other)).

registration_is_dropped(Config) ->
    Name = open(Config, #{owner_only => 1}),
    Holder = spawn_waiting(),
    {ok, Actor, Birth} = holt_nif:claim(Name, key, <<>>, Holder, new),
    {ok, Actor, Standby} = holt_nif:claim(Name, key, <<>>, self(), standby),
    ?assertEqual(none, holt_nif:drop(Name, Standby + 1)),
    ?assertEqual({ok, Actor, 3}, holt_nif:drop(Name, Birth)),
    ?assertEqual(self(), holt_nif:whereis(Name, key)),
    ?assertEqual({ok, Actor, 4}, holt_nif:drop(Name, Standby)),
    ?assertEqual(none, holt_nif:drop(Name, Standby)),
    ?assertEqual(0, holt_nif:count(Name)).

owner_only_unregisters(Config) ->
    Name = open(Config, #{owner_only => 1}),
    Holder = spawn_waiting(),
    {ok, Actor, Birth} = holt_nif:claim(Name, key, <<>>, Holder, new),
    ?assertEqual({error, not_owner}, holt_nif:unregister(Name, key, self())),
    ?assertEqual({error, not_owner}, holt_nif:unregister(Name, key, remote())),
    ?assertEqual({ok, Actor, Birth + 1}, holt_nif:unregister(Name, key, Holder)),
    ?assertEqual(none, holt_nif:unregister(Name, key, Holder)),
    %% What nobody alive has is nobody's.
    {ok, _, _} = holt_nif:claim(Name, key, <<>>, Holder, new),
    stop(Holder),
    ?assertEqual(none, holt_nif:unregister(Name, key, self())).

%% These go by a dirty scheduler.
heavy_values(Config) ->
    Name = open(Config, #{value_bytes_max => 16777216}),
    Self = self(),
    Heavy = binary:copy(<<"x">>, 3000000),
    {ok, Actor, 1} = holt_nif:claim(Name, key, Heavy, Self, new),
    ?assertEqual({Self, Heavy, Actor, 1, 1}, holt_nif:locate(Name, key)),
    ?assertEqual([{Self, Heavy}], holt_nif:lookup(Name, key)),
    ?assertEqual({Heavy, 1}, holt_nif:fetch(Name, key, Self)),
    ?assertEqual([{Heavy, 1, 1}], holt_nif:entries(Name, key, Self)),
    ?assertMatch([#{value := Heavy}], holt_nif:explain(Name, key)),
    ?assertEqual([{key, Self, Heavy}], scan(Name, all)),
    ?assertEqual(ok, holt_nif:update(Name, key, Self, 1, <<Heavy/binary, "y">>)),
    ?assertEqual({ok, Self}, holt_nif:register(Name, other, Heavy, Self)),
    ?assertEqual([key, other], lists:sort([K || {K, _, _} <- scan(Name, all)])),
    {ok, _, _} = holt_nif:claim(Name, decoded, term_to_binary(Heavy), Self, new),
    ?assertEqual([{Self, Heavy}], holt_nif:read(Name, decoded)).

%%--------------------------------------------------------------------
%% Duplicate keys

duplicates_are_entries(Config) ->
    Name = open(Config, #{policy => ?DUPLICATE}),
    Self = self(),
    {ok, Actor, 1} = holt_nif:claim(Name, a, <<"1">>, Self, new),
    ?assertEqual({ok, Self}, holt_nif:register(Name, a, <<"2">>, Self)),
    {ok, Actor, 3} = holt_nif:claim(Name, b, <<"3">>, Self, new),
    ?assertEqual([{Self, <<"1">>}, {Self, <<"2">>}], lists:sort(holt_nif:lookup(Name, a))),
    ?assertEqual([{<<"1">>, 1, 1}, {<<"2">>, 2, 2}], holt_nif:entries(Name, a, Self)),
    ?assertEqual([{<<"3">>, 3, 3}], holt_nif:entries(Name, b, Self)),
    ?assertEqual([], holt_nif:entries(Name, c, Self)),
    ?assertEqual([a, a, b], holt_nif:keys(Name, Self)),
    ?assertEqual(3, holt_nif:count(Name)),
    ?assertEqual(2, holt_nif:count_key(Name, a)),
    ?assertEqual(3, holt_nif:count_node(Name, node())),
    ?assertEqual(
        [{a, Self, <<"1">>}, {a, Self, <<"2">>}, {b, Self, <<"3">>}], lists:sort(scan(Name, all))
    ),
    ?assertEqual({ok, Actor, 4}, holt_nif:drop(Name, 1)),
    ?assertEqual([{<<"2">>, 2, 2}], holt_nif:entries(Name, a, Self)),
    ?assertEqual({ok, Actor, 5}, holt_nif:unregister(Name, a, Self)),
    ?assertEqual(none, holt_nif:unregister(Name, a, Self)),
    ?assertEqual([b], holt_nif:keys(Name, Self)),
    ?assertEqual(
        {error, unsupported}, holt_nif:claim(Name, a, <<>>, Self, standby)
    ),
    ?assertEqual(
        {error, unsupported}, holt_nif:claim(Name, b, <<>>, Self, {replace, Actor, 3})
    ).

duplicates_of_many_processes(Config) ->
    Name = open(Config, #{policy => ?DUPLICATE}),
    Pids = [spawn_waiting() || _ <- lists:seq(1, 100)],
    _ = [{ok, _} = holt_nif:register(Name, key, <<>>, Pid) || Pid <- Pids],
    ?assertEqual(lists:sort(Pids), lists:sort([Pid || {Pid, _} <- holt_nif:lookup(Name, key)])),
    {Dying, Living} = lists:split(50, Pids),
    lists:foreach(fun stop/1, Dying),
    ?assertEqual(
        lists:sort(Living), lists:sort([Pid || {Pid, _} <- holt_nif:lookup(Name, key)])
    ),
    %% Another's entries are not the caller's.
    ?assertEqual(none, holt_nif:unregister(Name, key, self())),
    ?assertMatch({ok, _, _}, holt_nif:unregister(Name, key, hd(Living))),
    ?assertEqual(49, length(holt_nif:lookup(Name, key))),
    Remote = remote(),
    ?assertEqual({remote, node(Remote)}, holt_nif:unregister(Name, key, Remote)).

duplicates_have_no_holder(Config) ->
    Name = open(Config, #{policy => ?DUPLICATE}),
    {ok, _} = holt_nif:register(Name, key, <<>>, self()),
    ?assertEqual({invalid, duplicate_keys}, holt_nif:whereis(Name, key)),
    ?assertEqual({invalid, duplicate_keys}, holt_nif:locate(Name, key)).

%% More than one slice, more than a normal scheduler allows.
thousands_of_entries(Config) ->
    Name = open(Config, #{policy => ?DUPLICATE}),
    Self = self(),
    Other = spawn_waiting(),
    _ = [
        begin
            N = 10 * I,
            _ = [{ok, _} = holt_nif:register(Name, key, <<J:32>>, Self) || J <- lists:seq(1, N)],
            {ok, _} = holt_nif:register(Name, key, <<>>, Other),
            ?assertEqual(N, length(holt_nif:entries(Name, key, Self))),
            ?assertEqual(N + 1, length(holt_nif:lookup(Name, key))),
            ?assertEqual(N + 1, holt_nif:count_key(Name, key)),
            ?assertEqual(N + 1, length(scan(Name, all))),
            ?assertMatch({ok, _, _}, holt_nif:unregister(Name, key, Self)),
            ?assertEqual([{Other, <<>>}], holt_nif:lookup(Name, key)),
            {ok, _, _} = holt_nif:unregister(Name, key, Other)
        end
     || I <- [1, 6, 51, 300]
    ],
    %% The last slice is just full.
    _ = [
        begin
            _ = [{ok, _} = holt_nif:register(Name, key, <<>>, Self) || _ <- lists:seq(1, N)],
            ?assertMatch({ok, _, _}, holt_nif:unregister(Name, key, Self)),
            ?assertEqual([], holt_nif:lookup(Name, key))
        end
     || N <- [64, 512, 576]
    ].

value_is_updated_by_token(Config) ->
    Self = self(),
    Unique = open(Config, #{}),
    {ok, _, Birth} = holt_nif:claim(Unique, key, <<"a">>, Self, new),
    ?assertEqual(ok, holt_nif:update(Unique, key, Self, {Birth, Birth}, <<"b">>)),
    ?assertEqual(changed, holt_nif:update(Unique, key, Self, {Birth, Birth}, <<"c">>)),
    ?assertEqual({<<"b">>, Birth + 1}, holt_nif:fetch(Unique, key, Self)),
    ?assertEqual(none, holt_nif:update(Unique, key, Self, {99, 99}, <<>>)),
    Duplicate = duplicate_keys,
    ok = holt_nif:open(Duplicate, #{policy => ?DUPLICATE}),
    {ok, _, _} = holt_nif:claim(Duplicate, key, <<"1">>, Self, new),
    {ok, _, _} = holt_nif:claim(Duplicate, key, <<"2">>, Self, new),
    ?assertEqual({<<"2">>, 2}, holt_nif:fetch(Duplicate, key, Self)),
    ?assertEqual(ok, holt_nif:update(Duplicate, key, Self, 2, <<"two">>)),
    ?assertEqual(changed, holt_nif:update(Duplicate, key, Self, 2, <<>>)),
    ?assertEqual(ok, holt_nif:update(Duplicate, key, Self, {1, 1}, <<"one">>)),
    ?assertEqual(
        [{<<"one">>, 1, 4}, {<<"two">>, 2, 3}],
        lists:sort(holt_nif:entries(Duplicate, key, Self))
    ),
    ?assertEqual(none, holt_nif:fetch(Duplicate, key, spawn_waiting())).

%%--------------------------------------------------------------------
%% Scans

scan_goes_by_prefix(Config) ->
    Name = open(Config, #{}),
    Self = self(),
    Keys =
        [<<>>, <<"user">>, <<"user:">>, <<"user:1">>, <<"user:10">>, <<"use">>, <<"User:1">>] ++
            [user, "user:1", {<<"user:1">>}, [<<"user:1">>], <<"user:1", 1:1>>, 109, #{}],
    _ = [{ok, _} = holt_nif:register(Name, Key, <<>>, Self) || Key <- Keys],
    Found = fun(Prefix) -> lists:sort([K || {K, _, _} <- scan(Name, {prefix, Prefix})]) end,
    ?assertEqual([<<"user:">>, <<"user:1">>, <<"user:10">>], Found(<<"user:">>)),
    ?assertEqual([<<"user:10">>], Found(<<"user:10">>)),
    ?assertEqual([], Found(<<"user:100">>)),
    ?assertEqual(lists:sort([K || K <- Keys, is_binary(K)]), Found(<<>>)),
    ?assertEqual(lists:sort(Keys), lists:sort([K || {K, _, _} <- scan(Name, all)])).

scan_of_many_is_quick(Config) ->
    Name = open(Config, #{}),
    Self = self(),
    Count = 100000,
    _ = [
        {ok, _} = holt_nif:register(Name, <<"key", N:32>>, <<>>, Self)
     || N <- lists:seq(1, Count)
    ],
    ?assertEqual([{<<"key", 77:32>>, Self, <<>>}], scan(Name, {prefix, <<"key", 77:32>>})),
    {Us, Calls, Longest} = lists:min([
        timed_scan(Name, {prefix, <<"nokey">>}, 0, {0, 0, 0})
     || _ <- lists:seq(1, 10)
    ]),
    ct:pal("100,000 names: ~b us in ~b calls, the longest ~b us", [Us, Calls, Longest]),
    ?assertEqual(Count, length(scan(Name, {prefix, <<"key">>}))).

names_are_counted(Config) ->
    Name = open(Config, #{}),
    {ok, _} = holt_nif:register(Name, a, <<>>, self()),
    Other = spawn_waiting(),
    {ok, _} = holt_nif:register(Name, b, <<>>, Other),
    ?assertEqual(2, holt_nif:count(Name)),
    ?assertEqual(2, holt_nif:count_node(Name, node())),
    ?assertEqual(0, holt_nif:count_node(Name, 'other@host')),
    ?assertEqual(1, holt_nif:count_key(Name, a)),
    ?assertEqual(0, holt_nif:count_key(Name, c)),
    {ok, _, _} = holt_nif:claim(Name, a, <<>>, Other, standby),
    ?assertEqual(1, holt_nif:count_key(Name, a)),
    stop(Other),
    ?assertEqual(0, holt_nif:count_key(Name, b)),
    ?assertEqual(1, holt_nif:count_key(Name, a)).

key_is_explained(Config) ->
    Name = open(Config, #{}),
    Self = self(),
    Other = spawn_waiting(),
    ?assertEqual([], holt_nif:explain(Name, key)),
    {ok, Actor, 1} = holt_nif:claim(Name, key, <<"w">>, Other, standby),
    {ok, Actor, 2} = holt_nif:claim(Name, other, <<>>, Self, new),
    Member = {Name, node()},
    [Only] = holt_nif:explain(Name, key),
    ?assertMatch(
        #{
            actor := Actor,
            member := Member,
            birth := 1,
            seq := 1,
            pid := Other,
            value := <<"w">>,
            standby := true,
            early := true,
            visible := true,
            winner := true
        },
        Only
    ),
    ?assertEqual(11, map_size(Only)),
    ?assert(is_integer(map_get(stamp, Only))),
    {ok, _, _} = holt_nif:unregister(Name, key, Self),
    {ok, _, _} = holt_nif:claim(Name, key, <<"h">>, Other, new),
    {ok, _, _} = holt_nif:claim(Name, key, <<"s">>, Self, standby),
    ?assertMatch(
        [
            #{pid := Other, standby := false, visible := true, winner := true},
            #{pid := Self, standby := true, visible := true, winner := false}
        ],
        holt_nif:explain(Name, key)
    ),
    stop(Other),
    ?assertMatch(
        [#{pid := Other, visible := false, winner := false}, #{pid := Self, visible := true} | _],
        lists:sort(fun(#{pid := P}, _) -> P =:= Other end, holt_nif:explain(Name, key))
    ).

%%--------------------------------------------------------------------
%% Members

members_are_counted(_Config) ->
    Net = pair(#{}),
    ?assertEqual({1, 1}, holt_nif:census(left)),
    Linked = meet(Net),
    ?assertEqual({2, 2}, holt_nif:census(left)),
    Alone = part(Linked),
    ?assertEqual({2, 1}, holt_nif:census(left)),
    prop_net:delete(Alone).

acks_are_counted(_Config) ->
    Net = pair(#{}),
    {ok, _, Seq} = holt_nif:claim(left, key, <<>>, self(), new),
    ?assertEqual({0, 0}, holt_nif:acks(left, Seq)),
    Linked = prop_net:settle(
        fun(_) -> holt_nif:acks(left, Seq) =:= {1, 1} end, prop_net:link(left, right, Net)
    ),
    ?assertEqual({1, 0}, holt_nif:acks(left, Seq + 1)),
    prop_net:delete(Linked).

member_is_evicted(_Config) ->
    Linked = meet(pair(#{})),
    Right = {right, node()},
    ?assertEqual({error, present}, holt_nif:evict(left, Right)),
    ?assertEqual({error, not_found}, holt_nif:evict(left, {right, other@host})),
    Alone = part(Linked),
    ?assertEqual({2, 1}, holt_nif:census(left)),
    ?assertEqual(ok, holt_nif:evict(left, Right)),
    ?assertEqual({1, 1}, holt_nif:census(left)),
    ?assertEqual({error, not_found}, holt_nif:evict(left, Right)),
    prop_net:delete(Alone).

quorum_of_so_many(_Config) ->
    Net = pair(#{quorum => 2}),
    Self = self(),
    ?assertEqual({error, no_quorum}, holt_nif:register(left, key, <<>>, Self)),
    ?assertEqual({error, no_quorum}, holt_nif:claim(left, key, <<>>, Self, new)),
    Linked = meet(Net),
    ?assertEqual({ok, Self}, holt_nif:register(left, key, <<>>, Self)),
    Alone = part(Linked),
    ?assertEqual({error, no_quorum}, holt_nif:register(left, other, <<>>, Self)),
    %% What is there may go on.
    ?assertMatch({_, _, _, _, _}, holt_nif:locate(left, key)),
    ?assertMatch({ok, _, _}, holt_nif:claim(left, key, <<>>, spawn_waiting(), standby)),
    ?assertMatch({ok, _, _}, holt_nif:unregister(left, key, Self)),
    prop_net:delete(Alone).

quorum_of_the_majority(_Config) ->
    Self = self(),
    Net = pair(#{quorum => ?MAJORITY}),
    ?assertEqual({ok, Self}, holt_nif:register(left, a, <<>>, Self)),
    Alone = part(meet(Net)),
    ?assertEqual({error, no_quorum}, holt_nif:register(left, b, <<>>, Self)),
    ?assertEqual(ok, holt_nif:evict(left, {right, node()})),
    ?assertEqual({ok, Self}, holt_nif:register(left, b, <<>>, Self)),
    prop_net:delete(Alone).

%%--------------------------------------------------------------------
%% Conflicts and contests

replaced_is_told(_Config) ->
    Linked = meet(pair(#{})),
    Self = self(),
    Old = spawn_waiting(),
    {ok, Actor, Birth} = holt_nif:claim(left, key, value(old), Old, new),
    There = settle(fun() -> holt_nif:whereis(right, key) =:= Old end, Linked),
    {ok, _, _} = holt_nif:claim(right, key, value(new), Self, {replace, Actor, Birth}),
    Settled = prop_net:settle(fun(Net) -> prop_net:replaced(Net) =/= [] end, There),
    ?assertEqual(Self, holt_nif:whereis(left, key)),
    ?assertEqual([], prop_net:conflicts(Settled)),
    ?assertEqual([{left, Old, key, value(old), Self}], prop_net:replaced(Settled)),
    prop_net:delete(Settled).

contest_is_decided(_Config) ->
    {Net, Own, Other} = contest(),
    #{pid := OwnPid, key := key, actor := _, stamp := Stamp} = Own,
    #{pid := OtherPid, actor := Actor, birth := Birth} = Other,
    ?assertNot(is_map_key(key, Other)),
    ?assert(is_integer(Stamp)),
    ?assertEqual(OwnPid, holt_nif:whereis(left, key)),
    At = at(Own),
    ?assertEqual(none, holt_nif:lose(At, 99, Actor, Birth, exit)),
    ?assertEqual(none, holt_nif:lose(At, maps:get(birth, Own), Actor, Birth + 1, exit)),
    ?assertEqual(ok, holt_nif:lose(At, maps:get(birth, Own), Actor, Birth, exit)),
    Settled = settle(fun() -> both_find(OtherPid) end, Net),
    ?assertMatch([{At, OwnPid, key, _, OtherPid}], prop_net:conflicts(Settled)),
    ?assertEqual(none, holt_nif:lose(At, maps:get(birth, Own), Actor, Birth, exit)),
    prop_net:delete(Settled).

contest_ends_with_a_standby(_Config) ->
    {Net, #{birth := Birth} = Own, #{pid := OtherPid} = Other} = contest(),
    At = at(Own),
    ok = holt_nif:lose(At, Birth, maps:get(actor, Other), maps:get(birth, Other), standby),
    Settled = settle(fun() -> both_find(OtherPid) end, Net),
    ?assertEqual([], prop_net:conflicts(Settled)),
    ?assertMatch(
        [#{winner := true, standby := false}, #{winner := false, standby := true}],
        holt_nif:explain(left, key)
    ),
    prop_net:delete(Settled).

%%--------------------------------------------------------------------
%% Changes

changes_are_read(Config) ->
    Name = open(Config, #{}),
    Self = self(),
    ?assertEqual(0, holt_nif:head(Name)),
    ?assertEqual({[], 0}, holt_nif:changes(Name, 0, 10)),
    ?assertEqual({missed, 0, 0}, holt_nif:changes(Name, 1, 10)),
    {ok, _, _} = holt_nif:claim(Name, unseen, <<>>, Self, new),
    ok = holt_nif:watch(Name),
    ?assertEqual(0, holt_nif:head(Name)),
    {ok, _, Birth} = holt_nif:claim(Name, <<"key">>, <<"1">>, Self, new),
    ok = holt_nif:update(Name, <<"key">>, Self, Birth, <<"2">>),
    {ok, _, _} = holt_nif:unregister(Name, <<"key">>, Self),
    All = [
        {registered, user, <<"key">>, Self, <<"1">>, none},
        {updated, user, <<"key">>, Self, <<"2">>, {Self, <<"1">>}},
        {unregistered, user, <<"key">>, Self, <<"2">>, none}
    ],
    %% Why somebody came is nobody's reason.
    Normal = fun(Changes) ->
        [
            case Change of
                {registered, _, K, P, V, none} -> {registered, user, K, P, V, none};
                _ -> Change
            end
         || Change <- Changes
        ]
    end,
    ?assertEqual(3, holt_nif:head(Name)),
    {Read, 3} = holt_nif:changes(Name, 0, 10),
    ?assertEqual(All, Normal(Read)),
    ?assertEqual({tl(Read), 3}, holt_nif:changes(Name, 1, 10)),
    ?assertEqual({[hd(Read)], 1}, holt_nif:changes(Name, 0, 1)),
    ?assertEqual({[], 3}, holt_nif:changes(Name, 3, 10)),
    ?assertEqual({missed, 0, 3}, holt_nif:changes(Name, 4, 10)).

changes_say_why(Config) ->
    Name = open(Config, #{}),
    Self = self(),
    ok = holt_nif:watch(Name),
    One = spawn_waiting(),
    {ok, Actor, Birth} = holt_nif:claim(Name, key, <<"1">>, One, new),
    {ok, _, _} = holt_nif:claim(Name, key, <<"2">>, Self, {replace, Actor, Birth}),
    poll(Name),
    {[_, Given], 2} = holt_nif:changes(Name, 0, 10),
    ?assertEqual({registered, given_away, key, Self, <<"2">>, {One, <<"1">>}}, Given),
    Two = spawn_waiting(),
    {ok, _, _} = holt_nif:claim(Name, other, <<"a">>, Two, new),
    stop(Two),
    {ok, _, _} = holt_nif:claim(Name, other, <<"b">>, Self, new),
    poll(Name),
    {[_, Heir], 4} = holt_nif:changes(Name, 2, 10),
    ?assertEqual({registered, down, other, Self, <<"b">>, {Two, <<"a">>}}, Heir),
    Three = spawn_waiting(),
    {ok, _, _} = holt_nif:claim(Name, third, <<"c">>, Three, new),
    stop(Three),
    Gone = wait(fun() ->
        poll(Name),
        case holt_nif:changes(Name, 5, 10) of
            {[Change], 6} -> {true, Change};
            _ -> false
        end
    end),
    ?assertEqual({unregistered, down, third, Three, <<"c">>, none}, Gone).

changes_of_duplicates(Config) ->
    Name = open(Config, #{policy => ?DUPLICATE}),
    Self = self(),
    ok = holt_nif:watch(Name),
    _ = [{ok, _} = holt_nif:register(Name, key, <<N>>, Self) || N <- [1, 2]],
    {ok, _, _} = holt_nif:unregister(Name, key, Self),
    {Changes, 4} = holt_nif:changes(Name, 0, 10),
    ?assertMatch(
        [
            {registered, _, key, Self, <<1>>, none},
            {registered, _, key, Self, <<2>>, none},
            {unregistered, user, key, Self, <<2>>, none},
            {unregistered, user, key, Self, <<1>>, none}
        ],
        Changes
    ).

changes_wake_once(Config) ->
    Name = open(Config, #{}),
    ok = holt_nif:watch(Name),
    ?assertEqual(0, news()),
    _ = [{ok, _} = holt_nif:register(Name, N, <<>>, self()) || N <- lists:seq(1, 10)],
    ?assertEqual(1, news()),
    %% Not read to the end: no news.
    {_, 5} = holt_nif:changes(Name, 0, 5),
    {ok, _} = holt_nif:register(Name, 11, <<>>, self()),
    ?assertEqual(0, news()),
    {_, 11} = holt_nif:changes(Name, 5, 100),
    ?assertEqual(0, news()),
    {ok, _} = holt_nif:register(Name, 12, <<>>, self()),
    ?assertEqual(1, news()),
    %% What another process reads is not what the watching one has read.
    Reader = self(),
    _ = spawn_link(fun() -> Reader ! {read, holt_nif:changes(Name, 11, 10)} end),
    receive
        {read, {[_], 12}} -> ok
    end,
    {ok, _} = holt_nif:register(Name, 13, <<>>, self()),
    ?assertEqual(0, news()).

changes_are_bounded(Config) ->
    Name = open(Config, #{}),
    Self = self(),
    ok = holt_nif:watch(Name),
    {ok, _, _} = holt_nif:claim(Name, key, <<>>, Self, new),
    Last = lists:foldl(
        fun(_, Token) ->
            ok = holt_nif:update(Name, key, Self, Token, <<>>),
            Token + 1
        end,
        1,
        lists:seq(1, 70000)
    ),
    ?assertEqual(70001, holt_nif:head(Name)),
    {missed, Oldest, 70001} = holt_nif:changes(Name, 0, 10),
    ?assert(70001 - Oldest =< 65536),
    ?assert(70001 - Oldest > 60000),
    ?assertEqual(70001 - Oldest, length(read(Name, Oldest))),
    %% By size, too.
    Large = binary:copy(<<"x">>, 1000000),
    _ = lists:foldl(
        fun(_, Token) ->
            ok = holt_nif:update(Name, key, Self, Token, Large),
            Token + 1
        end,
        Last,
        lists:seq(1, 20)
    ),
    #{memory_bytes := Bytes} = holt_nif:info(Name),
    ?assert(Bytes < 25000000),
    {missed, Few, 70021} = holt_nif:changes(Name, Oldest, 10),
    ?assertEqual(70021 - Few, length(read(Name, Few))).

%% Larger than what is kept: all before it counts as missed.
changes_of_heavy_values(Config) ->
    Name = open(Config, #{value_bytes_max => 16777216}),
    Self = self(),
    ok = holt_nif:watch(Name),
    {ok, _, _} = holt_nif:claim(Name, small, <<>>, Self, new),
    {ok, _, _} = holt_nif:claim(Name, heavy, binary:copy(<<"x">>, 2000000), Self, new),
    {[_], 1} = holt_nif:changes(Name, 0, 10),
    {[{registered, _, heavy, Self, Value, none}], 2} = holt_nif:changes(Name, 1, 10),
    ?assertEqual(2000000, byte_size(Value)),
    {ok, _, _} = holt_nif:claim(Name, huge, binary:copy(<<"x">>, 5000000), Self, new),
    ?assertEqual({missed, 3, 3}, holt_nif:changes(Name, 2, 10)),
    {ok, _, _} = holt_nif:claim(Name, last, <<>>, Self, new),
    ?assertMatch({[{registered, _, last, _, _, _}], 4}, holt_nif:changes(Name, 3, 10)).

changes_outlive_the_watcher(Config) ->
    Name = open(Config, #{}),
    Self = self(),
    Watcher = spawn_waiting(),
    {_, Monitor} = spawn_monitor(fun() -> ok = holt_nif:watch(Name) end),
    receive
        {'DOWN', Monitor, process, _, normal} -> ok
    end,
    {ok, _} = holt_nif:register(Name, key, <<>>, Watcher),
    ok = holt_nif:watch(Name),
    ?assertMatch({[{registered, _, key, Watcher, <<>>, none}], 1}, holt_nif:changes(Name, 0, 9)),
    {ok, _} = holt_nif:register(Name, other, <<>>, Self),
    ?assertEqual(1, news()),
    %% Another life, another count: the past is missed.
    ok = holt_nif:renode(Name),
    Head = holt_nif:head(Name),
    ?assertMatch({missed, Head, Head}, holt_nif:changes(Name, 0, 9)).

changes_of_members(_Config) ->
    Net = pair(#{}),
    Self = self(),
    ok = holt_nif:watch(left),
    {ok, Actor, _} = holt_nif:claim(right, key, value(v), Self, new),
    Linked = meet(Net),
    Member = {right, node()},
    Up = read(left, 0),
    ?assertMatch([_ | _], Up),
    ?assert(lists:member({member_up, Member, Actor}, short(Up))),
    Here = settle(fun() -> holt_nif:whereis(left, key) =:= Self end, Linked),
    Head = holt_nif:head(left),
    {ok, _, _} = holt_nif:claim(right, other, <<>>, Self, new),
    There = settle(fun() -> holt_nif:whereis(left, other) =:= Self end, Here),
    {ok, _, _} = holt_nif:unregister(right, other, Self),
    Gone = settle(fun() -> holt_nif:whereis(left, other) =:= undefined end, There),
    ?assertMatch(
        [
            {registered, _, other, Self, <<>>, none},
            {unregistered, user, other, Self, <<>>, none}
        ],
        read(left, Head)
    ),
    Next = holt_nif:head(left),
    Alone = part(Gone),
    ?assertEqual([{member_down, Member, Actor, 1}], read(left, Next)),
    prop_net:delete(Alone).

%%--------------------------------------------------------------------
%% Upgrades

%% As with a release of its own folder: the old file is given up, what lives goes on.
another_library_takes_over(Config) ->
    Name = open(Config, #{}),
    Self = self(),
    ok = holt_nif:watch(Name),
    Mortal = spawn_waiting(),
    {ok, _} = holt_nif:register(Name, mortal, <<>>, Mortal),
    {ok, _} = holt_nif:register(Name, key, <<>>, Self),
    {[_, _], 2} = holt_nif:changes(Name, 0, 9),
    Old = filename:dirname(code:which(holt_nif)),
    Folder = filename:join(proplists:get_value(priv_dir, Config), "other/holt"),
    _ = [
        begin
            To = filename:join([Folder, Sub, filename:basename(File)]),
            ok = filelib:ensure_dir(To),
            {ok, _} = file:copy(File, To)
        end
     || {Sub, File} <- [
            {"ebin", filename:join(Old, "holt_nif.beam")},
            {"priv", filename:join(code:priv_dir(holt), "holt_nif.so")}
        ]
    ],
    New = filename:join(Folder, "ebin"),
    true = code:replace_path(holt, New),
    load_again(New),
    #{actor := Actor} = holt_nif:info(Name),
    ?assertMatch({Self, <<>>, Actor, 2, 2}, holt_nif:locate(Name, key)),
    ?assertEqual(2, holt_nif:head(Name)),
    _ = [{ok, _} = holt_nif:register(Name, N, <<N:8000>>, Self) || N <- lists:seq(1, 1000)],
    ?assert(news() >= 1),
    ?assertMatch({[{registered, _, 1, _, _, _} | _], _}, holt_nif:changes(Name, 2, 9)),
    stop(Mortal),
    ?assertEqual(undefined, holt_nif:whereis(Name, mortal)),
    true = code:replace_path(holt, Old),
    load_again(Old),
    poll(Name),
    ?assertEqual(1001, holt_nif:count(Name)).

load_again(Ebin) ->
    _ = code:purge(holt_nif),
    {module, holt_nif} = code:load_abs(filename:join(Ebin, "holt_nif")),
    _ = code:purge(holt_nif).

%%--------------------------------------------------------------------
%% Internal

open(Config, Options) ->
    Name = proplists:get_value(name, Config),
    ok = holt_nif:open(Name, Options),
    Name.

sweep(more) -> sweep(holt_nif:sweep());
sweep(done) -> ok.

spawn_waiting() ->
    Parent = self(),
    spawn(fun() ->
        Monitor = erlang:monitor(process, Parent),
        receive
            stop -> ok;
            {'DOWN', Monitor, _, _, _} -> ok
        end
    end).

stop(Pid) ->
    Monitor = erlang:monitor(process, Pid),
    Pid ! stop,
    receive
        {'DOWN', Monitor, process, Pid, _} -> ok
    end.

dead() ->
    Pid = spawn_waiting(),
    stop(Pid),
    Pid.

%% A process of a node that never was.
remote() ->
    Name = <<"other@host">>,
    binary_to_term(<<131, 88, 119, (byte_size(Name)), Name/binary, 7:32, 0:32, 1:32>>).

scan(Name, Filter) ->
    scan(Name, Filter, 0, []).

scan(Name, Filter, Cursor, Found) ->
    case holt_nif:next(Name, Cursor, Filter) of
        {Slice, done} -> Slice ++ Found;
        {Slice, Next} -> scan(Name, Filter, Next, Slice ++ Found)
    end.

timed_scan(Name, Filter, Cursor, {Us, Calls, Longest}) ->
    {Took, {_, Next}} = timer:tc(fun() -> holt_nif:next(Name, Cursor, Filter) end),
    Sum = {Us + Took, Calls + 1, max(Took, Longest)},
    case Next of
        done -> Sum;
        _ -> timed_scan(Name, Filter, Next, Sum)
    end.

located(Name, Key, Pid) ->
    wait(fun() ->
        case holt_nif:locate(Name, Key) of
            {Pid, _, _, _, _} = Found -> {true, Found};
            _ -> false
        end
    end).

wait(Fun) ->
    wait(Fun, erlang:monotonic_time(millisecond) + 10000).

wait(Fun, Deadline) ->
    case Fun() of
        {true, Result} ->
            Result;
        false ->
            ?assert(erlang:monotonic_time(millisecond) < Deadline),
            erlang:yield(),
            wait(Fun, Deadline)
    end.

poll(Name) ->
    case holt_nif:poll(Name) of
        {_, again} -> poll(Name);
        _ -> ok
    end.

news() ->
    receive
        holt_changes -> 1 + news()
    after 0 -> 0
    end.

read(Name, From) ->
    case holt_nif:changes(Name, From, 1000) of
        {[], From} -> [];
        {Changes, Next} -> Changes ++ read(Name, Next)
    end.

short(Changes) ->
    [{Type, Member, Actor} || {Type, Member, Actor, _} <- Changes].

%%--------------------------------------------------------------------
%% Two instances

pair(Options) ->
    prop_net:new([left, right], Options#{probe_ms => 1}).

meet(Net) ->
    settle(fun() -> census() =:= [{2, 2}, {2, 2}] end, prop_net:link(left, right, Net)).

%% Until both have given each other up.
part(Net) ->
    settle(fun() -> census() =:= [{2, 1}, {2, 1}] end, prop_net:unlink(left, right, Net)).

census() ->
    [holt_nif:census(Name) || Name <- [left, right]].

settle(IsSettled, Net) ->
    prop_net:settle(fun(_) -> IsSettled() end, Net).

both_find(Pid) ->
    lists:all(fun(Name) -> holt_nif:whereis(Name, key) =:= Pid end, [left, right]).

%% Both have given a name; whoever has it is asked.
contest() ->
    Linked = meet(pair(#{policy => ?CUSTOM})),
    Apart = part(Linked),
    {ok, _, _} = holt_nif:claim(left, key, value(l), spawn_waiting(), new),
    {ok, _, _} = holt_nif:claim(right, key, value(r), spawn_waiting(), new),
    Joined = prop_net:settle(
        fun(Net) -> prop_net:contests(Net) =/= [] end, prop_net:link(left, right, Apart)
    ),
    [{_, Own, Other} | _] = prop_net:contests(Joined),
    {Joined, Own, Other}.

at(#{member := {Name, _}}) -> Name.

%% Other members take nothing else.
value(Term) -> term_to_binary(Term).
