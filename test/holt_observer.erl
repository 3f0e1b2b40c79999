%% SPDX-License-Identifier: Apache-2.0
%% @doc Works with a registry on a node as users do, and keeps a record of it.
%%
%% Clients register processes, unregister, kill and look for names, by chance; this process
%% watches all holders of its node, and writes down what was answered and told, to a file:
%% {@link holt_record:event/0}. It asks nothing else of holt.
-module(holt_observer).

-export([start/1, stop_clients/1, go_on/1, stop/1, flush/1, count/1, read/1]).
-export([register_one/3, kill_registered/1]).

%% How many names the nodes fight for, and each has for itself.
-define(SHARED, 40).
-define(OWN, 20).

-define(DEADLINE_MS, 30000).

-type options() :: #{
    registry := atom(),
    file := file:filename(),
    seed := integer(),
    clients := pos_integer(),
    pause_ms := non_neg_integer(),
    %% Unregister what others may have, too: not where nodes are killed, for who was killed
    %% in the midst of it cannot say so any more.
    unregister_shared := boolean()
}.

%% @doc Start to work on this node.
-spec start(options()) -> Observer :: pid().
start(#{file := File} = Options) ->
    Self = self(),
    Observer = spawn(fun() ->
        {ok, Device} = file:open(File, [append, raw, {delayed_write, 65536, 100}]),
        State = #{device => Device, keys => #{}, options => Options, stopping => [], count => 0},
        Begun = start_clients(State#{clients => #{}}),
        Self ! {self(), started},
        loop(Begun)
    end),
    receive
        {Observer, started} -> Observer
    after ?DEADLINE_MS -> error(no_observer)
    end.

%% @doc Nothing more is done, until told; what was under way is over.
-spec stop_clients(Observer :: pid()) -> ok.
stop_clients(Observer) -> ask(Observer, stop_clients).

%% @doc Begin again.
-spec go_on(Observer :: pid()) -> ok.
go_on(Observer) -> ask(Observer, go_on).

%% @doc Everything of this node so far is in the file.
-spec flush(Observer :: pid()) -> ok.
flush(Observer) -> ask(Observer, flush).

%% @doc Have one more name, for as long as its process lives.
-spec register_one(Observer :: pid(), Registry :: atom(), Key :: term()) -> pid() | none.
register_one(Observer, Registry, Key) -> register(Observer, Registry, Key).

%% @doc How many events it has seen.
-spec count(Observer :: pid()) -> non_neg_integer().
count(Observer) -> ask(Observer, count).

%% @doc Kill the process of this name, and wait for its successor.
-spec kill_registered(atom()) -> ok.
kill_registered(Name) ->
    Pid = whereis(Name),
    ok = holt_ct:kill(Pid),
    holt_ct:wait_until(fun() -> is_pid(whereis(Name)) andalso whereis(Name) =/= Pid end).

%% @doc End the record.
-spec stop(Observer :: pid()) -> ok.
stop(Observer) -> ask(Observer, stop).

ask(Observer, What) ->
    Ref = monitor(process, Observer),
    Observer ! {ask, Ref, self(), What},
    receive
        {Ref, Answer} ->
            true = demonitor(Ref, [flush]),
            Answer;
        {'DOWN', Ref, process, _, Reason} ->
            error({observer, Reason})
    after ?DEADLINE_MS -> error({no_answer, What})
    end.

%% @doc The events of a file; of a node that was killed the last may be missing.
-spec read(file:filename()) -> [holt_record:event()].
read(File) ->
    {ok, Bytes} = file:read_file(File),
    read_events(Bytes).

read_events(<<Size:32, Event:Size/binary, Rest/binary>>) ->
    [binary_to_term(Event) | read_events(Rest)];
read_events(_) ->
    [].

%%--------------------------------------------------------------------
%% The observer

loop(#{device := Device, keys := Keys, clients := Clients, stopping := Stopping} = State) ->
    receive
        {event, Event} ->
            loop(write(Event, State));
        {watch, From, Pid, Key} ->
            _ = monitor(process, Pid),
            From ! {self(), watched},
            loop(State#{keys := Keys#{Pid => Key}});
        {'DOWN', _, process, Pid, Reason} when is_map_key(Pid, Keys) ->
            {Key, Left} = maps:take(Pid, Keys),
            loop(ended(Pid, Key, Reason, State#{keys := Left}));
        {'DOWN', _, process, Pid, normal} when is_map_key(Pid, Clients) ->
            loop(answer_stopping(State#{clients := maps:remove(Pid, Clients)}));
        {ask, Ref, From, What} when What =:= stop_clients; What =:= stop ->
            _ = [Client ! stop || Client <- maps:keys(Clients)],
            loop(answer_stopping(State#{stopping := [{Ref, From, What} | Stopping]}));
        {ask, Ref, From, go_on} ->
            From ! {Ref, ok},
            loop(start_clients(State));
        {ask, Ref, From, count} ->
            From ! {Ref, maps:get(count, State)},
            loop(State);
        {ask, Ref, From, flush} ->
            ok = file:sync(Device),
            From ! {Ref, ok},
            loop(State)
    end.

%% Clients end what they do, for which they need this process.
answer_stopping(#{clients := Clients, stopping := [_ | _] = Stopping} = State) when
    map_size(Clients) =:= 0
->
    IsEnd = lists:keymember(stop, 3, Stopping),
    ok =
        case IsEnd of
            true -> file:close(maps:get(device, State));
            false -> ok
        end,
    _ = [From ! {Ref, ok} || {Ref, From, _} <- Stopping],
    _ = IsEnd andalso exit(normal),
    State#{stopping := []};
answer_stopping(State) ->
    State.

ended(Pid, Key, Reason, State) ->
    Now = holt_record:now_ns(),
    Told =
        case Reason of
            {shutdown, {name_conflict, {Key, _}, _, Winner}} ->
                write({conflict, Now, node(), Key, Pid, Winner}, State);
            _ ->
                State
        end,
    write({died, Now, node(), Pid}, Told).

write(Event, #{device := Device, count := Count} = State) ->
    Bytes = term_to_binary(Event),
    ok = file:write(Device, <<(byte_size(Bytes)):32, Bytes/binary>>),
    State#{count := Count + 1}.

start_clients(#{options := #{clients := Count, seed := Seed} = Options} = State) ->
    Observer = self(),
    Clients = [
        spawn_monitor(fun() ->
            _ = rand:seed(exsss, {Seed, erlang:phash2(node()), I}),
            client(Observer, Options, [])
        end)
     || I <- lists:seq(1, Count)
    ],
    State#{clients := maps:from_list(Clients)}.

%%--------------------------------------------------------------------
%% Clients

client(Observer, #{pause_ms := PauseMs} = Options, Holders) ->
    receive
        stop -> ok
    after rand:uniform(PauseMs + 1) - 1 ->
        client(Observer, Options, step(rand:uniform(100), Observer, Options, Holders))
    end.

step(N, Observer, #{registry := Registry}, Holders) when N =< 30 ->
    Key = key(),
    case register(Observer, Registry, Key) of
        none -> Holders;
        Pid -> lists:sublist([{Key, Pid} | Holders], 100)
    end;
step(N, Observer, #{unregister_shared := Any} = Options, [_ | _] = Holders) when N =< 40 ->
    {Key, _} = Holder = pick(Holders),
    _ = (Any orelse element(1, Key) =:= own) andalso unregister(Observer, Options, Key),
    lists:delete(Holder, Holders);
step(N, Observer, _Options, [_ | _] = Holders) when N =< 50 ->
    {_, Pid} = Holder = pick(Holders),
    event(Observer, {dying, holt_record:now_ns(), Pid}),
    true = exit(Pid, kill),
    lists:delete(Holder, Holders);
step(_, Observer, #{registry := Registry}, Holders) ->
    Key = key(),
    Begin = holt_record:now_ns(),
    try holt_registry:whereis_name({Registry, Key}) of
        Found -> event(Observer, {looked, Begin, holt_record:now_ns(), node(), Key, Found})
    catch
        error:badarg -> ok
    end,
    Holders.

unregister(Observer, #{registry := Registry}, Key) ->
    Begin = holt_record:now_ns(),
    End =
        try holt_registry:unregister(Registry, Key) of
            ok -> holt_record:now_ns();
            {error, _} -> infinity
        catch
            error:badarg -> infinity
        end,
    event(Observer, {unregistered, Begin, End, node(), Key}).

pick(List) ->
    lists:nth(rand:uniform(length(List)), List).

key() ->
    case rand:uniform(2) of
        1 -> {shared, rand:uniform(?SHARED)};
        2 -> {own, node(), rand:uniform(?OWN)}
    end.

%% The process is watched before it can have a name to lose.
register(Observer, Registry, Key) ->
    Self = self(),
    Ref = make_ref(),
    Pid = spawn(fun() ->
        receive
            {Ref, go} -> hold(Observer, Registry, Key, Self, Ref)
        end
    end),
    Observer ! {watch, Self, Pid, Key},
    receive
        {Observer, watched} -> ok
    end,
    Pid ! {Ref, go},
    Monitor = monitor(process, Pid),
    receive
        {Ref, registered} ->
            true = demonitor(Monitor, [flush]),
            Pid;
        {'DOWN', Monitor, process, Pid, _} ->
            none
    end.

hold(Observer, Registry, Key, Starter, Ref) ->
    Begin = holt_record:now_ns(),
    try holt_registry:register(Registry, Key, undefined) of
        {ok, _} ->
            event(Observer, {registered, Begin, holt_record:now_ns(), node(), Key, self()}),
            Starter ! {Ref, registered},
            receive
                never -> ok
            end;
        {error, _} ->
            ok
    catch
        error:badarg -> ok
    end.

event(Observer, Event) ->
    Observer ! {event, Event},
    ok.
