"""All settings of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from entity_expand.config import check, read_toml
from entity_expand.errors import ConfigError
from training.config.align import AlignSettings
from training.config.backbones import TextSettings, VisionSettings
from training.config.data import DataSettings
from training.config.loop import LoopSettings
from training.config.network import ModelConfig
from training.config.tasks import MiningSettings, TaskSettings
from training.config.validation import ValidationSettings


@dataclass(frozen=True)
class TrainingConfig:
    """All settings of a run; each attribute is one table of the TOML file."""

    text: TextSettings = field(default_factory=TextSettings)
    vision: VisionSettings = field(default_factory=VisionSettings)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataSettings = field(default_factory=DataSettings)
    tasks: TaskSettings = field(default_factory=TaskSettings)
    mining: MiningSettings = field(default_factory=MiningSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)
    align: AlignSettings = field(default_factory=AlignSettings)

    def __post_init__(self) -> None:
        check(self)
        if self.data.distort and not self.vision.trained:
            raise ConfigError(
                f"data.distort is {self.data.distort}, but vision.trained is false, and a frozen backbone sees each "
                "picture once; set vision.trained = true, or leave data.distort out."
            )
        if self.align.wanted and self.model.metric_width is None:
            raise ConfigError("[align] fits the metric, so it needs model.metric_width, such as 512.")
        if not self.loop.epochs and not self.align.within:
            raise ConfigError("loop.epochs is 0, so nothing would be trained; set align.within = true, or train.")
        if self.validation.space == "projections" and not self.tasks.image_text:
            raise ConfigError("validation.space is 'projections', which only the task image_text trains.")
        further = [name for name in ("words", "matching", "image_text") if getattr(self.tasks, name)]
        if self.model.fusion == "pooled" and further:
            raise ConfigError(f"A pooled model has no rows for the tasks {further}; use fusion 'cross' or 'experts'.")

        if self.tasks.contrasts and self.loop.batch_size < 2:
            raise ConfigError(
                f"loop.batch_size is {self.loop.batch_size}, but the tasks {list(self.tasks.contrasts)} compare the "
                "pairs of a batch, of which they need two; raise it, or leave them out."
            )
        if self.tasks.contrasts and self.tasks.of_samples and 0 < self.loop.epochs <= self.mining.start:
            raise ConfigError(
                f"mining.start is {self.mining.start}, so the tasks {list(self.tasks.contrasts)} would not be trained "
                f"in loop.epochs = {self.loop.epochs}; train longer, start earlier, or leave them out."
            )
        paired = [name for name in ("matching", "image_text") if getattr(self.tasks, name)]
        if paired and self.loop.accumulate > 1:
            raise ConfigError(
                f"loop.accumulate is {self.loop.accumulate}, but the tasks {paired} compare the samples of the whole "
                "batch; set accumulate = 1, or leave them out."
            )
        if paired and sum(self.data.hiding(self.model.form)) >= 1:
            raise ConfigError(
                f"hide_picture and hide_text add up to 1, so no sample shows both, and the tasks {paired} have nothing "
                "to learn from; hide less."
            )

    @classmethod
    def read(cls, path: Path) -> TrainingConfig:
        """Read a TOML file.

        Raises:
            ConfigError: A setting is unknown, of a wrong type or out of range.
        """
        return read_toml(path, cls)
