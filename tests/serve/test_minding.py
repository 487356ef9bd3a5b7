"""New seeds are encoded within the time of a request."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from entity_expand import DeadlineError, Expander, NewSeed
from entity_expand.bundle import Bundle
from entity_expand.encoder import FakeEncoder
from entity_expand.search.scoring import EntityRows
from entity_expand.seeds.newcomers import SeedEncoder
from entity_expand.sending import Deadline
from entity_expand.serve.minding import Minding
from entity_expand.stores.base import IndexMeta

TEXTS = [NewSeed(f"The [[okapi]] has salt {n}.") for n in range(3)]


class Slow:
    """Encodes, and counts what it is asked for; each call takes a while."""

    def __init__(self, encoder: SeedEncoder, seconds: float = 0.0) -> None:
        self.encoder, self.seconds, self.asked = encoder, seconds, list[int]()

    def rows(self, seeds: Sequence[NewSeed], meta: IndexMeta) -> EntityRows:
        self.asked.append(len(seeds))
        time.sleep(self.seconds)
        return self.encoder.rows(seeds, meta)


@pytest.fixture
def encoder(world: Path) -> SeedEncoder:
    bundle = Bundle.open(world / "bundle")
    return SeedEncoder(bundle, FakeEncoder(bundle.dimension))


@pytest.fixture
def pictured(world: Path) -> list[NewSeed]:
    return [NewSeed("An [[ibis]].", (world / "corpus" / "im ages" / "0.png").read_bytes()), *TEXTS]


def test_seeds_with_pictures_are_encoded_one_by_one(encoder: SeedEncoder, pictured, expander: Expander) -> None:
    meta = expander.store.begin().facts.meta
    for seeds, asked in [(TEXTS, [3]), (pictured, [1, 1, 1, 1])]:
        slow = Slow(encoder)
        found, right = Minding(slow, Deadline.after(60)).rows(seeds, meta), encoder.rows(seeds, meta)
        assert slow.asked == asked
        np.testing.assert_allclose(found.scaled, right.scaled, rtol=1e-6)


def test_none_is_encoded_after_the_deadline(encoder: SeedEncoder, pictured, expander: Expander) -> None:
    slow = Slow(encoder, 0.2)
    with pytest.raises(DeadlineError):
        Minding(slow, Deadline.after(0.1)).rows(pictured, expander.store.begin().facts.meta)
    assert slow.asked == [1]
