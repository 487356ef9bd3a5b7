"""Requests to a service under a deadline, sent again where that can help (`sending.py`)."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from entity_expand._version import __version__
from entity_expand.elastic.address import Address, Credentials
from entity_expand.errors import UnreachableError
from entity_expand.remote.answers import parsed, refused
from entity_expand.sending import Again, Deadline, FailedError, Failure, persist
from entity_expand.web.pool import BrokenError, Pool, trusted
from entity_expand.worker import OneLoop

RESPONSE_CAP = 256 << 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A request.

    Attributes:
        path: With the query, encoded.
        body: What is sent as JSON by POST; None for GET.
        raw: Whether the answer is bytes rather than JSON.
    """

    path: str
    body: object = None
    raw: bool = False


class RemoteConnection:
    """A connection for one event loop, that of its first request; tasks may share it.

    Args:
        address: The service.
        credentials: Its key, if it wants one, and whose certificate is trusted.
        seed: For the times between two sendings; None takes one from the system.

    Raises:
        ConfigError: The file of authorities cannot be read.
    """

    def __init__(self, address: Address, credentials: Credentials, seed: int | None = None) -> None:
        self.address = address
        pin = (credentials.fingerprint or "").replace(":", "") or None
        self._pool = Pool(trusted(credentials.ca_file) if address.encrypted and not pin else None, pin)
        self._headers = {"accept": "*/*", "user-agent": f"entity-expand/{__version__}"}
        if credentials.api_key:
            self._headers["authorization"] = f"Bearer {credentials.api_key}"
        self._random = random.Random(seed)
        self._loop = OneLoop(address.url)

    @property
    def url(self) -> str:
        """Where the service is."""
        return self.address.url

    async def send(self, asked: Asked, deadline: Deadline) -> Any:
        """Send a request and return what the answer holds: JSON, or bytes if it is raw.

        Raises:
            QueryError: The service refuses what is asked.
            DeadlineError: The time was over, here or there.
            UnreachableError: No whole answer came.
            OverloadedError: The service has too much to do.
            AccessError: It wants another key, or its certificate is not trusted.
            StoreError: It answered anything else.
        """
        body = None if asked.body is None else json.dumps(asked.body, separators=(",", ":")).encode()

        async def once(_: float) -> Any:
            self._loop.check()
            return await self._once(asked, body)

        return await persist(
            once, f"{self.url} gave no answer to {asked.path.partition('?')[0]}", deadline, self._random
        )

    async def _once(self, asked: Asked, body: bytes | None) -> Any:
        headers = {**self._headers, **({} if body is None else {"content-type": "application/json"})}
        method = "GET" if body is None else "POST"
        try:
            reply = await self._pool.request(method, self.url + asked.path, body, headers, RESPONSE_CAP)
        except BrokenError as problem:
            failure = Failure(problem.kind(f"{self.url} gave no answer: {problem}"), problem.again)
            raise FailedError(failure) from None
        if not 200 <= reply.status < 300:
            found = refused(self.url, reply.status, reply.content)
            raise FailedError(Failure(found.error, found.again, max(found.wait, reply.wait)))
        if asked.raw:
            return reply.content
        content = parsed(reply.content)
        if content is None:
            text = f"{self.url} answered what is no JSON, or was cut off on the way."
            raise FailedError(Failure(UnreachableError(text), Again.SAFE))
        return content

    async def close(self) -> None:
        """Close; requests under way fail. May be called again."""
        self._loop.closed = True
        await self._pool.close()

    def abandon(self) -> None:
        """Forget all connections without touching them, in a process that did not open them."""
        self._loop.closed = True
        self._pool.abandon()
