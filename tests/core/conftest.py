"""A small world of entities in classes, as stored rows, for tests of the search and the stores."""

from dataclasses import dataclass

import numpy as np
import pytest

from entity_expand.search.scoring import EntityRows, entity_rows, head_rows, head_statistics, scores_between


@dataclass(frozen=True)
class World:
    weight: np.ndarray  # (V, D)
    bias: np.ndarray  # (V,)
    features: np.ndarray  # (V, D)
    label: np.ndarray  # (V,)
    rows: EntityRows
    table: np.ndarray  # (V, V)


@pytest.fixture(scope="session")
def world() -> World:
    size, width, classes = 300, 12, 8
    rng = np.random.default_rng(7)
    centre = rng.normal(size=(classes, width))
    label = rng.integers(0, classes, size)
    weight = (centre[label] + 0.8 * rng.normal(size=(size, width))).astype(np.float32)
    features = (centre[label] + 0.8 * rng.normal(size=(size, width))).astype(np.float32)
    bias = (0.3 * rng.normal(size=size)).astype(np.float32)
    vocabulary = head_rows(weight, bias)
    rows = entity_rows(features, vocabulary, vocabulary, head_statistics(vocabulary))
    return World(weight, bias, features, label, rows, scores_between(rows, rows))
