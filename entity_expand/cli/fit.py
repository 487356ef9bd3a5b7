"""`entity-expand fit`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from entity_expand.cli.options import credentials_option, read_credentials

if TYPE_CHECKING:
    from entity_expand.calibration.fitted import Fusion
    from entity_expand.calibration.quality import Held
    from entity_expand.channels.fit import FusionQuality


@click.command("fit")
@click.argument("index")
@click.option("--truth", required=True, type=click.Path(path_type=Path), help="Folder with the members of each class.")
@click.option(
    "--bundle", type=click.Path(path_type=Path),
    help="Keep it with this bundle, too, so that the next index that it makes has it; it must be the index' own.",
)  # fmt: skip
@click.option(
    "--draws", type=click.IntRange(1, 100), default=5, show_default=True,
    help="How often seeds are drawn from each class, for each of 1, 2, 3 and 5 seeds.",
)  # fmt: skip
@click.option("--size", type=click.IntRange(1, 1000), default=100, show_default=True, help="Results per list.")
@click.option("--dry-run", is_flag=True, help="Measure only; keep nothing.")
@credentials_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(
    index: str,
    truth: Path,
    bundle: Path | None,
    draws: int,
    size: int,
    dry_run: bool,
    credentials: Path | None,
    as_json: bool,
) -> None:
    """Fit how sure expansions over INDEX are, where lists end and what channels weigh, on classes that are known.

    It is printed how good all are on classes that were left out of the fit.
    """
    from entity_expand.bundle import Bundle
    from entity_expand.calibration.draws import fit_index
    from entity_expand.channels.fit import fit_channels
    from entity_expand.corpus import read_truth
    from entity_expand.front.common import open_store
    from indexer import keep_fitted, keep_fitted_with_bundle

    known = read_credentials(credentials)
    opened = None if bundle is None else Bundle.open(bundle)
    store = open_store(index, credentials=known)
    try:
        classes = read_truth(truth)
        fusion = fit_channels(store, classes, draws) if store.begin().facts.channels else None
        weights = None if fusion is None else fusion[0].weights
        fitted, quality = fit_index(store, classes, draws, size, channels=weights)
    finally:
        store.close()
    if fusion is not None:
        fitted = dataclasses.replace(fitted, channels=(fusion[0],))
    if not dry_run:
        if opened is not None:
            keep_fitted_with_bundle(opened, fitted)
        keep_fitted(index, fitted, credentials=known)
    if as_json:
        found = {name: dataclasses.asdict(held) for name, held in quality.items()}
        if fusion is not None:
            found["channels"] = {"weights": dataclasses.asdict(fusion[0].weights), **dataclasses.asdict(fusion[1])}
        click.echo(json.dumps(found, indent=2))
        return
    for name, held in quality.items():
        click.echo(_lines(name, held))
    if fusion is not None:
        click.echo(_channel_lines(*fusion))
    click.echo("Nothing was kept." if dry_run else f"It is kept with {index}{f' and {bundle}' if bundle else ''}.")


def _lines(name: str, held: Held) -> str:
    return "\n".join(
        (
            f"{name}: {held.lists:,} lists of {held.classes} classes, each judged by what the others say",
            f"  F1 of the set up to its cut-off      {100 * held.cut:5.1f}, {held.length:.1f} results long on average",
            f"  of the best fixed length             {100 * held.best_fixed:5.1f}, {held.best_length} results",
            f"  of the best cut of each list         {100 * held.perfect:5.1f}, which nobody knows beforehand",
            f"  confidence and share of members differ by {100 * held.error:.1f} in 100 on average",
        )
    )


def _channel_lines(fusion: Fusion, quality: FusionQuality) -> str:
    weights = ", ".join(f"{name} {weight:g}" for name, weight in fusion.weights.counting().items())
    return "\n".join(
        (
            f"channels: {quality.lists:,} lists of {quality.classes} classes, each half by the weights of the other",
            f"  MAP@10 of the model alone            {100 * quality.model:5.1f}",
            f"  of hybrid, default weights           {100 * quality.default:5.1f}",
            f"  of hybrid, fitted weights            {100 * quality.fitted:5.1f}",
            f"  fitted on all: {weights}",
        )
    )
