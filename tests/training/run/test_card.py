from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training.config import TextSettings, TrainingConfig, VisionSettings
from training.run.card import FORMAT, card_mapping, card_of, write_card
from training.run.card_text import card_text
from training.run.facts import (
    CorpusFacts,
    described,
    device_name,
    differing,
    picture_backbone,
    settings_digest,
    text_backbone,
)
from training.run.measured import best_measured, last_measured, length

CORPUS = CorpusFacts("trees | woods", "0123abcd", "train", 12, 10, 1234, held_out=56, pictures=78)
SCRATCH = TrainingConfig(
    text=TextSettings(backbone="scratch", trained_layers=-1),
    vision=VisionSettings(backbone="scratch", trained=True),
)


def epoch_record(epoch, quality, best):
    return {
        "step": 10 * epoch, "epoch": epoch, "loss": 2.0, "seconds": 30.0, "pairs_per_second": 100.0,
        "held_out": {"both": {"loss": 1.0, "accuracy": 0.25}},
        "validation": {"map@10": quality, "queries": 40, "seeds": 3}, "best": best,
    }  # fmt: skip


RECORDS = [
    epoch_record(1, 0.5, True),
    {"step": 15, "loss": 1.0},
    epoch_record(2, 0.75, True),
    epoch_record(3, 0.7, False),
]


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "oaks"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    return folder


def card(run, config=SCRATCH, **more):
    return card_of(run, config, CORPUS, torch.device("cpu"), **more)


def test_a_run_is_added_up():
    found = length(RECORDS, "CPU", "float32", 7)
    assert (found.steps, found.epochs, found.pairs, found.seconds) == (30, 3, 3 * 30 * 100, 3 * 30.0)
    assert (found.device, found.precision, found.seed) == ("CPU", "float32", 7)
    empty = length([], "CPU", "float32", 7)
    assert (empty.steps, empty.epochs, empty.pairs, empty.seconds) == (0, 0, 0, 0)


def test_the_best_epoch_is_the_last_that_was_the_best_so_far():
    best, last = best_measured(RECORDS), last_measured(RECORDS)
    assert best is not None
    assert last is not None
    assert (best.step, best.epoch, best.validation, best.queries, best.seeds) == (20, 2, {"map@10": 0.75}, 40, 3)
    assert (last.step, last.validation, last.held_out) == (
        30,
        {"map@10": 0.7},
        {"both": {"loss": 1.0, "accuracy": 0.25}},
    )


def test_records_that_measured_nothing_or_say_it_wrongly_are_passed_over():
    records = [{"step": 1, "accuracy": 0.5, "best": True}, {"step": 2, "validation": None, "held_out": {"both": 3}}]
    assert (best_measured(records), last_measured(records)) == (None, None)
    held = last_measured([*records, {"step": 3, "epoch": "x", "held_out": {"text": {"loss": 1, "accuracy": None}}}])
    assert held is not None
    assert (held.epoch, held.queries, held.held_out) == (None, None, {"text": {"loss": 1.0}})


def test_the_card_says_what_was_measured_and_how(run):
    text = card_text(card(run, best_checkpoint="best", last_checkpoint="step-00000030", protocol="joint"))
    assert "# oaks" in text
    assert "https://arxiv.org/abs/2307.14878" in text
    assert "|  | best (step 20, epoch 2) | last (step 30, epoch 3) |" in text
    assert "| validation, MAP@10 | 0.7500 | 0.7000 |" in text
    assert "| held out, both: accuracy | 0.2500 | 0.2500 |" in text
    assert "Validation: 40 queries of 3 seeds each; protocol: joint. MAP@K: the sum" in text
    assert "| length | 30 steps, 3 epochs, about 9,000 pairs |" in text
    assert "| time | 2 min |" in text
    assert "| best checkpoint | best |" in text
    assert "| last checkpoint | step-00000030 |" in text
    assert "chose the best checkpoint" in text


def test_the_card_names_the_data_and_the_settings(run):
    text = card_text(card(run))
    assert "| name | trees \\| woods |" in text
    assert "| content hash | 0123abcd |" in text
    assert "| entities | 12, of which 10 have a row in the head |" in text
    assert "| samples | 1,234 trained on, 56 held out |" in text
    assert "| pictures | 78 |" in text
    assert "| `text.backbone` | scratch |" in text
    assert "`loop.seed`" not in text
    assert settings_digest(card(run).settings) in text
    assert "All settings have their defaults." in card_text(card(run, TrainingConfig()))


def test_a_run_that_measured_nothing_says_so(tmp_path):
    text = card_text(card(tmp_path))
    assert "Nothing was measured" in text
    assert "| best checkpoint | none was chosen |" in text
    assert "chose the best checkpoint" not in text
    assert "Held out:" not in text


def test_what_backbones_have_seen_is_said(run):
    text = card_text(card(run, TrainingConfig()))
    assert "| text backbone | minilm; trained here: its last layer; has seen all-MiniLM-L6-v2" in text
    assert (
        "| picture backbone | efficientnet-lite0; trained here: nothing; has seen the pictures and the labels of"
        in text
    )
    assert "from ImageNet's labels" in text
    assert "knows English" in text
    own = card_text(card(run))
    assert "has seen nothing before this corpus |" in own
    assert "ImageNet" not in own
    assert "English" not in own


@pytest.mark.parametrize(
    ("settings", "seen", "trained"),
    [
        (TextSettings(backbone="somewhere", trained_layers=2), "the folder's own description", "its last 2 layers"),
        (TextSettings(backbone="scratch", trained_layers=-1, vectors="minilm"), "vectors of all-MiniLM", "all"),
        (TextSettings(backbone="scratch", trained_layers=-1, vectors="somewhere"), "does not know", "all"),
        (TextSettings(trained_layers=0), "English", "nothing"),
    ],
)
def test_text_backbones(settings, seen, trained):
    found = text_backbone(settings)
    assert (found.part, found.name, found.trained) == ("text", settings.backbone, trained)
    assert seen in found.seen


@pytest.mark.parametrize(
    ("settings", "seen", "trained"),
    [
        (VisionSettings(backbone="resnet50", weights="x"), "ImageNet-1k", "nothing"),
        (VisionSettings(backbone="resnet50", random_weights=True), "nothing before", "nothing"),
        (VisionSettings(backbone="timm:vit", weights="x", trained=True), "does not know", "all"),
    ],
)
def test_picture_backbones(settings, seen, trained):
    found = picture_backbone(settings)
    assert (found.part, found.name, found.trained) == ("picture", settings.backbone, trained)
    assert seen in found.seen


def test_settings_are_compared_with_the_defaults():
    assert differing({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 1, "c": 3, "e": 4}, "d": [1]}) == {
        "a.c": 2,
        "a.e": None,
    }
    assert settings_digest({"a": 1, "b": 2}) == settings_digest({"b": 2, "a": 1}) != settings_digest({"a": 1, "b": 3})


def test_both_files_are_written_and_say_the_same(run):
    made = card(run, best_checkpoint="best")
    write_card(run, made)
    found = json.loads((run / "card.json").read_text())
    assert (run / "README.md").read_text() == card_text(made)
    assert found == json.loads(json.dumps(card_mapping(made)))
    assert (found["format"], found["version"]) == (FORMAT, 1)
    assert found["settings_sha256"] == settings_digest(made.settings)
    assert found["corpus"]["content_hash"] == "0123abcd"
    assert found["best"]["validation"] == {"map@10": 0.75}
    assert {each.name for each in run.iterdir()} == {"README.md", "card.json", "metrics.jsonl"}


def test_numbers_that_json_has_not_are_null(run):
    made = card(run)
    endless = type(made)(**{**vars(made), "settings": {"a": [float("nan"), 1.0]}})
    assert card_mapping(endless)["settings"] == {"a": [None, 1.0]}


@pytest.mark.parametrize(
    ("name", "tasks", "said", "not_said"),
    [
        ("tiny-cupl", {}, "It is MultiExpan of the paper", "closed form"),
        ("experts", {}, "kept apart to the end, whose scores are added; it learns to name the entity", "MultiExpan"),
        ("pooled", {}, "without layers above them; maps and rows of the entities are fitted", "it learns"),
        ("tiny-cupl", {"entity": 0.0, "image_text": 1.0}, "it learns to tell which picture belongs to", "MultiExpan"),
        ("paper", {}, "behind a mask, to bring samples of entities that its own lists", "closed form"),
    ],
)
def test_a_model_is_called_what_it_is(tmp_path, name, tasks, said, not_said):
    config = TrainingConfig.read(Path(__file__).parents[3] / "training" / "configs" / f"{name}.toml")
    made = card(tmp_path / "run", replace(config, tasks=replace(config.tasks, **tasks)))
    text = card_text(made)
    assert text.startswith("# run\n\nA multi-modal model for entity set expansion: ")
    assert said in text
    assert not_said not in text.splitlines()[2]
    assert made.model == described(replace(config, tasks=replace(config.tasks, **tasks)))


def test_a_device_is_named():
    assert device_name(torch.device("cpu")).endswith(" threads")
