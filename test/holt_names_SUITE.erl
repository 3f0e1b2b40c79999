%% SPDX-License-Identifier: Apache-2.0
%% @doc Names of one node: reading them in every way, duplicate keys, standbys, giving away.
-module(holt_names_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2, end_per_testcase/2]).
-compile([export_all, nowarn_export_all]).

all() ->
    [
        names_match_a_pattern,
        names_are_selected_as_ets_selects,
        select_that_names_its_keys_reads_those,
        names_are_counted,
        names_are_folded_over,
        names_are_found_by_prefix,
        names_are_dispatched_to,
        key_has_many_entries,
        entries_go_by_via,
        entries_are_unregistered_by_their_owner,
        entries_match_a_pattern,
        entries_go_with_their_process,
        standby_takes_over,
        standbys_take_over_in_order,
        standby_steps_back,
        name_is_given_away,
        only_the_owner_may,
        names_come_in_lists,
        register_has_options,
        module_has_the_last_word,
        name_is_explained,
        wrong_use_says_what_is_wrong,
        without_an_instance_all_say_so
    ].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(holt),
    Config.

end_per_suite(_Config) ->
    application:stop(holt).

%% Every case has registries of its own, by its name.
init_per_testcase(Case, Config) ->
    Duplicate = list_to_atom(atom_to_list(Case) ++ "_duplicate"),
    start(#{name => Case}),
    start(#{name => Duplicate, keys => duplicate}),
    [{registry, Case}, {duplicate, Duplicate} | Config].

end_per_testcase(_Case, Config) ->
    _ = [
        holt_registry:stop(Name)
     || {_, Name} <- Config, is_atom(Name), is_pid(whereis(Name))
    ],
    ok.

%%--------------------------------------------------------------------
%% Reading

names_match_a_pattern(Config) ->
    Self = self(),
    lists:foreach(
        fun(Reg) ->
            {ok, _} = holt_registry:register(Reg, key, {1, #{a => b}, x}),
            Match = fun(Pattern) -> holt_registry:match(Reg, key, Pattern) end,
            All = [{Self, {1, #{a => b}, x}}],
            ?assertEqual(All, Match('_')),
            ?assertEqual(All, Match('$1')),
            ?assertEqual(All, Match({'_', '_', x})),
            ?assertEqual(All, Match({'_', #{a => '_'}, '_'})),
            ?assertEqual([], Match({'_', '_', y})),
            ?assertEqual([], Match({'$1', '_', '$1'})),
            ?assertEqual([], holt_registry:match(Reg, other, '_')),
            Guarded = fun(Guards) -> holt_registry:match(Reg, key, {'$1', '_', '$2'}, Guards) end,
            ?assertEqual(All, Guarded([{'>', '$1', 0}, {is_atom, '$2'}])),
            ?assertEqual([], Guarded([{'>', '$1', 1}])),
            ?assertEqual([], Guarded([{'=:=', '$1', 1.0}])),
            ?assertEqual(1, holt_registry:count_match(Reg, key, '_')),
            ?assertEqual(0, holt_registry:count_match(Reg, key, {'_', '_', y})),
            Count = fun(Guards) ->
                holt_registry:count_match(Reg, key, {'$1', '_', '_'}, Guards)
            end,
            ?assertEqual(0, Count([{'>', '$1', 1}])),
            ?assertEqual(1, Count([{'<', '$1', 2}])),
            ?assertEqual([{1, #{a => b}, x}], holt_registry:values(Reg, key, Self)),
            ?assertEqual([], holt_registry:values(Reg, other, Self)),
            Other = holt_ct:start(),
            ?assertEqual([], holt_registry:values(Reg, key, Other)),
            exit(Other, kill)
        end,
        both(Config)
    ).

%% What ets says of the same names is what is right.
names_are_selected_as_ets_selects(Config) ->
    Other = holt_ct:start(),
    Keys = [<<"a">>, <<"b/1">>, {user, 1}, {user, 2}, {user, {deep, [3]}}, 7, 7.0, atom, "text"],
    Values = [undefined, 1, 2.5, {a, 1}, #{k => v}, [1, 2], <<"v">>],
    Specs = [
        [{{'_', '_', '_'}, [], ['$_']}],
        [{{'$1', '$2', '$3'}, [], ['$$']}],
        [{{'$1', '$2', '$3'}, [], [{{'$1', '$3'}}]}],
        [{{'$1', '_', '_'}, [], ['$1']}],
        [{{'$1', '_', '$2'}, [], ['$1']}],
        [{{'$1', self(), '_'}, [], ['$1']}],
        [{{{user, '$1'}, '_', '$2'}, [{is_integer, '$1'}], [{{'$2', '$1'}}]}],
        [{{'_', '_', {'$1', '$2'}}, [], ['$2']}],
        [{{'_', '_', #{k => '$1'}}, [], ['$1']}],
        [{{'$1', '_', '_'}, [{is_binary, '$1'}, {'>', {size, '$1'}, 1}], ['$1']}],
        [{{7, '_', '$1'}, [], ['$1']}],
        [{{{user, 1}, '_', '$1'}, [], ['$_']}, {{7.0, '_', '_'}, [], [seven]}],
        [{{{user, 1}, '_', '_'}, [], [first]}, {{{user, '_'}, '_', '_'}, [], [other]}],
        [{{"text", '$1', '_'}, [{'=:=', '$1', self()}], ['$_']}],
        [{{nobody, '_', '_'}, [], ['$_']}],
        [{{'_', '_', '_'}, [], [true]}],
        [{{'$1', '_', '_'}, [], [{is_tuple, '$1'}]}]
    ],
    lists:foreach(
        fun(Reg) ->
            Table = ets:new(names, [duplicate_bag]),
            Names = [
                {{Key, N}, Pid, Value}
             || {Key, N} <- lists:zip(Keys, lists:seq(1, length(Keys))),
                Pid <- [self(), Other],
                Value <- Values
            ],
            Plain = [{Key, self(), hd(Values)} || Key <- Keys],
            _ = [
                yes = holt_registry:register_name({Reg, Key, Value}, Pid)
             || {Key, Pid, Value} <- Plain ++ unique(Reg, Names)
            ],
            true = ets:insert(Table, holt_registry:to_list(Reg)),
            ?assertEqual(holt_registry:count(Reg), ets:info(Table, size)),
            _ = [
                begin
                    ?assertEqual(
                        {Spec, sorted(ets:select(Table, Spec))},
                        {Spec, sorted(holt_registry:select(Reg, Spec))}
                    ),
                    ?assertEqual(
                        {Spec, ets:select_count(Table, Spec)},
                        {Spec, holt_registry:count_select(Reg, Spec)}
                    )
                end
             || Spec <- Specs
            ]
        end,
        both(Config)
    ),
    exit(Other, kill).

%% Of names that differ in nothing but the process one can be had where keys are unique.
unique(Reg, Names) ->
    case is_duplicate(Reg) of
        true -> Names;
        false -> [{{Key, Value}, Pid, Value} || {Key, Pid, Value} <- Names, Pid =:= self()]
    end.

select_that_names_its_keys_reads_those(Config) ->
    Reg = registry(Config),
    _ = [{ok, _} = holt_registry:register(Reg, {key, N}, N) || N <- lists:seq(1, 20000)],
    Select = fun(Spec) ->
        {_, Before} = process_info(self(), reductions),
        Result = holt_registry:select(Reg, Spec),
        {_, After} = process_info(self(), reductions),
        {Result, After - Before}
    end,
    {[7], Few} = Select([{{{key, 7}, '_', '$1'}, [], ['$1']}]),
    {[7], Many} = Select([{{{key, '$1'}, '_', '_'}, [{'=:=', '$1', 7}], ['$1']}]),
    ?assert(Few * 20 < Many),
    %% What nobody can have.
    ?assertEqual([], holt_registry:select(Reg, [{{fun() -> ok end, '_', '_'}, [], ['$_']}])).

names_are_counted(Config) ->
    Other = holt_ct:start(),
    lists:foreach(
        fun(Reg) ->
            _ = [
                yes = holt_registry:register_name({Reg, {Pid, N}}, Pid)
             || N <- lists:seq(1, 50), Pid <- [self(), Other]
            ],
            ?assertEqual(100, holt_registry:count(Reg)),
            ?assertEqual(100, holt_registry:count(Reg, node())),
            ?assertEqual(0, holt_registry:count(Reg, 'no@where'))
        end,
        both(Config)
    ),
    exit(Other, kill),
    _ = [
        holt_ct:wait_until(fun() -> 50 =:= holt_registry:count(Reg, node()) end)
     || Reg <- both(Config)
    ].

names_are_folded_over(Config) ->
    lists:foreach(
        fun(Reg) ->
            _ = [{ok, _} = holt_registry:register(Reg, N, {value, N}) || N <- lists:seq(1, 3000)],
            Add = fun({N, Pid, {value, N}}, Sum) when Pid =:= self() -> N + Sum end,
            ?assertEqual(3000 * 3001 div 2, holt_registry:fold(Reg, Add, 0)),
            %% A result may look like anything, and what the fun raises is raised.
            Odd = {invalid, no_instance},
            ?assertEqual(Odd, holt_registry:fold(Reg, fun(_, Acc) -> Acc end, Odd)),
            ?assertError(badarith, holt_registry:fold(Reg, fun(_, N) -> N / 0 end, 1)),
            ?assertThrow(enough, holt_registry:fold(Reg, fun(_, _) -> throw(enough) end, 0)),
            %% The fun may change what it walks over.
            Remove = fun({N, _, _}, ok) -> holt_registry:unregister(Reg, N) end,
            ok = holt_registry:fold(Reg, Remove, ok),
            ?assertEqual([], holt_registry:to_list(Reg))
        end,
        both(Config)
    ).

names_are_found_by_prefix(Config) ->
    Self = self(),
    lists:foreach(
        fun(Reg) ->
            Keys = [<<"user/", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 1000)],
            Others = [<<"user">>, <<"use">>, <<>>, "user/1", user, {<<"user/1">>}, <<"user/7":63>>],
            _ = [{ok, _} = holt_registry:register(Reg, Key, Key) || Key <- Keys ++ Others],
            Find = fun(Prefix) -> lists:sort(holt_registry:prefix(Reg, Prefix)) end,
            Expect = fun(List) -> lists:sort([{Key, Self, Key} || Key <- List]) end,
            ?assertEqual(Expect(Keys), Find(<<"user/">>)),
            ?assertEqual(Expect(Keys ++ [<<"user">>, <<"use">>, <<>>]), Find(<<>>)),
            ?assertEqual(Expect([<<"user/999">>]), Find(<<"user/999">>)),
            ?assertEqual(12, length(Find(<<"user/99">>)) + 1),
            ?assertEqual([], Find(<<"user/x">>)),
            ?assertEqual([], Find(binary:copy(<<"x">>, 100000)))
        end,
        both(Config)
    ).

names_are_dispatched_to(Config) ->
    Self = self(),
    lists:foreach(
        fun(Reg) ->
            Tell = fun(Entries) -> Self ! {self(), Entries} end,
            {ok, _} = holt_registry:register(Reg, key, 1),
            ?assertEqual(ok, holt_registry:dispatch(Reg, key, Tell)),
            ?assertEqual([{Self, [{Self, 1}]}], flush()),
            ?assertEqual(ok, holt_registry:dispatch(Reg, key, {?MODULE, tell, [Self, more]}, [])),
            ?assertEqual([{Self, [{Self, 1}], more}], flush()),
            ?assertEqual(ok, holt_registry:dispatch(Reg, key, Tell, [{parallel, true}])),
            ?assertEqual(ok, holt_registry:dispatch(Reg, key, Tell, #{parallel => false})),
            ?assertMatch([_, _], flush()),
            %% Nobody to tell: nothing is called.
            ?assertEqual(ok, holt_registry:dispatch(Reg, other, Tell)),
            ?assertEqual(ok, holt_registry:dispatch(Reg, other, {no_module, f, []})),
            ?assertEqual([], flush()),
            ?assertError(oops, holt_registry:dispatch(Reg, key, fun(_) -> error(oops) end))
        end,
        both(Config)
    ).

tell(Entries, To, More) ->
    To ! {self(), Entries, More}.

%%--------------------------------------------------------------------
%% Duplicate keys

key_has_many_entries(Config) ->
    Reg = duplicate(Config),
    Self = self(),
    Other = holt_ct:start(),
    Replica = whereis(holt_replica:process_name(Reg)),
    ?assertEqual({ok, Replica}, holt_registry:register(Reg, key, 1)),
    ?assertEqual({ok, Replica}, holt_registry:register(Reg, key, 1)),
    ?assertEqual({ok, Replica}, holt_registry:register(Reg, key, 2, #{pid => Other})),
    ?assertEqual([{Self, 1}, {Self, 1}, {Other, 2}], lists:sort(holt_registry:lookup(Reg, key))),
    ?assertEqual([key, key], holt_registry:keys(Reg, Self)),
    ?assertEqual([1, 1], holt_registry:values(Reg, key, Self)),
    ?assertEqual([2], holt_registry:values(Reg, key, Other)),
    ?assertEqual(3, holt_registry:count(Reg)),
    ?assertEqual(
        [{key, Self, 1}, {key, Self, 1}, {key, Other, 2}], lists:sort(holt_registry:to_list(Reg))
    ),
    ?assert(holt_registry:is_registered(Reg, key)),
    ?assertNot(holt_registry:is_registered(Reg, other)),
    %% Thousands under one key.
    Many = [{Self, N} || N <- lists:seq(1, 5000)],
    _ = [{ok, _} = holt_registry:register(Reg, many, N) || {_, N} <- Many],
    ?assertEqual(Many, lists:sort(holt_registry:lookup(Reg, many))),
    ?assertEqual(5003, holt_registry:count(Reg)),
    ?assertEqual(2500, holt_registry:count_match(Reg, many, '$1', [{'>', '$1', 2500}])),
    ?assertEqual(5000, holt_registry:count_match(Reg, many, '_')),
    ?assertEqual(5000, holt_registry:count_match(Reg, many, '$1')),
    ok = holt_registry:unregister(Reg, many),
    ?assertEqual([], holt_registry:lookup(Reg, many)),
    ?assertEqual(3, holt_registry:count(Reg)),
    exit(Other, kill).

entries_go_by_via(Config) ->
    Reg = duplicate(Config),
    Other = holt_ct:start(),
    ?assertEqual(yes, holt_registry:register_name({Reg, key, 1}, self())),
    ?assertEqual(yes, holt_registry:register_name({Reg, key}, Other)),
    {Self, Message} = {self(), {ask, self()}},
    ?assert(lists:member(holt_registry:send({Reg, key}, Message), [Self, Other])),
    ?assertEqual([{answer, Other}, Message], lists:sort(flush(2))),
    ?assertEqual(ok, holt_registry:unregister_name({Reg, key})),
    ?assertEqual(ok, holt_registry:unregister_name({Reg, key})),
    ?assertEqual([{Other, undefined}], holt_registry:lookup(Reg, key)),
    exit(Other, kill).

entries_are_unregistered_by_their_owner(Config) ->
    Reg = duplicate(Config),
    Other = holt_ct:start(),
    _ = [yes = holt_registry:register_name({Reg, K, V}, P) ||
        K <- [a, b], V <- [1, 2], P <- [self(), Other]],
    ?assertEqual(ok, holt_registry:unregister(Reg, a)),
    ?assertEqual([{Other, 1}, {Other, 2}], lists:sort(holt_registry:lookup(Reg, a))),
    ?assertEqual(4, length(holt_registry:lookup(Reg, b))),
    ?assertEqual(ok, holt_registry:unregister(Reg, a)),
    ?assertEqual(2, length(holt_registry:lookup(Reg, a))),
    ?assertEqual(ok, holt_ct:do(Other, fun() -> holt_registry:unregister_keys(Reg, [a, b, c]) end)),
    ?assertEqual([{b, self(), 1}, {b, self(), 2}], lists:sort(holt_registry:to_list(Reg))),
    exit(Other, kill).

entries_match_a_pattern(Config) ->
    Reg = duplicate(Config),
    Other = holt_ct:start(),
    _ = [yes = holt_registry:register_name({Reg, K, V}, P) ||
        K <- [a, b], V <- [1, {x, 2}, 3], P <- [self(), Other]],
    ?assertEqual(
        [{self(), {x, 2}}, {Other, {x, 2}}], lists:sort(holt_registry:match(Reg, a, {x, '_'}))
    ),
    ?assertEqual(4, holt_registry:count_match(Reg, a, '$1', [{is_integer, '$1'}])),
    ?assertEqual(ok, holt_registry:unregister_match(Reg, a, {x, '_'})),
    ?assertEqual(ok, holt_registry:unregister_match(Reg, a, '$1', [{'>', '$1', 2}])),
    ?assertEqual([1], holt_registry:values(Reg, a, self())),
    ?assertEqual(3, length(holt_registry:values(Reg, a, Other))),
    ?assertEqual(3, length(holt_registry:values(Reg, b, self()))),
    %% Where keys are unique, likewise.
    Unique = registry(Config),
    {ok, _} = holt_registry:register(Unique, mine, 1),
    yes = holt_registry:register_name({Unique, its, 1}, Other),
    ?assertEqual(ok, holt_registry:unregister_match(Unique, mine, 2)),
    ?assertEqual(ok, holt_registry:unregister_match(Unique, its, '_')),
    ?assertEqual(2, holt_registry:count(Unique)),
    ?assertEqual(ok, holt_registry:unregister_match(Unique, mine, 1)),
    ?assertEqual([{its, Other, 1}], holt_registry:to_list(Unique)),
    exit(Other, kill).

entries_go_with_their_process(Config) ->
    Reg = duplicate(Config),
    Other = holt_ct:start(),
    _ = [yes = holt_registry:register_name({Reg, K, V}, P) ||
        K <- [a, b], V <- lists:seq(1, 300), P <- [self(), Other]],
    holt_ct:kill(Other),
    %% From the first moment on.
    ?assertEqual(300, length(holt_registry:lookup(Reg, a))),
    ?assertEqual([], holt_registry:keys(Reg, Other)),
    ?assertEqual(600, length(holt_registry:to_list(Reg))),
    ?assertEqual([], holt_registry:values(Reg, a, Other)),
    holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 600 end).

%%--------------------------------------------------------------------
%% Standbys, giving away

standby_takes_over(Config) ->
    Reg = registry(Config),
    Self = self(),
    Holder = holt_ct:register(Reg, key, held, []),
    ?assertEqual(ok, holt_registry:standby(Reg, key, mine)),
    ?assertEqual([{Holder, held}], holt_registry:lookup(Reg, key)),
    ?assertEqual([], holt_registry:keys(Reg, Self)),
    ?assertEqual([], holt_registry:values(Reg, key, Self)),
    ?assertEqual(1, holt_registry:count(Reg)),
    ?assertEqual({error, {already_registered, Self}}, holt_registry:standby(Reg, key)),
    ?assertEqual({error, {already_registered, Holder}}, holt_registry:register(Reg, key, 1)),
    ?assertEqual(error, holt_registry:update_value(Reg, key, fun(_) -> 7 end)),
    holt_ct:kill(Holder),
    holt_ct:wait_until(fun() -> holt_registry:lookup(Reg, key) =:= [{Self, mine}] end),
    ?assertEqual([key], holt_registry:keys(Reg, Self)),
    ?assertEqual({7, mine}, holt_registry:update_value(Reg, key, fun(_) -> 7 end)),
    ?assertEqual({error, {already_registered, Self}}, holt_registry:standby(Reg, key)),
    ok = holt_registry:unregister(Reg, key),
    ?assertEqual([], holt_registry:lookup(Reg, key)),
    %% Nobody has it: it is there at once.
    ?assertEqual(ok, holt_registry:standby(Reg, key)),
    ?assertEqual([{Self, undefined}], holt_registry:lookup(Reg, key)).

standbys_take_over_in_order(Config) ->
    Reg = registry(Config),
    [First | Others] = Holders = [holt_ct:start() || _ <- lists:seq(1, 10)],
    {ok, _} = holt_registry:register(Reg, key, 0, #{pid => First}),
    _ = [
        ok = holt_ct:do(Pid, fun() -> holt_registry:standby(Reg, key, Pid) end)
     || Pid <- Others
    ],
    lists:foreach(
        fun({Pid, Next}) ->
            case erlang:phash2(Pid, 2) of
                0 -> holt_ct:kill(Pid);
                1 -> ok = holt_registry:unregister(Reg, key)
            end,
            holt_ct:wait_until(fun() -> holt_registry:lookup(Reg, key) =:= [{Next, Next}] end)
        end,
        lists:zip(lists:droplast(Holders), Others)
    ),
    _ = [exit(Pid, kill) || Pid <- Holders],
    holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 0 end).

standby_steps_back(Config) ->
    Reg = registry(Config),
    Holder = holt_ct:register(Reg, key, held, []),
    ok = holt_registry:standby(Reg, key),
    ?assertEqual(ok, holt_registry:unregister_name({Reg, key})),
    ok = holt_registry:standby(Reg, key, {x, 1}),
    ?assertEqual(ok, holt_registry:unregister_match(Reg, key, {x, '_'})),
    Standby = holt_ct:start(),
    ok = holt_ct:do(Standby, fun() -> holt_registry:standby(Reg, key) end),
    holt_ct:kill(Standby),
    ?assertEqual([{Holder, held}], holt_registry:lookup(Reg, key)),
    holt_ct:kill(Holder),
    ?assertEqual([], holt_registry:lookup(Reg, key)),
    holt_ct:wait_until(fun() -> holt_registry:count(Reg) =:= 0 end),
    ?assertEqual([], holt_registry:lookup(Reg, key)).

name_is_given_away(Config) ->
    Reg = registry(Config),
    Self = self(),
    Other = holt_ct:start(),
    Third = holt_ct:start(),
    {ok, _} = holt_registry:register(Reg, key, value),
    {ok, _} = holt_registry:register(Reg, mine, 1),
    ?assertEqual(ok, holt_registry:give_away(Reg, key, Other)),
    ?assertEqual([{Other, value}], holt_registry:lookup(Reg, key)),
    ?assertEqual([mine], holt_registry:keys(Reg, Self)),
    %% By anybody; to who has it, nothing to do.
    ?assertEqual(ok, holt_registry:give_away(Reg, key, Third)),
    ?assertEqual(ok, holt_registry:give_away(Reg, key, Third)),
    ?assertEqual([{Third, value}], holt_registry:lookup(Reg, key)),
    ?assertEqual({error, not_found}, holt_registry:give_away(Reg, nobodys, Other)),
    holt_ct:kill(Other),
    ?assertEqual({error, not_alive}, holt_registry:give_away(Reg, key, Other)),
    ?assertEqual({error, not_alive}, holt_registry:give_away(Reg, key, dead())),
    ?assertEqual([{Third, value}], holt_registry:lookup(Reg, key)),
    %% Who had it is not hurt, and the name goes with who has it now.
    ?assert(is_process_alive(Self)),
    holt_ct:kill(Third),
    ?assertEqual([], holt_registry:lookup(Reg, key)),
    %% A standby is passed over.
    Holder = holt_ct:register(Reg, key, held, []),
    Standby = holt_ct:start(),
    Fourth = holt_ct:start(),
    ok = holt_ct:do(Standby, fun() -> holt_registry:standby(Reg, key, waited) end),
    ?assertEqual(ok, holt_registry:give_away(Reg, key, Fourth)),
    ?assertEqual([{Fourth, held}], holt_registry:lookup(Reg, key)),
    holt_ct:kill(Fourth),
    holt_ct:wait_until(fun() -> holt_registry:lookup(Reg, key) =:= [{Standby, waited}] end),
    %% Everybody gives it to itself, all the time: somebody always has it.
    Pids = [holt_ct:start() || _ <- lists:seq(1, 10)],
    Takers = [
        spawn_monitor(fun() ->
            _ = [ok(holt_registry:give_away(Reg, key, Pid)) || _ <- lists:seq(1, 200)]
        end)
     || Pid <- Pids
    ],
    _ = [?assertMatch([_], holt_registry:lookup(Reg, key)) || _ <- lists:seq(1, 2000)],
    _ = [
        receive
            {'DOWN', Monitor, process, Pid, Reason} -> ?assertEqual(normal, Reason)
        end
     || {Pid, Monitor} <- Takers
    ],
    ?assertMatch([_], holt_registry:lookup(Reg, key)),
    _ = [exit(Pid, kill) || Pid <- [Holder, Standby | Pids]].

ok(ok) -> ok;
%% The others are too fast.
ok({error, changed}) -> ok.

only_the_owner_may(_Config) ->
    Reg = strict,
    start(#{name => Reg, owner_only => true}),
    Other = holt_ct:register(Reg, its, 1, []),
    {ok, _} = holt_registry:register(Reg, mine, 1),
    Add = fun(N) -> N + 1 end,
    ?assertEqual({error, not_owner}, holt_registry:unregister(Reg, its)),
    ?assertEqual({error, not_owner}, holt_registry:unregister_name({Reg, its})),
    ?assertEqual({error, not_owner}, holt_registry:give_away(Reg, its, self())),
    ?assertEqual({error, not_owner}, holt_registry:update_value(Reg, its, Other, Add)),
    ?assertEqual({error, [{its, not_owner}]}, holt_registry:unregister_keys(Reg, [mine, its])),
    ?assertEqual([{its, Other, 1}], holt_registry:to_list(Reg)),
    {ok, _} = holt_registry:register(Reg, mine, 1),
    ?assertEqual({2, 1}, holt_registry:update_value(Reg, mine, Add)),
    ?assertEqual({3, 2}, holt_registry:update_value(Reg, mine, self(), Add)),
    ?assertEqual(ok, holt_registry:give_away(Reg, mine, Other)),
    ?assertEqual({error, not_owner}, holt_registry:unregister(Reg, mine)),
    ?assertEqual(ok, holt_ct:do(Other, fun() -> holt_registry:unregister(Reg, its) end)),
    ?assertEqual(ok, holt_registry:unregister(Reg, its)),
    exit(Other, kill),
    ok = holt_registry:stop(Reg).

%%--------------------------------------------------------------------
%% Forms

names_come_in_lists(Config) ->
    Reg = registry(Config),
    Replica = whereis(holt_replica:process_name(Reg)),
    Other = holt_ct:register(Reg, taken, 1, []),
    ?assertEqual({ok, Replica}, holt_registry:register(Reg, [])),
    ?assertEqual({ok, Replica}, holt_registry:register(Reg, [{a, 1}, {b, 2}, {"c", 3}])),
    ?assertEqual(
        {error, [{taken, {already_registered, Other}}, {a, {already_registered, self()}}]},
        holt_registry:register(Reg, [{d, 4}, {taken, 5}, {a, 6}, {e, 7}])
    ),
    ?assertEqual(["c", a, b, d, e], lists:sort(fun before/2, holt_registry:keys(Reg, self()))),
    ?assertEqual([{self(), 1}], holt_registry:lookup(Reg, a)),
    %% All keys are good, or nothing is done.
    Wrong = fun() -> holt_registry:register(Reg, [{x, 1}, {fun() -> ok end, 2}]) end,
    ?assertEqual([{2, "a key cannot hold a fun"}], holt_ct:badarg(Wrong)),
    ?assertNot(holt_registry:is_registered(Reg, x)),
    WrongKeys = fun() -> holt_registry:unregister_keys(Reg, [a, fun() -> ok end]) end,
    ?assertEqual([{2, "a key cannot hold a fun"}], holt_ct:badarg(WrongKeys)),
    ?assert(holt_registry:is_registered(Reg, a)),
    %% A list is one key, or several, and nobody has to guess.
    ?assertEqual(ok, holt_registry:unregister(Reg, [a, b])),
    ?assert(holt_registry:is_registered(Reg, a)),
    ?assertEqual(ok, holt_registry:unregister_keys(Reg, [a, b, "c", taken, nobodys])),
    ?assertEqual([d, e], lists:sort(holt_registry:keys(Reg, self()))),
    ?assertEqual(ok, holt_registry:unregister_keys(Reg, [])),
    exit(Other, kill).

before(Left, Right) ->
    {is_atom(Left), Left} =< {is_atom(Right), Right}.

register_has_options(Config) ->
    Reg = registry(Config),
    Other = holt_ct:start(),
    Replica = whereis(holt_replica:process_name(Reg)),
    ?assertEqual({ok, Replica}, holt_registry:register(Reg, a, 1, #{})),
    ?assertEqual({ok, Replica}, holt_registry:register(Reg, b, 1, [{pid, Other}])),
    ?assertEqual({error, {already_registered, Other}}, holt_registry:register(Reg, b, 2, [])),
    ?assertEqual({error, not_alive}, holt_registry:register(Reg, c, 2, #{pid => dead()})),
    %% Alone, everybody has it at once.
    ?assertEqual({ok, Replica}, holt_registry:register(Reg, d, 1, #{sync => all, timeout => 1000})),
    ?assertEqual({ok, Replica}, holt_registry:register(Reg, e, 1, [{sync, quorum}])),
    ?assertEqual({ok, Replica}, holt_registry:register(Reg, f, 1, [{timeout, infinity}])),
    ?assertEqual(ok, holt_registry:sync_barrier(Reg, 1000)),
    ?assertEqual(ok, holt_registry:sync_barrier(Reg, infinity)),
    ?assertEqual([{b, Other, 1}], holt_registry:select(Reg, [{{'_', Other, '_'}, [], ['$_']}])),
    ?assertMatch({error, {too_large, _, _}},
        holt_registry:register(Reg, g, binary:copy(<<0>>, 2000000), #{pid => Other})),
    exit(Other, kill).

module_has_the_last_word(_Config) ->
    ?assertEqual(ignore, holt_registry:start_link(?MODULE, ignore, [{name, later}])),
    ?assertEqual(
        {error, {bad_return, {?MODULE, init, nonsense}}},
        holt_registry:start_link(?MODULE, nonsense, [{name, later}])
    ),
    ?assertEqual(undefined, whereis(later)),
    Options = [{name, later}, {keys, unique}],
    {ok, Root} = holt_registry:start_link(?MODULE, {ok, #{keys => duplicate}}, Options),
    ?assertEqual(Root, whereis(later)),
    {ok, _} = holt_registry:register(later, key, 1),
    {ok, _} = holt_registry:register(later, key, 2),
    ?assertEqual(2, holt_registry:count(later)),
    ok = holt_registry:stop(later),
    Wrong = fun() -> holt_registry:start_link(?MODULE, {ok, [{colour, red}]}, Options) end,
    ?assertEqual([{3, "there is no option colour"}], holt_ct:badarg(Wrong)),
    Module = fun() -> holt_registry:start_link("module", [], Options) end,
    ?assertEqual([{1, "not the name of a module"}], holt_ct:badarg(Module)),
    ?assertError(undef, holt_registry:start_link(no_module, [], Options)).

init(Answer) ->
    Answer.

name_is_explained(Config) ->
    Reg = registry(Config),
    Self = self(),
    ?assertEqual(
        #{
            registry => Reg,
            key => key,
            owner => undefined,
            siblings => [],
            last_conflict => none,
            lag => #{}
        },
        holt_registry:explain(Reg, key)
    ),
    ?assertMatch({_, [_ | _]}, {nobody, string:find(text(Reg, key), "nobody has it")}),
    {ok, _} = holt_registry:register(Reg, key, #{my => "value"}),
    Standby = holt_ct:start(),
    ok = holt_ct:do(Standby, fun() -> holt_registry:standby(Reg, key, waits) end),
    #{actor := Actor} = holt_cluster:info(Reg),
    Member = {Reg, node()},
    #{stamp := Stamp, time := Time} = Explained = holt_registry:explain(Reg, key),
    ?assertMatch(
        #{
            owner := Self,
            value := #{my := "value"},
            member := Member,
            actor := Actor,
            birth := 1,
            siblings := [
                #{
                    pid := Standby,
                    value := waits,
                    member := Member,
                    birth := 2,
                    standby := true,
                    visible := true
                }
            ],
            last_conflict := none
        },
        Explained
    ),
    Now = erlang:system_time(millisecond),
    At = calendar:rfc3339_to_system_time(binary_to_list(Time), [{unit, millisecond}]),
    ?assert(abs(Now - At) < 60000),
    ?assertEqual(At, Stamp bsr 16),
    Text = text(Reg, key),
    _ = [
        ?assertMatch({Word, [_ | _]}, {Word, string:find(Text, Word)})
     || Word <- ["key", "owner", "standby", "waits", binary_to_list(Time), pid_to_list(Self)]
    ],
    exit(Standby, kill),
    Duplicate = duplicate(Config),
    _ = [{ok, _} = holt_registry:register(Duplicate, key, N) || N <- [1, 2, 3]],
    ?assertMatch(#{siblings := [_, _], owner := Self}, holt_registry:explain(Duplicate, key)).

text(Reg, Key) ->
    unicode:characters_to_list(holt_registry:explain(Reg, Key, text)).

%%--------------------------------------------------------------------
%% Wrong use

wrong_use_says_what_is_wrong(Config) ->
    Reg = registry(Config),
    Dup = duplicate(Config),
    Fun = fun() -> ok end,
    Same = fun(Value) -> Value end,
    Self = self(),
    Unbound = [{'>', '$2', 1}],
    Duplicate = "the keys of this registry are duplicate: none of them has a single holder",
    NotASpec =
        "invalid match specification: its clauses are not {{Key, Pid, Value}, Guards, Body}",
    NotATimeout = "neither milliseconds, at most 4294967295, nor infinity",
    {ok, _} = holt_registry:register(Reg, key, 1),
    {ok, _} = holt_registry:register(Dup, key, 1),
    Cases = [
        {2, "not a list of {Key, Value}", fun() -> holt_registry:register(Reg, key) end},
        {2, "not a list of {Key, Value}", fun() -> holt_registry:register(Reg, [key]) end},
        {2, "not a list of {Key, Value}", fun() -> holt_registry:register(Reg, [{a, 1} | b]) end},
        {2, "not a list of keys", fun() -> holt_registry:unregister_keys(Reg, key) end},
        {2, "not a list of keys", fun() -> holt_registry:unregister_keys(Reg, [a | b]) end},
        {4, "the option pid must be a pid, not 7", fun() ->
            holt_registry:register(Reg, a, 1, #{pid => 7})
        end},
        {4, "the option sync must be none, quorum or all, not some", fun() ->
            holt_registry:register(Reg, a, 1, [{sync, some}])
        end},
        {4, "the option timeout must be milliseconds or infinity, not -1", fun() ->
            holt_registry:register(Reg, a, 1, [{timeout, -1}])
        end},
        {4, "there is no option colour", fun() -> holt_registry:register(Reg, a, 1, [colour]) end},
        {4, "neither a map nor a list of options", fun() ->
            holt_registry:register(Reg, a, 1, some)
        end},
        {2, "a key cannot hold a fun", fun() -> holt_registry:register(Reg, Fun, 1, []) end},
        {2, "a key cannot hold a fun", fun() -> holt_registry:standby(Reg, Fun) end},
        {2, "a key cannot hold a fun", fun() -> holt_registry:give_away(Reg, Fun, Self) end},
        {2, "a key cannot hold a fun", fun() -> holt_registry:explain(Reg, Fun) end},
        {2, "a key cannot hold a fun", fun() -> holt_registry:match(Reg, Fun, '_') end},
        {2, "a key cannot hold a fun", fun() -> holt_registry:dispatch(Reg, Fun, Same) end},
        {2, "a key cannot hold a fun", fun() -> holt_registry:values(Reg, Fun, Self) end},
        {2, "a key cannot hold a fun", fun() -> holt_registry:unregister_match(Reg, Fun, '_') end},
        {2, "a key cannot hold a fun", fun() ->
            holt_registry:update_value(Reg, Fun, Self, Same)
        end},
        {3, "not a pid", fun() -> holt_registry:give_away(Reg, key, somebody) end},
        {3, "not a pid", fun() -> holt_registry:values(Reg, key, somebody) end},
        {3, "not a pid", fun() -> holt_registry:update_value(Reg, key, somebody, Same) end},
        {4, "not a fun of one argument", fun() ->
            holt_registry:update_value(Reg, key, Self, 7)
        end},
        {3, "not a valid pattern of a match specification: Variable found in map key.", fun() ->
            holt_registry:match(Reg, key, #{'$1' => 1})
        end},
        {4, "not valid guards of a match specification: Variable $2 is unbound.", fun() ->
            holt_registry:match(Reg, key, '$1', Unbound)
        end},
        {4, "not valid guards of a match specification: Match expression is not a list.", fun() ->
            holt_registry:count_match(Reg, key, '$1', guards)
        end},
        {4, "not valid guards of a match specification: Variable $2 is unbound.", fun() ->
            holt_registry:unregister_match(Reg, key, '$1', Unbound)
        end},
        {2, NotASpec, fun() -> holt_registry:select(Reg, spec) end},
        {2, NotASpec, fun() -> holt_registry:select(Reg, [{'_', [], ['$_']}]) end},
        {2, NotASpec, fun() -> holt_registry:count_select(Reg, [{{'_', '_'}, [], [true]}]) end},
        {2, NotASpec, fun() -> holt_registry:select(Reg, [{{'_', '_', '_'}, [], ['$_']} | x]) end},
        {2, "invalid match specification: Variable $1 is unbound.", fun() ->
            holt_registry:select(Reg, [{{'_', '_', '_'}, [], ['$1']}])
        end},
        {3, "neither a fun of one argument nor {Module, Function, Arguments}", fun() ->
            holt_registry:dispatch(Reg, key, Fun)
        end},
        {4, "the only option is parallel, true or false", fun() ->
            holt_registry:dispatch(Reg, key, Same, [{parallel, 3}])
        end},
        {4, "the only option is parallel, true or false", fun() ->
            holt_registry:dispatch(Reg, key, Same, [fast])
        end},
        {2, "not a fun of two arguments", fun() -> holt_registry:fold(Reg, Same, 0) end},
        {2, "not a binary", fun() -> holt_registry:prefix(Reg, "user/") end},
        {2, "not the name of a node", fun() -> holt_registry:count(Reg, "node") end},
        {2, NotATimeout, fun() -> holt_registry:sync_barrier(Reg, soon) end},
        {3, NotATimeout, fun() -> holt_registry:stop(Reg, normal, soon) end},
        {2, NotATimeout, fun() -> holt_registry:sync_barrier(Reg, -1) end},
        {3, "neither left out nor the atom text", fun() -> holt_registry:explain(Reg, key, x) end},
        {1, Duplicate, fun() -> holt_registry:whereis_name({Dup, key}) end},
        {1, Duplicate, fun() -> holt_registry:update_value(Dup, key, Same) end},
        {1, Duplicate, fun() -> holt_registry:update_value(Dup, key, Self, Same) end},
        {1, Duplicate, fun() -> holt_registry:standby(Dup, key) end},
        {1, Duplicate, fun() -> holt_registry:standby(Dup, other, 1) end},
        {1, Duplicate, fun() -> holt_registry:give_away(Dup, key, Self) end},
        {1, "nobody has this name", fun() -> holt_registry:send({Dup, nobodys}, hello) end}
    ],
    _ = [?assertEqual([{At, Text}], holt_ct:badarg(Use)) || {At, Text, Use} <- Cases],
    ?assertEqual([{key, self(), 1}], holt_registry:to_list(Reg)),
    ?assertEqual([{key, self(), 1}], holt_registry:to_list(Dup)).

%% One that was stopped, and one that never was.
without_an_instance_all_say_so(Config) ->
    Reg = registry(Config),
    ok = holt_registry:stop(Reg),
    _ = [
        ?assertEqual(
            [{1, lists:concat(["no registry named ", Name, " on this node"])}],
            holt_ct:badarg(fun() -> apply(holt_registry, Function, Arguments) end),
            Function
        )
     || Name <- [Reg, nowhere], {Function, Arguments} <- calls(Name)
    ].

calls(Name) ->
    Same = fun(Value) -> Value end,
    [
        {stop, [Name]},
        {register_name, [{Name, key}, self()]},
        {register_name, [{Name, key}, remote_pid()]},
        {unregister_name, [{Name, key}]},
        {whereis_name, [{Name, key}]},
        {send, [{Name, key}, hello]},
        {register, [Name, []]},
        {register, [Name, [{key, 1}]]},
        {register, [Name, key, 1]},
        {register, [Name, key, 1, #{}]},
        {register, [Name, key, 1, #{pid => remote_pid()}]},
        {register, [Name, key, 1, #{sync => all, timeout => infinity}]},
        {standby, [Name, key]},
        {standby, [Name, key, 1]},
        {give_away, [Name, key, self()]},
        {unregister, [Name, key]},
        {unregister_keys, [Name, []]},
        {unregister_keys, [Name, [key]]},
        {unregister_match, [Name, key, '_']},
        {unregister_match, [Name, key, '_', []]},
        {update_value, [Name, key, Same]},
        {update_value, [Name, key, self(), Same]},
        {update_value, [Name, key, remote_pid(), Same]},
        {lookup, [Name, key]},
        {is_registered, [Name, key]},
        {values, [Name, key, self()]},
        {keys, [Name, self()]},
        {match, [Name, key, '_']},
        {match, [Name, key, '_', []]},
        {count_match, [Name, key, '_']},
        {count_match, [Name, key, '_', []]},
        {dispatch, [Name, key, Same]},
        {dispatch, [Name, key, Same, []]},
        {count, [Name]},
        {count, [Name, node()]},
        {to_list, [Name]},
        {fold, [Name, fun(_, Acc) -> Acc end, 0]},
        {prefix, [Name, <<"p">>]},
        {select, [Name, [{{'_', '_', '_'}, [], ['$_']}]]},
        {select, [Name, [{{key, '_', '_'}, [], ['$_']}]]},
        {count_select, [Name, [{{'_', '_', '_'}, [], [true]}]]},
        {sync_barrier, [Name, infinity]},
        {explain, [Name, key]},
        {explain, [Name, key, text]}
    ].

%%--------------------------------------------------------------------
%% Helpers

registry(Config) ->
    proplists:get_value(registry, Config).

duplicate(Config) ->
    proplists:get_value(duplicate, Config).

both(Config) ->
    [registry(Config), duplicate(Config)].

is_duplicate(Reg) ->
    lists:suffix("_duplicate", atom_to_list(Reg)).

start(Options) ->
    {ok, Root} = holt_registry:start_link(Options),
    unlink(Root).

dead() ->
    Pid = spawn(fun() -> ok end),
    _ = holt_ct:exit_of(Pid),
    Pid.

%% A pid of a node that never was.
remote_pid() ->
    binary_to_term(<<131, 88, 119, 7, "no@here", 1:32, 0:32, 1:32>>).

%% An order in which 7 and 7.0 are different.
sorted(List) ->
    [Term || {Term, _} <- lists:sort([{Term, term_to_binary(Term)} || Term <- List])].

%% What is in the mailbox, and then so many messages, wherever they are.
flush() ->
    receive
        Message -> [Message | flush()]
    after 0 -> []
    end.

flush(0) ->
    [];
flush(Count) ->
    receive
        Message -> [Message | flush(Count - 1)]
    after 10000 -> error({too_few, Count})
    end.
