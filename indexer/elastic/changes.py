"""Changes of an index in use: entities that are new, different or gone, and attributes; nothing is built anew.

Readers see such changes one entity at a time. Whatever they rely on is raised before the first of them: the next
free place, the longest vector, the number of changes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus
from entity_expand.elastic.address import Address, Credentials
from entity_expand.elastic.frame import Layer
from entity_expand.elastic.meta import ElasticMeta
from entity_expand.encoder import Encoder
from entity_expand.errors import ConfigError, IndexMismatchError, RejectedError, StoreError
from entity_expand.search.scoring import EntityRows
from entity_expand.types import Int64, Variant
from indexer.elastic.bulk import BulkReport
from indexer.elastic.documents import Packing, contents_of, documents
from indexer.elastic.finish import refresh
from indexer.elastic.items import Item
from indexer.elastic.layers import encoded, norms_of, present
from indexer.elastic.marking import Change, changing
from indexer.elastic.pages import stored, stored_of
from indexer.elastic.session import Session, work_folder, writing
from indexer.elastic.versions import current
from indexer.features import GroupEncoder, select
from indexer.prepare import Prepared, of_selection, variant_of
from indexer.settings import ElasticSettings, IndexSettings

EncoderFor: TypeAlias = Callable[[Variant], Encoder | GroupEncoder]


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """What a change did.

    Attributes:
        written: Entities that were written or deleted.
        new: How many of them were not there before.
        unchanged: Entities that were left alone, because they are as they should be.
        missing: Ids that are not there to be changed.
    """

    written: int = 0
    new: int = 0
    unchanged: int = 0
    missing: tuple[str, ...] = ()


def upsert_entities(
    bundle: Bundle,
    encoder: Encoder | GroupEncoder | EncoderFor,
    corpus: Corpus,
    address: Address | str,
    ids: Sequence[str] | None = None,
    *,
    settings: ElasticSettings | None = None,
    credentials: Credentials | None = None,
) -> ChangeReport:
    """Write entities of a corpus that are new or have changed into the index in use.

    Only these are encoded. Modality, split, late fusion and evidence are those that the index was built with, and so
    are its parts, the bundle and the mean feature: an upsert changes no other entity's scores. Attributes that were
    set by `set_attributes` stay until the entity changes in the corpus.

    Args:
        bundle: The bundle that the index was built with.
        encoder: Yields its features; or a call that opens one for the variant by which the index was encoded.
        corpus: What is up to date.
        address: The server and the name, such as https://host:9200/NAME.
        ids: Only these; None for all of the corpus. Entities of the index that the corpus lacks stay.
        settings: How patiently, and where to keep what was encoded.
        credentials: Who asks; None to take them from the environment.

    Raises:
        IndexMissingError: There is no index.
        IndexMismatchError: The index was built with another bundle, mapping or similarity.
        RejectedError: The server refused some entities; the others are in the index.
        ConfigError: `ids` is a text.
    """
    _check_list(ids)
    with writing(address, credentials, settings or ElasticSettings()) as session:
        physical, meta = current(session)
        _check_fits(physical, meta, bundle)
        opened = _opened(encoder, meta.index.variant, bundle)
        whole, missing = _asked_for(bundle, corpus, meta, ids)
        refresh(session, physical)
        known = stored(session, physical) if ids is None else stored_of(session, physical, whole.ids)
        there = {each.id: each for each in known}
        contents = contents_of(whole)
        differing = [
            number
            for number, each in enumerate(whole.ids)
            if each not in there or there[each].content != int(contents[number])
        ]
        unchanged = len(whole.ids) - len(differing)
        with changing(session, physical, meta) as change:
            if not differing:
                return ChangeReport(unchanged=unchanged, missing=missing)
            kept = np.array(differing, dtype=np.int64)
            prepared = of_selection(bundle, corpus, whole.settings, whole.selection.take(kept))
            places = np.array([there[each].place if each in there else -1 for each in prepared.ids], dtype=np.int64)
            new = int((places < 0).sum())
            places[places < 0] = np.arange(meta.next_place, meta.next_place + new)
            refused = set(_write(session, physical, meta, prepared, opened, places, contents[kept], new, change))
            written = [each for each in prepared.ids if each not in refused]
            return ChangeReport(len(written), sum(each not in there for each in written), unchanged, missing)


def _opened(encoder: Encoder | GroupEncoder | EncoderFor, variant: Variant, bundle: Bundle) -> Encoder | GroupEncoder:
    opened = encoder(variant) if callable(encoder) else encoder
    if opened.dimension != bundle.dimension:
        raise ConfigError(f"The encoder yields {opened.dimension} numbers, the bundle's head takes {bundle.dimension}.")
    return opened


def _check_list(ids: Sequence[str] | None) -> None:
    if isinstance(ids, str):
        raise ConfigError(f"Entities are a list of ids, not the text {ids[:40]!r}.")


def _asked_for(
    bundle: Bundle, corpus: Corpus, meta: ElasticMeta, ids: Sequence[str] | None
) -> tuple[Prepared, tuple[str, ...]]:
    """Return the entities of the corpus that are to be up to date, and the ids that it has no samples of."""
    split, late_fusion = meta.index.split or None, meta.index.late_fusion
    made_of = IndexSettings(meta.index.modality, split, late_fusion, meta.evidence, modalities=bool(meta.parts))
    selection = select(corpus, meta.index.modality, split)
    prepared = of_selection(bundle, corpus, made_of, selection)
    if ids is None:
        return prepared, ()
    wanted, present = set(ids), prepared.ids
    kept = np.array([number for number, each in enumerate(present) if each in wanted], dtype=np.int64)
    part = of_selection(bundle, corpus, made_of, selection.take(kept))
    return part, tuple(sorted(wanted.difference(present)))


def _check_fits(physical: str, meta: ElasticMeta, bundle: Bundle) -> None:
    differing = []
    if meta.state != "verified":
        differing.append(f"it is in the state {meta.state!r}")
    if meta.index.bundle != bundle.fingerprint:
        differing.append(f"it was built with the bundle {meta.index.bundle}, this one is {bundle.fingerprint}")
    if differing:
        raise IndexMismatchError(f"{physical} cannot be changed: {'; '.join(differing)}. Index the corpus anew.")


def _write(
    session: Session,
    physical: str,
    meta: ElasticMeta,
    prepared: Prepared,
    encoder: Encoder | GroupEncoder,
    places: Int64,
    contents: Int64,
    new: int,
    change: Change,
) -> list[str]:
    """Write entities and return the ids of those that the server refused."""
    made_of = [physical, prepared.ids, contents.tolist(), variant_of(encoder)]
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]
    work = work_folder(session.address, session.settings) / f"upsert-{key}"
    for other in work.parent.glob("upsert-" + 16 * "[0-9a-f]"):  # of a run that was stopped; then something changed
        if other != work:
            shutil.rmtree(other, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    rows = encoded(prepared, encoder, work)
    layers = {part: _longer(layer, rows[part], meta) for part, layer in meta.layers.items()}
    change.begin(next_place=meta.next_place + new, layers=layers)
    bulk = session.bulk(physical)
    packing = Packing(bulk, True if meta.packed else None)
    expected: dict[str, int] = {}

    def items() -> Iterator[Item]:
        for made in documents(prepared, rows, meta, places, contents):
            expected[made.id] = made.fields["revision"]
            yield packing.item(made)

    report = bulk.load(items(), work.with_suffix(".rejected.jsonl"), total=len(places))
    refresh(session, physical)
    refused = report.rejected_ids()
    for each in refused:
        expected.pop(each, None)
    found = {each.id: each.revision for each in stored_of(session, physical, list(expected))}
    if wrong := sum(found.get(each) != value for each, value in expected.items()):
        raise StoreError(f"{wrong:,} of {len(expected):,} entities are not in {physical} as they were sent; run again.")
    _raise_if_rejected(session, report)
    shutil.rmtree(work, ignore_errors=True)
    return refused


def _longer(layer: Layer, rows: EntityRows, meta: ElasticMeta) -> Layer:
    """Return what is known of vectors when those of further entities have joined them."""
    own = norms_of(present(rows), layer.frame, meta.vectors.fields)
    norms = {field: max(norm, own[field]) for field, norm in layer.largest_norms.items()}
    return dataclasses.replace(layer, largest_norms=norms)


def _raise_if_rejected(session: Session, report: BulkReport) -> None:
    if report.rejected and not session.settings.allow_rejected:
        raise RejectedError(
            f"The server refused {report.rejected:,} of {report.sent:,} entities; {report.dead_letters} says which and "
            "why. The others were changed."
        )


def delete_entities(
    address: Address | str,
    ids: Sequence[str],
    *,
    settings: ElasticSettings | None = None,
    credentials: Credentials | None = None,
) -> ChangeReport:
    """Delete entities from the index in use; their places stay empty.

    Raises:
        IndexMissingError: There is no index.
        ConfigError: `ids` is a text.
    """
    _check_list(ids)
    with writing(address, credentials, settings or ElasticSettings()) as session:
        physical, meta = current(session)
        refresh(session, physical)
        wanted = list(dict.fromkeys(ids))
        there = {each.id for each in stored_of(session, physical, wanted)}
        missing, refused = tuple(each for each in wanted if each not in there), 0
        with changing(session, physical, meta) as change:
            if there:
                change.begin()
                letters = _letters(session, "delete")
                report = session.bulk(physical).load((Item(each, None) for each in wanted if each in there), letters)
                _raise_if_rejected(session, report)
                refused = report.rejected
    return ChangeReport(len(there) - refused, missing=missing)


def _letters(session: Session, name: str) -> Path:
    return work_folder(session.address, session.settings) / f"{name}.rejected.jsonl"
