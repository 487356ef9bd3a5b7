"""`AsyncExpander`: expansion that is awaited."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, Unpack

from entity_expand import finding
from entity_expand.drive import one_by_one_async, run_many_async
from entity_expand.elastic.address import Credentials, is_address
from entity_expand.elastic.address import credentials as find_credentials
from entity_expand.errors import IndexChangedError, QueryError
from entity_expand.expand import expansion
from entity_expand.expander import Expander
from entity_expand.explain import Explanation, SetExplanation
from entity_expand.front.common import Attempts, first_picture, refuse_with_service, seed_encoder
from entity_expand.query import ExpandOptions, ExpandQuery, NewSeed
from entity_expand.remote.address import is_service
from entity_expand.results import Expansion
from entity_expand.results.session import next_page
from entity_expand.seeds.encode import AsyncEncodingReader, EncodesSeeds
from entity_expand.stores.base import AsyncStore, Evidence, Facts, Steps
from entity_expand.stores.memory import MemoryStore
from entity_expand.threads import in_thread
from entity_expand.types import Entity

if TYPE_CHECKING:
    from entity_expand.bundle import Bundle
    from entity_expand.encoder import Encoder
    from entity_expand.seeds.newcomers import SeedEncoder

T = TypeVar("T")


class AsyncExpander:
    """Expands sets over one index without blocking; for one event loop.

    An index on a search server is awaited. Over an embedded index, and where new seeds are encoded, the work is done in
    a thread.

    Args:
        store: The opened index.
        pictures: Folder that the pictures' paths are relative to. None: the corpus as it lay when it was indexed.
        encoder: Encodes seeds that are not in the index; None refuses such.
    """

    def __init__(
        self, store: AsyncStore | MemoryStore, pictures: Path | str | None = None, encoder: EncodesSeeds | None = None
    ) -> None:
        self.store = store
        self.encoder = encoder
        self._opened: SeedEncoder | None = None
        self._pictures = pictures

    @classmethod
    async def open(
        cls,
        index: Path | str,
        pictures: Path | str | None = None,
        *,
        credentials: Credentials | None = None,
        bundle: Bundle | Path | str | None = None,
        encoder: Encoder | str | None = None,
    ) -> AsyncExpander:
        """Open an index, or a service; arguments and errors as for `Expander.open`."""
        if isinstance(index, str) and is_service(index):
            from entity_expand.remote.expander import AsyncRemoteExpander

            refuse_with_service(pictures, bundle, encoder)
            return await AsyncRemoteExpander.connect(index, credentials)
        encoding = await in_thread(seed_encoder, bundle, encoder)
        store: AsyncStore | MemoryStore
        if isinstance(index, str) and is_address(index):
            from entity_expand.elastic.store import AsyncElasticStore

            store = await AsyncElasticStore.open(index, credentials or find_credentials(None, os.environ))
        else:
            store = await in_thread(MemoryStore.open, index)
        opened = cls(store, pictures, encoding)
        opened._opened = encoding
        try:
            if encoding is not None:
                await in_thread(encoding.check, (await opened._facts()).meta)
        except BaseException:
            await opened.close()
            raise
        return opened

    async def __aenter__(self) -> AsyncExpander:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the store, and what `open` opened to encode new seeds with."""
        if isinstance(self.store, MemoryStore):
            self.store.close()
        else:
            await self.store.close()
        if self._opened is not None:
            await in_thread(self._opened.close)

    async def expand(
        self,
        seeds: Sequence[str | NewSeed],
        size: int = 100,
        *,
        timeout: float | None = None,
        **options: Unpack[ExpandOptions],
    ) -> Expansion:
        """Return the rest of the set that the seeds are examples of; as `Expander.expand`."""
        return await self._one(ExpandQuery(seeds, size, **options), timeout)

    async def expand_many(
        self, queries: Sequence[ExpandQuery], *, return_errors: bool = False, timeout: float | None = None
    ) -> list[Expansion | QueryError]:
        """Expand several sets side by side; as `Expander.expand_many`."""
        store = self.store
        if isinstance(store, MemoryStore):
            many = Expander(store, self._pictures, self.encoder).expand_many
            return await in_thread(many, queries, return_errors=return_errors, timeout=timeout)
        attempts = Attempts(timeout)
        while True:
            reader = AsyncEncodingReader(await store.begin(attempts.left()), self.encoder)
            try:
                runs = [expansion(query, reader.facts, whole=None) for query in queries]
                return await run_many_async(runs, reader, return_errors)
            except IndexChangedError:
                if attempts.used_up():
                    raise

    async def more(self, expansion: Expansion, size: int | None = None, *, timeout: float | None = None) -> Expansion:
        """Return the next page; as `Expander.more`."""
        return await one_by_one_async(next_page(expansion, size), lambda query: self._one(query, timeout))

    async def explain(self, expansion: Expansion, which: str | int, *, timeout: float | None = None) -> Explanation:
        """Explain why an entity is in an expanded set; as `Expander.explain`."""
        from entity_expand.explain.steps import explained

        store = self.store
        if isinstance(store, MemoryStore):
            waiting = Expander(store, self._pictures, self.encoder)
            return await in_thread(waiting.explain, expansion, which, timeout=timeout)
        return await self._answered(store, lambda facts: explained(expansion, which, facts), timeout)

    async def explain_set(self, expansion: Expansion, *, timeout: float | None = None) -> SetExplanation:
        """Explain what holds a set together; as `Expander.explain_set`."""
        from entity_expand.explain.steps import explained_set

        store = self.store
        if isinstance(store, MemoryStore):
            waiting = Expander(store, self._pictures, self.encoder)
            return await in_thread(waiting.explain_set, expansion, timeout=timeout)
        return await self._answered(store, lambda facts: explained_set(expansion, facts), timeout)

    async def _answered(self, store: AsyncStore, made: Callable[[Facts], Steps[T]], timeout: float | None) -> T:
        attempts = Attempts(timeout)
        while True:
            reader = AsyncEncodingReader(await store.begin(attempts.left()), self.encoder)
            try:
                (found,) = await run_many_async([made(reader.facts)], reader)
            except IndexChangedError:
                if attempts.used_up():
                    raise
                continue
            if isinstance(found, QueryError):
                raise found
            return found

    async def find(self, prefix: str, limit: int = 20, *, timeout: float | None = None) -> list[Entity]:
        """Return entities by how a name begins; as `Expander.find`."""
        store = self.store
        if isinstance(store, MemoryStore):
            return await in_thread(Expander(store).find, prefix, limit)
        return await self._answered(store, lambda _: finding.named_so(finding.find(prefix, limit)), timeout)

    async def lookup(self, name: str, *, timeout: float | None = None) -> list[Entity]:
        """Return the entity with this id, else those that are called so; as `Expander.lookup`."""
        store = self.store
        if isinstance(store, MemoryStore):
            return await in_thread(Expander(store).lookup, name)
        return await self._answered(store, lambda _: finding.named_so(finding.lookup(name)), timeout)

    async def picture(self, evidence: Sequence[Evidence]) -> Path | None:
        """Return the file of the first picture among some evidence; as `Expander.picture`."""
        return first_picture(evidence, self._pictures, await self._facts())

    async def _one(self, query: ExpandQuery, timeout: float | None) -> Expansion:
        (found,) = await self.expand_many([query], timeout=timeout)
        if isinstance(found, QueryError):
            raise found
        return found

    async def _facts(self) -> Facts:
        store = self.store
        if isinstance(store, MemoryStore):
            return await in_thread(lambda: store.facts)
        return (await store.begin()).facts
