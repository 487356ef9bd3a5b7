"""`Corpus`: random access to the samples of a folder, by number, from any thread."""

from __future__ import annotations

import dataclasses
import os
import weakref
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np

from entity_expand.corpus.hashing import content_hash
from entity_expand.corpus.lines import LineError, open_regular, parse_object
from entity_expand.corpus.pictures import Pictures, normalised
from entity_expand.corpus.report import CorpusReport, Problem, Tally, ignore
from entity_expand.corpus.rows import spans_of
from entity_expand.corpus.scan import Layout, Source, Table, find_source, scan
from entity_expand.errors import CorpusError
from entity_expand.files import confined
from entity_expand.types import Entity, Int8, Int32, Int64, Sample


class Corpus:
    """A corpus folder in MESED's layout or our own; make one with `Corpus.open`.

    Holds 26 bytes per sample and the entities; texts are read when they are asked for. Reading is safe from
    threads and after a fork. Usable as a context manager; the file also closes with the object.
    """

    def __init__(self, source: Source, table: Table, report: CorpusReport, descriptor: int) -> None:
        self._source = source
        self._table = table
        self._report = report
        self._descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)
        self._by_entity = np.argsort(table.entity, kind="stable").astype(np.int64)  # (N,) by entity, then file order
        counts = np.bincount(table.entity, minlength=len(source.entities))
        self._starts = np.concatenate([[0], np.cumsum(counts)])  # (V + 1,)

    @classmethod
    def open(cls, path: str | Path, *, per_mention: bool = False, strict: bool = False) -> Corpus:
        """Open a corpus and read it through once.

        Args:
            path: The folder; its layout is detected.
            per_mention: Give one sample per mention with only that mention masked, and leave out rows above
                150 words, as the original does (NOTES.md section 2). Otherwise one sample per row and
                entity with all its mentions masked.
            strict: Refuse a corpus of which anything is dropped.

        Raises:
            CorpusError: The folder is no corpus, or is not clean and `strict` is set.
        """
        tally = Tally("")
        source = find_source(Path(path), tally)
        handle = open_regular(source.sentences)
        with handle:
            pictures = Pictures(source.root, source.siblings)
            table, report = scan(source, handle, tally, pictures, per_mention=per_mention)
            if strict and report.problems:
                raise CorpusError(strict_message(source.root, report.problems))
            descriptor = os.dup(handle.fileno())
        return cls(source, table, report, descriptor)

    def __reduce__(self) -> tuple[Any, ...]:
        """Let a worker have the corpus without reading it through again; the folder must be at its place there too."""
        source, report = self._source, self._report
        splits = dict(report.splits)  # a mapping proxy cannot be sent
        places = source.root.absolute(), source.layout, source.sentences.absolute()
        parts = (*places, source.entities, source.parse)
        size = os.fstat(self._descriptor).st_size
        return _arrived, (parts, self._table, dataclasses.replace(report, splits=splits), size)

    def close(self) -> None:
        """Close the file; samples can no longer be read."""
        self._close()

    def __enter__(self) -> Corpus:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._table.entity)

    def __repr__(self) -> str:
        return f"Corpus({str(self.root)!r}, {self.layout}, {len(self):,} samples, {len(self.entities):,} entities)"

    @property
    def root(self) -> Path:
        """The folder."""
        return self._source.root

    @property
    def layout(self) -> Layout:
        """The folder's layout, "mesed" or "own"."""
        return self._source.layout

    @property
    def entities(self) -> tuple[Entity, ...]:
        """All entities in order of id, also those without samples."""
        return self._source.entities

    @property
    def positions(self) -> Mapping[str, int]:
        """Entity id -> position in `entities`."""
        return self._source.positions

    @property
    def sample_entity(self) -> Int32:
        """(N,) int32 position of each sample's entity, in file order."""
        return self._table.entity

    @property
    def sample_split(self) -> Int8:
        """(N,) int8 index of each sample's split into `splits`, in file order."""
        return self._table.split

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, sorted; rows without one are in "train"."""
        return self._table.splits

    @property
    def report(self) -> CorpusReport:
        """What was read and what was dropped."""
        return self._report

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the content as lower-case hex; the first use reads all rows and pictures."""
        return content_hash(self._source)

    def sample(self, number: int) -> Sample:
        """Return one sample.

        Raises:
            CorpusError: The number is out of range, the corpus is closed, or its file has changed.
        """
        if not 0 <= number < len(self):
            raise CorpusError(f"There is no sample {number}; this corpus has samples 0 to {len(self) - 1}.")
        if not self._close.alive:
            raise CorpusError(f"The corpus {self.root} is closed.")
        table = self._table
        content = os.pread(self._descriptor, int(table.length[number]), int(table.offset[number]))
        try:
            row = self._source.parse(parse_object(content), self.positions, ignore)
        except LineError:
            row = None
        entity, mention = int(table.entity[number]), int(table.mention[number])
        if row is None or mention >= len(row.mentions) or all(found[0] != entity for found in row.mentions):
            raise CorpusError(f"{self._source.sentences} has changed since it was opened. Open the corpus again.")
        spans = spans_of(row, entity, ignore) if mention < 0 else (row.mentions[mention][1:],)
        image = None
        if table.picture[number] and row.image is not None:
            image = normalised(row.image, self._source.siblings)
        return Sample(entity, row.text, spans, image, int(table.line[number]))

    def samples_of(self, position: int) -> Int64:
        """Return the (n,) int64 numbers of an entity's samples, in file order."""
        if not 0 <= position < len(self.entities):
            raise CorpusError(f"There is no entity at {position}; this corpus has {len(self.entities)}.")
        return self._by_entity[self._starts[position] : self._starts[position + 1]]

    def select(self, split: str | None) -> Int64:
        """Return the (n,) int64 numbers of a split's samples, or of all for None, in file order.

        Raises:
            CorpusError: No sample is in a split of this name.
        """
        if split is None:
            return np.arange(len(self), dtype=np.int64)
        if split not in self.splits:
            raise CorpusError(f"No sample is in the split {split!r}; there are: {', '.join(self.splits) or 'none'}.")
        return np.flatnonzero(self.sample_split == self.splits.index(split)).astype(np.int64)

    def image_path(self, sample: Sample) -> Path | None:
        """Return the picture's file, or None if the sample has none.

        Raises:
            CorpusError: The path leaves the folder (it may have been replaced by a link).
        """
        return None if sample.image is None else confined(self.root, sample.image, CorpusError)


def _arrived(parts: tuple[Any, ...], table: Table, report: CorpusReport, size: int) -> Corpus:
    """Open a corpus that was sent here.

    Raises:
        CorpusError: The file of its rows is not here, or another one is.
    """
    root, layout, sentences, entities, parse = parts
    positions = MappingProxyType({entity.id: position for position, entity in enumerate(entities)})
    with open_regular(sentences) as handle:
        found = os.fstat(handle.fileno()).st_size
        if found != size:
            raise CorpusError(
                f"{sentences} has {found:,} bytes on {os.uname().nodename}, {size:,} where it was opened."
            )
        source = Source(root, layout, sentences, entities, positions, parse)
        return Corpus(source, table, report, os.dup(handle.fileno()))


def strict_message(path: Path, problems: tuple[Problem, ...]) -> str:
    """Return the text of the error that a strict reader raises, one problem a line."""
    listed = "\n".join(f"  {problem}" for problem in problems)
    dropped = sum(problem.count for problem in problems)
    return f"{path} is not clean ({dropped:,} dropped), which the strict check refuses:\n{listed}"
