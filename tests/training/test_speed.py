"""The benchmark of training: the settings of its sides, and what it makes of rates."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from training.config import TaskSettings

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def speed(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("training_speed")


def test_a_mode_of_the_compiler_is_for_one_side_alone(speed, tmp_path):
    args = speed.parsed(["--compile-mode", "reduce-overhead"])
    config = speed.settings_of(args, tmp_path)
    assert (config.loop.compile, config.loop.compile_mode) == (True, "reduce-overhead")
    eager = speed.eager(config.loop)
    assert (eager.compile, eager.compile_mode) == (False, None)
    assert replace(eager, compile=True, compile_mode="reduce-overhead") == config.loop
    plain = speed.settings_of(speed.parsed([]), tmp_path).loop
    assert speed.eager(plain) == plain


@pytest.mark.parametrize(
    ("tasks", "views"),
    [
        (TaskSettings(), 100),
        (TaskSettings(schedule="joint", instance=0.5, cluster=0.2), 100 + 2 * 100),
        (TaskSettings(instance=0.5, cluster=0.2), 100 + 2 * 2 * 2 * 100),  # two passes with each contrast
        (TaskSettings(instance=0.5, passes=3), 100 + 3 * 2 * 100),
    ],
)
def test_both_sides_of_pairs_are_counted(speed, tasks, views):
    assert speed.epoch_views(tasks, 100) == views


def test_the_projection_counts_what_the_rates_count(speed, capsys):
    cost = speed.CacheCost(1.0, 1.0, 10, 10, 2**20, 2**20)
    samples, hours = 14_489 * 64 * 50, 434_675 * (1 / 10 + 1 / 10) / 3600
    for tasks, times in ((TaskSettings(), (1,)), (TaskSettings(schedule="joint", instance=0.5, cluster=0.2), (3, 9))):
        speed.report_costs([1000.0, 100.0], tasks, 100, cost)
        _, paid, *projected = capsys.readouterr().out.splitlines()
        assert f"epochs of {times[0] * 100} texts" in paid
        assert len(projected) == len(times)
        for line, each in zip(projected, times, strict=True):
            assert ("assumed" in line) == bool(tasks.contrasts)
            assert f": {each * samples / 1e6:.1f} million texts" in line
            assert f": {each * samples / 1000 / 3600 + hours:.1f} h, of these {hours:.1f} h for the cache" in line
