"""The error tree. Every error says what came, what was expected and what to do.

EntityExpandError
├── ConfigError            a setting is unknown, of the wrong type or out of range
├── MissingExtraError      an optional dependency is not installed
├── CorpusError            a corpus cannot be read, or fails a strict check
│   └── ImageError         a picture is too large, of an unknown format or broken
├── CheckpointError        a training checkpoint is missing, incomplete or does not fit
├── TrainingError          training cannot start or go on, as with a loss that is not finite
├── BundleError            a bundle is missing, damaged, of another version or does not fit
│   └── ParityError        an exported graph differs from the model it came from
├── EncoderError           the encoder could not be loaded or refused its input
├── StoreError             an index is missing, damaged, busy or does not fit
└── QueryError             an expansion was asked for that cannot be answered
    ├── UnknownSeedError   a seed names no entity
    └── AmbiguousSeedError a seed names more than one entity
"""

from __future__ import annotations


class EntityExpandError(Exception):
    """The root of all errors that this project raises on purpose."""


class ConfigError(EntityExpandError):
    """A setting is unknown, of the wrong type or out of range."""


class MissingExtraError(EntityExpandError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'entity-expand[{extra}]'")
        self.package = package
        self.extra = extra


class CorpusError(EntityExpandError):
    """A corpus cannot be read, or fails a strict check."""


class ImageError(CorpusError):
    """A picture is too large, of an unknown format or broken."""


class CheckpointError(EntityExpandError):
    """A training checkpoint is missing, incomplete or does not fit."""


class TrainingError(EntityExpandError):
    """Training cannot start or go on, as with a loss that is not finite."""


class BundleError(EntityExpandError):
    """A bundle is missing, damaged, of another version or does not fit."""


class ParityError(BundleError):
    """An exported graph differs from the model it came from by more than is allowed."""


class EncoderError(EntityExpandError):
    """The encoder could not be loaded or refused its input."""


class StoreError(EntityExpandError):
    """An index is missing, damaged, busy or does not fit the bundle it is opened with."""


class QueryError(EntityExpandError):
    """An expansion was asked for that cannot be answered."""


class UnknownSeedError(QueryError):
    """A seed names no entity; `suggestions` holds near spellings, best first."""

    def __init__(self, seed: str, suggestions: tuple[str, ...]) -> None:
        hint = f" Did you mean {', '.join(repr(name) for name in suggestions)}?" if suggestions else ""
        super().__init__(f"No entity has the id, name or alias {seed!r}.{hint}")
        self.seed = seed
        self.suggestions = suggestions


class AmbiguousSeedError(QueryError):
    """A seed names more than one entity; `readings` holds (id, name) of each, by id."""

    def __init__(self, seed: str, readings: tuple[tuple[str, str], ...]) -> None:
        listed = ", ".join(f"{name!r} (id {identifier})" for identifier, name in readings)
        super().__init__(f"{seed!r} may mean any of {len(readings)} entities: {listed}. Give the id instead.")
        self.seed = seed
        self.readings = readings
