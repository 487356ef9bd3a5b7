"""`entity-expand index list`, `verify`, `rollback` and `prune`: the versions of an index on a search server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from entity_expand.cli.options import credentials_option, read_credentials

if TYPE_CHECKING:
    from indexer import Version


@click.command("list")
@click.argument("url")
@credentials_option
def list_command(url: str, credentials: Path | None) -> None:
    """List the versions of the index URL, oldest first."""
    from indexer import list_versions

    found = list_versions(url, read_credentials(credentials))
    if not found:
        click.echo(f"There is no version of {url}.")
        return
    head = ("", "version", "state", "created", "entities", "changes", "size", "bundle")
    table = [head, *map(_row, found)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    for each in found:
        if each.problem:
            click.echo(each.problem, err=True)


def _row(version: Version) -> tuple[str, ...]:
    known = version.meta
    return (
        "*" if version.in_use else "",
        version.physical,
        version.state,
        version.created.strftime("%Y-%m-%d %H:%M:%S"),
        "?" if version.documents is None else f"{version.documents:,}",
        str(known.changes) if known else "?",
        "?" if version.bytes is None else f"{version.bytes / 1e6:,.1f} MB",
        known.index.bundle[:16] if known else "?",
    )


@click.command("verify")
@click.argument("url")
@click.option("--bundle", type=click.Path(path_type=Path), help="Also compare with the bundle it was built with.")
@credentials_option
def verify_command(url: str, bundle: Path | None, credentials: Path | None) -> None:
    """Read the whole index URL and check it; the exit code is 1 if something is wrong."""
    from entity_expand.bundle import Bundle
    from indexer import verify_index

    opened = Bundle.open(bundle) if bundle else None
    audit = verify_index(url, opened, credentials=read_credentials(credentials))
    click.echo(f"{audit.physical} holds {audit.documents:,} entities; their digest is {audit.digest}.")
    click.echo(f"Searches found {audit.found.recall:.1%} of the nearest entities that a full scan finds.")
    for problem in audit.problems:
        click.echo(f"Wrong: {problem}.", err=True)
    if audit.problems:
        raise SystemExit(1)


@click.command("rollback")
@click.argument("url")
@click.argument("version", required=False)
@credentials_option
def rollback_command(url: str, version: str | None, credentials: Path | None) -> None:
    """Let URL stand for VERSION, or for the newest whole one before that in use."""
    from indexer import rollback

    click.echo(f"{url} now stands for {rollback(url, version, read_credentials(credentials))}.")


@click.command("prune")
@click.argument("url")
@click.option(
    "--keep", type=click.IntRange(min=1), default=2, show_default=True,
    help="Versions that stay: the one in use, and the newest others.",
)  # fmt: skip
@credentials_option
def prune_command(url: str, keep: int, credentials: Path | None) -> None:
    """Delete old versions of URL, and what unfinished runs left behind."""
    from indexer import prune

    gone = prune(url, keep, read_credentials(credentials))
    for name in gone:
        click.echo(f"Deleted {name}.")
    if not gone:
        click.echo("Nothing to delete.")
