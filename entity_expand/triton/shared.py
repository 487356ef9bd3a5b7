"""Shared memory through which inputs pass to a server on the same machine."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from entity_expand.types import AnyArray

_ALIGNED = 64


class Block:
    """A piece of shared memory that holds the inputs of one request at a time.

    Attributes:
        name: What the server knows it by.
        key: What the system knows it by.
        size: Bytes.
        known: Whether the server was told of it.
        offsets: Where each input begins, by name.
    """

    def __init__(self, size: int) -> None:
        self._memory = SharedMemory(create=True, size=size)
        self.name = f"entity-expand-{self._memory.name.strip('/')}"
        self.key = "/" + self._memory.name.strip("/")
        self.size = size
        self.known = False
        self.offsets: dict[str, int] = {}

    def fill(self, feeds: Mapping[str, AnyArray]) -> None:
        """Copy the inputs of a request into it."""
        self.offsets, end = {}, 0
        for name, array in feeds.items():
            self.offsets[name] = end
            np.ndarray(array.shape, array.dtype, self._memory.buf, end)[...] = array
            end += _aligned(array.nbytes)

    def free(self) -> None:
        """Give it back to the system; a server that still has it open keeps its own view."""
        with contextlib.suppress(FileNotFoundError):
            self._memory.unlink()
        self._memory.close()


def needed(feeds: Mapping[str, AnyArray]) -> int:
    """Return the bytes that the inputs of a request take in a block."""
    return sum(_aligned(array.nbytes) for array in feeds.values())


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
