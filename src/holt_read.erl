%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc Reading many names: slice by slice, through match specifications.
%%
%% The native code gives names in slices, and no call of it takes long; values are decoded
%% here, slice by slice, and only where somebody looks at them.  A match specification is
%% compiled once and run over each slice:
%%
%% ```
%%   holt_nif:next --> [{Key, Pid, Binary}] --> decode --> match_spec_run --> results
%%   holt_nif:lookup, when the specification names its keys
%% '''
%%
%% What comes or goes while somebody reads may be there or not.
-module(holt_read).

-export([fold/4, match/4, spec/1, select/2, count_select/2]).

-export_type([spec/0]).

-record(spec, {
    compiled :: ets:comp_match_spec(),
    %% The keys that it can match, when it names them.
    keys :: all | [term()],
    reads_values :: boolean()
}).

-opaque spec() :: #spec{}.

-type name() :: {Key :: term(), pid(), Value :: term()}.
-type invalid() :: {invalid, holt_error:cause()}.

%% @doc Fold over all names, or those whose key begins so.
-spec fold(atom(), holt_nif:filter(), fun((name(), Acc) -> Acc), Acc) -> {ok, Acc} | invalid().
fold(Name, Filter, Fun, Acc) ->
    slices(Name, Filter, fun(Slice, A) -> lists:foldl(Fun, A, decode(Slice)) end, Acc, 0).

%% @doc Who has this key, with a value of this form?
-spec match(atom(), Key :: term(), Pattern :: term(), Guards :: term()) ->
    [{pid(), Value :: term()}] | invalid().
match(Name, Key, Pattern, Guards) ->
    case compile([{{'_', Pattern}, Guards, ['$_']}]) of
        {ok, Compiled} ->
            case holt_nif:lookup(Name, Key) of
                {invalid, Cause} -> {invalid, Cause};
                Found -> ets:match_spec_run(decode(Found), Compiled)
            end;
        {error, Words} ->
            case compile([{{'_', Pattern}, [], ['$_']}]) of
                {ok, _} -> {invalid, {bad_guards, Words}};
                {error, Why} -> {invalid, {bad_pattern, Why}}
            end
    end.

%% @doc Check a match specification of clauses `{{Key, Pid, Value}, Guards, Body}'.
-spec spec(term()) -> {ok, spec()} | invalid().
spec(Spec) ->
    try [true = is_clause(Clause) || Clause <- Spec] of
        _ ->
            case compile(Spec) of
                {ok, Compiled} ->
                    {ok, #spec{
                        compiled = Compiled,
                        keys = keys(Spec),
                        reads_values = lists:any(fun reads_value/1, Spec)
                    }};
                {error, Words} ->
                    {invalid, {bad_spec, Words}}
            end
    catch
        error:_ -> {invalid, {bad_spec, "its clauses are not {{Key, Pid, Value}, Guards, Body}"}}
    end.

%% @doc What a match specification says of all names.
-spec select(atom(), spec()) -> [term()] | invalid().
select(Name, Spec) ->
    answer(run(Name, Spec, fun(Results, Acc) -> Results ++ Acc end, [])).

%% @doc Of how many names a match specification says true.
-spec count_select(atom(), spec()) -> non_neg_integer() | invalid().
count_select(Name, Spec) ->
    Count = fun(Results, Acc) -> Acc + length([true || true <- Results]) end,
    answer(run(Name, Spec, Count, 0)).

%%--------------------------------------------------------------------
%% Internal

-spec slices(atom(), holt_nif:filter(), fun(([tuple()], Acc) -> Acc), Acc, non_neg_integer()) ->
    {ok, Acc} | invalid().
slices(Name, Filter, Fun, Acc, Cursor) ->
    case holt_nif:next(Name, Cursor, Filter) of
        {invalid, Cause} -> {invalid, Cause};
        {Slice, done} -> {ok, Fun(Slice, Acc)};
        {Slice, Next} -> slices(Name, Filter, Fun, Fun(Slice, Acc), Next)
    end.

-spec run(atom(), spec(), fun(([term()], Acc) -> Acc), Acc) -> {ok, Acc} | invalid().
run(Name, #spec{keys = all} = Spec, Fun, Acc) ->
    slices(Name, all, fun(Slice, A) -> Fun(run(Slice, Spec), A) end, Acc, 0);
run(Name, #spec{keys = Keys} = Spec, Fun, Acc) ->
    case holt_nif:count(Name) of
        {invalid, Cause} ->
            {invalid, Cause};
        _ ->
            Names = [
                {Key, Pid, Value}
             || Key <- Keys,
                {Pid, Value} <- found(holt_nif:lookup(Name, Key))
            ],
            {ok, Fun(run(Names, Spec), Acc)}
    end.

-spec run([tuple()], spec()) -> [term()].
run(Names, #spec{compiled = Compiled, reads_values = true}) ->
    ets:match_spec_run(decode(Names), Compiled);
run(Names, #spec{compiled = Compiled}) ->
    ets:match_spec_run(Names, Compiled).

%% Nobody has what is no key.
-spec found([{pid(), binary()}] | invalid()) -> [{pid(), binary()}].
found({invalid, _}) -> [];
found(Found) -> Found.

-spec answer({ok, Result} | invalid()) -> Result | invalid().
answer({ok, Result}) -> Result;
answer(Invalid) -> Invalid.

-spec decode([tuple()]) -> [tuple()].
decode([{Key, Pid, Value} | Rest]) ->
    [{Key, Pid, holt_registry:decode(Value)} | decode(Rest)];
decode([{Pid, Value} | Rest]) ->
    [{Pid, holt_registry:decode(Value)} | decode(Rest)];
decode([]) ->
    [].

-spec compile(term()) -> {ok, ets:comp_match_spec()} | {error, Words :: string()}.
compile(Spec) ->
    try
        {ok, ets:match_spec_compile(Spec)}
    catch
        error:badarg -> {error, words(Spec)}
    end.

%% What the runtime system says of it.
-spec words(term()) -> string().
words(Spec) ->
    try erlang:match_spec_test({}, Spec, table) of
        {error, Errors} -> hd([Text || {error, Text} <- Errors] ++ [""]);
        _ -> ""
    catch
        error:_ -> ""
    end.

-spec is_clause(term()) -> boolean().
is_clause({{_Key, _Pid, _Value}, _Guards, _Body}) -> true;
is_clause(_) -> false.

-spec keys([tuple()]) -> all | [term()].
keys(Spec) ->
    Keys = [Key || {{Key, _, _}, _, _} <- Spec],
    case lists:all(fun is_ground/1, Keys) of
        true -> lists:uniq(Keys);
        false -> all
    end.

%% Whether a pattern matches itself alone; of maps that is not said.
-spec is_ground(term()) -> boolean().
is_ground('_') -> false;
is_ground(Atom) when is_atom(Atom) -> not is_variable(Atom);
is_ground([Head | Tail]) -> is_ground(Head) andalso is_ground(Tail);
is_ground(Tuple) when is_tuple(Tuple) -> is_ground(tuple_to_list(Tuple));
is_ground(Term) -> not is_map(Term).

-spec is_variable(term()) -> boolean().
is_variable(Atom) when is_atom(Atom) ->
    case atom_to_list(Atom) of
        [$$, Digit | Digits] -> lists:all(fun(C) -> C >= $0 andalso C =< $9 end, [Digit | Digits]);
        _ -> false
    end;
is_variable(_) ->
    false.

-spec reads_value(tuple()) -> boolean().
reads_value({{Key, Pid, Value}, Guards, Body}) ->
    case is_variable(Value) of
        true -> occurs(Value, [Key, Pid, Guards, Body]);
        false -> Value =/= '_'
    end orelse occurs('$_', [Guards, Body]) orelse occurs('$$', [Guards, Body]).

-spec occurs(atom(), term()) -> boolean().
occurs(Atom, Atom) -> true;
occurs(Atom, [Head | Tail]) -> occurs(Atom, Head) orelse occurs(Atom, Tail);
occurs(Atom, Tuple) when is_tuple(Tuple) -> occurs(Atom, tuple_to_list(Tuple));
occurs(Atom, Map) when is_map(Map) -> occurs(Atom, maps:to_list(Map));
occurs(_, _) -> false.
