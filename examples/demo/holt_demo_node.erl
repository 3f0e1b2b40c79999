%% SPDX-License-Identifier: Apache-2.0
%% @doc What the conductor asks a node to do: each function runs on one of the three.
-module(holt_demo_node).

-export([
    fill/1,
    count/0,
    owners/1,
    call_all/1,
    answers/1,
    daemon_answers/2,
    daemon_count/1,
    lookup_ns/1,
    is_later/1,
    await/5,
    watch_down/2,
    watch_exit/1,
    watched/1,
    contact/1,
    watch_names/1,
    watched_names/1
]).

-define(LOOK_US, 10000000).

%% @doc Start a counter for each key; how long it took, in microseconds.
-spec fill([Key :: term()]) -> non_neg_integer().
fill(Keys) ->
    Start = now_us(),
    lists:foreach(fun(Key) -> {ok, _} = holt_demo_app:start_counter(Key) end, Keys),
    now_us() - Start.

-spec count() -> non_neg_integer().
count() ->
    holt_registry:count(demo).

%% @doc How many of the keys each node has, as seen from here.
-spec owners([Key :: term()]) -> #{node() | undefined => pos_integer()}.
owners(Keys) ->
    lists:foldl(
        fun(Key, Owners) ->
            Owner =
                case holt_registry:whereis_name({demo, Key}) of
                    undefined -> undefined;
                    Pid -> node(Pid)
                end,
            maps:update_with(Owner, fun(N) -> N + 1 end, 1, Owners)
        end,
        #{},
        Keys
    ).

%% @doc Call each counter by its name; how many answered from which node.
-spec call_all([Key :: term()]) -> #{node() => pos_integer()}.
call_all(Keys) ->
    lists:foldl(
        fun(Key, Answers) ->
            Where = holt_demo_counter:where(Key),
            maps:update_with(Where, fun(N) -> N + 1 end, 1, Answers)
        end,
        #{},
        Keys
    ).

%% @doc Who has each of the keys, as seen from here.
-spec answers([Key :: term()]) -> [pid() | undefined].
answers(Keys) ->
    [holt_registry:whereis_name({demo, Key}) || Key <- Keys].

%% @doc The same, as seen by the daemon of this name.
-spec daemon_answers(node(), [Key :: term()]) -> [pid() | undefined].
daemon_answers(Node, Keys) ->
    [gen_server:call({holtd, Node}, {whereis, demo, Key}) || Key <- Keys].

-spec daemon_count(node()) -> non_neg_integer().
daemon_count(Node) ->
    gen_server:call({holtd, Node}, {count, demo}).

%% @doc The time of one lookup, in nanoseconds: the mean over all keys.
-spec lookup_ns([Key :: term()]) -> non_neg_integer().
lookup_ns(Keys) ->
    Start = erlang:monotonic_time(nanosecond),
    lists:foreach(fun(Key) -> holt_registry:whereis_name({demo, Key}) end, Keys),
    (erlang:monotonic_time(nanosecond) - Start) div length(Keys).

%% @doc Whether the clock here is past this, in milliseconds.
-spec is_later(integer()) -> boolean().
is_later(Ms) ->
    erlang:system_time(millisecond) > Ms.

%% @doc Wait until the call returns what is expected.
-spec await(module(), atom(), [term()], Expected :: term(), DeadlineMs :: pos_integer()) ->
    ok | {instead, term()}.
await(M, F, A, Expected, DeadlineMs) ->
    await_until(M, F, A, Expected, now_us() + DeadlineMs * 1000).

await_until(M, F, A, Expected, Deadline) ->
    case apply(M, F, A) of
        Expected ->
            ok;
        Other ->
            case now_us() > Deadline of
                true ->
                    {instead, Other};
                false ->
                    receive
                    after 1 -> await_until(M, F, A, Expected, Deadline)
                    end
            end
    end.

%% @doc Note when this node is told that Node is gone, and when Count names are left: two
%% readings of os:perf_counter/1 in microseconds, the second by a process that does
%% nothing but look.  Ask {@link watched/1} for them with what is returned.
-spec watch_down(node(), Count :: non_neg_integer()) -> pid().
watch_down(Node, Count) ->
    watch(fun(Ready) ->
        Self = self(),
        ok = net_kernel:monitor_nodes(true),
        Looker = spawn(fun() -> Self ! {self(), look_until(Count, now_us() + ?LOOK_US)} end),
        Ready(),
        NodeDown =
            receive
                {nodedown, Node} -> os:perf_counter(microsecond)
            end,
        receive
            {Looker, Gone} -> {NodeDown, Gone}
        end
    end).

look_until(Count, Deadline) ->
    case count() =:= Count orelse now_us() > Deadline of
        true -> os:perf_counter(microsecond);
        false -> look_until(Count, Deadline)
    end.

%% @doc Note with which reason a process exits.
-spec watch_exit(pid()) -> pid().
watch_exit(Pid) ->
    watch(fun(Ready) ->
        Monitor = erlang:monitor(process, Pid),
        Ready(),
        receive
            {'DOWN', Monitor, process, Pid, Reason} -> Reason
        end
    end).

%% @doc What a watcher saw.
-spec watched(pid()) -> {ok, term()} | nothing.
watched(Watcher) ->
    Watcher ! {tell, self()},
    receive
        {Watcher, Seen} -> {ok, Seen}
    after 10000 -> nothing
    end.

%% @doc How this node knows of the member on another one, and who passes its names on.
-spec contact(node()) -> {atom(), undefined | holt_cluster:member()}.
contact(Node) ->
    [Contact] = [
        {Contact, Voucher}
     || #{member := {_, On}, contact := Contact, voucher := Voucher} <-
            holt_cluster:members(demo, all),
        On =:= Node
    ],
    Contact.

%% @doc Look for these names, over and over, until {@link watched_names/1} is asked.
-spec watch_names([Key :: term()]) -> pid().
watch_names(Keys) ->
    spawn(fun() -> look_for(Keys, 0, 0) end).

%% @doc How many lookups there were, and how many found nobody.
-spec watched_names(pid()) -> {ok, {non_neg_integer(), non_neg_integer()}} | nothing.
watched_names(Watcher) ->
    watched(Watcher).

look_for(Keys, Lookups, Missed) ->
    receive
        {tell, Who} -> Who ! {self(), {Lookups, Missed}}
    after 0 ->
        Misses = length([K || K <- Keys, holt_registry:whereis_name({demo, K}) =:= undefined]),
        look_for(Keys, Lookups + length(Keys), Missed + Misses)
    end.

watch(Fun) ->
    Parent = self(),
    Watcher = spawn(fun() ->
        Seen = Fun(fun() -> Parent ! {self(), ready} end),
        receive
            {tell, Who} -> Who ! {self(), Seen}
        end
    end),
    receive
        {Watcher, ready} -> Watcher
    end.

now_us() ->
    erlang:monotonic_time(microsecond).
