# SPDX-License-Identifier: Apache-2.0
defmodule Jobs.MixProject do
  use Mix.Project

  def project do
    [
      app: :jobs,
      version: "1.0.0",
      elixir: "~> 1.14",
      # Beside what else is built here; an application of its own needs none of the three.
      build_path: "../../_build/examples/from_horde_registry",
      deps_path: "../../_build/examples/from_horde_registry/deps",
      lockfile: "../../_build/examples/from_horde_registry/mix.lock",
      # Instead of {:horde, "~> 0.8"}.
      deps: [{:holt, path: "../.."}]
    ]
  end

  def application, do: [mod: {Jobs.Application, []}, extra_applications: [:logger]]
end
