"""How sure an expansion is of its results, by what was fitted for its index."""

from __future__ import annotations

from entity_expand.calibration.curve import features, probabilities
from entity_expand.growth import Ranking
from entity_expand.query import ExpandQuery
from entity_expand.stores.base import Facts
from entity_expand.strategies.choice import settings_of
from entity_expand.types import Float64


def chances_of(query: ExpandQuery, ranking: Ranking, facts: Facts) -> Float64 | None:
    """Return the probability that each result is a member, (T,); None if nothing was fitted for such lists.

    Entities that are excluded count as shown before, as they are on later pages: the list goes on behind them.
    """
    if facts.fitted is None or query.strategy == "hybrid" or query.modality is not None:
        return None
    settings, meta = settings_of(query), facts.meta
    fitted = facts.fitted.confidence_in(settings.space, settings.both_directions, meta.modality, meta.late_fusion)
    if fitted is None:
        return None
    judged = features(ranking.similarities, ranking.between, 1 + len(query.exclude))
    return probabilities(judged, fitted.coefficients)
