"""Weights and strategies: every store gives what the formulas give over all entities."""

from __future__ import annotations

import dataclasses
from typing import get_args

import numpy as np
import pytest

from contract.world import ALL, vectors
from entity_expand import Expander, ExpandQuery, ExpandSettings, Filter, MemoryStore, QueryError, SearchSettings
from entity_expand.strategies import lists
from entity_expand.strategies.combine import ListStrategy

LISTS = get_args(ListStrategy)
SEEDS = [0, 4, 31]
NAMES = ["0", "Place 4", "P-31"]
WEIGHTS = [2.0, 0.5, 0.5]


def gains(table: MemoryStore, seeds: list[int], settings: ExpandSettings) -> np.ndarray:
    """What each seed adds to the score of every entity, (S, n)."""
    field = "feature" if settings.space == "features" else "head"
    if field == "feature":
        return vectors(table, field)[seeds] @ vectors(table, field).T
    rows = table.rows(np.arange(ALL))
    forward = (rows.scaled.astype(float) @ rows.head.astype(float).T).astype(np.float32)
    return forward[seeds] + settings.both_directions * forward[:, seeds].T


def naive(table: MemoryStore, strategy: str, weights: list[float], settings: ExpandSettings) -> np.ndarray:
    """The score of every entity, with seeds at -inf, by the definition."""
    each, rows = gains(table, SEEDS, settings), table.rows(np.array(SEEDS))
    each[:, SEEDS] = -np.inf
    shares = [weight / (sum(weights) / 3) for weight in weights]
    if strategy == "mean":
        return sum(share * own for share, own in zip(shares, each, strict=True)) / 3
    if strategy == "best":
        return np.max([share * own for share, own in zip(shares, each, strict=True)], axis=0)
    if strategy == "sum":
        logs = [rows.deviation[n] * each[n] + rows.log_offset[n] for n in range(3)]
        values = sum(share * np.exp(own) for share, own in zip(shares, logs, strict=True))
    else:
        ranks = [np.argsort(np.argsort(-own, kind="stable"), kind="stable") + 1 for own in each]
        values = sum(share / (60 + rank) for share, rank in zip(shares, ranks, strict=True))
    values[SEEDS] = -np.inf
    return values


def fits(strategy: str, settings: ExpandSettings) -> bool:
    return strategy != "sum" or (settings.space == "heads" and not settings.both_directions)


@pytest.mark.parametrize("strategy", LISTS)
@pytest.mark.parametrize(
    "settings",
    [ExpandSettings(), ExpandSettings(both_directions=0.5), ExpandSettings(space="features")],
    ids=["heads", "both", "features"],
)
def test_lists_are_those_of_the_definition(store, table, strategy, settings) -> None:
    if not fits(strategy, settings):
        with pytest.raises(QueryError, match="robabilities"):
            Expander(store).expand(NAMES, 9, strategy=strategy, settings=settings)
        return
    for weights in ([1.0, 1.0, 1.0], WEIGHTS):
        right = naive(table, strategy, weights, settings)
        order = np.argsort(-right, kind="stable")[:9]
        found = Expander(store).expand(NAMES, 9, strategy=strategy, weights=weights, settings=settings)
        assert found.ids == [table.records([n])[0].entity.id for n in order.tolist()]
        assert [result.score for result in found.results] == pytest.approx(right[order], rel=1e-5)
        shares = [weight / (sum(weights) / 3) for weight in weights]
        similar = np.array(shares) @ gains(table, SEEDS, settings)[:, order] / 3
        assert [result.similarity for result in found.results] == pytest.approx(similar, rel=1e-4, abs=1e-6)
        assert found.exact and [seed.id for seed in found.seeds] == [str(n) for n in SEEDS]
        whole = Expander(table).expand(NAMES, 9, strategy=strategy, weights=weights, settings=settings)
        assert whole.ids == found.ids and (whole.fetches == 0) == (settings.space == "heads")


@pytest.mark.parametrize("strategy", LISTS)
def test_lists_go_on_until_they_are_proved(store, table, strategy, monkeypatch) -> None:
    monkeypatch.setattr(lists, "_SPARE", 0)
    asked = {"strategy": strategy, "size": 3, "weights": WEIGHTS}
    found = Expander(store).expand(NAMES, **asked)
    assert found.exact and found.ids == Expander(table).expand(NAMES, **asked).ids
    everything = Expander(store).expand(NAMES, ALL, strategy=strategy)
    assert len(set(everything.ids)) == ALL - 3 and everything.exact
    assert everything.ids == Expander(table).expand(NAMES, ALL, strategy=strategy).ids


def test_a_limit_of_fetches_shows(store, monkeypatch) -> None:
    monkeypatch.setattr(lists, "_SPARE", 0)
    found = Expander(store).expand(NAMES, 3, strategy="mean", settings=ExpandSettings(max_fetches=1))
    # The floor of three entities is the score of the third, less than the slack for rounding below it.
    assert not found.exact and found.fetches == 1 and len(found.results) == 3


@pytest.mark.parametrize("strategy", LISTS)
def test_lists_keep_to_filters_and_exclusions(store, table, strategy) -> None:
    asked = {
        "size": 40,
        "exclude": ["12", "P-15"],
        "filter": Filter(attributes={"kind": ["k0"], "half": ["low"]}),
        "strategy": strategy,
    }
    found = Expander(store).expand(NAMES, **asked)
    assert sorted(map(int, found.ids)) == [3, 6, 9, 18, 21, 24, 27]
    assert found.ids == Expander(table).expand(NAMES, **asked).ids
    nobody = Expander(store).expand(NAMES, strategy=strategy, filter=Filter(attributes={"kind": []}))
    assert nobody.ids == [] and nobody.exact


@pytest.mark.parametrize("strategy", [*LISTS, "paper", "both", None])
def test_ranking_again_can_be_asked_for_and_refused(store, table, strategy) -> None:
    asked = {"size": 12, "strategy": strategy, "weights": WEIGHTS}
    plain = Expander(store).expand(NAMES, rerank=False, **asked)
    again = Expander(store).expand(NAMES, rerank=True, **asked)
    assert set(plain.ids) == set(again.ids) and plain.ids != again.ids
    assert again.ids == Expander(table).expand(NAMES, rerank=True, **asked).ids
    by_place = {identifier: place for place, identifier in enumerate(plain.ids, 1)}
    others = sorted(round(1 / (result.score - 9 / by_place[result.id])) for result in again.results)
    assert others == list(range(1, 13))
    assert Expander(store).expand(NAMES, **asked) == (again if strategy in ("paper", "both", None) else plain)


def test_strategies_of_the_search(store) -> None:
    expander, both = Expander(store), ExpandSettings(both_directions=1.0)
    assert expander.expand(NAMES, 20, strategy="paper") == expander.expand(NAMES, 20)
    assert expander.expand(NAMES, 20, strategy="both") == expander.expand(NAMES, 20, settings=both)
    half = ExpandSettings(both_directions=0.5)
    assert expander.expand(NAMES, 20, strategy="both", settings=half) == expander.expand(NAMES, 20, settings=half)
    assert expander.expand(NAMES, 20, strategy="both").ids != expander.expand(NAMES, 20).ids


@pytest.mark.parametrize("both", [0.0, 1.0])
@pytest.mark.parametrize("pool_size", [8, 400])
@pytest.mark.parametrize("member_weight", [1.0, 0.2])
def test_weights_in_the_search(store, table, both: float, pool_size: int, member_weight: float) -> None:
    settings = ExpandSettings(both_directions=both, search=SearchSettings(member_weight=member_weight))
    wanted = Expander(table).expand(NAMES, 25, weights=WEIGHTS, settings=settings)
    small = dataclasses.replace(settings, pool_size=pool_size)
    found = Expander(store).expand(NAMES, 25, weights=WEIGHTS, settings=small)
    assert found.ids == wanted.ids and found.exact
    assert found == Expander(store).expand(NAMES, 25, weights=[8 * weight for weight in WEIGHTS], settings=small)
    assert found.ids != Expander(store).expand(NAMES, 25, settings=small).ids
    alike = Expander(store).expand(NAMES, 25, weights=[3.0, 3.0, 3.0], settings=small)
    assert alike.ids == Expander(store).expand(NAMES, 25, settings=small).ids


def test_a_heavy_seed_decides(store) -> None:
    expander, settings = Expander(store), ExpandSettings(search=SearchSettings(member_weight=0.0, rerank=False))
    alone = expander.expand(["0"], 10, exclude=["4"], settings=settings)
    heavy = expander.expand(["0", "4"], 10, weights=[1e9, 1.0], settings=settings)
    assert heavy.ids == alone.ids


@pytest.mark.parametrize("weights", [[1e308, 1e308, 1e-308], [1e-300, 1e-300, 1e300]])
def test_weights_of_any_size(store, table, weights) -> None:
    for strategy in (None, "sum", "mean"):
        found = Expander(store).expand(NAMES, 25, weights=weights, strategy=strategy)
        assert found.ids == Expander(table).expand(NAMES, 25, weights=weights, strategy=strategy).ids
        assert all(np.isfinite(result.score) and np.isfinite(result.similarity) for result in found.results)


def test_strategies_go_side_by_side(store) -> None:
    queries = [
        *(ExpandQuery(NAMES, 7, strategy=strategy) for strategy in LISTS),
        ExpandQuery(NAMES, 7, strategy="sum", settings=ExpandSettings(both_directions=1.0)),
        ExpandQuery(NAMES, 7, weights=WEIGHTS),
        ExpandQuery(NAMES, 7, strategy="best", filter=Filter(query={"no_such_query": {}})),
    ]
    expander = Expander(store)
    found = expander.expand_many(queries, return_errors=True)
    assert isinstance(found[4], QueryError) and isinstance(found[6], QueryError)
    for query, each in zip([*queries[:4], queries[5]], [*found[:4], found[5]], strict=True):
        assert each == expander.expand(NAMES, 7, strategy=query.strategy, weights=query.weights)


def test_features_have_no_probabilities_to_rank_by(store) -> None:
    for strategy in ("mean", None):
        with pytest.raises(QueryError, match="robabilities"):
            Expander(store).expand(NAMES, strategy=strategy, rerank=True, settings=ExpandSettings(space="features"))
