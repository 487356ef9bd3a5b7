"""The alignment: features whose nearest neighbours are the model's own, in closed form.

Two facts tell which directions of a feature to trust, without any label of a class. The sentences of one entity
differ in what says nothing of it, so directions of a large scatter within entities are noise (`Moments`). And entities
that the model itself finds nearest are probably of one class, as its instance contrast assumes of expanded lists
(NOTES.md section 7), so directions of a large scatter between neighbours tell members of a class apart instead of
classes. A whitening by such a scatter is the linear map under which it is the same in all directions.

Each part that the model keeps apart, text and picture, has a map of its own; the lists come from both together, so
each learns what the other knows. The rows of the head become the entities' own features at length 1, so that the
standardised score is that of a cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entity_expand.types import Bool, Float64, Int64

_SMALL = 1e-12


@dataclass(frozen=True)
class Moments:
    """What is known of one part of the features.

    Attributes:
        means: (V, d) float64, the mean of each entity; 0 where it lacks this part.
        present: (V,) bool, whether it has this part.
        scatter: (d, d) float64, the mean of (x - mean of its entity)(x - mean of its entity)ᵀ over distinct samples.
    """

    means: Float64
    present: Bool
    scatter: Float64


@dataclass(frozen=True)
class Aligned:
    """One part after the alignment.

    Attributes:
        matrix: (w, d) float64 and
        offset: (w,) float64: a feature x becomes matrix x + offset.
        means: (V, w) float64, the entities' mean features then; 0 where one lacks this part.
        rows: (V, w) float64, the same at one length, the part's share in the rows of the head.
    """

    matrix: Float64
    offset: Float64
    means: Float64
    rows: Float64


def whitening(scatter: Float64, regularisation: float) -> Float64:
    """Return the map (d, d) that makes a scatter (d, d) the same in all directions, as columns.

    Args:
        scatter: Symmetric and not negative.
        regularisation: Share of its mean variance that is added in every direction; large numbers change little.
    """
    size = len(scatter)
    ridge = regularisation * max(np.trace(scatter) / size, _SMALL)
    values, vectors = np.linalg.eigh(scatter + ridge * np.eye(size))
    scaled: Float64 = vectors / np.sqrt(np.maximum(values, _SMALL))
    return scaled


def neighbour_scatter(means: Float64, present: Bool, neighbours: Int64) -> Float64:
    """Return half the mean of (a - b)(a - b)ᵀ over entities a and their neighbours b, both present: (d, d).

    Args:
        means: (V, d).
        present: (V,).
        neighbours: (V, k) rows of `means`.
    """
    total, pairs = np.zeros((means.shape[1], means.shape[1])), 0
    for column in neighbours.T:
        both = present & present[column]
        apart = means[both] - means[column[both]]
        total += apart.T @ apart
        pairs += int(both.sum())
    return total / max(1, 2 * pairs)


class Alignment:
    """The maps of all parts, fitted one step after the other.

    Args:
        parts: What is known of each part, the text's first where there are two.
        width: Most columns of a part's feature.
        picture_weight: How much the second part's standardised score counts beside the first's.
    """

    def __init__(self, parts: Sequence[Moments], width: int, picture_weight: float) -> None:
        self._parts, self._width, self._picture_weight = parts, width, picture_weight
        self._centres = [part.means[part.present].mean(axis=0) for part in parts]
        self._maps = [np.eye(part.means.shape[1]) for part in parts]

    def within(self, regularisation: Sequence[float]) -> None:
        """Whiten each part by the scatter within entities; one regularisation per part, the last for all further."""
        for place, part in enumerate(self._parts):
            own = regularisation[min(place, len(regularisation) - 1)]
            self._maps[place] = self._maps[place] @ whitening(part.scatter, own)

    def between(self, neighbours: Int64, regularisation: float) -> None:
        """Whiten each part by the scatter between neighbours (V, k), as the maps are now."""
        for place, part in enumerate(self._parts):
            scatter = neighbour_scatter(self._mapped(place), part.present, neighbours)
            self._maps[place] = self._maps[place] @ whitening(scatter, regularisation)

    def fitted(self) -> list[Aligned]:
        """Return the parts, their widths cut to what tells most entities apart, their scores standardised alike."""
        found = [self._cut(place) for place in range(len(self._parts))]
        scales = [1.0 / _deviation(each.rows, part.present) for each, part in zip(found, self._parts, strict=True)]
        weights = (1.0, *[self._picture_weight] * (len(found) - 1))
        # The score is an inner product of features and rows, so each carries the root of a part's weight.
        return [
            Aligned(root * each.matrix, root * each.offset, root * each.means, root * each.rows)
            for each, root in zip(found, np.sqrt(np.multiply(scales, weights)), strict=True)
        ]

    def _mapped(self, place: int) -> Float64:
        part = self._parts[place]
        mapped: Float64 = ((part.means - self._centres[place]) @ self._maps[place]) * part.present[:, None]
        return mapped

    def _cut(self, place: int) -> Aligned:
        mapped, part = self._mapped(place), self._parts[place]
        _, directions = np.linalg.eigh(mapped.T @ mapped)
        kept = directions[:, ::-1][:, : self._width]
        matrix, means = (self._maps[place] @ kept).T, mapped @ kept
        length = np.linalg.norm(means[part.present], axis=1)
        matrix, means = matrix / length.mean(), means / length.mean()
        rows = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), _SMALL)
        return Aligned(matrix, -matrix @ self._centres[place], means, rows)


def _deviation(rows: Float64, present: Bool) -> float:
    """Return the mean deviation of an entity's cosines with all entities that have the part."""
    own = rows[present]
    return max(float((own @ own.T).std(axis=1).mean()), _SMALL)
