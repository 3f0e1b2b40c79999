%% SPDX-License-Identifier: Apache-2.0
%% @doc What the macros of holt_prop.hrl need at run time.
-module(holt_prop).

-export([check/1]).

%% @doc A property that raises is a property that does not hold.
%%
%% Said here because the PropEr of Debian 12 asks for the stack in a way that
%% OTP 24 and later no longer know, and so would lose the reason.
-spec check(fun(() -> Property)) -> Property | proper:test().
check(Property) ->
    try
        Property()
    catch
        Class:Reason:Stack ->
            Print = fun() -> io:format("~p: ~p~n~p~n", [Class, Reason, Stack]) end,
            proper:whenfail(Print, fun() -> false end)
    end.
