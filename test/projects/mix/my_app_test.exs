# SPDX-License-Identifier: Apache-2.0
defmodule MyAppTest do
  use ExUnit.Case

  defp via(key), do: {:via, Holt.Registry, {MyApp.Registry, key}}

  test "a name is registered, found and given back" do
    assert GenServer.whereis(via("agent 7")) == nil

    {:ok, pid} = Agent.start_link(fn -> :hello end, name: via("agent 7"))
    assert GenServer.whereis(via("agent 7")) == pid
    assert Agent.get(via("agent 7"), & &1) == :hello

    assert {:error, {:already_started, ^pid}} =
             Agent.start_link(fn -> :other end, name: via("agent 7"))

    :ok = Agent.stop(via("agent 7"))
    assert GenServer.whereis(via("agent 7")) == nil
  end

  test "the registry says what is in it" do
    {:ok, _} = Holt.Registry.register(MyApp.Registry, :me, 1)
    assert Holt.Registry.lookup(MyApp.Registry, :me) == [{self(), 1}]
    assert :ok = Holt.Registry.unregister(MyApp.Registry, :me)
    assert Holt.Registry.lookup(MyApp.Registry, :me) == []
  end
end
