"""The scorer's graph against the same numbers by hand, and folders that are not what they state."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from entity_expand import MemoryStore, files
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.bundle.graph import read_spec
from entity_expand.bundle.specs import scorer_spec
from entity_expand.cli import group
from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.encoder import FakeEncoder
from entity_expand.errors import BundleError, EncoderError, QueryError
from entity_expand.scorer import OnnxScorer, SeedSet
from entity_expand.search.scoring import EntityRows, query_vector
from entity_expand.stores.base import Nearest
from entity_expand.types import Entity
from export.scorer import scorer_graph, write_scorer
from indexer import index_corpus

COUNT, WIDTH = 40, 9
IDS = tuple(f"e{place}" for place in range(COUNT))


def random_rows(count: int, seed: int) -> EntityRows:
    random = np.random.default_rng(seed)
    head, scaled = random.standard_normal((2, count, WIDTH)).astype(np.float32)
    return EntityRows(head, scaled, np.ones(count), np.zeros(count))


ROWS = random_rows(COUNT, 0)
OUTSIDE = random_rows(2, 1)


@pytest.fixture(scope="module", params=[1 << 20, 0], ids=["inside", "beside"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("scorers") / "s"
    write_scorer(made, ROWS, IDS, "f" * 64, inline=request.param)
    assert (made / "scorer.data").exists() == (request.param == 0)
    return made


@pytest.fixture(scope="module")
def scorer(folder: Path) -> OnnxScorer:
    return OnnxScorer(folder, threads=1)


def by_hand(asked: SeedSet, places: list[int], weights: list[float], closed: list[int]) -> np.ndarray:
    """Scores of all entities in float64, -inf for what is closed."""
    query = np.zeros(2 * WIDTH)
    if asked.query is not None:
        query[: len(asked.query)] = asked.query
    for place, weight in zip(places, weights, strict=True):
        query[:WIDTH] += weight * ROWS.scaled[place].astype(np.float64)
        query[WIDTH:] += weight * asked.both_directions * ROWS.head[place].astype(np.float64)
    scores = np.hstack([ROWS.head, ROWS.scaled]).astype(np.float64) @ query
    scores[closed] = -np.inf
    return scores


CASES = [
    (SeedSet(["e3", "e7", "e1"]), [3, 7, 1], [1, 1, 1], [3, 7, 1]),
    (SeedSet([5, 39], weights=[2, 0.5], exclude=[0, "e2"]), [5, 39], [2, 0.5], [5, 39, 0, 2]),
    (SeedSet([0], both_directions=0.7), [0], [1], [0]),
    (SeedSet([4], query=query_vector(OUTSIDE), exclude=["e4"]), [4], [1], [4]),
    (SeedSet([], query=query_vector(OUTSIDE, 0.5)), [], [], []),
    (SeedSet(["e9", "e8"], weights=[1, 3], query=query_vector(OUTSIDE, 2.0), both_directions=2.0), [9, 8], [1, 3],
     [9, 8]),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CASES)))
def test_one_set_gets_the_numbers_by_hand(scorer: OnnxScorer, number: int) -> None:
    asked, *how = CASES[number]
    scores = by_hand(asked, *how)  # type: ignore[arg-type]
    (found,) = scorer.best([asked], 12)
    wanted = np.argsort(-scores, kind="stable")[:12]
    assert found.positions.tolist() == wanted.tolist() and found.ids == tuple(IDS[place] for place in wanted)
    np.testing.assert_allclose(found.scores, scores[wanted], rtol=1e-5, atol=1e-5)


def test_sets_of_different_sizes_go_together(scorer: OnnxScorer) -> None:
    alone = [scorer.best([asked], 7)[0] for asked, *_ in CASES]
    together = scorer.best([asked for asked, *_ in CASES], 7)
    for first, second in zip(alone, together, strict=True):
        assert first.ids == second.ids
        np.testing.assert_allclose(first.scores, second.scores, rtol=1e-5, atol=1e-5)


def test_what_is_closed_does_not_fill_a_list_up(scorer: OnnxScorer) -> None:
    asked = SeedSet([0, 1], exclude=list(range(2, COUNT - 3)))
    (found,) = scorer.best([asked], 10_000)
    assert sorted(found.positions) == [COUNT - 3, COUNT - 2, COUNT - 1]
    (nothing,) = scorer.best([SeedSet([0], exclude=IDS)], 3)
    assert nothing.ids == () and len(nothing.scores) == 0


def test_equal_scores_come_by_rising_place(tmp_path: Path) -> None:
    rows = EntityRows(np.ones((6, 3), np.float32), np.ones((6, 3), np.float32), np.ones(6), np.zeros(6))
    write_scorer(tmp_path / "s", rows, "abcdef", "f" * 64)
    assert OnnxScorer(tmp_path / "s").best([SeedSet(["c"])], 4)[0].ids == ("a", "b", "d", "e")


@pytest.mark.parametrize(
    ("sets", "size", "message"),
    [
        ([SeedSet(["nobody"])], 5, "no entity 'nobody' among its 40"),
        ([SeedSet([40])], 5, "no entity 40"),
        ([SeedSet([-1])], 5, "no entity -1"),
        ([SeedSet([1], exclude=["x"])], 5, "no entity 'x'"),
        ([SeedSet([])], 5, "seeds, a query or both"),
        ([SeedSet([1], weights=[1, 2])], 5, "one per seed"),
        ([SeedSet([1], weights=[np.inf])], 5, "one per seed"),
        ([SeedSet([1], query=np.zeros(4))], 5, "9 or 18 finite numbers"),
        ([SeedSet([1], query=np.full(9, np.nan))], 5, "9 or 18 finite numbers"),
        ([SeedSet([1], both_directions=-1)], 5, "at least 0"),
        ([SeedSet([1] * 1001)], 5, "at most 1,000"),
        ([SeedSet([1])], 0, "a size of 1 to"),
        ([], 5, "1 to 1,024 sets"),
    ],
)
def test_what_cannot_be_asked_is_said(scorer: OnnxScorer, sets: list[SeedSet], size: int, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        scorer.best(sets, size)


def test_the_graph_is_as_declared() -> None:
    assert read_spec(scorer_graph(ROWS)) == scorer_spec(WIDTH)


def test_answers_that_are_none_are_refused(scorer: OnnxScorer) -> None:
    places, scores = np.array([[0, 1]]), np.zeros((1, 2), np.float32)
    with pytest.raises(EncoderError, match="places outside"):
        scorer.roster.ranked(places + COUNT - 1, scores)
    with pytest.raises(EncoderError, match="something else"):
        scorer.roster.ranked(places, scores * np.nan)


def test_ids_must_fit_the_rows(tmp_path: Path) -> None:
    for ids in (IDS[:-1], (*IDS[:-1], "e0")):
        with pytest.raises(BundleError, match="one id per entity"):
            write_scorer(tmp_path / "s", ROWS, ids, "f" * 64)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copied"))


def restate(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """State the files anew as they are, as who forges a folder would."""
    stated = json.loads((folder / "scorer.json").read_text())
    for name in stated["files"]:
        path = folder / name
        stated["files"][name] = {"sha256": files.sha256_of(path), "bytes": path.stat().st_size}
    change(stated)
    (folder / "scorer.json").write_text(json.dumps(stated))


def test_changed_and_missing_files_are_noticed(copied: Path) -> None:
    for name in json.loads((copied / "scorer.json").read_text())["files"]:
        content = (copied / name).read_bytes()
        (copied / name).write_bytes(content[:-1] + b"\x01")
        with pytest.raises(BundleError, match=f"{name} has been changed"):
            OnnxScorer(copied)
        (copied / name).unlink()
        with pytest.raises(BundleError, match=f"{name} is missing"):
            OnnxScorer(copied)
        (copied / name).write_bytes(content)
    OnnxScorer(copied)


def test_links_are_refused(copied: Path, tmp_path: Path) -> None:
    for name in json.loads((copied / "scorer.json").read_text())["files"]:
        for target in (tmp_path / name, copied / f"real-{name}"):
            (copied / name).rename(target)
            (copied / name).symlink_to(target)
            with pytest.raises(BundleError, match="link"):
                OnnxScorer(copied)
            (copied / name).unlink()
            target.rename(copied / name)


@pytest.mark.parametrize("location", ["../scorer.data", "/etc/hostname", "other.data"])
def test_graphs_that_point_elsewhere_are_refused(copied: Path, location: str) -> None:
    model = onnx.load_from_string((copied / "scorer.onnx").read_bytes())
    table = next(tensor for tensor in model.graph.initializer if tensor.name == "head")
    table.ClearField("raw_data")
    table.ClearField("external_data")
    table.data_location = onnx.TensorProto.EXTERNAL
    table.external_data.add(key="location", value=location)
    (copied / "scorer.onnx").write_bytes(model.SerializeToString())
    restate(copied, lambda stated: None)
    with pytest.raises(BundleError, match=r"other files|only scorer\.data is allowed"):
        OnnxScorer(copied)


def test_further_tensors_outside_are_refused(tmp_path: Path) -> None:
    write_scorer(tmp_path / "s", ROWS, IDS, "f" * 64, inline=0)
    model = onnx.load_from_string((tmp_path / "s" / "scorer.onnx").read_bytes())
    model.graph.initializer.add().CopyFrom(model.graph.initializer[0])
    model.graph.initializer[-1].name = "third"
    (tmp_path / "s" / "scorer.onnx").write_bytes(model.SerializeToString())
    restate(tmp_path / "s", lambda stated: None)
    with pytest.raises(BundleError, match=r"keeps the tensors \['head', 'scaled', 'third'\] in scorer.data"):
        OnnxScorer(tmp_path / "s")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda stated: stated.update(version=2), "no scorer that this release reads"),
        (lambda stated: stated.update(entities=True), "state entities as a number"),
        (lambda stated: stated.update(width=10), "is no scorer|does not hold"),
        (lambda stated: stated.update(entities=39), "39 different ids|does not hold"),
        (lambda stated: stated.update(files=[]), "missing"),
        (lambda stated: stated["files"].pop("ids.json"), "ids.json is missing"),
    ],
)
def test_manifests_that_do_not_fit_are_refused(
    copied: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    restate(copied, change)
    with pytest.raises(BundleError, match=message):
        OnnxScorer(copied)


@pytest.mark.parametrize("ids", [[*IDS, "e0"], IDS[1:], [*IDS[1:], 0], dict.fromkeys(IDS, 0)])
def test_ids_that_do_not_fit_are_refused(copied: Path, ids: Any) -> None:
    (copied / "ids.json").write_text(json.dumps(ids))
    restate(copied, lambda stated: None)
    with pytest.raises(BundleError, match="must hold 40 different ids"):
        OnnxScorer(copied)


def test_the_command_writes_the_scorer_of_an_index(tmp_path: Path) -> None:
    index, texts = tmp_path / "index", ["salt", "wave", "tide", "harbour", "sail", "rock", "snow", "ridge", "goat"]
    entities = [Entity(str(number), f"Place {number}") for number in range(20)]
    rows = [OwnRow(f"{each.name} {texts[number % 9]}.", ((each.id, 0, len(each.name)),))
            for number, each in enumerate(entities)]  # fmt: skip
    write_corpus(tmp_path / "corpus", entities, rows)
    bundle = fake_bundle(tmp_path / "bundle", entities)
    with Corpus.open(tmp_path / "corpus") as corpus:
        index_corpus(bundle, FakeEncoder(bundle.dimension), corpus, index)
    arguments = ["index", "scorer", str(index), str(tmp_path / "s")]
    assert "a scorer of 20 entities" in CliRunner().invoke(group, arguments, catch_exceptions=False).output
    scorer, store = OnnxScorer(tmp_path / "s"), MemoryStore.open(index)
    seeds = np.array([3, 5, 8])
    hits = store.nearest(Nearest("head", query_vector(store.rows(seeds)), 9, seeds))
    assert scorer.roster.bundle == bundle.fingerprint
    assert scorer.best([SeedSet(["3", "5", "8"])], 9)[0].ids == tuple(entities[place].id for place in hits.positions)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no scorer at"):
        OnnxScorer(tmp_path / "absent")
