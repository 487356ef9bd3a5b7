"""`Expander` and `AsyncExpander` over a service: the same methods, answered elsewhere."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from entity_expand.drive import one_by_one, one_by_one_async
from entity_expand.elastic.address import Credentials
from entity_expand.errors import QueryError, StoreError
from entity_expand.expander import Expander
from entity_expand.explain.about import Explanation, SetExplanation
from entity_expand.files import write_bytes
from entity_expand.front.awaiting import AsyncExpander
from entity_expand.front.common import seconds
from entity_expand.query import ExpandQuery
from entity_expand.remote import calls
from entity_expand.remote.address import parse_service, service_credentials
from entity_expand.remote.calls import Calls
from entity_expand.remote.connection import Asked, RemoteConnection
from entity_expand.results import Expansion
from entity_expand.sending import Deadline
from entity_expand.stores.base import AsyncReader, Evidence, Reader
from entity_expand.types import Entity
from entity_expand.worker import SharedWorker

T = TypeVar("T")

TIMEOUT = 10.0


class _Elsewhere:
    """Stands where an index would be: a service shows none."""

    def __init__(self, url: str) -> None:
        self.url = url

    def begin(self, timeout: float | None = None) -> Reader:
        raise StoreError(f"The index behind {self.url} is reached through the service alone.")

    def close(self) -> None:
        """Do nothing."""


class _AsyncElsewhere:
    """Stands where an index would be: a service shows none."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def begin(self, timeout: float | None = None) -> AsyncReader:
        raise StoreError(f"The index behind {self.url} is reached through the service alone.")

    async def close(self) -> None:
        """Do nothing."""


class _Pictures:
    """Pictures that were fetched, in a folder that goes with this object."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="entity-expand-")

    def path(self, image: str) -> Path:
        """Return where a picture lies, or will."""
        return Path(self._folder.name) / hashlib.sha256(image.encode("utf-8", "replace")).hexdigest()

    def close(self) -> None:
        """Remove them."""
        self._folder.cleanup()


def _first(evidence: Sequence[Evidence]) -> str | None:
    return next((item.image for item in evidence if item.image is not None), None)


def deadline_of(timeout: float | None) -> Deadline:
    """Return when a call is over, by default after `TIMEOUT`.

    Raises:
        QueryError: The timeout is no finite number of at least 0.
    """
    limit = seconds(timeout)
    return Deadline.after(TIMEOUT if limit is None else limit)


class RemoteExpander(Expander):
    """Expands sets through a service. Safe for use from several threads; `Expander.open` makes it.

    Args:
        worker: The connection to the service.
    """

    def __init__(self, worker: SharedWorker[RemoteConnection]) -> None:
        super().__init__(_Elsewhere(worker.connection.url))
        self._worker = worker
        self._together = calls.MOST_TOGETHER
        self._fetched = _Pictures()

    @classmethod
    def connect(
        cls, address: str, credentials: Credentials | None = None, *, timeout: float | None = None
    ) -> RemoteExpander:
        """Open a service, as http://host:8080.

        Args:
            address: Where it is.
            credentials: Its key, and whose certificate is trusted; None for the key in the environment.
            timeout: Seconds that this may take; one that starts meanwhile is waited for. None for 10.

        Raises:
            ConfigError: The address or the credentials are wrong.
            StoreError: It does not answer, wants another key, or is something else.
        """
        parsed = parse_service(address)
        known = service_credentials(credentials, parsed, os.environ)
        opened = cls(SharedWorker(lambda: RemoteConnection(parsed, known)))
        try:
            opened._together = opened._call(calls.greet(parsed.url), timeout)
        except BaseException:
            opened.close()
            raise
        return opened

    def close(self) -> None:
        """Close the connection, and remove the pictures that were fetched."""
        self._worker.close()
        self._fetched.close()

    def _run(
        self, queries: Sequence[ExpandQuery], timeout: float | None, keep_errors: bool
    ) -> list[Expansion | QueryError]:
        asked = calls.expansions(queries, keep_errors, self._worker.connection.url, self._together)
        found = self._call(asked, timeout)
        return [each if isinstance(each, QueryError) else self._owned(each) for each in found]

    def explain(self, expansion: Expansion, which: str | int, *, timeout: float | None = None) -> Explanation:
        """Explain why an entity is in an expanded set; as `Expander.explain`."""
        return self._call(calls.explanation(expansion, which, self._worker.connection.url), timeout)

    def explain_set(self, expansion: Expansion, *, timeout: float | None = None) -> SetExplanation:
        """Explain what holds a set together; as `Expander.explain_set`."""
        return self._call(calls.set_explanation(expansion, self._worker.connection.url), timeout)

    def find(self, prefix: str, limit: int = 20, *, timeout: float | None = None) -> list[Entity]:
        """Return entities by how a name begins; as `Expander.find`."""
        return self._call(calls.entities(self._worker.connection.url, prefix=prefix, limit=limit), timeout)

    def lookup(self, name: str, *, timeout: float | None = None) -> list[Entity]:
        """Return the entity with this id, else those that are called so; as `Expander.lookup`."""
        return self._call(calls.entities(self._worker.connection.url, name=name, limit=100), timeout)

    def picture(self, evidence: Sequence[Evidence]) -> Path | None:
        """Return a file with the first picture among some evidence, fetched; it is there until this is closed."""
        image = _first(evidence)
        if image is None:
            return None
        path = self._fetched.path(image)
        if not path.exists():
            content = self._call(calls.picture(image), None)
            if content is None:
                return None
            write_bytes(path, content)
        return path

    def _call(self, steps: Calls[T], timeout: float | None) -> T:
        deadline = deadline_of(timeout)
        return one_by_one(steps, lambda asked: self._send(asked, deadline))

    def _send(self, asked: Asked, deadline: Deadline) -> Any:
        return self._worker.run(lambda connection: connection.send(asked, deadline), deadline)


class AsyncRemoteExpander(AsyncExpander):
    """Expands sets through a service without blocking; for one event loop. `AsyncExpander.open` makes it.

    Args:
        connection: To the service.
    """

    def __init__(self, connection: RemoteConnection) -> None:
        super().__init__(_AsyncElsewhere(connection.url))
        self._connection = connection
        self._together = calls.MOST_TOGETHER
        self._fetched = _Pictures()

    @classmethod
    async def connect(
        cls, address: str, credentials: Credentials | None = None, *, timeout: float | None = None
    ) -> AsyncRemoteExpander:
        """Open a service; as `RemoteExpander.connect`."""
        parsed = parse_service(address)
        opened = cls(RemoteConnection(parsed, service_credentials(credentials, parsed, os.environ)))
        try:
            opened._together = await opened._call(calls.greet(parsed.url), timeout)
        except BaseException:
            await opened.close()
            raise
        return opened

    async def close(self) -> None:
        """Close the connection, and remove the pictures that were fetched."""
        await self._connection.close()
        self._fetched.close()

    async def expand_many(
        self, queries: Sequence[ExpandQuery], *, return_errors: bool = False, timeout: float | None = None
    ) -> list[Expansion | QueryError]:
        """Expand several sets side by side; as `Expander.expand_many`."""
        asked = calls.expansions(queries, return_errors, self._connection.url, self._together)
        return await self._call(asked, timeout)

    async def explain(self, expansion: Expansion, which: str | int, *, timeout: float | None = None) -> Explanation:
        """Explain why an entity is in an expanded set; as `Expander.explain`."""
        return await self._call(calls.explanation(expansion, which, self._connection.url), timeout)

    async def explain_set(self, expansion: Expansion, *, timeout: float | None = None) -> SetExplanation:
        """Explain what holds a set together; as `Expander.explain_set`."""
        return await self._call(calls.set_explanation(expansion, self._connection.url), timeout)

    async def find(self, prefix: str, limit: int = 20, *, timeout: float | None = None) -> list[Entity]:
        """Return entities by how a name begins; as `Expander.find`."""
        return await self._call(calls.entities(self._connection.url, prefix=prefix, limit=limit), timeout)

    async def lookup(self, name: str, *, timeout: float | None = None) -> list[Entity]:
        """Return the entity with this id, else those that are called so; as `Expander.lookup`."""
        return await self._call(calls.entities(self._connection.url, name=name, limit=100), timeout)

    async def picture(self, evidence: Sequence[Evidence]) -> Path | None:
        """Return a file with the first picture among some evidence; as `RemoteExpander.picture`."""
        image = _first(evidence)
        if image is None:
            return None
        path = self._fetched.path(image)
        if not path.exists():
            content = await self._call(calls.picture(image), None)
            if content is None:
                return None
            write_bytes(path, content)
        return path

    async def _call(self, steps: Calls[T], timeout: float | None) -> T:
        deadline = deadline_of(timeout)
        return await one_by_one_async(steps, lambda asked: self._connection.send(asked, deadline))
