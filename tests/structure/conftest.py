"""The repository as its own test's subject: files, modules and syntax trees."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGES = ("entity_expand", "export", "indexer", "training")
NOT_OURS = {"build", "dist", "__pycache__"}


@dataclass(frozen=True)
class Module:
    name: str  # entity_expand.cli.index
    path: str  # entity_expand/cli/index.py
    text: str
    tree: ast.Module


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tracked(root: Path) -> tuple[str, ...]:
    """Paths of the files under version control; without git, of all but hidden and built ones."""
    if shutil.which("git") and (root / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True).stdout
        return tuple(path for path in listed.split("\0") if path and (root / path).is_file())
    found = []
    for folder, inner, files in os.walk(root):
        inner[:] = [name for name in inner if name not in NOT_OURS and not name.startswith(".")]
        found += [(Path(folder) / name).relative_to(root).as_posix() for name in files if not name.endswith(".pyc")]
    return tuple(found)


@pytest.fixture(scope="session")
def modules(root: Path) -> tuple[Module, ...]:
    """All modules of the four packages."""
    found = []
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            path = file.relative_to(root)
            parts = path.parent.parts if file.name == "__init__.py" else path.with_suffix("").parts
            text = file.read_text(encoding="utf-8")
            found.append(Module(".".join(parts), path.as_posix(), text, ast.parse(text)))
    assert {module.name.partition(".")[0] for module in found} == set(PACKAGES)
    return tuple(found)
