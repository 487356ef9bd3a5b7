"""What metrics.jsonl says of a finished run: how long it was, and what was measured at its best and its last epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.run.metrics import Record, at, is_of_epoch, keys, number, numbers


@dataclass(frozen=True)
class Length:
    """How long a run was.

    Attributes:
        steps, epochs: Finished ones.
        pairs: Pairs trained on, those of stopped processes that were not repeated left out; rounded.
        seconds: Time of the epochs on the clock. Of an epoch in which a run was stopped it is the time since it
            went on.
        device, precision: What it was computed on and with.
        seed: Of the run.
    """

    steps: int
    epochs: int
    pairs: int
    seconds: float
    device: str
    precision: str
    seed: int


@dataclass(frozen=True)
class Measured:
    """What was measured after an epoch.

    Attributes:
        step, epoch: When.
        validation: Values by measure, as "map@10".
        held_out: Loss and accuracy by what the model was shown.
        queries, seeds: Of the validation, None where they were not recorded.
    """

    step: int
    epoch: int | None
    validation: Mapping[str, float]
    held_out: Mapping[str, Mapping[str, float]]
    queries: int | None = None
    seeds: int | None = None


def length(records: Sequence[Record], device: str, precision: str, seed: int) -> Length:
    """Add up the epochs of metrics.jsonl."""
    epochs = [record for record in records if is_of_epoch(record)]
    spans = [(number(record.get("seconds")) or 0.0, number(record.get("pairs_per_second")) or 0.0) for record in epochs]
    return Length(
        steps=max((int(record["step"]) for record in records), default=0),
        epochs=max((_whole(record.get("epoch")) or 0 for record in epochs), default=0),
        pairs=round(sum(seconds * rate for seconds, rate in spans)),
        seconds=sum(seconds for seconds, _ in spans),
        device=device,
        precision=precision,
        seed=seed,
    )


def last_measured(records: Sequence[Record]) -> Measured | None:
    """Return what was measured at the last epoch that measured anything, None if none did."""
    found = _all_measured(records)
    return found[-1][1] if found else None


def best_measured(records: Sequence[Record]) -> Measured | None:
    """Return what was measured at the best epoch: the last that was recorded as the best so far, None without one."""
    found = [measured for record, measured in _all_measured(records) if record.get("best") is True]
    return found[-1] if found else None


def _all_measured(records: Sequence[Record]) -> list[tuple[Record, Measured]]:
    pairs = [(record, _measured(record)) for record in records if is_of_epoch(record)]
    return [(record, measured) for record, measured in pairs if measured.validation or measured.held_out]


def _measured(record: Record) -> Measured:
    validation = numbers(record.get("validation"))
    held_out = {name: numbers(at(record, "held_out", name)) for name in keys(record.get("held_out"))}
    return Measured(
        step=int(record["step"]),
        epoch=_whole(record.get("epoch")),
        validation={name: value for name, value in validation.items() if "@" in name},
        held_out={name: values for name, values in held_out.items() if values},
        queries=_whole(validation.get("queries")),
        seeds=_whole(validation.get("seeds")),
    )


def _whole(value: object) -> int | None:
    found = number(value)
    return None if found is None else int(found)
