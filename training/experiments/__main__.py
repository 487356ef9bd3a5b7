"""`python -m training.experiments NAME CORPUS`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from entity_expand.corpus import Corpus
from entity_expand.errors import EntityExpandError
from training.experiments.base import config_named
from training.experiments.command import Request, experiment_named, perform, planned
from training.experiments.domains import parse_domains
from training.experiments.registry import EXPERIMENTS

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("name", type=click.Choice(sorted(EXPERIMENTS)))
@click.argument("corpus", type=_FOLDER)
@click.option("--out", type=click.Path(path_type=Path), help="The document; by default docs/results/NAME.md.")
@click.option(
    "--config", default="tiny-cupl", show_default=True, help="A TOML file, or the name of one of the package's."
)
@click.option(
    "--set", "settings", multiple=True, metavar="TABLE.NAME=VALUE",
    help="A setting in the place of the configuration's, with a value as in TOML. May be repeated.",
)  # fmt: skip
@click.option(
    "--work", type=click.Path(file_okay=False, path_type=Path), default=Path("build/experiments"), show_default=True,
    help="Folder for runs, caches and results, shared by experiments; what is in it is not done again.",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Trainings of each variant.")
@click.option("--checkpoint", type=_FOLDER, multiple=True, help="Folder of a CLIP or a BLIP, as a further baseline.")
@click.option("--domains", help="For the experiment of this name: JSON of lists of classes by domain.")
@click.option("--without", multiple=True, metavar="VARIANT", help="Leave this variant out. May be repeated.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def main(
    name: str, corpus: Path, out: Path | None, config: str, settings: tuple[str, ...], work: Path, seeds: int,
    checkpoint: tuple[Path, ...], domains: str | None, without: tuple[str, ...], dry_run: bool,
) -> None:  # fmt: skip
    """Do the experiment NAME on a corpus and write a table, a figure and the command to docs/results/."""
    try:
        request = Request(
            experiment_named(name, without), config_named(config, settings), seeds, work, checkpoint,
            parse_domains(domains) if domains else None, _typed(sys.argv[1:]),
        )  # fmt: skip
        with Corpus.open(corpus, per_mention=request.config.data.per_mention) as opened:
            for line in planned(request, opened):
                click.echo(line)
            if not dry_run:
                target = out or Path("docs/results") / f"{name}.md"
                perform(request, opened, target, click.echo)
                click.echo(f"wrote {target}")
    except EntityExpandError as problem:
        raise click.ClickException(str(problem)) from problem


def _typed(arguments: list[str]) -> str:
    """Return the command as it was typed, absolute paths cut to their last part."""
    kept = [Path(each).name if each.startswith("/") else each for each in arguments]
    return " ".join(["python -m training.experiments", shlex.join(kept)])


if __name__ == "__main__":
    main()
