"""The part of `entity-expand export` that writes a model repository for Triton."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def triton_options(command: Command) -> Command:
    """Add the options of `write_models`; their folder is called `triton`."""
    options = (
        click.option("--triton", type=click.Path(path_type=Path), metavar="DIR",
                     help="Write a model repository for Triton to this folder."),
        click.option("--scorer", type=click.Path(path_type=Path), metavar="FOLDER",
                     help="For --triton: put a scorer there, too; `entity-expand index scorer` writes one."),
        click.option("--backend", type=click.Choice(["onnxruntime", "python"]), default="onnxruntime",
                     show_default=True, help="For --triton: onnxruntime runs on GPUs, python on the CPU."),
        click.option("--tensorrt", is_flag=True, help="For --triton: let TensorRT run what it can."),
        click.option("--instances", type=click.IntRange(1, 256), default=1, show_default=True,
                     help="For --triton: copies of each model, on each GPU or on the CPU."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def write_models(bundle: Path, folder: Path, scorer: Path | None, **settings: Any) -> None:
    """Write the models of a bundle to a folder and name them.

    Args:
        bundle: The bundle.
        folder: Where to.
        scorer: A scorer whose model goes there, too.
        **settings: Those of `RepositorySettings`.

    Raises:
        BundleError: The scorer was made with another bundle, or either is damaged.
    """
    from entity_expand.bundle import Bundle
    from entity_expand.errors import BundleError
    from entity_expand.scorer.folder import ScorerFolder
    from entity_expand.triton.configuration import RepositorySettings
    from entity_expand.triton.repository import encoder_models, scorer_content, write_repository

    opened, chosen = Bundle.open(bundle), RepositorySettings(**settings)
    models = encoder_models(opened, chosen)
    if scorer is not None:
        read = ScorerFolder(scorer)
        if read.bundle != opened.fingerprint:
            raise BundleError(f"{scorer} was made with another bundle than {bundle}; make the index and it again.")
        models.append(scorer_content(read, chosen))
    write_repository(folder, models, chosen)
    click.echo(f"{folder}: for Triton's {chosen.backend} backend, {'; '.join(str(each.model) for each in models)}.")
