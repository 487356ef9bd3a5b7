"""Where the metrics of a run go besides its own file: TensorBoard, and whatever trackers the caller brings."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from numbers import Real
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Protocol

from entity_expand.extras import imported
from training.run.metrics import is_of_epoch

_LOG = logging.getLogger(__name__)
STEP_PREFIX = "step/"


class Tracker(Protocol):
    """Receives the metrics of a run while it goes.

    A run that goes on from a checkpoint begins with the step after it: steps that the stopped process had recorded
    later than its last checkpoint come a second time.
    """

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Take the values that belong to a step; the mapping cannot be changed."""

    def close(self) -> None:
        """Finish; nothing is recorded afterwards."""


@dataclass(frozen=True)
class CallbackTracker:
    """A tracker of a function, such as one that passes on to a service.

    Attributes:
        function: Called with the step and the values by name.
    """

    function: Callable[[int, Mapping[str, float]], None]

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Call the function."""
        self.function(step, values)

    def close(self) -> None:
        """Do nothing."""


class TensorBoardTracker:
    """Writes TensorBoard events, which are on the disk when `record` returns.

    Args:
        folder: Folder of the events.
        step: Step of the checkpoint from which a run goes on, 0 for a new one. TensorBoard no longer shows what
            earlier processes wrote after it.

    Raises:
        MissingExtraError: tensorboard is not installed.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        imported("tensorboard", "tensorboard", "train")
        writer: Any = import_module("torch.utils.tensorboard")
        self._writer = writer.SummaryWriter(str(folder), purge_step=step + 1)

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Write one scalar per value; letters that TensorBoard refuses become "_", as in "validation/map_10"."""
        for name, value in values.items():
            self._writer.add_scalar(re.sub(r"[^-/\w.]", "_", name), value, step)
        # A killed process leaves no gap before its last checkpoint, because the events up to it are in the file.
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


class Trackers:
    """Passes records on to any number of trackers.

    A tracker that fails does not stop the training: its first failure is logged as a warning, later ones are passed
    over, and it is still given all that follows. So a service that is away for a while costs only what it missed.
    """

    def __init__(self, trackers: Sequence[Tracker] = ()) -> None:
        self._trackers = tuple(trackers)
        self._failed: set[int] = set()

    def write(self, record: Mapping[str, Any]) -> None:
        """Pass a record of metrics.jsonl on, flattened.

        Args:
            record: With `step`; see docs/training.md.
        """
        values = MappingProxyType(flatten(record))
        for place, tracker in enumerate(self._trackers):
            with self._tolerating(place):
                tracker.record(int(record["step"]), values)

    def close(self) -> None:
        """Close all trackers."""
        for place, tracker in enumerate(self._trackers):
            with self._tolerating(place):
                tracker.close()

    def __enter__(self) -> Trackers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _tolerating(self, place: int) -> Iterator[None]:
        try:
            yield
        except Exception as problem:  # foreign code, which may raise anything and must not end hours of training
            if place not in self._failed:
                name = type(self._trackers[place]).__name__
                _LOG.warning("The tracker %s failed, training goes on: %s: %s", name, type(problem).__name__, problem)
            self._failed.add(place)


def flatten(record: Mapping[str, Any]) -> dict[str, float]:
    """Return a record's numbers by names such as "held_out/both/accuracy"; `step` and what is no number are left out.

    Truth values become 0 or 1. Names of a single step's values begin with "step/", so that a batch's loss and an
    epoch's mean loss are not one curve.
    """
    rest = {key: value for key, value in record.items() if key != "step"}
    return dict(_numbers(rest, "" if is_of_epoch(record) else STEP_PREFIX))


def _numbers(values: Mapping[str, Any], where: str) -> Iterator[tuple[str, float]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{where}{key}/")
        elif isinstance(value, Real):
            yield f"{where}{key}", float(value)
