# SPDX-License-Identifier: Apache-2.0
{:ok, _} = Application.ensure_all_started(:holt)
ExUnit.start(capture_log: true)

defmodule Holt.Eventually do
  @doc "Wait until the function says true; after so many milliseconds the test fails."
  def eventually(fun, wait_ms) do
    deadline = System.monotonic_time(:millisecond) + wait_ms
    :holt_test.wait_until(fn -> fun.() && true end, deadline)
  end
end
