"""One imported row to one row of our layout: whom it is about, and where the text mentions them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from entity_expand.corpus.album import Album
from entity_expand.corpus.lines import LineError, clean
from entity_expand.corpus.mentions import Finder, Match
from entity_expand.corpus.own import OwnRow
from entity_expand.corpus.records import read_records
from entity_expand.corpus.report import Note, Tally
from entity_expand.corpus.roster import Roster
from entity_expand.corpus.rows import Row, Span, read_image, read_split, spans_of

MAX_TEXT = 100_000
MAX_MENTIONS = 1_000


class Converter:
    """Converts the rows of a file, once all entities are known."""

    def __init__(self, roster: Roster, album: Album, tally: Tally, *, case_sensitive: bool) -> None:
        self._roster = roster
        self._album = album
        self._tally = tally
        self._case_sensitive = case_sensitive
        self.count = 0

    def rows(self, path: Path) -> Iterator[OwnRow]:
        """Yield the rows that can be used; `count` is the number of rows read so far."""
        from tqdm import tqdm

        records = read_records(path, self._tally, count=True)
        for record in tqdm(records, desc="import", unit=" rows", disable=None, leave=False):
            self.count += 1
            row = None if record is None else self._row(record)
            if row is not None:
                yield row

    @cached_property
    def _finder(self) -> Finder:
        names = (
            (name, number)
            for number, entity in enumerate(self._roster.entities)
            for name in (entity.name, *entity.aliases)
        )
        return Finder(names, case_sensitive=self._case_sensitive)

    def _row(self, record: Mapping[str, Any]) -> OwnRow | None:
        text, split = _text(record, self._tally), read_split(record, self._tally)
        if text is None or split is None:
            return None
        image = read_image(record, self._tally)
        if record.get("entity") is None and record.get("entity_id") is None:
            text, mentions = self._of_anyone(record, text)
        else:
            text, mentions = self._of_its_entity(record, text, keep_picture=image is not None)
        if not mentions:
            return None
        stored = None if image is None else self._album.take(image, self._tally)
        if not text and stored is None:
            self._tally("row", "neither a sentence nor a usable picture")
            return None
        return OwnRow(text, mentions, stored, split)

    def _of_its_entity(
        self, record: Mapping[str, Any], text: str, *, keep_picture: bool
    ) -> tuple[str, tuple[tuple[str, int, int], ...]]:
        """Return the text to keep and the mentions of the entity that the row names; none drops the row."""
        identifier = self._roster.find(record, self._tally)
        if identifier is None:
            return "", ()
        if not text:
            return "", ((identifier, 0, 0),)
        spans = _given_spans(record, text, self._tally)
        if spans is None:
            text, matches = self._search(text)
            spans = [(m.start, m.end) for m in matches if identifier in self._ids(m)]
            reason = "its entity is not mentioned in the text"
        else:
            reason = "no usable mention"
        if spans:
            row = Row(text, tuple((0, start, end) for start, end in spans), None, "")
            return text, tuple((identifier, start, end) for start, end in spans_of(row, 0, self._tally))
        self._tally("text" if keep_picture else "row", reason, identifier)
        return "", (((identifier, 0, 0),) if keep_picture else ())

    def _of_anyone(self, record: Mapping[str, Any], text: str) -> tuple[str, tuple[tuple[str, int, int], ...]]:
        """Return the text and the mentions of listed entities in a row that names none; none drops the row."""
        if not text or any(record.get(key) is not None for key in ("start", "end", "mentions")):
            self._tally("row", "names no entity")
            return "", ()
        text, matches = self._search(text)
        mentions = []
        for match in matches:
            listed = [identifier for identifier in self._ids(match) if self._roster.is_listed(identifier)]
            if len(listed) == 1:
                mentions.append((listed[0], match.start, match.end))
            elif listed:
                self._tally("mention", "a name of several entities", text[match.start : match.end])
        if not mentions:
            self._tally("row", "names no entity, and its text mentions none of the list")
        return text, tuple(mentions)

    def _search(self, text: str) -> tuple[str, list[Match]]:
        """Return the text in composed Unicode and the matches in it."""
        text = unicodedata.normalize("NFC", text)
        try:
            matches = self._finder.find(text)
        except LineError as problem:
            self._tally("mention", str(problem))
            return text, []
        if len(matches) > MAX_MENTIONS:
            self._tally("mention", f"beyond the first {MAX_MENTIONS:,} of a row")
        return text, matches[:MAX_MENTIONS]

    def _ids(self, match: Match) -> list[str]:
        return [self._roster.entities[number].id for number in match.entities]


def _text(record: Mapping[str, Any], note: Note) -> str | None:
    text = record.get("text")
    if text is None:
        return ""
    if not isinstance(text, str):
        note("row", "the text is not a text", text)
    elif not clean(text):
        note("row", "the text holds a NUL or a lone surrogate")
    elif len(text) > MAX_TEXT:
        note("row", f"the text is longer than {MAX_TEXT:,} characters", len(text))
    else:
        return text if text.strip() else ""
    return None


def _given_spans(record: Mapping[str, Any], text: str, note: Note) -> list[Span] | None:
    """Return the usable spans that a row states, or None if it states none."""
    listed = record.get("mentions")
    if listed is None and (_number(record.get("start")) is not None or _number(record.get("end")) is not None):
        listed = [{"start": record.get("start"), "end": record.get("end")}]
    if listed is None or listed == []:
        return None
    if not isinstance(listed, list):
        note("mention", "mentions is not a list", listed)
        return []
    if len(listed) > MAX_MENTIONS:
        note("mention", f"beyond the first {MAX_MENTIONS:,} of a row")
    spans = [_span(mention, text, note) for mention in listed[:MAX_MENTIONS]]
    return [span for span in spans if span is not None]


def _span(mention: object, text: str, note: Note) -> Span | None:
    if isinstance(mention, dict) and mention.get("entity", mention.get("entity_id")) is None:
        ends = (mention.get("start"), mention.get("end"))
    elif isinstance(mention, list) and len(mention) == 2:
        ends = (mention[0], mention[1])
    else:
        note("mention", "not {start, end} or [start, end] without an entity of its own", mention)
        return None
    start, end = map(_number, ends)
    if type(start) is not int or type(end) is not int:
        note("mention", "start or end is not a whole number", ends[0])
    elif not 0 <= start < end <= len(text):
        note("mention", "start and end are not in order inside the text", start)
    else:
        return start, end
    return None


def _number(value: object) -> object:
    """Return whole floats as integers and NaN as None: data frames write columns with gaps so."""
    if isinstance(value, float):
        return None if value != value else int(value) if value.is_integer() else value
    return value
