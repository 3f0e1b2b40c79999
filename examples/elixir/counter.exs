# SPDX-License-Identifier: Apache-2.0
#
# A counter that is found by its name.  After `make all`, from the top folder:
#
#     elixir -pa _build/default/lib/holt/ebin examples/elixir/counter.exs

defmodule Counter do
  use GenServer

  def start_link(name), do: GenServer.start_link(__MODULE__, 0, name: via(name))
  def add(name, n), do: GenServer.call(via(name), {:add, n})

  defp via(name), do: {:via, Holt.Registry, {MyApp.Counters, name}}

  @impl true
  def init(count), do: {:ok, count}

  @impl true
  def handle_call({:add, n}, _from, count), do: {:reply, count + n, count + n}
end

{:ok, _} = Application.ensure_all_started(:holt)

children = [
  {Holt.Registry, name: MyApp.Counters, keys: :unique},
  {Counter, {:page, "/index.html"}}
]

{:ok, _} = Supervisor.start_link(children, strategy: :one_for_one)

1 = Counter.add({:page, "/index.html"}, 1)
5 = Counter.add({:page, "/index.html"}, 4)
[{pid, nil}] = Holt.Registry.lookup(MyApp.Counters, {:page, "/index.html"})
{:error, {:already_started, ^pid}} = Counter.start_link({:page, "/index.html"})
IO.puts("#{inspect(pid)} counts for #{inspect(Holt.Registry.keys(MyApp.Counters, pid))}")

# Its supervisor starts it again, and it takes the same name: a new process, counting anew.
Process.exit(pid, :kill)

[{new, nil}] =
  fn -> Holt.Registry.lookup(MyApp.Counters, {:page, "/index.html"}) end
  |> Stream.repeatedly()
  |> Enum.find(&match?([{other, nil}] when other != pid, &1))

1 = Counter.add({:page, "/index.html"}, 1)
IO.puts("killed, started again as #{inspect(new)}, and found by the same name")
