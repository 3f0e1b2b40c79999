%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The table in which subscriptions outlive the process that tells them.
%%
%% It belongs to {@link holt_sup}, and has rows of all instances:
%%
%% ```
%%   {{Name, Ref},      {Pid, Filter, IsListener, HasMissed}}   a subscription
%%   {{Name, position}, {Epoch, Next, clean | dirty}}           what has been told
%% '''
%%
%% There is a position while somebody is told of an instance or waits for one of its names.  It
%% is dirty while events are being told: who crashes then does not know to whom.  The table goes
%% with the application, while an instance may go on; then what is asked here finds nothing.
-module(holt_events_table).

-export([new/0, tid/0, read/1, insert/1, delete/2, forget/1, has_position/1]).

-export_type([row/0, position/0, subscription/0]).

-define(TABLE, holt_subscriptions).

-type position() :: {Epoch :: non_neg_integer(), Next :: non_neg_integer(), clean | dirty}.
-type subscription() ::
    {pid(), holt_events:filter(), IsListener :: boolean(), HasMissed :: boolean()}.
-type row() :: {{Name :: atom(), position}, position()} | {{atom(), reference()}, subscription()}.

%% @doc Make the table; it belongs to the calling process.
-spec new() -> ok.
new() ->
    ?TABLE = ets:new(?TABLE, [named_table, public, ordered_set]),
    ok.

%% @doc Which table it is: after the application was started again it is another one.
-spec tid() -> ets:tid() | undefined.
tid() ->
    ets:whereis(?TABLE).

%% @doc What there is of an instance.
-spec read(Name :: atom()) -> {position() | none, [{reference(), subscription()}]}.
read(Name) ->
    Rows = rows(Name),
    Position =
        case lists:keyfind({Name, position}, 1, Rows) of
            {_, Found} -> Found;
            false -> none
        end,
    {Position, [{Ref, Subscription} || {{_, Ref}, Subscription} <- Rows, is_reference(Ref)]}.

-spec insert(row() | [row()]) -> ok.
insert(Rows) ->
    _ = in_table(fun() -> ets:insert(?TABLE, Rows) end, true),
    ok.

-spec delete(Name :: atom(), reference() | position) -> ok.
delete(Name, What) ->
    _ = in_table(fun() -> ets:delete(?TABLE, {Name, What}) end, true),
    ok.

%% @doc Nobody is told of this instance any more.
-spec forget(Name :: atom()) -> ok.
forget(Name) ->
    lists:foreach(fun({{_, What}, _}) -> delete(Name, What) end, rows(Name)).

%% @doc Is anybody told of this instance, as far as is known?
-spec has_position(Name :: atom()) -> boolean().
has_position(Name) ->
    in_table(fun() -> ets:member(?TABLE, {Name, position}) end, false).

%%--------------------------------------------------------------------
%% Internal

%% Of one instance; its name may be an atom that has a meaning in patterns.
-spec rows(Name :: atom()) -> [row()].
rows(Name) ->
    %% Numbers come before all other terms.
    in_table(fun() -> rows(Name, {Name, 0}, []) end, []).

-spec rows(atom(), {atom(), term()}, [row()]) -> [row()].
rows(Name, Former, Rows) ->
    case ets:next(?TABLE, Former) of
        {Name, _} = Key -> rows(Name, Key, ets:lookup(?TABLE, Key) ++ Rows);
        _ -> Rows
    end.

%% Without the table it is the default.
-spec in_table(fun(() -> Result), Default :: Result) -> Result.
in_table(Fun, Default) ->
    try
        Fun()
    catch
        error:badarg -> Default
    end.
