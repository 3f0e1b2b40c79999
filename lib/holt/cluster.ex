# SPDX-License-Identifier: Apache-2.0
defmodule Holt.Cluster do
  @moduledoc """
  Who takes part in an instance, and how it is.

  What is read here is what this node knows; no call but `join/2` asks another node. An
  instance that this node does not run raises `ArgumentError`.

  An instance with `members: :auto`, the default, has as members the connected nodes that run
  an instance of its name. One that is given a list, at its start or by `set_members/3`, has
  exactly those. A node that does not run the instance never gets its data.
  """

  @typedoc "The name of an instance, and a node that runs it."
  @type member :: {name :: atom(), node()}

  @typedoc """
  A member as you may write it: `:"name@host"` is the instance of the same name on that node,
  an atom without `@` an instance of that name on this node.
  """
  @type member_like :: member() | atom()

  @typedoc """
  One actor of a member: a member that was ended and started again is another one.

    * `:actor` - 0: in the list, and never seen
    * `:state` - `:present`: it is there. `:suspect`: we have just lost it, and ask the
      others; nothing changes meanwhile. `:paused`: the application holt is stopped there,
      and its names are hidden until it is back. `:absent`: nobody who is connected to us
      reaches it, and its names are hidden
    * `:contact` - how we know. `:direct`: we are connected to it. `:vouched`: others are,
      who say so
    * `:voucher` - the member that passes its names on to us, while it does
    * `:absent_ms` - for how long it has been absent, at least; else 0
    * `:shown` - its names are found here. False for one that is back, until we have caught
      up with it
    * `:names` - how many names it has, hidden or not
    * `:version` - the last of its changes that we hold
  """
  @type member_info :: %{
          member: member(),
          actor: non_neg_integer(),
          state: :present | :suspect | :absent | :paused,
          contact: :self | :direct | :vouched | :none,
          voucher: member() | :undefined,
          absent_ms: non_neg_integer(),
          shown: boolean(),
          names: non_neg_integer(),
          version: non_neg_integer()
        }

  @typedoc """
  A member that we have been greeted by, over a link that we think is there.

    * `:state` - `:busy`: its link takes no more for the moment. `:connecting`: there is no
      session, because its replica process is missing
    * `:lag` - how many of our changes it has not acknowledged: `:version` less `:acked`
    * `:acked`, `:version` - the last of our changes that it has acknowledged, and the last
      there is
    * `:in_flight_bytes` - sent and not acknowledged
    * `:protocol` - version of the protocol that is spoken with it
    * `:clock_ms` - its clock less ours, in milliseconds, when it said so last
    * `:in_sync` - whether it held what we hold now, when it said so last
    * `:refused` - how often what it sent was refused, by kind; kinds that have occurred
  """
  @type peer_info :: %{
          member: member(),
          state: :up | :busy | :connecting,
          lag: non_neg_integer(),
          acked: non_neg_integer(),
          version: non_neg_integer(),
          in_flight_bytes: non_neg_integer(),
          protocol: pos_integer(),
          clock_ms: integer(),
          in_sync: boolean(),
          refused: %{(kind :: atom()) => pos_integer()}
        }

  @doc """
  The members, this node's own included.

  With `members: :auto` those that are present: to which this node is connected, for which
  others vouch that they are, and, for the moment that it takes to ask them, those that were
  just lost. With a list exactly those of the list, whether they are there or not.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Members)
      iex> Holt.Cluster.members(Doc.Members) == [{Doc.Members, node()}]
      true
  """
  @spec members(instance :: atom()) :: [member()]
  defdelegate members(instance), to: :holt_cluster

  @doc """
  All members that this node knows, also those that are not here now.

  Absent ones are forgotten after `:forget_after_ms`, or by `evict/2`.
  """
  @spec members(instance :: atom(), :all) :: [member_info()]
  defdelegate members(instance, all), to: :holt_cluster

  @doc """
  Say who the members are: these and nobody else.

  `members/1` answers so when this returns; the other members are told, and of two such lists
  the later one counts. A member that is not in it keeps its own names and is alone. `:auto`
  in place of the list: whoever is connected and runs the instance.

  Nothing is waited for, so the timeout, which is there for those who come from Horde, means
  nothing.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.SetMembers)
      iex> Holt.Cluster.set_members(Doc.SetMembers, [Doc.SetMembers, :"app@db1.example.org"])
      :ok
      iex> Holt.Cluster.members(Doc.SetMembers) == [
      ...>   {Doc.SetMembers, :"app@db1.example.org"},
      ...>   {Doc.SetMembers, node()}
      ...> ]
      true
  """
  @spec set_members(instance :: atom(), [member_like()] | :auto, timeout()) ::
          :ok | {:error, :timeout | :no_instance}
  def set_members(instance, members, _timeout \\ 5_000) do
    :holt_cluster.set_members(instance, members)
  end

  @doc """
  Put two clusters of instances together: the members of both are the members of each.

  The instances may have different names, and both may be on this node.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.JoinLeft)
      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.JoinRight)
      iex> {:ok, _} = Holt.Registry.register(Doc.JoinLeft, "hello", :world)
      iex> Holt.Cluster.join(Doc.JoinLeft, Doc.JoinRight)
      :ok
      iex> Holt.Registry.await(Doc.JoinRight, "hello", 5_000) == {self(), :world}
      true
  """
  @spec join(instance :: atom(), member_like()) ::
          :ok | {:error, :timeout | {:no_instance | :unreachable, node()}}
  defdelegate join(instance, other), to: :holt_cluster

  @doc """
  As Horde has it: `true`, or `false` when the other one cannot be reached.
  """
  @spec join_hordes(instance :: atom(), member_like(), timeout()) :: boolean()
  def join_hordes(instance, other, _timeout \\ 5_000), do: join(instance, other) == :ok

  @doc """
  End being a member: the others are told, and the instance goes on alone, with its own names.
  """
  @spec leave(instance :: atom()) :: :ok | {:error, :timeout | :no_instance}
  defdelegate leave(instance), to: :holt_cluster

  @doc "Same as `leave/1`, as Horde calls it."
  @spec leave_hordes(instance :: atom()) :: :ok | {:error, :timeout | :no_instance}
  def leave_hordes(instance), do: leave(instance)

  @doc """
  Wait until the instance is ready for use.

    * `:members` - so many members are present, this one included, and their names are found
      here
    * `:quorum` - `:majority` of the members is, and theirs are: of the list, or, where there
      is none, of those that are known
    * `:settle` - for so many milliseconds nobody new has come, and the names of all that are
      present are found here
    * `:timeout` (5,000) - for so long at most, in milliseconds

  All that is asked for has to be true at once. Without any it is `:settle`, with the
  `:settle_ms` of the instance.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.AwaitReady)
      iex> Holt.Cluster.await_ready(Doc.AwaitReady, members: 1)
      :ok
  """
  @spec await_ready(instance :: atom(), keyword() | map()) ::
          :ok | {:error, :timeout | :no_instance}
  defdelegate await_ready(instance, options), to: :holt_cluster

  @doc """
  Forget a member that is absent now, and not after `:forget_after_ms`.

  It no longer counts where a majority is asked for. If it comes back it is a member again.
  A node stands for all members on it, and every node forgets for itself.
  """
  @spec evict(instance :: atom(), node() | member()) :: :ok | {:error, :present | :not_found}
  defdelegate evict(instance, node), to: :holt_cluster

  @doc "The other members that are linked to this one, and how far each has come."
  @spec peers(instance :: atom()) :: [peer_info()]
  defdelegate peers(instance), to: :holt_cluster

  @doc """
  Do all members hold the same names, as far as this node has heard?

  True when each peer has acknowledged all our changes, and held at its last word what we
  hold now; with no peer it is true. False while a peer is missing. Members compare what
  they hold every `:vector_interval_ms`, so after a change it takes about as long to become
  true again.
  """
  @spec in_sync(instance :: atom()) :: boolean()
  defdelegate in_sync(instance), to: :holt_cluster

  @doc """
  What this node runs: `:node`, its name; `:version`, that of holt; `:instances`, the names of
  those that are here, those that wait for their root to be started again included.

      iex> {:ok, _} = Holt.Registry.start_link(name: Doc.Info)
      iex> Doc.Info in Holt.Cluster.info().instances
      true
  """
  @spec info() :: %{node: node(), version: charlist(), instances: [atom()]}
  defdelegate info(), to: :holt_cluster

  @doc """
  What this node's copy of an instance holds, in numbers.

    * `:member`, `:actor`, `:creation`, `:version` - who we are, and our last change
    * `:count` - names in sight; `:memory_bytes` - native memory of this copy
    * `:actors` - the writers we know of. Copies with equal `:actor` and `:version` hold the
      same names and have the same `:fingerprint`
    * `:peers` - the links, those to nodes that have not answered included; `:in_sync` - see
      `in_sync/1`
    * `:refused` - what others sent in a form that is not allowed, by kind
    * `:conflicts` - names that processes of this node have lost; `:mixed_rules` - conflicts
      between members that have other rules for them
    * `:contests` - names that a function of `:conflict` has given to one of two, here;
      `:contests_failed` - and those for which it failed; `:losers_killed` - processes that
      had lost a name and did not end in `:conflict_grace_ms`
    * `:asks` - questions whether somebody reaches a member that we have lost; `:probes` -
      sent to find out for others; `:vouches` - that others gave us; `:vouches_lapsed` - and
      did not renew, or withdrew
    * `:forwarded`, `:forwarded_bytes` - changes of others that were passed on to those who
      do not hear them; `:flaps` - members that came and went, and were made to wait before
      they were shown again
    * `:gaps`, `:duplicates` - messages that came before their time, or again
    * `:repairs`, `:repairs_served`, `:stalls` - copies asked for anew, copies given to
      others, and repairs given up, and begun again, because they did not get on
    * `:backwards` - members that came back with less of their own names than was known
      here; all of theirs is fetched again
    * `:diverged` - how often a peer told of an equal version with unequal names; a copy
      that differs from what its own member says is fetched again
    * `:stamps_refused`, `:stamps_capped` - stamps of others beyond `:clock_bound_ms`, and
      our own that were held back to it
  """
  @spec info(instance :: atom()) :: %{atom() => term()}
  defdelegate info(instance), to: :holt_cluster
end
