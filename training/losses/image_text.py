"""Contrast between texts and pictures, in both directions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.losses.inputs import check_pair, check_square, full_precision, widened


@dataclass(frozen=True)
class ImageTextTargets:
    """What each text should find among the pictures, and each picture among the texts.

    Attributes:
        of_texts: (B, B) floating, a distribution over the pictures per text; a row of zeros does not count.
        of_pictures: (B, B) floating, a distribution over the texts per picture; likewise.
    """

    of_texts: Tensor
    of_pictures: Tensor


def image_text_loss(
    text: Tensor,
    picture: Tensor,
    *,
    temperature: float | Tensor = 0.07,
    positives: Tensor | None = None,
    targets: ImageTextTargets | None = None,
) -> Tensor:
    """Return the mean of both directions' cross entropy, that of text i being -sum_j t_ij ln softmax_j(l_ij).

    The logits are l_ij = text_i.picture_j / temperature. Rows whose targets are all 0 count in no mean, but stay among
    what others are compared with; leave out samples that have no picture.

    Args:
        text: (B, d) floating, unit rows; B is the whole batch over all processes.
        picture: (B, d), unit rows in the same order.
        temperature: Above 0; a tensor without dimensions can be trained.
        positives: (B, B) bool, whether picture j fits text i (as those of one entity do); all that fit share a target
            of 1. None is the diagonal.
        targets: Soft targets as from `image_text_targets`, in place of `positives`.

    Returns:
        A scalar, float32 or float64.

    Raises:
        TrainingError: The shapes do not fit.
    """
    check_pair("image_text_loss", text, picture)
    with full_precision(text):
        logits = _logits(text, picture, temperature)  # (B, B)
        if targets is None:
            targets = _hard(positives, logits)
        check_square("targets.of_texts", targets.of_texts, len(logits))
        check_square("targets.of_pictures", targets.of_pictures, len(logits))
        return (_cross_entropy(logits, targets.of_texts) + _cross_entropy(logits.T, targets.of_pictures)) / 2


def image_text_targets(
    text: Tensor,
    picture: Tensor,
    *,
    share: float,
    temperature: float | Tensor = 0.07,
    positives: Tensor | None = None,
) -> ImageTextTargets:
    """Return share * what the momentum copy finds + (1 - share) * the positives, without gradient.

    Args:
        text: (B, d) floating, unit rows of the momentum copy.
        picture: (B, d), likewise.
        share: Weight of the copy, from 0 to 1.
        temperature: As in `image_text_loss`.
        positives: As in `image_text_loss`. A row without any gets no target at all.

    Returns:
        Targets for `image_text_loss`.

    Raises:
        TrainingError: The shapes do not fit.
    """
    check_pair("image_text_targets", text, picture)
    with torch.no_grad(), full_precision(text):
        logits = _logits(text, picture, temperature)
        hard = _hard(positives, logits)
        return ImageTextTargets(_mix(logits, hard.of_texts, share), _mix(logits.T, hard.of_pictures, share))


def _logits(text: Tensor, picture: Tensor, temperature: float | Tensor) -> Tensor:
    warmth = widened(temperature) if isinstance(temperature, Tensor) else temperature
    return widened(text) @ widened(picture).T / warmth


def _hard(positives: Tensor | None, logits: Tensor) -> ImageTextTargets:
    if positives is None:
        own = torch.eye(len(logits), dtype=logits.dtype, device=logits.device)
        return ImageTextTargets(own, own)
    check_square("positives", positives, len(logits))
    fits = positives.to(logits.dtype)
    texts, pictures = fits.sum(1, keepdim=True), fits.sum(0)[:, None]
    return ImageTextTargets(fits / texts.clamp_min(1.0), fits.T / pictures.clamp_min(1.0))


def _mix(logits: Tensor, hard: Tensor, share: float) -> Tensor:
    found = functional.softmax(logits, dim=1) * (hard.sum(1, keepdim=True) > 0)
    return torch.lerp(hard, found, share)


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    weights = widened(targets)
    losses = -(weights * functional.log_softmax(logits, dim=1)).sum(1)  # (B,)
    return losses.sum() / (weights.sum(1) > 0).sum().clamp_min(1)
