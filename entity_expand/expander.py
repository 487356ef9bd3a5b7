"""The front of the runtime: open an index, expand sets over it, waiting or awaiting."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from entity_expand.drive import run_many, run_many_async
from entity_expand.elastic.address import Credentials, is_address
from entity_expand.elastic.address import credentials as find_credentials
from entity_expand.errors import CorpusError, IndexChangedError, QueryError
from entity_expand.expand import expansion
from entity_expand.files import confined
from entity_expand.query import ExpandOptions, ExpandQuery, NewSeed
from entity_expand.results import Expansion
from entity_expand.results.expansion import Origin
from entity_expand.results.session import following, next_query
from entity_expand.stores.base import AsyncStore, Evidence, Reader, Steps, Store
from entity_expand.stores.memory import MemoryStore
from entity_expand.strategies.choice import settings_of

_ATTEMPTS = 3


def open_store(index: Path | str, credentials: Credentials | None = None) -> Store:
    """Open an index folder or an index on a search server; arguments and errors as for `Expander.open`."""
    if not isinstance(index, str) or not is_address(index):
        return MemoryStore.open(index)
    # The client of the server is large; who has a folder need not wait for it.
    from entity_expand.elastic.store import ElasticStore

    return ElasticStore.open(index, credentials or find_credentials(None, os.environ))


class _Attempts:
    """How often a run may begin anew because the index changed under it, within one limit of time."""

    def __init__(self, timeout: float | None) -> None:
        self._count, self._end = 0, None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Return the seconds left, None if the store has its own limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def used_up(self) -> bool:
        """Count an attempt; return whether it was the last."""
        self._count += 1
        return self._count >= _ATTEMPTS


class Expander:
    """Expands sets over one index. Safe for use from several threads; arguments are never changed.

    Args:
        store: The opened index.
        pictures: Folder that the pictures' paths are relative to. None: the corpus as it lay when it was indexed.
    """

    def __init__(self, store: Store, pictures: Path | str | None = None) -> None:
        self.store = store
        self._pictures = pictures

    @classmethod
    def open(
        cls, index: Path | str, pictures: Path | str | None = None, *, credentials: Credentials | None = None
    ) -> Expander:
        """Open an index folder, or an index on a search server as https://host:9200/NAME.

        Args:
            index: Where it is.
            pictures: Folder of the pictures; see the class.
            credentials: Who asks the server. None: what the environment says. More options has `ElasticStore.open`.

        Raises:
            StoreError: It is missing, damaged or of another form, or the server does not answer.
            ConfigError: The address or the credentials are wrong.
        """
        return cls(open_store(index, credentials), pictures)

    def __enter__(self) -> Expander:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def expand(
        self,
        seeds: Sequence[str | NewSeed],
        size: int = 100,
        *,
        timeout: float | None = None,
        **options: Unpack[ExpandOptions],
    ) -> Expansion:
        """Return the rest of the set that the seeds are examples of.

        Args:
            seeds: Ids, names or aliases, or seeds that are not in the index; at least one.
            size: How many results; fewer come back if the index has no more.
            timeout: Seconds that it may take; None for the store's own limit.
            **options: `negative`, `weights`, `filter`, `exclude`, `strategy`, `rerank`, `modality` and `settings`; see
                `ExpandQuery`.

        Raises:
            UnknownSeedError: A seed names nothing; near spellings are suggested.
            AmbiguousSeedError: A seed names several entities; they are listed.
            QueryError: No seed, too many, one given twice or also excluded, or a size out of range.
            StoreError: The store could not answer, or not in time.
        """
        (found,) = self._run([ExpandQuery(seeds, size, **options)], timeout, keep_errors=False)
        if isinstance(found, QueryError):
            raise found
        return found

    def expand_many(
        self, queries: Sequence[ExpandQuery], *, return_errors: bool = False, timeout: float | None = None
    ) -> list[Expansion | QueryError]:
        """Expand several sets side by side; a search server gets their requests of one round together.

        Args:
            queries: What is asked.
            return_errors: Put the `QueryError` of a query that cannot be answered in its place, instead of raising it.
            timeout: Seconds that all may take together.

        Returns:
            One expansion per query, in their order, or its error if `return_errors`.
        """
        return self._run(queries, timeout, return_errors)

    def _run(
        self, queries: Sequence[ExpandQuery], timeout: float | None, keep_errors: bool
    ) -> list[Expansion | QueryError]:
        attempts = _Attempts(timeout)
        while True:
            reader = self.store.begin(attempts.left())
            try:
                found = run_many([_steps(query, reader) for query in queries], reader, keep_errors)
                return [each if isinstance(each, QueryError) else self._owned(each) for each in found]
            except IndexChangedError:
                if attempts.used_up():
                    raise

    def _owned(self, expansion: Expansion) -> Expansion:
        return dataclasses.replace(expansion, origin=Origin(self))

    def more(self, expansion: Expansion, size: int | None = None, *, timeout: float | None = None) -> Expansion:
        """Return the next page: what was accepted are further seeds, what was rejected negatives, and none comes again.

        Args:
            expansion: The page before, of the same index.
            size: How many results; None for as many as were asked for at first.
            timeout: As for `expand`.

        Raises:
            QueryError: As for `expand`.
            StoreError: As for `expand`.
        """
        (found,) = self._run([next_query(expansion, size)], timeout, keep_errors=False)
        if isinstance(found, QueryError):
            raise found
        return following(expansion, found)

    def picture(self, evidence: Sequence[Evidence]) -> Path | None:
        """Return the file of the first picture among some evidence; None if there is none inside the folder."""
        folder = self._pictures
        if folder is None:
            folder = self.store.begin().facts.meta.corpus_folder
        for item in evidence:
            if item.image is not None:
                with contextlib.suppress(CorpusError):
                    return confined(Path(folder), item.image, CorpusError)
        return None


def _steps(query: ExpandQuery, reader: Reader) -> Steps[Expansion]:
    return expansion(query, reader.facts, reader.whole(settings_of(query).both_directions))


class AsyncExpander:
    """Expands sets over an index on a search server without blocking; for one event loop.

    Args:
        store: The opened index.
    """

    def __init__(self, store: AsyncStore) -> None:
        self.store = store

    @classmethod
    async def open(cls, index: str, *, credentials: Credentials | None = None) -> AsyncExpander:
        """Open an index on a search server; arguments and errors as for `Expander.open`."""
        from entity_expand.elastic.store import AsyncElasticStore

        return cls(await AsyncElasticStore.open(index, credentials or find_credentials(None, os.environ)))

    async def __aenter__(self) -> AsyncExpander:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the store."""
        await self.store.close()

    async def expand(
        self,
        seeds: Sequence[str | NewSeed],
        size: int = 100,
        *,
        timeout: float | None = None,
        **options: Unpack[ExpandOptions],
    ) -> Expansion:
        """Return the rest of the set that the seeds are examples of; as `Expander.expand`."""
        (found,) = await self.expand_many([ExpandQuery(seeds, size, **options)], timeout=timeout)
        if isinstance(found, QueryError):
            raise found
        return found

    async def expand_many(
        self, queries: Sequence[ExpandQuery], *, return_errors: bool = False, timeout: float | None = None
    ) -> list[Expansion | QueryError]:
        """Expand several sets side by side; as `Expander.expand_many`."""
        attempts = _Attempts(timeout)
        while True:
            reader = await self.store.begin(attempts.left())
            try:
                runs = [expansion(query, reader.facts, whole=None) for query in queries]
                return await run_many_async(runs, reader, return_errors)
            except IndexChangedError:
                if attempts.used_up():
                    raise

    async def more(self, expansion: Expansion, size: int | None = None, *, timeout: float | None = None) -> Expansion:
        """Return the next page; as `Expander.more`."""
        (found,) = await self.expand_many([next_query(expansion, size)], timeout=timeout)
        if isinstance(found, QueryError):
            raise found
        return following(expansion, found)
