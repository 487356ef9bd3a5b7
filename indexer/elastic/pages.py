"""All documents of an index, a page at a time, in the order of their places."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from entity_expand.elastic.connection import Answer, Call, Connection, Deadline
from indexer.elastic.session import Session

_PAGE, _WHOLE_PAGE = 5_000, 250
_NUMBERS = ("place", "revision", "content")


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of a document without its source; a number that it lacks is -1."""

    id: str
    place: int
    revision: int
    content: int


def stored(session: Session, physical: str) -> Iterator[Stored]:
    """Yield what is known of all documents; only what was refreshed is seen."""
    asked = {"_source": False, "docvalue_fields": list(_NUMBERS)}
    for page in _pages(lambda call: session.connection.send(call, _limit(session)), physical, asked, _PAGE):
        yield from map(_stored, page)


def stored_of(session: Session, physical: str, ids: Sequence[str]) -> Iterator[Stored]:
    """Yield what is known of the documents with these ids; only what was refreshed is seen."""
    ids = [each for each in ids if each]  # the server takes an empty id for an error
    for start in range(0, len(ids), _PAGE):
        query = {"ids": {"values": ids[start : start + _PAGE]}}
        body = {"query": query, "size": _PAGE, "_source": False, "docvalue_fields": list(_NUMBERS)}
        yield from map(_stored, session.ask("POST", f"/{physical}/_search", body).body["hits"]["hits"])


def _stored(hit: dict[str, Any]) -> Stored:
    found = [int(hit.get("fields", {}).get(name, [-1])[0]) for name in _NUMBERS]
    return Stored(hit["_id"], *found)


def sources(session: Session, physical: str) -> Iterator[list[dict[str, Any]]]:
    """Yield pages of whole documents, as hits with `_id` and `_source`."""
    yield from _pages(lambda call: session.connection.send(call, _limit(session)), physical, {}, _WHOLE_PAGE)


def contents_digest(connection: Connection, index: str, deadline: Deadline) -> str:
    """Return a SHA-256 over ids and sources of all documents, by place: equal for indices of equal content.

    Vectors are not part of what a server returns; they follow from the rows, which are.

    Args:
        connection: The server.
        index: Physical index or alias; only what was refreshed is seen.
        deadline: For the whole reading.
    """
    digest = hashlib.sha256()
    for page in _pages(lambda call: connection.send(call, deadline), index, {}, _WHOLE_PAGE):
        for hit in page:
            digest.update(digest_line(hit))
    return digest.hexdigest()


def digest_line(hit: Mapping[str, Any]) -> bytes:
    """Return what one document adds to `contents_digest`."""
    return json.dumps([hit["_id"], hit["_source"]], sort_keys=True).encode() + b"\n"


def _limit(session: Session) -> Deadline:
    return Deadline.after(session.settings.patience)


def _pages(
    send: Callable[[Call], Answer], index: str, asked: dict[str, Any], size: int
) -> Iterator[list[dict[str, Any]]]:
    after: Sequence[Any] | None = None
    while True:
        body = {**asked, "size": size, "sort": [{"place": "asc"}, {"id": "asc"}], "track_total_hits": False}
        if after is not None:
            body["search_after"] = after
        hits: list[dict[str, Any]] = send(Call("POST", f"/{index}/_search", body)).body["hits"]["hits"]
        if not hits:
            return
        yield hits
        after = hits[-1]["sort"]
