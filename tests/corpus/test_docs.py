from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from entity_expand.cli import group

DOCUMENT = Path(__file__).parents[2] / "docs" / "corpus.md"


def test_the_example_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)
    rows, entities = (body for kind, body in blocks if kind == "jsonl")
    (tmp_path / "rows.jsonl").write_text(rows)
    (tmp_path / "entities.jsonl").write_text(entities)
    monkeypatch.chdir(tmp_path)
    commands = [line[2:] for kind, body in blocks if kind == "console" for line in body.splitlines()]
    assert len(commands) == 2
    for command in commands:
        result = CliRunner().invoke(group, shlex.split(command)[1:], catch_exceptions=False)
        assert result.exit_code == 0
    [code] = [body for kind, body in blocks if kind == "python"]
    exec(compile(code, str(DOCUMENT), "exec"), {})
    expected = [line.split("#", 1)[1].strip() for line in code.splitlines() if "#" in line]
    assert capsys.readouterr().out.splitlines() == expected
