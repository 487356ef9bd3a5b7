"""The public surface: what users may rely on, and that each part of it is described."""

from __future__ import annotations

import inspect
import re

import entity_expand

PUBLIC = [
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


def test_public_names_are_these() -> None:
    assert sorted(entity_expand.__all__) == sorted(PUBLIC)
    assert len(set(entity_expand.__all__)) == len(entity_expand.__all__)


def test_every_public_name_is_described_in_its_own_words() -> None:
    bare = []
    for name in PUBLIC:
        value = getattr(entity_expand, name)
        if inspect.isclass(value):
            written = value.__dict__.get("__doc__") or ""
            if not written or written.startswith(f"{name}("):  # what a dataclass writes by itself
                bare.append(name)
            methods = {key: value for key, value in vars(value).items() if not key.startswith("_")}
            bare += [f"{name}.{key}" for key, value in methods.items() if callable(value) and not value.__doc__]
    assert bare == []


def test_version_is_one_of_semantic_versioning() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+([a-z.+-]\S*)?", entity_expand.__version__)
