"""Pairs of samples for the contrasts, drawn from expanded lists (NOTES.md section 6.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from entity_expand.errors import TrainingError
from entity_expand.types import Bool, Int64
from training.config import MiningSettings

_LISTS, _PARTNERS, _SAMPLES, _ORDER = 11, 12, 13, 14
_LISTS_PER_BATCH = 8


@dataclass(frozen=True)
class EntityLists:
    """What the model's own expansion says of L sets; entities are rows of the head.

    Attributes:
        positives: L arrays (m,) int64, the seeds and the top of a list: taken to be of one class.
        negatives: L arrays (h,) int64, hard negatives: further down the same list.
    """

    positives: tuple[Int64, ...]
    negatives: tuple[Int64, ...]

    def packed(self) -> dict[str, Int64]:
        """Return four arrays (n,) int64 from which `unpacked` makes equal lists."""
        found = {}
        for name, lists in (("positives", self.positives), ("negatives", self.negatives)):
            found[name] = np.concatenate([np.zeros(0, np.int64), *lists])
            found[f"{name}_lengths"] = np.array([len(each) for each in lists], np.int64)
        return found

    @classmethod
    def unpacked(cls, arrays: Mapping[str, Int64]) -> EntityLists:
        """Return the lists of which `packed` gave the arrays."""
        return cls(*(_split(arrays[name], arrays[f"{name}_lengths"]) for name in ("positives", "negatives")))


def _split(values: Int64, lengths: Int64) -> tuple[Int64, ...]:
    return tuple(np.split(values, np.cumsum(lengths)[:-1])) if len(lengths) else ()


@dataclass(frozen=True)
class PairRows:
    """Pairs of samples, as rows of the training set.

    Attributes:
        first: (n,) int64.
        second: (n,) int64, each of the same class as its partner, as far as the lists tell.
        block: (n,) int64 number of the list that a pair comes from.
        hard: (n,) bool, whether it is a pair of a hard negative of that list with itself.
    """

    first: Int64
    second: Int64
    block: Int64
    hard: Bool

    def __len__(self) -> int:
        return len(self.first)

    def take(self, order: Int64) -> PairRows:
        """Return the pairs at `order` (k,), in that order."""
        return PairRows(self.first[order], self.second[order], self.block[order], self.hard[order])


@dataclass(frozen=True)
class EntityPairs:
    """Which entities are paired, before samples are drawn; entities are rows of the head.

    Attributes:
        first: (k,) int64.
        second: (k,) int64, the same entity in a pair of an entity with itself.
        block: (k,) int64 number of the list.
        hard: (k,) bool, as in `PairRows`.
    """

    first: Int64
    second: Int64
    block: Int64
    hard: Bool


def entity_pairs(lists: EntityLists, settings: MiningSettings, seed: int, epoch: int) -> EntityPairs:
    """Draw which entities are paired.

    Each entity is paired with itself once, when it is first met; each member of the positives with
    `settings.partners` others of its list, or with as many as are left, for no two entities are paired twice, in
    whatever list; each hard negative with itself once more in every list. So lists of any length end.

    Args:
        lists: What belongs together.
        settings: `partners`, and `lists`, how many lists are drawn.
        seed: Of the run.
        epoch: From 0.
    """
    found: list[tuple[int, int, int, bool]] = []
    seen: set[tuple[int, int]] = set()
    generator = np.random.default_rng((seed, _PARTNERS, epoch))

    def meet(entity: int, number: int, hard: bool) -> None:
        if (entity, entity) not in seen:
            seen.add((entity, entity))
            found.append((entity, entity, number, hard))

    for number in _chosen(len(lists.positives), settings.lists, seed, epoch):
        members = lists.positives[number].tolist()
        for member in members:
            meet(member, number, False)
            open_to = [other for other in members if other != member and _pair(member, other) not in seen]
            for other in generator.permutation(open_to)[: settings.partners].tolist():
                seen.add(_pair(member, other))
                found.append((member, other, number, False))
        for negative in lists.negatives[number].tolist():
            meet(negative, number, True)
            found.append((negative, negative, number, True))
    columns = np.array(found, dtype=np.int64).reshape(-1, 4).T
    return EntityPairs(columns[0], columns[1], columns[2], columns[3].astype(np.bool_))


def _chosen(count: int, most: int | None, seed: int, epoch: int) -> list[int]:
    if most is None or most >= count:
        return list(range(count))
    drawn: list[int] = np.random.default_rng((seed, _LISTS, epoch)).permutation(count)[:most].tolist()
    return drawn


def _pair(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)


def pair_rows(lists: EntityLists, labels: Int64, settings: MiningSettings, seed: int, epoch: int) -> PairRows:
    """Draw the pairs of samples of an epoch; `ordered` then puts them into the order of training.

    Two entities with n and n' samples give m = min(max(n, n'), `settings.block`) pairs. Each side draws m of its
    samples, without replacement where it has as many, else with; in a pair of an entity with itself both sides draw
    on their own, so a sample may meet itself.

    Args:
        lists: What belongs together.
        labels: (N,) int64 head row of each trained sample.
        settings: `partners`, `block` and `lists`.
        seed: Of the run.
        epoch: From 0.

    Returns:
        The pairs, those of one list behind one another; the same arguments give the same pairs.

    Raises:
        TrainingError: A list names an entity without samples.
    """
    entities = entity_pairs(lists, settings, seed, epoch)
    counts = np.bincount(labels, minlength=int(max(entities.first.max(initial=0), entities.second.max(initial=0))) + 1)
    pair_counts = counts[entities.first], counts[entities.second]
    if not all(each.all() for each in pair_counts):
        missing = np.setdiff1d(np.union1d(entities.first, entities.second), labels).tolist()
        raise TrainingError(f"The lists name the head rows {missing[:5]}, which have no trained samples; mine anew.")
    sizes = np.minimum(np.maximum(*pair_counts), settings.block)
    generator = np.random.default_rng((seed, _SAMPLES, epoch))
    first, second = (_drawn(labels, counts, side, sizes, generator) for side in (entities.first, entities.second))
    return PairRows(first, second, np.repeat(entities.block, sizes), np.repeat(entities.hard, sizes))


def _drawn(labels: Int64, counts: Int64, entities: Int64, sizes: Int64, generator: np.random.Generator) -> Int64:
    """Draw sizes[k] samples of entities[k] for each k, one after the other, (Σ sizes,)."""
    by_entity, starts = np.argsort(labels, kind="stable"), np.cumsum(counts) - counts
    own = counts[entities]  # (k,)
    draw = np.repeat(np.arange(len(entities)), sizes)  # (Σ sizes,) the k of each sample
    places: Int64 = generator.integers(0, own[draw])
    enough = np.flatnonzero(own >= sizes)
    owner = np.repeat(enough, own[enough])
    within = np.arange(len(owner)) - np.repeat(np.cumsum(own[enough]) - own[enough], own[enough])
    # All samples of an entity in random order; the first m of them are a draw without replacement.
    shuffled = within[np.lexsort((generator.random(len(owner)), owner))]
    places[(own >= sizes)[draw]] = shuffled[within < sizes[owner]]
    rows: Int64 = by_entity[starts[entities][draw] + places]
    return rows


def ordered(pairs: PairRows, batch_size: int, *, together: bool, seed: int, epoch: int, turn: int) -> PairRows:
    """Put the pairs of an epoch into the order of a pass over them.

    Args:
        pairs: Of `pair_rows`.
        batch_size: Pairs of a batch.
        together: False shuffles all, as the paper does: then a hard negative is one only by the chance that both come
            into one batch. True cuts each list's pairs into runs of an eighth of a batch, spreads the pairs of its hard
            negatives evenly among the others, and shuffles the runs: so the hard negatives in a batch are those of its
            positives, and other lists are there too.
        seed: Of the run.
        epoch: From 0.
        turn: Number of the pass, from 0.
    """
    generator = np.random.default_rng((seed, _ORDER, epoch, turn))
    shuffled = generator.permutation(len(pairs))
    if not together:
        return pairs.take(shuffled)
    block, hard = pairs.block[shuffled], pairs.hard[shuffled]
    kind = 2 * block + hard
    share = (_place_in_group(kind) + 0.5) / np.bincount(kind)[kind] if len(kind) else np.zeros(0)
    order = np.lexsort((share, block))
    within, length = _place_in_group(block[order]), max(2, batch_size // _LISTS_PER_BATCH)
    run = np.cumsum(within % length == 0) - 1
    mixed = np.argsort(generator.permutation(int(run.max(initial=-1)) + 1)[run], kind="stable")
    return pairs.take(shuffled[order][mixed])


def _place_in_group(groups: Int64) -> Int64:
    """Return how many equal numbers come before each, (n,), for numbers (n,) of at least 0."""
    order = np.argsort(groups, kind="stable")
    counts = np.bincount(groups)
    place = np.empty(len(groups), dtype=np.int64)
    place[order] = np.arange(len(groups)) - (np.cumsum(counts) - counts)[groups[order]]
    return place
