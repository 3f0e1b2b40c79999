%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc The other members that a replica process speaks with, and the processes behind them.
%%
%% ```
%%   meet   --> the native code greets the member: there is a link to its node
%%   hello  --> its process is known, and watched
%%   down   --> the process is missing, or the member has gone
%%   part   --> the member has gone, its link with it
%% '''
%%
%% A member on this node has no link: it is there while its process is.
-module(holt_links).

-include_lib("kernel/include/logger.hrl").

-export([new/1, meet/2, hello/4, refuse/3, down/3, part/2, alone/1]).
-export([send/3, received/2, reload_loss/1]).
-export([member/2, pid/2, members/1, nodes/1, processes/1, greeted/1]).

-export_type([links/0]).

-type member() :: holt_nif:member().

-record(peer, {
    member :: member(),
    %% Known since its hello; monitored as long as it is.
    pid = undefined :: undefined | pid(),
    monitor = undefined :: undefined | reference(),
    %% Its actor, and how far that was, as it said in its last hello.
    greeting = none :: none | {holt_nif:actor(), Version :: non_neg_integer()}
}).

-record(links, {
    name :: atom(),
    peers = #{} :: #{holt_nif:peer() => #peer{}},
    ids = #{} :: #{member() => holt_nif:peer()},
    monitors = #{} :: #{reference() => holt_nif:peer()},
    %% Why who was refused, the last time that was said.
    noticed = #{} :: #{member() => atom()},
    %% What tests have get lost; in production nothing.
    loss = none :: none | holt_loss:rules()
}).

-opaque links() :: #links{}.

%% @doc No links yet.
-spec new(Name :: atom()) -> links().
new(Name) ->
    #links{name = Name, loss = holt_loss:load()}.

%% @doc Greet a member: there is a link to its node.
%%
%% A link is new once: a nodeup that was on its way while the nodes were listed, or that was
%% overtaken by nothing else, finds the peer known.
-spec meet(member(), links()) -> links().
meet(Member, #links{name = Name, ids = Ids} = Links) ->
    case Ids of
        #{Member := _} -> Links;
        #{} -> know(holt_nif:peer_up(Name, Member), Member, Links)
    end.

%% @doc A member has greeted us.  True: its process is another one than was known.
-spec hello(member(), pid(), Bytes :: binary(), links()) -> {boolean(), links()}.
hello(Member, Pid, Bytes, #links{name = Name} = Links) ->
    case holt_nif:hello(Name, Member, Bytes) of
        Id when is_integer(Id) -> bind(Id, Pid, greeting(Bytes), know(Id, Member, Links));
        Refused -> {false, know(Refused, Member, Links)}
    end.

-spec know(holt_nif:peer() | {refused | invalid, atom()}, member(), links()) -> links().
know(Id, Member, #links{ids = Ids} = Links) when is_integer(Id) ->
    case Ids of
        #{Member := Id} ->
            Links;
        #{Member := Former} ->
            %% The native code has given that one up.
            know(Id, Member, forget(Former, Links));
        #{} ->
            #links{peers = Peers} = Links,
            Links#links{peers = Peers#{Id => #peer{member = Member}}, ids = Ids#{Member => Id}}
    end;
know({_, Reason}, Member, Links) ->
    refuse(Reason, Member, Links).

%% @doc Say that somebody cannot take part, unless that was said.
-spec refuse(Reason :: atom(), member(), links()) -> links().
refuse(Reason, Member, #links{name = Name, noticed = Noticed} = Links) ->
    case Noticed of
        #{Member := Reason} ->
            Links;
        #{} ->
            ?LOG_NOTICE(
                "holt: instance ~p cannot sync with ~p: ~p",
                [Name, Member, Reason],
                #{domain => [holt]}
            ),
            Links#links{noticed = Noticed#{Member => Reason}}
    end.

%% The process behind a peer.
-spec bind(holt_nif:peer(), pid(), Greeting, links()) -> {boolean(), links()} when
    Greeting :: none | {holt_nif:actor(), non_neg_integer()}.
bind(Id, Pid, Greeting, #links{peers = Peers} = Links) ->
    case Peers of
        #{Id := #peer{pid = Pid} = Peer} ->
            {false, Links#links{peers = Peers#{Id := Peer#peer{greeting = Greeting}}}};
        #{Id := Peer} ->
            #links{monitors = Monitors} = Unbound = unbind(Id, Links),
            Monitor = erlang:monitor(process, Pid),
            introduce(node(Pid), Unbound),
            _ = node(Pid) =/= node() andalso holt_janitor:peer_met(),
            {true, Unbound#links{
                peers = Peers#{
                    Id := Peer#peer{pid = Pid, monitor = Monitor, greeting = Greeting}
                },
                monitors = Monitors#{Monitor => Id}
            }}
    end.

%% What a hello says of its sender: docs/wire.md.
-spec greeting(binary()) -> none | {holt_nif:actor(), non_neg_integer()}.
greeting(<<16#48, _Min, _Max, Bytes/binary>>) ->
    {NameSize, Name} = number(Bytes),
    <<_:NameSize/binary, NodeBytes/binary>> = Name,
    {NodeSize, Node} = number(NodeBytes),
    <<_:NodeSize/binary, Actor:64, _Creation:32, _Session:64, _Known:64, _Policy:64,
        WallMs/binary>> = Node,
    {_, Version} = number(WallMs),
    {Actor, element(1, number(Version))};
greeting(_Later) ->
    none.

%% The native code has found it to be well made.
-spec number(binary()) -> {non_neg_integer(), binary()}.
number(<<0:1, Low:7, Rest/binary>>) ->
    {Low, Rest};
number(<<1:1, Low:7, Rest/binary>>) ->
    {High, More} = number(Rest),
    {High bsl 7 bor Low, More}.

%% Tell hidden nodes of a new member: nobody else tells them which nodes there are.  One
%% that is too busy to hear it is told by the others.
-spec introduce(node(), links()) -> ok.
introduce(Node, Links) ->
    Hidden = erlang:nodes(hidden),
    lists:foreach(
        fun({_Member, Pid}) ->
            _ =
                lists:member(node(Pid), Hidden) andalso
                    erlang:send(Pid, {holt_nodes, [Node]}, [noconnect, nosuspend])
        end,
        processes(Links)
    ).

-spec unbind(holt_nif:peer(), links()) -> links().
unbind(Id, #links{peers = Peers, monitors = Monitors} = Links) ->
    case Peers of
        #{Id := #peer{monitor = undefined}} ->
            Links;
        #{Id := #peer{monitor = Monitor} = Peer} ->
            true = erlang:demonitor(Monitor, [flush]),
            Links#links{
                peers = Peers#{Id := Peer#peer{pid = undefined, monitor = undefined}},
                monitors = maps:remove(Monitor, Monitors)
            }
    end.

%% @doc A process has ended; false: none of ours.  Gone with its link, or ended in order:
%% nothing to wait for.
-spec down(reference(), Reason :: term(), links()) -> links() | false.
down(Monitor, Reason, #links{name = Name, monitors = Monitors} = Links) ->
    case Monitors of
        #{Monitor := Id} ->
            case Reason =:= noconnection orelse is_orderly(Reason) of
                true ->
                    part_id(Id, Links);
                false ->
                    _ = holt_nif:peer_down(Name, Id, replica),
                    unbind(Id, Links)
            end;
        #{} ->
            false
    end.

%% @doc A member has gone, or may no longer take part.
-spec part(member(), links()) -> links().
part(Member, #links{ids = Ids} = Links) ->
    case Ids of
        #{Member := Id} -> part_id(Id, Links);
        #{} -> Links
    end.

-spec part_id(holt_nif:peer(), links()) -> links().
part_id(Id, #links{name = Name} = Links) ->
    _ = holt_nif:peer_down(Name, Id, link),
    forget(Id, Links).

-spec forget(holt_nif:peer(), links()) -> links().
forget(Id, Links) ->
    #links{peers = Peers, ids = Ids} = Unbound = unbind(Id, Links),
    {#peer{member = Member}, Rest} = maps:take(Id, Peers),
    Unbound#links{peers = Rest, ids = maps:remove(Member, Ids)}.

%% @doc The native code has given up all peers.
-spec alone(links()) -> links().
alone(#links{peers = Peers} = Links) ->
    (lists:foldl(fun unbind/2, Links, maps:keys(Peers)))#links{peers = #{}, ids = #{}}.

-spec is_orderly(term()) -> boolean().
is_orderly(normal) -> true;
is_orderly(shutdown) -> true;
is_orderly({shutdown, _}) -> true;
is_orderly(_) -> false.

%%--------------------------------------------------------------------
%% Messages

%% @doc Send, if that is possible at once: never wait for a link, never make one.
-spec send(pid() | {atom(), node()}, term(), links()) -> boolean().
send(To, Message, #links{loss = Loss}) ->
    Loss =/= none andalso holt_loss:is_sent_lost(To, Loss) orelse
        erlang:send(To, Message, [noconnect, nosuspend]) =:= ok.

%% @doc Is what has come to be taken as lost?
-spec received(term(), links()) -> {boolean(), links()}.
received(_Message, #links{loss = none} = Links) ->
    {false, Links};
received(Message, #links{loss = Loss} = Links) ->
    {IsLost, Next} = holt_loss:received(Message, Loss),
    {IsLost, Links#links{loss = Next}}.

%% @doc Look anew what is to get lost.
-spec reload_loss(links()) -> links().
reload_loss(Links) ->
    Links#links{loss = holt_loss:load()}.

%%--------------------------------------------------------------------
%% Looking

%% @doc Who is behind this link?
-spec member(holt_nif:peer(), links()) -> member() | undefined.
member(Id, #links{peers = Peers}) ->
    case Peers of
        #{Id := #peer{member = Member}} -> Member;
        #{} -> undefined
    end.

%% @doc Which process is behind this link?
-spec pid(holt_nif:peer(), links()) -> pid() | undefined.
pid(Id, #links{peers = Peers}) ->
    case Peers of
        #{Id := #peer{pid = Pid}} -> Pid;
        #{} -> undefined
    end.

%% @doc To whom there are links, whether or not they have answered.
-spec members(links()) -> [member()].
members(#links{ids = Ids}) ->
    maps:keys(Ids).

%% @doc Those who have, and their processes.
-spec processes(links()) -> [{member(), pid()}].
processes(#links{peers = Peers}) ->
    [{Member, Pid} || #peer{member = Member, pid = Pid} <- maps:values(Peers), is_pid(Pid)].

%% @doc The actors of those who have, and how far each was then.
-spec greeted(links()) -> [{holt_nif:actor(), Version :: non_neg_integer()}].
greeted(#links{peers = Peers}) ->
    [Greeting || #peer{pid = Pid, greeting = {_, _} = Greeting} <- maps:values(Peers), is_pid(Pid)].

%% @doc The nodes of those who have.
-spec nodes(links()) -> [node()].
nodes(Links) ->
    lists:usort([node(Pid) || {_, Pid} <- processes(Links)]).
