"""What has been measured: one JSON line for each training and way, so that nothing is measured twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from entity_expand.config import to_mapping
from entity_expand.corpus import Corpus, Query, read_queries, read_truth
from entity_expand.files import locked
from training.config import TrainingConfig, ValidationSettings
from training.experiments.describe import Way
from training.experiments.made import Made
from training.experiments.measuring import FOLDERS, Answer
from training.validation import chosen_classes


def data_hash(corpus: Corpus, settings: ValidationSettings) -> str:
    """Return a hash of what a training reads: a corpus, and the queries and the truth of the classes that validate.

    Args:
        corpus: Its content hash covers neither queries nor truth.
        settings: Where these are, and which classes validate.

    Raises:
        ConfigError: The settings name a class that there is not.
        CorpusError: A folder cannot be read.
    """
    truth = read_truth(corpus.root / settings.truth)
    members = {name: sorted(truth[name]) for name in chosen_classes(truth, settings)}
    queries = read_queries(corpus.root / (settings.queries or FOLDERS[3]))
    asked = [astuple(query) for query in queries if query.class_name in members]
    return _hash([corpus.content_hash, members, asked])


def run_key(config: TrainingConfig, data: str) -> str:
    """Return what names the run of a configuration on data: equal ones are trained once for all experiments."""
    return _hash([to_mapping(config), data])[:16]


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Result:
    """The lists of a training.

    Attributes:
        run: Key of the run.
        variant: Name of the variant.
        seed: Of the training.
        answer: The lists.
        made: What made them.
    """

    run: str
    variant: str
    seed: int
    answer: Answer
    made: Made


class Records:
    """Answers in a file of JSON lines, found by run, way and number of seeds; they hold ids alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self._found = {key: record for key, record in map(_parsed, lines) if key}

    def answers(self, run: str, way: Way, queries: Mapping[int, Sequence[Query]]) -> list[Answer]:
        """Return what was measured of a run in a way; nothing unless it is of exactly these queries.

        Args:
            run: Key of the run.
            way: How the model was asked.
            queries: By number of seeds.
        """
        records = [self._found.get((run, _way_key(way), seeds)) for seeds in queries]
        found = [_answer(record, way) for record in records if record is not None]
        measured = {each.seeds: {*each.lists, *each.left_out} for each in found}
        return found if measured == {seeds: set(asked) for seeds, asked in queries.items()} else []

    def made(self, run: str, way: Way, seeds: int) -> Made:
        """Return what made an answer that there is."""
        return Made.of(self._found[run, _way_key(way), seeds])

    def add(self, run: str, answers: Sequence[Answer]) -> None:
        """Append answers; what other processes have appended meanwhile stays."""
        records = [_record(run, answer) for answer in answers]
        self._found |= {_key(record): record for record in records}
        with locked(self._path), self._path.open("a+b") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            torn = file.read(1) not in (b"", b"\n")  # by a crash; the next line must not be torn with it
            file.write(b"\n" * torn + "".join(json.dumps(record) + "\n" for record in records).encode())


def distinct(ways: Sequence[Way]) -> list[Way]:
    """Return the ways without those that are asked as one before them is; rows of several may show the same answer."""
    return list({_way_key(way): way for way in reversed(ways)}.values())[::-1]


def _way_key(way: Way) -> str:
    """Return the way without what only its row in a table is called and where it stands."""
    kept = {name: value for name, value in asdict(way).items() if name not in ("family", "series", "share")}
    if way.shown != "apart":
        kept.pop("picture_weight")
    return json.dumps(kept, sort_keys=True)


def _record(run: str, answer: Answer) -> dict[str, Any]:
    left_out = [astuple(query) for query in answer.left_out]
    lists = [[*astuple(query), ids] for query, ids in answer.lists.items()]
    asked = {"run": run, "way": _way_key(answer.way), "seeds": answer.seeds, **Made.here().kept()}
    return {**asked, "left_out": left_out, "lists": lists}


def _key(record: Mapping[str, Any]) -> tuple[str, str, int]:
    return str(record["run"]), str(record["way"]), int(record["seeds"])


def _parsed(line: str) -> tuple[tuple[str, str, int] | None, dict[str, Any]]:
    try:
        record = json.loads(line)
        return _key(record), record
    except (ValueError, KeyError, TypeError):
        return None, {}  # cut by a crash; it is measured again


def _answer(record: Mapping[str, Any], way: Way) -> Answer:
    lists = {Query(name, number, tuple(seeds)): tuple(ids) for name, number, seeds, ids in record["lists"]}
    left_out = tuple(Query(name, number, tuple(seeds)) for name, number, seeds in record["left_out"])
    return Answer(way, record["seeds"], lists, left_out)
