"""What an encoder and a scorer on a server have in common: models, a time limit, and callers that await or wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import Generic, Self, TypeVar

from entity_expand.errors import ConfigError
from entity_expand.sending import Deadline
from entity_expand.triton.address import TritonAddress, parse_triton
from entity_expand.triton.connection import TritonConnection
from entity_expand.triton.models import Model, Served
from entity_expand.types import AnyArray
from entity_expand.worker import SharedWorker

TIMEOUT = 30.0
_DESCRIBE = 5.0

P = TypeVar("P")


class Asking:
    """Asks a server for a model, and perhaps for others that stand in for it, on one event loop.

    Args:
        model: Which one.
        where: The server; see `parse_triton`.
        timeout: Seconds for the answer to one request, all tries together.

    Raises:
        ConfigError: The address or the time limit is wrong.
        MissingExtraError: tritonclient is not installed.
    """

    def __init__(self, model: Model, where: str | TritonAddress, timeout: float) -> None:
        if not timeout > 0:
            raise ConfigError(f"The time limit for a server must be above 0 s, not {timeout}.")
        self.model = model
        self.timeout = timeout
        self._connection = TritonConnection(parse_triton(where) if isinstance(where, str) else where)
        self._served: dict[str, Served] = {}

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._connection.url

    async def _described(self, model: Model) -> Served:
        """Return how the server runs a model, which is asked once."""
        if model.name not in self._served:
            limit = Deadline.after(min(self.timeout, _DESCRIBE))
            self._served[model.name] = await self._connection.describe(model, limit)
        return self._served[model.name]

    async def _infer(self, model: Model, feeds: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Run a model on inputs as its graph takes them."""
        filled = (await self._described(model)).filled_up(model, feeds)
        return await self._connection.infer(model, filled, Deadline.after(self.timeout))

    async def close(self) -> None:
        """Close; what is under way fails. May be called again."""
        await self._connection.close()

    def abandon(self) -> None:
        """Forget all connections without touching them, in a process that did not open them."""
        self._connection.abandon()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


A = TypeVar("A", bound=Asking)


class Waiting(Generic[A]):
    """The same for threads, which may share it, and by HTTP also after a fork.

    Args:
        make: Makes what asks.
    """

    def __init__(self, make: Callable[[], A]) -> None:
        self._shared = SharedWorker(make)

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._shared.connection.url

    def close(self) -> None:
        """Close; what is under way fails. May be called again."""
        self._shared.close()

    def _limit(self, requests: int) -> Deadline:
        """Return when even the slowest answers to so many requests are there: each has a time limit of its own."""
        return Deadline.after(self._shared.connection.timeout * (requests + 2))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def side_by_side(parts: AsyncIterator[P], work: Callable[[P], Awaitable[None]], most: int) -> None:
    """Work on parts as they come, at most so many at once; the first error ends the others."""
    running: set[asyncio.Future[None]] = set()
    try:
        async for part in parts:
            running.add(asyncio.ensure_future(work(part)))
            if len(running) >= most:
                running = await _next(running)
        while running:
            running = await _next(running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _next(running: set[asyncio.Future[None]]) -> set[asyncio.Future[None]]:
    """Wait until one has ended, and return the others."""
    done, rest = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    return rest
