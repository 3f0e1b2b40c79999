%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc Questions to the replica process of another member.
%%
%% Only its own member writes a row, so who wants a row of another member changed asks there.
%% The process that asks waits, with a deadline; no replica process ever waits for another
%% one.  A member without a link to us is asked through the one that vouches for it:
%%
%% ```
%%   caller --- {claim, ...} ---------------------------> replica of B
%%
%%   caller --- {relay, B, {claim, ...}, Ms} --> replica of P
%%                                     a process of P --> replica of B
%% '''
-module(holt_remote).

%% Names of other members
-export([register_at/7, unregister_at/5, update_at/6, await_at/5]).
%% Asking
-export([call_member/4, process_name/1, is_linked/1]).
%% Answering
-export([serve/3, reply/2, update/4]).

-export_type([failure/0, timeout_ms/0, request/0, updated/0]).

%% What others say is checked before it is believed.
-define(IS_UINT64(Number), is_integer(Number), Number >= 0, Number < 1 bsl 64).
-define(IS_MEMBER(Member),
    tuple_size(Member) =:= 2, is_atom(element(1, Member)), is_atom(element(2, Member))
).
-define(IS_CLAIM(How),
    (How =:= new orelse How =:= standby orelse
        (tuple_size(How) =:= 3 andalso element(1, How) =:= replace andalso
            is_integer(element(2, How)) andalso is_integer(element(3, How)) andalso
            element(2, How) > 0 andalso element(2, How) < 1 bsl 64 andalso
            element(3, How) > 0 andalso element(3, How) < 1 bsl 64))
).
-define(IS_LOSS(How), (How =:= exit orelse How =:= standby)).

-type timeout_ms() :: non_neg_integer().
-type failure() :: {error, {no_instance | unreachable, node()}}.
-type request() ::
    {claim, Key :: term(), Value :: binary(), pid(), holt_nif:claimed()}
    | {unregister, Key :: term(), Caller :: pid()}
    | {update, Key :: term(), pid(), fun((term()) -> term())}
    | {lose, Key :: term(), holt_nif:birth(), Winner :: {holt_nif:actor(), holt_nif:birth()},
        exit | standby}
    | {await, holt_waiters:condition(), timeout_ms()}
    | offer
    | {members, {merge, holt_members:export()}}
    | {relay, holt_nif:member(), request(), timeout_ms()}.
%% What became of a change of a value; what the fun raised is to be raised where it came from.
-type updated() ::
    {ok, New :: term(), Old :: term()}
    | error
    | {raised, error | exit | throw, Reason :: term(), Stack :: list()}
    | {error, {too_large, Bytes :: non_neg_integer(), Max :: pos_integer()}}
    | holt_nif:invalid().

%%--------------------------------------------------------------------
%% Names of other members

%% @doc Register a name for a process of another node, or, `{replace, Actor, Birth}', give it
%% a name in the place of that registration.  Actor and seq are for {@link holt_replica:await/5}.
-spec register_at(
    Name :: atom(), node(), Key :: term(), Value :: binary(), pid(), holt_nif:claimed(),
    timeout_ms()
) ->
    {ok, Actor :: non_neg_integer(), Seq :: non_neg_integer()}
    | holt_nif:refusal()
    | {error, not_found | changed | unsupported}
    | failure()
    | holt_nif:invalid().
register_at(Name, Node, Key, Value, Pid, How, TimeoutMs) ->
    Request = {claim, Key, Value, Pid, How},
    answer_of(Node, call(Name, {Node, Key}, Request, TimeoutMs)).

%% @doc Unregister a name where it is held, for Caller.  `remote': it is held by a process of
%% that node now.
-spec unregister_at(
    Name :: atom(), node(), Key :: term(), Caller :: pid(), timeout_ms()
) ->
    {ok, Actor :: non_neg_integer(), Seq :: non_neg_integer()}
    | {remote, node()}
    | {error, not_owner}
    | failure()
    | holt_nif:invalid().
unregister_at(Name, Node, Key, Caller, TimeoutMs) ->
    answer_of(Node, call(Name, {Node, Key}, {unregister, Key, Caller}, TimeoutMs)).

%% @doc Change the value of a name of a process of another node.  The fun runs there, in a
%% process of its own.
-spec update_at(
    Name :: atom(), node(), Key :: term(), pid(), fun((term()) -> term()),
    timeout_ms()
) ->
    {{ok, New :: term(), Old :: term()}, Actor :: non_neg_integer(), Seq :: non_neg_integer()}
    | updated()
    | failure().
update_at(Name, Node, Key, Pid, Fun, TimeoutMs) ->
    answer_of(Node, call(Name, {Node, Key}, {update, Key, Pid, Fun}, TimeoutMs)).

%% A member of another version, or with an instance that is ending.
-spec answer_of(node(), {ok, term()} | failure()) -> term().
answer_of(Node, {ok, {invalid, no_instance}}) -> {error, {no_instance, Node}};
answer_of(Node, {ok, {error, unsupported_request}}) -> {error, {no_instance, Node}};
answer_of(_Node, {ok, Answer}) -> Answer;
answer_of(_Node, Failure) -> Failure.

%% @doc Wait at another member, the one on a node that has this key, if one has it.
-spec await_at(
    Name :: atom(), {node(), Key :: term()}, all | quorum | seen, holt_waiters:change(),
    timeout_ms()
) -> ok | {error, timeout} | failure().
await_at(Name, Where, What, {Node, Actor, Seq}, TimeoutMs) ->
    Condition =
        case What of
            seen -> {seen, Node, Actor, Seq};
            _ -> {acked, Seq, What}
        end,
    case call(Name, Where, {await, Condition, TimeoutMs}, TimeoutMs) of
        {ok, ok} -> ok;
        {ok, _} -> {error, {no_instance, element(1, Where)}};
        {error, {unreachable, _}} -> {error, timeout};
        Failure -> Failure
    end.

%%--------------------------------------------------------------------
%% Asking

%% @doc The registered name of a member's replica process.
-spec process_name(Name :: atom()) -> atom().
process_name(Name) ->
    list_to_atom("holt." ++ atom_to_list(Name)).

%% @doc Ask the member on a node; of several the one that has this key, if one has it.
-spec call(Name :: atom(), {node(), Key :: term()}, request(), timeout_ms()) ->
    {ok, Answer :: term()} | failure().
call(Name, {Node, Key}, Request, TimeoutMs) ->
    call_member(Name, member_on(Name, Node, Key), Request, TimeoutMs).

%% @doc Ask this member, over a link or through who vouches for it.
-spec call_member(Name :: atom(), holt_nif:member(), request(), timeout_ms()) ->
    {ok, Answer :: term()} | failure().
call_member(Name, {_, Node} = Member, Request, TimeoutMs) ->
    case is_linked(Node) of
        true ->
            ask(Member, Request, TimeoutMs);
        false ->
            %% Asking over no link would make one, and wait for it.
            case [Voucher || {_, At} = Voucher <- vouchers(Name, Member), is_linked(At)] of
                [Voucher] ->
                    case ask(Voucher, {relay, Member, Request, TimeoutMs}, TimeoutMs) of
                        {ok, {relayed, Answer}} -> Answer;
                        _ -> {error, {unreachable, Node}}
                    end;
                [] ->
                    {error, {unreachable, Node}}
            end
    end.

%% @doc Is there a link to this node, or is it our own?
-spec is_linked(node()) -> boolean().
is_linked(Node) ->
    Node =:= node() orelse lists:member(Node, nodes(connected)).

-spec ask(holt_nif:member(), request(), timeout_ms()) -> {ok, term()} | failure().
ask({Name, Node}, Request, TimeoutMs) ->
    try
        {ok, gen_server:call({process_name(Name), Node}, Request, TimeoutMs)}
    catch
        exit:{Reason, _} when Reason =:= noproc; Reason =:= normal; Reason =:= shutdown ->
            {error, {no_instance, Node}};
        exit:_ ->
            {error, {unreachable, Node}}
    end.

-spec vouchers(atom(), holt_nif:member()) -> [holt_nif:member()].
vouchers(Name, Member) ->
    [Voucher || #{member := Of, voucher := {_, _} = Voucher} <- actors(Name), Of =:= Member].

-spec actors(atom()) -> [map()].
actors(Name) ->
    case holt_nif:info(Name) of
        #{actors := Actors} -> Actors;
        {invalid, _} -> []
    end.

%% Nearly always the only one there, by our own name.
-spec member_on(atom(), node(), term()) -> holt_nif:member().
member_on(Name, Node, Key) ->
    Members =
        case holt_nif:members(Name) of
            {invalid, _} -> [];
            Present -> [Member || {_, At} = Member <- Present, At =:= Node]
        end,
    Own = {Name, Node},
    case Members of
        [] -> Own;
        [Member] -> Member;
        _ -> hd(holders(Name, Key, Members) ++ [Own || lists:member(Own, Members)] ++ Members)
    end.

-spec holders(atom(), term(), [holt_nif:member()]) -> [holt_nif:member()].
holders(Name, Key, Members) ->
    case holt_nif:locate(Name, Key) of
        {_Pid, _Value, Actor, _Birth, _Seq} ->
            [
                Member
             || #{member := Member, actor := Of} <- actors(Name),
                Of =:= Actor,
                lists:member(Member, Members)
            ];
        _ ->
            []
    end.

%%--------------------------------------------------------------------
%% Answering

%% @doc Do what another member asks of the replica process Name, or have it done by a process
%% that may take longer.
-spec serve(request() | term(), gen_server:from(), Name :: atom()) -> ok | unknown.
serve({claim, Key, Value, Pid, How}, From, Name) when
    is_binary(Value), is_pid(Pid), ?IS_CLAIM(How)
->
    reply(From, holt_nif:claim(Name, Key, Value, Pid, How));
serve({unregister, Key, Caller}, From, Name) when is_pid(Caller) ->
    reply(From, unregister(Name, Key, Caller));
serve({update, Key, Pid, Fun}, From, Name) when node(Pid) =:= node(), is_function(Fun, 1) ->
    aside(From, fun() ->
        case update(Name, Key, Pid, Fun) of
            {ok, _, _} = Done -> with_version(Done, Name);
            Answer -> Answer
        end
    end);
serve({lose, Key, Birth, {Actor, WinnerBirth} = Winner, How}, From, Name) when
    ?IS_UINT64(Birth), ?IS_UINT64(Actor), ?IS_UINT64(WinnerBirth), ?IS_LOSS(How)
->
    reply(From, holt_contest:lose(Name, Key, {Birth, Winner, How}));
serve({relay, {_, Node} = Member, Request, TimeoutMs}, From, _Name) when
    ?IS_MEMBER(Member), ?IS_UINT64(TimeoutMs), element(1, Request) =/= relay
->
    %% The one who asks has no link to whom it asks.
    aside(From, fun() ->
        case is_linked(Node) of
            true -> {relayed, ask(Member, Request, TimeoutMs)};
            false -> {relayed, {error, {unreachable, Node}}}
        end
    end);
serve(_Request, _From, _Name) ->
    unknown.

-spec aside(gen_server:from(), fun(() -> term())) -> ok.
aside(From, Fun) ->
    _ = spawn(fun() -> reply(From, Fun()) end),
    ok.

%% @doc Answer; who asked may be anything, since it came from outside.
-spec reply(term(), term()) -> ok.
reply(From, Answer) ->
    try
        gen_server:reply(From, Answer)
    catch
        _:_ -> ok
    end.

%% Nobody has it: the answer is where that is seen.
-spec unregister(atom(), term(), pid()) ->
    {ok, non_neg_integer(), non_neg_integer()}
    | {remote, node()}
    | {error, not_owner}
    | holt_nif:invalid().
unregister(Name, Key, Caller) ->
    case holt_nif:unregister(Name, Key, Caller) of
        none -> with_version(ok, Name);
        Answer -> Answer
    end.

%% With where it is seen.
-spec with_version(Answer, atom()) ->
    {Answer, non_neg_integer(), non_neg_integer()} | holt_nif:invalid().
with_version(Answer, Name) ->
    case holt_nif:info(Name) of
        #{actor := Actor, version := Version} -> {Answer, Actor, Version};
        Invalid -> Invalid
    end.

%% @doc Change the value of a name of a process of this node.  The fun runs here, and again
%% if somebody changed the value meanwhile.
-spec update(Name :: atom(), Key :: term(), pid(), fun((term()) -> term())) -> updated().
update(Name, Key, Pid, Fun) ->
    case holt_nif:fetch(Name, Key, Pid) of
        none ->
            error;
        {invalid, Cause} ->
            {invalid, Cause};
        {Binary, Token} ->
            Old = holt_registry:decode(Binary),
            try Fun(Old) of
                New ->
                    case holt_nif:update(Name, Key, Pid, Token, holt_registry:encode(New)) of
                        ok -> {ok, New, Old};
                        changed -> update(Name, Key, Pid, Fun);
                        none -> error;
                        {error, Reason} -> {error, Reason};
                        {invalid, Cause} -> {invalid, Cause}
                    end
            catch
                Class:Reason:Stack -> {raised, Class, Reason, Stack}
            end
    end.
