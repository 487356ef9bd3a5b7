"""Validation: the numbers of `evaluate` for an index of the same samples, over the classes that validate."""

from __future__ import annotations

import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch

from entity_expand import MemoryStore
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.corpus import Corpus, Query, read_truth, write_queries, write_truth
from entity_expand.encoder import FakeEncoder
from entity_expand.errors import ConfigError, TrainingError
from entity_expand.evaluate import evaluate
from entity_expand.search.plan import ExpandSettings
from entity_expand.types import Entity
from indexer import IndexSettings, index_corpus
from training.config import ValidationSettings
from training.features import EntityFeatures
from training.table import entity_table
from training.validation import Validator, validation_classes

WIDTH = 16
CLASSES = {name: [str(2 * k + n) for n in range(4)] for k, name in enumerate("abcd")}


@pytest.fixture
def asked(tmp_path, corpus_folder):
    """The trees with queries of four classes of four."""
    shutil.copytree(corpus_folder, tmp_path / "corpus")
    queries = [Query(name, number, tuple(ids[number:][:2])) for name, ids in CLASSES.items() for number in range(2)]
    write_queries(tmp_path / "corpus" / "query", queries)
    write_truth(tmp_path / "corpus" / "gt", {name: [(each, each) for each in ids] for name, ids in CLASSES.items()})
    with Corpus.open(tmp_path / "corpus") as opened:
        yield opened


def settings(**changed: object) -> ValidationSettings:
    return ValidationSettings(**{"queries": "query", "share": 1.0, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(("space", "weight"), [("heads", 0.0), ("heads", 1.0), ("features", 1.0)])
def test_the_measure_is_that_of_an_index(tmp_path, asked, space, weight) -> None:
    bundle = fake_bundle(tmp_path / "bundle", asked.entities, WIDTH)
    index_corpus(bundle, FakeEncoder(WIDTH), asked, tmp_path / "index", IndexSettings(split="train"))
    store = MemoryStore.open(tmp_path / "index")
    rows = store.rows(np.arange(10))
    means = rows.scaled[:, :-1] * rows.deviation[:, None]
    head = torch.tensor(bundle.head_weight), torch.tensor(bundle.head_bias)
    table = entity_table(EntityFeatures(np.arange(10), means.astype(np.float32)), head)
    validator = Validator(asked, asked.entities, settings(space=space, both_directions=weight, share=0.5))
    expanding = ExpandSettings(both_directions=weight, space=space)
    truth = read_truth(asked.root / "gt")
    expected = evaluate(store, validator.queries, truth, protocol="single", settings=expanding).overall.map
    found = validator.measure(table)
    assert found == {
        "map@10": pytest.approx(expected[10]),
        "map@20": pytest.approx(expected[20]),
        "queries": 4,
        "seeds": 2.0,
        "left_out": 0,
    }
    assert validator.classes == validation_classes(CLASSES, 0.5)
    assert {query.class_name for query in validator.queries} == validator.classes
    store.close()


def test_classes_are_dealt_out_by_the_hash_of_their_names() -> None:
    # By sha256sum: "b" 3e23, "d" 18ac, "a" ca97, "c" 2e7d.
    assert validation_classes(["a", "b", "c", "d"], 0.5) == {"d", "c"}
    assert validation_classes(["d", "c", "b", "a", "a"], 0.25) == {"d"}
    for share in (float("nan"), -0.1, 1.1):
        with pytest.raises(ConfigError, match="number of 0 to 1"):
            validation_classes(["a"], share)
    names = [f"class {number}" for number in range(101)]
    parts = [validation_classes(names, share) for share in (0.0, 0.2, 0.5, 0.9, 1.0)]
    assert [len(part) for part in parts] == [0, 20, 51, 91, 101]
    assert all(smaller < larger for smaller, larger in pairwise(parts))


def test_a_perfect_model_has_every_member_first(asked) -> None:
    """Two classes apart from one another; of a class of four with two seeds two are left: AP is 1."""
    direction = np.repeat(np.eye(2, 8, dtype=np.float32), 5, axis=0)
    head = torch.from_numpy(direction), torch.zeros(10)
    table = entity_table(EntityFeatures(np.arange(10), direction), head)
    write_queries(asked.root / "own", [Query("a", 0, ("0", "1")), Query("b", 0, ("7", "6"))])
    write_truth(
        asked.root / "truth", {"a": [(str(n), "") for n in range(5)], "b": [(str(n), "") for n in range(5, 10)]}
    )
    found = Validator(asked, asked.entities, settings(queries="own", truth="truth")).measure(table)
    assert (found["map@10"], found["map@20"], found["queries"]) == (1.0, 1.0, 2)


def test_queries_with_untrained_seeds_are_left_out_and_counted(asked) -> None:
    validator = Validator(asked, asked.entities[1:], settings(both_directions=0.0))
    assert validator.untrained == 1
    assert len(validator.queries) == 7
    random = np.random.default_rng(0)
    head = torch.from_numpy(random.normal(size=(9, 4)).astype(np.float32)), torch.zeros(9)
    kept = np.arange(8)
    table = entity_table(EntityFeatures(kept, random.normal(size=(8, 4)).astype(np.float32)), head)
    found = validator.measure(table)
    assert (found["queries"], found["left_out"]) == (7, 1)
    kept = np.arange(3, 9)
    table = entity_table(EntityFeatures(kept, random.normal(size=(6, 4)).astype(np.float32)), head)
    found = validator.measure(table)
    assert found["queries"] + found["left_out"] == 8
    assert found["queries"] == sum(min(map(int, query.seeds)) >= 4 for query in validator.queries)
    with pytest.raises(TrainingError, match="'both' shows"):
        validator.measure(entity_table(EntityFeatures(np.array([0]), np.ones((1, 4), np.float32)), head))
    with pytest.raises(TrainingError, match="None of the 8 queries"):
        Validator(asked, [Entity("x", "X")], settings())


def test_classes_may_be_named(asked) -> None:
    validator = Validator(asked, asked.entities, settings(classes=("b", "d"), share=0.0))
    assert validator.classes == {"b", "d"}
    with pytest.raises(ConfigError, match="names 'z', but 'gt' has the classes a, b, c, d"):
        Validator(asked, asked.entities, settings(classes=("b", "z")))
    with pytest.raises(ConfigError, match=r"validation\.queries is not set"):
        Validator(asked, asked.entities, ValidationSettings())
