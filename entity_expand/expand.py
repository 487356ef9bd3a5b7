"""Expand a set: seeds in, the ranked rest of their class out.

`expansion` is the whole of it, without I/O: the seeds are resolved to entities, the set is grown one entity at a time
and ranked (`search.py`), or the seeds' own lists become one (`strategies/`), and what comes out is described for
people. A store that holds the scores of all pairs hands over all its entities as one pool to search in; from any other
store pools are fetched by nearest-neighbour queries (`plan.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from entity_expand.errors import AmbiguousSeedError, QueryError, UnknownSeedError
from entity_expand.growth import Ranking
from entity_expand.pools import Pool
from entity_expand.query import ExpandQuery, NewSeed
from entity_expand.results import Expansion, Result, Seed
from entity_expand.seeds import SeedSet, balanced
from entity_expand.stores.base import Describe, Facts, Lookup, Record, Steps, Suggest, ask
from entity_expand.strategies.choice import ranked
from entity_expand.types import Int64

_MOST_READINGS = 20


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
    _refuse_what_is_to_come(query)
    seeds, excluded = yield from _resolved(query)
    ranking = yield from ranked(query, seeds, query.size, excluded, facts, whole)
    records = yield from ask(Describe((*seeds.positions.tolist(), *ranking.positions.tolist())))
    return _described(records, query, ranking)


def _refuse_what_is_to_come(query: ExpandQuery) -> None:
    asked = {
        "negative": query.negative,
        "the strategy 'hybrid'": query.strategy == "hybrid",
        "modality": query.modality,
        "new seeds": [seed for seed in query.seeds if isinstance(seed, NewSeed)],
    }
    for name, value in asked.items():
        if value:
            raise QueryError(f"Expansion with {name} is not possible yet.")


def _resolved(query: ExpandQuery) -> Steps[tuple[SeedSet, Int64]]:
    """Return the seeds, in their order, and the positions of those excluded, rising."""
    texts = (*(seed for seed in query.seeds if isinstance(seed, str)), *query.exclude)
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
    return SeedSet(np.array(seeds, dtype=np.int64), balanced(query.weights)), np.array(excluded, dtype=np.int64)


def _described(records: Sequence[Record], query: ExpandQuery, ranking: Ranking) -> Expansion:
    seeds = len(query.seeds)
    given = tuple(Seed(*_shown(record), record.evidence) for record in records[:seeds])
    before = {position: rank for rank, position in enumerate(ranking.joined.tolist(), 1)}
    columns = zip(
        records[seeds:], ranking.scores.tolist(), ranking.similarities.tolist(), ranking.positions.tolist(), strict=True
    )
    results = tuple(
        Result(rank, *_shown(record), record.evidence, score, similarity, rank_before=before[position])
        for rank, (record, score, similarity, position) in enumerate(columns, 1)
    )
    return Expansion(given, results, ranking.exact, ranking.fetches, query)


def _shown(record: Record) -> tuple[str, str, Mapping[str, str]]:
    return record.entity.id, record.entity.name, record.entity.attributes
