"""Sentences with pictures, made ready for a graph: tokenised, grouped by length, decoded once each."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from entity_expand.errors import EncoderError, ImageError
from entity_expand.inputs.image import ImageConfig, load_rgb, to_pixels
from entity_expand.inputs.marks import read_marks
from entity_expand.inputs.text import MaskedText, MaskedTokenizer
from entity_expand.types import AnyArray, Modality, UInt8

_DECODERS = min(4, os.cpu_count() or 1)


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


Encodable: TypeAlias = EncoderInput | str | Path | bytes | Image.Image
"""What can be encoded: an input; a sentence with its mention marked as in "The [[okapi]] eats"; or a picture alone."""


def as_input(item: Encodable) -> EncoderInput:
    """Return what is encoded of a sentence or a picture.

    Raises:
        EncoderError: It is something else, or a sentence without a mark.
    """
    if isinstance(item, EncoderInput):
        return item
    if isinstance(item, str):
        text, mentions = read_marks(item)
        if text.strip() and not mentions:
            raise EncoderError(f"Mark the mention as in 'The [[okapi]] eats': {item[:80]!r} has no mark.")
        return EncoderInput(text, mentions) if mentions else EncoderInput("", ())
    if isinstance(item, Path | bytes | Image.Image):
        return EncoderInput("", (), item)
    raise EncoderError(f"A sentence, a path, bytes or a Pillow image can be encoded, not {type(item).__name__}.")


def routed(
    inputs: Sequence[EncoderInput], modality: Modality, others: Collection[Modality]
) -> dict[Modality, list[int]]:
    """Return which inputs go to which graph: those that lack a modality to one without it, if there is one.

    Args:
        inputs: B inputs.
        modality: What the graph for all others sees.
        others: For which modalities alone there is a graph.

    Returns:
        Numbers of inputs, rising, by what their graph sees.
    """
    found: dict[Modality, list[int]] = {}
    for number, item in enumerate(inputs):
        seen: Modality = "text" if item.image is None else "both" if item.text else "picture"
        found.setdefault(seen if seen in others else modality, []).append(number)
    return found


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """Inputs that are run together.

    Attributes:
        numbers: B positions in the sequence of inputs.
        feeds: The inputs of the graph by name, as `bundle.specs.encoder_spec` declares them for its modality.
    """

    numbers: list[int]
    feeds: Mapping[str, AnyArray]


class Prepared:
    """Tokenised inputs and the pictures that they share: each is decoded once, by a thread, dropped after its last use.

    While a batch is run, the pictures of the next one are decoded.

    Args:
        inputs: Any number of them.
        tokenizer: Makes the ids.
        image: How pictures become pixels.
        modality: What the graph sees; of the other nothing is made ready.
        multiple: The length of a batch is padded to a multiple of it.

    Attributes:
        missing: How many pictures could not be read so far; one that is given often counts once.

    Raises:
        EncoderError: A mention does not fit its text.
    """

    def __init__(
        self,
        inputs: Sequence[EncoderInput],
        tokenizer: MaskedTokenizer,
        image: ImageConfig,
        modality: Modality = "both",
        multiple: int = 1,
    ) -> None:
        self.missing = 0
        self._inputs, self._tokenizer, self._image, self._modality = inputs, tokenizer, image, modality
        self._multiple = multiple
        self._masked = [self._encoded(item, number) for number, item in enumerate(inputs)]
        self._uses: dict[object, int] = {}
        self._decoded: dict[object, UInt8 | Future[UInt8 | None] | None] = {}
        for item in inputs:
            self._uses[_key(item)] = self._uses.get(_key(item), 0) + 1
        self._uses.pop(None, None)

    def batches(self, size: int) -> Iterator[PreparedBatch]:
        """Yield every input once, at most `size` together, shortest sentences first. To be called once."""
        order = sorted(range(len(self._inputs)), key=lambda number: len(self._masked[number].ids))
        plans = [order[start : start + size] for start in range(0, len(order), size)]
        if self._modality == "text" or len(self._uses) < 2:
            yield from (PreparedBatch(numbers, self._feeds(numbers)) for numbers in plans)
            return
        with ThreadPoolExecutor(_DECODERS, "entity-expand-decode") as pool:
            self._begin(pool, plans[0])
            for number, numbers in enumerate(plans):
                feeds = self._feeds(numbers)
                self._begin(pool, plans[number + 1] if number + 1 < len(plans) else [])
                yield PreparedBatch(numbers, feeds)

    def _begin(self, pool: ThreadPoolExecutor, numbers: list[int]) -> None:
        """Let threads decode the pictures of a batch that are not there yet."""
        for number in numbers:
            item = self._inputs[number]
            if item.image is not None and _key(item) not in self._decoded:
                self._decoded[_key(item)] = pool.submit(self._read, item.image)

    def _read(self, image: Path | bytes | Image.Image) -> UInt8 | None:
        try:
            return load_rgb(image, self._image)
        except ImageError:
            return None

    def _encoded(self, item: EncoderInput, number: int) -> MaskedText:
        if self._modality == "picture":
            return MaskedText((), 0)
        try:
            return self._tokenizer.encode(item.text, item.mentions)
        except EncoderError as problem:
            raise EncoderError(f"Input {number}: {problem}") from problem

    def _feeds(self, numbers: list[int]) -> dict[str, AnyArray]:
        text = {} if self._modality == "picture" else self._texts(numbers)
        return text if self._modality == "text" else text | self._pictures(numbers)

    def _texts(self, numbers: list[int]) -> dict[str, AnyArray]:
        tokens = self._tokenizer.batch([self._masked[number] for number in numbers], self._multiple)
        return {
            "input_ids": tokens.ids,
            "attention_mask": tokens.attention_mask,
            "mask_position": tokens.mask_position,
        }

    def _pictures(self, numbers: list[int]) -> dict[str, AnyArray]:
        edge = self._image.size
        pixels = np.zeros((len(numbers), 3, edge, edge), np.float32)
        present = np.zeros(len(numbers), np.float32)
        for row, number in enumerate(numbers):
            picture = self._picture(self._inputs[number])
            if picture is not None:
                pixels[row], present[row] = to_pixels(picture, self._image), 1.0
        return {"pixels": pixels, "image_present": present}

    def _picture(self, item: EncoderInput) -> UInt8 | None:
        if item.image is None:
            return None
        key = _key(item)
        if key not in self._decoded:
            self._decoded[key] = self._read(item.image)
            self.missing += self._decoded[key] is None
        found = self._decoded[key]
        if isinstance(found, Future):
            found = self._decoded[key] = found.result()
            self.missing += found is None
        self._uses[key] -= 1
        if not self._uses[key]:
            del self._decoded[key]
        return found


def _key(item: EncoderInput) -> object:
    """Return what tells pictures apart: the path, the bytes, or the identity of a Pillow image."""
    return id(item.image) if isinstance(item.image, Image.Image) else item.image
