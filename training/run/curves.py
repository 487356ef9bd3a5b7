"""The curves of a run: one picture of small panels, drawn from metrics.jsonl."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from entity_expand.extras import imported
from entity_expand.files import replacing
from training.run.metrics import Record, at, is_of_epoch, keys, number, read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "curves.png"
POINTS = 400
"""Most points of a line; those of a longer one are averaged in groups."""
ALL = "all"
"""Label of the sum of the tasks' losses."""
_COLUMNS, _WIDTH, _HEIGHT, _DPI = 3, 4.6, 3.0, 110
_LEAST_FEW = 30
"""Lines of fewer points show each point."""


@dataclass(frozen=True)
class Line:
    """One line of a panel.

    Attributes:
        label: What it shows.
        points: (step, value), in the order of the file; all numbers are finite.
        faint: Drawn behind the others and without a name of its own, as the values of single steps are.
    """

    label: str
    points: tuple[tuple[float, float], ...]
    faint: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: What its values are.
        lines: At least one line with at least one point. Lines of one label have one colour.
        logarithmic: Whether values are shown by their logarithm.
        best: Step of the best epoch, None where that says nothing.
        from_zero: Whether the scale of the values begins at zero.
    """

    title: str
    lines: tuple[Line, ...]
    logarithmic: bool = False
    best: float | None = None
    from_zero: bool = False


def write_curves(metrics_path: Path, folder: Path) -> Path | None:
    """Draw the curves of a run into `folder`/curves.png, which replaces an earlier one when it is whole.

    Args:
        metrics_path: metrics.jsonl; keys that its records lack cost only their panel.
        folder: Where the picture goes.

    Returns:
        Path of the picture; None, and nothing is written, while there is nothing to draw.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    records = read_metrics(metrics_path)
    found = panels(records)
    if not found:
        return None
    _draw(found, phase_starts(records), folder / NAME)
    return folder / NAME


def panels(records: Sequence[Record]) -> tuple[Panel, ...]:
    """Return the panels for which there are values."""
    steps = [record for record in records if not is_of_epoch(record)]
    epochs = [record for record in records if is_of_epoch(record)]
    held_out = _keys_of(epochs, "held_out")
    measures = [name for name in _keys_of(epochs, "validation") if "@" in name]
    best = [float(record["step"]) for record in epochs if record.get("best") is True]
    wanted = (
        Panel("loss", (*_losses(steps, faint=True), *_losses(epochs, faint=False))),
        Panel(
            "accuracy",
            (
                _line(epochs, "training", "accuracy"),
                *(_line(epochs, f"held out, {name}", "held_out", name, "accuracy") for name in held_out),
            ),
        ),
        Panel("held-out loss", tuple(_line(epochs, name, "held_out", name, "loss") for name in held_out)),
        Panel(
            "validation",
            tuple(_line(epochs, name.replace("map@", "MAP@"), "validation", name) for name in measures),
            best=best[-1] if best else None,
        ),
        Panel("factor of the learning rate", (_line(steps, "factor", "rate_factor"),)),
        Panel("norm of the gradient", (_line(steps, "norm", "gradient_norm"),), logarithmic=True),
        Panel("pairs per second", (_line(epochs, "pairs/s", "pairs_per_second"),), from_zero=True),
    )
    with_values = (replace(each, lines=tuple(line for line in each.lines if line.points)) for each in wanted)
    return tuple(panel for panel in with_values if panel.lines)


def phase_starts(records: Sequence[Record]) -> tuple[tuple[float, str], ...]:
    """Return the step at which each phase but the first is first seen, and its name."""
    seen = [(float(record["step"]), str(record["phase"])) for record in records if record.get("phase") is not None]
    return tuple(after for before, after in pairwise(seen) if before[1] != after[1])


def thinned(points: Sequence[tuple[float, float]], most: int = POINTS) -> list[tuple[float, float]]:
    """Return at most `most` points: the means of neighbouring groups of equal size."""
    size = math.ceil(len(points) / most)
    groups = [points[first : first + size] for first in range(0, len(points), size)] if points else []
    return [
        (sum(step for step, _ in group) / len(group), sum(value for _, value in group) / len(group))
        for group in groups
    ]  # fmt: skip


def _losses(records: Sequence[Record], faint: bool) -> list[Line]:
    """Return a line per task, and one of the sum unless there is a single task."""
    tasks = _keys_of(records, "losses")
    lines = [_line(records, task, "losses", task, faint=faint) for task in tasks]
    return lines if len(tasks) == 1 else [*lines, _line(records, ALL, "loss", faint=faint)]


def _line(records: Iterable[Record], label: str, *path: str, faint: bool = False) -> Line:
    points = [(float(record["step"]), number(at(record, *path))) for record in records]
    return Line(label, tuple((step, value) for step, value in points if value is not None), faint)


def _keys_of(records: Iterable[Record], key: str) -> list[str]:
    """Return the keys under `key` in the order in which they come up."""
    return list(dict.fromkeys(name for record in records for name in keys(record.get(key))))


def _draw(found: Sequence[Panel], phases: Sequence[tuple[float, str]], path: Path) -> None:
    # This Figure has Agg's canvas, and no global state as pyplot has.
    new_figure = imported("matplotlib.figure", "matplotlib", "train").Figure
    ticker = imported("matplotlib.ticker", "matplotlib", "train")
    columns = min(_COLUMNS, len(found))
    rows = math.ceil(len(found) / columns)
    last = max(step for panel in found for line in panel.lines for step, _ in line.points)
    figure = new_figure(figsize=(_WIDTH * columns, _HEIGHT * rows), dpi=_DPI, layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for place, (panel, axes) in enumerate(zip(found, grid, strict=False)):
        _draw_lines(panel, axes)
        _draw_marks(panel, phases, axes, named=place == 0)
        axes.set_xlim(-0.03 * max(1.0, last), 1.03 * max(1.0, last))
        axes.xaxis.set_major_locator(ticker.MaxNLocator(nbins=6, integer=True))
        if axes.get_yscale() == "log":
            axes.yaxis.set_minor_locator(ticker.LogLocator(subs=(2, 5)))
            axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
            axes.yaxis.set_minor_formatter(ticker.FormatStrFormatter("%g"))
    for axes in grid[len(found) :]:
        axes.set_axis_off()
    with replacing(path) as beside:
        figure.savefig(beside, format="png")


def _draw_lines(panel: Panel, axes: Axes) -> None:
    labels = list(dict.fromkeys(line.label for line in panel.lines))
    named = {line.label for line in panel.lines if not line.faint}
    for line in panel.lines:
        steps, values = zip(*thinned(line.points), strict=True)
        axes.plot(
            steps,
            values,
            color="0.25" if line.label == ALL else f"C{labels.index(line.label)}",
            alpha=0.3 if line.faint else 1.0,
            linewidth=0.8 if line.faint else 1.6,
            marker="o" if len(steps) < _LEAST_FEW else None,
            markersize=2 if line.faint else 3.5,
            label="_" if line.faint and line.label in named else line.label,
        )
    axes.set_title(panel.title, fontsize=10)
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(which="both", labelsize=8)
    axes.grid(color="0.92")
    if panel.logarithmic and all(value > 0 for line in panel.lines for _, value in line.points):
        axes.set_yscale("log")
    if panel.from_zero:
        axes.set_ylim(0, 1.1 * max(1e-9, *(value for line in panel.lines for _, value in line.points)))


def _draw_marks(panel: Panel, phases: Sequence[tuple[float, str]], axes: Axes, named: bool) -> None:
    for step, name in phases:
        axes.axvline(step, color="0.7", linewidth=0.9, linestyle=":", zorder=0)
        if named:
            axes.text(step, 0.02, f" {name}", transform=axes.get_xaxis_transform(), rotation=90, size=7, color="0.4")
    if panel.best is not None:
        axes.axvline(panel.best, color="0.4", linewidth=1.0, linestyle="--", zorder=0, label="best")
    if len({line.label for line in panel.lines}) > 1 or panel.best is not None:
        axes.legend(fontsize=7, framealpha=0.7)
