"""Rows of a report: of each variant and family of ways, and of each family of baselines, what validation chose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from entity_expand.errors import TrainingError
from training.experiments.describe import Experiment, Variant, Way
from training.experiments.measuring import Questions
from training.experiments.records import Result
from training.experiments.runner import BaselineResult, answers_of
from training.experiments.statistics import Estimate, Lists, Truth, difference, estimate, map_at, of_classes

BASELINE = "untrained"


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        variant: Name of the variant, or `BASELINE`.
        family: Of the ways or of the baselines.
        chosen: Which candidate of the family was best on the classes that validate.
        candidates: How many there were.
        lists: Of the classes that are reported, by seeds per query, then by seed of the training.
        truth: Members of the classes.
        point: The variant and the way, of a row of a model.
        left_out: How many queries of the classes that are reported could not be asked, for the number of seeds with
            most of them.
        about: What is asked about where rows differ in it.
    """

    variant: str
    family: str
    chosen: str
    candidates: int
    lists: Mapping[int, Mapping[int, Lists]]
    truth: Truth
    point: tuple[Variant, Way] | None = None
    left_out: int = 0
    about: str = ""

    @property
    def name(self) -> str:
        """What the row is called."""
        name = self.family if self.variant == BASELINE else f"{self.variant}: {self.family}"
        return f"{self.about}, {name}" if self.about else name

    def values(self, seeds: int, cut: int = 10) -> dict[int, float]:
        """Return MAP by seed of the training; nothing if there are no such queries."""
        own = self.lists.get(seeds, {})
        return {seed: map_at(lists, self.truth, cut) for seed, lists in own.items() if lists}

    def estimate(self, seeds: int, cut: int = 10) -> Estimate | None:
        """Return the mean of the values with its interval; None without any."""
        values = self.values(seeds, cut)
        return estimate(list(values.values())) if values else None

    def beside(self, other: Row) -> Row:
        """Return this row with the queries alone that another has as well, in all its trainings."""
        shared = {seeds: set.intersection(*map(set, own.values())) for seeds, own in other.lists.items() if own}
        lists = {
            seeds: {
                seed: {query: ids for query, ids in each.items() if query in shared.get(seeds, ())}
                for seed, each in own.items()
            }
            for seeds, own in self.lists.items()
        }
        return replace(self, lists=lists)

    def less(self, other: Row, seeds: int, cut: int = 10) -> Estimate | None:
        """Return this less another row over the queries of both, paired by training where both have several."""
        own, others = self.beside(other).values(seeds, cut), other.beside(self).values(seeds, cut)
        if not own or not others:
            return None
        if self.variant == BASELINE or other.variant == BASELINE:
            sign, many, one = (1, own, others) if other.variant == BASELINE else (-1, others, own)
            found = difference(many, next(iter(one.values())))
            return Estimate(sign * found.mean, found.half, found.count)
        return difference(own, others)


@dataclass(frozen=True)
class _Candidate:
    """One candidate of a family: all its lists by seeds per query, then by seed of the training."""

    name: str
    lists: Mapping[int, Mapping[int, Lists]]
    way: Way | None = None
    left_out: int = 0


def rows_of(
    experiment: Experiment, results: Sequence[Result], untrained: Sequence[BaselineResult], questions: Questions
) -> list[Row]:
    """Return the rows of the models, variant by variant, and those of the baselines after them."""
    found = []
    for variant in experiment.variants:
        for family in dict.fromkeys(way.family for way in experiment.ways):
            candidates = list(_model_candidates(results, variant, family, questions))
            found.append(_row(variant.name, family, candidates, questions, variant))
    for family in dict.fromkeys(each.baseline.family for each in untrained):
        own = [each for each in untrained if each.baseline.family == family]
        candidates = [
            _Candidate(each.baseline.name, {seeds: {0: lists} for seeds, lists in each.lists.items()}) for each in own
        ]
        found.append(_row(BASELINE, family, candidates, questions, None))
    return found


def _model_candidates(
    results: Sequence[Result], variant: Variant, family: str, questions: Questions
) -> Iterable[_Candidate]:
    by_seeds = {seeds: answers_of(results, variant.name, seeds) for seeds in questions.queries}
    ways = [each.answer.way for each in results if each.variant == variant.name and each.answer.way.family == family]
    for way in dict.fromkeys(ways):
        answers = {
            seeds: {seed: each for seed, own in found.items() for each in own if each.way == way and each.lists}
            for seeds, found in by_seeds.items()
        }
        lists = {seeds: {seed: each.lists for seed, each in own.items()} for seeds, own in answers.items() if own}
        if not any(lists.values()):
            continue  # the model has no such space
        left_out = max(
            sum(query.class_name in questions.reported for query in each.left_out)
            for own in answers.values()
            for each in own.values()
        )
        yield _Candidate(way.name, lists, way, left_out)


def _row(variant: str, family: str, candidates: Sequence[_Candidate], questions: Questions, of: Variant | None) -> Row:
    if not candidates:
        raise TrainingError(f"Nothing was measured of {variant!r} by {family!r}.")
    best = max(candidates, key=lambda each: _validated(each, questions))
    lists = {
        seeds: {seed: of_classes(each, questions.reported) for seed, each in own.items()}
        for seeds, own in best.lists.items()
    }
    point = None if of is None or best.way is None else (of, best.way)
    return Row(variant, family, best.name, len(candidates), lists, questions.truth, point, best.left_out)


def _validated(candidate: _Candidate, questions: Questions) -> float:
    """Return the mean MAP@10 on the classes that validate, over trainings and numbers of seeds."""
    values = [
        map_at(kept, questions.truth, 10)
        for own in candidate.lists.values()
        for kept in (of_classes(lists, questions.validation) for lists in own.values())
        if kept
    ]
    return fmean(values) if values else 0.0


def seeds_of(rows: Sequence[Row]) -> list[int]:
    """Return the numbers of seeds per query that any row was asked with, rising."""
    return sorted({seeds for row in rows for seeds in row.lists})


def reference_of(row: Row, rows: Sequence[Row], experiment: Experiment) -> Row | None:
    """Return the first variant's row of the same family, or else of the experiment's reference, or else its first."""
    names = [each.name for each in experiment.variants[:1]]
    first = [each for each in rows if each.variant in names and each.about == row.about]
    same = [each for each in first if each.family == row.family]
    return next(iter(same + [each for each in first if each.family.startswith(experiment.reference)] + first), None)
