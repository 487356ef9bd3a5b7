"""Requests to a Triton server under a deadline, sent again where that can help (`sending.py`)."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from entity_expand.errors import ServerError
from entity_expand.sending import Again, Deadline, FailedError, Failure, persist
from entity_expand.triton.address import TritonAddress
from entity_expand.triton.client import Client, Request
from entity_expand.triton.models import Model, Served, check_served
from entity_expand.triton.shared import Block, needed
from entity_expand.triton.translate import LostMemoryError
from entity_expand.types import AnyArray
from entity_expand.worker import OneLoop

T = TypeVar("T")


class TritonConnection:
    """A connection for one event loop, that of its first request; tasks may share it.

    Args:
        address: The server.
        seed: For the times between two sendings; None takes one from the system.

    Raises:
        MissingExtraError: tritonclient is not installed.
    """

    def __init__(self, address: TritonAddress, seed: int | None = None) -> None:
        self.address = address
        self._client = Client(address)
        self._random = random.Random(seed)
        self._blocks: list[Block] = []
        self._loop = OneLoop(address.url)

    @property
    def url(self) -> str:
        """Where the server is."""
        return self.address.url

    async def describe(self, model: Model, deadline: Deadline) -> Served:
        """Ask how the server runs a model, and check that it is the one that is meant.

        Raises:
            ModelMismatchError: It has another model, or none.
            ServerError: As for `infer`.
        """

        async def once(_: float) -> Served:
            metadata, config = await self._client.metadata(model), await self._client.config(model)
            return check_served(model, metadata, config, self.url)

        return await self._persist(once, model, deadline)

    async def infer(self, model: Model, feeds: Mapping[str, AnyArray], deadline: Deadline) -> dict[str, AnyArray]:
        """Run a model and return its outputs by name, with the shapes that it declares.

        Args:
            model: The model.
            feeds: Its inputs, as its graph takes them, without free axes of length 0.
            deadline: When to give up.

        Raises:
            DeadlineError: The time was over.
            UnreachableError: No answer came.
            OverloadedError: The server's queue was full, or the request waited in it for too long.
            EncoderError: It refused the inputs; `ModelMismatchError` if it has no such model or version.
            ServerError: It answered anything else.
        """
        wire = {name: array[:, None] if array.ndim == 1 else array for name, array in feeds.items()}
        rows = len(next(iter(wire.values())))

        async def once(seconds: float) -> dict[str, AnyArray]:
            if not self.address.shared_memory:
                found = await self._client.infer(Request(model, wire), seconds)
            else:
                found = await self._through_memory(model, wire, seconds)
            self._check(model, found, rows)
            return found

        return await self._persist(once, model, deadline)

    async def close(self) -> None:
        """Close; requests under way fail. May be called again."""
        self._loop.closed = True
        for block in self._blocks:
            with contextlib.suppress(FailedError, LostMemoryError, TimeoutError):
                async with asyncio.timeout(1):
                    await self._client.unregister(block)
            block.free()
        self._blocks = []
        await self._client.close()

    def abandon(self) -> None:
        """Forget all connections without touching them, in a process that did not open them."""
        self._loop.closed, self._blocks = True, []
        self._client.abandon()

    async def _persist(self, once: Callable[[float], Awaitable[T]], model: Model, deadline: Deadline) -> T:
        self._loop.check()
        return await persist(once, f"{self.url} gave no answer for {model}", deadline, self._random)

    async def _through_memory(self, model: Model, wire: Mapping[str, AnyArray], seconds: float) -> dict[str, AnyArray]:
        block = self._block(needed(wire))
        try:
            block.fill(wire)
            if not block.known:
                await self._client.register(block)
                block.known = True
            found = await self._client.infer(Request(model, wire, block), seconds)
        except LostMemoryError as problem:
            block.free()
            text = f"{self.url} does not see this machine's memory ({problem}); leave out +shm."
            raise FailedError(Failure(ServerError(text), Again.ALWAYS)) from None
        except BaseException:
            block.free()  # the server may still read from it, so it is not used again
            raise
        self._blocks.append(block)
        return found

    def _block(self, size: int) -> Block:
        """Return a block that is not in use and large enough."""
        for block in self._blocks:
            if block.size >= size:
                self._blocks.remove(block)
                return block
        return Block(size)

    def _check(self, model: Model, found: Mapping[str, AnyArray], rows: int) -> None:
        """Refuse an answer whose arrays are not as the model declares them."""
        for tensor in model.spec.outputs:
            array, names = found.get(tensor.name), {"batch": rows}
            shape = None if array is None else array.shape
            wanted = tuple(names.get(axis) if isinstance(axis, str) else axis for axis in tensor.axes)
            fits = shape is not None and len(shape) == len(wanted)
            if not fits or any(b is not None and a != b for a, b in zip(shape or (), wanted, strict=False)):
                text = f"{self.url} answered {tensor.name} of {model} in the shape {shape}, not {wanted}."
                raise FailedError(Failure(ServerError(text), Again.NEVER))
            if array is not None and array.dtype != tensor.dtype:
                text = f"{self.url} answered {tensor.name} of {model} as {array.dtype}, not {tensor.dtype}."
                raise FailedError(Failure(ServerError(text), Again.NEVER))
