"""A corpus that means harm: markup and script wherever a text can stand."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from entity_expand.bundle.fakes import fake_bundle
from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.encoder import FakeEncoder
from entity_expand.types import Entity
from indexer import IndexSettings, index_corpus

HARM = (
    "<img src=x onerror='window.harmed=1'>",
    "</script><script>window.harmed=1</script>",
    "\"'><svg onload=window.harmed=1>",
    "javascript:window.harmed=1",
    "=HYPERLINK(1)",
    "{{constructor.constructor('window.harmed=1')()}}",
)
LONG = "W" * 400


def entities() -> list[Entity]:
    """Thirty entities whose names, aliases, attributes and ids are the harm in turn."""
    made = []
    for number in range(30):
        harm = HARM[number % len(HARM)]
        attributes = {harm: harm, "__proto__": "polluted", "kind": f"k{number % 3}"}
        made.append(Entity(f"{number}/../{harm}", f"𝕊{number} {harm}", (f"alias {harm} {number}",), attributes))
    return [*made, Entity("long", LONG)]


def make_hostile(folder: Path) -> None:
    """Write `corpus` and `index`, which has parts for texts and pictures; the name of the picture is harm, too."""
    known = entities()
    image = "a#b?c 'd'.png"
    (folder / "corpus").mkdir(parents=True)
    Image.new("RGB", (8, 6), (200, 30, 30)).save(folder / "corpus" / image)
    rows = []
    for number, entity in enumerate(known):
        for turn in range(2):
            text = f"𝕏 {entity.name} {HARM[(number + turn) % len(HARM)]}"
            rows.append(OwnRow(text, ((entity.id, 2, 2 + len(entity.name)),), image if turn == 0 else None))
    write_corpus(folder / "corpus", known, rows)
    bundle = fake_bundle(folder / "bundle", known)
    with Corpus.open(folder / "corpus") as corpus:
        index_corpus(bundle, FakeEncoder(bundle.dimension), corpus, folder / "index", IndexSettings(modalities=True))
