"""Made-up inputs for a graph: several batch sizes and lengths, both modalities and each missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np

from entity_expand.inputs.text import MaskedTokenizer
from entity_expand.types import AnyArray

Feeds: TypeAlias = Mapping[str, AnyArray]
CASES = ("both", "text", "picture", "neither", "mixed")
_SHAPES = ((1, 3), (2, 7), (5, 4), (3, 1 << 20))


def example(tokenizer: MaskedTokenizer, size: int, seed: int) -> Feeds:
    """Return two rows to trace with, the second shorter than the first and without a picture."""
    feeds = _probe(tokenizer, size, 2, min(7, tokenizer.config.max_length), "both", np.random.default_rng(seed))
    return {**feeds, "image_present": np.array([1, 0], np.float32)}


def probes(tokenizer: MaskedTokenizer, size: int, seed: int) -> Iterator[Feeds]:
    """Yield inputs of every shape and case.

    Rows of a batch differ in length. A missing sentence is start, mask, end. A missing picture keeps its random
    pixels, so that a graph that looks at it in spite of `image_present` is found out.

    Args:
        tokenizer: Bounds ids and length.
        size: H = W of the pixels.
        seed: Of the ids, positions and pixels.
    """
    random = np.random.default_rng(seed)
    for rows, length in _SHAPES:
        for case in CASES:
            yield _probe(tokenizer, size, rows, min(length, tokenizer.config.max_length), case, random)


def _probe(
    tokenizer: MaskedTokenizer, size: int, rows: int, length: int, case: str, random: np.random.Generator
) -> Feeds:
    missing = tokenizer.encode("", ())
    ids = random.integers(0, tokenizer.vocabulary, (rows, length))
    attention_mask = np.zeros((rows, length), np.int64)
    mask_position = np.empty(rows, np.int64)
    present = np.ones(rows, np.float32)
    for row in range(rows):
        has_text = case in ("both", "text") or (case == "mixed" and row % 3 != 1)
        has_picture = case in ("both", "picture") or (case == "mixed" and row % 2 == 1)
        used = max(3, length - row) if has_text else 3
        if not has_text:
            ids[row, :3] = missing.ids
        ids[row, used:] = tokenizer.padding_id
        attention_mask[row, :used] = 1
        mask_position[row] = random.integers(1, used - 1) if has_text else missing.mask_position
        present[row] = has_picture
    return {
        "input_ids": ids,
        "attention_mask": attention_mask,
        "mask_position": mask_position,
        "pixels": random.standard_normal((rows, 3, size, size), np.float32),
        "image_present": present,
    }
