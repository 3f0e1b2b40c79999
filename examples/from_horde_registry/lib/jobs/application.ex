# SPDX-License-Identifier: Apache-2.0
defmodule Jobs.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _arguments) do
    children = [
      # {Horde.Registry, name: Jobs.Registry, keys: :unique, members: :auto}
      {Holt.Registry, name: Jobs.Registry, keys: :unique, members: :auto},
      # The same, as a module that had `use Horde.Registry`.
      Jobs.Topics
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: Jobs.Supervisor)
  end
end
