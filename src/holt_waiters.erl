%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc Processes that wait until a replica has come so far.
%%
%% Each has asked its replica process, which asks here after all that it has done and when
%% the time of {@link due/2} has come.
-module(holt_waiters).

-export([new/0, is_condition/1, add/4, answer/3, due/2, count/1]).

-export_type([waiters/0, condition/0, change/0, ready/0]).

%% What an actor of a node wrote.
-type change() :: {node(), holt_nif:actor(), holt_nif:seq()}.
-type condition() ::
    %% What an actor wrote up to this change is seen here, or nothing of its node any more.
    {seen, node(), holt_nif:actor(), Seq :: non_neg_integer()}
    %% What we wrote up to this change is held by all members that are present, or, we
    %% included, by the majority of those that there are.
    | {acked, Seq :: non_neg_integer(), all | quorum}
    | {ready, ready()}.
%% All that is said has to hold: so many members are present, and their names are seen here;
%% so many that they are a majority; nobody has come for so long.
-type ready() :: #{
    members => pos_integer(), quorum => majority, settle => default | non_neg_integer()
}.

%% What the replica process knows beside the native code.
-type surroundings() :: #{
    name := atom(),
    %% The nodes of its peers.
    nodes := [node()],
    %% Their actors, and how far each was when it said so last.
    greeted := fun(() -> [{holt_nif:actor(), Version :: non_neg_integer()}]),
    %% How many members were declared; 0 where nobody did.
    declared := non_neg_integer(),
    %% The default of `settle', in milliseconds.
    settle_ms := non_neg_integer(),
    %% When somebody was met last, in milliseconds of the monotonic clock.
    met_at := integer()
}.

-record(waiter, {
    from :: gen_server:from(),
    condition :: condition(),
    %% In milliseconds of the monotonic clock; its caller has given up by then.
    deadline :: integer()
}).

-opaque waiters() :: [#waiter{}].

%% @doc Nobody waits.
-spec new() -> waiters().
new() ->
    [].

%% @doc Can one wait for this?  Who asks may be anything.
-spec is_condition(term()) -> boolean().
is_condition({seen, Node, Actor, Seq}) ->
    is_atom(Node) andalso is_uint64(Actor) andalso is_uint64(Seq);
is_condition({acked, Seq, Whom}) ->
    is_uint64(Seq) andalso (Whom =:= all orelse Whom =:= quorum);
is_condition({ready, Ready}) when is_map(Ready) ->
    lists:all(
        fun
            ({members, Count}) -> is_uint64(Count);
            ({quorum, Quorum}) -> Quorum =:= majority;
            ({settle, Ms}) -> Ms =:= default orelse is_uint64(Ms);
            (_) -> false
        end,
        maps:to_list(Ready)
    );
is_condition(_) ->
    false.

-spec is_uint64(term()) -> boolean().
is_uint64(Number) ->
    is_integer(Number) andalso Number >= 0 andalso Number < 1 bsl 64.

%% @doc One more.
-spec add(gen_server:from(), condition(), Deadline :: integer(), waiters()) -> waiters().
add(From, Condition, Deadline, Waiters) ->
    [#waiter{from = From, condition = Condition, deadline = Deadline} | Waiters].

%% @doc How many wait.
-spec count(waiters()) -> non_neg_integer().
count(Waiters) ->
    length(Waiters).

%% @doc Answer those who have waited long enough; those who gave up are forgotten.
-spec answer(Now :: integer(), surroundings(), waiters()) -> waiters().
answer(_Now, _Surroundings, []) ->
    [];
answer(Now, Surroundings, Waiters) ->
    lists:filter(
        fun(#waiter{from = From, condition = Condition, deadline = Deadline}) ->
            IsMet = is_met(Condition, Now, Surroundings),
            _ = IsMet andalso holt_remote:reply(From, ok),
            not IsMet andalso Deadline > Now
        end,
        Waiters
    ).

%% @doc When to look again though nothing has happened; the time of none is infinity.
-spec due(surroundings(), waiters()) -> integer() | infinity.
due(#{met_at := MetAt} = Surroundings, Waiters) ->
    Settled = [
        MetAt + settle_ms(Settle, Surroundings)
     || #waiter{condition = {ready, #{settle := Settle}}} <- Waiters
    ],
    %% An atom is more than any number.
    lists:min([infinity | Settled]).

-spec is_met(condition(), integer(), surroundings()) -> boolean().
is_met({seen, Node, Actor, Seq}, _Now, #{name := Name, nodes := Nodes}) ->
    case holt_nif:reached(Name, Actor, Seq) of
        false -> false;
        %% The names of a member that is gone are gone, too.
        absent -> not lists:member(Node, Nodes);
        _ -> true
    end;
is_met({acked, Seq, all}, _Now, #{name := Name}) ->
    case holt_nif:acks(Name, Seq) of
        {Members, Acked} when is_integer(Members) -> Acked >= Members;
        _ -> false
    end;
is_met({acked, Seq, quorum}, _Now, #{name := Name} = Surroundings) ->
    case holt_nif:acks(Name, Seq) of
        {Members, Acked} when is_integer(Members) -> Acked + 1 >= majority(Surroundings);
        _ -> false
    end;
is_met({ready, Ready}, Now, #{name := Name, greeted := Greeted} = Surroundings) ->
    case holt_nif:info(Name) of
        #{actors := All} ->
            Actors = seen(Name, All, Greeted()),
            maps:fold(
                fun(What, Value, IsMet) ->
                    IsMet andalso is_ready(What, Value, Now, Actors, Surroundings)
                end,
                true,
                Ready
            );
        _ ->
            false
    end.

%% The names of one that has just been met come one after the other: not all of them are seen
%% before we are as far as it was.
-spec seen(atom(), [map()], [{holt_nif:actor(), non_neg_integer()}]) -> [map()].
seen(Name, Actors, Greeted) ->
    Behind = [
        Actor
     || {Actor, Version} <- Greeted, Version > 0, holt_nif:reached(Name, Actor, Version) =/= true
    ],
    [
        Info#{shown := Shown andalso not lists:member(Actor, Behind)}
     || #{actor := Actor, shown := Shown} = Info <- Actors
    ].

-spec is_ready(atom(), term(), integer(), [map()], surroundings()) -> boolean().
is_ready(members, Count, _Now, Actors, _) ->
    shown(Actors) >= Count;
is_ready(quorum, majority, _Now, Actors, Surroundings) ->
    shown(Actors) >= majority(Surroundings);
is_ready(settle, Settle, Now, Actors, #{met_at := MetAt} = Surroundings) ->
    Hidden = [Actor || #{sight := Sight, shown := false} = Actor <- Actors, Sight =/= absent],
    MetAt + settle_ms(Settle, Surroundings) =< Now andalso Hidden =:= [].

-spec settle_ms(default | non_neg_integer(), surroundings()) -> non_neg_integer().
settle_ms(default, #{settle_ms := Ms}) -> Ms;
settle_ms(Ms, _) -> Ms.

%% Members whose names are seen here.
-spec shown([map()]) -> non_neg_integer().
shown(Actors) ->
    length(lists:usort([Member || #{member := Member, shown := true} <- Actors])).

-spec majority(surroundings()) -> pos_integer().
majority(#{name := Name, declared := Declared}) ->
    case {Declared, holt_nif:census(Name)} of
        {0, {Known, _Present}} when is_integer(Known) -> Known div 2 + 1;
        _ -> Declared div 2 + 1
    end.
