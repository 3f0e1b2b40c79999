%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc Changing names wherever they are.
%%
%% A row is written by the member whose process has it, and by nobody else.  So a change is
%% made here, when the process is of this node, else asked for at the member that may; then
%% the caller waits until it is seen here:
%%
%% ```
%%   process of this node  --> holt_nif                               --> answer
%%   process of another    --> its replica process: holt_nif there
%%                         <-- actor, seq;  holt_replica:await        --> answer
%% '''
-module(holt_write).

-export([
    options/1,
    may/2,
    register/4,
    each/4,
    unregister/2,
    unregister_own/2,
    unregister_match/4,
    update/4,
    give_away/3,
    standby/3,
    barrier/2,
    timeout_ms/1
]).

-export_type([options/0, failure/0, refusal/0]).

-type options() :: #{pid := pid(), sync := none | quorum | all, timeout := timeout_ms()}.
-type timeout_ms() :: non_neg_integer().
-type failure() :: {no_instance | unreachable, node()}.
-type refusal() ::
    {already_registered, pid()}
    | {too_large, Bytes :: non_neg_integer(), Max :: pos_integer()}
    | not_alive
    | not_owner
    | no_quorum.
-type invalid() :: {invalid, holt_error:cause()}.

%% How long to wait for another node, in milliseconds.
-define(REMOTE_MS, 5000).
%% How often to follow a name that moves on while we ask for it.
-define(HOPS_MAX, 4).
%% As long as a timer can be.
-define(INFINITY_MS, 16#ffffffff).

%%--------------------------------------------------------------------
%% Registering

%% @doc Check the options of register/4.
-spec options(term()) -> {ok, options()} | invalid().
options(Options) when is_map(Options) ->
    Defaults = #{pid => self(), sync => none, timeout => ?REMOTE_MS},
    Wrong = [Option || {Key, Value} = Option <- maps:to_list(Options), not is_option(Key, Value)],
    case Wrong of
        [] ->
            #{timeout := Timeout} = Checked = maps:merge(Defaults, Options),
            {ok, Checked#{timeout := timeout_ms(Timeout)}};
        [{Key, Value} | _] ->
            {invalid, {bad_register_option, Key, Value}}
    end;
options(Options) ->
    case holt_options:merge(Options, #{}) of
        {ok, Map} -> options(Map);
        {error, _} -> {invalid, {bad_register_option, Options}}
    end.

-spec is_option(term(), term()) -> boolean().
is_option(pid, Pid) -> is_pid(Pid);
is_option(sync, Sync) -> lists:member(Sync, [none, quorum, all]);
is_option(timeout, Timeout) -> timeout_ms(Timeout) =/= error;
is_option(_, _) -> false.

%% @doc A timeout as everything here takes it.
-spec timeout_ms(term()) -> timeout_ms() | error.
timeout_ms(infinity) -> ?INFINITY_MS;
timeout_ms(Ms) when is_integer(Ms), Ms >= 0, Ms =< ?INFINITY_MS -> Ms;
timeout_ms(_) -> error.

%% @doc Register a name for a process of any node.
-spec register(atom(), Key :: term(), Value :: binary(), options()) ->
    ok | {error, refusal() | timeout | failure()} | invalid().
register(Name, Key, Value, #{pid := Pid} = Options) ->
    case may(Name, Pid) of
        true -> register_for(Name, Key, Value, Options);
        false -> {error, not_owner};
        Invalid -> Invalid
    end.

-spec register_for(atom(), term(), binary(), options()) ->
    ok | {error, refusal() | timeout | failure()} | invalid().
register_for(Name, Key, Value, #{pid := Pid, sync := Sync, timeout := TimeoutMs}) ->
    Deadline = deadline(TimeoutMs),
    case claim(Name, Key, Value, Pid, new, Deadline) of
        {ok, _Actor, _Seq} when Sync =:= none ->
            ok;
        {ok, _Actor, Seq} when node(Pid) =:= node() ->
            waited(Name, holt_replica:await_acks(Name, Seq, Sync, left(Deadline)));
        {ok, Actor, Seq} ->
            Node = node(Pid),
            holt_remote:await_at(
                Name, {Node, Key}, Sync, {Node, Actor, Seq}, left(Deadline)
            );
        Refused ->
            Refused
    end.

%% @doc Do something with each item, each of which stands for a key: which of the keys were
%% refused, and why?  When one is no key, nothing is done.
-spec each(atom(), Items, fun((Item) -> Key), fun((Item) -> term())) ->
    [{Key, Reason :: term()}] | invalid()
when
    Items :: [Item] | term(), Item :: term(), Key :: term().
each(Name, Items, KeyOf, Do) ->
    try [{KeyOf(Item), Item} || Item <- Items] of
        Pairs ->
            Causes = [Cause || {Key, _} <- Pairs, Cause <- wrong(Name, Key)],
            case {Causes, holt_nif:count(Name)} of
                {[Cause | _], _} -> {invalid, Cause};
                {[], {invalid, Cause}} -> {invalid, Cause};
                _ -> [{Key, Reason} || {Key, Item} <- Pairs, {error, Reason} <- [Do(Item)]]
            end
    catch
        error:_ -> {invalid, not_a_list}
    end.

-spec wrong(atom(), term()) -> [holt_error:cause()].
wrong(Name, Key) ->
    case holt_nif:whereis(Name, Key) of
        {invalid, Cause} when Cause =/= duplicate_keys -> [Cause];
        _ -> []
    end.

%% @doc Register a name for the caller behind those who have it or wait for it.
-spec standby(atom(), Key :: term(), Value :: binary()) -> ok | {error, refusal()} | invalid().
standby(Name, Key, Value) ->
    %% Nobody but the caller registers it while it is here.
    case holt_nif:entries(Name, Key, self()) of
        [] ->
            case holt_nif:claim(Name, Key, Value, self(), standby) of
                {ok, _Actor, _Seq} -> ok;
                {error, unsupported} -> {invalid, duplicate_keys};
                Refused -> Refused
            end;
        {invalid, Cause} ->
            {invalid, Cause};
        _ ->
            case unique(Name, Key) of
                ok -> {error, {already_registered, self()}};
                Invalid -> Invalid
            end
    end.

%% Can anybody be the owner of this key?
-spec unique(atom(), term()) -> ok | invalid().
unique(Name, Key) ->
    case holt_nif:whereis(Name, Key) of
        {invalid, Cause} -> {invalid, Cause};
        _ -> ok
    end.

%% @doc Give a name to another process, whoever has it.
-spec give_away(atom(), Key :: term(), pid()) ->
    ok | {error, not_found | not_owner | changed | refusal() | failure()} | invalid().
give_away(Name, Key, Pid) ->
    give_away(Name, Key, Pid, deadline(?REMOTE_MS), ?HOPS_MAX).

-spec give_away(atom(), term(), pid(), integer(), non_neg_integer()) ->
    ok | {error, not_found | not_owner | changed | refusal() | failure()} | invalid().
give_away(_Name, _Key, _Pid, _Deadline, 0) ->
    {error, changed};
give_away(Name, Key, Pid, Deadline, Hops) ->
    case holt_nif:locate(Name, Key) of
        none ->
            {error, not_found};
        {invalid, Cause} ->
            {invalid, Cause};
        {Pid, _Value, _Actor, _Birth, _Seq} ->
            ok;
        {Holder, Value, Actor, Birth, _Seq} ->
            case may(Name, Holder) of
                true ->
                    case claim(Name, Key, Value, Pid, {replace, Actor, Birth}, Deadline) of
                        {ok, _, _} ->
                            ok;
                        {error, Changed} when Changed =:= changed; Changed =:= not_found ->
                            Row = {node(Holder), Actor, Birth},
                            ok = await_row(Name, Key, node(Pid), Row, Deadline),
                            give_away(Name, Key, Pid, Deadline, Hops - 1);
                        Refused ->
                            Refused
                    end;
                false ->
                    {error, not_owner};
                {invalid, Cause} ->
                    {invalid, Cause}
            end
    end.

%% The member that is to take a row over may not have heard of it yet; whether it has then,
%% the next try shows.
-spec await_row(atom(), term(), node(), holt_waiters:change(), integer()) -> ok.
await_row(_Name, _Key, Node, _Row, _Deadline) when Node =:= node() ->
    ok;
await_row(Name, Key, Node, Row, Deadline) ->
    _ = holt_remote:await_at(Name, {Node, Key}, seen, Row, left(Deadline)),
    ok.

%% @doc May the caller make or change a name of this process?  Where only the owner may,
%% others may not.
-spec may(atom(), pid()) -> boolean() | invalid().
may(_Name, Holder) when Holder =:= self() ->
    true;
may(Name, _Holder) ->
    case holt_nif:owner_only(Name) of
        {invalid, Cause} -> {invalid, Cause};
        OwnerOnly -> not OwnerOnly
    end.

%% Registered by the member of the process, and seen here.
-spec claim(atom(), term(), binary(), pid(), holt_nif:claimed(), integer()) ->
    {ok, holt_nif:actor(), holt_nif:seq()}
    | {error, refusal() | not_found | changed | unsupported | failure()}
    | invalid().
claim(Name, Key, Value, Pid, How, _Deadline) when node(Pid) =:= node() ->
    refused(holt_nif:claim(Name, Key, Value, Pid, How));
claim(Name, Key, Value, Pid, How, Deadline) ->
    Node = node(Pid),
    %% What is wrong here is not asked for there.
    case wrong(Name, Key) of
        [Cause] ->
            {invalid, Cause};
        [] ->
            case holt_remote:register_at(Name, Node, Key, Value, Pid, How, left(Deadline)) of
                {ok, Actor, Seq} ->
                    case await(Name, Node, Actor, Seq, Deadline) of
                        ok -> {ok, Actor, Seq};
                        Failed -> Failed
                    end;
                Refused ->
                    refused(Refused)
            end
    end.

%% A process of another life of its node.
-spec refused(Answer) -> Answer | {error, not_alive}.
refused({invalid, remote_pid}) -> {error, not_alive};
refused(Refused) -> Refused.

%%--------------------------------------------------------------------
%% Unregistering

%% @doc Take a unique name from whoever has it; where keys are duplicate, or only owners may,
%% from the caller.
-spec unregister(atom(), Key :: term()) -> ok | {error, not_owner | failure()} | invalid().
unregister(Name, Key) ->
    unregister(Name, Key, deadline(?REMOTE_MS), ?HOPS_MAX).

-spec unregister(atom(), term(), integer(), non_neg_integer()) ->
    ok | {error, not_owner | failure()} | invalid().
unregister(Name, Key, Deadline, Hops) ->
    case holt_nif:unregister(Name, Key, self()) of
        {ok, _Actor, _Seq} -> ok;
        none -> ok;
        %% Our own node's, too: there it is another member's.
        {remote, Node} -> unregister_at(Name, Node, Key, Deadline, Hops);
        Refused -> Refused
    end.

%% By the member that has the name; it may have gone on to another one meanwhile.
-spec unregister_at(atom(), node(), term(), integer(), non_neg_integer()) ->
    ok | {error, not_owner | failure()} | invalid().
unregister_at(_Name, Node, _Key, _Deadline, 0) ->
    {error, {unreachable, Node}};
unregister_at(Name, Node, Key, Deadline, Hops) ->
    case holt_remote:unregister_at(Name, Node, Key, self(), left(Deadline)) of
        {ok, Actor, Seq} -> await(Name, Node, Actor, Seq, Deadline);
        {remote, Other} when Other =:= node() -> unregister(Name, Key, Deadline, Hops - 1);
        {remote, Other} -> unregister_at(Name, Other, Key, Deadline, Hops - 1);
        Refused -> Refused
    end.

%% @doc Take a name from the caller, and from nobody else.
-spec unregister_own(atom(), Key :: term()) -> ok | {error, not_owner} | invalid().
unregister_own(Name, Key) ->
    case holt_nif:entries(Name, Key, self()) of
        {invalid, Cause} ->
            {invalid, Cause};
        [] ->
            case holt_nif:whereis(Name, Key) of
                undefined -> ok;
                {invalid, duplicate_keys} -> ok;
                {invalid, Cause} -> {invalid, Cause};
                %% Registered with another member on this node.
                Pid when Pid =:= self() -> own(unregister(Name, Key));
                _Other -> {error, not_owner}
            end;
        Entries ->
            _ = [holt_nif:drop(Name, Birth) || {_, Birth, _} <- Entries],
            ok
    end.

%% Out of reach, it goes with its process.
-spec own(ok | {error, not_owner | failure()} | invalid()) -> ok | {error, not_owner} | invalid().
own({error, {_, _}}) -> ok;
own(Answer) -> Answer.

%% @doc Take those entries of a key from the caller whose values are of this form.
-spec unregister_match(atom(), Key :: term(), Pattern :: term(), Guards :: term()) ->
    ok | invalid().
unregister_match(Name, Key, Pattern, Guards) ->
    case holt_nif:entries(Name, Key, self()) of
        {invalid, Cause} ->
            {invalid, Cause};
        Entries ->
            Given = [{Birth, holt_registry:decode(Value)} || {Value, Birth, _} <- Entries],
            case holt_read:matching(Given, Pattern, Guards) of
                {invalid, Cause} ->
                    {invalid, Cause};
                Matching ->
                    _ = [holt_nif:drop(Name, Birth) || {Birth, _} <- Matching],
                    ok
            end
    end.

%%--------------------------------------------------------------------
%% Values

%% @doc Change the value of a name of a process of any node; the fun runs there.
-spec update(atom(), Key :: term(), pid(), fun((Old) -> New)) ->
    {ok, New, Old} | error | {error, not_owner | failure()} | invalid()
when
    Old :: term(), New :: term().
update(Name, Key, Pid, Fun) ->
    case unique(Name, Key) of
        ok -> update_unique(Name, Key, Pid, Fun);
        Invalid -> Invalid
    end.

-spec update_unique(atom(), term(), pid(), fun((term()) -> term())) ->
    {ok, term(), term()} | error | {error, not_owner | failure()} | invalid().
update_unique(Name, Key, Pid, Fun) ->
    case may(Name, Pid) of
        true ->
            case node(Pid) =:= node() andalso holt_remote:update(Name, Key, Pid, Fun) of
                false -> update_at(Name, Key, Pid, Fun);
                error -> update_beside(Name, Key, Pid, Fun);
                Answer -> updated(Answer)
            end;
        false ->
            {error, not_owner};
        {invalid, Cause} ->
            {invalid, Cause}
    end.

%% Another member on this node may have registered it.
-spec update_beside(atom(), term(), pid(), fun((term()) -> term())) ->
    {ok, term(), term()} | error | {error, failure()} | invalid().
update_beside(Name, Key, Pid, Fun) ->
    case holt_nif:whereis(Name, Key) of
        Pid -> update_at(Name, Key, Pid, Fun);
        _ -> error
    end.

-spec update_at(atom(), term(), pid(), fun((term()) -> term())) ->
    {ok, term(), term()} | error | {error, failure()} | invalid().
update_at(Name, Key, Pid, Fun) ->
    Node = node(Pid),
    Deadline = deadline(?REMOTE_MS),
    case holt_remote:update_at(Name, Node, Key, Pid, Fun, left(Deadline)) of
        {{ok, New, Old}, Actor, Seq} ->
            case await(Name, Node, Actor, Seq, Deadline) of
                ok -> {ok, New, Old};
                Failed -> Failed
            end;
        Refused ->
            updated(Refused)
    end.

-spec updated(holt_remote:updated() | holt_remote:failure()) ->
    {ok, term(), term()} | error | {error, failure()} | invalid().
updated({raised, Class, Reason, Stack}) -> erlang:raise(Class, Reason, Stack);
updated({error, {too_large, _, _} = Cause}) -> {invalid, Cause};
updated({invalid, remote_pid}) -> error;
updated(Answer) -> Answer.

%%--------------------------------------------------------------------
%% Waiting

%% @doc Wait until all members that are present hold what this one has written.
-spec barrier(atom(), timeout_ms()) -> ok | {error, timeout} | invalid().
barrier(Name, TimeoutMs) ->
    waited(Name, holt_replica:barrier(Name, TimeoutMs)).

-spec await(atom(), node(), holt_nif:actor(), holt_nif:seq(), integer()) ->
    ok | {error, {unreachable, node()}} | invalid().
await(Name, Node, Actor, Seq, Deadline) ->
    case waited(Name, holt_replica:await(Name, Node, Actor, Seq, left(Deadline))) of
        {error, timeout} -> {error, {unreachable, Node}};
        Answer -> Answer
    end.

%% Without its replica process nothing gets here or away.
-spec waited(atom(), ok | {error, timeout | no_instance}) -> ok | {error, timeout} | invalid().
waited(Name, {error, no_instance}) ->
    case holt_nif:count(Name) of
        {invalid, Cause} -> {invalid, Cause};
        _ -> {error, timeout}
    end;
waited(_Name, Answer) ->
    Answer.

-spec deadline(timeout_ms()) -> integer().
deadline(TimeoutMs) ->
    erlang:monotonic_time(millisecond) + TimeoutMs.

-spec left(integer()) -> timeout_ms().
left(Deadline) ->
    max(0, Deadline - erlang:monotonic_time(millisecond)).
