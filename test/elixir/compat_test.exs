# SPDX-License-Identifier: Apache-2.0
defmodule Holt.CompatTest do
  # Holds docs/compat.md against what there is, and shows what it says of two odd rows.
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog

  @root Path.expand("../..", __DIR__)
  @pages ~w(compat.md registry.md migrate-from-syn.md migrate-from-horde-registry.md)

  defp page(name), do: File.read!(Path.join([@root, "docs", name]))

  test "every function that is named there is exported" do
    for page <- @pages,
        [name, module, function, arity] <-
          Regex.scan(
            ~r/\b(holt_registry|holt_cluster|Holt\.Registry|Holt\.Cluster)[:.](\w+)\/(\d)/,
            page(page)
          ) do
      module = if module =~ ".", do: Module.concat([module]), else: String.to_atom(module)
      {:module, _} = Code.ensure_loaded(module)

      assert function_exported?(module, String.to_atom(function), String.to_integer(arity)),
             "#{page} names #{name}"
    end
  end

  test "every test that is named there exists" do
    text = page("compat.md")

    for [name, suite, test] <- Regex.scan(~r/`(holt_\w+_SUITE):(\w+)`/, text) do
      source = File.read!(Path.join([@root, "test", "#{suite}.erl"]))
      assert source =~ ~r/^#{test}\(/m, "there is no #{name}"
    end

    for [name, file, test] <- Regex.scan(~r/`(\w+_test): "([^`]*)"`/, text) do
      source = File.read!(Path.join([@root, "test/elixir", "#{file}.exs"]))
      assert source =~ ~s(test "#{test}"), "there is no #{name}"
    end

    for [_, name] <- Regex.scan(~r/`example: (\w+)`/, text) do
      assert File.exists?(Path.join([@root, "examples", name, "run"]))
    end
  end

  test "every row is there once" do
    rows = for [_, row] <- Regex.scan(~r/^\| (\d+) \|/m, page("compat.md")), do: row
    expected = Enum.concat([1..49, 111..117, 120..129])
    assert Enum.map(rows, &String.to_integer/1) == expected
  end

  test "everything the modules have is documented" do
    for module <- [Holt.Registry, Holt.Cluster],
        {:docs_v1, _, _, _, _, _, docs} = Code.fetch_docs(module),
        {{:function, name, arity}, _, _, doc, _} <- docs,
        name not in [:init, :register_name, :unregister_name, :whereis_name, :send] do
      assert is_map(doc), "#{inspect(module)}.#{name}/#{arity}"
    end
  end

  test "options that mean nothing here" do
    options = [name: MeansNothing, partitions: 4, delta_crdt_options: [sync_interval: 5]]
    capture_log(fn -> start_supervised!({Holt.Registry, options}) end)
    assert {:ok, _} = Holt.Registry.register(MeansNothing, :a, 1)
  end

  def decide(_registry, :both, {_, _, _}, {_, _, _}), do: :both
  def decide(_registry, :none, {_, _, _}, {_, _, _}), do: :none

  # Two registries on this node, each with a process of its own for each of the two names.
  test "a function decides that both stay, or none" do
    registries = [DecideOne, DecideTwo]

    for name <- registries do
      start_supervised!({Holt.Registry, name: name, conflict: {__MODULE__, :decide}})
    end

    pids =
      for registry <- registries, key <- [:both, :none], into: %{} do
        {:ok, pid} = Agent.start(fn -> key end)
        {:ok, _} = Holt.Registry.register(registry, key, registry, pid: pid)
        {{registry, key}, pid}
      end

    monitors = for registry <- registries, do: Process.monitor(pids[{registry, :none}])
    assert Holt.Cluster.join(DecideOne, DecideTwo) == :ok
    for monitor <- monitors, do: assert_receive({:DOWN, ^monitor, :process, _, _}, 20_000)
    # A newcomer's name gives way to one that was there, else the newer has it.
    eventually(fn -> length(holders(registries)) == 1 end)
    for registry <- registries, do: assert(Process.alive?(pids[{registry, :both}]))

    for registry <- registries,
        do: eventually(fn -> Holt.Registry.lookup(registry, :none) == [] end)
  end

  defp holders(registries) do
    Enum.uniq(for registry <- registries, do: Holt.Registry.lookup(registry, :both))
  end

  defp eventually(fun), do: Holt.Eventually.eventually(fun, 20_000)
end
