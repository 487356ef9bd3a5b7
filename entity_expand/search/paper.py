"""The paper's own protocol: every class is expanded at once, and they compete for entities (NOTES.md sections 8, 9)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from entity_expand.errors import QueryError
from entity_expand.search.pools import DistributionPool, Pool
from entity_expand.search.window import SearchSettings, SetSearch
from entity_expand.types import AnyArray, Float64, Int64


def log_softmax(logits: Float64) -> Float64:
    """Return log-probabilities (n, V) of logits (n, V)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs: Float64 = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


def distribution_pool(weight: AnyArray, bias: AnyArray, features: AnyArray, offsets: AnyArray) -> DistributionPool:
    """Return the paper's features of a whole vocabulary: means over sentences of log-probabilities and probabilities.

    Args:
        weight: (V, D) of the entity head's last layer.
        bias: (V,) of it.
        features: (N, D) of all sentences, those of one entity behind one another.
        offsets: (V + 1,), entity i has the sentences offsets[i] to offsets[i + 1].
    """
    vocabulary = len(weight)
    mean_log = np.empty((vocabulary, vocabulary))
    mean = np.empty((vocabulary, vocabulary))
    transposed = weight.astype(np.float64).T
    for entity in range(vocabulary):
        own = features[offsets[entity] : offsets[entity + 1]].astype(np.float64)
        logs = log_softmax(own @ transposed + bias)  # (n_i, V)
        mean_log[entity] = logs.mean(axis=0)
        mean[entity] = np.exp(logs).mean(axis=0)
    return DistributionPool(mean_log, mean)


def expand_jointly(pool: Pool, seed_sets: Sequence[Int64], settings: SearchSettings, target: int) -> list[SetSearch]:
    """Grow the sets of several classes together; an entity taken by one is closed to the others.

    Args:
        pool: All entities, in id order.
        seed_sets: C times (S,) places of the seeds; all of one length. Not changed.
        settings: How to grow.
        target: T, members of each set at the end, seeds included.

    Returns:
        The C searches, each with T members.

    Raises:
        QueryError: The sets differ in size or share a seed, or the pool is too small for C * T members.
    """
    sizes = {len(seeds) for seeds in seed_sets}
    seeds_of_all = np.concatenate(list(seed_sets))
    if len(sizes) != 1 or len(np.unique(seeds_of_all)) != len(seeds_of_all):
        raise QueryError(
            f"Classes that are expanded together need the same number of seeds and no seed in common; "
            f"got {sorted(sizes)} seeds and {len(seeds_of_all) - len(np.unique(seeds_of_all))} repeated."
        )
    if len(seed_sets) * target > pool.size:
        raise QueryError(
            f"{len(seed_sets)} classes of {target} members need {len(seed_sets) * target} entities; "
            f"there are {pool.size}. Ask for shorter lists, or expand one class at a time."
        )
    closed = np.zeros(pool.size, dtype=bool)
    closed[seeds_of_all] = True
    searches = [SetSearch(pool, seeds, len(seeds), settings, closed) for seeds in seed_sets]
    while len(searches[0].members) < target:
        window = searches[0].window
        for search in searches:
            taken = search.step(window)
            for other in searches:
                other.close(taken)
    return searches
