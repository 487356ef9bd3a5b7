"""The HTTP service: an index behind typed, limited, observable endpoints. `create_app` makes it, `serve` runs it."""
