"""The sizes and the form of what is trained above the backbones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from entity_expand.config import check, setting


@dataclass(frozen=True)
class ModelConfig:
    """The trained part above the backbones (visual transformer, cross transformer, three heads).

    Attributes:
        form: "paper" drops logits out in training, keeps the text backbone's own dropout off and masks with -1e9;
            "corrected" leaves logits alone, uses the text backbone's dropout in trained layers and masks with -1e4.
        fusion: "cross" sends texts and pictures together through the cross transformer, as the paper does; "experts"
            keeps them apart to the end: two features, one from the text and one from the picture, whose logits are
            added. What a sample lacks then has the feature 0 and says nothing. "pooled" keeps them apart too, without
            any layers of its own: the text encoder's state at the mask beside the mean of its states, and the mean of
            the vision backbone's tokens.
        norm: "sublayer" normalises a sub-layer's output before the residual sum, as the paper's code does; "pre"
            normalises its input.
        heads, mlp, visual_layers, cross_layers, dropout: Sizes of both transformers.
        head_dropout: Dropout of the visual linear layer and of the entity head.
        visual_dropout: Dropout of the channels of the vision backbone's tokens.
        clusters: Columns of the cluster head.
        metric_width: Width of each part's feature behind a linear map that `[align]` fits; None has no such map.
    """

    form: Literal["paper", "corrected"] = "corrected"
    fusion: Literal["cross", "experts", "pooled"] = "cross"
    norm: Literal["sublayer", "pre"] = "sublayer"
    heads: int = setting(12, low=1)
    mlp: int = setting(3072, low=1)
    visual_layers: int = setting(3, low=0)
    cross_layers: int = setting(3, low=1)
    dropout: float = setting(0.1, low=0.0, high=0.9)
    head_dropout: float = setting(0.2, low=0.0, high=0.9)
    visual_dropout: float = setting(0.0, low=0.0, high=0.9)
    clusters: int = setting(71, low=2)
    metric_width: int | None = setting(None, low=1)

    def __post_init__(self) -> None:
        check(self)
