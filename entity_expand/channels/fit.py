"""Fit the weights of channels to an index, on classes whose members are known."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from entity_expand.calibration.draws import drawn_seeds
from entity_expand.calibration.fitted import Fusion
from entity_expand.channels.fitting import ChannelList, best_weights, quality
from entity_expand.channels.fusion import CHANNELS, Channel, ChannelWeights, standardised
from entity_expand.channels.steps import gathered
from entity_expand.channels.weights import DEFAULT
from entity_expand.drive import run
from entity_expand.errors import QueryError
from entity_expand.evaluate import Views, positions_of
from entity_expand.search.plan import ExpandSettings
from entity_expand.seeds import SeedSet
from entity_expand.stores.base import Store
from entity_expand.strategies.lists import Asked
from entity_expand.types import Float64

_NOBODY = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class FusionQuality:
    """What weights are worth on classes that they were not fitted on: each half of them is fitted on the other.

    Attributes:
        classes: How many.
        lists: Of how many draws of seeds.
        model: MAP@10 of the model's scores alone.
        default: By the weights that count where nothing was fitted.
        fitted: By the fitted ones.
    """

    classes: int
    lists: int
    model: float
    default: float
    fitted: float


def fit_channels(
    store: Store, truth: Mapping[str, frozenset[str]], draws: int = 5, settings: ExpandSettings | None = None
) -> tuple[Fusion, FusionQuality]:
    """Fit the weights of all channels that an index has.

    Args:
        store: An opened index.
        truth: Class -> ids of its members; those that the index lacks do not count.
        draws: How many lists for each class and number of seeds.
        settings: Space and λ of the model's scores; None for the defaults.

    Returns:
        The weights, fitted on all classes, and what such weights are worth on classes left out.

    Raises:
        QueryError: The index has no further channel, or fewer than two classes have members enough in it.
    """
    facts = store.begin().facts
    names = tuple(name for name in CHANNELS if name == "model" or name in facts.channels)
    if len(names) == 1:
        raise QueryError("The index has the model's scores alone: there is nothing to weigh. Index it again.")
    lists = channel_lists(store, truth, names, draws, settings or ExpandSettings())
    halves: dict[bool, list[ChannelList]] = {True: [], False: []}
    classes = sorted({each.class_name for each in lists}, key=_dealt)
    if len(classes) < 2:
        raise QueryError("Weights are fitted on two classes or more that have members enough in the index.")
    first = set(classes[: len(classes) // 2])
    for each in lists:
        halves[each.class_name in first].append(each)
    start = np.array([getattr(DEFAULT, name) for name in names])
    weights = best_weights(lists, start)
    model = np.array([1.0, *[0.0] * (len(names) - 1)])
    crossed = {half: best_weights(halves[not half], start) for half in halves}

    def mean(chosen: Mapping[bool, Float64]) -> float:
        shares = {half: len({each.class_name for each in own}) / len(classes) for half, own in halves.items()}
        return sum(shares[half] * quality(own, chosen[half]) for half, own in halves.items())

    values = (mean(dict.fromkeys(halves, model)), mean(dict.fromkeys(halves, start)), mean(crossed))
    made = ChannelWeights(**dict.fromkeys(CHANNELS, 0.0) | dict(zip(names, weights.tolist(), strict=True)))
    meta = facts.meta
    fusion = Fusion(meta.modality, made, len(classes), len(lists), meta.late_fusion)
    return fusion, FusionQuality(len(classes), len(lists), *values)


def channel_lists(
    store: Store, truth: Mapping[str, frozenset[str]], names: Sequence[Channel], draws: int, settings: ExpandSettings
) -> list[ChannelList]:
    """Return what channels say of the candidates for seeds drawn from classes."""
    reader = Views(store)
    places = positions_of(reader, sorted(frozenset[str]().union(*truth.values())))
    known = {name: frozenset(members & places.keys()) for name, members in truth.items()}
    lists = []
    for name, drawn in tqdm(list(drawn_seeds(known, draws)), desc="weigh", unit="seeds", disable=None):
        seeds = np.array([places[seed] for seed in drawn], dtype=np.int64)
        members = np.array([places[member] for member in known[name].difference(drawn)], dtype=np.int64)
        asked = Asked("mean", SeedSet(seeds), 100, settings, _NOBODY, None)
        found = run(gathered(asked, reader.facts, (), names), reader)
        scores = np.array([standardised(found.scores[channel]) for channel in names])
        lists.append(ChannelList(name, scores, np.isin(found.positions, members), len(members)))
    return lists


def _dealt(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
