"""Masked entity prediction (NOTES.md, 5.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from training.losses.inputs import widened


def masked_entity_loss(log_probabilities: Tensor, labels: Tensor, smoothing: float = 0.075) -> Tensor:
    """Return the divergence of the prediction from smoothed labels, averaged over the batch.

    A row with the label set S has the target t_v = (1 - s) / |S| inside S and s / (V - |S|) outside; the loss is
    (1 / B) sum_b sum_v t_v (ln t_v - log p_bv), with 0 ln 0 = 0.

    Args:
        log_probabilities: (B, V) floating.
        labels: (B,) or (B, k) int64; the labels of a row are distinct.
        smoothing: s, from 0 to below 1.

    Returns:
        A scalar, float32 or float64.
    """
    log_probabilities = widened(log_probabilities)
    labels = labels if labels.ndim == 2 else labels[:, None]  # (B, k)
    vocabulary, inside = log_probabilities.shape[1], labels.shape[1]
    outside = vocabulary - inside
    high = (1.0 - smoothing) / inside
    low = smoothing / outside if outside else 0.0
    labelled = log_probabilities.gather(1, labels).sum(1)  # (B,)
    predicted = (high - low) * labelled  # (B,)
    if low:  # 0 times -inf is nan, so what carries no weight is left out
        predicted = predicted + low * log_probabilities.sum(1)
    entropy = inside * _xlogx(high) + outside * _xlogx(low)
    return torch.mean(entropy - predicted)


def _xlogx(x: float) -> float:
    return x * math.log(x) if x > 0 else 0.0
