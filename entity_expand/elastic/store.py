"""An index on a search server as a store: `ElasticStore` for threads, `AsyncElasticStore` for an event loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from entity_expand.bundle import Bundle
from entity_expand.elastic.address import Address, Credentials, parse_address
from entity_expand.elastic.connection import AsyncConnection, Connection, Deadline, drive, drive_async
from entity_expand.elastic.searches import SearchOptions
from entity_expand.elastic.source import Run, Source, StoreOptions
from entity_expand.search.pools import Pool
from entity_expand.stores.base import Facts, Request

CACHE_BYTES = 256 << 20
TIMEOUT, RECHECK = 10.0, 10.0


class ElasticReader:
    """One run's view of an index; it waits for answers."""

    def __init__(self, run: Run, connection: Connection, deadline: Deadline) -> None:
        self._run, self._connection, self._deadline = run, connection, deadline

    @property
    def facts(self) -> Facts:
        """What an expansion must know of the index."""
        return self._run.facts

    def whole(self, both_directions: float) -> Pool | None:
        """Return None: the scores of all entities are never at hand."""
        return None

    def answer(self, requests: Sequence[Request[Any]]) -> list[Any]:
        """Return the answers to requests; errors as for `Run.answers`."""
        return drive(self._connection, self._run.answers(requests), self._deadline)


class ElasticStore:
    """An index on a search server. Safe for use from several threads.

    Args:
        source: What is known of the index.
        connection: To its server.
    """

    def __init__(self, source: Source, connection: Connection) -> None:
        self._source, self._connection = source, connection

    @classmethod
    def open(
        cls,
        address: str | Address,
        credentials: Credentials | None = None,
        *,
        timeout: float = TIMEOUT,
        cache_bytes: int = CACHE_BYTES,
        recheck: float = RECHECK,
        candidates: int | None = None,
        rescore: float | None = None,
        allow_scripts: bool = False,
        bundle: Bundle | None = None,
    ) -> ElasticStore:
        """Open an index, as https://host:9200/NAME.

        Args:
            address: Where it is.
            credentials: Who asks; nobody by default.
            timeout: Seconds that a run may take if it does not say.
            cache_bytes: Memory for rows that were fetched before.
            recheck: Seconds after which a new run looks whether NAME stands for another index.
            candidates: Entities that a graph looks at per search, at least those asked for; None for twice those.
            rescore: With a quantised index, how many times the entities asked for are scored again by the full
                vectors; None for what the index says.
            allow_scripts: Whether callers' own queries may hold scripts, which run on the server.
            bundle: The bundle that the index must have been made with; None for any.

        Raises:
            ConfigError: The address or an option is wrong.
            IndexMissingError: There is no such index.
            IndexMismatchError: It is of another form, or made with another bundle.
            ServerError: The server did not answer, or not in time.
        """
        options = _options(timeout, cache_bytes, recheck, candidates, rescore, allow_scripts, bundle)
        source = Source(_parsed(address), options)
        connection = Connection(source.address, credentials)
        try:
            drive(connection, source.looking(), source.deadline(None))
        except BaseException:
            connection.close()
            raise
        return cls(source, connection)

    def begin(self, timeout: float | None = None) -> ElasticReader:
        """Return a reader for one run; errors as for `open`.

        Args:
            timeout: Seconds that the run may take in all; None for the store's own limit.
        """
        deadline = self._source.deadline(timeout)
        if self._source.due():
            drive(self._connection, self._source.looking(), deadline)
        return ElasticReader(self._source.run(), self._connection, deadline)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class AsyncElasticReader:
    """One run's view of an index; it is awaited."""

    def __init__(self, run: Run, connection: AsyncConnection, deadline: Deadline) -> None:
        self._run, self._connection, self._deadline = run, connection, deadline

    @property
    def facts(self) -> Facts:
        """What an expansion must know of the index."""
        return self._run.facts

    async def answer(self, requests: Sequence[Request[Any]]) -> list[Any]:
        """Return the answers to requests; errors as for `Run.answers`."""
        return await drive_async(self._connection, self._run.answers(requests), self._deadline)


class AsyncElasticStore:
    """An index on a search server, awaited; for one event loop.

    Args:
        source: What is known of the index.
        connection: To its server.
    """

    def __init__(self, source: Source, connection: AsyncConnection) -> None:
        self._source, self._connection = source, connection

    @classmethod
    async def open(
        cls,
        address: str | Address,
        credentials: Credentials | None = None,
        *,
        timeout: float = TIMEOUT,
        cache_bytes: int = CACHE_BYTES,
        recheck: float = RECHECK,
        candidates: int | None = None,
        rescore: float | None = None,
        allow_scripts: bool = False,
        bundle: Bundle | None = None,
    ) -> AsyncElasticStore:
        """Open an index; arguments and errors as for `ElasticStore.open`."""
        options = _options(timeout, cache_bytes, recheck, candidates, rescore, allow_scripts, bundle)
        source = Source(_parsed(address), options)
        connection = AsyncConnection(source.address, credentials)
        try:
            await drive_async(connection, source.looking(), source.deadline(None))
        except BaseException:
            await connection.close()
            raise
        return cls(source, connection)

    async def begin(self, timeout: float | None = None) -> AsyncElasticReader:
        """Return a reader for one run; as `ElasticStore.begin`."""
        deadline = self._source.deadline(timeout)
        if self._source.due():
            await drive_async(self._connection, self._source.looking(), deadline)
        return AsyncElasticReader(self._source.run(), self._connection, deadline)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()


def _parsed(address: str | Address) -> Address:
    return address if isinstance(address, Address) else parse_address(address)


def _options(
    timeout: float,
    cache_bytes: int,
    recheck: float,
    candidates: int | None,
    rescore: float | None,
    allow_scripts: bool,
    bundle: Bundle | None,
) -> StoreOptions:
    search = SearchOptions(candidates, rescore, allow_scripts)
    return StoreOptions(timeout, cache_bytes, recheck, search, None if bundle is None else bundle.fingerprint)
