"""How vectors are kept and searched, chosen by the size of the index."""

from __future__ import annotations

from entity_expand.elastic.bodies import VectorOptions

MOST_SCANNED = 20_000
"""Entities up to which every search scans all vectors: exact, and still a matter of milliseconds."""


def choose_options(entities: int) -> tuple[VectorOptions, str]:
    """Return how vectors are kept and searched for an index of so many entities, and why.

    At 14,489 entities of 769 numbers a scan took 21 ms and a graph 7.5 on two cores. A scan is exact, but takes longer
    the more entities there are. Quantised vectors are never chosen: beside the full ones they take more disk, not
    less, and they are right only with rescoring (docs/results/elasticsearch_recall.md).
    """
    if entities <= MOST_SCANNED:
        return VectorOptions("flat"), f"{entities:,} entities are few enough to scan them all, which is exact"
    return VectorOptions("hnsw"), f"{entities:,} entities are more than the {MOST_SCANNED:,} that are scanned quickly"
