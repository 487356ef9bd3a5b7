"""Positives and hard negatives from lists, and what may be read for them."""

from __future__ import annotations

import numpy as np
import pytest

from entity_expand.corpus import Query, write_queries, write_truth
from entity_expand.errors import CorpusError, TrainingError
from entity_expand.search.plan import ExpandSettings
from entity_expand.types import Entity
from training.config import MiningSettings
from training.features import EntityFeatures
from training.mining import MiningSeeds, mine, mining_seeds, rank_range
from training.table import entity_table

ENTITIES = [Entity(str(row), f"Entity {row}") for row in range(40)]


def classes_of(clusters) -> dict[str, list[int]]:
    return {f"class{label}": np.flatnonzero(clusters.label == label).tolist() for label in range(4)}


@pytest.fixture
def folder(tmp_path, clusters):
    members = classes_of(clusters)
    queries = [
        Query(name, number, tuple(map(str, rows[3 * number : 3 * number + 3])))
        for name, rows in members.items()
        for number in range(2)
    ]
    write_queries(tmp_path / "query", queries)
    write_truth(
        tmp_path / "gt", {name: [(str(row), f"Entity {row}") for row in rows] for name, rows in members.items()}
    )
    return tmp_path


@pytest.mark.parametrize(
    ("settings", "clusters", "vocabulary", "ranked", "expected"),
    [
        (MiningSettings(), 71, 14_489, 14_486, (171, 200)),  # the paper: 14,489 / 70 = 206.99
        (MiningSettings(negatives_from=1.0, negatives_to=3.0), 71, 14_489, 14_486, (206, 620)),
        (MiningSettings(), 71, 289, 288, (6, 7)),  # 3 and 4, among the positives
        (MiningSettings(class_size=10, negatives_from=0.2, negatives_to=2.0), 71, 40, 39, (6, 24)),
        (MiningSettings(class_size=10, negatives_from=2.0, negatives_to=9.0), 71, 40, 39, (20, 39)),
        (MiningSettings(class_size=2, negatives_from=0.0, negatives_to=1.0), 71, 40, 39, (6, 8)),
        (MiningSettings(class_size=10, negatives_from=0.0, negatives_to=0.0), 71, 40, 39, (6, 5)),
        (MiningSettings(negatives_from=0.5, negatives_to=1.0), 1, 40, 39, (20, 39)),
    ],
)
def test_ranks_follow_the_size_of_a_class(settings, clusters, vocabulary, ranked, expected) -> None:
    found = rank_range(settings, clusters, vocabulary, ranked)
    assert (found.first, found.last) == expected
    taken = found.of(np.arange(1, ranked + 1)).tolist()
    assert taken == [rank for rank in range(1, ranked + 1) if expected[0] <= rank <= expected[1]]


def test_ranks_beyond_the_list_are_an_error() -> None:
    settings = MiningSettings(class_size=10, negatives_from=5.0, negatives_to=9.0)
    with pytest.raises(TrainingError, match="begin at rank 50 of lists of 39"):
        rank_range(settings, 71, 40, 39)
    with pytest.raises(TrainingError, match="begin at rank 61 of lists of 39"):
        rank_range(MiningSettings(positives=60, class_size=10), 71, 40, 39)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_every_entity_has_a_list(clusters, weight) -> None:
    settings = MiningSettings(positives=3, class_size=10, negatives_from=1.5, negatives_to=2.0, both_directions=weight)
    lists = mine(clusters.table, settings, 5)
    ranked = clusters.table.nearest(39, weight)
    assert len(lists.positives) == len(lists.negatives) == 40
    for row in range(40):
        assert lists.positives[row].tolist() == [row, *ranked[row, :3].tolist()]
        assert lists.negatives[row].tolist() == ranked[row, 14:20].tolist()
    agree = np.mean([(clusters.label[own[1:]] == clusters.label[own[0]]).mean() for own in lists.positives])
    assert agree > 0.7


@pytest.mark.parametrize("folder_missing", ["gt", "none"])
def test_queries_are_expanded_by_the_whole_search(clusters, folder, folder_missing) -> None:
    settings = MiningSettings(
        seeds="queries", positives=4, class_size=10, negatives_from=1.5, negatives_to=2.0, both_directions=1.0
    )
    seeds = mining_seeds(folder, ENTITIES, settings, truth=folder_missing)
    assert seeds.classes is None
    lists = mine(clusters.table, settings, 5, seeds)
    given = [np.array(rows[3 * number :][:3]) for rows in classes_of(clusters).values() for number in range(2)]
    ranked = clusters.table.expanded(given, 20, ExpandSettings(both_directions=1.0))
    assert [each.tolist() for each in seeds.sets] == [each.tolist() for each in given]
    for own, found, positives, negatives in zip(given, ranked, lists.positives, lists.negatives, strict=True):
        assert positives.tolist() == [*own.tolist(), *found[:4].tolist()]
        assert negatives.tolist() == found[14:20].tolist()


def test_lists_of_queries_lack_their_seeds(clusters, folder) -> None:
    settings = MiningSettings(seeds="queries", class_size=37, negatives_from=1.0, negatives_to=9.0)
    seeds = mining_seeds(folder, ENTITIES, settings)
    assert seeds.longest == 3
    assert [len(each) for each in mine(clusters.table, settings, 5, seeds).negatives] == [1] * 8
    with pytest.raises(TrainingError, match="begin at rank 38 of lists of 37"):
        mine(clusters.table, MiningSettings(**{**vars(settings), "class_size": 38}), 5, seeds)


@pytest.mark.parametrize("seeds", ["entities", "queries"])
@pytest.mark.parametrize("positives", [1, 5, 36])
@pytest.mark.parametrize("window", [(0.0, 0.5), (0.5, 2.0), (3.0, 50.0)])
@pytest.mark.parametrize("oracle", [False, True])
def test_no_entity_is_on_both_sides(clusters, folder, seeds, positives, window, oracle) -> None:
    settings = MiningSettings(
        seeds=seeds, positives=positives, class_size=10, negatives_from=window[0], negatives_to=window[1], oracle=oracle
    )
    lists = mine(clusters.table, settings, 5, mining_seeds(folder, ENTITIES, settings))
    for own, hard in zip(lists.positives, lists.negatives, strict=True):
        together = [*own.tolist(), *hard.tolist()]
        assert len(set(together)) == len(together)
        assert set(together) <= set(range(40))
        assert own.dtype == hard.dtype == np.int64


def test_without_an_oracle_no_truth_is_opened(clusters, folder, monkeypatch) -> None:
    """Truth is unreadable, and the function that reads it fails: only the oracle minds."""

    def fail(*_: object) -> None:
        raise AssertionError("the truth was read")

    monkeypatch.setattr("training.mining.read_truth", fail)
    opened: list[str] = []
    monkeypatch.setattr("entity_expand.corpus.queries.read_capped", lambda path, *_: (opened.append(path), b"1 2 3")[1])
    for seeds in ("entities", "queries"):
        settings = MiningSettings(seeds=seeds)
        mine(clusters.table, settings, 5, mining_seeds(folder, ENTITIES, settings))
        with pytest.raises(AssertionError, match="was read"):
            mining_seeds(folder, ENTITIES, MiningSettings(seeds=seeds, oracle=True))
    assert {path.parent.name for path in opened} == {"query"}


def test_an_oracle_keeps_what_shares_a_class_with_the_seed(clusters, folder) -> None:
    plain, oracle = (MiningSettings(positives=9, class_size=10, oracle=each) for each in (False, True))
    seeds = mining_seeds(folder, ENTITIES, oracle)
    lists, confirmed = mine(clusters.table, plain, 5), mine(clusters.table, oracle, 5, seeds)
    label = clusters.label
    for own, kept in zip(lists.positives, confirmed.positives, strict=True):
        assert kept.tolist() == [row for row in own.tolist() if label[row] == label[own[0]]]
    assert sum(map(len, confirmed.positives)) < sum(map(len, lists.positives))


def test_an_oracle_unites_the_lists_of_a_class(clusters, folder) -> None:
    settings = MiningSettings(seeds="queries", positives=9, class_size=10, negatives_from=0.9, negatives_to=2.0)
    oracle = MiningSettings(**{**vars(settings), "oracle": True})
    seeds = mining_seeds(folder, ENTITIES, oracle)
    lists, united = mine(clusters.table, settings, 5, seeds), mine(clusters.table, oracle, 5, seeds)
    assert len(lists.positives) == 8
    assert len(united.positives) == 4
    for label, members in enumerate(classes_of(clusters).values()):
        both = [lists.positives[2 * label], lists.positives[2 * label + 1]]
        assert set(united.positives[label]) == set(np.concatenate(both)) & set(members)
        hard = np.concatenate([lists.negatives[2 * label], lists.negatives[2 * label + 1]])
        assert set(united.negatives[label]) == set(hard) - set(united.positives[label])


def test_class_names_match_exactly(clusters) -> None:
    """The original takes a class whose name is part of another's for that one as well."""
    classes = {"cities": frozenset({0, 1, 2}), "capital_cities": frozenset(range(40))}
    seeds = MiningSeeds((np.array([0]),), ("cities",), classes)
    settings = MiningSettings(seeds="queries", positives=39, negatives_from=0.0, negatives_to=0.0, oracle=True)
    (positives,) = mine(clusters.table, settings, 5, seeds).positives
    assert set(positives) == {0, 1, 2}


def test_untrained_seeds_are_left_out(clusters, folder) -> None:
    write_queries(folder / "other", [Query("a", 0, ("1", "x", "2")), Query("b", 0, ("y",)), Query("c", 0, ("3",))])
    settings = MiningSettings(seeds="queries", queries="other")
    seeds = mining_seeds(folder, ENTITIES, settings)
    assert [each.tolist() for each in seeds.sets] == [[1, 2], [3]]
    kept = np.arange(2, 40)
    table = entity_table(EntityFeatures(kept, clusters.means[kept]), clusters.head)
    assert [own[0] for own in mine(table, settings, 5, seeds).positives] == [2, 3]
    with pytest.raises(TrainingError, match="No query"):
        mining_seeds(folder, [Entity("z", "Z")], settings)
    with pytest.raises(CorpusError, match="Cannot read the folder"):
        mining_seeds(folder, ENTITIES, MiningSettings(seeds="queries", queries="none"))


@pytest.mark.parametrize("settings", [MiningSettings(oracle=True), MiningSettings(seeds="queries")])
def test_what_the_settings_need_must_be_read(clusters, settings) -> None:
    with pytest.raises(TrainingError, match="mining_seeds"):
        mine(clusters.table, settings, 5)
