%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The top supervisor.  It owns the tables of roots, of members and of subscriptions, so
%% that they are found again after a crash.
-module(holt_sup).

-behaviour(supervisor).

-export([start_link/0]).
-export([init/1]).

%% @doc Start the supervisor of the application.
-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case supervisor:start_link({local, ?MODULE}, ?MODULE, []) of
        {ok, Pid} -> {ok, Pid};
        {error, Reason} -> {error, Reason};
        ignore -> {error, ignore}
    end.

%% @private
-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
    ok = holt_janitor:new_table(),
    ok = holt_members:new_table(),
    ok = holt_events_table:new(),
    Janitor = #{id => holt_janitor, start => {holt_janitor, start_link, []}},
    {ok, {#{strategy => one_for_one, intensity => 5, period => 10}, [Janitor]}}.
