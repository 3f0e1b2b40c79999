%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc Processes that wait for a name: those who have asked {@link holt_registry:await/3}.
%%
%% Each has called the events process, which answers as soon as somebody has the name.  What is
%% told of a name here is only that it is worth a look: what counts is who has it then.
%%
%% The events process gets, and hands on, two messages about one of them: that of its monitor,
%% tagged `{holt_subscriber, Id}', for {@link remove/2}, and that of its timer, `{await, Id}', for
%% {@link timeout/3}.
-module(holt_name_waiters).

-export([new/1, count/1, is_member/2, add/4, remove/2, timeout/3, told/2, look_up_all/1]).

-export_type([waiters/0, id/0]).

-type id() :: reference().

-record(waiter, {
    from :: gen_server:from(),
    monitor :: reference(),
    key :: term(),
    timer :: reference() | undefined
}).

-record(waiters, {
    name :: atom(),
    all = #{} :: #{id() => #waiter{}},
    %% Who waits for which name.
    keys = #{} :: #{Key :: term() => #{id() => []}}
}).

-opaque waiters() :: #waiters{}.

%% @doc Nobody waits for a name of this instance.
-spec new(Name :: atom()) -> waiters().
new(Name) ->
    #waiters{name = Name}.

-spec count(waiters()) -> non_neg_integer().
count(#waiters{all = All}) ->
    map_size(All).

-spec is_member(id(), waiters()) -> boolean().
is_member(Id, #waiters{all = All}) ->
    is_map_key(Id, All).

%% @doc One more, until this time of the monotonic clock in milliseconds.  If somebody has the
%% name it is answered at once.
-spec add(Key :: term(), infinity | integer(), gen_server:from(), waiters()) -> waiters().
add(Key, Deadline, {Pid, _} = From, #waiters{all = All, keys = Keys} = Waiters) ->
    Id = make_ref(),
    Timer =
        case Deadline of
            infinity -> undefined;
            At -> erlang:start_timer(At, self(), {await, Id}, [{abs, true}])
        end,
    Monitor = erlang:monitor(process, Pid, [{tag, {holt_subscriber, Id}}]),
    Waiter = #waiter{from = From, monitor = Monitor, key = Key, timer = Timer},
    look_up(Id, Waiters#waiters{
        all = All#{Id => Waiter},
        keys = Keys#{Key => (maps:get(Key, Keys, #{}))#{Id => []}}
    }).

%% @doc It has been answered, or waits no longer.
-spec remove(id(), waiters()) -> waiters().
remove(Id, #waiters{all = All, keys = Keys} = Waiters) ->
    case maps:take(Id, All) of
        {#waiter{monitor = Monitor, timer = Timer, key = Key}, Rest} ->
            true = erlang:demonitor(Monitor, [flush]),
            _ = Timer =/= undefined andalso erlang:cancel_timer(Timer),
            #{Key := Ids} = Keys,
            Left =
                case maps:remove(Id, Ids) of
                    None when map_size(None) =:= 0 -> maps:remove(Key, Keys);
                    Others -> Keys#{Key := Others}
                end,
            Waiters#waiters{all = Rest, keys = Left};
        error ->
            Waiters
    end.

%% @doc The time of one of them is over, if this is its timer.
-spec timeout(id(), Timer :: reference(), waiters()) -> waiters().
timeout(Id, Timer, #waiters{all = All} = Waiters) ->
    case All of
        #{Id := #waiter{timer = Timer}} -> answer(Id, {error, timeout}, Waiters);
        #{} -> Waiters
    end.

%% @doc These changes are told: some may have a name at last.
-spec told([holt_nif:change()], waiters()) -> waiters().
told(_Changes, #waiters{all = All} = Waiters) when map_size(All) =:= 0 ->
    Waiters;
told(Changes, #waiters{keys = Keys} = Waiters) ->
    case lists:any(fun(Change) -> tuple_size(Change) =/= 6 end, Changes) of
        true ->
            %% A member came or went with all its names.
            look_up_all(Waiters);
        false ->
            Touched = maps:with([element(3, Change) || Change <- Changes], Keys),
            look_up_each([Id || Ids <- maps:values(Touched), Id <- maps:keys(Ids)], Waiters)
    end.

%% @doc What has changed is not known.
-spec look_up_all(waiters()) -> waiters().
look_up_all(#waiters{all = All} = Waiters) ->
    look_up_each(maps:keys(All), Waiters).

%%--------------------------------------------------------------------
%% Internal

-spec look_up_each([id()], waiters()) -> waiters().
look_up_each(Ids, Waiters) ->
    lists:foldl(fun look_up/2, Waiters, Ids).

-spec look_up(id(), waiters()) -> waiters().
look_up(Id, #waiters{name = Name, all = All} = Waiters) ->
    #{Id := #waiter{key = Key}} = All,
    case holt_nif:lookup(Name, Key) of
        [] -> Waiters;
        [{Pid, Value} | _] -> answer(Id, {Pid, holt_registry:decode(Value)}, Waiters);
        {invalid, Cause} -> answer(Id, {invalid, Cause}, Waiters)
    end.

-spec answer(id(), term(), waiters()) -> waiters().
answer(Id, Answer, #waiters{all = All} = Waiters) ->
    #{Id := #waiter{from = From}} = All,
    gen_server:reply(From, Answer),
    remove(Id, Waiters).
