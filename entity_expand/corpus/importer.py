"""Build a corpus in our layout from people's own rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from entity_expand.corpus import own
from entity_expand.corpus.album import Album
from entity_expand.corpus.convert import Converter
from entity_expand.corpus.own import write_corpus
from entity_expand.corpus.pictures import quiet_pillow
from entity_expand.corpus.read import Corpus, strict_message
from entity_expand.corpus.records import read_records
from entity_expand.corpus.report import CorpusReport, Problem, Tally
from entity_expand.corpus.roster import Roster
from entity_expand.errors import CorpusError
from entity_expand.files import new_folder


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import made of its rows.

    Attributes:
        rows: Rows that were read.
        problems: What was dropped, by file, kind and reason.
        corpus: What the new corpus holds.
    """

    rows: int
    problems: tuple[Problem, ...]
    corpus: CorpusReport

    def __str__(self) -> str:
        lines = [f"rows imported             {self.corpus.rows:,} of {self.rows:,}", str(self.corpus)]
        if self.problems:
            lines[-1] = lines[-1].removesuffix("\nnothing was dropped")
        return "\n".join([*lines, *map(str, self.problems)])


def import_rows(
    rows: str | Path,
    out: str | Path,
    *,
    images: str | Path | None = None,
    entities: str | Path | None = None,
    strict: bool = False,
    case_sensitive: bool = False,
    link: bool = False,
    overwrite: bool = False,
) -> ImportReport:
    """Write a corpus in our layout, all or nothing.

    Args:
        rows: JSON Lines or Parquet of {text, entity, entity_id?, start? and end? or mentions?, image?, aliases?,
            attributes?, split?}; docs/corpus.md has the details.
        out: The folder to make.
        images: Folder that the rows' pictures are relative to; that of `rows` if None.
        entities: JSON Lines or Parquet of {name, id?, aliases?, attributes?}.
        strict: Refuse to write if anything is dropped.
        case_sensitive: Tell upper from lower case when looking for names.
        link: Hard-link pictures instead of copying, where the file system can.
        overwrite: Replace a corpus that is there.

    Raises:
        CorpusError: A file cannot be read, no row can be used, `out` is in the way, or something is dropped
            and `strict` is set.
        MissingExtraError: A package is missing that Parquet or looking for names needs.
    """
    rows, out = Path(rows), Path(out)
    _check_out(out, overwrite, [Path(path) for path in (rows, images, entities) if path is not None])
    tally = Tally("")
    roster = _read_roster(rows, None if entities is None else Path(entities), tally)
    with new_folder(out) as folder, quiet_pillow():
        album = Album(rows.parent if images is None else Path(images), folder, link=link)
        converter = Converter(roster, album, tally, case_sensitive=case_sensitive)
        write_corpus(folder, roster.entities, converter.rows(rows))
        with Corpus.open(folder) as corpus:
            report = ImportReport(converter.count, tally.problems, corpus.report)
        if not report.corpus.samples:
            listed = "".join(f"\n  {problem}" for problem in report.problems)
            raise CorpusError(f"None of the {report.rows:,} rows of {rows} can be used.{listed}")
        if strict and report.problems:
            raise CorpusError(strict_message(rows, report.problems))
    return report


def _check_out(out: Path, overwrite: bool, sources: list[Path]) -> None:
    if out.is_symlink():
        raise CorpusError(f"{out} is a link. Give the folder itself.")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / own.MANIFEST).is_file():
        raise CorpusError(f"{out} is there and is no corpus in our layout. Give a new folder.")
    if not overwrite:
        raise CorpusError(f"{out} is there. Give a new folder, or --overwrite to replace it.")
    for source in sources:
        if source.resolve().is_relative_to(out.resolve()):
            raise CorpusError(f"{source} lies in {out}, which would be replaced. Give a new folder.")


def _read_roster(rows: Path, entities: Path | None, tally: Tally) -> Roster:
    roster = Roster()
    if entities is not None:
        for record in read_records(entities, tally, count=True):
            if record is not None and not roster.read(record, tally, listed=True, name_key="name", id_key="id"):
                tally("entity", "neither a name nor an id", record.get("name"))
    for record in read_records(rows, tally, count=False):
        if record is not None:
            roster.read(record, tally, listed=False, name_key="entity", id_key="entity_id")
    roster.settle()
    return roster
