"""A small corpus and its embedded index, which the stores under test all hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from entity_expand import MemoryStore
from entity_expand.bundle import Bundle
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.encoder import FakeEncoder
from entity_expand.search.scoring import EntityRows, unit_features
from entity_expand.types import Entity
from indexer import ElasticSettings, IndexSettings, index_corpus

KINDS = ("salt wave tide harbour sail", "rock snow ridge goat pine", "sand dune camel palm well")
COUNT = 60
LAST = ("a", "b", "c", "place 7")
"""Ids that come after the numbers; the last one is also the name of another entity."""
ALL = COUNT + len(LAST)


@dataclass(frozen=True)
class World:
    corpus: Path
    bundle: Bundle
    index: Path  # embedded, with the scores of all pairs
    fetched: Path  # embedded, without them


def entities() -> list[Entity]:
    made = [
        Entity(
            str(n), f"Place {n}", (f"P-{n}", f"The {n}th"), {"kind": f"k{n % 3}", "half": "low" if n < 30 else "high"}
        )
        for n in range(COUNT)
    ]
    others = [Entity("a", "Mercury"), Entity("b", "Mercury", (), {"kind": "k0"}), Entity("c", "Åre  Nord", ("Mörkö",))]
    return [*made, *others, Entity("place 7", "Seven")]


def make_world(folder: Path) -> World:
    known = entities()
    rows = [
        OwnRow(f"{e.name} has {KINDS[number % 3]} word{number} {turn}.", ((e.id, 0, len(e.name)),))
        for number, e in enumerate(known)
        for turn in range(2)
    ]
    write_corpus(folder / "corpus", known, rows)
    bundle = fake_bundle(folder / "bundle", known)
    with Corpus.open(folder / "corpus") as corpus:
        for name, size in (("index", 1 << 30), ("fetched", 0)):
            index_corpus(bundle, FakeEncoder(bundle.dimension), corpus, folder / name, IndexSettings(table_bytes=size))
    return World(folder / "corpus", bundle, folder / "index", folder / "fetched")


def vectors(store: MemoryStore, field: str) -> np.ndarray:
    """Return the vectors (n, W) whose products with a query of a field are the scores."""
    rows: EntityRows = store.rows(np.arange(store.meta.entities))
    if field == "feature":
        return unit_features(rows, store.facts.mean_feature).astype(np.float64)
    parts = [rows.head] if field == "head" else [rows.head, rows.scaled]
    return np.concatenate(parts, axis=1).astype(np.float64)


def serve(world: World, address: str, work: Path, **settings: object) -> str:
    """Index the same content on a server; return the name of the physical index."""
    elastic = ElasticSettings(work=work, merge=False, **settings)  # type: ignore[arg-type]
    with Corpus.open(world.corpus) as corpus:
        report = index_corpus(world.bundle, FakeEncoder(world.bundle.dimension), corpus, address, elastic=elastic)
    assert report.load is not None
    return report.load.version
