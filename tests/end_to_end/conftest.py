"""Small files that the stages are run on, and a way to run them as people do."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

KINDS = {
    "tree": ("leaf bark root shade", (40, 160, 60)),
    "fish": ("fin gill wave salt", (40, 80, 200)),
    "tool": ("steel grip blade oil", (150, 150, 150)),
}
EACH = 8
SEEDS = ("tree-0", "Tree 1", "tr2")  # an id, a name, an alias
HOSTILE = '<b>"Elm" & co</b>'
SETTINGS = """
[text]
backbone = "scratch"
trained_layers = -1
max_length = 24
vocabulary = 120
width = 24
layers = 1
heads = 2
mlp = 32

[vision]
backbone = "scratch"
trained = true
size = 16
widths = [8, 16]
pool = 2

[model]
heads = 2
mlp = 32
visual_layers = 1
cross_layers = 1
clusters = 4

[loop]
epochs = 3
batch_size = 16
learning_rate = 5e-3
device = "cpu"
"""


Outcome = subprocess.CompletedProcess[str]


def command_line(*arguments: object, cwd: Path) -> Outcome:
    """Run the installed command."""
    command = [str(Path(sysconfig.get_path("scripts")) / "entity-expand"), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def names_of(kind: str, prefix: str) -> list[str]:
    names = [f"{prefix}{kind.title()} {number}" for number in range(EACH)]
    return [HOSTILE, *names[1:]] if (kind, prefix) == ("tree", "") else names


def write_rows(folder: Path, prefix: str = "") -> Path:
    """Write rows.jsonl with four sentences for each of 24 entities, most with a picture, and one that is of no use."""
    (folder / "pictures").mkdir(parents=True)
    rows = []
    for kind, (words, colour) in KINDS.items():
        Image.new("RGB", (20, 16), colour).save(folder / "pictures" / f"{kind}.png")
        for number, name in enumerate(names_of(kind, prefix)):
            entity = {
                "entity": name,
                "entity_id": f"{prefix}{kind}-{number}",
                "aliases": [f"{prefix}{kind[:2]}{number}"],
            }
            for turn, word in enumerate(words.split()):
                picture = {"image": f"pictures/{kind}.png"} if turn % 2 == 0 else {}
                rows.append({"text": f"The {word} of {name} is what {word} should be.", **entity, **picture})
    rows.append({"text": "Nothing is named here.", "entity": "Ghost"})
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def write_questions(folder: Path, kinds: list[str]) -> None:
    """Write two queries of three seeds and the members for each kind."""
    for name in ("query", "gt"):
        (folder / name).mkdir(parents=True)
    for kind in kinds:
        ids = [f"{kind}-{number}" for number in range(EACH)]
        (folder / "query" / f"{kind}.txt").write_text(f"{' '.join(ids[:3])}\n{' '.join(ids[5:])}\nEXIT\n")
        members = "".join(f"{identifier}\t{identifier}\t1\n" for identifier in ids)
        (folder / "gt" / f"{kind}.txt").write_text(members + "fish-0\tno member\t0\n" * (kind != "fish"))


@dataclass(frozen=True)
class Stages:
    """Where everything lies, and how each stage ended by its name."""

    folder: Path
    outcomes: Mapping[str, Outcome]

    def run(self, *arguments: object) -> Outcome:
        return command_line(*arguments, cwd=self.folder)

    def json(self, stage: str) -> Any:
        return json.loads(self.outcomes[stage].stdout)

    def expanded(self, index: str, *arguments: str) -> Any:
        outcome = self.run("expand", index, *arguments, "--json")
        assert outcome.returncode == 0, outcome.stderr
        return json.loads(outcome.stdout)


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    folder = tmp_path_factory.mktemp("stages")
    write_rows(folder / "own")
    write_rows(folder / "others", "New")
    write_questions(folder / "all", list(KINDS))
    write_questions(folder / "one", ["fish"])
    (folder / "settings.toml").write_text(SETTINGS)
    commands = {
        "import": "corpus import own/rows.jsonl corpus",
        "check": "corpus check corpus --strict --json",
        "train": "train settings.toml --corpus corpus --out run",
        "export": "export run bundle --corpus corpus --samples-per-entity 2",
        "index": "index bundle corpus --to index --threads 1",
        "index again": "index bundle corpus --to index --threads 1",
        "evaluate": "evaluate index --queries all/query --truth all/gt --json",
        "evaluate one": "evaluate index --queries one/query --truth one/gt --protocol single --json",
        "evaluate table": "evaluate index --queries all/query --truth all/gt",
        "import others": "corpus import others/rows.jsonl others-corpus",
        "index others": "index bundle others-corpus --to others-index --threads 1",
    }
    outcomes = {}
    for stage, command in commands.items():
        outcomes[stage] = command_line(*command.split(), cwd=folder)
        assert outcomes[stage].returncode == 0, f"{stage}: {outcomes[stage].stderr}"
    outcomes["expand"] = command_line("expand", "index", *SEEDS, "--html", "page.html", cwd=folder)
    outcomes["expand json"] = command_line("expand", "index", *SEEDS, "--json", "--size", "30", cwd=folder)
    return Stages(folder, outcomes)
