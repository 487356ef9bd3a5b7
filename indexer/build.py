"""Index a corpus: encode it, work out what each entity's score needs, write a new version, and put it to use."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from entity_expand._version import __version__
from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus
from entity_expand.encoder import Encoder
from entity_expand.errors import ConfigError, CorpusError, StoreError
from entity_expand.files import locked
from entity_expand.scoring import EntityRows, entity_rows, head_rows, head_statistics, predicted_rows
from entity_expand.stores.base import Evidence, IndexMeta, Record
from entity_expand.stores.memory import CURRENT, VERSIONS, MemoryStore
from entity_expand.stores.writing import TABLE_BYTES, remove_others, use_version, write_version
from entity_expand.types import MODALITIES, Float64, Int64, Modality, Sample
from indexer.features import Selection, mean_features, select

_BUILDING = "building"
_BLOCK = 4096
_LONGEST_EVIDENCE = 1_000


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
        table_bytes: Scores of all pairs are kept if they need no more than this; 0 for never.
    """

    modality: Modality = "both"
    split: str | None = None
    late_fusion: float | None = None
    evidence: int = 3
    table_bytes: int = TABLE_BYTES

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES or self.evidence < 0 or self.table_bytes < 0:
            raise ConfigError(
                f"modality must be one of {', '.join(MODALITIES)}, evidence and table_bytes at least 0; "
                f"got {self.modality!r}, {self.evidence}, {self.table_bytes}."
            )
        if self.late_fusion is not None and (self.modality != "both" or not 0 <= self.late_fusion <= 1):
            raise ConfigError(
                "late_fusion is a weight of 0 to 1 and goes with modality 'both'; "
                f"got {self.late_fusion} with {self.modality!r}."
            )


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What an indexing run did.

    Attributes:
        entities: How many the index holds.
        trained: How many of them have head rows of their own.
        samples: How many samples were encoded.
        without_samples: Entities of the corpus that are not in the index, because no sample shows them.
        up_to_date: Whether the index was already made of the same bundle, corpus and settings, and was left alone.
    """

    entities: int
    trained: int
    samples: int
    without_samples: int
    up_to_date: bool


def index_corpus(
    bundle: Bundle, encoder: Encoder, corpus: Corpus, destination: Path | str, settings: IndexSettings | None = None
) -> IndexReport:
    """Index a corpus into an embedded store.

    The version in use stays as it is until the new one is whole and checked. Killed at any moment and run again, it
    goes on from what was encoded and ends with the same index.

    Args:
        bundle: Head rows, and the entities that were trained. An entity of the corpus is one of these if both its
            id and its name are the same; all others get predicted head rows.
        encoder: Yields features of the bundle's width.
        corpus: What to index.
        destination: The index folder.
        settings: None for the defaults.

    Raises:
        StoreError: Another run is at work there, the encoder does not fit the bundle, or the disk is full.
        CorpusError: No sample shows what the modality and the split ask for.
        EncoderError: The encoder refuses an input.
    """
    root, chosen = Path(destination), settings or IndexSettings()
    if encoder.dimension != bundle.dimension:
        raise StoreError(f"The encoder yields {encoder.dimension} numbers, the bundle's head takes {bundle.dimension}.")
    if root.exists() and not root.is_dir():
        raise StoreError(f"{root} is a file; an index is a folder.")
    with locked(root / ".lock", StoreError, f"Another run is indexing into {root}; wait for it to end."):
        return _index(bundle, encoder, corpus, root, chosen)


def _index(bundle: Bundle, encoder: Encoder, corpus: Corpus, root: Path, settings: IndexSettings) -> IndexReport:
    selection = select(corpus, settings.modality, settings.split)
    if not len(selection.entities):
        raise CorpusError(
            f"Nothing to index: no sample of {corpus.root} has modality {settings.modality!r} and split "
            f"{settings.split!r}; the splits are {', '.join(corpus.splits) or 'none'}."
        )
    trained = _trained_rows(bundle, corpus, selection)
    meta = _meta(bundle, corpus, selection, settings, int((trained >= 0).sum()))
    name = _version_name(meta, settings)
    up_to_date = _is_current(root, name, meta)
    if not up_to_date:
        work = root / _BUILDING / name
        work.mkdir(parents=True, exist_ok=True)
        features = _features(encoder, corpus, selection, settings, work)
        version = work / "version"
        shutil.rmtree(version, ignore_errors=True)
        version.mkdir()
        records = _records(corpus, selection, trained, settings.evidence)
        write_version(version, meta, _blocks(bundle, features, trained), records, settings.table_bytes)
        use_version(root, version, name)
    _tidy(root, name)
    without_samples = len(corpus.entities) - meta.entities
    return IndexReport(meta.entities, meta.trained, meta.samples, without_samples, up_to_date)


def _tidy(root: Path, name: str) -> None:
    remove_others(root, name)
    shutil.rmtree(root / _BUILDING, ignore_errors=True)


def _features(encoder: Encoder, corpus: Corpus, selection: Selection, settings: IndexSettings, work: Path) -> Float64:
    """Return the feature of each indexed entity, (n, D) float64."""
    if settings.late_fusion is None:
        return mean_features(encoder, corpus, selection, settings.modality, work / "features.f64")
    sums, weights = np.zeros((len(selection.entities), encoder.dimension)), np.zeros((len(selection.entities), 1))
    apart: tuple[tuple[Modality, float], ...] = (("text", 1 - settings.late_fusion), ("picture", settings.late_fusion))
    for modality, weight in apart:
        shown = select(corpus, modality, settings.split)
        if len(shown.entities):
            places = np.searchsorted(selection.entities, shown.entities)
            # A part of weight 0 still counts, by next to nothing, for an entity that has no other.
            weights[places] += max(weight, 1e-9)
            own = mean_features(encoder, corpus, shown, modality, work / f"{modality}.f64")
            sums[places] += max(weight, 1e-9) * own
    return sums / weights


def _trained_rows(bundle: Bundle, corpus: Corpus, selection: Selection) -> Int64:
    """Return the head row of each indexed entity, (n,) int64; -1 for one that was never trained."""
    row_of = {(entity.id, entity.name): row for row, entity in enumerate(bundle.entities)}
    indexed = [corpus.entities[position] for position in selection.entities.tolist()]
    return np.array([row_of.get((entity.id, entity.name), -1) for entity in indexed], dtype=np.int64)


def _meta(bundle: Bundle, corpus: Corpus, selection: Selection, settings: IndexSettings, trained: int) -> IndexMeta:
    return IndexMeta(
        bundle=bundle.fingerprint,
        corpus=corpus.content_hash,
        corpus_folder=str(corpus.root.absolute()),
        modality=settings.modality,
        late_fusion=settings.late_fusion,
        split=settings.split or "",
        dimension=bundle.dimension,
        vocabulary=bundle.vocabulary,
        entities=len(selection.entities),
        trained=trained,
        samples=selection.count,
        written_by=__version__,
    )


def _version_name(meta: IndexMeta, settings: IndexSettings) -> str:
    made_of = [meta.bundle, meta.corpus, meta.corpus_folder, meta.modality, meta.split, meta.written_by]
    made_of += [str(meta.late_fusion), str(settings.evidence), str(settings.table_bytes)]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]


def _is_current(root: Path, name: str, meta: IndexMeta) -> bool:
    if not (root / CURRENT).is_file() or (root / CURRENT).read_text().strip() != name:
        return False
    try:
        store = MemoryStore(root / VERSIONS / name)
    except StoreError:
        return False
    store.close()
    return store.meta == meta


def _blocks(bundle: Bundle, features: Float64, trained: Int64) -> Iterator[EntityRows]:
    """Yield the stored rows of all entities; the bundle's head fixes mean and covariance."""
    vocabulary = head_rows(bundle.head_weight, bundle.head_bias)
    statistics = head_statistics(vocabulary)
    for start in range(0, len(features), _BLOCK):
        part, own = features[start : start + _BLOCK], trained[start : start + _BLOCK]
        rows = np.where((own >= 0)[:, None], vocabulary[own], predicted_rows(part, bundle.ridge))
        yield entity_rows(part, rows, vocabulary, statistics)


def _records(corpus: Corpus, selection: Selection, trained: Int64, evidence: int) -> Iterator[Record]:
    for position, row, numbers in zip(selection.entities.tolist(), trained.tolist(), selection.samples, strict=True):
        shown = tuple(_evidence(corpus.sample(number)) for number in numbers[:evidence].tolist())
        yield Record(corpus.entities[position], row >= 0, len(numbers), shown)


def _evidence(sample: Sample) -> Evidence:
    """Return a sample as evidence; a long text is cut around the first mention."""
    if len(sample.text) <= _LONGEST_EVIDENCE:
        return Evidence(sample.text, sample.mentions, sample.image)
    start, end = sample.mentions[0]
    first = max(0, min(start - _LONGEST_EVIDENCE // 2, len(sample.text) - _LONGEST_EVIDENCE))
    last = max(end, first + _LONGEST_EVIDENCE)
    inside = tuple((s - first, e - first) for s, e in sample.mentions if s >= first and e <= last)
    return Evidence(sample.text[first:last], inside, sample.image)
