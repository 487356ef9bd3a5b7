"""The tables of a bundle: arrays as .npy and entities as JSON lines, read strictly."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from entity_expand.errors import BundleError
from entity_expand.types import Entity, Float32

HEADER_CAP = 1 << 12
"""Most bytes that the header of an array takes."""
ENTITY_CAP = 64 << 10
"""Most bytes that one entity takes, on average."""

_MAGIC = b"\x93NUMPY\x01\x00"


def npy_bytes(array: Float32, name: str) -> bytes:
    """Write an array as .npy, version 1.0, little-endian float32 in C order; `name` is for the error.

    Raises:
        BundleError: The array is not float32.
    """
    if array.dtype != np.float32:
        raise BundleError(f"{name} must be float32, not {array.dtype}.")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array, "<f4"), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def read_npy(content: bytes, name: str, shape: tuple[int, ...]) -> Float32:
    """Read what `npy_bytes` wrote, without a copy; `name` is for the error.

    Returns:
        float32 of exactly `shape`, read-only.

    Raises:
        BundleError: Another format, type, order or shape, a wrong length, or a number that is not finite.
    """
    start = len(_MAGIC) + 2
    offset = start + int.from_bytes(content[len(_MAGIC) : start], "little")
    header = content[start:offset].decode("latin-1").strip()
    expected = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    if not content.startswith(_MAGIC) or header != expected:
        raise BundleError(f"{name} should be a .npy file (1.0) with the header {expected}, found {header[:200]!r}.")
    if len(content) - offset != 4 * math.prod(shape):
        raise BundleError(f"{name} holds {len(content) - offset:,} bytes of numbers, not 4 for each of {shape}.")
    array = np.frombuffer(content, "<f4", offset=offset).reshape(shape)
    if not np.isfinite(array).all():
        raise BundleError(f"{name} holds numbers that are not finite.")
    return array


def entity_lines(entities: Iterable[Entity]) -> bytes:
    """Write entities as JSON lines, in the order given."""
    lines = []
    for entity in entities:
        row: dict[str, Any] = {"id": entity.id, "name": entity.name}
        if entity.aliases:
            row["aliases"] = list(entity.aliases)
        if entity.attributes:
            row["attributes"] = dict(entity.attributes)
        lines.append(json.dumps(row, sort_keys=True).encode() + b"\n")
    return b"".join(lines)


def read_entities(content: bytes, name: str, count: int) -> tuple[Entity, ...]:
    """Read `count` entities as `entity_lines` wrote them; `name` is for the error.

    Raises:
        BundleError: Another number of lines, a broken line, or an id that two entities share.
    """
    lines = content.split(b"\n")
    if lines.pop() or len(lines) != count:
        raise BundleError(f"{name} holds {len(lines):,} whole lines, expected {count:,}.")
    entities = tuple(_entity(line, f"Line {number} of {name}") for number, line in enumerate(lines, start=1))
    if len({entity.id for entity in entities}) != count:
        raise BundleError(f"{name} gives the same id to two entities.")
    return entities


def _entity(line: bytes, where: str) -> Entity:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise BundleError(f"{where} is not valid JSON: {problem}.") from problem
    if not isinstance(row, dict) or not {"id", "name"} <= set(row) <= {"id", "name", "aliases", "attributes"}:
        raise BundleError(f"{where} must hold id and name, and perhaps aliases and attributes.")
    aliases, attributes = row.get("aliases", []), row.get("attributes", {})
    if not isinstance(aliases, list) or not isinstance(attributes, dict):
        raise BundleError(f"{where}: aliases must be a list and attributes an object.")
    if not all(isinstance(text, str) for text in (row["id"], row["name"], *aliases, *attributes.values())):
        raise BundleError(f"{where} holds something else than text.")
    return Entity(row["id"], row["name"], tuple(aliases), attributes)
