"""What the model under training is shown when it expands sets for its own lists."""

from __future__ import annotations

import pytest
import torch

from training.config import TrainingConfig
from training.features import entity_features
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
