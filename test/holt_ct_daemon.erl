%% SPDX-License-Identifier: Apache-2.0
%% @doc Daemons among nodes: what their suites share.
-module(holt_ct_daemon).

-include_lib("stdlib/include/assert.hrl").

%% Callbacks of suites
-export([init_suite/1, init_group/2, end_group/2, init_case/2, end_case/2]).
%% Daemons
-export([start_daemon/2, start_daemon/3, start_daemon/4, daemon_name/0, host/0, peer_name/1]).
-export([ask/3, list/4, holt/3, same_answers/3]).
-export([await_answer/4, await_count/4, await_sync/3, await_members/4]).
%% Nodes
-export([members/3, register_many/3, register_keys/2]).

-define(COOKIE, "holt_ct").

%% As Common Test hands it to cases.
-type config() :: [{atom(), term()}].

%%--------------------------------------------------------------------
%% Callbacks of suites

%% @doc There is nothing to test without the daemon.
-spec init_suite(config()) -> config() | {skip, string()}.
init_suite(Config) ->
    case filelib:is_regular(holt_test_daemon:program("holtd")) of
        true -> Config;
        false -> {skip, "the daemon is not built: make node"}
    end.

%% @doc Two nodes for all cases of the group `shared'.
-spec init_group(atom(), config()) -> config().
init_group(shared, Config) ->
    [{nodes, holt_ct:start_nodes(2, holt_ct_cluster:no_overlap())} | Config];
init_group(_, Config) ->
    Config.

-spec end_group(atom(), config()) -> ok.
end_group(shared, Config) ->
    holt_ct:stop_nodes(holt_ct_cluster:nodes_of(Config));
end_group(_, _Config) ->
    ok.

%% @doc Each case has a registry of its own, and a file with the cookie.
-spec init_case(atom(), config()) -> config().
init_case(Case, Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "cookie"),
    _ = file:delete(File),
    ok = file:write_file(File, [?COOKIE, "\n"]),
    ok = file:change_mode(File, 8#600),
    [{registry, Case}, {cookie_file, File} | Config].

-spec end_case(atom(), config()) -> ok.
end_case(Case, Config) ->
    case proplists:get_value(nodes, Config) of
        undefined ->
            ok;
        Nodes ->
            lists:foreach(fun(Node) -> holt_ct_cluster:stop_registry(Node, Case) end, Nodes)
    end.

%%--------------------------------------------------------------------
%% Daemons

%% @doc Start a daemon that holds the registry of this case.
-spec start_daemon(config(), [string()]) -> holt_test_daemon:daemon().
start_daemon(Config, Args) ->
    start_daemon(daemon_name(), Config, Args).

-spec start_daemon(Name :: string(), config(), [string()]) -> holt_test_daemon:daemon().
start_daemon(Name, Config, Args) ->
    start_daemon(Name, Config, Args, #{}).

-spec start_daemon(Name :: string(), config(), [string()], map()) -> holt_test_daemon:daemon().
start_daemon(Name, Config, Args, Options) ->
    holt_test_daemon:start(
        [
            "--name", Name, "--sname",
            "--cookie-file", proplists:get_value(cookie_file, Config),
            "--instance", atom_to_list(proplists:get_value(registry, Config))
            | Args
        ],
        Options
    ).

%% @doc A name that no other daemon has.
-spec daemon_name() -> string().
daemon_name() ->
    "holtd_" ++ integer_to_list(erlang:unique_integer([positive])) ++ "_" ++ os:getpid() ++ "@" ++
        host().

%% @doc The name of this machine.
-spec host() -> string().
host() ->
    {ok, Host} = inet:gethostname(),
    Host.

%% @doc The name of a node, for a command line.
-spec peer_name(holt_ct:test_node()) -> string().
peer_name(Node) ->
    atom_to_list(Node).

%% @doc Ask a daemon from a node.
-spec ask(holt_ct:test_node(), holt_test_daemon:daemon(), Request :: term()) -> term().
ask(Node, Daemon, Request) ->
    Holtd = {holtd, holt_test_daemon:node_of(Daemon)},
    holt_ct:call(Node, gen_server, call, [Holtd, Request, 10000]).

%% @doc Wait until it answers so.
-spec await_answer(holt_ct:test_node(), holt_test_daemon:daemon(), Request :: term(), term()) -> ok.
await_answer(Node, Daemon, Request, Answer) ->
    Holtd = {holtd, holt_test_daemon:node_of(Daemon)},
    holt_ct:call(Node, fun() ->
        holt_ct:wait_until(
            fun() ->
                case catch gen_server:call(Holtd, Request, 10000) of
                    Answer -> true;
                    Other -> Other
                end
            end,
            30000
        )
    end).

%% @doc Wait until it has so many names.
-spec await_count(holt_ct:test_node(), holt_test_daemon:daemon(), atom(), non_neg_integer()) -> ok.
await_count(Node, Daemon, Reg, Count) ->
    await_answer(Node, Daemon, {count, Reg}, Count).

%% @doc Wait until it says that it is in sync.
-spec await_sync(holt_ct:test_node(), holt_test_daemon:daemon(), atom()) -> ok.
await_sync(Node, Daemon, Reg) ->
    await_answer(Node, Daemon, {in_sync, Reg}, true).

%% @doc Wait until it names these members.
-spec await_members(
    holt_ct:test_node(), holt_test_daemon:daemon(), atom(), [holt_cluster:member()]
) -> ok.
await_members(Node, Daemon, Reg, Members) ->
    Holtd = {holtd, holt_test_daemon:node_of(Daemon)},
    holt_ct:await(Node, fun() ->
        Answer = gen_server:call(Holtd, {members, Reg}),
        lists:sort(Answer) =:= Members orelse Answer
    end).

%% @doc All pages of its list.
-spec list(holt_ct:test_node(), holt_test_daemon:daemon(), atom(), map()) -> [term()].
list(Node, Daemon, Reg, Options) ->
    case ask(Node, Daemon, {list, Reg, Options}) of
        {Entries, done} -> Entries;
        {Entries, Next} -> Entries ++ list(Node, Daemon, Reg, Options#{from => Next})
    end.

%% @doc Every node and the daemon hold the same names, by every way to ask.
-spec same_answers([holt_ct:test_node()], holt_test_daemon:daemon(), atom()) -> ok.
same_answers([A | _] = Nodes, Daemon, Reg) ->
    Lists = fun() ->
        lists:usort([
            holt_ct:call(Node, fun() -> lists:sort(holt_registry:to_list(Reg)) end)
         || Node <- Nodes
        ])
    end,
    %% The daemon may have been told before one of them.
    holt_ct:wait_until(fun() -> length(Lists()) =:= 1 orelse Lists() end),
    [List] = Lists(),
    ?assertEqual(List, lists:sort(list(A, Daemon, Reg, #{}))),
    ?assertEqual(length(List), ask(A, Daemon, {count, Reg})),
    Node = holt_test_daemon:node_of(Daemon),
    Differ = holt_ct:call(A, fun() ->
        [
            Key
         || {Key, Pid, Value} <- List,
            {Pid, [{Pid, Value}]} =/=
                {
                    gen_server:call({holtd, Node}, {whereis, Reg, Key}),
                    gen_server:call({holtd, Node}, {lookup, Reg, Key})
                }
        ]
    end),
    ?assertEqual([], Differ),
    ok.

%% @doc The command line, asking this daemon.
-spec holt(config(), holt_test_daemon:daemon(), [string()]) -> {Status :: integer(), string()}.
holt(Config, Daemon, Args) ->
    holt_daemon:command(holt_test_daemon:program("holt"), [
        "--node", atom_to_list(holt_test_daemon:node_of(Daemon)),
        "--cookie-file", proplists:get_value(cookie_file, Config)
        | Args
    ]).

%% @doc Wait until each node has these members, and return them.
-spec members([holt_ct:test_node()], atom(), [holt_test_daemon:daemon()]) ->
    [holt_cluster:member()].
members(Nodes, Reg, Daemons) ->
    Members = lists:sort(
        [{Reg, Node} || Node <- Nodes] ++
            [{Reg, holt_test_daemon:node_of(Daemon)} || Daemon <- Daemons]
    ),
    [
        holt_ct:call(Node, fun() ->
            holt_ct:wait_until(
                fun() ->
                    Now = holt_cluster:members(Reg),
                    Now =:= Members orelse Now
                end,
                30000
            )
        end)
     || Node <- Nodes
    ],
    Members.

%% @doc One process with so many names, new ones each time.
-spec register_many(holt_ct:test_node(), atom(), pos_integer()) -> pid().
register_many(Node, Reg, Count) ->
    First = erlang:unique_integer([positive]) * 1000000,
    holt_ct:call(Node, fun() ->
        register_keys(Reg, [{name, node(), N} || N <- lists:seq(First, First + Count - 1)])
    end).

%% @doc One process with these names.
-spec register_keys(atom(), [term()]) -> pid().
register_keys(Reg, Keys) ->
    Pid = holt_ct:start(),
    holt_ct:do(Pid, fun() ->
        lists:foreach(fun(Key) -> {ok, _} = holt_registry:register(Reg, Key, undefined) end, Keys)
    end),
    Pid.
