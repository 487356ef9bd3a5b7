"""What the document of the costs shows: tables, the figure, and exponents fitted along n and along K."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from entity_expand.stores.writing import TABLE_BYTES
from training.experiments.cost import TURNS, ExpansionCost, TrainingCost
from training.experiments.plots import Panel, Series
from training.experiments.statistics import fitted_exponent
from training.experiments.views import Table

MEASURED = (
    "Times of expansions: one thread, all n and K in turns in one process, "
    f"{TURNS[True]} sets of 3 seeds in tables and {TURNS[False]} on demand after one that warms caches; medians of "
    "processor time, so that other processes of the machine count less, and without numpy's huge pages: clearing them "
    "took up to nine tenths of the time on demand, and changed from run to run. Memory and trainings: a process each, "
    "with huge pages as by default; the time of a training is that of a clock."
)
_LARGEST_TABLE = int((TABLE_BYTES / 4) ** 0.5)
_WAYS = {True: "table", False: "on demand"}


def cost_views(
    expansions: Sequence[ExpansionCost], trainings: Sequence[TrainingCost]
) -> tuple[list[Table], list[Panel]]:
    """Return the tables and the figure."""
    tables, panels = [], []
    if expansions:
        tables += [_time_table(expansions), _memory_table(expansions)]
        panels += [_time_panel(expansions, table) for table in (True, False) if _of(expansions, table)]
        panels.append(_memory_panel(expansions))
    if trainings:
        tables.append(_training_table(trainings))
        sizes = tuple(float(each.entities) for each in trainings)
        seconds, memory = (tuple(getattr(each, name) for each in trainings) for name in ("seconds", "megabytes"))
        panels.append(_panel("training", "s an epoch", (Series("measured", sizes, seconds),)))
        panels.append(_panel("memory of training", "MiB", (Series("peak", sizes, memory),)))
    return tables, panels


def _of(costs: Sequence[ExpansionCost], table: bool) -> list[ExpansionCost]:
    return sorted((each for each in costs if each.table == table), key=lambda each: each.entities)


def _time_table(costs: Sequence[ExpansionCost]) -> Table:
    lines = tuple(
        (name, f"{each.entities:,}", *(f"{1000 * seconds:.2f}" for seconds in each.seconds))
        for table, name in _WAYS.items()
        for each in _of(costs, table)
    )
    text = (
        "Milliseconds of an expansion of 3 seeds over made vectors. In a table all scores have been computed before; "
        "on demand each expansion computes those that it needs, and none are kept. Indexes and trainings have the "
        f"table as long as it takes no more than a gibibyte, up to {_LARGEST_TABLE:,} entities."
    )
    head = ("scores", "n", *(f"K = {length}" for length in costs[0].lengths))
    return Table("Time of an expansion", " ".join([text, *_time_growth(costs)]), head, lines)


def _time_growth(costs: Sequence[ExpansionCost]) -> list[str]:
    """Return the exponents of time in sentences; O(nK) would be 1 along either."""
    found = []
    for table, name in (True, "In a table"), (False, "On demand"):
        own = _of(costs, table)
        if not own:
            continue
        grows = _growth(own, lambda each: each.seconds[-1])
        by_length = _exponent(own[-1].lengths, own[-1].seconds)
        found.append(
            f"{name}, time at K = {own[-1].lengths[-1]} grows with n to the power {grows}; at n = {own[-1].entities:,} "
            f"it grows with K to the power {by_length}."
        )
    in_table = _of(costs, True)
    if len(in_table) > 1:
        sizes, times = ([getattr(each, name) for each in in_table] for name in ("entities", "seconds"))
        slope, fixed = np.polyfit(sizes, [1000 * each[-1] for each in times], 1)
        found.append(
            f"A line through the times in a table at K = {in_table[-1].lengths[-1]} has {fixed:.2f} ms that do not "
            f"depend on n, the steps of the search itself, and {1000 * slope:.2f} ms for each 1,000 entities, the scan."
        )
    return [*found, "O(nK) would be an exponent of 1 for each."]


def _memory_table(costs: Sequence[ExpansionCost]) -> Table:
    lines = tuple(
        (
            _WAYS[each.table], f"{each.entities:,}", f"{each.prepared:.2f}", f"{each.megabytes:.0f}",
            f"{_above(each):.0f}",
        )
        for table in _WAYS for each in _of(costs, table)
    )  # fmt: skip
    text = (
        "The peak resident memory of a process that makes its entities and expands one set to the largest K, what of "
        "it is above that of the process before, and the processor time until the set can be expanded. A whole n x n "
        "table of scores is held below a gibibyte, so memory has a quadratic part there; above it scores come as they "
        "are needed. Preparing takes quadratic time either way: an entity's offset is a sum over all rows of the head."
    )
    grows = [
        f"{name} the memory above the process's own grows with n to the power {_growth(_of(costs, table), _above)}."
        for table, name in ((True, "In a table"), (False, "On demand"))
        if _of(costs, table)
    ]
    head = ("scores", "n", "s to prepare", "MiB", "MiB above the process's own")
    return Table("Memory of expansions", " ".join([text, *grows]), head, lines)


def _above(cost: ExpansionCost) -> float:
    return cost.megabytes - cost.base


def _training_table(costs: Sequence[TrainingCost]) -> Table:
    exponent = _exponent([each.entities for each in costs], [each.seconds for each in costs])
    text = (
        "The second epoch of the configuration on parts of the corpus, all its samples and tasks; the peak memory "
        f"of the process. Time grows with n to the power {exponent}."
    )
    lines = tuple(
        (f"{each.entities:,}", f"{each.pairs:,}", f"{each.seconds:.1f}", f"{each.megabytes:.0f}") for each in costs
    )
    return Table("Training", text, ("n", "pairs an epoch", "s an epoch", "MiB"), lines)


def _growth(costs: Sequence[ExpansionCost], value: Callable[[ExpansionCost], float]) -> str:
    """Return the exponent along n over all sizes, and over the upper half of them, where small fixed costs fade."""
    upper = costs[len(costs) // 2 :]
    whole, half = (_exponent([each.entities for each in own], [value(each) for each in own]) for own in (costs, upper))
    return f"{whole} over all sizes and {half} from n = {upper[0].entities:,} on"


def _exponent(sizes: Sequence[float], costs: Sequence[float]) -> str:
    return f"{fitted_exponent(sizes, costs):.2f}" if len(set(sizes)) > 1 else "unknown (one size)"


def _time_panel(costs: Sequence[ExpansionCost], table: bool) -> Panel:
    own = _of(costs, table)
    sizes = tuple(float(each.entities) for each in own)
    series = [
        Series(f"K = {length}", sizes, tuple(1000 * each.seconds[place] for each in own))
        for place, length in enumerate(own[0].lengths)
    ]
    return _panel("expansion, scores " + ("in a table" if table else "on demand"), "ms", tuple(series))


def _memory_panel(costs: Sequence[ExpansionCost]) -> Panel:
    series = tuple(
        Series(name, tuple(float(each.entities) for each in own), tuple(_above(each) for each in own))
        for table, name in _WAYS.items()
        if (own := _of(costs, table))
    )
    return _panel("memory of expansion", "MiB above the process's own", series)


def _panel(title: str, unit: str, series: tuple[Series, ...]) -> Panel:
    return Panel(title, "entities n", unit, series, logarithmic=True)
