"""Expansions in files."""

from __future__ import annotations

from pathlib import Path

from entity_expand.errors import ExpansionError
from entity_expand.files import json_text, read_json, write_result
from entity_expand.results.expansion import Expansion
from entity_expand.results.form import to_form
from entity_expand.results.reading import from_form

MOST_BYTES = 256 << 20
"""Largest file that is read."""


def write_expansion(expansion: Expansion, path: Path) -> None:
    """Write an expansion as JSON, whole or not at all."""
    write_result(path, json_text(to_form(expansion)))


def read_expansion(path: Path) -> Expansion:
    """Read an expansion.

    Raises:
        ExpansionError: The file cannot be read, is too large, or not of that form.
    """
    content = read_json(path, MOST_BYTES, ExpansionError)
    try:
        return from_form(content)
    except ExpansionError as problem:
        raise ExpansionError(f"{path}: {problem}") from problem
