"""`entity-expand serve`."""

from __future__ import annotations

from pathlib import Path

import click

from entity_expand.cli.options import credentials_option, read_credentials


@click.command("serve")
@click.argument("index")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="Port to listen at.")
@click.option("--title", default="", help="What the index is called for people. [default: its name]")
@click.option(
    "--pictures", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the pictures. [default: the corpus as it lay when it was indexed]",
)  # fmt: skip
@credentials_option
def command(index: str, host: str, port: int, title: str, pictures: Path | None, credentials: Path | None) -> None:
    """Answer requests over HTTP from INDEX, a folder or https://host:9200/NAME, until told to end."""
    from entity_expand.errors import MissingExtraError
    from entity_expand.expander import Expander
    from entity_expand.serve.settings import ServeSettings

    try:
        from entity_expand.serve.run import serve
    except ModuleNotFoundError as problem:
        raise MissingExtraError(problem.name or "fastapi", "serve") from problem

    settings = ServeSettings(host, port, title or index.rstrip("/").rpartition("/")[2])
    with Expander.open(index, pictures, credentials=read_credentials(credentials)) as expander:
        serve(expander, settings)
