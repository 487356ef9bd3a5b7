"""`entity-expand index upsert`, `delete` and `attributes`: changes of an index on a search server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from entity_expand.cli.options import credentials_option, encoder_options, read_credentials

if TYPE_CHECKING:
    from entity_expand.encoder import Encoder
    from entity_expand.types import Variant
    from indexer import ChangeReport


@click.command("upsert")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("corpus", type=click.Path(path_type=Path))
@click.option("--to", "url", required=True, metavar="URL", help="The index, https://host:9200/NAME.")
@click.option("--entity", "ids", multiple=True, metavar="ID", help="Only this entity; may be repeated.")
@encoder_options
@click.option("--work", type=click.Path(path_type=Path), help="Folder for what must survive a kill. [the cache]")
@credentials_option
def upsert_command(
    bundle: Path,
    corpus: Path,
    url: str,
    ids: tuple[str, ...],
    where: str,
    threads: int | None,
    variant: Variant | None,
    work: Path | None,
    credentials: Path | None,
) -> None:
    """Write entities of CORPUS that are new or have changed into the index in use; BUNDLE must be its own."""
    from entity_expand.bundle import Bundle
    from entity_expand.corpus import Corpus
    from entity_expand.encoder import open_encoder
    from indexer import ElasticSettings, upsert_entities

    known = read_credentials(credentials)
    opened = Bundle.open(bundle)

    def encoder_for(held: Variant) -> Encoder:
        return open_encoder(where, opened, threads=threads, variant=variant or held)

    with Corpus.open(corpus) as samples:
        report = upsert_entities(
            opened, encoder_for, samples, url, ids or None, settings=ElasticSettings(work=work), credentials=known
        )
    click.echo(f"Wrote {report.written:,} entities, {report.new:,} of them new; {report.unchanged:,} had not changed.")
    _tell_missing(report, "are not in the corpus, or no sample shows them")


@click.command("delete")
@click.argument("url")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@credentials_option
def delete_command(url: str, ids: tuple[str, ...], credentials: Path | None) -> None:
    """Delete the entities ID from the index in use."""
    from indexer import delete_entities

    report = delete_entities(url, ids, credentials=read_credentials(credentials))
    click.echo(f"Deleted {report.written:,} entities.")
    _tell_missing(report, "are not in the index")


@click.command("attributes")
@click.argument("url")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@credentials_option
def attributes_command(url: str, file: Path, credentials: Path | None) -> None:
    """Replace attributes of entities; each line of FILE is {"id": ..., "attributes": {...}}."""
    from indexer import set_attributes

    report = set_attributes(url, _read(file), credentials=read_credentials(credentials))
    click.echo(f"Changed {report.written:,} entities; {report.unchanged:,} had these attributes already.")
    _tell_missing(report, "are not in the index")


def _read(file: Path) -> dict[str, dict[str, str]]:
    from entity_expand.errors import ConfigError

    found = {}
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode())
                identifier, attributes = row["id"], row["attributes"]
            except (ValueError, KeyError, TypeError, RecursionError):
                identifier, attributes = None, None
            if not isinstance(identifier, str) or not isinstance(attributes, dict):
                raise ConfigError(f'{file}, line {number}: expected {{"id": "...", "attributes": {{...}}}}.')
            found[identifier] = attributes
    return found


def _tell_missing(report: ChangeReport, what: str) -> None:
    if report.missing:
        shown = ", ".join(report.missing[:10]) + (", ..." if len(report.missing) > 10 else "")
        click.echo(f"{len(report.missing):,} {what}: {shown}.", err=True)
