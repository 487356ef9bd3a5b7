"""The part of `entity-expand export` that writes a model repository for Triton."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


def write_models(bundle: Path, folder: Path, **settings: Any) -> None:
    """Write the models of a bundle to a folder and name them; `settings` are those of `RepositorySettings`."""
    from entity_expand.bundle import Bundle
    from entity_expand.triton.configuration import RepositorySettings
    from entity_expand.triton.repository import encoder_models, write_repository

    opened, chosen = Bundle.open(bundle), RepositorySettings(**settings)
    models = encoder_models(opened, chosen)
    write_repository(folder, models, chosen)
    click.echo(f"{folder}: for Triton's {chosen.backend} backend, {'; '.join(str(each.model) for each in models)}.")
