"""Learning curves of the trainings of an experiment: what validation found after each epoch, and which was best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from training.experiments.plots import Panel, Series
from training.experiments.runner import Job, folder_of
from training.experiments.views import Table
from training.run.metrics import at, number, read_metrics

MOST_LINES = 10
"""The figure has so many colours; of more variants the table alone tells."""
NOT_KEPT, NOT_MEASURED = "not kept", "not measured"
_MEASURE = "map@10"


@dataclass(frozen=True)
class Point:
    """What validation found once.

    Attributes:
        epoch: After which, from 1; None after an alignment, which is no epoch.
        quality: MAP@10 on the classes that validate.
    """

    epoch: int | None
    quality: float


@dataclass(frozen=True)
class Curve:
    """The curve of one training.

    Attributes:
        variant, seed: Of the training.
        points: In their order; None if the run's metrics are gone.
        best: Place among the points of that whose model is asked; None if none is marked.
    """

    variant: str
    seed: int
    points: tuple[Point, ...] | None
    best: int | None = None

    def __str__(self) -> str:
        """Return the values in percent, as a cell of a table."""
        if self.points is None:
            return NOT_KEPT
        cells = [
            ("" if each.epoch is not None else "aligned ")
            + f"{100 * each.quality:.1f}"
            + ("*" if place == self.best else "")
            for place, each in enumerate(self.points)
        ]
        return ", ".join(cells) or NOT_MEASURED


def curve_of(job: Job, work: Path) -> Curve:
    """Read the curve of a training; its folder may have been deleted after it was asked."""
    path = folder_of(job, work) / "metrics.jsonl"
    if not path.is_file():
        return Curve(job.variant.name, job.seed, None)
    points: list[Point] = []
    best: int | None = None
    for record in read_metrics(path):
        quality, epoch = number(at(record, "validation", _MEASURE)), number(record.get("epoch"))
        if quality is None:
            continue
        # The trainer marks each that is the best so far, so the last mark counts.
        best = len(points) if record.get("best") is True else best
        points.append(Point(None if epoch is None else int(epoch), quality))
    return Curve(job.variant.name, job.seed, tuple(points), best)


def curve_views(curves: Sequence[Curve]) -> tuple[Table, list[Panel]]:
    """Return the table of all trainings, and a panel of means over them unless it would show nothing.

    Args:
        curves: Of all trainings of all variants.
    """
    variants, seeds = dict.fromkeys(each.variant for each in curves), sorted({each.seed for each in curves})
    cells = {(each.variant, each.seed): str(each) for each in curves}
    lines = tuple((name, *(cells.get((name, seed), "-") for seed in seeds)) for name in variants)
    panels = _panels(curves)
    text = (
        "MAP@10 in percent on the classes that validate, after each epoch that was measured, asked as [validation] of "
        "the configuration says; * marks the best epoch of the training, whose model is asked."
    )
    if any(point.epoch is None for each in curves for point in each.points or ()):
        text += ' What was measured after an alignment, which is no epoch, has "aligned" before it.'
    if panels:
        text += " The last panel of the figure shows the means over the trainings, as far as all of them go."
    if any(each.points is None for each in curves):
        text += f" {NOT_KEPT.capitalize()}: the run's folder is gone, though not what it answered; means go without it."
    return Table("Learning curves", text, ("", *(f"seed {seed}" for seed in seeds)), lines), panels


def mean_curve(curves: Sequence[Curve]) -> dict[int, float]:
    """Return the mean by epoch over the trainings that have a curve, at the epochs that all of these have."""
    own = [{point.epoch: point.quality for point in each.points} for each in curves if each.points]
    shared = set(own[0]).intersection(*own[1:]) if own else set()
    return {epoch: fmean(each[epoch] for each in own) for epoch in sorted(each for each in shared if each is not None)}


def _panels(curves: Sequence[Curve]) -> list[Panel]:
    names = dict.fromkeys(each.variant for each in curves)
    means = {name: mean_curve([each for each in curves if each.variant == name]) for name in names}
    series = tuple(
        Series(name, tuple(map(float, mean)), tuple(100 * value for value in mean.values()))
        for name, mean in means.items()
        if len(mean) > 1
    )
    if not series or len(means) > MOST_LINES:
        return []
    return [Panel("learning curves", "epoch", "validation MAP@10, percent", series)]
