"""The rows of entities, of an index itself or of one of its parts, as searches; no I/O."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from entity_expand.elastic.bodies import MOST_HITS
from entity_expand.elastic.documents import ROWS, field_of
from entity_expand.elastic.hits import by_place, documents_at, rows_in, value_of
from entity_expand.elastic.searches import Searches, View
from entity_expand.search.scoring import EntityRows
from entity_expand.stores.base import Rows
from entity_expand.types import Int64

_ROW_BYTES = 32 << 20


def rows(asked: Sequence[Rows], view: View) -> Searches[list[EntityRows]]:
    """Bring the rows of entities, all of one part; those that the cache lacks from the server."""
    part = asked[0].part
    places = np.concatenate([request.positions for request in asked]).astype(np.int64)
    taken = view.cache.take(view.keys(places, part), view.revisions(places))
    if taken.missing.any():
        where = np.flatnonzero(taken.missing)
        wanted = np.unique(places[where])
        dimension = view.state.facts.meta.dimension
        step = max(1, min(MOST_HITS, _ROW_BYTES // (12 * (dimension + 1))))
        for start in range(0, len(wanted), step):
            here = wanted[start : start + step]
            columns = {"_source": [field_of(ROWS, part)], "docvalue_fields": ["place", "revision"]}
            (hits,) = yield [documents_at(here, columns)]
            got = by_place(hits, here)
            revisions = np.array(value_of(got, "revision"), dtype=np.int64)
            view.note(here.tolist(), revisions.tolist())
            fetched = rows_in(got, dimension, part)
            view.cache.put(view.keys(here, part), revisions, fetched)
            filled = where[(places[where] >= here[0]) & (places[where] <= here[-1])]
            _fill(taken.rows, filled, fetched.take(np.searchsorted(here, places[filled])))
    ends = np.cumsum([len(request.positions) for request in asked]).tolist()
    if len(ends) == 1:
        return [taken.rows]
    return [_slice(taken.rows, end - len(each.positions), end) for each, end in zip(asked, ends, strict=True)]


def _slice(whole: EntityRows, start: int, end: int) -> EntityRows:
    here = slice(start, end)
    return EntityRows(whole.head[here], whole.scaled[here], whole.deviation[here], whole.log_offset[here])


def _fill(target: EntityRows, where: Int64, source: EntityRows) -> None:
    target.head[where], target.scaled[where] = source.head, source.scaled
    target.deviation[where], target.log_offset[where] = source.deviation, source.log_offset
