"""Masked language modelling: words around the mention are hidden, and predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.losses.inputs import full_precision, widened

NOT_CHOSEN = -100
_HIDDEN, _REPLACED = 0.8, 0.9


@dataclass(frozen=True)
class MaskedWords:
    """Token ids with some hidden, and what was there.

    Attributes:
        ids: (B, L) int64.
        targets: (B, L) int64, the former id at chosen places and -100 elsewhere.
    """

    ids: NDArray[np.int64]
    targets: NDArray[np.int64]


def masked_words(
    ids: NDArray[np.int64],
    context: NDArray[np.bool_],
    share: float,
    mask_id: int,
    vocabulary: int | NDArray[np.int64],
    generator: np.random.Generator,
) -> MaskedWords:
    """Choose words to be predicted: 80 % of them are hidden, 10 % become another word, and 10 % stay.

    As many numbers are drawn for each batch of one shape, whatever its words are.

    Args:
        ids: (B, L) int64.
        context: (B, L) bool, places that may be chosen: words, but no padding, special tokens or the mention.
        share: Probability that a word is chosen, from 0 to 1.
        mask_id: The id that hides a word.
        vocabulary: (W,) int64, the ids of which the other words are drawn; or W for all ids below it.
        generator: Of numpy.

    Returns:
        New arrays.
    """
    chosen = (generator.random(ids.shape) < share) & context
    fate = generator.random(ids.shape)
    other = generator.choice(vocabulary, ids.shape)
    shown = np.where(fate < _HIDDEN, mask_id, np.where(fate < _REPLACED, other, ids))
    return MaskedWords(
        np.where(chosen, shown, ids).astype(np.int64), np.where(chosen, ids, NOT_CHOSEN).astype(np.int64)
    )


def masked_word_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross entropy of the hidden words, averaged over the chosen places; 0 if there are none.

    Args:
        logits: (M, W) floating, a row per place.
        targets: (M,) int64, the words; places with -100 do not count.

    Returns:
        A scalar, float32 or float64.
    """
    with full_precision(logits):
        total = functional.cross_entropy(widened(logits), targets, ignore_index=NOT_CHOSEN, reduction="sum")
        return total / (targets != NOT_CHOSEN).sum().clamp_min(1)
