"""Measure the model under training on the queries of classes that are kept for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean
from typing import Literal

import numpy as np

from entity_expand.corpus import Corpus, Query, read_queries, read_truth, validation_classes
from entity_expand.errors import ConfigError, TrainingError
from entity_expand.evaluate import quality
from entity_expand.search.plan import ExpandSettings
from entity_expand.types import Entity, Int64
from training.config import ValidationSettings
from training.table import EntityTable

__all__ = ["LENGTH", "Validator", "chosen_classes", "validation_classes"]

LENGTH = 100
"""Results per query, as `entity-expand evaluate` has them: the ranking of the first ten depends on it."""


class Validator:
    """Queries and truth of the classes that validate.

    Args:
        corpus: The corpus.
        entities: The V entities of the head, in its order.
        settings: Which queries and classes, and how they are expanded.

    Attributes:
        classes: The classes that validate.
        queries: Their queries whose seeds are all trained.
        untrained: How many of their queries have a seed that is not trained; they are left out.

    Raises:
        ConfigError: `settings` name no queries, or a class that there is not.
        CorpusError: A folder cannot be read.
        TrainingError: No query is left.
    """

    def __init__(self, corpus: Corpus, entities: Sequence[Entity], settings: ValidationSettings) -> None:
        if settings.queries is None:
            raise ConfigError("validation.queries is not set; name the folder of the queries, such as 'query'.")
        self._settings, self._ids = settings, [entity.id for entity in entities]
        truth = read_truth(corpus.root / settings.truth)
        self.classes = chosen_classes(truth, settings)
        self._truth = {name: truth[name] for name in self.classes}
        asked = [query for query in read_queries(corpus.root / settings.queries) if query.class_name in self.classes]
        row_of = {identifier: row for row, identifier in enumerate(self._ids)}
        self._rows = {
            query: np.array([row_of[seed] for seed in query.seeds], dtype=np.int64)
            for query in asked
            if all(seed in row_of for seed in query.seeds)
        }
        self.queries = tuple(self._rows)
        self.untrained = len(asked) - len(self.queries)
        if not self.queries:
            raise TrainingError(
                f"None of the {len(asked)} queries of the {len(self.classes)} classes that validate has trained seeds "
                "alone; choose other validation.classes or another validation.share."
            )

    def measure(self, table: EntityTable) -> dict[str, float]:
        """Expand every query on its own and compare the lists with the truth.

        MAP is the textbook's, seeds taken out of list and truth, the mean over classes and then over the numbers of
        the queries, as `entity-expand evaluate` has it in the single protocol for an index of the trained samples.

        Args:
            table: The entities as the model has them now, shown what `settings.modality` says.

        Returns:
            "map@10" and "map@20"; "queries" that were measured, their mean number of "seeds", and "left_out", the
            queries with a seed that is not trained or has nothing to show.

        Raises:
            TrainingError: No query is left.
        """
        rows: Mapping[Query, Int64] = {
            query: rows for query, rows in self._rows.items() if (table.places(rows) >= 0).all()
        }
        if not rows:
            raise TrainingError(f"No seed of a query has a sample that {self._settings.modality!r} shows.")
        chosen = self._settings
        space: Literal["heads", "features"] = "heads" if chosen.space == "heads" else "features"
        settings = ExpandSettings(both_directions=chosen.both_directions, space=space, search=chosen.search)
        lists = table.expanded(list(rows.values()), LENGTH, settings)
        ids = {query: [self._ids[row] for row in found.tolist()] for query, found in zip(rows, lists, strict=True)}
        found = quality(ids, self._truth)
        return {
            "map@10": found.map[10],
            "map@20": found.map[20],
            "queries": len(rows),
            "seeds": fmean(len(query.seeds) for query in rows),
            "left_out": len(self.queries) + self.untrained - len(rows),
        }


def chosen_classes(names: Collection[str], settings: ValidationSettings) -> frozenset[str]:
    """Return the classes that validate: those that the settings name, else their share of all.

    Args:
        names: All classes.
        settings: `classes` and `share`; `truth` is named in the error.

    Raises:
        ConfigError: They name a class that there is not.
    """
    if not settings.classes:
        return validation_classes(names, settings.share)
    unknown = sorted(set(settings.classes) - set(names))
    if unknown:
        raise ConfigError(
            f"validation.classes names {', '.join(map(repr, unknown))}, but {settings.truth!r} has the classes "
            f"{', '.join(sorted(names))}."
        )
    return frozenset(settings.classes)
