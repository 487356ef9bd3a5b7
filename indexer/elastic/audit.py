"""Check an index from what the server returns of it alone, and with the bundle if there is one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from entity_expand.bundle import Bundle
from entity_expand.elastic.address import Address, Credentials
from entity_expand.elastic.documents import ROWS, field_of, revision, rows_in
from entity_expand.elastic.frame import vectors_by_field
from entity_expand.elastic.meta import ElasticMeta
from entity_expand.search.scoring import head_rows, head_statistics
from entity_expand.types import Float32, Int64, Modality
from indexer.elastic.finish import refresh
from indexer.elastic.layers import LayerRows, norms_of, present
from indexer.elastic.pages import digest_line, sources, stored
from indexer.elastic.probe import Found, judge, least, search
from indexer.elastic.session import reading
from indexer.elastic.verify import count_problems, draw, sources_at
from indexer.elastic.versions import current
from indexer.settings import ElasticSettings

_LISTED = 5
_ROUNDING = 1 + 1e-6
_UNREADABLE = (KeyError, TypeError, ValueError)
_NEEDED = {"place": int, "name": str, "trained": bool}


@dataclass(frozen=True, slots=True)
class Audit:
    """What a check found.

    Attributes:
        physical: The index that was checked.
        documents: How many entities it holds.
        digest: Of all of its content, see `contents_digest`.
        found: What its searches found, the least of any part.
        problems: What is wrong; empty if all is well.
    """

    physical: str
    documents: int
    digest: str
    found: Found
    problems: tuple[str, ...]


def verify_index(
    address: Address | str,
    bundle: Bundle | None = None,
    *,
    credentials: Credentials | None = None,
    settings: ElasticSettings | None = None,
) -> Audit:
    """Read the whole index in use and check it.

    Each document must be what its revision says, in a place of its own, and have vectors no longer than readers were
    told; there must be as many documents as were loaded, or as there were after the last change, each with all
    vectors; and searches for a sample must find what a full scan finds. With a bundle, it must be the one that the
    index was built with, and the rows of trained entities must be the bundle's. Changes while it reads may look like
    damage.

    Args:
        address: The server and the name, such as https://host:9200/NAME.
        bundle: What the index should have been built with; None to leave that out.
        credentials: Who asks; None to take them from the environment.
        settings: How patiently.

    Raises:
        IndexMissingError: There is no index.
        IndexMismatchError: It was not made by this release, or its mapping is another than it says.
    """
    with reading(address, credentials, settings or ElasticSettings()) as session:
        physical, meta = current(session)
        refresh(session, physical)
        places = np.array([each.place for each in stored(session, physical)], dtype=np.int64)
        check = _Check(meta, bundle)
        sample = draw(np.unique(places), session.settings.seed)
        found_sources = sources_at(session, physical, sample)
        sampled = [source for source in found_sources.values() if _readable(source, meta)]
        found = search(session, physical, meta, check.blocks(sources(session, physical)), _rows_in(sampled, meta))
        problems = [*check.rest(len(found_sources)), *check.problems()]
        problems += count_problems(session, physical, meta, check.count, check.present)
        problems += judge(meta, found)
    return Audit(physical, check.count, check.digest.hexdigest(), least(found), tuple(problems))


def _rows_in(sources: Sequence[Mapping[str, Any]], meta: ElasticMeta) -> LayerRows:
    return {part: rows_in(sources, meta.index.dimension, part) for part in meta.layers}


def _told(hit: Mapping[str, Any]) -> bool:
    return all(isinstance(hit["_source"].get(field), kind) for field, kind in _NEEDED.items())


def _readable(source: Mapping[str, Any], meta: ElasticMeta) -> bool:
    try:
        return bool(_rows_in([source], meta))
    except _UNREADABLE:
        return False


class _Check:
    """Gathers what is wrong with documents as they pass by."""

    def __init__(self, meta: ElasticMeta, bundle: Bundle | None) -> None:
        self._meta, self._bundle = meta, bundle
        self._heads: dict[tuple[str, str], Float32] = {}
        if bundle is not None and bundle.fingerprint == meta.index.bundle:
            rows = head_rows(bundle.head_weight, bundle.head_bias)
            centred = (rows - head_statistics(rows).mean_row).astype(np.float32)
            self._heads = {(each.id, each.name): centred[row] for row, each in enumerate(bundle.entities)}
        self._wrong: dict[str, list[str]] = {}
        self._places: set[int] = set()
        self.count = 0
        self.present: dict[Modality | None, int] = dict.fromkeys(meta.layers, 0)
        self.digest = hashlib.sha256()

    def blocks(self, pages: Iterator[Sequence[Mapping[str, Any]]]) -> Iterator[tuple[Int64, LayerRows]]:
        """Check pages of documents and yield their places and rows."""
        for page in pages:
            self._count(page)
            readable, rows = self._read(page)
            if not readable:
                continue
            vectors = vectors_by_field(rows, self._meta.layers, self._meta.vectors.fields)
            for number, (hit, own) in enumerate(zip(readable, vectors, strict=True)):
                heads = [each.head[number] for each in rows.values() if each.deviation[number] > 0]
                self._one(hit, own, heads)
            self._lengths(rows, readable[0]["_id"])
            yield np.array([hit["_source"]["place"] for hit in readable], dtype=np.int64), rows

    def _read(self, page: Sequence[Mapping[str, Any]]) -> tuple[Sequence[Mapping[str, Any]], LayerRows]:
        """Return the documents of a page that can be read, and their rows."""
        if silent := [hit["_id"] for hit in page if not _told(hit)]:
            self._note(f"do not say their {', '.join(_NEEDED)}", *silent)
            page = [hit for hit in page if _told(hit)]
        try:
            return page, _rows_in([hit["_source"] for hit in page], self._meta)
        except _UNREADABLE:
            readable = [hit for hit in page if _readable(hit["_source"], self._meta)]
        damaged = {hit["_id"] for hit in page} - {hit["_id"] for hit in readable}
        self._note("have rows that cannot be read", *sorted(damaged))
        return readable, _rows_in([hit["_source"] for hit in readable], self._meta) if readable else {}

    def _count(self, page: Sequence[Mapping[str, Any]]) -> None:
        self.count += sum("place" in hit["_source"] for hit in page)
        for part in self.present:
            self.present[part] += sum(field_of(ROWS, part) in hit["_source"] for hit in page)

    def _lengths(self, rows: LayerRows, near: str) -> None:
        for part, own in rows.items():
            there, layer = present(own), self._meta.layers[part]
            for field, norm in norms_of(there, layer.frame, self._meta.vectors.fields).items():
                if norm > layer.largest_norms[field] * _ROUNDING:
                    self._note(f"have longer vectors {field_of(field, part)!r} than readers are told, near", near)

    def _one(self, hit: Mapping[str, Any], vectors: Mapping[str, Float32], heads: Sequence[Float32]) -> None:
        source, identifier = hit["_source"], hit["_id"]
        self.digest.update(digest_line(hit))
        fields = {name: value for name, value in source.items() if name not in vectors}
        if source.get("id") != identifier:
            self._note("say another id than their key", identifier)
        if source.get("revision") != revision(fields, vectors):
            self._note("are not what their revision says", identifier)
        if source["place"] in self._places or not 0 <= source["place"] < self._meta.next_place:
            self._note("have a place that is taken or out of range", identifier)
        self._places.add(source["place"])
        if self._heads:
            own = self._heads.get((identifier, source["name"]))
            other = own is not None and not all(np.array_equal(own, head) for head in heads)
            if (own is not None) != source["trained"] or other:
                self._note("have another head row than the bundle", identifier)

    def rest(self, sampled: int) -> list[str]:
        """Return what is wrong with the whole, when all documents have passed by."""
        meta, whole = self._meta, list[str]()
        loaded = None if meta.changes else meta.index.entities - meta.rejected
        if meta.changing:
            whole.append("a change is under way or was stopped; run the change again")
        elif loaded is not None and self.count != loaded:
            whole.append(f"{loaded:,} entities were loaded, {self.count:,} are there")
        elif meta.entities is not None and self.count != meta.entities:
            whole.append(f"{meta.entities:,} entities were there after the last change, {self.count:,} are there")
        if self.count and not sampled:
            whole.append("no entity can be found by its place")
        if self._bundle is not None and self._bundle.fingerprint != meta.index.bundle:
            whole.append(f"it was built with the bundle {meta.index.bundle}, not {self._bundle.fingerprint}")
        if meta.state != "verified":
            whole.append(f"it is in the state {meta.state!r}, not 'verified'")
        return whole

    def _note(self, what: str, *which: str) -> None:
        self._wrong.setdefault(what, []).extend(which)

    def problems(self) -> list[str]:
        """Return what is wrong, with a few examples each."""
        listed = []
        for what, which in self._wrong.items():
            more = f" and {len(which) - _LISTED:,} more" if len(which) > _LISTED else ""
            listed.append(f"{', '.join(which[:_LISTED])}{more} {what}")
        return listed
