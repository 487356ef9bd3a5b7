"""Which way of making a list a query asks for."""

from __future__ import annotations

import dataclasses

from entity_expand.channels.parts import all_heard_in, facts_in, part_asked, seen_in
from entity_expand.channels.steps import hybrid_steps
from entity_expand.errors import QueryError
from entity_expand.query import ExpandQuery, new_among
from entity_expand.search.growth import Ranking
from entity_expand.search.plan import ExpandSettings, ranking_steps
from entity_expand.search.pools import Pool
from entity_expand.seeds import SeedSet
from entity_expand.stores.base import Facts, Steps
from entity_expand.strategies.combine import COMBINATIONS
from entity_expand.strategies.lists import Asked, list_steps
from entity_expand.types import Int64


def settings_of(query: ExpandQuery) -> ExpandSettings:
    """Return the settings of a query, with what its strategy and `rerank` say in their place.

    Raises:
        QueryError: Results are to be ranked again in a space that has no probabilities.
    """
    settings, rerank = query.settings or ExpandSettings(), query.rerank
    if rerank and settings.space == "features":
        raise QueryError("Results are ranked again by probabilities, which the space 'features' has not.")
    if query.strategy == "both" and not settings.both_directions:
        settings = dataclasses.replace(settings, both_directions=1.0)
    if query.strategy == "hybrid" or query.strategy in COMBINATIONS:
        rerank = bool(rerank)
    if rerank is None:
        return settings
    return dataclasses.replace(settings, search=dataclasses.replace(settings.search, rerank=rerank))


def ranked(
    query: ExpandQuery, seeds: SeedSet, size: int, excluded: Int64, facts: Facts, whole: Pool | None
) -> Steps[Ranking]:
    """Rank the entities by the strategy of a query: the search of the paper, or one list made of the seeds' lists.

    Args:
        query: What is asked.
        seeds: Its seeds, in their order.
        size: How many results.
        excluded: (x,) positions that may not be results, rising.
        facts: About the index.
        whole: All entities with their scores, if the store has them at hand for these settings.
    """
    settings, new = settings_of(query), new_among(query.seeds)
    if part := part_asked(query.modality, facts):
        heard = yield from all_heard_in(part, seeds, new)
        own = dataclasses.replace(query, modality=None)
        return (yield from seen_in(part, ranked(own, heard, size, excluded, facts_in(part, facts), None)))
    if query.strategy == "hybrid":
        asked = Asked("mean", seeds, size, settings, excluded, query.filter)
        return (yield from hybrid_steps(asked, facts, new))
    for strategy in COMBINATIONS:
        if query.strategy == strategy:
            return (yield from list_steps(Asked(strategy, seeds, size, settings, excluded, query.filter), facts, whole))
    return (yield from ranking_steps(seeds, size, settings, excluded, facts, whole, query.filter))
