%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The application.  Instances live in the supervision trees of those who start
%% them; what all of them share is here.
%%
%% While it is stopped, other nodes do not see the names of this one.
-module(holt_app).

-behaviour(application).

-export([start/2, prep_stop/1, stop/1]).

%% @private
-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_Type, _Arguments) ->
    case [Key || Key <- later(), application:get_env(holt, Key) =/= undefined] of
        [] -> start_sup();
        [Key | _] -> {error, {setting_not_available, Key}}
    end.

-spec start_sup() -> {ok, pid()} | {error, term()}.
start_sup() ->
    case holt_sup:start_link() of
        {ok, Pid} ->
            %% What an earlier run of the application has left.
            ok = each_instance(fun holt_replica:resume/1),
            {ok, Pid};
        {error, Reason} ->
            {error, Reason}
    end.

%% Settings of the application that a later version will have: refused, not ignored.
-spec later() -> [atom()].
later() ->
    [node_allow, node_deny, discovery, gossip, telemetry, default].

%% @private
-spec prep_stop(State) -> State when State :: term().
prep_stop(State) ->
    ok = each_instance(fun holt_replica:pause/1),
    State.

%% @private
-spec stop(term()) -> ok.
stop(_State) ->
    ok.

-spec each_instance(fun((Name :: atom()) -> ok)) -> ok.
each_instance(Fun) ->
    lists:foreach(fun({Name, _OrphanMs}) -> Fun(Name) end, holt_nif:instances()).
