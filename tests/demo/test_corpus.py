"""The written demo corpus: counts, mentions, splits, queries, truth, pictures."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from entity_expand.corpus import Corpus
from entity_expand.demo import write_demo_corpus
from entity_expand.demo.build import QUERIES, QUERY_FOLDERS, SEED, draw_queries
from entity_expand.demo.tables import read_classes


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "corpus"
    write_demo_corpus(folder)
    return folder


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_entities_are_many_and_named_once(demo: Path) -> None:
    entities = rows(demo / "entities.jsonl")
    assert len(entities) >= 120
    assert [one["id"] for one in entities] == sorted({one["id"] for one in entities})
    names = [name for one in entities for name in {one["name"], *one["aliases"]}]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert {one["attributes"]["continent"] for one in entities} == {
        "Africa",
        "Americas",
        "Asia",
        "Europe",
        "Oceania",
    }


def test_each_sentence_names_its_country_exactly_once(demo: Path) -> None:
    names = {one["id"]: one["name"] for one in rows(demo / "entities.jsonl")}
    for row in rows(demo / "sentences.jsonl"):
        (mention,) = row["mentions"]
        name = names[mention["entity"]]
        assert row["text"][mention["start"] : mention["end"]] == name
        assert len(re.findall(rf"\b{re.escape(name)}\b", row["text"])) == 1, row["text"]


def test_no_sentence_repeats_when_names_are_masked(demo: Path) -> None:
    masked = Counter()
    for row in rows(demo / "sentences.jsonl"):
        (mention,) = row["mentions"]
        masked[row["text"][: mention["start"]] + "_" + row["text"][mention["end"] :]] += 1
    assert [text for text, count in masked.items() if count > 1] == []


def test_every_country_has_nine_training_and_five_test_sentences(demo: Path) -> None:
    splits: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows(demo / "sentences.jsonl"):
        splits[row["mentions"][0]["entity"]][row["split"]] += 1
    assert all(count == {"train": 9, "test": 5} for count in splits.values())


def test_train_and_test_pictures_are_distinct_files_and_pixels(demo: Path) -> None:
    used: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in rows(demo / "sentences.jsonl"):
        used[row["mentions"][0]["entity"]][row["split"]].add(row["image"])
    for splits in used.values():
        assert splits["train"] and splits["test"] and not splits["train"] & splits["test"]
        contents = {(demo / image).read_bytes() for split in splits.values() for image in split}
        assert len(contents) == len(splits["train"]) + len(splits["test"])
    with Image.open(demo / "images" / "NO_flat.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (120, 80))


def test_truth_and_queries_agree(demo: Path) -> None:
    names = {one["id"]: one["name"] for one in rows(demo / "entities.jsonl")}
    classes = json.loads((demo / "classes.json").read_text(encoding="utf-8"))
    assert len(classes) >= 14
    assert {path.stem for path in (demo / "gt").iterdir()} == set(classes)
    for name, table in classes.items():
        truth = [line.split("\t") for line in (demo / "gt" / f"{name}.txt").read_text("utf-8").splitlines()]
        members = {identifier for identifier, _, _ in truth}
        assert members == set(table["members"]) and len(members) == len(truth) >= 8
        assert all(names[identifier] == written and mark == "1" for identifier, written, mark in truth)
        assert set(table["near"]) <= set(names) and not set(table["near"]) & members
        for seeds, folder in QUERY_FOLDERS.items():
            queries = [line.split() for line in (demo / folder / f"{name}.txt").read_text("utf-8").splitlines()]
            assert len({frozenset(query) for query in queries}) == len(queries) == QUERIES
            assert all(len(set(query)) == seeds and set(query) <= members for query in queries)


def test_classes_overlap_and_have_all_three_kinds() -> None:
    classes = read_classes()
    assert Counter(one.kind for one in classes.values()).keys() == {"text", "picture", "both"}
    counts = Counter(member for one in classes.values() for member in one.members)
    assert sum(count >= 2 for count in counts.values()) > len(counts) / 2
    assert set(classes["asian_crescent"].members) < set(classes["crescent_flag"].members)


def test_hard_negatives_lie_outside_their_class() -> None:
    classes = read_classes()
    assert {"BO", "LT", "MM"} <= set(classes["african_red_yellow_green"].near)
    assert "BO" in classes["red_yellow_green_flag"].members
    assert "AU" not in classes["cross_flag"].members and "AU" in classes["cross_flag"].near
    assert "KW" not in classes["hoist_triangle_flag"].members
    assert "BR" not in classes["spanish_south_america"].members
    assert all(len(one.near) >= 4 for one in classes.values())


def test_queries_depend_only_on_the_seed() -> None:
    one = read_classes()["soviet_republics"]
    assert draw_queries(one, 3, SEED) == draw_queries(one, 3, SEED)
    assert draw_queries(one, 3, SEED) != draw_queries(one, 3, SEED + 1)


def test_the_corpus_reader_takes_every_row(demo: Path) -> None:
    corpus = Corpus.open(demo, strict=True)
    assert (corpus.layout, len(corpus.entities)) == ("own", 163)
    assert len(corpus) == 163 * (9 + 5)
    assert len(corpus.select("test")) == 163 * 5
