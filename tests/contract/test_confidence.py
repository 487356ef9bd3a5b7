"""What was fitted is kept with an index on a server, and says the same there as in the embedded one."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from itertools import pairwise
from pathlib import Path

import pytest

from contract.world import World, entities, serve
from entity_expand import AsyncExpander, Expander, ExpandSettings, IndexMismatchError
from entity_expand.calibration.draws import fit_index
from entity_expand.calibration.fitted import Fitted, Fusion
from entity_expand.channels.fusion import ChannelWeights
from entity_expand.elastic.store import ElasticStore
from entity_expand.stores.memory import MemoryStore
from indexer import keep_fitted, keep_fitted_with_bundle

TRUTH = {f"kind{k}": frozenset(e.id for e in entities()[k:60:3]) for k in range(3)}
QUERIES = [
    {},
    {"strategy": "mean", "weights": [1.0, 2.0]},
    {"settings": ExpandSettings(both_directions=1.0, pool_size=8)},
    {"settings": ExpandSettings(space="features")},
    {"settings": ExpandSettings(both_directions=0.5, space="features")},
    {"negative": ["1"]},
]


@pytest.fixture(scope="module")
def fitted(world: World, served: str) -> Fitted:
    store = MemoryStore.open(world.index)
    weights = ChannelWeights(1.0, 0.5)
    found, _ = fit_index(store, TRUTH, draws=1, size=20, channels=weights)
    found = dataclasses.replace(found, channels=(Fusion("both", weights, 3, 12),))
    store.close()
    for index in (world.index, world.fetched, served):
        keep_fitted(index, found)
    return found


def test_all_stores_are_as_sure(world: World, served: str, fitted: Fitted) -> None:
    with Expander.open(world.index) as table, Expander.open(world.fetched) as rows, Expander.open(served) as server:
        for options in QUERIES:
            first, *others = (each.expand(["0", "3"], 12, **options) for each in (table, rows, server))
            assert first.cutoff is not None and all(result.confidence for result in first.results)
            for other in others:
                assert other.cutoff == first.cutoff and other.ids == first.ids
                sure = [result.confidence for result in other.results]
                assert sure == pytest.approx([result.confidence for result in first.results], rel=1e-5)

    async def awaited():
        async with await AsyncExpander.open(served) as expander:
            return await expander.expand(["0", "3"], 12)

    assert asyncio.run(awaited()).cutoff is not None


def test_hybrid_is_sure_by_its_own_scores(world: World, served: str, fitted: Fitted) -> None:
    for address in (world.fetched, served):
        with Expander.open(address) as expander:
            whole = expander.expand(["0", "3"], 12, strategy="hybrid")
            assert whole.cutoff is not None
            own = fitted.confidence_in("heads", 0.0, "both", None, "hybrid")
            assert own is not None and own.coefficients[1] > 0
            sure, scores = ([getattr(each, name) for each in whole.results] for name in ("confidence", "score"))
            logits = [math.log(p / (1 - p)) - own.coefficients[5] * math.log(n) for n, p in enumerate(sure, 1)]
            rise = [(high - low) / (own.coefficients[1] or 1) for high, low in pairwise(logits)]
            assert rise == pytest.approx([high - low for high, low in pairwise(scores)], abs=1e-6)
            page = expander.expand(["0", "3"], 6, strategy="hybrid").more()
            assert [each.confidence for each in page.results] == pytest.approx(sure[6:])
            unlike = expander.expand(["0", "3"], 6, strategy="hybrid", negative=["1"])
            assert unlike.cutoff is not None and all(each.confidence for each in unlike.results)
            chosen = ExpandSettings(channels=ChannelWeights(1.0, 0.7))
            assert expander.expand(["0", "3"], 6, strategy="hybrid", settings=chosen).cutoff is None
    less = dataclasses.replace(fitted, channels=())
    keep_fitted(world.index, less)
    with Expander.open(world.index) as expander:
        assert expander.expand(["0", "3"], 6, strategy="hybrid").cutoff is None, "the default weights were not fitted"
        assert expander.expand(["0", "3"], 6).cutoff is not None
    keep_fitted(world.index, fitted)


def test_a_reader_notices(served: str, fitted: Fitted, tmp_path: Path) -> None:
    store = ElasticStore.open(served, recheck=0)
    assert store.begin().facts.fitted == fitted
    keep_fitted(served, Fitted(fitted.bundle, fitted.confidence[:1]))
    assert store.begin().facts.fitted == Fitted(fitted.bundle, fitted.confidence[:1])
    with pytest.raises(IndexMismatchError, match="fit it again"):
        keep_fitted(served, Fitted("f" * 64, ()))
    store.close()


def test_a_new_index_has_what_its_bundle_has(
    world: World, fitted: Fitted, elasticsearch_url: str, index_name: str, tmp_path: Path
) -> None:
    keep_fitted_with_bundle(world.bundle, fitted)
    serve(world, f"{elasticsearch_url}/{index_name}", tmp_path)
    store = ElasticStore.open(f"{elasticsearch_url}/{index_name}")
    assert store.begin().facts.fitted == fitted
    store.close()
