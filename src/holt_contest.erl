%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc What becomes of processes that have lost a name, and who decides that they have.
%%
%% Two members have given one name to two processes.  Where the rule is keep_newest or
%% keep_oldest the native code decides, and says who has lost (`conflict').  Where it is a
%% function, the native code asks (`contest') on the node of the newer one, again and again
%% until one of the two is gone:
%%
%% ```
%%   contest --> a process runs the function --> verdict, kept
%%       the own one loses    --> holt_nif:lose/5
%%       the other one loses  --> a process tells its member, which does that
%%       both                 --> likewise, and it becomes a standby
%%       none                 --> likewise, then the own one goes
%%   contest, again --> the verdict is told again
%% '''
%%
%% A loser gets an exit signal, and is killed if it is there after the grace time.
-module(holt_contest).

-include_lib("kernel/include/logger.hrl").

-export([new/2, conflict/3, grace/2, contest/3, down/3, lose/3, last/2, counts/1]).
%% For spawn_monitor/3
-export([finish/1]).

-export_type([contests/0, conflict/0, last/0]).

%% Losers that are remembered.
-define(LAST_MAX, 1000).

%% Functions that run at a time; who finds no room is asked about again.
-define(RUNNING_MAX, 1000).
%% How long one may take, and how long it takes to tell another member, in milliseconds.
-define(DECIDE_MS, 5000).
-define(TELL_MS, 5000).
%% Verdicts that nobody has asked for in this time are forgotten.
-define(FORGET_MS, 60000).

%% Lines in the log in a period.
-define(LINES_MAX, 10).
-define(LINES_MS, 10000).

%% Places in the tally.
-define(CONTESTS, 1).
-define(CONTESTS_FAILED, 2).
-define(LOSERS_KILLED, 3).

-type conflict() :: {Loser :: pid(), Key :: term(), Value :: binary(), Winner :: pid()}.
-type last() :: #{
    lost := pid(),
    won := pid(),
    value := term(),
    %% Milliseconds since 1970.
    at_ms := integer()
}.
-type verdict() :: own | other | both | none.
-type pair() :: {holt_nif:actor(), holt_nif:birth(), holt_nif:actor(), holt_nif:birth()}.

-record(contest, {
    own :: holt_nif:rival(),
    other :: holt_nif:rival(),
    verdict = undefined :: undefined | verdict(),
    %% The process that decides or tells.
    running = undefined :: undefined | reference(),
    touched_ms :: integer()
}).

-record(contests, {
    name :: atom(),
    rule :: keep_newest | keep_oldest | {module(), atom()},
    exit :: wrapped | bare | none,
    grace_ms :: pos_integer(),
    pairs = #{} :: #{pair() => #contest{}},
    running = #{} :: #{reference() => pair()},
    %% The last conflicts, and their keys from the oldest on.
    last = #{} :: #{term() => {pos_integer(), last()}},
    order = queue:new() :: queue:queue({term(), pos_integer()}),
    count = 0 :: non_neg_integer(),
    tally :: counters:counters_ref(),
    %% Lines in the period that began then, and those that were not written.
    period_ms = undefined :: undefined | integer(),
    lines = 0 :: non_neg_integer(),
    unsaid = 0 :: non_neg_integer()
}).

-opaque contests() :: #contests{}.

%% @doc No conflicts yet, of an instance with these rules.
-spec new(Name :: atom(), holt_options:config()) -> contests().
new(Name, #{conflict := Rule, conflict_exit := Exit, conflict_grace_ms := GraceMs}) ->
    #contests{
        name = Name,
        rule = Rule,
        exit = Exit,
        grace_ms = GraceMs,
        tally = holt_members:tally(Name)
    }.

%% @doc How often a function has decided, and failed to, and how many losers were killed, since
%% the instance was started.
-spec counts(Name :: atom()) -> #{contests | contests_failed | losers_killed => integer()}.
counts(Name) ->
    Tally = holt_members:tally(Name),
    #{
        contests => counters:get(Tally, ?CONTESTS),
        contests_failed => counters:get(Tally, ?CONTESTS_FAILED),
        losers_killed => counters:get(Tally, ?LOSERS_KILLED)
    }.

%%--------------------------------------------------------------------
%% Conflicts

%% @doc A process of this node has lost a name, or, `Replaced', it was given to another one.
-spec conflict(conflict(), Replaced :: boolean(), contests()) -> contests().
conflict(_Conflict, true, Contests) ->
    Contests;
conflict({Loser, Key, Binary, Winner}, false, #contests{} = Contests) ->
    #contests{name = Name, exit = Exit, grace_ms = GraceMs} = Contests,
    Value = holt_registry:decode(Binary),
    Conflict = {name_conflict, {Key, Value}, Name, Winner},
    case Exit of
        none ->
            ok;
        _ ->
            %% Who watches hears of it first.
            ok = holt_events:exit_after(Name, Loser, wrap(Exit, Conflict)),
            _ = erlang:send_after(GraceMs, self(), {holt_grace, Loser}),
            ok
    end,
    Last = #{
        lost => Loser, won => Winner, value => Value, at_ms => erlang:system_time(millisecond)
    },
    say(
        "holt: instance ~p: ~p has lost the name ~0tP to ~p",
        [Name, Loser, Key, 12, Winner],
        remember(Key, Last, Contests)
    ).

-spec wrap(wrapped | bare, term()) -> term().
wrap(wrapped, Conflict) -> {shutdown, Conflict};
wrap(bare, Conflict) -> Conflict.

%% @doc The grace time of a loser is over.
-spec grace(pid(), contests()) -> contests().
grace(Loser, #contests{name = Name, grace_ms = GraceMs} = Contests) when
    node(Loser) =:= node()
->
    case is_process_alive(Loser) of
        true ->
            true = exit(Loser, kill),
            ok = counters:add(Contests#contests.tally, ?LOSERS_KILLED, 1),
            say(
                "holt: instance ~p: ~p was killed, ~b ms after it had lost a name",
                [Name, Loser, GraceMs],
                Contests
            );
        false ->
            Contests
    end;
grace(_Loser, Contests) ->
    Contests.

%% @doc The last conflict about this name, if it is remembered.
-spec last(Key :: term(), contests()) -> none | last().
last(Key, #contests{last = All}) ->
    case All of
        #{Key := {_, Last}} -> Last;
        #{} -> none
    end.

-spec remember(term(), last(), contests()) -> contests().
remember(Key, Last, #contests{last = All, order = Order, count = Count} = Contests) ->
    Next = Count + 1,
    forget_oldest(Contests#contests{
        last = All#{Key => {Next, Last}},
        order = queue:in({Key, Next}, Order),
        count = Next
    }).

%% A key may be in the queue several times; its last place counts.
-spec forget_oldest(contests()) -> contests().
forget_oldest(#contests{last = All, order = Order} = Contests) ->
    case queue:len(Order) > ?LAST_MAX of
        true ->
            {{value, {Key, Number}}, Rest} = queue:out(Order),
            Left =
                case All of
                    #{Key := {Number, _}} -> maps:remove(Key, All);
                    #{} -> All
                end,
            Contests#contests{last = Left, order = Rest};
        false ->
            Contests
    end.

%%--------------------------------------------------------------------
%% Contests

%% @doc The native code asks which of two may keep a name.
-spec contest(Own :: holt_nif:rival(), Other :: holt_nif:rival(), contests()) -> contests().
contest(Own, Other, #contests{pairs = Pairs, running = Running} = Contests) ->
    Pair = pair(Own, Other),
    Now = erlang:monotonic_time(millisecond),
    case Pairs of
        #{Pair := #contest{running = undefined} = Contest} ->
            %% It may have another value by now; the verdict stays.
            follow(Pair, Contest#contest{own = Own, other = Other, touched_ms = Now}, Contests);
        #{Pair := _} ->
            Contests;
        #{} when map_size(Running) >= ?RUNNING_MAX ->
            Contests;
        #{} ->
            decide(Pair, #contest{own = Own, other = Other, touched_ms = Now}, tidy(Now, Contests))
    end.

-spec pair(holt_nif:rival(), holt_nif:rival()) -> pair().
pair(#{actor := Actor, birth := Birth}, #{actor := OtherActor, birth := OtherBirth}) ->
    {Actor, Birth, OtherActor, OtherBirth}.

-spec tidy(integer(), contests()) -> contests().
tidy(Now, #contests{pairs = Pairs} = Contests) when map_size(Pairs) >= ?RUNNING_MAX ->
    Left = maps:filter(
        fun(_, #contest{running = Running, touched_ms = Ms}) ->
            Running =/= undefined orelse Ms + ?FORGET_MS > Now
        end,
        Pairs
    ),
    Contests#contests{pairs = Left};
tidy(_Now, Contests) ->
    Contests.

%% In a process of its own, which ends with the verdict.
-spec decide(pair(), #contest{}, contests()) -> contests().
decide(Pair, #contest{own = Own, other = Other} = Contest, #contests{} = Contests) ->
    #contests{name = Name, rule = Rule} = Contests,
    run(Pair, Contest, ?DECIDE_MS, fun() -> judge(Rule, Name, Own, Other) end, Contests).

-spec judge(term(), atom(), holt_nif:rival(), holt_nif:rival()) -> {verdict, verdict(), term()}.
judge({Module, Function}, Name, #{key := Key, pid := Own} = OwnRival, #{pid := Other} = Rival) ->
    [First, Second] = lists:sort(fun is_older/2, [OwnRival, Rival]),
    try Module:Function(Name, Key, claimant(First), claimant(Second)) of
        Own -> {verdict, own, said};
        Other -> {verdict, other, said};
        both -> {verdict, both, said};
        none -> {verdict, none, said};
        Garbage -> {verdict, own, {returned, Garbage}}
    catch
        Class:Reason -> {verdict, own, {Class, Reason}}
    end;
judge(_Rule, _Name, _Own, _Other) ->
    {verdict, own, said}.

-spec is_older(holt_nif:rival(), holt_nif:rival()) -> boolean().
is_older(#{stamp := Stamp, actor := Actor}, #{stamp := Other, actor := OtherActor}) ->
    {Stamp, Actor} =< {Other, OtherActor}.

-spec claimant(holt_nif:rival()) -> {pid(), Value :: term(), Stamp :: non_neg_integer()}.
claimant(#{pid := Pid, value := Value, stamp := Stamp}) ->
    {Pid, holt_registry:decode(Value), Stamp}.

%% Do what the verdict says, as far as it is not done.
-spec follow(pair(), #contest{}, contests()) -> contests().
follow(Pair, #contest{verdict = undefined} = Contest, Contests) ->
    decide(Pair, Contest, Contests);
follow({_, OwnBirth, Actor, Birth}, #contest{verdict = other}, #contests{name = Name} = Contests) ->
    %% The conflict comes back as an effect.
    _ = holt_nif:lose(Name, OwnBirth, Actor, Birth, exit),
    Contests;
follow({OwnActor, OwnBirth, _, Birth} = Pair, Contest, #contests{name = Name} = Contests) ->
    #contest{own = #{key := Key}, other = #{member := Member}, verdict = Verdict} = Contest,
    How =
        case Verdict of
            both -> standby;
            _ -> exit
        end,
    Request = {lose, Key, Birth, {OwnActor, OwnBirth}, How},
    Tell = fun() -> {told, holt_remote:call_member(Name, Member, Request, ?TELL_MS)} end,
    run(Pair, Contest, 2 * ?TELL_MS, Tell, Contests).

%% How it ends is how it answers.
-dialyzer({no_return, run/5}).
-spec run(pair(), #contest{}, pos_integer(), fun(() -> term()), contests()) -> contests().
run(Pair, Contest, LimitMs, Fun, #contests{pairs = Pairs, running = Running} = Contests) ->
    {Pid, Monitor} = spawn_monitor(?MODULE, finish, [Fun]),
    _ = erlang:send_after(LimitMs, self(), {holt_overdue, Pid}),
    Contests#contests{
        pairs = Pairs#{Pair => Contest#contest{running = Monitor}},
        running = Running#{Monitor => Pair}
    }.

%% @private
%% The reason of the exit is the answer.
-spec finish(fun(() -> term())) -> no_return().
finish(Fun) ->
    exit(Fun()).

%% @doc A process has ended; false: none of ours.
-spec down(reference(), Reason :: term(), contests()) -> contests() | false.
down(Monitor, Reason, #contests{running = Running, pairs = Pairs} = Contests) ->
    case maps:take(Monitor, Running) of
        {Pair, Rest} ->
            #{Pair := Contest} = Pairs,
            ended(
                Pair,
                Contest#contest{running = undefined},
                Reason,
                Contests#contests{running = Rest}
            );
        error ->
            false
    end.

-spec ended(pair(), #contest{}, term(), contests()) -> contests().
ended(Pair, Contest, {verdict, Verdict, How}, Contests) ->
    Decided = Contest#contest{verdict = Verdict},
    ok = counters:add(Contests#contests.tally, ?CONTESTS, 1),
    follow(Pair, Decided, blame(How, Contest, keep(Pair, Decided, Contests)));
ended(Pair, Contest, {told, {ok, Done}}, Contests) when Done =:= ok; Done =:= gone ->
    settled(Pair, Contest, Contests);
ended(Pair, #contest{verdict = undefined} = Contest, killed, Contests) ->
    ended(Pair, Contest, {verdict, own, {took_longer_than, ?DECIDE_MS}}, Contests);
ended(Pair, Contest, _NotTold, Contests) ->
    %% The next contest tells it again.
    keep(Pair, Contest, Contests).

-spec keep(pair(), #contest{}, contests()) -> contests().
keep(Pair, Contest, #contests{pairs = Pairs} = Contests) ->
    Contests#contests{pairs = Pairs#{Pair => Contest}}.

%% The other one has given way.
-spec settled(pair(), #contest{}, contests()) -> contests().
settled({_, OwnBirth, _, _} = Pair, #contest{verdict = none} = Contest, Contests) ->
    #contest{own = #{pid := Own, key := Key, value := Value}, other = #{pid := Other}} = Contest,
    #contests{name = Name} = Contests,
    case holt_nif:drop(Name, OwnBirth) of
        {ok, _, _} -> conflict({Own, Key, Value, Other}, false, keep(Pair, Contest, Contests));
        _ -> Contests
    end;
settled(Pair, Contest, Contests) ->
    keep(Pair, Contest, Contests).

-spec blame(said | term(), #contest{}, contests()) -> contests().
blame(said, _Contest, Contests) ->
    Contests;
blame(What, #contest{own = #{key := Key}}, #contests{name = Name, rule = Rule} = Contests) ->
    ok = counters:add(Contests#contests.tally, ?CONTESTS_FAILED, 1),
    say(
        "holt: instance ~p: the conflict function ~0p failed, the newest keeps the name ~0tP: ~0tP",
        [Name, Rule, Key, 12, What, 12],
        Contests
    ).

%% @doc Another member tells the verdict on a process of this node.  `gone': it has lost
%% already; `not_yet': the one to which it is to give way is not seen here.
-spec lose(Name :: atom(), Key :: term(), {holt_nif:birth(), Winner, exit | standby}) ->
    ok | gone | not_yet | holt_nif:invalid()
when
    Winner :: {holt_nif:actor(), holt_nif:birth()}.
lose(Name, Key, {Birth, {Actor, WinnerBirth}, How}) ->
    case holt_nif:lose(Name, Birth, Actor, WinnerBirth, How) of
        none ->
            case {holt_nif:info(Name), holt_nif:explain(Name, Key)} of
                {#{actor := Self}, Rows} when is_list(Rows) ->
                    Own = [
                        Row
                     || #{actor := Actor0, birth := Birth0} = Row <- Rows,
                        {Actor0, Birth0} =:= {Self, Birth}
                    ],
                    case Own of
                        [#{standby := false}] -> not_yet;
                        _ -> gone
                    end;
                _ ->
                    not_yet
            end;
        Answer ->
            Answer
    end.

%%--------------------------------------------------------------------
%% The log

%% So many lines in a period, then how many there would have been.
-spec say(string(), [term()], contests()) -> contests().
say(Format, Arguments, #contests{name = Name, period_ms = Since} = Contests) ->
    Now = erlang:monotonic_time(millisecond),
    #contests{lines = Lines, unsaid = Unsaid} = Contests,
    IsNew = Since =:= undefined orelse Since + ?LINES_MS =< Now,
    _ =
        IsNew andalso Unsaid > 0 andalso
            ?LOG_NOTICE("holt: instance ~p: ~b more conflicts", [Name, Unsaid], meta()),
    case IsNew orelse Lines < ?LINES_MAX of
        true ->
            ?LOG_NOTICE(Format, Arguments, meta()),
            case IsNew of
                true -> Contests#contests{period_ms = Now, lines = 1, unsaid = 0};
                false -> Contests#contests{lines = Lines + 1}
            end;
        false ->
            Contests#contests{unsaid = Unsaid + 1}
    end.

-spec meta() -> logger:metadata().
meta() ->
    #{domain => [holt]}.
