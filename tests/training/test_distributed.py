"""Two processes on the CPU give what one gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from entity_expand.errors import TrainingError
from training.checkpoint import load_checkpoint
from training.config import TrainingConfig
from training.distributed import World, joined
from training.loop import train

TASKS = """
[tasks]
schedule = "{schedule}"
instance = 0.5
cluster = 0.2
distillation = 0.1
momentum = 0.9
{more}
[mining]
class_size = 3
positives = 2
partners = 1
"""
COMMAND = [sys.executable, "-c", "import entity_expand.cli as cli; cli.main()"]


def _settings(settings_file, schedule: str, more: str) -> Path:
    path = settings_file(epochs=2, extra=TASKS.format(schedule=schedule, more=more), data="hide_words = 0.2\n")
    text = path.read_text().replace("clusters = 4", "clusters = 4\ndropout = 0.0\nhead_dropout = 0.0")
    # Batches of 7: the processes have 4 and 3 rows, and of the last batch, of one row, one process has none.
    text = text.replace("mlp = 32\n\n[vision]", "mlp = 32\ndropout = 0.0\n\n[vision]")
    # The gradients of keys' biases are nothing but rounding, which AdamW would blow up with a small epsilon.
    path.write_text(text.replace("batch_size = 8", "batch_size = 7\nepsilon = 1e-3"))
    return path


def _torchrun(arguments: list[str], processes: int = 2) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [*launch, "--no-python", *COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=300
    )
    assert found.returncode == 0, found.stderr[-4000:]


def _records(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(("schedule", "more"), [("phases", ""), ("joint", "words = 0.3\nimage_text = 0.3")])
def test_two_processes_give_the_losses_of_one(corpus_folder, corpus, settings_file, tmp_path, schedule, more):
    settings = _settings(settings_file, schedule, more)
    one, two, cache = tmp_path / "one", tmp_path / "two", tmp_path / "cache"
    train(TrainingConfig.read(settings), corpus, one, cache=cache)
    arguments = ["train", str(settings), "--corpus", str(corpus_folder), "--cache", str(cache), "--no-reports"]
    _torchrun([*arguments, "--out", str(two)])
    alone, together = _records(one), _records(two)
    assert [record["step"] for record in together] == [record["step"] for record in alone]
    names = {"entity", "instance", "cluster", *(line.split()[0] for line in more.splitlines())}
    assert {name for record in alone for name in record["losses"]} == names
    for record, other in zip(alone, together, strict=True):
        assert record["losses"] == pytest.approx(other["losses"], abs=1e-5)
        assert record.get("accuracy") == other.get("accuracy")
        if "gradient_norm" in record:
            assert record["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-4)
    weights, others = load_checkpoint(one), load_checkpoint(two)
    for name, value in weights.model_state.items():
        torch.testing.assert_close(value, others.model_state[name], atol=1e-4, rtol=1e-3)
    head = "teacher.head.rows.weight"
    torch.testing.assert_close(weights.teacher_tensors()[head], others.teacher_tensors()[head], atol=1e-4, rtol=1e-3)


def test_rows_are_dealt_out_evenly_and_in_order():
    worlds = [World(rank, 3) for rank in range(3)]
    assert worlds[0].sizes(8) == (3, 3, 2)
    assert [np.arange(8)[world.own(8)].tolist() for world in worlds] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert [world.sizes(1) for world in worlds[:1]] == [(1, 0, 0)]
    assert [world.first for world in worlds] == [True, False, False]


def test_one_process_sends_nothing():
    rows = torch.ones(3, 2, requires_grad=True)
    assert World().gather(rows, 3) is rows
    assert World().agreed(0.5, torch.device("cpu")) == 0.5
    assert [each.tolist() for each in World().share([np.arange(2)], torch.device("cpu"))] == [[0, 1]]


def test_a_group_that_the_caller_made_is_refused_unless_it_has_one_process(monkeypatch):
    size = 2
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: size)
    with pytest.raises(TrainingError, match=r"group of 2 already.*after destroy_process_group"), joined("cpu"):
        pass
    size = 1
    with joined("cpu") as world:
        assert world == World()
