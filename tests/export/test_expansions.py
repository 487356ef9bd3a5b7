"""Whole expansions from two sets of features."""

from pathlib import Path

import numpy as np
import pytest

from entity_expand.corpus import Query
from entity_expand.corpus.queries import write_queries, write_truth
from entity_expand.types import Entity
from export.expansions import agreement, seed_sets

COUNT, WIDTH = 30, 6
ENTITIES = [Entity(f"e{number}", f"Entity {number}") for number in range(COUNT)]
RANDOM = np.random.default_rng(2)
ROWS = RANDOM.standard_normal((COUNT + 5, WIDTH + 1))
OWN = np.arange(COUNT) + 2
FEATURES = RANDOM.standard_normal((COUNT, WIDTH))


def test_without_queries_entities_go_with_their_nearest(tmp_path: Path) -> None:
    sets = seed_sets(tmp_path, ENTITIES, FEATURES, ROWS, OWN)
    assert len(sets.seeds) == COUNT and sets.queries == ()
    assert all(len(set(seeds.tolist())) == 3 for seeds in sets.seeds)
    centred = ROWS - ROWS.mean(axis=0)
    scores = np.column_stack([FEATURES, np.ones(COUNT)]) @ centred[OWN].T
    scores[7, 7] = -np.inf
    assert sets.seeds[7].tolist() == [7, *np.argsort(-scores[7])[:2]]


def test_the_same_features_agree_and_others_do_not(tmp_path: Path) -> None:
    sets = seed_sets(tmp_path, ENTITIES, FEATURES, ROWS, OWN)
    same = agreement(sets, FEATURES, 1 * FEATURES, ROWS, OWN, 8)
    assert (same.overlap, same.model_map, same.map_loss, same.expansions) == (1.0, None, 0.0, COUNT)
    other = agreement(sets, FEATURES, FEATURES + RANDOM.standard_normal(FEATURES.shape), ROWS, OWN, 8)
    assert 0.1 < other.overlap < 0.9


def test_queries_of_the_corpus_are_measured(tmp_path: Path) -> None:
    queries = [Query("c", 0, ("e0", "e1", "e2")), Query("c", 1, ("e3", "e4", "elsewhere"))]
    write_queries(tmp_path / "query", queries)
    write_truth(tmp_path / "gt", {"c": [(f"e{number}", "") for number in (0, 1, 2, 3, 4)] + [("elsewhere", "")]})
    sets = seed_sets(tmp_path, ENTITIES, FEATURES, ROWS, OWN)
    assert sets.queries == (queries[0],) and sets.truth == {"c": {"e0", "e1", "e2", "e3", "e4"}}
    assert sets.seeds[0].tolist() == [0, 1, 2] and len(sets.seeds) == 1 + COUNT
    found = agreement(sets, FEATURES, -FEATURES, ROWS, OWN, 20)
    assert found.queries == 1 and found.model_map is not None and found.graph_map is not None
    assert found.map_loss == pytest.approx(found.model_map - found.graph_map)
    assert 0 <= found.graph_map <= 100
