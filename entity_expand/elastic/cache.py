"""What was fetched of entities before, by place and revision, in bounded memory: their rows, and what to show."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from entity_expand.search.scoring import EntityRows
from entity_expand.stores.base import Record
from entity_expand.types import AnyArray, Bool, Int64

ANY_REVISION = -1
"""Instead of a revision: whichever is held will do."""
_BOOKKEEPING = 2 * 8 + 3 * 8
_HIGHEST_PLACE = 1 << 28


@dataclass(frozen=True, slots=True)
class Taken:
    """What a cache had.

    Attributes:
        rows: One per place asked for, in that order; those that are missing hold anything, to be filled in.
        missing: (m,) which are missing.
    """

    rows: EntityRows
    missing: Bool


class RowCache:
    """The rows of entities by place; the least recently used go first. Safe for use from several threads.

    Its memory is reserved at once, but the system hands it out only as it is filled.

    Args:
        dimension: D.
        max_bytes: What it may hold; 0 for nothing.
    """

    def __init__(self, dimension: int, max_bytes: int) -> None:
        self._width = dimension + 1
        self.capacity = max_bytes // (2 * 4 * self._width + _BOOKKEEPING)
        self._vectors = np.empty((self.capacity, 2 * self._width), dtype=np.float32)
        self._scalars = np.empty((self.capacity, 2))
        self._place = np.empty(self.capacity, dtype=np.int64)
        self._revision = np.empty(self.capacity, dtype=np.int64)
        self._used = np.empty(self.capacity, dtype=np.int64)
        self._slot_of = np.full(0, -1, dtype=np.int32)  # by place; -1 where nothing is held
        self._filled = 0
        self._clock = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._filled

    def take(self, places: Int64, revisions: Int64) -> Taken:
        """Return the rows at (m,) places, so far as they are held with these revisions.

        Args:
            places: May repeat.
            revisions: (m,) what they must belong to, or `ANY_REVISION`.
        """
        count, width = len(places), self._width
        with self._lock:
            slots = self._slots(places)
            held = slots >= 0
            held[held] &= (revisions[held] == ANY_REVISION) | (self._revision[slots[held]] == revisions[held])
            found = slots if held.all() else slots[held]
            self._clock += 1
            self._used[found] = self._clock
            vectors, scalars = self._vectors.take(found, axis=0), self._scalars.take(found, axis=0)
        if len(found) < count:
            vectors, scalars = _spread(vectors, held), _spread(scalars, held)
        rows = EntityRows(vectors[:, :width], vectors[:, width:], scalars[:, 0], scalars[:, 1])
        return Taken(rows, ~held)

    def put(self, places: Int64, revisions: Int64, rows: EntityRows) -> None:
        """Keep the rows (m,) of places, none of which repeats; of more than it can hold, the last."""
        kept = np.flatnonzero((places >= 0) & (places < _HIGHEST_PLACE))
        kept = kept[max(0, len(kept) - self.capacity) :]
        if not len(kept):
            return
        places, revisions, rows = places[kept], revisions[kept], rows.take(kept)
        with self._lock:
            self._clock += 1
            slots = self._slots(places)
            self._used[slots[slots >= 0]] = self._clock
            new = slots < 0
            slots[new] = self._free(int(new.sum()))
            self._reserve(int(places.max()))
            self._slot_of[places] = slots
            self._place[slots], self._revision[slots], self._used[slots] = places, revisions, self._clock
            self._vectors[slots, : self._width], self._vectors[slots, self._width :] = rows.head, rows.scaled
            self._scalars[slots, 0], self._scalars[slots, 1] = rows.deviation, rows.log_offset

    def _slots(self, places: Int64) -> Int64:
        slots = np.full(len(places), -1, dtype=np.int64)
        known = (places >= 0) & (places < len(self._slot_of))
        slots[known] = self._slot_of[places[known]]
        return slots

    def _free(self, count: int) -> Int64:
        """Return `count` slots to be filled: those never used, then those not used for longest."""
        unused = np.arange(self._filled, min(self.capacity, self._filled + count))
        if len(unused) < count:
            oldest = np.argpartition(self._used[: self._filled], count - len(unused) - 1)[: count - len(unused)]
            self._slot_of[self._place[oldest]] = -1
            unused = np.concatenate([unused, oldest])
            self._filled = self.capacity
        else:
            self._filled += count
        return unused

    def _reserve(self, place: int) -> None:
        if place >= len(self._slot_of):
            longer = np.full(max(place + 1, 2 * len(self._slot_of)), -1, dtype=np.int32)
            longer[: len(self._slot_of)] = self._slot_of
            self._slot_of = longer


def _spread(found: AnyArray, held: Bool) -> AnyArray:
    """Return found rows where they are held, and anything elsewhere."""
    spread = np.empty((len(held), found.shape[1]), dtype=found.dtype)
    spread[held] = found
    return spread


class RecordCache:
    """What to show of entities by place; the least recently used go first. Safe for use from several threads.

    Args:
        capacity: How many entities it may hold.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held: OrderedDict[int, tuple[int, Record]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, place: int, revision: int) -> Record | None:
        """Return the record at a place if it is held with this revision."""
        with self._lock:
            held = self._held.get(place)
            if held is None or held[0] != revision:
                return None
            self._held.move_to_end(place)
            return held[1]

    def put(self, place: int, revision: int, record: Record) -> None:
        """Keep a record."""
        with self._lock:
            self._held[place] = revision, record
            self._held.move_to_end(place)
            while len(self._held) > self._capacity:
                self._held.popitem(last=False)
