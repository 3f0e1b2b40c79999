%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc A daemon for tests: the real program, started, watched and stopped.
%%
%% A process of its own owns the port of the program; when the one who has started it ends,
%% the program is killed.
-module(holt_test_daemon).

-export([start/2, kill/1, signal/2, exit_status/1, close/1]).
-export([node_of/1, os_pid/1, lines/1, program/1, utf8/1]).

-export_type([daemon/0, options/0]).

-record(daemon, {owner :: pid(), os_pid :: string(), node :: node()}).
-opaque daemon() :: #daemon{}.

-type options() :: #{
    env => [{string(), string()}],
    %% A line of shell to run before it.
    wrap => string()
}.

-define(DEADLINE_MS, 20000).

%% @doc Start `holtd' with these arguments, one of which is `--name'.  It is running, not
%% yet ready.
-spec start(Args :: [string()], options()) -> daemon().
start(Args, Options) ->
    Self = self(),
    {Owner, Monitor} = spawn_monitor(fun() -> own(Self, Args, Options) end),
    receive
        {Owner, OsPid} ->
            true = demonitor(Monitor, [flush]),
            #daemon{owner = Owner, os_pid = OsPid, node = name_in(Args)};
        {'DOWN', Monitor, process, Owner, Reason} ->
            error({no_daemon, Reason, Args})
    after ?DEADLINE_MS -> error({no_daemon, Args})
    end.

%% @doc End it without a word, and wait for that.
-spec kill(daemon()) -> ok.
kill(Daemon) ->
    ok = signal("KILL", Daemon),
    _ = exit_status(Daemon),
    close(Daemon).

%% @doc Wait for its end.
-spec exit_status(daemon()) -> integer().
exit_status(Daemon) ->
    ask(exit_status, Daemon).

%% @doc Free what this module keeps of it; kills it if it still runs.
-spec close(daemon()) -> ok.
close(#daemon{owner = Owner}) ->
    Monitor = monitor(process, Owner),
    Owner ! close,
    receive
        {'DOWN', Monitor, process, Owner, _} -> ok
    end.

%% @doc The name of its node.
-spec node_of(daemon()) -> node().
node_of(#daemon{node = Node}) -> Node.

%% @doc The operating system's name for its process.
-spec os_pid(daemon()) -> string().
os_pid(#daemon{os_pid = OsPid}) -> OsPid.

%% @doc What it has logged so far.
-spec lines(daemon()) -> [string()].
lines(Daemon) ->
    ask(lines, Daemon).

%% @doc Send it a signal, by its name without SIG.
-spec signal(string(), daemon()) -> ok.
signal(Signal, #daemon{os_pid = OsPid}) ->
    "" = os:cmd("kill -" ++ Signal ++ " " ++ OsPid),
    ok.

%% @doc `holtd' or `holt', as built.
-spec program(string()) -> file:filename().
program("holtd") ->
    os:getenv("HOLTD", built("holtd"));
program(Name) ->
    built(Name).

-spec built(string()) -> file:filename().
built(Name) ->
    Root = filename:dirname(filename:dirname(code:which(holt_registry))),
    filename:join([Root, "priv", Name]).

%% @doc Arguments in any locale: Erlang would write text in that of the machine.
-spec utf8([string()]) -> [binary()].
utf8(Args) ->
    [unicode:characters_to_binary(Arg) || Arg <- Args].

%%--------------------------------------------------------------------
%% The owner of the program's port

-spec own(pid(), [string()], options()) -> term().
own(Starter, Args, Options) ->
    {Program, AllArgs} =
        case Options of
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
    {os_pid, Number} = erlang:port_info(Port, os_pid),
    OsPid = integer_to_list(Number),
    _ = monitor(process, Starter),
    Starter ! {self(), OsPid},
    own_loop({Port, OsPid}, running, [], []).

-spec own_loop({port(), string()}, running | integer(), [string()], [{reference(), pid()}]) ->
    term().
own_loop({Port, OsPid} = Program, Status, Lines, Waiting) ->
    receive
        {Port, {data, {_, Line}}} ->
            own_loop(Program, Status, [Line | Lines], Waiting);
        {Port, {exit_status, New}} ->
            _ = [From ! {Ref, New} || {Ref, From} <- Waiting],
            own_loop(Program, New, Lines, []);
        {ask, Ref, From, lines} ->
            From ! {Ref, lists:reverse(Lines)},
            own_loop(Program, Status, Lines, Waiting);
        {ask, Ref, From, exit_status} when Status =:= running ->
            own_loop(Program, Status, Lines, [{Ref, From} | Waiting]);
        {ask, Ref, From, exit_status} ->
            From ! {Ref, Status},
            own_loop(Program, Status, Lines, Waiting);
        close when Status =:= running ->
            os:cmd("kill -KILL " ++ OsPid);
        close ->
            ok;
        %% Whoever has failed leaves nothing behind.
        {'DOWN', _, process, _, _} when Status =:= running ->
            os:cmd("kill -KILL " ++ OsPid);
        {'DOWN', _, process, _, _} ->
            ok
    end.

-spec ask(lines, daemon()) -> [string()];
         (exit_status, daemon()) -> integer().
ask(What, #daemon{owner = Owner}) ->
    Ref = monitor(process, Owner),
    Owner ! {ask, Ref, self(), What},
    receive
        {Ref, Answer} ->
            true = demonitor(Ref, [flush]),
            Answer;
        {'DOWN', Ref, process, Owner, Reason} ->
            error({closed, Reason})
    after ?DEADLINE_MS -> error({no_answer, What})
    end.

-spec name_in([string()]) -> node().
name_in(["--name", Name | _]) -> list_to_atom(Name);
name_in([_ | Args]) -> name_in(Args).
