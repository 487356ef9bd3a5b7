"""What all tests may use."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["servers.fixtures"]

_LEFT_OUT = pytest.StashKey[set[str]]()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with golden data and data sets, for tests marked `shared`; a test that needs it fails without it."""
    folder = Path(os.environ.get("ENTITY_EXPAND_SHARED") or Path(__file__).parents[1].parent / "shared")
    if not folder.is_dir():
        pytest.fail(f'{folder} is missing: set ENTITY_EXPAND_SHARED, or leave these tests out by -m "not shared"')
    return folder.resolve()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("shared"):
            item.config.stash.setdefault(_LEFT_OUT, set()).add(item.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # a worker of pytest-xdist, which alone knows what was left out
        session.config.workeroutput["left_out"] = sorted(session.config.stash.get(_LEFT_OUT, set()))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    found = getattr(node, "workeroutput", {}).get("left_out", [])
    node.config.stash.setdefault(_LEFT_OUT, set()).update(found)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name the tests that were left out because they need the shared folder: they have not passed."""
    left_out = config.stash.get(_LEFT_OUT, set())
    if left_out:
        terminalreporter.section(f"{len(left_out)} tests marked shared were left out")
        for name, count in sorted(Counter(each.partition("[")[0] for each in left_out).items()):
            terminalreporter.write_line(name + (f" ({count} cases)" if count > 1 else ""))
