%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The root process of an instance: a supervisor, registered by the instance's name.
%%
%% Linking to it and stopping it act on the whole member.  Ending it in order ends the
%% instance here; killed, the instance waits to be adopted by the next root of its name.
-module(holt_instance).

-behaviour(supervisor).

-export([start_link/1]).
-export([init/1]).

%% How long the replica process of a killed root may take to end, in milliseconds.
-define(PREDECESSOR_MS, 5000).

%% @doc Start the instance that these options describe.
-spec start_link(holt_options:config()) ->
    {ok, pid()} | {error, {already_started, pid()} | {not_started, holt} | term()}.
start_link(#{name := Name} = Config) ->
    case whereis(holt_janitor) of
        undefined ->
            {error, {not_started, holt}};
        _ ->
            case supervisor:start_link({local, Name}, ?MODULE, Config) of
                {ok, Root} -> {ok, Root};
                {error, Reason} -> {error, Reason};
                ignore -> {error, ignore}
            end
    end.

%% @private
-spec init(holt_options:config()) ->
    {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init(#{name := Name, orphan_ms := OrphanMs} = Config) ->
    %% From here on the janitor leaves an orphan of this name alone.
    ok = holt_janitor:watch(Name, self(), OrphanMs),
    ok = await_predecessor(whereis(holt_replica:process_name(Name))),
    Replica = #{id => replica, start => {holt_replica, start_link, [Config]}},
    {ok, {#{strategy => one_for_one, intensity => 10, period => 10}, [Replica]}}.

%% A root was killed; its replica process learns of it by a signal and ends soon.
-spec await_predecessor(pid() | port() | undefined) -> ok.
await_predecessor(Pid) when is_pid(Pid) ->
    Monitor = erlang:monitor(process, Pid),
    receive
        {'DOWN', Monitor, process, Pid, _} -> ok
    after ?PREDECESSOR_MS ->
        true = exit(Pid, kill),
        receive
            {'DOWN', Monitor, process, Pid, _} -> ok
        end
    end;
await_predecessor(_) ->
    ok.
