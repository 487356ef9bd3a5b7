"""Give three examples, get the rest of the set: multi-modal entity set expansion.

This package is the runtime; it never imports torch.

>>> from entity_expand import Expander
>>> Expander.open("index").expand(["Norway", "Sweden", "Denmark"], size=10)  # doctest: +SKIP
"""

from entity_expand._version import __version__
from entity_expand.errors import (
    AmbiguousSeedError,
    BundleError,
    CheckpointError,
    ConfigError,
    CorpusError,
    EncoderError,
    EntityExpandError,
    ImageError,
    MissingExtraError,
    ParityError,
    QueryError,
    StoreError,
    UnknownSeedError,
)
from entity_expand.expand import ExpandQuery
from entity_expand.expander import AsyncExpander, Expander
from entity_expand.plan import ExpandSettings
from entity_expand.results import Expansion, Result, Seed
from entity_expand.search import SearchSettings
from entity_expand.stores import Evidence, Filter, MemoryStore
from entity_expand.types import Entity

__all__ = [
    "AmbiguousSeedError",
    "AsyncExpander",
    "BundleError",
    "CheckpointError",
    "ConfigError",
    "CorpusError",
    "EncoderError",
    "Entity",
    "EntityExpandError",
    "Evidence",
    "ExpandQuery",
    "ExpandSettings",
    "Expander",
    "Expansion",
    "Filter",
    "ImageError",
    "MemoryStore",
    "MissingExtraError",
    "ParityError",
    "QueryError",
    "Result",
    "SearchSettings",
    "Seed",
    "StoreError",
    "UnknownSeedError",
    "__version__",
]
