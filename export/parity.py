"""How far a graph is from the model it came from, measured on features and on the lists that they give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entity_expand.errors import ParityError
from entity_expand.scoring import deviations, head_statistics, with_one
from entity_expand.types import AnyArray, Float64


@dataclass(frozen=True, slots=True)
class Bounds:
    """The largest differences that are allowed.

    Attributes:
        relative: Largest absolute difference of a feature's entry, as a share of the features' root mean square.
        overlap: Smallest mean share of the top k that both agree on.
    """

    relative: float = 1e-4
    overlap: float = 0.999


@dataclass(frozen=True, slots=True)
class Difference:
    """What was measured on features.

    Attributes:
        rows: Number of features compared.
        scale: Root mean square of the model's features.
        max_abs: Largest absolute difference.
        max_rel: The same, divided by `scale`.
        min_cosine: Smallest cosine between a feature of the graph and the model's.
    """

    rows: int
    scale: float
    max_abs: float
    max_rel: float
    min_cosine: float


def difference(model: AnyArray, graph: AnyArray) -> Difference:
    """Compare features (n, D) of the model and of the graph, row by row.

    Raises:
        ParityError: The shapes differ, there is no row, or a number is not finite.
    """
    if model.shape != graph.shape or model.size == 0:
        raise ParityError(f"The model gives features {model.shape}, the graph {graph.shape}.")
    if not (np.isfinite(model).all() and np.isfinite(graph).all()):
        raise ParityError("The model or the graph yields numbers that are not finite.")
    a, b = model.astype(np.float64), graph.astype(np.float64)
    scale = float(np.sqrt(np.mean(a * a)))
    largest = float(np.abs(a - b).max())
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.einsum("nd,nd->n", a, b) / np.maximum(norms, 1e-30)
    return Difference(len(a), scale, largest, largest / max(scale, 1e-30), float(cosine.min()))


def overlap(model: AnyArray, graph: AnyArray, rows: Float64, own: AnyArray, top_k: int) -> float:
    """Return the mean share of each entity's best candidates that model and graph agree on.

    Args:
        model: (n, D) mean features of n entities by the model.
        graph: (n, D) the same by the graph.
        rows: (V, W) float64 head rows [w, b].
        own: (n,) position of each entity among the V; it is no candidate of its own.
        top_k: Length of the lists, below V.
    """
    statistics = head_statistics(rows)
    best = []
    for features in (model, graph):
        scaled = with_one(features) / deviations(features, statistics)[:, None]
        scores = scaled @ (rows - statistics.mean_row).T  # (n, V)
        scores[np.arange(len(own)), own] = -np.inf
        best.append(np.argpartition(-scores, top_k - 1, axis=1)[:, :top_k])
    shared = [len(np.intersect1d(first, second)) for first, second in zip(*best, strict=True)]
    return float(np.mean(shared)) / top_k


def check(found: Difference, agreed: float | None, bounds: Bounds, where: str) -> None:
    """Compare measurements with the bounds.

    Args:
        found: Of the features.
        agreed: The overlap, or None where there are no lists.
        bounds: What is allowed.
        where: What was measured, for the message.

    Raises:
        ParityError: A bound is exceeded; the message holds the numbers.
    """
    if found.max_rel > bounds.relative:
        raise ParityError(
            f"The graph differs from the model on {where}: by up to {found.max_abs:.3g}, which is {found.max_rel:.3g} "
            f"of the features' scale {found.scale:.3g} (allowed {bounds.relative:.3g}); smallest cosine "
            f"{found.min_cosine:.6f}, {found.rows} features compared."
        )
    if agreed is not None and agreed < bounds.overlap:
        raise ParityError(
            f"The graph gives other lists than the model on {where}: they share {agreed:.4f} of their entries "
            f"(at least {bounds.overlap} expected), although features differ by {found.max_rel:.3g} at most."
        )
