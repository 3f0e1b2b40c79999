%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc Reading many names: slice by slice, through match specifications.
%%
%% The native code gives names in slices, and no call of it takes long; it decodes small
%% values, where somebody looks at them, and large ones are decoded here.  A match
%% specification is compiled once and run over each slice:
%%
%% ```
%%   holt_nif:next --> [{Key, Pid, Value}] | {mixed, _} --> decoded --> match_spec_run --> results
%%   holt_nif:read, when the specification names its keys
%% '''
%%
%% What comes or goes while somebody reads may be there or not.
-module(holt_read).

-export([lookup/2, fold/4, list/2, match/4, count_match/4, matching/3, select/2, count_select/2]).

-record(spec, {
    compiled :: ets:comp_match_spec(),
    %% The keys that it can match, when it names them.
    keys :: all | [term()],
    reads_values :: boolean()
}).

-type spec() :: #spec{}.

-type name() :: {Key :: term(), pid(), Value :: term()}.
-type invalid() :: {invalid, holt_error:cause()}.

%% @doc Who has this key, and with which value?
-spec lookup(atom(), Key :: term()) -> [{pid(), Value :: term()}] | invalid().
lookup(Name, Key) ->
    case holt_nif:read(Name, Key) of
        {mixed, Found} -> decode(Found);
        Other -> Other
    end.

%% @doc All names, or those whose key begins so.
-spec list(atom(), terms | {terms, binary()}) -> [name()] | invalid().
list(Name, Filter) ->
    answer(slices(Name, Filter, fun(Slice, List) -> Slice ++ List end, [], 0)).

%% @doc Fold over all names, or those whose key begins so.
-spec fold(atom(), terms | {terms, binary()}, fun((name(), Acc) -> Acc), Acc) ->
    {ok, Acc} | invalid().
fold(Name, Filter, Fun, Acc) ->
    slices(Name, Filter, fun(Slice, A) -> lists:foldl(Fun, A, Slice) end, Acc, 0).

%% @doc Who has this key, with a value of this form?
-spec match(atom(), Key :: term(), Pattern :: term(), Guards :: term()) ->
    [{pid(), Value :: term()}] | invalid().
match(Name, Key, Pattern, Guards) ->
    case lookup(Name, Key) of
        {invalid, Cause} -> {invalid, Cause};
        Found -> matching(Found, Pattern, Guards)
    end.

%% @doc How many have?
-spec count_match(atom(), Key :: term(), Pattern :: term(), Guards :: term()) ->
    non_neg_integer() | invalid().
count_match(Name, Key, '_', []) ->
    holt_nif:count_key(Name, Key);
count_match(Name, Key, Pattern, Guards) ->
    case match(Name, Key, Pattern, Guards) of
        {invalid, Cause} -> {invalid, Cause};
        Found -> length(Found)
    end.

%% @doc The pairs of which the second element is of this form.
-spec matching([{First, Second}], Pattern :: term(), Guards :: term()) ->
    [{First, Second}] | {invalid, holt_error:cause()}.
matching(Pairs, Pattern, Guards) ->
    case compile([{{'_', Pattern}, Guards, ['$_']}]) of
        {ok, Compiled} ->
            ets:match_spec_run(Pairs, Compiled);
        {error, Words} ->
            case compile([{{'_', Pattern}, [], ['$_']}]) of
                {ok, _} -> {invalid, {bad_guards, Words}};
                {error, Why} -> {invalid, {bad_pattern, Why}}
            end
    end.

%% @doc What a match specification of clauses `{{Key, Pid, Value}, Guards, Body}' says of all
%% names.
-spec select(atom(), term()) -> [term()] | invalid().
select(Name, Spec) ->
    run(Name, Spec, fun(Results, Acc) -> Results ++ Acc end, []).

%% @doc Of how many names it says true.
-spec count_select(atom(), term()) -> non_neg_integer() | invalid().
count_select(Name, Spec) ->
    run(Name, Spec, fun(Results, Acc) -> Acc + length([true || true <- Results]) end, 0).

%%--------------------------------------------------------------------
%% Internal

-spec slices(atom(), holt_nif:filter(), fun(([tuple()], Acc) -> Acc), Acc, non_neg_integer()) ->
    {ok, Acc} | invalid().
slices(Name, Filter, Fun, Acc, Cursor) ->
    case holt_nif:next(Name, Cursor, Filter) of
        {invalid, Cause} -> {invalid, Cause};
        {Slice, done} -> {ok, Fun(decoded(Slice), Acc)};
        {Slice, Next} -> slices(Name, Filter, Fun, Fun(decoded(Slice), Acc), Next)
    end.

-spec run(atom(), term(), fun(([term()], Acc) -> Acc), Acc) -> Acc | invalid().
run(Name, Terms, Fun, Acc) ->
    case spec(Terms) of
        {ok, #spec{keys = all, reads_values = ReadsValues} = Spec} ->
            Each = fun(Slice, A) -> Fun(run(Slice, Spec), A) end,
            answer(slices(Name, filter(ReadsValues), Each, Acc, 0));
        {ok, #spec{keys = Keys} = Spec} ->
            case holt_nif:count(Name) of
                {invalid, Cause} -> {invalid, Cause};
                _ -> Fun(run(lists:append([entries(Name, Key, Spec) || Key <- Keys]), Spec), Acc)
            end;
        {invalid, Cause} ->
            {invalid, Cause}
    end.

-spec run([tuple()], spec()) -> [term()].
run(Names, #spec{compiled = Compiled}) ->
    ets:match_spec_run(Names, Compiled).

-spec filter(ReadsValues :: boolean()) -> holt_nif:filter().
filter(true) -> terms;
filter(false) -> bare.

%% Nobody has what is no key.
-spec entries(atom(), term(), spec()) -> [{term(), pid(), Value :: term()}].
entries(Name, Key, #spec{reads_values = ReadsValues}) ->
    Result =
        case ReadsValues of
            true -> lookup(Name, Key);
            false -> holt_nif:lookup(Name, Key)
        end,
    case Result of
        {invalid, _} -> [];
        Found -> [{Key, Pid, Value} || {Pid, Value} <- Found]
    end.

-spec spec(term()) -> {ok, spec()} | {invalid, holt_error:cause()}.
spec(Terms) ->
    case are_clauses(Terms) of
        true ->
            case compile(Terms) of
                {ok, Compiled} ->
                    {ok, #spec{
                        compiled = Compiled,
                        keys = keys(Terms),
                        reads_values = lists:any(fun reads_value/1, Terms)
                    }};
                {error, Words} ->
                    {invalid, {bad_spec, Words}}
            end;
        false ->
            {invalid, {bad_spec, "its clauses are not {{Key, Pid, Value}, Guards, Body}"}}
    end.

-spec answer({ok, Result} | invalid()) -> Result | invalid().
answer({ok, Result}) -> Result;
answer(Invalid) -> Invalid.

-spec decoded([tuple()] | {mixed, [tuple()]}) -> [tuple()].
decoded({mixed, Entries}) -> decode(Entries);
decoded(Entries) -> Entries.

-spec decode([tuple()]) -> [tuple()].
decode([{Key, Pid, Binary, encoded} | Rest]) ->
    [{Key, Pid, holt_registry:decode(Binary)} | decode(Rest)];
decode([{Pid, Binary, encoded} | Rest]) when is_binary(Binary) ->
    [{Pid, holt_registry:decode(Binary)} | decode(Rest)];
decode([Entry | Rest]) ->
    [Entry | decode(Rest)];
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

-spec are_clauses(term()) -> boolean().
are_clauses([{{_Key, _Pid, _Value}, _Guards, _Body} | Rest]) -> are_clauses(Rest);
are_clauses(Rest) -> Rest =:= [].

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
