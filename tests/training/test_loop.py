from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from entity_expand.cli import group
from entity_expand.errors import CheckpointError, MissingExtraError, TrainingError
from entity_expand.files import locked
from entity_expand.inputs.text import MaskedTokenizer
from training.checkpoint import load_checkpoint
from training.config import TrainingConfig
from training.loop import _deterministic, _gpus, train
from training.trainer import Trainer

CHANGED = "hide_words = 0.4\ndistort = 0.2\n"
TIMES = ("seconds", "pairs_per_second")


def _records(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in TIMES} for line in lines]


@pytest.mark.slow
def test_a_killed_run_goes_on_exactly(corpus_folder, corpus, settings_file, tmp_path):
    settings = settings_file(epochs=8, data=CHANGED)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    config = TrainingConfig.read(settings)
    train(config, corpus, whole)
    command = [
        sys.executable,
        "-c",
        "import entity_expand.cli as cli; cli.main()",
        "train",
        str(settings),
        "--corpus",
        str(corpus_folder),
    ]
    child = subprocess.Popen([*command, "--out", str(killed)], env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        deadline = time.monotonic() + 120
        while not (killed / "step-00000012").is_dir() and not (killed / "step-00000009").is_dir():
            assert child.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    stopped = load_checkpoint(killed).progress
    assert 0 < stopped.epoch < 8
    train(config, corpus, killed)
    assert _records(killed) == _records(whole)
    for name in ("model.safetensors", "optimizer.safetensors", "state.json"):
        assert (load_checkpoint(killed).path / name).read_bytes() == (load_checkpoint(whole).path / name).read_bytes()
    assert not list(killed.glob(".step-*"))


@pytest.mark.parametrize("data", ["", CHANGED])
def test_going_on_within_an_epoch_is_exact(corpus, settings_file, tmp_path, monkeypatch, data):
    config = TrainingConfig.read(settings_file(epochs=2, data=data))
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(config, corpus, whole)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("training.tasks.entity.masked_entity_loss", _failing(11, KeyboardInterrupt))
        train(config, corpus, stopped)
    progress = load_checkpoint(stopped).progress
    assert (progress.step, progress.epoch, progress.batch) == (10, 1, 3) or progress.step == 9
    train(config, corpus, stopped)
    assert _records(stopped) == _records(whole)


def _failing(calls, error):
    from training.losses import masked_entity_loss

    count = 0

    def loss(log_probabilities, labels, smoothing):
        nonlocal count
        count += smoothing > 0
        if count == calls:
            if error is not None:
                raise error
            return masked_entity_loss(log_probabilities * float("nan"), labels, smoothing)
        return masked_entity_loss(log_probabilities, labels, smoothing)

    return loss


def test_a_loss_that_is_not_finite_stops(corpus, settings_file, tmp_path, monkeypatch):
    monkeypatch.setattr("training.tasks.entity.masked_entity_loss", _failing(9, None))
    with pytest.raises(TrainingError, match="Step 9 has the loss nan"):
        train(TrainingConfig.read(settings_file()), corpus, tmp_path / "run")
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint.step == 7
    assert all(np.isfinite(value.numpy()).all() for value in checkpoint.model_state.values())


@pytest.mark.parametrize("problem", [OSError("the disk is full"), MissingExtraError("matplotlib", "train")])
def test_a_summary_that_fails_does_not_hide_why_a_run_ends(
    corpus, settings_file, tmp_path, monkeypatch, caplog, problem
):
    def fail(*_):
        raise problem

    monkeypatch.setattr("training.summary.write_curves", fail)
    with monkeypatch.context() as patch, pytest.raises(TrainingError, match="Step 9 has the loss nan"):
        patch.setattr("training.tasks.entity.masked_entity_loss", _failing(9, None))
        train(TrainingConfig.read(settings_file(epochs=2)), corpus, tmp_path / "run", reports=True)
    assert f"could not be written: {problem}" in caplog.text
    with pytest.raises(type(problem)):
        train(TrainingConfig.read(settings_file(epochs=2)), corpus, tmp_path / "run", reports=True)


def test_training_learns_text_and_pictures(corpus, settings_file, tmp_path):
    lines = []
    text = settings_file(epochs=6, extra="seed = 2\n").read_text().replace("checkpoint_steps = 3", "")
    (tmp_path / "long.toml").write_text(text.replace("[data]", "[data]\nsamples_per_entity = 30"))
    train(TrainingConfig.read(tmp_path / "long.toml"), corpus, tmp_path / "run", say=lines.append)
    last = _records(tmp_path / "run")[-1]
    assert len(lines) == 6
    assert last["accuracy"] > 0.6  # by chance 0.1
    assert last["held_out"]["text"]["accuracy"] >= 0.8
    assert last["held_out"]["picture"]["accuracy"] >= 0.4


def test_a_checkpoint_gives_the_model_back(corpus, settings_file, tmp_path):
    config = TrainingConfig.read(settings_file(epochs=1))
    train(config, corpus, tmp_path / "run")
    checkpoint = load_checkpoint(tmp_path / "run")
    assert (checkpoint.config, checkpoint.corpus_hash) == (config, corpus.content_hash)
    assert [entity.name for entity in checkpoint.entities][:2] == ["ash", "beech"]
    assert len(list((tmp_path / "run").glob("step-*"))) == 2
    model = checkpoint.build_model()
    tokenizer = MaskedTokenizer.from_file(checkpoint.tokenizer_path, checkpoint.text_config)
    batch = tokenizer.batch([tokenizer.encode("The ash is tall.", ((4, 7),)), tokenizer.encode("", ())])
    tensors = [torch.from_numpy(array) for array in (batch.ids, batch.attention_mask, batch.mask_position)]
    with torch.no_grad():
        feature = model.feature(*tensors, torch.rand(2, 3, 16, 16), torch.tensor([0.0, 1.0]))
    assert feature.shape == (2, 24)
    assert torch.isfinite(feature).all()


def test_what_does_not_fit_is_refused(corpus, settings_file, tmp_path):
    run = tmp_path / "run"
    train(TrainingConfig.read(settings_file(epochs=1)), corpus, run)
    with pytest.raises(CheckpointError, match="already"):
        train(TrainingConfig.read(settings_file(epochs=1)), corpus, run, resume=False)
    other = settings_file(epochs=1, extra="seed = 1\n")
    with pytest.raises(CheckpointError, match=r"loop\.seed = 0, not 1"):
        train(TrainingConfig.read(other), corpus, run)
    assert train(TrainingConfig.read(settings_file(epochs=2)), corpus, run).epoch == 2
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_checkpoint(tmp_path)
    newest = load_checkpoint(run).path
    (newest / "model.safetensors").write_bytes(b"short")
    with pytest.raises(CheckpointError, match="Cannot read"):
        load_checkpoint(run)
    (newest / "state.json").write_text('{"format": "entity-expand checkpoint", "version": 2}')
    with pytest.raises(CheckpointError, match="version 2"):
        load_checkpoint(run)
    shutil.rmtree(newest)
    with pytest.raises(CheckpointError, match=r"missing: put it back, or delete .* to train it anew"):
        load_checkpoint(run)


def test_other_seeds_give_other_losses_and_the_same_seed_the_same(corpus, settings_file, tmp_path):
    runs = {}
    for name, extra in (("a", ""), ("b", ""), ("c", "seed = 1\n")):
        torch.manual_seed(len(runs))  # the caller's generator does not matter
        state = torch.get_rng_state()
        train(TrainingConfig.read(settings_file(epochs=1, extra=extra)), corpus, tmp_path / name)
        assert torch.equal(torch.get_rng_state(), state)
        runs[name] = _records(tmp_path / name)
    assert runs["a"] == runs["b"] != runs["c"]


def test_a_run_on_the_cpu_touches_no_gpu(corpus, settings_file, tmp_path, monkeypatch):
    def touched(*_):
        raise AssertionError("a GPU was asked for its generator")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", touched)
    train(TrainingConfig.read(settings_file(epochs=1)), corpus, tmp_path / "run")


def test_the_generator_of_the_gpu_that_trains_is_kept(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert [_gpus(torch.device(*where)) for where in (("cpu",), ("cuda",), ("cuda", 1))] == [[], [3], [1]]


@pytest.mark.parametrize("mode", [0, 1, 2])  # default, warn, error
def test_the_callers_choice_of_algorithms_comes_back(monkeypatch, mode):
    monkeypatch.setattr("training.loop.device_of", lambda *_: torch.device("cuda", 0))
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_deterministic_debug_mode()
    try:
        torch.set_deterministic_debug_mode(mode)
        with _deterministic("cuda"):
            assert torch.get_deterministic_debug_mode() == 2
        assert torch.get_deterministic_debug_mode() == mode
    finally:
        torch.set_deterministic_debug_mode(before)


@pytest.mark.parametrize(
    "data", ["hide_words = 0.4\n", "distort = 0.2\n", "wrong_picture = 0.5\n", "other_picture = 0.5\n"]
)
def test_changed_inputs_change_training_and_not_measuring(corpus, settings_file, tmp_path, data):
    name = data.split()[0]
    trainers = {}
    for run, extra in (("plain", ""), ("zero", f"{name} = 0.0\n"), ("changed", data)):
        (tmp_path / run).mkdir()
        config = TrainingConfig.read(settings_file(epochs=1, data=extra))
        with torch.random.fork_rng():
            trainers[run] = Trainer(config, corpus, tmp_path / run, tmp_path / "cache", None, print)
            trainers[run].train()
    losses = {run: _records(tmp_path / run)[0]["loss"] for run in trainers}
    assert losses["plain"] == losses["zero"] != losses["changed"]
    trainers["changed"].model.load_state_dict(trainers["plain"].model.state_dict())
    assert trainers["changed"].held_out() == trainers["plain"].held_out()


def test_a_run_is_trained_by_one_process_at_a_time(corpus, settings_file, tmp_path):
    config = TrainingConfig.read(settings_file(epochs=1))
    with (
        locked(tmp_path / "run" / ".lock"),
        pytest.raises(TrainingError, match=r"Another process is at work in .*run; wait for it or end it"),
    ):
        train(config, corpus, tmp_path / "run")


def test_paper_form_with_frozen_parts_and_drawn_samples(corpus, settings_file, tmp_path):
    text = settings_file(epochs=2).read_text()
    text = text.replace("[model]", '[model]\nform = "paper"').replace("[data]", "[data]\nsamples_per_entity = 6")
    (tmp_path / "paper.toml").write_text(text)
    train(TrainingConfig.read(tmp_path / "paper.toml"), corpus, tmp_path / "run")
    assert load_checkpoint(tmp_path / "run").step == 2 * 8  # 10 entities of 6 in batches of 8


def test_the_command(corpus_folder, settings_file, tmp_path):
    arguments = ["train", str(settings_file(epochs=1)), "--corpus", str(corpus_folder), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(group, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].startswith("epoch 1/1: loss ")
    assert lines[-1].endswith("7 steps in 1 epochs")
