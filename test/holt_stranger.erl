%% SPDX-License-Identifier: Apache-2.0
%% @doc Somebody at the daemon's door: a socket that says what a test wants said.
%%
%% With the right cookie it becomes a node, by a handshake of its own, and may then send
%% frames as no Erlang node would.
-module(holt_stranger).

-export([silent/1, connect/4, close/1, frame/2, raw/2, control/3, await_closed/1, read/1]).

%% Those of a hidden node of OTP 25, without a cache of atoms and fragments.
-define(FLAGS, 16#C07475FBC).
-define(DEADLINE_MS, 20000).

%% @doc A connection that says nothing.
-spec silent(inet:port_number()) -> gen_tcp:socket().
silent(Port) ->
    {ok, Socket} = gen_tcp:connect(
        {127, 0, 0, 1}, Port, [binary, {active, false}], ?DEADLINE_MS
    ),
    Socket.

%% @doc Become a node of this name.
-spec connect(inet:port_number(), Name :: string(), Cookie :: string(), [term()]) ->
    {ok, gen_tcp:socket()} | {error, term()}.
connect(Port, Name, Cookie, Options) ->
    {ok, Socket} = gen_tcp:connect(
        {127, 0, 0, 1}, Port, [binary, {active, false}, {packet, 2} | Options], ?DEADLINE_MS
    ),
    NameBin = list_to_binary(Name),
    Creation = rand:uniform(1 bsl 30),
    ok = gen_tcp:send(Socket, [<<$N, ?FLAGS:64, Creation:32, (byte_size(NameBin)):16>>, NameBin]),
    case gen_tcp:recv(Socket, 0, ?DEADLINE_MS) of
        {ok, <<"sok", _/binary>>} -> answer_challenge(Socket, Cookie);
        {ok, Status} -> {error, Status};
        {error, Reason} -> {error, Reason}
    end.

answer_challenge(Socket, Cookie) ->
    {ok, <<$N, _Flags:64, Theirs:32, _/binary>>} = gen_tcp:recv(Socket, 0, ?DEADLINE_MS),
    Ours = rand:uniform(1 bsl 31),
    ok = gen_tcp:send(Socket, [<<$r, Ours:32>>, digest(Cookie, Theirs)]),
    Expected = digest(Cookie, Ours),
    case gen_tcp:recv(Socket, 0, ?DEADLINE_MS) of
        {ok, <<$a, Expected/binary>>} ->
            ok = inet:setopts(Socket, [{packet, raw}]),
            {ok, Socket};
        {ok, Other} ->
            {error, Other};
        {error, Reason} ->
            {error, Reason}
    end.

digest(Cookie, Challenge) ->
    erlang:md5([Cookie, integer_to_list(Challenge)]).

-spec close(gen_tcp:socket()) -> ok.
close(Socket) ->
    gen_tcp:close(Socket).

%% @doc Send bytes as one frame.
-spec frame(gen_tcp:socket(), iodata()) -> ok | {error, term()}.
frame(Socket, Bytes) ->
    gen_tcp:send(Socket, [<<(iolist_size(Bytes)):32>>, Bytes]).

-spec raw(gen_tcp:socket(), iodata()) -> ok | {error, term()}.
raw(Socket, Bytes) ->
    gen_tcp:send(Socket, Bytes).

%% @doc A control message, with a payload if there is one.
-spec control(gen_tcp:socket(), term(), none | term()) -> ok | {error, term()}.
control(Socket, Control, none) ->
    frame(Socket, [$p, term_to_binary(Control)]);
control(Socket, Control, Payload) ->
    frame(Socket, [$p, term_to_binary(Control), term_to_binary(Payload)]).

%% @doc Wait until the other side has closed; what it still sent is read.
-spec await_closed(gen_tcp:socket()) -> closed | {error, term()}.
await_closed(Socket) ->
    case gen_tcp:recv(Socket, 0, ?DEADLINE_MS) of
        {ok, _} -> await_closed(Socket);
        {error, Closed} when Closed =:= closed; Closed =:= econnreset -> closed;
        {error, Reason} -> {error, Reason}
    end.

%% @doc Something that was sent to us.
-spec read(gen_tcp:socket()) -> {ok, binary()} | {error, term()}.
read(Socket) ->
    gen_tcp:recv(Socket, 0, ?DEADLINE_MS).
