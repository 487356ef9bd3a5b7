"""The fast search against the paper's, written the slow way; pools against the whole; settings."""

import json
from fractions import Fraction

import numpy as np
import pytest

from entity_expand.channels.fusion import ChannelWeights
from entity_expand.config import from_mapping, to_mapping
from entity_expand.drive import run
from entity_expand.errors import ConfigError, QueryError
from entity_expand.search.frame import pair_frame_of
from entity_expand.search.paper import expand_jointly
from entity_expand.search.plan import ExpandSettings, plan, pool_at, search_whole
from entity_expand.search.pools import TablePool
from entity_expand.search.reach import Aim, Reach
from entity_expand.search.scoring import EntityRows, query_vector
from entity_expand.search.window import WINDOW_TIERS, SearchSettings, SetSearch, divergence, tiers_at, tiers_of
from entity_expand.seeds import SeedSet
from entity_expand.stores.base import Facts, Hits, IndexMeta, Nearest, Rows
from entity_expand.types import LARGEST_WEIGHT

NOBODY = np.empty(0, dtype=np.int64)


class ScanReader:
    """A reader that scans its vectors and remembers how often it was asked."""

    def __init__(self, rows) -> None:
        self._rows, self.asked = rows, 0
        self.found: list[np.ndarray] = []
        count, width = rows.head.shape
        pair = np.concatenate([rows.head, rows.scaled], axis=1)
        norms = {"head": np.linalg.norm(rows.head, axis=1).max(), "pair": np.linalg.norm(pair, axis=1).max()}
        meta = IndexMeta("", "", "", "both", None, "", width - 1, count, count, count, count, "")
        self.facts = Facts(meta, {name: float(norm) for name, norm in norms.items()}, np.zeros(width - 1), exact=True)

    def whole(self, both_directions):
        return None

    def answer(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        match request:
            case Rows(positions):
                return self._rows.take(positions)
            case Nearest(field, query, size, excluded):
                return self._nearest(field, query, size, excluded)

    def _nearest(self, field, query, size, excluded):
        self.asked += 1
        width = self._rows.head.shape[1]
        scores = self._rows.head @ query[:width]
        if field == "pair":
            scores = scores + self._rows.scaled @ query[width:]
        scores[excluded] = -np.inf
        order = np.lexsort((np.arange(len(scores)), -scores))[:size]
        order = order[scores[order] > -np.inf]
        self.found.append(order)
        return Hits(order, float(scores[order[-1]]) if len(order) == size else -np.inf)


def slow_expansion(world, seeds: list[int], size: int, weight: float, settings: SearchSettings) -> list[int]:
    """Grow the set as the paper writes it down: every score, every distribution, every round."""
    table, rows = world.table.astype(np.float64), world.rows
    log_q = rows.deviation[:, None] * table + rows.log_offset[:, None]
    members = list(seeds)
    while len(members) < len(seeds) + size:
        counts = [1.0 if place < len(seeds) else settings.member_weight for place in range(len(members))]
        scores = sum(c * (table[j] + weight * table[:, j]) for c, j in zip(counts, members, strict=True))
        free = [v for v in np.lexsort((np.arange(len(scores)), -scores)).tolist() if v not in members]
        window = free[: settings.window_at(len(members) - len(seeds))]
        divergences = []
        for i in window:
            q = np.exp(log_q[i])
            u = np.full(len(q), 1 / len(q))
            u[i] = q[i]
            u[members] = tiers_at(len(members), WINDOW_TIERS).weights / len(q)
            a = u / u.sum()
            divergences.append(float((a * (np.log(a) - log_q[i])).sum()))
        members.append(window[int(np.argmin(divergences))])
    return members[len(seeds) :]


@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("member_weight", [1.0, 0.2, 0.0])
def test_the_search_is_the_papers(world, weight: float, member_weight: float) -> None:
    settings = SearchSettings(rerank=False, member_weight=member_weight)
    pool = TablePool(world.table, world.rows, len(world.table), weight)
    seeds = np.flatnonzero(world.label == 2)[:3]
    fast = search_whole(pool, seeds, 110, settings, NOBODY)
    assert fast.positions.tolist() == slow_expansion(world, seeds.tolist(), 110, weight, settings)


@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("pool_size", [1, 16, 64, 1000])
@pytest.mark.parametrize("member_weight", [1.0, 0.2])
def test_fetched_pools_give_the_list_of_a_full_scan(world, weight: float, pool_size: int, member_weight: float) -> None:
    search = SearchSettings(member_weight=member_weight)
    settings = ExpandSettings(both_directions=weight, pool_size=pool_size, search=search)
    whole = TablePool(world.table, world.rows, len(world.table), weight)
    for label in range(4):
        seeds = np.flatnonzero(world.label == label)[3:6]
        excluded = np.flatnonzero(world.label == label)[:2]
        store = ScanReader(world.rows)
        pooled = run(plan(SeedSet(seeds), 60, settings, excluded, store.facts), store)
        full = search_whole(whole, seeds, 60, settings.search, excluded)
        assert pooled.positions.tolist() == full.positions.tolist()
        assert pooled.scores.tolist() == full.scores.tolist()
        assert pooled.exact
        assert pooled.fetches == store.asked
        assert not set(excluded) & set(pooled.positions)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_no_entity_is_fetched_twice(world, weight: float) -> None:
    reader = ScanReader(world.rows)
    seeds = np.flatnonzero(world.label == 2)[:3]
    ranking = run(
        plan(SeedSet(seeds), 90, ExpandSettings(both_directions=weight, pool_size=32), NOBODY, reader.facts), reader
    )
    fetched = np.concatenate([seeds, *reader.found])
    assert len(reader.found) == ranking.fetches > 2 and len(np.unique(fetched)) == len(fetched)
    sizes = [len(found) for found in reader.found[:-1]]
    assert sizes == [pool_at(number, 32) for number in range(len(sizes))] and sizes[:3] == [32, 32, 64][: len(sizes)]


def test_a_window_wider_than_the_inner_circle_ends(world) -> None:
    seeds = np.flatnonzero(world.label == 1)[:3]
    settings = ExpandSettings(search=SearchSettings(window=200), pool_size=50)
    whole = search_whole(TablePool(world.table, world.rows, 300), seeds, 30, settings.search, NOBODY)
    reader = ScanReader(world.rows)
    found = run(plan(SeedSet(seeds), 30, settings, NOBODY, reader.facts), reader)
    assert found.positions.tolist() == whole.positions.tolist() and found.exact
    assert reader.asked < 6


def test_a_budget_of_fetches_ends_early_and_says_so(world) -> None:
    seeds = np.flatnonzero(world.label == 1)[:3]
    store = ScanReader(world.rows)
    settings = ExpandSettings(pool_size=80, max_fetches=1)
    ranking = run(plan(SeedSet(seeds), 60, settings, NOBODY, store.facts), store)
    assert (ranking.fetches, ranking.exact, len(ranking.positions)) == (1, False, 60)


def test_a_budget_that_is_too_small_for_the_list_still_fills_it(world) -> None:
    seeds = np.flatnonzero(world.label == 1)[:3]
    store = ScanReader(world.rows)
    settings = ExpandSettings(pool_size=16, max_fetches=1)
    ranking = run(plan(SeedSet(seeds), 60, settings, NOBODY, store.facts), store)
    assert len(ranking.positions) == 60
    assert not ranking.exact


def test_asking_for_more_than_there_is_gives_all_there_is(world) -> None:
    pool = TablePool(world.table, world.rows, len(world.table))
    seeds = np.array([0, 1, 2])
    full = search_whole(pool, seeds, 1000, SearchSettings(), np.array([5]))
    assert sorted(full.positions.tolist()) == [v for v in range(300) if v not in (0, 1, 2, 5)]
    store = ScanReader(world.rows)
    pooled = run(plan(SeedSet(seeds), 1000, ExpandSettings(), np.array([5]), store.facts), store)
    assert pooled.positions.tolist() == full.positions.tolist()


@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("balanced", [False, True])
def test_the_bound_holds_for_every_outsider(world, weight: float, balanced: bool) -> None:
    rng = np.random.default_rng(3)
    rows = EntityRows(world.rows.head, world.rows.scaled + np.float32(0.5), world.rows.deviation, world.rows.log_offset)
    pair = np.concatenate([rows.head, rows.scaled], axis=1).astype(np.float64)
    vectors = pair if weight else rows.head.astype(np.float64)
    frame = pair_frame_of(rows) if balanced and weight else None
    norm = frame.largest_norm(rows) if frame else np.linalg.norm(vectors, axis=1).max()
    for _ in range(50):
        first = query_vector(rows.take(rng.integers(0, 300, 3)), weight)
        later = first + query_vector(rows.take(rng.integers(0, 300, 5)), weight)
        outside = np.argsort(vectors @ first)[:-50]
        reach = Reach(Aim.of(first, frame), float((vectors @ first)[outside].max()), norm)
        bound = reach.bound(Aim.of(later, frame))
        assert (vectors[outside] @ later).max() <= bound + 1e-4
        assert frame or bound < np.linalg.norm(later) * norm  # what holds for any entity at all


def test_balanced_vectors_have_a_tighter_bound(world) -> None:
    shared = np.full(world.rows.scaled.shape[1], 3, np.float32)
    rows = EntityRows(world.rows.head, 9 * world.rows.scaled + shared, world.rows.deviation, world.rows.log_offset)
    vectors, frame = np.concatenate([rows.head, rows.scaled], axis=1).astype(np.float64), pair_frame_of(rows)
    first = query_vector(rows.take(np.arange(3)), 1.0)
    later = first + query_vector(rows.take(np.arange(3, 9)), 1.0)
    floor = float(np.sort(vectors @ first)[-50])
    plain = Reach(Aim.of(first, None), floor, float(np.linalg.norm(vectors, axis=1).max()))
    balanced = Reach(Aim.of(first, frame), floor, frame.largest_norm(rows))
    assert balanced.bound(Aim.of(later, frame)) < plain.bound(Aim.of(later, None))


def test_the_window_widens_and_closes_as_in_the_paper() -> None:
    settings = SearchSettings()
    assert [settings.window_at(r) for r in (0, 19, 20, 49, 50, 99, 100, 180)] == [1, 1, 3, 7, 8, 16, 1, 1]


def test_ties_go_to_the_smaller_id(world) -> None:
    table = np.zeros_like(world.table)
    pool = TablePool(table, world.rows, len(table))
    found = search_whole(pool, np.array([4]), 5, SearchSettings(rerank=False), NOBODY)
    assert found.positions.tolist() == [0, 1, 2, 3, 5]


def test_the_divergence_is_that_of_the_definition(world) -> None:
    pool = TablePool(world.table, world.rows, 300)
    members, weights = np.array([2, 3, 9]), np.array([1000.0, 1000.0, 500.0])
    for place in (1, 50):
        log_q = world.rows.deviation[place] * world.table[place].astype(float) + world.rows.log_offset[place]
        q = np.exp(log_q)
        u = np.full(300, q.mean())
        u[place] = q[place]
        u[members] = weights * q.mean()
        a, b = u / u.sum(), q / q.sum()
        expected = float((a * np.log(a / b)).sum())
        found = divergence(pool, np.array([place]), members, tiers_of(weights), own=True)
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_joint_expansion_refuses_what_the_original_dies_of(world) -> None:
    pool = TablePool(world.table, world.rows, len(world.table))
    for seed_sets, target in (
        ([np.array([1, 2]), np.array([2, 3])], 10),
        ([np.array([1, 2]), np.array([3])], 10),
        ([np.array([1, 2]), np.array([3, 4])], 151),
    ):
        with pytest.raises(QueryError):
            expand_jointly(pool, seed_sets, SearchSettings(), target)
    sets = expand_jointly(pool, [np.array([1, 2]), np.array([3, 4])], SearchSettings(), 150)
    assert len(set(sets[0].members) | set(sets[1].members)) == 300


def test_arguments_are_not_changed(world) -> None:
    pool = TablePool(world.table, world.rows, len(world.table))
    seeds, closed = np.array([1, 2, 3]), np.zeros(300, dtype=bool)
    SetSearch(pool, seeds, 3, SearchSettings(), closed).step(1)
    assert (seeds.tolist(), closed.any()) == ([1, 2, 3], False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": 0},
        {"window": 1.5},
        {"window_step": 0},
        {"window_step": True},
        {"window_growth": -1},
        {"window_growth": float("nan")},
        {"rank_weight": -1},
        {"rank_weight": float("inf")},
        {"member_weight": 2},
        {"member_weight": "1"},
        {"compatible_seeds": -1},
        {"compatible_seeds": 1.0},
        {"rank_weight": 10**400},
        {"rank_weight": 2 * LARGEST_WEIGHT},
        {"window_growth": 1e300},
        {"window": 10**400},
        {"rerank": "yes"},
        {"rerank": None},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        SearchSettings(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"space": "x"},
        {"both_directions": -1},
        {"both_directions": float("nan")},
        {"both_directions": "1"},
        {"pool_size": 0},
        {"pool_size": 10.5},
        {"max_fetches": 0},
        {"max_fetches": 1.5},
        {"both_directions": 10**400},
        {"both_directions": 10**5000},
        {"both_directions": 2 * LARGEST_WEIGHT},
        {"both_directions": Fraction(1, 2)},
        {"both_directions": True},
        {"pool_size": np.array([1, 2])},
        {"space": np.array(["heads", "heads"])},
        {"search": None},
        {"search": {}},
        {"search": {"window": 2}},
        {"channels": {}},
        {"channels": 1.0},
    ],
)
def test_expansion_settings_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        ExpandSettings(**wrong)


@pytest.mark.parametrize("wrong", [{"model": 0}, {"text": -1}, {"lexical": 10**400}, {"picture": 2 * LARGEST_WEIGHT}])
def test_weights_of_channels_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        ChannelWeights(**wrong)


def test_numbers_of_numpy_become_those_of_python() -> None:
    search = SearchSettings(window=np.int32(2), rerank=np.False_, rank_weight=np.float16(0.5))
    channels = ChannelWeights(np.float32(0.5), lexical=np.int64(2))
    made = ExpandSettings(np.float32(1), search=search, pool_size=np.int64(10), channels=channels)
    form = json.loads(json.dumps(to_mapping(made)))
    assert from_mapping(ExpandSettings, form) == made and form["search"]["rerank"] is False
    assert [type(value) for value in (made.both_directions, made.pool_size)] == [float, int]


def test_what_a_setting_was_expected_to_be_is_said() -> None:
    with pytest.raises(ConfigError, match=r"channels is \{\}, but ChannelWeights\(...\) or None was expected"):
        ExpandSettings(channels={})
    with pytest.raises(ConfigError, match="both_directions is a huge int, but a finite number was expected"):
        ExpandSettings(both_directions=10**5000)
