"""What an index is made from, the same for every destination: entities, features, stored rows, what to show."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from entity_expand._version import __version__
from entity_expand.bundle import Bundle
from entity_expand.channels.terms import masked_sentences
from entity_expand.corpus import Corpus
from entity_expand.encoder import Encoder
from entity_expand.errors import CorpusError, StoreError
from entity_expand.search.scoring import EntityRows, entity_rows, head_rows, head_statistics, predicted_rows
from entity_expand.stores.base import PARTS, Evidence, IndexMeta, Record
from entity_expand.types import Float64, Int64, Modality, Sample, Variant
from indexer.features import GroupEncoder, Selection, mean_features, select
from indexer.settings import IndexSettings

_BLOCK = 4096
_LONGEST_EVIDENCE = 1_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to be indexed.

    Attributes:
        bundle: The bundle.
        corpus: The corpus.
        settings: What of it, and how.
        selection: The n entities and their samples.
        trained: (n,) head row of each entity; -1 for one that was never trained.
    """

    bundle: Bundle
    corpus: Corpus
    settings: IndexSettings
    selection: Selection
    trained: Int64

    @property
    def ids(self) -> list[str]:
        """The ids of the n entities."""
        return [self.corpus.entities[position].id for position in self.selection.entities.tolist()]


def prepare(bundle: Bundle, encoder: Encoder | GroupEncoder, corpus: Corpus, settings: IndexSettings) -> Prepared:
    """Choose what is indexed, and see that it fits together.

    Raises:
        StoreError: The encoder does not fit the bundle.
        CorpusError: No sample shows what the modality and the split ask for.
    """
    if encoder.dimension != bundle.dimension:
        raise StoreError(f"The encoder yields {encoder.dimension} numbers, the bundle's head takes {bundle.dimension}.")
    selection = select(corpus, settings.modality, settings.split)
    if not len(selection.entities):
        raise CorpusError(
            f"Nothing to index: no sample of {corpus.root} has modality {settings.modality!r} and split "
            f"{settings.split!r}; the splits are {', '.join(corpus.splits) or 'none'}."
        )
    return of_selection(bundle, corpus, settings, selection)


def of_selection(bundle: Bundle, corpus: Corpus, settings: IndexSettings, selection: Selection) -> Prepared:
    """Return what is indexed of the entities and samples of a selection."""
    row_of = {(entity.id, entity.name): row for row, entity in enumerate(bundle.entities)}
    indexed = [corpus.entities[position] for position in selection.entities.tolist()]
    trained = np.array([row_of.get((entity.id, entity.name), -1) for entity in indexed], dtype=np.int64)
    return Prepared(bundle, corpus, settings, selection, trained)


def index_meta(prepared: Prepared, encoder: Encoder | GroupEncoder) -> IndexMeta:
    """Return what an index of all that is prepared is made of; this reads the whole corpus once."""
    bundle, corpus, settings = prepared.bundle, prepared.corpus, prepared.settings
    return IndexMeta(
        bundle=bundle.fingerprint,
        corpus=corpus.content_hash,
        corpus_folder=str(corpus.root.absolute()),
        modality=settings.modality,
        late_fusion=settings.late_fusion,
        split=settings.split or "",
        dimension=bundle.dimension,
        vocabulary=bundle.vocabulary,
        entities=len(prepared.selection.entities),
        trained=int((prepared.trained >= 0).sum()),
        samples=prepared.selection.count,
        written_by=__version__,
        variant=variant_of(encoder),
    )


def version_name(meta: IndexMeta, *further: object) -> str:
    """Return 16 hex digits that stand for what an index is made of, and for whatever else decides on its content."""
    made_of = [meta.bundle, meta.corpus, meta.corpus_folder, meta.modality, meta.split, meta.written_by]
    made_of += [str(meta.late_fusion), *map(str, further)]
    if meta.variant != "fp32":
        made_of.append(f"variant {meta.variant}")
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]


def variant_of(encoder: Encoder | GroupEncoder) -> Variant:
    """Return how an encoder computes; "fp32" if it does not say."""
    variant: Variant = getattr(encoder, "variant", "fp32")
    return variant


def features_of(prepared: Prepared, encoder: Encoder | GroupEncoder, work: Path) -> Float64:
    """Return the feature of each entity, (n, D) float64, memory-mapped from files in the folder `work`.

    The folder must belong to this encoder, bundle, corpus and selection; what an earlier run encoded is used again.
    """
    corpus, selection, settings = prepared.corpus, prepared.selection, prepared.settings
    if settings.late_fusion is None:
        return mean_features(encoder, corpus, selection, settings.modality, work / "features.f64")
    fused = open_memmap(work / "fused.npy", "w+", np.float64, (len(selection.entities), encoder.dimension))
    weights = np.zeros((len(selection.entities), 1))
    apart: tuple[tuple[Modality, float], ...] = (("text", 1 - settings.late_fusion), ("picture", settings.late_fusion))
    for modality, weight in apart:
        shown = selection.showing(corpus, modality)
        if len(shown.entities):
            places = np.searchsorted(selection.entities, shown.entities)
            own = mean_features(encoder, corpus, shown, modality, work / f"{modality}.f64")
            # A part of weight 0 still counts, by next to nothing, for an entity that has no other.
            weights[places] += max(weight, 1e-9)
            for start in range(0, len(places), _BLOCK):
                fused[places[start : start + _BLOCK]] += max(weight, 1e-9) * own[start : start + _BLOCK]
    for start in range(0, len(fused), _BLOCK):
        fused[start : start + _BLOCK] /= weights[start : start + _BLOCK]
    return fused


def part_blocks(
    prepared: Prepared, encoder: Encoder | GroupEncoder, work: Path
) -> dict[Modality, Iterator[EntityRows]]:
    """Return the rows of the parts that are to be kept, of all entities; arguments as of `features_of`."""
    if not prepared.settings.modalities:
        return {}
    return {part: _part_blocks(prepared, encoder, part, work) for part in PARTS}


def _part_blocks(
    prepared: Prepared, encoder: Encoder | GroupEncoder, part: Modality, work: Path
) -> Iterator[EntityRows]:
    """Yield the rows of a part; those of entities without a text, or without a picture, are 0."""
    selection = prepared.selection
    shown = selection.showing(prepared.corpus, part)
    places = np.searchsorted(selection.entities, shown.entities)
    features = np.zeros((len(selection.entities), encoder.dimension))
    if len(places):
        features[places] = mean_features(encoder, prepared.corpus, shown, part, work / f"{part}.f64")
    present = np.zeros(len(features))
    present[places] = 1.0
    for number, rows in enumerate(row_blocks(prepared, features)):
        here = present[number * _BLOCK : number * _BLOCK + len(rows)]
        narrow = here.astype(np.float32)[:, None]
        yield EntityRows(rows.head * narrow, rows.scaled * narrow, rows.deviation * here, rows.log_offset * here)


def row_blocks(prepared: Prepared, features: Float64) -> Iterator[EntityRows]:
    """Yield the stored rows of all entities, in blocks of one length; the bundle's head fixes mean and covariance."""
    vocabulary = head_rows(prepared.bundle.head_weight, prepared.bundle.head_bias)
    statistics = head_statistics(vocabulary)
    for start in range(0, len(features), _BLOCK):
        part, own = features[start : start + _BLOCK], prepared.trained[start : start + _BLOCK]
        rows = np.where((own >= 0)[:, None], vocabulary[own], predicted_rows(part, prepared.bundle.ridge))
        yield entity_rows(part, rows, vocabulary, statistics)


def samples_of(prepared: Prepared, number: int) -> list[Sample]:
    """Return the samples of an entity, in file order."""
    return [prepared.corpus.sample(each) for each in prepared.selection.samples[number].tolist()]


def masked(samples: list[Sample]) -> str:
    """Return the sentences of an entity without its mentions, as far as they are compared by their words."""
    return masked_sentences([(sample.text, sample.mentions) for sample in samples])


def texts(prepared: Prepared) -> Iterator[str]:
    """Yield the masked sentences of the entities, in order."""
    for number in range(len(prepared.selection.samples)):
        yield masked(samples_of(prepared, number))


def records(prepared: Prepared) -> Iterator[Record]:
    """Yield what to show of the entities, in order."""
    for number, numbers in enumerate(prepared.selection.samples):
        shown = [prepared.corpus.sample(each) for each in numbers[: prepared.settings.evidence].tolist()]
        yield record(prepared, number, shown)


def record(prepared: Prepared, number: int, samples: list[Sample]) -> Record:
    """Return what to show of one entity, given the first of its samples."""
    entity = prepared.corpus.entities[int(prepared.selection.entities[number])]
    evidence = tuple(_evidence(sample) for sample in samples[: prepared.settings.evidence])
    count = len(prepared.selection.samples[number])
    return Record(entity, bool(prepared.trained[number] >= 0), count, evidence)


def _evidence(sample: Sample) -> Evidence:
    """Return a sample as evidence; a long text is cut around the first mention."""
    if len(sample.text) <= _LONGEST_EVIDENCE:
        return Evidence(sample.text, sample.mentions, sample.image)
    start, end = sample.mentions[0]
    first = max(0, min(start - _LONGEST_EVIDENCE // 2, len(sample.text) - _LONGEST_EVIDENCE))
    last = max(end, first + _LONGEST_EVIDENCE)
    inside = tuple((s - first, e - first) for s, e in sample.mentions if s >= first and e <= last)
    return Evidence(sample.text[first:last], inside, sample.image)
