"""From the similarities of a list to the probability of each result, and to where the list ends: pure functions.

Two numbers are enough (docs/results/cutoff.md): how similar the result is to the seeds, and how similar the seeds are
to one another, the mean gain between two of them. Neither depends on a rank, so every page of a list is judged alike.
"""

from __future__ import annotations

import numpy as np

from entity_expand.types import AnyArray, Float64

_STEEPEST = 30.0


def features(similarities: AnyArray, between: float | None) -> Float64:
    """Return what a result is judged by, (T, 4): 1, its similarity, the gain between the seeds, whether there is one.

    Args:
        similarities: (T,) of the results.
        between: Mean gain between two seeds; None for a single seed, for which 0 and 1 stand in the last columns.
    """
    count = len(similarities)
    ones = np.ones(count)
    between_seeds, single = (0.0, 1.0) if between is None else (between, 0.0)
    return np.column_stack([ones, similarities, ones * between_seeds, ones * single]).astype(np.float64)


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
