%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc Who subscribes, or waits for a name, asks here; and the process that tells them, one for
%% each instance.
%%
%% ```
%%   who registers --> native code: row, log --- holt_changes ---> this process
%%                                      ^                            |
%%                                      +---- changes(From, Max) ----+--> {holt, Ref, ...}
%% '''
%%
%% Whoever registers pays for a line in the log and waits for nobody.  Nothing is read, and
%% nothing logged, before the first subscription.
%%
%% This module has the calls and what the process is sent.  What it does about that is elsewhere:
%%
%% ```
%%   holt_telling             reads the log, and tells: the state of the process
%%     holt_subscribers       who is told what, how far, and who is slow
%%       holt_routes          which change interests whom
%%       holt_events_table    what is kept of that when the process crashes
%%     holt_name_waiters      who waits for a name
%%     holt_events_log        the native log and rows, as events
%% '''
-module(holt_events).

-behaviour(gen_server).

%% For holt_registry
-export([subscribe/3, unsubscribe/2, await/3]).
%% For the instance
-export([start_link/1, process_name/1, forget/1, exit_after/3]).
%% For the listener
-export([subscribe_listener/1]).
%% gen_server callbacks
-export([
    init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2, format_status/1
]).

-export_type([token/0, event/0, filter/0, cause/0]).

%% How long to wait for a process that is being started again, in milliseconds.
-define(ABSENT_MS, 10).
-define(ABSENT_MAX_MS, 15000).

%% The longest wait that a timer takes.
-define(TIMEOUT_MAX, 16#ffffffff).

%% Good for one life of the instance on this node: its actor, and a place in its log.
-type token() :: {non_neg_integer(), non_neg_integer()}.
-type filter() :: holt_routes:filter().
-type event() ::
    #{
        type := registered | updated | unregistered,
        key := term(),
        pid := pid(),
        value := term(),
        previous := {pid(), Value :: term()} | undefined,
        reason := holt_nif:reason()
    }
    | #{type := registered, key := term(), pid := pid(), value := term(), initial := true}
    | #{
        type := member_up | member_down,
        member := holt_nif:member(),
        count := non_neg_integer()
    }
    | #{type := missed}.
-type cause() ::
    not_a_filter | not_a_timeout | not_a_reference | holt_options:cause() | no_instance.

%%--------------------------------------------------------------------
%% For holt_registry

%% @doc Tell the calling process of changes: `{holt, Ref, Token, [event()]}'.
-spec subscribe(Name :: atom(), term(), term()) ->
    reference() | {invalid, holt_error:cause() | cause()}.
subscribe(Name, Filter, Options) ->
    case {check_filter(Name, Filter), parse(Options)} of
        {ok, {ok, From, Initial}} ->
            Ref = make_ref(),
            Deadline = now_ms() + ?ABSENT_MAX_MS,
            case ask(Name, {subscribe, Ref, self(), Filter, From, Initial}, Deadline) of
                {ok, ok} -> Ref;
                {error, timeout} -> {invalid, no_instance};
                {invalid, Cause} -> {invalid, Cause}
            end;
        {{invalid, Cause}, _} ->
            {invalid, Cause};
        {ok, {error, Cause}} ->
            {invalid, Cause}
    end.

%% @doc End a subscription, and take what is left of it out of the mailbox.  It may have
%% ended with its instance.
-spec unsubscribe(Name :: atom(), term()) -> ok | {invalid, cause()}.
unsubscribe(Name, Ref) when is_atom(Name), is_reference(Ref) ->
    _ = ask(Name, {unsubscribe, Ref}, now_ms() + ?ABSENT_MAX_MS),
    flush(Ref);
unsubscribe(Name, _) when is_atom(Name) ->
    {invalid, not_a_reference};
unsubscribe(_, _) ->
    {invalid, no_instance}.

%% @doc Who has this name, as soon as anybody has it?
-spec await(Name :: atom(), Key :: term(), term()) ->
    {pid(), Value :: term()} | {error, timeout} | {invalid, holt_error:cause() | cause()}.
await(Name, Key, Timeout) ->
    case {is_timeout(Timeout), holt_read:lookup(Name, Key)} of
        {_, {invalid, Cause}} -> {invalid, Cause};
        {false, _} -> {invalid, not_a_timeout};
        {true, [Holder | _]} -> Holder;
        {true, []} -> await_change(Name, Key, Timeout)
    end.

-spec await_change(atom(), term(), timeout()) ->
    {pid(), term()} | {error, timeout} | {invalid, holt_error:cause()}.
await_change(_Name, _Key, 0) ->
    {error, timeout};
await_change(Name, Key, Timeout) ->
    Deadline =
        case Timeout of
            infinity -> infinity;
            Ms -> now_ms() + Ms
        end,
    case ask(Name, {await, Key, Deadline}, Deadline) of
        {ok, Answer} -> Answer;
        {error, timeout} -> {error, timeout};
        {invalid, Cause} -> {invalid, Cause}
    end.

%%--------------------------------------------------------------------
%% For the instance

%% @doc Start the events process of an instance.
-spec start_link(holt_options:config()) -> {ok, pid()} | {error, term()}.
start_link(#{name := Name} = Config) ->
    case gen_server:start_link({local, process_name(Name)}, ?MODULE, Config, []) of
        {ok, Pid} -> {ok, Pid};
        {error, Reason} -> {error, Reason};
        ignore -> {error, ignore}
    end.

%% @doc The registered name of an instance's events process.
-spec process_name(Name :: atom()) -> atom().
process_name(Name) ->
    list_to_atom("holt:" ++ atom_to_list(Name)).

%% @doc The instance has ended: so have its subscriptions.
-spec forget(Name :: atom()) -> ok.
forget(Name) ->
    %% Of a root that was killed it may still be about to end, and would note where it is.
    ok = end_process(whereis(process_name(Name))),
    holt_events_table:forget(Name).

-spec end_process(pid() | undefined) -> ok.
end_process(undefined) ->
    ok;
end_process(Pid) ->
    Monitor = erlang:monitor(process, Pid),
    true = exit(Pid, kill),
    receive
        {'DOWN', Monitor, process, Pid, _} -> ok
    end.

%% @doc End a process that has lost its name, after everybody has been told of that.
%%
%% Where nobody has subscribed that is at once.  Should the events process die just now, the
%% loser is left to the grace time.
-spec exit_after(Name :: atom(), Loser :: pid(), Reason :: term()) -> ok.
exit_after(Name, Loser, Reason) ->
    case holt_events_table:has_position(Name) andalso whereis(process_name(Name)) of
        Events when is_pid(Events) -> gen_server:cast(Events, {exit_after, Loser, Reason});
        _ -> end_loser(Loser, Reason)
    end.

-spec end_loser(pid(), term()) -> ok.
end_loser(Loser, Reason) ->
    true = exit(Loser, Reason),
    ok.

%% @doc Subscribe the calling process to everything.  Losers are handed to it, as
%% `{exit_after, Loser, Reason}', for it to end.
-spec subscribe_listener(Name :: atom()) -> {ok, reference()} | {error, no_instance}.
subscribe_listener(Name) ->
    Ref = make_ref(),
    case ask(Name, {subscribe_listener, Ref, self()}, now_ms() + ?ABSENT_MAX_MS) of
        {ok, ok} -> {ok, Ref};
        _ -> {error, no_instance}
    end.

%%--------------------------------------------------------------------
%% gen_server callbacks

%% @private
-spec init(holt_options:config()) -> {ok, holt_telling:telling(), {continue, restore}}.
init(#{name := Name, subscriber_messages_max := MessagesMax}) ->
    {ok, holt_telling:new(Name, MessagesMax), {continue, restore}}.

%% @private
-spec handle_continue(restore, holt_telling:telling()) -> {noreply, holt_telling:telling()}.
handle_continue(restore, Telling) ->
    {noreply, holt_telling:restore(Telling)}.

%% @private
-spec handle_call(term(), gen_server:from(), holt_telling:telling()) ->
    {reply, term(), holt_telling:telling()} | {noreply, holt_telling:telling()}.
handle_call({subscribe, Id, Pid, Filter, From, Initial}, _From, Telling) ->
    Subscriber = holt_subscribers:subscriber(Pid, Filter, false),
    {reply, ok, holt_telling:add(Id, Subscriber, From, Initial, Telling)};
handle_call({subscribe_listener, Id, Pid}, _From, Telling) ->
    Subscriber = holt_subscribers:subscriber(Pid, all, true),
    {reply, ok, holt_telling:add(Id, Subscriber, none, true, Telling)};
handle_call({unsubscribe, Id}, _From, Telling) ->
    {reply, ok, holt_telling:remove(Id, Telling)};
handle_call({await, Key, Deadline}, From, Telling) ->
    {noreply, holt_telling:await(Key, Deadline, From, Telling)};
handle_call(_Request, _From, Telling) ->
    {reply, {error, unsupported}, Telling}.

%% @private
-spec handle_cast(term(), holt_telling:telling()) -> {noreply, holt_telling:telling()}.
handle_cast({exit_after, Loser, Reason}, Telling) ->
    {Listeners, Told} = holt_telling:tell_listeners(Telling),
    _ =
        case Listeners of
            [Listener | _] -> Listener ! {exit_after, Loser, Reason};
            [] -> end_loser(Loser, Reason)
        end,
    {noreply, Told};
handle_cast(_Message, Telling) ->
    {noreply, Telling}.

%% @private
-spec handle_info(term(), holt_telling:telling()) -> {noreply, holt_telling:telling()}.
handle_info(holt_changes, Telling) ->
    {noreply, holt_telling:news(Telling)};
handle_info(rested, Telling) ->
    {noreply, holt_telling:rested(Telling)};
handle_info({{holt_subscriber, Id}, _Monitor, process, _Pid, _Reason}, Telling) ->
    {noreply, holt_telling:remove(Id, Telling)};
handle_info({tell_rows, Id}, Telling) ->
    {noreply, holt_telling:tell_rows(Id, Telling)};
handle_info(look_again, Telling) ->
    {noreply, holt_telling:look_again(Telling)};
handle_info({timeout, Timer, {await, Id}}, Telling) ->
    {noreply, holt_telling:timeout(Id, Timer, Telling)};
handle_info(_Message, Telling) ->
    {noreply, Telling}.

%% @private
-spec format_status(gen_server:format_status()) -> gen_server:format_status().
format_status(Status) ->
    maps:map(
        fun
            (state, Telling) -> holt_telling:describe(Telling);
            (_, Value) -> Value
        end,
        Status
    ).

%%--------------------------------------------------------------------
%% Internal

%% The process may be on its way: then its instance is there.
-spec ask(atom(), term(), infinity | integer()) ->
    {ok, term()} | {error, timeout} | holt_nif:invalid().
ask(Name, Request, Deadline) ->
    case holt_nif:count(Name) of
        {invalid, Cause} ->
            {invalid, Cause};
        _ ->
            try
                {ok, gen_server:call(process_name(Name), Request, infinity)}
            catch
                exit:_ -> ask_again(Name, Request, Deadline)
            end
    end.

-spec ask_again(atom(), term(), infinity | integer()) ->
    {ok, term()} | {error, timeout} | holt_nif:invalid().
ask_again(Name, Request, Deadline) ->
    case is_integer(Deadline) andalso now_ms() >= Deadline of
        true ->
            {error, timeout};
        false ->
            receive
            after ?ABSENT_MS -> ask(Name, Request, Deadline)
            end
    end.

-spec now_ms() -> integer().
now_ms() ->
    erlang:monotonic_time(millisecond).

-spec flush(reference()) -> ok.
flush(Ref) ->
    receive
        {holt, Ref, _Token, _Events} -> flush(Ref)
    after 0 -> ok
    end.

-spec is_timeout(term()) -> boolean().
is_timeout(infinity) -> true;
is_timeout(Ms) -> is_integer(Ms) andalso Ms >= 0 andalso Ms =< ?TIMEOUT_MAX.

-spec check_filter(term(), term()) -> ok | {invalid, holt_error:cause() | cause()}.
check_filter(Name, {key, Key}) ->
    %% Says what is wrong with the key, too.
    checked(holt_nif:count_key(Name, Key));
check_filter(Name, all) ->
    checked(holt_nif:count(Name));
check_filter(Name, {prefix, Prefix}) when is_binary(Prefix) ->
    checked(holt_nif:count(Name));
check_filter(_Name, _Filter) ->
    {invalid, not_a_filter}.

-spec checked(term()) -> ok | {invalid, holt_error:cause()}.
checked({invalid, Cause}) -> {invalid, Cause};
checked(_) -> ok.

%% Existing rows are for those who begin; who resumes and cannot may want them, too.
-spec parse(term()) -> {ok, none | token(), Initial :: boolean()} | {error, holt_options:cause()}.
parse(Options) ->
    case holt_options:merge(Options, #{}) of
        {ok, Map} ->
            From = maps:get(from, Map, none),
            Initial = maps:get(initial, Map, From =:= none),
            case {maps:keys(Map) -- [from, initial], is_token(From), is_boolean(Initial)} of
                {[Key | _], _, _} -> {error, {unknown_option, Key}};
                {_, false, _} -> {error, {bad_option, from, From, "a token of an earlier message"}};
                {_, _, false} -> {error, {bad_option, initial, Initial, "true or false"}};
                {[], true, true} -> {ok, From, Initial}
            end;
        {error, Cause} ->
            {error, Cause}
    end.

-spec is_token(term()) -> boolean().
is_token(none) -> true;
is_token({Epoch, Next}) -> is_integer(Epoch) andalso is_integer(Next) andalso Next >= 0;
is_token(_) -> false.
