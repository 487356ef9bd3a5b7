"""Pictures to tokens: every patch alone through the network, or the feature map of one pass."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from entity_expand.errors import ConfigError


class VisionTokens(nn.Module):
    """A convolutional network whose output becomes P tokens of width C.

    Args:
        network: Maps (B, 3, H, W) to a feature map (B, C, h, w).
        size: Edge H = W of the pictures.
        tokens: "patches" cuts the picture into patches, row by row, and averages the map of each; "map" takes the
            cells of one map, row by row.
        patch: Edge of a patch.
        pool: Average the map to pool x pool cells.
        frozen: The network is not trained and stays in evaluation mode.

    Attributes:
        width: C.
        count: P.

    Raises:
        ConfigError: The network gives no such map, or one with fewer cells than `pool` asks for.
    """

    def __init__(
        self,
        network: nn.Module,
        size: int,
        tokens: Literal["patches", "map"],
        patch: int = 32,
        pool: int | None = None,
        *,
        frozen: bool = True,
    ) -> None:
        super().__init__()
        self.network, self.size, self.patches, self.patch, self.frozen = (
            network,
            size,
            tokens == "patches",
            patch,
            frozen,
        )
        network.requires_grad_(not frozen)
        self.width, height, width = _map_shape(network, patch if self.patches else size)
        self.count = (size // patch) ** 2 if self.patches else height * width
        self.pooling: Tensor | None
        self.register_buffer("pooling", None, persistent=False)
        if pool is not None and not self.patches:
            if pool > min(height, width):
                raise ConfigError(f"vision.pool is {pool}, but the map has only {height} x {width} cells.")
            self.pooling = torch.kron(_pooling(height, pool), _pooling(width, pool))  # (pool^2, h w)
            self.count = pool * pool

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, H, W) float32 pixels to (B, P, C) tokens."""
        if self.patches:
            return self._patch_tokens(pixels)
        tokens: Tensor = self.network(pixels).flatten(2).transpose(1, 2)  # (B, h w, C)
        return tokens if self.pooling is None else self.pooling.to(tokens.dtype) @ tokens  # (B, P, C)

    def _patch_tokens(self, pixels: Tensor) -> Tensor:
        edge, count = self.patch, self.size // self.patch
        cut = pixels.view(-1, 3, count, edge, count, edge).permute(0, 2, 4, 1, 3, 5)  # (B, rows, columns, 3, e, e)
        maps = self.network(cut.reshape(-1, 3, edge, edge))  # (B P, C, h, w)
        pooled: Tensor = maps.mean(dim=(2, 3)).view(-1, count * count, self.width)  # (B, P, C)
        return pooled


def _map_shape(network: nn.Module, edge: int) -> tuple[int, int, int]:
    """Return C, h and w of the map that the network gives of a picture of edge x edge pixels."""
    training = network.training
    try:
        with torch.no_grad():
            found = network.eval()(torch.zeros(1, 3, edge, edge))
    except (AssertionError, RuntimeError, ValueError) as problem:
        raise ConfigError(
            f"The vision backbone takes no pictures of {edge} x {edge} pixels: {problem}; choose another vision.size "
            "(or vision.patch), or another vision.backbone."
        ) from problem
    finally:
        network.train(training)
    shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    # Networks of timm say how wide they are, some of them without the layer in front of the classifier.
    named = [getattr(network, name, None) for name in ("num_features", "head_hidden_size")]
    widths = sorted({width for width in named if width is not None})
    if not isinstance(shape, tuple) or len(shape) != 4 or (widths and shape[1] not in widths):
        expected = " or ".join(map(str, widths)) or "C"
        raise ConfigError(
            f"The vision backbone gives {shape}, but a map (1, {expected}, h, w) was expected; choose a convolutional "
            "network as vision.backbone."
        )
    return shape[1], shape[2], shape[3]


def _pooling(cells: int, groups: int) -> Tensor:
    """Return the (groups, cells) matrix that averages as adaptive pooling does, fixed so that it can be exported."""
    matrix = torch.zeros(groups, cells)
    for group in range(groups):
        start, end = group * cells // groups, math.ceil((group + 1) * cells / groups)
        matrix[group, start:end] = 1.0 / (end - start)
    return matrix


class WithoutClassifier(nn.Module):
    """torchvision's ResNet up to its last map, with torchvision's names of weights."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        for name, child in whole.named_children():
            if name not in ("avgpool", "fc"):
                self.add_module(name, child)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, C, h, w)."""
        for child in self.children():
            pixels = child(pixels)
        return pixels


class SmallNetwork(nn.Module):
    """A convolutional network to be trained from scratch; each stage halves the picture.

    Group norms make a picture's features independent of the batch it is in.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for before, after in zip((3, *widths), widths, strict=False):
            stages.append(nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False))
            stages.append(nn.GroupNorm(math.gcd(after, 8), after))
            stages.append(nn.GELU())
        self.stages = nn.Sequential(*stages)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, C, h, w)."""
        out: Tensor = self.stages(pixels)
        return out
