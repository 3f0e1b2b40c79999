# SPDX-License-Identifier: Apache-2.0
defmodule Holt.RegistryTest do
  use ExUnit.Case, async: true

  # The error's words, as iex shows them.
  defp message(fun) do
    fun.()
    flunk("nothing was raised")
  rescue
    error in ArgumentError -> Exception.message(error)
  end

  setup %{test: test} do
    registry = Module.concat(__MODULE__, "Of #{test}")
    start_supervised!({Holt.Registry, name: registry, keys: :unique})
    %{registry: registry}
  end

  describe "in a supervision tree" do
    test "the forms of a child" do
      assert %{id: MyReg, type: :supervisor, start: {Holt.Registry, :start_link, [options]}} =
               Holt.Registry.child_spec(name: MyReg, keys: :unique)

      assert options == [name: MyReg, keys: :unique]
      assert %{id: MyReg} = Holt.Registry.child_spec(keys: :unique, name: MyReg)
      assert %{id: MyReg} = Holt.Registry.child_spec(%{name: MyReg})

      children = [
        {Holt.Registry, name: FormsOne, keys: :unique},
        {Holt.Registry, keys: :unique, name: FormsTwo},
        {Holt.Registry, %{name: FormsThree}},
        Supervisor.child_spec({Holt.Registry, name: FormsFour}, id: :four)
      ]

      {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)

      for name <- [FormsOne, FormsTwo, FormsThree, FormsFour] do
        assert Holt.Registry.count(name) == 0
        assert is_pid(Process.whereis(name))
      end

      assert %{supervisors: 4} = Supervisor.count_children(supervisor)
      Supervisor.stop(supervisor)
      assert message(fn -> Holt.Registry.count(FormsOne) end) =~ "no registry named FormsOne"
    end

    test "names come before those who use them, and survive a crash" do
      children = [
        {Holt.Registry, name: TreeRegistry},
        %{
          id: Agent,
          start:
            {Agent, :start_link,
             [fn -> 0 end, [name: {:via, Holt.Registry, {TreeRegistry, "agent"}}]]}
        }
      ]

      {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
      agent = GenServer.whereis({:via, Holt.Registry, {TreeRegistry, "agent"}})
      monitor = Process.monitor(TreeRegistry)
      Process.exit(Process.whereis(TreeRegistry), :kill)
      assert_receive {:DOWN, ^monitor, :process, _, :killed}
      assert GenServer.whereis({:via, Holt.Registry, {TreeRegistry, "agent"}}) == agent
      # Waits until the supervisor has started the registry again.
      assert %{active: 2} = Supervisor.count_children(supervisor)
      assert Holt.Registry.lookup(TreeRegistry, "agent") == [{agent, nil}]
      Supervisor.stop(supervisor)
    end

    test "started twice", %{registry: registry} do
      pid = Process.whereis(registry)
      assert {:error, {:already_started, ^pid}} = Holt.Registry.start_link(name: registry)
    end

    test "stopped", %{registry: _registry} do
      {:ok, pid} = Holt.Registry.start_link(name: StoppedRegistry)
      monitor = Process.monitor(pid)
      assert Holt.Registry.stop(StoppedRegistry) == :ok
      assert_receive {:DOWN, ^monitor, :process, _, :normal}
    end
  end

  describe "via" do
    test "a process is named, found, called and gone", %{registry: registry} do
      name = {:via, Holt.Registry, {registry, "agent 7"}}
      assert GenServer.whereis(name) == nil
      {:ok, pid} = Agent.start_link(fn -> 1 end, name: name)
      assert GenServer.whereis(name) == pid
      assert Agent.get(name, & &1) == 1
      assert {:error, {:already_started, ^pid}} = Agent.start_link(fn -> 2 end, name: name)
      assert Holt.Registry.lookup(registry, "agent 7") == [{pid, nil}]
      :ok = Agent.stop(name)
      assert GenServer.whereis(name) == nil
    end

    test "a value comes with the name", %{registry: registry} do
      name = {:via, Holt.Registry, {registry, :key, %{a: 1}}}
      {:ok, pid} = Agent.start_link(fn -> 1 end, name: name)
      assert Holt.Registry.lookup(registry, :key) == [{pid, %{a: 1}}]
    end

    test "a message is sent", %{registry: registry} do
      {:ok, _} = Holt.Registry.register(registry, :me, nil)
      assert Holt.Registry.send({registry, :me}, :hello) == self()
      assert_receive :hello
      assert message(fn -> Holt.Registry.send({registry, :nobody}, :hello) end) =~ "nobody has"
    end

    test "the functions behind it", %{registry: registry} do
      assert Holt.Registry.register_name({registry, 1}, self()) == :yes
      assert Holt.Registry.register_name({registry, 1}, self()) == :no
      assert Holt.Registry.register_name({registry, 2, :value}, self()) == :yes
      assert Holt.Registry.whereis_name({registry, 1}) == self()
      assert Holt.Registry.whereis_name({registry, 3}) == :undefined
      assert Holt.Registry.lookup(registry, 1) == [{self(), nil}]
      assert Holt.Registry.unregister_name({registry, 1}) == :ok
      assert Holt.Registry.keys(registry, self()) == [2]
    end
  end

  describe "as Elixir's Registry" do
    # What both do, said once: each module is run through it.
    for module <- [Registry, Holt.Registry] do
      test "#{inspect(module)} registers, looks up, updates and unregisters" do
        module = unquote(module)
        registry = Module.concat(module, Shapes)
        start_supervised!({module, keys: :unique, name: registry})

        assert {:ok, owner} = module.register(registry, "hello", :world)
        assert is_pid(owner)
        assert module.register(registry, "hello", 1) == {:error, {:already_registered, self()}}
        assert module.lookup(registry, "hello") == [{self(), :world}]
        assert module.lookup(registry, "nobody") == []
        assert module.keys(registry, self()) == ["hello"]
        assert module.count(registry) == 1
        assert module.update_value(registry, "hello", &{&1, 2}) == {{:world, 2}, :world}
        assert module.update_value(registry, "nobody", & &1) == :error
        assert module.lookup(registry, "hello") == [{self(), {:world, 2}}]

        other = Task.async(fn -> module.update_value(registry, "hello", fn _ -> 3 end) end)
        assert Task.await(other) == :error

        assert module.unregister(registry, "hello") == :ok
        assert module.unregister(registry, "hello") == :ok
        assert module.keys(registry, self()) == []
        assert module.count(registry) == 0
        assert {:ok, ^owner} = module.register(registry, "hello", :again)
      end
    end

    test "what is more", %{registry: registry} do
      {:ok, _} = Holt.Registry.register(registry, {:a, 1}, "value")
      assert Holt.Registry.to_list(registry) == [{{:a, 1}, self(), "value"}]
      assert Holt.Registry.is_registered(registry, {:a, 1})
      refute Holt.Registry.is_registered(registry, {:a, 1.0})
      assert Holt.Cluster.members(registry) == [{registry, node()}]
      assert %{count: 1, name: ^registry, peers: []} = Holt.Cluster.info(registry)

      assert [%{member: {^registry, _}, state: :present, contact: :self, names: 1}] =
               Holt.Cluster.members(registry, :all)

      assert Holt.Cluster.peers(registry) == []
      assert Holt.Cluster.in_sync(registry)
    end
  end

  describe "wrong use" do
    test "names the argument and the reason", %{registry: registry} do
      {:ok, _} = Holt.Registry.register(registry, :mine, 1)

      for {position, text, use} <- [
            {1, "no registry named Nowhere on this node",
             fn -> Holt.Registry.lookup(Nowhere, 1) end},
            {1, "no registry named Nowhere on this node",
             fn -> GenServer.call({:via, Holt.Registry, {Nowhere, 1}}, :hello) end},
            {1, "no registry named Nowhere on this node", fn -> Holt.Cluster.members(Nowhere) end},
            {1, "no registry named Nowhere on this node", fn -> Holt.Cluster.peers(Nowhere) end},
            {1, "no registry named Nowhere on this node", fn -> Holt.Cluster.in_sync(Nowhere) end},
            {2, "a key cannot hold a fun",
             fn -> Holt.Registry.register(registry, fn -> 1 end, 1) end},
            {2, "not a pid", fn -> Holt.Registry.keys(registry, :me) end},
            {3, "not a fun of one argument",
             fn -> Holt.Registry.update_value(registry, :mine, 7) end},
            {1, "the option name is missing", fn -> Holt.Registry.start_link(keys: :unique) end},
            {1, "the option meta is not available in this version",
             fn -> Holt.Registry.start_link(name: X, meta: [a: 1]) end},
            {1, "there is no option colour",
             fn -> Holt.Registry.start_link(name: X, colour: :red) end},
            {1, "the option quorum => strict is not available in this version",
             fn -> Holt.Registry.start_link(name: X, quorum: :strict) end}
          ] do
        nth = Enum.at([nil, "1st", "2nd", "3rd"], position)
        assert message(use) =~ "* #{nth} argument: #{text}"
      end
    end

    test "is readable in a supervisor's report" do
      Process.flag(:trap_exit, true)
      children = [{Holt.Registry, name: X, meta: []}]
      assert {:error, reason} = Supervisor.start_link(children, strategy: :one_for_one)

      assert Exception.format_exit(reason) =~
               "the option meta is not available in this version"
    end
  end
end
