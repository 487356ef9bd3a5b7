"""What the model under training is shown when it expands sets for its own lists."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from entity_expand.corpus import Corpus
from entity_expand.errors import TrainingError
from training.config import TrainingConfig
from training.features import entity_features
from training.loop import train
from training.trainer import Trainer

CONTRAST = "\n[tasks]\ninstance = 0.5\n[mining]\nclass_size = 3\npositives = 2\nstart = 0\n"


@pytest.mark.parametrize(
    ("data", "shown"),
    [("hide_picture = 1.0\n", "text"), ("hide_picture = 0.0\nhide_text = 1.0\n", "picture"), ("", "both")],
)
def test_lists_are_mined_from_what_is_trained_on(corpus, settings_file, tmp_path, monkeypatch, data, shown):
    asked = []
    monkeypatch.setattr(
        "training.expanding.entity_features",
        lambda encode, samples, part, **more: asked.append(part) or entity_features(encode, samples, part, **more),
    )
    config = TrainingConfig.read(settings_file(epochs=1, extra=CONTRAST, data=data))
    with torch.random.fork_rng():
        trainer = Trainer(config, corpus, tmp_path, tmp_path / "cache", None, print)
    assert len(trainer.expanding.lists(0).positives) == 10
    assert asked == [shown]


def test_ranks_beyond_all_lists_end_a_run_before_its_first_step(corpus, settings_file, tmp_path):
    config = TrainingConfig.read(settings_file(epochs=2, extra="\n[tasks]\ninstance = 0.5\n[mining]\npositives = 9\n"))
    with pytest.raises(TrainingError, match="begin at rank 10 of lists of 9 entities"):
        train(config, corpus, tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.fixture
def held_out(corpus_folder, settings_file, tmp_path):
    """Measure the model that nothing has trained yet, its held-out rows changed, or left out where None comes back."""

    def measured(change):
        folder = tmp_path / f"corpus-{len(list(tmp_path.glob('corpus-*')))}"
        shutil.copytree(corpus_folder, folder)
        lines = [json.loads(line) for line in (folder / "sentences.jsonl").read_text().splitlines()]
        rows = [row if row.get("split") != "test" else change(number, row) for number, row in enumerate(lines)]
        (folder / "sentences.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows if row))
        run = tmp_path / f"run-{folder.name}"
        run.mkdir()
        with Corpus.open(folder) as opened, torch.random.fork_rng():
            config = TrainingConfig.read(settings_file())
            return Trainer(config, opened, run, tmp_path / "cache", None, print).held_out()

    return measured


def _without_picture(row):
    return {key: value for key, value in row.items() if key != "image"}


def test_what_samples_lack_is_not_measured_on_them(held_out):
    some = held_out(lambda number, row: _without_picture(row) if number % 12 > 5 else row)
    few = held_out(lambda number, row: None if number % 12 > 5 else row)
    assert some["picture"] == few["picture"]
    assert some["text"] != few["text"]
    none = held_out(lambda number, row: _without_picture(row))
    assert none.keys() == {"both", "text"} and none["text"] == some["text"] == none["both"]
