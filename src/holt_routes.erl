%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc Which subscriptions are told of which change.  Nothing but data: no process, no
%% native code.
%%
%% ```
%%   change of key K --> all                    one list, made once for all of them
%%                   --> keys #{K := ...}       one look-up, however many keys are watched
%%                   --> prefixes #{P := ...}   one look-up for each length a prefix has
%%   member up, down --> everybody
%% '''
%%
%% So ten thousand subscriptions to other keys cost a change of K nothing.
-module(holt_routes).

-export([new/0, add/3, remove/2, is_empty/1, ids/1, collect/3, select/3]).

-export_type([routes/0, id/0, filter/0]).

-type id() :: term().
-type filter() :: all | {key, term()} | {prefix, binary()}.
-type ids() :: #{id() => []}.

-record(routes, {
    filters = #{} :: #{id() => filter()},
    all = #{} :: ids(),
    keys = #{} :: #{term() => ids()},
    prefixes = #{} :: #{binary() => ids()},
    %% How many prefixes there are of each length.
    lengths = #{} :: #{non_neg_integer() => pos_integer()}
}).

-opaque routes() :: #routes{}.

%% @doc Nobody is told of anything.
-spec new() -> routes().
new() ->
    #routes{}.

-spec is_empty(routes()) -> boolean().
is_empty(#routes{filters = Filters}) ->
    map_size(Filters) =:= 0.

%% @doc All that have been added.
-spec ids(routes()) -> [id()].
ids(#routes{filters = Filters}) ->
    maps:keys(Filters).

%% @doc Tell this one, too; added again, its former filter is forgotten.
-spec add(id(), filter(), routes()) -> routes().
add(Id, Filter, Routes) ->
    #routes{filters = Filters} = Removed = remove(Id, Routes),
    add_to(Filter, Id, Removed#routes{filters = Filters#{Id => Filter}}).

-spec remove(id(), routes()) -> routes().
remove(Id, #routes{filters = Filters} = Routes) ->
    case maps:take(Id, Filters) of
        {Filter, Rest} -> remove_from(Filter, Id, Routes#routes{filters = Rest});
        error -> Routes
    end.

%% @doc What each has to be told of some changes, in their order: the list of all those that
%% want everything, who they are, and the lists of the others.  Make is asked once for each
%% change that interests anybody.
-spec collect([holt_nif:change()], fun((holt_nif:change()) -> Event), routes()) ->
    {[Event], [id()], [{id(), [Event]}]}.
collect(Changes, Make, #routes{all = All} = Routes) ->
    {Common, Own} = lists:foldl(
        fun(Change, Acc) -> collect_one(Change, Make, Routes, Acc) end, {[], #{}}, Changes
    ),
    Others = [{Id, lists:reverse(Events)} || {Id, Events} <- maps:to_list(Own)],
    {lists:reverse(Common), maps:keys(All), Others}.

%% @doc What one with this filter has to be told.
-spec select([holt_nif:change()], fun((holt_nif:change()) -> Event), filter()) -> [Event].
select(Changes, Make, Filter) ->
    [Make(Change) || Change <- Changes, matches(key(Change), Filter)].

%%--------------------------------------------------------------------
%% Internal

-spec collect_one(holt_nif:change(), fun(), routes(), {[term()], #{id() => [term()]}}) ->
    {[term()], #{id() => [term()]}}.
collect_one(Change, Make, #routes{all = All} = Routes, {Common, Own} = Acc) ->
    case {map_size(All), interested(key(Change), Routes)} of
        {0, []} ->
            Acc;
        {0, Ids} ->
            {Common, append(Ids, Make(Change), Own)};
        {_, Ids} ->
            Event = Make(Change),
            {[Event | Common], append(Ids, Event, Own)}
    end.

-spec append([id()], term(), #{id() => [term()]}) -> #{id() => [term()]}.
append(Ids, Event, Own) ->
    lists:foldl(
        fun(Id, Acc) -> Acc#{Id => [Event | maps:get(Id, Acc, [])]} end, Own, Ids
    ).

%% Those that do not want everything.
-spec interested(everybody | {key, term()}, routes()) -> [id()].
interested(everybody, #routes{filters = Filters, all = All}) ->
    maps:keys(maps:without(maps:keys(All), Filters));
interested({key, Key}, #routes{keys = Keys} = Routes) ->
    maps:keys(maps:get(Key, Keys, #{})) ++ of_prefixes(Key, Routes).

-spec of_prefixes(term(), routes()) -> [id()].
of_prefixes(Key, #routes{prefixes = Prefixes, lengths = Lengths}) when
    is_binary(Key), map_size(Lengths) > 0
->
    lists:append([
        maps:keys(maps:get(binary:part(Key, 0, Length), Prefixes, #{}))
     || Length <- maps:keys(Lengths), Length =< byte_size(Key)
    ]);
of_prefixes(_Key, _Routes) ->
    [].

-spec key(holt_nif:change()) -> everybody | {key, term()}.
key({_Type, _Reason, Key, _Pid, _Value, _Before}) -> {key, Key};
key({_Type, _Member, _Actor, _Count}) -> everybody.

-spec matches(everybody | {key, term()}, filter()) -> boolean().
matches(everybody, _Filter) -> true;
matches(_Key, all) -> true;
matches(Key, {key, _} = Filter) -> Key =:= Filter;
matches({key, Key}, {prefix, Prefix}) when is_binary(Key) ->
    Length = byte_size(Prefix),
    byte_size(Key) >= Length andalso binary:part(Key, 0, Length) =:= Prefix;
matches(_Key, {prefix, _}) ->
    false.

-spec add_to(filter(), id(), routes()) -> routes().
add_to(all, Id, #routes{all = All} = Routes) ->
    Routes#routes{all = All#{Id => []}};
add_to({key, Key}, Id, #routes{keys = Keys} = Routes) ->
    Routes#routes{keys = Keys#{Key => (maps:get(Key, Keys, #{}))#{Id => []}}};
add_to({prefix, Prefix}, Id, #routes{prefixes = Prefixes, lengths = Lengths} = Routes) ->
    case Prefixes of
        #{Prefix := Ids} ->
            Routes#routes{prefixes = Prefixes#{Prefix := Ids#{Id => []}}};
        #{} ->
            Length = byte_size(Prefix),
            Routes#routes{
                prefixes = Prefixes#{Prefix => #{Id => []}},
                lengths = Lengths#{Length => maps:get(Length, Lengths, 0) + 1}
            }
    end.

-spec remove_from(filter(), id(), routes()) -> routes().
remove_from(all, Id, #routes{all = All} = Routes) ->
    Routes#routes{all = maps:remove(Id, All)};
remove_from({key, Key}, Id, #routes{keys = Keys} = Routes) ->
    Routes#routes{keys = remove_id(Key, Id, Keys)};
remove_from({prefix, Prefix}, Id, #routes{prefixes = Prefixes, lengths = Lengths} = Routes) ->
    Rest = remove_id(Prefix, Id, Prefixes),
    Length = byte_size(Prefix),
    case {is_map_key(Prefix, Rest), Lengths} of
        {true, _} ->
            Routes#routes{prefixes = Rest};
        {false, #{Length := 1}} ->
            Routes#routes{prefixes = Rest, lengths = maps:remove(Length, Lengths)};
        {false, #{Length := Count}} ->
            Routes#routes{prefixes = Rest, lengths = Lengths#{Length := Count - 1}}
    end.

-spec remove_id(term(), id(), #{term() => ids()}) -> #{term() => ids()}.
remove_id(Key, Id, Map) ->
    #{Key := Ids} = Map,
    Rest = maps:remove(Id, Ids),
    case map_size(Rest) of
        0 -> maps:remove(Key, Map);
        _ -> Map#{Key := Rest}
    end.
