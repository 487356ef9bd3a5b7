"""`entity-expand export`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from entity_expand.errors import MissingExtraError


@click.command("export")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--corpus", type=click.Path(path_type=Path), required=True, help="The training corpus.")
@click.option("--any-corpus", is_flag=True, help="Accept another corpus than the one trained on.")
@click.option("--checkpoint", "which", type=click.Choice(["best", "latest"]),
              help="Which one of a run; the best in validation if there is one, else the latest.")  # fmt: skip
@click.option("--samples-per-entity", type=click.IntRange(1), default=4, show_default=True,
              help="Most sentences of an entity that parity and ridge map are measured with.")  # fmt: skip
@click.option("--optimise/--plain", default=True, show_default=True,
              help="Fuse operators for onnxruntime, or keep to standard ONNX.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def command(
    checkpoint: Path,
    bundle: Path,
    corpus: Path,
    any_corpus: bool,
    which: Literal["best", "latest"] | None,
    samples_per_entity: int,
    optimise: bool,
    seed: int,
) -> None:
    """Turn CHECKPOINT into the folder BUNDLE, which runs without torch.

    The graph is compared with the model on the training corpus; if they differ, nothing is written.
    """
    try:
        from export import ExportSettings, export_checkpoint
    except ModuleNotFoundError as problem:
        package = (problem.name or "").partition(".")[0]
        if package in ("export", "training", "entity_expand", ""):
            raise
        raise MissingExtraError(package, "export") from problem
    settings = ExportSettings(
        optimise=optimise, samples_per_entity=samples_per_entity, seed=seed, any_corpus=any_corpus, checkpoint=which
    )
    made = export_checkpoint(checkpoint, bundle, corpus, settings)
    parity = made.manifest.parity
    click.echo(
        f"{made.path}: {made.vocabulary:,} entities, width {made.dimension}, fingerprint {made.fingerprint[:12]}; "
        f"differs from the model by {parity['samples']['max_rel']:.1e} of its scale, "
        f"shares {parity['overlap']:.4f} of the top {parity['top_k']}."
    )
