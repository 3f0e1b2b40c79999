%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc Which clusters {@link holt_test} has started from this node, and for whom; and the
%% instances of tests on this node.
%%
%% It is started by the first call that needs it, belongs to no application, and stays.
-module(holt_test_server).

-behaviour(gen_server).

%% API
-export([add/3, add_instance/2]).
-export([clusters/0, find/1]).
%% gen_server callbacks
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(TABLE, ?MODULE).

-record(data, {
    %% Whom we watch: a cluster, or whoever has instances on this node.
    watched = #{} :: #{reference() => {cluster, pid()} | {instance, atom()}}
}).

-type control() :: pid() | daemon.

%% @doc A cluster has these nodes now; called by its process.
-spec add(Cluster :: pid(), Owner :: pid() | none, [{node(), control()}]) -> ok.
add(Cluster, Owner, Nodes) ->
    gen_server:call(started(), {add, Cluster, Owner, Nodes}, infinity).

%% @doc Start an instance on this node that ends with the calling process.
-spec add_instance(Name :: atom(), holt_options:options()) -> ok | {error, term()}.
add_instance(Name, Options) ->
    gen_server:call(started(), {add_instance, Name, Options}, infinity).

%% @doc All clusters, and for whom they are.
-spec clusters() -> [{pid(), Owner :: pid() | none}].
clusters() ->
    lookup(fun() ->
        [{Pid, Owner} || [Pid, Owner] <- ets:match(?TABLE, {{cluster, '$1'}, '$2'})]
    end).

%% @doc The cluster of a node, and how to speak with it.
-spec find(node()) -> {pid(), control()} | undefined.
find(Node) ->
    case lookup(fun() -> ets:lookup(?TABLE, {node, Node}) end) of
        [{_, Cluster, Control}] -> {Cluster, Control};
        [] -> undefined
    end.

-spec lookup(fun(() -> [Result])) -> [Result].
lookup(Fun) ->
    case ets:whereis(?TABLE) of
        undefined -> [];
        _ -> Fun()
    end.

-spec started() -> pid().
started() ->
    case gen_server:start({local, ?MODULE}, ?MODULE, [], []) of
        {ok, Pid} -> Pid;
        {error, {already_started, Pid}} -> Pid
    end.

%%--------------------------------------------------------------------
%% gen_server callbacks

%% @private
-spec init([]) -> {ok, #data{}}.
init([]) ->
    %% Roots of instances are linked to this process.
    _ = process_flag(trap_exit, true),
    %% It outlives whoever has called first, and what that one's output goes to.
    true = group_leader(whereis(init), self()),
    ?TABLE = ets:new(?TABLE, [named_table, protected, {read_concurrency, true}]),
    {ok, #data{}}.

%% @private
-spec handle_call(term(), gen_server:from(), #data{}) -> {reply, term(), #data{}}.
handle_call({add, Cluster, Owner, Nodes}, _From, #data{watched = Watched} = Data) ->
    true = ets:insert(?TABLE, [{{node, Node}, Cluster, Control} || {Node, Control} <- Nodes]),
    case ets:insert_new(?TABLE, {{cluster, Cluster}, Owner}) of
        true ->
            Monitor = monitor(process, Cluster),
            {reply, ok, Data#data{watched = Watched#{Monitor => {cluster, Cluster}}}};
        false ->
            {reply, ok, Data}
    end;
handle_call({add_instance, Name, Options}, {Caller, _}, #data{watched = Watched} = Data) ->
    case holt_registry:start_link(Options) of
        {ok, _Root} ->
            Monitor = monitor(process, Caller),
            {reply, ok, Data#data{watched = Watched#{Monitor => {instance, Name}}}};
        {error, Reason} ->
            {reply, {error, Reason}, Data}
    end.

%% @private
-spec handle_cast(term(), #data{}) -> {noreply, #data{}}.
handle_cast(_Message, Data) ->
    {noreply, Data}.

%% @private
-spec handle_info(term(), #data{}) -> {noreply, #data{}}.
handle_info({'DOWN', Monitor, process, _, _}, #data{watched = Watched} = Data) ->
    case maps:take(Monitor, Watched) of
        {Gone, Left} ->
            ok = remove(Gone),
            {noreply, Data#data{watched = Left}};
        error ->
            {noreply, Data}
    end;
handle_info(_Message, Data) ->
    {noreply, Data}.

-spec remove({cluster, pid()} | {instance, atom()}) -> ok.
remove({cluster, Cluster}) ->
    true = ets:delete(?TABLE, {cluster, Cluster}),
    true = ets:match_delete(?TABLE, {{node, '_'}, Cluster, '_'}),
    ok;
remove({instance, Name}) ->
    try
        holt_registry:stop(Name)
    catch
        %% It was stopped before.
        _:_ -> ok
    end.
