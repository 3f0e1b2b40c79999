%% SPDX-License-Identifier: Apache-2.0
%% @doc A counter that is found by its name.  After `make all', from the top folder:
%%
%% ```
%%   escript examples/erlang/counter.erl
%% '''
-module(counter).
-mode(compile).

-behaviour(gen_server).

-export([start_link/1, add/2, main/1]).
-export([init/1, handle_call/3, handle_cast/2]).

-spec start_link(Name :: term()) -> {ok, pid()} | {error, term()}.
start_link(Name) ->
    gen_server:start_link(via(Name), ?MODULE, [], []).

-spec add(Name :: term(), integer()) -> integer().
add(Name, N) ->
    gen_server:call(via(Name), {add, N}).

via(Name) ->
    {via, holt_registry, {counters, Name}}.

-spec init([]) -> {ok, integer()}.
init([]) ->
    {ok, 0}.

-spec handle_call({add, integer()}, gen_server:from(), integer()) ->
    {reply, integer(), integer()}.
handle_call({add, N}, _From, Count) ->
    {reply, Count + N, Count + N}.

-spec handle_cast(term(), integer()) -> {noreply, integer()}.
handle_cast(_, Count) ->
    {noreply, Count}.

-spec main([string()]) -> ok.
main(_) ->
    Top = filename:join(filename:dirname(escript:script_name()), "../.."),
    true = code:add_patha(filename:join(Top, "_build/default/lib/holt/ebin")),
    {ok, _} = application:ensure_all_started(holt),
    %% In an application of your own, its supervisor has a child
    %% holt_registry:child_spec(#{name => counters}).
    {ok, _} = holt_registry:start_link(#{name => counters}),

    {ok, Pid} = start_link({page, "/index.html"}),
    1 = add({page, "/index.html"}, 1),
    5 = add({page, "/index.html"}, 4),
    Pid = holt_registry:whereis_name({counters, {page, "/index.html"}}),
    {error, {already_started, Pid}} = start_link({page, "/index.html"}),
    io:format("~p counts for ~p~n", [Pid, holt_registry:keys(counters, Pid)]),

    ok = gen_server:stop(Pid),
    undefined = holt_registry:whereis_name({counters, {page, "/index.html"}}),
    io:format("stopped, and its name is free again~n").
