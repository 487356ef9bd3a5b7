"""Going on from an expansion: decisions about its results, and the query of the next page. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Generator, Sequence

from entity_expand.errors import AmbiguousSeedError, QueryError, UnknownSeedError
from entity_expand.query import ExpandQuery, new_among
from entity_expand.results.expansion import Decision, Expansion, Result, Verdict
from entity_expand.search.plan import ExpandSettings
from entity_expand.stores.names import fold

_COMPARED = 100
"""Longest name in characters that a misspelt one is compared with, which takes the square of the length or more."""


def decided(expansion: Expansion, verdict: Verdict, ids_or_names: Sequence[str]) -> Expansion:
    """Return an expansion with one more decision.

    Raises:
        QueryError: Nobody is named, or somebody who was not shown.
        AmbiguousSeedError: A name that several results have.
    """
    if not ids_or_names:
        raise QueryError(f"Whom to {verdict}? Give ids or names of results.")
    ids = tuple(dict.fromkeys(_identifier(expansion, text) for text in ids_or_names))
    history = expansion.history
    history = dataclasses.replace(history, decisions=(*history.decisions, Decision(verdict, ids)))
    return dataclasses.replace(expansion, history=history)


def undone(expansion: Expansion) -> Expansion:
    """Return an expansion without its last decision.

    Raises:
        QueryError: There is none.
    """
    if not expansion.history.decisions:
        raise QueryError("There is nothing to undo: no result was accepted or rejected.")
    history = dataclasses.replace(expansion.history, decisions=expansion.history.decisions[:-1])
    return dataclasses.replace(expansion, history=history)


def _identifier(expansion: Expansion, text: str) -> str:
    """Return the id that an id or a name stands for among the results that were shown."""
    if not isinstance(text, str):
        raise QueryError(f"A result is named by a text, its id or name, not by {type(text).__name__}.")
    if text in expansion.shown:
        return text
    wanted = fold(text)
    found = [result for result in expansion.results if fold(result.name) == wanted]
    if len(found) > 1:
        raise AmbiguousSeedError(text, tuple((result.id, result.name) for result in found))
    if not found:
        import difflib

        near = difflib.get_close_matches(text, [name for name in expansion.names if len(name) <= _COMPARED], n=3)
        hint = f" Did you mean {', '.join(repr(name) for name in near)}?" if near else ""
        raise QueryError(f"No result has the id or name {text!r}; those of earlier pages go by id.{hint}")
    return found[0].id


def result_of(expansion: Expansion, which: str | int) -> Result:
    """Return the result of this page that an id, a name or a rank stands for.

    Raises:
        QueryError: There is none.
        AmbiguousSeedError: A name that several results have.
    """
    if isinstance(which, str):
        identifier = _identifier(expansion, which)
        found = [result for result in expansion.results if result.id == identifier]
    else:
        found = [result for result in expansion.results if result.rank == which]
    if not found:
        raise QueryError(f"There is no result {which!r} on this page of {len(expansion.results)}.")
    return found[0]


def page_query(expansion: Expansion) -> ExpandQuery:
    """Return the question that this very page answers, with what had been accepted and rejected before it."""
    query = expansion.query
    new = iter(new_among((*query.seeds, *query.negative)))
    seeds = [seed.id or next(new) for seed in expansion.seeds]
    negatives = [seed.id or next(new) for seed in expansion.negatives]
    weights = _with_accepted(query.weights, len(seeds))
    return dataclasses.replace(query, seeds=seeds, negative=negatives, exclude=(), weights=weights)


def _with_accepted(weights: Sequence[float] | None, count: int) -> tuple[float, ...] | None:
    """Return weights of `count` seeds, those of the accepted ones the mean of the others."""
    if weights is None:
        return None
    return (*weights, *[sum(weights) / len(weights)] * (count - len(weights)))


def next_query(expansion: Expansion, size: int | None = None, gone: Collection[str] = ()) -> ExpandQuery:
    """Return what to ask for the next page: accepted entities are seeds, rejected ones negatives, none comes again.

    An accepted entity counts as much as the seeds do on average.

    Args:
        expansion: The page before.
        size: How many results; None for as many as were asked for at first.
        gone: Ids of entities that were shown and have been deleted.

    Raises:
        QueryError: The size is out of range, or there are too many seeds by now.
    """
    query, history = expansion.query, expansion.history
    first = {seed.id for seed in expansion.seeds[: len(query.seeds)]}
    accepted = tuple(identifier for identifier in history.accepted if identifier not in first)
    known = {*first, *accepted, *history.rejected}
    return dataclasses.replace(
        query,
        seeds=(*query.seeds, *accepted),
        negative=(*query.negative, *history.rejected),
        exclude=(*query.exclude, *(each for each in expansion.shown if each not in known and each not in gone)),
        weights=_with_accepted(query.weights, len(query.seeds) + len(accepted)),
        size=query.size if size is None else size,
        settings=_without_seeds(query.settings),
    )


def next_page(expansion: Expansion, size: int | None = None) -> Generator[ExpandQuery, Expansion, Expansion]:
    """Ask for the next page, again without each entity that was shown and turns out to have been deleted since."""
    gone = list[str]()
    while True:
        try:
            return following(expansion, (yield next_query(expansion, size, gone)))
        except UnknownSeedError as problem:
            if problem.seed not in expansion.shown or problem.seed in gone:
                raise
            gone.append(problem.seed)


def _without_seeds(settings: ExpandSettings | None) -> ExpandSettings | None:
    """Return settings that leave all seeds out of the results: the first page has shown those that it does not."""
    if settings is None or settings.search.compatible_seeds is None:
        return settings
    return dataclasses.replace(settings, search=dataclasses.replace(settings.search, compatible_seeds=None))


def following(expansion: Expansion, found: Expansion) -> Expansion:
    """Return what was found for `next_query` as the page after `expansion`."""
    history = dataclasses.replace(expansion.history, shown=expansion.shown)
    return dataclasses.replace(found, query=expansion.query, history=history)
