"""What `Expander` and `AsyncExpander` share, and the latter."""
