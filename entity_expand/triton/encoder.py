"""Encoders that ask a Triton server; sentences and pictures are made ready here, only arrays are sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from entity_expand.bundle import Bundle
from entity_expand.errors import EncoderError
from entity_expand.inputs import EncoderInput, Prepared, PreparedBatch
from entity_expand.sending import Deadline
from entity_expand.specs import Variant
from entity_expand.triton.address import TritonAddress, parse_triton
from entity_expand.triton.connection import TritonConnection
from entity_expand.triton.models import Served, encoder_model
from entity_expand.types import AnyArray, Float32, Modality
from entity_expand.worker import SharedWorker

TIMEOUT = 30.0
BATCH_SIZE = 32
IN_FLIGHT = 2
_DESCRIBE = 5.0


class AsyncTritonEncoder:
    """An encoder on a Triton server, for one event loop; the same features as the bundle's own graph gives.

    A picture that is broken or too large counts as missing and is counted in `missing_pictures`.

    Args:
        bundle: The bundle that the server's models were written from: its tokenizer and settings are used here.
        where: The server; see `parse_triton`.
        modality: Which graph of the bundle.
        variant: How it computes.
        timeout: Seconds for the answer to one batch, all tries together.
        batch_size: Most inputs of one request; the server may want fewer.
        in_flight: Most requests at once.

    Raises:
        ConfigError: The address is wrong.
        MissingExtraError: tritonclient is not installed.
        EncoderError: A number is out of range.
    """

    def __init__(
        self,
        bundle: Bundle,
        where: str | TritonAddress,
        *,
        modality: Modality = "both",
        variant: Variant = "fp32",
        timeout: float = TIMEOUT,
        batch_size: int = BATCH_SIZE,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        if batch_size < 1 or in_flight < 1 or not timeout > 0:
            given = f"{batch_size}, {in_flight} and {timeout}"
            raise EncoderError(f"batch_size and in_flight must be at least 1 and timeout above 0, not {given}.")
        self.model = encoder_model(bundle, modality, variant)
        self.timeout = timeout
        self._bundle = bundle
        self._batch_size, self._in_flight = batch_size, in_flight
        self._connection = TritonConnection(parse_triton(where) if isinstance(where, str) else where)
        self._served: Served | None = None
        self._missing = 0

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._connection.url

    @property
    def dimension(self) -> int:
        """D, width of the feature."""
        return self._bundle.dimension

    @property
    def missing_pictures(self) -> int:
        """How many pictures could not be read so far; one that is given often in a call counts once."""
        return self._missing

    async def check(self) -> None:
        """Make sure that the server has the model of this bundle and answers: it is asked for a feature.

        Raises:
            ModelMismatchError: It has another model, or none.
            ServerError: It does not answer, or not in time.
        """
        self._served = None
        await self.encode([EncoderInput("", ())])

    async def encode(self, inputs: Sequence[EncoderInput]) -> Float32:
        """Return the features of sentences with pictures.

        Args:
            inputs: B inputs.

        Returns:
            (B, D) float32, in the order of `inputs`.

        Raises:
            EncoderError: A mention does not fit its text, the server refuses the inputs, or a feature is not finite.
            ServerError: The server does not answer, or not in time, or has too much to do.
        """
        if self._served is None:
            self._served = await self._connection.describe(self.model, Deadline.after(min(self.timeout, _DESCRIBE)))
        prepared = await asyncio.to_thread(Prepared, inputs, self._bundle.tokenizer, self._bundle.image)
        features = np.empty((len(inputs), self.dimension), np.float32)
        batches = prepared.batches(min(self._batch_size, self._served.max_batch))
        await self._send_all(batches, self._served, features)
        self._missing += prepared.missing
        if not np.isfinite(features).all():
            raise EncoderError(f"{self.url} answered with numbers that are not finite; export the bundle again.")
        return features

    async def _send_all(self, batches: Iterator[PreparedBatch], served: Served, features: Float32) -> None:
        """Send batches, some at once, and write their features; the next is made ready while the server is at work."""
        running: set[asyncio.Task[None]] = set()

        async def send(batch: PreparedBatch) -> None:
            feeds = filled_up({tensor.name: batch.feeds[tensor.name] for tensor in self.model.spec.inputs}, served)
            answer = await self._connection.infer(self.model, feeds, Deadline.after(self.timeout))
            features[batch.numbers] = answer["feature"]

        try:
            while (batch := await asyncio.to_thread(next, batches, None)) is not None or running:
                if batch is not None:
                    running.add(asyncio.create_task(send(batch)))
                if batch is None or len(running) >= self._in_flight:
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def close(self) -> None:
        """Close; what is under way fails. May be called again."""
        await self._connection.close()

    def abandon(self) -> None:
        """Forget all connections without touching them, in a process that did not open them."""
        self._connection.abandon()

    async def __aenter__(self) -> AsyncTritonEncoder:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class TritonEncoder:
    """An encoder on a Triton server, for threads, which may share it; see `AsyncTritonEncoder` for the arguments."""

    def __init__(self, bundle: Bundle, where: str | TritonAddress, **options: Any) -> None:
        self._shared = SharedWorker(lambda: AsyncTritonEncoder(bundle, where, **options))

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._shared.connection.url

    @property
    def dimension(self) -> int:
        """D, width of the feature."""
        return self._shared.connection.dimension

    @property
    def missing_pictures(self) -> int:
        """How many pictures could not be read so far; one that is given often in a call counts once."""
        return self._shared.connection.missing_pictures

    def check(self) -> None:
        """Make sure that the server has the model of this bundle and answers; see `AsyncTritonEncoder.check`."""
        self._shared.run(lambda encoder: encoder.check(), self._limit(1))

    def encode(self, inputs: Sequence[EncoderInput]) -> Float32:
        """Return the features (B, D) float32 of B inputs, in their order; see `AsyncTritonEncoder.encode`."""
        return self._shared.run(lambda encoder: encoder.encode(inputs), self._limit(len(inputs)))

    def close(self) -> None:
        """Close; what is under way fails. May be called again."""
        self._shared.close()

    def __enter__(self) -> TritonEncoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _limit(self, inputs: int) -> Deadline:
        """Return when even the slowest encoding is over: each request ends by its own time limit."""
        return Deadline.after(self._shared.connection.timeout * (inputs + 2))


def filled_up(feeds: dict[str, AnyArray], served: Served) -> dict[str, AnyArray]:
    """Return the inputs with sentences as long as the server wants them; what is added is masked."""
    if not served.lengths or "input_ids" not in feeds:
        return feeds
    length = feeds["input_ids"].shape[1]
    more = ((0, 0), (0, served.length(length) - length))
    return {
        name: np.pad(array, more) if name in ("input_ids", "attention_mask") else array for name, array in feeds.items()
    }
