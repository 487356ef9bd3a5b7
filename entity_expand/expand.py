"""Expand a set: seeds in, the ranked rest of their class out.

The seeds are resolved to entities, the set is grown one entity at a time and ranked (`search.py`), and what comes out
is described for people. A store that holds the scores of all pairs hands over all its entities as one pool to search
in; from any other store pools are fetched by nearest-neighbour queries (`plan.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from entity_expand.errors import AmbiguousSeedError, CorpusError, QueryError, UnknownSeedError
from entity_expand.files import confined
from entity_expand.plan import ExpandSettings, Ranking, StoreFacts, plan, run, search_whole
from entity_expand.results import Expansion, Result, Seed
from entity_expand.stores.base import Evidence, Record, Store
from entity_expand.stores.memory import MemoryStore
from entity_expand.types import Int64

MOST_SEEDS = 1_000
MOST_RESULTS = 10_000
_LONGEST_NAME = 1_000


def rank_positions(store: Store, seeds: Int64, size: int, settings: ExpandSettings, excluded: Int64) -> Ranking:
    """Expand one set of positions by the way that fits the store and the settings; arguments as for `plan`."""
    if settings.space == "features":
        by_seeds_alone = dataclasses.replace(settings.search, window=1, window_growth=0, grow=False, rerank=False)
        return search_whole(store.features(), seeds, size, by_seeds_alone, excluded)
    whole = store.whole(settings.both_directions)
    if whole is not None:
        return search_whole(whole, seeds, size, settings.search, excluded)
    norm = store.largest_norm(settings.both_directions != 0)
    facts = StoreFacts(store.meta.vocabulary, store.meta.entities, norm)
    return run(plan(seeds, size, settings, excluded, facts), store)


class Expander:
    """Expands sets over one index. Safe for use from several threads; arguments are never changed.

    Args:
        store: The opened index.
        pictures: Folder that the pictures' paths are relative to. None: the corpus as it lay when it was indexed.
    """

    def __init__(self, store: Store, pictures: Path | str | None = None) -> None:
        self.store = store
        self._pictures = Path(store.meta.corpus_folder if pictures is None else pictures)

    @classmethod
    def open(cls, index: Path | str, pictures: Path | str | None = None) -> Expander:
        """Open an index folder.

        Raises:
            StoreError: It is missing or damaged.
        """
        return cls(MemoryStore.open(index), pictures)

    def __enter__(self) -> Expander:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def expand(
        self,
        seeds: Sequence[str],
        size: int = 100,
        *,
        exclude: Sequence[str] = (),
        settings: ExpandSettings | None = None,
    ) -> Expansion:
        """Return the rest of the set that the seeds are examples of.

        Args:
            seeds: Ids, names or aliases, at least one.
            size: How many results; fewer come back if the index has no more.
            exclude: Ids, names or aliases that must not come back.
            settings: How to expand; None for the paper's.

        Raises:
            UnknownSeedError: A seed names nothing; near spellings are suggested.
            AmbiguousSeedError: A seed names several entities; they are listed.
            QueryError: No seed, too many, one given twice or also excluded, or a size out of range.
        """
        if isinstance(seeds, str) or not 1 <= len(seeds) <= MOST_SEEDS or not 1 <= size <= MOST_RESULTS:
            raise QueryError(
                f"An expansion takes a list of 1 to {MOST_SEEDS:,} seeds and a size of 1 to {MOST_RESULTS:,}; "
                f"got {seeds if isinstance(seeds, str) else len(seeds)!r} and {size}."
            )
        positions = [self._resolve(seed) for seed in seeds]
        if len(set(positions)) != len(positions):
            raise QueryError(f"The seeds {list(seeds)} name the same entity more than once.")
        excluded = sorted({self._resolve(name) for name in exclude})
        if set(excluded) & set(positions):
            raise QueryError(f"The entities {list(exclude)} to exclude are among the seeds {list(seeds)}.")
        chosen = settings or ExpandSettings()
        of_seeds, closed = np.array(positions, dtype=np.int64), np.array(excluded, dtype=np.int64)
        return self._describe(of_seeds, rank_positions(self.store, of_seeds, size, chosen, closed))

    def _resolve(self, seed: str) -> int:
        if not isinstance(seed, str) or len(seed) > _LONGEST_NAME:
            raise QueryError(f"A seed is a text of at most {_LONGEST_NAME:,} characters, not {str(seed)[:40]!r}.")
        found = self.store.lookup(seed)
        if not found:
            raise UnknownSeedError(seed, self.store.suggestions(seed, limit=3))
        if len(found) > 1:
            readings = [record.entity for record in self.store.records(found[:20])]
            raise AmbiguousSeedError(seed, tuple((entity.id, entity.name) for entity in readings))
        return found[0]

    def _describe(self, seeds: Int64, ranking: Ranking) -> Expansion:
        records = self.store.records([*seeds.tolist(), *ranking.positions.tolist()])
        given = tuple(Seed(*_shown(record), record.evidence) for record in records[: len(seeds)])
        columns = zip(records[len(seeds) :], ranking.scores.tolist(), ranking.similarities.tolist(), strict=True)
        results = tuple(
            Result(rank, *_shown(record), record.evidence, score, similarity)
            for rank, (record, score, similarity) in enumerate(columns, 1)
        )
        return Expansion(given, results, ranking.exact, ranking.fetches)

    def picture(self, evidence: Sequence[Evidence]) -> Path | None:
        """Return the file of the first picture among some evidence; None if there is none inside the folder."""
        for item in evidence:
            if item.image is not None:
                with contextlib.suppress(CorpusError):
                    return confined(self._pictures, item.image, CorpusError)
        return None


def _shown(record: Record) -> tuple[str, str, Mapping[str, str]]:
    return record.entity.id, record.entity.name, record.entity.attributes
