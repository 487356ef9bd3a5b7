"""What `pip install` brings: the four packages with their data, and nothing else."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import zipfile
from email.message import Message
from pathlib import Path

import pytest

PACKAGES = {"entity_expand", "export", "indexer", "training"}
DATA = {".py", ".typed", ".toml", ".txt", ".json", ".jsonl", ".onnx", ".npy", ".html", ".md", ".css", ".js", ".svg"}
HEAVY = {
    "matplotlib", "onnx", "onnxruntime", "onnxscript", "pyarrow", "tensorboard", "timm", "torch", "torchvision",
    "transformers",
}  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, root: Path) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return email.message_from_bytes(wheel.read(name))


def test_it_holds_the_packages_with_all_their_tracked_files(wheel: zipfile.ZipFile, tracked: tuple[str, ...]) -> None:
    expected = {path for path in tracked if path.partition("/")[0] in PACKAGES}
    assert expected - set(wheel.namelist()) == set()
    for name in (*(f"{package}/py.typed" for package in PACKAGES), "training/configs/demo.toml"):
        assert name in wheel.namelist()
    assert any(name.startswith("entity_expand/demo/data/") for name in wheel.namelist())


def test_it_holds_the_demos_bundle(wheel: zipfile.ZipFile) -> None:
    assert "entity_expand/demo/bundle/manifest.json" in wheel.namelist()
    assert "entity_expand/demo/bundle/encoder.onnx" in wheel.namelist()
    assert "entity_expand/demo/bundle/fitted.json" in wheel.namelist()


def test_it_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    outside = [name for name in wheel.namelist() if name.partition("/")[0] not in PACKAGES]
    assert all(re.match(r"entity_expand-[^/]+\.dist-info/", name) for name in outside)
    assert any(name.endswith("licenses/LICENSE") for name in outside)
    inside = [name for name in wheel.namelist() if name not in outside]
    assert [name for name in inside if Path(name).suffix not in DATA or "test" in Path(name).stem.split("_")] == []


def test_the_base_needs_nothing_heavy(metadata: Message) -> None:
    base = [each for each in metadata.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert base
    assert {re.split(r"[^\w.-]", each)[0].lower() for each in base} & HEAVY == set()
