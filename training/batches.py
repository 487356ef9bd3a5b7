"""Batches out of the caches, and their way through the network."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from entity_expand.types import Bool, Int64
from training.cache import PictureCache, TextCache
from training.config import TrainingConfig
from training.data import Batch, TrainingSet, epoch_rows, hidden_parts, hidden_words, picture_rows
from training.model import MultiExpan


@dataclass(frozen=True)
class Source:
    """Everything a batch is gathered from."""

    config: TrainingConfig
    data: TrainingSet
    text: TextCache
    pictures: PictureCache

    def batch(self, rows: Int64, hide_picture: Bool, hide_text: Bool, shown: Int64 | None = None) -> Batch:
        """Gather a batch.

        Args:
            rows: (B,) int64 rows of the training set.
            hide_picture: (B,) bool.
            hide_text: (B,) bool.
            shown: (B,) int64 rows whose pictures are shown; None for their own.
        """
        text, mask, position = self.text.padded(self._items(rows, hide_text))
        pictures = np.where(hide_picture, -1, self.pictures.picture_of[rows if shown is None else shown])
        return Batch(
            torch.from_numpy(text),
            torch.from_numpy(mask),
            torch.from_numpy(position),
            torch.from_numpy(self.pictures.gather(pictures)),
            torch.from_numpy((pictures >= 0).astype(np.float32)),
            torch.from_numpy(self.data.labels[rows]),
        )

    def _items(self, rows: Int64, hide_text: Bool) -> Int64:
        return np.where(hide_text, len(self.data.samples), rows)

    def steps(self) -> int:
        """Return the number of batches in an epoch."""
        per_entity = self.config.data.samples_per_entity
        rows = self.data.trained if per_entity is None else per_entity * len(self.data.entities)
        return math.ceil(rows / self.config.loop.batch_size)

    def epoch(self, epoch: int, first: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `first` on, each prepared while the last one is used."""
        size, seed = self.config.loop.batch_size, self.config.loop.seed
        order = epoch_rows(self.data.labels[: self.data.trained], self.config.data.samples_per_entity, seed, epoch)
        shares, share = self.config.data.hiding(self.config.model.form), self.config.data.hide_words

        def make(number: int) -> Batch:
            rows = order[number * size : (number + 1) * size]
            has_picture = self.pictures.picture_of[rows] >= 0
            hidden = hidden_parts(self.text.has_text[rows], has_picture, shares, seed, epoch, number)
            wrong = self.config.data.wrong_picture or 0.0
            shown = picture_rows(rows, self.data.trained, wrong, seed, epoch, number)
            batch = self.batch(rows, *hidden, shown)
            if not share:
                return batch
            words = hidden_words(self.text.context(self._items(rows, hidden[1])), share, seed, epoch, number)
            return replace(batch, attention_mask=batch.attention_mask.masked_fill(torch.from_numpy(words), 0))

        numbers = range(first, math.ceil(len(order) / size))
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(make, first) if numbers else None
            for number in numbers:
                batch = ahead.result() if ahead is not None else make(number)
                ahead = pool.submit(make, number + 1) if number + 1 in numbers else None
                yield batch


def fused(model: MultiExpan, batch: Batch, scale: tuple[Tensor, Tensor]) -> Tensor:
    """Return h (B, D) of a batch on the model's device; `scale` is the pictures' mean and deviation, (3, 1, 1)."""
    if batch.text.ndim == 3:
        states = model.text.upper(batch.text.float(), batch.attention_mask)  # type: ignore[operator]
    else:
        states = model.text(batch.text, batch.attention_mask)
    if batch.pictures.ndim == 3:
        tokens = batch.pictures.float()
    else:
        tokens = model.vision((unit_pixels(batch.pictures) - scale[0]) / scale[1])
    return model.fuse(states, batch.attention_mask, batch.mask_position, tokens, batch.image_present)


def unit_pixels(pixels: Tensor) -> Tensor:
    """Return pixels, uint8 or float32 in [0, 1], as float32 in [0, 1]."""
    return pixels / 255.0 if pixels.dtype == torch.uint8 else pixels
