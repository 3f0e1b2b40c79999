%% SPDX-License-Identifier: Apache-2.0
%% @doc On a node: how long does it take to give a name, and to take it away?
-module(bench_register).

-export([run/3]).

%% @doc Give Names names to as many new processes, by so many callers at once, then take
%% them away: nanoseconds per name, by the clock, of each.
-spec run(bench_names:contender(), Callers :: pos_integer(), Names :: pos_integer()) ->
    {Add :: float(), Remove :: float()}.
run(Contender, Callers, Names) ->
    ok = bench_names:own(Names),
    Keys = tuple_to_list(bench_names:keys(tuple, Names)),
    Pairs = lists:zip(Keys, tuple_to_list(bench_names:owners())),
    Shares = shares(Pairs, Names div Callers),
    Callers = length(Shares),
    Add = timed(fun(Key, Pid) -> ok = bench_names:add(Contender, Key, Pid) end, Shares),
    Names = bench_names:count(Contender),
    Remove = timed(fun(Key, Pid) -> ok = bench_names:remove(Contender, Key, Pid) end, Shares),
    0 = bench_names:count(Contender),
    ok = bench_names:disown(),
    {Add / Names, Remove / Names}.

shares([], _Size) ->
    [];
shares(List, Size) ->
    {Share, Rest} = lists:split(Size, List),
    [Share | shares(Rest, Size)].

timed(Fun, Shares) ->
    Parent = self(),
    Pids = [
        spawn_opt(
            fun() ->
                receive
                    go -> ok
                end,
                each(Fun, Share),
                Parent ! {self(), bench_names:now_ns()}
            end,
            [{min_heap_size, 400000}, link]
        )
     || Share <- Shares
    ],
    Start = bench_names:now_ns(),
    [Pid ! go || Pid <- Pids],
    lists:max([
        receive
            {Pid, End} -> End
        end
     || Pid <- Pids
    ]) - Start.

each(_Fun, []) ->
    ok;
each(Fun, [{Key, Pid} | Rest]) ->
    Fun(Key, Pid),
    each(Fun, Rest).
