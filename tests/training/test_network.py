from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from entity_expand.config import from_mapping, to_mapping
from entity_expand.errors import ConfigError
from training.config import LoopSettings, TrainingConfig
from training.loop import train
from training.network import Network
from training.parts import check_same


@pytest.mark.parametrize("mode", [None, "default", "reduce-overhead"])
def test_the_mode_reaches_the_compiler(mode, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda function, **settings: asked.append(settings) or function)
    model, scale = SimpleNamespace(log_probabilities=None), (torch.zeros(3, 1, 1), torch.ones(3, 1, 1))
    Network(model, scale, LoopSettings())
    assert asked == []
    Network(model, scale, LoopSettings(compile=True, compile_mode=mode))
    assert asked == [{"mode": mode}] * 2  # the transformers, and the entity head


def test_a_mode_is_one_of_those_there_are_and_needs_something_to_compile():
    with pytest.raises(ConfigError, match="compile_mode is 'fast', but one of 'default', 'reduce-overhead'"):
        from_mapping(TrainingConfig, {"loop": {"compile": True, "compile_mode": "fast"}})
    with pytest.raises(ConfigError, match=r"loop\.compile_mode is 'default', but nothing is compiled"):
        from_mapping(TrainingConfig, {"loop": {"compile_mode": "default"}})


def test_runs_from_before_there_was_a_mode_keep_their_names_and_go_on(tmp_path):
    config = from_mapping(TrainingConfig, {"loop": {"compile": True}})
    assert "compile_mode" not in to_mapping(config)["loop"]
    before = SimpleNamespace(path=tmp_path, config=config, entities=(), corpus_hash="a")
    check_same(before, config, "a", SimpleNamespace(entities=()))


def test_lengths_for_the_compiler_end_with_the_positions_of_the_text_encoder(
    corpus, settings_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    for share in ("0.0", "0.3"):
        extra = "compile = true\n[tasks]\nwords = 0.5\n"
        path = settings_file(epochs=1, extra=extra, data=f"hide_words = {share}\n")
        path.write_text(path.read_text().replace("max_length = 24", "max_length = 12"))
        assert train(TrainingConfig.read(path), corpus, tmp_path / share).epoch == 1
