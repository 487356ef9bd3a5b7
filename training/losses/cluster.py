"""Contrast between clusters, and the entropy of their sizes (NOTES.md, 5.3)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from training.losses.contrast import Contrast, Estimator, log_contrast, others, plain_contrast
from training.losses.inputs import check_choice, check_pair, full_precision, widened

ClusterForm = Literal["paper", "corrected", "normalised"]
_SHORTEST = 1e-8
"""Columns below this length are empty clusters; normalising them would send gradients out of all proportion."""


def cluster_contrast_loss(
    first: Tensor,
    second: Tensor,
    *,
    form: ClusterForm = "corrected",
    temperature: float = 0.5,
    tau_plus: float = 0.05,
    beta: float = 1.0,
    estimator: Estimator = "hard",
) -> Tensor:
    """Return the debiased contrast of the 2K columns, less the entropies of both views' mean rows.

    A column, the shares of all samples in one cluster, is contrasted with its like in the other view as a row is in
    `training.losses.contrast`. The forms:

    - "paper": as the formula is written. Products of columns grow with the batch, so that in float32 the loss is nan
      as soon as some 44 samples (at the default temperature) are sure of one cluster, and where a cluster is empty.
    - "corrected": the same number from logarithms, with 0 ln 0 = 0. Value and gradient are finite for all
      probabilities.
    - "normalised": columns of length 1, as "corrected" besides. The weight of the contrast no longer depends on the
      size of the batch, and the floor of the formula fits the range of the products. It is another number than the
      paper's.

    Args:
        first: (B, K) floating, probabilities of the first view; B is the whole batch over all processes.
        second: (B, K), those of the second view in the same order.
        form: As above.
        temperature: Above 0.
        tau_plus: Share of the negatives that are taken to be positives in truth, from 0 to below 1.
        beta: How much more near negatives weigh.
        estimator: "hard" as in the paper, or "easy", the plain sum over the negatives.

    Returns:
        A scalar, float32 or float64.

    Raises:
        TrainingError: The shapes do not fit.
        ConfigError: The form is unknown or a constant out of its range.
    """
    check_pair("cluster_contrast_loss", first, second)
    check_choice("form", form, ClusterForm)
    contrast = Contrast(temperature, tau_plus, beta, estimator)
    with full_precision(first):
        columns = widened(torch.cat([first, second], dim=1)).T  # (2K, B)
        entropy = _entropy(columns.mean(1), safe=form != "paper")
        if form == "normalised":
            columns = functional.normalize(columns, dim=1, eps=_SHORTEST)
        logits = columns @ columns.T / temperature  # (2K, 2K)
        if form == "paper":
            return plain_contrast(logits, contrast) - entropy
        return log_contrast(logits, others(len(logits), logits.device), contrast) - entropy


def _entropy(shares: Tensor, safe: bool) -> Tensor:
    # The gradient -ln q - 1 is cut off at the smallest normal number: at 0 it has no limit.
    logarithms = (shares.clamp_min(torch.finfo(shares.dtype).tiny) if safe else shares).log()
    return -(shares * logarithms).sum()
