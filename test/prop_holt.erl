%% SPDX-License-Identifier: Apache-2.0
%% @doc The laws: of keys, of the join, and of bytes from outside.
-module(prop_holt).

-include("holt_prop.hrl").

-export([
    prop_key_round_trip/0,
    prop_join_is_commutative/0,
    prop_join_is_associative/0,
    prop_join_is_idempotent/0,
    prop_histories_converge/0,
    prop_deliver_survives_mutation/0
]).

-define(KEYS, [a, b, {c, 1}, <<"d">>, [e]]).
-define(OWNERS, 3).

%%--------------------------------------------------------------------
%% Keys

%% A key is found again by any equal term, and comes out as it went in.
prop_key_round_trip() ->
    {ok, _} = application:ensure_all_started(holt),
    {ok, _} = holt_registry:start_link(#{name => prop, key_bytes_max => 65535}),
    ?FORALL(Key, ?SUCHTHAT(K, key(), erlang:external_size(K) < 60000), begin
        Copy = binary_to_term(term_to_binary(Key)),
        {ok, _} = holt_registry:register(prop, Key, value),
        Found = holt_registry:lookup(prop, Copy),
        Keys = holt_registry:keys(prop, self()),
        List = holt_registry:to_list(prop),
        Again = holt_registry:register(prop, Copy, other),
        ok = holt_registry:unregister(prop, Copy),
        Left = holt_registry:lookup(prop, Key),
        Found =:= [{self(), value}] andalso
            is_same(Keys, [Key]) andalso
            is_same(List, [{Key, self(), value}]) andalso
            Again =:= {error, {already_registered, self()}} andalso
            Left =:= []
    end).

%% Equal also where =:= does not look: the sign of zero.
is_same(Left, Right) ->
    Left =:= Right andalso
        term_to_binary(Left, [deterministic]) =:= term_to_binary(Right, [deterministic]).

key() ->
    ?SIZED(Size, key(Size div 4)).

key(0) ->
    proper_types:oneof([
        proper_types:integer(),
        ?LET({N, Bits}, {proper_types:integer(), proper_types:integer(20, 300)}, N bsl Bits),
        proper_types:float(),
        proper_types:oneof([0.0, -0.0, 1.0, 1.0e300, 5.0e-324]),
        proper_types:binary(),
        proper_types:bitstring(),
        proper_types:oneof(['', a, 'A b', 'ключ', true, undefined, list_to_atom([16#1F600])]),
        proper_types:list(proper_types:char()),
        proper_types:exactly([]),
        proper_types:exactly({}),
        proper_types:exactly(#{}),
        ?LAZY(proper_types:exactly(self())),
        ?LAZY(proper_types:exactly(make_ref()))
    ]);
key(Size) ->
    Smaller = ?LAZY(key(Size div 3)),
    proper_types:oneof([
        key(0),
        proper_types:list(Smaller),
        proper_types:loose_tuple(Smaller),
        ?LET(Pairs, proper_types:list({Smaller, Smaller}), maps:from_list(Pairs)),
        ?LET({Head, Tail}, {Smaller, Smaller}, [Head | Tail])
    ]).

%%--------------------------------------------------------------------
%% The join

%% Whoever hears of two writers sees the same, in whatever order.
prop_join_is_commutative() ->
    ?FORALL({OfA, OfB}, {history(), history()}, begin
        with_writers(#{a => OfA, b => OfB}, fun(Net) ->
            observe(x, [a, b], observe(y, [b, a], Net)),
            is_equal(x, y, [a, b])
        end)
    end).

%% (a + b) + c = a + (b + c): in whatever groups.
prop_join_is_associative() ->
    ?FORALL({OfA, OfB, OfC}, {history(), history(), history()}, begin
        with_writers(#{a => OfA, b => OfB, c => OfC}, fun(Net) ->
            Left = observe(x, [c], observe(x, [a, b], Net)),
            observe(y, [a], observe(y, [b, c], Left)),
            is_equal(x, y, [a, b, c])
        end)
    end).

%% To hear a thing twice, at once or after everything else, is to hear it once.
prop_join_is_idempotent() ->
    ?FORALL({OfA, OfB}, {history(), history()}, begin
        with_writers(#{a => OfA, b => OfB}, fun(Net) ->
            Once = observe(y, [a, b], Net),
            Begun = prop_net:link(b, x, prop_net:link(a, x, Once)),
            Twice = twice(Begun, 200),
            settled([x, a], [a], settled([x, b], [b], Twice)),
            is_equal(x, y, [a, b])
        end)
    end).

%% Every message to x arrives, and then arrives again.
twice(Net, 0) ->
    Net;
twice(Net, Count) ->
    Polled = lists:foldl(fun prop_net:poll/2, Net, [a, b, x]),
    Next = lists:foldl(
        fun(From, Acc) ->
            Copied = prop_net:step({From, x}, {0, copy}, Acc),
            prop_net:step({x, From}, {0, take}, prop_net:step({From, x}, {0, take}, Copied))
        end,
        Polled,
        [a, b]
    ),
    twice(Next, Count - 1).

%% The writers did this each on their own; x and y have heard of nothing.
with_writers(Histories, Fun) ->
    Writers = maps:keys(Histories),
    Owners = owners(Writers),
    Net = prop_net:new([x, y | Writers]),
    try
        maps:foreach(
            fun(At, History) -> lists:foreach(fun(Do) -> act(At, Do, Owners) end, History) end,
            Histories
        ),
        Fun(Net)
    after
        prop_net:delete(Net),
        kill_all(Owners)
    end.

%% The observer hears everything that these writers, one after the other, have to say.
observe(Observer, Writers, Net) ->
    lists:foldl(
        fun(Writer, Acc) ->
            settled([Observer, Writer], [Writer], prop_net:link(Writer, Observer, Acc))
        end,
        Net,
        Writers
    ).

%% All of them hold the same of these writers, and have noticed every death: it is seen
%% before the instance hears of it.
settled(Instances, Writers, Net) ->
    prop_net:settle(
        fun(_) ->
            lists:all(fun is_quiet/1, Instances ++ Writers) andalso
                case lists:usort([prop_net:actors(I, Writers) || I <- Instances]) of
                    [Agreed] -> length(Agreed) =:= length(Writers);
                    _ -> false
                end
        end,
        Net
    ).

is_quiet(Instance) ->
    Shown = [Key || {Key, [_]} <- prop_net:view(Instance, ?KEYS)],
    length(Shown) =:= holt_nif:count(Instance).

is_equal(Left, Right, Writers) ->
    Fun = fun(I) -> {prop_net:view(I, ?KEYS), prop_net:actors(I, Writers), holt_nif:count(I)} end,
    Fun(Left) =:= Fun(Right) orelse
        begin
            io:format("~p:~n~p~n~p:~n~p~n", [Left, Fun(Left), Right, Fun(Right)]),
            false
        end.

%%--------------------------------------------------------------------
%% Whole histories

%% Three instances, links that are cut and heal, messages lost, doubled and out of order:
%% in the end all show the same, a name has one holder, and nobody lost a name untold.
prop_histories_converge() ->
    ?FORALL(Steps, longer(net_step()), begin
        Instances = [a, b, c],
        Owners = owners(Instances),
        Net = all_linked(prop_net:new(Instances)),
        try
            {Model, Ran} = lists:foldl(
                fun(Step, Acc) -> net_step(Step, Owners, Acc) end, {#{}, Net}, Steps
            ),
            End = settled(Instances, Instances, all_linked(Ran)),
            Expected = maps:fold(
                fun({_, Key}, {Pid, _}, Acc) -> Acc#{Key => [Pid | maps:get(Key, Acc, [])]} end,
                #{},
                told(End, Model)
            ),
            Views = [
                maps:from_list([{Key, [Pid]} || {Key, [{Pid, _}]} <- prop_net:view(I, ?KEYS)])
             || I <- Instances
            ],
            lists:usort(Views) =:= [Expected] andalso
                [map_size(Expected)] =:= lists:usort([holt_nif:count(I) || I <- Instances])
        after
            prop_net:delete(Net),
            kill_all(Owners)
        end
    end).

all_linked(Net) ->
    prop_net:link(b, c, prop_net:link(a, c, prop_net:link(a, b, Net))).

%% The model: who should have what, as its own instance has told.
net_step({act, At, {kill, N}}, Owners, {Model, Net}) ->
    Pid = maps:get({At, N}, Owners),
    act(At, {kill, N}, Owners),
    {maps:filter(fun(_, {Holder, _}) -> Holder =/= Pid end, Model), Net};
net_step({act, At, Do}, Owners, {Model, Net}) ->
    Key = element(2, Do),
    case {act(At, Do, Owners), Do} of
        {{ok, Id}, {register, _, N}} ->
            {Model#{{At, Key} => {maps:get({At, N}, Owners), Id}}, Net};
        {{ok, _, _}, {unregister, _}} ->
            {maps:remove({At, Key}, Model), Net};
        _ ->
            {Model, Net}
    end;
net_step({poll, At}, _Owners, {Model, Net}) ->
    {Model, prop_net:poll(At, Net)};
net_step({cut, A, B}, _Owners, {Model, Net}) ->
    {Model, prop_net:unlink(A, B, Net)};
net_step({heal, A, B}, _Owners, {Model, Net}) ->
    {Model, prop_net:link(A, B, Net)};
net_step({step, Link, How}, _Owners, {Model, Net}) ->
    {Model, prop_net:step(Link, How, Net)}.

%% Without the registrations that lost.  A registration is known by the number in its
%% value: its process may have registered the name again before it was told.
told(Net, Model) ->
    lists:foldl(
        fun({At, Loser, Key, Value, _Winner}, Acc) ->
            {Id, _} = binary_to_term(Value),
            case Acc of
                #{{At, Key} := {Loser, Id}} -> maps:remove({At, Key}, Acc);
                #{} -> Acc
            end
        end,
        Model,
        prop_net:conflicts(Net)
    ).

history() ->
    longer(action()).

%% PropEr's lists end at 42.
longer(Type) ->
    ?SIZED(Size, proper_types:resize(4 * Size, proper_types:list(Type))).

action() ->
    Key = proper_types:oneof(?KEYS),
    proper_types:frequency([
        {6, {register, Key, proper_types:integer(1, ?OWNERS)}},
        {3, {unregister, Key}},
        {3, {update, Key, proper_types:integer(0, 300)}},
        {1, {kill, proper_types:integer(1, ?OWNERS)}}
    ]).

net_step() ->
    Instance = proper_types:oneof([a, b, c]),
    {A, B} = {proper_types:oneof([a, b]), proper_types:oneof([b, c])},
    Pair = ?SUCHTHAT({L, R}, {A, B}, L =/= R),
    Link = ?LET({{L, R}, Turned}, {Pair, proper_types:boolean()}, turned(L, R, Turned)),
    proper_types:frequency([
        {6, {act, Instance, action()}},
        {6, {poll, Instance}},
        {8, {step, Link, {proper_types:integer(0, 2), proper_types:oneof([take, take, copy])}}},
        {1, {step, Link, {proper_types:integer(0, 2), lose}}},
        {1, ?LET({L, R}, Pair, {cut, L, R})},
        {1, ?LET({L, R}, Pair, {heal, L, R})}
    ]).

turned(Left, Right, true) -> {Right, Left};
turned(Left, Right, false) -> {Left, Right}.

%% Processes that hold names: some per instance, alive until killed.
owners(Instances) ->
    maps:from_list([
        {{At, N}, spawn(fun wait_for_ever/0)}
     || At <- Instances, N <- lists:seq(1, ?OWNERS)
    ]).

wait_for_ever() ->
    receive
        never -> ok
    end.

kill_all(Owners) ->
    lists:foreach(fun(Pid) -> exit(Pid, kill) end, maps:values(Owners)).

act(At, {register, Key, N}, Owners) ->
    Id = erlang:unique_integer([positive]),
    case holt_nif:register(At, Key, value(Id, 0), maps:get({At, N}, Owners)) of
        {ok, _} -> {ok, Id};
        Error -> Error
    end;
act(At, {unregister, Key}, _Owners) ->
    holt_nif:unregister(At, Key, self());
act(At, {update, Key, Size}, Owners) ->
    [
        holt_nif:update(At, Key, Pid, Token, value(element(1, binary_to_term(Old)), Size))
     || {{I, _}, Pid} <- maps:to_list(Owners),
        I =:= At,
        {Old, Token} <- [holt_nif:fetch(At, Key, Pid)]
    ];
act(At, {kill, N}, Owners) ->
    Pid = maps:get({At, N}, Owners),
    Monitor = monitor(process, Pid),
    exit(Pid, kill),
    receive
        {'DOWN', Monitor, process, Pid, _} -> ok
    end.

%% Some bytes, behind the number of the registration.
value(Id, Size) ->
    term_to_binary({Id, <<0:Size/unit:8>>}).

%%--------------------------------------------------------------------
%% Bytes from outside

%% Whatever became of a message on its way: no crash, and what is refused is counted and
%% has changed nothing.  What is still well formed is believed, as a buggy peer's word
%% would be, until that peer starts again.
prop_deliver_survives_mutation() ->
    ?FORALL({OfA, OfB, Hurts}, {history(), history(), longer(meanwhile(hurt()))}, begin
        Owners = owners([a, b]),
        Net = prop_net:link(a, b, prop_net:new([a, b])),
        try
            _ = [act(a, Do, Owners) || Do <- OfA],
            _ = [act(b, Do, Owners) || Do <- OfB],
            {Hurt, Believed} = lists:foldl(
                fun({At, Do, One}, Acc) ->
                    _ = act(At, Do, Owners),
                    hurt(One, Acc)
                end,
                {Net, false},
                Hurts
            ),
            Healed =
                case Believed of
                    true -> prop_net:reopen(b, prop_net:reopen(a, Hurt));
                    false -> prop_net:unlink(a, b, Hurt)
                end,
            _ = [act(a, Do, Owners) || Do <- OfA],
            _ = settled([a, b], [a, b], prop_net:link(a, b, Healed)),
            is_equal(a, b, [a, b])
        after
            prop_net:delete(Net),
            kill_all(Owners)
        end
    end).

%% The changed one, then, mostly, the true one.
hurt({{_, To} = Link, Position, Change, How}, {Net, Believed}) ->
    Polled = prop_net:poll(b, prop_net:poll(a, Net)),
    Before = refused(To),
    {Answer, Tampered} = prop_net:tamper(
        Link, Position, fun(Message) -> change(Change, Message) end, Polled
    ),
    IsCounted = Answer =/= refused orelse refused(To) =:= Before + 1,
    IsCounted orelse error({not_counted, holt_nif:info(To)}),
    {prop_net:step(Link, {Position, How}, Tampered), Believed orelse Answer =:= done}.

refused(At) ->
    #{refused := Refused} = holt_nif:info(At),
    lists:sum(maps:values(Refused)).

change(Change, {hello, Bytes}) ->
    {hello, change_bytes(Change, Bytes)};
change({header, Change}, {data, Header, Body}) ->
    {data, change_bytes(Change, Header), Body};
change(Change, {data, Header, Body}) ->
    {data, Header, change_bytes(Change, Body)}.

change_bytes({header, Change}, Bytes) ->
    change_bytes(Change, Bytes);
change_bytes({cut, Share}, Bytes) ->
    binary:part(Bytes, 0, round(Share * byte_size(Bytes)));
change_bytes({append, More}, Bytes) ->
    <<Bytes/binary, More/binary>>;
change_bytes({all, Other}, _Bytes) ->
    Other;
change_bytes({turn, Share, Mask}, Bytes) ->
    case round(Share * byte_size(Bytes)) of
        At when At < byte_size(Bytes) ->
            <<Before:At/binary, Byte, After/binary>> = Bytes,
            <<Before/binary, (Byte bxor Mask), After/binary>>;
        _ ->
            Bytes
    end;
change_bytes({insert, Share, More}, Bytes) ->
    At = round(Share * byte_size(Bytes)),
    <<Before:At/binary, After/binary>> = Bytes,
    <<Before/binary, More/binary, After/binary>>.

meanwhile(Type) ->
    {proper_types:oneof([a, b]), action(), Type}.

hurt() ->
    Share = proper_types:float(0.0, 1.0),
    More = ?SUCHTHAT(Bytes, proper_types:binary(), Bytes =/= <<>>),
    Change = proper_types:frequency([
        {3, {cut, Share}},
        {6, {turn, Share, proper_types:integer(1, 255)}},
        {2, {insert, Share, More}},
        {1, {append, More}},
        {1, {all, proper_types:binary()}}
    ]),
    {
        proper_types:oneof([{a, b}, {b, a}]),
        proper_types:integer(0, 2),
        proper_types:frequency([{4, Change}, {1, {header, Change}}]),
        proper_types:oneof([take, take, take, copy, lose])
    }.
