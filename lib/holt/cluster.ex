# SPDX-License-Identifier: Apache-2.0
defmodule Holt.Cluster do
  @moduledoc "Who takes part in an instance, and how it is."

  @typedoc "The name of an instance, and a node that runs it."
  @type member :: {name :: atom(), node()}

  @doc "The members that this node is connected to, itself included."
  @spec members(instance :: atom()) :: [member()]
  defdelegate members(instance), to: :holt_cluster

  @doc """
  What this node's copy of an instance holds, in numbers.

  `:actors` are the writers it knows of: copies with equal `:actor` and `:version` hold the
  same names and have the same `:fingerprint`. `:peers` are the links, with how far they
  have come. `:refused` counts what others sent in a form that is not allowed.
  """
  @spec info(instance :: atom()) :: %{atom() => term()}
  defdelegate info(instance), to: :holt_cluster
end
