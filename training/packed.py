"""Vectors of frozen backbones in one byte per number: int8 behind which each vector has its own scale.

The last four bytes of a packed vector are the scale, float32 in little-endian order; number i is byte i times the
scale. The largest number of a vector becomes 127 or -127, so the error of each is at most 1/254 of it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from entity_expand.types import AnyArray, Int8

SCALE_BYTES = 4
_LARGEST = 127


def pack(half: AnyArray) -> Int8:
    """Return (..., D) float16 vectors as (..., D + 4) int8."""
    rows = half.astype(np.float32)
    scale = np.abs(rows).max(axis=-1, keepdims=True) / _LARGEST  # (..., 1)
    whole = np.rint(np.divide(rows, scale, out=np.zeros_like(rows), where=scale > 0)).astype(np.int8)
    return np.concatenate([whole, scale.astype("<f4").view(np.int8)], axis=-1)


def unpack(rows: AnyArray) -> AnyArray:
    """Return packed (..., D + 4) vectors as (..., D) float16, and what is not packed, of any other dtype, as it is."""
    if rows.dtype != np.int8:
        return rows
    scale = np.ascontiguousarray(rows[..., -SCALE_BYTES:]).view("<f4")  # (..., 1)
    found: AnyArray = (rows[..., :-SCALE_BYTES] * scale).astype(np.float16)
    return found


def unpacked(rows: Tensor) -> Tensor:
    """Return what `unpack` does of a tensor, on its device."""
    if rows.dtype != torch.int8:
        return rows
    scale = rows[..., -SCALE_BYTES:].clone(memory_format=torch.contiguous_format).view(torch.float32)  # (..., 1)
    return (rows[..., :-SCALE_BYTES] * scale).half()
