"""Standardised cosines: the score that untrained baselines have, of the features of a trained model."""

from __future__ import annotations

import numpy as np

from entity_expand.corpus import Query
from training.experiments.describe import Way
from training.experiments.measuring import Questions, standardised_answers
from training.features import EntityFeatures

IDS = ("a", "b", "c", "d", "e", "f", "unseen")


def test_cosines_are_standardised_in_both_directions():
    features = EntityFeatures(np.arange(6), np.random.default_rng(4).normal(size=(6, 4)).astype(np.float32))
    queries = (Query("letters", 0, ("a", "d")), Query("letters", 1, ("a", "unseen")))
    questions = Questions({2: queries}, {"letters": frozenset(IDS)}, frozenset())
    (found,) = standardised_answers(features, IDS, Way("text", "text", "projections", 1.0), questions)
    means = features.means - features.means.mean(axis=0)
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    scores = np.empty((6, 6))
    for one in range(6):
        others = [unit[one] @ unit[each] for each in range(6) if each != one]
        scores[one] = [(unit[one] @ unit[each] - np.mean(others)) / np.std(others) for each in range(6)]
    rest = [1, 2, 4, 5]
    both = {IDS[each]: sum(scores[seed, each] + scores[each, seed] for seed in (0, 3)) for each in rest}
    expected = tuple(sorted(both, key=lambda name: -both[name]))
    assert found.lists == {queries[0]: expected}
    assert (found.seeds, found.left_out) == (2, queries[1:])
    one_way = {IDS[each]: scores[0, each] + scores[3, each] for each in rest}
    assert tuple(sorted(one_way, key=lambda name: -one_way[name])) != expected
