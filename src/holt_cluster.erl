%% SPDX-License-Identifier: Apache-2.0
%% @doc Who takes part in an instance, and how it is.
%%
%% What is read here is what this node knows; no call but {@link join/2} asks another node.
%% An instance that this node does not run raises `badarg'.
-module(holt_cluster).

%% Who takes part
-export([members/1, members/2, set_members/2, join/2, leave/1, evict/2, await_ready/2]).
%% How it is
-export([peers/1, in_sync/1, info/0, info/1]).

-export_type([member/0, member_info/0, peer_info/0, refused/0, named/0, ready_options/0]).

%% The name of an instance, and a node that runs it.
-type member() :: {Name :: atom(), node()}.

%% A member as it may be written: the pair; a node, which has an @, for the instance of the
%% same name there; another atom for an instance of that name on this node.
-type named() :: member() | node() | atom().

-type ready_options() ::
    #{
        %% So many members are present, this one included, and their names are found here.
        members => pos_integer(),
        %% A majority of the members is, and theirs are: of the list, or, where there is none,
        %% of those that are known.
        quorum => majority,
        %% For so many milliseconds nobody new has come, and the names of all that are present
        %% are found here.  Alone here says `settle_ms' of the instance, 1,000.
        settle => non_neg_integer(),
        %% How long to wait, in milliseconds: 5,000.
        timeout => timeout()
    }
    | [{members | quorum | settle | timeout, term()}].

%% How often what was refused, by kind, those that have occurred: `malformed', `too_large',
%% `too_deep', `unsupported', `stale', `version', `policy', `limit', `nomem'.
-type refused() :: #{Kind :: atom() => pos_integer()}.

%% One actor of a member: a member that was ended and started again is another one.
-type member_info() :: #{
    member := member(),
    %% 0: in the list, and never seen.
    actor := non_neg_integer(),
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

%% The longest wait that a timer of Erlang does.
-define(TIMEOUT_MS_MAX, 16#ffffffff).

-define(READY_MS, 5000).
-define(JOIN_MS, 5000).

%%--------------------------------------------------------------------
%% Who takes part

%% @doc The members, this node's own included.
%%
%% With `members => auto' those that are present: to which this node is connected, for which
%% others vouch, and, for the moment that it takes to ask them, those that were just lost.  With
%% a list, of `start_link', {@link set_members/2} or {@link join/2}, all that are in it, present
%% or not.
-spec members(Instance :: atom()) -> [member()].
members(Instance) ->
    case holt_nif:members(Instance) of
        {invalid, Cause} -> ?BADARG(Cause, [Instance]);
        Present -> lists:sort(listed(Instance, Present))
    end.

%% @doc All members that this node knows, also those that are not here now.
%%
%% Absent ones are forgotten after `forget_after_ms', and those that are in the list never.
-spec members(Instance :: atom(), all) -> [member_info()].
members(Instance, all) ->
    case holt_nif:info(Instance) of
        {invalid, Cause} ->
            ?BADARG(Cause, [Instance, all]);
        #{actors := Actors} ->
            Known = [member_info(Actor) || Actor <- Actors],
            Seen = [Member || #{member := Member} <- Known],
            sort(Known ++ [never_seen(Member) || Member <- listed(Instance, []) -- Seen])
    end;
members(Instance, Which) ->
    ?BADARG(not_all, [Instance, Which]).

%% @doc Have these members and no others, this node's own among them or not.
%%
%% {@link members/1} says so when this returns.  All members that can be reached are told, and
%% those that cannot when they are again; of two lists that were set at the same time the later
%% one counts, everywhere.  A member that is not in the list keeps its own names, alone, and the
%% others lose sight of them.  `auto': whoever runs the instance, by the same name on any
%% connected node.
-spec set_members(Instance :: atom(), auto | [named()]) -> ok | {error, timeout | no_instance}.
set_members(Instance, Members) ->
    is_running(Instance) orelse ?BADARG(no_instance, [Instance, Members]),
    case Members =:= auto orelse holt_options:members(Instance, Members) of
        true -> holt_replica:change_members(Instance, {set, auto});
        {ok, List} -> holt_replica:change_members(Instance, {set, List});
        error -> ?BADARG(not_members, [Instance, Members])
    end.

%% @doc Make one of two instances, each with all its members: from now on they have one list,
%% and the same names.
%%
%% The other one may have another name, and be on this node or another one.  Where a member is
%% not in a list yet because there is none, those that are present now are taken for it.
-spec join(Instance :: atom(), Other :: named()) ->
    ok | {error, timeout | {no_instance | unreachable, node()}}.
join(Instance, Other) ->
    is_running(Instance) orelse ?BADARG(no_instance, [Instance, Other]),
    case holt_options:members(Instance, [Other]) of
        {ok, [{Instance, Node}]} when Node =:= node() -> ok;
        {ok, [Member]} -> join_member(Instance, Member);
        error -> ?BADARG(not_a_member, [Instance, Other])
    end.

-spec join_member(atom(), member()) ->
    ok | {error, timeout | {no_instance | unreachable, node()}}.
join_member(Instance, {_, Node} = Member) ->
    case holt_remote:call_member(Instance, Member, offer, ?JOIN_MS) of
        {ok, {List, Theirs}} ->
            case holt_replica:change_members(Instance, {join, [Member | List], Theirs}) of
                ok -> join_back(Instance, Member);
                {error, no_instance} -> {error, {no_instance, node()}};
                {error, timeout} -> {error, timeout}
            end;
        {ok, _} ->
            {error, {no_instance, Node}};
        {error, Reason} ->
            {error, Reason}
    end.

%% It would hear of it anyway; so it has when this returns.
-spec join_back(atom(), member()) ->
    ok | {error, timeout | {no_instance | unreachable, node()}}.
join_back(Instance, {_, Node} = Member) ->
    case holt_replica:offer(Instance) of
        {ok, {_, Ours}} ->
            case holt_remote:call_member(Instance, Member, {members, {merge, Ours}}, ?JOIN_MS) of
                {ok, ok} -> ok;
                {ok, _} -> {error, {no_instance, Node}};
                {error, Reason} -> {error, Reason}
            end;
        {error, no_instance} ->
            {error, {no_instance, node()}};
        {error, timeout} ->
            {error, timeout}
    end.

%% @doc Take part no more: this member goes on alone, with its own names, and the others lose
%% sight of them and forget it.
%%
%% It is back after {@link join/2} or {@link set_members/2} on this or another member.
-spec leave(Instance :: atom()) -> ok | {error, timeout | no_instance}.
leave(Instance) ->
    is_running(Instance) orelse ?BADARG(no_instance, [Instance]),
    holt_replica:change_members(Instance, leave).

%% @doc Forget a member that is absent, now and not after `forget_after_ms': it no longer
%% counts where a majority is asked for.  A node stands for all members on it.
%%
%% If it comes back it is a member again.  Every node forgets for itself.
-spec evict(Instance :: atom(), node() | member()) -> ok | {error, present | not_found}.
evict(Instance, Which) ->
    Members =
        case {holt_nif:info(Instance), Which} of
            {{invalid, Cause}, _} -> ?BADARG(Cause, [Instance, Which]);
            {_, {Name, Node}} when is_atom(Name), is_atom(Node) -> [Which];
            {#{actors := Actors}, Node} when is_atom(Node) ->
                lists:usort([Member || #{member := {_, At} = Member} <- Actors, At =:= Node]);
            _ -> ?BADARG(not_a_member, [Instance, Which])
        end,
    Answers = [holt_nif:evict(Instance, Member) || Member <- Members],
    case {lists:member({error, present}, Answers), lists:member(ok, Answers)} of
        {true, _} -> {error, present};
        {false, true} -> ok;
        {false, false} -> {error, not_found}
    end.

%% @doc Wait until this member has found others, and holds their names.
%%
%% All that the options ask for has to be true at once; without any it is `settle'.  With
%% `members => 1' or when no other member is there, it is soon true: who wants more has to say
%% so.
-spec await_ready(Instance :: atom(), ready_options()) -> ok | {error, timeout | no_instance}.
await_ready(Instance, Options) ->
    is_running(Instance) orelse ?BADARG(no_instance, [Instance, Options]),
    case ready(Options) of
        {invalid, Cause} -> ?BADARG(Cause, [Instance, Options]);
        {Ready, TimeoutMs} -> holt_replica:await_ready(Instance, Ready, TimeoutMs)
    end.

%%--------------------------------------------------------------------
%% How it is

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

%% @doc What this node runs: `node', its name; `version', that of holt; `instances', the names
%% of those that are here, those that wait for their root to be started again included.
-spec info() -> #{node := node(), version := string(), instances := [atom()]}.
info() ->
    _ = application:load(holt),
    {ok, Version} = application:get_key(holt, vsn),
    Instances = [Instance || {Instance, _OrphanMs} <- holt_nif:instances()],
    #{node => node(), version => Version, instances => lists:sort(Instances)}.

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
%% <li>`contests': names that a function of `conflict' has given to one of two, here;
%%     `contests_failed': and those for which it failed. `losers_killed': processes that had
%%     lost a name and did not end in `conflict_grace_ms'.</li>
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
        Info -> maps:merge(Info#{name => Instance}, holt_contest:counts(Instance))
    end.

%%--------------------------------------------------------------------
%% Internal

-spec is_running(term()) -> boolean().
is_running(Instance) ->
    is_atom(Instance) andalso is_integer(holt_nif:count(Instance)).

%% Who is in the list, or, where there is none, these.
-spec listed(atom(), [member()]) -> [member()].
listed(Instance, Present) ->
    case holt_members:load(Instance) of
        {ok, Members} ->
            case holt_members:list(Members) of
                auto -> Present;
                List -> List
            end;
        error ->
            Present
    end.

-spec ready(term()) ->
    {holt_waiters:ready(), holt_remote:timeout_ms()} | {invalid, holt_error:cause()}.
ready(Options) when is_map(Options) ->
    {Timeout, Ready} = maps:take(timeout, maps:merge(#{timeout => ?READY_MS}, Options)),
    Wrong = [Option || {Key, Value} = Option <- maps:to_list(Ready), not is_ready(Key, Value)],
    case {Wrong, holt_write:timeout_ms(Timeout)} of
        {[{Key, Value} | _], _} -> {invalid, {bad_ready_option, Key, Value}};
        {[], error} -> {invalid, {bad_ready_option, timeout, Timeout}};
        {[], Ms} when map_size(Ready) =:= 0 -> {#{settle => default}, Ms};
        {[], Ms} -> {Ready, Ms}
    end;
ready(Options) ->
    case holt_options:merge(Options, #{}) of
        {ok, Map} -> ready(Map);
        {error, _} -> {invalid, {bad_ready_option, Options}}
    end.

-spec is_ready(term(), term()) -> boolean().
is_ready(members, Count) -> is_integer(Count) andalso Count >= 1;
is_ready(quorum, Quorum) -> Quorum =:= majority;
is_ready(settle, Ms) -> is_integer(Ms) andalso Ms >= 0 andalso Ms =< ?TIMEOUT_MS_MAX;
is_ready(_, _) -> false.

-spec never_seen(member()) -> member_info().
never_seen(Member) ->
    #{
        member => Member,
        actor => 0,
        state => absent,
        contact => none,
        voucher => undefined,
        absent_ms => 0,
        shown => false,
        names => 0,
        version => 0
    }.

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
