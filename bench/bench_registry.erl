%% SPDX-License-Identifier: Apache-2.0
%% @doc On a node: the reading functions of the registry beside Elixir's Registry with the
%% same names, processes and values; and what subscribers here cost registrations elsewhere.
%%
%% Elixir's Registry lets a process register itself only, so all owners do that in both.
-module(bench_registry).

-export([prepare/1, own/3, run/2]).
-export([subscribe/2, unsubscribe/0, own_cpu_ms/0]).

-define(KEYS, bench_registry_keys).
%% How often a call that looks at one key is made; and one that looks at all of them.
-define(SMALL, 20000).
-define(LARGE, 3).
-define(TOPIC, <<"topic">>).
-define(TOPIC_ENTRIES, 1000).
%% The names are user:session:00000001 and so on: one in a hundred has this prefix.
-define(PREFIX, <<"user:session:00042">>).
-define(PREFIX_END, <<"user:session:00043">>).

%% @doc N processes, each with a name and a value; and the entries of one duplicate key.
-spec prepare(pos_integer()) -> ok.
prepare(N) ->
    Parent = self(),
    Keys = bench_names:keys(binary, N),
    Holder = spawn(fun() ->
        {ok, _} = application:ensure_all_started(elixir),
        {ok, _} = holt_registry:start_link(#{name => bench_topics, keys => duplicate}),
        {ok, _} = 'Elixir.Registry':start_link([{name, bench_elixir}, {keys, unique}]),
        {ok, _} = 'Elixir.Registry':start_link([{name, bench_elixir_topics}, {keys, duplicate}]),
        Holder = self(),
        [spawn_link(?MODULE, own, [Holder, I, element(I, Keys)]) || I <- lists:seq(1, N)],
        [
            receive
                owns -> ok
            end
         || _ <- lists:seq(1, N)
        ],
        Parent ! {self(), ready},
        receive
            never -> ok
        end
    end),
    receive
        {Holder, ready} -> ok
    end,
    persistent_term:put(?KEYS, bench_names:shuffled(Keys)),
    N = holt_registry:count(bench),
    N = 'Elixir.Registry':count(bench_elixir),
    ok.

%% @private
-spec own(pid(), pos_integer(), binary()) -> ok.
own(Holder, I, Key) ->
    {ok, _} = holt_registry:register(bench, Key, {v, I}),
    {ok, _} = 'Elixir.Registry':register(bench_elixir, Key, {v, I}),
    I =< ?TOPIC_ENTRIES andalso
        begin
            {ok, _} = holt_registry:register(bench_topics, ?TOPIC, I),
            {ok, _} = 'Elixir.Registry':register(bench_elixir_topics, ?TOPIC, I)
        end,
    Holder ! owns,
    receive
        never -> ok
    end.

%% @doc Nanoseconds per call, of a process that does nothing else.
-spec run(Call :: atom(), holt | elixir) -> float().
run(Call, Contender) ->
    Parent = self(),
    Pid = spawn_opt(
        fun() ->
            Module = module(Contender),
            Keys = persistent_term:get(?KEYS),
            Times = times(Call, Contender),
            erlang:garbage_collect(),
            Start = bench_names:now_ns(),
            repeat(Call, Module, Times, Keys),
            Parent ! {self(), (bench_names:now_ns() - Start) / Times}
        end,
        [{min_heap_size, 100000}, link]
    ),
    receive
        {Pid, Ns} -> Ns
    end.

module(holt) -> holt_registry;
module(elixir) -> 'Elixir.Registry'.

%% Elixir's Registry looks at all names to match those of one key.
times(match, holt) -> ?SMALL;
times(count_match, holt) -> ?SMALL;
times(Call, _) when Call =:= dispatch; Call =:= count -> ?SMALL;
times(count_node, holt) -> ?SMALL;
times(dispatch_all, _) -> ?SMALL div 100;
times(_, _) -> ?LARGE.

repeat(_Call, _Module, 0, _Keys) ->
    ok;
repeat(Call, Module, I, Keys) ->
    call(Call, Module, element(I, Keys)),
    repeat(Call, Module, I - 1, Keys).

%% Every call says what it has to find, so that nobody is quick by finding nothing.
call(match, Module, Key) ->
    [_] = Module:match(unique(Module), Key, {v, '$1'}, [{'>', '$1', 0}]);
call(count_match, Module, Key) ->
    1 = Module:count_match(unique(Module), Key, {v, '$1'}, [{'>', '$1', 0}]);
call(dispatch, Module, Key) ->
    ok = Module:dispatch(unique(Module), Key, fun([{Pid, _}]) when is_pid(Pid) -> ok end);
call(dispatch_all, Module, _) ->
    ok = Module:dispatch(topics(Module), ?TOPIC, fun([{_, _} | _] = Entries) ->
        ?TOPIC_ENTRIES = length(Entries)
    end);
call(select_pids, Module, _) ->
    [_ | _] = Module:select(unique(Module), [{{'_', '$1', '_'}, [], ['$1']}]);
call(select_all, Module, _) ->
    Body = [{{'$1', '$2', '$3'}}],
    [_ | _] = Module:select(unique(Module), [{{'$1', '$2', '$3'}, [], Body}]);
call(select_few, Module, _) ->
    Spec = [{{'$1', '_', {v, '$2'}}, [{'=<', '$2', 100}], ['$1']}],
    100 = length(Module:select(unique(Module), Spec));
call(count_select_few, Module, _) ->
    Spec = [{{'_', '_', {v, '$1'}}, [{'=<', '$1', 100}], [true]}],
    100 = Module:count_select(unique(Module), Spec);
call(prefix, Module, _) ->
    1000 = find_all(Module);
call(count, Module, _) ->
    true = Module:count(unique(Module)) > 0;
call(count_node, holt_registry, _) ->
    true = holt_registry:count(bench, node()) > 0;
call(count_node, Module, _) ->
    Spec = [{{'_', '$1', '_'}, [{'=:=', {node, '$1'}, node()}], [true]}],
    true = Module:count_select(unique(Module), Spec) > 0.

%% How many names with the prefix are found.  Of Elixir's Registry the quickest way: it
%% compares the keys as binaries, in ets.
find_all(holt_registry) ->
    length(holt_registry:prefix(bench, ?PREFIX));
find_all(Module) ->
    Guards = [{'>=', '$1', ?PREFIX}, {'<', '$1', ?PREFIX_END}],
    length(Module:select(bench_elixir, [{{'$1', '$2', '$3'}, Guards, [{{'$1', '$2', '$3'}}]}])).

unique(holt_registry) -> bench;
unique(_) -> bench_elixir.

topics(holt_registry) -> bench_topics;
topics(_) -> bench_elixir_topics.

%%--------------------------------------------------------------------
%% Subscribers

%% @doc N processes that watch one key or one prefix each, none of which is registered; or,
%% `one', one that watches all of those that will be.
-spec subscribe(none | keys | prefixes | one, pos_integer()) -> ok.
subscribe(none, _N) ->
    ok;
subscribe(What, N) ->
    Parent = self(),
    Holder = spawn(fun() ->
        Holder = self(),
        Pids = [spawn_link(fun() -> watch(Holder, Each) end) || Each <- watched(What, N)],
        [
            receive
                watches -> ok
            end
         || _ <- Pids
        ],
        Parent ! {self(), ready},
        receive
            stop -> exit(shutdown)
        end
    end),
    register(bench_subscribers, Holder),
    receive
        {Holder, ready} -> ok
    end.

watched(keys, N) -> [{key, {other, I}} || I <- lists:seq(1, N)];
watched(prefixes, N) ->
    [{prefix, <<"other:", (integer_to_binary(I))/binary>>} || I <- lists:seq(1, N)];
watched(one, _) -> [{prefix, <<"user:">>}].

watch(Holder, What) ->
    Ref = holt_registry:subscribe(bench, What, #{initial => false}),
    Holder ! watches,
    drain(Ref).

drain(Ref) ->
    receive
        {holt, Ref, _Token, _Events} -> drain(Ref)
    end.

%% @doc End all of them.
-spec unsubscribe() -> ok.
unsubscribe() ->
    case whereis(bench_subscribers) of
        undefined ->
            ok;
        Holder ->
            Monitor = monitor(process, Holder),
            Holder ! stop,
            receive
                {'DOWN', Monitor, process, _, _} -> ok
            end
    end.

%% @doc Processor time of this node so far.
-spec own_cpu_ms() -> non_neg_integer().
own_cpu_ms() ->
    element(1, statistics(runtime)).
