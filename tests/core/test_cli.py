"""The command line's border: errors become one line."""

import sys

import pytest

from entity_expand import StoreError, cli


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


def test_help_lists_the_commands_without_loading_them(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["entity-expand", "--help"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("corpus", "train", "export", "index", "expand", "evaluate", "demo"))
