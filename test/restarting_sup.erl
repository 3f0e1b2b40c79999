%% SPDX-License-Identifier: Apache-2.0
%% @doc A supervisor that never gives up.
-module(restarting_sup).

-behaviour(supervisor).

-export([start_link/1, start_link_specs/1, start_child/1]).
-export([init/1]).

%% @doc Supervise one process, started by this fun.
-spec start_link(fun(() -> {ok, pid()} | {error, term()})) -> supervisor:startlink_ret().
start_link(Start) ->
    start_link_specs([#{id => child, start => {?MODULE, start_child, [Start]}}]).

%% @doc Supervise these.
-spec start_link_specs([supervisor:child_spec()]) -> supervisor:startlink_ret().
start_link_specs(Specs) ->
    supervisor:start_link(?MODULE, Specs).

%% @private
start_child(Start) ->
    Start().

%% @private
init(Specs) ->
    {ok, {#{intensity => 100000, period => 1}, Specs}}.
