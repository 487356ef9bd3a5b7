"""Writing the demo corpus as a folder in our own corpus layout."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

from entity_expand.demo.pictures import TEST_VARIANTS, TRAIN_VARIANTS, draw_picture
from entity_expand.demo.tables import Country, DemoClass, read_classes, read_countries, read_flags
from entity_expand.errors import CorpusError
from entity_expand.files import new_folder

SEED = 20
"""Decides the pictures' details and the queries."""
QUERIES = 5
"""Queries per class and seed count."""
QUERY_FOLDERS: Mapping[int, str] = {3: "query", 5: "query_seed=5"}
"""Folder of the queries by number of seeds."""
_JPEG: Mapping[str, Any] = {"quality": 88, "subsampling": 0}


def write_demo_corpus(folder: Path) -> None:
    """Write the demo corpus, the same bytes each time, in place of an older corpus.

    Args:
        folder: Where to write: corpus.json, entities.jsonl, sentences.jsonl, images/, query/, query_seed=5/, gt/
            and classes.json.

    Raises:
        EntityExpandError: `folder` is there and no corpus in our layout.
    """
    countries, classes = read_countries(), read_classes()
    with new_folder(folder, "corpus.json") as new:
        _write(new / "corpus.json", json.dumps({"format": "entity-expand corpus", "version": 1}) + "\n")
        _write(new / "entities.jsonl", _lines(entity_row(country) for country in countries.values()))
        rows = (row for country in countries.values() for row in sentence_rows(country))
        _write(new / "sentences.jsonl", _lines(rows))
        _write(new / "classes.json", json.dumps(class_table(classes), indent=2, ensure_ascii=False) + "\n")
        _write_images(new / "images", countries)
        for one in classes.values():
            truth = "".join(f"{member}\t{countries[member].name}\t1\n" for member in one.members)
            _write(new / "gt" / f"{one.name}.txt", truth)
            for seeds, name in QUERY_FOLDERS.items():
                queries = "".join(" ".join(query) + "\n" for query in draw_queries(one, seeds, SEED))
                _write(new / name / f"{one.name}.txt", queries)


def entity_row(country: Country) -> dict[str, Any]:
    """Return the row of entities.jsonl for a country."""
    return {
        "id": country.id,
        "name": country.name,
        "aliases": list(country.aliases),
        "attributes": {"continent": country.continent, "capital": country.capital},
    }


def sentence_rows(country: Country) -> Iterator[dict[str, Any]]:
    """Yield the rows of sentences.jsonl for a country, training rows first.

    Training rows take turns with the training pictures, test rows with the test pictures.

    Raises:
        CorpusError: A sentence does not hold the country's name exactly once.
    """
    for split, texts, variants in (
        ("train", country.train, TRAIN_VARIANTS),
        ("test", country.test, TEST_VARIANTS),
    ):
        for text, variant in zip(texts, cycle(variants), strict=False):
            if text.count(country.name) != 1:
                raise CorpusError(f"This sentence should hold {country.name!r} exactly once: {text!r}.")
            start = text.index(country.name)
            mention = {"entity": country.id, "start": start, "end": start + len(country.name)}
            image = image_name(country.id, variant)
            yield {"text": text, "mentions": [mention], "image": image, "split": split}


def image_name(country: str, variant: str) -> str:
    """Return the path of a picture relative to the corpus."""
    return f"images/{country}_{variant}.jpg"


def draw_queries(one: DemoClass, seeds: int, seed: int) -> list[tuple[str, ...]]:
    """Draw `QUERIES` different sets of `seeds` members, the same for the same `seed`."""
    chance = random.Random(f"{seed} {one.name} {seeds}")
    queries: list[tuple[str, ...]] = []
    drawn: set[frozenset[str]] = set()
    while len(queries) < QUERIES:
        query = tuple(chance.sample(one.members, seeds))
        if frozenset(query) not in drawn:
            drawn.add(frozenset(query))
            queries.append(query)
    return queries


def class_table(classes: Mapping[str, DemoClass]) -> dict[str, Any]:
    """Return the content of classes.json: kind, definition, members and hard negatives by class."""
    return {
        one.name: {
            "kind": one.kind,
            "definition": one.definition,
            "members": list(one.members),
            "near": list(one.near),
        }
        for one in classes.values()
    }


def _write_images(folder: Path, countries: Mapping[str, Country]) -> None:
    folder.mkdir()
    table = read_flags()
    for country in countries:
        for variant in TRAIN_VARIANTS + TEST_VARIANTS:
            buffer = io.BytesIO()
            draw_picture(table, country, variant, SEED).save(buffer, "JPEG", **_JPEG)
            (folder.parent / image_name(country, variant)).write_bytes(buffer.getvalue())


def _write(path: Path, content: str) -> None:
    # Plain writes suffice: `new_folder` syncs the tree and renames it as a whole.
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, encoding="utf-8")


def _lines(rows: Iterator[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
