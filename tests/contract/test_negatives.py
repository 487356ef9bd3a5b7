"""Negatives: every store corrects the list of the seeds by the same formula."""

from __future__ import annotations

import numpy as np
import pytest

from contract.world import ALL, vectors
from entity_expand import Expander, ExpandQuery, ExpandSettings, QueryError, UnknownSeedError
from entity_expand.strategies.negatives import DEEPER, PENALTY

SEEDS, NEGATIVES = ["0", "Place 4", "P-31"], ["Place 50", "59"]
WEIGHTS = [2.0, 0.5, 0.5]
WAYS = [{}, {"strategy": "both"}, {"strategy": "best"}, {"settings": ExpandSettings(space="features")}]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_the_list_of_the_seeds_is_corrected(store, table, way, weights) -> None:
    expander = Expander(store)
    plain = expander.expand(SEEDS, 20 + DEEPER, exclude=NEGATIVES, weights=weights, **way)
    found = expander.expand(SEEDS, 20, negative=NEGATIVES, weights=weights, **way)
    assert [[seed.id for seed in given] for given in (found.negatives, found.seeds)] == [["50", "59"], ["0", "4", "31"]]
    features = vectors(table, "feature")
    cosines = features @ features.T
    place = {table.records([n])[0].entity.id: n for n in range(ALL)}
    right = {}
    for rank, identifier in enumerate(plain.ids, 1):
        wanted, unwanted = (cosines[each, place[identifier]].max() for each in ([0, 4, 31], [50, 59]))
        right[identifier] = np.exp(-PENALTY * max(0.0, unwanted - wanted)) / rank
    best = sorted(right, key=lambda identifier: -right[identifier])[:20]
    assert found.ids == best
    # In the space of features whoever is nearer to a negative than to any seed is far down already.
    assert found.ids != plain.ids[:20] or "settings" in way
    assert [result.score for result in found.results] == pytest.approx([right[each] for each in best], rel=1e-5)
    similar = {result.id: result.similarity for result in plain.results}
    assert [result.similarity for result in found.results] == pytest.approx([similar[each] for each in best], rel=1e-5)
    assert found.exact and Expander(table).expand(SEEDS, 20, negative=NEGATIVES, weights=weights, **way).ids == best


def test_negatives_never_come_back(store) -> None:
    expander = Expander(store)
    everything = expander.expand(SEEDS, 10_000, negative=NEGATIVES, exclude=["50", "10"])
    assert len(everything.ids) == ALL - len(SEEDS) - 3 and not {"50", "59", "10"} & set(everything.ids)
    twice = expander.expand(SEEDS, 5, negative=["9", "Place 9"])
    assert twice == expander.expand(SEEDS, 5, negative=["9"]) and len(twice.negatives) == 1


def test_negatives_are_read_as_seeds_are(store) -> None:
    expander = Expander(store)
    with pytest.raises(UnknownSeedError, match="Did you mean 'Mercury'"):
        expander.expand(SEEDS, 5, negative=["Mercuri"])
    with pytest.raises(QueryError, match=r"some of \['Place 4'\]: negatives, or excluded"):
        expander.expand(SEEDS, 5, negative=["Place 4"])


def test_nothing_is_left_to_correct(store) -> None:
    assert Expander(store).expand(["0"], 5, negative=["1"], exclude=[str(n) for n in range(2, 60)]).ids
    everyone = [*(str(n) for n in range(1, 60)), "a", "b", "c", "place 7"]
    assert Expander(store).expand(["0"], 5, negative=everyone).ids == []


def test_negatives_go_side_by_side(store) -> None:
    queries = [ExpandQuery(SEEDS, 5, negative=[name]) for name in ("9", "c", "nobody")]
    found = Expander(store).expand_many(queries, return_errors=True)
    assert isinstance(found[2], UnknownSeedError)
    assert found[:2] == [Expander(store).expand(SEEDS, 5, negative=[name]) for name in ("9", "c")]
