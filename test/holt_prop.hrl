%% SPDX-License-Identifier: Apache-2.0
%%
%% PropEr's macros, without its parse transform: Debian's erlang-proper comes without the
%% header.  A property file includes this and exports prop_*/0; run with
%% `make test ONLY=prop`.
-ifndef(HOLT_PROP_HRL).
-define(HOLT_PROP_HRL, true).

%% For all X of a type, the property holds.
-define(FORALL(X, Type, Property),
    proper:forall(Type, fun(X) -> holt_prop:check(fun() -> Property end) end)
).
-define(IMPLIES(Condition, Property), proper:implies(Condition, fun() -> Property end)).
-define(WHENFAIL(Action, Property),
    proper:whenfail(fun() -> Action end, fun() -> Property end)
).
%% A type made from an instance X of another one.
-define(LET(X, Type, Made), proper_types:bind(Type, fun(X) -> Made end, false)).
-define(SUCHTHAT(X, Type, Condition),
    proper_types:add_constraint(Type, fun(X) -> Condition end, true)
).
-define(SIZED(Size, Type), proper_types:sized(fun(Size) -> Type end)).
-define(LAZY(Type), proper_types:lazy(fun() -> Type end)).

-endif.
