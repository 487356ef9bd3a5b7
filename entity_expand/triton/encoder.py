"""Encoders that ask a Triton server; sentences and pictures are made ready here, only arrays are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np

from entity_expand.bundle import Bundle
from entity_expand.errors import EncoderError, ModelMismatchError
from entity_expand.inputs.prepared import EncoderInput, Prepared, PreparedBatch, routed
from entity_expand.triton.address import TritonAddress
from entity_expand.triton.asking import TIMEOUT, Asking, Waiting, side_by_side
from entity_expand.triton.models import encoder_model
from entity_expand.types import Float32, Modality, Variant

BATCH_SIZE = 32
IN_FLIGHT = 2


class AsyncTritonEncoder(Asking):
    """An encoder on a Triton server, for one event loop; the same features as the bundle's own graph gives.

    A picture that is broken or too large counts as missing and is counted in `missing_pictures`.

    Args:
        bundle: The bundle that the server's models were written from: its tokenizer and settings are used here.
        where: The server; see `parse_triton`.
        modality: What the graph sees; a graph for texts leaves pictures unread, and the other way round. With "both",
            inputs that lack a picture or a text go to the model for the other alone, if bundle and server have it.
        variant: How it computes.
        timeout: Seconds for the answer to one batch, all tries together.
        batch_size: Most inputs of one request; the server may want fewer.
        in_flight: Most requests at once.

    Raises:
        ConfigError: The address or a number is wrong.
        MissingExtraError: tritonclient is not installed.
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
        if batch_size < 1 or in_flight < 1:
            raise EncoderError(f"batch_size and in_flight must be at least 1, not {batch_size} and {in_flight}.")
        super().__init__(encoder_model(bundle, modality, variant), where, timeout)
        self._bundle = bundle
        self._modality: Modality = modality
        self._variant: Variant = variant
        others = bundle.alone(variant) if modality == "both" else ()
        self._others = {seen: encoder_model(bundle, seen, variant) for seen in others}
        self._batch_size, self._in_flight = batch_size, in_flight
        self._missing = 0

    @property
    def dimension(self) -> int:
        """D, width of the feature."""
        return self._bundle.dimension

    @property
    def variant(self) -> Variant:
        """How the model computes."""
        return self._variant

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
        self._served.clear()
        await self._seen(self._modality, [EncoderInput("", ())])

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
        features = np.empty((len(inputs), self.dimension), np.float32)
        await self._described(self.model)
        for modality, numbers in routed(inputs, self._modality, self._others).items():
            features[numbers] = await self._seen(modality, [inputs[number] for number in numbers])
        if not np.isfinite(features).all():
            raise EncoderError(f"{self.url} answered with numbers that are not finite; export the bundle again.")
        return features

    async def _seen(self, modality: Modality, inputs: Sequence[EncoderInput]) -> Float32:
        """Return the features (B, D) that the model for a modality gives; the server may lack that of one alone."""
        if modality not in self._others:  # another call may have found that out meanwhile
            modality = self._modality
        model = self._others.get(modality, self.model)
        try:
            served = await self._described(model)
        except ModelMismatchError:
            if model is self.model:
                raise
            self._others.pop(modality, None)
            return await self._seen(self._modality, inputs)
        features = np.empty((len(inputs), self.dimension), np.float32)

        async def send(batch: PreparedBatch) -> None:
            features[batch.numbers] = (await self._infer(model, batch.feeds))["feature"]

        prepared = await asyncio.to_thread(Prepared, inputs, self._bundle.tokenizer, self._bundle.image, modality)
        await side_by_side(_made_ready(prepared, min(self._batch_size, served.max_batch)), send, self._in_flight)
        self._missing += prepared.missing
        return features


class TritonEncoder(Waiting[AsyncTritonEncoder]):
    """An encoder on a Triton server, for threads, which may share it; see `AsyncTritonEncoder` for the arguments."""

    def __init__(self, bundle: Bundle, where: str | TritonAddress, **options: Any) -> None:
        super().__init__(lambda: AsyncTritonEncoder(bundle, where, **options))

    @property
    def dimension(self) -> int:
        """D, width of the feature."""
        return self._shared.connection.dimension

    @property
    def variant(self) -> Variant:
        """How the model computes."""
        return self._shared.connection.variant

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


async def _made_ready(prepared: Prepared, size: int) -> AsyncIterator[PreparedBatch]:
    """Yield batches that are made ready on a thread, so that the event loop goes on."""
    batches = prepared.batches(size)
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        yield batch
