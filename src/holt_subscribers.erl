%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The subscribers of an instance: what each wants and has been told, and which of them are
%% slow.
%%
%% ```
%%   add --> told <------------------.
%%            |  mailbox too long    |  mailbox short again: {missed}
%%            '--------> slow -------'
%% '''
%%
%% <dl>
%% <dt>Position</dt>
%% <dd>How far the log has been told, to all subscribers alike; it is the token of each
%%     message.  Who has not been told all existing rows has a cursor, too.</dd>
%% <dt>Slow</dt>
%% <dd>is who has more messages in its mailbox than `subscriber_messages_max': nothing is sent to
%%     it until at most half as many are left.  A mailbox is looked at after so many events,
%%     but not more seldom than after each full batch: so it never has more than about twice
%%     the bound.</dd>
%% <dt>After a crash</dt>
%% <dd>the next process finds here what is in {@link holt_events_table}: who has subscribed, who
%%     has missed something, and whether the position is to be trusted.</dd>
%% </dl>
%%
%% This reads no log; {@link holt_telling} does.  It sends itself, the events process, `look_again'
%% when the mailboxes of slow ones are due, and gets for each subscriber that has ended the
%% message of its monitor, tagged `{holt_subscriber, Id}'.
-module(holt_subscribers).

%% Who there is
-export([new/2, subscriber/3, add/3, remove/2, restore/3, save/3]).
-export([is_member/2, is_empty/1, filter/2, listeners/1, counts/1]).
%% The position
-export([position/1, begin_at/3, advance/2, save_position/1, dirty/1, clean/1]).
%% Telling
-export([tell/3, tell_missed/1, tell_missed/2, send/3, send_at/4]).
%% Existing rows
-export([begin_rows/2, rows_due/2, rows_told/4]).
%% Slow subscribers
-export([is_slow/2, ready/1, take_in/2]).

-export_type([subscribers/0, subscriber/0, id/0]).

%% When to look at the mailboxes of the slow ones again, in milliseconds.
-define(SLOW_MS, 50).

-type id() :: reference().

-record(subscriber, {
    pid :: pid(),
    %% As soon as it is one.
    monitor = undefined :: undefined | reference(),
    filter :: holt_events:filter(),
    %% It has the last word before a loser exits.
    is_listener :: boolean(),
    %% Events since its mailbox was looked at.
    sent = 0 :: non_neg_integer()
}).

-record(subscribers, {
    name :: atom(),
    messages_max :: pos_integer(),
    %% The position: which life of the instance, and where in its log.
    epoch = 0 :: non_neg_integer(),
    next = 0 :: holt_events_log:place(),
    all = #{} :: #{id() => #subscriber{}},
    %% Who is told.  Those that are not in it are slow.
    routes = holt_routes:new() :: holt_routes:routes(),
    slow = #{} :: #{id() => []},
    %% Whether their mailboxes are looked at again soon.
    is_looking = false :: boolean(),
    %% Those who have not been told all existing rows, with the cursor of the next slice.
    cursors = #{} :: #{id() => non_neg_integer()},
    %% Which table has the subscriptions, and whether it says that events are being told.
    table :: undefined | ets:tid(),
    is_dirty = false :: boolean()
}).

-opaque subscribers() :: #subscribers{}.
-opaque subscriber() :: #subscriber{}.

%%--------------------------------------------------------------------
%% Who there is

%% @doc Nobody yet; each may have so many messages in its mailbox.
-spec new(Name :: atom(), MessagesMax :: pos_integer()) -> subscribers().
new(Name, MessagesMax) ->
    #subscribers{name = Name, messages_max = MessagesMax, table = holt_events_table:tid()}.

%% @doc A process that wants to be told.
-spec subscriber(pid(), holt_events:filter(), IsListener :: boolean()) -> subscriber().
subscriber(Pid, Filter, IsListener) ->
    #subscriber{pid = Pid, filter = Filter, is_listener = IsListener}.

%% @doc Tell this one, too, from the position on; the table does not know of it before {@link
%% save/3}.
-spec add(id(), subscriber(), subscribers()) -> subscribers().
add(Id, #subscriber{pid = Pid, filter = Filter} = New, #subscribers{} = Subscribers) ->
    #subscribers{all = All, routes = Routes} = Subscribers,
    Monitor = erlang:monitor(process, Pid, [{tag, {holt_subscriber, Id}}]),
    Subscribers#subscribers{
        all = All#{Id => New#subscriber{monitor = Monitor}},
        routes = holt_routes:add(Id, Filter, Routes)
    }.

%% @doc Somebody of the table.
-spec restore(id(), holt_events_table:subscription(), subscribers()) -> subscribers().
restore(Id, {Pid, Filter, IsListener, _HasMissed}, Subscribers) ->
    add(Id, subscriber(Pid, Filter, IsListener), Subscribers).

%% @doc Tell this one nothing any more.
-spec remove(id(), subscribers()) -> subscribers().
remove(Id, #subscribers{all = All, routes = Routes, slow = Slow} = Subscribers) ->
    case maps:take(Id, All) of
        {#subscriber{monitor = Monitor}, Rest} ->
            true = erlang:demonitor(Monitor, [flush]),
            ok = holt_events_table:delete(Subscribers#subscribers.name, Id),
            Subscribers#subscribers{
                all = Rest,
                routes = holt_routes:remove(Id, Routes),
                cursors = maps:remove(Id, Subscribers#subscribers.cursors),
                slow = maps:remove(Id, Slow)
            };
        error ->
            Subscribers
    end.

-spec is_member(id(), subscribers()) -> boolean().
is_member(Id, #subscribers{all = All}) ->
    is_map_key(Id, All).

-spec is_empty(subscribers()) -> boolean().
is_empty(#subscribers{all = All}) ->
    map_size(All) =:= 0.

-spec filter(id(), subscribers()) -> holt_events:filter().
filter(Id, #subscribers{all = All}) ->
    #{Id := #subscriber{filter = Filter}} = All,
    Filter.

%% @doc The listeners that are told everything.
-spec listeners(subscribers()) -> [pid()].
listeners(#subscribers{all = All, slow = Slow}) ->
    [
        Pid
     || {Id, #subscriber{is_listener = true, pid = Pid}} <- maps:to_list(All),
        not is_map_key(Id, Slow)
    ].

-spec counts(subscribers()) -> #{subscribers | scans | slow => non_neg_integer()}.
counts(#subscribers{all = All, cursors = Cursors, slow = Slow}) ->
    #{subscribers => map_size(All), scans => map_size(Cursors), slow => map_size(Slow)}.

%% @doc The next process after a crash is to tell it that it has missed something, or not.
-spec save(id(), HasMissed :: boolean(), subscribers()) -> subscribers().
save(Id, HasMissed, Subscribers) ->
    insert(row(Id, HasMissed, Subscribers), Subscribers).

-spec row(id(), boolean(), subscribers()) -> holt_events_table:row().
row(Id, HasMissed, #subscribers{name = Name, all = All}) ->
    #{Id := #subscriber{pid = Pid, filter = Filter, is_listener = IsListener}} = All,
    {{Name, Id}, {Pid, Filter, IsListener, HasMissed}}.

%% The table goes with the application; the instance does not.  A new one is told all.
-spec insert(holt_events_table:row(), subscribers()) -> subscribers().
insert(Row, #subscribers{table = Table} = Subscribers) ->
    case holt_events_table:tid() of
        Table ->
            ok = holt_events_table:insert(Row),
            Subscribers;
        Other ->
            #subscribers{all = All, cursors = Cursors, slow = Slow} = Subscribers,
            Rows = [
                row(Id, is_map_key(Id, Cursors) orelse is_map_key(Id, Slow), Subscribers)
             || Id <- maps:keys(All)
            ],
            %% The row comes last: it may be newer than its other self.
            ok = holt_events_table:insert(Rows ++ [Row]),
            Subscribers#subscribers{table = Other}
    end.

%%--------------------------------------------------------------------
%% The position

-spec position(subscribers()) -> holt_events:token().
position(#subscribers{epoch = Epoch, next = Next}) ->
    {Epoch, Next}.

%% @doc It is in the log of this life of the instance.
-spec begin_at(Epoch :: non_neg_integer(), holt_events_log:place(), subscribers()) ->
    subscribers().
begin_at(Epoch, Next, Subscribers) ->
    Subscribers#subscribers{epoch = Epoch, next = Next}.

%% @doc It is another place in the same log.
-spec advance(holt_events_log:place(), subscribers()) -> subscribers().
advance(Next, Subscribers) ->
    Subscribers#subscribers{next = Next}.

%% @doc From here on the table has a position.
-spec save_position(subscribers()) -> subscribers().
save_position(Subscribers) ->
    mark(false, Subscribers).

%% @doc Events are being told: who crashes now does not know to whom.
-spec dirty(subscribers()) -> subscribers().
dirty(#subscribers{is_dirty = true} = Subscribers) ->
    Subscribers;
dirty(Subscribers) ->
    mark(true, Subscribers).

%% @doc All has been told that is before the position.
-spec clean(subscribers()) -> subscribers().
clean(#subscribers{is_dirty = false} = Subscribers) ->
    Subscribers;
clean(Subscribers) ->
    mark(false, Subscribers).

-spec mark(IsDirty :: boolean(), subscribers()) -> subscribers().
mark(IsDirty, #subscribers{name = Name, epoch = Epoch, next = Next} = Subscribers) ->
    State =
        case IsDirty of
            true -> dirty;
            false -> clean
        end,
    insert(
        {{Name, position}, {Epoch, Next, State}}, Subscribers#subscribers{is_dirty = IsDirty}
    ).

%%--------------------------------------------------------------------
%% Telling

%% @doc Tell everybody what it wants of these changes, which end at this place.
-spec tell([holt_nif:change()], To :: holt_events_log:place(), subscribers()) -> subscribers().
tell(Changes, To, Subscribers) ->
    #subscribers{routes = Routes} = Dirty = dirty(Subscribers),
    {Common, All, Others} = holt_routes:collect(Changes, fun holt_events_log:event/1, Routes),
    Next = advance(To, Dirty),
    ToAll = lists:foldl(fun(Id, Acc) -> send(Id, Common, Acc) end, Next, All),
    lists:foldl(fun({Id, Events}, Acc) -> send(Id, Events, Acc) end, ToAll, Others).

%% @doc Tell everybody who is told that it has missed something.  What existing rows were still to
%% be told is part of what it has to read anew.
-spec tell_missed(subscribers()) -> subscribers().
tell_missed(#subscribers{routes = Routes} = Subscribers) ->
    lists:foldl(
        fun tell_missed/2, Subscribers#subscribers{cursors = #{}}, holt_routes:ids(Routes)
    ).

%% @doc Tell one that it has missed something.
-spec tell_missed(id(), subscribers()) -> subscribers().
tell_missed(Id, Subscribers) ->
    send(Id, [holt_events_log:missed()], save(Id, false, Subscribers)).

%% @doc Send events to one, in as many messages as that takes.
-spec send(id(), [holt_events:event()], subscribers()) -> subscribers().
send(Id, Events, #subscribers{next = Next} = Subscribers) ->
    Max = holt_events_log:batch_max(),
    case length(Events) > Max of
        true ->
            {Batch, Rest} = lists:split(Max, Events),
            send(Id, Rest, send_at(Id, Batch, Next, Subscribers));
        false ->
            send_at(Id, Events, Next, Subscribers)
    end.

%% @doc Send one message about events up to this place.
-spec send_at(id(), [holt_events:event()], holt_events_log:place(), subscribers()) ->
    subscribers().
send_at(_Id, [], _Next, Subscribers) ->
    Subscribers;
send_at(Id, Events, Next, #subscribers{all = All, epoch = Epoch} = Subscribers) ->
    #subscribers{messages_max = MessagesMax} = Subscribers,
    #{Id := #subscriber{pid = Pid, sent = Before} = Subscriber} = All,
    _ = Pid ! {holt, Id, {Epoch, Next}, Events},
    Sent = Before + length(Events),
    case Sent < min(MessagesMax, holt_events_log:batch_max()) of
        true ->
            Subscribers#subscribers{all = All#{Id := Subscriber#subscriber{sent = Sent}}};
        false ->
            Looked = Subscribers#subscribers{all = All#{Id := Subscriber#subscriber{sent = 0}}},
            case queue_length(Pid) > MessagesMax of
                true -> leave_out(Id, Looked);
                false -> Looked
            end
    end.

%%--------------------------------------------------------------------
%% Existing rows

%% @doc One more is told the rows that there are.
-spec begin_rows(id(), subscribers()) -> subscribers().
begin_rows(Id, #subscribers{cursors = Cursors} = Subscribers) ->
    %% Whatever happens until that has ended: the table says that something is missing.
    save(Id, true, Subscribers#subscribers{cursors = Cursors#{Id => 0}}).

%% @doc Is one to be told more rows, and from which cursor on?  It is busy while its mailbox is
%% more than half full.
-spec rows_due(id(), subscribers()) -> {due, Cursor :: non_neg_integer()} | busy | no.
rows_due(Id, #subscribers{cursors = Cursors, all = All, messages_max = MessagesMax}) ->
    case Cursors of
        #{Id := Cursor} ->
            #{Id := #subscriber{pid = Pid}} = All,
            case queue_length(Pid) > MessagesMax div 2 of
                true -> busy;
                false -> {due, Cursor}
            end;
        #{} ->
            no
    end.

%% @doc Tell it some rows; the cursor is that of those behind them.
-spec rows_told(id(), [holt_events:event()], pos_integer() | done, subscribers()) ->
    subscribers().
rows_told(Id, Events, Next, Subscribers) ->
    Told = #subscribers{cursors = Cursors} = send(Id, Events, Subscribers),
    case {Cursors, Next} of
        {#{Id := _}, done} ->
            save(Id, false, Told#subscribers{cursors = maps:remove(Id, Cursors)});
        {#{Id := _}, _} ->
            Told#subscribers{cursors = Cursors#{Id := Next}};
        %% It has become slow.
        _ ->
            Told
    end.

%%--------------------------------------------------------------------
%% Slow subscribers

-spec is_slow(id(), subscribers()) -> boolean().
is_slow(Id, #subscribers{slow = Slow}) ->
    is_map_key(Id, Slow).

%% Zero for who is dead: its end is told soon.
-spec queue_length(pid()) -> non_neg_integer().
queue_length(Pid) ->
    case process_info(Pid, message_queue_len) of
        {message_queue_len, Length} -> Length;
        undefined -> 0
    end.

-spec leave_out(id(), subscribers()) -> subscribers().
leave_out(Id, #subscribers{slow = Slow, routes = Routes, cursors = Cursors} = Subscribers) ->
    Left = Subscribers#subscribers{
        slow = Slow#{Id => []},
        routes = holt_routes:remove(Id, Routes),
        cursors = maps:remove(Id, Cursors)
    },
    look_soon(save(Id, true, Left)).

-spec look_soon(subscribers()) -> subscribers().
look_soon(#subscribers{is_looking = false, slow = Slow} = Subscribers) when
    map_size(Slow) > 0
->
    _ = erlang:send_after(?SLOW_MS, self(), look_again),
    Subscribers#subscribers{is_looking = true};
look_soon(Subscribers) ->
    Subscribers.

%% @doc Those that are slow no longer.  Nothing is told to them before {@link take_in/2}.
-spec ready(subscribers()) -> {[id()], subscribers()}.
ready(#subscribers{slow = Slow, all = All, messages_max = MessagesMax} = Subscribers) ->
    Ready = [
        Id
     || Id <- maps:keys(Slow),
        #{Id := #subscriber{pid = Pid}} <- [All],
        queue_length(Pid) =< MessagesMax div 2
    ],
    Left = Subscribers#subscribers{is_looking = false, slow = maps:without(Ready, Slow)},
    {Ready, look_soon(Left)}.

%% @doc Tell it that it has missed something, and then everything again.
-spec take_in(id(), subscribers()) -> subscribers().
take_in(Id, #subscribers{routes = Routes} = Subscribers) ->
    Added = holt_routes:add(Id, filter(Id, Subscribers), Routes),
    tell_missed(Id, Subscribers#subscribers{routes = Added}).
