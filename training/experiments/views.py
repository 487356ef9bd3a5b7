"""What a report shows of its rows: tables as lists of cells, figures as panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from entity_expand.types import Entity
from training.experiments.describe import Experiment
from training.experiments.plots import Panel, Series
from training.experiments.rows import BASELINE, Row, reference_of, seeds_of
from training.experiments.senses import precision_of_ambiguous, senses_of, share_of_confusers
from training.experiments.statistics import Estimate, Lists, by_class, estimate, margin

_MAP = "MAP@10, percent"


@dataclass(frozen=True)
class Table:
    """A table with its heading and what is said above it."""

    title: str
    text: str
    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def quality_table(rows: Sequence[Row], experiment: Experiment) -> Table:
    """Return MAP of all rows, with the difference to the reference."""
    seeds = seeds_of(rows)
    head, compared = ["", "asked by", "of"], bool(experiment.variants)
    head += [f"{each} seeds, MAP@{cut}" for each in seeds for cut in (10, 20)]
    lines = []
    for row in rows:
        reference = reference_of(row, rows, experiment)
        cells = [cell(row.estimate(each, cut)) for each in seeds for cut in (10, 20)]
        if reference is not None:
            cells += ["-" if row is reference else signed(row.less(reference, each)) for each in seeds]
        lines.append((row.name, _asked_by(row), str(row.candidates), *cells))
    if compared:
        head += [f"{each} seeds, difference" for each in seeds]
    text = (
        "MAP in percent over the classes that are reported, single queries, seeds taken out of list and truth; ± half "
        'of the 95 % interval over trainings. "Asked by" is the best of so many candidates on the classes that '
        "validate."
    )
    if any(row.left_out for row in rows):
        text += (
            " Left out are queries with a seed that the model is shown nothing of; differences are over the queries "
            "that both rows have."
        )
    for first in experiment.variants[:1]:
        text += f" Differences of MAP@10 are to the row of the same kind of {first.name!r}, paired by seed"
        text += ", of other kinds to its row of both at once." if any(row.variant == BASELINE for row in rows) else "."
    return Table("Quality", text, tuple(head), tuple(lines))


def _asked_by(row: Row) -> str:
    left_out = f"({row.left_out} {'query' if row.left_out == 1 else 'queries'} left out)" if row.left_out else ""
    return f"{row.chosen} {left_out}".strip()


def cell(found: Estimate | None) -> str:
    """Return an estimate in percent, and "-" without one."""
    return "-" if found is None else str(found)


def signed(found: Estimate | None) -> str:
    """Return a difference in percent with its sign, and "-" without one."""
    return "-" if found is None else ("+" if found.mean >= 0 else "") + str(found)


def quality_panel(rows: Sequence[Row]) -> Panel:
    """Return bars of MAP@10 by the smallest number of seeds."""
    seeds = seeds_of(rows)[0]
    shown = [(row, row.estimate(seeds)) for row in rows]
    series = []
    for label, untrained in (("trained", False), ("untrained", True)):
        own = [(row, found) for row, found in shown if found is not None and (row.variant == BASELINE) == untrained]
        if own:
            series.append(_series(label, tuple(row.name for row, _ in own), [found for _, found in own]))
    return Panel(f"{seeds} seeds", "", _MAP, tuple(series))


def _series(label: str, x: tuple[str, ...] | tuple[float, ...], found: Sequence[Estimate]) -> Series:
    halves = tuple(None if each.half is None else 100 * each.half for each in found)
    return Series(label, x, tuple(100 * each.mean for each in found), halves)


def class_table(rows: Sequence[Row]) -> Table:
    """Return AP@10 per class, and means over the classes that pictures alone tell apart well and over the others."""
    seeds = seeds_of(rows)[0]
    values = [_class_values(row, seeds) for row in rows]
    # What untrained pictures tell, or else a model that is shown pictures alone.
    alone = [number for number, row in enumerate(rows) if row.family.startswith("picture")]
    alone.sort(key=lambda number: rows[number].variant != BASELINE)
    by_looks = values[alone[0] if alone else 0]
    names = sorted(by_looks, key=lambda name: -by_looks[name])
    middle = median(by_looks.values())
    groups = {
        "distinct looks": [name for name in names if by_looks[name] > middle],
        "others": [name for name in names if by_looks[name] <= middle],
    }
    lines = [(name, *(f"{100 * found[name]:.1f}" if name in found else "-" for found in values)) for name in names]
    for title, own in groups.items():
        means = [[found[name] for name in own if name in found] for found in values]
        lines.append((f"mean, {title}", *(f"{100 * fmean(each):.1f}" if each else "-" for each in means)))
    text = (
        f"AP@10 in percent by {seeds} seeds, the mean over queries and trainings. Classes are in the order of what "
        "pictures alone give; the half above the median counts as of distinct looks."
    )
    return Table("By class", text, ("class", *(row.name for row in rows)), tuple(lines))


def margin_table(rows: Sequence[Row]) -> Table:
    """Return how far the first row is above each other one, with intervals over classes."""
    seeds = seeds_of(rows)
    first, lines = rows[0], []
    for row in rows[1:]:
        own, other = first.beside(row), row.beside(first)
        cells = []
        for each in seeds:
            found = margin(_class_values(own, each), _class_values(other, each))
            cells += ["-", "-"] if found is None else [signed(found.mean), f"{found.better} of {found.count}"]
        lines.append((row.name, *cells))
    text = (
        f"By how much AP@10 of {first.name!r} is above each row's, in percent: the mean over the reported classes "
        "of the means over queries and trainings, ± half of the 95 % interval by Student's t over classes, and in how "
        "many classes it is above. Trainings that differ in their seed alone say nothing of other classes; this does, "
        "for trainings like these."
    )
    head = ("", *(name for each in seeds for name in (f"{each} seeds", f"{each} seeds, classes")))
    return Table("Over classes", text, head, tuple(lines))


def _class_values(row: Row, seeds: int) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for lists in row.lists.get(seeds, {}).values():
        for name, value in by_class(lists, row.truth).items():
            found.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in found.items()}


def parameter_panels(rows: Sequence[Row]) -> list[Panel]:
    """Return a panel for each parameter: MAP@10 by its value, a line for each number of seeds and each family."""
    points = [(row, row.point[0]) for row in rows if row.point is not None and row.point[0].parameter]
    panels = []
    for parameter in dict.fromkeys(variant.parameter for _, variant in points):
        series = []
        own = [(row, variant) for row, variant in points if variant.parameter == parameter]
        for family in dict.fromkeys(row.family for row, _ in own):
            for seeds in sorted({each for row, _ in own for each in row.lists}):
                found = sorted(
                    (variant.value, row.estimate(seeds))
                    for row, variant in own
                    if row.family == family and variant.value is not None
                )
                kept = [(value, each) for value, each in found if each is not None]
                series.append(_series(f"{family}, {seeds} seeds", tuple(v for v, _ in kept), [e for _, e in kept]))
        panels.append(Panel(parameter, parameter, _MAP, tuple(series)))
    return panels


def share_panel(rows: Sequence[Row]) -> Panel:
    """Return MAP@10 by the share of samples that a way changes, a line for each series."""
    seeds = seeds_of(rows)[0]
    points = [(row, row.point[1]) for row in rows if row.point is not None and row.point[1].share is not None]
    series = []
    for name in dict.fromkeys((row.variant, way.series) for row, way in points):
        own = [(way.share or 0.0, row.estimate(seeds)) for row, way in points if (row.variant, way.series) == name]
        kept = [(100 * share, found) for share, found in own if found is not None]
        series.append(_series(": ".join(name), tuple(share for share, _ in kept), [found for _, found in kept]))
    return Panel(f"{seeds} seeds", "share of the samples, percent", _MAP, tuple(series))


def sense_table(rows: Sequence[Row], entities: Sequence[Entity]) -> Table:
    """Return how well members are found whose names share words with other classes, and how often these come up."""
    senses = senses_of(entities, rows[0].truth)
    reported = {
        query.class_name for row in rows for own in row.lists.values() for each in own.values() for query in each
    }
    count = sum(len(senses.ambiguous[name]) for name in reported)
    seeds = seeds_of(rows)
    measures: tuple[tuple[str, Callable[[Row, Lists], float | None]], ...] = (
        ("AP@10 of ambiguous members", lambda row, lists: precision_of_ambiguous(lists, row.truth, senses)),
        ("confusers in the top 10", lambda row, lists: share_of_confusers(lists, senses)),
    )
    lines = []
    for row in rows:
        cells = []
        for each in seeds:
            for _, measure in measures:
                values = [measure(row, lists) for lists in row.lists.get(each, {}).values()]
                kept = [value for value in values if value is not None]
                cells.append(cell(estimate(kept) if kept else None))
        lines.append((row.name, *cells))
    text = (
        f"{count} members of the {len(reported)} classes share a word of their name with an entity outside of their "
        "class, a confuser. AP@10 counts them alone, the other members taken out of list and truth. Percent."
    )
    head = ("", *(f"{each} seeds, {name}" for each in seeds for name, _ in measures))
    return Table("Shared names", text, head, tuple(lines))
