"""The strategy "hybrid": the heads of several channels' lists are the candidates, and their scores become one.

Every channel then scores every candidate, also those that another one brought. So the list is the same for all stores
that answer alike, and nothing outside the heads of the lists is ever a result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from entity_expand.channels.fusion import CHANNELS, DEPTH, Channel, ChannelWeights, fused
from entity_expand.errors import QueryError
from entity_expand.growth import Ranking, Space
from entity_expand.plan import space_of
from entity_expand.pools import Pool
from entity_expand.scoring import EntityRows, stacked
from entity_expand.seeds.gains import mean_gain
from entity_expand.stores.base import Facts, Hits, Nearest, Request, Rows, Steps, Together, ask
from entity_expand.stores.lexical import LexicalNearest, LexicalQuery, LexicalScores, Scored
from entity_expand.strategies.combine import leading
from entity_expand.strategies.lists import Asked, ranking_of
from entity_expand.types import Float64, Int64

_AGAIN = "Index it again, or choose another strategy."


def hybrid_steps(asked: Asked, facts: Facts, texts: Sequence[str]) -> Steps[Ranking]:
    """Rank the entities by the fused scores of all channels that count.

    Args:
        asked: What the list is made from; its strategy is "mean", the list of the model's channel.
        facts: About the index.
        texts: The masked sentences of the seeds that are not in the index, in the order of `asked.seeds.new`.

    Raises:
        QueryError: The index has not a channel that counts, or not the vectors that the settings need.
    """
    weights = asked.settings.channels or ChannelWeights()
    channels = channels_of(weights, facts)
    space, rows = space_of(asked.settings, facts), (yield from asked.seeds.rows())
    heard = _heard(asked, texts)
    heads = yield from ask(Together(tuple(_heads(asked, space, rows, heard, channels))))
    positions = np.unique(np.concatenate([head.positions for head in heads]))
    requests: list[Request[EntityRows] | Request[Float64]] = [Rows(positions)]
    if "lexical" in channels:
        requests.append(LexicalScores(heard, positions))
    found, *others = yield from ask(Together(tuple(requests)))
    pool = space.pool(stacked([found, rows]))
    seeds = np.arange(len(positions), pool.size)
    own = mean_gain(pool.gains(seeds)[:, : len(positions)], asked.seeds.weights)
    scores = {channel: own if channel == "model" else others[0] for channel in channels}
    return _ranked(pool, asked, seeds, positions, fused(scores, weights), facts)


def channels_of(weights: ChannelWeights, facts: Facts) -> tuple[Channel, ...]:
    """Return the channels that count.

    Raises:
        QueryError: The index has not one of them.
    """
    chosen = tuple(channel for channel in CHANNELS if getattr(weights, channel))
    lacking = [channel for channel in chosen if channel != "model" and channel not in facts.channels]
    if lacking:
        raise QueryError(f"The index has no {lacking[0]} channel, which the strategy 'hybrid' asks for. {_AGAIN}")
    return chosen


def _heard(asked: Asked, texts: Sequence[str]) -> LexicalQuery:
    """Return the seeds as the lexical channel hears them."""
    positions = asked.seeds.positions
    weights = np.array(asked.seeds.weights or [1.0] * len(positions))
    inside = positions >= 0
    new = (-1 - positions[~inside]).tolist()
    return LexicalQuery(
        positions[inside], tuple(texts[number] for number in new), np.append(weights[inside], weights[~inside])
    )


def _heads(
    asked: Asked, space: Space, rows: EntityRows, heard: LexicalQuery, channels: Sequence[Channel]
) -> list[Request[Hits] | Request[Scored]]:
    """Return what brings the head of each channel's list."""
    depth = max(DEPTH, 2 * asked.size)
    barred = np.union1d(asked.excluded, asked.seeds.stored)
    requests: list[Request[Hits] | Request[Scored]] = []
    if "model" in channels:
        query = space.pool(rows).query(np.arange(len(rows)), asked.seeds.weights)
        requests.append(Nearest(space.field, query, depth, barred, asked.filter))
    if "lexical" in channels:
        requests.append(LexicalNearest(heard, depth, barred, asked.filter))
    return requests


def _ranked(pool: Pool, asked: Asked, seeds: Int64, positions: Int64, scores: Float64, facts: Facts) -> Ranking:
    """Return the best of the candidates at `positions` (K,), which are the first of the pool."""
    places = leading(scores, asked.size)
    found = ranking_of(pool, asked, seeds, places, scores, facts.exact, fetches=1)
    return dataclasses.replace(found, positions=positions[found.positions], joined=positions[found.joined])
