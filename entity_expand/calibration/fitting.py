"""Logistic regression by Newton's method: small, exact, and without a dependency."""

from __future__ import annotations

import numpy as np

from entity_expand.calibration.curve import probabilities
from entity_expand.types import AnyArray, Float64

_MOST_STEPS, _CLOSE = 100, 1e-9
_SMALLEST_SPREAD = 1e-12


def logistic(judged: Float64, members: AnyArray, penalty: float = 1.0) -> Float64:
    """Return the coefficients (F,) under which results are most probably what they are.

    Args:
        judged: (N, F) features; the first column is 1 and has no penalty.
        members: (N,) whether each result is a member.
        penalty: Half of it times the squared length of the coefficients of the standardised features is taken off the
            log-likelihood: so that what separates all too well stays finite.
    """
    mean, spread = judged.mean(axis=0), np.maximum(judged.std(axis=0), _SMALLEST_SPREAD)
    mean[0], spread[0] = 0.0, 1.0
    scaled, labels = (judged - mean) / spread, members.astype(np.float64)
    shrunk = np.diag(np.r_[0.0, np.full(judged.shape[1] - 1, penalty)])
    coefficients = np.zeros(judged.shape[1])
    for _ in range(_MOST_STEPS):
        chances = probabilities(scaled, coefficients)
        gradient = scaled.T @ (labels - chances) - shrunk @ coefficients
        curvature = (scaled * (chances * (1 - chances))[:, None]).T @ scaled + shrunk
        curvature[0, 0] += _CLOSE
        step = np.linalg.solve(curvature, gradient)
        coefficients += step
        if np.abs(step).max() < _CLOSE:
            break
    found: Float64 = coefficients / spread
    found[0] -= float((coefficients[1:] * mean[1:] / spread[1:]).sum())
    return found
