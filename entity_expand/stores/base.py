"""What an expansion asks of a store: rows of entities, the nearest entities to a query, names and evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from entity_expand.pools import Pool
from entity_expand.scoring import EntityRows
from entity_expand.types import Entity, Float64, Int64, Modality


@dataclass(frozen=True, slots=True)
class IndexMeta:
    """What an index is made of; saved with it and compared when it is opened.

    Attributes:
        bundle: Fingerprint of the bundle that encoded it.
        corpus: Content hash of the corpus.
        corpus_folder: Where the corpus lay when it was indexed; pictures are looked up there.
        modality: What the encoder was shown.
        late_fusion: Weight of the pictures if texts and pictures were encoded apart, else None.
        split: The part of the corpus that was encoded, or "" for all of it.
        dimension: D.
        vocabulary: V of the bundle.
        entities: n.
        trained: How many of the n have head rows of their own; the rest have predicted ones.
        samples: How many samples were encoded.
        written_by: Version of the project.
    """

    bundle: str
    corpus: str
    corpus_folder: str
    modality: Modality
    late_fusion: float | None
    split: str
    dimension: int
    vocabulary: int
    entities: int
    trained: int
    samples: int
    written_by: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sentence that names the entity, with its picture; either may be missing.

    Attributes:
        text: The sentence, or "".
        mentions: Character spans [start, end) of the entity's mentions in it.
        image: Path of the picture relative to the corpus folder, or None.
    """

    text: str
    mentions: tuple[tuple[int, int], ...]
    image: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """What a person is shown of an entity.

    Attributes:
        entity: Id, name, aliases, attributes.
        trained: Whether it has a head row of its own.
        samples: How many samples its feature is the mean of.
        evidence: Some of them.
    """

    entity: Entity
    trained: bool
    samples: int
    evidence: Sequence[Evidence]


@dataclass(frozen=True, slots=True)
class Hits:
    """The answer to a nearest-entities request.

    Attributes:
        positions: (k,) int64, by falling score, ties by position.
        floor: Highest score that any entity which is neither in `positions` nor excluded can have.
    """

    positions: Int64
    floor: float


class Store(Protocol):
    """Entities 0..n-1 in id order. Safe for use from several threads.

    Attributes:
        meta: What the index is made of.
    """

    meta: IndexMeta

    def rows(self, positions: Int64) -> EntityRows:
        """Return the stored rows of entities, in the order asked for."""

    def nearest(self, query: Float64, size: int, excluded: Int64) -> Hits:
        """Return the `size` entities whose vectors have the largest inner product with `query`.

        Args:
            query: (W,) for R, or (2 W,) for [R ; G].
            size: How many; fewer come back if there are no more.
            excluded: (x,) positions to leave out.
        """

    def largest_norm(self, both_directions: bool) -> float:
        """Return the largest Euclidean norm of the vectors that `nearest` searches."""

    def whole(self, both_directions: float) -> Pool | None:
        """Return all entities as one pool if their scores are at hand, else None."""

    def features(self) -> Pool:
        """Return all entities as one pool in feature space: the score is the cosine of centred features."""

    def lookup(self, text: str) -> tuple[int, ...]:
        """Return the positions that an id, else a name or an alias, stands for; rising."""

    def suggestions(self, text: str, limit: int) -> tuple[str, ...]:
        """Return names that are spelled much like `text`, best first."""

    def records(self, positions: Sequence[int]) -> list[Record]:
        """Return what to show of entities, in the order asked for."""

    def close(self) -> None:
        """Let go of files and connections."""
