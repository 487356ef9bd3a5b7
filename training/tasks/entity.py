"""Masked entity prediction, of which the teacher may have a share."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from training.config import TrainingConfig
from training.losses import distilled_entity_loss, masked_entity_loss
from training.tasks.base import Loss, SampleContext


@dataclass(frozen=True)
class EntityTask:
    """Which entity does the mask stand for; settings are those of the run."""

    config: TrainingConfig

    def __call__(self, context: SampleContext) -> Loss:
        """Return the loss of some samples of a step."""
        batch, part, tasks = context.part.batch, context.part, self.config.tasks
        predicted = context.network.log_probabilities(context.view.h)  # (B, V)
        smoothing = self.config.loop.smoothing
        if context.teacher is not None and tasks.distillation:
            value = distilled_entity_loss(
                predicted, context.teacher.log_probabilities(context.taught), batch.labels, share=tasks.distillation,
                smoothing=smoothing, form=tasks.form,
            )  # fmt: skip
        else:
            value = masked_entity_loss(predicted, batch.labels, smoothing)
        return Loss(value, part.own.rows, part.whole.rows, hits(predicted, batch.labels) * bool(part.own.rows))


def hits(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return how many of (B, V) predictions are right, a scalar."""
    return (log_probabilities.detach().argmax(1) == labels).sum()
