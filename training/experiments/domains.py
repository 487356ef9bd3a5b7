"""Trained on one half of the domains, asked about the other: by features, and by predicted rows of the head."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from entity_expand.corpus import Corpus
from entity_expand.errors import ConfigError, CorpusError
from entity_expand.files import read_json
from entity_expand.search.scoring import entity_rows, head_rows, head_statistics, predicted_rows
from training.baselines import baselines, ranked, stored_features
from training.config import TrainingConfig
from training.data import training_set
from training.experiments.describe import Experiment, Way
from training.experiments.encoding import Trained
from training.experiments.measuring import Questions, Tables, answers
from training.experiments.parts import write_part
from training.experiments.records import data_hash, run_key
from training.experiments.rows import Row, rows_of
from training.experiments.runner import BaselineResult, Job, plan, trained_to_ask
from training.experiments.statistics import Lists, Truth, of_classes
from training.features import EntityFeatures
from training.ridge import fit_ridge
from training.table import EntityTable, entity_table
from training.trainer import Say
from training.validation import LENGTH

_HIERARCHY = "class_hierarchy.json"
_CAP = 16 << 20
ALL, OTHER = "trained on all", "trained on the other half"


@dataclass(frozen=True)
class Half:
    """One half of the domains.

    Attributes:
        name: The domains in words.
        classes: Its classes.
        members: Ids of their members; those of classes of both halves are in neither.
    """

    name: str
    classes: frozenset[str]
    members: frozenset[str]


def halves_of(corpus: Corpus, truth: Truth, domains: Mapping[str, frozenset[str]]) -> tuple[Half, Half]:
    """Deal domains into two halves with about as many classes, the largest domains first.

    Args:
        corpus: The corpus.
        truth: Members of each class.
        domains: Classes of each domain.

    Raises:
        CorpusError: Fewer than two domains have classes.
    """
    own = {name: classes & truth.keys() for name, classes in domains.items() if classes & truth.keys()}
    if len(own) < 2:
        raise CorpusError(f"{corpus.root} has classes of {len(own)} domains; two are needed to train on one of them.")
    parts: tuple[list[str], list[str]] = ([], [])
    for name in sorted(own, key=lambda each: (-len(own[each]), each)):
        sizes = [sum(len(own[each]) for each in part) for part in parts]
        parts[int(sizes[1] < sizes[0])].append(name)
    classes = [frozenset().union(*(own[name] for name in part)) for part in parts]
    members = [frozenset().union(*(truth[name] for name in each)) for each in classes]
    shared = members[0] & members[1]
    return tuple(  # type: ignore[return-value]
        Half(" and ".join(part), own_classes, own_members - shared)
        for part, own_classes, own_members in zip(parts, classes, members, strict=True)
    )


def read_domains(corpus: Corpus) -> dict[str, frozenset[str]]:
    """Read the classes of each coarse domain from the corpus' class_hierarchy.json.

    Raises:
        CorpusError: There is no such file.
    """
    whole = read_json(corpus.root / _HIERARCHY, _CAP, CorpusError)
    return {name: frozenset(fine for middle in inner.values() for fine in middle) for name, inner in whole.items()}


def parse_domains(text: str) -> dict[str, frozenset[str]]:
    """Read domains from JSON such as {"animals": ["bird", "insect"], "things": ["tool"]}.

    Raises:
        ConfigError: It is no such JSON.
    """
    try:
        return {str(name): frozenset(map(str, classes)) for name, classes in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError) as problem:
        raise ConfigError(f"Domains should be JSON of lists of classes by domain, not {text[:60]!r}.") from problem


def domain_rows(
    experiment: Experiment, base: TrainingConfig, corpus: Corpus, questions: Questions, work: Path, seeds: int,
    domains: Mapping[str, frozenset[str]], say: Say,
) -> list[Row]:  # fmt: skip
    """Train on all and on each half, and ask about the other half's classes among entities that were not trained on.

    The candidates of a half are all entities but those of the other, for all models and baselines alike.
    """
    halves, found = halves_of(corpus, questions.truth, domains), []
    everywhere = plan(experiment, base, corpus, seeds)
    for target, other in (halves, halves[::-1]):
        asked = replace(
            questions,
            queries={
                number: tuple(query for query in queries if query.class_name in target.classes)
                for number, queries in questions.queries.items()
            },
        )
        candidates = frozenset(entity.id for entity in corpus.entities) - other.members
        part = _part(corpus, base, other, work)
        lists: dict[tuple[str, str], dict[int, dict[int, Lists]]] = {}
        with Corpus.open(part, per_mention=base.data.per_mention) as half:
            for job, near in zip(everywhere, plan(experiment, base, half, seeds), strict=True):
                for label, tables in (
                    (ALL, _within(job, corpus, candidates, experiment.ways, work, say)),
                    (OTHER, _across(near, half, corpus, candidates, experiment.ways, work, say)),
                ):
                    for way, (table, ids) in tables.items():
                        for answer in answers(table, ids, way, asked, base.validation.search):
                            own = lists.setdefault((label, f"{way.family}, {way.name}"), {})
                            own.setdefault(answer.seeds, {})[job.seed] = of_classes(answer.lists, questions.reported)
        about = f"about {target.name}"
        found += [Row(label, way, "", 1, each, questions.truth, about=about) for (label, way), each in lists.items()]
        found += _untrained(experiment, base, corpus, asked, candidates, about, work)
    return found


def domain_jobs(
    experiment: Experiment, base: TrainingConfig, corpus: Corpus, halves: tuple[Half, Half], work: Path, seeds: int
) -> list[Job]:
    """Return all trainings: on all, and on each half, whose variants are called after it."""
    found = plan(experiment, base, corpus, seeds)
    for half in halves:
        with Corpus.open(_part(corpus, base, half, work), per_mention=base.data.per_mention) as part:
            for job in plan(experiment, base, part, seeds):
                found.append(replace(job, variant=replace(job.variant, name=f"trained on {half.name}")))
    return found


def _part(corpus: Corpus, base: TrainingConfig, half: Half, work: Path) -> Path:
    # Which classes validate in a part is dealt out among its own, so that it depends on all queries and all truth.
    whole = data_hash(corpus, replace(base.validation, classes=(), share=1.0))
    key = run_key(base, f"{whole} {' '.join(sorted(half.members))}")
    return write_part(corpus, work / "parts" / key, half.members)


def _within(
    job: Job, corpus: Corpus, candidates: frozenset[str], ways: Sequence[Way], work: Path, say: Say
) -> dict[Way, tuple[EntityTable, list[str]]]:
    """Return tables of the candidates under a model that was trained on all."""
    data = training_set(corpus, job.config.data)
    run = trained_to_ask(job, corpus, work, say)
    model = Trained.load(run, corpus, data.samples, data.labels[: data.trained], work / "cache")
    ids = [entity.id for entity in data.entities]
    inside, tables, found = np.array([each in candidates for each in ids]), Tables(model, job.seed), {}
    for way in ways:
        features = tables.features(way)
        kept = inside[features.entities]
        part = EntityFeatures(features.entities[kept], features.means[kept])
        found[way] = (entity_table(part, model.model.head_rows()), ids)
    return found


def _across(
    job: Job, half: Corpus, corpus: Corpus, candidates: frozenset[str], ways: Sequence[Way], work: Path, say: Say
) -> dict[Way, tuple[EntityTable, list[str]]]:
    """Return tables of the candidates under a model that was trained on none of them."""
    data = training_set(half, job.config.data)
    run, cache = trained_to_ask(job, half, work, say), work / "cache"
    near = Trained.load(run, half, data.samples, data.labels[: data.trained], cache)
    ids = [entity.id for entity in corpus.entities]
    inside = np.array([each in candidates for each in ids])
    samples = training_set(corpus, replace(job.config.data, held_out=None)).samples
    samples = samples[inside[corpus.sample_entity[samples]]]
    far = Trained.load(run, corpus, samples, corpus.sample_entity[samples].astype(np.int64), cache)
    weight, bias = (each.detach().float().cpu().numpy() for each in near.model.head_rows())
    rows = head_rows(weight, bias)
    statistics, trained_on, asked = head_statistics(rows), Tables(near, job.seed), Tables(far, job.seed)
    found = {}
    for way in ways:
        known, features = trained_on.features(way), asked.features(way)
        ridge = fit_ridge(known.means, rows[known.entities], job.seed).matrix
        stored = entity_rows(features.means, predicted_rows(features.means, ridge), rows, statistics)
        found[way] = (EntityTable(features.entities, len(rows), stored), ids)
    return found


def _untrained(
    experiment: Experiment, base: TrainingConfig, corpus: Corpus, asked: Questions, candidates: frozenset[str],
    about: str, work: Path,
) -> list[Row]:  # fmt: skip
    data = training_set(corpus, base.data)
    samples = data.samples[: data.trained]
    inside = np.array([entity.id in candidates for entity in corpus.entities])
    features = stored_features(corpus, samples[inside[corpus.sample_entity[samples]]], base, work / "cache")
    results = [
        BaselineResult(each, {number: ranked(each, queries, LENGTH) for number, queries in asked.queries.items()})
        for each in baselines(features, experiment.families)
    ]
    return [replace(row, about=about) for row in rows_of(replace(experiment, variants=()), (), results, asked)]
