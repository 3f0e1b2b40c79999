# SPDX-License-Identifier: Apache-2.0
defmodule JobsTest do
  use ExUnit.Case

  @wait_ms 20_000

  setup_all do
    %{nodes: [a, b]} = cluster = Holt.Test.start_cluster(2)

    for node <- [a, b],
        do: {:ok, _} = Holt.Test.call(node, Application, :ensure_all_started, [:jobs])

    for node <- [a, b] do
      eventually(fn ->
        length(Holt.Test.call(node, Holt.Cluster, :members, [Jobs.Registry])) == 2
      end)
    end

    cluster
  end

  defp eventually(fun, deadline \\ System.monotonic_time(:millisecond) + @wait_ms) do
    cond do
      fun.() -> :ok
      System.monotonic_time(:millisecond) > deadline -> flunk("never came true")
      true -> Process.sleep(5) && eventually(fun, deadline)
    end
  end

  # As a child of the node's own supervisor.
  defp start(node, id) do
    child = Supervisor.child_spec({Jobs.Worker, id}, id: {:worker, id})
    {:ok, pid} = Holt.Test.call(node, Supervisor, :start_child, [Jobs.Supervisor, child])
    pid
  end

  defp whereis(node, id) do
    Holt.Test.call(node, Holt.Registry, :whereis_name, [{Jobs.Registry, {:worker, id}}])
  end

  defp active(node) do
    Holt.Test.call(node, Supervisor, :count_children, [Jobs.Supervisor]).active
  end

  test "a worker runs once, and is called from everywhere", %{nodes: [a, b]} do
    pid = start(a, 1)
    eventually(fn -> whereis(b, 1) == pid end)
    assert start(b, 1) == :undefined
    assert Holt.Test.call(b, Jobs.Worker, :run, [1, :job]) == {:job, 1, a}
    eventually(fn -> {1, 1} in Holt.Test.call(b, Jobs.Worker, :all, []) end)
  end

  test "two of them meet, and one goes for good", %{nodes: [a, b]} do
    :ok = Holt.Test.cut(a, b)
    older = start(a, 2)
    newer = start(b, 2)
    assert Holt.Test.call(a, Jobs.Worker, :run, [2, :job]) == {:job, 1, a}
    before = active(a)
    :ok = Holt.Test.heal()
    for node <- [a, b], do: eventually(fn -> whereis(node, 2) == newer end)
    eventually(fn -> not Holt.Test.call(a, Process, :alive?, [older]) end)
    # A :transient child is not started again after this reason.
    eventually(fn -> active(a) == before - 1 end)
    assert Holt.Test.call(a, Jobs.Worker, :run, [2, :job]) == {:job, 1, b}
  end

  test "topics have subscribers on all nodes", %{nodes: [a, b]} do
    tasks =
      for node <- [a, b], do: Task.async(Holt.Test, :call, [node, Jobs.Topics, :next, [:news]])

    eventually(fn -> Holt.Test.call(b, Holt.Registry, :count, [Jobs.Topics]) == 2 end)
    :ok = Holt.Test.call(b, Jobs.Topics, :publish, [:news, "it rains"])
    assert Task.await_many(tasks, @wait_ms) == ["it rains", "it rains"]
  end
end
