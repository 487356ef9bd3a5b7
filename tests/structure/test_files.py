"""What no file of the repository may hold, and that its documents' links lead somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

if TYPE_CHECKING:
    from conftest import Module

LARGEST = 2_000_000
LARGE: dict[str, str] = {
    "entity_expand/demo/bundle/encoder.onnx": "the demo's trained model, so that the demo needs no training",
}
"""Reason by path of a file that may be larger."""
PICKLE_MAY_BE_NAMED = {"training/backbones.py": "torch.load(weights_only=True) raises pickle.UnpicklingError"}
# Put together from parts, so that this file does not hold what it looks for.
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"), ("pythonhosted", "org"), ("download", "pytorch", "org"), ("anaconda", "org"),
        ("registry", "npmjs", "org"), ("repo", "maven", "apache", "org"), ("repo1", "maven", "org"),
        ("conda", "io"), ("crates", "io"), ("proxy", "golang", "org"), ("ghcr", "io"), ("docker", "io"),
    )
)  # fmt: skip
MACHINE_PATH = re.compile(r"(?<![\w./:~-])/(?:work|root)/")
FENCE = re.compile(r"^ {0,3}```.*?^ {0,3}```[ \t]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!\\)\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)


def texts(root: Path, tracked: tuple[str, ...]) -> dict[str, str]:
    """Return the text of every tracked file that is text."""
    found = {}
    for path in tracked:
        content = (root / path).read_bytes()
        if b"\0" not in content:
            found[path] = content.decode("utf-8", errors="replace")
    return found


def test_no_registry_and_no_path_of_a_machine_is_named(root: Path, tracked: tuple[str, ...]) -> None:
    found = []
    for path, text in texts(root, tracked).items():
        found += [f"{path}: {host}" for host in REGISTRIES if host in text.lower()]
        found += [f"{path}: {hit.group()}" for hit in MACHINE_PATH.finditer(text)]
    assert found == []


def test_files_are_small(root: Path, tracked: tuple[str, ...]) -> None:
    sizes = {path: (root / path).stat().st_size for path in tracked}
    assert {path: size for path, size in sizes.items() if size > LARGEST and path not in LARGE} == {}


def test_links_are_pulled_out_of_documents() -> None:
    text = "[a](b.md#c) ![d](<e.png> 'f')\n[g]: h.md\n```\n[i](j.md)\n```\n`[k](l.md)` \\[m](n.md)\n"
    assert links(text) == ["b.md#c", "e.png", "h.md"]
    assert anchors("# A b\n## `C`: d, e!\n## A b\n") == {"a-b", "c-d-e", "a-b-1"}


def links(text: str) -> list[str]:
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))
    return [first or second for first, second in LINK.findall(prose)]


def anchors(text: str) -> set[str]:
    """Return what headings can be linked by."""
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", FENCE.sub("", text), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if name in found else name)
        found[name] = found.get(name, 0) + 1
    return names


def test_links_of_documents_lead_somewhere(root: Path, tracked: tuple[str, ...]) -> None:
    documents = {path: text for path, text in texts(root, tracked).items() if path.endswith(".md")}
    assert "README.md" in documents
    broken = []
    for path, text in documents.items():
        for link in links(text):
            target, _, anchor = unquote(link).partition("#")
            if re.match(r"[a-z][a-z+.-]*:", target):
                continue
            file = (root / path).parent / target if target else root / path
            inside = file.resolve().is_relative_to(root.resolve())
            if not inside or not file.exists():
                broken.append(f"{path}: {link}")
            elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
                broken.append(f"{path}: {link} (no such heading)")
    assert broken == []


@pytest.mark.parametrize(("keyword", "forbidden"), [("allow_pickle", True), ("weights_only", False)])
def test_arrays_and_weights_are_read_without_pickle(modules: tuple[Module, ...], keyword: str, forbidden: bool) -> None:
    found = []
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.keyword) and node.arg == keyword:
                fixed = isinstance(node.value, ast.Constant) and node.value.value is (not forbidden)
                found += [] if fixed else [f"{module.path}:{node.value.lineno}"]
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                given = {each.arg for each in node.keywords}
                found += [] if "weights_only" in given else [f"{module.path}:{node.lineno}"]
    assert found == []


def test_pickle_is_not_imported(modules: tuple[Module, ...]) -> None:
    found, named = [], set()
    for module in modules:
        for node in ast.walk(module.tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.partition(".")[0] in ("pickle", "cPickle", "dill", "joblib", "shelve") for name in names):
                found.append(module.path)
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
                named.add((module.path, node.attr))
    assert set(found) == set(PICKLE_MAY_BE_NAMED)
    assert named == {(path, "UnpicklingError") for path in PICKLE_MAY_BE_NAMED}
