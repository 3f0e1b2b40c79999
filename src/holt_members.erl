%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc Who may take part in an instance: whoever runs it, or a list.
%%
%% A list is a map of marks, each with the time at which it was made, and the mode, list or
%% auto, is one more.  Of two marks the later one counts, so that members who tell each other
%% what they have agree in the end, in whatever order they hear it:
%%
%% ```
%%   set_members([a, b])     a: in, 7   b: in, 7   c: out, 7
%%   join(c)                 a: in, 8   b: in, 8   c: in, 8
%%   a leaves                a: out, 9  b: in, 8   c: in, 8
%% '''
%%
%% What was said to start_link is this member's own affair: it has no time, is told to nobody
%% and gives way to all that is.
%%
%% The list is kept in a table that belongs to {@link holt_sup}, for the next replica process
%% and for whoever asks.
-module(holt_members).

%% The list
-export([new/2, set/2, join/3, leave/1, merge/2, renamed/2]).
-export([list/1, declared/1, is_member/2, on_node/2, has_left/1, export/1]).
%% Of others
-export([is_export/1, is_list/1]).
%% The table
-export([new_table/0, load/1, store/2, tally/1, delete/1]).

-export_type([members/0, export/0]).

-define(TABLE, holt_members).

-define(TALLY_SIZE, 3).

%% More than that nobody believes.
-define(MARKS_MAX, 4096).

-define(IS_MEMBER(Member),
    (tuple_size(Member) =:= 2 andalso is_atom(element(1, Member)) andalso
        is_atom(element(2, Member)))
).

-type member() :: holt_nif:member().
%% Milliseconds since 1970, or later than all that was known; of equal times the larger
%% member counts.  0: never said.
-type stamp() :: {non_neg_integer(), member()}.
-type export() :: {{stamp(), auto | list}, [{member(), stamp(), IsIn :: boolean()}]}.

-record(members, {
    self :: member(),
    mode :: {stamp(), auto | list},
    marks = #{} :: #{member() => {stamp(), IsIn :: boolean()}},
    %% When this member left an instance without a list.
    left = undefined :: undefined | stamp()
}).

-opaque members() :: #members{}.

%%--------------------------------------------------------------------
%% The list

%% @doc As said at the start.
-spec new(Self :: member(), auto | [member()]) -> members().
new(Self, auto) ->
    #members{self = Self, mode = {{0, Self}, auto}};
new(Self, List) ->
    Stamp = {0, Self},
    Marks = maps:from_keys([Self | List], {Stamp, true}),
    #members{self = Self, mode = {Stamp, list}, marks = Marks}.

%% @doc Have these and no others.
-spec set(auto | [member()], members()) -> members().
set(auto, Members) ->
    Members#members{mode = {next(Members), auto}, left = undefined};
set(List, #members{marks = Marks} = Members) ->
    Stamp = next(Members),
    Out = maps:map(fun(_, _) -> {Stamp, false} end, Marks),
    In = maps:from_keys(List, {Stamp, true}),
    Members#members{
        mode = {Stamp, list}, marks = maps:merge(Out, In), left = undefined
    }.

%% @doc Have these, too.  Present: who is there, where nobody has said who may be.
-spec join([member()], Present :: [member()], members()) -> members().
join(List, Present, #members{self = Self, marks = Marks} = Members) ->
    Stamp = next(Members),
    Own =
        case list(Members) of
            auto -> [Self | Present];
            Declared -> Declared
        end,
    In = maps:from_keys(Own ++ List, {Stamp, true}),
    Members#members{
        mode = {Stamp, list}, marks = maps:merge(Marks, In), left = undefined
    }.

%% @doc Be alone from now on.
-spec leave(members()) -> members().
leave(#members{mode = {_, auto}} = Members) ->
    Members#members{left = next(Members)};
leave(#members{self = Self, mode = {_, list}, marks = Marks} = Members) ->
    Stamp = next(Members),
    %% What was said at the start has no time, and now needs one.
    Said = maps:map(
        fun
            (_, {{0, _}, IsIn}) -> {Stamp, IsIn};
            (_, Mark) -> Mark
        end,
        Marks
    ),
    Members#members{mode = {Stamp, list}, marks = Said#{Self => {Stamp, false}}}.

%% @doc Take what another member has.
-spec merge(export(), members()) -> members().
merge({Mode, Marks}, #members{self = Self, mode = {{0, _}, _}} = Members) ->
    return(Self, Members#members{mode = Mode, marks = merge_marks(Marks, #{})});
merge({Mode, Marks}, #members{self = Self, mode = OwnMode, marks = OwnMarks} = Members) ->
    return(Self, Members#members{
        mode = max(Mode, OwnMode), marks = merge_marks(Marks, OwnMarks)
    }).

-spec merge_marks([{member(), stamp(), boolean()}], Marks) -> Marks when
    Marks :: #{member() => {stamp(), boolean()}}.
merge_marks(List, Marks) ->
    lists:foldl(
        fun({Member, Stamp, IsIn}, All) ->
            Mark = {Stamp, IsIn},
            case All of
                #{Member := Own} when Own >= Mark -> All;
                #{} when map_size(All) >= ?MARKS_MAX, not is_map_key(Member, All) -> All;
                #{} -> All#{Member => Mark}
            end
        end,
        Marks,
        List
    ).

%% Whoever has left is back when a list says so that was made after it.
-spec return(member(), members()) -> members().
return(Self, #members{mode = {_, list}, marks = Marks, left = Left} = Members) when
    Left =/= undefined
->
    case Marks of
        #{Self := {Stamp, true}} when Stamp > Left -> Members#members{left = undefined};
        #{} -> Members
    end;
return(_Self, Members) ->
    Members.

%% @doc This node has another name now.
-spec renamed(Self :: member(), members()) -> members().
renamed({_, Node} = Self, #members{self = {_, Former}, marks = Marks} = Members) ->
    Moved = maps:from_list([
        case Member of
            {Name, Former} -> {{Name, Node}, Mark};
            _ -> {Member, Mark}
        end
     || {Member, Mark} <- maps:to_list(Marks)
    ]),
    Members#members{self = Self, marks = Moved}.

%% @doc Who may take part, as this member has it: one that is not in the list is alone.
-spec list(members()) -> auto | [member()].
list(#members{mode = {_, auto}, left = undefined}) ->
    auto;
list(#members{mode = {_, auto}, self = Self}) ->
    [Self];
list(#members{self = Self, marks = Marks}) ->
    case Marks of
        #{Self := {_, true}} -> lists:sort([Member || {Member, {_, true}} <- maps:to_list(Marks)]);
        #{} -> [Self]
    end.

%% @doc How many may take part; 0: nobody has said.
-spec declared(members()) -> non_neg_integer().
declared(Members) ->
    case list(Members) of
        auto -> 0;
        List -> length(List)
    end.

%% @doc May this one take part?  Not, of course, this member itself, which does.
-spec is_member(member(), members()) -> boolean().
is_member(Self, #members{self = Self}) ->
    false;
is_member({Name, Node} = Member, #members{self = {OwnName, OwnNode}} = Members) ->
    case list(Members) of
        auto -> Name =:= OwnName andalso Node =/= OwnNode;
        List -> lists:member(Member, List)
    end.

%% @doc Who may be on this node, besides this member itself.
-spec on_node(node(), members()) -> [member()].
on_node(Node, #members{self = {Name, _}} = Members) ->
    Candidates =
        case list(Members) of
            auto -> [{Name, Node}];
            List -> List
        end,
    [Member || {_, At} = Member <- Candidates, At =:= Node, is_member(Member, Members)].

%% @doc Has this member left an instance without a list?
-spec has_left(members()) -> boolean().
has_left(#members{mode = {_, Mode}, left = Left}) ->
    Mode =:= auto andalso Left =/= undefined.

%% @doc What others are told; none: nothing but what was said at the start.
-spec export(members()) -> none | export().
export(#members{mode = {{0, _}, _}}) ->
    none;
export(#members{mode = Mode, marks = Marks}) ->
    {Mode, lists:sort([{Member, Stamp, IsIn} || {Member, {Stamp, IsIn}} <- maps:to_list(Marks)])}.

%% Later than all that is known.
-spec next(members()) -> stamp().
next(#members{self = Self, mode = {{Ms, _}, _}, marks = Marks, left = Left}) ->
    Known = [At || {{At, _}, _} <- maps:values(Marks)] ++ [At || {At, _} <- [Left]],
    {max(erlang:system_time(millisecond), lists:max([Ms | Known]) + 1), Self}.

%%--------------------------------------------------------------------
%% Of others

%% @doc Is this what another member can have said?
-spec is_export(term()) -> boolean().
is_export({{Stamp, Mode}, Marks}) when Mode =:= auto; Mode =:= list ->
    is_stamp(Stamp) andalso is_proper(Marks) andalso lists:all(fun is_mark/1, Marks);
is_export(_) ->
    false.

%% @doc Is this a list of members?
-spec is_list(term()) -> boolean().
is_list(List) ->
    is_proper(List) andalso
        lists:all(
            fun
                (Member) when ?IS_MEMBER(Member) -> true;
                (_) -> false
            end,
            List
        ).

-spec is_mark(term()) -> boolean().
is_mark({Member, Stamp, IsIn}) when ?IS_MEMBER(Member), is_boolean(IsIn) -> is_stamp(Stamp);
is_mark(_) -> false.

-spec is_stamp(term()) -> boolean().
is_stamp({Ms, Member}) when is_integer(Ms), Ms > 0, Ms < 1 bsl 64, ?IS_MEMBER(Member) -> true;
is_stamp(_) -> false.

-spec is_proper(term()) -> boolean().
is_proper(List) ->
    try
        length(List) =< ?MARKS_MAX
    catch
        error:badarg -> false
    end.

%%--------------------------------------------------------------------
%% The table

%% @doc Make the table; it belongs to the calling process.
-spec new_table() -> ok.
new_table() ->
    ?TABLE = ets:new(?TABLE, [named_table, public, {read_concurrency, true}]),
    ok.

%% @doc What is kept of an instance.
-spec load(Name :: atom()) -> {ok, members()} | error.
load(Name) ->
    try ets:lookup(?TABLE, Name) of
        [{_, Members}] -> {ok, Members};
        [] -> error
    catch
        %% The application is stopped.
        error:badarg -> error
    end.

%% @doc Keep it.
-spec store(Name :: atom(), members()) -> ok.
store(Name, Members) ->
    try
        true = ets:insert(?TABLE, {Name, Members}),
        ok
    catch
        error:badarg -> ok
    end.

%% @doc What the replica processes of an instance have counted: {@link holt_contest}.
-spec tally(Name :: atom()) -> counters:counters_ref().
tally(Name) ->
    New = counters:new(?TALLY_SIZE, []),
    try
        _ = ets:insert_new(?TABLE, {{tally, Name}, New}),
        ets:lookup_element(?TABLE, {tally, Name}, 2)
    catch
        error:badarg -> New
    end.

%% @doc The instance has ended.
-spec delete(Name :: atom()) -> ok.
delete(Name) ->
    try
        true = ets:delete(?TABLE, {tally, Name}),
        true = ets:delete(?TABLE, Name),
        ok
    catch
        error:badarg -> ok
    end.
