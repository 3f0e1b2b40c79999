%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The roll of a replica process: who may take part, what others are told of that, and
%% what becomes of those who may not.
%%
%% ```
%%   set_members, join, leave; {holt_members, ...} of another member
%%       --> the list changes: all are told, those who are out last of all
%%       --> links to those who are out are given up; once absent they are forgotten
%%   {holt_members, ...} equal to ours --> this one need not be told any more
%% '''
%%
%% Everybody tells everybody whom it knows, again after a second to those who have not said
%% the same, a few times.  Those who hear nothing of it hear it in the next hello.
-module(holt_roll).

-export([new/2, change/3, told/4, left/3, tick/2, refused/4, renamed/2]).
-export([members/1, present/1, greeting/1]).

-export_type([roll/0, change/0]).

%% What was not told to another member is told again after so long, so often.
-define(TICK_MS, 1000).
-define(TELL_MAX, 5).

%% How often to try and forget those who may not take part.
-define(FORGET_MAX, 60).

-type member() :: holt_nif:member().
-type change() ::
    {set, auto | [member()]}
    | {join, [member()], holt_members:export() | none}
    | {merge, holt_members:export()}
    | leave.

-record(roll, {
    name :: atom(),
    members :: holt_members:members(),
    untold = #{} :: #{pid() => TriesLeft :: pos_integer()},
    %% Those who may not take part any more, until they are forgotten.
    strangers = {[], 0} :: {[member()], TriesLeft :: non_neg_integer()},
    %% A timer for both.
    is_ticking = false :: boolean()
}).

-opaque roll() :: #roll{}.

%% @doc What others have said is kept over a crash; what was said at the start may be new.
-spec new(ok | adopted, holt_options:config()) -> roll().
new(Opened, #{name := Name, members := Said}) ->
    New = holt_members:new({Name, node()}, Said),
    Members =
        case Opened =:= adopted andalso holt_members:load(Name) of
            {ok, Kept} ->
                case holt_members:export(Kept) =/= none orelse holt_members:has_left(Kept) of
                    true -> Kept;
                    false -> New
                end;
            _ ->
                New
        end,
    ok = keep(Name, Members),
    #roll{name = Name, members = Members}.

%% For whoever asks, and for the next replica process.
-spec keep(atom(), holt_members:members()) -> ok.
keep(Name, Members) ->
    _ = holt_nif:declare(Name, holt_members:declared(Members)),
    holt_members:store(Name, Members).

%% @doc The list.
-spec members(roll()) -> holt_members:members().
members(#roll{members = Members}) ->
    Members.

%% @doc This member's list, or, where there is none, who is present.
-spec present(roll()) -> [member()].
present(#roll{name = Name, members = Members}) ->
    case {holt_members:list(Members), holt_nif:members(Name)} of
        {auto, Present} when is_list(Present) -> Present;
        {auto, _} -> [];
        {List, _} -> List
    end.

%% @doc What a hello says of the list: nothing, or one element.
-spec greeting(roll()) -> [holt_members:export()].
greeting(#roll{members = Members}) ->
    [Export || Export <- [holt_members:export(Members)], Export =/= none].

%% @doc This node has another name now.
-spec renamed(holt_nif:member(), roll()) -> roll().
renamed(Self, #roll{name = Name, members = Members} = Roll) ->
    Renamed = holt_members:renamed(Self, Members),
    ok = keep(Name, Renamed),
    Roll#roll{members = Renamed}.

%%--------------------------------------------------------------------
%% Changes

%% @doc Somebody wants it otherwise.  Whom this may have let in is to be met.
-spec change(change() | term(), holt_links:links(), roll()) ->
    {holt_links:links(), roll()} | unknown.
change(Change, Links, #roll{members = Members} = Roll) ->
    case is_change(Change) of
        true -> adopt(changed(Change, Members, Roll), Links, Roll);
        false -> unknown
    end.

-spec is_change(term()) -> boolean().
is_change({set, auto}) ->
    true;
is_change({set, List}) ->
    holt_members:is_list(List);
is_change({join, List, Theirs}) ->
    holt_members:is_list(List) andalso (Theirs =:= none orelse holt_members:is_export(Theirs));
is_change({merge, Theirs}) ->
    holt_members:is_export(Theirs);
is_change(Change) ->
    Change =:= leave.

-spec changed(change(), Members, roll()) -> Members when Members :: holt_members:members().
changed({set, List}, Members, _Roll) ->
    holt_members:set(List, Members);
changed({join, List, none}, Members, Roll) ->
    holt_members:join(List, present(Roll), Members);
changed({join, List, Theirs}, Members, Roll) ->
    holt_members:join(List, present(Roll), holt_members:merge(Theirs, Members));
changed({merge, Theirs}, Members, _Roll) ->
    holt_members:merge(Theirs, Members);
changed(leave, Members, _Roll) ->
    holt_members:leave(Members).

%% All are told, also those who are out now; then they are strangers.
-spec adopt(holt_members:members(), holt_links:links(), roll()) -> {holt_links:links(), roll()}.
adopt(Members, Links, #roll{members = Members} = Roll) ->
    {Links, Roll};
adopt(Members, Links, #roll{name = Name} = Roll) ->
    ok = keep(Name, Members),
    Untold = maps:from_list([{Pid, ?TELL_MAX} || {_, Pid} <- holt_links:processes(Links)]),
    Told = spread(Links, Roll#roll{members = Members, untold = Untold}),
    Out = [
        Member
     || Member <- lists:usort(known(Name) ++ holt_links:members(Links)),
        not holt_members:is_member(Member, Members)
    ],
    {lists:foldl(fun holt_links:part/2, Links, Out), estrange(Out, Told)}.

%% All others that the native code has heard of.
-spec known(atom()) -> [member()].
known(Name) ->
    case holt_nif:info(Name) of
        #{actors := Actors} ->
            [Member || #{member := Member, sight := Sight} <- Actors, Sight =/= self];
        {invalid, _} ->
            []
    end.

%% @doc Another one has said who may take part, or has answered that it knows.
-spec told(pid(), holt_members:export(), holt_links:links(), roll()) ->
    {holt_links:links(), roll()}.
told(Pid, Theirs, Links, #roll{members = Members} = Roll) ->
    {Left, Adopted} = adopt(holt_members:merge(Theirs, Members), Links, Roll),
    case holt_members:export(Adopted#roll.members) of
        Theirs ->
            {Left, Adopted#roll{untold = maps:remove(Pid, Adopted#roll.untold)}};
        _ ->
            ok = tell(Pid, Left, Adopted),
            {Left, Adopted}
    end.

%% @doc A member of an instance without a list says that it is none any more.
-spec left(pid(), holt_links:links(), roll()) -> {holt_links:links(), roll()}.
left(Pid, Links, Roll) ->
    case [Member || {Member, Process} <- holt_links:processes(Links), Process =:= Pid] of
        [Member] -> {holt_links:part(Member, Links), estrange([Member], Roll)};
        [] -> {Links, Roll}
    end.

%% @doc Somebody who may not take part has greeted us: it may not know.
-spec refused(member(), pid(), holt_links:links(), roll()) -> holt_links:links().
refused(Member, Pid, Links, Roll) ->
    ok = tell(Pid, Links, Roll),
    holt_links:refuse(not_a_member, Member, Links).

%%--------------------------------------------------------------------
%% Telling

-spec spread(holt_links:links(), roll()) -> roll().
spread(Links, #roll{untold = Untold} = Roll) ->
    lists:foreach(fun(Pid) -> tell(Pid, Links, Roll) end, maps:keys(Untold)),
    Left = [{Pid, Tries - 1} || {Pid, Tries} <- maps:to_list(Untold), Tries > 1],
    start_ticking(Roll#roll{untold = maps:from_list(Left)}).

%% Whoever has no room for it is told again.
-spec tell(pid(), holt_links:links(), roll()) -> ok.
tell(Pid, Links, #roll{members = Members}) ->
    case {holt_members:has_left(Members), holt_members:export(Members)} of
        {true, _} ->
            _ = holt_links:send(Pid, {holt_leave, self()}, Links),
            ok;
        {false, none} ->
            ok;
        {false, Export} ->
            _ = holt_links:send(Pid, {holt_members, self(), Export}, Links),
            ok
    end.

%%--------------------------------------------------------------------
%% Strangers

-spec estrange([member()], roll()) -> roll().
estrange(More, #roll{strangers = {Strangers, _}} = Roll) ->
    start_ticking(Roll#roll{strangers = {lists:usort(More ++ Strangers), ?FORGET_MAX}}).

%% Those who may not take part, or have said that they do not, are forgotten once they are
%% absent: nobody is to count on them.  They may also be back.
-spec forget(holt_links:links(), roll()) -> roll().
forget(_Links, #roll{strangers = {_, 0}} = Roll) ->
    Roll#roll{strangers = {[], 0}};
forget(Links, #roll{name = Name, strangers = {Strangers, Tries}} = Roll) ->
    Back = [Member || {Member, _} <- holt_links:processes(Links)],
    Left = [
        Member
     || Member <- Strangers -- Back,
        holt_nif:evict(Name, Member) =:= {error, present}
    ],
    Roll#roll{strangers = {Left, Tries - 1}}.

%% @doc What was left undone is tried again.
-spec tick(holt_links:links(), roll()) -> roll().
tick(Links, Roll) ->
    spread(Links, forget(Links, Roll#roll{is_ticking = false})).

-spec start_ticking(roll()) -> roll().
start_ticking(#roll{is_ticking = false, untold = Untold, strangers = {Strangers, _}} = Roll) when
    map_size(Untold) > 0; Strangers =/= []
->
    _ = erlang:send_after(?TICK_MS, self(), holt_tick),
    Roll#roll{is_ticking = true};
start_ticking(Roll) ->
    Roll.
