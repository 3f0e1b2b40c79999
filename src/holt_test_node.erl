%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc What {@link holt_test} does on the nodes that it has started.
%%
%% Instances are started under a supervisor of its own, which never gives up, so that one
%% whose root is killed comes back as it would in an application.
-module(holt_test_node).

-behaviour(supervisor).

-export([begin_work/2, start_instance/1, stop_instance/1]).
-export([refuse/2, allow/2, connect/2, are_gone/2]).
-export([sync_state/1, ask/2]).
%% supervisor callbacks
-export([init/1]).
%% A filter of the logger
-export([is_wanted/2]).

%% How long a daemon may take to answer.
-define(ANSWER_MS, 5000).

%% @doc Make a new node one of a cluster: what runs on it, and what is not logged.
-spec begin_work(Apps :: [atom()], [holt_options:options()]) -> ok.
begin_work(Apps, Instances) ->
    ok = logger:add_primary_filter(?MODULE, {fun ?MODULE:is_wanted/2, []}),
    lists:foreach(fun(App) -> {ok, _} = application:ensure_all_started(App) end, Apps),
    {ok, Supervisor} = supervisor:start_link({local, ?MODULE}, ?MODULE, []),
    true = unlink(Supervisor),
    lists:foreach(fun(Options) -> ok = start_instance(Options) end, Instances).

%% @private
-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
    {ok, {#{strategy => one_for_one, intensity => 1000000, period => 1}, []}}.

%% That refused nodes were refused is what the test wants.
%% @private
-spec is_wanted(logger:log_event(), term()) -> stop | ignore.
is_wanted(#{msg := {report, #{format := Format}}}, _) -> is_wanted_text(Format);
is_wanted(#{msg := {Format, _}}, _) -> is_wanted_text(Format);
is_wanted(_Event, _) -> ignore.

-spec is_wanted_text(term()) -> stop | ignore.
is_wanted_text("** Connection attempt" ++ _) -> stop;
is_wanted_text(_) -> ignore.

%%--------------------------------------------------------------------
%% Instances

%% @doc Start an instance, if an application of this node has not done so.
-spec start_instance(holt_options:options()) -> ok | {error, term()}.
start_instance(Options) ->
    {ok, Name} = holt_options:name(Options),
    Child = #{id => Name, start => {holt_registry, start_link, [Options]}},
    case supervisor:start_child(?MODULE, Child) of
        {ok, _} -> ok;
        {error, {already_started, _}} -> ok;
        {error, already_present} -> restarted(supervisor:restart_child(?MODULE, Name));
        {error, Reason} -> {error, Reason}
    end.

-spec restarted({ok, pid()} | {error, term()}) -> ok | {error, term()}.
restarted({ok, _}) -> ok;
restarted({error, Reason}) -> {error, Reason}.

%% @doc Stop one, and forget it.
-spec stop_instance(Name :: atom()) -> ok.
stop_instance(Name) ->
    _ = supervisor:terminate_child(?MODULE, Name),
    _ = supervisor:delete_child(?MODULE, Name),
    ok.

%%--------------------------------------------------------------------
%% Links

%% @doc Refuse links with this node, whoever asks, and end the one there is: by a cookie
%% that no two nodes have alike.
-spec refuse(Other :: node(), LinkMs :: pos_integer()) -> ok.
refuse(Other, LinkMs) ->
    Refused = list_to_atom(lists:concat([refused_by_, node()])),
    true = erlang:set_cookie(Other, Refused),
    are_gone([Other], LinkMs).

%% @doc No longer refuse it.
-spec allow(Other :: node(), Cookie :: atom()) -> ok.
allow(Other, Cookie) ->
    true = erlang:set_cookie(Other, Cookie),
    ok.

%% @doc End the links with these nodes, until there are none. One that was under way may
%% come up a last time.
-spec are_gone([node()], LinkMs :: pos_integer()) -> ok.
are_gone(Others, LinkMs) ->
    holt_test:wait_until(
        fun() ->
            Left = [Node || Node <- Others, lists:member(Node, nodes(connected))],
            _ = [erlang:disconnect_node(Node) || Node <- Left],
            Left =:= [] orelse {still_connected, node(), Left}
        end,
        erlang:monotonic_time(millisecond) + LinkMs
    ).

%% @doc Make links with these nodes, until there are all.
-spec connect([node()], LinkMs :: pos_integer()) -> ok.
connect(Others, LinkMs) ->
    holt_test:wait_until(
        fun() ->
            case missing(Others, nodes(connected)) of
                [] ->
                    true;
                Missing ->
                    _ = [net_kernel:connect_node(Node) || Node <- Missing],
                    {not_connected, node(), Missing}
            end
        end,
        erlang:monotonic_time(millisecond) + LinkMs
    ).

%% Those of these nodes with which there is no link.
-spec missing([node()], [node()]) -> [node()].
missing(Others, Connected) ->
    (Others -- [node()]) -- Connected.

%%--------------------------------------------------------------------
%% Questions

%% @doc How an instance stands, as far as this node has heard.
-spec sync_state(Instance :: atom()) ->
    {boolean(), [node()], Own :: non_neg_integer()} | no_instance.
sync_state(Instance) ->
    try
        #{version := Version} = holt_cluster:info(Instance),
        Up = [Node || #{member := {_, Node}, state := up} <- holt_cluster:peers(Instance)],
        {holt_cluster:in_sync(Instance), lists:sort(Up), Version}
    catch
        error:badarg -> no_instance
    end.

%% @doc Ask a daemon.
-spec ask(node(), Request :: term()) -> term().
ask(Daemon, Request) ->
    try
        gen_server:call({holtd, Daemon}, Request, ?ANSWER_MS)
    catch
        exit:Reason -> {error, Reason}
    end.
