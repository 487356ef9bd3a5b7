"""What a task is: from the rows that the network made of a step, one loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from training.batches import Part
from training.distributed import World
from training.momentum import Teacher
from training.network import Network, View


@dataclass(frozen=True)
class Loss:
    """The mean loss of a task over some of what a step has for it.

    Attributes:
        value: A scalar.
        count: How much of the step the mean is over, here.
        whole: The same of the whole step, over all parts and processes; 0 where the step has nothing.
        hits: Right predictions among `count`, a scalar without gradient; None where that says nothing.
    """

    value: Tensor
    count: float
    whole: float
    hits: Tensor | None = None

    @property
    def share(self) -> float:
        """Weight of this mean in that of the whole step."""
        return self.count / self.whole if self.whole else 0.0


@dataclass(frozen=True)
class SampleContext:
    """Some samples of a step.

    Attributes:
        network: The model.
        world: This process.
        part: The samples, their batch on the device.
        view: What the network made of them.
        generator: Of the device, for draws of this step alone.
        teacher: The momentum copy; None without distillation.
    """

    network: Network
    world: World
    part: Part
    view: View
    generator: torch.Generator
    teacher: Teacher | None = None

    @cached_property
    def taught(self) -> View:
        """What the teacher makes of the samples, however many tasks ask for it.

        Raises:
            ValueError: There is no teacher.
        """
        if self.teacher is None:
            raise ValueError("Without a share of distillation there is no teacher.")
        return self.teacher.view(self.part.batch)


@dataclass(frozen=True)
class PairContext:
    """The pairs of a step, over all processes.

    Attributes:
        network: The model.
        world: This process.
        first, second: (B, D) h of both sides.
        labels: (2B,) int64 entities, the first sides before the second ones.
    """

    network: Network
    world: World
    first: Tensor
    second: Tensor
    labels: Tensor

    def loss(self, value: Tensor) -> Loss:
        """Return a loss that every process has computed over all pairs."""
        whole = float(len(self.first))
        return Loss(value, whole / self.world.size, whole)


class SampleTask(Protocol):
    """A task of single samples."""

    def __call__(self, context: SampleContext) -> Loss:
        """Return the loss of some samples of a step."""
        ...


class PairTask(Protocol):
    """A task of pairs."""

    def __call__(self, context: PairContext) -> Loss:
        """Return the loss of the pairs of a step."""
        ...


@dataclass(frozen=True)
class Tasks:
    """The tasks of a run by name, and their weights.

    Attributes:
        samples: The tasks of samples.
        pairs: The contrasts.
        weights: Of all of them.
    """

    samples: Mapping[str, SampleTask]
    pairs: Mapping[str, PairTask]
    weights: Mapping[str, float]
