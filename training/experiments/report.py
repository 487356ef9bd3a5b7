"""The document of an experiment: tables, a figure, and what gave them."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from entity_expand.files import write_text
from training.experiments.plots import Panel, draw
from training.experiments.views import Table

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Origin:
    """What gave the numbers.

    Attributes:
        command: The command, folders without the way to them.
        corpus, corpus_hash: Name of the corpus' folder and its content hash.
        machine: Processor, cores, memory, accelerator and versions.
        commit: Of the code; with "and changes" where files differ from it.
        notes: Sentences about how it was done.
    """

    command: str
    corpus: str
    corpus_hash: str
    machine: str
    commit: str
    notes: tuple[str, ...] = ()


def machine() -> str:
    """Return what the numbers were measured on, in words."""
    parts = [f"{_processor()}, {os.cpu_count()} cores, {_memory()}"]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    parts.append(f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}")
    return "; ".join(parts)


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError):
        return "memory unknown"


def commit() -> str:
    """Return the commit of the code, or "unknown" outside of a repository."""
    try:
        name = _git("rev-parse", "--short", "HEAD")
        return f"{name} and changes" if _git("status", "--porcelain", "--untracked-files=no") else name
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=_ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


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
        "\n".join(f"- {line}" for line in (*origin.notes, hashed, f"{origin.machine}; commit {origin.commit}.")),
    ]
    write_text(path, "\n\n".join(parts) + "\n")


def markdown(table: Table) -> str:
    """Return a table in Markdown."""
    lines = [table.head, tuple("---" for _ in table.head), *table.lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
