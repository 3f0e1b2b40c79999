%% SPDX-License-Identifier: Apache-2.0
%% @doc Who is told of what, against the plain definition.
-module(holt_routes_tests).

-include_lib("eunit/include/eunit.hrl").

change(Key) ->
    {registered, user, Key, self(), <<>>, none}.

down() ->
    {member_down, {reg, 'a@b'}, 1, 3}.

%% What every one of them is told: a map from those that are told something.
told(Changes, Routes) ->
    {Common, All, Others} = holt_routes:collect(Changes, fun(Change) -> Change end, Routes),
    maps:from_list([{Id, Common} || Id <- All, Common =/= []] ++ Others).

routes(Filters) ->
    lists:foldl(
        fun({Id, Filter}, Routes) -> holt_routes:add(Id, Filter, Routes) end,
        holt_routes:new(),
        Filters
    ).

nobody_test() ->
    Routes = holt_routes:new(),
    ?assert(holt_routes:is_empty(Routes)),
    Make = fun(_) -> error(nobody_asked) end,
    ?assertEqual({[], [], []}, holt_routes:collect([change(a), down()], Make, Routes)).

by_filter_test() ->
    Routes = routes([
        {all, all},
        {a, {key, a}},
        {one, {key, 1}},
        {us, {prefix, <<"us">>}},
        {user, {prefix, <<"user.">>}},
        {any, {prefix, <<>>}}
    ]),
    ?assertEqual([a, all, any, one, us, user], lists:sort(holt_routes:ids(Routes))),
    ?assertEqual([a, all], keys(told([change(a)], Routes))),
    %% Compared as by =:=.
    ?assertEqual([all, one], keys(told([change(1)], Routes))),
    ?assertEqual([all], keys(told([change(1.0)], Routes))),
    ?assertEqual([all, any, us, user], keys(told([change(<<"user.7">>)], Routes))),
    ?assertEqual([all, any, us, user], keys(told([change(<<"user.">>)], Routes))),
    ?assertEqual([all, any, us], keys(told([change(<<"user">>)], Routes))),
    ?assertEqual([all, any], keys(told([change(<<"u">>)], Routes))),
    %% A prefix is of whole bytes.
    ?assertEqual([all], keys(told([change(<<"user.", 1:1>>)], Routes))),
    ?assertEqual([a, all, any, one, us, user], keys(told([down()], Routes))).

in_order_and_made_once_test() ->
    Routes = routes([{1, all}, {2, all}, {3, {key, a}}, {4, {prefix, <<"b">>}}]),
    Changes = [change(a), change(<<"b1">>), down(), change(<<"b2">>), change(c), change(a)],
    Make = fun(Change) ->
        put(made, 1 + get(made)),
        Change
    end,
    put(made, 0),
    {Common, All, Others} = holt_routes:collect(Changes, Make, Routes),
    ?assertEqual(length(Changes), get(made)),
    ?assertEqual(Changes, Common),
    ?assertEqual([1, 2], lists:sort(All)),
    ?assertEqual(
        [{3, [change(a), down(), change(a)]}, {4, [change(<<"b1">>), down(), change(<<"b2">>)]}],
        lists:sort(Others)
    ),
    %% Only what somebody wants is made.
    put(made, 0),
    _ = holt_routes:collect(Changes, Make, routes([{3, {key, a}}])),
    ?assertEqual(3, get(made)).

removed_test() ->
    Filters = [{1, {prefix, <<"a">>}}, {2, {prefix, <<"a">>}}, {3, {prefix, <<"b">>}}, {4, all}],
    Routes = routes([{5, {key, <<"a">>}} | Filters]),
    One = holt_routes:remove(1, Routes),
    ?assertEqual([2, 4, 5], keys(told([change(<<"a">>)], One))),
    Two = holt_routes:remove(2, holt_routes:remove(2, One)),
    ?assertEqual([4, 5], keys(told([change(<<"a">>)], Two))),
    ?assertEqual([3, 4], keys(told([change(<<"b">>)], Two))),
    Left = lists:foldl(fun holt_routes:remove/2, Two, [3, 4, 5]),
    ?assertEqual(holt_routes:new(), Left),
    %% Added again: by its new filter alone.
    Again = holt_routes:add(5, {key, c}, Routes),
    ?assertEqual([1, 2, 4], keys(told([change(<<"a">>)], Again))),
    ?assertEqual([4, 5], keys(told([change(c)], Again))).

%% Ten thousand keys that others wait for are not looked at.
many_keys_test() ->
    Many = routes([{N, {key, {other, N}}} || N <- lists:seq(1, 10000)]),
    Few = routes([{1, {key, other}}]),
    Changes = [change({key, N}) || N <- lists:seq(1, 500)],
    Reductions = fun(Routes) ->
        {reductions, Before} = process_info(self(), reductions),
        {[], [], []} = holt_routes:collect(Changes, fun(C) -> C end, Routes),
        {reductions, After} = process_info(self(), reductions),
        After - Before
    end,
    ?assert(Reductions(Many) < 2 * Reductions(Few)).

%% Whatever there is: the same as asking every filter for every change.
random_test() ->
    Seed = erlang:unique_integer([positive]),
    _ = rand:seed(exsss, Seed),
    [?assertEqual({Seed, true}, {Seed, random_case()}) || _ <- lists:seq(1, 300)].

random_case() ->
    Filters = [{N, random_filter()} || N <- lists:seq(1, rand:uniform(8))],
    Gone = [N || {N, _} <- Filters, rand:uniform(4) =:= 1],
    Routes = lists:foldl(fun holt_routes:remove/2, routes(Filters), Gone),
    Changes = [random_change() || _ <- lists:seq(1, rand:uniform(10))],
    Expected = [
        {Id, Events}
     || {Id, Filter} <- Filters,
        not lists:member(Id, Gone),
        Events <- [holt_routes:select(Changes, fun(C) -> C end, Filter)],
        Events =/= []
    ],
    told(Changes, Routes) =:= maps:from_list(Expected).

random_filter() ->
    case rand:uniform(5) of
        1 -> all;
        2 -> {key, random_key()};
        3 -> {key, atom};
        _ -> {prefix, random_key()}
    end.

random_change() ->
    case rand:uniform(6) of
        1 -> down();
        2 -> change(atom);
        _ -> change(random_key())
    end.

random_key() ->
    list_to_binary([$a + rand:uniform(2) || _ <- lists:seq(1, rand:uniform(4) - 1)]).

keys(Map) ->
    lists:sort(maps:keys(Map)).
