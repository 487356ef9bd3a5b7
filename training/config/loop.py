"""The optimiser and the loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from entity_expand.config import check, setting
from entity_expand.errors import ConfigError

Precision: TypeAlias = Literal["int8"] | None
"""In which form rows of frozen backbones are kept; None is float16."""


@dataclass(frozen=True)
class LoopSettings:
    """The optimiser and the loop.

    Attributes:
        seed: Seed of weights, sampling, hiding and dropout.
        epochs: Passes; 0 leaves all to `[align]`.
        batch_size: Samples per step over all processes; the last batch of an epoch may be smaller.
        accumulate: Parts that a step's batch is cut into, one after the other, to save memory; for masked entity
            prediction and masked language modelling alone, since the contrasts need the whole batch at once.
        learning_rate: Of the parts above the backbones.
        backbone_learning_rate: Of trained backbone layers; None = `learning_rate`.
        schedule: "constant", or "cosine" down to zero at the last step.
        warmup_steps: Steps in which the rate grows linearly from zero.
        weight_decay: Of matrices; biases and norms have none.
        betas, epsilon: Of AdamW.
        clip: Largest norm of the gradient; 0 leaves it as it is.
        smoothing: Label smoothing.
        precision: "float32", or "bfloat16" by autocast.
        device: "auto" takes a GPU where there is one.
        compile: Compile the network by torch.compile.
        compile_mode: Its mode; "reduce-overhead" replays CUDA graphs on a GPU. None is torch's "default", and keeps
            the names of runs and checkpoints from before there was this setting.
        cache_on_device: Hold what is computed once on the GPU; "auto" does where it takes less than half of its
            free memory.
        cache_precision: "int8" keeps what frozen backbones give in half the room, in memory and on the disk; each
            number is off by at most 1/254 of its vector's largest. None is half precision.
        checkpoint_steps: Write a checkpoint after so many steps, besides the one after each epoch.
        keep_checkpoints: How many of the newest checkpoints are kept.
        log_steps: Write a line of metrics after so many steps.
    """

    seed: int = setting(0, low=0, high=2**31 - 1)
    epochs: int = setting(10, low=0)
    batch_size: int = setting(64, low=1)
    accumulate: int = setting(1, low=1)
    learning_rate: float = setting(3e-4, low=0.0)
    backbone_learning_rate: float | None = setting(None, low=0.0)
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_steps: int = setting(0, low=0)
    weight_decay: float = setting(0.01, low=0.0)
    betas: tuple[float, float] = setting((0.9, 0.999), low=0.0, high=0.999999)
    epsilon: float = setting(1e-8, low=1e-16)
    clip: float = setting(1.0, low=0.0)
    smoothing: float = setting(0.075, low=0.0, high=0.999)
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compile: bool = False
    compile_mode: Literal["default", "reduce-overhead"] | None = None
    cache_on_device: Literal["auto", "yes", "no"] = "auto"
    cache_precision: Precision = None
    checkpoint_steps: int | None = setting(None, low=1)
    keep_checkpoints: int = setting(2, low=1)
    log_steps: int = setting(10, low=1)

    def __post_init__(self) -> None:
        check(self)
        if self.compile_mode is not None and not self.compile:
            raise ConfigError(
                f"compile_mode is {self.compile_mode!r}, but nothing is compiled; set compile = true, or leave it out."
            )
