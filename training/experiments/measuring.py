"""Lists that a trained model gives for the queries of a corpus, in every way that an experiment asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from entity_expand.corpus import Corpus, Query, read_queries, read_truth
from entity_expand.errors import CorpusError, TrainingError
from entity_expand.search.plan import ExpandSettings
from entity_expand.search.window import SearchSettings
from entity_expand.types import Int64
from training.baselines.ranking import by_scores, ranked, standardised
from training.baselines.vectors import VectorTable, centred
from training.config import TrainingConfig, ValidationSettings
from training.data import training_set
from training.experiments.describe import Way
from training.experiments.encoding import Trained
from training.experiments.statistics import Truth
from training.features import EntityFeatures, weighed
from training.table import EntityTable, cosine_table, entity_table
from training.validation import LENGTH, chosen_classes

FOLDERS: Mapping[int, str] = {3: "query", 5: "query_seed=5"}


@dataclass(frozen=True)
class Questions:
    """What is asked, and what is right.

    Attributes:
        queries: By number of seeds, those that the corpus has.
        truth: Members of each class.
        validation: The classes that choose the best epoch and the way to ask; the others are reported.
    """

    queries: Mapping[int, tuple[Query, ...]]
    truth: Truth
    validation: frozenset[str]

    @property
    def reported(self) -> frozenset[str]:
        """The classes that are reported."""
        return frozenset(self.truth) - self.validation

    @classmethod
    def of(cls, corpus: Corpus, settings: ValidationSettings) -> Questions:
        """Read the queries and the truth of a corpus, and deal out its classes as the trainer does.

        Raises:
            ConfigError: The settings name a class that there is not.
            CorpusError: There are no queries, or no class is left to be reported.
        """
        queries = {
            seeds: read_queries(corpus.root / name) for seeds, name in FOLDERS.items() if (corpus.root / name).is_dir()
        }
        if not queries:
            raise CorpusError(f"{corpus.root} has no queries; expected a folder {' or '.join(FOLDERS.values())}.")
        truth = read_truth(corpus.root / settings.truth)
        found = cls(queries, truth, chosen_classes(truth, settings))
        if not found.reported or not found.validation:
            raise CorpusError(
                f"{len(found.validation)} classes validate and {len(found.reported)} are reported; set "
                "validation.share or validation.classes so that there are some of both."
            )
        return found


@dataclass(frozen=True)
class Answer:
    """The lists of one way and one number of seeds.

    Attributes:
        way: How the model was asked.
        seeds: Per query.
        lists: Ids by query, best first, without the seeds.
        left_out: The queries with a seed that the way shows nothing of; all, if the model has no such space.
    """

    way: Way
    seeds: int
    lists: Mapping[Query, tuple[str, ...]]
    left_out: tuple[Query, ...]

    @classmethod
    def of(cls, way: Way, seeds: int, lists: Mapping[Query, tuple[str, ...]], queries: Sequence[Query]) -> Answer:
        """Return the answer to some queries; those without a list are left out."""
        return cls(way, seeds, lists, tuple(query for query in queries if query not in lists))


def ask_run(
    run: Path, config: TrainingConfig, corpus: Corpus, ways: Sequence[Way], questions: Questions, cache: Path
) -> list[Answer]:
    """Ask the best model of a run about the entities that it was trained on, shown the samples of its training.

    Args:
        run: Folder of the run.
        config: Its settings.
        corpus: The corpus that it was trained on.
        ways: How to ask.
        questions: What to ask.
        cache: Folder of the caches.
    """
    data = training_set(corpus, config.data)
    trained = Trained.load(run, corpus, data.samples, data.labels[: data.trained], cache)
    ids = [entity.id for entity in data.entities]
    tables = Tables(trained, config.loop.seed)
    found = []
    for way in ways:
        if way.space == "projections" and not trained.projects:
            found += [Answer.of(way, seeds, {}, queries) for seeds, queries in questions.queries.items()]
        elif way.standardised:
            found += standardised_answers(tables.features(way), ids, way, questions)
        else:
            found += answers(tables.of(way), ids, way, questions, config.validation.search)
    return found


class Tables:
    """Tables of entities by way; what several ways share is encoded once."""

    def __init__(self, trained: Trained, seed: int) -> None:
        self._trained, self._seed = trained, seed
        self._features: dict[Way, EntityFeatures] = {}

    def features(self, way: Way) -> EntityFeatures:
        """Return the mean features of the entities."""
        if way.shown == "apart" and way.missing == 1:
            return self.features(replace(way, shown="text"))
        if way.shown == "apart":
            text, picture = (self.features(replace(way, shown=each)) for each in ("text", "picture"))
            return weighed(text, picture, way.picture_weight)
        space = "features" if way.space == "heads" else way.space
        key = Way("", way.shown, space, pictures=way.pictures, missing=way.missing, wrong=way.wrong)
        if way.shown == "text":
            key = Way("", "text", space)
        if key not in self._features:
            self._features[key] = self._trained.features(key, self._seed)
        return self._features[key]

    def of(self, way: Way) -> EntityTable:
        """Return the table of the entities."""
        features, head = self.features(way), self._trained.model.head_rows()
        by_cosines = way.space in ("hidden", "projections")
        return cosine_table(features, len(head[1])) if by_cosines else entity_table(features, head)


def answers(
    table: EntityTable, ids: Sequence[str], way: Way, questions: Questions, search: SearchSettings
) -> list[Answer]:
    """Expand all queries on their own.

    Args:
        table: The candidates.
        ids: Of the entities, by the numbers that the table calls them.
        way: How to score.
        questions: What to ask.
        search: How the sets grow and are ranked.

    Raises:
        TrainingError: No query has seeds that are all in the table.
    """
    settings = ExpandSettings(way.both_directions, "heads" if way.space == "heads" else "features", search)
    found = []
    for seeds, queries in questions.queries.items():
        rows = dict(_known(table, ids, queries))
        if not rows:
            raise TrainingError(f"No query of {seeds} seeds can be asked by {way.family!r}: no seed has any features.")
        ranked = table.expanded(list(rows.values()), LENGTH, settings)
        lists = {query: tuple(ids[row] for row in each.tolist()) for query, each in zip(rows, ranked, strict=True)}
        found.append(Answer.of(way, seeds, lists, queries))
    return found


def standardised_answers(features: EntityFeatures, ids: Sequence[str], way: Way, questions: Questions) -> list[Answer]:
    """Rank all entities for each query by standardised cosines, as untrained baselines do.

    Args:
        features: Of the candidates.
        ids: Of the entities, by the numbers that the features call them.
        way: Its λ counts.
        questions: What to ask.
    """
    own = tuple(ids[entity] for entity in features.entities.tolist())
    table = standardised(VectorTable(way.name, own, centred(features.means)))
    baseline = by_scores([table], [1.0], way.name, way.family, way.both_directions)
    there, found = set(own), []
    for seeds, queries in questions.queries.items():
        known = [query for query in queries if there.issuperset(query.seeds)]
        lists = {query: tuple(each) for query, each in ranked(baseline, known, LENGTH).items()}
        found.append(Answer.of(way, seeds, lists, queries))
    return found


def _known(table: EntityTable, ids: Sequence[str], queries: Iterable[Query]) -> Iterable[tuple[Query, Int64]]:
    row_of = {identifier: row for row, identifier in enumerate(ids)}
    for query in queries:
        rows = np.array([row_of.get(seed, -1) for seed in query.seeds], dtype=np.int64)
        if (rows >= 0).all() and (table.places(rows) >= 0).all():
            yield query, rows
