"""Pairs of samples: the rules of NOTES.md section 6.1 on made lists, and the sizes of the original's own example."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from entity_expand.errors import TrainingError
from training.config import MiningSettings
from training.pairs import EntityLists, PairRows, entity_pairs, ordered, pair_rows


def lists_of(*pairs: tuple[list[int], list[int]]) -> EntityLists:
    return EntityLists(*(tuple(np.array(pair[side], dtype=np.int64) for pair in pairs) for side in (0, 1)))


def labels_of(counts: dict[int, int], seed: int = 0) -> np.ndarray:
    """Samples of entities in mixed order."""
    labels = np.repeat(list(counts), list(counts.values()))
    return np.random.default_rng(seed).permutation(labels)


def some_lists(count: int = 30, entities: int = 60) -> EntityLists:
    random = np.random.default_rng(1)
    drawn = [random.permutation(entities)[: random.integers(1, 12)].tolist() for _ in range(count)]
    return lists_of(*((each[: len(each) // 2 + 1], each[len(each) // 2 + 1 :]) for each in drawn))


def naive_counts(lists: EntityLists) -> Counter[tuple[int, str]]:
    """Count each list's pairs of an entity with itself, going through the lists one after the other."""
    counts: Counter[tuple[int, str]] = Counter()
    met: set[int] = set()
    for number, (positives, negatives) in enumerate(zip(lists.positives, lists.negatives, strict=True)):
        for kind, entities in (("self", positives), ("hard", negatives)):
            for entity in entities.tolist():
                counts[number, kind] += (entity not in met) + (kind == "hard")
                met.add(entity)
    return counts


@pytest.mark.parametrize("seed", range(5))
def test_entities_are_paired_by_the_rules(seed: int) -> None:
    lists, settings = some_lists(), MiningSettings(partners=2)
    found = entity_pairs(lists, settings, seed, epoch=0)
    alone = found.first == found.second
    expected = naive_counts(lists)
    for number in range(len(lists.positives)):
        here = found.block == number
        assert (here & alone & ~found.hard).sum() == expected[number, "self"]
        assert (here & found.hard).sum() == expected[number, "hard"]
        assert set(found.first[here & found.hard]) == set(lists.negatives[number])
        members = set(lists.positives[number].tolist())
        assert set(found.first[here & ~found.hard]) | set(found.second[here & ~found.hard]) <= members
    assert alone[found.hard].all()
    together = [frozenset(pair) for pair in zip(found.first[~alone], found.second[~alone], strict=True)]
    assert len(set(together)) == len(together)
    self_pairs = Counter(found.first[alone].tolist())
    times_hard = Counter(np.concatenate(lists.negatives).tolist())
    assert self_pairs == {entity: 1 + times_hard[entity] for entity in self_pairs}


def test_each_member_takes_as_many_partners_as_are_left() -> None:
    """In a list of four each of the first members finds two partners until the six pairs are used up."""
    for seed in range(20):
        found = entity_pairs(lists_of(([7, 8, 9, 10], [])), MiningSettings(partners=2), seed, 0)
        others = Counter(found.first[found.first != found.second].tolist())
        left = {frozenset((one, other)) for one in range(7, 11) for other in range(7, one)}
        for member in (7, 8, 9, 10):
            available = [pair for pair in left if member in pair]
            assert others[member] == min(2, len(available))
            own = found.first == member
            left -= {frozenset((member, other)) for other in found.second[own].tolist()}


@pytest.mark.parametrize(("size", "pairs"), [(1, 1), (2, 3), (3, 6), (4, 10)])
def test_small_classes_end(size: int, pairs: int) -> None:
    """With more partners wanted than there are: one pair with itself each, and each two entities once."""
    members = list(range(size))
    assert size + size * (size - 1) // 2 == pairs
    assert len(entity_pairs(lists_of((members, [])), MiningSettings(partners=50), 0, 0).first) == pairs


def test_no_two_entities_are_paired_in_two_lists() -> None:
    lists = lists_of(([1, 2], [3]), ([2, 1], [3]))
    found = entity_pairs(lists, MiningSettings(), 0, 0)
    pairs = list(zip(found.first.tolist(), found.second.tolist(), found.block.tolist(), strict=True))
    assert pairs == [(1, 1, 0), (1, 2, 0), (2, 2, 0), (3, 3, 0), (3, 3, 0), (3, 3, 1)]
    assert found.hard.tolist() == [False, False, False, True, True, True]


@pytest.mark.parametrize("block", [1, 5, 64])
def test_sizes_and_draws_of_samples(block: int) -> None:
    counts = {0: 1, 1: 3, 2: 10, 3: 70, 4: 2}
    labels = labels_of(counts)
    lists, settings = lists_of(([0, 1, 2, 3], [4])), MiningSettings(block=block, partners=3)
    pairs = pair_rows(lists, labels, settings, seed=4, epoch=2)
    entities = entity_pairs(lists, settings, 4, 2)
    sizes = [
        min(max(counts[one], counts[other]), block)
        for one, other in zip(entities.first.tolist(), entities.second.tolist(), strict=True)
    ]
    assert len(pairs) == sum(sizes)
    starts = np.cumsum([0, *sizes])
    for k, (start, end) in enumerate(pairwise(starts)):
        for rows, entity in ((pairs.first, entities.first[k]), (pairs.second, entities.second[k])):
            drawn = rows[start:end]
            assert set(labels[drawn]) == {entity}
            if counts[entity] >= end - start:
                assert len(set(drawn.tolist())) == end - start
        assert set(pairs.hard[start:end]) == {entities.hard[k]}
        assert set(pairs.block[start:end]) == {0}


def test_draws_are_even() -> None:
    """Each of 8 samples comes as often as the others, with and without replacement, to within 5 deviations."""
    labels = labels_of({0: 8, 1: 30})
    for block, draws in ((4, 4), (64, 30)):
        times = np.zeros(len(labels))
        for epoch in range(400):
            pairs = pair_rows(lists_of(([0, 1], [])), labels, MiningSettings(block=block), 0, epoch)
            mixed = labels[pairs.first] != labels[pairs.second]
            sides = np.concatenate([pairs.first[mixed], pairs.second[mixed]])
            times += np.bincount(sides[labels[sides] == 0], minlength=len(labels))
        own = times[labels == 0]
        assert own.sum() == 400 * draws
        assert np.abs(own - own.mean()).max() < 5 * np.sqrt(400 * draws / 8)


def test_the_same_arguments_give_the_same_pairs() -> None:
    lists, labels = some_lists(), labels_of(dict.fromkeys(range(60), 4))
    one, same = (pair_rows(lists, labels, MiningSettings(lists=9), 3, 1) for _ in range(2))
    other = pair_rows(lists, labels, MiningSettings(lists=9), 3, 2)
    assert all(np.array_equal(getattr(one, name), getattr(same, name)) for name in vars(one))
    assert not np.array_equal(one.first[:50], other.first[:50])
    assert max(len(set(one.block)), len(set(other.block))) == 9
    assert set(one.block) != set(other.block)


def test_entities_without_samples_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"head rows \[5\]"):
        pair_rows(lists_of(([0, 5], [])), np.array([0, 0]), MiningSettings(), 0, 0)


def test_no_lists_give_no_pairs() -> None:
    pairs = pair_rows(lists_of(), np.array([0, 0]), MiningSettings(), 0, 0)
    assert len(pairs) == len(ordered(pairs, 8, together=True, seed=0, epoch=0, turn=0)) == 0


def as_set(pairs: PairRows) -> Counter[tuple[int, ...]]:
    return Counter(zip(*(getattr(pairs, name).tolist() for name in vars(pairs)), strict=True))


@pytest.mark.parametrize("together", [False, True])
def test_an_order_holds_every_pair_once(together: bool) -> None:
    pairs = pair_rows(some_lists(), labels_of(dict.fromkeys(range(60), 4)), MiningSettings(), 0, 0)
    first, second = (ordered(pairs, 32, together=together, seed=0, epoch=0, turn=turn) for turn in range(2))
    assert as_set(first) == as_set(second) == as_set(pairs)
    assert not np.array_equal(first.first, second.first)
    again = ordered(pairs, 32, together=together, seed=0, epoch=0, turn=1)
    assert np.array_equal(second.first, again.first)


def test_hard_negatives_come_with_their_positives_and_other_lists() -> None:
    labels = labels_of(dict.fromkeys(range(200), 8))
    lists = lists_of(*((list(range(10 * k, 10 * k + 5)), list(range(10 * k + 5, 10 * k + 10))) for k in range(20)))
    pairs = pair_rows(lists, labels, MiningSettings(), 0, 0)
    found = ordered(pairs, 64, together=True, seed=0, epoch=0, turn=0)
    shuffled = ordered(pairs, 64, together=False, seed=0, epoch=0, turn=0)

    def batches(of: PairRows) -> list[tuple[float, int]]:
        """For each whole batch the share of its positives that meet a hard negative of theirs, and its lists."""
        measured = []
        for start in range(0, len(of) - 63, 64):
            block, hard = of.block[start : start + 64], of.hard[start : start + 64]
            measured.append((np.isin(block[~hard], block[hard]).mean(), len(set(block.tolist()))))
        return measured

    assert min(share for share, _ in batches(found)) > 0.85
    assert np.mean([share for share, _ in batches(found)]) > 0.95
    assert min(count for _, count in batches(found)) >= 4
    by_chance = np.mean([count for _, count in batches(shuffled)])
    assert np.mean([count for _, count in batches(found)]) < by_chance - 4


@pytest.mark.shared
def test_the_originals_own_pairs_have_the_same_counts_and_sizes(shared: Path) -> None:
    stored = json.loads((shared / "reference/pipeline/evaluation/cls2eids_and_pairs.json").read_text())
    names = [name for name in stored["class_order_in_pickle"] if not name.startswith("neg ")]
    content, counts = stored["cls2eids"], {int(key): value for key, value in stored["num_sentences"].items()}
    lists = lists_of(*((content[name], content[f"neg {name}"]) for name in names))
    labels = labels_of(counts)
    settings = MiningSettings(partners=2, block=64)
    entities = entity_pairs(lists, settings, seed=0, epoch=0)
    blocks = stored["pairs_eid1_eid2_count"]
    alone = entities.first == entities.second
    theirs = Counter(one for one, other, _ in blocks if other is None)
    assert Counter(entities.first[alone].tolist()) == theirs
    assert (~alone).sum() == sum(other is not None for _, other, _ in blocks)
    assert Counter(entities.first[~alone].tolist()) == Counter(one for one, other, _ in blocks if other is not None)
    # The constraints of a block, on theirs and on ours.
    assert all(m == min(max(counts[one], counts[other or one]), 64) for one, other, m in blocks)
    pairs = pair_rows(lists, labels, settings, seed=0, epoch=0)
    of_ours = zip(entities.first.tolist(), entities.second.tolist(), strict=True)
    assert len(pairs) == sum(min(max(counts[one], counts[other]), 64) for one, other in of_ours)
    own = sum(m for _, other, m in blocks if other is None)
    assert (labels[pairs.first] == labels[pairs.second]).sum() == own
    assert stored["total_pairs"] == sum(m for *_, m in blocks)
