"""Other ways of storing the same vectors, and what a graph over them finds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from elasticsearch_queries import Pair
from elasticsearch_worlds import World

Change = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From queries (Q, W) as they stand in the store's protocol to what is stored (n, W') and what is asked (Q, W')."""


def balanced(head: np.ndarray, query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and queries with a bias column that varies as an average column does."""
    factor = np.sqrt(head[:, :-1].var(axis=0).mean() / head[:, -1].var())
    scale = np.append(np.ones(head.shape[1] - 1), factor)
    return head * scale, query / scale


def lengthened(vectors: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors and queries of length 1 whose products order the entities as the inner products do."""
    squared = np.einsum("nw,nw->n", vectors, vectors, dtype=np.float64)
    longest = squared.max() * (1 + 1e-6)
    unit = np.column_stack([vectors, np.sqrt(longest - squared)]) / np.sqrt(longest)
    lengths = np.linalg.norm(queries, axis=1, keepdims=True)
    return unit, np.column_stack([queries / lengths, np.zeros(len(queries))])


def variants_of(world: World) -> dict[str, tuple[str, str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]]]:
    """Return ways of storing the vectors, by name: field of the queries, similarity, and the change of both sides."""
    head, mip = world.rows.head, "max_inner_product"

    def pair(
        centred: bool, scaled: bool, longer: bool = False
    ) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
        form = Pair.of(world, centred, scaled)
        if longer:
            return lambda queries: lengthened(form.stored(world), form.asked(queries))
        return lambda queries: (form.stored(world), form.asked(queries))

    return {
        "R": ("head", mip, lambda queries: (head, queries)),
        "R, bias balanced": ("head", mip, lambda queries: balanced(head, queries)),
        "R, lengthened": ("head", "dot_product", lambda queries: lengthened(head, queries)),
        "[R ; G]": ("pair", mip, pair(False, False)),
        "[R ; G], lengthened": ("pair", "dot_product", pair(False, False, longer=True)),
        "[c R ; G]": ("pair", mip, pair(False, True)),
        "[R ; G - g]": ("pair", mip, pair(True, False)),
        "[c R ; G - g]": ("pair", mip, pair(True, True)),
        "[c R ; G - g], lengthened": ("pair", "dot_product", pair(True, True, longer=True)),
    }
