"""Mean features of the entities, as the model under training has them now."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from entity_expand.errors import TrainingError
from entity_expand.types import AnyArray, Bool, Float32, Int64

Shown: TypeAlias = Literal["text", "picture", "both", "apart"]
"""What the model is shown of a sample; "apart": each alone, the two features averaged."""


class Encode(Protocol):
    """Maps samples to trunk features; the model is in evaluation mode meanwhile, see `evaluating`."""

    def __call__(self, rows: Int64, hide_picture: Bool, hide_text: Bool) -> Tensor:
        """Return g (B, D) of the rows (B,) of the training set, with some pictures and texts hidden, (B,) each."""
        ...


@dataclass(frozen=True)
class Samples:
    """The trained samples.

    Attributes:
        labels: (N,) int64 head row of each.
        has_text: (N,) bool.
        picture_of: (N,) int64 number of its picture; -1 without one. Samples share pictures.
    """

    labels: Int64
    has_text: Bool
    picture_of: Int64


@dataclass(frozen=True)
class EntityFeatures:
    """Mean features of those entities that have anything to show.

    Attributes:
        entities: (n,) int64 head rows, rising.
        means: (n, D) float32.
    """

    entities: Int64
    means: Float32


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Hold a model in evaluation mode without gradients, and put it back into its mode afterwards."""
    before = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(before)


def entity_features(
    encode: Encode, samples: Samples, shown: Shown, *, picture_weight: float = 0.25, batch_size: int = 256
) -> EntityFeatures:
    """Return the mean feature of each entity over its samples, as an index of them would have it.

    Args:
        encode: The model.
        samples: The trained samples.
        shown: "text" leaves out samples without a text, "picture" those without a picture. "apart" averages the two
            means; an entity that has only one of them gets that one.
        picture_weight: Share of the picture where "apart".
        batch_size: Samples per call of `encode`.

    Returns:
        Means that are summed in float64, in an order that depends on nothing but the arguments.

    Raises:
        TrainingError: A feature is not finite, or no entity has anything to show.
    """
    wanted: dict[Shown, float] = {shown: 1.0}
    if shown == "apart":
        wanted = {"text": 1.0 - picture_weight, "picture": picture_weight}
    parts: list[tuple[Int64, AnyArray, float]] = []
    for part, weight in wanted.items():
        rows, counts = chosen_samples(samples, part)
        if len(rows):
            sums, own = _sums(encode, samples.labels, rows, counts, part, batch_size)
            here = np.flatnonzero(own)
            parts.append((here, sums[here] / own[here, None], weight))
    if not parts:
        raise TrainingError(f"No trained sample has what {shown!r} shows; choose another modality.")
    found = _averaged(parts)
    if not np.isfinite(found.means).all():
        raise TrainingError("The model's features are not finite numbers, so nothing can be expanded or measured.")
    return found


def weighed(text: EntityFeatures, picture: EntityFeatures, weight: float) -> EntityFeatures:
    """Return the average of two features, `weight` the share of the picture; an entity with one only gets that one."""
    return _averaged([(text.entities, text.means, 1.0 - weight), (picture.entities, picture.means, weight)])


def _averaged(parts: Sequence[tuple[Int64, AnyArray, float]]) -> EntityFeatures:
    """Average entities (k,), their means (k, D) and the weight of these, over the parts that have an entity."""
    entities = np.unique(np.concatenate([own for own, _, _ in parts]))
    total, weights = np.zeros((len(entities), parts[0][1].shape[1])), np.zeros((len(entities), 1))
    for own, means, weight in parts:
        place = np.searchsorted(entities, own)
        share = max(weight, 1e-9)  # a part of weight 0 still counts for an entity that has no other
        total[place] += share * means.astype(np.float64)
        weights[place] += share
    return EntityFeatures(entities, (total / weights).astype(np.float32))


def chosen_samples(samples: Samples, shown: Shown) -> tuple[Int64, Int64]:
    """Return the samples to encode, by entity, and for how many each of them counts, (k,) each."""
    keep = np.ones(len(samples.labels), dtype=np.bool_)
    if shown != "both":
        keep = samples.has_text if shown == "text" else samples.picture_of >= 0
    rows = np.flatnonzero(keep)
    rows = rows[np.argsort(samples.labels[rows], kind="stable")]
    if shown != "picture":
        return rows, np.ones(len(rows), dtype=np.int64)
    # Without their texts, samples of an entity that share a picture are the same.
    pictures = np.column_stack([samples.labels[rows], samples.picture_of[rows]])
    _, first, counts = np.unique(pictures, axis=0, return_index=True, return_counts=True)
    return rows[first], counts.astype(np.int64)


def _sums(
    encode: Encode, labels: Int64, rows: Int64, counts: Int64, shown: Shown, batch_size: int
) -> tuple[AnyArray, AnyArray]:
    """Return the float64 sum of the features of each entity (V, D), and of how many samples (V,)."""
    owner = labels[rows]
    own = np.bincount(owner, counts, minlength=int(labels.max()) + 1)
    sums = np.zeros((0, 0))
    bar = tqdm(total=len(rows), desc=f"features, {shown}", unit="pair", disable=None, leave=False)
    for start in range(0, len(rows), batch_size):
        part = slice(start, start + batch_size)
        hidden = np.full(len(rows[part]), shown == "text"), np.full(len(rows[part]), shown == "picture")
        with torch.no_grad():
            features = encode(rows[part], *hidden).float().cpu().numpy()  # (B, D)
        sums = sums if sums.size else np.zeros((len(own), features.shape[1]))
        firsts = np.flatnonzero(np.diff(owner[part], prepend=-1))
        sums[owner[part][firsts]] += np.add.reduceat(features.astype(np.float64) * counts[part, None], firsts)
        bar.update(len(features))
    bar.close()
    return sums, own
