%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc What the native code has for those who are told: the log of changes, the rows that
%% there are, and both as events.
%%
%% ```
%%    log:   [ 0 1 2 ... From ... To ... head ]       read(Name, From) --> {Changes, To}
%%    rows:  [ slice | slice | ... ]                  rows(Name, Filter, Cursor)
%% '''
%%
%% There is no state here: who reads knows how far it is.
-module(holt_events_log).

-export([open/1, actor/1, head/1, read/2, read/3, read_to/3, rows/3]).
-export([event/1, initial/1, missed/0, batch_max/0]).

-export_type([chunk/0, place/0]).

%% Changes read at once, and so events in a message, at most.
-define(BATCH_MAX, 500).

%% The number of a change.
-type place() :: non_neg_integer().

%% Some changes, or that they are no longer kept; and where it goes on.
-type chunk() :: {[holt_nif:change()] | missed, To :: place()}.

-spec batch_max() -> pos_integer().
batch_max() ->
    ?BATCH_MAX.

%%--------------------------------------------------------------------
%% The log

%% @doc Have changes logged from now on, and said to the calling process, `holt_changes', when
%% it has read all that there were.  Where the log ends now, and whose it is.
-spec open(Name :: atom()) -> {ok, holt_nif:actor(), place()} | {error, no_instance}.
open(Name) ->
    _ = holt_nif:watch(Name),
    case {holt_nif:head(Name), actor(Name)} of
        {Head, {ok, Actor}} when is_integer(Head) -> {ok, Actor, skip(Name, Head)};
        _ -> {error, no_instance}
    end.

%% What nobody was there to read is skipped; so the next change is said.
-spec skip(atom(), place()) -> place().
skip(Name, From) ->
    case read(Name, From) of
        {_, To} -> skip(Name, To);
        none -> From
    end.

%% @doc Which life of the instance this is.
-spec actor(Name :: atom()) -> {ok, holt_nif:actor()} | {error, no_instance}.
actor(Name) ->
    case holt_nif:info(Name) of
        #{actor := Actor} -> {ok, Actor};
        {invalid, _} -> {error, no_instance}
    end.

%% @doc Where the log ends.
-spec head(Name :: atom()) -> {ok, place()} | {error, no_instance}.
head(Name) ->
    case holt_nif:head(Name) of
        Head when is_integer(Head) -> {ok, Head};
        {invalid, _} -> {error, no_instance}
    end.

%% @equiv read(Name, From, batch_max())
-spec read(Name :: atom(), place()) -> chunk() | none.
read(Name, From) ->
    read(Name, From, ?BATCH_MAX).

%% @doc Some changes, or that they are no longer kept, or nothing.
-spec read(Name :: atom(), place(), Max :: pos_integer()) -> chunk() | none.
read(Name, From, Max) ->
    case holt_nif:changes(Name, From, min(Max, ?BATCH_MAX)) of
        {invalid, _} -> none;
        {[], From} -> none;
        {Changes, To} -> {Changes, To};
        {missed, _Oldest, To} -> {missed, To}
    end.

%% @doc All that is before this place, and which keys it is about.
-spec read_to(Name :: atom(), place(), Head :: place()) -> {[chunk()], #{Key :: term() => []}}.
read_to(Name, From, Head) ->
    read_to(Name, From, Head, [], #{}).

-spec read_to(atom(), place(), place(), [chunk()], #{term() => []}) ->
    {[chunk()], #{term() => []}}.
read_to(_Name, From, Head, Chunks, Keys) when From >= Head ->
    {lists:reverse(Chunks), Keys};
read_to(Name, From, Head, Chunks, Keys) ->
    case read(Name, From) of
        none ->
            {lists:reverse(Chunks), Keys};
        {missed, To} ->
            read_to(Name, To, Head, [{missed, To} | Chunks], Keys);
        {Changes, To} ->
            More = maps:from_list([{element(3, C), []} || C <- Changes, tuple_size(C) =:= 6]),
            read_to(Name, To, Head, [{Changes, To} | Chunks], maps:merge(Keys, More))
    end.

%%--------------------------------------------------------------------
%% Existing rows

%% @doc A slice of the rows, and the cursor of the next one.
-spec rows(Name :: atom(), holt_events:filter(), Cursor :: non_neg_integer()) ->
    {[{Key :: term(), pid(), Value :: binary()}], pos_integer() | done} | holt_nif:invalid().
rows(Name, {key, Key}, 0) ->
    case holt_nif:lookup(Name, Key) of
        {invalid, Cause} -> {invalid, Cause};
        Rows -> {[{Key, Pid, Value} || {Pid, Value} <- Rows], done}
    end;
rows(Name, Filter, Cursor) ->
    holt_nif:next(Name, Cursor, Filter).

%%--------------------------------------------------------------------
%% Events

%% @doc What is told of a change.
-spec event(holt_nif:change()) -> holt_events:event().
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

%% @doc What is told of a row that there was already.
-spec initial({Key :: term(), pid(), Value :: binary()}) -> holt_events:event().
initial({Key, Pid, Binary}) ->
    Value = holt_registry:decode(Binary),
    #{type => registered, key => Key, pid => Pid, value => Value, initial => true}.

%% @doc What is told instead of what cannot be told.
-spec missed() -> holt_events:event().
missed() ->
    #{type => missed}.
