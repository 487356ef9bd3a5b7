"""The contrasts of pairs: between samples, and between clusters."""

from __future__ import annotations

from dataclasses import dataclass

from training.config import TaskSettings
from training.losses import cluster_contrast_loss, instance_contrast_loss
from training.tasks.base import Loss, PairContext


@dataclass(frozen=True)
class InstanceTask:
    """Both sides of a pair are near, all others of the batch are far.

    In the paper's form all others are negatives, in the corrected one those of the same entity are not.
    """

    settings: TaskSettings

    def __call__(self, context: PairContext) -> Loss:
        """Return the loss of the pairs of a step."""
        settings, model, labels = self.settings, context.network.model, context.labels
        # One batch norm per view, as in the original.
        first, second = model.project(context.first), model.project(context.second)  # (B, 128)
        ignored = None if settings.form == "paper" else labels[:, None] == labels[None, :]  # (2B, 2B)
        value = instance_contrast_loss(
            first, second, temperature=settings.temperature, tau_plus=settings.tau_plus, beta=settings.beta,
            estimator=settings.estimator, ignored=ignored,
        )  # fmt: skip
        return context.loss(value)


@dataclass(frozen=True)
class ClusterTask:
    """A cluster's shares in both views are near, those of other clusters are far."""

    settings: TaskSettings

    def __call__(self, context: PairContext) -> Loss:
        """Return the loss of the pairs of a step."""
        settings, model = self.settings, context.network.model
        first, second = model.cluster(context.first), model.cluster(context.second)  # (B, K)
        value = cluster_contrast_loss(
            first, second, form=settings.form, temperature=settings.temperature, tau_plus=settings.tau_plus,
            beta=settings.beta, estimator=settings.estimator,
        )  # fmt: skip
        return context.loss(value)
