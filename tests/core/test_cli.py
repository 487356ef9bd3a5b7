"""The command line's border: errors become one line."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from entity_expand import ConfigError, StoreError, cli


@pytest.mark.parametrize("error", [StoreError("no index here"), PermissionError(13, "Permission denied", "index")])
def test_errors_become_one_line(error, monkeypatch, capsys) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "group", fail)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("entity-expand: ")


@pytest.mark.parametrize(
    "line", [b'{"id": "\xff", "attributes": {}}', b"\xff\xfe{}", b"[]", b'{"id": 7}', b"[" * 10_000]
)
def test_attributes_that_cannot_be_read_are_one_line(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b'{"id": "1", "attributes": {}}\n\n' + line)
    found = CliRunner().invoke(cli.group, ["index", "attributes", "http://127.0.0.1:9/x", str(tmp_path / "rows")])
    assert isinstance(found.exception, ConfigError) and "rows, line 3: expected" in str(found.exception)


def test_help_lists_the_commands_without_loading_them(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["entity-expand", "--help"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("corpus", "train", "export", "index", "expand", "evaluate", "demo"))
