"""Where a run stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from entity_expand.errors import ConfigError


@dataclass(frozen=True)
class Progress:
    """Where a run stands; the sampler needs no more than epoch and batch, its draws depend on the seed alone.

    Attributes:
        step: Steps done.
        epoch: The epoch that comes next or is under way, from 0.
        batch: Steps of that epoch that are done, over all its phases.
        pairs: Pairs of a text and a picture that it has shown so far.
        hits: Entities that were predicted rightly in it.
        tasks: Tasks that it has trained so far.
        sums, counts: For each of them the sum of its losses, and over how much.
        best: The best measurement of the run, None before there is any.
        best_step: Step of its checkpoint.
        waited: Measurements since then that were no better.
        aligned: Whether the phase after the last epoch is done.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    pairs: int = 0
    hits: int = 0
    tasks: tuple[str, ...] = ()
    sums: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()
    best: float | None = None
    best_step: int = 0
    waited: int = 0
    aligned: bool = False

    def __post_init__(self) -> None:
        if not len(self.tasks) == len(self.sums) == len(self.counts):
            raise ConfigError("progress has not as many sums and counts as tasks.")

    def after(self, losses: Mapping[str, float], counts: Mapping[str, float], hits: int, pairs: int) -> Progress:
        """Return where the run stands after a step.

        Args:
            losses: Mean losses of the step by task.
            counts: What each is the mean over.
            hits: Entities that were predicted rightly.
            pairs: Pairs of a text and a picture that were shown.
        """
        whole = dict(zip(self.tasks, zip(self.sums, self.counts, strict=True), strict=True))
        for name, loss in losses.items():
            total, count = whole.get(name, (0.0, 0.0))
            whole[name] = (total + loss * counts[name], count + counts[name])
        return replace(
            self,
            step=self.step + 1,
            batch=self.batch + 1,
            pairs=self.pairs + pairs,
            hits=self.hits + hits,
            tasks=tuple(whole),
            sums=tuple(total for total, _ in whole.values()),
            counts=tuple(count for _, count in whole.values()),
        )

    def losses(self) -> dict[str, float]:
        """Return the mean loss of the epoch so far by task."""
        entries = zip(self.tasks, self.sums, self.counts, strict=True)
        return {name: total / max(1.0, count) for name, total, count in entries}

    def accuracy(self) -> float | None:
        """Return the share of the entities of the epoch so far that were predicted rightly; None without that task."""
        seen = dict(zip(self.tasks, self.counts, strict=True)).get("entity")
        return self.hits / max(1.0, seen) if seen else None

    def measured(self, quality: float) -> Progress:
        """Return where the run stands after a measurement at the end of an epoch."""
        if self.best is None or quality > self.best:
            return replace(self, best=quality, best_step=self.step, waited=0)
        return replace(self, waited=self.waited + 1)

    def after_alignment(self) -> Progress:
        """Return where the run stands when the phase after the last epoch is over; it counts as a step."""
        return replace(self, step=self.step + 1, aligned=True)

    def next_epoch(self) -> Progress:
        """Return where the run stands when the epoch is over."""
        return Progress(
            step=self.step, epoch=self.epoch + 1, best=self.best, best_step=self.best_step, waited=self.waited
        )
