%% SPDX-License-Identifier: Apache-2.0
%% @private
%% @doc What may be said to start_link: read once, checked whole.
%%
%% Options come as map, proplist or keyword list.  What is known but not built yet is
%% refused by name, never accepted and ignored.
-module(holt_options).

-export([parse/1, native/1, name/1]).

-export_type([options/0, config/0, cause/0]).

-type options() :: #{atom() => term()} | [{atom(), term()} | atom()].

-type config() :: #{
    name := atom(),
    orphan_ms := pos_integer(),
    conflict_grace_ms := pos_integer(),
    %% What the native side takes; what is missing there has its default there.
    native := #{atom() => pos_integer()}
}.

-type cause() ::
    {not_options, term()}
    | {not_an_option, term()}
    | no_name
    | {bad_name, term()}
    | {unknown_option, term()}
    | {option_not_available, atom()}
    | {option_not_available, atom(), term()}
    | {bad_option, atom(), term(), Expected :: string()}.

%% Larger numbers fit neither a timer nor a sensible message.
-define(NUMBER_MAX, 16#ffffffff).

%% HOLT_KEY_BYTES_LIMIT of include/holt/key.h.
-define(KEY_BYTES_LIMIT, 65535).

%% HOLT_MESSAGE_BYTES_LIMIT and HOLT_VALUE_BYTES_LIMIT of include/holt/replica.h.
-define(MESSAGE_BYTES_LIMIT, 262144).
-define(VALUE_BYTES_LIMIT, 16777216).

-define(ORPHAN_MS, 10000).
-define(CONFLICT_GRACE_MS, 5000).

%% "holt." and the name have to fit an atom: {@link holt_replica:process_name/1}.
-define(NAME_CHARACTERS_MAX, 250).

%% @doc Check all options.
-spec parse(term()) -> {ok, config()} | {error, cause()}.
parse(Options) ->
    try
        Map = to_map(Options),
        maps:foreach(fun check/2, maps:remove(name, Map)),
        {ok, #{
            name => checked_name(Map),
            orphan_ms => maps:get(orphan_ms, Map, ?ORPHAN_MS),
            conflict_grace_ms => maps:get(conflict_grace_ms, Map, ?CONFLICT_GRACE_MS),
            native => maps:filter(fun(Key, _) -> kind(Key) =:= native end, Map)
        }}
    catch
        throw:{?MODULE, Cause} -> {error, Cause}
    end.

%% @doc What the native code is opened with.  It keeps what stands for the other options,
%% too: an instance is adopted with the same options only.
-spec native(config()) -> #{atom() => pos_integer()}.
native(#{native := Native, orphan_ms := OrphanMs} = Config) ->
    Hash = erlang:phash2(maps:remove(native, Config)),
    Native#{orphan_ms => OrphanMs, options_hash => Hash + 1}.

%% @doc The name among options that need not be right otherwise.
-spec name(term()) -> {ok, term()} | error.
name(#{name := Name}) ->
    {ok, Name};
name([{name, Name} | _]) ->
    {ok, Name};
name([_ | Rest]) ->
    name(Rest);
name(_) ->
    error.

%%--------------------------------------------------------------------
%% Internal

-spec to_map(term()) -> #{term() => term()}.
to_map(Options) when is_map(Options) ->
    Options;
to_map(Options) ->
    is_list(Options) andalso length_of(Options) =/= improper orelse refuse({not_options, Options}),
    %% The first of two wins, as in a proplist.
    maps:from_list(lists:reverse([pair(Option) || Option <- Options])).

-spec length_of(maybe_improper_list()) -> non_neg_integer() | improper.
length_of(List) ->
    try
        length(List)
    catch
        error:badarg -> improper
    end.

-spec pair(term()) -> {term(), term()}.
pair({Key, Value}) -> {Key, Value};
pair(Key) when is_atom(Key) -> {Key, true};
pair(Other) -> refuse({not_an_option, Other}).

-spec checked_name(map()) -> atom().
checked_name(#{name := Name}) when Name =/= undefined, Name =/= nil ->
    is_atom(Name) andalso length(atom_to_list(Name)) =< ?NAME_CHARACTERS_MAX orelse
        refuse({bad_name, Name}),
    Name;
checked_name(_) ->
    refuse(no_name).

-spec check(term(), term()) -> true.
check(Key, Value) ->
    case kind(Key) of
        unknown -> refuse({unknown_option, Key});
        later -> refuse({option_not_available, Key});
        keys -> one_of(Key, Value, unique, [duplicate]);
        members when is_list(Value) -> refuse({option_not_available, Key, Value});
        members -> one_of(Key, Value, auto, []);
        _ -> number(Key, Value, maximum(Key))
    end.

-spec one_of(atom(), term(), atom(), [atom()]) -> true.
one_of(_Key, Value, Value, _Later) ->
    true;
one_of(Key, Value, Only, Later) ->
    case lists:member(Value, Later) of
        true -> refuse({option_not_available, Key, Value});
        false -> refuse({bad_option, Key, Value, atom_to_list(Only)})
    end.

-spec number(atom(), term(), pos_integer()) -> true.
number(_Key, Value, Max) when is_integer(Value), Value >= 1, Value =< Max ->
    true;
number(Key, Value, Max) ->
    refuse({bad_option, Key, Value, lists:concat(["an integer from 1 to ", Max])}).

-spec maximum(atom()) -> pos_integer().
maximum(key_bytes_max) -> ?KEY_BYTES_LIMIT;
maximum(message_bytes_max) -> ?MESSAGE_BYTES_LIMIT;
maximum(value_bytes_max) -> ?VALUE_BYTES_LIMIT;
maximum(_) -> ?NUMBER_MAX.

-spec kind(term()) -> keys | members | native | process | later | unknown.
kind(keys) -> keys;
kind(members) -> members;
kind(vector_interval_ms) -> native;
kind(replica_restart_ms) -> native;
kind(probe_ms) -> native;
kind(vouch_ms) -> native;
kind(flap_ms_max) -> native;
kind(forget_after_ms) -> native;
kind(clock_bound_ms) -> native;
kind(window_bytes) -> native;
kind(message_bytes_max) -> native;
kind(key_bytes_max) -> native;
kind(value_bytes_max) -> native;
kind(orphan_ms) -> process;
kind(conflict_grace_ms) -> process;
kind(listeners) -> later;
kind(meta) -> later;
kind(conflict) -> later;
kind(conflict_exit) -> later;
kind(owner_only) -> later;
kind(quorum) -> later;
kind(voters) -> later;
kind(settle_ms) -> later;
kind(partitions) -> later;
kind(delta_crdt_options) -> later;
kind(_) -> unknown.

-spec refuse(cause()) -> no_return().
refuse(Cause) ->
    throw({?MODULE, Cause}).
