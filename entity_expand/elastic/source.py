"""What a store knows of its index, and the runs that read it; no I/O, shared by waiting and awaiting."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from entity_expand.elastic.address import Address
from entity_expand.elastic.cache import RecordCache, RowCache
from entity_expand.elastic.calls import Calls, answers, look
from entity_expand.elastic.searches import SearchOptions, View
from entity_expand.elastic.state import IndexState
from entity_expand.errors import (
    ConfigError,
    IndexChangedError,
    IndexMissingError,
    QueryError,
    ServerError,
    StoreError,
)
from entity_expand.sending import Deadline
from entity_expand.stores.base import Facts, Matching, Nearest, Request
from entity_expand.stores.lexical import LexicalNearest

_REFUSED = 400
_RECORDS = 20_000


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How an index is read.

    Attributes:
        timeout: Seconds that a run may take if it does not say.
        cache_bytes: Memory for rows that were fetched before.
        recheck: Seconds after which a new run looks whether the name stands for another index.
        search: How searches are made.
        bundle: Fingerprint of the bundle that the index must have been made with; None for any.
    """

    timeout: float
    cache_bytes: int
    recheck: float
    search: SearchOptions = field(default_factory=SearchOptions)
    bundle: str | None = None

    def __post_init__(self) -> None:
        if not (0 < self.timeout < float("inf") and self.cache_bytes >= 0 and self.recheck >= 0):
            raise ConfigError(
                "timeout must be positive and finite, cache_bytes and recheck at least 0; "
                f"got {self.timeout}, {self.cache_bytes}, {self.recheck}."
            )


class Source:
    """What both stores know of their index; no I/O. Safe for use from several threads.

    Args:
        address: Where the index is.
        options: How it is read.
    """

    def __init__(self, address: Address, options: StoreOptions) -> None:
        self.address = address
        self.options = options
        self._lock = threading.Lock()
        self._known: tuple[IndexState, RowCache, RecordCache] | None = None
        self._looked, self._sure = -float("inf"), False

    def deadline(self, timeout: float | None) -> Deadline:
        """Return the end of a run that begins now."""
        return Deadline.after(self.options.timeout if timeout is None else timeout)

    def due(self) -> bool:
        """Return whether to look again; others meanwhile go on with what is known, so far as that is sure."""
        with self._lock:
            now = time.monotonic()
            if self._sure and now - self._looked < self.options.recheck:
                return False
            self._looked = now
            return True

    def looking(self) -> Calls[None]:
        """Look at the index and take over what is found."""
        try:
            found = yield from look(self.address, self.options.bundle)
        except BaseException:
            self.doubt()
            raise
        with self._lock:
            if self._known is None or self._known[0].physical != found.physical:
                rows = RowCache(found.facts.meta.dimension, self.options.cache_bytes)
                self._known = found, rows, RecordCache(_RECORDS if self.options.cache_bytes else 0)
            self._known = found, *self._known[1:]
            self._looked, self._sure = time.monotonic(), True

    def doubt(self) -> None:
        """Have every run that begins look again, until one has succeeded."""
        with self._lock:
            self._sure = False

    def run(self) -> Run:
        """Return a run that begins now."""
        with self._lock:
            if self._known is None:
                raise StoreError(f"{self.address} was not looked at yet.")
            return Run(self, View(*self._known))


class Run:
    """One run: it stays with the index that it began with.

    Args:
        source: Where it belongs.
        view: What it sees.
    """

    def __init__(self, source: Source, view: View) -> None:
        self._source, self._view = source, view
        self._copies = uuid.uuid4().hex

    @property
    def facts(self) -> Facts:
        """What an expansion must know of the index."""
        return self._view.state.facts

    def answers(self, requests: Sequence[Request[Any]]) -> Calls[list[Any]]:
        """Answer requests.

        Raises:
            QueryError: A caller's query holds a script, or the server refuses it.
            IndexChangedError: The index was replaced, or an entity removed since it was found.
            StoreError: A document is not of our form, or the server did not do what it was asked.
        """
        try:
            return (yield from answers(requests, self._view, self._source.options.search, self._copies))
        except IndexMissingError as problem:
            self._source.doubt()
            text = f"{self._source.address}: the index behind it was removed while it was read; ask again."
            raise IndexChangedError(text) from problem
        except ServerError as problem:
            if problem.status == _REFUSED and any(_by_caller(request) for request in requests):
                raise QueryError(f"The server refused the query of a filter: {problem.reason}") from problem
            raise


def _by_caller(request: Request[Any]) -> bool:
    filtered = request.filter if isinstance(request, (Nearest, Matching, LexicalNearest)) else None
    return filtered is not None and filtered.query is not None
