"""Evaluation: the original's whole runs, and a small world by hand."""

from pathlib import Path

import numpy as np
import pytest

from entity_expand import QueryError
from entity_expand.corpus import Query, read_queries, read_truth
from entity_expand.evaluate import evaluate, quality
from entity_expand.metrics import CUTS
from entity_expand.search.paper import expand_jointly
from entity_expand.search.pools import DistributionPool, TablePool
from entity_expand.search.window import SearchSettings
from entity_expand.stores.base import Describe, Evidence, Facts, IndexMeta, Lookup, Matching, Record
from entity_expand.types import Entity


class WorldStore:
    """All of a small world, held in memory; its own reader."""

    def __init__(self, world) -> None:
        self.world = world
        meta = IndexMeta("", "", "", "both", None, "", world.rows.head.shape[1] - 1, 300, 300, 300, 300, "")
        self.facts = Facts(meta, {"head": 0.0}, np.zeros(meta.dimension), exact=True)

    def begin(self, timeout=None):
        return self

    def whole(self, both_directions):
        return TablePool(self.world.table, self.world.rows, 300, both_directions)

    def answer(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        match request:
            case Lookup(texts):
                return tuple((int(text),) if text.isdigit() and int(text) < 300 else () for text in texts)
            case Describe(positions):
                return [Record(Entity(str(p), f"Entity {p}"), True, 1, (Evidence("", (), None),)) for p in positions]
            case Matching(None):
                return np.arange(300)


def truth_of(world) -> dict[str, frozenset[str]]:
    return {f"class{label}": frozenset(str(n) for n in np.flatnonzero(world.label == label)) for label in range(4)}


def queries_of(world, count: int = 2) -> list[Query]:
    return [
        Query(f"class{label}", number, tuple(str(n) for n in np.flatnonzero(world.label == label)[3 * number :][:3]))
        for label in range(4)
        for number in range(count)
    ]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("results", "folder", "target"),
    [("results0", "query", 203), ("results3", "query", 105), ("results5", "query_seed=5", 105)],
)
def test_the_originals_runs_are_repeated_to_the_last_rank(shared: Path, results: str, folder: str, target: int) -> None:
    root = shared / "reference" / "pipeline" / "evaluation"
    truth, queries = read_truth(root / "gt"), read_queries(root / folder)
    with np.load(root / "dists.npz", allow_pickle=False) as stored:
        order = np.argsort(stored["eids"])
        eids, grid = stored["eids"][order], np.ix_(order, order)
        pool = DistributionPool(stored["mean_log_dist"][grid], stored["feature_dist"][grid])
    place = {str(eid): index for index, eid in enumerate(eids.tolist())}
    lists: dict[Query, list[str]] = {}
    for number in range(2):
        asked = [query for query in queries if query.number == number]
        seeds = [np.array([place[seed] for seed in query.seeds]) for query in asked]
        searches = expand_jointly(pool, seeds, SearchSettings(compatible_seeds=3), target)
        for query, search in zip(asked, searches, strict=True):
            lists[query] = [str(eids[found]) for found in search.ranking()[0]]
            stored_list = (root / results / "epoch_1" / f"{number}_{query.class_name}.txt").read_text().splitlines()[2:]
            assert lists[query] == [line.split("\t")[0] for line in stored_list]
    overall = quality(lists, truth)
    lines = (root / results / "epoch_1" / "summary.txt").read_text().splitlines()
    expected_map = next(line.split()[2:] for line in lines if line.startswith("Total MAP"))
    expected_p = next(line.split()[2:] for line in lines if line.startswith("Total P"))
    assert [f"{overall.reference_map[cut]:.6f}" for cut in CUTS] == expected_map
    assert [f"{overall.reference_precision[cut]:.6f}" for cut in CUTS] == expected_p


def test_a_single_query_is_measured_as_by_hand(world) -> None:
    queries, truth = queries_of(world, 1)[:1], truth_of(world)
    found = evaluate(WorldStore(world), queries, truth, protocol="single", size=10)
    members = truth["class0"] - set(queries[0].seeds)
    hits, total = 0, 0.0
    for place, identifier in enumerate(found.rankings["class0", 0], start=1):
        if identifier in members:
            hits += 1
            total += hits / place
    assert found.overall.map[10] == pytest.approx(total / min(len(members), 10))
    assert found.overall.precision[10] == hits / 10
    assert found.by_class == {"class0": pytest.approx(total / min(len(members), 10))}
    assert (found.seeds, found.classes, found.queries, found.unreachable) == (3, 1, 1, 0)


def test_the_joint_protocol_shares_nothing_between_classes(world) -> None:
    queries, truth = queries_of(world), truth_of(world)
    found = evaluate(WorldStore(world), queries, truth, protocol="joint", size=50)
    for number in range(2):
        taken = [i for q in queries if q.number == number for i in found.rankings[q.class_name, number]]
        assert len(taken) == len(set(taken)) == 4 * 50
        assert not set(taken) & {seed for q in queries if q.number == number for seed in q.seeds}


def test_the_joint_protocol_shortens_lists_that_cannot_be_filled(world) -> None:
    found = evaluate(WorldStore(world), queries_of(world), truth_of(world), protocol="joint", size=100)
    assert found.size == 300 // 4 - 3


def test_missing_members_count_as_never_found(world) -> None:
    truth = {**truth_of(world), "class0": frozenset({"0", "x", "y"})}
    found = evaluate(WorldStore(world), [Query("class0", 0, ("0",))], truth, protocol="single", size=20)
    assert found.unreachable == 2
    assert found.overall.map[10] == 0.0


@pytest.mark.parametrize(
    "queries",
    [
        [],
        [Query("class0", 0, ("1", "2")), Query("class1", 0, ("3",))],
        [Query("nowhere", 0, ("1",))],
        [Query("class0", 0, ("999",))],
        [Query("class0", 0, ("1",)), Query("class0", 1, ("2",)), Query("class1", 0, ("3",))],
    ],
)
def test_what_cannot_be_measured_is_refused(world, queries) -> None:
    with pytest.raises(QueryError):
        evaluate(WorldStore(world), queries, truth_of(world), protocol="joint", size=5)
