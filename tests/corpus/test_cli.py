from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from entity_expand.cli import group
from entity_expand.errors import CorpusError


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    records = [
        {"text": "Oslo lies in Norway.", "entity": "Oslo", "image": "o.png"},
        {"text": "Rome", "entity": "Rome"},
        {"text": "Bern", "entity": "Paris"},
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (3, 3)).save(tmp_path / "pictures" / "o.png")
    return path


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(group, ["corpus", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_import_then_check(rows: Path, tmp_path: Path) -> None:
    code, output = run("import", rows, tmp_path / "out", "--images", tmp_path / "pictures")
    assert code == 0
    assert "rows imported             2 of 3" in output
    assert "rows.jsonl: 1 x row dropped: its entity is not mentioned in the text; line 3 ('Paris')" in output
    code, output = run("check", tmp_path / "out", "--strict", "--decode")
    assert code == 0
    assert "distinct pictures         1" in output
    assert "nothing was dropped" in output
    code, output = run("check", tmp_path / "out", "--json")
    assert code == 0
    report = json.loads(output)
    assert (report["samples"], report["entities"], report["entities_without_samples"]) == (2, 3, 1)
    assert report["samples_per_entity"] == [[0, 0, 1], [1, 1, 2]]


def test_strict_import_writes_nothing(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is not clean"):
        run("import", rows, tmp_path / "out", "--images", tmp_path / "pictures", "--strict")
    assert not (tmp_path / "out").exists()


def test_strict_check_exits_with_one(rows: Path, tmp_path: Path) -> None:
    run("import", rows, tmp_path / "out", "--images", tmp_path / "pictures")
    with (tmp_path / "out" / "sentences.jsonl").open("a") as handle:
        handle.write("{}\n")
    code, output = run("check", tmp_path / "out", "--strict")
    assert code == 1
    assert "sentences.jsonl: 1 x row dropped: no mention; line 3" in output
    assert run("check", tmp_path / "out")[0] == 0
