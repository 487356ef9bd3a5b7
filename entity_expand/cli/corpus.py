"""`entity-expand corpus import` and `entity-expand corpus check`."""

from __future__ import annotations

from pathlib import Path

import click

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group("corpus")
def command() -> None:
    """Import or check a corpus."""


@command.command("import")
@click.argument("rows", type=_FILE)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--images", type=_FOLDER, help="Folder that the rows' pictures are relative to. [default: that of ROWS]")
@click.option("--entities", type=_FILE, help="JSON Lines or Parquet of {name, id?, aliases?, attributes?}.")
@click.option("--strict", is_flag=True, help="Write nothing and fail if anything is dropped.")
@click.option("--case-sensitive", is_flag=True, help="Tell upper from lower case when looking for names.")
@click.option("--link", is_flag=True, help="Hard-link pictures instead of copying them, where possible.")
@click.option("--overwrite", is_flag=True, help="Replace the corpus at OUT.")
def import_command(
    rows: Path,
    out: Path,
    images: Path | None,
    entities: Path | None,
    strict: bool,
    case_sensitive: bool,
    link: bool,
    overwrite: bool,
) -> None:
    """Build the corpus OUT from ROWS, a file of JSON Lines or Parquet.

    A row holds text and entity, and may hold entity_id, start and end (or mentions), image, aliases, attributes
    and split. Where offsets are missing the names and aliases of the entity are looked for in the text; a row
    without an entity is searched for the entities of --entities.
    """
    from entity_expand.corpus.importer import import_rows

    report = import_rows(
        rows,
        out,
        images=images,
        entities=entities,
        strict=strict,
        case_sensitive=case_sensitive,
        link=link,
        overwrite=overwrite,
    )
    click.echo(str(report))


@command.command("check")
@click.argument("corpus", type=_FOLDER)
@click.option("--strict", is_flag=True, help="Exit with 1 if anything is dropped.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--decode", is_flag=True, help="Decode every picture whole instead of reading its header.")
@click.option("--per-mention", is_flag=True, help="Count one sample per mention, as the original code has them.")
def check_command(corpus: Path, strict: bool, as_json: bool, decode: bool, per_mention: bool) -> None:
    """Print what CORPUS holds, how samples spread over entities, and what is wrong with which line."""
    import json

    from entity_expand.corpus.check import check_corpus

    report = check_corpus(corpus, decode_pictures=decode, per_mention=per_mention)
    click.echo(json.dumps(report.as_dict(), indent=2) if as_json else str(report))
    if strict and report.problems:
        raise SystemExit(1)
