"""Give three examples, get the rest of the set: multi-modal entity set expansion.

This package is the runtime; it never imports torch.

>>> from entity_expand import Expander
>>> Expander.open("index").expand(["Norway", "Sweden", "Denmark"], size=10)  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from entity_expand._version import __version__
from entity_expand.errors import (
    AccessError,
    AmbiguousSeedError,
    BundleError,
    CheckpointError,
    ConfigError,
    CorpusError,
    DeadlineError,
    EncoderError,
    EntityExpandError,
    ExpansionError,
    ImageError,
    IndexChangedError,
    IndexMismatchError,
    IndexMissingError,
    MissingExtraError,
    ModelMismatchError,
    OverloadedError,
    ParityError,
    QueryError,
    ReadOnlyError,
    RejectedError,
    ServerError,
    StoreBusyError,
    StoreError,
    UnknownSeedError,
    UnreachableError,
)

if TYPE_CHECKING:
    from entity_expand.expander import Expander
    from entity_expand.front.awaiting import AsyncExpander
    from entity_expand.query import ExpandQuery, NewSeed
    from entity_expand.results import Expansion, Result, Seed
    from entity_expand.search.plan import ExpandSettings
    from entity_expand.search.window import SearchSettings
    from entity_expand.stores.base import Evidence
    from entity_expand.stores.filters import Filter
    from entity_expand.stores.memory import MemoryStore
    from entity_expand.types import Entity

# name -> module; each is imported when it is first asked for, so that a command's help or a check of the version
# loads no numpy.
_HOMES = {
    "AsyncExpander": "entity_expand.front.awaiting",
    "Entity": "entity_expand.types",
    "Evidence": "entity_expand.stores.base",
    "ExpandQuery": "entity_expand.query",
    "ExpandSettings": "entity_expand.search.plan",
    "Expander": "entity_expand.expander",
    "Expansion": "entity_expand.results",
    "Filter": "entity_expand.stores.filters",
    "MemoryStore": "entity_expand.stores.memory",
    "NewSeed": "entity_expand.query",
    "Result": "entity_expand.results",
    "SearchSettings": "entity_expand.search.window",
    "Seed": "entity_expand.results",
}

__all__ = [
    "AccessError",
    "AmbiguousSeedError",
    "AsyncExpander",
    "BundleError",
    "CheckpointError",
    "ConfigError",
    "CorpusError",
    "DeadlineError",
    "EncoderError",
    "Entity",
    "EntityExpandError",
    "Evidence",
    "ExpandQuery",
    "ExpandSettings",
    "Expander",
    "Expansion",
    "ExpansionError",
    "Filter",
    "ImageError",
    "IndexChangedError",
    "IndexMismatchError",
    "IndexMissingError",
    "MemoryStore",
    "MissingExtraError",
    "ModelMismatchError",
    "NewSeed",
    "OverloadedError",
    "ParityError",
    "QueryError",
    "ReadOnlyError",
    "RejectedError",
    "Result",
    "SearchSettings",
    "Seed",
    "ServerError",
    "StoreBusyError",
    "StoreError",
    "UnknownSeedError",
    "UnreachableError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
