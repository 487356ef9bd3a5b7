"""The strategy "hybrid": every store gives what the formulas give over all candidates."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from contract.test_new_seeds import HARBOUR
from contract.world import ALL, World
from entity_expand import Expander, ExpandSettings, Filter, MemoryStore, QueryError
from entity_expand.channels.fusion import ChannelWeights
from entity_expand.encoder import FakeEncoder
from entity_expand.search.scoring import scores_between
from entity_expand.seeds.newcomers import SeedEncoder
from entity_expand.stores.lexical import LexicalNearest, LexicalQuery, LexicalScores

SEEDS = [0, 4, 31]
NAMES = ["0", "Place 4", "P-31"]
WEIGHTS = [2.0, 0.5, 0.5]
NOBODY = np.empty(0, np.int64)


def z(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def right(store, table: MemoryStore, weights: ChannelWeights) -> np.ndarray:
    """The fused score of every entity, -inf at the seeds; all of them are candidates here."""
    rows, shares = table.rows(np.arange(ALL)), np.array(WEIGHTS)
    candidates = np.setdiff1d(np.arange(ALL), SEEDS)
    model = shares @ scores_between(rows.take(np.array(SEEDS)), rows).astype(float) / 3
    query = LexicalQuery(np.array(SEEDS), (), shares)
    (lexical,) = store.begin().answer([LexicalScores(query, np.arange(ALL))])
    values = np.full(ALL, -np.inf)
    values[candidates] = (weights.model * z(model[candidates]) + weights.lexical * z(lexical[candidates])) / (
        weights.model + weights.lexical
    )
    return values


def test_the_lexical_channel_finds_those_who_share_words(store) -> None:
    reader, query = store.begin(), LexicalQuery(np.array([0, 3]), (), np.ones(2))
    (found,) = reader.answer([LexicalNearest(query, 100, np.array([0, 3]))])
    # All sentences share "has"; those of one kind share five words more.
    kin = [n for n in range(ALL) if n % 3 == 0 and n not in (0, 3)]
    assert sorted(found.positions.tolist()[: len(kin)]) == kin
    assert (np.diff(found.scores) <= 0).all() and (found.scores > 0).all()
    (scores,) = reader.answer([LexicalScores(query, np.sort(found.positions))])
    assert scores[np.argsort(np.argsort(found.positions))] == pytest.approx(found.scores, rel=1e-6)
    (few,) = reader.answer([LexicalNearest(query, 5, np.array([0, 3]))])
    assert few.positions.tolist() == found.positions[:5].tolist()
    filtered = Filter(attributes={"half": ["high"]})
    (high,) = reader.answer([LexicalNearest(query, 100, np.array([0, 3]), filtered)])
    assert high.positions.tolist() == [n for n in found.positions.tolist() if 30 <= n < 60]


def test_hybrid_is_that_of_the_definition(store, table) -> None:
    for weights in (ChannelWeights(1.0, 0.5), ChannelWeights(1.0, 0.0), ChannelWeights(0.2, 0.8)):
        wanted = right(store, table, weights)
        order = np.argsort(-wanted, kind="stable")[:9]
        settings = ExpandSettings(channels=weights)
        found = Expander(store).expand(NAMES, 9, strategy="hybrid", weights=WEIGHTS, settings=settings)
        assert [result.score for result in found.results] == pytest.approx(wanted[order], rel=1e-4)
        assert found.exact and set(found.ids) == {record.entity.id for record in table.records(order.tolist())}
    only = ExpandSettings(channels=ChannelWeights(0.0, 1.0))
    kin = Expander(store).expand(["0", "3"], 8, strategy="hybrid", settings=only)
    assert {int(identifier) % 3 for identifier in kin.ids} == {0}
    assert Expander(table).expand(NAMES, 9, strategy="hybrid").exact


def test_hybrid_keeps_to_filters_and_exclusions(store) -> None:
    asked = {"exclude": ["12", "P-15"], "filter": Filter(attributes={"kind": ["k0"], "half": ["low"]})}
    found = Expander(store).expand(NAMES, 40, strategy="hybrid", **asked)
    assert sorted(map(int, found.ids)) == [3, 6, 9, 18, 21, 24, 27]
    nobody = Expander(store).expand(NAMES, strategy="hybrid", filter=Filter(attributes={"kind": []}))
    assert nobody.ids == []
    with pytest.raises(QueryError, match="quer"):
        Expander(store).expand(NAMES, strategy="hybrid", filter=Filter(query={"no_such_query": {}}))


def test_pages_of_hybrid_are_parts_of_one_list(store) -> None:
    expander = Expander(store)
    whole, page = expander.expand(NAMES, 20, strategy="hybrid"), expander.expand(NAMES, 8, strategy="hybrid").more()
    assert page.ids == whole.ids[8:16]
    assert [r.score for r in page.results] == pytest.approx([r.score for r in whole.results[8:16]], rel=1e-6)


def test_hybrid_can_be_ranked_again_and_told_what_not(store) -> None:
    plain = Expander(store).expand(NAMES, 12, strategy="hybrid")
    again = Expander(store).expand(NAMES, 12, strategy="hybrid", rerank=True)
    assert set(plain.ids) == set(again.ids) and plain.ids != again.ids
    unlike = Expander(store).expand(NAMES, 12, strategy="hybrid", negative=["7"])
    assert "7" not in unlike.ids and len(unlike.ids) == 12
    both = Expander(store).expand(NAMES, 12, strategy="hybrid", settings=ExpandSettings(both_directions=1.0))
    assert both.ids != plain.ids


def test_new_seeds_are_heard_by_their_words(store, world: World) -> None:
    encoder = SeedEncoder(world.bundle, FakeEncoder(world.bundle.dimension))
    settings = ExpandSettings(channels=ChannelWeights(0.01, 1.0))
    found = Expander(store, encoder=encoder).expand([HARBOUR, "3"], 10, strategy="hybrid", settings=settings)
    assert {int(identifier) % 3 for identifier in found.ids} == {0}


def test_an_index_without_words_is_refused(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.fetched, tmp_path / "old")
    next((tmp_path / "old" / "versions").glob("*/words.sqlite")).unlink()
    with Expander.open(tmp_path / "old") as expander:
        with pytest.raises(QueryError, match="no lexical channel"):
            expander.expand(NAMES, 3, strategy="hybrid")
        model = ExpandSettings(channels=ChannelWeights(1.0, 0.0))
        found = expander.expand(NAMES, 3, strategy="hybrid", settings=model)
        assert found.ids == expander.expand(NAMES, 3, strategy="mean").ids
