%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The listeners of an instance: processes that get the messages of Elixir's Registry,
%% and modules with the callbacks of syn.
%%
%% Those are told of each name by itself, also when a member with all its names goes or comes
%% back.  So this process, a subscriber like others, has a copy of the rows: what it was not
%% told it finds by comparing the copy with the instance.  Callbacks run here; what they raise
%% is logged, and while one takes its time only listeners wait.
%%
%% ```
%%   event of one name             --> the copy, and a message for each half of it
%%   member_up, member_down, missed --> the copy compared with the rows
%%   exit_after                    --> a loser exits: its listeners have been told
%% '''
-module(holt_listener).

-behaviour(gen_server).

-include_lib("kernel/include/logger.hrl").

%% API
-export([start_link/1]).
%% gen_server callbacks
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2]).

%% Lines in the log about callbacks that raise: one in this time.
-define(LOG_MS, 1000).

%% A key's row: who has it, with which value.  Duplicate keys have several.
-type row() :: {pid(), Value :: term()}.
-type reason() :: holt_nif:reason() | {member_up | member_down, node()}.

-record(data, {
    name :: atom(),
    keys :: unique | duplicate,
    processes :: [atom()],
    modules :: [module()],
    %% {Key, [row()]}
    copy :: ets:table(),
    ref = undefined :: undefined | reference(),
    %% Callbacks that have raised since that was logged, and when that was.
    raised = 0 :: non_neg_integer(),
    logged_ms = undefined :: undefined | integer()
}).

%% @doc Start the listener process of an instance.
-spec start_link(holt_options:config()) -> {ok, pid()} | {error, term()}.
start_link(Config) ->
    case gen_server:start_link(?MODULE, Config, []) of
        {ok, Pid} -> {ok, Pid};
        {error, Reason} -> {error, Reason};
        ignore -> {error, ignore}
    end.

%%--------------------------------------------------------------------
%% gen_server callbacks

%% @private
-spec init(holt_options:config()) -> {ok, #data{}, {continue, subscribe}}.
init(#{name := Name, keys := Keys, listeners := Listeners}) ->
    Data = #data{
        name = Name,
        keys = Keys,
        processes = [Process || Process <- Listeners, is_atom(Process)],
        modules = [Module || {module, Module} <- Listeners],
        copy = ets:new(?MODULE, [private])
    },
    {ok, Data, {continue, subscribe}}.

%% @private
-spec handle_continue(subscribe, #data{}) -> {noreply, #data{}} | {stop, normal, #data{}}.
handle_continue(subscribe, #data{name = Name} = Data) ->
    case holt_events:subscribe_listener(Name) of
        {ok, Ref} -> {noreply, Data#data{ref = Ref}};
        {error, no_instance} -> {stop, normal, Data}
    end.

%% @private
-spec handle_call(term(), gen_server:from(), #data{}) -> {reply, term(), #data{}}.
handle_call(_Request, _From, Data) ->
    {reply, {error, unsupported}, Data}.

%% @private
-spec handle_cast(term(), #data{}) -> {noreply, #data{}}.
handle_cast(_Message, Data) ->
    {noreply, Data}.

%% @private
-spec handle_info(term(), #data{}) -> {noreply, #data{}}.
handle_info({holt, Ref, _Token, Events}, #data{ref = Ref} = Data) ->
    {noreply, lists:foldl(fun take/2, Data, Events)};
handle_info({exit_after, Loser, Reason}, Data) ->
    true = exit(Loser, Reason),
    {noreply, Data};
handle_info(_Message, Data) ->
    {noreply, Data}.

%%--------------------------------------------------------------------
%% Events

-spec take(holt_events:event(), #data{}) -> #data{}.
take(#{initial := true, key := Key, pid := Pid, value := Value}, Data) ->
    put_row(Key, {Pid, Value}, user, Data);
take(#{type := registered} = Event, Data) ->
    #{key := Key, pid := Pid, value := Value, previous := Previous, reason := Reason} = Event,
    put_row(Key, {Pid, Value}, Reason, delete_former(Key, Previous, Reason, Data));
take(#{type := updated, key := Key, pid := Pid, value := Value} = Event, Data) ->
    #{previous := {_, Former}, reason := Reason} = Event,
    update_row(Key, {Pid, Former}, {Pid, Value}, Reason, Data);
take(#{type := unregistered, key := Key, pid := Pid, value := Value, reason := Reason}, Data) ->
    delete_row(Key, {Pid, Value}, Reason, Data);
take(#{member := _, count := 0}, Data) ->
    Data;
take(#{type := Type, member := {_, Node}}, Data) ->
    compare(fun(Pid) -> node(Pid) =:= Node end, {Type, Node}, Data);
take(#{type := missed}, Data) ->
    compare(fun(_) -> true end, unknown, Data).

-spec delete_former(term(), row() | undefined, reason(), #data{}) -> #data{}.
delete_former(_Key, undefined, _Reason, Data) ->
    Data;
delete_former(Key, Former, Reason, Data) ->
    delete_row(Key, Former, Reason, Data).

%% The rows may be ahead of the events, after they have been compared: what is told then
%% was told before.
-spec put_row(term(), row(), reason(), #data{}) -> #data{}.
put_row(Key, {Pid, _} = Row, Reason, #data{keys = Keys} = Data) ->
    Rows = rows(Key, Data),
    case {lists:member(Row, Rows), lists:keyfind(Pid, 1, Rows)} of
        {true, _} when Keys =:= unique -> Data;
        {_, {Pid, _} = Former} when Keys =:= unique ->
            update_row(Key, Former, Row, Reason, Data);
        _ ->
            Others = lists:foldl(
                fun(Former, Acc) -> delete_row(Key, Former, Reason, Acc) end,
                Data,
                [Former || Former <- Rows, Keys =:= unique]
            ),
            tell_registered(Key, Row, Reason, store(Key, [Row | rows(Key, Others)], Others))
    end.

-spec update_row(term(), row(), row(), reason(), #data{}) -> #data{}.
update_row(Key, {Pid, Former}, {Pid, _} = Row, Reason, Data) ->
    Rows = rows(Key, Data),
    case {lists:member({Pid, Former}, Rows), lists:member(Row, Rows)} of
        {true, _} ->
            Stored = store(Key, [Row | lists:delete({Pid, Former}, Rows)], Data),
            tell_updated(Key, {Pid, Former}, Row, Reason, Stored);
        {false, true} ->
            Data;
        {false, false} ->
            put_row(Key, Row, Reason, Data)
    end.

%% With another value it is the same one, where keys are unique.
-spec delete_row(term(), row(), reason(), #data{}) -> #data{}.
delete_row(Key, {Pid, _} = Row, Reason, #data{keys = Keys} = Data) ->
    Rows = rows(Key, Data),
    case {lists:member(Row, Rows), lists:keyfind(Pid, 1, Rows)} of
        {true, _} ->
            tell_unregistered(Key, Row, Reason, store(Key, lists:delete(Row, Rows), Data));
        {false, {Pid, _} = Known} when Keys =:= unique ->
            tell_unregistered(Key, Known, Reason, store(Key, lists:delete(Known, Rows), Data));
        _ ->
            Data
    end.

%%--------------------------------------------------------------------
%% The copy

-spec rows(term(), #data{}) -> [row()].
rows(Key, #data{copy = Copy}) ->
    case ets:lookup(Copy, Key) of
        [{Key, Rows}] -> Rows;
        [] -> []
    end.

-spec store(term(), [row()], #data{}) -> #data{}.
store(Key, Rows, #data{copy = Copy} = Data) ->
    true =
        case Rows of
            [] -> ets:delete(Copy, Key);
            _ -> ets:insert(Copy, {Key, Rows})
        end,
    Data.

%% Tell what is different for these rows, here and there.
-spec compare(fun((pid()) -> boolean()), reason(), #data{}) -> #data{}.
compare(Is, Reason, #data{name = Name, copy = Copy} = Data) ->
    Known = ets:foldl(
        fun({Key, Rows}, Keys) ->
            case is_any(Is, Rows) of
                true -> [Key | Keys];
                false -> Keys
            end
        end,
        [],
        Copy
    ),
    Compared = lists:foldl(fun(Key, Acc) -> compare_key(Key, Is, Reason, Acc) end, Data, Known),
    compare_slices(Name, 0, Is, Reason, Compared).

-spec compare_slices(atom(), non_neg_integer(), fun((pid()) -> boolean()), reason(), #data{}) ->
    #data{}.
compare_slices(Name, Cursor, Is, Reason, Data) ->
    case holt_nif:next(Name, Cursor, bare) of
        {invalid, _} ->
            Data;
        {Slice, Next} ->
            Keys = [Key || {Key, Pid, _Value} <- Slice, Is(Pid)],
            New = [Key || Key <- lists:usort(Keys), is_new(Key, Is, Data)],
            Compared = lists:foldl(
                fun(Key, Acc) -> compare_key(Key, Is, Reason, Acc) end, Data, New
            ),
            case Next of
                done -> Compared;
                _ -> compare_slices(Name, Next, Is, Reason, Compared)
            end
    end.

%% Unique keys that are known have been compared.
-spec is_new(term(), fun((pid()) -> boolean()), #data{}) -> boolean().
is_new(Key, Is, #data{keys = unique} = Data) ->
    not is_any(Is, rows(Key, Data));
is_new(_Key, _Is, _Data) ->
    true.

-spec is_any(fun((pid()) -> boolean()), [row()]) -> boolean().
is_any(Is, Rows) ->
    lists:any(fun({Pid, _}) -> Is(Pid) end, Rows).

-spec compare_key(term(), fun((pid()) -> boolean()), reason(), #data{}) -> #data{}.
compare_key(Key, Is, Reason, #data{name = Name} = Data) ->
    Rows = rows(Key, Data),
    case holt_read:lookup(Name, Key) of
        {invalid, _} ->
            Data;
        Now ->
            case is_event_left(Rows ++ Now, Is, Data) of
                true -> Data;
                false -> replace(Key, Rows, Now, Is, Reason, Data)
            end
    end.

%% A unique name that goes from one member to another is told of by itself.
-spec is_event_left([row()], fun((pid()) -> boolean()), #data{}) -> boolean().
is_event_left(_Rows, _Is, #data{keys = duplicate}) ->
    false;
is_event_left(Rows, Is, _Data) ->
    not lists:all(fun({Pid, _}) -> Is(Pid) end, Rows).

-spec replace(term(), [row()], [row()], fun((pid()) -> boolean()), reason(), #data{}) -> #data{}.
replace(Key, Rows, Now, Is, Reason, Data) ->
    Gone = [
        Row
     || {Pid, _} = Row <- Rows -- Now, Is(Pid), not is_updated(Row, Now, Data)
    ],
    New = [Row || {Pid, _} = Row <- Now -- Rows, Is(Pid)],
    Without = lists:foldl(fun(Row, Acc) -> delete_row(Key, Row, Reason, Acc) end, Data, Gone),
    lists:foldl(fun(Row, Acc) -> put_row(Key, Row, Reason, Acc) end, Without, New).

%% Its process has the name still, with another value.
-spec is_updated(row(), [row()], #data{}) -> boolean().
is_updated({Pid, _}, Now, #data{keys = Keys}) ->
    Keys =:= unique andalso lists:keymember(Pid, 1, Now).

%%--------------------------------------------------------------------
%% Listeners

-spec tell_registered(term(), row(), reason(), #data{}) -> #data{}.
tell_registered(Key, {Pid, Value}, Reason, #data{name = Name} = Data) ->
    ok = send({register, Name, Key, Pid, Value}, Data),
    Why = syn_reason(registered, Reason, Name),
    callback(on_process_registered, [Name, Key, Pid, Value, Why], Data).

-spec tell_unregistered(term(), row(), reason(), #data{}) -> #data{}.
tell_unregistered(Key, {Pid, Value}, Reason, #data{name = Name} = Data) ->
    ok = send({unregister, Name, Key, Pid}, Data),
    Why = syn_reason(unregistered, Reason, Name),
    callback(on_process_unregistered, [Name, Key, Pid, Value, Why], Data).

%% Elixir's Registry does not tell of values.
-spec tell_updated(term(), row(), row(), reason(), #data{}) -> #data{}.
tell_updated(Key, {Pid, Former}, {Pid, Value}, Reason, #data{name = Name} = Data) ->
    Why = syn_reason(updated, Reason, Name),
    Called = callback(on_registry_process_updated, [Name, Key, Pid, Value, Why], Data),
    callback(on_registry_process_updated, [Name, Key, Pid, Former, Value, Why], Called).

%% One that is not there, for now, gets nothing.
-spec send(tuple(), #data{}) -> ok.
send(Message, #data{processes = Processes}) ->
    lists:foreach(
        fun(Process) ->
            case whereis(Process) of
                undefined -> ok;
                To -> To ! Message
            end
        end,
        Processes
    ).

-spec callback(atom(), [term()], #data{}) -> #data{}.
callback(Function, Arguments, #data{modules = Modules} = Data) ->
    lists:foldl(
        fun(Module, Acc) ->
            case erlang:function_exported(Module, Function, length(Arguments)) of
                true -> call(Module, Function, Arguments, Acc);
                false -> Acc
            end
        end,
        Data,
        Modules
    ).

-spec call(module(), atom(), [term()], #data{}) -> #data{}.
call(Module, Function, Arguments, Data) ->
    try
        _ = apply(Module, Function, Arguments),
        Data
    catch
        Class:Reason:Stack -> raised({Module, Function, Class, Reason, Stack}, Data)
    end.

-spec raised(tuple(), #data{}) -> #data{}.
raised({Module, Function, Class, Reason, Stack}, #data{name = Name} = Data) ->
    #data{raised = Raised, logged_ms = Logged} = Data,
    Now = erlang:monotonic_time(millisecond),
    case Logged =:= undefined orelse Now - Logged >= ?LOG_MS of
        true ->
            ?LOG_ERROR(
                "holt: a callback of instance ~p has raised, and ~b others since that was said "
                "last: ~p:~p ~p:~p~n~p",
                [Name, Raised, Module, Function, Class, Reason, Stack],
                #{domain => [holt]}
            ),
            Data#data{raised = 0, logged_ms = Now};
        false ->
            Data#data{raised = Raised + 1}
    end.

%% As syn says it.  Why a process has ended no node tells the others.
-spec syn_reason(registered | updated | unregistered, reason(), atom()) -> term().
syn_reason(_, conflict, _Name) -> syn_conflict_resolution;
syn_reason(_, {member_up, Node}, Name) -> {syn_remote_scope_node_up, Name, Node};
syn_reason(_, {member_down, Node}, Name) -> {syn_remote_scope_node_down, Name, Node};
syn_reason(unregistered, down, _Name) -> undefined;
syn_reason(_, unknown, _Name) -> undefined;
syn_reason(_, _, _Name) -> normal.
