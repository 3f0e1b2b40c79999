%% SPDX-License-Identifier: Apache-2.0
%% @doc A process with a name: a GenServer as they are written everywhere.
%%
%% All that makes it one of holt's is the `{via, holt_registry, _}' it is started with.
-module(holt_demo_counter).

-behaviour(gen_server).

-export([start_link/1, start_link/2, add/2, where/1]).
-export([init/1, handle_call/3, handle_cast/2]).

-spec start_link(Key :: term()) -> {ok, pid()} | {error, term()}.
start_link(Key) ->
    gen_server:start_link(via(Key), ?MODULE, [], []).

-spec start_link(Key :: term(), Value :: term()) -> {ok, pid()} | {error, term()}.
start_link(Key, Value) ->
    gen_server:start_link({via, holt_registry, {demo, Key, Value}}, ?MODULE, [], []).

-spec add(Key :: term(), integer()) -> integer().
add(Key, N) ->
    gen_server:call(via(Key), {add, N}).

%% @doc The node on which the counter of this name counts.
-spec where(Key :: term()) -> node().
where(Key) ->
    gen_server:call(via(Key), where).

via(Key) ->
    {via, holt_registry, {demo, Key}}.

%% @private
-spec init([]) -> {ok, integer()}.
init([]) ->
    {ok, 0}.

%% @private
-spec handle_call({add, integer()} | where, gen_server:from(), integer()) ->
    {reply, integer() | node(), integer()}.
handle_call({add, N}, _From, Count) ->
    {reply, Count + N, Count + N};
handle_call(where, _From, Count) ->
    {reply, node(), Count}.

%% @private
-spec handle_cast(term(), integer()) -> {noreply, integer()}.
handle_cast(_, Count) ->
    {noreply, Count}.
