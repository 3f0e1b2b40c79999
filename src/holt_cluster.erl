%% SPDX-License-Identifier: Apache-2.0
%% @doc Who takes part in an instance, and how it is.
%%
%% All of it is what this node knows; no call asks another node.  An instance that this
%% node does not run raises `badarg'.
-module(holt_cluster).

-export([members/1, members/2, peers/1, in_sync/1, info/1]).

-export_type([member/0, member_info/0, peer_info/0, refused/0]).

%% The name of an instance, and a node that runs it.
-type member() :: {Name :: atom(), node()}.

%% How often what was refused, by kind, those that have occurred: `malformed', `too_large',
%% `too_deep', `unsupported', `stale', `version', `policy', `limit', `nomem'.
-type refused() :: #{Kind :: atom() => pos_integer()}.

%% One actor of a member: a member that was ended and started again is another one.
-type member_info() :: #{
    member := member(),
    actor := pos_integer(),
    %% `present': it is there.  `suspect': we have just lost it, and ask the others; nothing
    %% changes meanwhile.  `paused': the application holt is stopped there, and its names are
    %% hidden until it is back.  `absent': nobody who is connected to us reaches it, and its
    %% names are hidden.
    state := present | suspect | absent | paused,
    %% How we know.  `direct': we are connected to it.  `vouched': others are, who say so.
    contact := self | direct | vouched | none,
    %% The member that passes its names on to us, while it does.
    voucher := member() | undefined,
    %% For how long it has been absent, at least; else 0.
    absent_ms := non_neg_integer(),
    %% Its names are found here.  False for one that is back, until we have caught up with it.
    shown := boolean(),
    %% How many names it has, hidden or not.
    names := non_neg_integer(),
    %% The last of its changes that we hold.
    version := non_neg_integer()
}.

%% A member that we have been greeted by, over a link that we think is there.
-type peer_info() :: #{
    member := member(),
    %% `busy': its link takes no more for the moment.  `connecting': there is no session,
    %% because its replica process is missing.
    state := up | busy | connecting,
    %% How many of our changes it has not acknowledged.
    lag := non_neg_integer(),
    %% The last of our changes that it has acknowledged, and the last there is.
    acked := non_neg_integer(),
    version := non_neg_integer(),
    in_flight_bytes := non_neg_integer(),
    %% Version of the protocol that is spoken with it.
    protocol := pos_integer(),
    %% Its clock less ours, in milliseconds, when it said so last.
    clock_ms := integer(),
    %% It held what we hold now, when it said so last.
    in_sync := boolean(),
    %% Of what it sent.
    refused := refused()
}.

-define(BADARG(Cause, Arguments), erlang:error(badarg, Arguments, holt_error:info(Cause))).

%% @doc The members that are present, this node's own included.
%%
%% Those are the members to which this node is connected, those for which others vouch that
%% they are, and, for the moment that it takes to ask them, those that were just lost.
-spec members(Instance :: atom()) -> [member()].
members(Instance) ->
    case holt_nif:members(Instance) of
        {invalid, Cause} -> ?BADARG(Cause, [Instance]);
        Members -> lists:sort(Members)
    end.

%% @doc All members that this node knows, also those that are not here now.
%%
%% Absent ones are forgotten after `forget_after_ms'.
-spec members(Instance :: atom(), all) -> [member_info()].
members(Instance, all) ->
    case holt_nif:info(Instance) of
        {invalid, Cause} -> ?BADARG(Cause, [Instance, all]);
        #{actors := Actors} -> sort([member_info(Actor) || Actor <- Actors])
    end;
members(Instance, Which) ->
    ?BADARG(not_all, [Instance, Which]).

%% @doc The other members that are linked to this one, and how far each has come.
-spec peers(Instance :: atom()) -> [peer_info()].
peers(Instance) ->
    case holt_nif:info(Instance) of
        {invalid, Cause} ->
            ?BADARG(Cause, [Instance]);
        #{peers := Peers} ->
            %% The others are nodes that may run the instance, and have not said so.
            sort([peer_info(Peer) || #{protocol := Protocol} = Peer <- Peers, Protocol > 0])
    end.

%% @doc Do all members hold the same names, as far as this node has heard?
%%
%% True when each peer has acknowledged all our changes, and held at its last word what we
%% hold now; with no peer it is true.  False while a peer is missing.  Members compare what
%% they hold every `vector_interval_ms', so after a change it takes about as long to become
%% true again.
-spec in_sync(Instance :: atom()) -> boolean().
in_sync(Instance) ->
    case holt_nif:in_sync(Instance) of
        {invalid, Cause} -> ?BADARG(Cause, [Instance]);
        InSync -> InSync
    end.

%% @doc What this node's copy of an instance holds, in numbers.
%%
%% <ul>
%% <li>`member', `actor', `creation', `version': who we are, and our last change.</li>
%% <li>`count': names in sight. `memory_bytes': native memory of this copy.</li>
%% <li>`actors': the writers we know of. Copies with equal `actor' and `version' hold the
%%     same names and have the same `fingerprint'.</li>
%% <li>`peers': the links, those to nodes that have not answered included. `in_sync': see
%%     {@link in_sync/1}.</li>
%% <li>`refused': what others sent in a form that is not allowed, by kind.</li>
%% <li>`conflicts': names that processes of this node have lost. `mixed_rules': conflicts
%%     between members that have other rules for them.</li>
%% <li>`asks': questions whether somebody reaches a member that we have lost. `probes':
%%     sent to find out for others. `vouches': that others gave us; `vouches_lapsed': and
%%     did not renew, or withdrew.</li>
%% <li>`forwarded', `forwarded_bytes': changes of others that were passed on to those who
%%     do not hear them. `flaps': members that came and went, and were made to wait before
%%     they were shown again.</li>
%% <li>`gaps', `duplicates': messages that came before their time, or again.</li>
%% <li>`repairs', `repairs_served', `stalls': copies asked for anew, copies given to
%%     others, and repairs given up, and begun again, because they did not get on.</li>
%% <li>`backwards': members that came back with less of their own names than was known
%%     here; all of theirs is fetched again.</li>
%% <li>`diverged': how often a peer told of an equal version with unequal names; a copy
%%     that differs from what its own member says is fetched again.</li>
%% <li>`stamps_refused', `stamps_capped': stamps of others beyond `clock_bound_ms', and
%%     our own that were held back to it.</li>
%% </ul>
-spec info(Instance :: atom()) -> #{atom() => term()}.
info(Instance) ->
    case holt_nif:info(Instance) of
        {invalid, Cause} -> ?BADARG(Cause, [Instance]);
        Info -> Info#{name => Instance}
    end.

%%--------------------------------------------------------------------
%% Internal

-spec member_info(map()) -> member_info().
member_info(#{sight := Sight, paused := Paused, rows := Names} = Actor) ->
    {State, Contact} = state(Sight, Paused),
    (maps:with([member, actor, voucher, absent_ms, shown, version], Actor))#{
        state => State, contact => Contact, names => Names
    }.

-spec state(Sight, boolean()) ->
    {present | suspect | absent | paused, self | direct | vouched | none}
when
    Sight :: self | connected | vouched | suspect | absent.
state(self, _) -> {present, self};
state(connected, _) -> {present, direct};
state(vouched, _) -> {present, vouched};
state(suspect, _) -> {suspect, none};
state(absent, true) -> {paused, none};
state(absent, false) -> {absent, none}.

-spec peer_info(map()) -> peer_info().
peer_info(#{acked := Acked, version := Version} = Peer) ->
    State =
        case Peer of
            #{up := false} -> connecting;
            #{busy := true} -> busy;
            #{} -> up
        end,
    Keys = [member, acked, version, in_flight_bytes, protocol, clock_ms, in_sync, refused],
    (maps:with(Keys, Peer))#{state => State, lag => Version - Acked}.

-spec sort([#{member := member(), _ => _}]) -> [#{member := member(), _ => _}].
sort(Infos) ->
    lists:sort(fun(#{member := Left}, #{member := Right}) -> Left =< Right end, Infos).
