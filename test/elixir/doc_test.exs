# SPDX-License-Identifier: Apache-2.0
defmodule Holt.DocTest do
  # The examples in the documentation of the modules, run as they stand there.
  use ExUnit.Case, async: true

  doctest Holt.Registry
  doctest Holt.Cluster
end
