"""The alignment of a model: what `alignment.py` needs of it, and what it gets back."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from entity_expand.errors import TrainingError
from entity_expand.types import AnyArray, Float64, Int64
from training.alignment import Aligned, Alignment, Moments
from training.config import AlignSettings
from training.features import Encode, EntityFeatures, Samples, Shown, chosen_samples
from training.metric import Metric
from training.model import MultiExpan
from training.table import EntityTable, entity_table

_TEMPERATURES = tuple(2.0**power for power in range(11))
_MEASURED = 4096
_BATCH = 256
_ROUNDING = 1e-6
_NAMES: dict[Shown, str] = {"text": "texts", "picture": "pictures", "both": "texts with their pictures"}


def check_samples(metric: Metric, samples: Samples) -> None:
    """Require samples of at least two entities for each part of a metric.

    Raises:
        TrainingError: Fewer have one, or all have the same picture.
    """
    for shown in _shown(metric):
        rows, _ = chosen_samples(samples, shown)
        entities = len(np.unique(samples.labels[rows]))
        if entities < 2:
            raise _alike(shown, f"{entities or 'none'} has any")
        if shown == "picture" and len(np.unique(samples.picture_of[rows])) < 2:
            raise _alike(shown, "all have the same one")


class Aligner:
    """Fits metric and rows of a model that stays in evaluation mode meanwhile.

    Args:
        model: With a metric.
        trunk: Maps samples to what stands before the metric.
        samples: The trained samples.
        settings: How.
    """

    def __init__(self, model: MultiExpan, trunk: Encode, samples: Samples, settings: AlignSettings) -> None:
        self._model, self._trunk, self._samples, self._settings = model, trunk, samples, settings
        self._metric = cast(Metric, model.head.metric)

    def align(self, trained: EntityTable | None) -> None:
        """Fit the metric and the rows.

        Args:
            trained: The entities as the epochs have left them, for the first lists; not needed with `within`.

        Raises:
            TrainingError: A feature is not finite, or no two entities differ in a part.
        """
        width = max(self._metric.widths)
        alignment = Alignment(self._moments(), width, self._settings.picture_weight)
        if self._settings.within:
            alignment.within(self._settings.within_regularisation)
            trained = _table(alignment.fitted())
        for _ in range(self._settings.rounds):
            alignment.between(self._neighbours(trained), self._settings.regularisation)
            trained = _table(alignment.fitted())
        self._set(alignment.fitted())

    def _neighbours(self, table: EntityTable | None) -> Int64:
        """Return the nearest of each entity (V, k); one without a feature is taken to be its own neighbour."""
        if table is None:
            raise TrainingError("The first lists of an alignment come from a trained head, but none was given.")
        found = np.repeat(np.arange(table.vocabulary)[:, None], self._settings.neighbours, axis=1)
        nearest = table.nearest(self._settings.neighbours, both_directions=1.0)
        found[table.entities, : nearest.shape[1]] = nearest
        return found

    def _moments(self) -> list[Moments]:
        edges, shown = np.cumsum([0, *self._metric.blocks]), _shown(self._metric)
        return [
            self._moments_of(part, slice(first, last))
            for part, first, last in zip(shown, edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        ]

    def _moments_of(self, shown: Shown, block: slice) -> Moments:
        rows, counts = chosen_samples(self._samples, shown)
        size, vocabulary = block.stop - block.start, self._model.vocabulary
        sums, plain = np.zeros((vocabulary, size)), np.zeros((vocabulary, size))
        gram = np.zeros((size, size))
        owner, told = self._samples.labels[rows], np.zeros(len(rows), np.bool_)
        for start in range(0, len(rows), _BATCH):
            part = slice(start, start + _BATCH)
            features = self._encoded(rows[part], shown)[:, block].astype(np.float64)
            told[part] = features.any(axis=1)
            gram += features.T @ features
            np.add.at(plain, owner[part], features)
            np.add.at(sums, owner[part], features * counts[part, None])
        if not np.isfinite(gram).all():
            raise TrainingError(f"The features of {_NAMES[shown]} are not finite numbers, so they cannot be aligned.")
        owner, counts = owner[told], counts[told]  # what is 0 is missing to the metric, and says nothing here either
        distinct = np.bincount(owner, minlength=vocabulary)
        means = sums / np.maximum(np.bincount(owner, counts, minlength=vocabulary), 1)[:, None]
        root = plain / np.sqrt(np.maximum(distinct, 1))[:, None]
        present = distinct > 0
        free = max(1, len(owner) - int(present.sum()))
        if present.sum() < 2 or np.ptp(means[present], axis=0).max() <= _ROUNDING * np.abs(means).max():
            raise _alike(shown, "all look alike to the model")
        return Moments(means, present, (gram - root.T @ root) / free)

    def _encoded(self, rows: Int64, shown: Shown) -> AnyArray:
        hidden = np.full(len(rows), shown == "text"), np.full(len(rows), shown == "picture")
        with torch.no_grad():
            features: AnyArray = self._trunk(rows, *hidden).float().cpu().numpy()
        return features

    def _set(self, parts: list[Aligned]) -> None:
        with torch.no_grad():
            for layer, part in zip(self._metric.maps, parts, strict=True):
                _copy(cast(nn.Linear, layer).weight, part.matrix)
                _copy(cast(nn.Linear, layer).bias, part.offset)
            rows = np.concatenate([part.rows for part in parts], axis=1)
            _copy(self._model.head.rows.weight, rows)
            self._model.head.rows.bias.zero_()
            self._model.head.rows.weight *= self._temperature()

    def _temperature(self) -> float:
        """Return the factor of the rows under which the samples' own entities are likeliest."""
        count = len(self._samples.labels)
        rows = np.unique(np.linspace(0, count - 1, min(count, _MEASURED)).astype(np.int64))
        logits, labels = [], torch.from_numpy(self._samples.labels[rows])
        for start in range(0, len(rows), _BATCH):
            trunk = torch.from_numpy(self._encoded(rows[start : start + _BATCH], "both"))
            features = self._metric(trunk.to(self._model.head.rows.weight.device))
            logits.append(self._model.head.rows(features).float().cpu())
        whole = torch.cat(logits)
        losses = [nn.functional.cross_entropy(factor * whole, labels).item() for factor in _TEMPERATURES]
        return _TEMPERATURES[int(np.argmin(losses))]


def _shown(metric: Metric) -> tuple[Shown, ...]:
    """Return what the model is shown for each part."""
    return ("both",) if len(metric.blocks) == 1 else ("text", "picture")


def _alike(shown: Shown, found: str) -> TrainingError:
    return TrainingError(
        f"[align] needs trained entities whose {_NAMES[shown]} differ, but {found}; take other samples, or set "
        "model.fusion = 'cross', which aligns texts and pictures as one."
    )


def _table(parts: list[Aligned]) -> EntityTable:
    means: Float64 = np.concatenate([part.means for part in parts], axis=1)
    rows: Float64 = np.concatenate([part.rows for part in parts], axis=1)
    present = np.flatnonzero(np.abs(means).max(axis=1) > 0)
    features = EntityFeatures(present.astype(np.int64), means[present].astype(np.float32))
    return entity_table(features, (torch.from_numpy(rows), torch.zeros(len(rows))))


def _copy(parameter: Tensor, values: Float64) -> None:
    parameter.copy_(torch.from_numpy(values))
