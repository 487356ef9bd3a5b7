"""Lists to fit on: seeds drawn from classes whose members are known, expanded over an index in several ways."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from entity_expand.calibration.curve import features
from entity_expand.calibration.fitted import Confidence, Fitted
from entity_expand.calibration.quality import Held, Judged, fit, held_out
from entity_expand.channels.fusion import ChannelWeights
from entity_expand.drive import run
from entity_expand.errors import QueryError
from entity_expand.evaluate import Views, positions_of
from entity_expand.query import ExpandQuery, Strategy
from entity_expand.search.plan import ExpandSettings
from entity_expand.search.window import SearchSettings
from entity_expand.seeds import SeedSet
from entity_expand.stores.base import Reader, Rows, Store, part_meta
from entity_expand.strategies.choice import ranked, settings_of
from entity_expand.types import Int64, Modality

SIZES = (1, 2, 3, 5)
_FEWEST_TARGETS = 3
_NOBODY = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to make a list.

    Attributes:
        settings: Space, λ and search.
        strategy: As in a query.
    """

    settings: ExpandSettings
    strategy: Strategy | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """All ways whose similarities mean the same.

    Attributes:
        name: For people.
        ways: The first of them is what people are likely to use; all are fitted on.
    """

    name: str
    ways: tuple[Way, ...]


def _both(weight: float) -> tuple[Way, ...]:
    gentle = SearchSettings(member_weight=0.2, rerank=False)
    grown = (Way(ExpandSettings(weight)), Way(ExpandSettings(weight, search=gentle)))
    return (*grown, Way(ExpandSettings(weight), "mean"))


def hybrid(weights: ChannelWeights) -> Kind:
    """Return the kind of lists that channels make together, by these weights."""
    return Kind("hybrid", (Way(ExpandSettings(channels=weights), "hybrid"),))


KINDS = (
    Kind("heads, one direction", _both(0.0)),
    Kind("heads, both directions", _both(1.0)),
    Kind("features", (Way(ExpandSettings(space="features")),)),
)


def drawn_seeds(truth: Mapping[str, frozenset[str]], draws: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield (class, seeds): of each class so many draws of 1, 2, 3 and 5 seeds, always the same.

    A class has lists of a number of seeds if at least three of its members are left to be found.

    Args:
        truth: Class -> ids of its members.
        draws: How many for each class and number of seeds.
    """
    for name, members in sorted(truth.items()):
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        random, ordered = np.random.default_rng(list(digest)), sorted(members)
        for size in SIZES:
            if len(ordered) >= size + _FEWEST_TARGETS:
                for _ in range(draws):
                    chosen = random.choice(len(ordered), size, replace=False)
                    yield name, tuple(ordered[number] for number in chosen)


def judged_lists(
    store: Store,
    truth: Mapping[str, frozenset[str]],
    ways: Sequence[Way],
    draws: int,
    size: int,
    part: Modality | None = None,
) -> list[list[Judged]]:
    """Return the lists of each way, in the order of the ways.

    Args:
        store: An opened index.
        truth: Class -> ids of its members; those that the index lacks do not count.
        ways: How to expand.
        draws: How many lists for each class and number of seeds.
        size: Results per list.
        part: Of the index, whose lists these are; its members alone count. None for the index itself.

    Raises:
        QueryError: The index holds too few members of the classes.
    """
    reader = Views(store)
    places = positions_of(reader, sorted(frozenset[str]().union(*truth.values())))
    if part is not None:
        rows = reader.answer([Rows(np.array(list(places.values()), dtype=np.int64), part)])[0]
        places = {name: place for (name, place), there in zip(places.items(), rows.deviation > 0, strict=True) if there}
    known = {name: frozenset(members & places.keys()) for name, members in truth.items()}
    seeds = list(drawn_seeds(known, draws))
    if not seeds:
        raise QueryError("No class of the truth has members enough in the index: at least four are needed.")
    found: list[list[Judged]] = [[] for _ in ways]
    for name, drawn in tqdm(seeds, desc="expand", unit="seeds", disable=None):
        given = np.array([places[seed] for seed in drawn], dtype=np.int64)
        members = np.array([places[member] for member in known[name].difference(drawn)], dtype=np.int64)
        for way, lists in zip(ways, found, strict=True):
            lists.append(_judged(reader, name, given, members, way, size, part))
    return found


def _judged(
    reader: Reader, name: str, seeds: Int64, members: Int64, way: Way, size: int, part: Modality | None
) -> Judged:
    query = ExpandQuery([""] * len(seeds), size, settings=way.settings, strategy=way.strategy, modality=part)
    whole = reader.whole(settings_of(query).both_directions)
    ranking = run(ranked(query, SeedSet(seeds), size, _NOBODY, reader.facts, whole), reader)
    judged = features(ranking.telling, ranking.between)
    return Judged(name, judged, np.isin(ranking.positions, members), len(members))


def fit_index(
    store: Store,
    truth: Mapping[str, frozenset[str]],
    draws: int = 5,
    size: int = 100,
    kinds: Sequence[Kind] = KINDS,
    channels: ChannelWeights | None = None,
) -> tuple[Fitted, dict[str, Held]]:
    """Fit confidences for an index and its parts, and measure them on classes left out.

    Args:
        store: An opened index.
        truth: Class -> ids of its members.
        draws: How many lists for each class and number of seeds.
        size: Results per list.
        kinds: What to fit.
        channels: Weights by which lists of the index' own strategy "hybrid" are fitted, too; None for no such lists.

    Returns:
        What was fitted on all classes, and by name of the kind its quality on classes left out. A part that has too few
        members of the classes is left out.

    Raises:
        QueryError: There are fewer than two classes with members enough in the index.
    """
    facts = store.begin().facts
    own = (*kinds, hybrid(channels)) if channels else kinds
    fitted, quality = _fit(store, truth, draws, size, own, None)
    for part in facts.parts:
        try:
            further, its = _fit(store, truth, draws, size, kinds, part)
        except QueryError:
            continue
        fitted, quality = fitted + further, {**quality, **{f"{part}: {name}": held for name, held in its.items()}}
    return Fitted(facts.meta.bundle, fitted), quality


def _fit(
    store: Store,
    truth: Mapping[str, frozenset[str]],
    draws: int,
    size: int,
    kinds: Sequence[Kind],
    part: Modality | None,
) -> tuple[tuple[Confidence, ...], dict[str, Held]]:
    """Fit confidences for an index or for a part of it; arguments as of `fit_index`."""
    meta = store.begin().facts.meta
    meta = meta if part is None else part_meta(meta, part)
    lists = iter(judged_lists(store, truth, [way for kind in kinds for way in kind.ways], draws, size, part))
    fitted, quality = list[Confidence](), dict[str, Held]()
    for kind in kinds:
        own, first = [judged for _ in kind.ways for judged in next(lists)], kind.ways[0]
        quality[kind.name] = held_out(own)
        coefficients = tuple(float(value) for value in fit(own))
        fitted.append(
            Confidence(
                space=first.settings.space,
                both_directions=first.settings.both_directions,
                modality=meta.modality,
                coefficients=coefficients,  # type: ignore[arg-type]
                classes=quality[kind.name].classes,
                lists=len(own),
                late_fusion=meta.late_fusion,
                strategy="hybrid" if first.strategy == "hybrid" else None,
            )
        )
    return tuple(fitted), quality
