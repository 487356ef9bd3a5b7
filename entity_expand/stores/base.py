"""What an expansion asks of a store, and what a store answers.

An expansion is a generator of requests (`expand.py`, `search/plan.py`). A store opens a reader, one consistent view of
an index for one run, and the reader answers requests, many at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from entity_expand.calibration.fitted import Fitted
from entity_expand.channels.fusion import Channel
from entity_expand.search.frame import PairFrame
from entity_expand.search.pools import Pool
from entity_expand.search.scoring import EntityRows
from entity_expand.stores.filters import Filter
from entity_expand.types import Entity, Float64, Int64, Modality, Variant

T = TypeVar("T")

VectorField: TypeAlias = Literal["head", "pair", "feature"]
VECTOR_FIELDS: tuple[VectorField, ...] = ("head", "pair", "feature")
"""What can be searched: R (W), [R ; G] (2 W), and the centred unit feature (D)."""
Part: TypeAlias = Literal["text", "picture"]
PARTS: tuple[Part, ...] = ("text", "picture")
"""What an index may hold beside its own rows: those that the texts alone give, and the pictures alone."""


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
        variant: How the graphs of the bundle computed that encoded it.
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
    variant: Variant = "fp32"


def part_meta(meta: IndexMeta, part: Modality) -> IndexMeta:
    """Return what a part of an index would be made of by itself."""
    return dataclasses.replace(meta, modality=part, late_fusion=None)


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


@dataclass(frozen=True, slots=True)
class Facts:
    """What an expansion must know of an index beforehand.

    Attributes:
        meta: What the index is made of.
        largest_norms: Largest Euclidean norm among the vectors of each field that can be searched; of "pair" among the
            balanced ones.
        mean_feature: (D,) float64, the mean feature ḡ of the entities the index was built with.
        exact: Whether the nearest entities are always the true ones, as with a full scan.
        pair_frame: How the vectors of "pair" are balanced; None for as they are.
        channels: What can be asked beside the model's scores.
        parts: The same of the parts that the index holds.
        fitted: What was fitted on sets whose members are known; None for nothing.
    """

    meta: IndexMeta
    largest_norms: Mapping[VectorField, float]
    mean_feature: Float64
    exact: bool
    pair_frame: PairFrame | None = None
    channels: frozenset[Channel] = frozenset()
    parts: Mapping[Modality, Facts] = field(default_factory=dict)
    fitted: Fitted | None = None


class Request(Generic[T]):
    """Asked of a reader, answered by a T."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Rows(Request[EntityRows]):
    """The stored rows of entities, in this order; of a part, where σ is 0 for an entity that is absent from it."""

    positions: Int64
    part: Modality | None = None


@dataclass(frozen=True, slots=True)
class Nearest(Request[Hits]):
    """The entities whose vectors have the largest inner product with a query.

    Attributes:
        field: Which vectors.
        query: (W,) for "head", (2 W,) for "pair", (D,) for "feature".
        size: How many; fewer come back if there are no more, or the store gives no more at once.
        excluded: (x,) positions to leave out, rising.
        filter: Which entities may come back; None for all.
        part: Whose vectors; None for those of the index itself.
    """

    field: VectorField
    query: Float64
    size: int
    excluded: Int64
    filter: Filter | None = None
    part: Modality | None = None


@dataclass(frozen=True, slots=True)
class Lookup(Request[tuple[tuple[int, ...], ...]]):
    """For each text the positions, rising, that it stands for as an id, else as a name or an alias."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suggest(Request[tuple[str, ...]]):
    """Names that are spelled much like a text, best first."""

    text: str
    limit: int


@dataclass(frozen=True, slots=True)
class Find(Request[tuple[int, ...]]):
    """Up to `limit` positions of entities of which a name or an alias begins with `prefix`, without regard to case.

    Those that are called just so come first; then, and among them, it goes by name, character by character.
    """

    prefix: str
    limit: int


@dataclass(frozen=True, slots=True)
class Describe(Request[list[Record]]):
    """What to show of entities, in this order."""

    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Matching(Request[Int64]):
    """The positions of all entities that a filter lets through, rising; None for all entities."""

    filter: Filter | None


@dataclass(frozen=True, slots=True)
class Together(Request[list[Any]]):
    """Requests that do not depend on one another, sent in one round; no reader meets this, see `drive.py`."""

    requests: tuple[Request[Any], ...]


Steps: TypeAlias = Generator[Request[Any], Any, T]
"""An algorithm without I/O: it yields requests, is sent their answers, and returns a T."""


def ask(request: Request[T]) -> Steps[T]:
    """Yield a request and return its answer.

    >>> rows = yield from ask(Rows(positions))  # doctest: +SKIP
    """
    answer: T = yield request
    return answer


class Reader(Protocol):
    """One consistent view of an index, for one run."""

    @property
    def facts(self) -> Facts:
        """What an expansion must know of the index."""

    def whole(self, both_directions: float) -> Pool | None:
        """Return all entities 0..n-1 as one pool if their scores are at hand, else None."""

    def answer(self, requests: Sequence[Request[Any]]) -> list[Any]:
        """Return the answers to requests that do not depend on one another."""


class Store(Protocol):
    """An opened index: entities with positions that rise with their ids. Safe for use from several threads."""

    def begin(self, timeout: float | None = None) -> Reader:
        """Return a reader for one run.

        Args:
            timeout: Seconds that the run may take in all; None for the store's own limit.
        """

    def close(self) -> None:
        """Let go of files and connections."""


class AsyncReader(Protocol):
    """A reader that is awaited."""

    @property
    def facts(self) -> Facts:
        """What an expansion must know of the index."""

    async def answer(self, requests: Sequence[Request[Any]]) -> list[Any]:
        """Return the answers to requests that do not depend on one another."""


class AsyncStore(Protocol):
    """A store that is awaited; it belongs to one event loop."""

    async def begin(self, timeout: float | None = None) -> AsyncReader:
        """Return a reader for one run."""

    async def close(self) -> None:
        """Let go of connections."""
