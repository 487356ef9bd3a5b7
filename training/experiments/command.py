"""An experiment from its name to its document."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from entity_expand.corpus import Corpus
from entity_expand.errors import ConfigError
from training.config import TrainingConfig
from training.experiments.base import config_described
from training.experiments.cost import (
    IN_TABLE,
    LENGTHS,
    ON_DEMAND,
    SHARES,
    ExpansionCost,
    TrainingCost,
    expansion_costs,
    training_costs,
)
from training.experiments.cost_views import MEASURED, cost_views
from training.experiments.curves import curve_of, curve_views
from training.experiments.describe import Experiment
from training.experiments.domains import domain_jobs, domain_rows, halves_of, read_domains
from training.experiments.made import Made, described
from training.experiments.measuring import Questions
from training.experiments.plots import Panel
from training.experiments.ranks import more_seeds_tables, rank_panels, rank_table
from training.experiments.registry import EXPERIMENTS
from training.experiments.report import Origin, write_report
from training.experiments.rows import BASELINE, Row, rows_of
from training.experiments.runner import Job, baseline_results, is_trained, made_by, measured, plan
from training.experiments.tuning import trial_jobs, trial_table, tuned
from training.experiments.views import (
    Table,
    class_table,
    margin_table,
    parameter_panels,
    quality_panel,
    quality_table,
    sense_table,
    share_panel,
)
from training.trainer import Say


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        experiment: Which one.
        config: The base configuration.
        seeds: Trainings of each variant.
        work: Folder for runs, caches and results; experiments share it.
        checkpoints: Folders of CLIP-like and BLIP-like models, as further baselines.
        domains: Classes of each domain, for "domains"; None reads them from the corpus.
        command: As it was typed, folders without the way to them.
    """

    experiment: Experiment
    config: TrainingConfig
    seeds: int
    work: Path
    checkpoints: tuple[Path, ...] = ()
    domains: Mapping[str, frozenset[str]] | None = None
    command: str = ""


def experiment_named(name: str, without: Collection[str] = ()) -> Experiment:
    """Return an experiment.

    Args:
        name: Of it.
        without: Names of variants that are left out.

    Raises:
        ConfigError: There is none of this name, or no such variant.
    """
    if name not in EXPERIMENTS:
        raise ConfigError(f"There is no experiment {name!r}; there are {', '.join(EXPERIMENTS)}.")
    experiment = EXPERIMENTS[name]
    names = [variant.name for variant in experiment.variants]
    if unknown := set(without) - set(names):
        raise ConfigError(f"{name!r} has no variant {sorted(unknown)[0]!r}; it has {', '.join(names) or 'none'}.")
    return replace(experiment, variants=tuple(each for each in experiment.variants if each.name not in without))


def planned(request: Request, corpus: Corpus) -> list[str]:
    """Return the plan in lines: trainings, those that are done, ways and baselines.

    Raises:
        ConfigError: A variant does not fit the base configuration.
        CorpusError: The corpus lacks what the experiment needs.
    """
    experiment = request.experiment
    lines = [f"{experiment.name}: {experiment.title}", f"corpus: {corpus.root.name}, {len(corpus.entities):,} entities"]
    if experiment.kind == "cost":
        lines.append(f"expansions: K in {LENGTHS}, n in {IN_TABLE} in a table of scores, in {ON_DEMAND} on demand")
        lines.append(f"trainings: 2 epochs on each of {SHARES} of the corpus")
        return lines
    questions = Questions.of(corpus, request.config.validation)
    lines.append(f"classes: {len(questions.validation)} validate, {len(questions.reported)} are reported")
    jobs = plan(experiment, request.config, corpus, request.seeds)
    lines += [f"- {variant.name}: {variant.described}" for variant in experiment.variants]
    factor = 1
    if experiment.kind == "domains":
        halves = halves_of(corpus, questions.truth, request.domains or read_domains(corpus))
        lines += [f"- half: {half.name}, {len(half.classes)} classes, {len(half.members)} entities" for half in halves]
        factor = 3
    jobs += [job for _, job in trial_jobs(experiment, request.config, corpus)]
    if experiment.rates:
        lines.append(f"trials: each variant at {', '.join(f'{rate:g}' for rate in experiment.rates)}")
    different = {job.key: job for job in jobs}
    done = sum(is_trained(job, request.work) for job in different.values())
    lines.append(
        f"trainings: {factor * len(different)} ({len(experiment.variants)} variants, {request.seeds} seeds), {done} "
        f"done; {len(experiment.ways)} ways to ask each"
    )
    return [*lines, f"baselines: {', '.join(experiment.families) or 'none'}"]


def perform(request: Request, corpus: Corpus, out: Path, say: Say) -> None:
    """Do an experiment and write its document; what a run before has done is not done again.

    Args:
        request: What is asked for.
        corpus: The corpus.
        out: The document.
        say: Receives lines about the progress.
    """
    experiment = request.experiment
    if experiment.kind == "cost":
        expansions = [
            *expansion_costs(IN_TABLE, LENGTHS, True, request.work, say),
            *expansion_costs(ON_DEMAND, LENGTHS, False, request.work, say),
        ]
        trainings = training_costs(request.config, corpus, SHARES, request.work, say)
        tables, panels = cost_views(expansions, trainings)
        notes: tuple[str, ...] = (MEASURED,)
        costs: list[ExpansionCost | TrainingCost] = [*expansions, *trainings]
        made = {"measured": [each for cost in costs for each in cost.made]}
    else:
        questions = Questions.of(corpus, request.config.validation)
        experiment, trials = tuned(experiment, request.config, corpus, request.work, say)
        request = replace(request, experiment=experiment)
        rows, asked = _rows(request, corpus, questions, say)
        tables, panels = shown(experiment, rows, corpus)
        jobs = _jobs(request, corpus, questions)
        tried = [job for _, job in trial_jobs(experiment, request.config, corpus)]
        made = {"trained": [made_by(job, request.work) for job in (*jobs, *tried)], "asked": asked}
        if trials:
            tables.append(trial_table(trials))
        if experiment.variants:
            table, further = curve_views([curve_of(job, request.work) for job in jobs])
            tables.append(table)
            panels += further
        if len(experiment.variants) > 1:
            lines = tuple((each.name, each.described) for each in experiment.variants)
            tables.append(Table("Variants", "What each changes in the base configuration.", ("", "changes"), lines))
        notes = _notes(request, questions)
    notes += (f"Base configuration: {config_described(request.config)}.",)
    made["drawn"] = [Made.here()]
    origin = Origin(request.command, corpus.root.name, corpus.content_hash, notes, tuple(described(made)))
    write_report(out, experiment.title, experiment.question, tables, panels, origin)


def _rows(request: Request, corpus: Corpus, questions: Questions, say: Say) -> tuple[list[Row], list[Made]]:
    """Return the rows, and what made the answers of the models in them."""
    experiment, work = request.experiment, request.work
    if experiment.kind == "domains":
        domains = request.domains or read_domains(corpus)
        rows = domain_rows(experiment, request.config, corpus, questions, work, request.seeds, domains, say)
        return rows, [Made.here()]  # these are asked anew each time
    untrained = baseline_results(experiment, request.config, corpus, questions, work, request.checkpoints)
    jobs = plan(experiment, request.config, corpus, request.seeds)
    results = measured(experiment, jobs, corpus, questions, work, say)
    return rows_of(experiment, results, untrained, questions), [each.made for each in results]


def _jobs(request: Request, corpus: Corpus, questions: Questions) -> list[Job]:
    experiment, config = request.experiment, request.config
    if experiment.kind == "domains":
        halves = halves_of(corpus, questions.truth, request.domains or read_domains(corpus))
        return domain_jobs(experiment, config, corpus, halves, request.work, request.seeds)
    return plan(experiment, config, corpus, request.seeds)


def shown(experiment: Experiment, rows: Sequence[Row], corpus: Corpus) -> tuple[list[Table], list[Panel]]:
    """Return the tables and the panels of all views of an experiment."""
    tables, panels = [quality_table(rows, experiment)], []
    if not {"parameters", "shares", "ranks"} & set(experiment.views):
        panels.append(quality_panel(rows))
    if "margins" in experiment.views:
        tables.append(margin_table(rows))
    if "classes" in experiment.views:
        tables.append(class_table(rows))
    if "senses" in experiment.views:
        tables.append(sense_table(rows, corpus.entities))
    if "parameters" in experiment.views:
        panels += parameter_panels(rows)
    if "shares" in experiment.views:
        panels.append(share_panel(rows))
    if "seeds" in experiment.views:
        tables += more_seeds_tables(rows)
    if "ranks" in experiment.views:
        tables.append(rank_table(rows))
        panels += rank_panels(rows)
    return tables, panels


def _notes(request: Request, questions: Questions) -> tuple[str, ...]:
    count = f"{request.seeds} {'training' if request.seeds == 1 else 'trainings'}"
    trainings = f"{count} of each variant; " if request.experiment.variants else ""
    chosen = "the best epoch and the way to ask were" if request.experiment.variants else "the candidates were"
    further: tuple[str, ...] = ()
    if request.experiment.kind == "domains":
        trainings = f"{count} on all and on each half; "
        chosen = "the best epoch on all and the candidates of baselines were"
        further = (
            "The best epoch on a half was chosen on the classes that validate within it; of a model's scores none is "
            "chosen, each has its row.",
        )
    return (
        f"{trainings}{chosen} chosen on the classes {', '.join(sorted(questions.validation))}; the "
        f"{len(questions.reported)} others are reported.",
        *further,
        f"Text backbone {request.config.text.backbone}, vision backbone {request.config.vision.backbone}; models and "
        "baselines see the same samples, those that are trained on.",
        f"Rows of {BASELINE} features have one value, since nothing about them is drawn.",
    )
