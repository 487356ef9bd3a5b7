"""What all tests may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with golden data and data sets, for tests marked `shared`; a test that needs it fails without it."""
    folder = Path(os.environ.get("ENTITY_EXPAND_SHARED") or Path(__file__).parents[1].parent / "shared")
    if not folder.is_dir():
        pytest.fail(f'{folder} is missing: set ENTITY_EXPAND_SHARED, or leave these tests out by -m "not shared"')
    return folder.resolve()
