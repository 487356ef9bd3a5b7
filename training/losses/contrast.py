"""The debiased contrast with weighted negatives that instances and clusters share (NOTES.md, 5.2 and 5.3).

Of n = 2m rows, row i and row i' = i +- m are two views of one thing. With logits l_ij = z_i.z_j / temperature:

    pos_i = exp l_ii'                                  Neg_i = all rows but i, i' and what is ignored; N_i their number
    R_i   = N_i sum_Neg exp((1 + beta) l_ij) / sum_Neg exp(beta l_ij)
    G_i   = max((R_i - tau+ N_i pos_i) / (1 - tau+), N_i exp(-1 / temperature))
    loss  = mean_i -ln(pos_i / (pos_i + G_i))

The estimator "easy" has G_i = sum_Neg exp l_ij instead. Gradients flow through the weights exp(beta l_ij), too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from entity_expand.errors import ConfigError
from training.losses.inputs import check_choice

Estimator = Literal["hard", "easy"]


@dataclass(frozen=True)
class Contrast:
    """The constants of the contrast.

    Attributes:
        temperature: Above 0.
        tau_plus: Share of the negatives that are taken to be positives in truth, from 0 to below 1.
        beta: How much more near negatives weigh; 0 weighs all alike.
        estimator: "hard" as above, or "easy", the plain sum over the negatives.

    Raises:
        ConfigError: One of them is out of its range.
    """

    temperature: float
    tau_plus: float
    beta: float
    estimator: Estimator = "hard"

    def __post_init__(self) -> None:
        check_choice("estimator", self.estimator, Estimator)
        if not self.temperature > 0:
            raise ConfigError(f"temperature = {self.temperature} must be above 0.")
        if not 0 <= self.tau_plus < 1:
            raise ConfigError(f"tau_plus = {self.tau_plus} must be from 0 to below 1.")
        if not 0 <= self.beta < math.inf:
            raise ConfigError(f"beta = {self.beta} must be 0 or more.")


def others(count: int, device: torch.device) -> Tensor:
    """Return (count, count) bool: where a row meets neither itself nor its other view."""
    place = torch.arange(count, device=device) % (count // 2)
    return place[:, None] != place[None, :]


def log_contrast(logits: Tensor, negatives: Tensor, contrast: Contrast) -> Tensor:
    """Return the contrast, computed from logarithms alone, so that no finite logits overflow.

    Args:
        logits: (n, n) floating, symmetric; n = 2m, rows i and i +- m being views of one thing.
        negatives: (n, n) bool, False for the pairs of `others`. A row without negatives has the loss 0.
        contrast: The constants.

    Returns:
        A scalar.
    """
    positive = _positive(logits)  # (n,)
    counts = negatives.sum(1)  # (n,)
    empty = counts == 0
    # Sums over nothing have no gradient: such rows sum over all, and are left out at the end.
    hidden = ~(negatives | empty[:, None])
    if contrast.estimator == "easy":
        mass = _log_sum(logits, hidden)
    else:
        mass = _log_debiased(logits, positive, hidden, counts.clamp_min(1), contrast)
    losses = -functional.logsigmoid(positive - mass)  # (n,)
    return losses.masked_fill(empty, 0.0).mean()


def plain_contrast(logits: Tensor, contrast: Contrast) -> Tensor:
    """Return the contrast as the formula is written; it overflows where exp((1 + beta) logits) does.

    Args:
        logits: (n, n) floating, as in `log_contrast`; all others of a row are its negatives.
        contrast: The constants.

    Returns:
        A scalar.
    """
    negatives = others(len(logits), logits.device)
    count = len(logits) - 2
    similarity = torch.exp(logits)
    positive = torch.exp(_positive(logits))
    if contrast.estimator == "easy":
        mass = (similarity * negatives).sum(1)
    else:
        weights = similarity**contrast.beta * negatives
        reweighted = (weights * similarity).sum(1) / (weights.sum(1) / count)
        mass = (reweighted - contrast.tau_plus * count * positive) / (1.0 - contrast.tau_plus)
        mass = mass.clamp_min(count * math.exp(-1.0 / contrast.temperature))
    return -torch.log(positive / (positive + mass)).mean()


def _positive(logits: Tensor) -> Tensor:
    half = len(logits) // 2
    return torch.cat([logits.diagonal(half), logits.diagonal(-half)])  # (n,)


def _log_sum(logits: Tensor, hidden: Tensor) -> Tensor:
    return torch.logsumexp(logits.masked_fill(hidden, -math.inf), dim=1)


def _log_debiased(logits: Tensor, positive: Tensor, hidden: Tensor, counts: Tensor, contrast: Contrast) -> Tensor:
    """Return ln G (n,)."""
    count = counts.to(logits.dtype).log()
    reweighted = (
        _log_sum((1.0 + contrast.beta) * logits, hidden) - _log_sum(contrast.beta * logits, hidden) + count
    )  # (n,) ln R
    floor = count - 1.0 / contrast.temperature
    if not contrast.tau_plus:
        return torch.maximum(reweighted, floor)
    # ln(R - c) = ln R + ln(1 - c / R), where c is below R; elsewhere the floor is taken, whose gradient is 0. The
    # branch that is not taken needs a finite gradient all the same: 0 times infinity is nan.
    excess = math.log(contrast.tau_plus) + count + positive - reweighted  # (n,) ln(c / R)
    below = excess < -torch.finfo(logits.dtype).tiny
    left = torch.log(-torch.expm1(excess.where(below, torch.full_like(excess, -1.0))))
    debiased = reweighted + left - math.log1p(-contrast.tau_plus)
    return debiased.where(below & (debiased > floor), floor)
