# SPDX-License-Identifier: Apache-2.0
defmodule Mix.Tasks.Compile.HoltMake do
  @moduledoc false
  # Builds the NIF with the Makefile, which alone knows how to compile C.
  use Mix.Task.Compiler

  @impl true
  def run(_args) do
    make = System.get_env("MAKE") || Enum.find(["gmake", "make"], &System.find_executable/1)

    unless make do
      Mix.raise("holt needs make and a C compiler to build its native code")
    end

    arguments = ["-s", "native", "ERL_ROOT=#{:code.root_dir()}"]
    # A make further up speaks to its own children, not to ours.
    env = [{"MAKEFLAGS", nil}, {"MFLAGS", nil}, {"MAKELEVEL", nil}]
    options = [cd: __DIR__, env: env, stderr_to_stdout: true, into: IO.stream(:stdio, :line)]

    case System.cmd(make, arguments, options) do
      {_output, 0} ->
        # priv may not have existed when mix looked for it.
        Mix.Project.build_structure()
        {:ok, []}

      {_output, status} ->
        Mix.raise("holt: #{make} #{Enum.join(arguments, " ")} exited with #{status}")
    end
  end

  @impl true
  def clean do
    File.rm(Path.join(__DIR__, "priv/holt_nif.so"))
    :ok
  end
end

defmodule Holt.MixProject do
  use Mix.Project

  # What the project is called and starts is said once, in src/holt.app.src.
  {:ok, [{:application, app, properties}]} = :file.consult(~c"#{__DIR__}/src/holt.app.src")
  @app app
  @properties properties

  def project do
    [
      app: @app,
      version: to_string(@properties[:vsn]),
      description: to_string(@properties[:description]),
      elixir: "~> 1.14",
      compilers: [:holt_make, :erlang, :elixir, :app],
      # rebar3 has _build/default and _build/test.
      build_path: "_build/mix",
      erlc_options: [:debug_info],
      test_paths: ["test/elixir"],
      start_permanent: false,
      package: package(),
      deps: []
    ]
  end

  def application do
    [
      mod: @properties[:mod],
      registered: @properties[:registered],
      env: @properties[:env],
      extra_applications: @properties[:applications] -- [:kernel, :stdlib]
    ]
  end

  defp package do
    [
      licenses: Enum.map(@properties[:licenses], &to_string/1),
      links: Map.new(@properties[:links], fn {name, url} -> {to_string(name), to_string(url)} end),
      files: ~w(c_src include lib src priv/.gitignore Makefile mix.exs rebar.config
           README.md CHANGELOG.md LICENSE)
    ]
  end
end
