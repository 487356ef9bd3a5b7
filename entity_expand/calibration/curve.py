"""From the similarities of a list to the probability of each result, and to where the list ends: pure functions.

A result is judged by how similar it is to the seeds, by how similar the seeds are to one another, the mean gain between
two of them, and by its rank, which brings in how large the sets usually are. What each is worth is measured in
docs/results/cutoff.md.
"""

from __future__ import annotations

import numpy as np

from entity_expand.types import AnyArray, Float64

_STEEPEST = 30.0


def features(similarities: AnyArray, between: float | None, first: int = 1) -> Float64:
    """Return what results are judged by, (T, 6).

    The columns are 1, the similarity, the gain between the seeds, whether there is one seed alone, the similarity if
    so, and the logarithm of the rank.

    Args:
        similarities: (T,) of the results, best first.
        between: Mean gain between two seeds; None for one alone, for which 0 stands in its column.
        first: Rank of the first result; more than 1 where a list goes on.
    """
    count, single = len(similarities), float(between is None)
    ones, given = np.ones(count), np.asarray(similarities, dtype=np.float64)
    ranks = np.log(np.arange(first, first + count, dtype=np.float64))
    return np.column_stack([ones, given, ones * (between or 0.0), ones * single, given * single, ranks])


def probabilities(judged: Float64, coefficients: AnyArray | tuple[float, ...]) -> Float64:
    """Return the probability of each result, (T,), for features (T, F) and their coefficients (F,)."""
    logits = np.clip(judged @ np.asarray(coefficients, dtype=np.float64), -_STEEPEST, _STEEPEST)
    chances: Float64 = 1.0 / (1.0 + np.exp(-logits))
    return chances


def likely(chances: Float64) -> int:
    """Return how many of the first results make the best set, by the F1 that is to be expected.

    Of the first k, Σ_{i<=k} p_i are members, of all results Σ p_i; so F1 is about 2 Σ_{i<=k} p_i / (k + Σ p_i). That
    the best k follows from it is known since Lewis, "Evaluating and Optimizing Autonomous Text Classification Systems"
    (SIGIR 1995).
    """
    if not len(chances):
        return 0
    expected = 2 * np.cumsum(chances) / (np.arange(1, len(chances) + 1) + chances.sum())
    return int(expected.argmax()) + 1
