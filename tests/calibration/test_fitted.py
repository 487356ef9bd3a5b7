"""What was fitted as JSON, with an index and with a bundle."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from contract.world import World, entities, make_world
from entity_expand import BundleError, Expander, ExpandSettings, IndexMismatchError, MemoryStore, StoreError
from entity_expand.bundle import Bundle
from entity_expand.calibration.draws import drawn_seeds, fit_index
from entity_expand.calibration.fitted import FILE, Confidence, Fitted, fitted_from, read_fitted, write_fitted
from entity_expand.cli.fit import command
from entity_expand.corpus import Corpus
from entity_expand.corpus.queries import write_truth
from entity_expand.encoder import FakeEncoder
from indexer import index_corpus, keep_fitted, keep_fitted_with_bundle

ONE = Confidence("heads", 1.0, "both", (-3.0, 0.5, -0.1, 0.2, 0.1, -0.3), classes=3, lists=9)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    known = entities()[:60]
    write_truth(tmp_path / "gt", {f"kind{k}": [(e.id, e.name) for e in known[k::3]] for k in range(3)})
    return tmp_path / "gt"


def test_it_comes_back_as_it_went(tmp_path: Path) -> None:
    fitted = Fitted("f" * 64, (ONE, dataclasses.replace(ONE, space="features", both_directions=0.0, late_fusion=0.25)))
    write_fitted(tmp_path, fitted)
    assert read_fitted(tmp_path, "f" * 64, StoreError) == fitted
    assert fitted.confidence_in("heads", 1.0, "both", None) == ONE
    assert fitted.confidence_in("heads", 1.0, "both", 0.5) is None is fitted.confidence_in("heads", 0.5, "both", None)
    with pytest.raises(StoreError, match="fit again"):
        read_fitted(tmp_path, "e" * 64, StoreError)
    assert read_fitted(tmp_path / "elsewhere", "f" * 64, StoreError) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda form: form.update(format="x"),
        lambda form: form.update(version=2),
        lambda form: form.update(more=1),
        lambda form: form.update(bundle=None),
        lambda form: form.update(confidence={}),
        lambda form: form.update(confidence=[1]),
        lambda form: form["confidence"][0].update(coefficients=[1.0]),
        lambda form: form["confidence"][0].update(coefficients=[1.0, 2.0, 3.0, float("inf")]),
        lambda form: form["confidence"][0].update(space="other"),
        lambda form: form["confidence"][0].pop("classes"),
        lambda form: form["confidence"][0].update(unknown=1),
    ],
)
def test_what_is_not_of_the_form_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    form = json.loads(json.dumps(Fitted("f", (ONE,)).to_dict()))
    change(form)
    with pytest.raises(BundleError, match="entity-expand fit"):
        fitted_from(form, "the file", BundleError)


def test_seeds_are_drawn_alike_each_time() -> None:
    truth = {"a": frozenset("abcdefghij"), "b": frozenset("abcde"), "c": frozenset("abc")}
    drawn = list(drawn_seeds(truth, 2))
    assert drawn == list(drawn_seeds(dict(reversed(truth.items())), 2))
    assert [(name, len(seeds)) for name, seeds in drawn] == [
        *[("a", size) for size in (1, 1, 2, 2, 3, 3, 5, 5)],
        *[("b", size) for size in (1, 1, 2, 2)],
    ]
    assert all(len(set(seeds)) == len(seeds) and set(seeds) <= truth[name] for name, seeds in drawn)


def test_the_command_fits_and_keeps(world: World, truth: Path) -> None:
    arguments = [str(world.fetched), "--truth", str(truth), "--draws", "2", "--size", "30"]
    run = CliRunner()
    tried = run.invoke(command, [*arguments, "--dry-run", "--json"], catch_exceptions=False)
    held = json.loads(tried.stdout)
    assert held["features"]["lists"] == 3 * 4 * 2 and held["heads, one direction"]["lists"] == 3 * 3 * 4 * 2
    with Expander.open(world.fetched) as expander:
        assert expander.expand(["0"], 5).cutoff is None and expander.expand(["0"], 5).results[0].confidence is None
    shown = run.invoke(command, [*arguments, "--bundle", str(world.bundle.path)], catch_exceptions=False)
    assert "F1 of the set up to its cut-off" in shown.stdout and "It is kept with" in shown.stdout
    with Expander.open(world.fetched) as expander:
        found = expander.expand(["0", "3"], 10)
        assert found.cutoff is not None and 1 <= found.cutoff <= 10
        assert all(0 < result.confidence < 1 for result in found.results)
        assert expander.expand(["0"], 5, settings=ExpandSettings(both_directions=0.3)).cutoff is None, "was not fitted"
        assert expander.expand(["0"], 5, settings=ExpandSettings(space="features")).cutoff is not None
        assert found.to_dict()["results"][0]["confidence"] == found.results[0].confidence
        page, whole = found.more(), expander.expand(["0", "3"], 20, strategy="mean")
        plain = expander.expand(["0", "3"], 10, strategy="mean").more()
        assert page.cutoff is not None
        assert [r.confidence for r in plain.results] == pytest.approx([r.confidence for r in whole.results[10:]])
    opened = Bundle.open(world.bundle.path)
    assert opened.fingerprint == world.bundle.fingerprint
    with Corpus.open(world.corpus) as corpus:
        index_corpus(opened, FakeEncoder(opened.dimension), corpus, truth.parent / "again")
    with Expander.open(truth.parent / "again") as expander:
        again = expander.expand(["0", "3"], 10)
    assert again.results == found.results and again.cutoff == found.cutoff


def test_a_cosine_separates_the_kinds(world: World, truth: Path) -> None:
    """The sentences of a kind share their words, so that its features lie together."""
    store = MemoryStore.open(world.index)
    members = {name: frozenset(e.id for e in entities()[k:60:3]) for k, name in enumerate(("x", "y", "z"))}
    _, quality = fit_index(store, members, draws=2, size=50)
    assert quality["features"].cut > quality["features"].best_fixed - 1e-9
    store.close()


def test_it_must_fit_its_index_and_its_bundle(world: World) -> None:
    other = Fitted("f" * 64, (ONE,))
    with pytest.raises(IndexMismatchError):
        keep_fitted(world.index, other)
    with pytest.raises(IndexMismatchError):
        keep_fitted_with_bundle(world.bundle, other)
    version = MemoryStore.open(world.index).version
    (version / FILE).write_text("{")
    with pytest.raises(StoreError, match="not valid JSON"):
        MemoryStore.open(world.index)
