"""One pass over a corpus folder: its layout, its entities, and small arrays that say where each sample is."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Literal

import numpy as np

from entity_expand.corpus import mesed, own
from entity_expand.corpus.lines import Line, LineError, parse_object, read_lines
from entity_expand.corpus.pictures import Pictures
from entity_expand.corpus.report import CorpusReport, Note, Tally, histogram
from entity_expand.corpus.rows import MAX_SPLITS, Row, samples_of
from entity_expand.errors import CorpusError
from entity_expand.files import confined, settle
from entity_expand.types import Bool, Entity, Int8, Int32, Int64, id_order

Layout = Literal["mesed", "own"]
ParseRow = Callable[[Mapping[str, Any], Mapping[str, int], Note], Row | None]


@dataclass(frozen=True, slots=True)
class Source:
    """A corpus folder before its rows are read.

    Attributes:
        root: The folder.
        layout: Its layout.
        sentences: The file of rows.
        entities: In order of id.
        positions: Entity id -> position in `entities`.
        parse: Reads one row of this layout.
    """

    root: Path
    layout: Layout
    sentences: Path
    entities: tuple[Entity, ...]
    positions: Mapping[str, int]
    parse: ParseRow

    @property
    def siblings(self) -> bool:
        """Whether pictures may be written relative to a folder beside the corpus."""
        return self.layout == "mesed"


@dataclass(frozen=True, slots=True)
class Table:
    """Where each of N samples is; all arrays are in file order.

    Attributes:
        entity: (N,) int32 position of the entity.
        split: (N,) int8 index into `splits`.
        offset: (N,) int64 byte position of the row.
        length: (N,) int32 bytes of the row.
        line: (N,) int32 line number, from 1.
        mention: (N,) int32 number of the only masked mention in its row, or -1 for all of the entity.
        picture: (N,) bool whether the row has a usable picture.
        splits: Names, sorted.
    """

    entity: Int32
    split: Int8
    offset: Int64
    length: Int32
    line: Int32
    mention: Int32
    picture: Bool
    splits: tuple[str, ...]


def find_source(path: Path, tally: Tally) -> Source:
    """Detect the layout of a folder and read its entities.

    Raises:
        CorpusError: The folder is missing or of neither layout.
    """
    root = settle(path)
    if not root.is_dir():
        raise CorpusError(f"{path} should be the folder of a corpus; there is no such folder.")
    if (root / own.MANIFEST).exists():
        own.check_manifest(confined(root, own.MANIFEST, CorpusError))
        tally.file = own.ENTITIES
        entities = own.read_entities(confined(root, own.ENTITIES, CorpusError), tally)
        return _source(root, "own", own.SENTENCES, entities, own.parse_row)
    if (root / mesed.ENTITIES).exists() and (root / mesed.SENTENCES).exists():
        tally.file = mesed.ENTITIES
        entities = mesed.read_entities(confined(root, mesed.ENTITIES, CorpusError), tally)
        return _source(root, "mesed", mesed.SENTENCES, entities, mesed.parse_row)
    raise CorpusError(
        f"{path} is no corpus: expected {own.MANIFEST} (our layout), or {mesed.ENTITIES} and {mesed.SENTENCES} "
        "(MESED's layout). `entity-expand corpus import` makes one from your own rows."
    )


def _source(root: Path, layout: Layout, sentences: str, entities: list[Entity], parse: ParseRow) -> Source:
    ordered = tuple(sorted(entities, key=lambda entity: id_order(entity.id)))
    positions = MappingProxyType({entity.id: position for position, entity in enumerate(ordered)})
    return Source(root, layout, confined(root, sentences, CorpusError), ordered, positions, parse)


def read_rows(source: Source, handle: BinaryIO, tally: Tally) -> Iterator[tuple[Line, Row | None]]:
    """Yield every non-blank line with its row, or None where it is dropped (and counted)."""
    for line in read_lines(handle):
        tally.line = line.number
        try:
            record = parse_object(line.content)
        except LineError as problem:
            tally("row", str(problem))
            yield line, None
            continue
        yield line, source.parse(record, source.positions, tally)


class _Columns:
    def __init__(self) -> None:
        self.entity, self.split, self.length = array("i"), array("b"), array("i")
        self.line, self.mention = array("i"), array("i")
        self.offset, self.picture = array("q"), array("b")
        self.splits: dict[str, int] = {}

    def append(self, line: Line, row: Row, picture: bool, samples: list[tuple[int, int]]) -> None:
        split = self.splits.setdefault(row.split, len(self.splits))
        for entity, mention in samples:
            self.entity.append(entity)
            self.split.append(split)
            self.offset.append(line.offset)
            self.length.append(len(line.content or b""))
            self.line.append(line.number)
            self.mention.append(mention)
            self.picture.append(picture)

    def table(self) -> Table:
        names = tuple(sorted(self.splits))
        new_of_old = np.array([names.index(name) for name in self.splits], np.int8)  # splits in order of first use
        old = np.array(self.split, np.int8)
        return Table(
            entity=np.array(self.entity, np.int32),
            split=new_of_old[old] if names else old,
            offset=np.array(self.offset, np.int64),
            length=np.array(self.length, np.int32),
            line=np.array(self.line, np.int32),
            mention=np.array(self.mention, np.int32),
            picture=np.array(self.picture, np.bool_),
            splits=names,
        )


def scan(
    source: Source,
    handle: BinaryIO,
    tally: Tally,
    pictures: Pictures,
    *,
    per_mention: bool = False,
    advance: Callable[[int], object] = id,
) -> tuple[Table, CorpusReport]:
    """Read all rows once.

    Args:
        source: The corpus.
        handle: Its sentence file, at the start.
        tally: Has counted the entities' problems, and goes on to count those of the rows.
        pictures: Looks at the pictures.
        per_mention: One sample per mention instead of one per row and entity.
        advance: Called with the byte position of each row.
    """
    tally.file = source.sentences.name
    columns = _Columns()
    rows = kept = no_text = 0
    for line, row in read_rows(source, handle, tally):
        rows += 1
        advance(line.offset)
        if row is None:
            continue
        if row.split not in columns.splits and len(columns.splits) == MAX_SPLITS:
            tally("row", f"more than {MAX_SPLITS} splits", row.split)
            continue
        picture = row.image is not None and pictures.look(row.image, tally) is not None
        if not picture and not row.text:
            tally("row", "neither a sentence nor a usable picture")
            continue
        samples = list(samples_of(row, per_mention, tally))
        if samples:
            columns.append(line, row, picture, samples)
            kept += 1
            no_text += 0 if row.text else len(samples)
    table = columns.table()
    return table, _report(source, table, tally, rows, kept, no_text, pictures.usable)


def _report(
    source: Source, table: Table, tally: Tally, rows: int, kept: int, no_text: int, pictures: int
) -> CorpusReport:
    per_entity = np.bincount(table.entity, minlength=len(source.entities)).astype(np.int64)  # (V,)
    per_split = np.bincount(table.split, minlength=len(table.splits))
    return CorpusReport(
        layout=source.layout,
        rows=rows,
        rows_kept=kept,
        samples=len(table.entity),
        entities=len(source.entities),
        entities_without_samples=int((per_entity == 0).sum()),
        samples_without_text=no_text,
        samples_without_picture=int((~table.picture).sum()),
        pictures=pictures,
        splits=MappingProxyType({name: int(per_split[i]) for i, name in enumerate(table.splits)}),
        samples_per_entity=histogram(per_entity),
        problems=tally.problems,
    )
