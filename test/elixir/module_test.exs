# SPDX-License-Identifier: Apache-2.0
defmodule Holt.ModuleTest do
  # `use Holt.Registry`, and the shapes that those know who come from Horde.
  use ExUnit.Case, async: true

  defmodule Plain do
    use Holt.Registry

    def start_link(options) do
      Holt.Registry.start_link(__MODULE__, options, name: __MODULE__)
    end

    @impl true
    def init(options), do: {:ok, [keys: :unique, members: :auto] ++ options}
  end

  defmodule Inline do
    use Holt.Registry, id: :inline, restart: :transient, shutdown: 1_000

    def start_link(_), do: Holt.Registry.start_link(__MODULE__, :duplicate, name: __MODULE__)

    @impl true
    def init(keys), do: Holt.Registry.init(keys: keys)
  end

  defmodule Overridden do
    use Holt.Registry

    def child_spec(argument), do: %{super(argument) | id: {:overridden, argument}}
    def start_link(name), do: Holt.Registry.start_link(__MODULE__, :nothing, name: name)

    @impl true
    def init(:nothing), do: {:ok, %{keys: :unique}}
  end

  defmodule Answers do
    use Holt.Registry

    def start_link(answer), do: Holt.Registry.start_link(__MODULE__, answer, name: __MODULE__)

    @impl true
    def init(answer), do: answer
  end

  describe "use Holt.Registry" do
    test "starts with the options of init/1" do
      assert Plain.child_spec([]) ==
               %{id: Plain, start: {Plain, :start_link, [[]]}, type: :supervisor}

      pid = start_supervised!({Plain, orphan_ms: 1_000})
      assert Process.whereis(Plain) == pid
      assert {:ok, _} = Holt.Registry.register(Plain, "hello", :world)
      assert Holt.Registry.count(Plain) == 1
      assert {:error, {:already_started, ^pid}} = Plain.start_link([])
    end

    test "options in the line of use are of the child" do
      assert Inline.child_spec(1) == %{
               id: :inline,
               start: {Inline, :start_link, [1]},
               type: :supervisor,
               restart: :transient,
               shutdown: 1_000
             }

      start_supervised!(Inline)
      assert {:ok, _} = Holt.Registry.register(Inline, "hello", 1)
      assert {:ok, _} = Holt.Registry.register(Inline, "hello", 2)
    end

    test "child_spec/1 may be overridden" do
      assert %{id: {:overridden, Over}} = Overridden.child_spec(Over)
      start_supervised!({Overridden, OverOne})
      start_supervised!({Overridden, OverTwo})
      assert Holt.Registry.count(OverOne) == 0
      assert Holt.Registry.count(OverTwo) == 0
    end

    test "init/1 may say no, and has to say something sensible" do
      Process.flag(:trap_exit, true)
      assert Answers.start_link(:ignore) == :ignore
      assert Process.whereis(Answers) == nil

      assert_raise ArgumentError, ~r/there is no option colour/, fn ->
        Answers.start_link({:ok, colour: :red})
      end
    end
  end

  test "bare in a list of children its name is the module's" do
    assert %{id: Holt.Registry, start: {_, _, [[name: Holt.Registry]]}} =
             Supervisor.child_spec(Holt.Registry, [])

    {:ok, supervisor} = Supervisor.start_link([Holt.Registry], strategy: :one_for_one)
    assert {:ok, _} = Holt.Registry.register(Holt.Registry, "hello", :world)
    assert Holt.Registry.count(Holt.Registry) == 1
    Supervisor.stop(supervisor)
  end

  describe "shapes of Horde 0.2" do
    setup %{test: test} do
      registry = Module.concat(__MODULE__, "Of #{test}")
      start_supervised!({Holt.Registry, name: registry})
      %{registry: registry}
    end

    test "register/2, lookup/1, whereis/1, processes/1", %{registry: registry} do
      via = {:via, Holt.Registry, {registry, "hello"}}
      assert Holt.Registry.lookup(via) == :undefined
      assert Holt.Registry.whereis(via) == :undefined
      assert Holt.Registry.processes(registry) == %{}
      assert Holt.Registry.register(registry, "hello") == {:ok, self()}
      assert Holt.Registry.lookup(via) == self()
      assert Holt.Registry.whereis(via) == self()
      assert Holt.Registry.processes(registry) == %{"hello" => {self()}}
      assert Holt.Registry.lookup(registry, "hello") == [{self(), nil}]

      assert Holt.Registry.register(registry, "hello") ==
               {:error, {:already_registered, self()}}
    end

    test "a charlist is a name, a list of pairs are names", %{registry: registry} do
      assert Holt.Registry.register(registry, 'hello') == {:ok, self()}
      assert Holt.Registry.lookup(registry, 'hello') == [{self(), nil}]
      assert {:ok, _} = Holt.Registry.register(registry, [{'world', 1}])
      assert Holt.Registry.lookup(registry, 'world') == [{self(), 1}]
      assert {:ok, _} = Holt.Registry.register(registry, [])
      assert Holt.Registry.register(registry, [{:a, 1}, :b]) == {:ok, self()}
      assert Holt.Registry.lookup(registry, [{:a, 1}, :b]) == [{self(), nil}]
    end
  end

  describe "shapes of Horde" do
    test "join_hordes, leave_hordes, set_members with a timeout" do
      for name <- [HordeOne, HordeTwo], do: start_supervised!({Holt.Registry, name: name})
      {:ok, _} = Holt.Registry.register(HordeOne, "one", 1)
      {:ok, _} = Holt.Registry.register(HordeTwo, "two", 2)
      both = [{HordeOne, node()}, {HordeTwo, node()}]
      assert Holt.Cluster.join_hordes(HordeOne, HordeTwo) == true
      assert Enum.sort(Holt.Cluster.members(HordeOne)) == both
      assert Holt.Registry.await(HordeOne, "two", 5_000) == {self(), 2}
      assert Holt.Registry.await(HordeTwo, "one", 5_000) == {self(), 1}

      assert Holt.Cluster.set_members(HordeOne, [HordeOne], 5_000) == :ok
      assert Holt.Cluster.members(HordeOne) == [{HordeOne, node()}]
      assert Holt.Cluster.leave_hordes(HordeTwo) == :ok
    end
  end
end
