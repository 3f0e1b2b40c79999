# SPDX-License-Identifier: Apache-2.0
{:ok, _} = Application.ensure_all_started(:holt)
ExUnit.start(capture_log: true)
