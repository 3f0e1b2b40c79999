%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The root process of an instance, registered by the instance's name: it supervises
%% the replica process, and how it ends is how the instance ends.
%%
%% ```
%%   ends with normal, shutdown, {shutdown, _}; or by stop/3  --> the instance ends
%%   ends otherwise: killed, or its parent has crashed        --> the instance is an orphan
%%   its replica process crashes too often                    --> likewise
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

-record(data, {
    config :: holt_options:config(),
    replica :: pid() | undefined,
    %% When the replica process was started again, in milliseconds of the monotonic clock.
    restarts = [] :: [integer()],
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
    case holt_replica:start_link(Config) of
        {ok, Replica} -> {ok, #data{config = Config, replica = Replica}};
        {error, Reason} -> {stop, Reason}
    end.

%% @private
%% What tools ask a supervisor.
-spec handle_call(term(), gen_server:from(), #data{}) -> {reply, term(), #data{}}.
handle_call(which_children, _From, #data{replica = Replica} = Data) ->
    {reply, [{replica, Replica, worker, [holt_replica]}], Data};
handle_call(count_children, _From, Data) ->
    {reply, [{specs, 1}, {active, 1}, {supervisors, 0}, {workers, 1}], Data};
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
handle_info({'EXIT', Replica, Reason}, #data{replica = Replica} = Data) ->
    restart(Reason, Data#data{replica = undefined});
handle_info(_Message, Data) ->
    {noreply, Data}.

%% @private
-spec terminate(term(), #data{}) -> ok.
terminate(Reason, #data{config = #{name := Name}, replica = Replica, ending = Ending}) ->
    End =
        case Ending orelse is_orderly(Reason) of
            true -> shutdown;
            false -> Reason
        end,
    ok = end_replica(Replica, End),
    %% Whatever became of the replica process.
    _ = End =:= shutdown andalso holt_replica:close(Name),
    ok.

%%--------------------------------------------------------------------
%% Internal

-spec restart(term(), #data{}) -> {noreply, #data{}} | {stop, term(), #data{}}.
restart(Reason, #data{config = Config, restarts = Restarts} = Data) ->
    Now = erlang:monotonic_time(millisecond),
    Recent = [At || At <- Restarts, At > Now - ?PERIOD_MS],
    case length(Recent) < ?RESTARTS_MAX of
        true ->
            Again = Data#data{restarts = [Now | Recent]},
            case holt_replica:start_link(Config) of
                {ok, Replica} -> {noreply, Again#data{replica = Replica}};
                {error, Failed} -> restart(Failed, Again)
            end;
        false ->
            {stop, {replica_crashed, Reason}, Data}
    end.

-spec end_replica(pid() | undefined, term()) -> ok.
end_replica(undefined, _Reason) ->
    ok;
end_replica(Replica, Reason) ->
    Monitor = erlang:monitor(process, Replica),
    true = exit(Replica, Reason),
    await_end(Replica, Monitor).

%% A root was killed; its replica process learns of it by a signal and ends soon.
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
