"""`entity-expand expand`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from entity_expand.cli.options import (
    credentials_option,
    encoding_options,
    expand_settings,
    expansion_options,
    modality_option,
    open_expander,
    strategy_option,
)

if TYPE_CHECKING:
    from entity_expand.expander import Expander
    from entity_expand.query import NewSeed, Strategy
    from entity_expand.results import Expansion
    from entity_expand.stores.filters import Filter
    from entity_expand.types import Modality

_EXPLAINED = 10

Command = TypeVar("Command", bound=Callable[..., Any])


def asking_options(command: Command) -> Command:
    """Add the options that say which set is meant."""
    options = (
        click.option(
            "--new-seed", "new_seeds", nargs=2, multiple=True, metavar="TEXT PICTURE",
            help='A seed that is not in the index: a sentence such as "The [[okapi]] eats leaves." and a file; "" for '
            "none of either. Needs --bundle. May be repeated.",
        ),
        click.option(
            "--weight", "weights", type=float, multiple=True, metavar="NUMBER",
            help="How much a seed counts; once per seed, in their order, new seeds last.",
        ),
        click.option(
            "--negative", multiple=True, metavar="NAME",
            help="An example of what is not wanted: what is like it sinks. May be repeated.",
        ),
        click.option(
            "--exclude", multiple=True, metavar="NAME", help="An entity that must not come back; may be repeated."
        ),
        click.option(
            "--attribute", "attributes", multiple=True, metavar="KEY=VALUE",
            help="Only entities with this; several values of one key are alternatives.",
        ),
        click.option("--name-prefix", metavar="TEXT", help="Only entities with a name that begins so."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command("expand")
@click.argument("index")
@click.argument("seeds", nargs=-1)
@click.option("--size", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many results.")
@asking_options
@strategy_option
@modality_option
@expansion_options
@encoding_options
@credentials_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "--explain", is_flag=True,
    help="Also say what holds the set together, and why the likely results, or the first ten, are in it.",
)  # fmt: skip
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Also write a table to this file.")
@click.option("--html", type=click.Path(path_type=Path), help="Also write a page with the pictures to this file.")
def command(
    index: str,
    seeds: tuple[str, ...],
    size: int,
    new_seeds: tuple[tuple[str, str], ...],
    weights: tuple[float, ...],
    negative: tuple[str, ...],
    exclude: tuple[str, ...],
    attributes: tuple[str, ...],
    name_prefix: str | None,
    strategy: Strategy | None,
    modality: Modality | None,
    both_directions: float,
    space: str,
    member_weight: float,
    rerank: bool | None,
    bundle: Path | None,
    encoder: str | None,
    credentials: Path | None,
    as_json: bool,
    explain: bool,
    csv_file: Path | None,
    html: Path | None,
) -> None:
    """Expand the set that SEEDS (ids, names or aliases) are examples of, over INDEX."""
    from entity_expand.files import write_result
    from entity_expand.results.show import page

    with open_expander(index, None, credentials, bundle, encoder) as expander:
        expansion = expander.expand(
            (*seeds, *(_new_seed(text, picture) for text, picture in new_seeds)),
            size,
            weights=weights or None,
            negative=negative,
            exclude=exclude,
            filter=_filter(attributes, name_prefix),
            strategy=strategy,
            modality=modality,
            rerank=rerank,
            settings=expand_settings(both_directions, space, member_weight, rerank),
        )
        click.echo(_printed(expander, expansion, as_json, explain))
        if csv_file is not None:
            expansion.to_csv(csv_file)
            click.echo(f"The table is in {csv_file}.", err=True)
        if html is not None:
            write_result(html, page(expansion, expander.picture))
            click.echo(f"The page is in {html}.", err=True)


def _printed(expander: Expander, expansion: Expansion, as_json: bool, explain: bool) -> str:
    """Return what is printed: a table or JSON, and what explains it."""
    from entity_expand.results.show import explanation_lines, table

    form: dict[str, Any] = expansion.to_dict() if as_json else {}
    if not explain:
        return json.dumps(form, indent=2, ensure_ascii=False) if as_json else table(expansion)
    about = expander.explain_set(expansion)
    count = _EXPLAINED if expansion.cutoff is None else expansion.cutoff
    explanations = [expander.explain(expansion, result.rank) for result in expansion.results[:count]]
    if not as_json:
        return f"{table(expansion)}\n\n{explanation_lines(about, explanations)}"
    together = {"expansion": form, "set": about.to_dict(), "results": [each.to_dict() for each in explanations]}
    return json.dumps(together, indent=2, ensure_ascii=False)


def _new_seed(text: str, picture: str) -> NewSeed:
    from entity_expand.query import NewSeed

    return NewSeed(text, Path(picture) if picture else None)


def _filter(attributes: tuple[str, ...], name_prefix: str | None) -> Filter | None:
    """Return the filter that the options stand for; None for no filter."""
    from entity_expand.stores.filters import Filter

    values: dict[str, list[str]] = {}
    for given in attributes:
        key, equals, value = given.partition("=")
        if not equals:
            raise click.BadParameter(f"{given!r} is not KEY=VALUE.", param_hint="--attribute")
        values.setdefault(key, []).append(value)
    return Filter(values, name_prefix) if values or name_prefix is not None else None
