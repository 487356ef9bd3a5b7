"""The document of an experiment: tables, a figure, and what gave them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from entity_expand.files import write_text
from training.experiments.plots import Panel, draw
from training.experiments.views import Table


@dataclass(frozen=True)
class Origin:
    """What gave the numbers.

    Attributes:
        command: The command, folders without the way to them.
        corpus, corpus_hash: Name of the corpus' folder and its content hash.
        notes: Sentences about how it was done.
        made: Sentences about machines and commits.
    """

    command: str
    corpus: str
    corpus_hash: str
    notes: tuple[str, ...]
    made: tuple[str, ...]


def write_report(
    path: Path, title: str, question: str, tables: Sequence[Table], panels: Sequence[Panel], origin: Origin
) -> None:
    """Write a Markdown document, and beside it its figure.

    Args:
        path: The document; the figure has the suffix .png.
        title: Of the document.
        question: Below the title.
        tables: In their order.
        panels: Of the figure; without any there is none.
        origin: What gave the numbers.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [f"# {title}", question]
    parts += ["    " + origin.command]
    if panels:
        figure = path.with_suffix(".png")
        draw(figure, panels)
        parts.append(f"![{title}]({figure.name})")
    for table in tables:
        parts += [f"## {table.title}", table.text, markdown(table)]
    hashed = f"Corpus `{origin.corpus}`, content hash `{origin.corpus_hash[:16]}`."
    parts += [
        "## How",
        "\n".join(f"- {line}" for line in (*origin.notes, hashed, *origin.made)),
    ]
    write_text(path, "\n\n".join(parts) + "\n")


def markdown(table: Table) -> str:
    """Return a table in Markdown."""
    lines = [table.head, tuple("---" for _ in table.head), *table.lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
