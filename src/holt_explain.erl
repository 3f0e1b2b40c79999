%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc Why does this process have this name?  As a map, and in words.
-module(holt_explain).

-export([explain/2, text/1]).

-export_type([explanation/0, row/0]).

-type explanation() :: #{
    registry := atom(),
    key := term(),
    owner := pid() | undefined,
    value => term(),
    member => holt_nif:member(),
    actor => holt_nif:actor(),
    birth => holt_nif:birth(),
    stamp => non_neg_integer(),
    %% RFC 3339, UTC.
    time => binary(),
    siblings := [row()],
    last_conflict :=
        none | #{lost := pid(), won := pid(), value := term(), time := binary()},
    lag := #{holt_nif:member() => non_neg_integer()}
}.

-type row() :: #{
    pid := pid(),
    value := term(),
    member := holt_nif:member(),
    actor := holt_nif:actor(),
    birth := holt_nif:birth(),
    stamp := non_neg_integer(),
    time := binary(),
    %% It waits for the name.
    standby := boolean(),
    %% Given before its node had met another member.
    early := boolean(),
    %% Its member is present.
    visible := boolean()
}.

%% HOLT_CLOCK_COUNTER_BITS of include/holt/clock.h.
-define(COUNTER_BITS, 16).

%% What each side of a line in words may take, in characters.
-define(DEPTH, 12).

%% @doc All that is known here about a name.
-spec explain(atom(), Key :: term()) -> explanation() | {invalid, holt_error:cause()}.
explain(Name, Key) ->
    case {holt_nif:explain(Name, Key), holt_nif:info(Name)} of
        {{invalid, Cause}, _} ->
            {invalid, Cause};
        {_, {invalid, Cause}} ->
            {invalid, Cause};
        {Rows, Info} ->
            Base = #{
                registry => Name,
                key => Key,
                last_conflict => last_conflict(Name, Key),
                lag => lag(Info)
            },
            {Owners, Siblings} = lists:partition(fun(#{winner := Wins}) -> Wins end, Rows),
            add_owner(Owners, Siblings, Base)
    end.

-spec add_owner([map()], [map()], map()) -> explanation().
add_owner([], Siblings, Base) ->
    Base#{owner => undefined, siblings => [row(Row) || Row <- Siblings]};
add_owner([Owner | Others], Siblings, Base) ->
    Row = row(Owner),
    Own = maps:with([value, member, actor, birth, stamp, time], Row),
    More = [row(Sibling) || Sibling <- Others ++ Siblings],
    maps:merge(Base#{owner => maps:get(pid, Row), siblings => More}, Own).

-spec row(holt_nif:explained()) -> row().
row(#{value := Value, stamp := Stamp} = Row) ->
    (maps:without([seq, winner], Row))#{
        value := holt_registry:decode(Value),
        time => time(Stamp bsr ?COUNTER_BITS)
    }.

-spec time(integer()) -> binary().
time(Ms) ->
    Text = calendar:system_time_to_rfc3339(Ms, [{unit, millisecond}, {offset, "Z"}]),
    list_to_binary(Text).

-spec last_conflict(atom(), term()) -> none | map().
last_conflict(Name, Key) ->
    case holt_replica:last_conflict(Name, Key) of
        none -> none;
        #{at_ms := AtMs} = Last -> (maps:remove(at_ms, Last))#{time => time(AtMs)}
    end.

-spec lag(map()) -> #{holt_nif:member() => non_neg_integer()}.
lag(#{version := Version, peers := Peers}) ->
    maps:from_list([
        {Member, max(0, Version - Acked)}
     || #{member := Member, acked := Acked, protocol := Protocol} <- Peers,
        Protocol > 0
    ]).

%% @doc The same in words.
-spec text(explanation()) -> iodata().
text(#{registry := Name, key := Key, owner := Owner} = Explanation) ->
    unicode:characters_to_binary([
        [holt_error:show(Key, infinity), " in ", holt_error:show(Name, infinity), "\n"],
        case Owner of
            undefined -> "  nobody has it\n";
            _ -> [line("owner", Owner, Explanation), rank(Explanation)]
        end,
        [sibling(Row) || Row <- maps:get(siblings, Explanation)],
        conflict(maps:get(last_conflict, Explanation)),
        [
            io_lib:format("  ~ts lacks ~b of our changes~n", [member(Member), Lag])
         || {Member, Lag} <- lists:sort(maps:to_list(maps:get(lag, Explanation))), Lag > 0
        ]
    ]).

-spec line(string(), pid(), map()) -> iodata().
line(Role, Pid, #{member := Member, time := Time, value := Value}) ->
    io_lib:format("  ~ts ~p of ~ts, since ~ts, value ~ts~n", [
        Role, Pid, member(Member), Time, holt_error:show(Value, ?DEPTH)
    ]).

-spec rank(map()) -> iodata().
rank(#{actor := Actor, birth := Birth, stamp := Stamp}) ->
    io_lib:format("    written as change ~b of actor ~b, stamp ~b~n", [Birth, Actor, Stamp]).

-spec sibling(row()) -> iodata().
sibling(#{pid := Pid} = Row) ->
    Role =
        case Row of
            #{visible := false} -> "hidden, its member is away:";
            #{standby := true} -> "standby";
            #{early := true} -> "behind it, given before its node had met another:";
            _ -> "behind it"
        end,
    [line(Role, Pid, Row), rank(Row)].

-spec conflict(none | map()) -> iodata().
conflict(none) ->
    "";
conflict(#{lost := Lost, won := Won, time := Time, value := Value}) ->
    io_lib:format("  last conflict ~ts: ~p lost it to ~p, value ~ts~n", [
        Time, Lost, Won, holt_error:show(Value, ?DEPTH)
    ]).

-spec member(holt_nif:member()) -> iodata().
member({Name, Node}) ->
    io_lib:format("~ts on ~ts", [holt_error:show(Name, infinity), Node]).
