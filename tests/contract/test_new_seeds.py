"""Seeds that are not in the index: every store ranks by the rows that the bundle gives them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from contract.world import ALL, COUNT, World
from entity_expand import Expander, ExpandQuery, ExpandSettings, Filter, NewSeed, QueryError, SearchSettings
from entity_expand.encoder import FakeEncoder
from entity_expand.search.plan import in_space, search_whole, space_of
from entity_expand.search.scoring import (
    EntityRows,
    entity_rows,
    head_rows,
    head_statistics,
    predicted_rows,
    stacked,
    unit_features,
)
from entity_expand.seeds.newcomers import SeedEncoder
from entity_expand.strategies.negatives import DEEPER, corrected

HARBOUR = NewSeed("The [[okapi]] has salt wave tide.")
RIDGE = NewSeed("A ridge has rock, snow and goat.", name="ridge")
SETTINGS = [
    ExpandSettings(),
    ExpandSettings(both_directions=1.0, search=SearchSettings(member_weight=0.2)),
    ExpandSettings(space="features"),
]


@pytest.fixture(scope="module")
def encoder(world: World) -> SeedEncoder:
    return SeedEncoder(world.bundle, FakeEncoder(world.bundle.dimension))


@pytest.fixture
def expander(store, encoder) -> Expander:
    return Expander(store, encoder=encoder)


def rows_of(world: World, *sentences: tuple[str, tuple[int, int]]) -> EntityRows:
    """The rows of entities with one sentence each, by the formulas."""
    bundle = world.bundle
    fake = FakeEncoder(bundle.dimension)
    blank = [text[:start] + " " * (end - start) + text[end:] for text, (start, end) in sentences]
    features = np.array([fake.encode([_plain(text)])[0] for text in blank])
    vocabulary = head_rows(bundle.head_weight, bundle.head_bias)
    return entity_rows(features, predicted_rows(features, bundle.ridge), vocabulary, head_statistics(vocabulary))


def _plain(text: str):
    from entity_expand.encoder import EncoderInput

    return EncoderInput(text, ())


@pytest.fixture
def new(world) -> EntityRows:
    return rows_of(world, ("The okapi has salt wave tide.", (4, 9)), ("A ridge has rock, snow and goat.", (2, 7)))


@pytest.mark.parametrize("settings", SETTINGS, ids=["paper", "both", "features"])
@pytest.mark.parametrize("weights", [(), (1.5, 0.9, 0.6)])
@pytest.mark.parametrize("pool_size", [8, 400])
def test_sets_grow_from_new_seeds(expander, table, new, settings, weights, pool_size) -> None:
    everything = stacked([table.rows(np.arange(ALL)), new])
    pool = space_of(settings, table.facts).pool(everything)
    seeds, nobody = np.array([ALL, 5, ALL + 1]), np.array([ALL, ALL + 1])
    right = search_whole(pool, seeds, 25, in_space(settings), np.empty(0, np.int64), weights)
    assert not set(nobody) & set(right.positions)
    asked = {"settings": dataclasses.replace(settings, pool_size=pool_size), "weights": list(weights) or None}
    found = expander.expand([HARBOUR, "Place 5", RIDGE], 25, **asked)
    assert found.ids == [record.entity.id for record in table.records(right.positions.tolist())] and found.exact
    assert [result.similarity for result in found.results] == pytest.approx(right.similarities, rel=1e-4, abs=1e-6)
    assert [(seed.id, seed.name) for seed in found.seeds] == [("", "okapi"), ("5", "Place 5"), ("", "ridge")]
    assert found.seeds[0].evidence[0].text == "The okapi has salt wave tide."
    assert found.seeds[0].evidence[0].mentions == ((4, 9),) and found.seeds[0].evidence[0].image is None


@pytest.mark.parametrize("strategy", ["mean", "best", "sum", "rank-fusion"])
def test_lists_of_new_seeds(expander, table, new, strategy) -> None:
    forward = new.scaled.astype(float) @ table.rows(np.arange(ALL)).head.astype(float).T
    logs = new.deviation[:, None] * forward + new.log_offset[:, None]
    ranks = np.argsort(np.argsort(-forward, axis=1), axis=1) + 1
    right = {
        "mean": forward.mean(axis=0),
        "best": forward.max(axis=0),
        "sum": np.exp(logs).sum(axis=0),
        "rank-fusion": (1 / (60 + ranks)).sum(axis=0),
    }[strategy]
    found = expander.expand([HARBOUR, RIDGE], 9, strategy=strategy)
    order = np.argsort(-right, kind="stable")[:9]
    assert found.ids == [record.entity.id for record in table.records(order.tolist())] and found.exact
    assert [result.score for result in found.results] == pytest.approx(right[order], rel=1e-4)
    again = expander.expand([HARBOUR, RIDGE], 9, strategy=strategy, rerank=True)
    assert set(again.ids) == set(found.ids)


def test_new_seeds_may_be_negatives(expander, table, new) -> None:
    plain = expander.expand(["0", HARBOUR], 8 + DEEPER, exclude=["8"])
    found = expander.expand(["0", HARBOUR], 8, negative=[RIDGE, "8"])
    places = [int(identifier) for identifier in plain.ids if identifier.isdigit()]
    assert len(places) == len(plain.ids) - len([each for each in plain.ids if not each.isdigit()])
    rows = table.rows(np.array([_place(identifier) for identifier in plain.ids]))
    wanted, unwanted = stacked([table.rows(np.array([0])), new.take([0])]), stacked([new.take([1]), table.rows([8])])
    unit = [unit_features(each, table.facts.mean_feature).astype(float) for each in (wanted, unwanted, rows)]
    scores = corrected(unit[0] @ unit[2].T, unit[1] @ unit[2].T)
    assert found.ids == [plain.ids[n] for n in np.argsort(-scores, kind="stable")[:8]]
    assert [seed.name for seed in found.negatives] == ["ridge", "Place 8"]


def _place(identifier: str) -> int:
    return int(identifier) if identifier.isdigit() else COUNT + ["a", "b", "c", "place 7"].index(identifier)


def test_new_seeds_keep_to_filters(expander) -> None:
    found = expander.expand([HARBOUR], 40, exclude=["12"], filter=Filter(attributes={"kind": ["k0"], "half": ["low"]}))
    assert sorted(map(int, found.ids)) == [0, 3, 6, 9, 15, 18, 21, 24, 27]


def test_new_seeds_go_side_by_side(expander, store) -> None:
    queries = [
        ExpandQuery([HARBOUR], 5),
        ExpandQuery([NewSeed(image=b"no picture", name="torn")], 5),
        ExpandQuery(["3"], 5),
        ExpandQuery([RIDGE, HARBOUR], 5, negative=[NewSeed("A [[well]] has sand.")]),
    ]
    found = expander.expand_many(queries, return_errors=True)
    assert isinstance(found[1], QueryError) and "'torn'" in str(found[1])
    for number in (0, 2, 3):
        query = queries[number]
        assert found[number] == expander.expand(query.seeds, 5, negative=query.negative)
    without = Expander(store).expand_many(queries, return_errors=True)
    assert [isinstance(each, QueryError) for each in without] == [True, True, False, True]
    with pytest.raises(QueryError, match="open the expander with the bundle"):
        Expander(store).expand([HARBOUR])


def test_new_seeds_are_no_results(expander) -> None:
    settings = ExpandSettings(search=SearchSettings(compatible_seeds=1))
    with pytest.raises(QueryError, match="compatible_seeds"):
        expander.expand(["0", HARBOUR], 5, settings=settings)


def test_a_new_page_knows_the_new_seeds(expander) -> None:
    first = expander.expand([HARBOUR, "3"], 5)
    second = first.reject(first.ids[0]).more()
    assert not set(first.ids) & set(second.ids) and [seed.name for seed in second.seeds] == ["okapi", "Place 3"]
