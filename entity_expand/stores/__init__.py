"""Stores: where the vectors, names and evidence of an index are kept."""
