"""Figures of experiments: lines with intervals, and bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entity_expand.extras import imported
from entity_expand.files import replacing

_COLUMNS, _WIDTH, _HEIGHT, _DPI = 3, 4.6, 3.2, 110
_WIDE = 9.0
_BAR, _LINE = 0.32, 0.22
_INSIDE = 5
"""Legends of more lines stand beside the panel."""


@dataclass(frozen=True)
class Series:
    """A line, or the bars of one colour.

    Attributes:
        label: In the legend.
        x: Places, or names of bars.
        y: Values.
        half: Half of each interval; None for none.
    """

    label: str
    x: tuple[float, ...] | tuple[str, ...]
    y: tuple[float, ...]
    half: tuple[float | None, ...] | None = None


@dataclass(frozen=True)
class Panel:
    """One small figure.

    Attributes:
        title, across, up: Its names and those of its axes.
        series: At least one; bars where their places are names.
        logarithmic: Whether both axes are.
    """

    title: str
    across: str
    up: str
    series: tuple[Series, ...]
    logarithmic: bool = False


def draw(path: Path, panels: Sequence[Panel]) -> None:
    """Draw panels into one PNG file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    canvas = imported("matplotlib.backends.backend_agg", "matplotlib", "experiments")
    figures = imported("matplotlib.figure", "matplotlib", "experiments")
    bars = any(isinstance(each.x[0], str) for panel in panels for each in panel.series)
    wide = bars or any(len(panel.series) > _INSIDE for panel in panels)
    columns = 1 if wide else min(_COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    heights = [max(_HEIGHT, _BAR * _bar_count(panel), _LINE * len(panel.series)) for panel in panels[::columns]]
    figure = figures.Figure(figsize=((_WIDE if wide else _WIDTH) * columns, sum(heights)))
    canvas.FigureCanvasAgg(figure)
    grid = figure.subplots(lines, columns, squeeze=False, gridspec_kw={"height_ratios": heights}).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        _draw_panel(axes, panel)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    figure.tight_layout()
    with replacing(path) as beside:
        legends = [axes.get_legend() for axes in grid if axes.get_legend() is not None]
        options = {"bbox_inches": "tight", "bbox_extra_artists": legends, "metadata": {"Software": None}}
        figure.savefig(beside, format="png", dpi=_DPI, **options)


def _bar_count(panel: Panel) -> int:
    return sum(len(each.x) for each in panel.series if isinstance(each.x[0], str))


def _draw_panel(axes: Any, panel: Panel) -> None:
    for each in panel.series:
        halves = [half or 0.0 for half in each.half] if each.half is not None else None
        if isinstance(each.x[0], str):
            axes.barh(each.x, each.y, xerr=halves, label=each.label, height=0.7, capsize=2)
        elif halves is None:
            axes.plot(each.x, each.y, label=each.label, marker="." if len(each.x) < 30 else None)
        else:
            axes.errorbar(each.x, each.y, yerr=halves, label=each.label, marker=".", capsize=2)
    if _bar_count(panel):
        axes.invert_yaxis()
        axes.set_xlabel(panel.up)
    else:
        axes.set_xlabel(panel.across)
        axes.set_ylabel(panel.up)
        if not panel.logarithmic and all(float(place).is_integer() for each in panel.series for place in each.x):
            axes.locator_params(axis="x", integer=True)
    if panel.logarithmic:
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.set_title(panel.title, fontsize=10)
    axes.grid(alpha=0.3)
    if len(panel.series) > _INSIDE:
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0)).set_in_layout(False)
    elif len(panel.series) > 1:
        axes.legend(fontsize=7).set_in_layout(False)
