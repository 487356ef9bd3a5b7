"""Baselines outside of the trainer and of the frame: vectors of entities from untrained features, and their ranking."""

from training.baselines.front import FAMILIES, Features, baselines
from training.baselines.ranking import Baseline, ranked
from training.baselines.stored import stored_features
from training.baselines.vectors import VectorTable

__all__ = ["FAMILIES", "Baseline", "Features", "VectorTable", "baselines", "ranked", "stored_features"]
