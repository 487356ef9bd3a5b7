"""Quality of a ranked list: average precision and precision at K, in the paper's form and in the textbook's.

The original divides both by min(|truth|, K), leaves the seeds in the truth although they are never predicted, and
prints as "P" what is neither precision nor recall; for lists of more than 50 entries it divides by
min(|truth|, length, K) (NOTES.md section 10). `reference` functions do the same to the last digit; the textbook's
divide precision by K, and take the seeds out of list and truth before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from statistics import fmean
from typing import TypeAlias

CUTS = (10, 20, 50, 100)

Metric: TypeAlias = Callable[[Sequence[str], Collection[str], int], float]


def hits_at(ranked: Sequence[str], truth: Collection[str], cut: int) -> list[int]:
    """Return the places, from 1, of the first occurrence of each true entity among the first `cut`."""
    seen: set[str] = set()
    places = []
    for place, entity in enumerate(ranked[:cut], start=1):
        if entity in truth and entity not in seen:
            places.append(place)
        seen.add(entity)
    return places


def _reference_divisor(ranked: Sequence[str], truth: Collection[str], cut: int) -> int:
    length = len(ranked[:cut])
    return min(len(truth), length, cut) if length > 50 else min(len(truth), cut)


def _mean_precision(places: Sequence[int], divisor: int) -> float:
    return sum(number / place for number, place in enumerate(places, start=1)) / divisor


def reference_average_precision(ranked: Sequence[str], truth: Collection[str], cut: int) -> float:
    """Return AP@cut as the original computes it.

    Raises:
        ZeroDivisionError: The truth is empty, as in the original.
    """
    return _mean_precision(hits_at(ranked, truth, cut), _reference_divisor(ranked, truth, cut))


def reference_precision(ranked: Sequence[str], truth: Collection[str], cut: int) -> float:
    """Return what the original prints as P@cut: hits / min(|truth|, cut).

    Raises:
        ZeroDivisionError: The truth is empty, as in the original.
    """
    return len(hits_at(ranked, truth, cut)) / _reference_divisor(ranked, truth, cut)


def average_precision(ranked: Sequence[str], truth: Collection[str], cut: int) -> float:
    """Return AP@cut with the divisor min(|truth|, cut); 0 for an empty truth."""
    return 0.0 if not truth else _mean_precision(hits_at(ranked, truth, cut), min(len(truth), cut))


def precision(ranked: Sequence[str], truth: Collection[str], cut: int) -> float:
    """Return P@cut: hits / cut."""
    return len(hits_at(ranked, truth, cut)) / cut


def recall(ranked: Sequence[str], truth: Collection[str], cut: int) -> float:
    """Return recall@cut: hits / |truth|."""
    return len(hits_at(ranked, truth, cut)) / len(truth) if truth else 0.0


def mean_over_classes_then_queries(values: Sequence[Sequence[float]]) -> float:
    """Return the mean over queries of the mean over classes; one inner sequence per query number."""
    return fmean(fmean(over_classes) for over_classes in values)
