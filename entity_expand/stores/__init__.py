"""Stores: where the vectors, names and evidence of an index are kept."""

from entity_expand.stores.base import Evidence, Facts, Filter, Hits, IndexMeta, Record, Store
from entity_expand.stores.memory import MemoryStore

__all__ = ["Evidence", "Facts", "Filter", "Hits", "IndexMeta", "MemoryStore", "Record", "Store"]
