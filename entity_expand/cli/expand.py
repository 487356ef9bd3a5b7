"""`entity-expand expand`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from entity_expand.cli.options import credentials_option, expand_settings, expansion_options, read_credentials


@click.command("expand")
@click.argument("index")
@click.argument("seeds", nargs=-1, required=True)
@click.option("--size", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many results.")
@click.option("--exclude", multiple=True, metavar="NAME", help="An entity that must not come back; may be repeated.")
@expansion_options
@credentials_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--html", type=click.Path(path_type=Path), help="Also write a page with the pictures to this file.")
def command(
    index: str,
    seeds: tuple[str, ...],
    size: int,
    exclude: tuple[str, ...],
    both_directions: float,
    space: str,
    member_weight: float,
    no_rerank: bool,
    credentials: Path | None,
    as_json: bool,
    html: Path | None,
) -> None:
    """Expand the set that SEEDS (ids, names or aliases) are examples of, over INDEX."""
    from entity_expand.expander import Expander
    from entity_expand.files import write_text
    from entity_expand.results.show import page, table

    settings = expand_settings(both_directions, space, member_weight, no_rerank)
    with Expander.open(index, credentials=read_credentials(credentials)) as expander:
        expansion = expander.expand(seeds, size, exclude=exclude, settings=settings)
        click.echo(json.dumps(expansion.to_dict(), indent=2, ensure_ascii=False) if as_json else table(expansion))
        if html is not None:
            write_text(html, page(expansion, expander.picture))
            click.echo(f"The page is in {html}.", err=True)
