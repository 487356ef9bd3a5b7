"""The one door to tritonclient: one request by gRPC or HTTP, its errors translated."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from entity_expand.errors import ConfigError, MissingExtraError, ServerError, UnreachableError
from entity_expand.sending import Again, FailedError, Failure
from entity_expand.triton.address import TritonAddress
from entity_expand.triton.bounds import bound
from entity_expand.triton.models import WIRE_TYPES, Model
from entity_expand.triton.shared import Block
from entity_expand.triton.translate import refused
from entity_expand.types import AnyArray

ANSWER_CAP = 256 << 20
"""Largest answer, in bytes."""

_ABANDONED: list[Any] = []  # closing them would disturb the parent, whose descriptors a child shares
_grpc_process: int | None = None


class Request(NamedTuple):
    """Inputs of a model by name, with an axis for the batch and at least one more; or where they lie in memory."""

    model: Model
    feeds: Mapping[str, AnyArray]
    block: Block | None = None


class Client:
    """Sends single requests, on the event loop that it is first used on.

    Raises:
        MissingExtraError: tritonclient is not installed.
    """

    def __init__(self, address: TritonAddress) -> None:
        self._address = address
        try:
            self._module: Any = (
                importlib.import_module("tritonclient.http.aio")
                if address.http
                else importlib.import_module("tritonclient.grpc.aio")
            )
            self._errors = importlib.import_module("tritonclient.utils").InferenceServerException
            self._broken: type[Exception] = importlib.import_module("aiohttp").ClientError
        except (ImportError, RuntimeError) as problem:  # RuntimeError: without what the way needs
            raise MissingExtraError("tritonclient[grpc,http]", "triton") from problem
        self._client: Any = None

    async def infer(self, request: Request, seconds: float) -> dict[str, AnyArray]:
        """Run a model and return its outputs by name.

        Raises:
            FailedError: There is no answer that can be used.
            LostMemoryError: The server does not know the block any more.
        """
        inputs = [self._input(name, array, request.block) for name, array in request.feeds.items()]
        model = request.model
        outputs = [self._module.InferRequestedOutput(tensor.name) for tensor in model.spec.outputs]
        async with self._translated(str(model)):
            answer = await self._opened().infer(
                model.name, inputs, str(model.version), outputs, timeout=max(1, int(seconds * 1e6))
            )
            found = {tensor.name: answer.as_numpy(tensor.name) for tensor in model.spec.outputs}
        return {name: array for name, array in found.items() if array is not None}

    async def metadata(self, model: Model) -> dict[str, Any]:
        """Return what the server says of a model's inputs and outputs, as JSON."""
        return await self._described("get_model_metadata", model)

    async def config(self, model: Model) -> dict[str, Any]:
        """Return the configuration of a model, as JSON."""
        found = await self._described("get_model_config", model)
        return found if self._address.http else found.get("config", {})

    async def register(self, block: Block) -> None:
        """Make a block of shared memory known to the server."""
        async with self._translated("shared memory"):
            await self._opened().register_system_shared_memory(block.name, block.key, block.size)

    async def unregister(self, block: Block) -> None:
        """Make the server forget a block of shared memory."""
        async with self._translated("shared memory"):
            await self._opened().unregister_system_shared_memory(block.name)

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()
            await asyncio.sleep(0)  # transports end in the next turn of the loop

    def abandon(self) -> None:
        """Forget all connections without touching them, in a process that did not open them."""
        if self._client is not None and self._address.http:
            self._client._stub.detach()
            self._client._conn._closed = True
        elif self._client is not None:
            _ABANDONED.append(self._client)
        self._client = None

    async def _described(self, method: str, model: Model) -> dict[str, Any]:
        options = {} if self._address.http else {"as_json": True}
        async with self._translated(str(model)):
            found = await getattr(self._opened(), method)(model.name, str(model.version), **options)
            if not isinstance(found, dict):
                raise ValueError("no object")
        return found

    def _opened(self) -> Any:
        if self._client is None:
            if not self._address.http:
                _check_process()
            self._client = self._module.InferenceServerClient(self._address.target, **self._options())
            if self._address.http:
                bound(self._client._stub, ANSWER_CAP)
        return self._client

    def _options(self) -> dict[str, Any]:
        encrypted = self._address.encrypted
        if self._address.http:
            # Without a limit of its own: whoever calls has one, and cancels.
            return {"ssl": encrypted, "ssl_context": None, "conn_timeout": None}
        limits = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", ANSWER_CAP)]
        # A server that was down is looked for again at once, and a connection has five seconds to be made.
        waits = {"initial": 100, "max": 100, "min": 5000}
        limits += [(f"grpc.{name}_reconnect_backoff_ms", wait) for name, wait in waits.items()]
        return {"ssl": encrypted, "channel_args": limits}

    def _input(self, name: str, array: AnyArray, block: Block | None) -> Any:
        found = self._module.InferInput(name, list(array.shape), WIRE_TYPES[array.dtype.name])
        if block is None:
            found.set_data_from_numpy(np.ascontiguousarray(array))
        else:
            found.set_shared_memory(block.name, array.nbytes, block.offsets[name])
        return found

    @contextlib.asynccontextmanager
    async def _translated(self, what: str) -> AsyncIterator[None]:
        where = self._address.url
        try:
            yield
        except self._errors as problem:
            failure = refused(where, what, problem.status() or "", problem.message() or "")
        except (self._broken, OSError) as problem:
            text = f"{where} gave no answer for {what}: {type(problem).__name__}: {problem}. Is it running?"
            failure = Failure(UnreachableError(text), Again.SAFE)
        except (ValueError, LookupError, TypeError, AttributeError) as problem:
            text = f"{where} gave an answer for {what} that is none of a Triton server ({problem}); see the address."
            failure = Failure(ServerError(text), Again.NEVER)
        else:
            return
        raise FailedError(failure)


def _check_process() -> None:
    """Refuse gRPC in a process that was forked from one that uses it: it would crash or hang there."""
    global _grpc_process
    _grpc_process = _grpc_process or os.getpid()
    if _grpc_process != os.getpid():
        raise ConfigError(
            "This process was forked from one that asks a Triton server by gRPC, which does not work in both: ask by "
            "triton+http, or start processes by spawn instead of fork."
        )
