"""The error tree. Every error says what came, what was expected and what to do.

EntityExpandError
├── ConfigError            a setting is unknown, of the wrong type or out of range
├── MissingExtraError      an optional dependency is not installed
├── CorpusError            a corpus cannot be read, or fails a strict check
│   └── ImageError         a picture is too large, of an unknown format or broken
├── CheckpointError        a training checkpoint is missing, incomplete or does not fit
├── TrainingError          training cannot start or go on, as with a loss that is not finite
│   └── TrainingStopped    training was asked to end, as by Ctrl-C, and its progress is saved
├── BundleError            a bundle is missing, damaged, of another version or does not fit
│   └── ParityError        an exported graph differs from the model it came from
├── EncoderError           the encoder could not be loaded or refused its input
│   └── ModelMismatchError a model server has another model than the one that is needed
├── StoreError             an index is missing, damaged, busy or does not fit
│   ├── IndexMissingError  there is no index under this name
│   ├── IndexMismatchError an index was made with another bundle, mapping or similarity
│   ├── IndexChangedError  an index was changed while it was being read
│   ├── StoreBusyError     another run is at work on the index
│   ├── RejectedError      the search server took the index, but not all of its entities
│   └── ServerError        a server (of searches, or of models) did not do what it was asked
│       ├── UnreachableError   no answer came
│       ├── DeadlineError      it took longer than allowed
│       ├── OverloadedError    it has too much to do, or too little memory
│       ├── ReadOnlyError      it takes no changes, as when its disk is full
│       └── AccessError        it does not know the caller, or does not let them do this
├── ExpansionError         what should be a saved expansion is none
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

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Let it come back from a worker process."""
        return MissingExtraError, (self.package, self.extra)


class CorpusError(EntityExpandError):
    """A corpus cannot be read, or fails a strict check."""


class ImageError(CorpusError):
    """A picture is too large, of an unknown format or broken."""


class CheckpointError(EntityExpandError):
    """A training checkpoint is missing, incomplete or does not fit."""


class TrainingError(EntityExpandError):
    """Training cannot start or go on, as with a loss that is not finite."""


class TrainingStopped(TrainingError):  # noqa: N818 - nothing went wrong
    """Training was asked to end before its last epoch; its progress is saved."""


class BundleError(EntityExpandError):
    """A bundle is missing, damaged, of another version or does not fit."""


class ParityError(BundleError):
    """An exported graph differs from the model it came from by more than is allowed."""


class EncoderError(EntityExpandError):
    """The encoder could not be loaded or refused its input."""


class ModelMismatchError(EncoderError):
    """A model server lacks the model, or has it from another bundle or index, or declares something else."""


class StoreError(EntityExpandError):
    """An index is missing, damaged, busy or does not fit the bundle it is opened with."""


class IndexMissingError(StoreError):
    """There is no index under this name."""


class IndexMismatchError(StoreError):
    """An index was made with another bundle, another version of the mapping or another similarity."""


class IndexChangedError(StoreError):
    """An index was changed while it was being read; the same request may succeed now."""


class StoreBusyError(StoreError):
    """Another run is at work on the index."""


class RejectedError(StoreError):
    """The search server took the index, but not all of its entities; a file lists the others with its reasons."""


class ServerError(StoreError):
    """A server, of searches or of models, did not do what it was asked.

    Attributes:
        status: Its HTTP status; None if no answer came, or it came by gRPC.
        reason: What it said, shortened.
    """

    def __init__(self, message: str, status: int | None = None, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class UnreachableError(ServerError):
    """No answer came, or the server says that it cannot serve now."""


class DeadlineError(ServerError):
    """It took longer than allowed."""


class OverloadedError(ServerError):
    """The server has too much to do, or too little memory for the request."""


class ReadOnlyError(ServerError):
    """The server takes no changes, as when its disk is nearly full."""


class AccessError(ServerError):
    """The server does not know the caller, or does not let them do this."""


class ExpansionError(EntityExpandError):
    """What should be a saved expansion is none, or one of another version."""


class QueryError(EntityExpandError):
    """An expansion was asked for that cannot be answered."""


class UnknownSeedError(QueryError):
    """A seed names no entity; `suggestions` holds near spellings, best first."""

    def __init__(self, seed: str, suggestions: tuple[str, ...]) -> None:
        hint = f" Did you mean {', '.join(repr(name) for name in suggestions)}?" if suggestions else ""
        super().__init__(f"No entity has the id, name or alias {seed!r}.{hint}")
        self.seed = seed
        self.suggestions = suggestions

    def __reduce__(self) -> tuple[type[UnknownSeedError], tuple[str, tuple[str, ...]]]:
        """Let it come back from a worker process."""
        return UnknownSeedError, (self.seed, self.suggestions)


class AmbiguousSeedError(QueryError):
    """A seed names more than one entity; `readings` holds (id, name) of each, by id."""

    def __init__(self, seed: str, readings: tuple[tuple[str, str], ...]) -> None:
        listed = ", ".join(f"{name!r} (id {identifier})" for identifier, name in readings)
        super().__init__(f"{seed!r} may mean any of {len(readings)} entities: {listed}. Give the id instead.")
        self.seed = seed
        self.readings = readings

    def __reduce__(self) -> tuple[type[AmbiguousSeedError], tuple[str, tuple[tuple[str, str], ...]]]:
        """Let it come back from a worker process."""
        return AmbiguousSeedError, (self.seed, self.readings)
