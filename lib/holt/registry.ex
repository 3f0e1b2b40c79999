# SPDX-License-Identifier: Apache-2.0
defmodule Holt.Registry do
  @moduledoc """
  Names for processes, the same on every node of a cluster.

  A registry is part of the supervision tree of each node that takes part, under the same
  name:

      children = [
        {Holt.Registry, name: MyApp.Registry, keys: :unique}
      ]

  Names are given by `:via`, as with Elixir's own `Registry`, and found from all nodes:

      name = {:via, Holt.Registry, {MyApp.Registry, "agent 7"}}
      {:ok, _pid} = Agent.start_link(fn -> 0 end, name: name)
      0 = Agent.get(name, & &1)

  `{:via, Holt.Registry, {MyApp.Registry, key, value}}` registers a value with it.

  Reading and registering work on this node's copy, in the calling process: no call waits
  for another node. `:ok` means that every later lookup on this node sees it; the other
  nodes see it a moment later. A name goes with its process, and the names of a node with
  the node.

  When two nodes have given a name to two processes, which can happen before they hear of
  each other, all nodes choose the same one, the newer; but a name that was given before its
  node had met any other gives way. The other process exits with the
  reason `{:shutdown, {:name_conflict, {key, value}, registry, winner}}`.

  Keys are any terms without functions, compared as by `===/2`. Wrong use raises
  `ArgumentError`, which says what was wrong.
  """

  @typedoc "The name of a registry."
  @type registry :: atom()

  @typedoc "Any term without functions."
  @type key :: term()

  @typedoc "Any term."
  @type value :: term()

  @typedoc "What stands behind `{:via, Holt.Registry, ...}`."
  @type name :: {registry(), key()} | {registry(), key(), value()}

  @doc "How a supervisor starts a registry; for the options see `start_link/1`."
  @spec child_spec(:holt_registry.options()) :: Supervisor.child_spec()
  def child_spec(options) do
    %{:holt_registry.child_spec(options) | start: {__MODULE__, :start_link, [options]}}
  end

  @doc """
  Start a registry on this node and link to it.

  Options, as keyword list or map:

    * `:name` - an atom, needed; the same on every node that takes part
    * `:keys` - `:unique`, the default
    * `:members` - `:auto`, the default: all connected nodes that run this registry
    * `:conflict_grace_ms` (5,000) - a process that has lost its name and traps exits is
      killed after this
    * `:orphan_ms` (10,000) - how long the names wait after the root process has crashed,
      until the registry is started again
    * `:replica_restart_ms` (2,000) - how long other nodes wait for a crashed replica
      process before they hide its names
    * `:probe_ms` (500) - silence of a member that is asked whether it reaches another one
      counts as a no
    * `:vouch_ms` (2,000) - its yes is good for so long, unless it is renewed
    * `:flap_ms_max` (30,000) - the longest that a member which comes and goes is made to
      wait before its names are shown again
    * `:forget_after_ms` (86,400,000) - absent members are forgotten after this
    * `:clock_bound_ms` (5,000) - how far ahead another node's clock is believed
    * `:vector_interval_ms` (1,000) - how often members compare what they hold
    * `:window_bytes` (262,144) - unacknowledged bytes per member
    * `:message_bytes_max` (65,536; at most 262,144) - size of a message
    * `:key_bytes_max` (8,192; at most 65,535), `:value_bytes_max` (1,048,576; at most
      16,777,216) - larger ones are refused on this node

  Others are refused.

  The pid is that of the root process, registered as `:name`. When it ends with `:normal`,
  `:shutdown` or `{:shutdown, _}`, the registry ends here and its names go, on all nodes.
  When it crashes, or its parent does, they wait for `:orphan_ms`; started again by then
  with the same options, the registry goes on with them.
  """
  @spec start_link(:holt_registry.options()) :: Supervisor.on_start()
  defdelegate start_link(options), to: :holt_registry

  @doc "Stop the registry on this node. Its names here go, on all nodes; the processes live on."
  @spec stop(registry(), reason :: term(), timeout()) :: :ok
  defdelegate stop(registry, reason \\ :normal, timeout \\ :infinity), to: :holt_registry

  @doc """
  Give a name to the calling process.

  `:already_registered` is also the answer when the caller itself has the name.
  """
  @spec register(registry(), key(), value()) ::
          {:ok, replica :: pid()}
          | {:error,
             {:already_registered, pid()}
             | {:too_large, bytes :: non_neg_integer(), max :: pos_integer()}}
  defdelegate register(registry, key, value), to: :holt_registry

  @doc """
  Take a name away from whoever has it; its process lives on and keeps its other names.

  A name of another node is removed there; then this waits until it is gone here, too.
  """
  @spec unregister(registry(), key()) ::
          :ok | {:error, {:no_instance | :unreachable, node()}}
  defdelegate unregister(registry, key), to: :holt_registry

  @doc "Who has this name, and with which value?"
  @spec lookup(registry(), key()) :: [{pid(), value()}]
  defdelegate lookup(registry, key), to: :holt_registry

  @doc "Does anybody have this name?"
  @spec is_registered(registry(), key()) :: boolean()
  defdelegate is_registered(registry, key), to: :holt_registry

  @doc "The names of a process, of this node or another one."
  @spec keys(registry(), pid()) :: [key()]
  defdelegate keys(registry, pid), to: :holt_registry

  @doc """
  Change the value of a name of the calling process; `:error` when it has no such name.

  The function runs here, and again if somebody changed the value meanwhile.
  """
  @spec update_value(registry(), key(), (value() -> value())) ::
          {new :: value(), old :: value()} | :error
  defdelegate update_value(registry, key, fun), to: :holt_registry

  @doc "How many names are there?"
  @spec count(registry()) :: non_neg_integer()
  defdelegate count(registry), to: :holt_registry

  @doc "All names, in no order, as `{key, pid, value}`."
  @spec to_list(registry()) :: [{key(), pid(), value()}]
  defdelegate to_list(registry), to: :holt_registry

  @doc false
  @spec register_name(name(), pid()) :: :yes | :no
  def register_name({registry, key}, pid) do
    :holt_registry.register_name({registry, key, nil}, pid)
  end

  def register_name(name, pid), do: :holt_registry.register_name(name, pid)

  @doc false
  @spec unregister_name(name()) :: :ok | {:error, :not_owner}
  defdelegate unregister_name(name), to: :holt_registry

  @doc false
  @spec whereis_name(name()) :: pid() | :undefined
  defdelegate whereis_name(name), to: :holt_registry

  @doc false
  @spec send(name(), message :: term()) :: pid()
  defdelegate send(name, message), to: :holt_registry
end
