"""Encoders: sentences with pictures in, entity features out."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from entity_expand import files
from entity_expand.bundle import Bundle
from entity_expand.errors import EncoderError, ImageError
from entity_expand.image import MAX_BYTES, load_rgb, to_pixels
from entity_expand.onnx_session import graph_session, run_graph
from entity_expand.text import MaskedText
from entity_expand.types import AnyArray, Float32, UInt8

BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class EncoderInput:
    """One sentence with its picture; either may be missing.

    Attributes:
        text: The sentence, or "" for none.
        mentions: Character spans [start, end) of the entity's mentions, the target first; () iff text is "".
        image: File, bytes of a file, or Pillow image; None for none.
    """

    text: str
    mentions: tuple[tuple[int, int], ...]
    image: Path | bytes | Image.Image | None = None


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

    Raises:
        MissingExtraError: onnxruntime is not installed.
        EncoderError: A provider is not available, or the graph cannot be loaded.
    """

    def __init__(
        self,
        bundle: Bundle,
        providers: Sequence[str] = ("cpu",),
        threads: int | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        if batch_size < 1 or (threads is not None and threads < 1):
            raise EncoderError(f"batch_size and threads must be at least 1, not {batch_size} and {threads}.")
        self._bundle = bundle
        self._batch_size = batch_size
        self._session = graph_session(bundle.read_graph(), providers, threads)
        self._lock = threading.Lock()
        self._missing = 0

    @property
    def dimension(self) -> int:
        """D, width of the feature."""
        return self._bundle.dimension

    @property
    def missing_pictures(self) -> int:
        """How many pictures could not be read so far; one that is given often in a call counts once."""
        return self._missing

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers in use, by long name."""
        return tuple(self._session.get_providers())

    def encode(self, inputs: Sequence[EncoderInput]) -> Float32:
        """Return the features of sentences with pictures.

        Inputs of like length are run together; a picture that is given several times is decoded once.

        Args:
            inputs: B inputs.

        Returns:
            (B, D) float32, in the order of `inputs`.

        Raises:
            EncoderError: A mention does not fit its text, or the graph fails or yields numbers that are not finite.
        """
        masked = [self._masked(item, number) for number, item in enumerate(inputs)]
        order = sorted(range(len(inputs)), key=lambda number: len(masked[number].ids))
        pictures = _Pictures(inputs, self._bundle)
        features = np.empty((len(inputs), self.dimension), np.float32)
        for start in range(0, len(order), self._batch_size):
            numbers = order[start : start + self._batch_size]
            features[numbers] = self._run([masked[number] for number in numbers], pictures.take(numbers))
        with self._lock:
            self._missing += pictures.missing
        if not np.isfinite(features).all():
            raise EncoderError("The graph yielded numbers that are not finite; export the bundle again.")
        return features

    def _masked(self, item: EncoderInput, number: int) -> MaskedText:
        try:
            return self._bundle.tokenizer.encode(item.text, item.mentions)
        except EncoderError as problem:
            raise EncoderError(f"Input {number}: {problem}") from problem

    def _run(self, masked: list[MaskedText], pictures: list[UInt8 | None]) -> Float32:
        size = self._bundle.image.size
        tokens = self._bundle.tokenizer.batch(masked)
        pixels = np.zeros((len(masked), 3, size, size), np.float32)
        for row, picture in enumerate(pictures):
            if picture is not None:
                pixels[row] = to_pixels(picture, self._bundle.image)
        feeds: dict[str, AnyArray] = {
            "input_ids": tokens.ids,
            "attention_mask": tokens.attention_mask,
            "mask_position": tokens.mask_position,
            "pixels": pixels,
            "image_present": np.array([picture is not None for picture in pictures], np.float32),
        }
        return run_graph(self._session, feeds)


class _Pictures:
    """The decoded pictures of one call: each is decoded at its first use and dropped after its last."""

    def __init__(self, inputs: Sequence[EncoderInput], bundle: Bundle) -> None:
        self.missing = 0
        self._inputs, self._config = inputs, bundle.image
        self._uses: dict[object, int] = {}
        self._decoded: dict[object, UInt8 | None] = {}
        for item in inputs:
            self._uses[_key(item)] = self._uses.get(_key(item), 0) + 1

    def take(self, numbers: list[int]) -> list[UInt8 | None]:
        """Return the pictures of these inputs, (H, W, 3) uint8 each, None where there is none."""
        return [self._one(self._inputs[number]) for number in numbers]

    def _one(self, item: EncoderInput) -> UInt8 | None:
        if item.image is None:
            return None
        key = _key(item)
        if key not in self._decoded:
            try:
                self._decoded[key] = load_rgb(item.image, self._config)
            except ImageError:
                self._decoded[key] = None
                self.missing += 1
        self._uses[key] -= 1
        return self._decoded[key] if self._uses[key] else self._decoded.pop(key)


def _key(item: EncoderInput) -> object:
    """Return what tells pictures apart: the path, the bytes, or the identity of a Pillow image."""
    return id(item.image) if isinstance(item.image, Image.Image) else item.image


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
