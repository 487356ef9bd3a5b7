"""Weights of channels that were fitted are kept with an index, and are what "hybrid" then weighs with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from contract.world import World, entities
from entity_expand import Expander, ExpandSettings, MemoryStore, QueryError, StoreError
from entity_expand.calibration.fitted import Fitted, Fusion, fitted_from
from entity_expand.channels.fit import fit_channels
from entity_expand.channels.fusion import ChannelWeights
from entity_expand.cli import group
from entity_expand.corpus import write_truth
from entity_expand.elastic.store import ElasticStore
from indexer import keep_fitted

TRUTH = {f"kind{k}": frozenset(e.id for e in entities()[k:60:3]) for k in range(3)}


def test_words_that_tell_the_classes_are_weighed(store) -> None:
    fusion, quality = fit_channels(store, TRUTH, draws=1)
    # The model here is random, and all entities of a class share their words.
    assert fusion.weights.model == 1.0 and fusion.weights.lexical > 0
    assert (fusion.modality, fusion.late_fusion, fusion.classes, fusion.lists) == ("both", None, 3, 3 * 4)
    assert quality.model < quality.default <= quality.fitted <= 1.0


def test_too_little_to_fit_on(store, world: World, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="two classes"):
        fit_channels(store, {"one": TRUTH["kind0"]}, draws=1)
    shutil.copytree(world.fetched, tmp_path / "old")
    next((tmp_path / "old" / "versions").glob("*/words.sqlite")).unlink()
    with Expander.open(tmp_path / "old") as expander, pytest.raises(QueryError, match="nothing to weigh"):
        fit_channels(expander.store, TRUTH, draws=1)


def test_what_was_fitted_is_weighed_with(world: World, served: str) -> None:
    heavy = ChannelWeights(0.01, 1.0)
    opened = MemoryStore.open(world.fetched)
    fitted = Fitted(opened.meta.bundle, (), (Fusion("both", heavy, 3, 12),))
    opened.close()
    for index in (world.fetched, served):
        with Expander.open(index) as before:
            wanted = before.expand(["0", "4"], 9, strategy="hybrid", settings=ExpandSettings(channels=heavy))
            assert before.expand(["0", "4"], 9, strategy="hybrid").ids != wanted.ids
        keep_fitted(index, fitted)
        with Expander(MemoryStore.open(index) if isinstance(index, Path) else ElasticStore.open(index)) as after:
            assert after.expand(["0", "4"], 9, strategy="hybrid").ids == wanted.ids
        keep_fitted(index, Fitted(fitted.bundle, (), (Fusion("both", ChannelWeights(1.0, picture=1.0), 3, 12),)))
        with Expander.open(index) as lacking:  # weights of channels that are not there are not used
            assert len(lacking.expand(["0", "4"], 9, strategy="hybrid").ids) == 9
        keep_fitted(index, Fitted(fitted.bundle))


def test_the_json_form() -> None:
    fitted = Fitted(
        "b", (), (Fusion("text", ChannelWeights(1.0, 0.5), 3, 12, None), Fusion("both", ChannelWeights(), 3, 2, 0.3))
    )
    assert fitted_from(json.loads(json.dumps(fitted.to_dict())), "it", StoreError) == fitted
    old = fitted.to_dict()
    del old["channels"]
    assert fitted_from(old, "it", StoreError) == Fitted("b")
    for bad in (None, 3, [3], [{"weights": {"model": -1.0}}], [{**fitted.to_dict()["channels"][0], "more": 1}]):
        with pytest.raises(StoreError, match="Fit it again"):
            fitted_from({**fitted.to_dict(), "channels": bad}, "it", StoreError)


def test_the_command(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.fetched, tmp_path / "index")
    write_truth(tmp_path / "truth", {name: [(each, each) for each in sorted(found)] for name, found in TRUTH.items()})
    asked = ["fit", str(tmp_path / "index"), "--truth", str(tmp_path / "truth"), "--draws", "1", "--size", "20"]
    result = CliRunner().invoke(group, asked)
    assert result.exit_code == 0, result.output
    assert "of hybrid, fitted weights" in result.output and "fitted on all: model 1, lexical" in result.output
    opened = MemoryStore.open(tmp_path / "index")
    assert opened.facts.fitted is not None and opened.facts.fitted.channels_in("both", None) is not None
    opened.close()
