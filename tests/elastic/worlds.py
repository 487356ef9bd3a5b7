"""A small corpus, a bundle without a model, and an index of them on the tests' server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from entity_expand.bundle import Bundle
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.elastic.address import parse_address
from entity_expand.elastic.connection import Connection, Deadline
from entity_expand.encoder import FakeEncoder
from entity_expand.types import Entity
from indexer import ElasticSettings, IndexReport, IndexSettings, contents_digest, index_corpus
from servers.elasticsearch_node import ask

COUNT, TRAINED = 30, 28


class CountingEncoder(FakeEncoder):
    """Counts what it is asked for."""

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)
        self.seen = 0
        self.variant = "fp32"

    def encode(self, inputs):
        self.seen += len(inputs)
        return super().encode(inputs)


def entities_of(count: int = COUNT) -> list[Entity]:
    return [
        Entity(str(number), f"Place {number}", (f"P{number}",), {"kind": ("sea", "hill")[number % 2]})
        for number in range(count)
    ]


class World:
    """A folder with a corpus and a bundle, and the name of an index."""

    def __init__(self, folder: Path, url: str, name: str, bundle: Bundle | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.url, self.name = folder, url, name
        self.address = f"{url}/{name}"
        self.corpus = self.write("corpus", entities_of())
        self.bundle = bundle or fake_bundle(folder / "bundle", entities_of(TRAINED))
        self.encoder = CountingEncoder(self.bundle.dimension)

    def write(self, name: str, entities: Sequence[Entity], salts: dict[str, str] | None = None) -> Path:
        """Write a corpus with two sentences for each entity; a salt changes the sentences of one."""
        rows = []
        for entity in entities:
            words = f"lies by the {entity.attributes.get('kind', 'road')} {(salts or {}).get(entity.id, '')}"
            for turn in range(2):
                image = "images/sea.png" if turn == 0 else None
                rows.append(
                    OwnRow(f"{entity.name} {words} {turn}.", ((entity.id, 0, len(entity.name)),), image, "train")
                )
        folder = self.folder / name
        write_corpus(folder, entities, rows)
        (folder / "images").mkdir()
        Image.new("RGB", (4, 4), "blue").save(folder / "images" / "sea.png")
        return folder

    def settings(self, **changes: Any) -> ElasticSettings:
        usual: dict[str, Any] = {"work": self.folder / "work", "lease_seconds": 3.0, "patience": 20.0}
        return ElasticSettings(**{**usual, **changes})

    def index(
        self,
        corpus: Path | None = None,
        address: str | None = None,
        chosen: IndexSettings | None = None,
        **changes: Any,
    ) -> IndexReport:
        """Index a corpus, the usual one if none is given."""
        with Corpus.open(corpus or self.corpus) as opened:
            return index_corpus(
                self.bundle, self.encoder, opened, address or self.address, chosen, elastic=self.settings(**changes)
            )

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the server about the index or about `path` after its name."""
        return ask(method, f"{self.url}/{self.name}{path}", body)[1]

    def behind(self) -> list[str]:
        """Return what the name stands for."""
        status, found = ask("GET", f"{self.url}/_alias/{self.name}")
        return sorted(found) if status == 200 else []

    def source(self, identifier: str) -> dict[str, Any]:
        return self.ask("GET", f"/_doc/{identifier}").get("_source", {})

    def meta(self, index: str = "") -> dict[str, Any]:
        ((_, found),) = self.ask("GET", f"{index}/_mapping").items()
        return found["mappings"]["_meta"]["entity_expand"]

    def digest(self, index: str | None = None) -> str:
        """Return the digest of all that the index holds."""
        self.ask("POST", "/_refresh")
        with Connection(parse_address(self.address)) as connection:
            return contents_digest(connection, index or self.name, Deadline.after(20))


def letters(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
