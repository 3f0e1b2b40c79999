%% SPDX-License-Identifier: Apache-2.0
%% @doc Registries on nodes that die, start again, are cut off and meet: each case has its own,
%% for they do not come out of it as they went in.
-module(holt_nodes_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

-import(holt_ct_cluster, [
    registry/1, no_overlap/0, apart/0, with_nodes/3, everywhere/2, register_many/3, tick/0,
    await_name/4, await_count/3, await_agreement/2, agreed_list/2
]).

all() ->
    [
        node_is_killed_and_its_names_vanish,
        node_comes_back_under_its_name,
        node_stops_in_order,
        two_holders_meet,
        link_is_cut_and_heals,
        distribution_starts_after_the_instance,
        distribution_starts_and_stops_again,
        distribution_starts_under_an_orphan,
        hidden_node_takes_part,
        chaos_ends_in_agreement,
        overlapping_partitions_are_warned_of_once
    ].

init_per_testcase(Case, Config) ->
    [{registry, Case} | Config].

end_per_testcase(_Case, _Config) ->
    ok.

%%--------------------------------------------------------------------
%% Nodes that go and come

node_is_killed_and_its_names_vanish(Config) ->
    with_nodes(3, no_overlap(), fun([A, B, C] = Nodes) ->
        Reg = registry(Config),
        _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
        _ = [register_many(Node, Reg, 1000) || Node <- Nodes],
        await_count(Nodes, Reg, 3000),
        Self = self(),
        %% As soon as a node knows of it, not some time later.
        Watch = fun() ->
            true = monitor_node(C, true),
            receive
                {nodedown, C} -> ok
            end,
            Begin = erlang:monotonic_time(millisecond),
            holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 2000 end),
            erlang:monotonic_time(millisecond) - Begin
        end,
        _ = [spawn_link(fun() -> Self ! {Node, holt_ct:call(Node, Watch)} end) || Node <- [A, B]],
        holt_test:kill(C),
        Took = [
            receive
                {Node, Ms} -> Ms
            end
         || Node <- [A, B]
        ],
        ct:pal("vanished within ~p ms", [Took]),
        ?assert(lists:max(Took) < 500),
        everywhere([A, B], fun() ->
            undefined = holt_registry:whereis_name({Reg, {C, 1}}),
            [] = holt_registry:lookup(Reg, {C, 1}),
            [] = [K || {{Node, _} = K, _, _} <- holt_registry:to_list(Reg), Node =:= C],
            false = lists:member({Reg, C}, holt_cluster:members(Reg)),
            ok
        end),
        %% And can be given again.
        Pid = holt_ct:call(A, fun() -> holt_ct:register(Reg, {C, 1}, new, []) end),
        await_name([A, B], Reg, {C, 1}, Pid)
    end).

node_comes_back_under_its_name(Config) ->
    with_nodes(3, no_overlap(), fun([A, B, C] = Nodes) ->
        Reg = registry(Config),
        _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
        _ = [register_many(Node, Reg, 300) || Node <- Nodes],
        await_count(Nodes, Reg, 900),
        ok = holt_test:kill(C),
        ok = holt_test:restart(C),
        await_count([A, B], Reg, 600),
        _ = holt_ct:start_registry(C, #{name => Reg}),
        await_count(Nodes, Reg, 600),
        await_agreement(Nodes, Reg),
        %% The names of its predecessor are free.
        _ = register_many(C, Reg, 200),
        await_count(Nodes, Reg, 800),
        await_agreement(Nodes, Reg),
        everywhere(Nodes, fun() ->
            Pids = [P || {{N, _}, P, _} <- holt_registry:to_list(Reg), N =:= C],
            200 = length(Pids),
            ok
        end),
        holt_ct:call(C, fun() ->
            true = lists:all(
                fun(Pid) -> node(Pid) =/= node() orelse is_process_alive(Pid) end,
                [P || {_, P, _} <- holt_registry:to_list(Reg)]
            ),
            ok
        end)
    end).

node_stops_in_order(Config) ->
    with_nodes(2, no_overlap(), fun([A, B] = Nodes) ->
        Reg = registry(Config),
        _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
        _ = [register_many(Node, Reg, 100) || Node <- Nodes],
        await_count(Nodes, Reg, 200),
        ok = holt_ct:call(B, init, stop, []),
        await_count([A], Reg, 100)
    end).

two_holders_meet(Config) ->
    Reg = registry(Config),
    [A, B, C] = Nodes = holt_ct:start_strangers(3, apart()),
    try
        _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
        %% One after the other, so that A's is the oldest: of nodes that had met
        %% nobody the incumbent keeps the name.
        Holders = [
            holt_ct:call(Node, fun() ->
                Pid = holt_ct:register(Reg, {the, key}, node(), []),
                {ok, _} = holt_ct:do(Pid, fun() ->
                    holt_registry:register(Reg, {own, node()}, 1)
                end),
                _ = holt_ct:register(Reg, {bystander, node()}, 1, []),
                tick(),
                Pid
            end)
         || Node <- Nodes
        ],
        [OfA, OfB, OfC] = Holders,
        Self = self(),
        _ = [
            spawn_link(fun() ->
                Self ! {Pid, holt_ct:call(Node, fun() -> holt_ct:exit_of(Pid) end)}
            end)
         || {Node, Pid} <- [{B, OfB}, {C, OfC}]
        ],
        holt_ct:connect(Nodes),
        Reasons = [
            receive
                {Pid, Reason} -> {Pid, Reason}
            end
         || Pid <- [OfB, OfC]
        ],
        await_name(Nodes, Reg, {the, key}, OfA),
        await_agreement(Nodes, Reg),
        _ = [
            begin
                {Pid, {shutdown, {name_conflict, {{the, key}, Node}, Reg, Winner}}} =
                    lists:keyfind(Pid, 1, Reasons),
                %% C's holder may have lost to B's before A's won.
                ?assert(lists:member(Winner, [OfA, OfB] -- [Pid]))
            end
         || {Node, Pid} <- [{B, OfB}, {C, OfC}]
        ],
        %% A's two, and the bystanders.
        Expected = lists:sort(
            [{the, key}, {own, A}] ++
                [{bystander, Node} || Node <- Nodes]
        ),
        ?assertEqual(Expected, [Key || {Key, _, _} <- agreed_list(Nodes, Reg)])
    after
        holt_ct:stop_nodes(Nodes)
    end.

link_is_cut_and_heals(Config) ->
    with_nodes(3, apart(), fun([A, B, C] = Nodes) ->
        Reg = registry(Config),
        _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
        _ = [register_many(Node, Reg, 100) || Node <- Nodes],
        await_count(Nodes, Reg, 300),
        _ = [holt_ct:disconnect(C, Other) || Other <- [A, B]],
        await_count([A, B], Reg, 200),
        await_count([C], Reg, 100),
        Older = holt_ct:call(A, fun() -> holt_ct:register(Reg, key, old, []) end),
        _ = [register_many(Node, Reg, 150) || Node <- Nodes],
        Newer = holt_ct:call(C, fun() -> holt_ct:register(Reg, key, new, []) end),
        await_name([A, B], Reg, key, Older),
        holt_ct:connect(Nodes),
        await_count(Nodes, Reg, 451),
        await_name(Nodes, Reg, key, Newer),
        await_agreement(Nodes, Reg),
        holt_ct:await(A, fun() -> not is_process_alive(Older) end),
        %% Again and again.
        _ = [
            begin
                holt_ct:disconnect(A, B),
                holt_ct:connect(Nodes)
            end
         || _ <- lists:seq(1, 10)
        ],
        await_count(Nodes, Reg, 451),
        await_agreement(Nodes, Reg)
    end).

distribution_starts_after_the_instance(Config) ->
    with_nodes(1, no_overlap(), fun([A]) ->
        Reg = registry(Config),
        _ = holt_ct:start_registry(A, #{name => Reg}),
        _ = register_many(A, Reg, 50),
        Alone = holt_ct:start_unnamed(no_overlap()),
        try
            _ = holt_ct:start_registry(Alone, #{name => Reg}),
            Pid = holt_ct:call(Alone, fun() -> holt_ct:register(Reg, lonely, 1, []) end),
            [{Reg, nonode@nohost}] = holt_ct:call(Alone, holt_cluster, members, [Reg]),
            Name = list_to_atom(peer:random_name("holt_ct")),
            Node = holt_ct:call(Alone, fun() ->
                {ok, _} = net_kernel:start(Name, #{name_domain => shortnames}),
                true = net_kernel:connect_node(A),
                node()
            end),
            await_count([A, Alone], Reg, 51),
            await_agreement([A, Alone], Reg),
            %% Pids are written with the node's new name.
            Found = holt_ct:call(A, holt_registry, whereis_name, [{Reg, lonely}]),
            ?assertEqual(Node, node(Found)),
            ?assertEqual(Node, holt_ct:call(A, fun() -> holt_ct:on(Found) end)),
            ?assertEqual(
                Found, holt_ct:call(Alone, fun() -> holt_registry:whereis_name({Reg, lonely}) end)
            ),
            ?assert(is_pid(Pid)),
            %% And alone again.
            holt_ct:call(Alone, fun() -> ok = net_kernel:stop() end),
            await_count([Alone], Reg, 1),
            await_count([A], Reg, 50)
        after
            holt_ct:stop_nodes([Alone])
        end
    end).

%% Each time it is another node, also under the name that it had.
distribution_starts_and_stops_again(Config) ->
    with_late_node(Config, #{}, fun(Reg, A, Late, Start) ->
        [_, Two, Two] = [Start(Name, fun() -> ok end) || Name <- [one, two, two]],
        %% Faster than its replica process can see.
        Replica = holt_replica:process_name(Reg),
        holt_ct:call(Late, fun() -> ok = sys:suspend(Replica) end),
        Resume = fun() -> holt_ct:call(Late, fun() -> ok = sys:resume(Replica) end) end,
        Two = Start(two, Resume),
        holt_ct:call(Late, fun() -> ok = net_kernel:stop() end),
        await_count([Late], Reg, 1),
        await_count([A], Reg, 50)
    end).

%% Nobody is there to see that the node is another one; who adopts the orphan is.
distribution_starts_under_an_orphan(Config) ->
    with_late_node(Config, #{orphan_ms => 600000}, fun(Reg, A, Late, Start) ->
        Kill = fun() -> holt_ct:call(Late, fun() -> holt_ct:kill(whereis(Reg)) end) end,
        Again = fun() -> holt_ct:start_registry(Late, #{name => Reg, orphan_ms => 600000}) end,
        Actor = fun() ->
            #{actor := Actor} = holt_ct:call(Late, holt_cluster, info, [Reg]),
            Actor
        end,
        Actors = [
            begin
                Kill(),
                _ = Start(Name, Again),
                Actor()
            end
         || Name <- [one, two, two]
        ],
        ?assertEqual(3, length(lists:usort(Actors))),
        Kill(),
        holt_ct:call(Late, fun() -> ok = net_kernel:stop() end),
        Again(),
        await_count([Late], Reg, 1),
        await_count([A], Reg, 50)
    end).

%% Node A has fifty names; the late one has one, `lonely', before it is any node.  Start
%% gives it a name, whatever it had before, and checks that both have all names.
with_late_node(Config, More, Fun) ->
    with_nodes(1, no_overlap(), fun([A]) ->
        Reg = registry(Config),
        Options = More#{name => Reg},
        _ = holt_ct:start_registry(A, Options),
        _ = register_many(A, Reg, 50),
        Late = holt_ct:start_unnamed(no_overlap()),
        try
            _ = holt_ct:start_registry(Late, Options),
            Pid = holt_ct:call(Late, fun() -> holt_ct:register(Reg, lonely, 1, []) end),
            Suffix = peer:random_name("holt_ct"),
            Check = fun(Node) ->
                await_count([A, Late], Reg, 51),
                await_agreement([A, Late], Reg),
                %% The old pid does not fit any more.
                Found = holt_ct:call(A, holt_registry, whereis_name, [{Reg, lonely}]),
                ?assertEqual(Node, node(Found)),
                ?assertEqual(Node, holt_ct:call(A, fun() -> holt_ct:on(Found) end)),
                holt_ct:call(Late, fun() ->
                    [{Found, 1}] = holt_registry:lookup(Reg, lonely),
                    [lonely] = holt_registry:keys(Reg, Found),
                    2 = length(holt_cluster:members(Reg)),
                    ok
                end),
                ?assert(is_pid(Pid))
            end,
            Fun(Reg, A, Late, fun(Name, Then) ->
                Node = start_distribution(Late, lists:concat([Name, Suffix]), A, Then),
                Check(Node),
                Node
            end)
        after
            holt_ct:stop_nodes([Late])
        end
    end).

start_distribution(Late, Name, Other, Then) ->
    Stop = fun() ->
        Node = node(),
        _ = is_alive() andalso (ok = net_kernel:stop()),
        Node
    end,
    Before = holt_ct:call(Late, Stop),
    holt_ct:await(Other, fun() -> not lists:member(Before, nodes(connected)) end),
    Start = fun() ->
        %% The name is free when epmd has seen the node's end, too.
        holt_ct:wait_until(fun() ->
            case net_kernel:start(list_to_atom(Name), #{name_domain => shortnames}) of
                {ok, _} -> true;
                {error, Reason} -> Reason
            end
        end),
        node()
    end,
    Node = holt_ct:call(Late, Start),
    Then(),
    holt_ct:await(Late, fun() -> net_kernel:connect_node(Other) end),
    Node.

hidden_node_takes_part(Config) ->
    with_nodes(1, no_overlap(), fun([A]) ->
        Reg = registry(Config),
        [Hidden] = holt_ct:start_strangers(1, ["-hidden" | no_overlap()]),
        try
            Nodes = [A, Hidden],
            holt_ct:connect(Nodes),
            _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
            _ = [register_many(Node, Reg, 10) || Node <- Nodes],
            await_count(Nodes, Reg, 20)
        after
            holt_ct:stop_nodes([Hidden])
        end
    end).

%% Names come and go on three nodes while links are cut and our processes are killed.
%% In the end every name has the holder that still believes to have it.
chaos_ends_in_agreement(Config) ->
    Seed = rand:uniform(1 bsl 32),
    ct:pal("seed ~p", [Seed]),
    _ = rand:seed(exsss, Seed),
    with_nodes(3, apart(), fun(Nodes) ->
        Reg = registry(Config),
        %% Whoever comes and goes so often would wait for long.
        Options = #{
            name => Reg,
            conflict_grace_ms => 600000,
            vector_interval_ms => 100,
            flap_ms_max => 500
        },
        _ = [holt_ct:start_registry(Node, Options) || Node <- Nodes],
        Workers = [
            {Node, holt_ct:call(Node, fun() -> spawn(fun() -> worker(Reg, Seed) end) end)}
         || Node <- Nodes
        ],
        Pick = fun() -> lists:nth(rand:uniform(3), Nodes) end,
        %% A supervisor lets ten crashes pass.
        What = fun
            (Step) when Step rem 10 =:= 0 -> kill;
            (Step) when Step rem 10 =:= 5 -> orphan;
            (Step) when Step rem 10 =:= 7 -> pause;
            (Step) when Step rem 3 =:= 0 -> connect;
            (_) -> cut
        end,
        _ = [disturb(What(Step), Options, Pick(), Pick(), Nodes) || Step <- lists:seq(1, 100)],
        holt_ct:connect(Nodes),
        Believed = lists:append([
            holt_ct:call(Node, fun() -> ask(Worker, stop) end)
         || {Node, Worker} <- Workers
        ]),
        ct:pal("~p names at the end of ~p registrations", [
            length(Believed),
            lists:sum([
                holt_ct:call(Node, fun() -> ask(Worker, registrations) end)
             || {Node, Worker} <- Workers
            ])
        ]),
        await_agreement(Nodes, Reg),
        Told = lists:sort(
            lists:append([
                holt_ct:call(Node, fun() -> ask(Worker, names) end)
             || {Node, Worker} <- Workers
            ])
        ),
        ?assertEqual(Told, [{Key, Pid} || {Key, Pid, _} <- agreed_list(Nodes, Reg)]),
        ?assertEqual([], Told -- Believed)
    end).

disturb(connect, _Options, _A, _B, Nodes) ->
    holt_ct:connect(Nodes);
disturb(cut, _Options, Node, Node, Nodes) ->
    holt_ct:connect(Nodes);
disturb(cut, _Options, A, B, _Nodes) ->
    holt_ct:disconnect(A, B);
disturb(orphan, #{name := Reg} = Options, A, _B, _Nodes) ->
    holt_ct:call(A, fun() -> holt_ct:kill(whereis(Reg)) end),
    _ = holt_ct:start_registry(A, Options);
disturb(pause, _Options, A, B, _Nodes) ->
    ok = holt_ct:call(A, application, stop, [holt]),
    _ = A =/= B andalso holt_ct:disconnect(A, B),
    ok = holt_ct:call(A, application, start, [holt]);
disturb(kill, #{name := Reg}, A, _B, _Nodes) ->
    Process = holt_replica:process_name(Reg),
    holt_ct:call(A, fun() ->
        _ = [holt_ct:kill(Pid) || Pid <- [whereis(Process)], is_pid(Pid)],
        holt_ct:wait_until(fun() -> is_pid(whereis(Process)) end)
    end).

%% Holds names and gives them back, until it is told to stop.  It traps exits, so that a
%% lost name costs it that name and nothing else.
worker(Reg, Seed) ->
    _ = process_flag(trap_exit, true),
    _ = rand:seed(exsss, Seed + erlang:phash2(node())),
    work(Reg, #{}, 0, running).

work(Reg, Names, Count, State) ->
    receive
        {'EXIT', _, {shutdown, {name_conflict, {Key, {Id, _}}, Reg, _}}} ->
            case Names of
                #{Key := Id} -> work(Reg, maps:remove(Key, Names), Count, State);
                #{} -> work(Reg, Names, Count, State)
            end;
        {From, registrations} ->
            From ! {self(), Count},
            work(Reg, Names, Count, State);
        {From, names} ->
            From ! {self(), [{Key, self()} || Key <- maps:keys(Names)]},
            work(Reg, Names, Count, State);
        {From, stop} ->
            From ! {self(), [{Key, self()} || Key <- maps:keys(Names)]},
            work(Reg, Names, Count, stopped)
    after wait_ms(State) ->
        Key = rand:uniform(30),
        case {Names, rand:uniform(3)} of
            {#{Key := Id}, 1} ->
                _ = holt_registry:update_value(Reg, Key, fun({I, N}) when I =:= Id ->
                    {Id, N + 1}
                end),
                work(Reg, Names, Count, State);
            {#{Key := _}, 2} ->
                %% Only here: the name may have a holder on another node by now.
                _ = holt_nif:unregister(Reg, Key, self()),
                work(Reg, maps:remove(Key, Names), Count, State);
            {#{Key := _}, 3} ->
                work(Reg, Names, Count, State);
            {#{}, _} ->
                case holt_registry:register(Reg, Key, {Count, 0}) of
                    {ok, _} -> work(Reg, Names#{Key => Count}, Count + 1, State);
                    {error, {already_registered, _}} -> work(Reg, Names, Count, State)
                end
        end
    end.

wait_ms(running) -> rand:uniform(3) - 1;
wait_ms(stopped) -> infinity.

ask(Worker, Question) ->
    Worker ! {self(), Question},
    receive
        {Worker, Answer} -> Answer
    after 10000 -> error({no_answer, Question})
    end.

%% Once for as long as a node runs, and only if there is somebody to lose.
overlapping_partitions_are_warned_of_once(_Config) ->
    Meet = fun([A, B], Reg) ->
        _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- [A, B]],
        holt_ct:await(A, fun() -> length(holt_cluster:members(Reg)) =:= 2 end),
        %% What that made them do has been done.
        holt_ct:call(A, fun() ->
            _ = [sys:get_state(P) || P <- [holt_replica:process_name(Reg), holt_janitor]],
            ok
        end)
    end,
    Warnings = fun(Args) ->
        Kernel = ["-kernel", "logger_level", "warning" | Args],
        with_nodes(2, Kernel, fun([A, _] = Nodes) ->
            Counter = holt_ct:call(A, fun() -> start_counter() end),
            Count = fun() -> holt_ct:call(A, fun() -> ask(Counter, count) end) end,
            _ = holt_ct:start_registry(A, #{name => alone}),
            0 = Count(),
            ok = Meet(Nodes, first),
            First = Count(),
            ok = Meet(Nodes, second),
            ok = holt_ct:call(A, fun() -> holt_ct:kill(whereis(holt_janitor)) end),
            holt_ct:await(A, fun() -> is_pid(whereis(holt_janitor)) end),
            ok = Meet(Nodes, third),
            ok = holt_ct:call(A, fun() ->
                ok = application:stop(holt),
                application:start(holt)
            end),
            ok = Meet(Nodes, fourth),
            First = Count()
        end)
    end,
    IsOn = ["-kernel", "prevent_overlapping_partitions", "true"],
    ?assertEqual(1, Warnings(IsOn)),
    ?assertEqual(0, Warnings(["-connect_all", "false" | IsOn])),
    ?assertEqual(0, Warnings(no_overlap())).

start_counter() ->
    Counter = spawn(fun() -> count_warnings(0) end),
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => Counter, level => warning}),
    Counter.

count_warnings(Count) ->
    receive
        warning ->
            count_warnings(Count + 1);
        {From, count} ->
            From ! {self(), Count},
            count_warnings(Count)
    end.

%% A logger handler.
log(#{level := warning, msg := {string, Text}}, #{config := Pid}) ->
    _ = string:find(Text, "prevent_overlapping_partitions") =/= nomatch andalso (Pid ! warning),
    ok;
log(#{msg := {Format, _}} = Event, Config) when is_list(Format) ->
    log(Event#{msg := {string, Format}}, Config);
log(_, _) ->
    ok.
