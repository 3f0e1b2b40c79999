%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The native code's functions, one clause each.
%%
%% Instances live behind these calls, keyed by their name. Keys go in and come
%% out as terms, values as binaries made by `term_to_binary/1' (empty: none).
%% Each call takes less than a millisecond or reschedules itself; the comments
%% in `c_src/nif' say what each one returns, docs/architecture.md who calls it.
%% Wrong use comes back as `{invalid, Reason}', and {@link holt_registry} turns
%% it into an exception that names the argument.
-module(holt_nif).

%% Names: called by any process.
-export([
    register/4,
    unregister/2,
    whereis/2,
    lookup/2,
    fetch/3,
    update/5,
    keys/2,
    count/1,
    next/2,
    members/1,
    reached/3,
    in_sync/1,
    info/1
]).
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
    poll/1
]).

-export_type([invalid/0, member/0, peer/0, effect/0]).

-on_load(load/0).

-type invalid() ::
    {invalid,
        no_instance
        | fun_in_key
        | key_too_large
        | key_too_deep
        | remote_pid
        | no_memory}.
-type member() :: {Name :: atom(), node()}.
%% A link to a member, as the core numbers it.
-type peer() :: non_neg_integer().
-type too_large() :: {error, {too_large, Bytes :: non_neg_integer(), Max :: pos_integer()}}.
-type effect() ::
    {hello, peer(), binary()}
    | {send, [{peer(), Header :: binary()}], Body :: binary()}
    | {conflict, Loser :: pid(), Key :: term(), Value :: binary(), Winner :: pid()}.

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

-spec register(Name :: atom(), Key :: term(), Value :: binary(), pid()) ->
    {ok, Replica :: pid()}
    | {error, {already_registered, pid()} | not_alive}
    | too_large()
    | invalid().
register(_Name, _Key, _Value, _Pid) -> erlang:nif_error(not_loaded).

-spec unregister(Name :: atom(), Key :: term()) ->
    {ok, Actor :: non_neg_integer(), Seq :: pos_integer()}
    | none
    | {remote, node()}
    | invalid().
unregister(_Name, _Key) -> erlang:nif_error(not_loaded).

-spec whereis(Name :: atom(), Key :: term()) -> pid() | undefined | invalid().
whereis(_Name, _Key) -> erlang:nif_error(not_loaded).

-spec lookup(Name :: atom(), Key :: term()) -> [{pid(), Value :: binary()}] | invalid().
lookup(_Name, _Key) -> erlang:nif_error(not_loaded).

-spec fetch(Name :: atom(), Key :: term(), pid()) ->
    {Value :: binary(), Token :: pos_integer()} | none | invalid().
fetch(_Name, _Key, _Pid) -> erlang:nif_error(not_loaded).

-spec update(Name :: atom(), Key :: term(), pid(), Token :: pos_integer(), Value :: binary()) ->
    ok | changed | none | too_large() | invalid().
update(_Name, _Key, _Pid, _Token, _Value) -> erlang:nif_error(not_loaded).

-spec keys(Name :: atom(), pid()) -> [Key :: term()] | invalid().
keys(_Name, _Pid) -> erlang:nif_error(not_loaded).

-spec count(Name :: atom()) -> non_neg_integer() | invalid().
count(_Name) -> erlang:nif_error(not_loaded).

-spec next(Name :: atom(), Cursor :: non_neg_integer()) ->
    {[{Key :: term(), pid(), Value :: binary()}], Next :: pos_integer() | done} | invalid().
next(_Name, _Cursor) -> erlang:nif_error(not_loaded).

-spec members(Name :: atom()) -> [member()] | invalid().
members(_Name) -> erlang:nif_error(not_loaded).

-spec reached(Name :: atom(), Actor :: non_neg_integer(), Seq :: pos_integer()) ->
    boolean() | absent | invalid().
reached(_Name, _Actor, _Seq) -> erlang:nif_error(not_loaded).

-spec in_sync(Name :: atom()) -> boolean() | invalid().
in_sync(_Name) -> erlang:nif_error(not_loaded).

-spec info(Name :: atom()) -> map() | invalid().
info(_Name) -> erlang:nif_error(not_loaded).

%%--------------------------------------------------------------------
%% The instance

-spec open(Name :: atom(), Options :: #{atom() => pos_integer()}) ->
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
