"""A linear map behind the trunk, one block for each part that a model keeps apart, fitted in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Metric(nn.Module):
    """Maps the blocks of a trunk's output each by its own linear layer; what is missing, a block of 0, stays 0.

    It starts as an identity where the widths are the same, and is trained like any layer; `training.alignment` sets it.

    Args:
        blocks: Width of each block.
        width: Most columns of each block afterwards.
    """

    def __init__(self, blocks: Sequence[int], width: int) -> None:
        super().__init__()
        self.blocks = tuple(blocks)
        self.maps = nn.ModuleList(nn.Linear(block, min(width, block)) for block in blocks)
        for layer in self.maps.children():
            weight, bias = layer.parameters()
            nn.init.eye_(weight) if weight.shape[0] == weight.shape[1] else nn.init.orthogonal_(weight)
            nn.init.zeros_(bias)

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each block afterwards."""
        return tuple(int(layer.out_features) for layer in self.maps)  # type: ignore[arg-type]

    def forward(self, g: Tensor) -> Tensor:
        """Map (B, sum of blocks) to (B, sum of widths)."""
        parts = [
            layer(part) * (part.abs().amax(dim=-1, keepdim=True) > 0).to(part.dtype)
            for layer, part in zip(self.maps, torch.split(g, list(self.blocks), dim=-1), strict=True)
        ]
        return torch.cat(parts, dim=-1)
