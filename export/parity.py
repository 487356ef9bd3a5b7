"""How far a graph is from the model it came from, measured on features and on the lists that they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from entity_expand.errors import ParityError
from entity_expand.types import AnyArray, Variant
from export.expansions import Agreement


@dataclass(frozen=True, slots=True)
class Bounds:
    """The largest differences that are allowed.

    Attributes:
        relative: Largest absolute difference of a feature's entry, as a share of the features' root mean square;
            None where the lists alone decide.
        cosine: Smallest cosine between a feature of the graph and the model's; None where the lists alone decide.
        overlap: Smallest mean share of an expansion that both agree on.
        map_loss: Most points of MAP that the graph may lose.
    """

    relative: float | None
    cosine: float | None
    overlap: float
    map_loss: float = 0.5


BOUNDS: Mapping[Variant, Bounds] = {
    "fp32": Bounds(relative=5e-4, cosine=0.9999, overlap=0.999),
    "fp16": Bounds(relative=0.5, cosine=0.99, overlap=0.99),
    "int8": Bounds(relative=None, cosine=None, overlap=0.97),
}
"""What is allowed of each variant."""


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
    lengths, norms = np.linalg.norm(a, axis=1), np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.einsum("nd,nd->n", a, b) / np.maximum(norms, 1e-30)
    cosine[lengths <= 1e-6 * scale] = 1.0  # a feature of nothing has no direction
    return Difference(len(a), scale, largest, largest / max(scale, 1e-30), float(cosine.min()))


def check(found: Difference, agreed: Agreement | None, bounds: Bounds, where: str) -> None:
    """Compare measurements with the bounds.

    Args:
        found: Of the features.
        agreed: Of whole expansions, or None where there are none.
        bounds: What is allowed.
        where: What was measured, for the message.

    Raises:
        ParityError: A bound is exceeded; the message holds the numbers.
    """
    far = bounds.relative is not None and found.max_rel > bounds.relative
    if far or (bounds.cosine is not None and found.min_cosine < bounds.cosine):
        raise ParityError(
            f"The graph differs from the model on {where}: by up to {found.max_abs:.3g}, which is {found.max_rel:.3g} "
            f"of the features' scale {found.scale:.3g} (allowed {bounds.relative}); smallest cosine "
            f"{found.min_cosine:.6f} (allowed {bounds.cosine}), {found.rows} features compared."
        )
    if agreed is not None and agreed.overlap < bounds.overlap:
        raise ParityError(
            f"The graph gives other lists than the model on {where}: {agreed.expansions} expansions share "
            f"{agreed.overlap:.4f} of their first {agreed.top_k} (at least {bounds.overlap} expected)."
        )
    if agreed is not None and agreed.map_loss > bounds.map_loss:
        raise ParityError(
            f"The graph loses {agreed.map_loss:.2f} points of MAP on {where} (allowed {bounds.map_loss}): "
            f"{agreed.graph_map:.2f} in place of {agreed.model_map:.2f}, {agreed.queries} queries."
        )
