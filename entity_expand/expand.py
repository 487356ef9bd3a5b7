"""Expand a set: seeds in, the ranked rest of their class out.

`expansion` is the whole of it, without I/O: the seeds are resolved to entities, the set is grown one entity at a time
and ranked (`search/window.py`), or the seeds' own lists become one (`strategies/`), and what comes out is described for
people. A store that holds the scores of all pairs hands over all its entities as one pool to search in; from any other
store pools are fetched by nearest-neighbour queries (`search/plan.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from entity_expand.calibration.curve import likely
from entity_expand.calibration.use import chances_of
from entity_expand.query import MOST_RESULTS, ExpandQuery, NewSeed
from entity_expand.results import Expansion, Result, Seed
from entity_expand.search.growth import Ranking
from entity_expand.search.pools import Pool
from entity_expand.seeds import SeedSet
from entity_expand.seeds.encode import new_seeds
from entity_expand.seeds.resolve import Named, resolved
from entity_expand.stores.base import Describe, Evidence, Facts, Record, Steps, ask
from entity_expand.strategies.choice import ranked
from entity_expand.strategies.negatives import DEEPER, away_from
from entity_expand.types import Float64


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
    named = yield from resolved(query)
    if query.negative:
        deeper = min(query.size + DEEPER, MOST_RESULTS)
        ranking = yield from ranked(query, named.seeds, deeper, named.excluded, facts, whole)
        ranking = yield from away_from(named.negatives, named.seeds, ranking, query.size, facts.mean_feature)
    else:
        ranking = yield from ranked(query, named.seeds, query.size, named.excluded, facts, whole)
    return (yield from _described(query, named, ranking, chances_of(query, ranking, facts)))


def _described(query: ExpandQuery, named: Named, ranking: Ranking, chances: Float64 | None) -> Steps[Expansion]:
    """Return a ranking, its seeds and its negatives as people are shown them, and how sure each result (T,) is."""
    known = (named.seeds.stored, named.negatives.stored, ranking.positions)
    records = yield from ask(Describe(tuple(position for part in known for position in part.tolist())))
    seeds, negatives = len(known[0]), len(known[0]) + len(known[1])
    before = {position: rank for rank, position in enumerate(ranking.joined.tolist(), 1)}
    ranks = [before[position] for position in ranking.positions.tolist()]
    sure = [None] * len(ranks) if chances is None else chances.tolist()
    numbers = zip(ranking.scores.tolist(), ranking.similarities.tolist(), sure, ranks, strict=True)
    results = tuple(
        Result(rank, *_shown(record), record.evidence, *each)
        for rank, (record, each) in enumerate(zip(records[negatives:], numbers, strict=True), 1)
    )
    new = new_seeds(query)
    return Expansion(
        _given(named.seeds, records[:seeds], new),
        results,
        ranking.exact,
        ranking.fetches,
        query,
        negatives=_given(named.negatives, records[seeds:negatives], new),
        cutoff=None if chances is None else likely(chances),
    )


def _given(named: SeedSet, records: Sequence[Record], new: Sequence[NewSeed]) -> tuple[Seed, ...]:
    """Return seeds in their order; `records` describes those of them that are in the index."""
    known, shown = iter(records), []
    for position in named.positions.tolist():
        if position >= 0:
            record = next(known)
            shown.append(Seed(*_shown(record), record.evidence))
        else:
            seed = new[-1 - position]
            shown.append(Seed("", seed.called or "a picture", {}, (_evidence(seed),)))
    return tuple(shown)


def _evidence(seed: NewSeed) -> Evidence:
    text, mentions = seed.sentence
    return Evidence(text, mentions, None)


def _shown(record: Record) -> tuple[str, str, Mapping[str, str]]:
    return record.entity.id, record.entity.name, record.entity.attributes
