# SPDX-License-Identifier: Apache-2.0
defmodule Holt.GuideTest do
  # The code in the guides, run as it stands there: the blocks of a language one after the
  # other, with the variables of those before.
  # Not beside other tests: the names of its registries are those of other examples.
  use ExUnit.Case

  @docs Path.expand("../../docs", __DIR__)

  # {line of the fence, code}
  defp blocks(page, language) do
    lines = Path.join(@docs, page) |> File.read!() |> String.split("\n") |> Enum.with_index(1)

    {blocks, _} =
      Enum.reduce(lines, {[], nil}, fn
        {"```" <> ^language, line}, {done, nil} -> {done, {line, []}}
        {"```", _}, {done, {line, code}} -> {[{line, Enum.reverse(code)} | done], nil}
        {text, _}, {done, {line, code}} -> {done, {line, [text | code]}}
        _, state -> state
      end)

    for {line, code} <- Enum.reverse(blocks), do: {line, Enum.join(code, "\n")}
  end

  defp run_elixir(page) do
    Enum.reduce(blocks(page, "elixir"), [], fn {line, code}, binding ->
      {_, binding} = Code.eval_string(code, binding, file: page, line: line + 1)
      binding
    end)
  end

  defp run_erlang(page) do
    Enum.reduce(blocks(page, "erlang"), [], fn {line, code}, bindings ->
      {:ok, tokens, _} = :erl_scan.string(String.to_charlist(code), line + 1)
      Enum.reduce(forms(tokens), bindings, &eval(&1, &2, page))
    end)
  end

  defp forms(tokens) do
    tokens
    |> Enum.chunk_while(
      [],
      fn
        {:dot, _} = dot, form -> {:cont, Enum.reverse([dot | form]), []}
        token, form -> {:cont, [token | form]}
      end,
      fn [] -> {:cont, []} end
    )
  end

  defp eval([first | _] = form, bindings, page) do
    {:ok, expressions} = :erl_parse.parse_exprs(form)
    {:value, _, bindings} = :erl_eval.exprs(expressions, bindings)
    bindings
  rescue
    error ->
      line = :erl_scan.line(first)
      flunk("#{page}:#{line}: #{Exception.format(:error, error, __STACKTRACE__)}")
  end

  @tag :capture_log
  test "docs/registry.md, in Elixir" do
    ExUnit.CaptureIO.capture_io(fn -> run_elixir("registry.md") end)
  end

  @tag :capture_log
  test "docs/registry.md, in Erlang" do
    ExUnit.CaptureIO.capture_io(fn -> run_erlang("registry.md") end)
  end
end
