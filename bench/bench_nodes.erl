%% SPDX-License-Identifier: Apache-2.0
%% @doc Nodes for the benchmarks: other OS processes, driven over standard input and
%% output by a conductor that is no node itself.
-module(bench_nodes).

-export([setup/2, start/2, start/3, connect/2, connect/1, disconnect/2]).
-export([call/4, kill/1, stop/1, name/1, os_pid/1]).

-export_type([setup/0, bench_node/0]).

-define(BOOT_MS, 20000).
-define(CALL_MS, 280000).

-record(node, {
    peer :: pid(),
    name :: node(),
    os_pid :: string()
}).

-opaque bench_node() :: #node{}.
-type setup() :: #{
    work := string(), ebin := string(), unique := string(), epmd := inet:port_number()
}.

%% @doc Work is the folder of the compiled benchmarks.  Which processes are started is
%% noted in its file `pids'.  The epmd is one of our own, on a port of its own.
-spec setup(string(), string()) -> setup().
setup(Work, Ebin) ->
    Unique = string:lowercase(integer_to_list(rand:uniform(1 bsl 40), 36)),
    #{work => Work, ebin => Ebin, unique => Unique, epmd => start_epmd(Work, 5)}.

%% @doc Start a node; the same letter makes the same name.
-spec start(setup(), string()) -> bench_node().
start(Setup, Letter) ->
    start(Setup, Letter, []).

%% @doc The same, with arguments of its own.
-spec start(setup(), string(), [string()]) -> bench_node().
start(#{work := Work, ebin := Ebin, unique := Unique, epmd := Epmd}, Letter, More) ->
    {ok, Peer, Name} = peer:start(#{
        name => list_to_atom(Letter ++ "_" ++ Unique),
        host => "127.0.0.1",
        longnames => true,
        connection => standard_io,
        peer_down => continue,
        shutdown => close,
        wait_boot => ?BOOT_MS,
        env => [{"ERL_EPMD_PORT", integer_to_list(Epmd)}],
        args =>
            ["-pa", Ebin, Work, "-setcookie", Unique, "-start_epmd", "false"] ++
            ["-kernel", "inet_dist_use_interface", "{127,0,0,1}"] ++
            ["-kernel", "prevent_overlapping_partitions", "false"] ++
            ["-kernel", "logger_level", "error" | More]
    }),
    OsPid = peer:call(Peer, os, getpid, []),
    note_pid(Work, OsPid),
    Node = #node{peer = Peer, name = Name, os_pid = OsPid},
    ok = call(Node, bench_names, start, []),
    Node.

-spec connect(bench_node(), bench_node()) -> ok.
connect(Node, Other) ->
    connect([Node, Other]).

%% @doc Each with each.
-spec connect([bench_node()]) -> ok.
connect(Nodes) ->
    Names = lists:sort([name(Node) || Node <- Nodes]),
    [
        true = call(Node, net_kernel, connect_node, [To])
     || Node <- Nodes, To <- Names, name(Node) < To
    ],
    [ok = call(Node, bench_names, await, [bench_names_members, Names]) || Node <- Nodes],
    ok.

%% @doc Cut the link between two nodes.
-spec disconnect(bench_node(), bench_node()) -> ok.
disconnect(Node, #node{name = Other}) ->
    true = call(Node, erlang, disconnect_node, [Other]),
    ok.

-spec call(bench_node(), module(), atom(), [term()]) -> term().
call(#node{peer = Peer}, M, F, A) ->
    peer:call(Peer, M, F, A, ?CALL_MS).

%% @doc kill -9.
-spec kill(bench_node()) -> ok.
kill(#node{peer = Peer, os_pid = OsPid}) ->
    [] = os:cmd("kill -KILL " ++ OsPid),
    peer:stop(Peer).

-spec stop(bench_node()) -> ok.
stop(#node{peer = Peer}) ->
    peer:stop(Peer).

-spec name(bench_node()) -> node().
name(#node{name = Name}) ->
    Name.

-spec os_pid(bench_node()) -> string().
os_pid(#node{os_pid = OsPid}) ->
    OsPid.

%%--------------------------------------------------------------------
%% Internal

start_epmd(_Work, 0) ->
    error(no_epmd);
start_epmd(Work, Tries) ->
    {ok, Socket} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Number} = inet:port(Socket),
    ok = gen_tcp:close(Socket),
    Port = open_port({spawn_executable, os:find_executable("epmd")}, [
        {args, ["-address", "127.0.0.1", "-port", integer_to_list(Number)]},
        exit_status
    ]),
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    note_pid(Work, integer_to_list(OsPid)),
    case await_epmd(Port, Number, erlang:monotonic_time(millisecond) + ?BOOT_MS) of
        ok -> Number;
        error -> start_epmd(Work, Tries - 1)
    end.

await_epmd(Port, Number, Deadline) ->
    case gen_tcp:connect({127, 0, 0, 1}, Number, [binary, {active, false}], ?BOOT_MS) of
        {ok, Socket} ->
            %% It is asked for names, because it complains about callers who say nothing.
            ok = gen_tcp:send(Socket, <<1:16, $n>>),
            {ok, <<Number:32, _/binary>>} = gen_tcp:recv(Socket, 0, ?BOOT_MS),
            gen_tcp:close(Socket);
        {error, _} ->
            receive
                {Port, {exit_status, _}} -> error
            after 5 ->
                case erlang:monotonic_time(millisecond) > Deadline of
                    true -> error;
                    false -> await_epmd(Port, Number, Deadline)
                end
            end
    end.

note_pid(Work, OsPid) ->
    ok = file:write_file(filename:join(Work, "pids"), [OsPid, $\n], [append]).
