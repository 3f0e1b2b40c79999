# SPDX-License-Identifier: Apache-2.0
defmodule Holt.ClusterTest do
  # What a registry does beyond one node, as Elixir writes it, on three real nodes.
  use ExUnit.Case, async: true

  @moduletag timeout: 120_000
  @wait_ms 20_000

  setup_all do
    Holt.Test.start_cluster(3)
  end

  setup context do
    cluster = Map.take(context, [:nodes, :daemons, :cluster])
    on_exit(fn -> Holt.Test.heal(cluster) end)
    %{all: cluster}
  end

  defp registry(%{all: cluster}, options \\ []) do
    name = Holt.Test.isolated(cluster, [name: :faces] ++ options)
    :ok = Holt.Test.await_in_sync(cluster, name, @wait_ms)
    name
  end

  defp on(node, function, arguments, module \\ Holt.Registry) do
    Holt.Test.call(node, module, function, arguments)
  end

  # A process of that node. Its state is the name of the registry, so that it can call the
  # functions of one by itself.
  defp agent(node, registry) do
    {:ok, pid} = on(node, :start, [Kernel, :hd, [[registry]]], Agent)
    pid
  end

  defp by(pid, function, arguments) do
    on(node(pid), :get, [pid, Holt.Registry, function, arguments], Agent)
  end

  defp finish(pid), do: on(node(pid), :stop, [pid], Agent)
  defp alive?(pid), do: on(node(pid), :alive?, [pid], Process)

  defp eventually(fun), do: Holt.Eventually.eventually(fun, @wait_ms)

  defp cut(one, others), do: for(other <- others, do: :ok = Holt.Test.cut(one, other))

  describe "another node" do
    test "gives a name to one of its processes", %{nodes: [a, b, _]} = context do
      registry = registry(context)
      pid = agent(b, registry)
      assert {:ok, _} = on(a, :register, [registry, "there", 1, [pid: pid]])
      assert on(a, :lookup, [registry, "there"]) == [{pid, 1}]
      assert on(b, :keys, [registry, pid]) == ["there"]
      assert on(a, :values, [registry, "there", pid]) == [1]
      again = [registry, "there", 2, [pid: agent(b, registry)]]
      assert on(a, :register, again) == {:error, {:already_registered, pid}}

      dead = agent(b, registry)
      finish(dead)
      assert on(a, :register, [registry, "dead", 1, [pid: dead]]) == {:error, :not_alive}
    end

    test "takes a name away, and changes a value", %{nodes: [a, b, _]} = context do
      registry = registry(context)
      pid = agent(b, registry)
      assert {:ok, _} = on(a, :register, [registry, "there", 1, [pid: pid]])
      change = [registry, "there", pid, &Integer.to_string/1]
      assert on(a, :update_value, change) == {"1", 1}
      assert on(a, :lookup, [registry, "there"]) == [{pid, "1"}]
      assert_raise ArgumentError, fn -> on(a, :update_value, change) end
      assert on(a, :lookup, [registry, "there"]) == [{pid, "1"}]
      assert on(a, :update_value, [registry, "nobody", pid, &Integer.to_string/1]) == :error
      assert on(a, :unregister, [registry, "there"]) == :ok
      assert on(a, :lookup, [registry, "there"]) == []
      assert alive?(pid)
    end

    test "is handed a name", %{nodes: [a, b, c]} = context do
      registry = registry(context)
      {here, there} = {agent(a, registry), agent(b, registry)}
      assert {:ok, _} = on(a, :register, [registry, "leader", 1, [pid: here, sync: :all]])
      assert on(c, :lookup, [registry, "leader"]) == [{here, 1}]
      assert on(a, :give_away, [registry, "leader", there]) == :ok
      assert on(a, :lookup, [registry, "leader"]) == [{there, 1}]
      assert on(b, :lookup, [registry, "leader"]) == [{there, 1}]
      eventually(fn -> on(c, :lookup, [registry, "leader"]) == [{there, 1}] end)
      assert alive?(here)
    end

    test "has the standby", %{nodes: [a, b, c]} = context do
      registry = registry(context)
      {holder, standby} = {agent(a, registry), agent(b, registry)}
      assert {:ok, _} = on(a, :register, [registry, "leader", 1, [pid: holder, sync: :all]])
      assert by(standby, :standby, ["leader"]) == :ok
      assert on(b, :sync_barrier, [registry, @wait_ms]) == :ok
      for node <- [a, b, c], do: assert(on(node, :whereis_name, [{registry, "leader"}]) == holder)
      finish(holder)
      eventually(fn -> on(c, :whereis_name, [{registry, "leader"}]) == standby end)
      eventually(fn -> on(b, :whereis_name, [{registry, "leader"}]) == standby end)
    end

    test "has its share of the names", %{nodes: [a, b, _]} = context do
      registry = registry(context)
      {here, there} = {agent(a, registry), agent(b, registry)}
      for n <- 1..20, do: {:ok, _} = on(a, :register, [registry, n, n, [pid: here, sync: :all]])
      assert {:ok, _} = on(a, :register, [registry, :there, 1, [pid: there]])
      assert on(a, :count, [registry]) == 21
      assert on(b, :count, [registry, a]) == 20
      assert on(a, :count, [registry, b]) == 1
    end

    test "sees the entries of duplicate keys", %{nodes: [a, b, c]} = context do
      registry = registry(context, keys: :duplicate)
      agents = for node <- [a, b, c], do: agent(node, registry)
      for pid <- agents, value <- [1, 2], do: {:ok, _} = by(pid, :register, ["topic", value])
      entries = Enum.sort(for pid <- agents, value <- [1, 2], do: {pid, value})

      for node <- [a, b, c] do
        eventually(fn -> Enum.sort(on(node, :lookup, [registry, "topic"])) == entries end)
        assert on(node, :count, [registry, b]) == 2
      end

      [first | rest] = agents
      assert by(first, :unregister, ["topic"]) == :ok
      eventually(fn -> length(on(b, :lookup, [registry, "topic"])) == 4 end)
      for pid <- rest, do: assert(length(on(c, :values, [registry, "topic", pid])) == 2)
    end
  end

  describe "promises" do
    test "that all know", %{nodes: [a, b, c]} = context do
      registry = registry(context)
      options = [pid: agent(a, registry), sync: :all, timeout: @wait_ms]

      for n <- 1..20 do
        assert {:ok, _} = on(a, :register, [registry, n, n, options])
        assert [{_, ^n}] = on(b, :lookup, [registry, n])
        assert [{_, ^n}] = on(c, :lookup, [registry, n])
      end

      assert {:ok, _} = on(a, :register, [registry, :more, 1, [pid: agent(a, registry)]])
      assert on(a, :sync_barrier, [registry, @wait_ms]) == :ok
      assert [{_, 1}] = on(b, :lookup, [registry, :more])
      assert [{_, 1}] = on(c, :lookup, [registry, :more])
    end

    test "that a minority gives no names", %{nodes: [a, b, c]} = context do
      registry = registry(context, quorum: :majority)
      pid = agent(a, registry)
      assert {:ok, _} = by(pid, :register, ["before", 1])
      cut(a, [b, c])
      eventually(fn -> Holt.Test.call(a, Holt.Cluster, :members, [registry]) |> length() == 1 end)
      assert by(pid, :register, ["alone", 1]) == {:error, :no_quorum}
      assert by(pid, :lookup, ["before"]) == [{pid, 1}]
      assert {:ok, _} = agent(b, registry) |> by(:register, ["together", 1])
      :ok = Holt.Test.heal(context.all)
      eventually(fn -> match?({:ok, _}, by(pid, :register, ["alone", 1])) end)
    end
  end

  describe "a name that both sides have given" do
    for {exit, expected} <- [wrapped: :wrapped, bare: :bare, none: :none] do
      test "conflict_exit: #{exit}", %{nodes: [a, b, c]} = context do
        registry = registry(context, conflict_exit: unquote(exit))
        cut(a, [b, c])
        {older, newer} = {agent(a, registry), agent(b, registry)}
        assert {:ok, _} = by(older, :register, ["name", :old])
        next_millisecond()
        assert {:ok, _} = by(newer, :register, ["name", :new])
        :ok = Holt.Test.heal(context.all)
        for node <- [a, b, c], do: eventually(fn -> found(node, registry) == newer end)

        case unquote(expected) do
          :none -> assert by(older, :keys, [older]) == []
          _ -> eventually(fn -> not alive?(older) end)
        end

        assert alive?(newer)
      end
    end

    test "conflict: :keep_oldest", %{nodes: [a, b, c]} = context do
      registry = registry(context, conflict: :keep_oldest)
      cut(a, [b, c])
      {older, newer} = {agent(a, registry), agent(b, registry)}
      assert {:ok, _} = by(older, :register, ["name", :old])
      next_millisecond()
      assert {:ok, _} = by(newer, :register, ["name", :new])
      :ok = Holt.Test.heal(context.all)
      for node <- [a, b, c], do: eventually(fn -> found(node, registry) == older end)
      eventually(fn -> not alive?(newer) end)
      assert %{} = on(a, :explain, [registry, "name"])
      assert on(a, :explain, [registry, "name", :text]) =~ ~s("name" in )
    end

    # Of two registrations within the same one either may win.
    defp next_millisecond do
      now = System.os_time(:millisecond)
      eventually(fn -> System.os_time(:millisecond) > now + 1 end)
    end

    defp found(node, registry), do: on(node, :whereis_name, [{registry, "name"}])
  end

  describe "members" do
    test "are said once, and known to all", %{nodes: [a, b, c]} = context do
      registry = registry(context)
      [on_a, on_b, on_c] = for node <- [a, b, c], do: {registry, node}
      {:ok, _} = on(a, :register, [registry, "a", 1, [pid: agent(a, registry), sync: :all]])
      {:ok, _} = on(c, :register, [registry, "c", 1, [pid: agent(c, registry), sync: :all]])
      assert on(a, :set_members, [registry, [on_a, b]], Holt.Cluster) == :ok
      members = fn node -> Enum.sort(on(node, :members, [registry], Holt.Cluster)) end
      assert members.(a) == [on_a, on_b]
      eventually(fn -> members.(b) == [on_a, on_b] end)
      for node <- [a, b], do: eventually(fn -> on(node, :lookup, [registry, "c"]) == [] end)
      # Who is left out is alone with its own.
      eventually(fn -> on(c, :lookup, [registry, "a"]) == [] end)
      assert [{_, 1}] = on(c, :lookup, [registry, "c"])

      assert on(b, :set_members, [registry, :auto], Holt.Cluster) == :ok
      for node <- [a, b, c], do: eventually(fn -> on(node, :count, [registry]) == 2 end)
      assert members.(c) == [on_a, on_b, on_c]
    end

    test "leave, and are awaited", %{nodes: [a, b, c]} = context do
      registry = registry(context)
      ready = fn node, options -> on(node, :await_ready, [registry, options], Holt.Cluster) end
      assert ready.(a, members: 3, timeout: @wait_ms) == :ok
      assert ready.(b, quorum: :majority, timeout: @wait_ms) == :ok
      assert ready.(c, members: 4, timeout: 1) == {:error, :timeout}
      assert on(c, :leave, [registry], Holt.Cluster) == :ok
      members = fn node -> length(on(node, :members, [registry], Holt.Cluster)) end
      for node <- [a, b], do: eventually(fn -> members.(node) == 2 end)
    end
  end

  # A process of that node that subscribes, and leaves its messages where they are.
  defp watcher(node, registry) do
    code = ~c"""
    spawn(fun() ->
      put(ref, holt_registry:subscribe(R, all, \#{initial => false})),
      receive never -> ok end
    end).
    """

    {:ok, tokens, _} = :erl_scan.string(code)
    {:ok, forms} = :erl_parse.parse_exprs(tokens)
    {:value, pid, _} = on(node, :exprs, [forms, [R: registry]], :erl_eval)
    eventually(fn -> on(node, :info, [pid, :dictionary], Process) != {:dictionary, []} end)
    pid
  end

  defp events(watcher) do
    {:messages, messages} = on(node(watcher), :info, [watcher, :messages], Process)
    for {:holt, _ref, _token, events} <- messages, event <- events, do: event
  end

  test "a subscriber is told of a member's end once", %{nodes: [a, b, c]} = context do
    registry = registry(context)
    pid = agent(c, registry)
    for n <- 1..100, do: {:ok, _} = by(pid, :register, [n, n])
    :ok = on(c, :sync_barrier, [registry, @wait_ms])
    watcher = watcher(a, registry)
    on_exit(fn -> :ok = Holt.Test.restart(c) end)
    :ok = Holt.Test.kill(c)
    eventually(fn -> events(watcher) != [] end)
    assert [%{type: :member_down, member: {^registry, ^c}, count: 100}] = events(watcher)
    eventually(fn -> on(b, :count, [registry]) == 0 end)
  end
end
