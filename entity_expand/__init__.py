"""Give three examples, get the rest of the set: multi-modal entity set expansion.

This package is the runtime; it never imports torch.

>>> from entity_expand import Expander
>>> Expander.open("index").expand(["Norway", "Sweden", "Denmark"], size=10)  # doctest: +SKIP
"""

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
from entity_expand.expander import Expander
from entity_expand.front.awaiting import AsyncExpander
from entity_expand.query import ExpandQuery, NewSeed
from entity_expand.results import Expansion, Result, Seed
from entity_expand.search.plan import ExpandSettings
from entity_expand.search.window import SearchSettings
from entity_expand.stores import Evidence, Filter, MemoryStore
from entity_expand.types import Entity

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
