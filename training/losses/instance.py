"""Contrast between samples: two views of one are near, all others of the batch are far (NOTES.md, 5.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from training.losses.contrast import Contrast, Estimator, log_contrast, others
from training.losses.inputs import check_pair, check_square, full_precision, widened


def instance_contrast_loss(
    first: Tensor,
    second: Tensor,
    *,
    temperature: float = 0.5,
    tau_plus: float = 0.05,
    beta: float = 1.0,
    estimator: Estimator = "hard",
    ignored: Tensor | None = None,
) -> Tensor:
    """Return the debiased contrast of two views; `training.losses.contrast` has the formula.

    The paper takes all other rows of the batch for negatives, those of the same entity too. With `ignored` they need
    not be: the number N of negatives is then each row's own. A row without negatives has the loss 0.

    Args:
        first: (B, d) floating, unit rows of the first view; B is the whole batch over all processes.
        second: (B, d), unit rows of the second view in the same order.
        temperature: Above 0.
        tau_plus: Share of the negatives that are taken to be positives in truth, from 0 to below 1.
        beta: How much more near negatives weigh.
        estimator: "hard" as in the paper, or "easy", the plain sum over the negatives.
        ignored: (2B, 2B) bool over the rows of both views, first before second: pairs that are not to count as
            negatives. The other view of a row stays its positive, whatever is said of it. None is the paper's.

    Returns:
        A scalar, float32 or float64.

    Raises:
        TrainingError: The shapes do not fit.
        ConfigError: A constant is out of its range.
    """
    check_pair("instance_contrast_loss", first, second)
    contrast = Contrast(temperature, tau_plus, beta, estimator)
    with full_precision(first):
        rows = widened(torch.cat([first, second]))  # (2B, d)
        negatives = others(len(rows), rows.device)
        if ignored is not None:
            check_square("ignored", ignored, len(rows))
            negatives = negatives & ~ignored
        return log_contrast(rows @ rows.T / temperature, negatives, contrast)
