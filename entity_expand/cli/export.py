"""`entity-expand export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from entity_expand.cli.export_triton import triton_options, write_models
from entity_expand.extras import needing


@click.command("export")
@click.argument("source", type=click.Path(path_type=Path), metavar="CHECKPOINT")
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option("--corpus", type=click.Path(path_type=Path), help="The training corpus.")
@click.option("--any-corpus", is_flag=True, help="Accept another corpus than the one trained on.")
@click.option("--checkpoint", "which", type=click.Choice(["best", "latest"]),
              help="Which one of a run; the best in validation if there is one, else the latest.")  # fmt: skip
@click.option("--variant", "variants", type=click.Choice(["fp32", "fp16", "int8"]), multiple=True,
              help="How graphs compute, beside fp32: int8 for CPUs, fp16 for GPUs. May be repeated.")  # fmt: skip
@click.option("--modality", "modalities", type=click.Choice(["both", "text", "picture"]), multiple=True,
              help="What graphs see, beside both. May be repeated.")  # fmt: skip
@click.option("--samples-per-entity", type=click.IntRange(1), default=4, show_default=True,
              help="Most sentences of an entity that parity and ridge map are measured with.")  # fmt: skip
@click.option("--optimise/--plain", default=True, show_default=True,
              help="Fuse operators for onnxruntime, or keep to standard ONNX.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@triton_options
def command(
    source: Path,
    bundle: Path | None,
    corpus: Path | None,
    any_corpus: bool,
    which: Literal["best", "latest"] | None,
    variants: tuple[Literal["fp32", "fp16", "int8"], ...],
    modalities: tuple[Literal["both", "text", "picture"], ...],
    samples_per_entity: int,
    optimise: bool,
    seed: int,
    triton: Path | None,
    **repository: Any,
) -> None:
    """Turn CHECKPOINT into the folder BUNDLE, which runs without torch.

    The graph is compared with the model on the training corpus; if they differ, nothing is written. With --triton, an
    exported bundle may stand in the place of CHECKPOINT, alone.
    """
    if bundle is None and corpus is None and triton is not None:
        write_models(source, triton, **repository)
        return
    if bundle is None or corpus is None:
        raise click.UsageError("CHECKPOINT, BUNDLE and --corpus are needed; with --triton, a bundle alone will do.")
    with needing("export"):
        from export import ExportSettings, export_checkpoint
    settings = ExportSettings(
        variants=variants,
        modalities=modalities,
        optimise=optimise,
        samples_per_entity=samples_per_entity,
        seed=seed,
        any_corpus=any_corpus,
        checkpoint=which,
    )
    made = export_checkpoint(source, bundle, corpus, settings)
    click.echo(
        f"{made.path}: {made.vocabulary:,} entities, width {made.dimension}, fingerprint {made.fingerprint[:12]}"
    )
    for name, measured in made.manifest.parity["graphs"].items():
        samples, agreed = measured["samples"], measured["expansions"]
        maps = "" if agreed["model_map"] is None else f", MAP {agreed['graph_map']:.2f} for {agreed['model_map']:.2f}"
        click.echo(
            f"  {name}, {measured['bytes'] / 1e6:.1f} MB, on {measured['provider']}: differs from the model by "
            f"{samples['max_rel']:.1e} of its scale, shares {agreed['overlap']:.4f} of the top {agreed['top_k']}{maps}"
        )
        if measured["variant"] == "fp16" and measured["provider"] == "CPUExecutionProvider":
            click.echo("    no GPU provider is here: only its rounding was checked, not a GPU's arithmetic", err=True)
    if triton is not None:
        write_models(bundle, triton, **repository)
