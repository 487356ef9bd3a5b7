"""The factor of the learning rate over a run."""

from __future__ import annotations

import math

from training.config import LoopSettings
from training.optim import schedule


def test_schedule():
    settings = LoopSettings(warmup_steps=3)
    assert [schedule(settings, step, step, 13) for step in range(3)] == [1 / 4, 2 / 4, 3 / 4]
    assert schedule(settings, 3, 3, 13) == 1.0
    assert abs(schedule(settings, 8, 8, 13) - 0.5) < 1e-12
    assert schedule(LoopSettings(schedule="constant"), 99, 99, 100) == 1.0


def test_the_warm_up_goes_on_where_epochs_become_longer_or_shorter():
    settings = LoopSettings(warmup_steps=100)
    # A first epoch of 50 steps, then nine of 500: the second one's first step is the run's 51st.
    assert schedule(settings, 49, 49, 10 * 50) == 50 / 101
    assert schedule(settings, 50, 500, 10 * 500) == 51 / 101
    assert schedule(settings, 100, 550, 10 * 500) == 0.5 * (1 + math.cos(math.pi * (550 - 100) / (5000 - 100)))
    # A first epoch of 500 steps, then nine of 50: the cosine does not run backwards.
    assert schedule(settings, 500, 50, 10 * 50) == 1.0
