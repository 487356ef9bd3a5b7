"""From what each channel says of entities to one score: pure functions of arrays.

The scores of a channel are standardised over the candidates, so that weights mean the same whatever a channel's scores
are made of: z(v) = (x(v) - mean x) / deviation of x. The score is the weighted sum of the z, over the sum of the
weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from entity_expand.errors import ConfigError
from entity_expand.types import Float64

Channel: TypeAlias = Literal["model", "lexical"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)
DEPTH = 200
"""How many entities of each channel's own list are candidates at least."""
_SMALLEST_DEVIATION = 1e-12


@dataclass(frozen=True, slots=True)
class ChannelWeights:
    """How much each channel counts in the strategy "hybrid"; only the ratios matter. 0 leaves a channel out.

    Attributes:
        model: The model's own scores.
        lexical: The words that the sentences share.
    """

    model: float = 1.0
    lexical: float = 0.5

    def __post_init__(self) -> None:
        values = [getattr(self, name) for name in CHANNELS]
        if not all(math.isfinite(value) and value >= 0 for value in values) or not any(values):
            raise ConfigError(f"The weights of channels are at least 0, and one of them is more; got {self}.")

    def of(self, channels: Sequence[Channel]) -> Float64:
        """Return the weights of some channels, in their order."""
        return np.array([getattr(self, name) for name in channels], dtype=np.float64)


def standardised(scores: Float64) -> Float64:
    """Return the scores of a channel (K,) with mean 0 and deviation 1 over the candidates; 0 if all are the same."""
    centred: Float64 = scores - scores.mean() if len(scores) else scores
    deviation = float(centred.std()) if len(scores) else 0.0
    return centred / deviation if deviation > _SMALLEST_DEVIATION else np.zeros(len(scores))


def fused(scores: Mapping[Channel, Float64], weights: ChannelWeights) -> Float64:
    """Return the score of each of K candidates, (K,), from the scores (K,) of channels."""
    shares = weights.of(tuple(scores))
    parts = [share * standardised(each) for share, each in zip(shares.tolist(), scores.values(), strict=True)]
    total: Float64 = np.sum(parts, axis=0) / shares.sum()
    return total
