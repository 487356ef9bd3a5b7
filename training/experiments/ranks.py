"""What more seeds per query bring, and how precision falls along the list."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from training.experiments.plots import Panel, Series
from training.experiments.rows import Row, seeds_of
from training.experiments.statistics import AtRank, Estimate, difference, estimate, precision_by_rank
from training.experiments.views import Table, cell, signed

RANKS = 10
LEAST_QUERIES = 10
"""A line of the figure ends where fewer have members left: a share of a handful jumps."""


def more_seeds_tables(rows: Sequence[Row]) -> list[Table]:
    """Return by how much the largest number of seeds is above the smallest; no table where there is one number."""
    numbers = seeds_of(rows)
    if len(numbers) < 2:
        return []
    fewest, most = numbers[0], numbers[-1]
    text = (
        f"MAP@10 by {most} seeds less that by {fewest}, in percent, paired by training; ± half of the 95 % interval "
        "over trainings. Of untrained features there is one value. More seeds leave fewer members to be found."
    )
    lines = tuple((row.name, signed(_gain(row, fewest, most))) for row in rows)
    return [Table("More seeds", text, ("", f"{most} seeds less {fewest} seeds"), lines)]


def _gain(row: Row, fewest: int, most: int) -> Estimate | None:
    few, many = row.values(fewest), row.values(most)
    return difference(many, few) if few.keys() & many.keys() else None


def rank_table(rows: Sequence[Row]) -> Table:
    """Return the precision at each of the first ranks, and how many queries have members left for it."""
    lines = []
    for seeds in seeds_of(rows):
        counts: dict[tuple[str, ...], list[str]] = {}
        for row in rows:
            found = _by_rank(row, seeds)[:RANKS]
            if not found:
                continue
            cells = [cell(estimate([each.precision for each in trainings])) for trainings in found]
            missing = RANKS - len(found)
            lines.append((f"{row.name}, {seeds} seeds", *cells, *("-",) * missing))
            left = (*(str(trainings[0].queries) for trainings in found), *("0",) * missing)
            counts.setdefault(left, []).append(row.name)
        for left, names in counts.items():
            whose = "" if len(counts) == 1 else f" of {', '.join(names)}"
            lines.append((f"queries left{whose}, {seeds} seeds", *left))
    text = (
        "Share of queries with a member at this rank, in percent: the mean over trainings, ± half of the 95 % "
        "interval. A query with m members to find counts at its first m ranks alone, so fewer and fewer are left. "
        f"Lines of the figure end where fewer than {LEAST_QUERIES} are."
    )
    return Table("Drift along the list", text, ("rank", *(str(rank + 1) for rank in range(RANKS))), tuple(lines))


def rank_panels(rows: Sequence[Row]) -> list[Panel]:
    """Return a panel of the precision at each rank, a line for each row and number of seeds; none without a line."""
    series = []
    for row in rows:
        for seeds in sorted(row.lists):
            kept = list(takewhile(lambda each: each[0].queries >= LEAST_QUERIES, _by_rank(row, seeds)))
            if kept:
                means = tuple(100 * estimate([each.precision for each in trainings]).mean for trainings in kept)
                ranks = tuple(float(rank + 1) for rank in range(len(means)))
                series.append(Series(f"{row.name}, {seeds} seeds", ranks, means))
    title = "drift along the list"
    return [Panel(title, "rank", "members at this rank, percent", tuple(series))] if series else []


def _by_rank(row: Row, seeds: int) -> list[tuple[AtRank, ...]]:
    """Return what each training found, rank by rank; all were asked the same queries."""
    curves = [precision_by_rank(lists, row.truth) for lists in row.lists.get(seeds, {}).values()]
    return list(zip(*curves, strict=True))
