"""The network: text and picture tokens in, one feature per sentence and three heads out.

input_ids (B, L) ─> text encoder ─────────────────────────────────┐
pixels (B, 3, H, W) ─> vision backbone ─> linear, norm, GELU,      ├─> cross transformer ─> row at the mask h (B, D)
+ position ─> visual transformer (B, P, D) ─┘
h ─> entity head: trunk feature g (B, D) ─> W g + b (B, V);  h ─> projection (B, 128);  h ─> clusters (B, K)
"""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.config import ModelConfig, TaskSettings
from training.heads import ImageTextHead, WordsHead
from training.metric import Metric
from training.transformer import Transformer

PROJECTION = (256, 128)
BARE = 3
"""Visible ids of a text that says nothing: start, mask, end."""


class TextPart(Protocol):
    """What the model needs of its text encoder; `training.text.TextEncoder` has it."""

    width: int
    words: Tensor

    def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map (B, L) int64 ids and mask to (B, L, D) states."""
        ...

    def upper(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        """Run the trained layers alone on the frozen layers' output, (B, L, D) -> (B, L, D)."""
        ...


class VisionPart(Protocol):
    """What the model needs of its vision backbone; `training.vision.VisionTokens` has it."""

    width: int
    count: int
    frozen: bool

    def __call__(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, H, W) float32 pixels to (B, P, C) tokens."""
        ...


class EntityHead(nn.Module):
    """Trunk, metric if there is one, and one row [w, b] per entity.

    Args:
        width: D.
        channels: C, width of the vision backbone's tokens.
        vocabulary: V.
        config: Sizes and form.
    """

    def __init__(self, width: int, channels: int, vocabulary: int, config: ModelConfig) -> None:
        super().__init__()
        drop = nn.Dropout(config.head_dropout)
        self.trunk: nn.Module
        blocks: tuple[int, ...]
        if config.fusion == "pooled":
            blocks, self.trunk = (2 * width, channels), nn.Identity()
        elif config.fusion == "experts":
            blocks, self.trunk = (width, width), Experts(width, config.head_dropout)
        else:
            blocks, self.trunk = (width,), _plain_trunk(width, drop)
        self.metric = nn.Identity() if config.metric_width is None else Metric(blocks, config.metric_width)
        wide = sum(self.metric.widths if isinstance(self.metric, Metric) else blocks)
        self.rows = nn.Linear(wide, vocabulary)
        # The paper's code drops logits out: each is zeroed or scaled up before the softmax.
        self.logits = nn.Dropout(config.head_dropout) if config.form == "paper" else nn.Identity()

    def forward(self, h: Tensor) -> Tensor:
        """Map (B, D) to log-probabilities (B, V), float32."""
        logits: Tensor = self.logits(self.rows(self.feature(h)))
        return functional.log_softmax(logits.float(), dim=-1)

    def feature(self, h: Tensor) -> Tensor:
        """Map (B, D) to the feature g that the rows are multiplied with."""
        return cast(Tensor, self.metric(self.trunk(h)))


def _plain_trunk(width: int, drop: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(width, width), drop, nn.LayerNorm(width), nn.GELU())


class Experts(nn.Module):
    """The trunks of the text and of the picture side by side; either maps 0, what is missing, to exactly 0."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.text, self.picture = (
            nn.Sequential(
                nn.Linear(width, width, bias=False), nn.Dropout(dropout),
                nn.LayerNorm(width, elementwise_affine=False), nn.GELU(),
            )
            for _ in range(2)
        )  # fmt: skip

    def forward(self, h: Tensor) -> Tensor:
        """Map (B, 2 D), text and picture, to (B, 2 D)."""
        text, picture = h.chunk(2, dim=-1)
        return torch.cat([self.text(text), self.picture(picture)], dim=-1)


class MultiExpan(nn.Module):
    """MultiExpan without its momentum copy.

    With `config.fusion` = "experts", h and g are (B, 2 D), the text's half first, where (B, D) is written below; with
    "pooled" h is (B, 2 D + C). A metric changes the width of g.

    Args:
        config: Sizes and form.
        text: A module that is a `TextPart` of width D.
        vision: A module that is a `VisionPart` with P tokens of width C.
        vocabulary: Number V of entities.
        tasks: The tasks, of which some need a head that others do not have; None needs none of these.
    """

    def __init__(
        self, config: ModelConfig, text: nn.Module, vision: nn.Module, vocabulary: int,
        tasks: TaskSettings | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.text, self.vision = text, vision
        width, channels = cast(TextPart, text).width, cast(VisionPart, vision).width
        self.width = width
        drop = nn.Dropout(config.head_dropout)
        self.visual_dropout = nn.Dropout(config.visual_dropout)
        if config.fusion != "pooled":
            self.visual_linear = nn.Sequential(nn.Linear(channels, width), drop, nn.LayerNorm(width), nn.GELU())
            self.visual_position = nn.Parameter(torch.randn(1, cast(VisionPart, vision).count, width))
            self.visual_transformer = Transformer(width, config.visual_layers, config)
            self.cross_transformer = Transformer(width, config.cross_layers, config)
        self.head = EntityHead(width, channels, vocabulary, config)
        wide = {"cross": width, "experts": 2 * width, "pooled": 2 * width + channels}[config.fusion]
        self.projection_head = _projection_head(wide)
        self.cluster_head = _cluster_head(wide, config.clusters)
        # Last, so that a model without them draws the same weights.
        self.words_head = WordsHead(width, cast(TextPart, text).words) if tasks and tasks.words else None
        self.matching_head = _matching_head(wide, width) if tasks and tasks.matching else None
        similar = tasks is not None and (tasks.image_text or tasks.matching)
        self.image_text_head = ImageTextHead(width, tasks.image_text_temperature) if tasks and similar else None

    def train(self, mode: bool = True) -> MultiExpan:
        """Set the training flags; frozen backbones stay in evaluation mode, and so does all text in paper form."""
        super().train(mode)
        if self.config.form == "paper":
            self.text.eval()
        if cast(VisionPart, self.vision).frozen:
            self.vision.eval()
        return self

    def fuse(
        self, states: Tensor, attention_mask: Tensor, mask_position: Tensor, tokens: Tensor, image_present: Tensor
    ) -> Tensor:
        """Return the fused row at the mask.

        Args:
            states: (B, L, D) output of the text encoder.
            attention_mask: (B, L), 1 for ids and 0 for padding.
            mask_position: (B,) int64, where the target's mask is.
            tokens: (B, P, C) output of the vision backbone; ignored rows must be finite.
            image_present: (B,), 0 hides the picture.

        Returns:
            h: (B, D).
        """
        visual = self.visual_rows(tokens)
        return self.h_of(states, attention_mask, visual, image_present, mask_position)

    def visual_rows(self, tokens: Tensor) -> Tensor:
        """Map (B, P, C) tokens of the vision backbone to (B, P, D) rows; without such a layer they stay (B, P, C)."""
        if self.config.fusion == "pooled":
            return self.visual_dropout(tokens)  # type: ignore[no-any-return]
        visual = self.visual_linear(self.visual_dropout(tokens)) + self.visual_position  # (B, P, D)
        return cast(Tensor, self.visual_transformer(visual))

    def cross(self, states: Tensor, attention_mask: Tensor, visual: Tensor, image_present: Tensor) -> Tensor:
        """Return all fused rows (B, L + P, D), of experts the text's (B, L, D); arguments as in `h_of`."""
        if self.config.fusion == "experts":
            return cast(Tensor, self.cross_transformer(states, attention_mask.to(states.dtype)))
        rows, keys = _joined(states, attention_mask, visual, image_present)
        return cast(Tensor, self.cross_transformer(rows, keys))

    def h_of(
        self, states: Tensor, attention_mask: Tensor, visual: Tensor, image_present: Tensor, mask_position: Tensor
    ) -> Tensor:
        """Return h (B, D); arguments as in `fuse`, `visual` from `visual_rows`."""
        if self.config.fusion == "cross":
            rows, keys = _joined(states, attention_mask, visual, image_present)
            return self.cross_transformer.row(rows, keys, mask_position)
        text = self._text_row(states, attention_mask, mask_position)  # (B, D) or (B, 2 D)
        told = (attention_mask.sum(1) > BARE).to(text.dtype)[:, None]  # (B, 1)
        shown = image_present.to(text.dtype)[:, None]  # (B, 1)
        return torch.cat([text * told, visual.mean(1).to(text.dtype) * shown], dim=1)

    def _text_row(self, states: Tensor, attention_mask: Tensor, mask_position: Tensor) -> Tensor:
        keys = attention_mask.to(states.dtype)
        if self.config.fusion == "experts":
            return self.cross_transformer.row(states, keys, mask_position)
        at_mask = states.gather(1, mask_position[:, None, None].expand(-1, 1, states.shape[2]))[:, 0]
        mean = (states * keys[:, :, None]).sum(1) / keys.sum(1, keepdim=True)
        return torch.cat([at_mask, mean], dim=1)

    def encode(
        self, input_ids: Tensor, attention_mask: Tensor, mask_position: Tensor, pixels: Tensor, image_present: Tensor
    ) -> Tensor:
        """Return h (B, D) from ids and pixels; arguments as in `feature`."""
        states = self.text(input_ids, attention_mask)  # (B, L, D)
        return self.fuse(states, attention_mask, mask_position, self.vision(pixels), image_present)

    def feature(
        self, input_ids: Tensor, attention_mask: Tensor, mask_position: Tensor, pixels: Tensor, image_present: Tensor
    ) -> Tensor:
        """Return the trunk feature g that the head's rows are multiplied with.

        Args:
            input_ids: (B, L) int64, padded.
            attention_mask: (B, L) int64.
            mask_position: (B,) int64.
            pixels: (B, 3, H, W) float32, normalised.
            image_present: (B,) float32; 0 hides the picture, whatever its pixels are.

        Returns:
            g: (B, D) float32; log p = log_softmax(W g + b) with W, b from `head_rows`.
        """
        return self.trunk(self.encode(input_ids, attention_mask, mask_position, pixels, image_present))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, mask_position: Tensor, pixels: Tensor, image_present: Tensor
    ) -> Tensor:
        """Return log-probabilities over the entities (B, V); arguments as in `feature`."""
        return self.log_probabilities(self.encode(input_ids, attention_mask, mask_position, pixels, image_present))

    def trunk(self, h: Tensor) -> Tensor:
        """Map h (B, D) to the feature g (B, D) that the head's rows are multiplied with."""
        return self.head.feature(h)

    def log_probabilities(self, h: Tensor) -> Tensor:
        """Map h (B, D) to log-probabilities (B, V)."""
        return cast(Tensor, self.head(h))

    def project(self, h: Tensor) -> Tensor:
        """Map h (B, D) to unit rows (B, 128) for the contrast between instances."""
        return functional.normalize(self.projection_head(h), dim=-1, eps=1e-12)

    def cluster(self, h: Tensor) -> Tensor:
        """Map h (B, D) to cluster probabilities (B, K)."""
        return functional.softmax(self.cluster_head(h), dim=-1)

    def head_rows(self) -> tuple[Tensor, Tensor]:
        """Return W (V, D) and b (V,), rows in the order of the checkpoint's entities."""
        return self.head.rows.weight, self.head.rows.bias


def _joined(states: Tensor, mask: Tensor, visual: Tensor, image_present: Tensor) -> tuple[Tensor, Tensor]:
    """Return texts and pictures in one sequence (B, L + P, D), and which of its rows are visible (B, L + P)."""
    shown = image_present.to(states.dtype)[:, None].expand(-1, visual.shape[1])  # (B, P)
    keys = torch.cat([mask.to(states.dtype), shown], dim=1)
    return torch.cat([states, visual.to(states.dtype)], dim=1), keys


def _projection_head(width: int) -> nn.Sequential:
    inner, outer = PROJECTION
    return nn.Sequential(nn.Linear(width, inner, bias=False), nn.BatchNorm1d(inner), nn.ReLU(), nn.Linear(inner, outer))


def _matching_head(wide: int, inner: int) -> nn.Sequential:
    # Not one linear layer: of experts, whose h are text and picture side by side, it would be a sum over the two, which
    # says nothing of whether they fit.
    return nn.Sequential(nn.Linear(wide, inner), nn.GELU(), nn.Linear(inner, 2))


def _cluster_head(width: int, clusters: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(),
        nn.Linear(width, clusters),
    )  # fmt: skip
