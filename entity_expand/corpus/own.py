"""Our own layout: `corpus.json`, `entities.jsonl` and `sentences.jsonl`; reading rows and writing folders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entity_expand.corpus.lines import (
    MAX_LINE_BYTES,
    LineError,
    clean,
    identifier_of,
    open_regular,
    parse_object,
    read_lines,
)
from entity_expand.corpus.report import Note, Tally
from entity_expand.corpus.rows import DEFAULT_SPLIT, Row, entity_position, read_row
from entity_expand.errors import CorpusError
from entity_expand.files import read_json, replacing, write_json
from entity_expand.types import Entity, id_order

MANIFEST = "corpus.json"
ENTITIES = "entities.jsonl"
SENTENCES = "sentences.jsonl"
_FORMAT = {"format": "entity-expand corpus", "version": 1}
_MANIFEST_CAP = 1 << 20


@dataclass(frozen=True, slots=True)
class OwnRow:
    """One row to write.

    Attributes:
        text: The sentence, or "" for a picture without a sentence.
        mentions: (entity id, start, end) in characters, end exclusive; (entity id, 0, 0) where `text` is "".
        image: Path relative to the corpus folder, or None.
        split: Name of the split.
    """

    text: str
    mentions: tuple[tuple[str, int, int], ...]
    image: str | None = None
    split: str = DEFAULT_SPLIT


def check_manifest(path: Path) -> None:
    """Check format and version.

    Raises:
        CorpusError: The file is no manifest of a corpus, or of another version.
    """
    manifest = read_json(path, _MANIFEST_CAP, CorpusError)
    found = {key: manifest.get(key) for key in _FORMAT}
    if found != _FORMAT:
        raise CorpusError(f"{path} should hold {json.dumps(_FORMAT)}, not {ascii(found)[:200]}.")


def read_entities(path: Path, tally: Tally) -> list[Entity]:
    """Read the entities in file order; of a repeated id the last line wins."""
    found: dict[str, Entity] = {}
    with open_regular(path) as handle:
        for line in read_lines(handle):
            tally.line = line.number
            try:
                entity = parse_entity(parse_object(line.content), tally)
            except LineError as problem:
                tally("entity", str(problem))
                continue
            if entity is not None:
                if entity.id in found:
                    tally("entity", "its id comes again on a later line", entity.id)
                found[entity.id] = entity
    return list(found.values())


def parse_entity(record: Mapping[str, Any], note: Note) -> Entity | None:
    """Turn {id, name, aliases?, attributes?} into an entity, or count why it is dropped and return None."""
    identifier = identifier_of(record.get("id"))
    if identifier is None:
        note("entity", "the id is neither a printable text nor a whole number", record.get("id"))
        return None
    name = record.get("name")
    if not isinstance(name, str) or not name.strip() or not clean(name):
        note("entity", "the name is not a text", name)
        return None
    aliases = record.get("aliases") or []
    if not isinstance(aliases, list) or not all(isinstance(a, str) and a.strip() and clean(a) for a in aliases):
        note("entity", "aliases is not a list of texts", aliases)
        return None
    attributes = record.get("attributes") or {}
    if not isinstance(attributes, dict) or not all(
        isinstance(value, str) and clean(key) and clean(value) for key, value in attributes.items()
    ):
        note("entity", "attributes does not map texts to texts", attributes)
        return None
    return Entity(identifier, name.strip(), tuple(aliases), attributes)


def parse_row(record: Mapping[str, Any], positions: Mapping[str, int], note: Note) -> Row | None:
    """Turn one object of `sentences.jsonl` into a row, or count why it is dropped and return None.

    Args:
        record: {text, mentions: [{entity, start, end}], image?, split?}; `start` and `end` count characters,
            `end` is exclusive. Without a text, mentions need an `entity` alone.
        positions: Entity id -> position.
        note: Receives what is dropped.
    """
    text = record.get("text")
    text = "" if text is None else text
    if not isinstance(text, str):
        note("row", "the text is not a text", text)
        return None

    def read_mention(mention: object, text: str, note: Note) -> tuple[int, int, int] | None:
        return _mention(mention, text, positions, note)

    return read_row(record, text, record.get("mentions"), read_mention, len(text.split()), note)


def _mention(mention: object, text: str, positions: Mapping[str, int], note: Note) -> tuple[int, int, int] | None:
    if not isinstance(mention, dict):
        note("mention", "not an object", mention)
        return None
    value = mention.get("entity")
    position = entity_position(value, positions, identifier_of(value), note)
    if position < 0:
        return None
    if not text:
        return position, 0, 0
    start, end = mention.get("start"), mention.get("end")
    if type(start) is not int or type(end) is not int:
        note("mention", "start or end is not a whole number")
        return None
    if not 0 <= start < end <= len(text):
        note("mention", "start and end are not in order inside the sentence", start)
        return None
    return position, start, end


def write_corpus(folder: Path, entities: Iterable[Entity], rows: Iterable[OwnRow]) -> None:
    """Write a corpus in our layout into a folder, which may hold its pictures already.

    Entities are written by id, rows in the order given. The manifest comes last, so an unfinished folder
    cannot be opened; for all or nothing fill the folder within `entity_expand.files.new_folder`.

    Raises:
        CorpusError: A row is too long to be read back.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / ENTITIES) as beside, beside.open("w", encoding="utf-8", newline="\n") as handle:
        for entity in sorted(entities, key=lambda entity: id_order(entity.id)):
            record: dict[str, Any] = {"id": entity.id, "name": entity.name}
            if entity.aliases:
                record["aliases"] = list(entity.aliases)
            if entity.attributes:
                record["attributes"] = dict(sorted(entity.attributes.items()))
            handle.write(json.dumps(record, ensure_ascii=False) + "\n")
    with replacing(folder / SENTENCES) as beside, beside.open("w", encoding="utf-8", newline="\n") as handle:
        for number, row in enumerate(rows, start=1):
            line = json.dumps(_record_of(row), ensure_ascii=False)
            if 4 * len(line) > MAX_LINE_BYTES and len(line.encode()) > MAX_LINE_BYTES:
                raise CorpusError(f"Row {number} is longer than the {MAX_LINE_BYTES:,} bytes that are read of a line.")
            handle.write(line + "\n")
    write_json(folder / MANIFEST, _FORMAT)


def _record_of(row: OwnRow) -> dict[str, Any]:
    if row.text:
        mentions = [{"entity": name, "start": start, "end": end} for name, start, end in row.mentions]
    else:
        mentions = [{"entity": name} for name, _, _ in row.mentions]
    record: dict[str, Any] = {"text": row.text, "mentions": mentions}
    if row.image is not None:
        record["image"] = row.image
    if row.split != DEFAULT_SPLIT:
        record["split"] = row.split
    return record
