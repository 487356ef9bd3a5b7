"""Masked language modelling: words around the mention are hidden, and predicted from the rest and from the picture.

Experts, which keep the two apart, predict them from the text alone.
"""

from __future__ import annotations

from typing import cast

from training.losses import masked_word_loss
from training.losses.words import NOT_CHOSEN
from training.model import TextPart
from training.tasks.base import Loss, SampleContext


def words_task(context: SampleContext) -> Loss:
    """Return the loss of some samples of a step.

    The whole text encoder runs once more: what it made of the words before they were hidden must not be seen.

    Raises:
        ValueError: The batch has no words to predict, or the model no head for them.
    """
    batch, view, model, part = context.part.batch, context.view, context.network.model, context.part
    if batch.word_ids is None or batch.word_targets is None or model.words_head is None:
        raise ValueError("Masked language modelling needs words to predict and a head for them.")
    text = cast(TextPart, model.text)
    states = text(batch.word_ids, batch.attention_mask)  # (B, L, D)
    fused = model.cross(states, batch.attention_mask, view.visual, batch.image_present)[:, : states.shape[1]]
    chosen = batch.word_targets != NOT_CHOSEN  # (B, L)
    logits = model.words_head(fused[chosen], text.words)  # (M, W)
    return Loss(masked_word_loss(logits, batch.word_targets[chosen]), part.own.words, part.whole.words)
