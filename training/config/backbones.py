"""The settings of both backbones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from entity_expand.config import check, setting
from entity_expand.errors import ConfigError

ALL_LAYERS = -1


@dataclass(frozen=True)
class TextSettings:
    """The text backbone and how sentences become ids.

    Attributes:
        backbone: "minilm", "scratch", or the path of a folder with a BERT-like encoder and its tokenizer.json.
        form: "wordpiece", or "whole_word" as in the paper's code.
        max_length: Longest sequence in ids; longer sentences are cropped around the mask.
        trained_layers: How many of the last layers are trained; -1 trains all and the embeddings.
        train_vectors: Train the words that `vectors` started; otherwise they stay, so that words which training
            never sees keep their place among the others.
        vocabulary, width, layers, heads, mlp, dropout: Sizes of a "scratch" encoder, unused by others.
        vectors: Encoder whose vectors the words of a "scratch" encoder start from: "minilm", or the path of a folder
            as for `backbone`. None starts them at random.
    """

    backbone: str = "minilm"
    form: Literal["wordpiece", "whole_word"] = "wordpiece"
    max_length: int = setting(128, low=3, high=8192)
    trained_layers: int = setting(1, low=ALL_LAYERS)
    vocabulary: int = setting(4000, low=32)
    width: int = setting(128, low=8)
    layers: int = setting(2, low=1)
    heads: int = setting(4, low=1)
    mlp: int = setting(256, low=8)
    dropout: float = setting(0.1, low=0.0, high=0.9)
    vectors: str | None = None
    train_vectors: bool = False

    def __post_init__(self) -> None:
        check(self)
        if self.vectors is not None and self.backbone != "scratch":
            raise ConfigError(f"vectors is {self.vectors!r}, but is for backbone = 'scratch' alone; leave it out.")
        if self.backbone == "scratch" and self.trained_layers != ALL_LAYERS:
            raise ConfigError("trained_layers must be -1 with backbone = 'scratch': there is nothing to freeze.")
        if self.backbone == "scratch" and self.width % self.heads:
            raise ConfigError(f"width is {self.width}, but must be a multiple of heads = {self.heads}.")


@dataclass(frozen=True)
class VisionSettings:
    """The vision backbone and how pictures become tokens.

    Attributes:
        backbone: "efficientnet-lite0", "resnet50", "scratch", or "timm:NAME".
        weights: File with the weights of "resnet50" or "timm:NAME" (safetensors, or a state dict of torch), or with
            others for "efficientnet-lite0".
        random_weights: Start "resnet50" or "timm:NAME" from random weights instead.
        trained: Train the backbone too; otherwise it is frozen and its output computed once per picture.
        size: Edge of the square picture in pixels.
        resize: Shorter edge before the central crop to `size`; None squashes to `size` x `size`.
        normalise: "backbone" = as the weights expect, "imagenet" = mean and deviation of ImageNet, "none" = [0, 1].
        tokens: "patches" sends every patch alone through the network; "map" takes the feature map of one pass.
        patch: Edge of a patch in pixels.
        pool: Average the map down to pool x pool tokens; None keeps it.
        widths: Channels of a "scratch" network, each stage halving the picture.
    """

    backbone: str = "efficientnet-lite0"
    weights: str | None = None
    random_weights: bool = False
    trained: bool = False
    size: int = setting(224, low=8, high=2048)
    resize: int | None = setting(None, low=8, high=4096)
    normalise: Literal["backbone", "imagenet", "none"] = "backbone"
    tokens: Literal["patches", "map"] = "map"
    patch: int = setting(32, low=4)
    pool: int | None = setting(None, low=1)
    widths: tuple[int, ...] = setting((16, 32, 64, 96), low=1)

    def __post_init__(self) -> None:
        check(self)
        if self.backbone == "scratch" and not self.trained:
            raise ConfigError("trained must be true with backbone = 'scratch': it has no weights to freeze.")
        if self.random_weights and self.backbone in ("scratch", "efficientnet-lite0"):
            raise ConfigError(
                f"random_weights is for 'resnet50' and 'timm:NAME', not for backbone = {self.backbone!r}; leave it out."
            )
        if self.weights is not None and self.backbone == "scratch":
            raise ConfigError(f"weights is {self.weights!r}, but backbone = 'scratch' has none; leave it out.")
        if self.weights is not None and self.random_weights:
            raise ConfigError(f"weights is {self.weights!r}, but random_weights is true; leave one of them out.")
        if self.tokens == "patches" and self.size % self.patch:
            raise ConfigError(f"size is {self.size}, but must be a multiple of patch = {self.patch}.")
        if self.tokens == "patches" and self.pool is not None:
            raise ConfigError("pool is for tokens = 'map'; patches are averaged whole.")
        if self.resize is not None and self.resize < self.size:
            raise ConfigError(f"resize is {self.resize}, but must be at least size = {self.size}.")
