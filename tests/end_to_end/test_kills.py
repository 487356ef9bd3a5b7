"""A short cut of the kill sweep, and that it notices what it is there for."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from entity_expand.bundle.fakes import fake_bundle
from entity_expand.errors import BundleError
from entity_expand.types import Entity

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill_sweep.py"


@pytest.fixture(scope="module")
def kill_sweep() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kill_sweep", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kill_sweep"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_few_kills_do_no_harm() -> None:
    command = [sys.executable, str(SCRIPT), "--kills", "2", "--seed", "7"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [[stage, "2", "kills"] for stage in ("train", "export", "index")]
    assert all("all equal to the undisturbed one" in line for line in lines)


class Breaking:
    """Stands in for the runner: what it is told to do to the destination is what a kill leaves."""

    def __init__(self, harm) -> None:
        self.harm = harm

    def run(self, stage: str, to: Path, kill_after: float | None = None) -> float | None:
        self.harm(to)
        return None if kill_after is not None else 1.0


@pytest.fixture
def swept(kill_sweep: ModuleType, tmp_path: Path):
    """Make a sweep of exports in which each run does some harm."""
    fake_bundle(tmp_path / "reference" / "export", [Entity("1", "Oslo")])
    fake_bundle(tmp_path / "older" / "export", [Entity("2", "Rome")])

    def make(harm):
        sweep = kill_sweep.Sweep("export", Breaking(harm), tmp_path, 1.0)
        sweep.reset()
        return sweep

    return make


def test_the_older_bundle_may_stay_and_may_not_go(swept) -> None:
    sweep = swept(lambda to: None)
    sweep.kill(0.5)
    assert (sweep.kills, sweep.new) == (1, 0)
    with pytest.raises(BundleError, match="There is no bundle at"):
        swept(shutil.rmtree).kill(0.5)


def test_a_torn_bundle_is_noticed(swept) -> None:
    with pytest.raises(BundleError, match=r"head_bias\.npy is missing"):
        swept(lambda to: (to / "head_bias.npy").unlink()).kill(0.5)


def test_a_bundle_that_nobody_wrote_is_noticed(swept, kill_sweep: ModuleType) -> None:
    with pytest.raises(kill_sweep.ViolationError, match=r"after a kill at 0\.500 s at"):
        swept(lambda to: fake_bundle(to, [Entity("3", "Bern")])).kill(0.5)


def test_another_outcome_and_leftovers_are_noticed(swept, kill_sweep: ModuleType) -> None:
    with pytest.raises(kill_sweep.ViolationError, match=r"differs from the undisturbed run in .*entities"):
        swept(lambda to: None).end()

    def leave(to: Path) -> None:
        shutil.rmtree(to)
        shutil.copytree(to.parents[1] / "reference" / "export", to)
        (to.parent / ".export.1.part").mkdir()

    with pytest.raises(kill_sweep.ViolationError, match=r"\.export\.1\.part is left"):
        swept(leave).end()
