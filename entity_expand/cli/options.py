"""Options that `expand` and `evaluate` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from entity_expand.plan import ExpandSettings

Command = TypeVar("Command", bound=Callable[..., Any])


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
        click.option("--no-rerank", is_flag=True, help="Leave the results in the order in which they joined."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def expand_settings(both_directions: float, space: str, no_rerank: bool) -> ExpandSettings:
    """Return the settings that the options stand for."""
    from entity_expand.plan import ExpandSettings
    from entity_expand.search import SearchSettings

    return ExpandSettings(
        both_directions=both_directions,
        space="features" if space == "features" else "heads",
        search=SearchSettings(rerank=not no_rerank),
    )
