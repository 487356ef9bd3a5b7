"""Sentences with pictures, made ready for a graph: tokenised, grouped by length, decoded once each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from entity_expand.errors import EncoderError, ImageError
from entity_expand.image import ImageConfig, load_rgb, to_pixels
from entity_expand.text import MaskedText, MaskedTokenizer
from entity_expand.types import AnyArray, Modality, UInt8


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


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """Inputs that are run together.

    Attributes:
        numbers: B positions in the sequence of inputs.
        feeds: The inputs of the graph by name, as `entity_expand.specs.encoder_spec` declares them for its modality.
    """

    numbers: list[int]
    feeds: Mapping[str, AnyArray]


class Prepared:
    """Tokenised inputs and the pictures that they share: each is decoded at its first use, dropped after its last.

    Args:
        inputs: Any number of them.
        tokenizer: Makes the ids.
        image: How pictures become pixels.
        modality: What the graph sees; of the other nothing is made ready.

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
    ) -> None:
        self.missing = 0
        self._inputs, self._tokenizer, self._image, self._modality = inputs, tokenizer, image, modality
        self._masked = [self._encoded(item, number) for number, item in enumerate(inputs)]
        self._uses: dict[object, int] = {}
        self._decoded: dict[object, UInt8 | None] = {}
        for item in inputs:
            self._uses[_key(item)] = self._uses.get(_key(item), 0) + 1

    def batches(self, size: int) -> Iterator[PreparedBatch]:
        """Yield every input once, at most `size` together, shortest sentences first. To be called once."""
        order = sorted(range(len(self._inputs)), key=lambda number: len(self._masked[number].ids))
        for start in range(0, len(order), size):
            numbers = order[start : start + size]
            yield PreparedBatch(numbers, self._feeds(numbers))

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
        tokens = self._tokenizer.batch([self._masked[number] for number in numbers])
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
            try:
                self._decoded[key] = load_rgb(item.image, self._image)
            except ImageError:
                self._decoded[key] = None
                self.missing += 1
        self._uses[key] -= 1
        return self._decoded[key] if self._uses[key] else self._decoded.pop(key)


def _key(item: EncoderInput) -> object:
    """Return what tells pictures apart: the path, the bytes, or the identity of a Pillow image."""
    return id(item.image) if isinstance(item.image, Image.Image) else item.image
