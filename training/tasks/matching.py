"""Image-text matching: does a picture belong to a text, with wrong ones that are hard to tell from the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from training.losses import hard_negatives, matching_loss
from training.tasks.base import Loss, SampleContext


def matching_task(context: SampleContext) -> Loss:
    """Return the loss of the samples of a step that have both parts.

    Each text meets a wrong picture and each picture a wrong text, of another entity, drawn by the similarity of
    `image_text`. They come from this process's own samples.

    Raises:
        ValueError: The model has no head for them.
    """
    batch, view, model, part = context.part.batch, context.view, context.network.model, context.part
    if model.matching_head is None or model.image_text_head is None:
        raise ValueError("Image-text matching needs a head that this model does not have.")
    with torch.no_grad():
        text, picture = context.network.projections(view, batch)
        similarity = text @ picture.T / model.image_text_head.temperature  # (B, B)
    wrong = (batch.labels[:, None] != batch.labels[None, :]) & batch.paired[:, None] & batch.paired[None, :]
    pictures = hard_negatives(similarity, wrong, context.generator)  # (B,) a wrong picture for each text
    texts = hard_negatives(similarity.T, wrong, context.generator)  # (B,) a wrong text for each picture
    ours = torch.arange(len(text), device=text.device)
    of_texts, of_pictures = pictures >= 0, texts >= 0
    text_rows = torch.cat([ours[of_texts], texts[of_pictures]])  # (M,)
    picture_rows = torch.cat([pictures[of_texts], ours[of_pictures]])  # (M,)
    mismatched = _fused(context, text_rows, picture_rows)  # (M, D)
    rows = torch.cat([view.h[batch.paired], mismatched])
    if not len(rows):
        return Loss(model.matching_head(view.h).sum() * 0.0, 0.0, part.whole.paired)
    labels = torch.arange(len(rows), device=rows.device) < batch.paired.sum()
    return Loss(matching_loss(model.matching_head(rows), labels), part.own.paired, part.whole.paired)


def _fused(context: SampleContext, text_rows: Tensor, picture_rows: Tensor) -> Tensor:
    """Return h (M, D) of texts with pictures of other samples."""
    batch, view = context.part.batch, context.view
    if not len(text_rows):
        return view.h[:0]
    shown = batch.image_present[picture_rows]
    mask = batch.attention_mask[text_rows]
    states, visual, position = view.states[text_rows], view.visual[picture_rows], batch.mask_position[text_rows]
    return context.network.model.h_of(states, mask, visual, shown, position)
