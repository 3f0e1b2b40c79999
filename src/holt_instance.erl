%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The root process of an instance, registered by the instance's name: it supervises
%% the replica process, the events process and, where there are listeners, theirs; and how
%% it ends is how the instance ends.
%%
%% ```
%%   ends with normal, shutdown, {shutdown, _}; or by stop/3  --> the instance ends
%%   ends otherwise: killed, or its parent has crashed        --> the instance is an orphan
%%   its replica process crashes too often                    --> likewise
%%   another one does                                         --> it pauses; names go on
%% '''
%%
%% A supervisor of OTP tells its children `shutdown' whatever it ends of, so this is none;
%% it answers the questions that tools ask one.  The replica process gets the very reason
%% of the root, also when the root is killed, and acts by it: {@link holt_replica}.
-module(holt_instance).

-behaviour(gen_server).

%% API
-export([start_link/1, root/1, stop/3]).
%% gen_server callbacks
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

%% How long a replica process may take to end, in milliseconds.
-define(END_MS, 5000).

%% More crashes of the replica process than this within the period, and the root crashes.
-define(RESTARTS_MAX, 10).
-define(PERIOD_MS, 10000).

%% So long pauses another process that has crashed as often.
-define(PAUSE_MS, 1000).

-type id() :: replica | events | listener.

-record(data, {
    config :: holt_options:config(),
    children = #{} :: #{id() => pid()},
    %% When which of them was started again, in milliseconds of the monotonic clock.
    restarts = #{} :: #{id() => [integer()]},
    %% Whether the instance ends whatever the reason of this process is.
    ending = false :: boolean()
}).

%%--------------------------------------------------------------------
%% API

%% @doc Start the instance that these options describe.
-spec start_link(holt_options:config()) ->
    {ok, pid()} | {error, {already_started, pid()} | {not_started, holt} | term()}.
start_link(#{name := Name} = Config) ->
    case whereis(holt_janitor) of
        undefined ->
            {error, {not_started, holt}};
        _ ->
            case gen_server:start_link({local, Name}, ?MODULE, Config, []) of
                {ok, Root} -> {ok, Root};
                {error, Reason} -> {error, Reason};
                ignore -> {error, ignore}
            end
    end.

%% @doc The root process of this name, if there is one.
-spec root(Name :: atom()) -> pid() | undefined.
root(Name) ->
    case whereis(Name) of
        Pid when is_pid(Pid) ->
            case proc_lib:translate_initial_call(Pid) of
                {?MODULE, init, 1} -> Pid;
                _ -> undefined
            end;
        _ ->
            undefined
    end.

%% @doc End the instance, whatever the reason that its root is to have.
-spec stop(Root :: pid(), Reason :: term(), timeout()) -> ok.
stop(Root, Reason, Timeout) ->
    ok = gen_server:cast(Root, ending),
    gen_server:stop(Root, Reason, Timeout).

%%--------------------------------------------------------------------
%% gen_server callbacks

%% @private
-spec init(holt_options:config()) -> {ok, #data{}} | {stop, term()}.
init(#{name := Name, orphan_ms := OrphanMs} = Config) ->
    %% Else neither end could be told from the other.
    _ = process_flag(trap_exit, true),
    %% From here on the janitor leaves an orphan of this name alone.
    ok = holt_janitor:watch(Name, self(), OrphanMs),
    ok = await_predecessor(whereis(holt_replica:process_name(Name))),
    ok = await_predecessor(whereis(holt_events:process_name(Name))),
    start_children(ids(Config), #data{config = Config}).

%% @private
%% What tools ask a supervisor.
-spec handle_call(term(), gen_server:from(), #data{}) -> {reply, term(), #data{}}.
handle_call(which_children, _From, #data{config = Config, children = Children} = Data) ->
    Answer = [
        {Id, maps:get(Id, Children, restarting), worker, [module_of(Id)]}
     || Id <- ids(Config)
    ],
    {reply, Answer, Data};
handle_call(count_children, _From, #data{config = Config, children = Children} = Data) ->
    Specs = length(ids(Config)),
    Counts = [{specs, Specs}, {active, map_size(Children)}, {supervisors, 0}, {workers, Specs}],
    {reply, Counts, Data};
handle_call(get_callback_module, _From, Data) ->
    {reply, ?MODULE, Data};
handle_call(_Request, _From, Data) ->
    {reply, {error, unsupported}, Data}.

%% @private
-spec handle_cast(term(), #data{}) -> {noreply, #data{}}.
handle_cast(ending, Data) ->
    {noreply, Data#data{ending = true}};
handle_cast(_Message, Data) ->
    {noreply, Data}.

%% @private
-spec handle_info(term(), #data{}) -> {noreply, #data{}} | {stop, term(), #data{}}.
handle_info({'EXIT', Pid, Reason}, #data{children = Children} = Data) ->
    case [Id || {Id, Child} <- maps:to_list(Children), Child =:= Pid] of
        [Id] -> restart(Id, Reason, Data#data{children = maps:remove(Id, Children)});
        [] -> {noreply, Data}
    end;
handle_info({start, Id}, Data) ->
    case start_child(Id, Data) of
        {ok, Started} -> {noreply, Started};
        {error, _} -> {noreply, pause(Id, Data)}
    end;
handle_info(_Message, Data) ->
    {noreply, Data}.

%% @private
-spec terminate(term(), #data{}) -> ok.
terminate(Reason, #data{config = #{name := Name} = Config, ending = Ending} = Data) ->
    End =
        case Ending orelse is_orderly(Reason) of
            true -> shutdown;
            false -> Reason
        end,
    %% Nobody is told of the end of what they had subscribed to.
    lists:foreach(fun(Id) -> end_child(Id, End, Data) end, lists:reverse(ids(Config))),
    %% Whatever became of the replica process.
    _ = End =:= shutdown andalso holt_replica:close(Name),
    _ = End =:= shutdown andalso holt_events:forget(Name),
    ok.

%%--------------------------------------------------------------------
%% Internal

%% In the order in which they are started.
-spec ids(holt_options:config()) -> [id()].
ids(#{listeners := [_ | _]}) -> [replica, events, listener];
ids(_) -> [replica, events].

-spec module_of(id()) -> module().
module_of(replica) -> holt_replica;
module_of(events) -> holt_events;
module_of(listener) -> holt_listener.

-spec start_children([id()], #data{}) -> {ok, #data{}} | {stop, term()}.
start_children([], Data) ->
    {ok, Data};
start_children([Id | Ids], Data) ->
    case start_child(Id, Data) of
        {ok, Started} -> start_children(Ids, Started);
        {error, Reason} -> {stop, Reason}
    end.

-spec start_child(id(), #data{}) -> {ok, #data{}} | {error, term()}.
start_child(Id, #data{config = Config, children = Children} = Data) ->
    Started =
        case Id of
            replica -> holt_replica:start_link(Config);
            events -> holt_events:start_link(Config);
            listener -> holt_listener:start_link(Config)
        end,
    case Started of
        {ok, Pid} -> {ok, Data#data{children = Children#{Id => Pid}}};
        {error, Reason} -> {error, Reason}
    end.

-spec restart(id(), term(), #data{}) -> {noreply, #data{}} | {stop, term(), #data{}}.
restart(Id, Reason, #data{restarts = Restarts} = Data) ->
    Now = erlang:monotonic_time(millisecond),
    Recent = [At || At <- maps:get(Id, Restarts, []), At > Now - ?PERIOD_MS],
    case length(Recent) < ?RESTARTS_MAX of
        true ->
            Again = Data#data{restarts = Restarts#{Id => [Now | Recent]}},
            case start_child(Id, Again) of
                {ok, Started} -> {noreply, Started};
                {error, Failed} -> restart(Id, Failed, Again)
            end;
        false when Id =:= replica ->
            {stop, {replica_crashed, Reason}, Data};
        false ->
            {noreply, pause(Id, Data)}
    end.

-spec pause(id(), #data{}) -> #data{}.
pause(Id, Data) ->
    _ = erlang:send_after(?PAUSE_MS, self(), {start, Id}),
    Data.

-spec end_child(id(), term(), #data{}) -> ok.
end_child(Id, Reason, #data{children = Children}) ->
    case Children of
        #{Id := Pid} ->
            Monitor = erlang:monitor(process, Pid),
            true = exit(Pid, Reason),
            await_end(Pid, Monitor);
        #{} ->
            ok
    end.

%% A root was killed; its processes learn of it by a signal and end soon.
-spec await_predecessor(pid() | port() | undefined) -> ok.
await_predecessor(Pid) when is_pid(Pid) ->
    await_end(Pid, erlang:monitor(process, Pid));
await_predecessor(_) ->
    ok.

-spec await_end(pid(), reference()) -> ok.
await_end(Pid, Monitor) ->
    receive
        {'DOWN', Monitor, process, Pid, _} -> ok
    after ?END_MS ->
        true = exit(Pid, kill),
        receive
            {'DOWN', Monitor, process, Pid, _} -> ok
        end
    end.

-spec is_orderly(term()) -> boolean().
is_orderly(normal) -> true;
is_orderly(shutdown) -> true;
is_orderly({shutdown, _}) -> true;
is_orderly(_) -> false.
