"""`entity-expand train`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from entity_expand.extras import needing


@click.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--corpus", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the run.")
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path),
    help="Folder for what is computed once, shared between runs; by default inside the run.",
)  # fmt: skip
@click.option(
    "--resume/--no-resume", default=True, show_default=True,
    help="Go on where the run stopped; without it, a run that exists is an error.",
)  # fmt: skip
@click.option(
    "--reports/--no-reports", default=True, show_default=True,
    help="Write TensorBoard's events, and at the end curves.png and a model card.",
)  # fmt: skip
def command(config: Path, corpus: Path, out: Path, cache: Path | None, resume: bool, reports: bool) -> None:
    """Train a model on a corpus with the settings in CONFIG, a TOML file.

    A run that was stopped, even by force, goes on from its last checkpoint with exactly the losses that it would
    have had. Ctrl-C and SIGTERM let it finish its step and save; it ends with exit code 130 then. Under torchrun its
    processes train together. The folder gets step-N checkpoints, latest.json, best.json, config.json, tokenizer.json
    and metrics.jsonl.
    """
    with needing("train"):
        from training.config import TrainingConfig
        from training.loop import train

    from entity_expand.corpus import Corpus
    from entity_expand.errors import TrainingStopped

    settings = TrainingConfig.read(config)
    with Corpus.open(corpus, per_mention=settings.data.per_mention) as opened:
        try:
            progress = train(settings, opened, out, cache=cache, resume=resume, say=click.echo, reports=reports)
        except TrainingStopped as stopped:
            click.echo(f"entity-expand: {stopped}", err=True)
            raise SystemExit(130) from stopped
    if int(os.environ.get("RANK", "0")):  # of several processes one speaks
        return
    click.echo(f"{out}: {progress.step} steps in {progress.epoch} epochs")
