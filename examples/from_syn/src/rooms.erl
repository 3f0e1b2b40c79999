%% SPDX-License-Identifier: Apache-2.0
%% @doc Rooms with names, formerly by syn.  Above each call stands what it was.
-module(rooms).

-behaviour(gen_server).

-export([open/2, find/1, list/0, count/0, count/1, enter/1, close/1, pid/1]).
-export([init/1, handle_call/3, handle_cast/2]).

-spec open(Name :: term(), Guests :: non_neg_integer()) -> {ok, pid()} | {error, term()}.
open(Name, Guests) ->
    %% gen_server:start({via, syn, {rooms, Name, #{guests => Guests}}}, ...)
    Via = {via, holt_registry, {rooms, Name, #{guests => Guests}}},
    gen_server:start(Via, ?MODULE, Name, []).

-spec find(Name :: term()) -> {pid(), map()} | undefined.
find(Name) ->
    %% syn:lookup(rooms, Name)
    case holt_registry:lookup(rooms, Name) of
        [{Pid, Meta}] -> {Pid, Meta};
        [] -> undefined
    end.

-spec pid(Name :: term()) -> pid() | undefined.
pid(Name) ->
    %% syn:whereis_name({rooms, Name})
    holt_registry:whereis_name({rooms, Name}).

%% syn has no list of names.
-spec list() -> [term()].
list() ->
    lists:sort([Name || {Name, _, _} <- holt_registry:to_list(rooms)]).

-spec count() -> non_neg_integer().
count() ->
    %% syn:registry_count(rooms)
    holt_registry:count(rooms).

-spec count(node()) -> non_neg_integer().
count(Node) ->
    %% syn:registry_count(rooms, Node)
    holt_registry:count(rooms, Node).

-spec enter(Name :: term()) -> {ok, pos_integer()} | {error, term()}.
enter(Name) ->
    %% syn:update_registry(rooms, Name, fun(_Pid, Meta) -> ... end)
    case pid(Name) of
        undefined ->
            {error, undefined};
        Pid ->
            More = fun(#{guests := Guests} = Meta) -> Meta#{guests := Guests + 1} end,
            case holt_registry:update_value(rooms, Name, Pid, More) of
                {#{guests := Guests}, _Old} -> {ok, Guests};
                error -> {error, undefined};
                {error, Reason} -> {error, Reason}
            end
    end.

-spec close(Name :: term()) -> ok | {error, term()}.
close(Name) ->
    %% syn:unregister(rooms, Name), which said {error, undefined} of a name that nobody has
    holt_registry:unregister(rooms, Name).

%%--------------------------------------------------------------------
%% A room

-spec init(Name :: term()) -> {ok, term()}.
init(Name) ->
    {ok, Name}.

-spec handle_call(name, gen_server:from(), Name) -> {reply, Name, Name}.
handle_call(name, _From, Name) ->
    {reply, Name, Name}.

-spec handle_cast(term(), Name) -> {noreply, Name}.
handle_cast(_, Name) ->
    {noreply, Name}.
