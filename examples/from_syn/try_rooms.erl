%% SPDX-License-Identifier: Apache-2.0
%% @doc Tries the rooms on two real nodes.
-module(try_rooms).

-export([main/0]).

-define(WAIT_MS, 20000).

-spec main() -> no_return().
main() ->
    try
        run(),
        halt(0)
    catch
        Class:Reason:Stack ->
            io:format("~tp~n", [{Class, Reason, Stack}]),
            halt(1)
    end.

run() ->
    #{nodes := [A, B]} = holt_test:start_cluster(2),
    [{ok, _} = holt_test:call(Node, application, ensure_all_started, [rooms]) || Node <- [A, B]],
    await(fun() -> length(holt_test:call(A, holt_cluster, members, [rooms])) =:= 2 end),

    {ok, Lobby} = rooms(A, open, [lobby, 1]),
    {error, {already_started, Lobby}} = rooms(A, open, [lobby, 1]),
    await(fun() -> rooms(B, find, [lobby]) =:= {Lobby, #{guests => 1}} end),
    lobby = holt_test:call(B, gen_server, call, [{via, holt_registry, {rooms, lobby}}, name]),
    {ok, 2} = rooms(B, enter, [lobby]),
    {Lobby, #{guests := 2}} = rooms(A, find, [lobby]),
    [lobby] = rooms(B, list, []),
    {1, 0} = {rooms(B, count, [A]), rooms(B, count, [B])},
    io:format("a room of ~p is found, called and changed from ~p~n", [A, B]),

    %% Cut off from each other both open a room of the same name.
    ok = holt_test:cut(A, B),
    await(fun() -> rooms(B, count, []) =:= 0 end),
    {ok, Quiet} = rooms(A, open, [bar, 3]),
    {ok, Crowded} = rooms(B, open, [bar, 7]),
    ok = holt_test:heal(),
    [await(fun() -> rooms(Node, pid, [bar]) =:= Crowded end) || Node <- [A, B]],
    true = holt_test:call(A, erlang, is_process_alive, [Quiet]),
    io:format("of two bars the one with seven guests has stayed; the other lives on, unnamed~n"),

    ok = rooms(A, close, [bar]),
    undefined = rooms(A, find, [bar]),
    await(fun() -> rooms(B, find, [bar]) =:= undefined end),
    ok = holt_test:call(A, gen_server, stop, [Lobby]),
    await(fun() -> rooms(B, count, []) =:= 0 end),
    await(fun() -> [gone || {closed, lobby, _, _} <- told(B)] =/= [] end),
    [{opened, lobby, #{guests := 1}, _} | _] = told(A),
    [{changed, lobby, #{guests := 2}, _} | _] = [Event || {changed, _, _, _} = Event <- told(A)],
    io:format("the callbacks of both nodes were told of all of it~n").

rooms(Node, Function, Arguments) ->
    holt_test:call(Node, rooms, Function, Arguments).

told(Node) ->
    holt_test:call(Node, rooms_events, all, []).

await(Condition) ->
    await(Condition, erlang:monotonic_time(millisecond) + ?WAIT_MS).

await(Condition, Deadline) ->
    case Condition() of
        true ->
            ok;
        false ->
            erlang:monotonic_time(millisecond) < Deadline orelse error(never_came_true),
            receive
            after 5 -> await(Condition, Deadline)
            end
    end.
