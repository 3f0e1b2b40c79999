%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The events process of an instance: it reads the native code's log of changes and
%% tells those who have subscribed.
%%
%% ```
%%   who registers --> native code: row, log --- holt_changes ---> this process
%%                                      ^                            |
%%                                      +---- changes(From, Max) ----+--> {holt, Ref, ...}
%% '''
%%
%% Whoever registers pays for a line in the log and waits for nobody.  Nothing is read, and
%% nothing logged, before the first subscription.
%%
%% <dl>
%% <dt>Position</dt>
%% <dd>How far the log has been read, for all subscriptions alike: what is before it has
%%     been told, what is behind it will be.</dd>
%% <dt>Existing rows</dt>
%% <dd>are read in slices, between the changes.  Of what changed while a slice was read
%%     only the change is told: so each message is true at its place in the order.</dd>
%% <dt>Who resumes</dt>
%% <dd>gets the log from the place its token names up to the position, and is then one of
%%     all.</dd>
%% <dt>Who is slow</dt>
%% <dd>is left out until its mailbox is short again, and then told that it has missed
%%     something.  So nothing queues without bounds.</dd>
%% </dl>
%%
%% A table of {@link holt_sup} has subscriptions and position, for the next process after a
%% crash: if this one was telling nobody anything just then, nobody notices.
-module(holt_events).

-behaviour(gen_server).

-include_lib("kernel/include/logger.hrl").

%% For holt_registry
-export([subscribe/3, unsubscribe/2, await/3]).
%% For the instance
-export([start_link/1, process_name/1, new_table/0, forget/1, exit_after/3]).
%% For the listener
-export([subscribe_listener/1]).
%% gen_server callbacks
-export([
    init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2, format_status/1
]).

-export_type([token/0, event/0, filter/0, cause/0]).

-define(TABLE, holt_subscriptions).

%% Changes read, and so events in a message, at most.
-define(BATCH_MAX, 500).

%% Batches in a row before the mailbox has its turn.
-define(BATCHES_MAX, 16).

%% How long to leave who writes alone, in milliseconds.
-define(REST_MS, 1).

%% After so many events to one subscriber its mailbox is looked at.
-define(LOOK_EVENTS, 500).

%% More messages than this in it, and it is slow, until there are at most half of them.
-define(QUEUE_MAX, 500).

%% When to look again.
-define(SLOW_MS, 50).
-define(SCAN_MS, 10).

%% How long to wait for a process that is being started again.
-define(ABSENT_MS, 10).
-define(ABSENT_MAX_MS, 15000).

%% The longest wait that a timer takes.
-define(TIMEOUT_MAX, 16#ffffffff).

%% Good for one life of the instance on this node: its actor, and a place in its log.
-type token() :: {non_neg_integer(), non_neg_integer()}.
-type filter() :: holt_routes:filter().
-type event() ::
    #{
        type := registered | updated | unregistered,
        key := term(),
        pid := pid(),
        value := term(),
        previous := {pid(), Value :: term()} | undefined,
        reason := holt_nif:reason()
    }
    | #{type := registered, key := term(), pid := pid(), value := term(), initial := true}
    | #{
        type := member_up | member_down,
        member := holt_nif:member(),
        count := non_neg_integer()
    }
    | #{type := missed}.
-type cause() ::
    not_a_filter | not_a_timeout | not_a_reference | holt_options:cause() | no_instance.

-type id() :: reference().

-record(subscriber, {
    pid :: pid(),
    monitor :: reference(),
    filter :: filter(),
    %% Events since its mailbox was looked at.
    sent = 0 :: non_neg_integer(),
    %% It has the last word before a loser exits.
    is_listener = false :: boolean()
}).

%% Somebody who waits for a name.
-record(waiter, {
    from :: gen_server:from(),
    monitor :: reference(),
    key :: term(),
    timer :: reference() | undefined
}).

-record(data, {
    name :: atom(),
    %% The node as it was when the epoch was read.
    identity = undefined :: undefined | {node(), non_neg_integer()},
    epoch = 0 :: non_neg_integer(),
    %% The position.
    next = 0 :: non_neg_integer(),
    %% Who is told.  Subscribers that are not in it are slow.
    routes = holt_routes:new() :: holt_routes:routes(),
    subscribers = #{} :: #{id() => #subscriber{}},
    waiters = #{} :: #{id() => #waiter{}},
    %% Those who have not been told all existing rows, with the cursor of the next slice.
    scans = #{} :: #{id() => non_neg_integer()},
    slow = #{} :: #{id() => []},
    %% Whether their mailboxes are looked at again soon.
    is_looking = false :: boolean(),
    %% Which table has the subscriptions, and whether it says that events are being told.
    table = undefined :: undefined | ets:tid(),
    is_dirty = false :: boolean(),
    %% The log is read again in a moment, whether there is news or not.
    is_resting = false :: boolean()
}).

%%--------------------------------------------------------------------
%% For holt_registry

%% @doc Tell the calling process of changes: `{holt, Ref, Token, [event()]}'.
-spec subscribe(Name :: atom(), term(), term()) ->
    reference() | {invalid, holt_error:cause() | cause()}.
subscribe(Name, Filter, Options) ->
    case {check_filter(Name, Filter), parse(Options)} of
        {ok, {ok, From, Initial}} ->
            Ref = make_ref(),
            Deadline = now_ms() + ?ABSENT_MAX_MS,
            case ask(Name, {subscribe, Ref, self(), Filter, From, Initial}, Deadline) of
                {ok, ok} -> Ref;
                {error, timeout} -> {invalid, no_instance};
                {invalid, Cause} -> {invalid, Cause}
            end;
        {{invalid, Cause}, _} ->
            {invalid, Cause};
        {ok, {error, Cause}} ->
            {invalid, Cause}
    end.

%% @doc End a subscription, and take what is left of it out of the mailbox.  It may have
%% ended with its instance.
-spec unsubscribe(Name :: atom(), term()) -> ok | {invalid, cause()}.
unsubscribe(Name, Ref) when is_atom(Name), is_reference(Ref) ->
    _ = ask(Name, {unsubscribe, Ref}, now_ms() + ?ABSENT_MAX_MS),
    flush(Ref);
unsubscribe(Name, _) when is_atom(Name) ->
    {invalid, not_a_reference};
unsubscribe(_, _) ->
    {invalid, no_instance}.

%% @doc Who has this name, as soon as anybody has it?
-spec await(Name :: atom(), Key :: term(), term()) ->
    {pid(), Value :: term()} | {error, timeout} | {invalid, holt_error:cause() | cause()}.
await(Name, Key, Timeout) ->
    case {is_timeout(Timeout), holt_read:lookup(Name, Key)} of
        {_, {invalid, Cause}} -> {invalid, Cause};
        {false, _} -> {invalid, not_a_timeout};
        {true, [Holder | _]} -> Holder;
        {true, []} -> await_change(Name, Key, Timeout)
    end.

-spec await_change(atom(), term(), timeout()) ->
    {pid(), term()} | {error, timeout} | {invalid, holt_error:cause()}.
await_change(_Name, _Key, 0) ->
    {error, timeout};
await_change(Name, Key, Timeout) ->
    Deadline =
        case Timeout of
            infinity -> infinity;
            Ms -> now_ms() + Ms
        end,
    case ask(Name, {await, Key, Deadline}, Deadline) of
        {ok, Answer} -> Answer;
        {error, timeout} -> {error, timeout};
        {invalid, Cause} -> {invalid, Cause}
    end.

%%--------------------------------------------------------------------
%% For the instance

%% @doc Start the events process of an instance.
-spec start_link(Name :: atom()) -> {ok, pid()} | {error, term()}.
start_link(Name) ->
    case gen_server:start_link({local, process_name(Name)}, ?MODULE, Name, []) of
        {ok, Pid} -> {ok, Pid};
        {error, Reason} -> {error, Reason};
        ignore -> {error, ignore}
    end.

%% @doc The registered name of an instance's events process.
-spec process_name(Name :: atom()) -> atom().
process_name(Name) ->
    list_to_atom("holt:" ++ atom_to_list(Name)).

%% @doc Make the table of subscriptions; it belongs to the calling process.
-spec new_table() -> ok.
new_table() ->
    ?TABLE = ets:new(?TABLE, [named_table, public, ordered_set]),
    ok.

%% @doc The instance has ended: so have its subscriptions.
-spec forget(Name :: atom()) -> ok.
forget(Name) ->
    %% Of a root that was killed it may still be about to end, and would note where it is.
    ok = end_process(whereis(process_name(Name))),
    lists:foreach(
        fun({Key, _}) -> in_table(fun() -> ets:delete(?TABLE, Key) end) end, rows(Name)
    ).

-spec end_process(pid() | undefined) -> ok.
end_process(undefined) ->
    ok;
end_process(Pid) ->
    Monitor = erlang:monitor(process, Pid),
    true = exit(Pid, kill),
    receive
        {'DOWN', Monitor, process, Pid, _} -> ok
    end.

%% @doc End a process that has lost its name, after everybody has been told of that.
%%
%% Where nobody has subscribed that is at once.  Should the events process die just now, the
%% loser is left to the grace time.
-spec exit_after(Name :: atom(), Loser :: pid(), Reason :: term()) -> ok.
exit_after(Name, Loser, Reason) ->
    case in_table(fun() -> ets:member(?TABLE, {Name, position}) end) of
        {ok, true} ->
            case whereis(process_name(Name)) of
                undefined -> end_loser(Loser, Reason);
                Events -> gen_server:cast(Events, {exit_after, Loser, Reason})
            end;
        _ ->
            end_loser(Loser, Reason)
    end.

-spec end_loser(pid(), term()) -> ok.
end_loser(Loser, Reason) ->
    true = exit(Loser, Reason),
    ok.

%% @doc Subscribe the calling process to everything.  Losers are handed to it, as
%% `{exit_after, Loser, Reason}', for it to end.
-spec subscribe_listener(Name :: atom()) -> {ok, reference()} | {error, no_instance}.
subscribe_listener(Name) ->
    Ref = make_ref(),
    case ask(Name, {subscribe_listener, Ref, self()}, now_ms() + ?ABSENT_MAX_MS) of
        {ok, ok} -> {ok, Ref};
        _ -> {error, no_instance}
    end.

%%--------------------------------------------------------------------
%% gen_server callbacks

%% @private
-spec init(atom()) -> {ok, #data{}, {continue, restore}}.
init(Name) ->
    {ok, #data{name = Name}, {continue, restore}}.

%% @private
-spec handle_continue(restore, #data{}) -> {noreply, #data{}}.
handle_continue(restore, #data{name = Name} = Data) ->
    {noreply, restore(rows(Name), Data#data{table = ets:whereis(?TABLE)})}.

%% @private
-spec handle_call(term(), gen_server:from(), #data{}) ->
    {reply, term(), #data{}} | {noreply, #data{}}.
handle_call({subscribe, Id, Pid, Filter, From, Initial}, _From, Data) ->
    {reply, ok, add(Id, subscriber(Id, Pid, Filter, false), From, Initial, Data)};
handle_call({subscribe_listener, Id, Pid}, _From, Data) ->
    {reply, ok, add(Id, subscriber(Id, Pid, all, true), none, true, Data)};
handle_call({unsubscribe, Id}, _From, Data) ->
    {reply, ok, remove(Id, Data)};
handle_call({await, Key, Deadline}, From, Data) ->
    {noreply, add_waiter(Key, Deadline, From, Data)};
handle_call(_Request, _From, Data) ->
    {reply, {error, unsupported}, Data}.

%% @private
-spec handle_cast(term(), #data{}) -> {noreply, #data{}}.
handle_cast({exit_after, Loser, Reason}, #data{subscribers = Subscribers} = Data) ->
    Read = read_all(Data),
    Listeners = [
        Pid
     || {Id, #subscriber{is_listener = true, pid = Pid}} <- maps:to_list(Subscribers),
        not is_map_key(Id, Read#data.slow)
    ],
    _ =
        case Listeners of
            [Listener | _] -> Listener ! {exit_after, Loser, Reason};
            [] -> end_loser(Loser, Reason)
        end,
    {noreply, Read};
handle_cast(_Message, Data) ->
    {noreply, Data}.

%% @private
-spec handle_info(term(), #data{}) -> {noreply, #data{}}.
handle_info(holt_changes, #data{is_resting = true} = Data) ->
    {noreply, Data};
handle_info(holt_changes, Data) ->
    {noreply, read_some(Data)};
handle_info(rested, Data) ->
    {noreply, read_some(Data#data{is_resting = false})};
handle_info({{holt_subscriber, Id}, _Monitor, process, _Pid, _Reason}, Data) ->
    {noreply, remove(Id, Data)};
handle_info({scan, Id}, Data) ->
    {noreply, scan(Id, Data)};
handle_info(look_again, Data) ->
    {noreply, look_again(Data)};
handle_info({timeout, Timer, {await, Id}}, #data{waiters = Waiters} = Data) ->
    case Waiters of
        #{Id := #waiter{timer = Timer}} -> {noreply, answer(Id, {error, timeout}, Data)};
        #{} -> {noreply, Data}
    end;
handle_info(_Message, Data) ->
    {noreply, Data}.

%% @private
-spec format_status(gen_server:format_status()) -> gen_server:format_status().
format_status(Status) ->
    maps:map(
        fun
            (state, #data{} = Data) -> describe(Data);
            (_, Value) -> Value
        end,
        Status
    ).

%%--------------------------------------------------------------------
%% Subscriptions

-spec add(id(), #subscriber{}, none | token(), boolean(), #data{}) -> #data{}.
add(Id, New, _, _, #data{subscribers = Subscribers} = Data) when is_map_key(Id, Subscribers) ->
    %% Asked again, because the answer got lost with the process that was to give it.
    true = erlang:demonitor(New#subscriber.monitor, [flush]),
    Data;
add(Id, #subscriber{filter = Filter} = Subscriber, From, Initial, Data) ->
    #data{subscribers = Subscribers, routes = Routes} = Watching = read_all(wake_up(Data)),
    Added = Watching#data{
        subscribers = Subscribers#{Id => Subscriber},
        routes = holt_routes:add(Id, Filter, Routes)
    },
    case resume(Id, From, Added) of
        {resumed, Resumed} -> save(Id, is_map_key(Id, Resumed#data.slow), Resumed);
        {missed, Missed} when Initial -> begin_scan(Id, send(Id, [missed()], Missed));
        {missed, Missed} -> save(Id, false, send(Id, [missed()], Missed));
        {new, Same} when Initial -> begin_scan(Id, Same);
        {new, Same} -> save(Id, false, Same)
    end.

%% The first one finds the log as long as it is, and reads on from there.
-spec wake_up(#data{}) -> #data{}.
wake_up(#data{routes = Routes, slow = Slow} = Data) ->
    case holt_routes:is_empty(Routes) andalso map_size(Slow) =:= 0 of
        true -> position(clean, begin_at_head(Data));
        false -> Data
    end.

%% What nobody was there to read is skipped; so the next change is said.
-spec begin_at_head(#data{}) -> #data{}.
begin_at_head(#data{name = Name} = Data) ->
    _ = holt_nif:watch(Name),
    case holt_nif:head(Name) of
        Head when is_integer(Head) -> identify(Data#data{next = skip(Name, Head)});
        {invalid, _} -> Data
    end.

-spec skip(atom(), non_neg_integer()) -> non_neg_integer().
skip(Name, From) ->
    case chunk(Name, From) of
        {_, To} -> skip(Name, To);
        none -> From
    end.

%% Which life of the instance this is.
-spec identify(#data{}) -> #data{}.
identify(#data{name = Name} = Data) ->
    case holt_nif:info(Name) of
        #{actor := Actor} -> Data#data{epoch = Actor, identity = identity()};
        {invalid, _} -> Data
    end.

-spec identity() -> {node(), non_neg_integer()}.
identity() ->
    {node(), erlang:system_info(creation)}.

-spec subscriber(id(), pid(), filter(), IsListener :: boolean()) -> #subscriber{}.
subscriber(Id, Pid, Filter, IsListener) ->
    Monitor = monitor_subscriber(Id, Pid),
    #subscriber{pid = Pid, monitor = Monitor, filter = Filter, is_listener = IsListener}.

-spec monitor_subscriber(id(), pid()) -> reference().
monitor_subscriber(Id, Pid) ->
    erlang:monitor(process, Pid, [{tag, {holt_subscriber, Id}}]).

-spec remove(id(), #data{}) -> #data{}.
remove(Id, #data{subscribers = Subscribers, waiters = Waiters} = Data) ->
    case {Subscribers, Waiters} of
        {#{Id := #subscriber{monitor = Monitor}}, _} ->
            true = erlang:demonitor(Monitor, [flush]),
            _ = in_table(fun() -> ets:delete(?TABLE, {Data#data.name, Id}) end),
            fall_asleep(Data#data{
                subscribers = maps:remove(Id, Subscribers),
                routes = holt_routes:remove(Id, Data#data.routes),
                scans = maps:remove(Id, Data#data.scans),
                slow = maps:remove(Id, Data#data.slow)
            });
        {_, #{Id := #waiter{monitor = Monitor, timer = Timer}}} ->
            true = erlang:demonitor(Monitor, [flush]),
            _ = Timer =/= undefined andalso erlang:cancel_timer(Timer),
            fall_asleep(Data#data{
                waiters = maps:remove(Id, Waiters),
                routes = holt_routes:remove(Id, Data#data.routes)
            });
        _ ->
            Data
    end.

%% After the last one nothing is read, and the table has no position.
-spec fall_asleep(#data{}) -> #data{}.
fall_asleep(#data{name = Name, routes = Routes, slow = Slow} = Data) ->
    _ =
        holt_routes:is_empty(Routes) andalso map_size(Slow) =:= 0 andalso
            in_table(fun() -> ets:delete(?TABLE, {Name, position}) end),
    Data.

%% What somebody with a token has not been told.
-spec resume(id(), none | token(), #data{}) -> {new | resumed | missed, #data{}}.
resume(_Id, none, Data) ->
    {new, Data};
resume(Id, {Epoch, From}, #data{epoch = Epoch, next = Next} = Data) when From =< Next ->
    resume_from(Id, From, Data);
resume(_Id, _Token, Data) ->
    {missed, Data}.

-spec resume_from(id(), non_neg_integer(), #data{}) -> {resumed | missed, #data{}}.
resume_from(_Id, Next, #data{next = Next} = Data) ->
    {resumed, Data};
resume_from(Id, From, #data{name = Name, next = Next, subscribers = Subscribers} = Data) ->
    #{Id := #subscriber{filter = Filter}} = Subscribers,
    case holt_nif:changes(Name, From, min(?BATCH_MAX, Next - From)) of
        {[_ | _] = Changes, To} when To =< Next ->
            Events = holt_routes:select(Changes, fun event/1, Filter),
            resume_from(Id, To, send_at(Id, Events, To, Data));
        _ ->
            {missed, Data}
    end.

%%--------------------------------------------------------------------
%% Existing rows

-spec begin_scan(id(), #data{}) -> #data{}.
begin_scan(Id, #data{scans = Scans} = Data) ->
    %% Whatever happens until it has ended: the table says that something is missing.
    scan(Id, save(Id, true, Data#data{scans = Scans#{Id => 0}})).

-spec scan(id(), #data{}) -> #data{}.
scan(Id, #data{scans = Scans, subscribers = Subscribers} = Data) ->
    case Scans of
        #{Id := Cursor} ->
            #{Id := #subscriber{pid = Pid, filter = Filter}} = Subscribers,
            case queue_length(Pid) > ?QUEUE_MAX div 2 of
                true ->
                    _ = erlang:send_after(?SCAN_MS, self(), {scan, Id}),
                    Data;
                false ->
                    scan_slice(Id, Filter, Cursor, read_all(Data))
            end;
        #{} ->
            Data
    end.

%% Rows, and what changed between the position and the moment after they were read: of the
%% keys in it only that is told.
-spec scan_slice(id(), filter(), non_neg_integer(), #data{}) -> #data{}.
scan_slice(Id, Filter, Cursor, #data{name = Name, next = From} = Data) ->
    case {slice(Name, Filter, Cursor), holt_nif:head(Name)} of
        {{Rows, Next}, Head} when is_integer(Head) ->
            {Chunks, Changed} = chunks(Name, From, Head, [], #{}),
            Events = [initial(Row) || {Key, _, _} = Row <- Rows, not is_map_key(Key, Changed)],
            tell_chunks(Chunks, scanned(Id, Next, send_all(Id, Events, Data)));
        _ ->
            Data
    end.

-spec slice(atom(), filter(), non_neg_integer()) ->
    {[{term(), pid(), binary()}], pos_integer() | done} | holt_nif:invalid().
slice(Name, {key, Key}, 0) ->
    case holt_nif:lookup(Name, Key) of
        {invalid, Cause} -> {invalid, Cause};
        Rows -> {[{Key, Pid, Value} || {Pid, Value} <- Rows], done}
    end;
slice(Name, Filter, Cursor) ->
    holt_nif:next(Name, Cursor, Filter).

-spec scanned(id(), pos_integer() | done, #data{}) -> #data{}.
scanned(Id, _Next, #data{slow = Slow} = Data) when is_map_key(Id, Slow) ->
    Data;
scanned(Id, done, #data{scans = Scans} = Data) ->
    save(Id, false, Data#data{scans = maps:remove(Id, Scans)});
scanned(Id, Next, #data{scans = Scans} = Data) ->
    _ = self() ! {scan, Id},
    Data#data{scans = Scans#{Id := Next}}.

%%--------------------------------------------------------------------
%% The log

-type chunk() :: {[holt_nif:change()] | missed, To :: non_neg_integer()}.

%% A few batches.  Who has read something rests before reading on: who writes all the time
%% is met once in this time, not for each change.
-spec read_some(#data{}) -> #data{}.
read_some(#data{next = Next} = Data) ->
    case read_batches(?BATCHES_MAX, Data) of
        #data{next = Next} = Same -> Same;
        Read -> rest(Read)
    end.

-spec rest(#data{}) -> #data{}.
rest(#data{is_resting = false} = Data) ->
    _ = erlang:send_after(?REST_MS, self(), rested),
    Data#data{is_resting = true};
rest(Data) ->
    Data.

-spec read_batches(non_neg_integer(), #data{}) -> #data{}.
read_batches(0, Data) ->
    clean(Data);
read_batches(Count, #data{routes = Routes, slow = Slow} = Former) ->
    #data{name = Name, next = Next} = Data = renamed(Former),
    %% While nobody is interested the log runs on unread.
    IsWanted = not holt_routes:is_empty(Routes) orelse map_size(Slow) > 0,
    case IsWanted andalso chunk(Name, Next) of
        {_, To} = Chunk ->
            Told = tell(Chunk, Data),
            case holt_nif:head(Name) of
                Head when is_integer(Head), Head > To -> read_batches(Count - 1, Told);
                _ -> clean(Told)
            end;
        _ ->
            clean(Data)
    end.

%% Up to where the log ends now, however many others write meanwhile.
-spec read_all(#data{}) -> #data{}.
read_all(Former) ->
    Data = renamed(Former),
    case holt_nif:head(Data#data.name) of
        Head when is_integer(Head) -> clean(read_to(Head, Data));
        {invalid, _} -> Data
    end.

-spec read_to(non_neg_integer(), #data{}) -> #data{}.
read_to(Head, #data{next = Next} = Data) when Next >= Head ->
    Data;
read_to(Head, #data{name = Name, next = Next} = Data) ->
    case chunk(Name, Next) of
        {_, _} = Chunk -> read_to(Head, tell(Chunk, Data));
        none -> Data
    end.

%% Some changes, or that they are no longer kept, or nothing.
-spec chunk(atom(), non_neg_integer()) -> chunk() | none.
chunk(Name, From) ->
    case holt_nif:changes(Name, From, ?BATCH_MAX) of
        {invalid, _} -> none;
        {[], From} -> none;
        {Changes, To} -> {Changes, To};
        {missed, _Oldest, To} -> {missed, To}
    end.

%% All that is before this place, and which keys it is about.
-spec chunks(atom(), non_neg_integer(), non_neg_integer(), [chunk()], #{term() => []}) ->
    {[chunk()], #{term() => []}}.
chunks(_Name, From, Head, Chunks, Keys) when From >= Head ->
    {lists:reverse(Chunks), Keys};
chunks(Name, From, Head, Chunks, Keys) ->
    case chunk(Name, From) of
        none ->
            {lists:reverse(Chunks), Keys};
        {missed, To} ->
            chunks(Name, To, Head, [{missed, To} | Chunks], Keys);
        {Changes, To} ->
            More = maps:from_list([{element(3, C), []} || C <- Changes, tuple_size(C) =:= 6]),
            chunks(Name, To, Head, [{Changes, To} | Chunks], maps:merge(Keys, More))
    end.

-spec tell_chunks([chunk()], #data{}) -> #data{}.
tell_chunks(Chunks, Data) ->
    clean(lists:foldl(fun tell/2, Data, Chunks)).

-spec tell(chunk(), #data{}) -> #data{}.
tell({missed, To}, Data) ->
    tell_missed(Data#data{next = To});
tell({Changes, To}, Data) ->
    #data{routes = Routes} = Dirty = dirty(Data),
    {Common, All, Others} = holt_routes:collect(Changes, fun event/1, Routes),
    Next = Dirty#data{next = To},
    ToAll = lists:foldl(fun(Id, Acc) -> tell_one(Id, Common, Acc) end, Next, All),
    lists:foldl(fun({Id, Events}, Acc) -> tell_one(Id, Events, Acc) end, ToAll, Others).

-spec tell_one(id(), [event()], #data{}) -> #data{}.
tell_one(Id, Events, #data{waiters = Waiters} = Data) ->
    case Waiters of
        #{Id := _} -> look_up(Id, Data);
        #{} -> send(Id, Events, Data)
    end.

%% The log has been written to faster than it was read, or it is another log.  What the
%% scans have to tell still is part of what everybody has to read anew.
-spec tell_missed(#data{}) -> #data{}.
tell_missed(#data{routes = Routes} = Data) ->
    lists:foldl(fun tell_missed/2, Data#data{scans = #{}}, holt_routes:ids(Routes)).

-spec tell_missed(id(), #data{}) -> #data{}.
tell_missed(Id, #data{waiters = Waiters} = Data) when is_map_key(Id, Waiters) ->
    look_up(Id, Data);
tell_missed(Id, Data) ->
    send(Id, [missed()], save(Id, false, Data)).

%% The names are those of a node with another name: another actor, with another log.
-spec renamed(#data{}) -> #data{}.
renamed(#data{identity = Identity, epoch = Epoch} = Data) ->
    case identity() of
        Identity ->
            Data;
        _ ->
            case holt_nif:info(Data#data.name) of
                #{actor := Actor} when Actor =/= Epoch -> tell_missed(begin_at_head(Data));
                %% The replica process has not noticed yet.
                _ -> Data
            end
    end.

%%--------------------------------------------------------------------
%% Events

-spec event(holt_nif:change()) -> event().
event({Type, Reason, Key, Pid, Binary, Before}) ->
    Value = holt_registry:decode(Binary),
    Previous =
        case Before of
            {Former, FormerBinary} -> {Former, holt_registry:decode(FormerBinary)};
            none when Type =:= unregistered -> {Pid, Value};
            none -> undefined
        end,
    #{
        type => Type,
        key => Key,
        pid => Pid,
        value => Value,
        previous => Previous,
        reason => Reason
    };
event({Type, Member, _Actor, Count}) ->
    #{type => Type, member => Member, count => Count}.

-spec initial({term(), pid(), binary()}) -> event().
initial({Key, Pid, Binary}) ->
    Value = holt_registry:decode(Binary),
    #{type => registered, key => Key, pid => Pid, value => Value, initial => true}.

-spec missed() -> event().
missed() ->
    #{type => missed}.

-spec send(id(), [event()], #data{}) -> #data{}.
send(Id, Events, #data{next = Next} = Data) ->
    send_at(Id, Events, Next, Data).

-spec send_all(id(), [event()], #data{}) -> #data{}.
send_all(Id, Events, Data) when length(Events) > ?BATCH_MAX ->
    {Batch, Rest} = lists:split(?BATCH_MAX, Events),
    send_all(Id, Rest, send(Id, Batch, Data));
send_all(Id, Events, Data) ->
    send(Id, Events, Data).

-spec send_at(id(), [event()], non_neg_integer(), #data{}) -> #data{}.
send_at(_Id, [], _Next, Data) ->
    Data;
send_at(Id, Events, Next, #data{subscribers = Subscribers, epoch = Epoch} = Data) ->
    #{Id := #subscriber{pid = Pid, sent = Before} = Subscriber} = Subscribers,
    _ = Pid ! {holt, Id, {Epoch, Next}, Events},
    case Before + length(Events) of
        Sent when Sent < ?LOOK_EVENTS ->
            Data#data{subscribers = Subscribers#{Id := Subscriber#subscriber{sent = Sent}}};
        _ ->
            Looked = Data#data{subscribers = Subscribers#{Id := Subscriber#subscriber{sent = 0}}},
            case queue_length(Pid) > ?QUEUE_MAX of
                true -> leave_out(Id, Looked);
                false -> Looked
            end
    end.

%%--------------------------------------------------------------------
%% Slow subscribers

%% Zero for who is dead: its end is told soon.
-spec queue_length(pid()) -> non_neg_integer().
queue_length(Pid) ->
    case process_info(Pid, message_queue_len) of
        {message_queue_len, Length} -> Length;
        undefined -> 0
    end.

-spec leave_out(id(), #data{}) -> #data{}.
leave_out(Id, #data{slow = Slow, routes = Routes, scans = Scans} = Data) ->
    Left = Data#data{
        slow = Slow#{Id => []},
        routes = holt_routes:remove(Id, Routes),
        scans = maps:remove(Id, Scans)
    },
    look_soon(save(Id, true, Left)).

-spec look_soon(#data{}) -> #data{}.
look_soon(#data{is_looking = false, slow = Slow} = Data) when map_size(Slow) > 0 ->
    _ = erlang:send_after(?SLOW_MS, self(), look_again),
    Data#data{is_looking = true};
look_soon(Data) ->
    Data.

-spec look_again(#data{}) -> #data{}.
look_again(#data{slow = Slow, subscribers = Subscribers} = Data) ->
    Ready = [
        Id
     || Id <- maps:keys(Slow),
        #{Id := #subscriber{pid = Pid}} <- [Subscribers],
        queue_length(Pid) =< ?QUEUE_MAX div 2
    ],
    Rest = look_soon(Data#data{is_looking = false, slow = maps:without(Ready, Slow)}),
    lists:foldl(fun take_in/2, read_all(Rest), Ready).

-spec take_in(id(), #data{}) -> #data{}.
take_in(Id, #data{subscribers = Subscribers, routes = Routes} = Data) ->
    #{Id := #subscriber{filter = Filter}} = Subscribers,
    tell_missed(Id, Data#data{routes = holt_routes:add(Id, Filter, Routes)}).

%%--------------------------------------------------------------------
%% Waiting for a name

-spec add_waiter(term(), infinity | integer(), gen_server:from(), #data{}) -> #data{}.
add_waiter(Key, Deadline, {Pid, _} = From, Data) ->
    Id = make_ref(),
    #data{waiters = Waiters, routes = Routes} = Watching = wake_up(Data),
    Timer =
        case Deadline of
            infinity -> undefined;
            At -> erlang:start_timer(At, self(), {await, Id}, [{abs, true}])
        end,
    Waiter = #waiter{
        from = From, key = Key, monitor = monitor_subscriber(Id, Pid), timer = Timer
    },
    look_up(Id, Watching#data{
        waiters = Waiters#{Id => Waiter},
        routes = holt_routes:add(Id, {key, Key}, Routes)
    }).

%% Whatever was told of the key: what counts is who has it now.
-spec look_up(id(), #data{}) -> #data{}.
look_up(Id, #data{name = Name, waiters = Waiters} = Data) ->
    #{Id := #waiter{key = Key}} = Waiters,
    case holt_nif:lookup(Name, Key) of
        [] -> Data;
        [{Pid, Value} | _] -> answer(Id, {Pid, holt_registry:decode(Value)}, Data);
        {invalid, Cause} -> answer(Id, {invalid, Cause}, Data)
    end.

-spec answer(id(), term(), #data{}) -> #data{}.
answer(Id, Answer, #data{waiters = Waiters} = Data) ->
    #{Id := #waiter{from = From}} = Waiters,
    gen_server:reply(From, Answer),
    remove(Id, Data).

%%--------------------------------------------------------------------
%% The table

%% {{Name, Ref}, {Pid, Filter, IsListener, HasMissed}}
%% {{Name, position}, {Epoch, Next, clean | dirty}}

%% What an earlier process has left.
-spec restore([tuple()], #data{}) -> #data{}.
restore(Rows, Data) ->
    case lists:partition(fun({{_, Id}, _}) -> Id =:= position end, Rows) of
        {_, []} -> fall_asleep(Data);
        {Positions, Subscriptions} -> restore(Positions, Subscriptions, Data)
    end.

-spec restore([tuple()], [tuple()], #data{}) -> #data{}.
restore(Positions, Subscriptions, Data) ->
    Restored = #data{epoch = Epoch} = begin_at_head(
        lists:foldl(fun restore_one/2, Data, Subscriptions)
    ),
    case Positions of
        [{_, {Epoch, Next, clean}}] ->
            Missed = [Id || {{_, Id}, {_, _, _, true}} <- Subscriptions],
            All = dirty(Restored#data{next = Next}),
            read_some(lists:foldl(fun take_in/2, All, Missed));
        _ ->
            clean(tell_missed(dirty(Restored)))
    end.

-spec restore_one(tuple(), #data{}) -> #data{}.
restore_one({{_Name, Id}, {Pid, Filter, IsListener, _}}, Data) ->
    #data{subscribers = Subscribers, routes = Routes} = Data,
    Subscriber = subscriber(Id, Pid, Filter, IsListener),
    Data#data{
        subscribers = Subscribers#{Id => Subscriber},
        routes = holt_routes:add(Id, Filter, Routes)
    }.

-spec save(id(), HasMissed :: boolean(), #data{}) -> #data{}.
save(Id, HasMissed, #data{name = Name, subscribers = Subscribers} = Data) ->
    #{Id := #subscriber{pid = Pid, filter = Filter, is_listener = IsListener}} = Subscribers,
    insert({{Name, Id}, {Pid, Filter, IsListener, HasMissed}}, Data).

%% Events are being told: who crashes now does not know to whom.
-spec dirty(#data{}) -> #data{}.
dirty(#data{is_dirty = true} = Data) ->
    Data;
dirty(Data) ->
    position(dirty, Data#data{is_dirty = true}).

-spec clean(#data{}) -> #data{}.
clean(#data{is_dirty = false} = Data) ->
    Data;
clean(Data) ->
    position(clean, Data#data{is_dirty = false}).

-spec position(clean | dirty, #data{}) -> #data{}.
position(State, #data{name = Name, epoch = Epoch, next = Next} = Data) ->
    insert({{Name, position}, {Epoch, Next, State}}, Data).

%% The table goes with the application; the instance does not.  A new one is told all.
-spec insert(tuple(), #data{}) -> #data{}.
insert(Row, #data{table = Table} = Data) ->
    case ets:whereis(?TABLE) of
        Table ->
            _ = in_table(fun() -> ets:insert(?TABLE, Row) end),
            Data;
        Other ->
            #data{name = Name, subscribers = Subscribers, scans = Scans, slow = Slow} = Data,
            Rows = [
                {{Name, Id}, {Pid, Filter, IsListener, HasMissed}}
             || {Id, #subscriber{pid = Pid, filter = Filter, is_listener = IsListener}} <-
                    maps:to_list(Subscribers),
                HasMissed <- [is_map_key(Id, Scans) orelse is_map_key(Id, Slow)]
            ],
            _ = in_table(fun() -> ets:insert(?TABLE, [Row | Rows]) end),
            Data#data{table = Other}
    end.

%% Of one instance; its name may be an atom that has a meaning in patterns.
-spec rows(Name :: atom()) -> [tuple()].
rows(Name) ->
    case in_table(fun() -> rows(Name, {Name, 0}, []) end) of
        {ok, Rows} -> Rows;
        error -> []
    end.

%% Numbers come before all other terms.
-spec rows(atom(), {atom(), term()}, [tuple()]) -> [tuple()].
rows(Name, Former, Rows) ->
    case ets:next(?TABLE, Former) of
        {Name, _} = Key -> rows(Name, Key, ets:lookup(?TABLE, Key) ++ Rows);
        _ -> Rows
    end.

-spec in_table(fun(() -> Result)) -> {ok, Result} | error.
in_table(Fun) ->
    try
        {ok, Fun()}
    catch
        error:badarg -> error
    end.

%%--------------------------------------------------------------------
%% Internal

%% The process may be on its way: then its instance is there.
-spec ask(atom(), term(), infinity | integer()) ->
    {ok, term()} | {error, timeout} | holt_nif:invalid().
ask(Name, Request, Deadline) ->
    case holt_nif:count(Name) of
        {invalid, Cause} ->
            {invalid, Cause};
        _ ->
            try
                {ok, gen_server:call(process_name(Name), Request, infinity)}
            catch
                exit:_ -> ask_again(Name, Request, Deadline)
            end
    end.

-spec ask_again(atom(), term(), infinity | integer()) ->
    {ok, term()} | {error, timeout} | holt_nif:invalid().
ask_again(Name, Request, Deadline) ->
    case is_integer(Deadline) andalso now_ms() >= Deadline of
        true ->
            {error, timeout};
        false ->
            receive
            after ?ABSENT_MS -> ask(Name, Request, Deadline)
            end
    end.

-spec now_ms() -> integer().
now_ms() ->
    erlang:monotonic_time(millisecond).

-spec flush(reference()) -> ok.
flush(Ref) ->
    receive
        {holt, Ref, _Token, _Events} -> flush(Ref)
    after 0 -> ok
    end.

-spec is_timeout(term()) -> boolean().
is_timeout(infinity) -> true;
is_timeout(Ms) -> is_integer(Ms) andalso Ms >= 0 andalso Ms =< ?TIMEOUT_MAX.

-spec check_filter(term(), term()) -> ok | {invalid, holt_error:cause() | cause()}.
check_filter(Name, {key, Key}) ->
    %% Says what is wrong with the key, too.
    checked(holt_nif:count_key(Name, Key));
check_filter(Name, all) ->
    checked(holt_nif:count(Name));
check_filter(Name, {prefix, Prefix}) when is_binary(Prefix) ->
    checked(holt_nif:count(Name));
check_filter(_Name, _Filter) ->
    {invalid, not_a_filter}.

-spec checked(term()) -> ok | {invalid, holt_error:cause()}.
checked({invalid, Cause}) -> {invalid, Cause};
checked(_) -> ok.

%% Existing rows are for those who begin; who resumes and cannot may want them, too.
-spec parse(term()) -> {ok, none | token(), Initial :: boolean()} | {error, holt_options:cause()}.
parse(Options) ->
    case holt_options:merge(Options, #{}) of
        {ok, Map} ->
            From = maps:get(from, Map, none),
            Initial = maps:get(initial, Map, From =:= none),
            case {maps:keys(Map) -- [from, initial], is_token(From), is_boolean(Initial)} of
                {[Key | _], _, _} -> {error, {unknown_option, Key}};
                {_, false, _} -> {error, {bad_option, from, From, "a token of an earlier message"}};
                {_, _, false} -> {error, {bad_option, initial, Initial, "true or false"}};
                {[], true, true} -> {ok, From, Initial}
            end;
        {error, Cause} ->
            {error, Cause}
    end.

-spec is_token(term()) -> boolean().
is_token(none) -> true;
is_token({Epoch, Next}) -> is_integer(Epoch) andalso is_integer(Next) andalso Next >= 0;
is_token(_) -> false.

-spec describe(#data{}) -> map().
describe(#data{name = Name, epoch = Epoch, next = Next} = Data) ->
    #{
        name => Name,
        token => {Epoch, Next},
        subscribers => map_size(Data#data.subscribers),
        waiters => map_size(Data#data.waiters),
        scans => map_size(Data#data.scans),
        slow => map_size(Data#data.slow)
    }.
