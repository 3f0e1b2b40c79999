%% SPDX-License-Identifier: Apache-2.0
%% @doc The daemon in C beside a node of Erlang that holds the same names.
%%
%% Both are asked and measured in the same way: by gen_server:call/2 from another node,
%% and by what the operating system says of their processes.
-module(bench_cnode).

%% On the conductor
-export([is_built/1, start_daemon/2, stop_daemon/1, os_use/1, command/3]).
%% On a node
-export([serve/0, ask/3, await_count/2]).

-export_type([daemon/0, target/0]).

-define(DEADLINE_MS, 30000).

-opaque daemon() :: #{port := port(), os_pid := string(), name := node()}.
-type target() :: {holtd | ?MODULE, node()}.

%%--------------------------------------------------------------------
%% Programs

-spec is_built(bench_nodes:setup()) -> boolean().
is_built(Setup) ->
    filelib:is_regular(program(Setup, "holtd")).

%% @doc Start the daemon; it connects to this node.
-spec start_daemon(bench_nodes:setup(), node()) -> {daemon(), node(), OsPid :: string()}.
start_daemon(#{unique := Unique, work := Work} = Setup, Peer) ->
    ok = file:write_file(cookie_file(Setup), [Unique, $\n]),
    Name = "h_" ++ Unique ++ "@127.0.0.1",
    Port = open_port({spawn_executable, program(Setup, "holtd")}, [
        {args, [
            "--name", Name, "--cookie-file", cookie_file(Setup), "--listen", "127.0.0.1",
            "--instance", "bench", "--log-level", "error", "--peer", atom_to_list(Peer)
        ]},
        {env, env(Setup)},
        exit_status
    ]),
    {os_pid, Number} = erlang:port_info(Port, os_pid),
    OsPid = integer_to_list(Number),
    ok = file:write_file(filename:join(Work, "pids"), [OsPid, $\n], [append]),
    {#{port => Port, os_pid => OsPid, name => list_to_atom(Name)}, list_to_atom(Name), OsPid}.

-spec stop_daemon(daemon()) -> ok.
stop_daemon(#{port := Port, os_pid := OsPid}) ->
    [] = os:cmd("kill -TERM " ++ OsPid),
    receive
        {Port, {exit_status, 0}} -> ok
    after ?DEADLINE_MS -> error(still_running)
    end.

%% @doc Processor time in nanoseconds and memory in bytes of a process, as the operating
%% system counts them; {0, 0} where there is no /proc.
-spec os_use(string()) -> {Ns :: integer(), Bytes :: integer()}.
os_use(OsPid) ->
    Proc = filename:join("/proc", OsPid),
    case [file:read_file(filename:join(Proc, File)) || File <- ["stat", "status"]] of
        [{ok, Stat}, {ok, Status}] ->
            [_, Fields] = string:split(Stat, ") "),
            Words = string:lexemes(Fields, " "),
            Ticks = lists:sum([binary_to_integer(lists:nth(N, Words)) || N <- [12, 13]]),
            {match, [Kb]} = re:run(Status, "VmRSS:\\s+([0-9]+)", [
                {capture, all_but_first, binary}
            ]),
            {Ticks * 10000000, binary_to_integer(Kb) * 1024};
        _ ->
            {0, 0}
    end.

%% @doc How long a program runs that asks for one name: ours, or OTP's erl_call.
-spec command(bench_nodes:setup(), holt | erl_call, node()) -> Ns :: integer().
command(Setup, Which, Node) ->
    Start = bench_names:now_ns(),
    {Program, Args} = command_line(Setup, Which, atom_to_list(Node)),
    Port = open_port({spawn_executable, Program}, [
        {args, Args}, {env, env(Setup)}, exit_status, stderr_to_stdout
    ]),
    ok = await_exit(Port, []),
    bench_names:now_ns() - Start.

command_line(Setup, holt, Node) ->
    {program(Setup, "holt"), [
        "--node", Node, "--cookie-file", cookie_file(Setup), "whereis", "bench", "{user,1}"
    ]};
command_line(#{unique := Unique}, erl_call, Node) ->
    {os:find_executable("erl_call"), [
        "-name", Node, "-c", Unique, "-a", "holt_registry whereis_name [{bench,{user,1}}]"
    ]}.

await_exit(Port, Output) ->
    receive
        {Port, {exit_status, 0}} -> ok;
        {Port, {exit_status, Status}} -> {exit_status, Status, Output};
        {Port, {data, Data}} -> await_exit(Port, Output ++ Data)
    after ?DEADLINE_MS -> error(still_running)
    end.

%% Where make puts it: beside the folder of the beams.
program(#{ebin := Ebin}, Name) ->
    filename:join([filename:dirname(Ebin), "priv", Name]).

cookie_file(#{work := Work}) ->
    filename:join(Work, "cookie").

env(#{epmd := Epmd}) ->
    [{"ERL_EPMD_PORT", integer_to_list(Epmd)}].

%%--------------------------------------------------------------------
%% On nodes

%% @doc Answer, on a node of Erlang, what the daemon answers.
-spec serve() -> ok.
serve() ->
    Self = self(),
    Server = spawn(fun() ->
        true = register(?MODULE, self()),
        Self ! {self(), ready},
        serve_loop()
    end),
    receive
        {Server, ready} -> ok
    end.

serve_loop() ->
    receive
        {'$gen_call', From, {whereis, bench, Key}} ->
            gen_server:reply(From, holt_registry:whereis_name({bench, Key}));
        {'$gen_call', From, {count, bench}} ->
            gen_server:reply(From, holt_registry:count(bench))
    end,
    serve_loop().

%% @doc The time of one question, the mean of Count.
-spec ask(target(), Keys :: tuple(), Count :: pos_integer()) -> Ns :: number().
ask(Target, Keys, Count) ->
    Start = bench_names:now_ns(),
    ask_each(Target, Keys, Count),
    (bench_names:now_ns() - Start) / Count.

ask_each(_Target, _Keys, 0) ->
    ok;
ask_each(Target, Keys, Count) ->
    Key = element(1 + Count rem tuple_size(Keys), Keys),
    true = is_pid(gen_server:call(Target, {whereis, bench, Key})),
    ask_each(Target, Keys, Count - 1).

%% @doc Ask until it has so many names; when was that?
-spec await_count(target(), non_neg_integer()) -> Ns :: integer().
await_count(Target, Count) ->
    await_count(Target, Count, erlang:monotonic_time(millisecond) + ?DEADLINE_MS).

await_count(Target, Count, Deadline) ->
    case catch gen_server:call(Target, {count, bench}) of
        Count ->
            bench_names:now_ns();
        Other ->
            erlang:monotonic_time(millisecond) < Deadline orelse error({not_in_time, Other}),
            receive
            after 1 -> await_count(Target, Count, Deadline)
            end
    end.
