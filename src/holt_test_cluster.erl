%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The process of one cluster of {@link holt_test}: it starts nodes and daemons, keeps
%% what the test has done to them, and takes all of it with it when it ends.
%%
%% ```
%%   this process --- peer, standard input and output --- node
%%        |     \---- port ------------------------------ daemon
%%        \---------- port: the guard, a shell that kills what is left when its
%%                    input ends, however that came, frozen ones included
%% '''
%%
%% A cut is a cookie: each node of the pair thinks the other one's to be one that it is not,
%% so neither gets in. A daemon has no cookies for single nodes; the node at the other end
%% refuses for both.
-module(holt_test_cluster).

-behaviour(gen_server).

%% API
-export([start/3, stop/1, call/2, await_in_sync/3]).
%% gen_server callbacks
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

%% How long things may take, in milliseconds.
-define(BOOT_MS, 60000).
-define(CALL_MS, 60000).
-define(LINK_MS, 30000).

%% A name may be taken for as long as epmd needs to see that its holder is gone.
-define(BOOTS_MAX, 5).

%% What a daemon takes of the options of an instance: docs/cnode.md.
-define(DAEMON_OPTIONS, [
    keys, vector_interval_ms, replica_restart_ms, probe_ms, vouch_ms, flap_ms_max,
    forget_after_ms, clock_bound_ms, window_bytes, message_bytes_max, key_bytes_max,
    value_bytes_max
]).

-record(member, {
    name :: node(),
    state = dead :: running | frozen | dead,
    %% A node's: the process that speaks with it.
    control = undefined :: pid() | undefined | holt_test_daemon:daemon(),
    os_pid = "" :: string(),
    clock_offset_ms = 0 :: integer()
}).

-record(data, {
    options :: holt_test:options(),
    cookie :: atom(),
    owner :: reference() | none,
    guard :: port(),
    members = #{} :: #{node() => #member{}},
    nodes = [] :: [node()],
    daemons = [] :: [node()],
    instances = [] :: [holt_options:options()],
    %% Instances that end with a process.
    isolated = #{} :: #{reference() => atom()},
    %% Pairs in order.
    cuts = [] :: [{node(), node()}],
    losses = #{} :: #{{From :: node(), To :: node()} => float()},
    cookie_file = undefined :: undefined | file:filename()
}).

-type answer(Result) ::
    Result | {badarg, #{pos_integer() | general => string()}} | {failed, term()}.

%%--------------------------------------------------------------------
%% API

%% @doc Start a cluster for this process.
-spec start(term(), term(), pid()) -> answer(holt_test:cluster()).
start(N, Options, Caller) ->
    case check(N, Options) of
        {ok, Checked} ->
            WithOwner = maps:merge(#{owner => Caller}, Checked),
            case gen_server:start(?MODULE, {N, WithOwner}, []) of
                {ok, Pid} -> call(Pid, cluster);
                {error, Reason} -> {failed, {no_cluster, Reason}}
            end;
        Wrong ->
            Wrong
    end.

%% @doc End it, with all there is of it.
-spec stop(pid()) -> ok.
stop(Pid) ->
    try
        gen_server:stop(Pid, normal, infinity)
    catch
        exit:_ -> ok
    end.

%% @doc Ask it to do something.
-spec call(pid(), term()) -> term().
call(Pid, Request) ->
    try
        gen_server:call(Pid, Request, infinity)
    catch
        exit:{Reason, _} when Reason =:= noproc; Reason =:= normal; Reason =:= shutdown ->
            {badarg, #{1 => "the cluster has been stopped"}}
    end.

%% @doc Wait for its members to be in sync.
-spec await_in_sync(pid(), atom(), non_neg_integer()) -> answer(ok).
await_in_sync(Pid, Instance, TimeoutMs) ->
    case call(Pid, links) of
        {links, Links} ->
            Deadline = erlang:monotonic_time(millisecond) + TimeoutMs,
            await_in_sync_loop(Instance, Links, Deadline, undefined);
        Wrong ->
            Wrong
    end.

-spec await_in_sync_loop(atom(), [{node(), pid() | daemon, [node()]}], integer(), term()) ->
    answer(ok).
await_in_sync_loop(Instance, Links, Deadline, Former) ->
    States = [{Node, sync_state(Node, Control, Instance, Links)} || {Node, Control, _} <- Links],
    Held = [Node || {Node, State} <- States, State =/= no_instance],
    Wanted = fun(Node) ->
        {Node, _, Others} = lists:keyfind(Node, 1, Links),
        lists:sort([Other || Other <- Others, lists:member(Other, Held)])
    end,
    Late = [
        {Node, State}
     || {Node, State} <- States, State =/= no_instance, not is_in_sync(State, Wanted(Node))
    ],
    Now = {Late, States},
    IsLate = erlang:monotonic_time(millisecond) >= Deadline,
    case Now of
        {[], _} when Held =/= [], Now =:= Former ->
            ok;
        {[], _} when Held =:= [], IsLate ->
            {failed, {not_in_time, {no_instance, Instance}}};
        {[_ | _], _} when IsLate ->
            {failed, {not_in_time, Late}};
        _ ->
            receive
            after 20 -> ok
            end,
            await_in_sync_loop(Instance, Links, Deadline, Now)
    end.

-spec is_in_sync(term(), [node()]) -> boolean().
is_in_sync({true, Up, _Version}, Wanted) -> Wanted -- Up =:= [];
is_in_sync(_, _) -> false.

-spec sync_state(node(), pid() | daemon, atom(), [{node(), pid() | daemon, [node()]}]) -> term().
sync_state(Node, daemon, Instance, Links) ->
    Ask = fun(Request) ->
        case [C || {_, C, Others} <- Links, is_pid(C), lists:member(Node, Others)] of
            [Control | _] -> peer:call(Control, holt_test_node, ask, [Node, Request], ?CALL_MS);
            [] -> {error, nobody_reaches_it}
        end
    end,
    case {Ask({in_sync, Instance}), Ask({peers, Instance})} of
        {{error, {no_instance, _}}, _} ->
            no_instance;
        {IsInSync, Peers} when is_boolean(IsInSync), is_list(Peers) ->
            {IsInSync, lists:sort([Up || #{member := {_, Up}, state := up} <- Peers]), 0};
        Other ->
            Other
    end;
sync_state(_Node, Control, Instance, _Links) ->
    try
        peer:call(Control, holt_test_node, sync_state, [Instance], ?CALL_MS)
    catch
        exit:Reason -> {no_answer, Reason}
    end.

%%--------------------------------------------------------------------
%% Options

-spec check(term(), term()) -> {ok, holt_test:options()} | {badarg, map()}.
check(N, _Options) when not is_integer(N); N < 1 ->
    {badarg, #{1 => "not a number of nodes, 1 or more"}};
check(N, Options) ->
    try
        Map = to_map(Options),
        maps:foreach(
            fun(Key, Value) ->
                is_valid(Key, Value, N) orelse
                    throw({?MODULE, io_lib:format("the option ~tp => ~tP", [Key, Value, 10])})
            end,
            Map
        ),
        Instances = [instance(I) || I <- maps:get(instances, Map, [])],
        {ok, Map#{instances => Instances}}
    catch
        throw:{?MODULE, What} ->
            Text = ["wrong, or there is none such: ", What],
            {badarg, #{2 => unicode:characters_to_list(Text)}}
    end.

-spec to_map(term()) -> map().
to_map(Map) when is_map(Map) ->
    Map;
to_map(List) when is_list(List) ->
    maps:from_list([
        case Pair of
            {_, _} -> Pair;
            _ -> throw({?MODULE, io_lib:format("~tP", [Pair, 10])})
        end
     || Pair <- List
    ]);
to_map(Other) ->
    throw({?MODULE, io_lib:format("~tP", [Other, 10])}).

-spec is_valid(term(), term(), pos_integer()) -> boolean().
is_valid(instances, List, _) ->
    is_list(List);
is_valid(holtd, Count, _) ->
    is_integer(Count) andalso Count >= 0;
is_valid(clock_offset_ms, List, N) ->
    is_list(List) andalso length(List) =:= N andalso lists:all(fun is_integer/1, List);
is_valid(applications, List, _) ->
    is_list(List) andalso lists:all(fun is_atom/1, List);
is_valid(args, List, _) ->
    is_list(List) andalso lists:all(fun is_list/1, List);
is_valid(connect, Value, _) ->
    is_boolean(Value);
is_valid(cookie, Value, _) ->
    is_atom(Value);
is_valid(owner, Value, _) ->
    Value =:= none orelse (is_pid(Value) andalso node(Value) =:= node());
is_valid(seed, Value, _) ->
    is_integer(Value);
is_valid(_, _, _) ->
    false.

-spec instance(term()) -> holt_options:options().
instance(Name) when is_atom(Name) ->
    #{name => Name};
instance(Options) ->
    case holt_options:parse(Options) of
        {ok, _} when is_list(Options) -> maps:from_list(proplists:unfold(Options));
        {ok, _} -> Options;
        {error, _} -> throw({?MODULE, io_lib:format("the instance ~tP", [Options, 10])})
    end.

%%--------------------------------------------------------------------
%% gen_server callbacks

%% @private
-spec init({pos_integer(), holt_test:options()}) -> {ok, #data{}} | {stop, term()}.
init({N, #{owner := Owner, instances := Instances} = Options}) ->
    _ = process_flag(trap_exit, true),
    %% What nodes say outlives the test that has started them.
    true = group_leader(whereis(init), self()),
    Name = unique(),
    Host = host(),
    Node = fun(Kind, I) -> list_to_atom(lists:concat([Name, Kind, I, "@", Host])) end,
    Nodes = [Node("_", I) || I <- lists:seq(1, N)],
    Daemons = [Node("_d", I) || I <- lists:seq(1, maps:get(holtd, Options, 0))],
    Clocks = maps:get(clock_offset_ms, Options, [0 || _ <- Nodes]),
    Members =
        [{A, #member{name = A, clock_offset_ms = Ms}} || {A, Ms} <- lists:zip(Nodes, Clocks)] ++
            [{Daemon, #member{name = Daemon}} || Daemon <- Daemons],
    Data = #data{
        options = Options,
        cookie = maps:get(cookie, Options, list_to_atom(Name)),
        owner = monitor_of(Owner),
        guard = open_guard(),
        members = maps:from_list(Members),
        nodes = Nodes,
        daemons = Daemons,
        instances = Instances
    },
    try
        ok = check_daemon(Daemons),
        Booted = lists:foldl(fun begin_work/2, boot(Nodes, ?BOOTS_MAX, Data), Nodes),
        ok = distribute(Booted),
        All = start_daemons(Booted),
        _ = maps:get(connect, Options, true) andalso connect_all(All),
        ok = publish(All),
        {ok, All}
    catch
        throw:{failed, Reason} -> {stop, Reason};
        _:Reason:Stack -> {stop, {Reason, Stack}}
    end.

%% @private
-spec handle_call(term(), gen_server:from(), #data{}) -> {reply, term(), #data{}}.
handle_call(Request, _From, Data) ->
    try handle(Request, Data) of
        {Answer, #data{} = Next} -> {reply, Answer, Next}
    catch
        throw:{badarg, _} = Wrong -> {reply, Wrong, Data};
        throw:{failed, _} = Failed -> {reply, Failed, recount(Data)};
        error:Reason -> {reply, {failed, Reason}, recount(Data)};
        exit:Reason -> {reply, {failed, Reason}, recount(Data)}
    end.

%% What has failed may have killed a node before.
-spec recount(#data{}) -> #data{}.
recount(#data{members = Members} = Data) ->
    Dead = [
        Member
     || #member{control = Control} = Member <- maps:values(Members),
        is_pid(Control),
        not is_process_alive(Control)
    ],
    lists:foldl(fun gone/2, Data, Dead).

%% @private
-spec handle_cast(term(), #data{}) -> {noreply, #data{}}.
handle_cast(_Message, Data) ->
    {noreply, Data}.

%% @private
-spec handle_info(term(), #data{}) -> {noreply, #data{}} | {stop, normal, #data{}}.
handle_info({'DOWN', Owner, process, _, _}, #data{owner = Owner} = Data) ->
    {stop, normal, Data};
handle_info({'DOWN', Monitor, process, _, _}, #data{isolated = Isolated} = Data) ->
    case maps:take(Monitor, Isolated) of
        {Name, Left} -> {noreply, remove_instance(Name, Data#data{isolated = Left})};
        error -> {noreply, Data}
    end;
handle_info({'EXIT', Control, _}, #data{members = Members} = Data) ->
    %% A node has ended by itself.
    case [M || #member{control = C} = M <- maps:values(Members), C =:= Control] of
        [Member] -> {noreply, gone(Member, Data)};
        [] -> {noreply, Data}
    end;
handle_info(_Message, Data) ->
    {noreply, Data}.

%% @private
-spec terminate(term(), #data{}) -> ok.
terminate(_Reason, #data{members = Members, cookie_file = File} = Data) ->
    _ = lists:foldl(fun(Name, Acc) -> end_member(Name, Acc) end, Data, maps:keys(Members)),
    _ = File =/= undefined andalso file:delete(File),
    ok.

%%--------------------------------------------------------------------
%% What there is to do

-spec handle(term(), #data{}) -> {term(), #data{}}.
handle(cluster, #data{nodes = Nodes, daemons = Daemons} = Data) ->
    {#{nodes => Nodes, daemons => Daemons, cluster => self()}, Data};
handle(links, #data{nodes = Nodes, daemons = Daemons} = Data) ->
    Running = running(Nodes ++ Daemons, Data),
    Links = [{Name, control(Name, Data), linked(Name, Running, Data)} || Name <- Running],
    {{links, Links}, Data};
handle({cut, Left, Right}, #data{cuts = Cuts} = Data) ->
    Ends = ends(Left, Right, Data),
    Cut = Data#data{cuts = lists:usort([pair(Left, Right) | Cuts])},
    ok = cut(Ends, Cut),
    {ok, Cut};
handle({drop, From, To, Share}, #data{losses = Losses} = Data) ->
    _ = ends(From, To, Data),
    Lossy = Data#data{
        losses =
            case Share == 0 of
                true -> maps:remove({From, To}, Losses);
                false -> Losses#{{From, To} => Share}
            end
    },
    ok = set_loss(From, To, Lossy),
    {ok, Lossy};
handle({heal, Left, Right}, #data{cuts = Cuts, losses = Losses} = Data) ->
    Ends = ends(Left, Right, Data),
    Ways = [{Left, Right}, {Right, Left}],
    Healed = Data#data{cuts = Cuts -- [pair(Left, Right)], losses = maps:without(Ways, Losses)},
    _ = [set_loss(From, To, Healed) || {From, To} <- Ways, is_map_key({From, To}, Losses)],
    ok = allow(Ends, Healed),
    ok = connect_pair(Ends, Healed),
    {ok, Healed};
handle(heal, #data{members = Members} = Data) ->
    Frozen = [Name || #member{name = Name, state = frozen} <- maps:values(Members)],
    Thawed = lists:foldl(fun(Name, Acc) -> element(2, handle({thaw, Name}, Acc)) end, Data, Frozen),
    {ok, heal_all(Thawed)};
handle({kill, Name}, Data) ->
    _ = alive(Name, Data),
    {ok, end_member(Name, Data)};
handle({restart, Name}, Data) ->
    {ok, restart(Name, end_member(Name, Data))};
handle({freeze, Name}, Data) ->
    {ok, signal("STOP", frozen, alive(Name, Data), Data)};
handle({thaw, Name}, Data) ->
    {ok, signal("CONT", running, alive(Name, Data), Data)};
handle({os_pid, Name}, Data) ->
    #member{os_pid = OsPid} = alive(Name, Data),
    {OsPid, Data};
handle({add_instance, Name, Options, Caller}, #data{nodes = Nodes} = Data) ->
    Results = [
        call_node(Node, holt_test_node, start_instance, [Options], Data)
     || Node <- running(Nodes, Data)
    ],
    [] =:= [R || R <- Results, R =/= ok] orelse throw({failed, Results}),
    #data{instances = Instances, isolated = Isolated} = Data,
    Monitor = monitor(process, Caller),
    Added = Data#data{
        instances = Instances ++ [Options], isolated = Isolated#{Monitor => Name}
    },
    {ok, restart_daemons(Added)}.

-spec remove_instance(atom(), #data{}) -> #data{}.
remove_instance(Name, #data{nodes = Nodes, instances = Instances} = Data) ->
    _ = [
        catch call_node(Node, holt_test_node, stop_instance, [Name], Data)
     || Node <- running(Nodes, Data)
    ],
    Data#data{instances = [O || O <- Instances, holt_options:name(O) =/= {ok, Name}]}.

%%--------------------------------------------------------------------
%% Members

-spec member(node(), #data{}) -> #member{}.
member(Name, #data{members = Members}) ->
    maps:get(Name, Members).

-spec alive(node(), #data{}) -> #member{}.
alive(Name, Data) ->
    case member(Name, Data) of
        #member{state = dead} -> throw({badarg, #{1 => dead()}});
        Member -> Member
    end.

-spec dead() -> string().
dead() ->
    "a node that does not run; restart/1 starts it again".

-spec frozen() -> string().
frozen() ->
    "a node that is frozen; thaw/1 lets it go on".

-spec is_daemon(node(), #data{}) -> boolean().
is_daemon(Name, #data{daemons = Daemons}) ->
    lists:member(Name, Daemons).

-spec running([node()], #data{}) -> [node()].
running(Names, Data) ->
    [Name || Name <- Names, (member(Name, Data))#member.state =:= running].

-spec control(node(), #data{}) -> pid() | daemon.
control(Name, Data) ->
    case is_daemon(Name, Data) of
        true -> daemon;
        false -> (member(Name, Data))#member.control
    end.

%% Those of these with which it has links, or should have.
-spec linked(node(), [node()], #data{}) -> [node()].
linked(Name, Others, #data{cuts = Cuts} = Data) ->
    [
        Other
     || Other <- Others,
        Other =/= Name,
        not lists:member(pair(Name, Other), Cuts),
        not (is_daemon(Name, Data) andalso is_daemon(Other, Data))
    ].

-spec put_member(#member{}, #data{}) -> #data{}.
put_member(#member{name = Name} = Member, #data{members = Members} = Data) ->
    Data#data{members = Members#{Name := Member}}.

-spec gone(#member{}, #data{}) -> #data{}.
gone(#member{os_pid = OsPid} = Member, Data) ->
    ok = tell_guard("-", OsPid, Data),
    put_member(Member#member{state = dead, control = undefined}, Data).

-spec end_member(node(), #data{}) -> #data{}.
end_member(Name, Data) ->
    case member(Name, Data) of
        #member{state = dead} ->
            Data;
        #member{control = Control, os_pid = OsPid} = Member when is_pid(Control) ->
            _ = os:cmd("kill -KILL " ++ OsPid),
            receive
                {'EXIT', Control, _} -> ok
            after ?CALL_MS -> exit({still_alive, Name})
            end,
            gone(Member, Data);
        #member{control = Daemon} = Member ->
            ok = holt_test_daemon:kill(Daemon),
            gone(Member, Data)
    end.

-spec signal(string(), running | frozen, #member{}, #data{}) -> #data{}.
signal(Signal, State, #member{os_pid = OsPid} = Member, Data) ->
    "" = os:cmd("kill -" ++ Signal ++ " " ++ OsPid),
    put_member(Member#member{state = State}, Data).

-spec call_node(node(), module(), atom(), [term()], #data{}) -> term().
call_node(Name, Module, Function, Arguments, Data) ->
    peer:call(control(Name, Data), Module, Function, Arguments, ?CALL_MS).

-spec publish(#data{}) -> ok.
publish(#data{nodes = Nodes, daemons = Daemons, options = #{owner := Owner}} = Data) ->
    Rows = [{Name, control(Name, Data)} || Name <- Nodes ++ Daemons],
    holt_test_server:add(self(), Owner, Rows).

%%--------------------------------------------------------------------
%% Nodes

%% All at once.
-spec boot([node()], non_neg_integer(), #data{}) -> #data{}.
boot([], _Tries, Data) ->
    Data;
boot(Names, 0, _Data) ->
    throw({failed, {not_started, Names}});
boot(Names, Tries, Data) ->
    Booting = [{Name, boot_one(Name, Data)} || Name <- Names],
    {Started, Failed} = lists:foldl(
        fun({Name, Control}, {Acc, Missing}) ->
            receive
                {Name, {started, Name, Control}} -> {booted(Name, Control, Acc), Missing};
                {Name, {boot_failed, _, Control}} -> {Acc, [Name | Missing]};
                {'EXIT', Control, _} -> {Acc, [Name | Missing]}
            after ?BOOT_MS -> throw({failed, {not_started, Name}})
            end
        end,
        {Data, []},
        Booting
    ),
    boot(lists:reverse(Failed), Tries - 1, Started).

-spec boot_one(node(), #data{}) -> pid().
boot_one(Name, #data{options = Options, cookie = Cookie}) ->
    [Short, Host] = string:split(atom_to_list(Name), "@"),
    Started = peer:start_link(#{
        name => Short,
        host => Host,
        longnames => net_kernel:longnames() =:= true,
        connection => standard_io,
        wait_boot => {self(), Name},
        args =>
            ["-setcookie", atom_to_list(Cookie)] ++
                ["-kernel", "prevent_overlapping_partitions", "false"] ++
                ["-kernel", "inet_dist_use_interface", "{127,0,0,1}"] ++
                ["-kernel", "logger_level", "error"] ++
                lists:append([["-pa", Path] || Path <- code_paths()]) ++
                maps:get(args, Options, [])
    }),
    case Started of
        {ok, Control} -> Control;
        {ok, Control, _} -> Control
    end.

-spec booted(node(), pid(), #data{}) -> #data{}.
booted(Name, Control, Data) ->
    OsPid = peer:call(Control, os, getpid, [], ?CALL_MS),
    ok = tell_guard("+", OsPid, Data),
    Member = member(Name, Data),
    put_member(Member#member{state = running, control = Control, os_pid = OsPid}, Data).

%% Whom it is cut from it refuses before anything else runs on it.
-spec begin_work(node(), #data{}) -> #data{}.
begin_work(Name, #data{options = Options, instances = Instances, members = Members} = Data) ->
    %% The native code reads the environment when it is loaded.
    #member{clock_offset_ms = ClockMs} = member(Name, Data),
    ok = call_node(Name, application, load, [holt], Data),
    ok = call_node(Name, application, set_env, [holt, clock_offset_ms, ClockMs], Data),
    _ = [refuse(Name, Other, Data) || Other <- maps:keys(Members), is_cut(Name, Other, Data)],
    ok = push_loss(Name, Data),
    Apps = elixir() ++ [holt | maps:get(applications, Options, [])],
    ok = call_node(Name, holt_test_node, begin_work, [Apps, Instances], Data),
    Data.

-spec restart(node(), #data{}) -> #data{}.
restart(Name, #data{options = Options} = Data) ->
    Again =
        case is_daemon(Name, Data) of
            true -> start_daemon(Name, Data);
            false -> begin_work(Name, boot([Name], ?BOOTS_MAX, Data))
        end,
    ok = publish(Again),
    _ = maps:get(connect, Options, true) andalso connect_all(Again),
    Again.

%% Elixir is started where it is running here.
-spec elixir() -> [elixir].
elixir() ->
    [App || {elixir = App, _, _} <- application:which_applications()].

%% Where the code is that does not belong to Erlang/OTP.
-spec code_paths() -> [file:filename()].
code_paths() ->
    Root = code:lib_dir(),
    [
        filename:absname(Path)
     || Path <- code:get_path(), not lists:prefix(Root, Path), filelib:is_dir(Path)
    ].

-spec unique() -> string().
unique() ->
    Number = erlang:unique_integer([positive]),
    Time = erlang:system_time(microsecond) rem 1000000000,
    lists:concat(["holt_test_", os:getpid(), "_", Number, "_", Time]).

%% Both name this machine, whatever its own name leads to.
-spec host() -> string().
host() ->
    case net_kernel:longnames() of
        true -> "127.0.0.1";
        _ -> "localhost"
    end.

%% This node gets a name if it has none, and learns the cookie of the others.
-spec distribute(#data{}) -> ok.
distribute(#data{cookie = Cookie, nodes = Nodes, daemons = Daemons}) ->
    _ = is_alive() orelse start_distribution(),
    lists:foreach(fun(Node) -> true = erlang:set_cookie(Node, Cookie) end, Nodes ++ Daemons).

-spec start_distribution() -> ok.
start_distribution() ->
    _ =
        application:get_env(kernel, inet_dist_use_interface) =:= undefined andalso
            application:set_env(kernel, inet_dist_use_interface, {127, 0, 0, 1}),
    Name = list_to_atom(unique() ++ "@localhost"),
    case net_kernel:start(Name, #{name_domain => shortnames, hidden => true}) of
        {ok, _} -> ok;
        %% Somebody else was faster.
        {error, {already_started, _}} -> ok;
        {error, Reason} -> throw({failed, {no_distribution, Reason}})
    end.

%%--------------------------------------------------------------------
%% Daemons

-spec check_daemon([node()]) -> ok.
check_daemon([]) ->
    ok;
check_daemon(_) ->
    Program = holt_test_daemon:program("holtd"),
    filelib:is_regular(Program) orelse throw({failed, {no_holtd, Program, "make node builds it"}}),
    ok.

%% Without an instance it does not start.
-spec start_daemons(#data{}) -> #data{}.
start_daemons(#data{instances = []} = Data) ->
    Data;
start_daemons(#data{daemons = Daemons} = Data) ->
    lists:foldl(fun start_daemon/2, Data, Daemons).

-spec restart_daemons(#data{}) -> #data{}.
restart_daemons(#data{daemons = []} = Data) ->
    Data;
restart_daemons(#data{daemons = Daemons} = Data) ->
    Again = start_daemons(lists:foldl(fun end_member/2, Data, Daemons)),
    ok = connect_all(Again),
    Again.

-spec start_daemon(node(), #data{}) -> #data{}.
start_daemon(Name, Data) ->
    #data{instances = Instances, nodes = Nodes} = WithFile = cookie_file(Data),
    Peers = [atom_to_list(Node) || Node <- linked(Name, Nodes, Data)],
    Args =
        ["--name", atom_to_list(Name)] ++ ["--sname" || net_kernel:longnames() =/= true] ++
            ["--cookie-file", WithFile#data.cookie_file, "--listen", "127.0.0.1"] ++
            lists:append([instance_args(Options) || Options <- Instances]) ++
            lists:append([["--peer", Peer] || Peer <- Peers]),
    Daemon = holt_test_daemon:start(Args, #{}),
    OsPid = holt_test_daemon:os_pid(Daemon),
    ok = tell_guard("+", OsPid, Data),
    Member = member(Name, Data),
    put_member(Member#member{state = running, control = Daemon, os_pid = OsPid}, WithFile).

-spec instance_args(holt_options:options()) -> [string()].
instance_args(Options) ->
    {ok, Name} = holt_options:name(Options),
    All =
        case Options of
            #{} -> maps:to_list(Options);
            _ -> proplists:unfold(Options)
        end,
    Known = [lists:concat([Key, "=", V]) || {Key, V} <- All, lists:member(Key, ?DAEMON_OPTIONS)],
    ["--instance", atom_to_list(Name)] ++ lists:append([["--option", Pair] || Pair <- Known]).

-spec monitor_of(pid() | none) -> reference() | none.
monitor_of(none) -> none;
monitor_of(Owner) -> monitor(process, Owner).

%% Nobody else may read it.
-spec cookie_file(#data{}) -> #data{}.
cookie_file(#data{cookie_file = undefined, cookie = Cookie} = Data) ->
    Dir = os:getenv("TMPDIR", "/tmp"),
    File = filename:join(Dir, unique() ++ ".cookie"),
    {ok, Device} = file:open(File, [write, exclusive]),
    ok = file:change_mode(File, 8#600),
    ok = file:write(Device, [atom_to_list(Cookie), "\n"]),
    ok = file:close(Device),
    ok = tell_guard("f", File, Data),
    Data#data{cookie_file = File};
cookie_file(Data) ->
    Data.

%%--------------------------------------------------------------------
%% Links

-spec pair(node(), node()) -> {node(), node()}.
pair(Left, Right) ->
    {min(Left, Right), max(Left, Right)}.

-spec is_cut(node(), node(), #data{}) -> boolean().
is_cut(Left, Right, #data{cuts = Cuts}) ->
    lists:member(pair(Left, Right), Cuts).

%% Both ends of a link, each of which may be told something: those that run Erlang.
-spec ends(node(), node(), #data{}) -> [{At :: node(), Other :: node()}].
ends(Left, Right, Data) ->
    Both = [{1, Left, Right}, {2, Right, Left}],
    lists:foreach(
        fun({Position, Name, _}) ->
            case member(Name, Data) of
                #member{state = running} -> ok;
                #member{state = frozen} -> throw({badarg, #{Position => frozen()}});
                #member{state = dead} -> throw({badarg, #{Position => dead()}})
            end
        end,
        Both
    ),
    case [{At, Other} || {_, At, Other} <- Both, not is_daemon(At, Data)] of
        [] -> throw({badarg, #{2 => "a daemon, as the other one is: nobody can be told"}});
        Ends -> Ends
    end.

-spec cut([{node(), node()}], #data{}) -> ok.
cut(Ends, Data) ->
    _ = [refuse(At, Other, Data) || {At, Other} <- Ends],
    %% What one end had begun while the other one did not refuse yet.
    _ = [call_node(At, holt_test_node, are_gone, [[Other], ?LINK_MS], Data) || {At, Other} <- Ends],
    ok.

-spec refuse(node(), node(), #data{}) -> ok.
refuse(At, Other, Data) ->
    ok = call_node(At, holt_test_node, refuse, [Other, ?LINK_MS], Data).

-spec allow([{node(), node()}], #data{}) -> ok.
allow(Ends, #data{cookie = Cookie} = Data) ->
    lists:foreach(
        fun({At, Other}) ->
            ok = call_node(At, holt_test_node, allow, [Other, Cookie], Data)
        end,
        Ends
    ).

-spec connect_pair([{node(), node()}], #data{}) -> ok.
connect_pair(Ends, Data) ->
    lists:foreach(
        fun({At, Other}) ->
            ok = call_node(At, holt_test_node, connect, [[Other], ?LINK_MS], Data)
        end,
        Ends
    ).

%% Each that runs with each that runs, but for the cuts.
-spec connect_all(#data{}) -> ok.
connect_all(#data{nodes = Nodes, daemons = Daemons} = Data) ->
    All = running(Nodes ++ Daemons, Data),
    lists:foreach(
        fun(At) ->
            Others = linked(At, All, Data),
            ok = call_node(At, holt_test_node, connect, [Others, ?LINK_MS], Data)
        end,
        running(Nodes, Data)
    ).

-spec heal_all(#data{}) -> #data{}.
heal_all(#data{nodes = Nodes, cuts = Cuts, losses = Losses} = Data) ->
    Healed = Data#data{cuts = [], losses = #{}},
    Running = running(Nodes, Data),
    _ = [push_loss(At, Healed) || map_size(Losses) > 0, At <- Running],
    Ends = [{A, B} || {Left, Right} <- Cuts, {A, B} <- [{Left, Right}, {Right, Left}]],
    ok = allow([End || {At, _} = End <- Ends, lists:member(At, Running)], Healed),
    ok = connect_all(Healed),
    Healed.

%%--------------------------------------------------------------------
%% Losses

%% A sender that runs Erlang loses by itself what it sends; what a daemon sends is lost by
%% whoever gets it, who knows its sessions from the next link on.
-spec set_loss(node(), node(), #data{}) -> ok.
set_loss(From, To, Data) ->
    case is_daemon(From, Data) of
        true ->
            ok = push_loss(To, Data),
            IsCut = is_cut(From, To, Data),
            _ = [renew(To, From, Data) || not IsCut],
            ok;
        false ->
            push_loss(From, Data)
    end.

-spec renew(node(), node(), #data{}) -> ok.
renew(At, Daemon, Data) ->
    _ = call_node(At, erlang, disconnect_node, [Daemon], Data),
    connect_pair([{At, Daemon}], Data).

-spec push_loss(node(), #data{}) -> ok.
push_loss(At, #data{losses = Losses, options = Options} = Data) ->
    All = maps:to_list(Losses),
    Rules = #{
        seed => maps:get(seed, Options, 1),
        to => maps:from_list([{To, Share} || {{From, To}, Share} <- All, From =:= At]),
        from => maps:from_list(
            [{From, Share} || {{From, To}, Share} <- All, To =:= At, is_daemon(From, Data)]
        )
    },
    Wanted =
        case Rules of
            #{to := To, from := From} when To =:= #{}, From =:= #{} -> none;
            _ -> Rules
        end,
    ok = call_node(At, holt_loss, store, [Wanted], Data).

%%--------------------------------------------------------------------
%% The guard

%% It is told of each process, and kills what is left when its input ends.
-spec open_guard() -> port().
open_guard() ->
    Script =
        "trap '' INT TERM HUP QUIT\n"
        "pids= files=\n"
        "while read -r what name; do\n"
        "  case $what in\n"
        "    +) pids=\"$pids $name\" ;;\n"
        "    f) files=$name ;;\n"
        "    -)\n"
        "      left=\n"
        "      for pid in $pids; do [ \"$pid\" = \"$name\" ] || left=\"$left $pid\"; done\n"
        "      pids=$left ;;\n"
        "  esac\n"
        "done\n"
        "[ -z \"$pids\" ] || kill -KILL $pids 2>/dev/null\n"
        "[ -z \"$files\" ] || rm -f \"$files\"\n",
    open_port({spawn_executable, "/bin/sh"}, [{args, ["-c", Script]}, out, hide]).

-spec tell_guard(string(), string(), #data{}) -> ok.
tell_guard(What, Name, #data{guard = Guard}) ->
    true = port_command(Guard, [What, " ", Name, "\n"]),
    ok.
