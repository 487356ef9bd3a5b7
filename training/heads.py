"""The heads of the further tasks, which a model has only where their task has a weight."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

IMAGE_TEXT = 128
_COLDEST = 1e-3


class WordsHead(nn.Module):
    """Fused rows to words of the text encoder's vocabulary, by the encoder's own embeddings.

    Args:
        width: D of the rows.
        embeddings: (W, E) the words of the encoder; their shape alone counts here.
    """

    def __init__(self, width: int, embeddings: Tensor) -> None:
        super().__init__()
        words, inner = embeddings.shape
        self.transform = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.LayerNorm(inner))
        self.bias = nn.Parameter(torch.zeros(words))

    def forward(self, rows: Tensor, embeddings: Tensor) -> Tensor:
        """Map (M, D) rows to (M, W) logits; `embeddings` (W, E) are the encoder's as they are now."""
        return functional.linear(self.transform(rows), embeddings, self.bias)


class ImageTextHead(nn.Module):
    """Texts and pictures to unit rows of one space, and the temperature of their contrast.

    Args:
        width: D of both.
        temperature: Where the learned temperature starts.
    """

    def __init__(self, width: int, temperature: float) -> None:
        super().__init__()
        self.text = nn.Linear(width, IMAGE_TEXT)
        self.picture = nn.Linear(width, IMAGE_TEXT)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))

    def forward(self, text: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, D) rows of texts and of pictures to (B, 128) float32 unit rows of both."""
        rows = self.text(text).float(), self.picture(picture).float()
        return functional.normalize(rows[0], dim=-1), functional.normalize(rows[1], dim=-1)

    @property
    def temperature(self) -> Tensor:
        """The temperature, a scalar above 0."""
        return self.log_temperature.exp().clamp_min(_COLDEST)
