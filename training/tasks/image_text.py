"""The contrast between texts and pictures, before they are fused; the teacher may have a share in its targets."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from training.config import TaskSettings
from training.losses import image_text_loss, image_text_targets
from training.tasks.base import Loss, SampleContext


@dataclass(frozen=True)
class ImageTextTask:
    """Which picture belongs to a text, and which text to a picture?"""

    settings: TaskSettings

    def __call__(self, context: SampleContext) -> Loss:
        """Return the loss of the samples of a step that have both parts; all pictures of an entity fit all its texts.

        Raises:
            ValueError: The model has no head for them.
        """
        batch, part, share = context.part.batch, context.part, self.settings.image_text_distillation
        rows = list(context.network.projections(context.view, batch))
        rows.append(torch.stack([batch.labels, batch.paired.long()], dim=1))  # (B, 2)
        if share and context.teacher is not None:
            rows += context.teacher.projections(context.taught, batch)
        text, picture, about, *taught = (context.world.gather(each[: part.own.rows], part.whole.rows) for each in rows)
        paired, head = about[:, 1] > 0, context.network.model.image_text_head
        if not part.whole.paired or head is None:
            return Loss((text.sum() + picture.sum()) * 0.0, 0.0, 0.0)
        labels, targets = about[paired, 0], None
        positives = labels[:, None] == labels[None, :]
        if share and taught:
            theirs, shown = (each[paired] for each in taught)
            targets = image_text_targets(theirs, shown, share=share, temperature=head.temperature, positives=positives)
        value = image_text_loss(
            text[paired], picture[paired], temperature=head.temperature, positives=positives, targets=targets
        )
        return Loss(value, part.whole.paired / context.world.size, part.whole.paired)
