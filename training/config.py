"""The settings of a training run, read from TOML."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from entity_expand.config import check, read_toml, setting
from entity_expand.errors import ConfigError

ALL_LAYERS = -1
ALL_SPLITS = "*"


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
        weights: File with the weights of "resnet50" or "timm:NAME" (safetensors, or a state dict of torch).
        random_weights: Start these two from random weights instead.
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
        if self.tokens == "patches" and self.size % self.patch:
            raise ConfigError(f"size is {self.size}, but must be a multiple of patch = {self.patch}.")
        if self.tokens == "patches" and self.pool is not None:
            raise ConfigError("pool is for tokens = 'map'; patches are averaged whole.")
        if self.resize is not None and self.resize < self.size:
            raise ConfigError(f"resize is {self.resize}, but must be at least size = {self.size}.")


@dataclass(frozen=True)
class ModelConfig:
    """The trained part above the backbones (visual transformer, cross transformer, three heads).

    Attributes:
        form: "paper" drops logits out in training, keeps the text backbone's own dropout off and masks with -1e9;
            "corrected" leaves logits alone, uses the text backbone's dropout in trained layers and masks with -1e4.
        norm: "sublayer" normalises a sub-layer's output before the residual sum, as the paper's code does; "pre"
            normalises its input.
        heads, mlp, visual_layers, cross_layers, dropout: Sizes of both transformers.
        head_dropout: Dropout of the visual linear layer and of the entity head.
        clusters: Columns of the cluster head.
    """

    form: Literal["paper", "corrected"] = "corrected"
    norm: Literal["sublayer", "pre"] = "sublayer"
    heads: int = setting(12, low=1)
    mlp: int = setting(3072, low=1)
    visual_layers: int = setting(3, low=0)
    cross_layers: int = setting(3, low=1)
    dropout: float = setting(0.1, low=0.0, high=0.9)
    head_dropout: float = setting(0.2, low=0.0, high=0.9)
    clusters: int = setting(71, low=2)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class DataSettings:
    """Which samples are trained on.

    Attributes:
        split: Split of the corpus; rows without one belong to "train". "*" takes all rows.
        min_samples: Entities with fewer samples are left out; the paper has 2.
        samples_per_entity: Samples drawn of every entity in each epoch; the paper has 64. None takes each sample
            once per epoch.
        per_mention: One sample per mention with only that mention masked, as in the paper's code.
        hide_picture, hide_text: Share of the samples of a step that lose their picture or their text. None means
            0.4 and 0.1 in the corrected form and 0 in the paper's.
        hide_words: Probability with which each word piece around the mentions is hidden in a step; None means 0.
        distort: Strength of small random changes of the pictures in a step: place, size, turn, brightness, colour,
            noise. For a trained vision backbone alone; None means 0.
        wrong_picture: Share of the samples of a step that are shown another sample's picture: so a picture that gives
            its entity away is trusted less, and the text is read too; None means 0.
        held_out: Split on which loss and accuracy are measured after each epoch, for entities that are trained.
    """

    split: str = "train"
    min_samples: int = setting(1, low=1)
    samples_per_entity: int | None = setting(None, low=1)
    per_mention: bool = False
    hide_picture: float | None = setting(None, low=0.0, high=1.0)
    hide_text: float | None = setting(None, low=0.0, high=1.0)
    hide_words: float | None = setting(None, low=0.0, high=1.0)
    distort: float | None = setting(None, low=0.0, high=1.0)
    wrong_picture: float | None = setting(None, low=0.0, high=1.0)
    held_out: str | None = None

    def __post_init__(self) -> None:
        check(self)
        if self.held_out is not None and self.split in (ALL_SPLITS, self.held_out):
            raise ConfigError(f"held_out is {self.held_out!r}, but that split is trained on.")
        if (self.hide_picture or 0.0) + (self.hide_text or 0.0) > 1.0:
            raise ConfigError("hide_picture and hide_text may not add up to more than 1.")

    def hiding(self, form: str) -> tuple[float, float]:
        """Return the shares of hidden pictures and hidden texts under a form of the model."""
        default = (0.4, 0.1) if form == "corrected" else (0.0, 0.0)
        picture = default[0] if self.hide_picture is None else self.hide_picture
        return picture, min(default[1] if self.hide_text is None else self.hide_text, 1.0 - picture)


@dataclass(frozen=True)
class LoopSettings:
    """The optimiser and the loop.

    Attributes:
        seed: Seed of weights, sampling, hiding and dropout.
        epochs: Passes.
        batch_size: Samples per step; the last batch of an epoch may be smaller.
        learning_rate: Of the parts above the backbones.
        backbone_learning_rate: Of trained backbone layers; None = `learning_rate`.
        schedule: "constant", or "cosine" down to zero at the last step.
        warmup_steps: Steps in which the rate grows linearly from zero.
        weight_decay: Of matrices; biases and norms have none.
        betas, epsilon: Of AdamW.
        clip: Largest norm of the gradient; None leaves it.
        smoothing: Label smoothing.
        precision: "float32", or "bfloat16" by autocast.
        device: "auto" takes a GPU where there is one.
        checkpoint_steps: Write a checkpoint after so many steps, besides the one after each epoch.
        keep_checkpoints: How many of the newest checkpoints are kept.
        log_steps: Write a line of metrics after so many steps.
    """

    seed: int = setting(0, low=0, high=2**31 - 1)
    epochs: int = setting(10, low=1)
    batch_size: int = setting(64, low=1)
    learning_rate: float = setting(3e-4, low=0.0)
    backbone_learning_rate: float | None = setting(None, low=0.0)
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_steps: int = setting(0, low=0)
    weight_decay: float = setting(0.01, low=0.0)
    betas: tuple[float, float] = setting((0.9, 0.999), low=0.0, high=0.999999)
    epsilon: float = setting(1e-8, low=1e-16)
    clip: float | None = setting(1.0, low=1e-9)
    smoothing: float = setting(0.075, low=0.0, high=0.999)
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_steps: int | None = setting(None, low=1)
    keep_checkpoints: int = setting(2, low=1)
    log_steps: int = setting(10, low=1)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class TrainingConfig:
    """All settings of a run; each attribute is one table of the TOML file."""

    text: TextSettings = field(default_factory=TextSettings)
    vision: VisionSettings = field(default_factory=VisionSettings)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataSettings = field(default_factory=DataSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)

    def __post_init__(self) -> None:
        check(self)
        if self.data.distort and not self.vision.trained:
            raise ConfigError(
                f"data.distort is {self.data.distort}, but vision.trained is false, and a frozen backbone sees each "
                "picture once; set vision.trained = true, or leave data.distort out."
            )

    @classmethod
    def read(cls, path: Path) -> TrainingConfig:
        """Read a TOML file.

        Raises:
            ConfigError: A setting is unknown, of a wrong type or out of range.
        """
        return read_toml(path, cls)
