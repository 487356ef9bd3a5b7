"""Image-text matching: does this picture belong to this text, where the wrong ones are hard to tell."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from training.losses.inputs import check_square, full_precision, widened


def matching_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy of the two answers, averaged over the pairs.

    Args:
        logits: (n, 2) floating, for "no" and "yes".
        labels: (n,) int64 or bool, 1 where text and picture belong together.

    Returns:
        A scalar, float32 or float64.
    """
    with full_precision(logits):
        return functional.cross_entropy(widened(logits), labels.long())


def hard_negatives(similarity: Tensor, allowed: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a wrong partner for each row, with the probabilities softmax(similarity) over those that are allowed.

    Args:
        similarity: (B, B) floating and finite, of row i to the partner of row j, divided by a temperature.
        allowed: (B, B) bool, where the partner of j is wrong for i; a row's own partner never is, whatever is said.
        generator: Of the device of `similarity`.

    Returns:
        (B,) int64, the partner of each row; -1 where none is allowed.

    Raises:
        TrainingError: The shapes do not fit.
    """
    size = len(similarity)
    check_square("similarity", similarity, size)
    check_square("allowed", allowed, size)
    wrong = allowed & ~torch.eye(size, dtype=torch.bool, device=similarity.device)
    scores = widened(similarity.detach())
    # The largest of l_j - ln(e_j), with e_j drawn from the exponential distribution, falls on j with softmax(l)_j.
    noise = torch.empty_like(scores).exponential_(generator=generator)
    drawn = (scores - noise.log()).masked_fill(~wrong, -math.inf).argmax(1)  # (B,)
    return drawn.masked_fill(~wrong.any(1), -1)
