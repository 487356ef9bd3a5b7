"""Options that `expand` and `evaluate` share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from entity_expand.elastic.address import Credentials
    from entity_expand.expander import Expander
    from entity_expand.search.plan import ExpandSettings

Command = TypeVar("Command", bound=Callable[..., Any])
# As `query.STRATEGIES`; importing them from there would load the runtime to show a help text.
_STRATEGIES = ("paper", "both", "mean", "best", "sum", "rank-fusion", "hybrid")


def expansion_options(command: Command) -> Command:
    """Add the options that make up `ExpandSettings`."""
    options = (
        click.option(
            "--both-directions", type=click.FloatRange(min=0), default=0.0, show_default=True,
            help="Weight of how well the candidate's sentences predict the members; 0 is the paper's score.",
        ),
        click.option(
            "--space", type=click.Choice(["heads", "features"]), default="heads", show_default=True,
            help="Score by the entity head, or by the cosine of features.",
        ),
        click.option(
            "--member-weight", type=click.FloatRange(min=0, max=1), default=1.0, show_default=True,
            help="How much an entity that joins counts beside a seed; less suits small classes, 1 is the paper's.",
        ),
        click.option(
            "--rerank/--no-rerank", default=None,
            help="Rank the results again by divergence from the whole set, or leave them as they joined. "
            "[default: as the strategy says, the paper's does]",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def credentials_option(command: Command) -> Command:
    """Add the option that names a file with credentials for a search server."""
    return click.option(
        "--credentials", type=click.Path(path_type=Path), metavar="FILE",
        help="TOML file with api_key, or user and password, for a search server; else the environment says.",
    )(command)  # fmt: skip


def encoder_options(command: Command) -> Command:
    """Add the options for `open_encoder`."""
    options = (
        click.option(
            "--encoder", "where", default="cpu", show_default=True, metavar="WHERE",
            help="Where the encoder runs: cpu, cuda, or a Triton server: triton://host:8001, triton+http://host:8000.",
        ),
        click.option(
            "--threads", type=click.IntRange(1, 1_024),
            help="Threads of an encoder that runs here; all cores by default.",
        ),
        click.option(
            "--variant", type=click.Choice(["fp32", "fp16", "int8"]),
            help="Which graphs of the bundle the encoder takes, here or on its server: int8 for CPUs, fp16 for GPUs. "
            "[default: fp32, or those that encoded the index if it is changed]",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def read_credentials(file: Path | None) -> Credentials:
    """Return the credentials of a file, or of the environment."""
    from entity_expand.elastic.address import credentials

    return credentials(file, os.environ)


def strategy_option(command: Command) -> Command:
    """Add the option that chooses how the seeds make a list."""
    return click.option(
        "--strategy", type=click.Choice(_STRATEGIES),
        help="How the seeds make a list: the paper's growing set, the same by both directions, one list made of the "
        "seeds' own lists, or of the model's scores and shared words. [default: paper]",
    )(command)  # fmt: skip


def modality_option(command: Command) -> Command:
    """Add the option that chooses what is compared."""
    return click.option(
        "--modality", type=click.Choice(["both", "text", "picture"]),
        help="What is compared; the index must know it. [default: what the index was made with]",
    )(command)  # fmt: skip


def encoding_options(command: Command) -> Command:
    """Add the options that say what encodes seeds that are not in the index."""
    options = (
        click.option(
            "--bundle", type=click.Path(path_type=Path), metavar="FOLDER",
            help="The bundle that the index was made with, for seeds that are not in it.",
        ),
        click.option(
            "--encoder", metavar="WHERE",
            help="What runs the bundle's model: cpu, cuda, or a Triton server as triton://HOST:8001. [default: cpu]",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def open_expander(
    index: str, pictures: Path | None, credentials: Path | None, bundle: Path | None, encoder: str | None
) -> Expander:
    """Open an index with what the options name to encode new seeds with."""
    from entity_expand.expander import Expander

    if encoder is not None and bundle is None:
        raise click.UsageError("--encoder needs the --bundle whose model it runs.")
    found = None if credentials is None else read_credentials(credentials)
    return Expander.open(index, pictures, credentials=found, bundle=bundle, encoder=encoder)


def expand_settings(both_directions: float, space: str, member_weight: float, rerank: bool | None) -> ExpandSettings:
    """Return the settings that the options stand for."""
    from entity_expand.search.plan import ExpandSettings
    from entity_expand.search.window import SearchSettings

    return ExpandSettings(
        both_directions=both_directions,
        space="features" if space == "features" else "heads",
        search=SearchSettings(rerank=rerank is not False, member_weight=member_weight),
    )
