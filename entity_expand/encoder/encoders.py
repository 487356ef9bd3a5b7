"""Encoders: sentences with pictures in, entity features out."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from PIL import Image

from entity_expand import files
from entity_expand.bundle import Bundle
from entity_expand.config import is_whole
from entity_expand.encoder.cuda_graphs import LENGTH_MULTIPLE, CapturedGraph
from entity_expand.encoder.onnx_session import graph_session, run_graph
from entity_expand.errors import EncoderError, ImageError
from entity_expand.inputs.image import MAX_BYTES
from entity_expand.inputs.prepared import Encodable, EncoderInput, Prepared, as_input, routed
from entity_expand.types import AnyArray, Float32, Modality, Variant

if TYPE_CHECKING:
    from entity_expand.triton.encoder import TritonEncoder

__all__ = ["BATCH_SIZE", "Encoder", "EncoderInput", "FakeEncoder", "OnnxEncoder", "open_encoder"]

BATCH_SIZE = 32

Run: TypeAlias = Callable[[Mapping[str, AnyArray]], Float32]


class Encoder(Protocol):
    """What turns sentences with pictures into features."""

    @property
    def dimension(self) -> int:
        """D, width of the feature."""
        ...

    def encode(self, inputs: Sequence[EncoderInput]) -> Float32:
        """Return the features (B, D) float32 of B inputs, in their order."""
        ...


class OnnxEncoder:
    """Runs a bundle's graph with onnxruntime; safe to use from several threads.

    A picture that is broken or too large counts as missing and is counted in `missing_pictures`.

    Args:
        bundle: An opened bundle.
        providers: Execution providers by short or long name, in order of preference.
        threads: Threads of one operator; None leaves it to onnxruntime.
        batch_size: Most inputs that are run together.
        variant: How the graph computes. "int8" is for CPUs, "fp16" for GPUs.
        modality: What the graph sees; a graph for texts leaves pictures unread, and the other way round. With "both",
            inputs that lack a picture or a text go to the graph for the other alone, if the bundle has it.
        cuda_graphs: With the provider "cuda": what one shape of a batch starts on the GPU is captured once and then
            replayed, which saves most where batches are small. Calls take turns.

    Raises:
        BundleError: The bundle has no such graph.
        MissingExtraError: onnxruntime is not installed.
        EncoderError: A provider is not available, or the graph cannot be loaded.
    """

    def __init__(
        self,
        bundle: Bundle,
        providers: Sequence[str] = ("cpu",),
        threads: int | None = None,
        batch_size: int = BATCH_SIZE,
        variant: Variant = "fp32",
        modality: Modality = "both",
        cuda_graphs: bool = False,
    ) -> None:
        if not is_whole(batch_size, 1) or (threads is not None and not is_whole(threads, 1)):
            raise EncoderError(
                f"batch_size and threads must be whole numbers of at least 1, not {batch_size!r} and {threads!r}."
            )
        if isinstance(providers, str):
            raise EncoderError(f"providers are a list, as [{providers!r}].")
        self._bundle = bundle
        self._batch_size = batch_size
        self._modality: Modality = modality
        self._variant, self._providers, self._threads = variant, tuple(providers), threads
        self._cuda_graphs = cuda_graphs
        self._graphs = {modality: self._start(modality)}
        self._others = bundle.alone(variant) if modality == "both" else frozenset()
        self._lock = threading.Lock()
        self._missing = 0

    @property
    def dimension(self) -> int:
        """D, width of the feature."""
        return self._bundle.dimension

    @property
    def variant(self) -> Variant:
        """How the graph computes."""
        return self._variant

    @property
    def missing_pictures(self) -> int:
        """How many pictures could not be read so far; one that is given often in a call counts once."""
        return self._missing

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers in use, by long name."""
        return tuple(self._graphs[self._modality][0].get_providers())

    def encode(self, inputs: Sequence[Encodable]) -> Float32:
        """Return the features of sentences with pictures.

        Inputs of like length are run together; a picture that is given several times is decoded once.

        Args:
            inputs: B inputs; also sentences with a marked mention, and pictures as paths, bytes or Pillow images.

        Returns:
            (B, D) float32, in the order of `inputs`.

        Raises:
            EncoderError: An input is of another kind, a mention does not fit its text, or the graph fails or yields
                numbers that are not finite.
        """
        if isinstance(inputs, (str, bytes)):
            raise EncoderError("A list of sentences and pictures is encoded, not one alone; put it into brackets.")
        features = np.empty((len(inputs), self.dimension), np.float32)
        items = [as_input(item) for item in inputs]
        for modality, numbers in routed(items, self._modality, self._others).items():
            run = self._run(modality)
            chosen = [items[number] for number in numbers]
            multiple = LENGTH_MULTIPLE if self._cuda_graphs else 1
            prepared = Prepared(chosen, self._bundle.tokenizer, self._bundle.image, modality, multiple)
            for batch in prepared.batches(self._batch_size):
                features[[numbers[number] for number in batch.numbers]] = run(batch.feeds)
            with self._lock:
                self._missing += prepared.missing
        if not np.isfinite(features).all():
            raise EncoderError("The graph yielded numbers that are not finite; export the bundle again.")
        return features

    def _start(self, modality: Modality) -> tuple[Any, Run]:
        graph = self._bundle.read_graph(modality, self._variant)
        session = graph_session(graph, self._providers, self._threads, cuda_graphs=self._cuda_graphs)
        return session, CapturedGraph(session).run if self._cuda_graphs else partial(run_graph, session)

    def _run(self, modality: Modality) -> Run:
        with self._lock:
            if modality not in self._graphs:
                self._graphs[modality] = self._start(modality)
            return self._graphs[modality][1]


def open_encoder(
    where: str | None, bundle: Bundle, *, threads: int | None = None, variant: Variant = "fp32"
) -> OnnxEncoder | TritonEncoder:
    """Open an encoder for a bundle, here or on a server, and make sure that it works.

    Args:
        where: An execution provider such as "cpu" or "cuda", or a Triton server: triton://HOST:8001 by gRPC,
            triton+http://HOST:8000 by HTTP. None for "cpu".
        bundle: The bundle; a server must serve the models that were written for it.
        threads: Threads of one operator, for an encoder that runs here.
        variant: How the graph computes.

    Raises:
        ConfigError: The address is wrong.
        BundleError: The bundle has no graph of this variant, for an encoder that runs here.
        EncoderError: The provider is not available; `ModelMismatchError` if the server has other models.
        ServerError: The server does not answer.
        MissingExtraError: onnxruntime or tritonclient is not installed.
    """
    from entity_expand.triton.address import is_triton

    if where is None or not is_triton(where):
        return OnnxEncoder(bundle, providers=(where or "cpu",), threads=threads, variant=variant)
    from entity_expand.triton.encoder import TritonEncoder

    encoder = TritonEncoder(bundle, where, variant=variant)
    encoder.check()
    return encoder


class FakeEncoder:
    """An encoder without a model, for tests: a feature is the mean of its words' hashes plus its picture's hash.

    Mentions are left out as if masked, so sentences with the same words around their mentions have the same
    feature. It is the same in every process and on every machine.

    Args:
        dimension: D.
    """

    def __init__(self, dimension: int = 16) -> None:
        if dimension < 1:
            raise EncoderError(f"dimension must be at least 1, not {dimension}.")
        self._dimension = dimension
        self._missing = 0

    @property
    def dimension(self) -> int:
        """D, width of the feature."""
        return self._dimension

    @property
    def missing_pictures(self) -> int:
        """How many pictures could not be read so far."""
        return self._missing

    def encode(self, inputs: Sequence[EncoderInput]) -> Float32:
        """Return (B, D) float32, in the order of `inputs`."""
        rows = [self._feature(item) for item in inputs]
        return np.array(rows, np.float32).reshape(len(inputs), self._dimension)

    def _feature(self, item: EncoderInput) -> Float32:
        text = list(item.text)
        for start, end in item.mentions:
            text[start:end] = " " * (end - start)
        words = "".join(text).lower().split()
        feature = _word("[MASK]", self._dimension).copy()
        if words:
            feature += np.mean([_word(word, self._dimension) for word in words], axis=0)
        if item.image is not None:
            feature += self._picture(item.image)
        return feature

    def _picture(self, image: Path | bytes | Image.Image) -> Float32:
        try:
            if isinstance(image, Path):
                image = files.read_capped(image, MAX_BYTES, ImageError)
        except ImageError:
            self._missing += 1
            return np.zeros(self._dimension, np.float32)
        return _hashed(image if isinstance(image, bytes) else image.tobytes(), self._dimension)


@lru_cache(maxsize=4096)
def _word(word: str, dimension: int) -> Float32:
    return _hashed(word.encode(errors="replace"), dimension)


def _hashed(content: bytes, dimension: int) -> Float32:
    """Return (D,) float32 with entries spread evenly over [-1, 1)."""
    digest = hashlib.shake_128(content).digest(2 * dimension)
    numbers: Float32 = np.frombuffer(digest, "<i2").astype(np.float32) / np.float32(1 << 15)
    return numbers
