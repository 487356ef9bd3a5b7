"""What seeds say together, from what each adds to a score: pure functions of arrays."""

from __future__ import annotations

import numpy as np

from entity_expand.types import AnyArray, Float64


def mean_gain(gains: AnyArray, weights: tuple[float, ...]) -> Float64:
    """Return the mean over the seeds of what each adds, (T,) for gains (S, T), by their weights (S) of mean 1 or ()."""
    shared: Float64 = gains.mean(axis=0) if not weights else np.array(weights) @ gains / len(gains)
    return shared


def gain_between(gains: AnyArray, weights: tuple[float, ...]) -> float | None:
    """Return the mean gain between two different seeds for gains (S, S), by their weights (S) or (); None for S = 1."""
    if len(gains) < 2:
        return None
    heard = np.array(weights) if weights else np.ones(len(gains))
    pairs = np.outer(heard, heard)
    np.fill_diagonal(pairs, 0.0)
    return float((pairs * gains).sum() / pairs.sum())
