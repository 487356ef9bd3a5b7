"""`entity-expand index scorer`."""

from __future__ import annotations

from pathlib import Path

import click

from entity_expand.cli.options import credentials_option, read_credentials
from entity_expand.extras import needing


@click.command("scorer")
@click.argument("index")
@click.argument("folder", type=click.Path(path_type=Path))
@credentials_option
def scorer_command(index: str, folder: Path, credentials: Path | None) -> None:
    """Write the scorer of INDEX, a folder or https://host:9200/NAME, to FOLDER.

    A scorer is an ONNX graph that holds the rows of all entities: seeds go in, ranked candidates come out.
    """
    from entity_expand.elastic.address import is_address
    from entity_expand.front.common import open_store

    with needing("export"):
        from export.scorer import write_scorer_of
    known = read_credentials(credentials) if is_address(index) else None
    store = open_store(index, known)
    try:
        count = write_scorer_of(store, folder)
    finally:
        store.close()
    click.echo(f"{folder}: a scorer of {count:,} entities.")
