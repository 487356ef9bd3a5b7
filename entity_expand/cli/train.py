"""`entity-expand train`."""

from __future__ import annotations

from pathlib import Path

import click

from entity_expand.errors import MissingExtraError


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
def command(config: Path, corpus: Path, out: Path, cache: Path | None, resume: bool) -> None:
    """Train a model on a corpus with the settings in CONFIG, a TOML file.

    A run that was stopped, even by force, goes on from its last checkpoint with exactly the losses that it would
    have had. The folder gets step-N checkpoints, latest.json, config.json, tokenizer.json and metrics.jsonl.
    """
    try:
        from training.config import TrainingConfig
        from training.loop import train
    except ModuleNotFoundError as problem:
        raise MissingExtraError(problem.name or "torch", "train") from problem

    from entity_expand.corpus import Corpus

    settings = TrainingConfig.read(config)
    with Corpus.open(corpus, per_mention=settings.data.per_mention) as opened:
        progress = train(settings, opened, out, cache=cache, resume=resume, say=click.echo)
    click.echo(f"{out}: {progress.step} steps in {progress.epoch} epochs")
