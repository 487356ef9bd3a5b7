"""Attributes of entities of an index in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from entity_expand.elastic.address import Address, Credentials
from entity_expand.elastic.documents import Document, revision, rows_in
from entity_expand.elastic.frame import vectors_by_field
from entity_expand.elastic.meta import ElasticMeta
from entity_expand.errors import ConfigError, RejectedError, StoreError
from indexer.elastic.changes import ChangeReport
from indexer.elastic.documents import to_item
from indexer.elastic.marking import Change, changing
from indexer.elastic.session import Session, writing
from indexer.elastic.versions import current
from indexer.settings import ElasticSettings

_PAGE = 200
_MOST_CONFLICTS = 20


def set_attributes(
    address: Address | str,
    attributes: Mapping[str, Mapping[str, str]],
    *,
    settings: ElasticSettings | None = None,
    credentials: Credentials | None = None,
) -> ChangeReport:
    """Replace the attributes of entities of the index in use.

    Args:
        address: The server and the name, such as https://host:9200/NAME.
        attributes: Id -> all attributes that the entity has from now on.
        settings: How patiently.
        credentials: Who asks; None to take them from the environment.

    Raises:
        ConfigError: An attribute is not a text.
        IndexMissingError: There is no index.
        RejectedError: The server refused some; the others were changed.
    """
    for identifier, own in attributes.items():
        if not all(isinstance(part, str) for pair in own.items() for part in pair):
            raise ConfigError(f"The attributes of {identifier!r} are {dict(own)!r}; expected texts by text.")
    with writing(address, credentials, settings or ElasticSettings()) as session:
        physical, meta = current(session)
        ids = [each for each in attributes if each]  # the server takes an empty id for an error
        total = ChangeReport(missing=tuple(each for each in attributes if not each))
        with changing(session, physical, meta) as change:
            for start in range(0, len(ids), _PAGE):
                page = {each: attributes[each] for each in ids[start : start + _PAGE]}
                part = _set_page(session, physical, meta, page, change)
                total = ChangeReport(
                    total.written + part.written, 0, total.unchanged + part.unchanged, total.missing + part.missing
                )
    return total


def _set_page(
    session: Session, physical: str, meta: ElasticMeta, attributes: Mapping[str, Mapping[str, str]], change: Change
) -> ChangeReport:
    """Set the attributes of some entities; one that somebody else changes meanwhile is read again."""
    written, unchanged, missing, pending = 0, 0, list[str](), list(attributes)
    for _ in range(_MOST_CONFLICTS):
        found = session.ask("POST", f"/{physical}/_mget", {"ids": pending}).body["docs"]
        missing += [each["_id"] for each in found if not each.get("found")]
        present = [each for each in found if each.get("found")]
        changing = [each for each in present if each["_source"]["attributes"] != dict(attributes[each["_id"]])]
        unchanged += len(present) - len(changing)
        items = [
            to_item(made, meta.packed, (each["_seq_no"], each["_primary_term"]))
            for each, made in zip(changing, _remade(meta, changing, attributes), strict=True)
        ]
        if items:
            change.begin()
        rejected = session.bulk(physical).write(items)
        written += len(items) - len(rejected)
        if final := [each for each in rejected if each.status != 409]:
            raise RejectedError(f"The server refused {len(final)} entities, such as {final[0].id}: {final[0].reason}")
        pending = [each.id for each in rejected]
        if not pending:
            return ChangeReport(written, 0, unchanged, tuple(missing))
    raise StoreError(f"{len(pending)} entities of {physical} are changed by others all the time, such as {pending[0]}.")


def _remade(
    meta: ElasticMeta, found: Sequence[Mapping[str, Any]], attributes: Mapping[str, Mapping[str, str]]
) -> list[Document]:
    """Return documents with other attributes; their vectors are made of their rows again."""
    if not found:
        return []
    sources = [each["_source"] for each in found]
    rows = {part: rows_in(sources, meta.index.dimension, part) for part in meta.layers}
    made = []
    for each, own in zip(found, vectors_by_field(rows, meta.layers, meta.vectors.fields), strict=True):
        kept = {name: value for name, value in each["_source"].items() if name not in own}
        fields = {**kept, "attributes": dict(attributes[each["_id"]])}
        made.append(Document(each["_id"], {**fields, "revision": revision(fields, own)}, own))
    return made
