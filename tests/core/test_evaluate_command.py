"""`entity-expand evaluate`: which classes are measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from contract.world import make_world
from entity_expand.cli import group
from entity_expand.corpus import Query, validation_classes, write_queries, write_truth
from entity_expand.errors import QueryError

NAMES = ("one", "two", "three", "four", "five")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    make_world(folder)
    members = {name: [str(10 * k + n) for n in range(10)] for k, name in enumerate(NAMES)}
    write_queries(folder / "query", [Query(name, 0, tuple(ids[:3])) for name, ids in members.items()])
    write_queries(folder / "five", [Query(name, 0, tuple(ids[:5])) for name, ids in members.items()])
    write_truth(folder / "gt", {name: [(each, each) for each in ids] for name, ids in members.items()})
    (folder / "classes.txt").write_text("two\n\n four \n")
    return folder


def measured(folder: Path, *options: str) -> list[set[str]]:
    """Return the classes of each evaluation."""
    arguments = ["evaluate", str(folder / "index"), "--truth", str(folder / "gt"), "--protocol", "single", "--json"]
    for name in ("query", "five"):
        arguments += ["--queries", str(folder / name)]
    result = CliRunner().invoke(group, [*arguments, *options])
    if result.exception is not None:
        raise result.exception
    return [set(found["by_class"]) for found in json.loads(result.stdout)]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_parts_are_what_validates_and_all_others(folder: Path, share: float) -> None:
    validating = set(validation_classes(NAMES, share))
    assert measured(folder) == [set(NAMES)] * 2
    assert measured(folder, "--part", "validation", "--share", str(share)) == [validating] * 2
    assert measured(folder, "--part", "report", "--share", str(share)) == [set(NAMES) - validating] * 2


def test_a_file_may_name_the_classes(folder: Path) -> None:
    file = str(folder / "classes.txt")
    assert measured(folder, "--part", "validation", "--classes-from", file) == [{"two", "four"}] * 2
    assert measured(folder, "--part", "report", "--classes-from", file) == [{"one", "three", "five"}] * 2
    (folder / "wrong.txt").write_text("two\nsix\n")
    with pytest.raises(QueryError, match=r"wrong\.txt names 'six'"):
        measured(folder, "--part", "report", "--classes-from", str(folder / "wrong.txt"))
