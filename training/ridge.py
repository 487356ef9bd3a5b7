"""A linear map from an entity's mean feature to a head row, for entities that the head was not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entity_expand.types import AnyArray, Float32, Float64, Int64

ALPHAS = tuple(10.0**power for power in range(-6, 5))


@dataclass(frozen=True, slots=True)
class RidgeFit:
    """The map and what is known of its error.

    Attributes:
        matrix: (W, W) float32, row [g, 1] @ matrix = [w, b].
        alpha: Regularisation, relative to the features' mean variance; None where too few entities allow no choice.
        fitted: Number of entities that the error was measured with.
        held_out: Number of entities that it was measured on.
        held_out_error: Norm of the difference over the norm of the true centred rows; None if nothing was held out.
        held_out_cosine: Mean cosine of predicted and true centred rows; None if nothing was held out.
    """

    matrix: Float32
    alpha: float | None
    fitted: int
    held_out: int
    held_out_error: float | None
    held_out_cosine: float | None


def fit_ridge(features: AnyArray, rows: Float64, seed: int) -> RidgeFit:
    """Fit the map.

    A tenth of the entities is held out to state the error, and another to choose alpha; the map that is returned
    is then fitted on all with that alpha. With fewer than three entities it maps everything to the mean row.

    Args:
        features: (n, D) mean features.
        rows: (n, W) true head rows [w, b].
        seed: Draws the two tenths.
    """
    n = len(features)
    x = features.astype(np.float64)
    if n < 3:
        return RidgeFit(_solved(x, rows, (np.inf,))[0].astype(np.float32), None, n, 0, None, None)
    order = np.random.default_rng(seed).permutation(n)
    tenth = max(1, n // 10)
    tested, chosen, rest = order[:tenth], order[tenth : 2 * tenth], order[2 * tenth :]
    mean_row = rows.mean(axis=0)
    errors = [_errors(matrix, x[chosen], rows[chosen], mean_row)[0] for matrix in _solved(x[rest], rows[rest], ALPHAS)]
    alpha = ALPHAS[int(np.argmin(errors))]
    fitted: Int64 = order[tenth:]
    error, cosine = _errors(_solved(x[fitted], rows[fitted], (alpha,))[0], x[tested], rows[tested], mean_row)
    matrix = _solved(x, rows, (alpha,))[0].astype(np.float32)
    return RidgeFit(matrix, alpha, len(fitted), tenth, error, cosine)


def _solved(x: Float64, rows: Float64, alphas: tuple[float, ...]) -> list[Float64]:
    """Return for each alpha the (W, W) map with the smallest squared error plus alpha times its squared entries.

    Alpha is relative to the mean variance of the features; the constant is not regularised.
    """
    x_mean, row_mean = x.mean(axis=0), rows.mean(axis=0)
    centred = x - x_mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(x))
    values = np.maximum(values, 0.0)
    projected = vectors.T @ (centred.T @ (rows - row_mean) / len(x))  # (D, W)
    unit = max(float(values.mean()), 1e-30)
    maps = []
    for alpha in alphas:
        slope = vectors @ (projected / (values + alpha * unit)[:, None])  # (D, W)
        maps.append(np.vstack([slope, row_mean - x_mean @ slope]))
    return maps


def _errors(matrix: Float64, x: Float64, rows: Float64, mean_row: Float64) -> tuple[float, float]:
    """Return the relative error and the mean cosine of predictions, both against centred rows."""
    true = rows - mean_row
    predicted = np.column_stack([x, np.ones(len(x))]) @ matrix - mean_row
    error = np.linalg.norm(predicted - true) / max(float(np.linalg.norm(true)), 1e-30)
    norms = np.linalg.norm(predicted, axis=1) * np.linalg.norm(true, axis=1)
    cosine = np.einsum("nw,nw->n", predicted, true) / np.maximum(norms, 1e-30)
    return float(error), float(cosine.mean())
