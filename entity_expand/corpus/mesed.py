"""MESED's layout: `entity2id.txt` and `sentences.json` (NOTES.md section 1; `end` is inclusive)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

from entity_expand.corpus.lines import identifier_of, open_regular, read_lines
from entity_expand.corpus.report import Note, Tally
from entity_expand.corpus.rows import Row, entity_position, read_row
from entity_expand.types import Entity

ENTITIES = "entity2id.txt"
SENTENCES = "sentences.json"
_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


def read_entities(path: Path, tally: Tally) -> list[Entity]:
    """Read `name TAB id` lines in file order; of a repeated id the last line wins, as in the original."""
    found: dict[str, Entity] = {}
    with open_regular(path) as handle:
        for line in read_lines(handle):
            tally.line = line.number
            entity = _entity(line.content, tally)
            if entity is not None:
                if entity.id in found:
                    tally("entity", "its id comes again on a later line", entity.id)
                found[entity.id] = entity
    return list(found.values())


def _entity(content: bytes | None, note: Note) -> Entity | None:
    if content is None:
        note("entity", "the line is longer than the limit of a line")
        return None
    try:
        columns = content.decode().strip().split("\t")
    except UnicodeDecodeError:
        note("entity", "not valid UTF-8")
        return None
    if len(columns) != 2 or not columns[0].strip() or "\0" in columns[0]:
        note("entity", "not of the form name TAB id")
        return None
    if not _NUMBER.fullmatch(columns[1].strip()):
        note("entity", "the id is not a whole number", columns[1])
        return None
    return Entity(id=str(int(columns[1])), name=columns[0].strip())


def parse_row(record: Mapping[str, Any], positions: Mapping[str, int], note: Note) -> Row | None:
    """Turn one object of `sentences.json` into a row, or count why it is dropped and return None.

    Args:
        record: {tokens, entityMentions: [{entityId, start, end}], image, split}; `start` and `end` count
            tokens, `end` is inclusive. Without tokens, mentions need an `entityId` alone.
        positions: Entity id -> position.
        note: Receives what is dropped.
    """
    tokens = record.get("tokens")
    tokens = [] if tokens is None else tokens
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        note("row", "tokens is not a list of texts")
        return None
    # ends[k] is the character after token k; token k starts at ends[k] - len(tokens[k]).
    ends = [end + number for number, end in enumerate(accumulate(map(len, tokens)))]

    def read_mention(mention: object, text: str, note: Note) -> tuple[int, int, int] | None:
        return _mention(mention, tokens if text else [], ends, positions, note)

    return read_row(record, " ".join(tokens), record.get("entityMentions"), read_mention, len(tokens), note)


def _mention(
    mention: object, tokens: list[str], ends: list[int], positions: Mapping[str, int], note: Note
) -> tuple[int, int, int] | None:
    if not isinstance(mention, dict):
        note("mention", "not an object", mention)
        return None
    value = mention.get("entityId")
    position = entity_position(value, positions, identifier_of(value), note)
    if position < 0:
        return None
    if not tokens:
        return position, 0, 0
    first, last = mention.get("start"), mention.get("end")
    if type(first) is not int or type(last) is not int:
        note("mention", "start or end is not a whole number")
        return None
    if not 0 <= first <= last < len(tokens):
        note("mention", "start and end are not in order inside the sentence", first)
        return None
    start, end = ends[first] - len(tokens[first]), ends[last]
    if start == end:
        note("mention", "covers no character", first)
        return None
    return position, start, end
