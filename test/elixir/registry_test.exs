# SPDX-License-Identifier: Apache-2.0
defmodule Holt.RegistryTest do
  use ExUnit.Case, async: true

  defmodule Told do
    # Tells the process that is registered under the name of this module.
    def on_process_registered(scope, name, pid, meta, reason),
      do: tell(:on_process_registered, [scope, name, pid, meta, reason])

    def on_registry_process_updated(scope, name, pid, meta, reason),
      do: tell(:on_registry_process_updated, [scope, name, pid, meta, reason])

    def on_process_unregistered(scope, name, pid, meta, reason),
      do: tell(:on_process_unregistered, [scope, name, pid, meta, reason])

    defp tell(callback, arguments), do: send(__MODULE__, {callback, arguments})
  end

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

  # A process that does what it is told, and tells the outcome.
  defp worker do
    {:ok, pid} = Agent.start(fn -> nil end)
    on_exit(fn -> Process.exit(pid, :kill) end)
    pid
  end

  defp by(pid, function, arguments) do
    Agent.get(pid, fn _ -> apply(Holt.Registry, function, arguments) end)
  end

  describe "what Elixir's Registry has not:" do
    test "names for another process, and many at once", %{registry: registry} do
      pid = worker()
      assert {:ok, _} = Holt.Registry.register(registry, :a, 1, pid: pid)
      assert {:ok, _} = Holt.Registry.register(registry, :b, 1, %{pid: pid, sync: :quorum})
      assert Enum.sort(Holt.Registry.keys(registry, pid)) == [:a, :b]

      assert Holt.Registry.register(registry, [{:b, 2}, {:c, 3}]) ==
               {:error, [{:b, {:already_registered, pid}}]}

      assert Holt.Registry.lookup(registry, :c) == [{self(), 3}]
      assert Holt.Registry.unregister(registry, [:a, :b, :c, :d]) == :ok
      assert Holt.Registry.count(registry) == 0

      monitor = Process.monitor(pid)
      Agent.stop(pid)
      assert_receive {:DOWN, ^monitor, :process, _, _}
      assert Holt.Registry.register(registry, :a, 1, pid: pid) == {:error, :not_alive}
    end

    test "a value is changed by somebody else, or by nobody", %{registry: registry} do
      pid = worker()
      {:ok, _} = Holt.Registry.register(registry, :a, 1, pid: pid)
      assert Holt.Registry.update_value(registry, :a, pid, &(&1 + 1)) == {2, 1}
      assert Holt.Registry.update_value(registry, :a, self(), &(&1 + 1)) == :error

      assert_raise RuntimeError, "oops", fn ->
        Holt.Registry.update_value(registry, :a, pid, fn _ -> raise "oops" end)
      end

      assert Holt.Registry.values(registry, :a, pid) == [2]
    end

    test "a name is given away", %{registry: registry} do
      pid = worker()
      {:ok, _} = Holt.Registry.register(registry, :a, 1)
      assert Holt.Registry.give_away(registry, :a, pid) == :ok
      assert Holt.Registry.lookup(registry, :a) == [{pid, 1}]
      assert Holt.Registry.keys(registry, self()) == []
      assert Holt.Registry.give_away(registry, :nobody, pid) == {:error, :not_found}
    end

    test "standbys", %{registry: registry} do
      [first, second, third] = for _ <- 1..3, do: worker()
      {:ok, _} = by(first, :register, [registry, :a, 1])
      :ok = by(second, :standby, [registry, :a])
      :ok = by(third, :standby, [registry, :a, 3])
      assert [{^first, 1}] = Holt.Registry.lookup(registry, :a)
      assert Holt.Registry.count(registry) == 1
      Agent.stop(first)
      assert [{^second, nil}] = Holt.Registry.lookup(registry, :a)
      Agent.stop(second)
      assert [{^third, 3}] = Holt.Registry.lookup(registry, :a)
      Agent.stop(third)
      assert [] = Holt.Registry.lookup(registry, :a)
    end

    test "owner_only" do
      start_supervised!({Holt.Registry, name: OwnerOnly, owner_only: true})
      pid = worker()
      {:ok, _} = by(pid, :register, [OwnerOnly, :a, 1])
      refused = {:error, :not_owner}
      assert Holt.Registry.register(OwnerOnly, :b, 1, pid: pid) == refused
      assert Holt.Registry.unregister(OwnerOnly, :a) == refused
      assert Holt.Registry.give_away(OwnerOnly, :a, self()) == refused
      assert Holt.Registry.update_value(OwnerOnly, :a, pid, & &1) == refused
      assert by(pid, :update_value, [OwnerOnly, :a, &(&1 + 1)]) == {2, 1}
      assert by(pid, :unregister, [OwnerOnly, :a]) == :ok
    end

    test "without its quorum no name is given" do
      start_supervised!({Holt.Registry, name: QuorumOfTwo, quorum: 2})
      assert Holt.Registry.register(QuorumOfTwo, :a, 1) == {:error, :no_quorum}
      assert Holt.Registry.register_name({QuorumOfTwo, :a}, self()) == :no
      assert Holt.Registry.lookup(QuorumOfTwo, :a) == []
    end

    test "a process waits for a name", %{registry: registry} do
      assert Holt.Registry.await(registry, :a, 0) == {:error, :timeout}
      assert Holt.Registry.await(registry, :a, 1) == {:error, :timeout}
      tasks = for _ <- 1..10, do: Task.async(Holt.Registry, :await, [registry, :a, :infinity])
      {:ok, _} = Holt.Registry.register(registry, :a, :value)
      assert Enum.uniq(Task.await_many(tasks)) == [{self(), :value}]
      refute_received _
    end

    test "by prefix, and one after the other", %{registry: registry} do
      names = for n <- 1..3000, do: {"user:#{n}", n}
      {:ok, _} = Holt.Registry.register(registry, [{:"user:1", 0}, {'user:1', 0} | names])
      assert length(Holt.Registry.prefix(registry, "user:")) == 3000
      assert length(Holt.Registry.prefix(registry, "user:2")) == 1111
      assert Holt.Registry.prefix(registry, "user:3000") == [{"user:3000", self(), 3000}]
      assert Holt.Registry.prefix(registry, "page:") == []
      assert length(Holt.Registry.prefix(registry, "")) == 3000
      sum = Holt.Registry.fold(registry, 0, fn {_, _, value}, sum -> sum + value end)
      assert sum == div(3000 * 3001, 2)
      assert length(Holt.Registry.to_list(registry)) == 3002

      assert Holt.Registry.select(registry, [{{"user:7", :_, :_}, [], [:"$_"]}]) ==
               [{"user:7", self(), 7}]
    end
  end

  describe "events" do
    test "of a key, with what was before and why", %{registry: registry} do
      [first, second] = for _ <- 1..2, do: worker()
      {:ok, _} = by(first, :register, [registry, :a, 1])
      ref = Holt.Registry.subscribe(registry, {:key, :a})
      assert_receive {:holt, ^ref, _, [%{type: :registered, initial: true} = initial]}
      assert %{key: :a, pid: ^first, value: 1} = initial

      {:ok, _} = by(first, :register, [registry, :other, 1])
      {2, 1} = by(first, :update_value, [registry, :a, &(&1 + 1)])
      assert %{type: :updated, value: 2, previous: {^first, 1}} = event(ref)
      :ok = by(first, :give_away, [registry, :a, second])
      assert %{type: :registered, reason: :given_away, previous: {^first, 2}} = event(ref)
      :ok = by(second, :unregister, [registry, :a])
      assert %{type: :unregistered, reason: :user, pid: ^second, value: 2} = event(ref)
      {:ok, _} = by(first, :register, [registry, :a, 3])
      assert %{type: :registered, previous: :undefined, value: 3} = event(ref)
      Agent.stop(first)
      assert %{type: :unregistered, reason: :down, pid: ^first} = event(ref)
      assert Holt.Registry.unsubscribe(registry, ref) == :ok
      {:ok, _} = by(second, :register, [registry, :a, 4])
      refute_received {:holt, ^ref, _, _}
    end

    test "go on behind a token", %{registry: registry} do
      ref = Holt.Registry.subscribe(registry, {:prefix, "user:"})
      {:ok, _} = Holt.Registry.register(registry, "user:1", 1)
      assert_receive {:holt, ^ref, token, [%{type: :registered, key: "user:1"}]}
      :ok = Holt.Registry.unsubscribe(registry, ref)
      {:ok, _} = Holt.Registry.register(registry, "page:2", 2)
      {:ok, _} = Holt.Registry.register(registry, "user:2", 2)
      again = Holt.Registry.subscribe(registry, {:prefix, "user:"}, from: token)
      assert %{type: :registered, key: "user:2"} = event(again)
      refute_received {:holt, _, _, _}
    end

    test "callbacks of a module, as syn has them" do
      start_supervised!({Holt.Registry, name: Callbacks, listeners: __MODULE__.Told})
      Process.register(self(), __MODULE__.Told)
      {:ok, _} = Holt.Registry.register(Callbacks, :a, 1)
      assert_receive {:on_process_registered, [Callbacks, :a, _, 1, _]}
      {2, 1} = Holt.Registry.update_value(Callbacks, :a, &(&1 + 1))
      assert_receive {:on_registry_process_updated, [Callbacks, :a, _, 2, _]}
      :ok = Holt.Registry.unregister(Callbacks, :a)
      assert_receive {:on_process_unregistered, [Callbacks, :a, _, 2, _]}
    end

    defp event(ref) do
      assert_receive {:holt, ^ref, _token, [event]}, 5_000
      event
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
            {1, "the option keys must be unique or duplicate, not Foo.Bar",
             fn -> Holt.Registry.start_link(name: X, keys: Foo.Bar) end},
            {1, "the option name must be an atom, not \"X\"",
             fn -> Holt.Registry.start_link(name: "X") end},
            {3, "neither left out nor the atom text",
             fn -> Holt.Registry.explain(registry, :mine, :json) end},
            {1, "the option quorum => strict is not available in this version",
             fn -> Holt.Registry.start_link(name: X, quorum: :strict) end}
          ] do
        nth = Enum.at([nil, "1st", "2nd", "3rd"], position)
        assert message(use) =~ "* #{nth} argument: #{text}"
      end

      assert_raise ArgumentError, ~r/^the 3rd argument has to be a function/, fn ->
        Holt.Registry.fold(registry, fn _, acc -> acc end, 0)
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
