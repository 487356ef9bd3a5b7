"""Optional packages: imported where they are used, or an error that names the extra which brings them."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from entity_expand.errors import MissingExtraError

_OWN = ("export", "training", "indexer", "entity_expand", "")


def imported(module: str, package: str, extra: str) -> Any:
    """Return a module of an optional package.

    Args:
        module: Its name, with dots.
        package: What it is installed as.
        extra: What of this project's extras brings it.

    Raises:
        MissingExtraError: It cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as problem:
        raise MissingExtraError(package, extra) from problem


@contextlib.contextmanager
def needing(extra: str) -> Iterator[None]:
    """Import what an extra brings inside of this, by import statements.

    Raises:
        MissingExtraError: A package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as problem:
        package = (problem.name or "").partition(".")[0]
        if package in _OWN:
            raise
        raise MissingExtraError(package, extra) from problem
