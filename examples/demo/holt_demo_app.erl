%% SPDX-License-Identifier: Apache-2.0
%% @doc What each of the three nodes runs: an application with a registry in its tree.
%%
%% ```
%%   holt_demo_sup -+- demo                 the registry
%%                  +- holt_demo_counters   the processes that have names in it
%% '''
-module(holt_demo_app).

-behaviour(application).
-behaviour(supervisor).

-export([start/0, start_counter/1, start_counter/2]).
-export([start/2, stop/1]).
-export([init/1]).

-spec start() -> ok.
start() ->
    {ok, _} = application:ensure_all_started(holt),
    ok = application:load(
        {application, holt_demo, [
            {vsn, "1"},
            {applications, [kernel, stdlib, holt]},
            {mod, {?MODULE, []}}
        ]}
    ),
    application:start(holt_demo).

-spec start_counter(Key :: term()) -> {ok, pid()} | {error, term()}.
start_counter(Key) ->
    supervisor:start_child(holt_demo_counters, [Key]).

-spec start_counter(Key :: term(), Value :: term()) -> {ok, pid()} | {error, term()}.
start_counter(Key, Value) ->
    supervisor:start_child(holt_demo_counters, [Key, Value]).

%% @private
-spec start(application:start_type(), []) -> {ok, pid()} | {error, term()}.
start(_Type, []) ->
    supervisor:start_link({local, holt_demo_sup}, ?MODULE, top).

%% @private
-spec stop(term()) -> ok.
stop(_State) ->
    ok.

%% @private
-spec init(top | counters) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init(top) ->
    Registry = holt_registry:child_spec(#{name => demo}),
    Counters = #{
        id => counters,
        type => supervisor,
        start => {supervisor, start_link, [{local, holt_demo_counters}, ?MODULE, counters]}
    },
    {ok, {#{strategy => rest_for_one}, [Registry, Counters]}};
init(counters) ->
    %% Temporary: who has lost its name to another node is not started again here.
    Counter = #{
        id => counter,
        restart => temporary,
        start => {holt_demo_counter, start_link, []}
    },
    {ok, {#{strategy => simple_one_for_one}, [Counter]}}.
