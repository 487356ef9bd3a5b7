"""Small checks of foreign JSON: each returns what it was given in its type, or says where something else stood."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from entity_expand.config import is_number, shown
from entity_expand.errors import ExpansionError

T = TypeVar("T")

LONGEST_TEXT = 1_000_000
_DEEPEST = 50


def wrong(where: str, value: object, expected: str) -> ExpansionError:
    """Return the error that says what stood where, and what was expected."""
    return ExpansionError(f"{where} is {shown(value)}; expected {expected}.")


def table(value: object, keys: Collection[str], where: str) -> Mapping[str, Any]:
    """Return a table that has exactly these keys."""
    if not isinstance(value, dict):
        raise wrong(where, value, "a table")
    if differing := sorted(map(str, set(value) ^ set(keys))):
        raise ExpansionError(f"{where} lacks or should not have: {', '.join(differing)[:200]}.")
    return value


def each(value: object, most: int, where: str, read: Callable[[Any, str], T]) -> tuple[T, ...]:
    """Return what a list of at most `most` members holds, each read."""
    if not isinstance(value, (list, tuple)) or len(value) > most:
        raise wrong(where, value, f"a list of at most {most:,}")
    return tuple(read(member, f"{where}[{number}]") for number, member in enumerate(value))


def text(value: object, where: str) -> str:
    """Return a text that UTF-8 can hold."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or (not value.isascii() and not _encodes(value)):
        raise wrong(where, value, f"a text of at most {LONGEST_TEXT:,} characters")
    return value


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def whole(value: object, low: int, where: str) -> int:
    """Return a whole number of at least `low`."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value < 1 << 53:
        raise wrong(where, value, f"a whole number of at least {low}")
    return value


def number(value: object, where: str) -> float:
    """Return a finite number."""
    if not is_number(value, -math.inf):
        raise wrong(where, value, "a finite number")
    return float(value)


def truth(value: object, where: str) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise wrong(where, value, "true or false")
    return value


def texts(value: object, where: str) -> dict[str, str]:
    """Return a table of texts."""
    if not isinstance(value, dict):
        raise wrong(where, value, "a table of texts")
    return {text(key, where): text(member, f"{where}.{key}") for key, member in value.items()}


def distinct(values: Sequence[str], where: str) -> None:
    """Check that no text comes twice."""
    if len(set(values)) != len(values):
        raise ExpansionError(f"{where} names something twice.")


def plain(value: object, where: str, depth: int = 0) -> Any:
    """Return what JSON can hold, of bounded depth."""
    if depth > _DEEPEST:
        raise ExpansionError(f"{where} is nested more than {_DEEPEST} deep.")
    if isinstance(value, dict):
        return {text(key, where): plain(member, where, depth + 1) for key, member in value.items()}
    if isinstance(value, list):
        return [plain(member, where, depth + 1) for member in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    return text(value, where) if isinstance(value, str) else number(value, where)
