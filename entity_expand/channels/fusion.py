"""From what each channel says of entities to one score: pure functions of arrays.

The scores of a channel are standardised over the candidates, so that weights mean the same whatever a channel's scores
are made of: z(v) = (x(v) - mean x) / deviation of x. The score is the weighted sum of the z, over the sum of the
weights. Of whom a channel knows nothing, z is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from entity_expand.config import check, setting
from entity_expand.errors import ConfigError
from entity_expand.types import LARGEST_WEIGHT, Float64

Channel: TypeAlias = Literal["model", "text", "picture", "lexical"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)
DEPTH = 200
"""How many entities of each channel's own list are candidates at least."""
_SMALLEST_DEVIATION = 1e-12


@dataclass(frozen=True, slots=True)
class ChannelWeights:
    """How much each channel counts in the strategy "hybrid"; only the ratios matter. 0 leaves a channel out.

    Each is a million at most.

    Attributes:
        model: The model's scores of what the index was made with.
        lexical: The words that the sentences share.
        text: The model's scores of the texts alone.
        picture: The model's scores of the pictures alone.
    """

    model: float = setting(1.0, low=0, high=LARGEST_WEIGHT)
    lexical: float = setting(0.0, low=0, high=LARGEST_WEIGHT)
    text: float = setting(0.0, low=0, high=LARGEST_WEIGHT)
    picture: float = setting(0.0, low=0, high=LARGEST_WEIGHT)

    def __post_init__(self) -> None:
        check(self)
        if not self.counting():
            raise ConfigError("The weights of channels are at least 0, and one of them is more; all are 0.")

    def counting(self) -> dict[Channel, float]:
        """Return the channels that count, with their weights."""
        return {name: float(getattr(self, name)) for name in CHANNELS if getattr(self, name)}


def standardised(scores: Float64) -> Float64:
    """Return the scores of a channel (K,) with mean 0 and deviation 1 over the candidates; 0 for NaN."""
    known = np.isfinite(scores)
    if not known.any():
        return np.zeros(len(scores))
    mean, deviation = float(scores[known].mean()), float(scores[known].std())
    if deviation <= _SMALLEST_DEVIATION:
        return np.zeros(len(scores))
    return np.where(known, (scores - mean) / deviation, 0.0)


def fused(scores: Mapping[Channel, Float64], weights: Mapping[Channel, float]) -> Float64:
    """Return the score of each of K candidates, (K,), from the scores (K,) of channels."""
    parts = [weights[name] * standardised(each) for name, each in scores.items()]
    total: Float64 = np.sum(parts, axis=0) / sum(weights[name] for name in scores)
    return total
