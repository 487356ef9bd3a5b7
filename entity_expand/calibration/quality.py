"""How good cut-offs and confidences are on classes that they were not fitted on: pure functions of judged lists."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entity_expand.calibration.curve import likely, probabilities
from entity_expand.calibration.fitting import logistic
from entity_expand.errors import QueryError
from entity_expand.types import AnyArray, Float64

FOLDS, BINS = 5, 10


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One list whose members are known.

    Attributes:
        class_name: Of the class that the seeds were drawn from.
        features: (T, F) of the results, best first.
        members: (T,) whether each is a member.
        total: How many members there are beside the seeds, in the list or not.
    """

    class_name: str
    features: Float64
    members: AnyArray
    total: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Results of about the same confidence.

    Attributes:
        results: How many.
        confidence: Their mean confidence.
        members: The share of members among them.
    """

    results: int
    confidence: float
    members: float


@dataclass(frozen=True, slots=True)
class Held:
    """Quality on classes that were left out of the fit, each in its turn.

    Attributes:
        lists: How many lists.
        classes: Of how many classes.
        cut: Mean F1 of the lists up to their cut-offs.
        length: Mean length up to there.
        fixed: Mean F1 of the length that was best for the classes fitted on.
        best_fixed: Mean F1 of the best length of all, chosen on these very lists.
        best_length: That length.
        perfect: Mean F1 of the best cut of each list, which nobody knows beforehand.
        brier: Mean squared difference of confidence and truth.
        constant_brier: The same, if every result had the share of members as its confidence.
        error: Mean difference of confidence and share of members over the bins, by their results.
        bins: By rising confidence.
    """

    lists: int
    classes: int
    cut: float
    length: float
    fixed: float
    best_fixed: float
    best_length: int
    perfect: float
    brier: float
    constant_brier: float
    error: float
    bins: tuple[Bin, ...]


def fit(lists: Sequence[Judged]) -> Float64:
    """Return the coefficients (F,) fitted on lists; every result counts alike."""
    return logistic(np.concatenate([each.features for each in lists]), np.concatenate([each.members for each in lists]))


def held_out(lists: Sequence[Judged]) -> Held:
    """Fit on all classes but a part, judge the lists of that part, for each part in turn.

    Raises:
        QueryError: There are fewer than two classes.
    """
    classes = sorted({each.class_name for each in lists}, key=_dealt)
    if len(classes) < 2:
        raise QueryError(f"Lists of at least two classes are needed; got {len(classes)}.")
    part = {name: number % min(FOLDS, len(classes)) for number, name in enumerate(classes)}
    chances: list[Float64] = [np.empty(0)] * len(lists)
    lengths = [0] * len(lists)
    curves = _curves(lists)
    for turn in sorted(set(part.values())):
        fitted_on = [number for number, each in enumerate(lists) if part[each.class_name] != turn]
        coefficients = fit([lists[number] for number in fitted_on])
        length = int(curves[fitted_on].mean(axis=0).argmax()) + 1
        for number, each in enumerate(lists):
            if part[each.class_name] == turn:
                chances[number], lengths[number] = probabilities(each.features, coefficients), length
    return _held(lists, curves, chances, np.array(lengths), len(classes))


def _dealt(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()


def _curves(lists: Sequence[Judged]) -> Float64:
    """Return F1 by length, (lists, longest); beyond the end of a list it is that of the list with misses added."""
    longest = max(len(each.members) for each in lists)
    curves = np.empty((len(lists), longest))
    for row, each in zip(curves, lists, strict=True):
        hits = np.cumsum(np.append(each.members, np.zeros(longest - len(each.members))))
        row[:] = 2.0 * hits / (np.arange(1, longest + 1) + each.total)
    return curves


def _held(lists: Sequence[Judged], curves: Float64, chances: Sequence[Float64], fixed: AnyArray, classes: int) -> Held:
    rows, cuts = np.arange(len(lists)), np.array([likely(each) for each in chances])
    everything, truth = np.concatenate(chances), np.concatenate([each.members for each in lists]).astype(np.float64)
    by_length, bins = curves.mean(axis=0), _bins(everything, truth)
    return Held(
        lists=len(lists),
        classes=classes,
        cut=float(curves[rows, cuts - 1].mean()),
        length=float(cuts.mean()),
        fixed=float(curves[rows, fixed - 1].mean()),
        best_fixed=float(by_length.max()),
        best_length=int(by_length.argmax()) + 1,
        perfect=float(curves.max(axis=1).mean()),
        brier=float(np.mean((everything - truth) ** 2)),
        constant_brier=float(truth.mean() * (1 - truth.mean())),
        error=sum(each.results * abs(each.confidence - each.members) for each in bins) / len(truth),
        bins=bins,
    )


def _bins(chances: Float64, truth: Float64) -> tuple[Bin, ...]:
    number = np.minimum((chances * BINS).astype(np.int64), BINS - 1)
    inside = [number == each for each in range(BINS)]
    return tuple(
        Bin(int(those.sum()), float(chances[those].mean()), float(truth[those].mean()))
        for those in inside
        if those.any()
    )
