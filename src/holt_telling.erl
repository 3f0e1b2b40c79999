%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The log is read and told: what the events process, {@link holt_events}, does and knows.
%%
%% ```
%%   news, rested ---> a few batches ---.
%%                                      +--> tell --> holt_subscribers, holt_name_waiters
%%   add, tell_rows, ---> all there is -'
%%   look_again, ...
%% '''
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
%% <dt>After a crash</dt>
%% <dd>the next process goes on from the position; if this one was telling nobody anything
%%     just then, nobody notices, and else all are told that they have missed something.</dd>
%% </dl>
%%
%% It sends itself `rested' for {@link rested/1}, `{tell_rows, Id}' for {@link tell_rows/2}.
-module(holt_telling).

-export([new/2, restore/1, describe/1]).
%% Who is told
-export([add/5, remove/2, await/4, timeout/3, tell_listeners/1]).
%% What is told
-export([news/1, rested/1, tell_rows/2, look_again/1]).

-export_type([telling/0]).

%% Batches in a row before the mailbox has its turn.
-define(BATCHES_MAX, 16).

%% How long to leave who writes alone, in milliseconds.
-define(REST_MS, 1).

%% When to try again to tell existing rows to who is busy.
-define(BUSY_MS, 10).

-type id() :: reference().

-record(telling, {
    name :: atom(),
    %% The node as it was when the log was opened.
    identity = undefined :: undefined | {node(), Creation :: non_neg_integer()},
    subscribers :: holt_subscribers:subscribers(),
    waiters :: holt_name_waiters:waiters(),
    %% The log is read again in a moment, whether there is news or not.
    is_resting = false :: boolean()
}).

-opaque telling() :: #telling{}.

%% @doc Nobody is told of this instance; whoever is may have so many messages in its mailbox.
-spec new(Name :: atom(), MessagesMax :: pos_integer()) -> telling().
new(Name, MessagesMax) ->
    #telling{
        name = Name,
        subscribers = holt_subscribers:new(Name, MessagesMax),
        waiters = holt_name_waiters:new(Name)
    }.

%% @doc Go on with what an earlier process has left.
-spec restore(telling()) -> telling().
restore(#telling{name = Name} = Telling) ->
    case holt_events_table:read(Name) of
        {_, []} -> fall_asleep(Telling);
        {Position, Subscriptions} -> restore(Position, Subscriptions, Telling)
    end.

-spec restore(
    holt_events_table:position() | none, [{id(), holt_events_table:subscription()}], telling()
) -> telling().
restore(Position, Subscriptions, #telling{subscribers = None} = Telling) ->
    All = lists:foldl(
        fun({Id, Subscription}, Acc) -> holt_subscribers:restore(Id, Subscription, Acc) end,
        None,
        Subscriptions
    ),
    Restored = begin_at_head(Telling#telling{subscribers = All}),
    {Epoch, _} = position(Restored),
    case Position of
        {Epoch, Next, clean} ->
            Missed = [Id || {Id, {_, _, _, true}} <- Subscriptions],
            Advance = fun(Others) ->
                holt_subscribers:dirty(holt_subscribers:advance(Next, Others))
            end,
            read_some(take_in(Missed, with_subscribers(Advance, Restored)));
        _ ->
            clean(tell_missed(with_subscribers(fun holt_subscribers:dirty/1, Restored)))
    end.

%% @doc For who looks into the process.
-spec describe(telling()) -> map().
describe(#telling{name = Name, subscribers = Subscribers, waiters = Waiters}) ->
    (holt_subscribers:counts(Subscribers))#{
        name => Name,
        token => holt_subscribers:position(Subscribers),
        waiters => holt_name_waiters:count(Waiters)
    }.

%%--------------------------------------------------------------------
%% Who is told

%% @doc Tell one more, from its token on, if it has one; `Initial': the rows that there are first,
%% unless its token is good.
-spec add(id(), holt_subscribers:subscriber(), none | holt_events:token(), boolean(), telling()) ->
    telling().
add(Id, Subscriber, From, Initial, #telling{subscribers = Subscribers} = Telling) ->
    case holt_subscribers:is_member(Id, Subscribers) of
        true ->
            %% Asked again, because the answer got lost with the process that was to give it.
            Telling;
        false ->
            Watching =
                case is_asleep(Telling) of
                    true -> wake_up(Telling);
                    false -> read_all(Telling)
                end,
            Add = fun(Others) -> holt_subscribers:add(Id, Subscriber, Others) end,
            begin_with(Id, From, Initial, with_subscribers(Add, Watching))
    end.

-spec begin_with(id(), none | holt_events:token(), boolean(), telling()) -> telling().
begin_with(Id, From, Initial, #telling{name = Name, subscribers = Subscribers} = Telling) ->
    {How, Resumed} = resume(Id, From, Name, Subscribers),
    Told =
        case How of
            missed -> holt_subscribers:send(Id, [holt_events_log:missed()], Resumed);
            _ -> Resumed
        end,
    IsSlow = holt_subscribers:is_slow(Id, Told),
    case How =/= resumed andalso Initial andalso not IsSlow of
        true ->
            tell_rows(Id, Telling#telling{subscribers = holt_subscribers:begin_rows(Id, Told)});
        false ->
            Telling#telling{subscribers = holt_subscribers:save(Id, IsSlow, Told)}
    end.

%% What somebody with a token has not been told.
-spec resume(id(), none | holt_events:token(), atom(), holt_subscribers:subscribers()) ->
    {new | resumed | missed, holt_subscribers:subscribers()}.
resume(_Id, none, _Name, Subscribers) ->
    {new, Subscribers};
resume(Id, {Epoch, From}, Name, Subscribers) ->
    case holt_subscribers:position(Subscribers) of
        {Epoch, From} ->
            {resumed, Subscribers};
        {Epoch, Next} when From < Next ->
            case holt_events_log:read(Name, From, Next - From) of
                {[_ | _] = Changes, To} when To =< Next ->
                    Filter = holt_subscribers:filter(Id, Subscribers),
                    Events = holt_routes:select(Changes, fun holt_events_log:event/1, Filter),
                    Sent = holt_subscribers:send_at(Id, Events, To, Subscribers),
                    resume(Id, {Epoch, To}, Name, Sent);
                _ ->
                    {missed, Subscribers}
            end;
        _ ->
            {missed, Subscribers}
    end.

%% @doc A subscription has ended, or who had it or waited for a name.
-spec remove(id(), telling()) -> telling().
remove(Id, #telling{subscribers = Subscribers, waiters = Waiters} = Telling) ->
    fall_asleep(Telling#telling{
        subscribers = holt_subscribers:remove(Id, Subscribers),
        waiters = holt_name_waiters:remove(Id, Waiters)
    }).

%% @doc Answer as soon as somebody has this name, until this time of the monotonic clock in
%% milliseconds.
-spec await(Key :: term(), infinity | integer(), gen_server:from(), telling()) -> telling().
await(Key, Deadline, From, Telling) ->
    with_waiters(
        fun(Waiters) -> holt_name_waiters:add(Key, Deadline, From, Waiters) end, wake_up(Telling)
    ).

%% @doc The timer of one that waits for a name.
-spec timeout(id(), Timer :: reference(), telling()) -> telling().
timeout(Id, Timer, Telling) ->
    with_waiters(fun(Waiters) -> holt_name_waiters:timeout(Id, Timer, Waiters) end, Telling).

%% @doc Tell all that there is, and to which listeners.
-spec tell_listeners(telling()) -> {[pid()], telling()}.
tell_listeners(Telling) ->
    Told = #telling{subscribers = Subscribers} = read_all(Telling),
    {holt_subscribers:listeners(Subscribers), Told}.

%% The first one finds the log as long as it is, and reads on from there.
-spec wake_up(telling()) -> telling().
wake_up(Telling) ->
    case is_asleep(Telling) of
        true -> with_subscribers(fun holt_subscribers:save_position/1, begin_at_head(Telling));
        false -> Telling
    end.

%% After the last one nothing is read, and the table has no position.
-spec fall_asleep(telling()) -> telling().
fall_asleep(#telling{name = Name} = Telling) ->
    _ = is_asleep(Telling) andalso holt_events_table:delete(Name, position),
    Telling.

-spec is_asleep(telling()) -> boolean().
is_asleep(#telling{subscribers = Subscribers, waiters = Waiters}) ->
    holt_subscribers:is_empty(Subscribers) andalso holt_name_waiters:count(Waiters) =:= 0.

-spec begin_at_head(telling()) -> telling().
begin_at_head(#telling{name = Name, subscribers = Subscribers} = Telling) ->
    case holt_events_log:open(Name) of
        {ok, Actor, Next} ->
            Telling#telling{
                identity = identity(),
                subscribers = holt_subscribers:begin_at(Actor, Next, Subscribers)
            };
        {error, no_instance} ->
            Telling
    end.

-spec identity() -> {node(), non_neg_integer()}.
identity() ->
    {node(), erlang:system_info(creation)}.

%%--------------------------------------------------------------------
%% Existing rows

%% @doc Tell one some more of the rows that there are.
-spec tell_rows(id(), telling()) -> telling().
tell_rows(Id, #telling{subscribers = Subscribers} = Telling) ->
    case holt_subscribers:rows_due(Id, Subscribers) of
        {due, _} -> tell_slice(Id, read_all(Telling));
        busy -> try_again(Id, Telling);
        no -> Telling
    end.

%% Rows, and what changed between the position and the moment after they were read: of the
%% keys in it only that is told.
-spec tell_slice(id(), telling()) -> telling().
tell_slice(Id, #telling{name = Name, subscribers = Subscribers} = Telling) ->
    %% It may have been told meanwhile that it has missed everything.
    case holt_subscribers:rows_due(Id, Subscribers) of
        {due, Cursor} ->
            Filter = holt_subscribers:filter(Id, Subscribers),
            case {holt_events_log:rows(Name, Filter, Cursor), holt_events_log:head(Name)} of
                {{Rows, Next}, {ok, Head}} -> tell_slice(Id, Rows, Next, Head, Telling);
                _ -> Telling
            end;
        busy ->
            try_again(Id, Telling);
        no ->
            Telling
    end.

-spec tell_slice(
    id(), [tuple()], pos_integer() | done, Head :: holt_events_log:place(), telling()
) -> telling().
tell_slice(Id, Rows, Next, Head, #telling{name = Name, subscribers = Subscribers} = Telling) ->
    {_, From} = holt_subscribers:position(Subscribers),
    {Chunks, Changed} = holt_events_log:read_to(Name, From, Head),
    Events = [
        holt_events_log:initial(Row)
     || {Key, _, _} = Row <- Rows, not is_map_key(Key, Changed)
    ],
    Told = holt_subscribers:rows_told(Id, Events, Next, Subscribers),
    _ = Next =/= done andalso (self() ! {tell_rows, Id}),
    clean(lists:foldl(fun tell/2, Telling#telling{subscribers = Told}, Chunks)).

-spec try_again(id(), telling()) -> telling().
try_again(Id, Telling) ->
    _ = erlang:send_after(?BUSY_MS, self(), {tell_rows, Id}),
    Telling.

%%--------------------------------------------------------------------
%% The log

%% @doc There is more in the log than has been read.
-spec news(telling()) -> telling().
news(#telling{is_resting = true} = Telling) ->
    Telling;
news(Telling) ->
    read_some(Telling).

%% @doc It is time to read on.
-spec rested(telling()) -> telling().
rested(Telling) ->
    read_some(Telling#telling{is_resting = false}).

%% @doc Some may be slow no longer.
-spec look_again(telling()) -> telling().
look_again(#telling{subscribers = Subscribers} = Telling) ->
    {Ready, Rest} = holt_subscribers:ready(Subscribers),
    take_in(Ready, read_all(Telling#telling{subscribers = Rest})).

-spec take_in([id()], telling()) -> telling().
take_in(Ids, #telling{subscribers = Subscribers} = Telling) ->
    Telling#telling{
        subscribers = lists:foldl(fun holt_subscribers:take_in/2, Subscribers, Ids)
    }.

%% A few batches.  Who has read something rests before reading on: who writes all the time
%% is met once in this time, not for each change.
-spec read_some(telling()) -> telling().
read_some(Telling) ->
    {_, Former} = position(Telling),
    Read = read_batches(?BATCHES_MAX, Telling),
    case position(Read) of
        {_, Former} -> Read;
        _ -> rest(Read)
    end.

-spec rest(telling()) -> telling().
rest(#telling{is_resting = false} = Telling) ->
    _ = erlang:send_after(?REST_MS, self(), rested),
    Telling#telling{is_resting = true};
rest(Telling) ->
    Telling.

-spec read_batches(non_neg_integer(), telling()) -> telling().
read_batches(0, Telling) ->
    clean(Telling);
read_batches(Count, Former) ->
    Telling = #telling{name = Name} = renamed(Former),
    {_, Next} = position(Telling),
    %% While nobody is interested the log runs on unread.
    case not is_asleep(Telling) andalso holt_events_log:read(Name, Next) of
        {_, To} = Chunk ->
            Told = tell(Chunk, Telling),
            case holt_events_log:head(Name) of
                {ok, Head} when Head > To -> read_batches(Count - 1, Told);
                _ -> clean(Told)
            end;
        _ ->
            clean(Telling)
    end.

%% Up to where the log ends now, however many others write meanwhile.
-spec read_all(telling()) -> telling().
read_all(Former) ->
    Telling = #telling{name = Name} = renamed(Former),
    case holt_events_log:head(Name) of
        {ok, Head} -> clean(read_to(Head, Telling));
        {error, no_instance} -> Telling
    end.

-spec read_to(holt_events_log:place(), telling()) -> telling().
read_to(Head, #telling{name = Name} = Telling) ->
    {_, Next} = position(Telling),
    case Next < Head andalso holt_events_log:read(Name, Next) of
        {_, _} = Chunk -> read_to(Head, tell(Chunk, Telling));
        _ -> Telling
    end.

-spec tell(holt_events_log:chunk(), telling()) -> telling().
tell({missed, To}, Telling) ->
    %% The log has been written to faster than it was read.
    tell_missed(with_subscribers(fun(All) -> holt_subscribers:advance(To, All) end, Telling));
tell({Changes, To}, #telling{subscribers = Subscribers, waiters = Waiters} = Telling) ->
    Telling#telling{
        subscribers = holt_subscribers:tell(Changes, To, Subscribers),
        waiters = holt_name_waiters:told(Changes, Waiters)
    }.

-spec tell_missed(telling()) -> telling().
tell_missed(#telling{subscribers = Subscribers, waiters = Waiters} = Telling) ->
    Telling#telling{
        subscribers = holt_subscribers:tell_missed(Subscribers),
        waiters = holt_name_waiters:look_up_all(Waiters)
    }.

%% The names are those of a node with another name: another actor, with another log.
-spec renamed(telling()) -> telling().
renamed(#telling{name = Name, identity = Identity} = Telling) ->
    {Epoch, _} = position(Telling),
    case identity() of
        Identity ->
            Telling;
        _ ->
            case holt_events_log:actor(Name) of
                {ok, Actor} when Actor =/= Epoch -> tell_missed(begin_at_head(Telling));
                %% The replica process has not noticed yet.
                _ -> Telling
            end
    end.

%%--------------------------------------------------------------------
%% Internal

-spec position(telling()) -> holt_events:token().
position(#telling{subscribers = Subscribers}) ->
    holt_subscribers:position(Subscribers).

%% Those that were told may have been the last that waited.
-spec clean(telling()) -> telling().
clean(Telling) ->
    fall_asleep(with_subscribers(fun holt_subscribers:clean/1, Telling)).

-spec with_subscribers(Fun, telling()) -> telling() when
    Fun :: fun((holt_subscribers:subscribers()) -> holt_subscribers:subscribers()).
with_subscribers(Fun, #telling{subscribers = Subscribers} = Telling) ->
    Telling#telling{subscribers = Fun(Subscribers)}.

%% Who has been answered may have been the last.
-spec with_waiters(Fun, telling()) -> telling() when
    Fun :: fun((holt_name_waiters:waiters()) -> holt_name_waiters:waiters()).
with_waiters(Fun, #telling{waiters = Waiters} = Telling) ->
    fall_asleep(Telling#telling{waiters = Fun(Waiters)}).
