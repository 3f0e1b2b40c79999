# SPDX-License-Identifier: Apache-2.0
defmodule Jobs.Topics do
  @moduledoc """
  Who wants to hear of what. Horde had no duplicate keys, so the pid had to be in the key.
  """
  use Holt.Registry

  def start_link(_), do: Holt.Registry.start_link(__MODULE__, [keys: :duplicate], name: __MODULE__)

  @impl true
  def init(options), do: [members: :auto] |> Keyword.merge(options) |> Holt.Registry.init()

  @doc "Waits for the next message about a topic."
  def next(topic) do
    {:ok, _} = Holt.Registry.register(__MODULE__, topic, nil)

    receive do
      {^topic, message} ->
        :ok = Holt.Registry.unregister(__MODULE__, topic)
        message
    end
  end

  @doc "Sends a message to all who have subscribed on any node."
  def publish(topic, message) do
    Holt.Registry.dispatch(__MODULE__, topic, fn entries ->
      for {pid, _} <- entries, do: send(pid, {topic, message})
    end)
  end
end
