"""What has been measured: one JSON line for each training and way, so that nothing is measured twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from entity_expand.config import to_mapping
from entity_expand.corpus import Query
from entity_expand.files import locked
from training.config import TrainingConfig
from training.experiments.describe import Way
from training.experiments.measuring import Answer


def run_key(config: TrainingConfig, corpus_hash: str) -> str:
    """Return what names the run of a configuration on a corpus: equal ones are trained once for all experiments."""
    whole = json.dumps([to_mapping(config), corpus_hash], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Result:
    """The lists of a training.

    Attributes:
        run: Key of the run.
        variant: Name of the variant.
        seed: Of the training.
        answer: The lists.
    """

    run: str
    variant: str
    seed: int
    answer: Answer


class Records:
    """Answers in a file of JSON lines, found by run, way and number of seeds; they hold ids alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self._found = {key: record for key, record in map(_parsed, lines) if key}

    def answers(self, run: str, way: Way) -> list[Answer]:
        """Return what was measured of a run in a way; nothing if it was not."""
        kept = [record for key, record in self._found.items() if key[:2] == (run, _way_key(way))]
        return [_answer(record, way) for record in kept]

    def add(self, run: str, answers: Sequence[Answer]) -> None:
        """Append answers; what other processes have appended meanwhile stays."""
        records = [_record(run, answer) for answer in answers]
        self._found |= {_key(record): record for record in records}
        with locked(self._path), self._path.open("a+b") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            torn = file.read(1) not in (b"", b"\n")  # by a crash; the next line must not be torn with it
            file.write(b"\n" * torn + "".join(json.dumps(record) + "\n" for record in records).encode())


def _way_key(way: Way) -> str:
    """Return the way without what only its row in a table is called and where it stands."""
    kept = {name: value for name, value in asdict(way).items() if name not in ("family", "series", "share")}
    if way.shown != "apart":
        kept.pop("picture_weight")
    return json.dumps(kept, sort_keys=True)


def _record(run: str, answer: Answer) -> dict[str, Any]:
    lists = [[query.class_name, query.number, query.seeds, ids] for query, ids in answer.lists.items()]
    about = {"run": run, "way": _way_key(answer.way), "seeds": answer.seeds, "left_out": answer.left_out}
    return {**about, "lists": lists}


def _key(record: Mapping[str, Any]) -> tuple[str, str, int]:
    return str(record["run"]), str(record["way"]), int(record["seeds"])


def _parsed(line: str) -> tuple[tuple[str, str, int] | None, dict[str, Any]]:
    try:
        record = json.loads(line)
        return _key(record), record
    except (ValueError, KeyError, TypeError):
        return None, {}  # cut by a crash; it is measured again


def _answer(record: Mapping[str, Any], way: Way) -> Answer:
    rows: Iterable[Any] = record["lists"]
    lists = {Query(name, number, tuple(seeds)): tuple(ids) for name, number, seeds, ids in rows}
    return Answer(way, record["seeds"], lists, record["left_out"])
