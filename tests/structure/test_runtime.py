"""The runtime without any of the heavy packages, and how fast it is there."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from statistics import median

import entity_expand

BLOCKED = (
    "matplotlib", "onnx", "onnxruntime", "onnxscript", "safetensors", "tensorboard", "timm", "torch", "torchvision",
    "transformers",
)  # fmt: skip

INDEX_AND_EXPAND = """
import sys
from pathlib import Path
for name in {blocked!r}:
    sys.modules[name] = None
import entity_expand, indexer
from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.encoder import FakeEncoder
from entity_expand.bundle.fakes import fake_bundle

entities = [entity_expand.Entity(str(number), f"Place {{number}}") for number in range(12)]
rows = [
    OwnRow(f"{{entity.name}} has {{word}}.", ((entity.id, 0, len(entity.name)),), None, "train")
    for entity in entities
    for word in (("sea", "sail"), ("hill", "snow"))[int(entity.id) % 2]
]
write_corpus(Path("corpus"), entities, rows)
bundle = fake_bundle(Path("bundle"), entities)
with Corpus.open("corpus") as corpus:
    report = indexer.index_corpus(bundle, FakeEncoder(bundle.dimension), corpus, "index")
with entity_expand.Expander.open("index") as expander:
    expansion = expander.expand(["Place 0", "Place 2"], size=4)
print(report.entities, len(expansion.results), *sorted(set({blocked!r}) & {{k for k, v in sys.modules.items() if v}}))
"""

TIMED_IMPORT = "import time; t = time.process_time(); import entity_expand; print(time.process_time() - t)"
NUMPY_AND_OURS = """
import time
start = time.process_time()
import numpy
middle = time.process_time()
from entity_expand import Expander
print((time.process_time() - start) / (middle - start))
"""
IMPORT_SECONDS = 0.3
HELP_SECONDS = 0.5
TIMES_NUMPY = 3
TURNS = 5


def run(*command: str, folder: Path | None = None) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout


def test_indexing_and_expanding_need_none_of_the_heavy_packages(tmp_path: Path) -> None:
    script = INDEX_AND_EXPAND.format(blocked=BLOCKED)
    assert run(sys.executable, "-W", "error", "-c", script, folder=tmp_path).split() == ["12", "4"]


def test_the_command_line_loads_no_stage_to_show_its_help() -> None:
    script = "import sys, entity_expand.cli as c; c.group.main(['--help'], standalone_mode=False); print(*sys.modules)"
    loaded = run(sys.executable, "-c", script).splitlines()[-1].split()
    assert {name for name in loaded if name.partition(".")[0] in {*BLOCKED, "training", "export", "indexer"}} == set()


def test_importing_loads_no_part_before_it_is_asked_for() -> None:
    script = "import sys, entity_expand; print(*(name for name in sys.modules if name.startswith('entity_expand')))"
    assert run(sys.executable, "-c", script).split() == [
        "entity_expand._version",
        "entity_expand.errors",
        "entity_expand",
    ]


def test_expanding_loads_nothing_that_most_calls_do_not_need() -> None:
    rare = {"asyncio", "difflib", "tomllib", "entity_expand.explain.steps"}
    script = f"import sys; from entity_expand import Expander; print(*{rare!r} & sys.modules.keys())"
    assert run(sys.executable, "-c", script).split() == []


def test_any_public_name_may_be_the_first_that_is_asked_for() -> None:
    script = """
import os, entity_expand
for name in entity_expand.__all__:
    if not (child := os.fork()):
        getattr(entity_expand, name)
        os._exit(0)
    print(name, os.waitpid(child, 0)[1], sep="=")
"""
    assert run(sys.executable, "-c", script).split() == [f"{name}=0" for name in entity_expand.__all__]


# Both are held to processor time, the best of several turns: a busy machine lengthens the time on the clock.
def test_importing_is_fast() -> None:
    assert min(float(run(sys.executable, "-c", TIMED_IMPORT)) for _ in range(TURNS)) < IMPORT_SECONDS


def test_help_is_fast() -> None:
    command = Path(sysconfig.get_path("scripts")) / "entity-expand"
    taken = []
    for _ in range(TURNS):
        before = os.times()
        assert "Usage" in run(str(command), "--help")
        after = os.times()
        taken.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(taken) < HELP_SECONDS


def test_what_expands_is_loaded_in_few_times_what_numpy_takes() -> None:
    assert median(float(run(sys.executable, "-c", NUMPY_AND_OURS)) for _ in range(TURNS)) < TIMES_NUMPY
