"""Changes of an index in use as its `_meta` tells them: that one began, that it ended, how many entities there are."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from entity_expand.elastic.meta import ElasticMeta
from entity_expand.errors import RejectedError
from indexer.elastic.finish import refresh
from indexer.elastic.items import Item
from indexer.elastic.session import Session
from indexer.elastic.verify import ENTITIES, count
from indexer.elastic.versions import write_meta

_NOTHING = Item("nothing", None, seen=(2**62, 1))  # a deletion that conflicts, whatever is there


class Change:
    """A change of an index in use."""

    def __init__(self, session: Session, physical: str, meta: ElasticMeta) -> None:
        """Prepare; `meta` is what the index says of itself."""
        self._session, self._physical, self._meta = session, physical, meta
        self._begun = False

    def begin(self, **raised: Any) -> None:
        """Say in `_meta` that a change begins; call this before the first entity changes, and as often as you like.

        Args:
            raised: Further entries of `ElasticMeta` that readers rely on.

        Raises:
            ReadOnlyError: The index takes no changes; its `_meta` is as it was.
            AccessError: The credentials do not allow them; its `_meta` is as it was.
        """
        if not self._begun:
            self._session.bulk(self._physical).write([_NOTHING])
            meta = self._meta
            self._meta = dataclasses.replace(meta, changes=meta.changes + 1, changing=True, **raised)
            write_meta(self._session, self._physical, self._meta)
            self._begun = True

    def end(self) -> None:
        """Say that it ended, also one that was stopped earlier, and how many entities there are; else do nothing."""
        if self._meta.changing:
            refresh(self._session, self._physical)
            there = count(self._session, self._physical, ENTITIES)
            write_meta(self._session, self._physical, dataclasses.replace(self._meta, changing=False, entities=there))


@contextlib.contextmanager
def changing(session: Session, physical: str, meta: ElasticMeta) -> Iterator[Change]:
    """Mark a change; it ends with the block, unless an error other than a `RejectedError` leaves that."""
    change = Change(session, physical, meta)
    try:
        yield change
    except RejectedError:
        change.end()
        raise
    change.end()
