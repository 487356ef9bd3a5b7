"""Means and intervals over trainings that differ in their seed alone, and over the lists that they give."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TypeAlias

import numpy as np

from entity_expand.corpus import Query
from entity_expand.errors import TrainingError
from entity_expand.evaluate import quality
from entity_expand.metrics import average_precision

Lists: TypeAlias = Mapping[Query, Sequence[str]]
Truth: TypeAlias = Mapping[str, frozenset[str]]

# Two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_NORMAL = 1.96


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval.

    Attributes:
        mean: Of the values.
        half: Half of the interval's width; None for a single value.
        count: How many values.
    """

    mean: float
    half: float | None
    count: int

    def __str__(self) -> str:
        """Return it in percent, as tables show it."""
        return f"{100 * self.mean:.1f}" + ("" if self.half is None else f" ± {100 * self.half:.1f}")


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean and its interval by Student's t.

    Raises:
        TrainingError: There is no value.
    """
    if not values:
        raise TrainingError("There is nothing to take a mean of.")
    if len(values) == 1:
        return Estimate(values[0], None, 1)
    quantile = _T[len(values) - 2] if len(values) - 2 < len(_T) else _NORMAL
    return Estimate(fmean(values), quantile * stdev(values) / math.sqrt(len(values)), len(values))


def difference(values: Mapping[int, float], others: Mapping[int, float] | float) -> Estimate:
    """Return the mean difference, paired by seed; a number stands for every seed.

    Raises:
        TrainingError: No seed is in both.
    """
    paired = [
        value - (others if isinstance(others, float) else others[seed])
        for seed, value in values.items()
        if isinstance(others, float) or seed in others
    ]
    return estimate(paired)


def of_classes(lists: Lists, classes: frozenset[str]) -> dict[Query, Sequence[str]]:
    """Return the lists of the queries of some classes."""
    return {query: ids for query, ids in lists.items() if query.class_name in classes}


def map_at(lists: Lists, truth: Truth, cut: int) -> float:
    """Return MAP with the seeds taken out of list and truth, over classes and then over numbers of queries."""
    return quality(lists, truth).map[cut]


def by_class(lists: Lists, truth: Truth, cut: int = 10) -> dict[str, float]:
    """Return the mean AP of the queries of each class."""
    values: dict[str, list[float]] = {}
    for query, ids in lists.items():
        values.setdefault(query.class_name, []).append(
            average_precision(ids, truth[query.class_name] - set(query.seeds), cut)
        )
    return {name: fmean(found) for name, found in sorted(values.items())}


@dataclass(frozen=True)
class Margin:
    """A mean difference over classes.

    Attributes:
        mean: With the 95 % interval for other classes of the kind.
        better: In how many classes the difference is above 0.
        count: How many classes.
    """

    mean: Estimate
    better: int
    count: int


def margin(own: Mapping[str, float], others: Mapping[str, float]) -> Margin | None:
    """Return by how much `own` is above `others`, paired by class; None without any class of both."""
    apart = [own[name] - others[name] for name in sorted(own.keys() & others.keys())]
    return Margin(estimate(apart), sum(each > 0 for each in apart), len(apart)) if apart else None


@dataclass(frozen=True)
class AtRank:
    """What stands at one rank.

    Attributes:
        precision: Share of the queries with a member there.
        queries: How many have members left for it.
    """

    precision: float
    queries: int


def precision_by_rank(lists: Lists, truth: Truth, last: int = 50) -> list[AtRank]:
    """Return for each rank the share of queries with a member there, among those that have members left for it.

    A query with m members to find counts at its first m ranks only: behind them nothing right is left, and the fall
    would not be drift.
    """
    hits, counts = np.zeros(last), np.zeros(last, dtype=np.int64)
    for query, ids in lists.items():
        members = truth[query.class_name] - set(query.seeds)
        length = min(last, len(members), len(ids))
        hits[:length] += [identifier in members for identifier in ids[:length]]
        counts[: min(last, len(members))] += 1
    return [AtRank(float(hit / count), int(count)) for hit, count in zip(hits, counts, strict=True) if count]


def fitted_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return p of the best fit costs = c sizes^p, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])
