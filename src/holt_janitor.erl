%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc Cleans up after instances, on this node.
%%
%% The rows of an instance outlive its processes: a crash must not lose names.  So
%% somebody has to notice when nobody comes back for them.
%%
%% ```
%%   root started    --> watched; an orphaned instance of this name is adopted
%%   root gone, and the instance closed with it               --> nothing left to do
%%   root gone, and the instance still open (killed, crashed) --> an orphan:
%%        closed after orphan_ms, unless the root is started again before
%%   instance closed --> its memory is freed in slices, between other messages
%% '''
%%
%% Which roots there are stands in a table that belongs to {@link holt_sup}, for the next
%% janitor; when the whole application has been stopped and started, the instances
%% themselves are asked.
-module(holt_janitor).

-behaviour(gen_server).

-include_lib("kernel/include/logger.hrl").

%% API
-export([start_link/0, new_table/0, watch/3, end_orphan/1, sweep/0, peer_met/0]).
%% gen_server callbacks
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(TABLE, holt_roots).

%% Whether this node was told about overlapping partitions.
-define(WARNED, {?MODULE, warned_of_overlaps}).

-record(data, {
    %% The roots that are watched, by monitor.
    roots = #{} :: #{reference() => atom()},
    %% The orphans, each with the timer of its end.
    orphans = #{} :: #{atom() => reference()},
    %% Whether a `sweep' is in the mailbox.
    sweeping = false :: boolean()
}).

%%--------------------------------------------------------------------
%% API

%% @doc Start the janitor.
-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        {ok, Pid} -> {ok, Pid};
        {error, Reason} -> {error, Reason};
        ignore -> {error, ignore}
    end.

%% @doc Make the table of roots; it belongs to the calling process.
-spec new_table() -> ok.
new_table() ->
    ?TABLE = ets:new(?TABLE, [named_table, public]),
    ok.

%% @doc Watch the root process of an instance that is about to start.
-spec watch(Name :: atom(), Root :: pid(), OrphanMs :: pos_integer()) -> ok.
watch(Name, Root, OrphanMs) ->
    gen_server:call(?MODULE, {watch, Name, Root, OrphanMs}, infinity).

%% @doc End an orphan before its time.  False: there is none of this name.
-spec end_orphan(Name :: atom()) -> boolean().
end_orphan(Name) ->
    case whereis(?MODULE) of
        undefined ->
            %% Nobody can start it again, and what is left is swept later.
            ok =:= holt_replica:close(Name);
        Janitor ->
            gen_server:call(Janitor, {end_orphan, Name}, infinity)
    end.

%% @doc An instance was closed: free its memory soon.
-spec sweep() -> ok.
sweep() ->
    gen_server:cast(?MODULE, sweep).

%% @doc An instance has met a member on another node.
-spec peer_met() -> ok.
peer_met() ->
    gen_server:cast(?MODULE, peer_met).

%%--------------------------------------------------------------------
%% gen_server callbacks

%% @private
-spec init([]) -> {ok, #data{}}.
init([]) ->
    %% What an earlier janitor left undone, or earlier runs of the application.
    lists:foreach(
        fun({Name, OrphanMs}) ->
            ets:insert_new(?TABLE, {Name, holt_instance:root(Name), OrphanMs})
        end,
        holt_nif:instances()
    ),
    Data = lists:foldl(fun monitor_root/2, #data{}, ets:tab2list(?TABLE)),
    {ok, start_sweep(Data)}.

%% @private
-spec handle_call(
    {watch, atom(), pid(), pos_integer()} | {end_orphan, atom()}, gen_server:from(), #data{}
) ->
    {reply, ok | boolean(), #data{}}.
handle_call({watch, Name, Root, OrphanMs}, _From, Data) ->
    Entry = {Name, Root, OrphanMs},
    true = ets:insert(?TABLE, Entry),
    {reply, ok, monitor_root(Entry, forget(Name, Data))};
handle_call({end_orphan, Name}, _From, Data) ->
    %% The root may be gone without a word of it having come here.
    case {holt_instance:root(Name), holt_nif:count(Name)} of
        {undefined, Count} when is_integer(Count) -> {reply, true, close(Name, forget(Name, Data))};
        _ -> {reply, false, Data}
    end.

%% @private
-spec handle_cast(sweep | peer_met, #data{}) -> {noreply, #data{}}.
handle_cast(sweep, Data) ->
    {noreply, start_sweep(Data)};
handle_cast(peer_met, Data) ->
    ok = warn_of_overlaps(),
    {noreply, Data}.

%% @private
-spec handle_info(
    sweep | {timeout, reference(), {orphan, atom()}} | {'DOWN', reference(), process, _, _},
    #data{}
) -> {noreply, #data{}}.
handle_info(sweep, Data) ->
    case holt_nif:sweep() of
        more ->
            _ = self() ! sweep,
            {noreply, Data};
        done ->
            {noreply, Data#data{sweeping = false}}
    end;
handle_info({'DOWN', Monitor, process, _Root, _Reason}, #data{roots = Roots} = Data) ->
    case maps:take(Monitor, Roots) of
        {Name, Rest} -> {noreply, root_down(Name, Data#data{roots = Rest})};
        error -> {noreply, Data}
    end;
handle_info({timeout, Timer, {orphan, Name}}, #data{orphans = Orphans} = Data) ->
    case Orphans of
        #{Name := Timer} ->
            {noreply, close(Name, Data#data{orphans = maps:remove(Name, Orphans)})};
        #{} ->
            %% Adopted while the timer's message was on its way.
            {noreply, Data}
    end.

%%--------------------------------------------------------------------
%% Internal

-spec monitor_root({atom(), pid() | undefined, pos_integer()}, #data{}) -> #data{}.
monitor_root({Name, undefined, _OrphanMs}, Data) ->
    root_down(Name, Data);
monitor_root({Name, Root, _OrphanMs}, #data{roots = Roots} = Data) ->
    Data#data{roots = Roots#{erlang:monitor(process, Root) => Name}}.

%% An instance that ends in order is closed with its root.  One that is still open has
%% crashed.
-spec root_down(atom(), #data{}) -> #data{}.
root_down(Name, #data{orphans = Orphans} = Data) ->
    case holt_nif:count(Name) of
        {invalid, _} ->
            true = ets:delete(?TABLE, Name),
            Data;
        _ ->
            [{Name, _Root, OrphanMs}] = ets:lookup(?TABLE, Name),
            Timer = erlang:start_timer(OrphanMs, self(), {orphan, Name}),
            Data#data{orphans = Orphans#{Name => Timer}}
    end.

-spec close(atom(), #data{}) -> #data{}.
close(Name, Data) ->
    true = ets:delete(?TABLE, Name),
    ok = holt_replica:close(Name),
    ok = holt_events:forget(Name),
    Data.

%% Whatever was planned for an earlier root of this name is off.
-spec forget(atom(), #data{}) -> #data{}.
forget(Name, #data{roots = Roots, orphans = Orphans} = Data) ->
    Rest = maps:filter(
        fun(Monitor, Other) ->
            Other =/= Name orelse not erlang:demonitor(Monitor, [flush])
        end,
        Roots
    ),
    _ = [erlang:cancel_timer(Timer) || {ok, Timer} <- [maps:find(Name, Orphans)]],
    Data#data{roots = Rest, orphans = maps:remove(Name, Orphans)}.

-spec start_sweep(#data{}) -> #data{}.
start_sweep(#data{sweeping = true} = Data) ->
    Data;
start_sweep(Data) ->
    _ = self() ! sweep,
    Data#data{sweeping = true}.

%% From OTP 25 on `global' cuts more links than were lost, unless it is told not to: right
%% for its own names, but here every link that still works is of use.  Said once for as long
%% as the node runs, whatever starts again in it.  Without connect_all it does not do so.
-spec warn_of_overlaps() -> ok.
warn_of_overlaps() ->
    Prevents = [connect_all, prevent_overlapping_partitions],
    IsOn = lists:all(fun(Key) -> application:get_env(kernel, Key, true) =/= false end, Prevents),
    case IsOn andalso not persistent_term:get(?WARNED, false) of
        true ->
            ok = persistent_term:put(?WARNED, true),
            ?LOG_WARNING(
                "holt: the kernel's prevent_overlapping_partitions is on: where two nodes lose "
                "each other, Erlang cuts links that still work, and names go that could stay. "
                "Start all nodes with -kernel prevent_overlapping_partitions false"
            );
        false ->
            ok
    end.
