"""What seeds say of an entity, and the centre of a set."""

from __future__ import annotations

import numpy as np
import pytest

from entity_expand import ExpandSettings
from entity_expand.explain.maths import around_the_centre, said_by
from entity_expand.search.scoring import EntityRows

MEAN = np.zeros(2)


def rows(*features: tuple[float, float]) -> EntityRows:
    """Entities whose head row is twice their feature, with σ = 1 and no bias."""
    scaled = np.array([(*feature, 1.0) for feature in features], np.float32)
    head = np.array([(2 * x, 2 * y, 0.0) for x, y in features], np.float32)
    return EntityRows(head, scaled, np.ones(len(scaled)), np.zeros(len(scaled)))


def test_shares_are_weight_times_gain_over_the_seeds() -> None:
    seeds, entity = rows((1, 0), (0, 3)), rows((4, 5))
    said = said_by(seeds, entity, ExpandSettings(both_directions=0.5), MEAN, (0.5, 1.5))
    assert said.gives.tolist() == [1 * 8, 3 * 10] and said.takes.tolist() == [4 * 2, 5 * 6]
    assert said.shares.tolist() == [0.5 * (8 + 0.5 * 8) / 2, 1.5 * (30 + 0.5 * 30) / 2]


def test_in_feature_space_it_is_the_cosine() -> None:
    said = said_by(rows((1, 0), (0, 3)), rows((4, 3)), ExpandSettings(space="features"), MEAN)
    assert said.likeness == pytest.approx([4 / 5, 3 / 5])
    assert said.shares == pytest.approx([4 / 5 / 2, 3 / 5 / 2])


def test_the_centre_is_the_sum_of_unit_features() -> None:
    assert around_the_centre(rows((1, 0), (0, 5)), MEAN) == pytest.approx([np.sqrt(0.5), np.sqrt(0.5)])
    assert around_the_centre(rows((1, 0), (-1, 0)), MEAN) == pytest.approx([0, 0])
    assert around_the_centre(rows((1, 0)).take(np.arange(0)), MEAN).shape == (0,)
