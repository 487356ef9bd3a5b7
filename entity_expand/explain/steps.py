"""Explanations as steps, so that they run over every store, waiting or awaited."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from entity_expand.channels.parts import all_heard_in, facts_in, part_asked, seen_in
from entity_expand.errors import QueryError, UnknownSeedError
from entity_expand.explain.about import Contribution, Explanation, Neighbour, SetExplanation
from entity_expand.explain.label import label_of, phrases
from entity_expand.explain.maths import Said, around_the_centre, said_by
from entity_expand.explain.words import FUNCTION_WORDS, Counted, telling, without_mentions, words_around, words_of
from entity_expand.query import ExpandQuery, new_among
from entity_expand.results.expansion import Expansion, Result, Seed
from entity_expand.results.session import page_query, result_of
from entity_expand.seeds import SeedSet
from entity_expand.seeds.resolve import resolved
from entity_expand.stores.base import (
    Describe,
    Evidence,
    Facts,
    Hits,
    Lookup,
    Nearest,
    Record,
    Request,
    Rows,
    Steps,
    Together,
    ask,
)
from entity_expand.strategies.choice import settings_of
from entity_expand.types import Int64

_SHARED_WORDS, _SET_WORDS, _NEIGHBOURS = 12, 20, 8
_LIKELY, _WORDS_FOR_A_LABEL = 20, 2
_DIRECTIONS, _PER_DIRECTION = 4, 64


def explained(expansion: Expansion, which: str | int, facts: Facts) -> Steps[Explanation]:
    """Explain why an entity is in an expanded set.

    Args:
        expansion: The page of results that it is on.
        which: Its id, name or rank.
        facts: About the index.

    Raises:
        QueryError: There is no such result, an entity is named twice, or the index is not the one that the expansion
            comes from.
    """
    result, query = result_of(expansion, which), page_query(expansion)
    named, (place,) = (yield from resolved(query)), (yield from _positions([result.id]))
    if len(named.negatives) != len(expansion.negatives):
        raise QueryError("Two negatives of the page are the same entity.")
    said = yield from _said(query, named.seeds, place, facts)
    against = yield from _said(dataclasses.replace(query, modality=None), named.negatives, place, facts)
    others = yield from _others(facts, np.append(named.seeds.stored, place))
    words = _shared_words(result, expansion.seeds, _counted(others))
    return Explanation(
        result,
        _contributions(expansion.seeds, said),
        _contributions(expansion.negatives, against, alone=True),
        words,
        _most_telling_first(result.evidence, words),
    )


def _said(query: ExpandQuery, seeds: SeedSet, place: int, facts: Facts) -> Steps[Said]:
    """Return what seeds say of an entity, by what the query compares."""
    if part := part_asked(query.modality, facts):
        heard = yield from all_heard_in(part, seeds, new_among(query.seeds))
        own = dataclasses.replace(query, modality=None)
        return (yield from seen_in(part, _said(own, heard, place, facts_in(part, facts))))
    rows, entity = (yield from seeds.rows()), (yield from ask(Rows(np.array([place]))))
    return said_by(rows, entity, settings_of(query), facts.mean_feature, seeds.weights)


def _contributions(seeds: Sequence[Seed], said: Said, alone: bool = False) -> tuple[Contribution, ...]:
    shares = said.shares * len(said.shares) if alone else said.shares
    columns = (shares.tolist(), said.gives.tolist(), said.takes.tolist(), said.likeness.tolist())
    found = [Contribution(*row) for row in zip(seeds, *columns, strict=True)]
    return tuple(sorted(found, key=lambda each: -each.share))


def _shared_words(result: Result, seeds: Sequence[Seed], others: Counted) -> tuple[str, ...]:
    """Return words that the entity shares with seeds: those of most seeds and fewest others first."""
    own = words_around(result.evidence)
    shared = Counted.of([words_around(seed.evidence) & own for seed in seeds])
    candidates = [
        word for word in shared.counts if word not in FUNCTION_WORDS and shared.share(word) > others.share(word)
    ]
    worth = {word: shared.share(word) * (1 - others.share(word)) for word in candidates}
    return tuple(sorted(worth, key=lambda word: (-worth[word], word))[:_SHARED_WORDS])


def _most_telling_first(evidence: Sequence[Evidence], words: Sequence[str]) -> tuple[Evidence, ...]:
    worth = {word: 1 / (1 + rank) for rank, word in enumerate(words)}
    values = [sum(worth.get(word, 0) for word in set(words_of(without_mentions(item)))) for item in evidence]
    order = sorted(range(len(values)), key=lambda n: (-values[n], n))
    return tuple(evidence[n] for n in order)


def explained_set(expansion: Expansion, facts: Facts) -> Steps[SetExplanation]:
    """Explain what holds a set together: the seeds, what was accepted, and the likely results that were not rejected.

    Raises:
        QueryError: The index is not the one that the expansion comes from.
    """
    members: list[Seed | Result] = [*(seed for seed in expansion.seeds if seed.id), *_likely(expansion)]
    known = yield from _positions([member.id for member in members])
    rows = yield from ask(Rows(known))
    others = yield from _others(facts, known)
    evidence = [member.evidence for member in members]
    evidence += [seed.evidence for seed in expansion.seeds if not seed.id]
    likeness = around_the_centre(rows, facts.mean_feature)
    called = Counted.of([_called(each) for each in evidence])
    words = telling(Counted.of([words_around(each) for each in evidence]), _counted(others), _SET_WORDS)
    label = label_of(called, Counted.of([_called(record.evidence) for record in others]))
    return SetExplanation(
        label or ", ".join(word.text for word in words[:_WORDS_FOR_A_LABEL]),
        len(evidence),
        words,
        _neighbours(members, likeness.tolist()),
        float(likeness.mean()) if len(likeness) else 0.0,
    )


def _likely(expansion: Expansion) -> list[Result]:
    """Return the results up to the cut-off, or the first ones, and all accepted ones; no rejected one."""
    history, count = expansion.history, _LIKELY if expansion.cutoff is None else expansion.cutoff
    accepted, rejected = set(history.accepted), set(history.rejected)
    return [
        result
        for result in expansion.results
        if result.id not in rejected and (result.rank <= count or result.id in accepted)
    ]


def _neighbours(members: Sequence[Seed | Result], likeness: Sequence[float]) -> tuple[Neighbour, ...]:
    found = list[Neighbour]()
    for member, cosine in sorted(zip(members, likeness, strict=True), key=lambda pair: -pair[1]):
        image = next((item.image for item in member.evidence if item.image is not None), None)
        if image is not None and len(found) < _NEIGHBOURS:
            found.append(Neighbour(member.id, member.name, image, cosine))
    return tuple(found)


def _called(evidence: Sequence[Evidence]) -> frozenset[str]:
    return frozenset().union(*(phrases(without_mentions(item)) for item in evidence))


def _counted(records: Sequence[Record]) -> Counted:
    return Counted.of([words_around(record.evidence) for record in records])


def _positions(identifiers: Sequence[str]) -> Steps[Int64]:
    """Return the positions of ids.

    Raises:
        UnknownSeedError: The index does not hold one of them.
    """
    found = yield from ask(Lookup(tuple(identifiers)))
    for identifier, readings in zip(identifiers, found, strict=True):
        if len(readings) != 1:
            raise UnknownSeedError(identifier, ())
    return np.array([readings[0] for readings in found], dtype=np.int64)


def _others(facts: Facts, known: Int64) -> Steps[list[Record]]:
    """Return some hundred entities to compare with, always the same but for those to leave out.

    They are the nearest to a few fixed random directions: every store can answer that, whichever places it has.
    """
    field, random = next(iter(facts.largest_norms)), np.random.default_rng(0)
    width = {"head": 1, "pair": 2, "feature": 1}[field] * (facts.meta.dimension + (field != "feature"))
    barred = np.unique(known)
    asked: tuple[Request[Hits], ...] = tuple(
        Nearest(field, random.standard_normal(width), _PER_DIRECTION, barred) for _ in range(_DIRECTIONS)
    )
    found = yield from ask(Together(asked))
    places = np.unique(np.concatenate([hits.positions for hits in found]))
    return (yield from ask(Describe(tuple(places.tolist()))))
