"""A small corpus with one picture, and its embedded index."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from entity_expand.bundle.fakes import fake_bundle
from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.encoder import FakeEncoder
from entity_expand.types import Entity
from indexer import index_corpus

KINDS = ("salt wave tide harbour sail", "rock snow ridge goat pine", "sand dune camel palm well")
COUNT = 30
SCRIPT = "Åre <script>alert(1)</script>"


def entities() -> list[Entity]:
    made = [Entity(str(n), f"Place {n}", (f"P-{n}",), {"kind": f"k{n % 3}"}) for n in range(COUNT)]
    return [*made, Entity("a", "Mercury"), Entity("b", "Mercury"), Entity("c/d e", SCRIPT)]


def make_world(folder: Path) -> None:
    """Write `corpus`, `bundle` and `index`; the picture of "Place 0" lies at "im ages/0.png"."""
    known = entities()
    (folder / "corpus" / "im ages").mkdir(parents=True)
    Image.new("RGB", (8, 6), (200, 30, 30)).save(folder / "corpus" / "im ages" / "0.png")
    rows = [
        OwnRow(
            f"{e.name} has {KINDS[number % 3]} {turn}.",
            ((e.id, 0, len(e.name)),),
            "im ages/0.png" if number == turn == 0 else None,
        )
        for number, e in enumerate(known)
        for turn in range(2)
    ]
    write_corpus(folder / "corpus", known, rows)
    bundle = fake_bundle(folder / "bundle", known)
    with Corpus.open(folder / "corpus") as corpus:
        index_corpus(bundle, FakeEncoder(bundle.dimension), corpus, folder / "index")
