"""The cache of rows: what it finds, what it forgets, and that it stays within its bound."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
import pytest

from entity_expand.elastic.cache import ANY_REVISION, RecordCache, RowCache
from entity_expand.search.scoring import EntityRows
from entity_expand.stores.base import Record
from entity_expand.types import Entity

DIMENSION = 3
ROW_BYTES = 2 * 4 * (DIMENSION + 1) + 2 * 8 + 3 * 8


def rows(places, revision: int = 0) -> EntityRows:
    """Rows that tell their place and revision."""
    base = np.array(places, dtype=np.float64) + revision / 8
    spread = base[:, None] + np.arange(DIMENSION + 1)
    return EntityRows(spread.astype(np.float32), -spread.astype(np.float32), base + 0.25, base + 0.5)


def array(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def put(cache: RowCache, places, revision: int = 0) -> None:
    places = np.array(places, dtype=np.int64)
    cache.put(places, np.full(len(places), revision), rows(places, revision))


def missing(cache: RowCache, places, revision: int = ANY_REVISION) -> list[int]:
    places = np.array(places, dtype=np.int64)
    return places[cache.take(places, np.full(len(places), revision)).missing].tolist()


def same(found: EntityRows, expected: EntityRows) -> bool:
    names = ("head", "scaled", "deviation", "log_offset")
    return all(np.array_equal(getattr(found, name), getattr(expected, name)) for name in names)


def test_what_was_put_in_comes_out_in_the_order_asked_for() -> None:
    cache = RowCache(DIMENSION, 10 * ROW_BYTES)
    put(cache, [4, 900, 0])
    put(cache, [7])
    taken = cache.take(array(900, 0, 7, 900), array(0, 0, 0, 0))
    assert not taken.missing.any() and same(taken.rows, rows([900, 0, 7, 900]))
    assert len(cache) == 4


def test_what_is_missing_is_marked_and_the_rest_is_right() -> None:
    cache = RowCache(DIMENSION, 10 * ROW_BYTES)
    put(cache, [4, 5])
    places = array(6, 4, 10_000_000_000, -1, 5)
    taken = cache.take(places, np.full(5, ANY_REVISION))
    assert taken.missing.tolist() == [True, False, True, True, False]
    assert same(taken.rows.take(array(1, 4)), rows([4, 5]))
    nothing = cache.take(array(), array())
    assert len(nothing.rows) == 0 and not len(nothing.missing)


def test_a_row_of_another_revision_is_missing_until_it_is_put_anew() -> None:
    cache = RowCache(DIMENSION, 10 * ROW_BYTES)
    put(cache, [4, 5], revision=1)
    assert missing(cache, [4, 5], 1) == [] and missing(cache, [4, 5], 2) == [4, 5]
    put(cache, [4], revision=2)
    assert missing(cache, [4, 5], 2) == [5] and missing(cache, [4, 5]) == []
    assert same(cache.take(array(4, 5), array(2, 1)).rows.take(array(0)), rows([4], 2))
    assert len(cache) == 2


def test_the_least_recently_used_go_first() -> None:
    cache = RowCache(DIMENSION, 4 * ROW_BYTES)
    assert cache.capacity == 4
    put(cache, [0, 1])
    put(cache, [2, 3])
    assert missing(cache, [0]) == []  # 0 is used, so 1 is the oldest now
    put(cache, [8])
    assert missing(cache, [0, 1, 2, 3, 8]) == [1]
    assert missing(cache, [2, 3]) == []
    put(cache, [2, 9, 10])  # 2 stays in its place; of the others 8 and 0 were used longest ago
    assert missing(cache, [0, 2, 3, 8, 9, 10]) == [0, 8]
    assert same(cache.take(array(3, 9), array(0, 0)).rows, rows([3, 9]))


def test_more_than_it_can_hold_is_not_held() -> None:
    cache = RowCache(DIMENSION, 3 * ROW_BYTES + 1)
    put(cache, range(10))
    assert missing(cache, range(10)) == list(range(7)) and len(cache) == 3
    put(cache, range(10, 20))
    assert missing(cache, range(20)) == list(range(17)) and len(cache) == 3


@pytest.mark.parametrize("size", [0, ROW_BYTES - 1])
def test_without_room_everything_is_missing(size: int) -> None:
    cache = RowCache(DIMENSION, size)
    put(cache, [1, 2])
    assert cache.capacity == 0 and missing(cache, [1, 2]) == [1, 2]
    assert cache.take(array(1), array(0)).rows.head.shape == (1, DIMENSION + 1)


def test_places_beyond_all_sense_are_not_kept() -> None:
    cache = RowCache(DIMENSION, 10 * ROW_BYTES)
    put(cache, [1 << 40, 3])
    assert missing(cache, [1 << 40, 3]) == [1 << 40]


def test_it_behaves_like_a_dictionary_that_forgets_the_oldest() -> None:
    random = np.random.default_rng(5)
    cache, kept = RowCache(DIMENSION, 20 * ROW_BYTES), OrderedDict[int, int]()  # place -> revision, last used last
    for turn in range(2_000):
        place = int(random.integers(0, 60))
        assert missing(cache, [place]) == ([] if place in kept else [place])
        if place in kept:
            found = cache.take(array(place), array(kept[place])).rows
            assert same(found, rows([place], kept[place]))
            kept.move_to_end(place)
        if turn % 3 == 0:
            put(cache, [place], turn)
            kept[place] = turn
            kept.move_to_end(place)
            if len(kept) > 20:
                kept.popitem(last=False)
        assert len(cache) == len(kept)


def test_threads_never_see_half_a_row() -> None:
    cache, wrong = RowCache(DIMENSION, 30 * ROW_BYTES), list[int]()

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(300):
            places = np.unique(random.integers(0, 100, 20))
            taken = cache.take(places, np.full(len(places), ANY_REVISION))
            held = ~taken.missing
            if not same(taken.rows.take(held), rows(places[held])):
                wrong.append(seed)
            put(cache, places[taken.missing])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(cache) == 30


def test_records_are_held_by_revision_and_the_oldest_go() -> None:
    def record(number: int) -> Record:
        return Record(Entity(str(number), f"Entity {number}"), True, 1, ())

    cache = RecordCache(2)
    cache.put(1, 10, record(1))
    cache.put(2, 20, record(2))
    assert cache.get(1, 10) == record(1) and cache.get(1, 11) is None and cache.get(3, 10) is None
    cache.put(3, 30, record(3))  # 2 was used longest ago
    assert cache.get(2, 20) is None and cache.get(1, 10) == record(1) and len(cache) == 2
    cache.put(1, 11, record(4))
    assert cache.get(1, 10) is None and cache.get(1, 11) == record(4)
    nothing = RecordCache(0)
    nothing.put(1, 10, record(1))
    assert len(nothing) == 0 and nothing.get(1, 10) is None
