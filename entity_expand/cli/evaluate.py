"""`entity-expand evaluate`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from entity_expand.cli.options import (
    credentials_option,
    expand_settings,
    expansion_options,
    modality_option,
    read_credentials,
    strategy_option,
)

if TYPE_CHECKING:
    from entity_expand.evaluate import Evaluation, Protocol
    from entity_expand.query import Strategy
    from entity_expand.types import Modality

_CLASSES_CAP = 1 << 20


@click.command("evaluate")
@click.argument("index")
@click.option(
    "--queries", required=True, multiple=True, type=click.Path(path_type=Path),
    help="Folder with one file of queries per class; may be repeated, for queries of other numbers of seeds.",
)  # fmt: skip
@click.option("--truth", required=True, type=click.Path(path_type=Path), help="Folder with the members of each class.")
@click.option(
    "--protocol", type=click.Choice(["joint", "single", "all"]), default="all", show_default=True,
    help="The paper's, in which classes compete for entities, or each query on its own.",
)  # fmt: skip
@click.option("--size", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Results per query.")
@click.option(
    "--part", type=click.Choice(["all", "validation", "report"]), default="all", show_default=True,
    help="Which classes: all, those that training validates on, or the others.",
)  # fmt: skip
@click.option(
    "--share", type=click.FloatRange(0, 1), default=0.5, show_default=True,
    help="Share of the classes that validate, dealt out by a hash of their names as in training.",
)  # fmt: skip
@click.option(
    "--classes-from", type=click.Path(path_type=Path), metavar="FILE",
    help="File with the names of the classes that validate, one a line, instead of --share.",
)  # fmt: skip
@click.option("--compatible", is_flag=True, help="As the original: of five seeds the last two count as results.")
@strategy_option
@modality_option
@expansion_options
@credentials_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(
    index: str,
    queries: tuple[Path, ...],
    truth: Path,
    protocol: str,
    size: int,
    part: str,
    share: float,
    classes_from: Path | None,
    compatible: bool,
    strategy: Strategy | None,
    modality: Modality | None,
    both_directions: float,
    space: str,
    member_weight: float,
    rerank: bool | None,
    credentials: Path | None,
    as_json: bool,
) -> None:
    """Expand all queries over INDEX and print MAP@K and P@K."""
    from entity_expand.corpus import read_queries, read_truth
    from entity_expand.evaluate import evaluate
    from entity_expand.front.common import open_store

    settings = expand_settings(both_directions, space, member_weight, rerank)
    if (strategy is not None or modality is not None) and protocol == "all":
        protocol = "single"
    if compatible:
        settings = dataclasses.replace(settings, search=dataclasses.replace(settings.search, compatible_seeds=3))
    chosen: list[Protocol] = ["joint"] if protocol == "joint" else ["single"] if protocol == "single" else []
    chosen = chosen or (["single"] if space == "features" else ["joint", "single"])
    store, members = open_store(index, credentials=read_credentials(credentials)), read_truth(truth)
    wanted = _classes(members, part, share, classes_from)
    found: list[Evaluation] = []
    for folder in queries:
        asked = [query for query in read_queries(folder) if query.class_name in wanted or part == "all"]
        found += [
            evaluate(
                store,
                asked,
                members,
                protocol=each,
                size=size,
                settings=settings,
                strategy=strategy,
                rerank=rerank,
                modality=modality,
            )
            for each in chosen
        ]
    if as_json:
        click.echo(json.dumps([_as_dict(evaluation) for evaluation in found], indent=2))
        return
    for evaluation in found:
        click.echo(_lines(evaluation))


def _classes(names: Iterable[str], part: str, share: float, file: Path | None) -> frozenset[str]:
    """Return the classes of a part of all."""
    from entity_expand.corpus import validation_classes
    from entity_expand.errors import QueryError
    from entity_expand.files import read_capped

    everything = frozenset(names)
    if file is None:
        validating = validation_classes(everything, share)
    else:
        lines = read_capped(file, _CLASSES_CAP, QueryError).decode("utf-8", "replace").splitlines()
        validating = frozenset(line.strip() for line in lines if line.strip())
    unknown = sorted(validating - everything)
    if unknown:
        raise QueryError(f"{file} names {', '.join(map(repr, unknown))}, of which the truth has no file.")
    return everything if part == "all" else validating if part == "validation" else everything - validating


def _as_dict(evaluation: Evaluation) -> dict[str, object]:
    content = dataclasses.asdict(evaluation)
    del content["rankings"]
    return content


def _lines(evaluation: Evaluation) -> str:
    lines = [
        f"{evaluation.protocol} protocol, {evaluation.seeds} seeds, {evaluation.queries} queries of "
        f"{evaluation.classes} classes, lists of {evaluation.size}"
    ]
    if evaluation.unreachable:
        lines.append(f"  {evaluation.unreachable} members of the classes are not in the index")
    for name, values in dataclasses.asdict(evaluation.overall).items():
        shown = "  ".join(f"@{cut} {100 * value:5.1f}" for cut, value in values.items())
        lines.append(f"  {name:20} {shown}")
    return "\n".join(lines)
