%% SPDX-License-Identifier: Apache-2.0
%% @doc The daemon bears what strangers, broken peers and a short supply do to it.
-module(holt_cnode_hostile_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, groups/0, init_per_suite/1, end_per_suite/1]).
-export([init_per_group/2, end_per_group/2, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

-import(holt_ct_cluster, [start_everywhere/1, stop_registry/2]).
-import(holt_ct_daemon, [
    start_daemon/2, start_daemon/4, daemon_name/0, host/0, peer_name/1, ask/3, holt/3,
    same_answers/3, await_count/4, members/3, register_many/3
]).

-define(COOKIE, "holt_ct").

all() ->
    [{group, shared}].

%% The nodes of `shared' are those of all its cases; each has a registry and a daemon of its own.
groups() ->
    [
        {shared, [], [
            daemon_ends_in_time,
            wrong_cookie,
            broken_frames,
            hostile_messages,
            hostile_member,
            thousand_silent_connections,
            peer_that_does_not_read,
            descriptors_run_out
        ]}
    ].

init_per_suite(Config) ->
    holt_ct_daemon:init_suite(Config).

end_per_suite(_Config) ->
    ok.

init_per_group(Group, Config) ->
    holt_ct_daemon:init_group(Group, Config).

end_per_group(Group, Config) ->
    holt_ct_daemon:end_group(Group, Config).

init_per_testcase(Case, Config) ->
    holt_ct_daemon:init_case(Case, Config).

end_per_testcase(Case, Config) ->
    holt_ct_daemon:end_case(Case, Config).

%%--------------------------------------------------------------------
%% What it holds

%% Whoever does not read cannot hold it up; nor does a second signal wait.
daemon_ends_in_time(Config) ->
    {Reg, [A, B] = Nodes} = start_everywhere(Config),
    Large = binary:copy(<<"0123456789abcdef">>, 60000),
    lists:foreach(
        fun(Signals) ->
            _ = holt_ct:call(A, fun() -> holt_ct:register(Reg, large, Large, []) end),
            Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
            await_count(A, Daemon, Reg, 1),
            _ = members(Nodes, Reg, [Daemon]),
            {ok, Socket} = stranger(Config, Daemon, [{recbuf, 4096}]),
            Pid = stranger_pid("stranger@" ++ host()),
            Lookup = {'$gen_call', {Pid, make_ref()}, {lookup, Reg, large}},
            ask_until_closed(Socket, {6, Pid, '', holtd}, Lookup, 20),
            holt_ct:wait_until(fun() ->
                #{network := #{messages_out := Count}} = ask(A, Daemon, info),
                Count > 20 orelse Count
            end),
            {Us, _} = timer:tc(fun() ->
                _ = [ok = holt_test_daemon:signal("TERM", Daemon) || _ <- lists:seq(1, Signals)],
                ?assertEqual(0, holt_test_daemon:exit_status(Daemon))
            end),
            ct:pal("~p signals: ended after ~p us", [Signals, Us]),
            ?assert(Us < 5000000),
            _ = Signals =:= 1 andalso holt_daemon:await_line("within 500 ms", Daemon),
            ok = holt_test_daemon:close(Daemon),
            _ = holt_stranger:close(Socket),
            _ = members([A, B], Reg, []),
            %% A second one may come before the goodbyes have left.
            Known = length(holt_ct:call(B, holt_cluster, members, [Reg, all])),
            ?assert(Known =:= 2 orelse Signals =:= 2),
            %% Whoever is left of it would count in the next round.
            _ = [stop_registry(Node, Reg) || Node <- Nodes],
            start_everywhere(Config)
        end,
        [1, 2]
    ).

%%--------------------------------------------------------------------
%% Strangers and broken peers

%% Neither way, and both are told in the log.
wrong_cookie(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Good = start_daemon(Config, ["--peer", peer_name(A)]),
    _ = members([A, B], Reg, [Good]),
    {error, _} = holt_stranger:connect(
        holt_daemon:port_of(Good), "stranger@" ++ host(), "guess", []
    ),
    _ = holt_daemon:await_line("cookie", Good),
    File = proplists:get_value(cookie_file, Config),
    ok = file:write_file(File, "another\n"),
    Bad = start_daemon(Config, ["--peer", peer_name(A)]),
    _ = holt_daemon:await_line("cannot reach|cookie", Bad),
    pang = holt_ct:call(B, net_adm, ping, [holt_test_daemon:node_of(Bad)]),
    _ = members([A, B], Reg, [Good]),
    ok = holt_daemon:stop(Bad),
    holt_daemon:stop(Good).

broken_frames(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    _ = register_many(A, Reg, 10),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    await_count(A, Daemon, Reg, 10),
    Port = holt_daemon:port_of(Daemon),
    From = holt_ct:call(A, erlang, self, []),
    %% Before the handshake is over.
    Rude = [
        <<0:16>>,
        <<"GET / HTTP/1.0\r\n\r\n">>,
        <<16#ffff:16, 0>>,
        <<3:16, "N12">>,
        <<20:16, $N, 0:64, 0:32, 500:16, "a@b", 0, 0>>,
        <<18:16, $N, 16#C07475FBC:64, 1:32, 3:16, 0, 255, 0>>,
        rand:bytes(4000)
    ],
    lists:foreach(
        fun(Bytes) ->
            Socket = holt_stranger:silent(Port),
            _ = holt_stranger:raw(Socket, Bytes),
            _ = gen_tcp:shutdown(Socket, write),
            closed = holt_stranger:await_closed(Socket)
        end,
        Rude
    ),
    %% As a node.
    Broken = [
        <<"garbage">>,
        <<$p>>,
        <<$p, 131>>,
        <<$p, 130, 106>>,
        <<131, 68, 0>>,
        [$p, term_to_binary({})],
        [$p, term_to_binary({99, a, b})],
        [$p, term_to_binary({6, From})],
        [$p, term_to_binary({2, '', not_a_pid}), term_to_binary(x)],
        [$p, term_to_binary({6, From, '', 17}), term_to_binary(x)],
        [$p, term_to_binary({6, From, '', holtd}), <<131, 104, 255>>],
        [$p, term_to_binary({6, From, '', holtd}), <<131, 108, 255, 255, 255, 255, 106>>],
        [$p, term_to_binary({6, From, '', holtd}), <<131, 80, 16#7fffffff:32, 1, 2, 3>>],
        [$p, term_to_binary({35, 1})],
        [$p, term_to_binary({19, a, b, c})],
        rand:bytes(10000)
    ],
    lists:foreach(
        fun(Frame) ->
            {ok, Socket} = stranger(Config, Daemon, []),
            ok = holt_stranger:frame(Socket, Frame),
            ?assertEqual({Frame, closed}, {Frame, holt_stranger:await_closed(Socket)})
        end,
        Broken
    ),
    %% More than it takes.
    {ok, Oversized} = stranger(Config, Daemon, []),
    ok = holt_stranger:raw(Oversized, <<16#7fffffff:32, $p, 131>>),
    closed = holt_stranger:await_closed(Oversized),
    %% Half of one, and gone.
    {ok, Half} = stranger(Config, Daemon, []),
    ok = holt_stranger:raw(Half, <<1000:32, $p, 131, 104>>),
    ok = holt_stranger:close(Half),
    #{network := #{broken_peers := Count}} = ask(A, Daemon, info),
    ?assert(Count >= length(Broken)),
    _ = register_many(B, Reg, 10),
    await_count(A, Daemon, Reg, 20),
    same_answers([A, B], Daemon, Reg),
    holt_daemon:stop(Daemon).

%% In good form, with nonsense in them: refused, counted, and the connection stays.
hostile_messages(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    _ = register_many(A, Reg, 10),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    await_count(A, Daemon, Reg, 10),
    {ok, Socket} = stranger(Config, Daemon, []),
    From = holt_ct:call(A, erlang, self, []),
    Process = holt_replica:process_name(Reg),
    Seed = rand:uniform(1 bsl 32),
    ct:pal("seed ~p", [Seed]),
    _ = rand:seed(exsss, Seed),
    Messages = [
        garbage,
        {holt_hello, From, Reg, <<>>, []},
        {holt_hello, From, Reg, <<"H">>, [a, b | c]},
        {holt_hello, From, Reg, <<"H">>, ['no node', 'x@', 17]},
        {holt_hello, not_a_pid, Reg, <<"H">>, []},
        {holt_hello, From, Reg, <<"H">>},
        {holt_hello, From, [deep], <<"H">>, []},
        {holt_nodes, garbage},
        {holt_nodes, ['', '@', 'a@', 'nowhere@nowhere.invalid', holt_test_daemon:node_of(Daemon)]},
        {holt_data, <<>>, <<>>},
        {holt_data, 1, 2},
        {holt_data, binary:copy(<<0>>, 17), binary:copy(<<255>>, 4 bsl 20)},
        {holt_data, binary:copy(<<255>>, 4 bsl 20), <<>>},
        {'$gen_call', 1, {count, Reg}},
        {'$gen_call', {From, [alias | 1]}, {count, Reg}},
        {'$gen_call', {1, 2}, {count, Reg}},
        {'$gen_call', {From, make_ref()}},
        lists:foldl(fun(_, Term) -> [Term] end, [], lists:seq(1, 100000)),
        lists:foldl(fun(_, Term) -> {Term, Term} end, [], lists:seq(1, 16))
    ],
    Random = [
        {holt_data, rand:bytes(rand:uniform(20)), rand:bytes(rand:uniform(200))}
     || _ <- lists:seq(1, 300)
    ],
    [
        ok = holt_stranger:control(Socket, {6, From, '', To}, Message)
     || To <- [Process, holtd], Message <- Messages ++ Random
    ],
    Self = "stranger_self@" ++ host(),
    Reply = {'$gen_call', {stranger_pid(Self), make_ref()}, {count, Reg}},
    ok = holt_stranger:control(Socket, {6, From, '', holtd}, Reply),
    %% All of it is read, and we are still welcome.
    holt_ct:wait_until(fun() ->
        #{refused := Refused} = ask(A, Daemon, {info, Reg}),
        lists:sum(maps:values(Refused)) > 100
    end),
    await_count(A, Daemon, Reg, 10),
    _ = register_many(B, Reg, 10),
    await_count(A, Daemon, Reg, 20),
    ok = holt_stranger:close(Socket),
    same_answers([A, B], Daemon, Reg),
    holt_daemon:stop(Daemon).

%% A member that has greeted, and then sends each kind of message in a form that it must
%% not have: refused, counted by kind, and it stays a member.
hostile_member(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    stop_registry(B, Reg),
    _ = register_many(A, Reg, 10),
    Daemon = start_daemon(Config, ["--peer", peer_name(A), "--peer", peer_name(B)]),
    await_count(A, Daemon, Reg, 10),
    Actor = rand:uniform(1 bsl 60),
    Self = holt_ct:call(B, fun() -> start_member(Reg, holt_test_daemon:node_of(Daemon), Actor) end),
    Refused = fun() ->
        Peers = ask(A, Daemon, {peers, Reg}),
        case [R || #{member := {_, N}, refused := R} <- Peers, N =:= B] of
            [Of] -> Of;
            [] -> gone
        end
    end,
    holt_ct:wait_until(fun() -> Refused() =:= #{} end),
    Send = fun(Body) -> holt_ct:call(B, fun() -> Self ! {send, Body}, ok end) end,
    Other = Actor bxor 1,
    Bad = [
        {malformed, [
            <<>>,
            %% delta: cut, an unknown item, unknown flags, an end before its begin
            <<1, Actor:64>>,
            <<1, Actor:64, 0, 16#55>>,
            <<1, Actor:64, 0, 0, 16#80, 0>>,
            <<1, Actor:64, 0, 16#80, 0, 0, 1, 0, 0, 2, 106, 0, 1, 1>>,
            <<1, Actor:64, 0, 2, 2, -1:72, 16#7f>>,
            %% ack: cut, unknown flags, more than there is
            <<2, Actor:64>>,
            <<2, Actor:64, 0, 16#fc>>,
            <<2, Actor:64, 0, 0, 0>>,
            %% vector: cut, more promised than there is, an actor 0, unknown flags
            <<3, 1, 0:64, 0>>,
            <<3, 1, 0:64, 0, 2, Actor:64, 1, 0, 0:64>>,
            <<3, 1, 0:64, 0, 1, 0:64, 1, 0, 0:64>>,
            <<3, 1, 0:64, 0, 1, Actor:64, 16#fe, 0, 0:64>>,
            %% request: cut, no token, unknown flags
            <<4, Actor:64, 7:64>>,
            <<4, Actor:64, 0:64, 1, 0, 0, 0>>,
            <<4, Actor:64, 7:64, 16#f0, 0, 0, 0>>,
            %% repair: cut, unknown flags, a live set that is cut
            <<5, Actor:64, 7:64>>,
            <<5, Actor:64, 7:64, 0, 0, 0, 0, 16#f0, 0, 0, 0, 0>>,
            <<5, Actor:64, 7:64, 0, 9, 0, 0, 2, 9, 100, 1>>,
            %% lost: cut, too long
            <<6, Actor:64>>,
            <<6, Actor:64, 0, 0>>,
            %% goodbye: cut, neither of the two, too long
            <<7, Actor:64>>,
            <<7, Actor:64, 3>>,
            <<7, Actor:64, 1, 1>>,
            %% ask: cut, more promised than there is, an actor 0
            <<8, 7:64>>,
            <<8, 7:64, 2, Actor:64>>,
            <<8, 7:64, 1, 0:64>>,
            %% vouch: cut, unknown flags, an unknown word, an actor 0
            <<9, 7:64, 1>>,
            <<9, 7:64, 16#fe, 0>>,
            <<9, 7:64, 1, 1, Actor:64, 4, 0, 0>>,
            <<9, 7:64, 1, 1, 0:64, 1, 0, 0>>,
            %% probe, echo, reached: cut, too long, an actor 0
            <<10>>,
            <<11, 1, 1>>,
            <<12, Actor:64>>,
            <<12, 0:64, 1>>
        ]},
        {limit, [
            <<3, 1, 0:64, 0, 16#ff, 16#ff, 16#7f>>,
            <<8, 7:64, 16#ff, 16#ff, 16#7f>>,
            <<9, 7:64, 0, 16#ff, 16#ff, 16#7f>>
        ]},
        {unsupported, [<<0>>, <<13, Actor:64>>, <<255>>]},
        {too_large, [binary:copy(<<1>>, 20 bsl 20)]},
        %% In form, and about somebody else, or nothing that there is.
        {stale, [
            <<1, Other:64, 0, 0, 1, 0>>,
            <<2, Other:64, 0, 0>>,
            <<5, Actor:64, 7:64, 0, 0, 0, 0, 0, 0, 1, 0, 0>>,
            <<6, Other:64, 0>>,
            <<7, Other:64, 1>>
        ]}
    ],
    lists:foldl(
        fun({Kind, Body}, Before) ->
            ok = Send(Body),
            Expected = maps:update_with(Kind, fun(N) -> N + 1 end, 1, Before),
            holt_ct:wait_until(fun() ->
                Now = Refused(),
                Now =:= Expected orelse {Kind, Body, Before, Now}
            end),
            Expected
        end,
        #{},
        [{Kind, Body} || {Kind, Bodies} <- Bad, Body <- Bodies]
    ),
    %% A request for what there is not is answered, not counted.
    ok = Send(<<4, 12345:64, 7:64, 1, 0, 0, 0>>),
    holt_ct:wait_until(fun() ->
        Got = holt_ct:call(B, fun() -> Self ! {got, self()}, receive {got, L} -> L end end),
        [ok] =:= [ok || <<5, 12345:64, 7:64, _/binary>> <- Got] orelse Got
    end),
    %% Another session, another life.
    ok = holt_ct:call(B, fun() -> Self ! {send_as, 99, <<2, Actor:64, 0, 0>>}, ok end),
    holt_ct:wait_until(fun() ->
        #{refused := #{stale := Stale}} = ask(A, Daemon, {info, Reg}),
        Stale > 5
    end),
    %% And it is still a member, whose names are taken.
    ok = Send(<<1, Actor:64, 0, 16#80, 1, 2, 77, 0, 0, 7, 119, 5, "known", 0, 1, 1>>),
    await_count(A, Daemon, Reg, 11),
    Pid = ask(A, Daemon, {whereis, Reg, known}),
    ?assertEqual(B, node(Pid)),
    %% Until it says goodbye.
    ok = Send(<<7, Actor:64, 2>>),
    await_count(A, Daemon, Reg, 10),
    States = fun() ->
        All = ask(A, Daemon, {members, Reg, all}),
        [State || #{member := {_, N}, state := State} <- All, N =:= B]
    end,
    ?assertEqual([paused], States()),
    ?assertEqual(gone, Refused()),
    holt_ct:call(B, holt_ct, kill, [Self]),
    %% Another life of it, which says anything.
    Seed = rand:uniform(1 bsl 32),
    ct:pal("seed ~p", [Seed]),
    _ = rand:seed(exsss, Seed),
    Last = holt_ct:call(B, fun() -> start_member(Reg, holt_test_daemon:node_of(Daemon), Other) end),
    holt_ct:wait_until(fun() -> Refused() =:= #{} end),
    Valid = <<1, Other:64, 0, 16#80, 1, 2, 77, 0, 0, 7, 119, 5, "known", 0, 1, 1>>,
    Bodies = [random_body(Other, Valid) || _ <- lists:seq(1, 3000)],
    ok = holt_ct:call(B, fun() -> _ = [Last ! {send, Body} || Body <- Bodies], ok end),
    holt_ct:wait_until(fun() ->
        #{refused := Kinds} = ask(A, Daemon, {info, Reg}),
        Sum = lists:sum(maps:values(Kinds)),
        Sum > 1000 orelse Sum
    end),
    #{network := #{broken_peers := 0}} = ask(A, Daemon, info),
    holt_ct:call(B, holt_ct, kill, [Last]),
    holt_ct:wait_until(fun() -> ask(A, Daemon, {count, Reg}) =:= 10 end),
    same_answers([A], Daemon, Reg),
    holt_daemon:stop(Daemon).

%% Of some kind and the right actor, or a message in form with one byte changed.
random_body(Actor, Valid) ->
    case rand:uniform(2) of
        1 ->
            <<(rand:uniform(12)), Actor:64, (rand:bytes(rand:uniform(60)))/binary>>;
        2 ->
            At = 8 + rand:uniform(byte_size(Valid) - 9),
            <<Before:At/binary, _, After/binary>> = Valid,
            <<Before/binary, (rand:uniform(256) - 1), After/binary>>
    end.

%% Something that greets as a replica process does, and then sends what it is told to.
start_member(Reg, Node, Actor) ->
    Name = holt_replica:process_name(Reg),
    spawn(fun() ->
        true = register(Name, self()),
        Session = rand:uniform(1 bsl 60),
        pong = net_adm:ping(Node),
        {Name, Node} ! {holt_hello, self(), Reg, hello(Reg, Actor, Session, 0), []},
        member_loop(Reg, Node, Actor, Session, undefined, [])
    end).

member_loop(Reg, Node, Actor, Session, Peer, Got) ->
    receive
        {holt_hello, Pid, Reg, Bytes, _} when node(Pid) =:= Node ->
            <<$H, _, _, N, _:N/binary, M, _:M/binary, _:64, _:32, Theirs:64, _/binary>> = Bytes,
            {holt_replica:process_name(Reg), Node} !
                {holt_hello, self(), Reg, hello(Reg, Actor, Session, Theirs), []},
            member_loop(Reg, Node, Actor, Session, {Pid, Theirs}, Got);
        {holt_data, _, Body} ->
            member_loop(Reg, Node, Actor, Session, Peer, [Body | Got]);
        {got, To} ->
            To ! {got, Got},
            member_loop(Reg, Node, Actor, Session, Peer, Got);
        {send, Body} when Peer =/= undefined ->
            self() ! {send_as, Session, Body},
            member_loop(Reg, Node, Actor, Session, Peer, Got);
        {send_as, From, Body} when Peer =/= undefined ->
            {Pid, Theirs} = Peer,
            Pid ! {holt_data, <<1, Theirs:64, From:64>>, Body},
            member_loop(Reg, Node, Actor, Session, Peer, Got)
    end.

hello(Reg, Actor, Session, Known) ->
    Name = atom_to_binary(Reg),
    Node = atom_to_binary(node()),
    <<_, Pid/binary>> = term_to_binary(self()),
    Creation = binary:decode_unsigned(binary:part(Pid, byte_size(Pid), -4)),
    <<$H, 1, 1, (byte_size(Name)), Name/binary, (byte_size(Node)), Node/binary, Actor:64,
        Creation:32, Session:64, Known:64, 1:64, (varint(os:system_time(millisecond)))/binary, 0,
        0:64, 0, 0>>.

varint(N) when N < 128 -> <<N>>;
varint(N) -> <<1:1, N:7, (varint(N bsr 7))/binary>>.

thousand_silent_connections(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Daemon = start_daemon(Config, []),
    Port = holt_daemon:port_of(Daemon),
    Silent = [holt_stranger:silent(Port) || _ <- lists:seq(1, 1000)],
    {Us, pong} = timer:tc(fun() ->
        holt_ct:call(A, net_adm, ping, [holt_test_daemon:node_of(Daemon)])
    end),
    ct:pal("a node connects beside 1,000 silent ones in ~p us", [Us]),
    ?assert(Us < 1000000),
    _ = members([A, B], Reg, [Daemon]),
    _ = [holt_stranger:close(Socket) || Socket <- Silent],
    holt_daemon:stop(Daemon).

%% What piles up for it is bounded; then it is dropped, and nobody else notices.
peer_that_does_not_read(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Large = binary:copy(<<"0123456789abcdef">>, 60000),
    _ = holt_ct:call(A, fun() -> holt_ct:register(Reg, large, Large, []) end),
    Daemon = start_daemon(Config, ["--peer", peer_name(A)]),
    await_count(A, Daemon, Reg, 1),
    {ok, Socket} = stranger(Config, Daemon, [{recbuf, 4096}]),
    Pid = stranger_pid("stranger@" ++ host()),
    Lookup = {'$gen_call', {Pid, make_ref()}, {lookup, Reg, large}},
    ask_until_closed(Socket, {6, Pid, '', holtd}, Lookup, 200),
    _ = holt_daemon:await_line("read|queue|slow", Daemon),
    _ = register_many(B, Reg, 100),
    await_count(A, Daemon, Reg, 101),
    holt_ct:wait_until(fun() ->
        #{network := #{slow_peers := Slow}} = ask(A, Daemon, info),
        Slow =:= 1 orelse Slow
    end),
    same_answers([A, B], Daemon, Reg),
    holt_daemon:stop(Daemon).

ask_until_closed(Socket, Control, Message, Left) when Left > 0 ->
    case holt_stranger:control(Socket, Control, Message) of
        ok -> ask_until_closed(Socket, Control, Message, Left - 1);
        {error, _} -> ok
    end;
ask_until_closed(_Socket, _Control, _Message, 0) ->
    ok.

descriptors_run_out(Config) ->
    {Reg, [A, B]} = start_everywhere(Config),
    Name = daemon_name(),
    Daemon = start_daemon(Name, Config, ["--peer", peer_name(A)], #{wrap => "ulimit -n 40"}),
    _ = members([A, B], Reg, [Daemon]),
    Port = holt_daemon:port_of(Daemon),
    Silent = [holt_stranger:silent(Port) || _ <- lists:seq(1, 200)],
    _ = register_many(A, Reg, 100),
    await_count(A, Daemon, Reg, 100),
    _ = [holt_stranger:close(Socket) || Socket <- Silent],
    holt_ct:wait_until(fun() ->
        {Status, _} = holt(Config, Daemon, ["count", atom_to_list(Reg)]),
        Status =:= 0
    end),
    same_answers([A, B], Daemon, Reg),
    holt_daemon:stop(Daemon).

%%--------------------------------------------------------------------
%% Daemons

stranger(Config, Daemon, Options) ->
    _ = Config,
    Name = "stranger" ++ integer_to_list(erlang:unique_integer([positive])) ++ "@" ++ host(),
    holt_stranger:connect(holt_daemon:port_of(Daemon), Name, ?COOKIE, Options).

%% A process of a node that is none.
stranger_pid(Node) ->
    Name = list_to_binary(Node),
    binary_to_term(<<131, 88, 119, (byte_size(Name)), Name/binary, 17:32, 0:32, 1:32>>).
