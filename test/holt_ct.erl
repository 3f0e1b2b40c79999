%% SPDX-License-Identifier: Apache-2.0
%% @doc What the suites share: waiting, processes that hold names, nodes.
%%
%% Nodes are those of {@link holt_test}: the links between them are the test's to cut, and
%% the node that runs the tests is none of them.
-module(holt_ct).

-behaviour(gen_server).

%% Waiting
-export([wait_until/1, wait_until/2, exit_of/1, kill/1]).
%% Wrong use
-export([badarg/1]).
%% Holders
-export([start/0, start_link/1, register/4, do/2, on/1]).
%% Nodes
-export([start_nodes/2, start_strangers/2, start_unnamed/1, stop_nodes/1]).
-export([call/2, call/4, connect/1, disconnect/2, refuse/2, start_registry/2, await/2]).
%% Watchers
-export([watch/2, missed/1, exit_watch/2, exit_reason/2]).
%% gen_server callbacks
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([test_node/0]).

-define(DEADLINE_MS, 10000).
-define(COOKIE, "holt_ct").

%% A node, or what speaks with one that has no name yet.
-type test_node() :: node() | pid().

%%--------------------------------------------------------------------
%% Waiting

%% @doc Wait until the fun says true.
-spec wait_until(fun(() -> term())) -> ok.
wait_until(Fun) ->
    wait_until(Fun, ?DEADLINE_MS).

%% @doc What the fun said last is in the error.
-spec wait_until(fun(() -> term()), DeadlineMs :: non_neg_integer()) -> ok.
wait_until(Fun, DeadlineMs) ->
    holt_test:wait_until(Fun, erlang:monotonic_time(millisecond) + DeadlineMs).

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

%% @doc Start nodes that are connected to each other, for as long as they are not stopped.
-spec start_nodes(pos_integer(), Args :: [string()]) -> [test_node()].
start_nodes(Count, Args) ->
    #{nodes := Nodes} = holt_test:start_cluster(Count, options(Args)),
    Nodes.

%% @doc Start nodes that are connected with nobody.
-spec start_strangers(pos_integer(), Args :: [string()]) -> [test_node()].
start_strangers(Count, Args) ->
    #{nodes := Nodes} = holt_test:start_cluster(Count, (options(Args))#{connect => false}),
    Nodes.

%% @doc Start one node without distribution, with the application running.
-spec start_unnamed(Args :: [string()]) -> test_node().
start_unnamed(Args) ->
    Paths = [filename:dirname(code:which(Module)) || Module <- [?MODULE, holt_registry]],
    {ok, Control, nonode@nohost} = peer:start(#{
        connection => standard_io,
        wait_boot => 60000,
        args => ["-setcookie", ?COOKIE | Args] ++ lists:append([["-pa", Path] || Path <- Paths])
    }),
    {ok, _} = peer:call(Control, application, ensure_all_started, [holt]),
    Control.

%% Common Test ends the processes of its callbacks.  The daemons of suites have this cookie.
options(Args) ->
    #{owner => none, cookie => list_to_atom(?COOKIE), args => Args}.

%% @doc Stop nodes, in whatever state they are, and those that were started with them.
-spec stop_nodes([test_node()]) -> ok.
stop_nodes(Nodes) ->
    lists:foreach(
        fun
            (Control) when is_pid(Control) -> catch peer:stop(Control);
            (Node) ->
                case holt_test_server:find(Node) of
                    {Cluster, _} -> holt_test_cluster:stop(Cluster);
                    undefined -> ok
                end
        end,
        Nodes
    ).

%% @doc Run a fun on a node.
-spec call(test_node(), fun(() -> Result)) -> Result.
call(Node, Fun) ->
    call(Node, erlang, apply, [Fun, []]).

-spec call(test_node(), module(), atom(), [term()]) -> term().
call(Control, Module, Function, Arguments) when is_pid(Control) ->
    peer:call(Control, Module, Function, Arguments, 60000);
call(Node, Module, Function, Arguments) ->
    holt_test:call(Node, Module, Function, Arguments).

%% @doc Connect each node with each other and wait until all of them see it.
-spec connect([test_node()]) -> ok.
connect(Names) ->
    lists:foreach(
        fun(Node) -> call(Node, holt_test_node, connect, [Names -- [Node], 3 * ?DEADLINE_MS]) end,
        Names
    ).

%% @doc Cut the link between two nodes and wait until both see it.  It may come back.
-spec disconnect(test_node(), test_node()) -> ok.
disconnect(Left, Right) ->
    _ = call(Left, erlang, disconnect_node, [Right]),
    lists:foreach(
        fun({At, Other}) ->
            await(At, fun() -> not lists:member(Other, nodes(connected)) end)
        end,
        [{Left, Right}, {Right, Left}]
    ).

%% @doc Have a node alone refuse links with another one, whoever of them asks, and end the
%% one there is.
-spec refuse(test_node(), test_node()) -> ok.
refuse(At, Other) ->
    ok = call(At, holt_test_node, refuse, [Other, ?DEADLINE_MS]),
    await(Other, fun() -> not lists:member(At, nodes(connected)) end).

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

%% @doc Have somebody on a node wait for the end of a process, whose reason exit_reason/2 asks
%% for.
-spec exit_watch(test_node(), pid()) -> pid().
exit_watch(Node, Pid) ->
    call(Node, fun() ->
        Self = self(),
        Watcher = spawn(fun() ->
            Monitor = monitor(process, Pid),
            Self ! {self(), watching},
            receive
                {'DOWN', Monitor, process, Pid, Reason} ->
                    receive
                        {why, From} -> From ! {self(), Reason}
                    end
            end
        end),
        receive
            {Watcher, watching} -> Watcher
        end
    end).

%% @doc The reason of that end.
-spec exit_reason(test_node(), Watcher :: pid()) -> term().
exit_reason(Node, Watcher) ->
    call(Node, fun() ->
        Watcher ! {why, self()},
        receive
            {Watcher, Reason} -> Reason
        after ?DEADLINE_MS -> error({still_alive, Watcher})
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
