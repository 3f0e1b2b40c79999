%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The native code's functions, one clause each.
%%
%% Instances live behind these calls, keyed by their name. Keys go in and come
%% out as terms, values as binaries made by `term_to_binary/1' (empty: none); where the
%% caller asks for terms, small ones are decoded.
%% Each call takes less than a millisecond or reschedules itself; the comments
%% in `c_src/nif' say what each one returns, docs/architecture.md who calls it.
%% Wrong use comes back as `{invalid, Reason}', and {@link holt_registry} turns
%% it into an exception that names the argument.
-module(holt_nif).

%% Names: called by any process.
-export([
    register/4,
    claim/5,
    unregister/3,
    drop/2,
    whereis/2,
    lookup/2,
    read/2,
    locate/2,
    entries/3,
    fetch/3,
    update/5,
    keys/2,
    count/1,
    count_key/2,
    count_node/2,
    next/3,
    explain/2,
    members/1,
    reached/3,
    acks/2,
    census/1,
    in_sync/1,
    owner_only/1,
    info/1
]).
%% What has changed: called by the process that watches.
-export([watch/1, changes/3, head/1]).
%% The instance: called by its replica process; resume/1, instances/0 and sweep/0 also
%% by others, which may find it without one.
-export([
    open/2,
    renode/1,
    goodbye/2,
    resume/1,
    close/1,
    instances/0,
    sweep/0,
    peer_up/2,
    peer_down/3,
    peer_busy/2,
    hello/3,
    deliver/4,
    poll/1,
    declare/2,
    evict/2,
    lose/5
]).

-export_type([
    invalid/0,
    member/0,
    peer/0,
    effect/0,
    actor/0,
    birth/0,
    seq/0,
    refusal/0,
    claimed/0,
    rival/0,
    explained/0,
    filter/0,
    decoded/2,
    change/0,
    reason/0
]).

-on_load(load/0).

-type invalid() ::
    {invalid,
        no_instance
        | fun_in_key
        | key_too_large
        | key_too_deep
        | duplicate_keys
        | remote_pid
        | no_memory}.
-type member() :: {Name :: atom(), node()}.
%% A link to a member, as the core numbers it.
-type peer() :: non_neg_integer().
%% A member's life, as the core numbers it.
-type actor() :: pos_integer().
%% Actor and birth name a registration for ever; its seq changes with each update.
-type birth() :: pos_integer().
-type seq() :: pos_integer().
-type too_large() :: {error, {too_large, Bytes :: non_neg_integer(), Max :: pos_integer()}}.
-type refusal() :: {error, {already_registered, pid()} | not_alive | no_quorum} | too_large().
-type effect() ::
    {hello, peer(), binary()}
    | {send, [{peer(), Header :: binary()}], Body :: binary()}
    %% Replaced: the winner was registered to take the loser's place.
    | {conflict, Loser :: pid(), Key :: term(), Value :: binary(), Winner :: pid(),
        Replaced :: boolean()}
    %% Policy 16#0201: somebody outside decides, and says it with {@link lose/5}.
    | {contest, Own :: rival(), Other :: rival()}.
%% One of two registrations of a name; the key is in the own one only.
-type rival() :: #{
    pid := pid(),
    key => term(),
    value := binary(),
    stamp := non_neg_integer(),
    actor := actor(),
    birth := birth(),
    member := member()
}.
%% What a claim is: a new registration; one that waits behind the others of its name; one
%% that takes the place of another.
-type claimed() :: new | standby | {replace, actor(), birth()}.
%% A registration of a name, with all that its rank is made of.
-type explained() :: #{
    actor := actor(),
    member := member(),
    birth := birth(),
    seq := seq(),
    stamp := non_neg_integer(),
    pid := pid(),
    value := binary(),
    standby := boolean(),
    early := boolean(),
    visible := boolean(),
    winner := boolean()
}.
%% Which names: all, all without their values, or those whose key is a binary that begins so.
%% `terms': all, or those whose key begins so, their values decoded.
-type filter() :: all | terms | bare | {prefix | terms, binary()}.
%% Where values are decoded: all of them, or some are left to the caller, because they are
%% large, or no term at all.
-type decoded(Entry, Encoded) :: [Entry] | {mixed, [Entry | Encoded]}.
-type reason() :: user | down | conflict | given_away | member | unknown.
%% Before: who had the name until now.  Of what is unregistered, pid and value are those of
%% the registration that went.
-type change() ::
    {registered | updated | unregistered, reason(), Key :: term(), pid(), Value :: binary(),
        Before :: none | {pid(), Value :: binary()}}
    | {member_up | member_down, member(), actor(), Count :: non_neg_integer()}.

-spec load() -> ok | {error, term()}.
load() ->
    %% A test may have a node of which holt takes the wall clock to be wrong, in milliseconds.
    ClockMs = application:get_env(holt, clock_offset_ms, 0),
    erlang:load_nif(filename:join(priv_dir(), "holt_nif"), ClockMs).

%% Beside the ebin folder that this module was loaded from, when the code path
%% does not know the application by its name.
-spec priv_dir() -> file:filename().
priv_dir() ->
    case code:priv_dir(holt) of
        {error, bad_name} ->
            Ebin = filename:dirname(code:which(?MODULE)),
            filename:join(filename:dirname(Ebin), "priv");
        Dir ->
            Dir
    end.

%%--------------------------------------------------------------------
%% Names

%% @doc Register a key for a process of this node: the short way, {@link claim/5} with `new'.
-spec register(Name :: atom(), Key :: term(), Value :: binary(), pid()) ->
    {ok, Replica :: pid()} | refusal() | invalid().
register(_Name, _Key, _Value, _Pid) -> erlang:nif_error(not_loaded).

%% @doc Register a key for a process of this node.
%%
%% `not_found': nobody has the key, so nobody can be replaced. `changed': another registration
%% than the one to be replaced has it. `unsupported': that one is of a member with another rule
%% that does not allow it, or keys are duplicate, which know neither standbys nor replacing.
-spec claim(Name :: atom(), Key :: term(), Value :: binary(), pid(), claimed()) ->
    {ok, actor(), seq()}
    | refusal()
    | {error, not_found | changed | unsupported}
    | invalid().
claim(_Name, _Key, _Value, _Pid, _Claimed) -> erlang:nif_error(not_loaded).

%% @doc Take a key away: unique, from whoever has it, or, `owner_only', from the caller alone;
%% duplicate, all entries of the caller.
-spec unregister(Name :: atom(), Key :: term(), Caller :: pid()) ->
    {ok, actor(), seq()}
    | none
    | {remote, node()}
    | {error, not_owner}
    | invalid().
unregister(_Name, _Key, _Caller) -> erlang:nif_error(not_loaded).

%% @doc Take a registration of this node away, whoever asks.
-spec drop(Name :: atom(), birth()) -> {ok, actor(), seq()} | none | invalid().
drop(_Name, _Birth) -> erlang:nif_error(not_loaded).

-spec whereis(Name :: atom(), Key :: term()) -> pid() | undefined | invalid().
whereis(_Name, _Key) -> erlang:nif_error(not_loaded).

-spec lookup(Name :: atom(), Key :: term()) -> [{pid(), Value :: binary()}] | invalid().
lookup(_Name, _Key) -> erlang:nif_error(not_loaded).

%% @doc The same with the values as terms.
-spec read(Name :: atom(), Key :: term()) ->
    decoded({pid(), Value :: term()}, {pid(), Value :: binary(), encoded}) | invalid().
read(_Name, _Key) -> erlang:nif_error(not_loaded).

%% @doc Who has a unique key, and by which registration?
-spec locate(Name :: atom(), Key :: term()) ->
    {pid(), Value :: binary(), actor(), birth(), seq()} | none | invalid().
locate(_Name, _Key) -> erlang:nif_error(not_loaded).

%% @doc What a process of this node has registered under a key, standbys included.
-spec entries(Name :: atom(), Key :: term(), pid()) ->
    [{Value :: binary(), birth(), seq()}] | invalid().
entries(_Name, _Key, _Pid) -> erlang:nif_error(not_loaded).

%% @doc The value of a key that this process of this node has; of duplicate keys, of its
%% youngest entry.
-spec fetch(Name :: atom(), Key :: term(), pid()) ->
    {Value :: binary(), Token :: seq()} | none | invalid().
fetch(_Name, _Key, _Pid) -> erlang:nif_error(not_loaded).

%% @doc Change the value that {@link fetch/3} gave, or, with birth and seq, that of one of
%% {@link entries/3}.
-spec update(Name :: atom(), Key :: term(), pid(), Token, Value :: binary()) ->
    ok | changed | none | too_large() | invalid()
when
    Token :: seq() | {birth(), seq()}.
update(_Name, _Key, _Pid, _Token, _Value) -> erlang:nif_error(not_loaded).

-spec keys(Name :: atom(), pid()) -> [Key :: term()] | invalid().
keys(_Name, _Pid) -> erlang:nif_error(not_loaded).

-spec count(Name :: atom()) -> non_neg_integer() | invalid().
count(_Name) -> erlang:nif_error(not_loaded).

%% @doc How many have this key?
-spec count_key(Name :: atom(), Key :: term()) -> non_neg_integer() | invalid().
count_key(_Name, _Key) -> erlang:nif_error(not_loaded).

%% @doc How many names (duplicate: entries) have the processes of a node?
-spec count_node(Name :: atom(), node()) -> non_neg_integer() | invalid().
count_node(_Name, _Node) -> erlang:nif_error(not_loaded).

%% @doc Some of the names (duplicate: entries), perhaps none, and where to go on; begin at 0.
-spec next(Name :: atom(), Cursor :: non_neg_integer(), filter()) ->
    {
        decoded(
            {Key :: term(), pid(), Value :: term()},
            {Key :: term(), pid(), Value :: binary(), encoded}
        ),
        Next :: pos_integer() | done
    }
    | invalid().
next(_Name, _Cursor, _Filter) -> erlang:nif_error(not_loaded).

%% @doc All registrations of a key in the order of their rank.
-spec explain(Name :: atom(), Key :: term()) -> [explained()] | invalid().
explain(_Name, _Key) -> erlang:nif_error(not_loaded).

-spec members(Name :: atom()) -> [member()] | invalid().
members(_Name) -> erlang:nif_error(not_loaded).

-spec reached(Name :: atom(), actor(), seq()) ->
    boolean() | absent | invalid().
reached(_Name, _Actor, _Seq) -> erlang:nif_error(not_loaded).

%% @doc How many other members are present, and how many of them are known to hold what was
%% written here at this seq.
-spec acks(Name :: atom(), seq()) ->
    {Members :: non_neg_integer(), Acked :: non_neg_integer()} | invalid().
acks(_Name, _Seq) -> erlang:nif_error(not_loaded).

%% @doc How many members have been seen, this one included, and not said goodbye; and how many
%% of them are present.
-spec census(Name :: atom()) -> {Known :: pos_integer(), Present :: pos_integer()} | invalid().
census(_Name) -> erlang:nif_error(not_loaded).

-spec in_sync(Name :: atom()) -> boolean() | invalid().
in_sync(_Name) -> erlang:nif_error(not_loaded).

%% @doc May nobody but its owner change a name?
-spec owner_only(Name :: atom()) -> boolean() | invalid().
owner_only(_Name) -> erlang:nif_error(not_loaded).

-spec info(Name :: atom()) -> map() | invalid().
info(_Name) -> erlang:nif_error(not_loaded).

%%--------------------------------------------------------------------
%% Changes

%% @doc Keep the changes from now on, and tell the calling process of them: it gets
%% `holt_changes' once whenever there is something to read after it had read all.  What is
%% kept is bounded: see {@link changes/3}.
-spec watch(Name :: atom()) -> ok | invalid().
watch(_Name) -> erlang:nif_error(not_loaded).

%% @doc At most Max changes, the oldest first, and where to go on; From is what the call
%% before gave, or {@link head/1}.  `missed': some of them are no longer kept, but those from
%% Oldest on are; Next is where all is read.
-spec changes(Name :: atom(), From :: non_neg_integer(), Max :: pos_integer()) ->
    {[change()], Next :: non_neg_integer()}
    | {missed, Oldest :: non_neg_integer(), Next :: non_neg_integer()}
    | invalid().
changes(_Name, _From, _Max) -> erlang:nif_error(not_loaded).

%% @doc Where all is read.  Good as long as the instance has the same actor.
-spec head(Name :: atom()) -> Next :: non_neg_integer() | invalid().
head(_Name) -> erlang:nif_error(not_loaded).

%%--------------------------------------------------------------------
%% The instance

%% @doc Open an instance or adopt one.
%%
%% `policy': 1 (unique keys, the newest is kept), 16#0101 (the oldest), 16#0201 (somebody
%% outside decides) or 2 (duplicate keys). `owner_only': 1 where nobody but the owner may
%% unregister. `quorum': present members without which nothing new is registered; 0 for none,
%% 16#ffffffff for the majority of those known. Others: see holt_options.
-spec open(Name :: atom(), Options :: #{atom() => non_neg_integer()}) ->
    ok | adopted | {error, in_use} | invalid().
open(_Name, _Options) -> erlang:nif_error(not_loaded).

-spec renode(Name :: atom()) -> ok | invalid().
renode(_Name) -> erlang:nif_error(not_loaded).

-spec goodbye(Name :: atom(), ended | paused) -> ok | invalid().
goodbye(_Name, _What) -> erlang:nif_error(not_loaded).

-spec resume(Name :: atom()) -> ok | running | invalid().
resume(_Name) -> erlang:nif_error(not_loaded).

-spec close(Name :: atom()) -> ok | invalid().
close(_Name) -> erlang:nif_error(not_loaded).

-spec instances() -> [{Name :: atom(), OrphanMs :: non_neg_integer()}].
instances() -> erlang:nif_error(not_loaded).

-spec sweep() -> more | done.
sweep() -> erlang:nif_error(not_loaded).

-spec peer_up(Name :: atom(), member()) -> peer() | {refused, atom()} | invalid().
peer_up(_Name, _Member) -> erlang:nif_error(not_loaded).

-spec peer_down(Name :: atom(), peer(), link | replica) -> ok | invalid().
peer_down(_Name, _Peer, _What) -> erlang:nif_error(not_loaded).

-spec peer_busy(Name :: atom(), peer()) -> ok | invalid().
peer_busy(_Name, _Peer) -> erlang:nif_error(not_loaded).

-spec hello(Name :: atom(), member(), binary()) -> peer() | {refused, atom()} | invalid().
hello(_Name, _Member, _Bytes) -> erlang:nif_error(not_loaded).

-spec deliver(
    Name :: atom(), Header :: binary(), Body :: binary(), Offset :: non_neg_integer()
) ->
    done | {more, Next :: pos_integer()} | {refused, atom()} | invalid().
deliver(_Name, _Header, _Body, _Offset) -> erlang:nif_error(not_loaded).

-spec poll(Name :: atom()) -> {[effect()], again | non_neg_integer()} | invalid().
poll(_Name) -> erlang:nif_error(not_loaded).

%% @doc So many members there are to be, of which a majority is asked for; 0: whoever is known.
-spec declare(Name :: atom(), Count :: non_neg_integer()) -> ok | invalid().
declare(_Name, _Count) -> erlang:nif_error(not_loaded).

%% @doc Forget a member that is absent.
-spec evict(Name :: atom(), member()) -> ok | {error, present | not_found} | invalid().
evict(_Name, _Member) -> erlang:nif_error(not_loaded).

%% @doc The verdict of a contest: a registration of this node gives way to another one; `exit':
%% as in a conflict, or it becomes a standby.
-spec lose(Name :: atom(), birth(), Winner :: actor(), birth(), exit | standby) ->
    ok | none | invalid().
lose(_Name, _Birth, _WinnerActor, _WinnerBirth, _How) -> erlang:nif_error(not_loaded).
