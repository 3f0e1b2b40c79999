%% SPDX-License-Identifier: Apache-2.0
%% @doc The callbacks of a syn_event_handler, as they were, but for the argument of the
%% resolver that was a time: it is a stamp, to be compared and nothing else.
-module(rooms_events).

-export([on_process_registered/5, on_registry_process_updated/5, on_process_unregistered/5]).
-export([resolve_registry_conflict/4]).
-export([all/0]).

-spec on_process_registered(atom(), term(), pid(), term(), term()) -> ok.
on_process_registered(rooms, Name, _Pid, Meta, Reason) ->
    note({opened, Name, Meta, Reason}).

-spec on_registry_process_updated(atom(), term(), pid(), term(), term()) -> ok.
on_registry_process_updated(rooms, Name, _Pid, Meta, Reason) ->
    note({changed, Name, Meta, Reason}).

-spec on_process_unregistered(atom(), term(), pid(), term(), term()) -> ok.
on_process_unregistered(rooms, Name, _Pid, Meta, Reason) ->
    note({closed, Name, Meta, Reason}).

%% Two rooms of one name meet: the one with more guests stays.
-spec resolve_registry_conflict(
    atom(), term(), {pid(), map(), Stamp :: term()}, {pid(), map(), Stamp :: term()}
) -> pid().
resolve_registry_conflict(rooms, _Name, {Pid1, #{guests := Guests1}, _}, {Pid2, Meta2, _}) ->
    case Meta2 of
        #{guests := Guests2} when Guests2 > Guests1 -> Pid2;
        #{} -> Pid1
    end.

%% @doc What has been told on this node, in order.
-spec all() -> [tuple()].
all() ->
    [Event || {_, Event} <- ets:tab2list(rooms_events)].

note(Event) ->
    true = ets:insert(rooms_events, {erlang:unique_integer([monotonic]), Event}),
    ok.
