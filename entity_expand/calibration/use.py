"""How sure an expansion is of its results, by what was fitted for its index."""

from __future__ import annotations

from entity_expand.calibration.curve import features, probabilities
from entity_expand.channels.parts import part_asked
from entity_expand.channels.weights import fitted_weights
from entity_expand.query import ExpandQuery
from entity_expand.search.growth import Ranking
from entity_expand.stores.base import Facts, part_meta
from entity_expand.strategies.choice import settings_of
from entity_expand.types import Float64


def chances_of(query: ExpandQuery, ranking: Ranking, facts: Facts) -> Float64 | None:
    """Return the probability that each result is a member, (T,); None if nothing was fitted for such lists.

    Entities that are excluded count as shown before, as they are on later pages: the list goes on behind them.
    """
    settings, part = settings_of(query), part_asked(query.modality, facts)
    hybrid = query.strategy == "hybrid"
    if facts.fitted is None or (hybrid and (part or settings.channels or fitted_weights(facts) is None)):
        return None
    meta = part_meta(facts.meta, part) if part else facts.meta
    weight = settings.both_directions if settings.space == "heads" else 0.0
    fitted = facts.fitted.confidence_in(
        settings.space, weight, meta.modality, meta.late_fusion, "hybrid" if hybrid else None
    )
    if fitted is None:
        return None
    return probabilities(features(ranking.telling, ranking.between, 1 + len(query.exclude)), fitted.coefficients)
