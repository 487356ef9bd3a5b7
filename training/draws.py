"""What a step shows of its samples, drawn for all processes alike before anything is gathered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from entity_expand.types import Bool, Int64
from training.cached import PictureCache, TextCache
from training.config import TrainingConfig
from training.data import Album, TrainingSet, hidden_parts, hidden_words, picture_rows, stream
from training.losses import MaskedWords, masked_words
from training.losses.words import NOT_CHOSEN

_MASKED = 6
SAMPLES, PAIRS = 0, 1
"""Views: draws for pairs are other than those for samples of the same step."""


@dataclass(frozen=True)
class Draw:
    """B samples and what is shown of them.

    Attributes:
        rows: (B,) int64 rows of the training set.
        items: (B,) int64 items of the text cache, that of the missing sentence where the text is hidden.
        pictures: (B,) int64 rows of the picture cache, -1 where there is none or it is hidden.
        paired: (B,) bool, where text and picture are both shown and belong together.
        hidden: (B, L) bool, words that no key shows; None hides nothing.
        words: (B, L) ids and targets of masked language modelling; None without it.
    """

    rows: Int64
    items: Int64
    pictures: Int64
    paired: Bool
    hidden: Bool | None = None
    words: MaskedWords | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: Int64) -> Draw:
        """Return the samples at `chosen` (k,)."""
        words = None if self.words is None else MaskedWords(self.words.ids[chosen], self.words.targets[chosen])
        hidden = None if self.hidden is None else self.hidden[chosen]
        return Draw(
            self.rows[chosen], self.items[chosen], self.pictures[chosen], self.paired[chosen], hidden, words
        )  # fmt: skip

    @property
    def word_count(self) -> int:
        """How many words are to be predicted."""
        return 0 if self.words is None else int((self.words.targets != NOT_CHOSEN).sum())


@dataclass(frozen=True)
class Drawer:
    """Draws what is shown; the same arguments give the same draw.

    Attributes:
        config: All settings.
        data: The samples.
        text, pictures: The caches.
        vocabulary: (W,) int64 ids that may replace a word.
    """

    config: TrainingConfig
    data: TrainingSet
    text: TextCache
    pictures: PictureCache
    vocabulary: Int64

    @cached_property
    def _album(self) -> Album:
        count = self.data.trained
        return Album.of(self.data.labels[:count], self.pictures.picture_of[:count] >= 0)

    def plain(self, rows: Int64, hide_picture: Bool, hide_text: Bool, shown: Int64 | None = None) -> Draw:
        """Draw nothing: show what is asked for.

        Args:
            rows: (B,) int64 rows of the training set.
            hide_picture: (B,) bool.
            hide_text: (B,) bool.
            shown: (B,) int64 rows whose pictures are shown; None for their own.
        """
        whose = rows if shown is None else shown
        pictures = np.where(hide_picture, -1, self.pictures.picture_of[whose])
        has_text = self.text.has_text[rows] & ~hide_text
        own = pictures == self.pictures.picture_of[rows]
        items = np.where(hide_text, len(self.data.samples), rows)
        return Draw(rows, items, pictures, has_text & (pictures >= 0) & own)

    def training(self, rows: Int64, epoch: int, step: int, view: int) -> Draw:
        """Draw what a step of training shows.

        Args:
            rows: (B,) int64 rows of the training set, over all processes.
            epoch: From 0.
            step: In the epoch, from 0.
            view: `SAMPLES` or `PAIRS`; words to be predicted are drawn for samples alone.
        """
        settings, seed = self.config.data, self.config.loop.seed
        place = (seed, epoch, step)
        has_picture = self.pictures.picture_of[rows] >= 0
        hidden = hidden_parts(
            self.text.has_text[rows], has_picture, settings.hiding(self.config.model.form), *place, view
        )
        shown = picture_rows(rows, self.data.trained, settings.wrong_picture or 0.0, *place, view)
        shown = np.where(
            self.pictures.picture_of[shown] < 0, rows, shown
        )  # its text may be hidden, as it has a picture of its own
        if settings.other_picture:
            other = self._album.others(rows, self.data.labels[rows], settings.other_picture, *place, view)
            shown = np.where(shown == rows, other, shown)
        draw = self.plain(rows, *hidden, shown)
        predicts = bool(self.config.tasks.words) and view == SAMPLES
        if not (settings.hide_words or predicts):
            return draw
        context = self.text.context(draw.items)
        chosen = hidden_words(context, settings.hide_words, *place, view) if settings.hide_words else None
        if chosen is not None:  # with no picture either, nothing would be left
            chosen[(draw.pictures < 0) & ~(context & ~chosen).any(axis=1)] = False
        words = self._masked(draw.items, context, *place) if predicts else None
        return Draw(draw.rows, draw.items, draw.pictures, draw.paired, chosen, words)

    def _masked(self, items: Int64, context: Bool, seed: int, epoch: int, step: int) -> MaskedWords:
        ids, _, _ = self.text.only_ids().padded(items)
        generator = stream(_MASKED, seed, epoch, step)
        share = self.config.tasks.word_share
        return masked_words(ids, context, share, self.text.mask, self.vocabulary, generator)
