%% SPDX-License-Identifier: Apache-2.0
%% @doc Several instances in one VM, and a network between them that is the test's.
%%
%% The process of the test is the replica process of all of them: it opens them with
%% {@link holt_nif:open/2}, carries their messages by hand, and so decides what arrives
%% when, how often, and in which shape.  Messages wait in one queue per direction.
-module(prop_net).

-export([new/1, new/2, reopen/2, delete/1, link/3, unlink/3, poll/2, tamper/4, step/3, settle/2]).
-export([view/2, actors/2, conflicts/1, replaced/1, contests/1, in_flight/1]).

-export_type([net/0, conflict/0]).

-type instance() :: atom().
-type message() :: {hello, binary()} | {data, Header :: binary(), Body :: binary()}.

-type conflict() ::
    {instance(), Loser :: pid(), Key :: term(), Value :: binary(), Winner :: pid()}.

-type contest() :: {instance(), Own :: holt_nif:rival(), Other :: holt_nif:rival()}.

-record(net, {
    instances :: [instance()],
    %% Who is behind a peer's number: links that are up.
    peers = #{} :: #{{instance(), holt_nif:peer()} => instance()},
    queues = #{} :: #{{From :: instance(), To :: instance()} => [message()]},
    %% What the losers of names were told, the last first.
    conflicts = [] :: [conflict()],
    %% What those were told who were replaced, the last first.
    replaced = [] :: [conflict()],
    %% What somebody was asked to decide, the last first.
    contests = [] :: [contest()]
}).
-opaque net() :: #net{}.

%% Small numbers, so that what matters in large clusters happens in small ones.
-define(OPTIONS, #{
    vector_interval_ms => 5,
    replica_restart_ms => 600000,
    message_bytes_max => 200,
    window_bytes => 2000
}).

-define(DEADLINE_MS, 20000).

%% @doc Open these instances, connected to nobody.
-spec new([instance()]) -> net().
new(Instances) ->
    new(Instances, #{}).

%% @doc The same, with these options on top.
-spec new([instance()], #{atom() => non_neg_integer()}) -> net().
new(Instances, More) ->
    Options = maps:merge(?OPTIONS, More),
    _ = [ok = holt_nif:open(Instance, Options) || Instance <- Instances],
    #net{instances = Instances}.

%% @doc Close an instance and open it again: another actor, and no links.
-spec reopen(instance(), net()) -> net().
reopen(Instance, #net{instances = Instances} = Net) ->
    Alone = lists:foldl(fun(Other, Acc) -> unlink(Instance, Other, Acc) end, Net, Instances),
    ok = holt_nif:close(Instance),
    ok = holt_nif:open(Instance, ?OPTIONS),
    Alone.

%% @doc Close them and free what they held.
-spec delete(net()) -> ok.
delete(#net{instances = Instances}) ->
    _ = [ok = holt_nif:close(Instance) || Instance <- Instances],
    sweep(holt_nif:sweep()).

sweep(more) -> sweep(holt_nif:sweep());
sweep(done) -> forget_wakes().

forget_wakes() ->
    receive
        holt_wake -> forget_wakes()
    after 0 -> ok
    end.

%% @doc Make a link between two instances; over an old one, new sessions begin.
-spec link(instance(), instance(), net()) -> net().
link(A, B, Net) ->
    lists:foldl(
        fun({At, Other}, #net{peers = Peers} = Acc) ->
            Peer = holt_nif:peer_up(At, {Other, node()}),
            true = is_integer(Peer),
            Acc#net{peers = Peers#{{At, Peer} => Other}}
        end,
        Net,
        [{A, B}, {B, A}]
    ).

%% @doc Cut the link between two instances; what was on its way is lost.
-spec unlink(instance(), instance(), net()) -> net().
unlink(A, B, #net{peers = Peers, queues = Queues} = Net) ->
    Left = maps:filter(
        fun({At, Peer}, Other) ->
            IsOurs = {At, Other} =:= {A, B} orelse {At, Other} =:= {B, A},
            _ = IsOurs andalso (ok = holt_nif:peer_down(At, Peer, link)),
            not IsOurs
        end,
        Peers
    ),
    Net#net{peers = Left, queues = maps:without([{A, B}, {B, A}], Queues)}.

%% @doc Let an instance say what it has to say; the messages wait in their queues.
-spec poll(instance(), net()) -> net().
poll(Instance, Net) ->
    {Effects, Next} = holt_nif:poll(Instance),
    Polled = lists:foldl(fun(Effect, Acc) -> effect(Instance, Effect, Acc) end, Net, Effects),
    case Next of
        again -> poll(Instance, Polled);
        _ -> Polled
    end.

effect(From, {hello, Peer, Bytes}, Net) ->
    enqueue(From, Peer, {hello, Bytes}, Net);
effect(From, {send, Targets, Body}, Net) ->
    lists:foldl(
        fun({Peer, Header}, Acc) -> enqueue(From, Peer, {data, Header, Body}, Acc) end,
        Net,
        Targets
    );
effect(At, {conflict, Loser, Key, Value, Winner, false}, #net{conflicts = Conflicts} = Net) ->
    Net#net{conflicts = [{At, Loser, Key, Value, Winner} | Conflicts]};
effect(At, {conflict, Loser, Key, Value, Winner, true}, #net{replaced = Replaced} = Net) ->
    Net#net{replaced = [{At, Loser, Key, Value, Winner} | Replaced]};
effect(At, {contest, Own, Other}, #net{contests = Contests} = Net) ->
    Net#net{contests = [{At, Own, Other} | Contests]}.

enqueue(From, Peer, Message, #net{peers = Peers, queues = Queues} = Net) ->
    case Peers of
        #{{From, Peer} := To} ->
            Queue = maps:get({From, To}, Queues, []),
            Net#net{queues = Queues#{{From, To} => Queue ++ [Message]}};
        #{} ->
            _ = holt_nif:peer_busy(From, Peer),
            Net
    end.

-spec deliver(instance(), instance(), message(), net()) -> {done | refused, net()}.
deliver(From, To, {hello, Bytes}, #net{peers = Peers} = Net) ->
    case holt_nif:hello(To, {From, node()}, Bytes) of
        Peer when is_integer(Peer) -> {done, Net#net{peers = Peers#{{To, Peer} => From}}};
        {refused, _} -> {refused, Net}
    end;
deliver(_From, To, {data, Header, Body}, Net) ->
    {deliver_all(To, Header, Body, 0), Net}.

deliver_all(To, Header, Body, Offset) ->
    case holt_nif:deliver(To, Header, Body, Offset) of
        done -> done;
        {more, Next} -> deliver_all(To, Header, Body, Next);
        {refused, _} -> refused
    end.

%% @doc Let one message of a queue arrive, or none if there is none.  Which one, and
%% what becomes of it: `take', `copy' (it will come again), `lose'.
-spec step(
    {instance(), instance()}, {Position :: non_neg_integer(), take | copy | lose}, net()
) -> net().
step({From, To} = Link, {Position, How}, #net{queues = Queues} = Net) ->
    case maps:get(Link, Queues, []) of
        [] ->
            Net;
        Queue ->
            {Before, [Message | After]} = lists:split(Position rem length(Queue), Queue),
            Taken = Net#net{queues = Queues#{Link := Before ++ After}},
            case How of
                lose ->
                    Taken;
                take ->
                    element(2, deliver(From, To, Message, Taken));
                copy ->
                    element(2, deliver(From, To, Message, Net))
            end
    end.

%% @doc Let a changed copy of one message of a queue arrive; the true one stays.
-spec tamper(
    {instance(), instance()},
    Position :: non_neg_integer(),
    fun((message()) -> message()),
    net()
) -> {done | refused | none, net()}.
tamper({From, To} = Link, Position, Change, #net{queues = Queues} = Net) ->
    case maps:get(Link, Queues, []) of
        [] ->
            {none, Net};
        Queue ->
            Message = lists:nth(Position rem length(Queue) + 1, Queue),
            case Change(Message) of
                Message -> {none, Net};
                Changed -> deliver(From, To, Changed, Net)
            end
    end.

%% @doc Carry messages in order, losing none, until the fun says true of the net.
-spec settle(fun((net()) -> boolean()), net()) -> net().
settle(IsSettled, Net) ->
    settle(IsSettled, Net, erlang:monotonic_time(millisecond) + ?DEADLINE_MS).

settle(IsSettled, #net{instances = Instances} = Net, Deadline) ->
    Carried = carry(lists:foldl(fun poll/2, Net, Instances)),
    forget_wakes(),
    case in_flight(Carried) =:= 0 andalso IsSettled(Carried) of
        true ->
            Carried;
        false ->
            erlang:monotonic_time(millisecond) < Deadline orelse
                error({not_settled, [{I, holt_nif:info(I)} || I <- Instances]}),
            receive
            after 1 -> ok
            end,
            settle(IsSettled, Carried, Deadline)
    end.

carry(#net{queues = Queues} = Net) ->
    maps:fold(
        fun(Link, Queue, Acc) ->
            lists:foldl(fun(_, Sub) -> step(Link, {0, take}, Sub) end, Acc, Queue)
        end,
        Net,
        Queues
    ).

%% @doc Messages on their way.
-spec in_flight(net()) -> non_neg_integer().
in_flight(#net{queues = Queues}) ->
    lists:sum([length(Queue) || Queue <- maps:values(Queues)]).

%% @doc What the losers of names were told so far.
-spec conflicts(net()) -> [conflict()].
conflicts(#net{conflicts = Conflicts}) ->
    Conflicts.

%% @doc What those were told so far who were replaced.
-spec replaced(net()) -> [conflict()].
replaced(#net{replaced = Replaced}) ->
    Replaced.

%% @doc What somebody was asked to decide so far.
-spec contests(net()) -> [contest()].
contests(#net{contests = Contests}) ->
    Contests.

%% @doc What an instance shows of these keys.
-spec view(instance(), [term()]) -> [{term(), [{pid(), binary()}]}].
view(Instance, Keys) ->
    [{Key, holt_nif:lookup(Instance, Key)} || Key <- Keys].

%% @doc The copies that an instance holds of the actors of these that it shows.
-spec actors(instance(), [instance()]) -> [{instance(), Version :: term(), Print :: term()}].
actors(Instance, Writers) ->
    #{actors := Actors} = holt_nif:info(Instance),
    lists:sort([
        {Name, {Version, Rows}, Fingerprint}
     || #{
            member := {Name, _},
            version := Version,
            rows := Rows,
            fingerprint := Fingerprint,
            shown := true
        } <- Actors,
        lists:member(Name, Writers)
    ]).
