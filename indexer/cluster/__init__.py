"""Encoding a corpus in many processes, on one machine or a cluster, under Ray Data."""

from indexer.cluster.encoder import RayEncoder, RaySettings

__all__ = ["RayEncoder", "RaySettings"]
