"""Schema migrations. Names say whether they run before (`pre`) or after (`post`) the new code."""
