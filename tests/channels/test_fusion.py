"""Scores of channels become one score."""

from __future__ import annotations

import numpy as np
import pytest

from entity_expand import ConfigError
from entity_expand.channels.fusion import ChannelWeights, fused, standardised


def test_scores_are_standardised() -> None:
    # Mean 3, deviation sqrt((4 + 0 + 4) / 3).
    assert standardised(np.array([1.0, 3.0, 5.0])) == pytest.approx(np.array([-2, 0, 2]) / np.sqrt(8 / 3))
    assert standardised(np.array([2.0, 2.0])).tolist() == [0.0, 0.0] and len(standardised(np.empty(0))) == 0
    assert standardised(np.array([1.0, np.nan, 3.0])).tolist() == [-1.0, 0.0, 1.0]
    assert standardised(np.array([np.nan, np.nan])).tolist() == [0.0, 0.0]


def test_channels_are_weighed() -> None:
    model, lexical = np.array([1.0, 3.0, 5.0]), np.array([30.0, 10.0, 20.0])
    together = fused({"model": model, "lexical": lexical}, ChannelWeights(1.0, 0.5).counting())
    right = [(-2 / np.sqrt(8 / 3) + 0.5 * 10 / np.sqrt(200 / 3)) / 1.5, -0.5 * 10 / np.sqrt(200 / 3) / 1.5]
    assert together[:2] == pytest.approx(right)
    assert fused({"model": 7 * model - 1, "lexical": lexical}, {"model": 2.0, "lexical": 1.0}) == pytest.approx(
        together
    )


@pytest.mark.parametrize("weights", [(0.0, 0.0), (-1.0, 1.0), (float("nan"), 1.0), (float("inf"), 1.0)])
def test_weights_that_weigh_nothing_are_refused(weights: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match=r"weights of channels|model is -?[a-z0-9.]+, but"):
        ChannelWeights(*weights)
