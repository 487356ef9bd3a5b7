"""What seeds say of an entity, and how near members lie to the centre of their set: pure functions of stored rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entity_expand.search.plan import ExpandSettings
from entity_expand.search.scoring import EntityRows, scores_between, unit_features
from entity_expand.types import Float64

_SMALLEST = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What S seeds say of one entity, each (S,) float64.

    Attributes:
        shares: What each adds to the mean over the seeds.
        gives: Z_s[v], how well the seed's sentences predict the entity.
        takes: Z_v[s], how well the entity's predict the seed.
        likeness: Cosine of their centred features.
    """

    shares: Float64
    gives: Float64
    takes: Float64
    likeness: Float64


def said_by(
    seeds: EntityRows, entity: EntityRows, settings: ExpandSettings, mean: Float64, weights: tuple[float, ...] = ()
) -> Said:
    """Return what seeds (S rows) say of an entity (one row).

    Args:
        seeds: Their rows.
        entity: Its row.
        settings: Space and λ of the expansion.
        mean: (D,) the mean feature of the index.
        weights: How much each seed counts, of mean 1; () for all alike.
    """
    gives = scores_between(seeds, entity)[:, 0].astype(np.float64)
    takes = scores_between(entity, seeds)[0].astype(np.float64)
    likeness = (unit_features(seeds, mean) @ unit_features(entity, mean)[0]).astype(np.float64)
    gains = likeness if settings.space == "features" else gives + settings.both_directions * takes
    heard = np.array(weights) if weights else np.ones(len(seeds))
    return Said(heard * gains / len(seeds), gives, takes, likeness)


def around_the_centre(members: EntityRows, mean: Float64) -> Float64:
    """Return the cosine of each member's centred feature and their sum, (M,) float64."""
    units = unit_features(members, mean).astype(np.float64)
    centre = units.sum(axis=0)
    cosines: Float64 = units @ (centre / max(float(np.linalg.norm(centre)), _SMALLEST))
    return cosines
