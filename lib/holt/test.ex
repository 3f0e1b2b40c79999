# SPDX-License-Identifier: Apache-2.0
defmodule Holt.Test do
  @moduledoc """
  Real nodes for tests: started, cut from each other, frozen, killed.

  For your own tests, on one machine and without root:

      defmodule MyApp.CutTest do
        use ExUnit.Case

        test "a name outlives a cut" do
          %{nodes: [a, b, _]} = Holt.Test.start_cluster(3, instances: [[name: MyApp.Names]])
          via = {:via, Holt.Registry, {MyApp.Names, :counter}}
          {:ok, pid} = Holt.Test.call(a, Agent, :start, [Map, :new, [], [name: via]])
          :ok = Holt.Test.await_in_sync(MyApp.Names, 10_000)
          :ok = Holt.Test.cut(a, b)
          [{^pid, nil}] = Holt.Test.call(b, Holt.Registry, :lookup, [MyApp.Names, :counter])
        end
      end

  Nodes run on the loopback, with names that nobody else has and a cookie of their own, so
  that tests may run beside each other. They are spoken with through their standard input
  and output: `call/2` works however they are cut off. They have the code paths of this
  node, and holt and elixir started; but not the modules of `.exs` files, which are in
  memory only. So hand them functions of modules that are compiled, with `call/4`.

  Everything that was started is killed by `stop/0`, when the process ends that has called
  `start_cluster/2` (or the one that was named as `:owner`), and when this node ends. In
  ExUnit that is the end of the test, or of all tests of the module after `setup_all`.

  Functions that are not told which cluster go for those that the calling process has
  started, or a process has by which it was started in turn; else for the only one there is.
  """

  @typedoc "What `start_cluster/2` returns."
  @type cluster :: %{nodes: [node()], daemons: [node()], cluster: pid()}

  @typedoc """
  Options of `start_cluster/2`, as keywords or a map:

    * `:instances` - registries that each node and each daemon has: names, or the options
      of `Holt.Registry.start_link/1`. They are started again with their node
    * `:holtd` - so many daemons as well; they run as soon as there is an instance for them
    * `:clock_offset_ms` - by how much holt takes the wall clock of each node to be wrong,
      one number for each
    * `:applications` - to start on each node, besides holt
    * `:args` - more arguments for `erl`, as charlists
    * `:connect` - `false`: the test makes the links
    * `:cookie` - of the cluster; one that nobody knows
    * `:owner` - the process with which the cluster ends, or `:none`; the calling one
    * `:seed` - what `drop/3` draws from; 1
  """
  @type options :: keyword() | map()

  @doc "Starts `n` nodes, each connected with each; this node is none of them."
  @spec start_cluster(n :: pos_integer(), options()) :: cluster()
  def start_cluster(n, options \\ []), do: :holt_test.start_cluster(n, options)

  @doc "Kills the nodes and daemons of the calling process. There may be none."
  @spec stop :: :ok
  defdelegate stop, to: :holt_test

  @doc "Kills those of this cluster."
  @spec stop(cluster()) :: :ok
  defdelegate stop(cluster), to: :holt_test

  @doc """
  Cuts two nodes from each other; those that have links with both keep them.

  Both have seen the end of the link when this returns. Two daemons cannot be cut.
  """
  @spec cut(node(), node()) :: :ok
  defdelegate cut(left, right), to: :holt_test

  @doc """
  What holt on `from` sends to holt on `to` does not arrive, and the link stays.

  Other messages, and monitors of processes, work as before.
  """
  @spec cut_one_way(from :: node(), to :: node()) :: :ok
  defdelegate cut_one_way(from, to), to: :holt_test

  @doc "This share, from 0 to 1, of what holt on `from` sends to holt on `to` gets lost."
  @spec drop(from :: node(), to :: node(), share :: number()) :: :ok
  defdelegate drop(from, to, share), to: :holt_test

  @doc "Ends all cuts and losses, and thaws who is frozen."
  @spec heal :: :ok
  defdelegate heal, to: :holt_test

  @doc "Likewise in this cluster."
  @spec heal(cluster()) :: :ok
  defdelegate heal(cluster), to: :holt_test

  @doc "Ends what is between these two; they are connected when this returns."
  @spec heal(node(), node()) :: :ok
  defdelegate heal(left, right), to: :holt_test

  @doc "Kills the operating system's process of a node or a daemon."
  @spec kill(node()) :: :ok
  defdelegate kill(node), to: :holt_test

  @doc "Starts it again under its name; if it still runs then it is killed before."
  @spec restart(node()) :: :ok
  defdelegate restart(node), to: :holt_test

  @doc "Stops its process for a while. Its links stay, until `net_ticktime` is over."
  @spec freeze(node()) :: :ok
  defdelegate freeze(node), to: :holt_test

  @doc "Lets it go on."
  @spec thaw(node()) :: :ok
  defdelegate thaw(node), to: :holt_test

  @doc "The number of its process, as the operating system has it."
  @spec os_pid(node()) :: charlist()
  defdelegate os_pid(node), to: :holt_test

  @doc "Waits until all members of this instance that run say that they are in sync."
  @spec await_in_sync(instance :: atom(), timeout_ms :: non_neg_integer()) :: :ok
  defdelegate await_in_sync(instance, timeout_ms), to: :holt_test

  @doc "Likewise in this cluster."
  @spec await_in_sync(cluster(), instance :: atom(), timeout_ms :: non_neg_integer()) :: :ok
  defdelegate await_in_sync(cluster, instance, timeout_ms), to: :holt_test

  @doc """
  A registry that only the calling process knows, and that ends with it: its name begins
  with this one and is new.

  It runs on all nodes and daemons of the clusters that the caller has started, or that have
  no owner; on this node if there are none. Takes a name, or options that have one.
  """
  @spec isolated(atom() | keyword() | map()) :: instance :: atom()
  defdelegate isolated(name_or_options), to: :holt_test

  @doc "Likewise, on all nodes of this cluster."
  @spec isolated(cluster(), atom() | keyword() | map()) :: instance :: atom()
  defdelegate isolated(cluster, name_or_options), to: :holt_test

  @doc "Runs a function of a compiled module on a node, whatever it is cut from."
  @spec call(node(), (() -> result)) :: result when result: term()
  defdelegate call(node, fun), to: :holt_test

  @doc "Calls a function there, in a process that ends with it."
  @spec call(node(), module(), atom(), [term()]) :: term()
  defdelegate call(node, module, function, arguments), to: :holt_test
end
