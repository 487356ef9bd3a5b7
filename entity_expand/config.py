"""Strict settings: TOML in, frozen dataclasses out; whatever is unknown or out of range is refused.

A settings class is a frozen dataclass whose fields are bool, int, float, str, `Literal`, tuples of these, another
settings class, or any of them `| None`. Ranges are written with `setting`, and `__post_init__` calls `check`, so a
class that is made by hand is checked as strictly as one that is read from a file.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from collections.abc import Callable, Collection, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, TypeGuard, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from entity_expand.errors import ConfigError
from entity_expand.files import read_capped

T = TypeVar("T")

FILE_CAP = 1 << 20


def setting(default: Any = dataclasses.MISSING, *, low: float | None = None, high: float | None = None) -> Any:
    """Declare a field with a default and an inclusive range; the range of a tuple holds for its members."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high})


def read_toml(path: Path, kind: type[T]) -> T:
    """Read a TOML file into a settings class.

    Raises:
        ConfigError: The file cannot be read, is no TOML, or holds a setting that is unknown, of a wrong type or out
            of range.
    """
    import tomllib

    content = read_capped(path, FILE_CAP, ConfigError)
    try:
        mapping = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as problem:
        raise ConfigError(f"{path} is not valid TOML: {problem}.") from problem
    try:
        return from_mapping(kind, mapping)
    except ConfigError as problem:
        raise ConfigError(f"{path}: {problem}") from problem


def from_mapping(kind: type[T], mapping: Mapping[str, Any], where: str = "") -> T:
    """Make a settings class from nested mappings, as TOML and JSON give them.

    Args:
        kind: The settings class.
        mapping: Values by field name; lists stand for tuples, whole numbers may stand for floats.
        where: Dotted name of this table, for messages.

    Raises:
        ConfigError: A key is unknown or missing, or a value is of a wrong type or out of range.
    """
    hints = _hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in mapping:
        if key not in fields:
            import difflib

            near = difflib.get_close_matches(str(key), fields, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known are {', '.join(sorted(fields))}."
            raise ConfigError(f"{_join(where, str(key))} is an unknown setting.{hint}")
    values = {}
    for name, field in fields.items():
        if name in mapping:
            values[name] = _convert(hints[name], mapping[name], _join(where, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{_join(where, name)} is missing; it has no default.")
    try:
        return kind(**values)
    except ConfigError as problem:
        raise ConfigError(_join(where, str(problem))) from problem


def to_mapping(settings: Any) -> dict[str, Any]:
    """Return nested plain dicts and lists that `from_mapping` turns into an equal object; None is left out."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            found[field.name] = to_mapping(value)
        elif isinstance(value, tuple):
            found[field.name] = list(value)
        elif value is not None:
            found[field.name] = value
    return found


def check(settings: Any) -> None:
    """Check types and ranges of all fields; call it from `__post_init__`. NumPy's scalars become Python's.

    Raises:
        ConfigError: A value is of a wrong type or out of range; the message starts with the field's name.
    """
    make_plain(settings)
    hints = _hints(type(settings))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if _convert(hints[field.name], value, field.name) != value:
            raise ConfigError(f"{field.name} is {shown(value)}, but {_name(hints[field.name])} was expected.")
        low, high = field.metadata.get("low"), field.metadata.get("high")
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None:
                _check_range(field.name, number, low, high)


def make_plain(made: Any) -> None:
    """Turn NumPy's scalars in the fields of a dataclass into Python's, which JSON can hold; for `__post_init__`."""
    for field in dataclasses.fields(made):
        value = getattr(made, field.name)
        if isinstance(value, np.generic):
            plain = float(value) if isinstance(value, np.floating) else value.item()
            object.__setattr__(made, field.name, plain)


def is_whole(value: object, low: int) -> TypeGuard[int]:
    """Return whether a value is a whole number of at least `low`; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= low


def is_number(value: object, low: float = 0.0, high: float = math.inf) -> TypeGuard[float]:
    """Return whether a value is a number of Python or NumPy that is finite as a float, and from `low` to `high`.

    True and False are none.
    """
    if not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, (bool, np.timedelta64)):
        return False
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond what a float holds
        return False
    return math.isfinite(number) and low <= number <= high


def is_list(value: object) -> TypeGuard[Collection[Any]]:
    """Return whether a value has members that are not the characters of a text."""
    return isinstance(value, Collection) and not isinstance(value, (str, bytes))


def shown(value: object, most: int = 80) -> str:
    """Return how a value is shown in a message: as Python writes it, cut to `most` characters."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of thousands of digits
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= most else text[: most - 3] + "..."


def _check_range(name: str, number: Any, low: float | None, high: float | None) -> None:
    if low is not None and number < low:
        raise ConfigError(f"{name} is {shown(number)}, but must be at least {low}.")
    if high is not None and number > high:
        raise ConfigError(f"{name} is {shown(number)}, but must be at most {high}.")


_hints: Callable[[Any], dict[str, Any]] = functools.cache(get_type_hints)


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _name(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(hint))
    names = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text"}
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join("None" if each is type(None) else _name(each) for each in get_args(hint))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return f"{hint.__name__}(...)"
    return names.get(hint, "a list" if get_origin(hint) is tuple else str(hint))


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = [argument for argument in arguments if argument is not type(None)]
        return None if value is None else _convert(inner[0], value, where)
    if origin is tuple:
        return _convert_tuple(arguments, value, where)
    if origin is Literal:
        good = any(type(value) is type(choice) and value == choice for choice in arguments)
    elif dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else _convert_table(hint, value, where)
    elif hint is float:
        good = isinstance(value, (int, float)) and is_number(value, -math.inf)
    else:
        good = type(value) is hint
    if not good:
        raise ConfigError(f"{where} is {shown(value)}, but {_name(hint)} was expected.")
    return float(value) if hint is float else value


def _convert_table(hint: type[Any], value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} is {shown(value)}, but {_name(hint)} or a table [{where}] was expected.")
    return from_mapping(hint, value, where)


def _convert_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{where} is {shown(value)}, but a list was expected.")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(arguments) != len(value):
        raise ConfigError(f"{where} has {len(value)} members, but {len(arguments)} were expected.")
    return tuple(
        _convert(argument, member, f"{where}[{number}]")
        for number, (argument, member) in enumerate(zip(arguments, value, strict=True))
    )
