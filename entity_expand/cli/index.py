"""`entity-expand index`: build an index; on a search server also list, check, change and roll back its versions."""

from __future__ import annotations

import click

from entity_expand.cli.index_build import build_command
from entity_expand.cli.index_changes import attributes_command, delete_command, upsert_command
from entity_expand.cli.index_scorer import scorer_command
from entity_expand.cli.index_versions import list_command, prune_command, rollback_command, verify_command


class _BuildByDefault(click.Group):
    """Takes what does not begin with the name of a command as the arguments of `build`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["build", *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "BUNDLE CORPUS --to DEST [OPTIONS]")
        formatter.write_usage(ctx.command_path, "COMMAND [ARGS]...", prefix="   or: ")


@click.group("index", cls=_BuildByDefault)
def command() -> None:
    """Encode CORPUS through BUNDLE and write its index to DEST, a folder or https://host:9200/NAME.

    On a search server the name stands for one of several versions, which the other commands are for. The word `build`
    may be left out, and `build --help` lists its options; a bundle that is named like a command is written ./list.
    """


for _each in (
    build_command,
    list_command,
    verify_command,
    rollback_command,
    prune_command,
    upsert_command,
    delete_command,
    attributes_command,
    scorer_command,
):
    command.add_command(_each)
