%% SPDX-License-Identifier: Apache-2.0
-module(rooms_app).

-behaviour(application).
-behaviour(supervisor).

-export([start/2, stop/1]).
-export([init/1]).

-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_Type, _Arguments) ->
    %% Was: syn:add_node_to_scopes([rooms]), syn:set_event_handler(rooms_events), with
    %% resolve_registry_conflict/4 among its callbacks.  A registry stands in the tree
    %% instead, in front of those who use it.
    supervisor:start_link({local, rooms_sup}, ?MODULE, []).

-spec stop(term()) -> ok.
stop(_State) ->
    ok.

-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
    rooms_events = ets:new(rooms_events, [named_table, public, ordered_set]),
    Registry = holt_registry:child_spec(#{
        name => rooms,
        listeners => rooms_events,
        conflict => {rooms_events, resolve_registry_conflict},
        %% As with syn, where a resolver of one's own decides: who loses lives on.
        conflict_exit => none
    }),
    {ok, {#{}, [Registry]}}.
