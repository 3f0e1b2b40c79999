%% SPDX-License-Identifier: Apache-2.0
%% @doc The judge of records: a good one passes, and each kind of wrong is found.
-module(holt_record_tests).

-include_lib("eunit/include/eunit.hrl").

%% A record with some of everything, in which all is well.
good(P, Q, R) ->
    Node = node(),
    [
        {registered, 10, 20, Node, a, P},
        {looked, 21, 22, Node, a, P},
        %% While it was under way either answer was right.
        {looked, 12, 15, Node, a, undefined},
        {registered, 10, 20, Node, b, Q},
        {dying, 30, Q},
        {looked, 31, 32, Node, b, Q},
        {looked, 31, 33, Node, b, undefined},
        {died, 35, Node, Q},
        {looked, 36, 37, Node, b, undefined},
        {registered, 10, 20, Node, c, R},
        {conflict, 50, Node, c, R, P},
        {looked, 45, 46, Node, c, P},
        {died, 51, Node, R},
        {registered, 60, 70, Node, d, P},
        {looked, 71, 72, Node, d, P},
        {unregistered, 80, 90, Node, d},
        {looked, 85, 86, Node, d, undefined},
        {looked, 91, 92, Node, d, undefined},
        {looked, 21, 22, elsewhere, a, undefined},
        {rest, 100, Node, [{a, P}, {c, P}]},
        {rest, 101, elsewhere, [{a, P}, {c, P}]}
    ].

with_pids(Fun) ->
    Pids = [P, Q, R] = [spawn(fun() -> ok end) || _ <- [p, q, r]],
    ?assertEqual(3, length(lists:usort(Pids))),
    Fun(P, Q, R).

good_record_passes_test() ->
    with_pids(fun(P, Q, R) -> ?assertEqual([], holt_record:check(good(P, Q, R))) end).

planted_violations_are_rejected_test_() ->
    [{atom_to_list(What), fun() -> planted(What) end} || What <- kinds()].

kinds() ->
    [
        lost_on_its_node,
        lost_before_its_end_begins,
        replaced_untold,
        lost_at_rest,
        lost_at_rest_elsewhere,
        lost_again_after_it_was_unregistered,
        dead_is_found,
        dead_is_found_at_rest,
        ghost_of_a_killed_node,
        two_holders,
        held_on_one_node_only
    ].

planted(What) ->
    with_pids(fun(P, Q, R) ->
        Violations = holt_record:check(plant(What, good(P, Q, R), {P, Q, R})),
        ?assertMatch([_ | _], Violations),
        {Kind, Key} = expected(What),
        Found = [{element(1, V), element(2, V)} || V <- Violations],
        ?assertEqual([{Kind, Key}], lists:usort(Found))
    end).

expected(lost_on_its_node) -> {lost, a};
expected(lost_before_its_end_begins) -> {lost, b};
expected(replaced_untold) -> {lost, c};
expected(lost_at_rest) -> {lost, a};
expected(lost_at_rest_elsewhere) -> {lost, e};
expected(lost_again_after_it_was_unregistered) -> {lost, d};
expected(dead_is_found) -> {ghost, b};
expected(dead_is_found_at_rest) -> {ghost, b};
expected(ghost_of_a_killed_node) -> {ghost, a};
expected(two_holders) -> {holders, f};
expected(held_on_one_node_only) -> {holders, f}.

plant(lost_on_its_node, Good, _) ->
    [{looked, 40, 41, node(), a, undefined} | Good];
plant(lost_before_its_end_begins, Good, _) ->
    [{looked, 25, 26, node(), b, undefined} | Good];
plant(replaced_untold, Good, _) ->
    Died = {died, 51, node(), r(Good)},
    [Event || Event <- Good, element(1, Event) =/= conflict, Event =/= Died];
plant(lost_at_rest, Good, {P, _, _}) ->
    %% From all of them: agreement alone is not enough.
    [without(Event, {a, P}) || Event <- Good];
plant(lost_at_rest_elsewhere, Good, {P, _, _}) ->
    %% Of a third node's process, with nobody who looks for it there.
    [{registered, 10, 20, third, e, P} | Good];
plant(lost_again_after_it_was_unregistered, Good, {P, _, _}) ->
    [{registered, 93, 94, node(), d, P}, {looked, 95, 96, node(), d, undefined}] ++
        [with(Event, {d, P}) || Event <- Good];
plant(dead_is_found, Good, {_, Q, _}) ->
    [{looked, 36, 38, node(), b, Q} | Good];
plant(dead_is_found_at_rest, Good, {_, Q, _}) ->
    [with(Event, {b, Q}) || Event <- Good];
plant(ghost_of_a_killed_node, _, {P, _, _}) ->
    [
        {registered, 10, 20, node(), a, P},
        {node_killed, 30, 40, node(), holt_record:creation(P)},
        {rest, 100, elsewhere, [{a, P}]}
    ];
plant(two_holders, Good, {P, Q, _}) ->
    Dead = fun(Event) -> Event =/= {died, 35, node(), Q} end,
    [
        case Event of
            {rest, _, elsewhere, _} -> with(Event, {f, P});
            _ -> with(Event, {f, Q})
        end
     || Event <- Good, Dead(Event)
    ];
plant(held_on_one_node_only, Good, {P, _, _}) ->
    [
        case Event of
            {rest, _, elsewhere, _} -> with(Event, {f, P});
            _ -> Event
        end
     || Event <- Good
    ].

r(Good) ->
    [R] = [Pid || {registered, _, _, _, c, Pid} <- Good],
    R.

with({rest, Time, Node, Names}, Name) -> {rest, Time, Node, [Name | Names]};
with(Event, _) -> Event.

without({rest, Time, Node, Names}, Name) -> {rest, Time, Node, Names -- [Name]};
without(Event, _) -> Event.

record_of_nothing_fails_test() ->
    ?assertEqual([{nothing_registered}, {no_rest}], holt_record:check([])).

%% Whoever did not hear that it is over may still be right.
unregistered_without_an_answer_test() ->
    with_pids(fun(P, _, _) ->
        Record = [
            {registered, 10, 20, node(), a, P},
            {unregistered, 30, infinity, node(), a},
            {rest, 100, node(), []}
        ],
        ?assertEqual([], holt_record:check(Record)),
        ?assertMatch(
            [{lost, a, P, _}], holt_record:check([{looked, 25, 26, node(), a, undefined} | Record])
        )
    end).

names_of_a_killed_node_are_gone_test() ->
    with_pids(fun(P, _, _) ->
        Killed = {node_killed, 30, 40, node(), holt_record:creation(P)},
        Registered = {registered, 10, 20, node(), a, P},
        Rest = {rest, 100, elsewhere, []},
        ?assertEqual([], holt_record:check([Registered, Killed, Rest])),
        ?assertMatch([{lost, a, P, _}], holt_record:check([Registered, Rest])),
        %% Another life of that node.
        Other = setelement(5, Killed, holt_record:creation(P) + 1),
        ?assertMatch([{lost, a, P, _}], holt_record:check([Registered, Other, Rest]))
    end).

creation_is_that_of_the_node_test() ->
    ?assertEqual(erlang:system_info(creation), holt_record:creation(self())).
