%% SPDX-License-Identifier: Apache-2.0
%% @doc What may be said to start_link, and what not.
-module(holt_options_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_suite/1, end_per_suite/1]).
-compile([export_all, nowarn_export_all]).

all() ->
    [
        wrong_options_say_what_is_wrong,
        options_come_as_map_or_list,
        options_reach_the_native_code_as_numbers,
        a_listener_has_any_of_the_callbacks,
        members_are_read_as_horde_reads_them,
        settings_that_come_later_are_refused
    ].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(holt),
    Config.

end_per_suite(_Config) ->
    application:stop(holt).

wrong_options_say_what_is_wrong(_Config) ->
    Later = "the option ~s is not available in this version",
    Number = "the option ~s must be an integer from 1 to ~b, not ~p",
    Max = fun
        (key_bytes_max) -> 65535;
        (message_bytes_max) -> 262144;
        (value_bytes_max) -> 16777216;
        (_) -> 4294967295
    end,
    Numbers = [
        vector_interval_ms,
        replica_restart_ms,
        probe_ms,
        vouch_ms,
        flap_ms_max,
        forget_after_ms,
        clock_bound_ms,
        window_bytes,
        message_bytes_max,
        key_bytes_max,
        value_bytes_max,
        orphan_ms,
        settle_ms,
        conflict_grace_ms,
        subscriber_messages_max
    ],
    NotYet = [meta, voters],
    Cases =
        [
            {#{}, "the option name is missing"},
            {[], "the option name is missing"},
            {[{keys, unique}], "the option name is missing"},
            {#{name => undefined}, "the option name is missing"},
            {[{name, nil}], "the option name is missing"},
            {#{name => "text"}, "the option name must be an atom, not \"text\""},
            {#{name => {a, b}}, "the option name must be an atom, not {a,b}"},
            {#{name => list_to_atom(lists:duplicate(251, $x))},
                "the option name is longer than 250 characters"},
            {#{name => reg, colour => red}, "there is no option colour"},
            {#{name => reg, "name" => red}, "there is no option \"name\""},
            {[{name, reg}, verbose], "there is no option verbose"},
            {[{name, reg}, 7], "not an option: 7"},
            {[{name, reg} | tail], "neither a map nor a list of options"},
            {reg, "neither a map nor a list of options"},
            {#{name => reg, quorum => strict},
                "the option quorum => strict is not available in this version"},
            {#{name => reg, keys => duplicate, conflict => keep_oldest},
                "the option conflict does not go with keys => duplicate"},
            {#{name => reg, keys => duplicate, conflict_exit => bare},
                "the option conflict_exit does not go with keys => duplicate"}
        ] ++
            [
                {#{name => reg, Key => Bad},
                    lists:flatten(
                        io_lib:format("the option ~p must be ~s, not ~0p", [Key, Expected, Bad])
                    )}
             || {Key, Expected, Values} <- bad_forms(), Bad <- Values
        ] ++
            [
                {#{name => reg, Key => 1}, lists:flatten(io_lib:format(Later, [Key]))}
             || Key <- NotYet
            ] ++
            [
                {#{name => reg, Key => Bad},
                    lists:flatten(io_lib:format(Number, [Key, Max(Key), Bad]))}
             || Key <- Numbers, Bad <- [0, -1, 1.0, infinity, Max(Key) + 1]
            ],
    _ = [
        ?assertEqual([{1, Text}], holt_ct:badarg(fun() -> holt_registry:start_link(Options) end))
     || {Options, Text} <- Cases
    ],
    ?assertEqual(undefined, whereis(reg)).

bad_forms() ->
    [
        {keys, "unique or duplicate", [many, "unique", 1]},
        {conflict,
            "keep_newest, keep_oldest or {Module, Function} of an exported function of 4 arguments",
            [newest, {?MODULE, nothing}, {?MODULE, same}, {no_module, f}, {m, f, 4}]},
        {conflict_exit, "wrapped, bare or none", [true, kill]},
        {owner_only, "true or false", [1, yes]},
        {quorum, "none, majority or an integer from 1 to 65535", [0, all, -1, 65536, 1.0]},
        {members, "auto or a list of members: nodes, names on this node, {Name, Node}",
            [some, [1], [a | b], [{a, b}], [{a, 'b@c', d}]]},
        {listeners, "names of processes in a list, or a module with callbacks",
            [7, lists, [1], [a | b], [{module, lists}], no_module]}
    ].

options_come_as_map_or_list(_Config) ->
    Timings = [{orphan_ms, 1}, {conflict_grace_ms, 2}, {vector_interval_ms, 3}],
    Same = #{
        name => reg,
        keys => unique,
        conflict => keep_newest,
        conflict_exit => wrapped,
        conflict_grace_ms => 2,
        owner_only => false,
        quorum => none,
        members => auto,
        listeners => [],
        settle_ms => 1000,
        orphan_ms => 1,
        subscriber_messages_max => 500,
        native => #{vector_interval_ms => 3}
    },
    List = [{name, reg}, {keys, unique}, {members, auto} | Timings],
    ?assertEqual({ok, Same}, holt_options:parse(List)),
    ?assertEqual({ok, Same}, holt_options:parse(maps:from_list(List))),
    %% Of two the first counts, as in every proplist.
    ?assertEqual({ok, Same}, holt_options:parse(List ++ [{name, other}, {orphan_ms, 7}])),
    Spec = #{
        id => reg,
        start => {holt_registry, start_link, [List]},
        type => supervisor
    },
    ?assertEqual(Spec, holt_registry:child_spec(List)),
    ?assertMatch(#{id := reg}, holt_registry:child_spec(maps:from_list(List))),
    ?assertMatch(#{id := holt_registry}, holt_registry:child_spec([])).

options_reach_the_native_code_as_numbers(_Config) ->
    Native = fun(Options) ->
        {ok, #{native := Native}} = holt_options:parse(Options#{name => reg}),
        Native
    end,
    Majority = 16#ffffffff,
    ?assertEqual(#{}, Native(#{keys => unique, conflict => keep_newest, quorum => none})),
    ?assertEqual(#{policy => 2}, Native(#{keys => duplicate})),
    ?assertEqual(#{policy => 16#0101}, Native(#{conflict => keep_oldest})),
    ?assertEqual(#{policy => 16#0201}, Native(#{conflict => {?MODULE, decide}})),
    ?assertEqual(#{owner_only => 1, quorum => 3}, Native(#{owner_only => true, quorum => 3})),
    ?assertEqual(#{quorum => Majority}, Native(#{quorum => majority, owner_only => false})).

a_listener_has_any_of_the_callbacks(_Config) ->
    Callbacks = [
        {on_process_registered, 5},
        {on_process_unregistered, 5},
        {on_registry_process_updated, 5},
        {on_registry_process_updated, 6}
    ],
    _ = [
        begin
            Module = module_with(Callback),
            {ok, #{listeners := Listeners}} =
                holt_options:parse(#{name => reg, listeners => Module}),
            ?assertEqual([{module, Module}], Listeners),
            unload(Module)
        end
     || Callback <- Callbacks
    ],
    Other = module_with({on_registry_process_updated, 7}),
    ?assertMatch(
        {error, {bad_option, listeners, Other, _}},
        holt_options:parse(#{name => reg, listeners => Other})
    ),
    unload(Other).

%% A module that exports this function and nothing else.
module_with({Function, Arity}) ->
    Module = holt_options_listener,
    Arguments = [{var, 1, '_'} || _ <- lists:seq(1, Arity)],
    Forms = [
        {attribute, 1, module, Module},
        {attribute, 1, export, [{Function, Arity}]},
        {function, 1, Function, Arity, [{clause, 1, Arguments, [], [{atom, 1, ok}]}]}
    ],
    {ok, Module, Binary} = compile:forms(Forms),
    {module, Module} = code:load_binary(Module, "listener", Binary),
    Module.

unload(Module) ->
    true = code:delete(Module),
    true = code:soft_purge(Module).

members_are_read_as_horde_reads_them(_Config) ->
    Members = fun(List) ->
        {ok, #{members := Members}} = holt_options:parse([{name, reg}, {members, List}]),
        Members
    end,
    Self = {reg, node()},
    ?assertEqual(auto, Members(auto)),
    ?assertEqual([Self], Members([])),
    ?assertEqual([Self], Members([reg])),
    ?assertEqual([Self, {reg, 'a@b'}], Members(['a@b'])),
    ?assertEqual([{other, node()}, Self, {x, 'a@b'}], Members([other, Self, {x, 'a@b'}, other])),
    {ok, #{listeners := Listeners}} =
        holt_options:parse(#{name => reg, listeners => ?MODULE}),
    ?assertEqual([{module, ?MODULE}], Listeners).

%% Of the application: what would be ignored keeps it from starting.
settings_that_come_later_are_refused(_Config) ->
    [
        begin
            ok = application:set_env(holt, Key, []),
            Answer = holt_app:start(normal, []),
            ok = application:unset_env(holt, Key),
            ?assertEqual({error, {setting_not_available, Key}}, Answer)
        end
     || Key <- [node_allow, node_deny, discovery, gossip, telemetry, default]
    ].

%% As a user's module would have them.
decide(_Registry, _Key, _One, _Other) -> both.
on_process_registered(_Registry, _Key, _Pid, _Value, _Reason) -> ok.

same(Value) ->
    Value.
