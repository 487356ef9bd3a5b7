"""Calls to a server under a deadline, sent again where that is safe (`sending.py`); for threads and for event loops."""

from __future__ import annotations

import random
from collections.abc import Generator
from types import TracebackType
from typing import TypeVar

from entity_expand.drive import one_by_one, one_by_one_async
from entity_expand.elastic.address import Address, Credentials
from entity_expand.elastic.client import Client
from entity_expand.elastic.exchange import Answer, Call
from entity_expand.sending import Deadline, persist
from entity_expand.worker import OneLoop, SharedWorker

__all__ = ["Answer", "AsyncConnection", "Call", "Connection", "Deadline", "drive", "drive_async"]

T = TypeVar("T")

RESPONSE_CAP = 256 << 20


class AsyncConnection:
    """A connection for one event loop, that of its first call; tasks may share it.

    Attributes:
        address: Where it goes.
    """

    def __init__(
        self,
        address: Address,
        credentials: Credentials | None = None,
        *,
        seed: int | None = None,
        response_cap: int = RESPONSE_CAP,
    ) -> None:
        """Prepare; nothing is sent before the first call.

        Args:
            address: The server; the index of the address is for the callers.
            credentials: Who asks; nobody by default.
            seed: For the times between two sendings; None takes one from the system.
            response_cap: Largest body of an answer, in bytes.

        Raises:
            ConfigError: The credentials do not fit the address.
        """
        self.address = address
        self._client = Client(address, credentials or Credentials(), response_cap)
        self._random = random.Random(seed)
        self._loop = OneLoop(address.url, "An AsyncConnection")

    async def send(self, call: Call, deadline: Deadline) -> Answer:
        """Send a call and return its answer, a success or a status that the call accepts.

        Raises:
            DeadlineError: The time was over, here or on the server.
            UnreachableError: No whole answer came, or the cluster cannot serve now.
            OverloadedError: The server has too much to do.
            ReadOnlyError: It takes no changes.
            AccessError: It does not know the caller, or its certificate is not trusted.
            IndexMissingError: There is no such index.
            ServerError: It said anything else.
        """
        media, content = call.content()

        async def once(_: float) -> Answer:
            self._loop.check()
            return await self._client.send(call, media, content)

        what = f"{self.address.url} gave no answer to {call}"
        return await persist(once, what, deadline, self._random, safe=call.safe)

    @property
    def url(self) -> str:
        """Where the server is."""
        return self.address.url

    async def close(self) -> None:
        """Close; calls under way fail. May be called again."""
        self._loop.closed = True
        await self._client.close()

    def abandon(self) -> None:
        """Forget all connections without touching them, in a process that did not open them."""
        self._loop.closed = True
        self._client.abandon()

    async def __aenter__(self) -> AsyncConnection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Connection:
    """A connection for threads, which may share it; an `AsyncConnection` on a thread of its own.

    It may be used after a fork: the child opens its own.

    Attributes:
        address: Where it goes.
    """

    def __init__(
        self,
        address: Address,
        credentials: Credentials | None = None,
        *,
        seed: int | None = None,
        response_cap: int = RESPONSE_CAP,
    ) -> None:
        """Prepare; the arguments and errors are those of `AsyncConnection`."""
        self.address = address
        self._shared = SharedWorker(lambda: AsyncConnection(address, credentials, seed=seed, response_cap=response_cap))

    def send(self, call: Call, deadline: Deadline) -> Answer:
        """Send a call and return its answer; see `AsyncConnection.send`, also for the errors."""
        return self._shared.run(lambda connection: connection.send(call, deadline), deadline)

    def close(self) -> None:
        """Close; calls under way fail. May be called again."""
        self._shared.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def drive(connection: Connection, operation: Generator[Call, Answer, T], deadline: Deadline) -> T:
    """Run an operation that yields calls and is sent their answers; errors of a call are raised at its `yield`."""
    return one_by_one(operation, lambda call: connection.send(call, deadline))


async def drive_async(connection: AsyncConnection, operation: Generator[Call, Answer, T], deadline: Deadline) -> T:
    """Run an operation on an `AsyncConnection`; see `drive`."""
    return await one_by_one_async(operation, lambda call: connection.send(call, deadline))
