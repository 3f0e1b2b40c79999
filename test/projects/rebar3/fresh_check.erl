%% SPDX-License-Identifier: Apache-2.0
%% @doc What a project that has just added holt would try first.
-module(fresh_check).

-behaviour(gen_server).

-export([main/0]).
-export([init/1, handle_call/3, handle_cast/2]).

main() ->
    {ok, _} = application:ensure_all_started(holt),
    {ok, _} = holt_registry:start_link(#{name => fresh}),
    Name = {via, holt_registry, {fresh, {user, 7}}},
    undefined = holt_registry:whereis_name({fresh, {user, 7}}),
    {ok, Pid} = gen_server:start_link(Name, ?MODULE, hello, []),
    Pid = holt_registry:whereis_name({fresh, {user, 7}}),
    hello = gen_server:call(Name, get),
    {error, {already_started, Pid}} = gen_server:start_link(Name, ?MODULE, other, []),
    ok = gen_server:stop(Name),
    undefined = holt_registry:whereis_name({fresh, {user, 7}}),
    ok.

init(State) -> {ok, State}.

handle_call(get, _From, State) -> {reply, State, State}.

handle_cast(_Message, State) -> {noreply, State}.
