# SPDX-License-Identifier: Apache-2.0
defmodule Holt.AsRegistryTest do
  # What Elixir's Registry and ours both do, said once: every case runs with each of them. What
  # they do differently is in docs/compat.md, and tested elsewhere.
  use ExUnit.Case, async: true

  # Whoever may have the name of a registry, and tells the test what it gets.
  defp listener(name) do
    test = self()

    start_supervised!(
      {Task,
       fn ->
         Process.register(self(), name)
         Kernel.send(test, :listens)
         pass_on(test)
       end}
    )

    assert_receive :listens
  end

  defp pass_on(test) do
    receive do
      message -> Kernel.send(test, {:heard, message})
    end

    pass_on(test)
  end

  # Runs a function in a process that lives until it is told to end.
  defp elsewhere(fun) do
    test = self()

    {pid, monitor} =
      spawn_monitor(fn ->
        Kernel.send(test, {self(), fun.()})

        receive do
          :end -> :ok
        end
      end)

    assert_receive {^pid, result}
    {pid, monitor, result}
  end

  defp finish({pid, monitor, _}) do
    Kernel.send(pid, :end)
    assert_receive {:DOWN, ^monitor, :process, ^pid, :normal}
  end

  # Elixir's Registry hears of an end by a message.
  defp eventually(fun), do: Holt.Eventually.eventually(fun, 5_000)

  def forward(entries, tag, test) do
    for {pid, value} <- entries, do: Kernel.send(test, {tag, pid, value})
  end

  setup %{test: test} = context do
    case context do
      %{cased: {module, keys}} ->
        name = Module.concat([__MODULE__, "Of #{test}"])
        start_supervised!({module, keys: keys, name: name})
        %{registry: name, module: module, keys: keys}

      _ ->
        :ok
    end
  end

  for module <- [Registry, Holt.Registry], keys <- [:unique, :duplicate] do
    describe "#{inspect(module)}, #{keys} keys:" do
      @describetag cased: {module, keys}

      test "started under a name once", %{module: module, registry: registry, keys: keys} do
        pid = Process.whereis(registry)
        assert is_pid(pid)
        assert {:error, {:already_started, ^pid}} = module.start_link(keys: keys, name: registry)
      end

      test "begins with nothing", %{module: module, registry: registry} do
        assert module.count(registry) == 0
        assert module.keys(registry, self()) == []
        assert module.lookup(registry, "hello") == []
        assert module.values(registry, "hello", self()) == []
        assert module.match(registry, "hello", :_) == []
        assert module.count_match(registry, "hello", :_) == 0
        assert module.select(registry, [{{:_, :_, :_}, [], [true]}]) == []
        assert module.count_select(registry, [{{:_, :_, :_}, [], [true]}]) == 0
        assert module.unregister(registry, "hello") == :ok
        assert module.unregister_match(registry, "hello", :_) == :ok
        assert module.dispatch(registry, "hello", fn _ -> flunk("called") end) == :ok
      end

      test "several keys of one process", %{module: module, registry: registry} do
        assert {:ok, owner} = module.register(registry, "hello", :world)
        assert is_pid(owner)
        assert {:ok, _} = module.register(registry, "world", :hello)
        assert Enum.sort(module.keys(registry, self())) == ["hello", "world"]
        assert module.values(registry, "hello", self()) == [:world]
        assert module.values(registry, "world", self()) == [:hello]
        assert module.lookup(registry, "world") == [{self(), :hello}]
        assert module.count(registry) == 2
        assert module.unregister(registry, "hello") == :ok
        assert module.keys(registry, self()) == ["world"]
        assert module.lookup(registry, "hello") == []
      end

      test "keys are compared exactly", %{module: module, registry: registry} do
        {:ok, _} = module.register(registry, 1.0, :float)
        {:ok, _} = module.register(registry, 1, :integer)
        assert module.lookup(registry, 1) == [{self(), :integer}]
        assert module.lookup(registry, 1.0) == [{self(), :float}]
        assert Enum.sort_by(module.keys(registry, self()), &is_float/1) === [1, 1.0]
        assert module.unregister(registry, 1) == :ok
        assert module.keys(registry, self()) === [1.0]
      end

      test "keys that look like patterns are keys", %{module: module, registry: registry} do
        for key <- [:_, :"$1", {:_, :"$1"}, {:"$_", 1}, %{a: :_}, [:_ | :"$2"], {}] do
          {:ok, _} = module.register(registry, {:other, key}, 0)
          {:ok, _} = module.register(registry, key, key)
          assert module.lookup(registry, key) == [{self(), key}]
          assert module.match(registry, key, :_) == [{self(), key}]
          assert module.count_match(registry, key, :_) == 1
          assert module.values(registry, key, self()) == [key]
        end

        assert module.count(registry) == 14
        :ok = module.unregister(registry, :_)
        assert module.count(registry) == 13
        :ok = module.unregister_match(registry, {:_, :"$1"}, :_)
        assert module.count(registry) == 12
      end

      test "a process ends and takes its names along", %{module: module, registry: registry} do
        {pid, _, {:ok, _}} = other = elsewhere(fn -> module.register(registry, "hello", :world) end)

        assert module.lookup(registry, "hello") == [{pid, :world}]
        assert module.keys(registry, pid) == ["hello"]
        finish(other)
        eventually(fn -> module.lookup(registry, "hello") == [] end)
        eventually(fn -> module.keys(registry, pid) == [] end)
        eventually(fn -> module.count(registry) == 0 end)
      end

      test "one process's end leaves another's names", %{module: module, registry: registry} do
        other = elsewhere(fn -> module.register(registry, "theirs", 1) end)
        {:ok, _} = module.register(registry, "ours", 2)
        finish(other)
        eventually(fn -> module.count(registry) == 1 end)
        assert module.lookup(registry, "ours") == [{self(), 2}]
      end

      test "what is called in dispatch", %{module: module, registry: registry} do
        {:ok, _} = module.register(registry, "hello", :first)
        test = self()
        fun = fn entries -> Kernel.send(test, {:called, self(), entries}) end
        assert module.dispatch(registry, "hello", fun) == :ok
        assert_received {:called, ^test, [{^test, :first}]}

        assert module.dispatch(registry, "hello", {__MODULE__, :forward, [:tag, test]}) == :ok
        assert_received {:tag, ^test, :first}

        assert module.dispatch(registry, "nobody", fun) == :ok
        refute_received {:called, _, _}

        assert catch_throw(module.dispatch(registry, "hello", fn _ -> throw(:caught) end)) ==
                 :caught

        assert_raise RuntimeError, "oops", fn ->
          module.dispatch(registry, "hello", fn _ -> raise "oops" end)
        end
      end

      test "match, with patterns and guards", %{module: module, registry: registry} do
        value = {1, :atom, 1}
        {:ok, _} = module.register(registry, "hello", value)

        for {pattern, guards, found} <- [
              {:_, [], true},
              {{1, :_, :_}, [], true},
              {{:"$1", :_, :"$1"}, [], true},
              {{:"$1", :"$1", :_}, [], false},
              {{1.0, :_, :_}, [], false},
              {:"$1", [{:is_tuple, :"$1"}], true},
              {{:_, :"$1", :_}, [{:is_atom, :"$1"}], true},
              {{:_, :"$1", :_}, [{:is_integer, :"$1"}], false},
              {{:"$1", :_, :_}, [{:>, :"$1", 0}, {:<, :"$1", 2}], true},
              {{:"$1", :_, :_}, [{:>, :"$1", 0}, {:<, :"$1", 1}], false},
              {{:_, :_}, [], false},
              {value, [], true}
            ] do
          expected = if found, do: [{self(), value}], else: []
          assert module.match(registry, "hello", pattern, guards) == expected
          assert module.count_match(registry, "hello", pattern, guards) == length(expected)
        end

        assert module.match(registry, "nobody", :_) == []
      end

      test "unregister_match, with patterns and guards", %{module: module, registry: registry} do
        {:ok, _} = module.register(registry, "hello", {1, :atom})
        {:ok, _} = module.register(registry, "world", {1, :atom})
        assert module.unregister_match(registry, "hello", {2, :_}) == :ok
        assert module.unregister_match(registry, "hello", {:"$1", :_}, [{:>, :"$1", 1}]) == :ok
        assert module.count(registry) == 2
        assert module.unregister_match(registry, "hello", {:"$1", :_}, [{:<, :"$1", 2}]) == :ok
        assert module.keys(registry, self()) == ["world"]
        assert module.lookup(registry, "hello") == []
        assert module.unregister_match(registry, "world", {1, :_}) == :ok
        assert module.count(registry) == 0
      end

      test "unregister_match is about the caller's own", %{module: module, registry: registry} do
        other = {pid, _, _} = elsewhere(fn -> module.register(registry, "hello", 1) end)
        assert module.unregister_match(registry, "hello", :_) == :ok
        assert module.lookup(registry, "hello") == [{pid, 1}]
        finish(other)
      end

      test "select, with patterns and guards", %{module: module, registry: registry} do
        {:ok, _} = module.register(registry, "hello", {:greeting, 1})
        {:ok, _} = module.register(registry, {:pair, 2}, {:thing, 2})
        test = self()

        all = [{{:"$1", :"$2", :"$3"}, [], [{{:"$1", :"$2", :"$3"}}]}]

        assert Enum.sort(module.select(registry, all)) == [
                 {{:pair, 2}, test, {:thing, 2}},
                 {"hello", test, {:greeting, 1}}
               ]

        for {spec, result} <- [
              {[{{"hello", :"$1", :_}, [], [:"$1"]}], [test]},
              {[{{:"$1", :_, :_}, [{:is_binary, :"$1"}], [:"$1"]}], ["hello"]},
              {[{{{:pair, :"$1"}, :_, {:thing, :"$1"}}, [], [:"$1"]}], [2]},
              {[{{:_, test, {:greeting, :"$1"}}, [], [{:+, :"$1", 1}]}], [2]},
              {[{{:"$1", :_, {:thing, :_}}, [], [:"$$"]}], [[{:pair, 2}]]},
              {[{{:"$2", :_, :_}, [{:==, :"$2", "nobody"}], [true]}], []},
              {[{{:_, :_, {:"$1", :_}}, [{:"=:=", :"$1", {:const, :thing}}], [:"$1"]}], [:thing]}
            ] do
          assert module.select(registry, spec) == result
        end

        # The first that fits decides.
        two = [
          {{"hello", :_, :_}, [], [:greeting]},
          {{:_, :_, :_}, [], [:other]}
        ]

        assert Enum.sort(module.select(registry, two)) == [:greeting, :other]
      end

      test "count_select counts what is true", %{module: module, registry: registry} do
        {:ok, _} = module.register(registry, "hello", {:greeting, 1})
        {:ok, _} = module.register(registry, {:pair, 2}, {:thing, 2})
        assert module.count_select(registry, [{{:_, :_, :_}, [], [true]}]) == 2
        assert module.count_select(registry, [{{:_, :_, :_}, [], [false]}]) == 0
        assert module.count_select(registry, [{{"hello", :_, :_}, [], [true]}]) == 1
        guarded = [{{:_, :_, {:_, :"$1"}}, [{:>, :"$1", 1}], [true]}]
        assert module.count_select(registry, guarded) == 1
      end

      test "match specifications of another shape", %{module: module, registry: registry} do
        for spec <- [[{:_, [], []}], [{{:_, :_}, [], [:"$_"]}], [{{:_, :_, :_, :_}, [], []}]] do
          assert_raise ArgumentError, ~r/invalid match specification/, fn ->
            module.select(registry, spec)
          end

          assert_raise ArgumentError, ~r/invalid match specification/, fn ->
            module.count_select(registry, spec)
          end
        end

        {:ok, _} = module.register(registry, "hello", 1)
        unknown = [{:no_such_guard, 1}]
        assert_raise ArgumentError, fn -> module.match(registry, "hello", :_, unknown) end
        assert_raise ArgumentError, fn -> module.count_match(registry, "hello", :_, unknown) end
      end

      test "a registry that is not there", %{module: module, keys: keys} do
        refute keys == nil

        for use <- [
              fn -> module.register(Nowhere, 1, 2) end,
              fn -> module.unregister(Nowhere, 1) end,
              fn -> module.lookup(Nowhere, 1) end,
              fn -> module.keys(Nowhere, self()) end,
              fn -> module.values(Nowhere, 1, self()) end,
              fn -> module.match(Nowhere, 1, :_) end,
              fn -> module.count_match(Nowhere, 1, :_) end,
              fn -> module.unregister_match(Nowhere, 1, :_) end,
              fn -> module.select(Nowhere, [{{:_, :_, :_}, [], [true]}]) end,
              fn -> module.count_select(Nowhere, [{{:_, :_, :_}, [], [true]}]) end,
              fn -> module.count(Nowhere) end,
              fn -> module.update_value(Nowhere, 1, & &1) end,
              fn -> module.dispatch(Nowhere, 1, fn _ -> :ok end) end
            ] do
          assert_raise ArgumentError, use
        end
      end
    end

    describe "#{inspect(module)}, #{keys} keys, options:" do
      @describetag optional: {module, keys}

      test "listeners are told", %{optional: {module, keys}, test: test} do
        registry = Module.concat([__MODULE__, "Of #{test}"])
        heard = Module.concat(registry, Listener)
        listener(heard)
        start_supervised!({module, keys: keys, name: registry, listeners: [heard]})
        self = self()
        {:ok, _} = module.register(registry, "hello", :world)
        assert_receive {:heard, {:register, ^registry, "hello", ^self, :world}}, 5_000
        :ok = module.unregister(registry, "hello")
        assert_receive {:heard, {:unregister, ^registry, "hello", ^self}}, 5_000
      end

      test "that are wrong are refused", %{optional: {module, _}} do
        Process.flag(:trap_exit, true)

        for options <- [
              [keys: :unique],
              [keys: :other, name: WrongOptions],
              [keys: :unique, name: "a string"],
              [keys: :unique, name: WrongOptions, listeners: :no_list]
            ] do
          assert_raise ArgumentError, fn -> module.start_link(options) end
        end
      end
    end
  end

  for module <- [Registry, Holt.Registry] do
    describe "#{inspect(module)}, unique keys only:" do
      @describetag cased: {module, :unique}

      test "a key is given once", %{module: module, registry: registry} do
        {:ok, _} = module.register(registry, "hello", :world)
        assert module.register(registry, "hello", 1) == {:error, {:already_registered, self()}}
        test = self()
        again = fn -> module.register(registry, "hello", 2) end
        {_, _, result} = other = elsewhere(again)
        assert result == {:error, {:already_registered, test}}
        finish(other)
        assert module.lookup(registry, "hello") == [{test, :world}]
        :ok = module.unregister(registry, "hello")
        {pid, _, {:ok, _}} = other = elsewhere(again)
        assert module.lookup(registry, "hello") == [{pid, 2}]
        finish(other)
      end

      test "a value is changed by its owner", %{module: module, registry: registry} do
        {:ok, _} = module.register(registry, "hello", 1)
        assert module.update_value(registry, "hello", &(&1 + 1)) == {2, 1}
        assert module.lookup(registry, "hello") == [{self(), 2}]
        assert module.values(registry, "hello", self()) == [2]
        assert module.update_value(registry, "nobody", & &1) == :error

        other = {_, _, :error} = elsewhere(fn -> module.update_value(registry, "hello", & &1) end)
        finish(other)

        assert_raise RuntimeError, "oops", fn ->
          module.update_value(registry, "hello", fn _ -> raise "oops" end)
        end

        assert module.lookup(registry, "hello") == [{self(), 2}]
      end

      test "values are the process's own", %{module: module, registry: registry} do
        {pid, _, _} = other = elsewhere(fn -> module.register(registry, "hello", :world) end)
        assert module.values(registry, "hello", pid) == [:world]
        assert module.values(registry, "hello", self()) == []
        finish(other)
      end

      test "via", %{module: module, registry: registry} do
        name = {:via, module, {registry, "hello"}}
        assert GenServer.whereis(name) == nil
        {:ok, pid} = Agent.start_link(fn -> 0 end, name: name)
        assert module.whereis_name({registry, "hello"}) == pid
        assert module.send({registry, "hello"}, :ignored)
        assert Agent.update(name, &(&1 + 1)) == :ok
        assert Agent.get(name, & &1) == 1
        assert {:error, {:already_started, ^pid}} = Agent.start_link(fn -> 1 end, name: name)
        assert module.lookup(registry, "hello") == [{pid, nil}]
        assert module.keys(registry, pid) == ["hello"]
        assert Agent.stop(name) == :ok
        eventually(fn -> module.whereis_name({registry, "hello"}) == :undefined end)
      end

      test "via, with a value", %{module: module, registry: registry} do
        name = {:via, module, {registry, "hello", {:some, :value}}}
        {:ok, pid} = Agent.start_link(fn -> 0 end, name: name)
        assert module.lookup(registry, "hello") == [{pid, {:some, :value}}]
        assert Agent.get(name, & &1) == 0
        assert module.whereis_name({registry, "hello", :another}) == pid
        assert Agent.stop(name) == :ok
      end

      test "via, of nobody", %{module: module, registry: registry} do
        name = {:via, module, {registry, "nobody"}}
        assert {:noproc, _} = catch_exit(GenServer.call(name, :hello))
        assert GenServer.cast(name, :hello) == :ok
        assert_raise ArgumentError, fn -> module.send({registry, "nobody"}, :hello) end
      end
    end

    describe "#{inspect(module)}, duplicate keys only:" do
      @describetag cased: {module, :duplicate}

      test "each call makes an entry", %{module: module, registry: registry} do
        {:ok, _} = module.register(registry, "hello", :world)
        {:ok, _} = module.register(registry, "hello", :world)
        {:ok, _} = module.register(registry, "hello", :again)
        assert module.keys(registry, self()) == ["hello", "hello", "hello"]
        assert Enum.sort(module.values(registry, "hello", self())) == [:again, :world, :world]
        assert module.count(registry) == 3

        assert Enum.sort(module.lookup(registry, "hello")) ==
                 Enum.sort([{self(), :world}, {self(), :world}, {self(), :again}])

        assert module.count_match(registry, "hello", :world) == 2
        assert module.count_select(registry, [{{"hello", :_, :again}, [], [true]}]) == 1
        assert module.unregister(registry, "hello") == :ok
        assert module.keys(registry, self()) == []
      end

      test "entries of several processes", %{module: module, registry: registry} do
        {pid, _, _} = other = elsewhere(fn -> module.register(registry, "hello", :theirs) end)
        {:ok, _} = module.register(registry, "hello", :ours)
        expected = Enum.sort([{pid, :theirs}, {self(), :ours}])
        assert Enum.sort(module.lookup(registry, "hello")) == expected
        assert Enum.sort(module.match(registry, "hello", :_)) == expected
        assert module.match(registry, "hello", :theirs) == [{pid, :theirs}]
        assert module.values(registry, "hello", pid) == [:theirs]

        test = self()
        send_all = {__MODULE__, :forward, [:tag, test]}
        assert module.dispatch(registry, "hello", send_all) == :ok
        assert_received {:tag, ^pid, :theirs}
        assert_received {:tag, ^test, :ours}
        refute_received {:tag, _, _}
        assert module.dispatch(registry, "hello", send_all, parallel: true) == :ok
        assert_receive {:tag, ^pid, :theirs}
        assert_receive {:tag, ^test, :ours}

        # Ours only.
        assert module.unregister(registry, "hello") == :ok
        assert module.lookup(registry, "hello") == [{pid, :theirs}]
        finish(other)
        eventually(fn -> module.count(registry) == 0 end)
      end

      test "some entries of a key are taken away", %{module: module, registry: registry} do
        for value <- [{:old, 1}, {:old, 2}, {:new, 3}], do: module.register(registry, 1, value)
        assert module.unregister_match(registry, 1, {:old, :"$1"}, [{:>, :"$1", 1}]) == :ok
        assert Enum.sort(module.values(registry, 1, self())) == [{:new, 3}, {:old, 1}]
        assert module.keys(registry, self()) == [1, 1]
        assert module.unregister_match(registry, 1, {:old, :_}) == :ok
        assert module.values(registry, 1, self()) == [{:new, 3}]
      end

      test "what makes no sense is refused", %{module: module, registry: registry} do
        {:ok, _} = module.register(registry, "hello", 1)

        for use <- [
              fn -> module.update_value(registry, "hello", & &1) end,
              fn -> module.whereis_name({registry, "hello"}) end
            ] do
          assert_raise ArgumentError, use
        end
      end
    end
  end
end
