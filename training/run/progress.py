"""What a run says while it goes: loss, pairs per second, time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from training.run.metrics import Record, at, keys, number, numbers

MINUTE, HOUR, DAY = 60, 3600, 86400


class RunProgress:
    """Counts steps and pairs of this process, and puts them in words.

    The time left is that of the whole run: the remaining steps at the mean rate of those that this process has
    finished, whatever lay between them (measurements, checkpoints) included. The first of them is left out as soon as
    there is another, because it is slower than the rest: kernels are compiled, caches are cold. Steps of earlier
    processes count as done, but say nothing of the rate.

    Args:
        total: Steps of the whole run.
        step: Steps that are done already, as when a run goes on.
        clock: Gives the seconds.
    """

    def __init__(self, total: int, step: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self._clock = clock
        self._step, self._now = step, clock()
        self._from_step, self._from_time = step, self._now
        self._warm = False
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Count pairs per second anew."""
        self._epoch_time, self._pairs = self._clock(), 0

    def update(self, step: int, pairs: int) -> None:
        """Note a finished step.

        Args:
            step: Steps of the run that are done now.
            pairs: Pairs of this step.
        """
        # Where the first step ended, the rate is measured from the second finished step on.
        if not self._warm and self._step > self._from_step:
            self._from_step, self._from_time, self._warm = self._step, self._now, True
        self._step, self._now = step, self._clock()
        self._pairs += pairs

    @property
    def pairs_per_second(self) -> float | None:
        """Pairs per second since the epoch, or the process, began; None before a step is finished."""
        seconds = self._now - self._epoch_time
        return self._pairs / seconds if self._pairs and seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end of the run; None before a step is finished."""
        done = self._step - self._from_step
        if done <= 0:
            return None
        return max(0, self.total - self._step) * (self._now - self._from_time) / done

    def postfix(self, loss: float, losses: Mapping[str, float] | None = None) -> str:
        """Return the words beside the bar: "loss 1.234 (instance 0.512, cluster 2.041), 812 pairs/s, 3 min left"."""
        return ", ".join([loss_text(loss, losses or {}), *self._pace(self.pairs_per_second)])

    def epoch_line(self, record: Record, epochs: int) -> str:
        """Return the line of an epoch.

        Args:
            record: The epoch's record of metrics.jsonl; what it lacks is left out.
            epochs: Epochs of the run.
        """
        loss, accuracy = number(record.get("loss")), number(record.get("accuracy"))
        parts = [] if loss is None else [loss_text(loss, numbers(record.get("losses")))]
        parts += [] if accuracy is None else [f"accuracy {accuracy:.3f}"]
        parts += self._pace(number(record.get("pairs_per_second")))
        tails = [", ".join(parts)] if parts else []
        held_out = {name: number(at(record, "held_out", name, "accuracy")) for name in keys(record.get("held_out"))}
        if shares := numbers(held_out):
            tails.append(f"held out {_listed(shares)}")
        if means := {name: value for name, value in numbers(record.get("validation")).items() if "@" in name}:
            tails.append(f"validation {_listed(means)}" + (" (best)" if record.get("best") is True else ""))
        return f"epoch {record.get('epoch', '?')}/{epochs}: {'; '.join(tails)}"

    def _pace(self, rate: float | None) -> list[str]:
        left = self.seconds_left
        parts = [] if rate is None else [f"{rate:.0f} pairs/s"]
        return parts + ([] if not left else [f"{duration(left)} left"])


def loss_text(loss: float, losses: Mapping[str, float]) -> str:
    """Return a loss, and those of its tasks where there are several."""
    return f"loss {loss:.3f}" + (f" ({_listed(losses)})" if len(losses) > 1 else "")


def duration(seconds: float) -> str:
    """Return a time in its one or two largest units: "40 s", "3 min", "2 h 10 min", "3 d 4 h"."""
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 90 * MINUTE:
        return f"{seconds / MINUTE:.0f} min"
    if seconds < 2 * DAY:
        minutes = round(seconds / MINUTE)
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / HOUR)
    return f"{hours // 24} d {hours % 24} h"


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items())
