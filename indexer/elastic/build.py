"""Build a version of an index on a server: encode, load, check, and let the name stand for it in one step."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from entity_expand.calibration.fitted import read_fitted
from entity_expand.elastic.address import Address, Credentials
from entity_expand.elastic.bodies import mapping
from entity_expand.elastic.frame import Frame, Layer
from entity_expand.elastic.meta import ElasticMeta, to_meta
from entity_expand.encoder import Encoder
from entity_expand.errors import BundleError, IndexMismatchError, RejectedError, ServerError
from entity_expand.search.frame import PairFrame
from entity_expand.stores.base import PARTS
from entity_expand.types import Int64, Modality
from indexer.elastic.bulk import BulkReport
from indexer.elastic.documents import Packing, contents_of, documents
from indexer.elastic.finish import finish, refresh
from indexer.elastic.items import Item
from indexer.elastic.layers import LayerRows, encoded, layers_of
from indexer.elastic.options import choose_options
from indexer.elastic.pages import stored
from indexer.elastic.session import Session, work_folder, writing
from indexer.elastic.verify import ENTITIES, check_loaded, count
from indexer.elastic.versions import Version, behind, find_versions, meta_of, use, version_pattern, write_meta
from indexer.features import GroupEncoder
from indexer.prepare import Prepared, index_meta, version_name
from indexer.settings import ElasticSettings, IndexReport, LoadReport

_REJECTED = "rejected.jsonl"
_TRAINED = {"term": {"trained": True}}
_UNKNOWN = Layer(Frame(np.empty(0), PairFrame(np.empty(0), 1.0)), {})  # until the rows are there


def index_on_server(
    prepared: Prepared,
    encoder: Encoder | GroupEncoder,
    address: Address,
    settings: ElasticSettings,
    credentials: Credentials | None,
) -> IndexReport:
    """Build a version of an index and let the name stand for it.

    Raises:
        StoreBusyError: Another run is at work on the name.
        IndexMismatchError: An unfinished version of this name is of something else.
        RejectedError: The server refused entities; the name stands for what it stood for.
        StoreError: The loaded index is not as it should be, or the server failed for longer than the patience.
    """
    meta = index_meta(prepared, encoder)
    options, reason = choose_options(meta.entities)
    if settings.vectors is not None:
        options, reason = settings.vectors, "as asked for"
    parts: tuple[Modality, ...] = PARTS if prepared.settings.modalities else ()
    made_of = [prepared.settings.evidence, settings.shards, *dataclasses.astuple(options), *parts]
    version = version_name(meta, *made_of)
    fitted, evidence = read_fitted(prepared.bundle.path, meta.bundle, BundleError), prepared.settings.evidence
    layers: dict[Modality | None, Layer] = dict.fromkeys((None, *parts), _UNKNOWN)
    wanted = ElasticMeta("loading", meta, options, layers, evidence, meta.entities, fitted=fitted)
    with writing(address, credentials, settings) as session:
        physical, found = _choose(session, f"{address.index}-{version}", wanted)
        whole = found is not None and _is_whole(session, found)
        up_to_date = whole and found is not None and found.in_use
        if whole:
            use(session, physical)
            load = LoadReport(physical, options, reason)
        else:
            load = _build(session, physical, found is not None, prepared, encoder, wanted, reason)
        entities, trained = count(session, physical, ENTITIES), count(session, physical, _TRAINED)
    without_samples = len(prepared.corpus.entities) - meta.entities
    return IndexReport(entities, trained, meta.samples, without_samples, up_to_date, load)


def _is_whole(session: Session, found: Version) -> bool:
    """Say whether a version needs nothing but to be used: it was checked, and nothing has come or gone since."""
    if found.meta is None or not found.usable or (found.meta.rejected and not session.settings.allow_rejected):
        return False
    expected = found.meta.index.entities - found.meta.rejected
    if found.documents != expected:
        return False
    refresh(session, found.physical)
    return count(session, found.physical, ENTITIES) == expected


def _choose(session: Session, base: str, wanted: ElasticMeta) -> tuple[str, Version | None]:
    """Return the physical index to fill, and what is there of it already.

    Raises:
        IndexMismatchError: What is there under its name is of something else.
    """
    behind(session)  # refuses a name that cannot stand for versions, before anything is encoded
    numbers = [0]
    for found in find_versions(session):
        match = re.fullmatch(re.escape(base) + r"(?:-(\d+))?", found.physical)
        if match is None:
            continue
        if found.meta is None:
            raise IndexMismatchError(found.problem)
        _compare(found.physical, found.meta, wanted)
        if not found.meta.changes:
            if found.problem:
                raise IndexMismatchError(found.problem)
            return found.physical, found
        numbers.append(int(match[1] or 1))
    return base if numbers == [0] else f"{base}-{max(numbers) + 1}", None


def _compare(physical: str, meta: ElasticMeta, wanted: ElasticMeta) -> None:
    found = meta.identity()
    differing = [
        f"{name} is {found.get(name)!r}, not {value!r}"
        for name, value in wanted.identity().items()
        if found.get(name) != value
    ]
    if differing:
        raise IndexMismatchError(
            f"The unfinished index {physical} is of something else: {', '.join(differing)}. Delete it, or choose "
            "another name."
        )


def _build(
    session: Session,
    physical: str,
    exists: bool,
    prepared: Prepared,
    encoder: Encoder | GroupEncoder,
    wanted: ElasticMeta,
    reason: str,
) -> LoadReport:
    work = work_folder(session.address, session.settings) / physical
    work.mkdir(parents=True, exist_ok=True)
    rows = encoded(prepared, encoder, work)
    meta = dataclasses.replace(wanted, layers=layers_of(rows, wanted.vectors.fields))
    if exists:
        before = meta_of(session, physical)
        meta = dataclasses.replace(
            meta,
            state=before.state,
            packed=before.packed,
            rejected=before.rejected,
            fitted=before.fitted or meta.fitted,
        )
        write_meta(session, physical, meta)
    else:
        _create(session, physical, meta)
    report, expected, packed = _load(session, physical, prepared, rows, meta, work)
    if report.rejected and not session.settings.allow_rejected:
        raise RejectedError(
            f"The server refused {report.rejected:,} of {report.sent:,} entities; {report.dead_letters} says which and "
            f"why. {session.address} stands for what it stood for. Mend the corpus, or allow rejected entities."
        )
    finish(session, physical)
    recall, checked = check_loaded(session, physical, meta, expected, rows)
    write_meta(session, physical, dataclasses.replace(meta, state="verified", packed=packed, rejected=report.rejected))
    use(session, physical)
    kept = report.dead_letters
    if kept is not None:
        kept = kept.replace(work.parent / f"{physical}.{_REJECTED}")
    shutil.rmtree(work, ignore_errors=True)
    _clear(session)
    return LoadReport(physical, meta.vectors, reason, report.sent, report.rejected, kept, recall, checked)


def _clear(session: Session) -> None:
    """Remove what runs that were stopped had encoded for versions that are not on the server."""
    there, ours = {each.physical for each in find_versions(session)}, version_pattern(session.name)
    for folder in work_folder(session.address, session.settings).iterdir():
        if folder.is_dir() and ours.fullmatch(folder.name) and folder.name not in there:
            shutil.rmtree(folder, ignore_errors=True)


def _create(session: Session, physical: str, meta: ElasticMeta) -> None:
    """Create an index that is quick to load: without copies, and searchable only when it is refreshed."""
    settings = {
        "number_of_shards": session.settings.shards,
        "number_of_replicas": 0,
        "refresh_interval": "-1",
    }
    body = {
        "settings": {"index": settings},
        "mappings": mapping(meta.index.dimension, meta.vectors, to_meta(meta), meta.parts),
    }
    session.check()
    answer = session.ask("PUT", f"/{physical}", body, accept=(400,))
    error = answer.body.get("error", {}) if answer.status == 400 else {}
    # After an answer that was lost it is there already; whether it is ours is seen next.
    if error and error.get("type") != "resource_already_exists_exception":
        reason = f"{error.get('type')}: {error.get('reason')}"
        raise ServerError(f"The server does not take the index {physical}: {reason}", 400, reason)
    _compare(physical, meta_of(session, physical), meta)


def _load(
    session: Session, physical: str, prepared: Prepared, rows: LayerRows, meta: ElasticMeta, work: Path
) -> tuple[BulkReport, Int64, bool]:
    """Make the index hold the entities; return what was sent, (n,) their revisions, and whether vectors went packed."""
    refresh(session, physical)
    ids = prepared.ids
    wanted = set(ids)
    there, surplus = np.full(len(ids), -1, dtype=np.int64), list[str]()
    for known in stored(session, physical):
        if 0 <= known.place < len(ids) and ids[known.place] == known.id:
            there[known.place] = known.revision
        elif known.id not in wanted:
            surplus.append(known.id)
    expected = np.empty(len(ids), dtype=np.int64)
    bulk = session.bulk(physical)
    packing = Packing(bulk, True if meta.packed else None)

    def items() -> Iterator[Item]:
        yield from (Item(each, None) for each in surplus)
        places = np.arange(len(ids))
        for place, made in enumerate(documents(prepared, rows, meta, places, contents_of(prepared))):
            expected[place] = made.fields["revision"]
            if there[place] != expected[place]:
                yield packing.item(made)

    report = bulk.load(items(), work / _REJECTED, total=len(surplus) + int((there < 0).sum()))
    if report.dead_letters is not None:
        rejected = set(report.rejected_ids())
        expected[[number for number, each in enumerate(ids) if each in rejected]] = -1
    return report, expected, packing.packed is True
