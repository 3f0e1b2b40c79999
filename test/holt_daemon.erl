%% SPDX-License-Identifier: Apache-2.0
%% @doc What the suites want of a daemon besides what {@link holt_test_daemon} does.
-module(holt_daemon).

-export([stop/1, freeze/1, thaw/1, port_of/1, await_line/2, command/2]).

-define(DEADLINE_MS, 20000).

%% @doc End it in order, and say so if that was not so.
-spec stop(holt_test_daemon:daemon()) -> ok.
stop(Daemon) ->
    ok = holt_test_daemon:signal("TERM", Daemon),
    case holt_test_daemon:exit_status(Daemon) of
        0 -> holt_test_daemon:close(Daemon);
        Status -> error({exit_status, Status, holt_test_daemon:lines(Daemon)})
    end.

-spec freeze(holt_test_daemon:daemon()) -> ok.
freeze(Daemon) -> holt_test_daemon:signal("STOP", Daemon).

-spec thaw(holt_test_daemon:daemon()) -> ok.
thaw(Daemon) -> holt_test_daemon:signal("CONT", Daemon).

%% @doc The port on which it listens, as it logs it.
-spec port_of(holt_test_daemon:daemon()) -> inet:port_number().
port_of(Daemon) ->
    Line = await_line(", port [0-9]+, creation", Daemon),
    {match, [Port]} = re:run(Line, ", port ([0-9]+)", [{capture, all_but_first, list}]),
    list_to_integer(Port).

%% @doc Wait for a line like this.
-spec await_line(Regex :: string(), holt_test_daemon:daemon()) -> string().
await_line(Regex, Daemon) ->
    Found = fun(Lines) -> [L || L <- Lines, re:run(L, Regex) =/= nomatch] end,
    holt_ct:wait_until(
        fun() ->
            Lines = holt_test_daemon:lines(Daemon),
            [] =/= Found(Lines) orelse Lines
        end,
        ?DEADLINE_MS
    ),
    hd(Found(holt_test_daemon:lines(Daemon))).

%% @doc Run a program to its end: what it wrote, and how it ended.
-spec command(Program :: string(), Args :: [string()]) -> {Status :: integer(), string()}.
command(Program, Args) ->
    Port = open_port({spawn_executable, Program}, [
        {args, holt_test_daemon:utf8(Args)}, exit_status, stderr_to_stdout, hide, binary
    ]),
    command_output(Port, []).

command_output(Port, Output) ->
    receive
        {Port, {data, Data}} ->
            command_output(Port, [Output, Data]);
        {Port, {exit_status, Status}} ->
            {Status, unicode:characters_to_list(iolist_to_binary(Output))}
    after ?DEADLINE_MS -> error({still_running, Output})
    end.
