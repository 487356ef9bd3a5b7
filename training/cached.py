"""What has been computed once, and how batches are gathered from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from entity_expand.types import AnyArray, Bool, Int32, Int64
from training.packed import unpack


@dataclass(frozen=True)
class TextCache:
    """Token ids of N sentences and of the missing sentence, which is item N.

    Attributes:
        offsets: (N + 2,) int64, item i has the ids offsets[i] to offsets[i + 1].
        ids: (T,) int32 over all items.
        mask_position: (N + 1,) int32.
        has_text: (N,) bool.
        states: (T, D) float16 output of the frozen layers, or (T, D + 4) int8 as `pack` makes it, memory-mapped; None
            where nothing is frozen.
        padding: Id that fills the rows of a batch.
        mask: Id that stands for a mention.
    """

    offsets: Int64
    ids: Int32
    mask_position: Int32
    has_text: Bool
    states: AnyArray | None
    padding: int
    mask: int

    def padded(self, items: Int64, multiple: int = 1, most: int | None = None) -> tuple[AnyArray, Int64, Int64]:
        """Gather items.

        Args:
            items: (B,) int64.
            multiple: L is a multiple of it.
            most: Or this, where that would be more.

        Returns:
            (B, L) int64 padded ids or (B, L, D) float16 states, (B, L) int64 mask, (B,) int64 mask positions.
        """
        places, mask, positions = self.places(items, multiple, most)
        starts, lengths = places[:, 0].tolist(), mask.sum(1).tolist()
        source = self.ids if self.states is None else self.states
        dtype, blank = (np.int64, self.padding) if self.states is None else (self.states.dtype, 0)
        gathered = np.full((*mask.shape, *source.shape[1:]), blank, dtype)
        for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            gathered[row, :length] = source[start : start + length]
        return unpack(gathered), mask, positions

    def places(self, items: Int64, multiple: int = 1, most: int | None = None) -> tuple[Int64, Int64, Int64]:
        """Return where items are: (B, L) int64 places among all tokens, mask and mask positions as of `padded`.

        Places of padding are some of the item's own.
        """
        starts = self.offsets[items]
        lengths = self.offsets[items + 1] - starts
        width = -(-int(lengths.max()) // multiple) * multiple
        width = width if most is None else min(width, most)
        within = np.arange(width)[None, :]
        mask = (within < lengths[:, None]).astype(np.int64)  # (B, L)
        return starts[:, None] + within * mask, mask, self.mask_position[items].astype(np.int64)

    def only_ids(self) -> TextCache:
        """Return the cache with ids alone, as if nothing were frozen."""
        return replace(self, states=None)

    def context(self, items: Int64) -> Bool:
        """Return where items have words around the mentions: not at start, end, masks and padding.

        Args:
            items: (B,) int64.

        Returns:
            (B, L) bool, of the shape of the mask that `padded` gives without a multiple.
        """
        ids, mask, _ = self.only_ids().padded(items)
        found: Bool = (mask == 1) & (ids != self.mask)
        found[:, 0] = False
        found[np.arange(len(items)), mask.sum(1) - 1] = False
        return found


@dataclass(frozen=True)
class PictureCache:
    """The distinct pictures of N samples.

    Attributes:
        picture_of: (N,) int64 row of the sample's picture, -1 if it has none or a broken one.
        values: (M, P, C) float16 tokens of a frozen backbone, or (M, P, C + 4) int8 as `pack` makes it, or
            (M, 3, H, W) uint8 pixels; memory-mapped.
    """

    picture_of: Int64
    values: AnyArray

    def gather(self, rows: Int64) -> AnyArray:
        """Return the tokens, (B, P, C) float16, or the pixels of pictures; rows of -1 give zeros.

        Args:
            rows: (B,) int64 rows of `values`, or -1.
        """
        found = np.zeros((len(rows), *self.values.shape[1:]), self.values.dtype)
        present = np.flatnonzero(rows >= 0)
        distinct, inverse = np.unique(rows[present], return_inverse=True)
        found[present] = self.values[distinct][inverse]
        return unpack(found)
