"""Whole runs with several tasks: exact resumption in the middle of any phase, stopping, choosing the best."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from transformers import BertConfig, BertModel

from entity_expand.corpus import Corpus, Query, write_queries, write_truth
from entity_expand.errors import CheckpointError, ConfigError, TrainingError, TrainingStopped
from training.checkpoint import best, load_checkpoint, newest
from training.config import ALL_LAYERS, TextSettings, TrainingConfig
from training.expanding import Expanding
from training.loop import train
from training.step import Stepper
from training.tensors import read_tensors
from training.tokenizer import train_wordpiece

TIMES = ("seconds", "pairs_per_second")
CONTRASTS = """
[tasks]
schedule = "{schedule}"
form = "{form}"
instance = 0.5
cluster = 0.2
distillation = 0.1
{more}
[mining]
class_size = 3
positives = 2
partners = 1
every = 2
start = 1
"""
FILES = ("model", "optimizer", "teacher", "lists")
VALIDATION = '\n[validation]\nqueries = "query"\nclasses = ["early", "late"]\n'


def _records(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in TIMES} for line in lines]


@pytest.fixture
def queried(corpus_folder, tmp_path):
    folder = tmp_path / "queried"
    shutil.copytree(corpus_folder, folder)
    classes = {"early": "01234", "late": "56789"}
    write_queries(folder / "query", [Query(name, 0, tuple(ids[:3])) for name, ids in classes.items()])
    write_truth(folder / "gt", {name: [(each, each) for each in ids] for name, ids in classes.items()})
    with Corpus.open(folder) as opened:
        yield opened


def _read(settings_file, extra="", **changes):
    path = settings_file(epochs=changes.pop("epochs", 3), extra=extra, **changes)
    return TrainingConfig.read(path)


class _EndsAt:
    """Stands for `Stepper.take`: asks the run to end with one step."""

    def __init__(self, number):
        self.number, self.take = number, Stepper.take

    def __get__(self, stepper, _):
        return lambda given, epoch, step, asked: self.take(stepper, given, epoch, step, asked or step == self.number)


@pytest.mark.parametrize(
    ("schedule", "form", "more"), [("phases", "paper", ""), ("joint", "corrected", "words = 0.3\nmatching = 0.3")]
)
def test_going_on_in_the_middle_of_each_phase_is_exact(
    corpus, settings_file, tmp_path, monkeypatch, schedule, form, more
):
    extra = CONTRASTS.format(schedule=schedule, form=form, more=more)
    config = _read(settings_file, extra, data="hide_words = 0.3\ndistort = 0.1\n")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(config, corpus, whole, cache=tmp_path / "cache")
    records = _records(whole)
    phases = [(record["step"], record["phase"]) for record in records if "phase" in record]
    middles = {name: [step for step, other in phases if other == name][-2] for name in {name for _, name in phases}}
    assert set(middles) == ({"entity", "instance", "cluster"} if schedule == "phases" else {"entity", "joint"})
    for step in sorted(middles.values()):
        with monkeypatch.context() as patch, pytest.raises(TrainingStopped, match=f"after step {step}"):
            patch.setattr(Stepper, "take", _EndsAt(step))
            train(config, corpus, stopped, cache=tmp_path / "cache")
        assert load_checkpoint(stopped).step == step
    train(config, corpus, stopped, cache=tmp_path / "cache")
    assert _records(stopped) == records
    for name in FILES:
        paths = [newest(run) / f"{name}.safetensors" for run in (whole, stopped)]
        assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize(("place", "further"), [("lists", 0), ("validation", 0), ("align", 1)])
def test_a_signal_between_steps_ends_a_run(queried, settings_file, tmp_path, monkeypatch, place, further):
    contrasts = CONTRASTS.format(schedule="phases", form="corrected", more="")
    path = settings_file(epochs=2, extra=f"{contrasts}{VALIDATION}every = 2\n[align]\nrounds = 1\nneighbours = 2\n")
    path.write_text(path.read_text().replace("[model]\n", "[model]\nmetric_width = 16\n"))
    config, whole, stopped = TrainingConfig.read(path), tmp_path / "whole", tmp_path / "stopped"
    progress = train(config, queried, whole, cache=tmp_path / "cache")
    at, meant = [], getattr(Expanding, place)

    def signalled(self, step):
        at.append(step)
        if len(at) == 1:
            signal.raise_signal(signal.SIGTERM)
        return meant(self, step)

    with monkeypatch.context() as patch, pytest.raises(TrainingStopped, match=r"of 2 epochs done; the checkpoint is"):
        patch.setattr(Expanding, place, signalled)
        train(config, queried, stopped, cache=tmp_path / "cache")
    assert load_checkpoint(stopped).step == at[0] + further
    assert train(config, queried, stopped, cache=tmp_path / "cache") == progress
    assert progress.aligned and _records(stopped) == _records(whole)


def test_each_task_changes_its_head(corpus, settings_file, tmp_path):
    extra = CONTRASTS.format(schedule="joint", form="corrected", more="words = 0.3\nmatching = 0.3\nimage_text = 0.3")
    config = _read(settings_file, extra, epochs=2)
    train(config, corpus, tmp_path / "run")
    first = next(record for record in _records(tmp_path / "run") if record.get("phase") == "joint")
    assert set(first["losses"]) == {"entity", "words", "matching", "image_text", "instance", "cluster"}
    weighted = {"entity": 1.0, "words": 0.3, "matching": 0.3, "image_text": 0.3, "instance": 0.5, "cluster": 0.2}
    assert first["loss"] == pytest.approx(sum(weighted[name] * value for name, value in first["losses"].items()))
    state = load_checkpoint(tmp_path / "run").model_state
    for name in ("words_head.bias", "matching_head.2.bias", "image_text_head.log_temperature"):
        assert name in state
    assert state["words_head.bias"].abs().max() > 0
    assert state["projection_head.1.num_batches_tracked"] == state["cluster_head.0.num_batches_tracked"] > 0
    plain = TrainingConfig.read(settings_file(epochs=1))
    train(plain, corpus, tmp_path / "plain")
    assert not [name for name in load_checkpoint(tmp_path / "plain").model_state if "words_head" in name]


def test_the_teacher_has_its_share_in_the_contrast_of_texts_and_pictures(corpus, settings_file, tmp_path):
    losses = []
    for number, share in enumerate((None, 0.0, 0.4)):
        line = "" if share is None else f"image_text_distillation = {share}\n"
        config = TrainingConfig.read(settings_file(1, f"\n[tasks]\nentity = 0.0\nimage_text = 1.0\n{line}"))
        train(config, corpus, tmp_path / str(number), cache=tmp_path / "cache")
        losses.append([record["loss"] for record in _records(tmp_path / str(number)) if record.get("loss")])
    assert losses[0] == losses[1]
    assert not set(losses[2]) & set(losses[0])
    kept = load_checkpoint(tmp_path / "2")
    own, theirs = kept.teacher_tensors()["teacher.image_text_head.text.weight"], kept.model_state
    assert not torch.equal(own, theirs["image_text_head.text.weight"])


def test_accumulated_parts_give_the_loss_and_the_gradient_of_the_whole_batch(corpus, settings_file, tmp_path):
    still = ("clusters = 4", "clusters = 4\ndropout = 0.0\nhead_dropout = 0.0")
    found = []
    for parts in (1, 3):
        text = settings_file(epochs=1, extra=f"accumulate = {parts}\n[tasks]\nwords = 0.5\n").read_text()
        path = tmp_path / f"{parts}.toml"
        path.write_text(text.replace(*still).replace("mlp = 32\n\n[vision]", "mlp = 32\ndropout = 0.0\n\n[vision]"))
        train(TrainingConfig.read(path), corpus, tmp_path / str(parts))
        found.append(_records(tmp_path / str(parts)))
    for one, other in zip(*found, strict=True):
        assert one["losses"] == pytest.approx(other["losses"], abs=1e-4)
        # AdamW and clipping would hide a gradient of the wrong length.
        assert one.get("gradient_norm", 0.0) == pytest.approx(other.get("gradient_norm", 0.0), rel=1e-3)
    assert sum("gradient_norm" in record for record in found[0]) == 7
    with pytest.raises(ConfigError, match="accumulate is 2"):
        _read(settings_file, "accumulate = 2\n[tasks]\nmatching = 0.5\n")


@pytest.mark.parametrize(("layers", "more"), [(ALL_LAYERS, ""), (1, ""), (0, ""), (0, 'cache_precision = "int8"\n')])
def test_caches_on_the_device_change_nothing(corpus, settings_file, tmp_path, layers, more):
    bert = tmp_path / "bert"
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=300, **sizes)).save_pretrained(bert)
    (bert / "tokenizer.json").write_bytes(train_wordpiece([corpus.sample(0).text, "an oak is a tall tree"], 300))
    for choice in ("yes", "no"):
        config = _read(settings_file, f'cache_on_device = "{choice}"\n{more}', epochs=1, data="hide_words = 0.3\n")
        if layers != ALL_LAYERS:
            text = TextSettings(backbone=str(bert), trained_layers=layers, max_length=24)
            config = dataclasses.replace(config, text=text)
        train(config, corpus, tmp_path / choice)
    assert _records(tmp_path / "yes") == _records(tmp_path / "no")


def test_a_batch_that_fails_is_kept(corpus, settings_file, tmp_path, monkeypatch):
    from training.losses import instance_contrast_loss

    monkeypatch.setattr(
        "training.tasks.contrasts.instance_contrast_loss",
        lambda *rows, **settings: instance_contrast_loss(*rows, **settings) * float("inf"),
    )
    extra = CONTRASTS.format(schedule="joint", form="corrected", more="")
    with pytest.raises(TrainingError, match=r"instance inf.*batch-00000008\.safetensors") as problem:
        train(_read(settings_file, extra), corpus, tmp_path / "run")
    assert "Try a lower" in str(problem.value)
    kept = read_tensors(tmp_path / "run" / "batch-00000008.safetensors")
    assert torch.isinf(kept["losses/instance"])
    assert torch.isfinite(kept["losses/entity"])
    assert kept["samples-0/rows"].shape == kept["samples-0/labels"].shape == (8,)
    assert kept["pairs/rows"].shape == (16,)


def test_the_best_checkpoint_stays_and_patience_ends_a_run(queried, settings_file, tmp_path, monkeypatch):
    found = iter([0.2, 0.5, 0.4, 0.5, 0.9])
    monkeypatch.setattr("training.expanding.Expanding.validation", lambda self, step: {"map@10": next(found)})
    config = _read(settings_file, VALIDATION + "patience = 2\n", epochs=9)
    run = tmp_path / "run"
    progress = train(config, queried, run)
    assert (progress.epoch, progress.best, progress.waited) == (4, 0.5, 2)
    epochs = [record for record in _records(run) if "validation" in record]
    assert [record["best"] for record in epochs] == [True, True, False, False]
    assert best(run).name == f"step-{epochs[1]['step']:08d}"
    assert json.loads((run / "best.json").read_text()) == {"checkpoint": best(run).name, "epoch": 2, "map@10": 0.5}
    assert len(list(run.glob("step-*"))) == 2 + 1
    assert load_checkpoint(run, "best").step == load_checkpoint(run, "preferred").step == epochs[1]["step"]
    assert load_checkpoint(run).step == epochs[-1]["step"]
    assert train(config, queried, run) == progress


def test_validation_queries_are_expanded(queried, settings_file, tmp_path):
    run = tmp_path / "run"
    train(_read(settings_file, VALIDATION + "every = 2\n"), queried, run)
    epochs = [record for record in _records(run) if "loss" in record and "phase" not in record]
    assert ["validation" in record for record in epochs] == [False, True, True]
    assert 0.0 < epochs[-1]["validation"]["map@10"] <= 1.0
    assert epochs[-1]["validation"]["queries"] == 2


def test_without_validation_there_is_no_best(corpus, settings_file, tmp_path):
    run = tmp_path / "run"
    train(TrainingConfig.read(settings_file(epochs=1)), corpus, run)
    with pytest.raises(CheckpointError, match="no best checkpoint; take the latest"):
        load_checkpoint(run, "best")
    assert load_checkpoint(run, "preferred").step == load_checkpoint(run).step


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_step_end_and_saves(corpus_folder, corpus, settings_file, tmp_path, number):
    settings, run = settings_file(epochs=100), tmp_path / "run"
    command = [sys.executable, "-c", "import entity_expand.cli as cli; cli.main()", "train", str(settings)]
    child = subprocess.Popen(
        [*command, "--corpus", str(corpus_folder), "--out", str(run)], stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (run / "step-00000006").is_dir():
        assert child.poll() is None, child.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(number)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Stopped after step" in said
    assert "goes on from there" in said
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert load_checkpoint(run).step == json.loads(lines[-1])["step"]
    assert (run / "curves.png").is_file()
    assert (run / "README.md").is_file()
    assert list((run / "tensorboard").iterdir())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler looks at attributes that warn
def test_a_compiled_network_learns_the_same(corpus, settings_file, tmp_path):
    still = ("clusters = 4", "clusters = 4\ndropout = 0.0\nhead_dropout = 0.0")
    losses = []
    for compiled in ("false", "true"):
        text = settings_file(epochs=2, extra=f"compile = {compiled}\n").read_text()
        path = tmp_path / f"{compiled}.toml"
        path.write_text(text.replace(*still).replace("mlp = 32\n\n[vision]", "mlp = 32\ndropout = 0.0\n\n[vision]"))
        train(TrainingConfig.read(path), corpus, tmp_path / compiled)
        losses.append([record["loss"] for record in _records(tmp_path / compiled)])
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


@pytest.mark.parametrize("task", ["matching", "image_text"])
def test_tasks_that_need_both_parts_refuse_to_see_one(settings_file, task):
    extra, hidden = f"[tasks]\n{task} = 0.5\n", "hide_picture = 0.5\nhide_text = {}\n"
    TrainingConfig.read(settings_file(extra=extra, data=hidden.format(0.4)))
    with pytest.raises(ConfigError, match=rf"no sample shows both, and the tasks \['{task}'\]"):
        TrainingConfig.read(settings_file(extra=extra, data=hidden.format(0.5)))
