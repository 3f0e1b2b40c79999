%% SPDX-License-Identifier: Apache-2.0
%% @doc A daemon for the suites: the real program, started, watched and stopped.
-module(holt_daemon).

-export([start/2, stop/1, kill/1, freeze/1, thaw/1, signal/2, exit_status/1, close/1]).
-export([node_of/1, port_of/1, lines/1, await_line/2, command/2, program/1]).

-export_type([daemon/0]).

-record(daemon, {owner :: pid(), os_pid :: string(), node :: node()}).
-opaque daemon() :: #daemon{}.

-define(DEADLINE_MS, 20000).

%% @doc Start `holtd' with these arguments, one of which is `--name', in this
%% environment.  It is running, not yet ready.
-spec start(Args :: [string()], #{env => [{string(), string()}], wrap => string()}) -> daemon().
start(Args, Options) ->
    Self = self(),
    Owner = spawn(fun() -> own(Self, Args, Options) end),
    receive
        {Owner, OsPid} -> #daemon{owner = Owner, os_pid = OsPid, node = name_in(Args)}
    after ?DEADLINE_MS -> error({no_daemon, Args})
    end.

%% @doc End it in order, and say so if that was not so.
-spec stop(daemon()) -> ok.
stop(Daemon) ->
    signal("TERM", Daemon),
    case exit_status(Daemon) of
        0 -> close(Daemon);
        Status -> error({exit_status, Status, lines(Daemon)})
    end.

%% @doc End it without a word.
-spec kill(daemon()) -> ok.
kill(Daemon) ->
    signal("KILL", Daemon),
    _ = exit_status(Daemon),
    close(Daemon).

-spec freeze(daemon()) -> ok.
freeze(Daemon) -> signal("STOP", Daemon).

-spec thaw(daemon()) -> ok.
thaw(Daemon) -> signal("CONT", Daemon).

%% @doc Wait for its end.
-spec exit_status(daemon()) -> integer().
exit_status(Daemon) ->
    ask(exit_status, Daemon).

%% @doc Free what this module keeps of it; kills it if it still runs.
-spec close(daemon()) -> ok.
close(#daemon{owner = Owner, os_pid = OsPid}) ->
    Monitor = monitor(process, Owner),
    Owner ! {close, OsPid},
    receive
        {'DOWN', Monitor, process, Owner, _} -> ok
    end.

-spec node_of(daemon()) -> node().
node_of(#daemon{node = Node}) -> Node.

%% @doc The port on which it listens, as it logs it.
-spec port_of(daemon()) -> inet:port_number().
port_of(Daemon) ->
    Line = await_line(", port [0-9]+, creation", Daemon),
    {match, [Port]} = re:run(Line, ", port ([0-9]+)", [{capture, all_but_first, list}]),
    list_to_integer(Port).

%% @doc What it has logged so far.
-spec lines(daemon()) -> [string()].
lines(Daemon) ->
    ask(lines, Daemon).

%% @doc Wait for a line like this.
-spec await_line(Regex :: string(), daemon()) -> string().
await_line(Regex, Daemon) ->
    holt_ct:wait_until(
        fun() ->
            [] =/= [L || L <- lines(Daemon), re:run(L, Regex) =/= nomatch] orelse lines(Daemon)
        end,
        ?DEADLINE_MS
    ),
    hd([L || L <- lines(Daemon), re:run(L, Regex) =/= nomatch]).

%% @doc Run a program to its end: what it wrote, and how it ended.
-spec command(Program :: string(), Args :: [string()]) -> {Status :: integer(), string()}.
command(Program, Args) ->
    Port = open_port({spawn_executable, Program}, [
        {args, utf8(Args)}, exit_status, stderr_to_stdout, hide, binary
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

%% In any locale: Erlang would write text in that of the machine.
-spec utf8([string()]) -> [binary()].
utf8(Args) ->
    [unicode:characters_to_binary(Arg) || Arg <- Args].

%% @doc `holtd' or `holt', as built.
-spec program(string()) -> string().
program("holtd") ->
    os:getenv("HOLTD", built("holtd"));
program(Name) ->
    built(Name).

built(Name) ->
    Root = filename:dirname(filename:dirname(code:which(holt_registry))),
    filename:join([Root, "priv", Name]).

%%--------------------------------------------------------------------
%% The owner of the program's port

own(Starter, Args, Options) ->
    {Program, AllArgs} =
        case Options of
            %% A line of shell that ends in this program.
            #{wrap := Shell} ->
                {"/bin/sh", ["-c", Shell ++ "; exec \"$@\"", "sh", program("holtd") | Args]};
            #{} ->
                {program("holtd"), Args}
        end,
    Port = open_port({spawn_executable, Program}, [
        {args, utf8(AllArgs)},
        {env, maps:get(env, Options, [])},
        {line, 4096},
        exit_status,
        stderr_to_stdout,
        hide
    ]),
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    _ = monitor(process, Starter),
    Starter ! {self(), integer_to_list(OsPid)},
    own_loop(Port, running, [], []).

own_loop(Port, Status, Lines, Waiting) ->
    receive
        {Port, {data, {_, Line}}} ->
            own_loop(Port, Status, [Line | Lines], Waiting);
        {Port, {exit_status, New}} ->
            _ = [From ! {Ref, New} || {Ref, From} <- Waiting],
            own_loop(Port, New, Lines, []);
        {ask, Ref, From, lines} ->
            From ! {Ref, lists:reverse(Lines)},
            own_loop(Port, Status, Lines, Waiting);
        {ask, Ref, From, exit_status} when Status =:= running ->
            own_loop(Port, Status, Lines, [{Ref, From} | Waiting]);
        {ask, Ref, From, exit_status} ->
            From ! {Ref, Status},
            own_loop(Port, Status, Lines, Waiting);
        {close, OsPid} ->
            Status =:= running andalso os:cmd("kill -KILL " ++ OsPid);
        {'DOWN', _, process, _, _} when Status =:= running ->
            %% A case that failed leaves nothing behind.
            {os_pid, OsPid} = erlang:port_info(Port, os_pid),
            os:cmd("kill -KILL " ++ integer_to_list(OsPid));
        {'DOWN', _, process, _, _} ->
            ok
    end.

ask(What, #daemon{owner = Owner}) ->
    Ref = monitor(process, Owner),
    Owner ! {ask, Ref, self(), What},
    receive
        {Ref, Answer} ->
            demonitor(Ref, [flush]),
            Answer;
        {'DOWN', Ref, process, Owner, Reason} ->
            error({closed, Reason})
    after ?DEADLINE_MS -> error({no_answer, What})
    end.

%% @doc Send it a signal, by its name without SIG.
-spec signal(string(), daemon()) -> ok.
signal(Signal, #daemon{os_pid = OsPid}) ->
    "" = os:cmd("kill -" ++ Signal ++ " " ++ OsPid),
    ok.

name_in(["--name", Name | _]) -> list_to_atom(Name);
name_in([_ | Args]) -> name_in(Args).
