"""Runs training, export and indexing for kill_sweep.py, each in a fork, so that no moment is spent on imports.

    python -P benchmarks/kill_server.py ROOT

Makes a corpus and settings in ROOT, and says `ready`. Then every line of standard input is a JSON object with `stage`,
`to` (the destination), `modality`, `note` (a file to name what the stage imports in, or "") and `imports` (such a file
to import from before, or ""). The answer is a line with the number of the process, which leads a group of its own, and
a line with its exit code when it has ended.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import traceback
from pathlib import Path

import torch
from PIL import Image

from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.encoder import OnnxEncoder
from entity_expand.types import Entity
from export import ExportSettings, export_checkpoint
from indexer import IndexSettings, index_corpus
from training.config import TrainingConfig
from training.loop import train

ENTITIES, SENTENCES = 200, 4
SETTINGS = """
[text]
backbone = "scratch"
trained_layers = -1
max_length = 24
vocabulary = 150
width = 32
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
[data]
held_out = "test"
[loop]
epochs = 4
batch_size = 32
checkpoint_steps = 4
log_steps = 1
device = "cpu"
"""


def make_corpus(folder: Path) -> None:
    """Write entities of four kinds, each with a few sentences, most of them with one of eight pictures."""
    words = ("salt wave tide", "rock snow ridge", "leaf root bark", "sand dune heat")
    entities = [Entity(str(number), f"Place {number}") for number in range(ENTITIES)]
    rows = []
    for number, entity in enumerate(entities):
        for turn in range(SENTENCES + 1):
            text = f"{entity.name} has {words[number % 4]} {turn}."
            image = f"images/{(number + turn) % 8}.png" if turn else None
            split = "train" if turn < SENTENCES else "test"
            rows.append(OwnRow(text, ((entity.id, 0, len(entity.name)),), image, split))
    write_corpus(folder, entities, rows)
    (folder / "images").mkdir()
    for number in range(8):
        Image.new("RGB", (20, 20), (31 * number, 255 - 31 * number, 90)).save(folder / "images" / f"{number}.png")


def main() -> int:
    root = Path(sys.argv[1])
    make_corpus(root / "corpus")
    (root / "settings.toml").write_text(SETTINGS)
    torch.set_num_threads(1)  # threads would not survive a fork
    say("ready")
    for line in sys.stdin:
        order = json.loads(line)
        if order["imports"]:
            import_all(Path(order["imports"]))
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            run_and_exit(root, order)
        with contextlib.suppress(OSError):  # the child has done it itself
            os.setpgid(child, child)
        say(str(child))
        say(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
    return 0


def say(line: str) -> None:
    print(line, flush=True)


def import_all(path: Path) -> None:
    """Import what an earlier run of the stage has imported."""
    for name in path.read_text().split():
        with contextlib.suppress(ImportError, AttributeError):  # a name that is made, not imported
            importlib.import_module(name)


def run_and_exit(root: Path, order: dict[str, str]) -> None:
    code, before = 1, set(sys.modules)
    os.dup2(2, 1)  # standard output is for the answers
    try:
        run_stage(order["stage"], root, Path(order["to"]), order["modality"])
        if order["note"]:
            Path(order["note"]).write_text("\n".join(name for name in sys.modules if name not in before))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def run_stage(stage: str, root: Path, to: Path, modality: str) -> None:
    if stage == "export":
        settings = ExportSettings(samples_per_entity=2, parity_entities=50)
        export_checkpoint(root / "reference" / "train", to, root / "corpus", settings)
        return
    with Corpus.open(root / "corpus") as corpus:
        if stage == "train":
            train(TrainingConfig.read(root / "settings.toml"), corpus, to)
            return
        bundle = Bundle.open(root / "reference" / "export")
        index_corpus(bundle, OnnxEncoder(bundle, threads=1), corpus, to, IndexSettings(modality=modality))  # type: ignore[arg-type]


if __name__ == "__main__":
    raise SystemExit(main())
