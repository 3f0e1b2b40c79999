%% SPDX-License-Identifier: Apache-2.0
%% @doc Values as the native code makes terms of them, beside what binary_to_term/1 says.
-module(holt_nif_values_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

-import(holt_nif_SUITE, [open/2, remote/0]).

all() ->
    [values_are_decoded, odd_values_are_left, changed_values].

init_per_testcase(Case, Config) ->
    holt_nif_SUITE:init_per_testcase(Case, Config).

end_per_testcase(Case, Config) ->
    holt_nif_SUITE:end_per_testcase(Case, Config).

values_are_decoded(Config) ->
    Name = open(Config, #{}),
    Self = self(),
    {ok, _, _} = holt_nif:claim(Name, key, <<>>, Self, new),
    ?assertEqual([{Self, undefined}], holt_nif:read(Name, key)),
    ?assertEqual([], holt_nif:read(Name, other)),
    _ = [
        begin
            put_value(Name, Binary),
            ?assertEqual([{Self, Value}], holt_nif:read(Name, key)),
            ?assertEqual({[{key, Self, Value}], done}, holt_nif:next(Name, 0, terms))
        end
     || Value <- values(), Binary <- forms(Value)
    ].

%% Nobody on the way has looked at what another node has sent: the caller decodes it, or
%% fails to.
odd_values_are_left(Config) ->
    Name = open(Config, #{}),
    Self = self(),
    {ok, _, _} = holt_nif:claim(Name, key, <<>>, Self, new),
    _ = [
        begin
            put_value(Name, Binary),
            ?assertEqual({mixed, [{Self, Binary, encoded}]}, holt_nif:read(Name, key)),
            Left = {mixed, [{key, Self, Binary, encoded}]},
            ?assertEqual({Left, done}, holt_nif:next(Name, 0, terms)),
            ?assertError(badarg, holt_read:lookup(Name, key)),
            ?assertError(badarg, holt_read:list(Name, terms))
        end
     || Binary <- no_terms()
    ],
    Large = lists:seq(1, 10000),
    put_value(Name, term_to_binary(lists:duplicate(1000, a), [compressed])),
    ?assertMatch({mixed, [{Self, _, encoded}]}, holt_nif:read(Name, key)),
    ?assertEqual([{Self, lists:duplicate(1000, a)}], holt_read:lookup(Name, key)),
    put_value(Name, term_to_binary(Large)),
    {ok, _, _} = holt_nif:claim(Name, small, term_to_binary({v, 1}), Self, new),
    ?assertMatch({mixed, [{Self, _, encoded}]}, holt_nif:read(Name, key)),
    ?assertEqual([{Self, Large}], holt_read:lookup(Name, key)),
    ?assertEqual(
        [{key, Self, Large}, {small, Self, {v, 1}}], lists:sort(holt_read:list(Name, terms))
    ).

%% Values with one byte changed are what binary_to_term/1 says, too.
changed_values(Config) ->
    Name = open(Config, #{}),
    Seed = erlang:system_time(),
    ct:pal("seed ~b", [Seed]),
    State = rand:seed(exsss, Seed),
    {ok, _, _} = holt_nif:claim(Name, key, <<>>, self(), new),
    Binaries = [term_to_binary(Value) || Value <- values()],
    lists:foldl(
        fun(_, S) -> changed_value(Name, Binaries, S) end, State, lists:seq(1, 20000)
    ).

changed_value(Name, Binaries, State) ->
    {I, State1} = rand:uniform_s(length(Binaries), State),
    Binary = lists:nth(I, Binaries),
    {At, State2} = rand:uniform_s(min(byte_size(Binary), 64) - 1, State1),
    {Byte, State3} = rand:uniform_s(256, State2),
    <<Before:At/binary, _, After/binary>> = Binary,
    case <<Before/binary, (Byte - 1), After/binary>> of
        %% Compressed, of any size.
        <<131, 80, _/binary>> -> ok;
        Changed -> compare_decoded(Name, Changed)
    end,
    State3.

compare_decoded(Name, Changed) ->
    put_value(Name, Changed),
    Expected = attempt(fun() -> [{self(), binary_to_term(Changed)}] end),
    ?assertEqual(Expected, attempt(fun() -> holt_read:lookup(Name, key) end), {changed, Changed}).

attempt(Fun) ->
    try
        Fun()
    catch
        error:badarg -> badarg
    end.

put_value(Name, Binary) ->
    {_, Token} = holt_nif:fetch(Name, key, self()),
    ok = holt_nif:update(Name, key, self(), Token, Binary).

values() ->
    Powers = [1 bsl Bits || Bits <- [31, 32, 55, 56, 63, 64, 2000]],
    Integers = [N + D || N <- [0, 256 | Powers], D <- [-1, 0, 1]],
    Plain =
        Integers ++ [-N || N <- Integers] ++
            [0.0, 1.5, -1.0e300, '', ok, undefined, encoded, 'caf\x{e9}', '\x{3bb}x'] ++
            [list_to_atom(lists:duplicate(N, $a)) || N <- [31, 32, 255]] ++
            [<<>>, <<"v">>, binary:copy(<<"v">>, 500), <<5:3>>, [], "string", [1, 2 | 3]] ++
            [lists:duplicate(N, 7) || N <- [64, 65, 500]] ++
            [lists:duplicate(N, seven) || N <- [64, 65, 300]] ++
            [list_to_tuple(lists:seq(1, N)) || N <- [0, 1, 64, 65, 300]] ++
            [maps:from_list([{I, {I}} || I <- lists:seq(1, N)]) || N <- [0, 1, 32, 33, 100]] ++
            [self(), remote(), make_ref(), fun lists:map/2, fun() -> ok end] ++
            [hd(erlang:ports())],
    Nested = [#{a => [{b, #{"c" => [Value]}}], {d} => Value} || Value <- Plain],
    Deep = [lists:foldl(fun(_, Term) -> {Term} end, ok, lists:seq(1, N)) || N <- [5, 6, 7, 900]],
    Plain ++ Nested ++ Deep.

%% As this release writes it, and with atoms as later ones do.
forms(Atom) when is_atom(Atom) ->
    Name = atom_to_binary(Atom),
    [term_to_binary(Atom)] ++
        [<<131, 119, (byte_size(Name)), Name/binary>> || byte_size(Name) < 256];
forms(Value) ->
    [term_to_binary(Value), term_to_binary(Value, [{minor_version, 2}])].

no_terms() ->
    [
        <<"v">>,
        <<131>>,
        <<131, 97>>,
        <<131, 98, 1:24>>,
        <<131, 109, 2:32, "v">>,
        <<131, 109, 1:32>>,
        <<131, 119, 3, "ab">>,
        <<131, 119, 2, 16#ff, 16#fe>>,
        <<131, 100, 1000:16, 0:8000>>,
        <<131, 70, 16#7ff0000000000000:64>>,
        <<131, 70, 16#fff8000000000000:64>>,
        <<131, 104, 2, 97, 1>>,
        <<131, 108, 1:32, 97, 1>>,
        <<131, 108, 16#ffffffff:32, 97, 1, 106>>,
        <<131, 107, 2:16, 1>>,
        <<131, 116, 2:32, 97, 1, 97, 1, 97, 1, 97, 2>>,
        <<131, 116, 16#ffffffff:32>>,
        <<131, 110, 3, 0, 1>>,
        <<131, 200>>
    ].
