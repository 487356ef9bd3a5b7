"""What an indexing run is told, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from entity_expand.elastic.bodies import VectorOptions
from entity_expand.errors import ConfigError
from entity_expand.stores.writing import TABLE_BYTES
from entity_expand.types import MODALITIES, Modality


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """What is indexed, and how.

    Attributes:
        modality: What the encoder is shown.
        split: Only this split of the corpus; None for all of it.
        late_fusion: With modality "both": None shows the encoder each sentence together with its picture. A weight w
            shows them apart; an entity's feature is then 1 - w of the mean over its texts and w of that over its
            pictures, or the one that it has.
        evidence: Sentences kept per entity.
        modalities: Whether what the texts alone and the pictures alone say is kept beside what "both" says; both are
            encoded for it, and the index is up to three times as large.
        table_bytes: Scores of all pairs are kept in a folder if they need no more than this; 0 for never.
    """

    modality: Modality = "both"
    split: str | None = None
    late_fusion: float | None = None
    evidence: int = 3
    table_bytes: int = TABLE_BYTES
    modalities: bool = False

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES or self.evidence < 0 or self.table_bytes < 0:
            raise ConfigError(
                f"modality must be one of {', '.join(MODALITIES)}, evidence and table_bytes at least 0; "
                f"got {self.modality!r}, {self.evidence}, {self.table_bytes}."
            )
        if self.modalities and self.modality != "both":
            raise ConfigError(f"modalities are kept beside the modality 'both', not beside {self.modality!r}.")
        if self.late_fusion is not None and (self.modality != "both" or not 0 <= self.late_fusion <= 1):
            raise ConfigError(
                "late_fusion is a weight of 0 to 1 and goes with modality 'both'; "
                f"got {self.late_fusion} with {self.modality!r}."
            )


@dataclass(frozen=True, slots=True)
class ElasticSettings:
    """How an index on a search server is written.

    Attributes:
        vectors: How vectors are kept and searched; None chooses by the number of entities.
        shards: Primary shards. One holds millions of entities, and a search over one needs no merging.
        replicas: Copies of each shard once it is loaded; None for one, or none where the cluster has a single data
            node, on which a copy could never be placed.
        chunk_bytes: Largest bulk request.
        in_flight: Bulk requests under way at once.
        patience: Seconds without any progress that a run survives, as while the server restarts.
        lease_seconds: A run whose sign of life has not changed for so long counts as dead.
        merge: Merge the loaded index into one segment, which makes searches faster.
        allow_rejected: Put the index into use even if the server refused some entities.
        work: Folder for what must survive a kill, and for the list of refused entities; None for one below
            $XDG_CACHE_HOME/entity-expand or ~/.cache/entity-expand.
        seed: For the times between tries, and which entities are checked after loading.
    """

    vectors: VectorOptions | None = None
    shards: int = 1
    replicas: int | None = None
    chunk_bytes: int = 10 << 20
    in_flight: int = 2
    patience: float = 300.0
    lease_seconds: float = 20.0
    merge: bool = True
    allow_rejected: bool = False
    work: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.shards < 1 or (self.replicas is not None and self.replicas < 0):
            raise ConfigError(f"shards is at least 1 and replicas at least 0; got {self.shards}, {self.replicas}.")
        if self.chunk_bytes < 1 or self.in_flight < 1 or self.patience <= 0 or self.lease_seconds <= 0:
            raise ConfigError(
                "chunk_bytes, in_flight, patience and lease_seconds are above 0; "
                f"got {self.chunk_bytes}, {self.in_flight}, {self.patience}, {self.lease_seconds}."
            )


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What happened on the server.

    Attributes:
        version: The physical index that the name stands for now.
        vectors: How its vectors are kept and searched.
        reason: Why so.
        sent: Entities sent; the others were there already from a run that was stopped.
        rejected: How many of them the server refused.
        dead_letters: The file that lists these, with the server's reasons; None if there are none.
        recall: Share of the true ten nearest entities found, over the entities that were checked.
        checked: How many these were; 0 if the index was up to date and left alone.
    """

    version: str
    vectors: VectorOptions
    reason: str
    sent: int = 0
    rejected: int = 0
    dead_letters: Path | None = None
    recall: float = 1.0
    checked: int = 0


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What an indexing run did.

    Attributes:
        entities: How many the index holds.
        trained: How many of them have head rows of their own.
        samples: How many samples were encoded.
        without_samples: Entities of the corpus that are not in the index, because no sample shows them.
        up_to_date: Whether the index was already made of the same bundle, corpus and settings, and was left alone.
        load: What happened on the server; None for a folder.
    """

    entities: int
    trained: int
    samples: int
    without_samples: int
    up_to_date: bool
    load: LoadReport | None = None
