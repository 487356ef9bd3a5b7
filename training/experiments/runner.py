"""Train the variants of an experiment, ask each model, and measure the baselines beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from entity_expand.corpus import Corpus
from entity_expand.errors import ConfigError, TrainingError
from entity_expand.files import read_json, write_json
from training.baselines import Baseline, baselines, ranked, stored_features
from training.checkpoint import newest
from training.config import TrainingConfig
from training.data import training_set
from training.experiments.describe import Experiment, Variant, trained_config
from training.experiments.made import Made
from training.experiments.measuring import Answer, Questions, ask_run
from training.experiments.records import Records, Result, data_hash, distinct, run_key
from training.experiments.statistics import Lists
from training.loop import train
from training.trainer import Say
from training.validation import LENGTH

_DONE = "finished.json"
_CAP = 1 << 16


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        variant: Of which variant.
        seed: Of weights, sampling and draws.
        config: All its settings.
        key: Names its run.
    """

    variant: Variant
    seed: int
    config: TrainingConfig
    key: str


@dataclass(frozen=True)
class BaselineResult:
    """The lists of a baseline by number of seeds."""

    baseline: Baseline
    lists: dict[int, Lists]


def plan(experiment: Experiment, base: TrainingConfig, corpus: Corpus, seeds: int) -> list[Job]:
    """Return all trainings of an experiment; those that are equal to others of this or another one have their keys.

    Raises:
        ConfigError: A variant changes what there is not, or nothing, or a class that should validate is not there.
        CorpusError: The queries or the truth that validate cannot be read.
        TrainingError: `seeds` is below 1.
    """
    if seeds < 1:
        raise TrainingError(f"{seeds} seeds of randomness were asked for; at least 1 is needed, 3 for an interval.")
    if same := changes_nothing(experiment, base):
        out = " ".join(f"--without {name!r}" for name in same)
        raise ConfigError(f"Variants of {experiment.name!r} that change nothing in this configuration: add {out}.")
    hashed, found = cache(partial(data_hash, corpus)), []  # reading the files for each job would take seconds
    for variant in experiment.variants:
        for seed in range(base.loop.seed, base.loop.seed + seeds):
            config = trained_config(base, variant, seed)
            found.append(Job(variant, seed, config, run_key(config, hashed(config.validation))))
    return found


def changes_nothing(experiment: Experiment, base: TrainingConfig) -> list[str]:
    """Return the variants that are the first one under a base configuration; of one parameter's values one may be."""
    configs = [trained_config(base, each, base.loop.seed) for each in experiment.variants]
    further = list(zip(experiment.variants, configs, strict=True))[1:]
    return [variant.name for variant, config in further if config == configs[0] and not variant.parameter]


def folder_of(job: Job, work: Path) -> Path:
    """Return the folder of a job's run."""
    return work / "runs" / job.key


def trained(job: Job, corpus: Corpus, work: Path, say: Say) -> Path:
    """Train a job unless it has been; an interrupted one goes on. Return the folder of its run."""
    run = folder_of(job, work)
    if not is_trained(job, work):
        say(f"training {job.variant.name!r}, seed {job.seed}")
        progress = train(job.config, corpus, run, cache=work / "cache", say=say)
        write_json(run / _DONE, {"steps": progress.step, "epochs": progress.epoch, **Made.here().kept()})
    return run


def trained_to_ask(job: Job, corpus: Corpus, work: Path, say: Say) -> Path:
    """Train a job unless it has been, and return the folder of its run, which has a checkpoint.

    Raises:
        TrainingError: Its checkpoints were deleted.
    """
    run = trained(job, corpus, work, say)
    if newest(run) is None:
        raise TrainingError(
            f"The checkpoints of {run} are gone, so that {job.variant.name!r} cannot be asked anything further; delete "
            "that folder to train it anew."
        )
    return run


def is_trained(job: Job, work: Path) -> bool:
    """Return whether a job has been trained to its end."""
    return (folder_of(job, work) / _DONE).is_file()


def made_by(job: Job, work: Path) -> Made:
    """Return what trained a job that has been; unknown where nothing of its run was kept.

    Raises:
        TrainingError: What was kept is damaged.
    """
    return Made.of(read_json(folder_of(job, work) / _DONE, _CAP, TrainingError) if is_trained(job, work) else {})


def measured(
    experiment: Experiment, jobs: Sequence[Job], corpus: Corpus, questions: Questions, work: Path, say: Say
) -> list[Result]:
    """Train and ask all jobs; what has been measured before of the same queries is read.

    Args:
        experiment: Its ways.
        jobs: Of `plan`.
        corpus: The corpus.
        questions: What to ask.
        work: Folder for runs, caches and results; others may share it.
        say: Receives lines about the progress.
    """
    records, queries, found = Records(work / "results.jsonl"), questions.queries, []
    for job in jobs:
        open_ways = distinct([way for way in experiment.ways if not records.answers(job.key, way, queries)])
        if open_ways:
            run = trained_to_ask(job, corpus, work, say)
            say(f"asking {job.variant.name!r}, seed {job.seed}, in {len(open_ways)} ways")
            records.add(job.key, ask_run(run, job.config, corpus, open_ways, questions, work / "cache"))
        for way in experiment.ways:
            for each in records.answers(job.key, way, queries):
                made = records.made(job.key, way, each.seeds)
                found.append(Result(job.key, job.variant.name, job.seed, each, made))
    return found


def baseline_results(
    experiment: Experiment, base: TrainingConfig, corpus: Corpus, questions: Questions, work: Path,
    checkpoints: Sequence[Path] = (),
) -> list[BaselineResult]:  # fmt: skip
    """Measure the baselines of an experiment, shown the samples that the models are trained on.

    Args:
        experiment: Its families.
        base: Names the backbones.
        corpus: The corpus.
        questions: What to ask.
        work: Folder for caches.
        checkpoints: Folders of CLIP-like and BLIP-like models.
    """
    if not experiment.families:
        return []
    data = training_set(corpus, base.data)
    features = stored_features(corpus, data.samples[: data.trained], base, work / "cache", checkpoints)
    families = (*experiment.families, *(("pretrained",) if checkpoints else ()))
    return [
        BaselineResult(each, {seeds: ranked(each, asked, LENGTH) for seeds, asked in questions.queries.items()})
        for each in baselines(features, families)
    ]


def answers_of(results: Sequence[Result], variant: str, seeds: int) -> dict[int, list[Answer]]:
    """Return the answers of a variant for a number of seeds per query, by seed of the training."""
    found: dict[int, list[Answer]] = {}
    for result in results:
        if result.variant == variant and result.answer.seeds == seeds:
            found.setdefault(result.seed, []).append(result.answer)
    return found
