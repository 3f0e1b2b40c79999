# SPDX-License-Identifier: Apache-2.0
defmodule Jobs.Worker do
  @moduledoc """
  A worker that exists once in the cluster, found by its name.
  """
  # Horde's loser goes with {:name_conflict, ...}, which a supervisor takes for a crash of a
  # :transient child, too; ours with {:shutdown, {:name_conflict, ...}}.
  use GenServer, restart: :transient

  def start_link(id) do
    case GenServer.start_link(__MODULE__, id, name: via(id)) do
      {:ok, pid} -> {:ok, pid}
      {:error, {:already_started, _}} -> :ignore
    end
  end

  def run(id, job), do: GenServer.call(via(id), {:run, job})

  @doc "The workers there are, with how many jobs each has done."
  def all do
    # Horde.Registry.select(Jobs.Registry, ...), the same specification
    Holt.Registry.select(Jobs.Registry, [{{{:worker, :"$1"}, :_, :"$2"}, [], [{{:"$1", :"$2"}}]}])
  end

  defp via(id), do: {:via, Holt.Registry, {Jobs.Registry, {:worker, id}, 0}}

  @impl true
  def init(id) do
    # The loser of a conflict may put its affairs in order.
    Process.flag(:trap_exit, true)
    {:ok, id}
  end

  @impl true
  def handle_call({:run, job}, _from, id) do
    {done, _} = Holt.Registry.update_value(Jobs.Registry, {:worker, id}, &(&1 + 1))
    {:reply, {job, done, node()}, id}
  end

  @impl true
  # Horde: {:EXIT, _, {:name_conflict, {key, value}, registry, winner}}
  def handle_info({:EXIT, _, {:shutdown, {:name_conflict, {_, done}, _, winner}} = reason}, id) do
    Jobs.Topics.publish(:conflicts, {id, done, winner})
    {:stop, reason, id}
  end

  def handle_info({:EXIT, _, reason}, id), do: {:stop, reason, id}
end
