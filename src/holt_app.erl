%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The application.  Instances live in the supervision trees of those who start
%% them; what all of them share is here.
-module(holt_app).

-behaviour(application).

-export([start/2, stop/1]).

%% @private
-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_Type, _Arguments) ->
    holt_sup:start_link().

%% @private
-spec stop(term()) -> ok.
stop(_State) ->
    ok.
