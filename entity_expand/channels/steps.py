"""The strategy "hybrid": the heads of several channels' lists are the candidates, and their scores become one.

Every channel then scores every candidate, also those that another one brought. So the list is the same for all stores
that answer alike, and nothing outside the heads of the lists is ever a result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from entity_expand.channels.fusion import DEPTH, Channel, fused
from entity_expand.channels.parts import heard_in
from entity_expand.channels.terms import masked_sentences
from entity_expand.channels.weights import weights_for
from entity_expand.query import NewSeed
from entity_expand.search.growth import Ranking, Space
from entity_expand.search.plan import space_of
from entity_expand.search.pools import VectorPool
from entity_expand.search.scoring import EntityRows, stacked
from entity_expand.seeds import SeedSet
from entity_expand.seeds.gains import mean_gain
from entity_expand.stores.base import PARTS, Facts, Nearest, Request, Rows, Steps, Together, ask
from entity_expand.stores.lexical import LexicalNearest, LexicalQuery, LexicalScores
from entity_expand.strategies.combine import leading
from entity_expand.strategies.lists import Asked, ranking_of
from entity_expand.types import Float64, Int64, Modality


@dataclass(frozen=True, slots=True, eq=False)
class _Voice:
    """The seeds, as a channel of the model hears them.

    Attributes:
        part: Of the index; None for all that it shows.
        space: Where scores are inner products.
        rows: (s,) of the seeds that are present there.
        weights: How much each of them counts, of mean 1; () for all alike.
    """

    part: Modality | None
    space: Space
    rows: EntityRows
    weights: tuple[float, ...]

    def nearest(self, depth: int, barred: Int64, asked: Asked) -> Nearest:
        """Return what brings the head of the channel's list."""
        query = self.space.pool(self.rows).query(np.arange(len(self.rows)), self.weights)
        return Nearest(self.space.field, query, depth, barred, asked.filter, self.part)

    def scores(self, candidates: EntityRows) -> Float64:
        """Return the scores (K,) of candidates; NaN for those that are absent, and for all if no seed is present."""
        if not len(self.rows):
            return np.full(len(candidates), np.nan)
        pool = self.space.pool(stacked([candidates, self.rows]))
        gains = pool.gains(np.arange(len(candidates), pool.size))[:, : len(candidates)]
        return np.where(candidates.deviation > 0, mean_gain(gains, self.weights), np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """What channels say of candidates.

    Attributes:
        positions: (K,) of the candidates, rising.
        scores: By channel, (K,) each; NaN where it knows nothing.
        pool: The candidates and behind them the seeds, as the model sees them.
    """

    positions: Int64
    scores: dict[Channel, Float64]
    pool: VectorPool


def hybrid_steps(asked: Asked, facts: Facts, new: Sequence[NewSeed]) -> Steps[Ranking]:
    """Rank the entities by the fused scores of all channels that count.

    Args:
        asked: What the list is made from; its strategy is "mean", the list of each channel of the model.
        facts: About the index.
        new: The seeds that are not in the index, in their order.

    Raises:
        QueryError: The index has not a channel that counts, or not the vectors that the settings need.
    """
    weights = weights_for(asked.settings.channels, facts)
    heard = yield from gathered(asked, facts, new, tuple(weights))
    values = fused(heard.scores, weights)
    values[np.isin(heard.positions, asked.excluded)] = -np.inf
    seeds, places = np.arange(len(heard.positions), heard.pool.size), leading(values, asked.size)
    ranking = ranking_of(heard.pool, asked, seeds, places, values, facts.exact, fetches=1)
    positions, joined = heard.positions[ranking.positions], heard.positions[ranking.joined]
    return dataclasses.replace(ranking, positions=positions, joined=joined, fused=values[ranking.positions])


def gathered(asked: Asked, facts: Facts, new: Sequence[NewSeed], channels: Sequence[Channel]) -> Steps[Gathered]:
    """Return what channels say of the heads of their lists; arguments as of `hybrid_steps`."""
    voices = yield from _voices(asked, facts, new, channels)
    heard = _heard(asked.seeds, new) if "lexical" in channels else None
    positions = yield from _candidates(asked, [voices[name] for name in channels if name in voices], heard)
    requests: list[Request[Any]] = [Rows(positions, voice.part) for voice in voices.values()]
    if heard:
        requests.append(LexicalScores(heard, positions))
    found = yield from ask(Together(tuple(requests)))
    scores = {name: voice.scores(rows) for (name, voice), rows in zip(voices.items(), found, strict=False)}
    if heard:
        scores["lexical"] = found[-1]
    model = voices["model"]
    pool = model.space.pool(stacked([found[0], model.rows]))
    return Gathered(positions, {name: scores[name] for name in channels}, pool)


def _voices(
    asked: Asked, facts: Facts, new: Sequence[NewSeed], channels: Sequence[Channel]
) -> Steps[dict[Channel, _Voice]]:
    """Return the channels of the model that count, and first of them always the one that hears all."""
    own, rows = asked.seeds.weights, (yield from asked.seeds.rows())
    voices: dict[Channel, _Voice] = {"model": _Voice(None, space_of(asked.settings, facts), rows, own)}
    for part in PARTS:
        if part in channels:
            rows, present = yield from heard_in(part, asked.seeds, new)
            kept = np.array(own)[present] if own else np.empty(0)
            space = space_of(asked.settings, facts.parts[part])
            voices[part] = _Voice(part, space, rows, tuple((kept / kept.mean()).tolist() if len(kept) else ()))
    return voices


def _heard(seeds: SeedSet, new: Sequence[NewSeed]) -> LexicalQuery:
    """Return the seeds as the lexical channel hears them."""
    weights = np.array(seeds.weights or [1.0] * len(seeds))
    inside = seeds.positions >= 0
    texts = tuple(masked_sentences([each.sentence]) for each in new)
    return LexicalQuery(seeds.stored, texts, np.append(weights[inside], weights[~inside]))


def _candidates(asked: Asked, voices: Sequence[_Voice], heard: LexicalQuery | None) -> Steps[Int64]:
    """Return the positions, rising, of the heads of the channels' lists.

    What is excluded is among them, so that scores are standardised as on the page that showed it.
    """
    depth, barred = max(DEPTH, 2 * (asked.size + len(asked.excluded))), np.unique(asked.seeds.stored)
    heads: list[Request[Any]] = [voice.nearest(depth, barred, asked) for voice in voices if len(voice.rows)]
    if heard:
        heads.append(LexicalNearest(heard, depth, barred, asked.filter))
    found = yield from ask(Together(tuple(heads)))
    return np.unique(np.concatenate([np.empty(0, np.int64), *(head.positions for head in found)]))
