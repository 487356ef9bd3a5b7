"""The settings of a training run, read from TOML; one module per table or two."""

from training.config.align import AlignSettings
from training.config.backbones import ALL_LAYERS, TextSettings, VisionSettings
from training.config.data import ALL_SPLITS, DataSettings
from training.config.loop import LoopSettings, Precision
from training.config.network import ModelConfig
from training.config.tasks import CONTRASTS, MiningSettings, TaskSettings
from training.config.validation import ValidationSettings
from training.config.whole import TrainingConfig

__all__ = [
    "ALL_LAYERS",
    "ALL_SPLITS",
    "CONTRASTS",
    "AlignSettings",
    "DataSettings",
    "LoopSettings",
    "MiningSettings",
    "ModelConfig",
    "Precision",
    "TaskSettings",
    "TextSettings",
    "TrainingConfig",
    "ValidationSettings",
    "VisionSettings",
]
