"""The structs and aliases that cross the borders between the stages.

Letters used for shapes everywhere: V entities of the bundle's vocabulary, n entities of an index, D feature
width, W width of a stored row, S seeds, K candidates, B batch, L tokens, P picture tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Float32: TypeAlias = npt.NDArray[np.float32]
Float64: TypeAlias = npt.NDArray[np.float64]
Int64: TypeAlias = npt.NDArray[np.int64]
Int32: TypeAlias = npt.NDArray[np.int32]
Int8: TypeAlias = npt.NDArray[np.int8]
UInt8: TypeAlias = npt.NDArray[np.uint8]
Bool: TypeAlias = npt.NDArray[np.bool_]
AnyArray: TypeAlias = npt.NDArray[Any]

Modality: TypeAlias = Literal["both", "text", "picture"]
MODALITIES: tuple[Modality, ...] = ("both", "text", "picture")
Variant: TypeAlias = Literal["fp32", "fp16", "int8"]
VARIANTS: tuple[Variant, ...] = ("fp32", "fp16", "int8")
"""How a graph computes: in float32; in float16, for GPUs; with matrix products of 8-bit integers, for CPUs."""
LARGEST_WEIGHT = 1e6
"""Largest weight in the settings of an expansion: by much larger ones, scores would leave what float32 holds."""
SURROGATES = re.compile("[\ud800-\udfff]")
"""Characters that a text may have, as one decoded from a command line, and that UTF-8 cannot hold."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity of a corpus or an index.

    Attributes:
        id: Stable key, unique in its corpus.
        name: What a person calls it; need not be unique.
        aliases: Further names.
        attributes: Free key-value pairs for filters.
    """

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """One sentence about one entity, with its picture; either may be missing.

    Attributes:
        entity: Position of the entity in the corpus, which is ordered by id.
        text: The sentence, or "" for a picture without a sentence.
        mentions: Character spans [start, end) to be masked, the target first; () iff text is "".
        image: Path of the picture relative to the corpus folder, or None.
        line: Number of the row in the sentence file, from 1.
    """

    entity: int
    text: str
    mentions: tuple[tuple[int, int], ...]
    image: str | None
    line: int


def id_order(identifier: str) -> tuple[int, int, str]:
    """Return the sort key of an entity id: whole numbers by value first, then all others as text.

    >>> sorted(["10", "9", "b", "007"], key=id_order)
    ['9', '10', '007', 'b']
    """
    number = identifier.isascii() and identifier.isdigit() and (identifier == "0" or identifier[0] != "0")
    return (0, int(identifier), "") if number and len(identifier) <= 18 else (1, 0, identifier)
