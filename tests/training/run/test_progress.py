from __future__ import annotations

import functools
import io
import re
import sys

import pytest
import torch
from tqdm import tqdm

from training.config import TrainingConfig
from training.run.metrics import read_metrics
from training.run.progress import RunProgress, duration, loss_text
from training.trainer import Trainer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def run(progress, clock, steps, seconds, pairs=64):
    for step in steps:
        clock.now += seconds
        progress.update(step, pairs)


def test_the_time_left_is_that_of_the_remaining_steps(clock):
    progress = RunProgress(100, clock=clock)
    assert (progress.pairs_per_second, progress.seconds_left) == (None, None)
    assert progress.postfix(1.5) == "loss 1.500"
    run(progress, clock, range(1, 11), 2.0)
    assert progress.seconds_left == pytest.approx(90 * 2.0)
    assert progress.pairs_per_second == pytest.approx(64 / 2.0)
    assert progress.postfix(1.234, {"instance": 0.5, "cluster": 2}) == (
        "loss 1.234 (instance 0.500, cluster 2.000), 32 pairs/s, 3 min left"
    )


def test_a_slow_first_step_counts_only_while_it_is_the_only_one(clock):
    progress = RunProgress(10, clock=clock)
    run(progress, clock, [1], 60.0)
    assert progress.seconds_left == pytest.approx(9 * 60.0)
    run(progress, clock, [2, 3], 1.0)
    assert progress.seconds_left == pytest.approx(7 * 1.0)


def test_a_run_that_goes_on_measures_its_own_steps_alone(clock):
    progress = RunProgress(1000, 900, clock)
    assert progress.seconds_left is None
    run(progress, clock, [901], 3.0)
    assert progress.seconds_left == pytest.approx(99 * 3.0)
    run(progress, clock, range(902, 911), 2.0)
    assert progress.seconds_left == pytest.approx(90 * 2.0)


def test_pauses_between_epochs_lengthen_the_time_left_but_not_the_rate(clock):
    progress = RunProgress(20, clock=clock)
    run(progress, clock, range(1, 6), 1.0, pairs=10)
    clock.now += 4.0  # a measurement
    progress.begin_epoch()
    run(progress, clock, range(6, 10), 1.0, pairs=10)
    assert progress.pairs_per_second == pytest.approx(10.0)
    assert progress.seconds_left == pytest.approx(11 * (8 * 1.0 + 4.0) / 8)


def test_a_finished_run_has_no_time_left(clock):
    progress = RunProgress(2, clock=clock)
    run(progress, clock, [1, 2], 1.0)
    assert progress.seconds_left == 0
    assert progress.postfix(1.0) == "loss 1.000, 64 pairs/s"
    progress.total = 1
    assert progress.seconds_left == 0


def test_an_epoch_has_one_line(clock):
    progress = RunProgress(20, clock=clock)
    run(progress, clock, range(1, 11), 1.0)
    record = {
        "step": 10, "epoch": 1, "loss": 2.5, "losses": {"entity": 2.0, "cluster": 0.5}, "accuracy": 0.25,
        "pairs_per_second": 64.4, "held_out": {"both": {"accuracy": 0.5}, "text": {"loss": 1.0}},
        "validation": {"map@10": 0.54, "map@20": 0.5, "queries": 20, "seeds": 3}, "best": True,
    }  # fmt: skip
    assert progress.epoch_line(record, 2) == (
        "epoch 1/2: loss 2.500 (entity 2.000, cluster 0.500), accuracy 0.250, 64 pairs/s, 10 s left; "
        "held out both 0.500; validation map@10 0.540, map@20 0.500 (best)"
    )


def test_an_epochs_line_does_without_what_is_missing(clock):
    assert RunProgress(4, clock=clock).epoch_line({"step": 2, "epoch": 1, "loss": 2.0, "held_out": None}, 2) == (
        "epoch 1/2: loss 2.000"
    )
    assert RunProgress(4, clock=clock).epoch_line({"validation": {"queries": 3}}, 2) == "epoch ?/2: "


def test_tasks_are_named_where_there_are_several():
    assert loss_text(1.0, {"entity": 1.0}) == "loss 1.000"
    assert loss_text(3.0, {"entity": 1.0, "cluster": 2.0}) == "loss 3.000 (entity 1.000, cluster 2.000)"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (89 * 60, "89 min"),
        (2 * 3600 + 10 * 60, "2 h 10 min"),
        (47 * 3600, "47 h 0 min"),
        (3 * 86400 + 4 * 3600, "3 d 4 h"),
    ],
)
def test_durations_have_one_or_two_units(seconds, words):
    assert duration(seconds) == words


class Screen(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def shown(corpus, settings, run, monkeypatch, terminal: bool) -> str:
    """Train, and return what came onto the screen."""
    run.mkdir()
    with torch.random.fork_rng():
        trainer = Trainer(TrainingConfig.read(settings), corpus, run, run / "cache", None, lambda line: None)
        screen = Screen(terminal)
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "stderr", screen)
        # Otherwise steps that take less than a tenth of a second are not all drawn.
        monkeypatch.setattr("training.trainer.tqdm", functools.partial(tqdm, mininterval=0, miniters=1))
        trainer.train()
    return screen.getvalue()


def test_a_terminal_shows_loss_and_pace_of_each_step(corpus, settings_file, tmp_path, monkeypatch):
    text = shown(corpus, settings_file(1), tmp_path / "run", monkeypatch, True)
    words = r"epoch 1/1: .*\| (\d+)/7 .*, loss (\d+\.\d{3}), (\d+) pairs/s(, \d+ s left)?\]"
    drawn = [re.search(words, each) for each in text.split("\r")]
    found = [(int(each[1]), float(each[2])) for each in drawn if each]
    records = [record for record in read_metrics(tmp_path / "run" / "metrics.jsonl") if "phase" in record]
    counts = [8, 8, 8, 8, 8, 8, 2]  # 50 samples in batches of 8
    sums = [sum(n * record["loss"] for n, record in zip(counts[:k], records[:k], strict=True)) for k in range(1, 8)]
    means = [total / sum(counts[:k]) for k, total in enumerate(sums, 1)]
    assert found == [(step, pytest.approx(mean, abs=6e-4)) for step, mean in enumerate(means, 1)]
    assert all(int(each[3]) > 0 for each in drawn if each)
    assert [bool(each[4]) for each in drawn if each] == [True] * 6 + [False]  # after the last step no time is left


def test_nothing_is_drawn_without_a_terminal(corpus, settings_file, tmp_path, monkeypatch):
    assert shown(corpus, settings_file(1), tmp_path / "run", monkeypatch, False) == ""
