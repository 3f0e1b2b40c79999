%% SPDX-License-Identifier: Apache-2.0
%% @doc Registries on several nodes: what their suites share.
-module(holt_ct_cluster).

-export([registry/1, nodes_of/1, no_overlap/0, apart/0, with_nodes/3, everywhere/2]).
-export([start_everywhere/1, stop_registry/2, register_many/3, two_holders/4, tick/0]).
-export([await_name/4, await_count/3, await_agreement/2, agreed_list/2]).

%% As Common Test hands it to cases.
-type config() :: [{atom(), term()}].

%% @doc The registry of this case.
-spec registry(config()) -> atom().
registry(Config) ->
    proplists:get_value(registry, Config).

%% @doc The nodes of this group.
-spec nodes_of(config()) -> [holt_ct:test_node()].
nodes_of(Config) ->
    proplists:get_value(nodes, Config).

%% @doc Arguments: Erlang cuts no links by itself.
-spec no_overlap() -> [string()].
no_overlap() ->
    ["-kernel", "prevent_overlapping_partitions", "false"].

%% @doc Arguments: links are made and cut by the test alone.
-spec apart() -> [string()].
apart() ->
    ["-connect_all", "false", "-kernel", "dist_auto_connect", "never" | no_overlap()].

%% @doc Run a fun with nodes that are stopped after it.
-spec with_nodes(pos_integer(), [string()], fun(([holt_ct:test_node()]) -> Result)) -> Result.
with_nodes(Count, Args, Fun) ->
    Nodes = holt_ct:start_nodes(Count, Args),
    try
        Fun(Nodes)
    after
        holt_ct:stop_nodes(Nodes)
    end.

%% @doc Start the case's registry on all nodes.
-spec start_everywhere(config()) -> {atom(), [holt_ct:test_node()]}.
start_everywhere(Config) ->
    Reg = registry(Config),
    Nodes = nodes_of(Config),
    _ = [holt_ct:start_registry(Node, #{name => Reg}) || Node <- Nodes],
    {Reg, Nodes}.

%% @doc Stop it on a node, if it is there; the application may have been stopped.
-spec stop_registry(holt_ct:test_node(), atom()) -> ok.
stop_registry(Node, Reg) ->
    holt_ct:call(Node, fun() ->
        {ok, _} = application:ensure_all_started(holt),
        _ = [holt_registry:stop(Reg) || is_pid(whereis(Reg))],
        ok
    end).

%% @doc Run a fun on all nodes, one after the other.
-spec everywhere([holt_ct:test_node()], fun(() -> term())) -> ok.
everywhere(Nodes, Fun) ->
    lists:foreach(fun(Node) -> holt_ct:call(Node, Fun) end, Nodes).

%% @doc Wait until all of them find this.
-spec await_name([holt_ct:test_node()], atom(), term(), pid() | undefined) -> ok.
await_name(Nodes, Reg, Key, Pid) ->
    everywhere(Nodes, fun() ->
        holt_ct:wait_until(fun() ->
            Found = holt_registry:whereis_name({Reg, Key}),
            Found =:= Pid orelse Found
        end)
    end).

%% @doc Wait until all of them count so many names.
-spec await_count([holt_ct:test_node()], atom(), non_neg_integer()) -> ok.
await_count(Nodes, Reg, Count) ->
    everywhere(Nodes, fun() ->
        holt_ct:wait_until(fun() ->
            Found = holt_registry:count(Reg),
            Found =:= Count orelse Found
        end)
    end).

%% @doc Register names {node(), 1..Count} on a node, those that are not there yet, for one
%% process.
-spec register_many(holt_ct:test_node(), atom(), pos_integer()) -> pid().
register_many(Node, Reg, Count) ->
    holt_ct:call(Node, fun() ->
        Pid = holt_ct:start(),
        Keys = [{node(), N} || N <- lists:seq(1, Count)],
        [yes | _] = [
            holt_registry:register_name({Reg, Key, Key}, Pid)
         || Key <- Keys, not holt_registry:is_registered(Reg, Key)
        ],
        Pid
    end).

%% @doc Equal versions of equal actors everywhere, and so equal fingerprints.
-spec await_agreement([holt_ct:test_node()], atom()) -> ok.
await_agreement(Nodes, Reg) ->
    Present = fun() ->
        #{actors := Actors} = holt_cluster:info(Reg),
        lists:sort([
            {Actor, Version, Rows, Fingerprint}
         || #{
                actor := Actor,
                version := Version,
                rows := Rows,
                fingerprint := Fingerprint,
                shown := true
            } <- Actors
        ])
    end,
    holt_ct:wait_until(fun() ->
        All = [holt_ct:call(Node, Present) || Node <- Nodes],
        length(lists:usort(All)) =:= 1 andalso length(hd(All)) =:= length(Nodes) orelse All
    end).

%% @doc The list of names, the same on all nodes.
-spec agreed_list([holt_ct:test_node()], atom()) -> [{term(), pid(), term()}].
agreed_list(Nodes, Reg) ->
    Lists = [
        holt_ct:call(Node, fun() -> lists:sort(holt_registry:to_list(Reg)) end)
     || Node <- Nodes
    ],
    [List] = lists:usort(Lists),
    List.

%% @doc Two processes with the name `key' on two connected nodes: B's instance does not hear
%% of A's before it has registered, because the replica process of A is held.
-spec two_holders(holt_ct:test_node(), holt_ct:test_node(), map(), [trap_exit]) ->
    {Older :: pid(), Newer :: pid()}.
two_holders(A, B, #{name := Reg} = Options, Flags) ->
    _ = holt_ct:start_registry(A, Options),
    Older = holt_ct:call(A, fun() ->
        ok = sys:suspend(holt_replica:process_name(Reg)),
        Pid = holt_ct:register(Reg, key, older, Flags),
        tick(),
        Pid
    end),
    _ = holt_ct:start_registry(B, Options),
    Newer = holt_ct:call(B, fun() -> holt_ct:register(Reg, key, newer, Flags) end),
    holt_ct:call(A, fun() -> ok = sys:resume(holt_replica:process_name(Reg)) end),
    {Older, Newer}.

%% @doc What is registered from now on is newer, on all nodes of this machine.
-spec tick() -> ok.
tick() ->
    Now = erlang:system_time(millisecond),
    holt_ct:wait_until(fun() -> erlang:system_time(millisecond) > Now + 5 end).
