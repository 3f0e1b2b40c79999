[
  inputs: ["mix.exs", ".formatter.exs", "{lib,test/elixir}/**/*.{ex,exs}"],
  line_length: 100
]
