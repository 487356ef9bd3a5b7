"""Data-parallel training: each process has its share of every step, and all stay in step.

Losses that compare samples with each other are computed by every process on the rows of all, so a process's gradient of
such a loss is already that of the whole; `World.gather` and `World.average` fit together to count it once.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from entity_expand.errors import TrainingError
from entity_expand.types import Int64

_BUCKET = 16 << 20
"""Most numbers that are averaged in one message."""
_PATIENCE = timedelta(hours=12)
"""The first process alone mines, measures and saves, while the others wait."""


@dataclass(frozen=True)
class World:
    """This process among all.

    Attributes:
        rank: Its number.
        size: How many there are.
        local: Its number on this machine, and that of its GPU.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def sizes(self, count: int) -> tuple[int, ...]:
        """Return how many of `count` rows each process has; the first ones have one more."""
        return tuple(count // self.size + (rank < count % self.size) for rank in range(self.size))

    def own(self, count: int) -> slice:
        """Return which of `count` rows this process has."""
        sizes = self.sizes(count)
        start = sum(sizes[: self.rank])
        return slice(start, start + sizes[self.rank])

    def gather(self, rows: Tensor, count: int) -> Tensor:
        """Return the rows of all processes in their order.

        In the backward pass each process takes the gradient of its own rows, times the number of processes: what is
        computed from the result must be the same everywhere, and `average` divides by that number again.

        Args:
            rows: (n, ...) those of this process, as many as `own` says.
            count: Of all.

        Returns:
            (count, ...).
        """
        if self.size == 1:
            return rows
        gathered: Tensor = _Gather.apply(rows, self, count)
        return gathered

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients by their mean over the processes; those that are None must be so everywhere."""
        if self.size == 1:
            return
        gradients = [each.grad for each in parameters if each.grad is not None]
        for bucket in _buckets(gradients):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            dist.all_reduce(flat)
            parts = torch.split(flat.div_(self.size), [gradient.numel() for gradient in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over the processes."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def share(self, arrays: Sequence[Int64] | None, device: torch.device) -> list[Int64]:
        """Return the arrays (n,) int64 that the first process gives; what others give does not count."""
        if self.size == 1:
            return list(arrays or ())
        given = list(arrays or ()) if self.first else []
        counts = _sent(np.array([len(given)], np.int64), 1, device)
        lengths = _sent(np.array([len(each) for each in given], np.int64), int(counts[0]), device)
        values = _sent(np.concatenate([*given, np.zeros(0, np.int64)]), int(lengths.sum()), device)
        return np.split(values, np.cumsum(lengths)[:-1]) if len(lengths) else []

    def agreed(self, value: float, device: torch.device) -> float:
        """Return the value of the first process."""
        if self.size == 1:
            return value
        sent = torch.tensor([value], dtype=torch.float64, device=device)
        dist.broadcast(sent, 0)
        return float(sent.item())


ALONE = World()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, rows: Tensor, world: World, count: int) -> Tensor:
        sizes = world.sizes(count)
        context.own, context.size = world.own(count), world.size
        padded = rows.new_zeros((max(sizes), *rows.shape[1:]))
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(found, padded)
        return torch.cat([part[:size] for part, size in zip(found, sizes, strict=True)])

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0][context.own] * context.size, None, None


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield the gradients of one type in lists of at most `_BUCKET` numbers, or of one tensor."""
    bucket: list[Tensor] = []
    numbers = 0
    for gradient in gradients:
        if bucket and (numbers + gradient.numel() > _BUCKET or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket, numbers = [], 0
        bucket.append(gradient)
        numbers += gradient.numel()
    if bucket:
        yield bucket


def _sent(array: Int64, count: int, device: torch.device) -> Int64:
    tensor = torch.from_numpy(array).to(device) if len(array) == count else torch.empty(count, dtype=torch.int64)
    tensor = tensor.to(device)
    if count:
        dist.broadcast(tensor, 0)
    return tensor.cpu().numpy()


@contextlib.contextmanager
def joined(choice: str) -> Iterator[World]:
    """Join the processes that torchrun started; without it, yield a world of one.

    Args:
        choice: The setting `loop.device`.

    Raises:
        TrainingError: There are fewer GPUs than processes on this machine, or the caller has joined several already.
    """
    grouped = dist.is_available() and dist.is_initialized()
    if grouped and dist.get_world_size() > 1:
        raise TrainingError(
            f"This process is in a group of {dist.get_world_size()} already, but training joins the processes itself; "
            "call it before torch.distributed.init_process_group, or after destroy_process_group."
        )
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or grouped:
        yield ALONE
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpu = choice != "cpu" and torch.cuda.is_available()
    if on_gpu and local >= torch.cuda.device_count():
        raise TrainingError(
            f"Process {local} of this machine has no GPU of its own: there are {torch.cuda.device_count()}; start as "
            "many processes, or set loop.device = 'cpu'."
        )
    if on_gpu:
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=_PATIENCE)
    try:
        yield World(dist.get_rank(), dist.get_world_size(), local)
    finally:
        dist.destroy_process_group()
