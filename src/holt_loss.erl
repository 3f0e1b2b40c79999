%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc Messages between replica processes that get lost, because a test wants them to.
%%
%% A replica process reads at its start whether there are rules, and again when it is told
%% ({@link reload/1}). While there are none, as in production, it does without this module:
%% that costs one comparison of an atom for each message.
%%
%% Rules are in the environment of the application, `message_loss':
%%
%% ```
%%   #{seed => 1,
%%     to => #{'b@host' => 0.3},        of what is sent to b, lost here
%%     from => #{'d@host' => 1.0}}      of what d sends, lost here
%% '''
%%
%% The second is for senders without Erlang. A message does not say who has sent it, but its
%% header names a session, and hellos say whose sessions are whose; so it works for sessions
%% that have begun under the rule.
-module(holt_loss).

-export([load/0, store/1, reload/1, is_sent_lost/2, received/2]).

-export_type([rules/0]).

-type rules() :: #{
    seed := integer(),
    to := #{node() => Share :: float()},
    from := #{node() => Share :: float()},
    sessions => #{Session :: non_neg_integer() => node()}
}.

%% @doc The rules there are, for the calling replica process.
-spec load() -> none | rules().
load() ->
    case application:get_env(holt, message_loss) of
        {ok, #{seed := Seed} = Rules} ->
            _ = rand:seed(exsss, {Seed, erlang:phash2(node()), 0}),
            Rules;
        _ ->
            none
    end.

%% @doc Have rules for this node, from now on and for all instances.
-spec store(none | rules()) -> ok.
store(none) ->
    ok = application:unset_env(holt, message_loss),
    reload_all();
store(Rules) ->
    ok = application:set_env(holt, message_loss, Rules),
    reload_all().

-spec reload_all() -> ok.
reload_all() ->
    lists:foreach(fun({Name, _OrphanMs}) -> reload(Name) end, holt_nif:instances()).

%% @doc Have the replica process of an instance load them again.
-spec reload(Name :: atom()) -> ok.
reload(Name) ->
    try
        _ = sys:replace_state(holt_replica:process_name(Name), fun holt_replica:reload_loss/1),
        ok
    catch
        %% The next one loads them.
        exit:_ -> ok
    end.

%% @doc Is what this process is about to send lost on its way?
-spec is_sent_lost(pid() | {atom(), node()}, rules()) -> boolean().
is_sent_lost({_, Node}, Rules) -> is_lost(Node, to, Rules);
is_sent_lost(Pid, Rules) -> is_lost(node(Pid), to, Rules).

%% @doc Is what has come to be taken as lost?
-spec received(term(), rules()) -> {boolean(), rules()}.
received({holt_hello, Pid, Name, Bytes, Nodes, _Members}, Rules) ->
    received({holt_hello, Pid, Name, Bytes, Nodes}, Rules);
received({holt_members, Pid, _}, Rules) when is_pid(Pid) ->
    {is_lost(node(Pid), from, Rules), Rules};
received({holt_hello, Pid, _, Bytes, _}, Rules) when is_pid(Pid), is_binary(Bytes) ->
    %% A hello that is lost tells this process something nevertheless: whose fault it is.
    {is_lost(node(Pid), from, Rules), learn(Bytes, node(Pid), Rules)};
received({holt_data, <<_Version, _To:64, From:64>>, _}, #{sessions := Sessions} = Rules) ->
    case Sessions of
        #{From := Node} -> {is_lost(Node, from, Rules), Rules};
        #{} -> {false, Rules}
    end;
received(_Message, Rules) ->
    {false, Rules}.

%%--------------------------------------------------------------------
%% Internal

-spec is_lost(node(), to | from, rules()) -> boolean().
is_lost(Node, Way, Rules) ->
    case Rules of
        #{Way := #{Node := Share}} -> rand:uniform() =< Share;
        #{} -> false
    end.

%% The session in a hello stands behind the member's name and node, the actor and the
%% creation: docs/wire.md.  Names of members are longer than 127 bytes in no test.
-spec learn(binary(), node(), rules()) -> rules().
learn(Bytes, Node, #{from := From} = Rules) when is_map_key(Node, From) ->
    case Bytes of
        <<16#48, _Min, _Max, N, _:N/binary, M, _:M/binary, _Actor:64, _Creation:32, Session:64,
            _/binary>> ->
            Sessions = maps:get(sessions, Rules, #{}),
            Rules#{sessions => Sessions#{Session => Node}};
        _ ->
            Rules
    end;
learn(_Bytes, _Node, Rules) ->
    Rules.
