"""What is computed once, held on the device where it fits, so that a step moves nothing but numbers of rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from entity_expand.types import AnyArray
from training.data import Batch
from training.packed import unpacked

_ROWS = 4096


@dataclass(frozen=True)
class Held:
    """Arrays of the caches that lie on a device; None for one that stays where it was.

    Attributes:
        device: Of the tensors.
        states: (T, ...), `TextCache.states`.
        pictures: (M, ...), `PictureCache.values`.
    """

    device: torch.device
    states: Tensor | None = None
    pictures: Tensor | None = None

    def moved(self, batch: Batch) -> Batch:
        """Return a batch on the device, with rows in the place of their numbers."""
        batch = batch.map(lambda value: value.to(self.device, non_blocking=True))
        if self.states is not None:
            rows = unpacked(self.states[batch.text]) * batch.attention_mask[:, :, None].bool()  # (B, L, D)
            batch = replace(batch, text=rows)
        if self.pictures is not None:
            shown = batch.pictures.view(-1, *(1 for _ in self.pictures.shape[1:])) >= 0
            batch = replace(batch, pictures=unpacked(self.pictures[batch.pictures.clamp_min(0)]) * shown)  # (B, ...)
        return batch


def hold(
    device: torch.device, choice: Literal["auto", "yes", "no"], states: AnyArray | None, pictures: AnyArray
) -> Held:
    """Copy the caches to a device.

    Args:
        device: Where to.
        choice: "yes", "no", or "auto": a GPU of whose free memory they take less than half.
        states: (T, ...) states of text, None where there are only ids.
        pictures: (M, ...) tokens or pixels.
    """
    needed = pictures.nbytes + (0 if states is None else states.nbytes)
    fits = device.type == "cuda" and 2 * needed < torch.cuda.mem_get_info(device)[0]
    if choice == "no" or (choice == "auto" and not fits):
        return Held(device)
    return Held(device, None if states is None else _copied(states, device), _copied(pictures, device))


def _copied(array: AnyArray, device: torch.device) -> Tensor:
    """Copy a memory-mapped array part by part, so that no second copy of it is made in memory."""
    dtype = torch.from_numpy(array[:0].copy()).dtype
    found = torch.empty(array.shape, dtype=dtype, device=device)
    for first in range(0, len(array), _ROWS):
        found[first : first + _ROWS] = torch.from_numpy(array[first : first + _ROWS].copy())
    return found
