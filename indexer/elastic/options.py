"""How vectors are kept and searched, chosen by the size of the index."""

from __future__ import annotations

from entity_expand.elastic.bodies import VectorOptions

MOST_SCANNED = 20_000
"""Entities up to which every search scans all vectors: exact, and still a matter of milliseconds."""


def choose_options(entities: int) -> tuple[VectorOptions, str]:
    """Return how vectors are kept and searched for an index of so many entities, and why.

    On two cores a scan took 21 ms and a graph 7.5 at 14,489 entities of 769 numbers, 42 and 13 at 200,000 of 385, where
    expansions over the graph gave 0.999 of the exact lists. A scan is exact, but takes longer the more entities there
    are. Quantised vectors are never chosen: beside the full ones they take more disk, not less, and 1 bit is right only
    with rescoring (docs/results/elasticsearch_recall.md).
    """
    if entities <= MOST_SCANNED:
        return VectorOptions("flat"), f"{entities:,} entities are few enough to scan them all, which is exact"
    return VectorOptions("hnsw"), f"{entities:,} entities are more than the {MOST_SCANNED:,} that are scanned quickly"
