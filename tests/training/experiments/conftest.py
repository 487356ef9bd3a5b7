from __future__ import annotations

import json
import shutil

import pytest

from entity_expand.corpus import Query, write_queries, write_truth
from training.config import TrainingConfig

CLASSES = {name: [str(2 * k + n) for n in range(4)] for k, name in enumerate("abcd")}


@pytest.fixture(scope="session")
def asked_folder(tmp_path_factory, corpus_folder):
    """The trees with queries of four classes of four, in two domains: a and b, c and d."""
    folder = tmp_path_factory.mktemp("asked") / "trees"
    shutil.copytree(corpus_folder, folder)
    for name, size in (("query", 2), ("query_seed=5", 3)):
        queries = [
            Query(kind, number, tuple(ids[number:][:size])) for kind, ids in CLASSES.items() for number in range(2)
        ]
        write_queries(folder / name, queries)
    write_truth(folder / "gt", {name: [(each, f"tree {each}") for each in ids] for name, ids in CLASSES.items()})
    hierarchy = {"low": {"x": {"a": {}, "b": {}}}, "high": {"y": {"c": {}}, "z": {"d": {}}}}
    (folder / "class_hierarchy.json").write_text(json.dumps(hierarchy))
    return folder


@pytest.fixture
def asked(asked_folder):
    from entity_expand.corpus import Corpus

    with Corpus.open(asked_folder) as opened:
        yield opened


@pytest.fixture
def copied(asked_folder, tmp_path):
    """A copy of the trees and their queries that a test may edit."""
    from entity_expand.corpus import Corpus

    with Corpus.open(shutil.copytree(asked_folder, tmp_path / "trees")) as opened:
        yield opened


@pytest.fixture
def config(settings_file):
    return TrainingConfig.read(settings_file(1))
