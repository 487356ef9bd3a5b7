"""`entity-expand serve`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from entity_expand.cli.options import credentials_option, encoding_options, open_expander
from entity_expand.extras import needing

Command = TypeVar("Command", bound=Callable[..., Any])


def limit_options(command: Command) -> Command:
    """Add an option for each limit of `ServeSettings`; what is not given stays as it is."""
    options = (
        click.option("--workers", type=int, default=2, show_default=True, help="Requests worked on at once."),
        click.option("--waiting", type=int, default=32, show_default=True, help="Requests that may wait beside these."),
        click.option("--per-caller", type=int, default=16, show_default=True, help="Requests of one caller at once."),
        click.option("--seconds", type=float, default=10.0, show_default=True, help="Time limit of a request."),
        click.option("--most-results", "size", type=int, default=1_000, show_default=True, help="Per expansion."),
        click.option("--most-seeds", "seeds", type=int, default=100, show_default=True, help="Per expansion."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("serve")
@click.argument("index")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="Port to listen at.")
@click.option("--title", default="", help="What the index is called for people. [default: its name]")
@click.option(
    "--pictures", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the pictures. [default: the corpus as it lay when it was indexed]",
)  # fmt: skip
@click.option(
    "--api-key-file", type=click.Path(path_type=Path), metavar="FILE",
    help="File with API keys, one a line, as KEY or NAME: KEY; needed for a --host beyond loopback.",
)  # fmt: skip
@limit_options
@encoding_options
@credentials_option
def command(
    index: str,
    host: str,
    port: int,
    title: str,
    pictures: Path | None,
    api_key_file: Path | None,
    bundle: Path | None,
    encoder: str | None,
    credentials: Path | None,
    **limits: float,
) -> None:
    """Answer requests over HTTP from INDEX, a folder or https://host:9200/NAME, until told to end."""
    from entity_expand.config import from_mapping
    from entity_expand.serve.keys import ApiKeys
    from entity_expand.serve.settings import ServeSettings

    with needing("serve"):
        from entity_expand.serve.run import serve

    settings = from_mapping(
        ServeSettings,
        {"host": host, "port": port, "title": title or index.rstrip("/").rpartition("/")[2], **limits},
    )
    keys = None if api_key_file is None else ApiKeys.from_file(api_key_file)
    with open_expander(index, pictures, credentials, bundle, encoder) as expander:
        serve(expander, settings, keys, listening=lambda url: click.echo(f"Serving {index} at {url}"))
