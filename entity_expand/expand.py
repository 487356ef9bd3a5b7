"""Expand a set: seeds in, the ranked rest of their class out.

`expansion` is the whole of it, without I/O: the seeds are resolved to entities, the set is grown one entity at a time
and ranked (`search.py`), and what comes out is described for people. A store that holds the scores of all pairs hands
over all its entities as one pool to search in; from any other store pools are fetched by nearest-neighbour queries
(`plan.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from entity_expand.errors import AmbiguousSeedError, QueryError, UnknownSeedError
from entity_expand.growth import Ranking
from entity_expand.plan import ExpandSettings, ranking_steps
from entity_expand.pools import Pool
from entity_expand.results import Expansion, Result, Seed
from entity_expand.stores.base import Describe, Facts, Filter, Lookup, Record, Steps, Suggest, ask
from entity_expand.types import Int64

MOST_SEEDS = 1_000
MOST_RESULTS = 10_000
_LONGEST_NAME = 1_000
_MOST_READINGS = 20


@dataclass(frozen=True, slots=True)
class ExpandQuery:
    """What is asked of an expansion; the arguments of `Expander.expand`.

    Attributes:
        seeds: Ids, names or aliases, at least one.
        size: How many results; fewer come back if the index has no more.
        exclude: Ids, names or aliases that must not come back.
        filter: Which entities may come back; None for all. Seeds need not pass it.
        settings: How to expand; None for the paper's.

    Raises:
        QueryError: No seed, too many, or a size out of range.
    """

    seeds: Sequence[str]
    size: int = 100
    exclude: Sequence[str] = ()
    filter: Filter | None = None
    settings: ExpandSettings | None = None

    def __post_init__(self) -> None:
        seeds, size = self.seeds, self.size
        if isinstance(seeds, str) or not 1 <= len(seeds) <= MOST_SEEDS or not 1 <= size <= MOST_RESULTS:
            raise QueryError(
                f"An expansion takes a list of 1 to {MOST_SEEDS:,} seeds and a size of 1 to {MOST_RESULTS:,}; "
                f"got {seeds if isinstance(seeds, str) else len(seeds)!r} and {size}."
            )
        for name in (*seeds, *self.exclude):
            if not isinstance(name, str) or len(name) > _LONGEST_NAME:
                raise QueryError(f"A seed is a text of at most {_LONGEST_NAME:,} characters, not {str(name)[:40]!r}.")


def expansion(query: ExpandQuery, facts: Facts, whole: Pool | None) -> Steps[Expansion]:
    """Expand one set.

    Args:
        query: What is asked.
        facts: About the index.
        whole: All entities with their scores, if the store has them at hand for these settings.

    Raises:
        UnknownSeedError: A seed names nothing; near spellings are suggested.
        AmbiguousSeedError: A seed names several entities; they are listed.
        QueryError: A seed is given twice or also excluded, or the index cannot be asked in this way.
    """
    seeds, excluded = yield from _resolved(query)
    settings = query.settings or ExpandSettings()
    ranking = yield from ranking_steps(seeds, query.size, settings, excluded, facts, whole, query.filter)
    records = yield from ask(Describe((*seeds.tolist(), *ranking.positions.tolist())))
    return _described(records, len(seeds), ranking)


def _resolved(query: ExpandQuery) -> Steps[tuple[Int64, Int64]]:
    """Return the positions of the seeds, in their order, and of those excluded, rising."""
    texts = (*query.seeds, *query.exclude)
    found = yield from ask(Lookup(texts))
    positions = []
    for text, readings in zip(texts, found, strict=True):
        if not readings:
            raise UnknownSeedError(text, (yield from ask(Suggest(text, limit=3))))
        if len(readings) > 1:
            entities = [record.entity for record in (yield from ask(Describe(readings[:_MOST_READINGS])))]
            raise AmbiguousSeedError(text, tuple((entity.id, entity.name) for entity in entities))
        positions.append(readings[0])
    seeds, excluded = positions[: len(query.seeds)], sorted(set(positions[len(query.seeds) :]))
    if len(set(seeds)) != len(seeds):
        raise QueryError(f"The seeds {list(query.seeds)} name the same entity more than once.")
    if set(excluded) & set(seeds):
        raise QueryError(f"The entities {list(query.exclude)} to exclude are among the seeds {list(query.seeds)}.")
    return np.array(seeds, dtype=np.int64), np.array(excluded, dtype=np.int64)


def _described(records: Sequence[Record], seeds: int, ranking: Ranking) -> Expansion:
    given = tuple(Seed(*_shown(record), record.evidence) for record in records[:seeds])
    columns = zip(records[seeds:], ranking.scores.tolist(), ranking.similarities.tolist(), strict=True)
    results = tuple(
        Result(rank, *_shown(record), record.evidence, score, similarity)
        for rank, (record, score, similarity) in enumerate(columns, 1)
    )
    return Expansion(given, results, ranking.exact, ranking.fetches)


def _shown(record: Record) -> tuple[str, str, Mapping[str, str]]:
    return record.entity.id, record.entity.name, record.entity.attributes
