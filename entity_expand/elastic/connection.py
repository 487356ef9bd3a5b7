"""Calls to a server under a deadline, sent again where that is safe; for threads and for event loops.

The rules, for one `send`:

- A sending that failed is followed by another if nothing was done (no connection was made, the server refused for lack
  of room or of a master), or if the call is safe and the outcome unknown (a broken connection or answer, no answer in
  its share of time, 429, 502, 503, 504). Nothing else is sent twice.
- Between two sendings lies a random time between 0 and 0.05 s x 2^n, at most 2 s; never less than the server asked for.
- A safe call may use half of the time that is left for one sending, though never less than a quarter of the whole, so
  that one connection that hangs does not use up the deadline: allow a call twice the time that it takes. Another call
  may use all of it.
- When less than a tenth of the whole time would be left for the next sending, the last failure is raised.
- At the deadline whatever goes on is cancelled, also in the middle of a name look-up, a handshake or a body.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import threading
from collections.abc import Generator
from types import TracebackType
from typing import Any, TypeVar

from entity_expand.elastic.address import Address, Credentials
from entity_expand.elastic.client import Client, FailedError
from entity_expand.elastic.exchange import Answer, Call, Deadline
from entity_expand.elastic.translate import Again, Failure
from entity_expand.elastic.worker import Worker
from entity_expand.errors import ConfigError, DeadlineError, StoreError

__all__ = ["Answer", "AsyncConnection", "Call", "Connection", "Deadline", "drive", "drive_async"]

T = TypeVar("T")

RESPONSE_CAP = 256 << 20
_BASE, _LONGEST = 0.05, 2.0


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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

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
        whole, last = deadline.left(), ""
        for number in itertools.count():
            self._check_usable()
            left = deadline.left() if number == 0 else deadline.remaining()
            share = min(max(left / 2, whole / 4), left) if call.safe else left
            try:
                async with asyncio.timeout(share):
                    return await self._client.send(call, media, content)
            except FailedError as problem:
                failure = problem.failure
            except TimeoutError:
                text = (
                    f"{self.address.url} gave no answer to {call} within {share:.3g} s (limit {deadline.seconds:g} s)."
                )
                failure = Failure(DeadlineError(text + last), Again.SAFE)
            wait = max(failure.wait, self._random.uniform(0, min(_LONGEST, _BASE * 2 ** min(number, 20))))
            again = failure.again is Again.ALWAYS or (failure.again is Again.SAFE and call.safe)
            if not again or deadline.remaining() - wait < whole / 10:
                break
            last = f" Before that: {failure.error}"[:500]
            await asyncio.sleep(wait)
        raise failure.error

    async def close(self) -> None:
        """Close; calls under way fail. May be called again."""
        self._closed = True
        await self._client.close()

    def abandon(self) -> None:
        """Forget all connections without touching them, in a process that did not open them."""
        self._closed = True
        self._client.abandon()

    async def __aenter__(self) -> AsyncConnection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _check_usable(self) -> None:
        if self._closed:
            raise StoreError(f"The connection to {self.address.url} was closed; open another.")
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            raise ConfigError("An AsyncConnection belongs to one event loop; open another one for this loop.")


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
        self._arguments: dict[str, Any] = {"credentials": credentials, "seed": seed, "response_cap": response_cap}
        self._lock = threading.Lock()
        self._worker = self._made()
        self._closed = False

    def send(self, call: Call, deadline: Deadline) -> Answer:
        """Send a call and return its answer; see `AsyncConnection.send`, also for the errors."""
        with self._lock:
            if self._closed:
                raise StoreError(f"The connection to {self.address.url} was closed; open another.")
            if self._worker.process != os.getpid():
                self._worker.finish()
                self._worker = self._made()
            worker = self._worker
            worker.start()
        return worker.run(worker.connection.send(call, deadline), deadline)

    def close(self) -> None:
        """Close; calls under way fail. May be called again."""
        with self._lock:
            self._closed = True
            self._worker.finish()

    def _made(self) -> Worker:
        return Worker(AsyncConnection(self.address, **self._arguments))

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def drive(connection: Connection, operation: Generator[Call, Answer, T], deadline: Deadline) -> T:
    """Run an operation that yields calls and is sent their answers; errors of a call are raised at its `yield`."""
    try:
        call = next(operation)
        while True:
            try:
                answer = connection.send(call, deadline)
            except StoreError as problem:
                call = operation.throw(problem)
            else:
                call = operation.send(answer)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        operation.close()


async def drive_async(connection: AsyncConnection, operation: Generator[Call, Answer, T], deadline: Deadline) -> T:
    """Run an operation on an `AsyncConnection`; see `drive`."""
    try:
        call = next(operation)
        while True:
            try:
                answer = await connection.send(call, deadline)
            except StoreError as problem:
                call = operation.throw(problem)
            else:
                call = operation.send(answer)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        operation.close()
