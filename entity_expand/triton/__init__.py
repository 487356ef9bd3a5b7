"""Triton: a model repository for a server, and encoders and scorers that ask one instead of running a graph."""
