"""The contrast between texts and pictures, before they are fused."""

from __future__ import annotations

import torch
from torch import Tensor

from training.data import Batch
from training.losses import image_text_loss
from training.model import MultiExpan
from training.network import View
from training.tasks.base import Loss, SampleContext
from training.transformer import at


def projections(model: MultiExpan, view: View, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return unit rows (B, 128) of texts, from the mask, and of pictures, from the mean of their rows.

    Raises:
        ValueError: The model has no head for them.
    """
    if model.image_text_head is None:
        raise ValueError("Texts and pictures are compared by a head that this model does not have.")
    text, picture = model.image_text_head(at(view.states, batch.mask_position), view.visual.mean(1))
    return text, picture


def image_text_task(context: SampleContext) -> Loss:
    """Return the loss of the samples of a step that have both parts; all pictures of an entity fit all its texts.

    Raises:
        ValueError: The model has no head for them.
    """
    batch, part, world = context.part.batch, context.part, context.world
    text, picture = projections(context.network.model, context.view, batch)
    about = torch.stack([batch.labels, batch.paired.long()], dim=1)  # (B, 2)
    text, picture, about = (world.gather(rows[: part.own.rows], part.whole.rows) for rows in (text, picture, about))
    paired = about[:, 1] > 0
    head = context.network.model.image_text_head
    if not part.whole.paired or head is None:
        return Loss((text.sum() + picture.sum()) * 0.0, 0.0, 0.0)
    labels = about[paired, 0]
    value = image_text_loss(
        text[paired], picture[paired], temperature=head.temperature, positives=labels[:, None] == labels[None, :]
    )
    return Loss(value, part.whole.paired / world.size, part.whole.paired)
