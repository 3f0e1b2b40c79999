%% SPDX-License-Identifier: Apache-2.0
%% @doc Who takes part in an instance, and how it is.
-module(holt_cluster).

-export([members/1, info/1]).

-export_type([member/0]).

%% The name of an instance, and a node that runs it.
-type member() :: {Name :: atom(), node()}.

-define(BADARG(Cause, Arguments), erlang:error(badarg, Arguments, holt_error:info(Cause))).

%% @doc The members that this node is connected to, itself included.
-spec members(Instance :: atom()) -> [member()].
members(Instance) ->
    case holt_nif:members(Instance) of
        {invalid, Cause} -> ?BADARG(Cause, [Instance]);
        Members -> lists:sort(Members)
    end.

%% @doc What this node's copy of an instance holds, in numbers.
%%
%% `actors' are the writers it knows of: copies with equal `actor' and `version' hold
%% the same names and have the same `fingerprint'.  `peers' are the links, with how far
%% they have come.  `refused' counts what others sent in a form that is not allowed.
-spec info(Instance :: atom()) -> #{atom() => term()}.
info(Instance) ->
    case holt_nif:info(Instance) of
        {invalid, Cause} -> ?BADARG(Cause, [Instance]);
        Info -> Info#{name => Instance}
    end.
