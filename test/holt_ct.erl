%% SPDX-License-Identifier: Apache-2.0
%% @doc What the suites share: waiting, processes that hold names, nodes.
%%
%% Nodes are controlled through their standard input and output, not through
%% distribution: the links between them are the test's to cut, and the node that runs
%% the tests is none of them.
-module(holt_ct).

-behaviour(gen_server).

%% Waiting
-export([wait_until/1, wait_until/2, exit_of/1, kill/1]).
%% Wrong use
-export([badarg/1]).
%% Holders
-export([start/0, start_link/1, register/4, do/2, on/1]).
%% Nodes
-export([start_nodes/2, start_node/2, restart_node/2, kill_node/1, stop_nodes/1]).
-export([node_of/1, call/2, call/4, connect/1, cut/2, start_registry/2, await/2]).
-export([refuse/2, allow/2, part/2, heal/2]).
%% Watchers
-export([watch/2, missed/1]).
%% gen_server callbacks
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([test_node/0]).

-define(DEADLINE_MS, 10000).
-define(STEP_MS, 5).

-record(node, {control :: pid(), node :: node(), args :: [string()]}).
-opaque test_node() :: #node{}.

%%--------------------------------------------------------------------
%% Waiting

%% @doc Wait until the fun says true.
-spec wait_until(fun(() -> term())) -> ok.
wait_until(Fun) ->
    wait_until(Fun, ?DEADLINE_MS).

%% @doc The only place that waits by looking again.  What the fun said last is in the
%% error.
-spec wait_until(fun(() -> term()), DeadlineMs :: non_neg_integer()) -> ok.
wait_until(Fun, DeadlineMs) ->
    wait_until_loop(Fun, erlang:monotonic_time(millisecond) + DeadlineMs).

wait_until_loop(Fun, Deadline) ->
    case Fun() of
        true ->
            ok;
        Other ->
            erlang:monotonic_time(millisecond) < Deadline orelse error({not_in_time, Other}),
            receive
            after ?STEP_MS -> ok
            end,
            wait_until_loop(Fun, Deadline)
    end.

%% @doc Wait for the end of a process and return its reason.
-spec exit_of(pid()) -> term().
exit_of(Pid) ->
    Monitor = monitor(process, Pid),
    receive
        {'DOWN', Monitor, process, Pid, Reason} -> Reason
    after ?DEADLINE_MS -> error({still_alive, Pid})
    end.

%% @doc Kill a process and wait until it is dead.
-spec kill(pid()) -> ok.
kill(Pid) ->
    Monitor = monitor(process, Pid),
    true = exit(Pid, kill),
    receive
        {'DOWN', Monitor, process, Pid, killed} -> ok
    after ?DEADLINE_MS -> error({still_alive, Pid})
    end.

%%--------------------------------------------------------------------
%% Wrong use

%% @doc The fun raises badarg: what would a shell say about which argument?
-spec badarg(fun(() -> term())) -> [{pos_integer() | general, string()}].
badarg(Fun) ->
    try
        {no_error, Fun()}
    catch
        error:badarg:Stack ->
            [{_, _, _, Info} | _] = Stack,
            #{module := Module} = proplists:get_value(error_info, Info),
            Words = Module:format_error(badarg, Stack),
            [{At, unicode:characters_to_list(Text)} || {At, Text} <- maps:to_list(Words)]
    end.

%%--------------------------------------------------------------------
%% Holders: processes that live until they are told otherwise

%% @doc Start a process without a name.
-spec start() -> pid().
start() ->
    {ok, Pid} = gen_server:start(?MODULE, [], []),
    Pid.

%% @doc Start a process with a name, as a supervisor does.
-spec start_link({via, module(), term()}) -> {ok, pid()} | {error, term()}.
start_link(Name) ->
    gen_server:start_link(Name, ?MODULE, [], []).

%% @doc Start a process with this name; it traps exits if the value says so.
-spec register(atom(), term(), term(), [trap_exit]) -> pid().
register(Registry, Key, Value, Flags) ->
    {ok, Pid} = gen_server:start(?MODULE, Flags, []),
    {ok, _} = do(Pid, fun() -> holt_registry:register(Registry, Key, Value) end),
    Pid.

%% @doc Run a fun in a holder.
-spec do(pid() | {via, module(), term()}, fun(() -> Result)) -> Result.
do(Holder, Fun) ->
    gen_server:call(Holder, {do, Fun}, infinity).

%% @doc On which node is this holder?
-spec on(pid() | {via, module(), term()}) -> node().
on(Holder) ->
    do(Holder, fun() -> node() end).

%% @private
init(Flags) ->
    _ = [process_flag(trap_exit, true) || trap_exit <- Flags],
    {ok, []}.

%% @private
handle_call({do, Fun}, _From, State) ->
    {reply, Fun(), State}.

%% @private
handle_cast({tell, To, Message}, State) ->
    _ = To ! Message,
    {noreply, State}.

%% @private
handle_info({ask, To}, State) ->
    _ = To ! {answer, self()},
    {noreply, State};
handle_info(_, State) ->
    {noreply, State}.

%%--------------------------------------------------------------------
%% Nodes

%% @doc Start nodes that are connected to each other.
-spec start_nodes(pos_integer(), Args :: [string()]) -> [test_node()].
start_nodes(Count, Args) ->
    Nodes = [start_node(name(), Args) || _ <- lists:seq(1, Count)],
    connect(Nodes),
    Nodes.

%% @doc Start one node, with the application running.  `undefined': without
%% distribution.
-spec start_node(Name :: string() | undefined, Args :: [string()]) -> test_node().
start_node(Name, Args) ->
    Options = #{
        connection => standard_io,
        wait_boot => 60000,
        args => ["-setcookie", "holt_ct" | Args] ++ lists:append([["-pa", D] || D <- code_path()])
    },
    Started =
        case Name of
            undefined -> peer:start(Options);
            _ -> peer:start(Options#{name => Name})
        end,
    {Control, Node} =
        case Started of
            {ok, C} -> {C, node()};
            {ok, C, N} -> {C, N}
        end,
    {ok, _} = peer:call(Control, application, ensure_all_started, [holt]),
    #node{control = Control, node = Node, args = Args}.

%% @doc Start a node again under the name it had.
-spec restart_node(test_node(), [test_node()]) -> test_node().
restart_node(#node{node = Node, args = Args}, Others) ->
    [Name, _Host] = string:lexemes(atom_to_list(Node), "@"),
    New = start_node(Name, Args),
    connect([New | Others]),
    New.

%% @doc Kill the operating system's process of a node.
-spec kill_node(test_node()) -> ok.
kill_node(#node{control = Control} = Node) ->
    Pid = call(Node, os, getpid, []),
    Monitor = monitor(process, Control),
    unlink(Control),
    "" = os:cmd("kill -KILL " ++ Pid),
    receive
        {'DOWN', Monitor, process, Control, _} -> ok
    after ?DEADLINE_MS -> error({still_alive, Node})
    end.

%% @doc Stop nodes, in whatever state they are.
-spec stop_nodes([test_node()]) -> ok.
stop_nodes(Nodes) ->
    lists:foreach(
        fun(#node{control = Control}) ->
            try
                peer:stop(Control)
            catch
                exit:_ -> ok
            end
        end,
        Nodes
    ).

%% @doc The name of a node.
-spec node_of(test_node()) -> node().
node_of(#node{node = Node}) ->
    Node.

%% @doc Run a fun on a node.
-spec call(test_node(), fun(() -> Result)) -> Result.
call(Node, Fun) ->
    call(Node, erlang, apply, [Fun, []]).

-spec call(test_node(), module(), atom(), [term()]) -> term().
call(#node{control = Control}, Module, Function, Arguments) ->
    peer:call(Control, Module, Function, Arguments, 60000).

%% @doc Connect each node with each other and wait until all of them see it.
-spec connect([test_node()]) -> ok.
connect(Nodes) ->
    Names = [Node || #node{node = Node} <- Nodes],
    Connect = fun() -> [net_kernel:connect_node(Node) || Node <- Names, Node =/= node()] end,
    IsConnected = fun() ->
        case (Names -- [node()]) -- nodes(connected) of
            [] ->
                true;
            Missing ->
                _ = Connect(),
                Missing
        end
    end,
    lists:foreach(fun(Node) -> call(Node, fun() -> wait_until(IsConnected) end) end, Nodes).

%% @doc Cut the link between two nodes and wait until both see it.
-spec cut(test_node(), test_node()) -> ok.
cut(#node{node = Left} = LeftNode, #node{node = Right} = RightNode) ->
    _ = call(LeftNode, erlang, disconnect_node, [Right]),
    lists:foreach(
        fun({At, Other}) ->
            call(At, fun() ->
                wait_until(fun() -> not lists:member(Other, nodes(connected)) end)
            end)
        end,
        [{LeftNode, Right}, {RightNode, Left}]
    ).

%% @doc Have a node refuse links with another one, whoever of them asks, and end the one
%% there is.
-spec refuse(test_node(), test_node()) -> ok.
refuse(#node{node = Name} = At, #node{node = Other} = OtherNode) ->
    %% The other one may refuse us, too: by a cookie that is not the same.
    true = call(At, erlang, set_cookie, [Other, list_to_atom(lists:concat([refused_by_, Name]))]),
    cut(At, OtherNode).

%% @doc Have it no longer refuse them.
-spec allow(test_node(), test_node()) -> ok.
allow(At, #node{node = Other}) ->
    true = call(At, erlang, set_cookie, [Other, holt_ct]),
    ok.

%% @doc Cut two nodes from each other until they are healed; those who have links with both
%% keep them.
-spec part(test_node(), test_node()) -> ok.
part(Left, Right) ->
    ok = refuse(Left, Right),
    refuse(Right, Left).

%% @doc Connect two nodes that were parted.
-spec heal(test_node(), test_node()) -> ok.
heal(Left, Right) ->
    ok = allow(Left, Right),
    ok = allow(Right, Left),
    connect([Left, Right]).

%%--------------------------------------------------------------------
%% Watchers

%% @doc Look for these names on a node, over and over, as fast as it can.
-spec watch(test_node(), {Registry :: atom(), [{Key :: term(), pid()}]}) ->
    {test_node(), pid()}.
watch(Node, {Registry, Names}) ->
    Watcher = call(Node, fun() ->
        spawn(fun() ->
            %% Only with what others leave: the nodes share few processors.
            _ = process_flag(priority, low),
            watch_loop(Registry, Names, #{}, 0)
        end)
    end),
    {Node, Watcher}.

%% @doc End it: which names were missing, when first, and for how many rounds it looked.
-spec missed({test_node(), pid()}) ->
    {#{Key :: term() => FirstMs :: integer()}, Rounds :: non_neg_integer()}.
missed({Node, Watcher}) ->
    call(Node, fun() ->
        Watcher ! {stop, self()},
        receive
            {Watcher, Missed, Rounds} -> {Missed, Rounds}
        after ?DEADLINE_MS -> error({no_answer, Watcher})
        end
    end).

watch_loop(Registry, Names, Missed, Rounds) ->
    receive
        {stop, From} -> From ! {self(), Missed, Rounds}
    after 0 ->
        New = [Key || {Key, Pid} <- Names, holt_registry:whereis_name({Registry, Key}) =/= Pid],
        Now = erlang:system_time(millisecond),
        All = maps:merge(maps:from_keys(New, Now), Missed),
        watch_loop(Registry, Names, All, Rounds + 1)
    end.

%%--------------------------------------------------------------------
%% Registries

%% @doc Start a registry on a node, linked to nobody.
-spec start_registry(test_node(), map()) -> pid().
start_registry(Node, Options) ->
    call(Node, fun() ->
        {ok, Root} = holt_registry:start_link(Options),
        true = unlink(Root),
        Root
    end).

%% @doc Wait on a node until the fun says true there.
-spec await(test_node(), fun(() -> term())) -> ok.
await(Node, Fun) ->
    call(Node, fun() -> wait_until(Fun) end).

name() ->
    peer:random_name("holt_ct").

%% Where the suites and the application are, for a node that has just started.
code_path() ->
    [filename:dirname(code:which(Module)) || Module <- [?MODULE, holt_registry]].
