%% SPDX-License-Identifier: Apache-2.0
%% @doc On a node: the contenders, one way to speak to each of them, and processes to
%% give names to.
%%
%% `holt' and `pg' know processes by name on all nodes; `ets', a table of this node, is
%% the floor under both.  Names are the same terms in all three.
-module(bench_names).

-export([start/0, await/2]).
-export([keys/2, shuffled/1]).
-export([own/1, owners/0, disown/0]).
-export([add/3, remove/3, find/2, count/1, fill/2]).
-export([now_ns/0]).

-export_type([contender/0]).

-type contender() :: holt | pg | ets.

-define(DEADLINE_MS, 120000).

%%--------------------------------------------------------------------
%% This node

%% @doc Start the three, owned by a process that stays.
-spec start() -> ok.
start() ->
    Parent = self(),
    Holder = spawn(fun() ->
        {ok, _} = application:ensure_all_started(holt),
        {ok, _} = holt_registry:start_link(#{name => bench}),
        {ok, _} = pg:start_link(bench_pg),
        bench_ets = ets:new(bench_ets, [
            named_table, public, {read_concurrency, true}, {write_concurrency, true}
        ]),
        Parent ! {self(), started},
        keep([])
    end),
    true = register(bench_holder, Holder),
    receive
        {Holder, started} -> ok
    end.

%% @doc Wait until something holds.
-spec await(atom() | {found, contender(), Key :: term()}, term()) -> ok.
await(What, Expected) ->
    await(What, Expected, now_ns() + ?DEADLINE_MS * 1000000).

await(What, Expected, Deadline) ->
    case look(What) of
        Expected ->
            ok;
        Other ->
            now_ns() < Deadline orelse error({expected, What, Expected, Other}),
            receive
            after 1 -> await(What, Expected, Deadline)
            end
    end.

look(bench_names_members) ->
    lists:sort([Node || {bench, Node} <- holt_cluster:members(bench)]);
look({found, Contender, Key}) ->
    find(Contender, Key) =/= undefined;
look(Contender) ->
    count(Contender).

%% @doc One clock for all OS processes of this machine.
-spec now_ns() -> integer().
now_ns() ->
    os:perf_counter(nanosecond).

%%--------------------------------------------------------------------
%% Names, and processes to have them

%% @doc The names 1 to N, as a tuple.
-spec keys(binary | tuple, pos_integer()) -> tuple().
keys(binary, N) ->
    list_to_tuple([
        iolist_to_binary(io_lib:format("user:session:~8..0b", [I]))
     || I <- lists:seq(1, N)
    ]);
keys(tuple, N) ->
    list_to_tuple([{user, I} || I <- lists:seq(1, N)]).

%% @doc The same elements in a random order, always the same one.
-spec shuffled(tuple()) -> tuple().
shuffled(Tuple) ->
    {Tagged, _} = lists:mapfoldl(
        fun(Element, Random) ->
            {Tag, Next} = rand:uniform_s(Random),
            {{Tag, Element}, Next}
        end,
        rand:seed_s(exsss, 1),
        tuple_to_list(Tuple)
    ),
    list_to_tuple([Element || {_, Element} <- lists:sort(Tagged)]).

%% @doc Start N processes that do nothing.
-spec own(pos_integer()) -> ok.
own(N) ->
    ask({own, N}).

%% @doc They.
-spec owners() -> tuple().
owners() ->
    ask(owners).

%% @doc End them, and wait until all contenders have noticed.
-spec disown() -> ok.
disown() ->
    ok = ask(disown),
    true = ets:delete_all_objects(bench_ets),
    [await(Contender, 0) || Contender <- [holt, pg]],
    ok.

ask(Question) ->
    Monitor = monitor(process, bench_holder),
    bench_holder ! {self(), Monitor, Question},
    receive
        {Monitor, Answer} ->
            demonitor(Monitor, [flush]),
            Answer;
        {'DOWN', Monitor, process, _, Reason} ->
            error(Reason)
    end.

keep(Owners) ->
    receive
        {From, Ref, {own, N}} ->
            New = [spawn(fun idle/0) || _ <- lists:seq(1, N)],
            From ! {Ref, ok},
            keep(New);
        {From, Ref, owners} ->
            From ! {Ref, list_to_tuple(Owners)},
            keep(Owners);
        {From, Ref, disown} ->
            Monitors = [monitor(process, Owner) || Owner <- Owners],
            [exit(Owner, kill) || Owner <- Owners],
            [
                receive
                    {'DOWN', Monitor, process, _, _} -> ok
                end
             || Monitor <- Monitors
            ],
            From ! {Ref, ok},
            keep([])
    end.

idle() ->
    receive
        never -> ok
    end.

%%--------------------------------------------------------------------
%% The contenders

-spec add(contender(), Key :: term(), pid()) -> ok.
add(holt, Key, Pid) ->
    yes = holt_registry:register_name({bench, Key}, Pid),
    ok;
add(pg, Key, Pid) ->
    pg:join(bench_pg, Key, Pid);
add(ets, Key, Pid) ->
    true = ets:insert(bench_ets, {Key, Pid}),
    ok.

-spec remove(contender(), Key :: term(), pid()) -> ok.
remove(holt, Key, _Pid) ->
    holt_registry:unregister(bench, Key);
remove(pg, Key, Pid) ->
    pg:leave(bench_pg, Key, Pid);
remove(ets, Key, _Pid) ->
    true = ets:delete(bench_ets, Key),
    ok.

-spec find(contender(), Key :: term()) -> pid() | undefined.
find(holt, Key) ->
    holt_registry:whereis_name({bench, Key});
find(pg, Key) ->
    case pg:get_members(bench_pg, Key) of
        [Pid] -> Pid;
        [] -> undefined
    end;
find(ets, Key) ->
    case ets:lookup(bench_ets, Key) of
        [Row] -> element(2, Row);
        [] -> undefined
    end.

%% @doc How many names it has; O(1) for all of them.
-spec count(contender()) -> non_neg_integer().
count(holt) -> holt_registry:count(bench);
count(pg) -> ets:info(bench_pg, size);
count(ets) -> ets:info(bench_ets, size).

%% @doc The n-th owner gets the n-th name.
-spec fill(contender(), Keys :: tuple()) -> ok.
fill(Contender, Keys) ->
    Owners = owners(),
    fill(Contender, Keys, Owners, 1, tuple_size(Keys)).

fill(_Contender, _Keys, _Owners, I, N) when I > N ->
    ok;
fill(Contender, Keys, Owners, I, N) ->
    ok = add(Contender, element(I, Keys), element(I, Owners)),
    fill(Contender, Keys, Owners, I + 1, N).
