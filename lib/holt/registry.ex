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

      iex> {:ok, _} = Holt.Registry.start_link(name: MyApp.Registry, keys: :unique)
      iex> name = {:via, Holt.Registry, {MyApp.Registry, "agent 7"}}
      iex> {:ok, _pid} = Agent.start_link(fn -> 0 end, name: name)
      iex> Agent.update(name, &(&1 + 1))
      iex> Agent.get(name, & &1)
      1

  `{:via, Holt.Registry, {MyApp.Registry, key, value}}` registers a value with it.

  Reading and registering work on this node's copy, in the calling process: no call waits
  for another node unless it says so. `{:ok, _}` means that every later lookup on this node
  sees it; the other nodes see it a moment later. A name goes with its process, and the names
  of a node with the node.

  When two nodes have given a name to two processes, which can happen before they hear of
  each other, all nodes choose the same one, the newer; but a name that was given before its
  node had met any other gives way. The other process exits with the reason
  `{:shutdown, {:name_conflict, {key, value}, registry, winner}}`: a `:transient` child is
  not started again by its supervisor then, which is what you want, since the name is taken.

  With `keys: :duplicate` a key may have any number of entries, also several of one process,
  and there are no conflicts.

  Keys are any terms without functions, compared as by `===/2`. Wrong use raises
  `ArgumentError`, which says what was wrong. What differs from Elixir's `Registry`, and from
  `Horde.Registry`, is told in docs/compat.md.

  ## A module of your own

      defmodule MyApp.Names do
        use Holt.Registry, restart: :transient

        def start_link(_argument) do
          Holt.Registry.start_link(__MODULE__, [], name: __MODULE__)
        end

        @impl true
        def init(_argument), do: {:ok, keys: :unique, members: :auto}
      end

  `use Holt.Registry` defines `child_spec/1`, which may be overridden; what is written behind
  it goes into that specification. `init/1` returns `{:ok, options}`, or `:ignore`.

  ## Listeners

  As with Elixir's `Registry`, the processes registered as `listeners: [name, ...]` are told
  `{:register, registry, key, pid, value}` and `{:unregister, registry, key, pid}`; here for
  the processes of all nodes. `subscribe/3` can do more.
  """

  @typedoc "The name of a registry."
  @type registry :: atom()

  @typedoc "Any term without functions."
  @type key :: term()

  @typedoc "Any term."
  @type value :: term()

  @typedoc "What stands behind `{:via, Holt.Registry, ...}`."
  @type name :: {registry(), key()} | {registry(), key(), value()}

  @typedoc "What a value may look like: a pattern of `:ets.match_spec/0` for the value alone."
  @type match_pattern :: atom() | term()

  @typedoc "Conditions for it, as in `:ets.match_spec/0`."
  @type guards :: [term()]

  @typedoc "A match specification over `{key, pid, value}`."
  @type spec :: [{match_pattern :: term(), guards(), body :: [term()]}]

  @typedoc "Another node was needed, and does not run this registry, or does not answer."
  @type elsewhere :: {:no_instance | :unreachable, node()}

  @typedoc "How far a subscriber has come; for `subscribe/3` only."
  @type token :: term()

  @doc """
  The options of a registry that is started by `start_link/3`.
  """
  @callback init(argument :: term()) :: {:ok, :holt_registry.options()} | :ignore

  @doc false
  defmacro __using__(options) do
    quote location: :keep, bind_quoted: [options: options] do
      @behaviour Holt.Registry

      unless Module.get_attribute(__MODULE__, :doc) do
        @doc "How a supervisor starts this registry. See `Supervisor`."
      end

      def child_spec(argument) do
        default = %{
          id: __MODULE__,
          start: {__MODULE__, :start_link, [argument]},
          type: :supervisor
        }

        Supervisor.child_spec(default, unquote(Macro.escape(options)))
      end

      defoverridable child_spec: 1
    end
  end

  @doc """
  How a supervisor starts a registry; for the options see `start_link/1`.

  `Holt.Registry` alone in a list of children is a registry that is called `Holt.Registry`.

      iex> Holt.Registry.child_spec(name: MyApp.Registry)
      %{
        id: MyApp.Registry,
        start: {Holt.Registry, :start_link, [[name: MyApp.Registry]]},
        type: :supervisor
      }
  """
  @spec child_spec(:holt_registry.options()) :: Supervisor.child_spec()
  def child_spec([]), do: child_spec(name: __MODULE__)

  def child_spec(options) do
    %{:holt_registry.child_spec(options) | start: {__MODULE__, :start_link, [options]}}
  end

  @doc """
  Start a registry on this node and link to it.

  Options, as keyword list or map:

    * `:name` - an atom, needed; the same on every node that takes part
    * `:keys` - `:unique`, the default, or `:duplicate`
    * `:members` - `:auto`, the default: all connected nodes that run this registry; or a
      list of members, see `Holt.Cluster.set_members/3`
    * `:listeners` - names of processes that are told what is registered and unregistered,
      or a module with syn's callbacks
    * `:conflict` - who keeps a name that two have: `:keep_newest`, the default,
      `:keep_oldest`, or `{module, function}`, which is asked
    * `:conflict_exit` - how the other one goes: `:wrapped`, the default, with the reason
      `{:shutdown, {:name_conflict, {key, value}, registry, winner}}`, `:bare`, without
      `:shutdown`, or `:none`: it lives on without the name
    * `:owner_only` - `true`: only a process itself may give it a name or take it away
    * `:quorum` - how many members, this one included, have to be present for a name to be
      given: `:none`, the default, `:majority`, or a number
    * `:settle_ms` (1,000) - how long a registry that meets nobody waits until it is ready
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
    * `:subscriber_messages_max` (500) - who has more messages in its mailbox is told nothing
      more of what it has subscribed to, until it has at most half as many

  Others are refused.

  The pid is that of the root process, registered as `:name`. When it ends with `:normal`,
  `:shutdown` or `{:shutdown, _}`, the registry ends here and its names go, on all nodes.
  When it crashes, or its parent does, they wait for `:orphan_ms`; started again by then
  with the same options, the registry goes on with them.

      iex> {:ok, root} = Holt.Registry.start_link(name: Doc.Start, keys: :duplicate)
      iex> {:error, {:already_started, ^root}} = Holt.Registry.start_link(name: Doc.Start)
      iex> Process.whereis(Doc.Start) == root
      true
  """
  @spec start_link(:holt_registry.options()) :: Supervisor.on_start()
  defdelegate start_link(options), to: :holt_registry

  @doc """
  Start a registry whose options come from `module.init(argument)`.

  `init/1` has the last word: what it returns is put over the options that are given here,
  which is usually the `:name`.
  """
  @spec start_link(module(), argument :: term(), :holt_registry.options()) ::
          Supervisor.on_start()
  defdelegate start_link(module, argument, options \\ []), to: :holt_registry

  @doc false
  # What an init/1 that was written for Horde calls at its end.
  @spec init(:holt_registry.options()) :: {:ok, :holt_registry.options()}
  def init(options), do: {:ok, options}

  @doc "Stop the registry on this node. Its names here go, on all nodes; the processes live on."
  @spec stop(registry(), reason :: term(), timeout()) :: :ok
  defdelegate stop(registry, reason \\ :normal, timeout \\ :infinity), to: :holt_registry

  ## Giving names

  @doc """
  Give a name to the calling process.

  With unique keys `:already_registered` is also the answer when the caller itself has the
  name. With duplicate keys each call makes another entry.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Register)
      iex> {:ok, _} = Holt.Registry.register(Doc.Register, "hello", :world)
      iex> {:error, {:already_registered, pid}} = Holt.Registry.register(Doc.Register, "hello", 1)
      iex> pid == self()
      true
  """
  @spec register(registry(), key(), value()) ::
          {:ok, replica :: pid()}
          | {:error,
             {:already_registered, pid()}
             | :no_quorum
             | {:too_large, bytes :: non_neg_integer(), max :: pos_integer()}}
  defdelegate register(registry, key, value), to: :holt_registry

  @doc """
  Give a name, and say to whom and who has to know.

    * `:pid` - a process of this node or another one, instead of the caller; on another
      node this waits until the name is visible here
    * `:sync` - `:none`, the default; `:quorum` or `:all`: wait until so many of the present
      members have it
    * `:timeout` (5,000) - how long in milliseconds to wait for another node. With
      `{:error, :timeout}` the name is given; not everybody is known to have it

  A dead process gets `{:error, :not_alive}`.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.RegisterFor)
      iex> {:ok, agent} = Agent.start_link(fn -> 0 end)
      iex> {:ok, _} = Holt.Registry.register(Doc.RegisterFor, :agent, nil, pid: agent, sync: :all)
      iex> Holt.Registry.whereis_name({Doc.RegisterFor, :agent}) == agent
      true
  """
  @spec register(registry(), key(), value(), keyword() | map()) ::
          {:ok, replica :: pid()} | {:error, reason :: term()}
  defdelegate register(registry, key, value, options), to: :holt_registry

  @doc """
  Give the calling process several names, each with its value.

  Each name is looked at by itself: those that could be given are, and the others are told.
  The answer is `{:ok, replica}` when all were.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.RegisterAll)
      iex> {:ok, _} = Holt.Registry.register(Doc.RegisterAll, [{:a, 1}, {:b, 2}])
      iex> {:error, [{:b, {:already_registered, pid}}]} =
      ...>   Holt.Registry.register(Doc.RegisterAll, [{:b, 3}, {:c, 4}])
      iex> pid == self()
      true
      iex> Enum.sort(Holt.Registry.keys(Doc.RegisterAll, self()))
      [:a, :b, :c]

  What is not a list of pairs is one name, without a value, and the answer is `{:ok, self()}`,
  as in Horde 0.2.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.RegisterOne)
      iex> Holt.Registry.register(Doc.RegisterOne, "one") == {:ok, self()}
      true
  """
  @spec register(registry(), [{key(), value()}] | key()) ::
          {:ok, pid()} | {:error, [{key(), reason :: term()}] | (reason :: term())}
  def register(registry, pairs_or_key) do
    if pairs?(pairs_or_key) do
      :holt_registry.register(registry, pairs_or_key)
    else
      with {:ok, _replica} <- :holt_registry.register(registry, pairs_or_key, nil) do
        {:ok, self()}
      end
    end
  end

  defp pairs?([{_, _} | rest]), do: pairs?(rest)
  defp pairs?(rest), do: rest == []

  @doc """
  Take away a name, or each of a list of names.

  With unique keys it is taken from whoever has it; its process lives on and keeps its other
  names. A name of another node is removed there; then this waits until it is gone here, too.
  With duplicate keys the caller's own entries go.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Unregister)
      iex> {:ok, _} = Holt.Registry.register(Doc.Unregister, "hello", :world)
      iex> Holt.Registry.unregister(Doc.Unregister, "hello")
      :ok
      iex> Holt.Registry.unregister(Doc.Unregister, "hello")
      :ok
      iex> Holt.Registry.keys(Doc.Unregister, self())
      []

  A list that is itself a name, as a charlist may be, is that name.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.UnregisterAll)
      iex> {:ok, _} = Holt.Registry.register(Doc.UnregisterAll, [{:a, 1}, {:b, 2}, {'a b', 3}])
      iex> :ok = Holt.Registry.unregister(Doc.UnregisterAll, 'a b')
      iex> :ok = Holt.Registry.unregister(Doc.UnregisterAll, [:a, :b])
      iex> Holt.Registry.count(Doc.UnregisterAll)
      0
  """
  @spec unregister(registry(), key() | [key()]) ::
          :ok
          | {:error, elsewhere() | :not_owner}
          | {:error, [{key(), elsewhere() | :not_owner}]}
  def unregister(registry, keys) when is_list(keys) do
    if List.improper?(keys) or :holt_registry.is_registered(registry, keys) do
      :holt_registry.unregister(registry, keys)
    else
      :holt_registry.unregister_keys(registry, keys)
    end
  end

  def unregister(registry, key), do: :holt_registry.unregister(registry, key)

  @doc """
  Take those entries of the caller's away whose value matches; see `match/4`.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.UnregisterMatch, keys: :duplicate)
      iex> {:ok, _} = Holt.Registry.register(Doc.UnregisterMatch, "hello", :world)
      iex> {:ok, _} = Holt.Registry.register(Doc.UnregisterMatch, "hello", {:old, 1})
      iex> {:ok, _} = Holt.Registry.register(Doc.UnregisterMatch, "hello", {:old, 2})
      iex> Holt.Registry.unregister_match(Doc.UnregisterMatch, "hello", {:old, :_})
      :ok
      iex> Holt.Registry.values(Doc.UnregisterMatch, "hello", self())
      [:world]
  """
  @spec unregister_match(registry(), key(), match_pattern(), guards()) :: :ok
  defdelegate unregister_match(registry, key, pattern, guards \\ []), to: :holt_registry

  @doc """
  Hand a name, with its value, to another process, of this node or another one.

  It is one step, although a third node may see the one go a moment before it sees the other
  come. The process that had the name lives on without it.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.GiveAway)
      iex> {:ok, _} = Holt.Registry.register(Doc.GiveAway, :leader, :since_monday)
      iex> {:ok, agent} = Agent.start_link(fn -> 0 end)
      iex> Holt.Registry.give_away(Doc.GiveAway, :leader, agent)
      :ok
      iex> Holt.Registry.lookup(Doc.GiveAway, :leader) == [{agent, :since_monday}]
      true
  """
  @spec give_away(registry(), key(), pid()) :: :ok | {:error, reason :: term()}
  defdelegate give_away(registry, key, pid), to: :holt_registry

  @doc """
  Let the calling process stand by: when the holder of the name goes, it takes over.

  Of several the one that came first is next. When nobody has the name, the caller gets it at
  once. `unregister/2` takes the name from its holder only.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Standby)
      iex> {:ok, agent} = Agent.start(fn -> 0 end)
      iex> {:ok, _} = Holt.Registry.register(Doc.Standby, :leader, nil, pid: agent)
      iex> Holt.Registry.standby(Doc.Standby, :leader, :second)
      :ok
      iex> Holt.Registry.whereis_name({Doc.Standby, :leader}) == agent
      true
      iex> Agent.stop(agent)
      iex> Holt.Registry.lookup(Doc.Standby, :leader) == [{self(), :second}]
      true
  """
  @spec standby(registry(), key(), value()) :: :ok | {:error, reason :: term()}
  defdelegate standby(registry, key, value \\ nil), to: :holt_registry

  ## Finding names

  @doc """
  Who has this name, and with which value?

  With unique keys there is one pair at most.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Lookup)
      iex> Holt.Registry.lookup(Doc.Lookup, "hello")
      []
      iex> {:ok, _} = Holt.Registry.register(Doc.Lookup, "hello", :world)
      iex> Holt.Registry.lookup(Doc.Lookup, "hello") == [{self(), :world}]
      true
  """
  @spec lookup(registry(), key()) :: [{pid(), value()}]
  defdelegate lookup(registry, key), to: :holt_registry

  @doc """
  The process behind a via tuple, or `:undefined`, as in Horde 0.2.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.LookupVia)
      iex> Holt.Registry.lookup({:via, Holt.Registry, {Doc.LookupVia, "hello"}})
      :undefined
  """
  @spec lookup({:via, module(), name()}) :: pid() | :undefined
  def lookup({:via, _module, name}), do: :holt_registry.whereis_name(name)

  @doc "Same as `lookup/1`."
  @spec whereis({:via, module(), name()}) :: pid() | :undefined
  def whereis({:via, _module, name}), do: :holt_registry.whereis_name(name)

  @doc """
  Does anybody have this name?

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.IsRegistered)
      iex> Holt.Registry.is_registered(Doc.IsRegistered, "hello")
      false
  """
  @spec is_registered(registry(), key()) :: boolean()
  defdelegate is_registered(registry, key), to: :holt_registry

  @doc """
  The names of a process, of this node or another one; duplicate ones once for each entry.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Keys)
      iex> {:ok, _} = Holt.Registry.register(Doc.Keys, "hello", :world)
      iex> Holt.Registry.keys(Doc.Keys, self())
      ["hello"]
  """
  @spec keys(registry(), pid()) :: [key()]
  defdelegate keys(registry, pid), to: :holt_registry

  @doc """
  The values that a process has under a key.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Values, keys: :duplicate)
      iex> {:ok, _} = Holt.Registry.register(Doc.Values, "hello", 1)
      iex> {:ok, _} = Holt.Registry.register(Doc.Values, "hello", 2)
      iex> Enum.sort(Holt.Registry.values(Doc.Values, "hello", self()))
      [1, 2]
      iex> Holt.Registry.values(Doc.Values, "nobody", self())
      []
  """
  @spec values(registry(), key(), pid()) :: [value()]
  defdelegate values(registry, key, pid), to: :holt_registry

  @doc """
  Wait until somebody has this name; at most for so many milliseconds, or `:infinity`.

  It does not ask again and again, and leaves no message behind.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Await)
      iex> Holt.Registry.await(Doc.Await, :leader, 0)
      {:error, :timeout}
      iex> {:ok, _} = Holt.Registry.register(Doc.Await, :leader, 1)
      iex> Holt.Registry.await(Doc.Await, :leader, 5_000) == {self(), 1}
      true
  """
  @spec await(registry(), key(), timeout()) :: {pid(), value()} | {:error, :timeout}
  defdelegate await(registry, key, timeout), to: :holt_registry

  ## Values

  @doc """
  Change the value of a name of the calling process; `:error` when it has no such name.

  The function runs here, and again if somebody changed the value meanwhile.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Update)
      iex> {:ok, _} = Holt.Registry.register(Doc.Update, "hello", 1)
      iex> Holt.Registry.update_value(Doc.Update, "hello", &(&1 + 1))
      {2, 1}
      iex> Holt.Registry.update_value(Doc.Update, "nobody", &(&1 + 1))
      :error
  """
  @spec update_value(registry(), key(), (value() -> value())) ::
          {new :: value(), old :: value()} | :error
  defdelegate update_value(registry, key, fun), to: :holt_registry

  @doc """
  Change the value of a name of that process, of this node or another one.

  The function runs on its node. What it raises is raised here, and nothing changes.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.UpdateOf)
      iex> {:ok, agent} = Agent.start_link(fn -> 0 end)
      iex> {:ok, _} = Holt.Registry.register(Doc.UpdateOf, "hello", 1, pid: agent)
      iex> Holt.Registry.update_value(Doc.UpdateOf, "hello", agent, &(&1 + 1))
      {2, 1}
  """
  @spec update_value(registry(), key(), pid(), (value() -> value())) ::
          {new :: value(), old :: value()} | :error | {:error, elsewhere() | :not_owner}
  defdelegate update_value(registry, key, pid, fun), to: :holt_registry

  @doc """
  Those who have this name with a value that matches.

  The pattern is that of a match specification: `:_` is anything, `:"$1"`, `:"$2"` and so on
  stand for parts that the guards speak of.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Match)
      iex> {:ok, _} = Holt.Registry.register(Doc.Match, "hello", {1, :atom, 1})
      iex> Holt.Registry.match(Doc.Match, "hello", {1, :_, 1}) == [{self(), {1, :atom, 1}}]
      true
      iex> Holt.Registry.match(Doc.Match, "hello", {:"$1", :_, :"$1"}, [{:>, :"$1", 1}])
      []
  """
  @spec match(registry(), key(), match_pattern(), guards()) :: [{pid(), value()}]
  defdelegate match(registry, key, pattern, guards \\ []), to: :holt_registry

  @doc """
  Calls a function in the calling process with all who have this name, as `{pid, value}`.

  It is not called when there are none. In place of a function `{module, function, arguments}`
  is called with them in front of the arguments. With duplicate keys this is a publish and
  subscribe over the cluster; then `parallel: true` is accepted and means nothing here.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Dispatch, keys: :duplicate)
      iex> {:ok, _} = Holt.Registry.register(Doc.Dispatch, "news", :short)
      iex> Holt.Registry.dispatch(Doc.Dispatch, "news", fn entries ->
      ...>   for {pid, form} <- entries, do: send(pid, {form, "it rains"})
      ...> end)
      :ok
      iex> receive do message -> message end
      {:short, "it rains"}
  """
  @spec dispatch(
          registry(),
          key(),
          ([{pid(), value()}] -> term()) | {module(), atom(), [term()]},
          keyword() | map()
        ) :: :ok
  defdelegate dispatch(registry, key, fun_or_mfa, options \\ []), to: :holt_registry

  ## All names

  @doc """
  What a match specification makes of all `{key, pid, value}`.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Select)
      iex> {:ok, _} = Holt.Registry.register(Doc.Select, {:user, 1}, :sleeps)
      iex> {:ok, _} = Holt.Registry.register(Doc.Select, {:user, 2}, :works)
      iex> {:ok, _} = Holt.Registry.register(Doc.Select, :other, :works)
      iex> Holt.Registry.select(Doc.Select, [{{{:user, :"$1"}, :_, :works}, [], [:"$1"]}])
      [2]

  The table is read in slices: what comes or goes meanwhile may be there or not.
  """
  @spec select(registry(), spec()) :: [term()]
  defdelegate select(registry, spec), to: :holt_registry

  @doc """
  How many names, or with duplicate keys entries, are there?

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Count)
      iex> {:ok, _} = Holt.Registry.register(Doc.Count, [a: 1, b: 2])
      iex> Holt.Registry.count(Doc.Count)
      2
  """
  @spec count(registry()) :: non_neg_integer()
  defdelegate count(registry), to: :holt_registry

  @doc """
  How many of them are of processes of this node?

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.CountNode)
      iex> {:ok, _} = Holt.Registry.register(Doc.CountNode, :a, 1)
      iex> Holt.Registry.count(Doc.CountNode, node())
      1
  """
  @spec count(registry(), node()) :: non_neg_integer()
  defdelegate count(registry, node), to: :holt_registry

  @doc """
  How many `match/4` would find.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.CountMatch)
      iex> {:ok, _} = Holt.Registry.register(Doc.CountMatch, "hello", {1, :atom})
      iex> Holt.Registry.count_match(Doc.CountMatch, "hello", {:"$1", :_}, [{:==, :"$1", 1}])
      1
  """
  @spec count_match(registry(), key(), match_pattern(), guards()) :: non_neg_integer()
  defdelegate count_match(registry, key, pattern, guards \\ []), to: :holt_registry

  @doc """
  For how many the body of the match specification is `true`.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.CountSelect)
      iex> {:ok, _} = Holt.Registry.register(Doc.CountSelect, [a: 1, b: 2, c: 3])
      iex> spec = [{{:_, :_, :"$1"}, [{:>, :"$1", 1}], [true]}]
      iex> Holt.Registry.count_select(Doc.CountSelect, spec)
      2
  """
  @spec count_select(registry(), spec()) :: non_neg_integer()
  defdelegate count_select(registry, spec), to: :holt_registry

  @doc """
  All names, in no order, as `{key, pid, value}`.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.ToList)
      iex> {:ok, _} = Holt.Registry.register(Doc.ToList, "hello", :world)
      iex> Holt.Registry.to_list(Doc.ToList) == [{"hello", self(), :world}]
      true
  """
  @spec to_list(registry()) :: [{key(), pid(), value()}]
  defdelegate to_list(registry), to: :holt_registry

  @doc """
  Calls a function with each `{key, pid, value}` and what it returned before.

  The table is read in slices and never copied as a whole.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Fold)
      iex> {:ok, _} = Holt.Registry.register(Doc.Fold, [a: 1, b: 2])
      iex> Holt.Registry.fold(Doc.Fold, 0, fn {_key, _pid, value}, sum -> sum + value end)
      3
  """
  @spec fold(registry(), acc, ({key(), pid(), value()}, acc -> acc)) :: acc when acc: term()
  def fold(registry, acc, fun) when is_function(fun, 2) do
    :holt_registry.fold(registry, fun, acc)
  end

  def fold(_registry, _acc, other) do
    raise ArgumentError,
          "the 3rd argument has to be a function of {key, pid, value} and what it returned " <>
            "before, not #{inspect(other)}"
  end

  @doc """
  All names that are binaries and begin with this one.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Prefix)
      iex> {:ok, _} = Holt.Registry.register(Doc.Prefix, [{"user:1", nil}, {"page:1", nil}])
      iex> Holt.Registry.prefix(Doc.Prefix, "user:") == [{"user:1", self(), nil}]
      true
  """
  @spec prefix(registry(), binary()) :: [{binary(), pid(), value()}]
  defdelegate prefix(registry, prefix), to: :holt_registry

  @doc """
  All names, as `%{key => {pid}}`, as in Horde 0.2; for unique keys.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Processes)
      iex> {:ok, _} = Holt.Registry.register(Doc.Processes, "hello")
      iex> Holt.Registry.processes(Doc.Processes) == %{"hello" => {self()}}
      true
  """
  @spec processes(registry()) :: %{key() => {pid()}}
  def processes(registry) do
    :holt_registry.fold(registry, fn {key, pid, _}, map -> Map.put(map, key, {pid}) end, %{})
  end

  ## Watching

  @doc """
  Tell the calling process what happens to all names, to one, or to those with a prefix.

  It gets `{:holt, ref, token, events}`, in order, with `events` a list of maps:

    * `%{type: :registered | :updated | :unregistered, key: key, pid: pid, value: value,
      previous: {pid, value} | :undefined, reason: reason}`; the reason, why the one before
      has lost the name, is `:user`, `:down`, `:conflict`, `:given_away`, `:member` or
      `:unknown`
    * `%{type: :member_down | :member_up, member: member, count: count}` stands for all names
      of that member
    * `%{type: :missed}`: more has happened than could be kept for a process this slow, or
      since that token. Read the list, and go on

  The names that are there come first, with `initial: true` in their maps.

  Options:

    * `:from` - the token of the last message that was worked through: go on behind it
    * `:initial` - `false`: without the names that are there

  See docs/events.md.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Subscribe)
      iex> ref = Holt.Registry.subscribe(Doc.Subscribe, {:key, "hello"})
      iex> {:ok, _} = Holt.Registry.register(Doc.Subscribe, "hello", :world)
      iex> receive do
      ...>   {:holt, ^ref, _token, [%{type: type, key: key, value: value}]} -> {type, key, value}
      ...> end
      {:registered, "hello", :world}
      iex> Holt.Registry.unsubscribe(Doc.Subscribe, ref)
      :ok
  """
  @spec subscribe(
          registry(),
          :all | {:key, key()} | {:prefix, binary()},
          keyword() | map()
        ) :: reference()
  defdelegate subscribe(registry, what, options \\ []), to: :holt_registry

  @doc "End a subscription of the calling process; no message of it comes after this."
  @spec unsubscribe(registry(), reference()) :: :ok
  defdelegate unsubscribe(registry, ref), to: :holt_registry

  ## The cluster

  @doc """
  Wait until every present member has all that this node has registered by now.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.SyncBarrier)
      iex> Holt.Registry.sync_barrier(Doc.SyncBarrier, 5_000)
      :ok
  """
  @spec sync_barrier(registry(), timeout()) :: :ok | {:error, :timeout}
  defdelegate sync_barrier(registry, timeout), to: :holt_registry

  @doc """
  What is known of a name here: who has it, since when, who else wanted it, the last conflict,
  and how far the other members have followed.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Explain)
      iex> {:ok, _} = Holt.Registry.register(Doc.Explain, "hello", :world)
      iex> is_map(Holt.Registry.explain(Doc.Explain, "hello"))
      true
  """
  @spec explain(registry(), key()) :: map()
  defdelegate explain(registry, key), to: :holt_registry

  @doc "The same as text for people."
  @spec explain(registry(), key(), :text) :: String.t()
  def explain(registry, key, form) do
    registry |> :holt_registry.explain(key, form) |> IO.chardata_to_string()
  end

  ## What stands behind :via

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
