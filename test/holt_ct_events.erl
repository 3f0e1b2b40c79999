%% SPDX-License-Identifier: Apache-2.0
%% @doc What the suites of events share: a subscriber that keeps what it is told, and replays
%% it; a listener; callbacks.
-module(holt_ct_events).

-behaviour(gen_server).

%% Subscribers
-export([follow/3, follow/4, listen/2, stop/1]).
-export([events/1, messages/1, replayed/1, token/1, ref/1, stall/1, go_on/1]).
-export([await_events/2, await_replayed/2, strip/1, types/1]).
-export([follow_renamed/1]).
%% Callbacks of syn
-export([on_process_registered/5, on_process_unregistered/5]).
-export([on_registry_process_updated/5, on_registry_process_updated/6]).
%% gen_server callbacks
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-record(data, {
    reg = undefined :: atom(),
    ref = undefined :: undefined | reference(),
    token = undefined :: term(),
    %% The youngest first.
    messages = [] :: [term()],
    rows = #{} :: #{term() => {pid(), term()}}
}).

%%--------------------------------------------------------------------
%% Subscribers: on any node, linked to nobody

follow(Node, Reg, What) ->
    follow(Node, Reg, What, #{}).

follow(Node, Reg, What, Options) ->
    start(Node, {follow, Reg, What, Options}).

%% @doc A process by this name that keeps all messages it gets.
listen(Node, Name) ->
    start(Node, {listen, Name}).

start(Node, How) ->
    {ok, Pid} = on(Node, fun() -> gen_server:start(?MODULE, How, []) end),
    Pid.

stop(Pid) ->
    on(Pid, fun() -> gen_server:stop(Pid) end).

%% @doc All events so far, the oldest first.
events(Pid) ->
    lists:append([Events || {holt, _, _, Events} <- messages(Pid)]).

messages(Pid) ->
    lists:reverse(ask(Pid, messages)).

%% @doc What a reader of the events alone takes the registry to be.
replayed(Pid) ->
    ask(Pid, rows).

token(Pid) ->
    ask(Pid, token).

ref(Pid) ->
    ask(Pid, ref).

%% @doc Have it read no message until it goes on.
stall(Pid) ->
    on(Pid, fun() ->
        Pid ! {stall, self()},
        receive
            {stalled, Pid} -> ok
        end
    end).

go_on(Pid) ->
    Pid ! go_on,
    ok.

%% @doc Wait until the events, without values that change from run to run, are these.
await_events(Pid, Expected) ->
    holt_ct:wait_until(fun() ->
        Got = strip(events(Pid)),
        Got =:= Expected orelse Got
    end).

%% @doc Wait until the replay is what the registry's list is.
await_replayed(Pid, Reg) ->
    holt_ct:wait_until(fun() ->
        List = on(Pid, fun() -> holt_registry:to_list(Reg) end),
        Rows = maps:from_list([{Key, {Owner, Value}} || {Key, Owner, Value} <- List]),
        Replayed = replayed(Pid),
        Rows =:= Replayed orelse {different, maps:to_list(Rows) -- maps:to_list(Replayed),
            maps:to_list(Replayed) -- maps:to_list(Rows)}
    end).

%% @doc As tuples, for comparisons that can be read.
strip(Events) ->
    [strip_one(Event) || Event <- Events].

strip_one(#{initial := true, type := registered, key := Key, pid := Pid, value := Value}) ->
    {initial, Key, {Pid, Value}};
strip_one(#{type := Type, key := Key, pid := Pid, value := Value} = Event) ->
    #{previous := Previous, reason := Reason} = Event,
    {Type, Reason, Key, {Pid, Value}, Previous};
strip_one(#{type := Type, member := Member, count := Count}) ->
    {Type, Member, Count};
strip_one(#{type := missed}) ->
    missed.

types(Events) ->
    [Type || #{type := Type} <- Events].

ask(Pid, What) ->
    on(Pid, fun() -> gen_server:call(Pid, What, 60000) end).

on(Where, Fun) when Where =:= node(); node(Where) =:= node() ->
    Fun();
on(Node, Fun) when is_atom(Node) ->
    holt_ct:call(Node, Fun);
on(Pid, Fun) ->
    holt_ct:call(node(Pid), Fun).

%% @doc Follow while this node, which has no name, gets one: the replay before and after, and
%% what old and new tokens are good for.
follow_renamed(Reg) ->
    {ok, Root} = holt_registry:start_link(#{name => Reg}),
    true = unlink(Root),
    Follower = follow(node(), Reg, all),
    Pid = holt_ct:register(Reg, 1, 1, []),
    holt_ct:wait_until(fun() -> replayed(Follower) =:= #{1 => {Pid, 1}} end),
    Before = replayed(Follower),
    Former = token(Follower),
    Name = list_to_atom("renamed" ++ os:getpid()),
    {ok, _} = net_kernel:start([Name, shortnames]),
    yes = holt_registry:register_name({Reg, 2, 2}, Pid),
    holt_ct:wait_until(fun() -> replayed(Follower) =:= #{1 => {Pid, 1}, 2 => {Pid, 2}} end),
    #{actor := Actor} = holt_cluster:info(Reg),
    holt_ct:wait_until(fun() ->
        %% The replica process notices when it next has something to do.
        ok = holt_registry:unregister(Reg, 3),
        element(1, token(Follower)) =/= element(1, Former) orelse {token(Follower), Actor}
    end),
    Late = follow(node(), Reg, all, #{from => Former}),
    await_events(Late, [missed]),
    {Before, replayed(Late)}.

%%--------------------------------------------------------------------
%% Callbacks of syn: sent to a process by the name of the registry and `_callbacks'

on_process_registered(_Reg, _Key, _Pid, raise, _Reason) ->
    error(callback);
on_process_registered(Reg, Key, Pid, Meta, Reason) ->
    callback(Reg, {registered, Key, Pid, Meta, Reason}).

on_process_unregistered(Reg, Key, Pid, Meta, Reason) ->
    callback(Reg, {unregistered, Key, Pid, Meta, Reason}).

on_registry_process_updated(Reg, Key, Pid, Meta, Reason) ->
    callback(Reg, {updated, Key, Pid, Meta, Reason}).

on_registry_process_updated(Reg, Key, Pid, Former, Meta, Reason) ->
    callback(Reg, {updated, Key, Pid, Former, Meta, Reason}).

callback(Reg, Message) ->
    list_to_atom(atom_to_list(Reg) ++ "_callbacks") ! Message.

%%--------------------------------------------------------------------
%% gen_server callbacks

init({listen, Name}) ->
    true = erlang:register(Name, self()),
    {ok, #data{}};
init({follow, Reg, What, Options}) ->
    {ok, #data{reg = Reg, ref = holt_registry:subscribe(Reg, What, Options)}}.

handle_call(messages, _From, #data{messages = Messages} = Data) -> {reply, Messages, Data};
handle_call(rows, _From, #data{rows = Rows} = Data) -> {reply, Rows, Data};
handle_call(token, _From, #data{token = Token} = Data) -> {reply, Token, Data};
handle_call(ref, _From, #data{ref = Ref} = Data) -> {reply, Ref, Data};
handle_call(unsubscribe, _From, #data{reg = Reg, ref = Ref} = Data) ->
    {reply, holt_registry:unsubscribe(Reg, Ref), Data}.

handle_cast(_, Data) ->
    {noreply, Data}.

handle_info({stall, From}, Data) ->
    _ = From ! {stalled, self()},
    receive
        go_on -> {noreply, Data}
    end;
handle_info(go_on, Data) ->
    {noreply, Data};
handle_info({holt, Ref, Token, Events} = Message, #data{ref = Ref, rows = Rows} = Data) ->
    #data{reg = Reg} = Kept = keep(Message, Data),
    Replayed = lists:foldl(fun(Event, Acc) -> replay(Event, Reg, Acc) end, Rows, Events),
    {noreply, Kept#data{token = Token, rows = Replayed}};
handle_info(Message, Data) ->
    {noreply, keep(Message, Data)}.

keep(Message, #data{messages = Messages} = Data) ->
    Data#data{messages = [Message | Messages]}.

%% As docs/events.md says it.
replay(#{type := unregistered, key := Key}, _Reg, Rows) ->
    maps:remove(Key, Rows);
replay(#{type := member_down, member := {_, Node}}, _Reg, Rows) ->
    maps:filter(fun(_Key, {Pid, _Value}) -> node(Pid) =/= Node end, Rows);
replay(#{type := member_up, member := {_, Node}}, Reg, Rows) ->
    Back = [Row || {_, Pid, _} = Row <- holt_registry:to_list(Reg), node(Pid) =:= Node],
    maps:merge(Rows, maps:from_list([{Key, {Pid, Value}} || {Key, Pid, Value} <- Back]));
replay(#{type := missed}, Reg, _Rows) ->
    maps:from_list([{Key, {Pid, Value}} || {Key, Pid, Value} <- holt_registry:to_list(Reg)]);
replay(#{key := Key, pid := Pid, value := Value}, _Reg, Rows) ->
    Rows#{Key => {Pid, Value}}.
