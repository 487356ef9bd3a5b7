"""Real servers for the tests: an Elasticsearch node, and a proxy that stands before it and breaks things."""
