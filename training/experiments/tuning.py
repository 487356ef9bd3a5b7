"""Equal trials: every variant is trained once at each of some learning rates, and the classes that validate choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from entity_expand.corpus import Corpus
from entity_expand.errors import TrainingError
from training.config import TrainingConfig
from training.experiments.curves import Curve, curve_of
from training.experiments.describe import Experiment
from training.experiments.runner import Job, plan, trained
from training.experiments.views import Table
from training.trainer import Say

_RATE = "loop.learning_rate"


@dataclass(frozen=True)
class Trial:
    """One training of a variant at one learning rate.

    Attributes:
        variant: Name of the variant.
        rate: The learning rate.
        curve: What validation found after each epoch.
    """

    variant: str
    rate: float
    curve: Curve

    @property
    def quality(self) -> float:
        """MAP@10 of the best epoch on the classes that validate.

        Raises:
            TrainingError: Nothing was measured.
        """
        if not self.curve.points:
            raise TrainingError(
                f"The trial of {self.variant!r} at {_RATE} = {self.rate:g} has no validation; its run needs queries, "
                "and its metrics.jsonl."
            )
        return max(point.quality for point in self.curve.points)


def trial_jobs(experiment: Experiment, base: TrainingConfig, corpus: Corpus) -> list[tuple[float, Job]]:
    """Return the trial of every variant at each of the experiment's rates, all with the first seed."""
    return [
        (rate, job)
        for rate in experiment.rates
        for job in plan(_at(experiment, dict.fromkeys(_names(experiment), rate)), base, corpus, 1)
    ]


def tuned(
    experiment: Experiment, base: TrainingConfig, corpus: Corpus, work: Path, say: Say
) -> tuple[Experiment, list[Trial]]:
    """Try every variant at each of the experiment's rates, and return the experiment with the best rate of each.

    Args:
        experiment: With rates; without any it is returned as it is.
        base: The base configuration.
        corpus: To train on.
        work: Folder for runs and caches.
        say: Receives lines about the progress.

    Returns:
        The experiment, and the trials variant by variant, by rising rate.

    Raises:
        TrainingError: A trial has no validation.
    """
    trials = []
    for rate, job in trial_jobs(experiment, base, corpus):
        trained(job, corpus, work, say)
        trials.append(Trial(job.variant.name, rate, curve_of(job, work)))
    order = {name: place for place, name in enumerate(_names(experiment))}
    return _at(experiment, chosen_rates(trials)), sorted(trials, key=lambda each: (order[each.variant], each.rate))


def chosen_rates(trials: Sequence[Trial]) -> dict[str, float]:
    """Return the rate of each variant's best trial."""
    names = dict.fromkeys(each.variant for each in trials)
    return {
        name: max((each for each in trials if each.variant == name), key=lambda each: each.quality).rate
        for name in names
    }


def trial_table(trials: Sequence[Trial]) -> Table:
    """Return the curves of all trials by rate; the chosen one says so."""
    rates, chosen = sorted({each.rate for each in trials}), chosen_rates(trials)
    lines = []
    for name, best in chosen.items():
        own = {each.rate: str(each.curve) for each in trials if each.variant == name}
        own[best] += "; chosen"
        lines.append((name, *(own.get(rate, "-") for rate in rates)))
    text = (
        "Every variant had one training at each learning rate: MAP@10 in percent on the classes that validate, after "
        "each epoch, * at the best one. The rows above are trained at the rate that was chosen."
    )
    return Table("Trials", text, ("", *(f"{rate:g}" for rate in rates)), tuple(lines))


def _names(experiment: Experiment) -> list[str]:
    return [each.name for each in experiment.variants]


def _at(experiment: Experiment, rates: dict[str, float]) -> Experiment:
    variants = tuple(
        replace(each, changes=(*each.changes, (_RATE, rates[each.name]))) if each.name in rates else each
        for each in experiment.variants
    )
    return replace(experiment, variants=variants)
