"""The project's own expansion by the model under training: for the contrasts' lists, and on validation queries."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor

from entity_expand.corpus import Corpus
from entity_expand.types import Bool, Int64
from training.aligner import Aligner, check_samples
from training.batches import Source
from training.config import TrainingConfig
from training.data import Batch
from training.features import Encode, EntityFeatures, Samples, Shown, entity_features, evaluating
from training.losses import masked_entity_loss
from training.metric import Metric
from training.mining import mine, mining_seeds, rank_range
from training.network import Network
from training.pairs import EntityLists
from training.table import EntityTable, cosine_table, entity_table
from training.tasks import hits
from training.validation import Validator


class Expanding:
    """Measures and mines with the model as it is now; of several processes the first does it, for all.

    Args:
        config: All settings.
        corpus: The corpus.
        network: The model.
        source: Where batches come from.

    Raises:
        CorpusError: Queries or a truth cannot be read.
        TrainingError: The samples cannot be aligned, no query has a trained seed, or lists of all entities would be too
            short for the hard negatives.
    """

    def __init__(self, config: TrainingConfig, corpus: Corpus, network: Network, source: Source) -> None:
        self._config, self._network, self._source = config, network, source
        data, tasks, validation = source.data, config.tasks, config.validation
        self._seeds = None
        if tasks.contrasts:
            self._seeds = mining_seeds(corpus.root, data.entities, config.mining, validation.truth)
            count = len(data.entities)
            rank_range(config.mining, config.model.clusters, count, count - self._seeds.longest)
        self._validator = None if validation.queries is None else Validator(corpus, data.entities, validation)
        trained = slice(0, data.trained)
        self._samples = Samples(
            data.labels[trained], source.text.has_text[trained], source.pictures.picture_of[trained]
        )
        if config.align.wanted:
            check_samples(cast(Metric, network.model.head.metric), self._samples)
        self._features: dict[Shown, tuple[int, EntityFeatures]] = {}

    def due(self, epoch: int) -> bool:
        """Return whether the lists are made anew before an epoch; epochs are counted from 0."""
        settings, tasks = self._config.mining, self._config.tasks
        start = settings.start if tasks.of_samples else 0
        return bool(tasks.contrasts) and epoch >= start and (epoch - start) % settings.every == 0

    def lists(self, step: int) -> EntityLists:
        """Return the lists of the model as it is after a step, shown what it is trained on."""
        world, found = self._source.world, None
        if world.first:
            table = self._table(_trained_on(self._config), step)
            found = mine(table, self._config.mining, self._config.model.clusters, self._seeds)
        names = sorted(EntityLists((), ()).packed())
        arrays = None if found is None else [found.packed()[name] for name in names]
        return EntityLists.unpacked(dict(zip(names, world.share(arrays, self._network.device), strict=True)))

    def measures(self, epoch: int) -> bool:
        """Return whether validation follows an epoch; the last one is always measured."""
        last = epoch + 1 == self._config.loop.epochs
        return self._validator is not None and (last or (epoch + 1) % self._config.validation.every == 0)

    def validation(self, step: int) -> dict[str, float]:
        """Expand the validation queries with the model as it is after a step; for the first process alone."""
        if self._validator is None:
            return {}
        settings = self._config.validation
        if settings.space == "projections":
            features = self._mean_features(self._projection, settings.modality)
            return self._validator.measure(cosine_table(features, len(self._source.data.entities)))
        return self._validator.measure(self._table(settings.modality, step))

    def align(self, step: int) -> None:
        """Fit the metric and the head's rows after the last epoch; each process does it, with the same result."""
        settings = self._config.align
        trained = None if settings.within else self._table(self._config.validation.modality, step)
        with evaluating(self._network.model):
            Aligner(self._network.model, self._trunk, self._samples, settings).align(trained)

    def held_out(self) -> dict[str, dict[str, float]]:
        """Measure loss and accuracy on the held-out samples with both parts, text alone, and the picture alone.

        Samples that lack a part do not count where it is shown alone; what none of them has is left out.
        """
        data, size, found = self._source.data, self._config.loop.batch_size, {}
        held = np.arange(data.trained, len(data.samples))
        has_text, has_picture = self._source.text.has_text[held], self._source.pictures.picture_of[held] >= 0
        shown = (("both", held), ("text", held[has_text]), ("picture", held[has_picture]))
        for name, rows in ((name, rows) for name, rows in shown if len(rows)):
            picture, text, loss, right = name == "text", name == "picture", 0.0, 0.0
            for first in range(0, len(rows), size):
                chosen = rows[first : first + size]
                with evaluating(self._network.model):
                    h = self._h(chosen, np.full(len(chosen), picture), np.full(len(chosen), text))
                    with self._network.precision():
                        predicted = self._network.log_probabilities(h)
                labels = torch.from_numpy(data.labels[chosen]).to(predicted.device)
                loss += masked_entity_loss(predicted, labels, 0.0).item() * len(chosen)
                right += hits(predicted, labels).item()
            found[name] = {"loss": loss / len(rows), "accuracy": right / len(rows)}
        return found

    def _table(self, shown: Shown, step: int) -> EntityTable:
        known = self._features.get(shown)
        if known is None or known[0] != step:
            known = step, self._mean_features(self._feature, shown)
            self._features = {shown: known}
        return entity_table(known[1], self._network.model.head_rows())

    def _mean_features(self, encode: Encode, shown: Shown) -> EntityFeatures:
        loop, weight = self._config.loop, self._config.validation.picture_weight
        with evaluating(self._network.model):
            return entity_features(
                encode, self._samples, shown, picture_weight=weight, batch_size=max(64, loop.batch_size)
            )

    def _feature(self, rows: Int64, hide_picture: Bool, hide_text: Bool) -> Tensor:
        with self._network.precision():
            return self._network.model.trunk(self._h(rows, hide_picture, hide_text)).float()

    def _projection(self, rows: Int64, hide_picture: Bool, hide_text: Bool) -> Tensor:
        batch = self._batch(rows, hide_picture, hide_text)
        with self._network.precision():
            text, picture = self._network.projections(self._network.view(batch), batch)
        return picture if hide_text.all() else text

    def _trunk(self, rows: Int64, hide_picture: Bool, hide_text: Bool) -> Tensor:
        with self._network.precision():
            return cast(Tensor, self._network.model.head.trunk(self._h(rows, hide_picture, hide_text))).float()

    def _h(self, rows: Int64, hide_picture: Bool, hide_text: Bool) -> Tensor:
        batch = self._batch(rows, hide_picture, hide_text)
        with self._network.precision():
            return self._network.view(batch).h

    def _batch(self, rows: Int64, hide_picture: Bool, hide_text: Bool) -> Batch:
        return self._source.held.moved(self._source.batch(rows, hide_picture, hide_text))


def _trained_on(config: TrainingConfig) -> Shown:
    """Return what training shows: one part alone where the other one is always hidden."""
    picture, text = config.data.hiding(config.model.form)
    if picture == 1.0:
        return "text"
    return "picture" if text == 1.0 else "both"
