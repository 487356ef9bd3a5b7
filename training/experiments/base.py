"""The base configuration of an experiment: by its name, and in words."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from entity_expand.config import to_mapping
from entity_expand.errors import ConfigError
from training.config import TrainingConfig
from training.experiments.describe import changed

_CONFIGS = Path(__file__).parents[1] / "configs"


def config_named(name: str, settings: Sequence[str] = ()) -> TrainingConfig:
    """Read a configuration: that of a file, or one that comes with the package by its name.

    Args:
        name: Its name or file.
        settings: What is set otherwise, each as TABLE.NAME=VALUE with a value as in TOML.

    Raises:
        ConfigError: There is none, or it is not valid.
    """
    file = Path(name)
    if not file.is_file():
        file = _CONFIGS / f"{name}.toml"
    if not file.is_file():
        known = ", ".join(sorted(each.stem for each in _CONFIGS.glob("*.toml")))
        raise ConfigError(f"There is no configuration {name!r}; give a TOML file or one of {known}.")
    return changed(TrainingConfig.read(file), dict(map(_parsed, settings)))


def _parsed(setting: str) -> tuple[str, Any]:
    name, equals, value = setting.partition("=")
    try:
        found = tomllib.loads(f"value = {value}") if equals else {}
    except tomllib.TOMLDecodeError:
        found = {}
    if list(found) != ["value"]:
        raise ConfigError(f"A setting should be TABLE.NAME=VALUE with a value as in TOML, not {setting!r}.")
    return name.strip(), found["value"]


def config_described(config: TrainingConfig) -> str:
    """Return the file of the package that has these settings, or else those that differ from the defaults."""
    for file in sorted(_CONFIGS.glob("*.toml")):
        if TrainingConfig.read(file) == config:
            return f"`training/configs/{file.name}`"
    own, usual = _flat(config), _flat(TrainingConfig())
    apart = [f"{name} = {_shown(own.get(name))}" for name in {**usual, **own} if own.get(name) != usual.get(name)]
    return f"the defaults, but for {', '.join(apart)}" if apart else "the defaults"


def _flat(config: TrainingConfig) -> dict[str, Any]:
    return {f"{table}.{name}": value for table, own in to_mapping(config).items() for name, value in own.items()}


def _shown(value: Any) -> str:
    # Where a file lies on this machine says nothing to others.
    return repr(Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value)
