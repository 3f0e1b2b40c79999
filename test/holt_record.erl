%% SPDX-License-Identifier: Apache-2.0
%% @doc Judges what has happened by a record that observers outside holt have kept.
%%
%% Nothing of holt is asked: what counts is what callers were answered, what processes were
%% told, and when, by a clock that all nodes of one machine share ({@link now_ns/0}).
%%
%% ```
%%   {registered, Begin, End, Node, Key, Pid}    register/3 has said {ok, _} to Pid
%%   {unregistered, Begin, End, Node, Key}       unregister/2 was called; End is infinity if
%%                                               it did not say ok
%%   {looked, Begin, End, Node, Key, Found}      whereis_name/1 has said a pid, or undefined
%%   {dying, Time, Pid}                          it is about to be killed
%%   {died, Time, Node, Pid}                     known there to be dead, from then on
%%   {conflict, Time, Node, Key, Loser, Winner}  the loser was told
%%   {node_killed, Begin, End, Node, Creation}   all processes of that life have ended
%%   {rest, Time, Node, [{Key, Pid}]}            all names there, when nothing was going on
%% '''
%%
%% A name is *lost* if its own node does not find it, or some node at rest, although nothing
%% in the record has ended it: no death of its process or node, nobody who unregistered it,
%% no conflict that the process was told of. A *ghost* is a process that is found on its node
%% after it was known there to be dead; or at rest anywhere. At rest a name has *one holder*,
%% the same one on all nodes.
-module(holt_record).

-export([check/1, without_end/1, now_ns/0, creation/1]).

%% What a node that is killed takes with it is not older than that.
-define(UNWRITTEN_NS, 500000000).

-export_type([event/0, violation/0]).

-type ns() :: integer().
-type event() ::
    {registered, ns(), ns(), node(), term(), pid()}
    | {unregistered, ns(), ns() | infinity, node(), term()}
    | {looked, ns(), ns(), node(), term(), pid() | undefined}
    | {dying, ns(), pid()}
    | {died, ns(), node(), pid()}
    | {conflict, ns(), node(), term(), pid(), pid()}
    | {node_killed, ns(), ns(), node(), non_neg_integer()}
    | {rest, ns(), node(), [{term(), pid()}]}.

-type violation() ::
    {lost, Key :: term(), pid(), Instead :: event()}
    | {ghost, Key :: term(), pid(), Found :: event()}
    | {holders, Key :: term(), [{node(), pid()}]}
    | {no_rest | nothing_registered}.

-record(facts, {
    %% By key: who has got it.
    registered = #{} :: #{term() => [{ns(), ns(), node(), pid()}]},
    unregistered = #{} :: #{term() => [{ns(), ns() | infinity}]},
    conflicts = #{} :: #{{term(), pid()} => true},
    %% When the end of a process has begun, as far as anybody knows, and when it was known.
    dying = #{} :: #{pid() => ns()},
    died = #{} :: #{pid() => ns()},
    killed = #{} :: #{{node(), non_neg_integer()} => {ns(), ns()}}
}).

%% @doc A clock that all nodes of this machine have in common, in nanoseconds.
-spec now_ns() -> ns().
now_ns() ->
    os:perf_counter(nanosecond).

%% @doc The life of its node that a process belongs to.
-spec creation(pid()) -> non_neg_integer().
creation(Pid) ->
    Bytes = term_to_binary(Pid),
    binary:decode_unsigned(binary:part(Bytes, byte_size(Bytes), -4)).

%% @doc The record of a node that was killed, of which the last is missing: what was looked up
%% shortly before may have had a reason that was never written.
-spec without_end([event()]) -> [event()].
without_end([]) ->
    [];
without_end(Events) ->
    Last = lists:max([element(2, Event) || Event <- Events]),
    [
        Event
     || Event <- Events,
        element(1, Event) =/= looked orelse element(2, Event) < Last - ?UNWRITTEN_NS
    ].

%% @doc Everything that is wrong, in the order of the record; nothing if that is good.
-spec check([event()]) -> [violation()].
check(Events) ->
    Facts = lists:foldl(fun learn/2, #facts{}, Events),
    Rests = [Rest || {rest, _, _, _} = Rest <- Events],
    [{nothing_registered} || map_size(Facts#facts.registered) =:= 0] ++
        [{no_rest} || Rests =:= []] ++
        lists:append([judge(Event, Facts) || Event <- Events]) ++
        one_holder(Rests).

-spec learn(event(), #facts{}) -> #facts{}.
learn({registered, Begin, End, Node, Key, Pid}, #facts{registered = All} = Facts) ->
    Facts#facts{registered = add(Key, {Begin, End, Node, Pid}, All)};
learn({unregistered, Begin, End, _, Key}, #facts{unregistered = All} = Facts) ->
    Facts#facts{unregistered = add(Key, {Begin, End}, All)};
learn({conflict, _, _, Key, Loser, _}, #facts{conflicts = All} = Facts) ->
    Facts#facts{conflicts = All#{{Key, Loser} => true}};
learn({dying, Time, Pid}, #facts{dying = All} = Facts) ->
    Facts#facts{dying = earlier(Pid, Time, All)};
learn({died, Time, _, Pid}, #facts{died = All} = Facts) ->
    Facts#facts{died = earlier(Pid, Time, All)};
learn({node_killed, Begin, End, Node, Creation}, #facts{killed = All} = Facts) ->
    Facts#facts{killed = All#{{Node, Creation} => {Begin, End}}};
learn(_, Facts) ->
    Facts.

add(Key, Value, Map) ->
    maps:update_with(Key, fun(Values) -> [Value | Values] end, [Value], Map).

earlier(Key, Time, Map) ->
    maps:update_with(Key, fun(Other) -> min(Time, Other) end, Time, Map).

%%--------------------------------------------------------------------
%% One event

-spec judge(event(), #facts{}) -> [violation()].
judge({looked, Begin, End, Node, Key, Found} = Event, Facts) ->
    Ghosts = [{ghost, Key, Found, Event} || is_known_dead(Found, Node, Begin, Facts)],
    Lost = [
        {lost, Key, Pid, Event}
     || {_, Acknowledged, At, Pid} = Registration <- registrations(Key, Facts),
        %% It is only its own node that cannot be late.
        At =:= Node,
        Pid =/= Found,
        Acknowledged < Begin,
        lives(Key, Registration, End, Facts)
    ],
    Ghosts ++ Lost;
judge({rest, Time, _, Names} = Event, Facts) ->
    Brief = setelement(4, Event, names),
    Ghosts = [{ghost, Key, Pid, Brief} || {Key, Pid} <- Names, is_dead(Pid, Time, Facts)],
    Table = maps:from_list(Names),
    Lost = [
        {lost, Key, Pid, Brief}
     || {Key, Registrations} <- maps:to_list(Facts#facts.registered),
        {_, Acknowledged, _, Pid} = Registration <- Registrations,
        Acknowledged < Time,
        maps:get(Key, Table, undefined) =/= Pid,
        lives(Key, Registration, Time, Facts)
    ],
    Ghosts ++ Lost;
judge(_, _) ->
    [].

registrations(Key, #facts{registered = All}) ->
    maps:get(Key, All, []).

%% Nothing can have ended this registration until then.
lives(Key, {Begin, _, _, Pid}, Until, #facts{conflicts = Conflicts} = Facts) ->
    not is_map_key({Key, Pid}, Conflicts) andalso
        not may_be_dead(Pid, Until, Facts) andalso
        not may_be_unregistered(Key, Begin, Until, Facts).

%% Not before its end has begun; without a word of that, at any time before it was known.
may_be_dead(Pid, Until, #facts{dying = Dying, died = Died, killed = Killed}) ->
    case Dying of
        #{Pid := Begin} -> Begin =< Until;
        #{} -> is_map_key(Pid, Died)
    end orelse
        case maps:find(life(Pid), Killed) of
            {ok, {Begun, _}} -> Begun =< Until;
            error -> false
        end.

may_be_unregistered(Key, Since, Until, #facts{unregistered = All}) ->
    lists:any(
        fun({Begin, End}) -> Begin =< Until andalso End >= Since end, maps:get(Key, All, [])
    ).

%% Of this node, and known there to have ended before this time.
is_known_dead(undefined, _, _, _) ->
    false;
is_known_dead(Pid, Node, Time, Facts) ->
    node(Pid) =:= Node andalso is_dead(Pid, Time, Facts).

%% As those know who have seen it.
is_dead(Pid, Time, #facts{died = Died, killed = Killed}) ->
    case Died of
        #{Pid := At} when At < Time -> true;
        #{} ->
            case maps:find(life(Pid), Killed) of
                {ok, {_, End}} -> End < Time;
                error -> false
            end
    end.

life(Pid) ->
    {node(Pid), creation(Pid)}.

%%--------------------------------------------------------------------
%% At rest

%% Those of one moment follow each other: each node once, then a new one begins.
one_holder(Rests) ->
    lists:append([agree(Moment) || Moment <- moments(Rests, [], [])]).

moments([], [], Done) ->
    lists:reverse(Done);
moments([], Now, Done) ->
    lists:reverse([Now | Done]);
moments([{rest, _, Node, Names} | Rests], Now, Done) ->
    case lists:keymember(Node, 1, Now) of
        true -> moments(Rests, [{Node, Names}], [Now | Done]);
        false -> moments(Rests, [{Node, Names} | Now], Done)
    end.

agree(Moment) ->
    ByKey = lists:foldl(
        fun({Node, Names}, Acc) ->
            lists:foldl(fun({Key, Pid}, Map) -> add(Key, {Node, Pid}, Map) end, Acc, Names)
        end,
        #{},
        Moment
    ),
    [
        {holders, Key, lists:sort(Holders)}
     || {Key, Holders} <- lists:sort(maps:to_list(ByKey)),
        length(lists:usort([Pid || {_, Pid} <- Holders])) > 1 orelse
            length(Holders) =/= length(Moment)
    ].
