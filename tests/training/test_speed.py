"""The benchmark of training: the settings of its sides, and what it makes of rates."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

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
