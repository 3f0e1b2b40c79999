%% SPDX-License-Identifier: Apache-2.0
%% @doc Real nodes for tests: started, cut from each other, frozen, killed.
%%
%% For your own tests, in EUnit, Common Test or ExUnit, on one machine and without root:
%%
%% ```
%%   #{nodes := [A, B, C]} = holt_test:start_cluster(3, #{instances => [my_registry]}),
%%   {ok, Pid} = holt_test:call(A, gen_event, start, [{via, holt_registry, {my_registry, key}}]),
%%   ok = holt_test:await_in_sync(my_registry, 10000),
%%   ok = holt_test:cut(A, B),
%%   Pid = holt_test:call(B, holt_registry, whereis_name, [{my_registry, key}]),   % C vouches
%%   ok = holt_test:heal(),
%%   ok = holt_test:kill(A)
%% '''
%%
%% Nodes run on the loopback, with names that nobody else has and a cookie of their own, so
%% that tests may run beside each other. They are spoken with through their standard input
%% and output, not through distribution: {@link call/2} works however they are cut off. They
%% have the code paths of this node, and holt started. The kernel's
%% `prevent_overlapping_partitions' is off there.
%%
%% Everything that was started is killed by {@link stop/0}, when the process that has called
%% {@link start_cluster/2} ends (or the one that was named as `owner'), and when this node
%% ends, however that comes. What stays is distribution, if this node had none before, and
%% epmd, as with any node.
%%
%% Functions that are not told which cluster go for those that the calling process has
%% started, or that a process has by which it was started in turn; else for the only one
%% that there is.
%%
%% docs/users_testing.md has more, and says what is simulated.
-module(holt_test).

-export([start_cluster/1, start_cluster/2, stop/0, stop/1]).
-export([cut/2, cut_one_way/2, drop/3, heal/0, heal/1, heal/2]).
-export([kill/1, restart/1, freeze/1, thaw/1, os_pid/1]).
-export([await_in_sync/2, await_in_sync/3, isolated/1, isolated/2]).
-export([call/2, call/4]).
%% For what belongs to this module
-export([wait_until/2]).
%% Words for errors: EEP 54
-export([format_error/2]).

-export_type([cluster/0, options/0]).

%% The nodes in the order in which they were started; hand the map to who asks for a cluster.
-type cluster() :: #{nodes := [node()], daemons := [node()], cluster := pid()}.

-type options() :: #{
    %% Registries that each node and each daemon has, by name or with the options of
    %% `holt_registry:start_link/1'. They are started again with their node.
    instances => [atom() | holt_options:options()],
    %% So many daemons as well; 0. They run as soon as there is an instance for them.
    holtd => non_neg_integer(),
    %% By how much holt takes the wall clock of each node to be wrong, one number for each.
    clock_offset_ms => [integer()],
    %% Applications to start on each node, besides holt.
    applications => [atom()],
    %% More arguments for `erl'.
    args => [string()],
    %% Links from each to each, which is the default; else the test makes them.
    connect => boolean(),
    %% The cluster's; if not told then one that nobody knows.
    cookie => atom(),
    %% The cluster ends with this process; the calling one. `none': at stop/0, or with this
    %% node.
    owner => pid() | none,
    %% What {@link drop/3} draws from; 1.
    seed => integer()
}.

-define(CALL_MS, 60000).
-define(STEP_MS, 5).

%% What a wrong use raises; the arguments are those of the function it stands in.
-define(WRONG(Cause, Arguments),
    erlang:error(badarg, Arguments, [{error_info, #{module => ?MODULE, cause => Cause}}])
).

%% Likewise, and what did not work, and what did.
-define(RESULT(Answer, Arguments),
    case Answer of
        {badarg, Cause} -> ?WRONG(Cause, Arguments);
        {failed, Reason} -> erlang:error(Reason);
        Result -> Result
    end
).

%%--------------------------------------------------------------------
%% Clusters

%% @equiv start_cluster(N, #{})
-spec start_cluster(N :: pos_integer()) -> cluster().
start_cluster(N) ->
    ?RESULT(holt_test_cluster:start(N, #{}, self()), [N]).

%% @doc Start so many nodes; each is connected with each when this returns.
%%
%% This node is none of them. It is given a name, as a hidden node, if it has none, so that
%% `erpc' works with those nodes; but it is connected with none unless you do that.
-spec start_cluster(N :: pos_integer(), options() | [{atom(), term()}]) -> cluster().
start_cluster(N, Options) ->
    ?RESULT(holt_test_cluster:start(N, Options, self()), [N, Options]).

%% @doc Kill the nodes and daemons of the calling process. There may be none.
-spec stop() -> ok.
stop() ->
    ?RESULT(each(fun holt_test_cluster:stop/1), []).

%% @doc Kill those of this cluster.
-spec stop(cluster()) -> ok.
stop(Cluster) ->
    ?RESULT(each(Cluster, fun holt_test_cluster:stop/1), [Cluster]).

%%--------------------------------------------------------------------
%% Cuts

%% @doc Cut two nodes from each other; those that have links with both keep them.
%%
%% The link is ended, and neither takes one from the other, until {@link heal/2}. Both have
%% seen the end of it when this returns. Two daemons cannot be cut.
-spec cut(node(), node()) -> ok.
cut(Left, Right) ->
    ?RESULT(pair({cut, Left, Right}, Left, Right), [Left, Right]).

%% @doc What holt on `From' sends to holt on `To' does not arrive, and the link stays.
%%
%% That is what a cable that has failed in one direction looks like until `net_ticktime' is
%% over; then Erlang ends the link, which is a {@link cut/2}.  Other messages, and monitors
%% of processes, work as before. It is `drop(From, To, 1.0)'.
-spec cut_one_way(From :: node(), To :: node()) -> ok.
cut_one_way(From, To) ->
    ?RESULT(pair({drop, From, To, 1.0}, From, To), [From, To]).

%% @doc This share of what holt on `From' sends to holt on `To' gets lost on its way: each
%% message by chance, drawn from the cluster's seed.
%%
%% Where `From' is a daemon, the link is made anew for that. Two daemons lose nothing.
-spec drop(From :: node(), To :: node(), Share :: number()) -> ok.
drop(From, To, Share) when is_number(Share), Share >= 0, Share =< 1 ->
    ?RESULT(pair({drop, From, To, float(Share)}, From, To), [From, To, Share]);
drop(From, To, Share) ->
    ?WRONG(#{3 => "not a number from 0 to 1"}, [From, To, Share]).

%% @doc End all cuts and losses, and thaw who is frozen. Each node that runs is connected with
%% each when this returns.
-spec heal() -> ok.
heal() ->
    ?RESULT(each(fun(Pid) -> holt_test_cluster:call(Pid, heal) end), []).

%% @doc Likewise in this cluster.
-spec heal(cluster()) -> ok.
heal(Cluster) ->
    ?RESULT(each(Cluster, fun(Pid) -> holt_test_cluster:call(Pid, heal) end), [Cluster]).

%% @doc End what is between these two; they are connected when this returns.
-spec heal(node(), node()) -> ok.
heal(Left, Right) ->
    ?RESULT(pair({heal, Left, Right}, Left, Right), [Left, Right]).

%%--------------------------------------------------------------------
%% Nodes

%% @doc Kill the operating system's process of a node or a daemon, and wait for its end.
-spec kill(node()) -> ok.
kill(Node) ->
    ?RESULT(one({kill, Node}, Node), [Node]).

%% @doc Start it again under its name, with the same options; if it still runs then it is
%% killed before. What it was cut from it still is; it is connected with the others.
-spec restart(node()) -> ok.
restart(Node) ->
    ?RESULT(one({restart, Node}, Node), [Node]).

%% @doc Stop its process for a while (SIGSTOP). Its links stay, until `net_ticktime' is over.
-spec freeze(node()) -> ok.
freeze(Node) ->
    ?RESULT(one({freeze, Node}, Node), [Node]).

%% @doc Let it go on (SIGCONT).
-spec thaw(node()) -> ok.
thaw(Node) ->
    ?RESULT(one({thaw, Node}, Node), [Node]).

%% @doc The number of its process, as the operating system has it.
-spec os_pid(node()) -> string().
os_pid(Node) ->
    ?RESULT(one({os_pid, Node}, Node), [Node]).

%% @doc Run a fun on a node, whatever it is cut from. The node needs the fun's module: it has
%% this node's code paths, but no module that exists in memory only.
-spec call(node(), fun(() -> Result)) -> Result.
call(Node, Fun) when is_function(Fun, 0) ->
    case run(Node, erlang, apply, [Fun, []]) of
        {result, Result} -> Result;
        {badarg, Cause} -> ?WRONG(Cause, [Node, Fun])
    end;
call(Node, Fun) ->
    ?WRONG(#{2 => "not a fun without arguments"}, [Node, Fun]).

%% @doc Call a function there. It runs in a process that ends with it.
-spec call(node(), module(), atom(), [term()]) -> term().
call(Node, Module, Function, Arguments) ->
    case run(Node, Module, Function, Arguments) of
        {result, Result} -> Result;
        {badarg, Cause} -> ?WRONG(Cause, [Node, Module, Function, Arguments])
    end.

%%--------------------------------------------------------------------
%% Instances

%% @doc Wait until all members of this instance say that they are in sync, of those that run:
%% each with each from which it is not cut. Which it had said last is in the error.
-spec await_in_sync(Instance :: atom(), TimeoutMs :: non_neg_integer()) -> ok.
await_in_sync(Instance, TimeoutMs) ->
    ?RESULT(await(mine(), Instance, TimeoutMs, 1), [Instance, TimeoutMs]).

%% @doc Likewise, all members in this cluster.
-spec await_in_sync(cluster(), Instance :: atom(), TimeoutMs :: non_neg_integer()) -> ok.
await_in_sync(#{cluster := Pid} = Cluster, Instance, TimeoutMs) when is_pid(Pid) ->
    ?RESULT(await({ok, [Pid]}, Instance, TimeoutMs, 2), [Cluster, Instance, TimeoutMs]);
await_in_sync(Cluster, Instance, TimeoutMs) ->
    ?WRONG(#{1 => "not what start_cluster returned"}, [Cluster, Instance, TimeoutMs]).

%% @doc A registry that only the calling process knows: its name begins with this one and is
%% new. It ends with the calling process.
%%
%% It runs on all nodes and daemons of the clusters that the caller has started, or that have
%% no owner; on this node if there are none. Takes a name, or options that have one. Daemons
%% are started again, to hold it.
-spec isolated(atom() | holt_options:options()) -> Instance :: atom().
isolated(NameOrOptions) ->
    ?RESULT(isolate(NameOrOptions, 1, fun nearest/0), [NameOrOptions]).

%% @doc Likewise, on all nodes of this cluster.
-spec isolated(cluster(), atom() | holt_options:options()) -> Instance :: atom().
isolated(#{cluster := Pid} = Cluster, NameOrOptions) when is_pid(Pid) ->
    ?RESULT(isolate(NameOrOptions, 2, fun() -> {ok, [Pid]} end), [Cluster, NameOrOptions]);
isolated(Cluster, NameOrOptions) ->
    ?WRONG(#{1 => "not what start_cluster returned"}, [Cluster, NameOrOptions]).

%%--------------------------------------------------------------------
%% Errors

%% @private
-spec format_error(term(), erlang:stacktrace()) -> #{pos_integer() | general => string()}.
format_error(_Reason, [{_, _, _, Info} | _]) ->
    #{cause := Cause} = proplists:get_value(error_info, Info),
    Cause.

%%--------------------------------------------------------------------
%% Waiting

%% @private
%% @doc Wait until the fun says true, until this moment of the monotonic clock; then what
%% it says instead is the error.
-spec wait_until(fun(() -> true | term()), DeadlineMs :: integer()) -> ok.
wait_until(Fun, DeadlineMs) ->
    case Fun() of
        true ->
            ok;
        Other ->
            erlang:monotonic_time(millisecond) < DeadlineMs orelse error({not_in_time, Other}),
            receive
            after ?STEP_MS -> ok
            end,
            wait_until(Fun, DeadlineMs)
    end.

%%--------------------------------------------------------------------
%% Internal

-type answer(Result) ::
    Result | {badarg, #{pos_integer() | general => string()}} | {failed, term()}.

-spec pair(term(), node(), node()) -> answer(ok).
pair(Request, Left, Right) ->
    case {holt_test_server:find(Left), holt_test_server:find(Right)} of
        {undefined, _} -> {badarg, #{1 => unknown()}};
        {_, undefined} -> {badarg, #{2 => unknown()}};
        {_, _} when Left =:= Right -> {badarg, #{2 => "the same node as the other one"}};
        {{Pid, _}, {Pid, _}} -> holt_test_cluster:call(Pid, Request);
        {_, _} -> {badarg, #{2 => "of another cluster than the other one"}}
    end.

-spec one(term(), node()) -> answer(term()).
one(Request, Node) ->
    case holt_test_server:find(Node) of
        undefined -> {badarg, #{1 => unknown()}};
        {Pid, _} -> holt_test_cluster:call(Pid, Request)
    end.

-spec unknown() -> string().
unknown() ->
    "no node of a cluster that holt_test has started, and that has not been stopped".

-spec run(node(), module(), atom(), [term()]) ->
    {result, term()} | {badarg, #{pos_integer() => string()}}.
run(Node, Module, Function, Arguments) ->
    case holt_test_server:find(Node) of
        undefined ->
            {badarg, #{1 => unknown()}};
        {_, daemon} ->
            {badarg, #{1 => "a daemon; it runs no Erlang"}};
        {_, Control} ->
            try
                {result, peer:call(Control, Module, Function, Arguments, ?CALL_MS)}
            catch
                exit:{noproc, _} -> {badarg, #{1 => "the node does not run"}}
            end
    end.

-spec each(fun((pid()) -> answer(ok))) -> answer(ok).
each(Fun) ->
    case mine() of
        {ok, Pids} -> each_of(Pids, Fun);
        Wrong -> Wrong
    end.

-spec each(cluster(), fun((pid()) -> answer(ok))) -> answer(ok).
each(#{cluster := Pid}, Fun) when is_pid(Pid) -> Fun(Pid);
each(_, _) -> {badarg, #{1 => "not what start_cluster returned"}}.

-spec each_of([pid()], fun((pid()) -> answer(ok))) -> answer(ok).
each_of([], _Fun) ->
    ok;
each_of([Pid | Rest], Fun) ->
    case Fun(Pid) of
        ok -> each_of(Rest, Fun);
        Wrong -> Wrong
    end.

-spec await(answer({ok, [pid()]}), term(), term(), pos_integer()) -> answer(ok).
await(_, Instance, _, Position) when not is_atom(Instance) ->
    {badarg, #{Position => "not the name of a registry"}};
await(_, _, TimeoutMs, Position) when not is_integer(TimeoutMs); TimeoutMs < 0 ->
    {badarg, #{Position + 1 => "not a time in milliseconds"}};
await({ok, []}, _, _, _) ->
    {badarg, #{general => "there is no cluster"}};
await({ok, Pids}, Instance, TimeoutMs, _) ->
    each_of(Pids, fun(Pid) -> holt_test_cluster:await_in_sync(Pid, Instance, TimeoutMs) end);
await(Wrong, _, _, _) ->
    Wrong.

%% The clusters that a process means when it does not say which.
-spec mine() -> answer({ok, [pid()]}).
mine() ->
    Clusters = holt_test_server:clusters(),
    case own(family(), Clusters) of
        [] when length(Clusters) > 1 ->
            Text = "this process has started no cluster, and there are several: say which",
            {badarg, #{general => Text}};
        [] ->
            {ok, [Pid || {Pid, _} <- Clusters]};
        Own ->
            {ok, Own}
    end.

%% Those where it may start an instance without being told.
-spec nearest() -> {ok, [pid()]}.
nearest() ->
    Clusters = holt_test_server:clusters(),
    case own(family(), Clusters) of
        [] -> {ok, [Pid || {Pid, none} <- Clusters]};
        Own -> {ok, Own}
    end.

%% Of the first of these processes that has any.
-spec own([pid()], [{pid(), pid() | none}]) -> [pid()].
own([], _Clusters) ->
    [];
own([Process | Others], Clusters) ->
    case [Pid || {Pid, Owner} <- Clusters, Owner =:= Process] of
        [] -> own(Others, Clusters);
        Own -> Own
    end.

%% This process, and those by which it was started, as far as they are known, in turn.
-spec family() -> [pid()].
family() ->
    Told = get_list('$ancestors') ++ get_list('$callers'),
    lists:reverse(parents(self(), [])) ++ [Pid || Pid <- Told, is_pid(Pid)].

-spec get_list(atom()) -> [term()].
get_list(Key) ->
    case get(Key) of
        List when is_list(List) -> List;
        _ -> []
    end.

-spec parents(pid(), [pid()]) -> [pid()].
parents(Pid, Younger) ->
    Known = [Pid | Younger],
    case node(Pid) =:= node() andalso process_info(Pid, parent) of
        {parent, Parent} when is_pid(Parent) -> parents(Parent, Known);
        _ -> Known
    end.

-spec isolate(term(), pos_integer(), fun(() -> {ok, [pid()]})) -> answer(atom()).
isolate(Name, Position, Where) when is_atom(Name) ->
    isolate(#{name => Name}, Position, Where);
isolate(Options, Position, Where) ->
    case holt_options:parse(Options) of
        {ok, #{name := Name}} ->
            Unique = unique(Name),
            start_isolated(Unique, rename(Unique, Options), Where());
        {error, _} ->
            {badarg, #{Position => "neither the name of a registry nor options of one"}}
    end.

-spec start_isolated(atom(), holt_options:options(), {ok, [pid()]}) -> answer(atom()).
start_isolated(Unique, Options, {ok, []}) ->
    {ok, _} = application:ensure_all_started(holt),
    named(Unique, holt_test_server:add_instance(Unique, Options));
start_isolated(Unique, Options, {ok, Pids}) ->
    Add = fun(Pid) -> holt_test_cluster:call(Pid, {add_instance, Unique, Options, self()}) end,
    named(Unique, each_of(Pids, Add)).

-spec named(atom(), ok | {error, term()} | answer(none())) -> answer(atom()).
named(Unique, ok) -> Unique;
named(_, {error, Reason}) -> {failed, Reason};
named(_, Wrong) -> Wrong.

-spec unique(atom()) -> atom().
unique(Name) ->
    Number = erlang:unique_integer([positive]),
    list_to_atom(lists:concat([Name, ".", os:getpid(), ".", Number])).

-spec rename(atom(), holt_options:options()) -> holt_options:options().
rename(Unique, #{} = Options) -> Options#{name := Unique};
rename(Unique, Options) -> [{name, Unique} | [Pair || Pair <- Options, not is_name(Pair)]].

-spec is_name(term()) -> boolean().
is_name({name, _}) -> true;
is_name(_) -> false.
