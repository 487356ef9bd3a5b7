"""The command line: the composition root, which alone knows all stages and loads each when it is called."""

from __future__ import annotations

import importlib
import sys

import click

from entity_expand._version import __version__
from entity_expand.errors import EntityExpandError

# command -> (module, one-line help); the module is imported only when its command runs.
_COMMANDS = {
    "corpus": ("entity_expand.cli.corpus", "Import or check a corpus."),
    "train": ("entity_expand.cli.train", "Train a model on a corpus."),
    "export": ("entity_expand.cli.export", "Turn a checkpoint into a bundle that runs without torch."),
    "index": ("entity_expand.cli.index", "Encode a corpus and write its index."),
    "expand": ("entity_expand.cli.expand", "Expand a set from a few examples."),
    "serve": ("entity_expand.cli.serve", "Answer requests over HTTP."),
    "fit": ("entity_expand.cli.fit", "Fit confidence and cut-off on sets whose members are known."),
    "evaluate": ("entity_expand.cli.evaluate", "Measure expansions against the truth."),
    "demo": ("entity_expand.cli.demo", "Index the demo corpus, expand a set, and show it with pictures."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{_COMMANDS[cmd_name][0]}.command is no click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="entity-expand")
def group() -> None:
    """Give three examples, get the rest of the set: over your own corpus, from text and pictures."""


def main() -> None:
    """Run the command line; an error of this project or of the system becomes one line, and exit code 2."""
    try:
        group(standalone_mode=True)
    except (EntityExpandError, OSError) as error:
        print(f"entity-expand: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
