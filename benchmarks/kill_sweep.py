"""Kill training, export and indexing at random moments, and look at what is left each time.

    python benchmarks/kill_sweep.py [--seed 0] [--kills 50] [--stages train export index]

Each stage first runs once undisturbed, which gives its duration and the outcome to compare with. Then it is started
again and again, and its process group gets SIGKILL after a random share of that duration, so many times. After every
kill, what is at the destination must be whole, or absent where nothing had been there; an older bundle or index must
still be there if the new one is not. From time to time, and at the end, a run goes on to its end, and the outcome must
be that of the undisturbed run, byte for byte. Prints one line per stage; ends with 1 at the first violation.

The stages run in forks of a process that has imported everything (kill_server.py): no moment is spent on imports.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

STAGES = ("train", "export", "index")
KILLS_UNTIL_END = 10
LONGEST = 300.0
TIMES = ("seconds", "pairs_per_second")


class ViolationError(Exception):
    """Something was left that may not be."""


class Runner:
    """Starts stages in forks, and kills them.

    Args:
        root: Where corpus, settings and outcomes lie.
    """

    def __init__(self, root: Path) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        command = [sys.executable, str(Path(__file__).with_name("kill_server.py")), str(root)]
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._line(LONGEST)

    def _listen(self) -> None:
        for line in self._server.stdout or ():
            self._lines.put(line.strip())

    def _line(self, seconds: float) -> str:
        return self._lines.get(timeout=seconds)

    def run(self, stage: str, to: Path, kill_after: float | None = None, **more: str) -> float | None:
        """Run a stage; return its seconds, or None if it was killed.

        Raises:
            ViolationError: It failed.
        """
        order = {"stage": stage, "to": str(to), "modality": "both", "imports": "", "note": ""}
        if self._server.stdin is not None:
            self._server.stdin.write(json.dumps(order | more) + "\n")
            self._server.stdin.flush()
        group, started = int(self._line(LONGEST)), time.monotonic()
        try:
            code = int(self._line(LONGEST if kill_after is None else kill_after))
        except queue.Empty:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.killpg(group, signal.SIGKILL)
            code = int(self._line(LONGEST))
        if code not in (0, -signal.SIGKILL) or (code and kill_after is None):
            raise ViolationError(f"{stage} ended with {code} instead of going on")
        return None if code else time.monotonic() - started

    def close(self) -> None:
        """End the process that forks."""
        if self._server.stdin is not None:
            self._server.stdin.close()
        self._server.wait()


# What may be left.


def train_state(run: Path) -> str | None:
    """Open all checkpoints of a run; return the newest one's step, padded so that steps compare as texts."""
    from training.checkpoint import load_checkpoint, newest

    for folder in run.glob("step-*"):
        checkpoint = load_checkpoint(folder)
        checkpoint.build_model()
        checkpoint.optimizer_tensors()
        checkpoint.lists()
    return None if newest(run) is None else f"{load_checkpoint(run).step:08d}"


def export_state(bundle: Path) -> str | None:
    """Open a bundle with all its checks; return its fingerprint."""
    from entity_expand.bundle import Bundle

    return Bundle.open(bundle).fingerprint


def index_state(index: Path) -> str | None:
    """Expand a set; return the names and scores."""
    from entity_expand.expander import Expander

    with Expander.open(index) as expander:
        found = expander.expand(["Place 1", "Place 5", "Place 9"], 20)
    if len(found.results) != 20:
        raise ViolationError(f"the index yields {len(found.results)} results instead of 20")
    return json.dumps([expander.store.meta.modality, *((result.id, result.score) for result in found.results)])


def train_outcome(run: Path) -> dict[str, object]:
    from training.checkpoint import newest

    last = newest(run)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    metrics = [{key: value for key, value in line.items() if key not in TIMES} for line in lines]
    return {"name": last and last.name, "metrics": metrics, **({} if last is None else contents(last))}


def contents(folder: Path) -> dict[str, object]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


STATE: dict[str, Callable[[Path], str | None]] = {"train": train_state, "export": export_state, "index": index_state}
OUTCOME: dict[str, Callable[[Path], dict[str, object]]] = {
    "train": train_outcome,
    "export": contents,
    "index": contents,
}


@dataclass
class Sweep:
    """The kills of one stage.

    Attributes:
        stage: Its name.
        runner: Runs it.
        root: Folder with `reference/STAGE`, perhaps `older/STAGE`, and room for `work/STAGE`.
        seconds: How long the undisturbed run took.
    """

    stage: str
    runner: Runner
    root: Path
    seconds: float
    kills: int = 0
    ends: int = 0
    new: int = 0

    def __post_init__(self) -> None:
        self.work = self.root / "work" / self.stage
        self.wanted = OUTCOME[self.stage](self.root / "reference" / self.stage)
        self.last: str | None = None
        self.finished = STATE[self.stage](self.root / "reference" / self.stage)

    def reset(self) -> None:
        """Start anew: with the older artefact, or nothing."""
        shutil.rmtree(self.work.parent, ignore_errors=True)
        older = self.root / "older" / self.stage
        self.work.parent.mkdir()
        if older.is_dir():
            shutil.copytree(older, self.work)
        self.last = STATE[self.stage](self.work)

    def kill(self, after: float) -> None:
        """Start the stage, kill it, and look; a run that was faster is a run to the end."""
        if self.runner.run(self.stage, self.work, after) is not None:
            self.look_at_the_end()
            return
        self.kills += 1
        state = STATE[self.stage](self.work)
        going_back = self.stage == "train" and self.last is not None and (state is None or state < self.last)
        if going_back or (self.stage != "train" and state not in (self.last, self.finished)):
            raise ViolationError(f"it was at {self.last}, and after a kill at {after:.3f} s at {state}")
        self.new += state == self.finished
        self.last = state

    def end(self) -> None:
        """Let the stage run to its end, and look."""
        self.runner.run(self.stage, self.work)
        self.look_at_the_end()

    def look_at_the_end(self) -> None:
        """Compare with the undisturbed run, and start anew."""
        found = OUTCOME[self.stage](self.work)
        differing = sorted(key for key in found.keys() | self.wanted.keys() if found.get(key) != self.wanted.get(key))
        if differing:
            raise ViolationError(f"after it had gone on, it differs from the undisturbed run in {', '.join(differing)}")
        left = [path.name for path in self.work.parent.rglob(".*") if path.name.endswith((".part", ".old"))]
        if left:
            raise ViolationError(f"after it had gone on, {', '.join(left)} is left")
        self.ends += 1
        self.reset()


def sweep(stage: str, runner: Runner, root: Path, seconds: float, kills: int, draw: random.Random) -> str:
    """Kill one stage so many times; return what to print."""
    each = Sweep(stage, runner, root, seconds)
    moments = []
    each.reset()
    while each.kills < kills:
        moment, before = draw.uniform(0.0, seconds), each.kills
        try:
            each.kill(moment)
            if each.kills > before:
                moments.append(moment)
                if each.kills % KILLS_UNTIL_END == 0 or each.kills == kills:
                    each.end()
        except Exception as problem:
            raise ViolationError(f"{stage}, kill {len(moments) + 1}: {type(problem).__name__}: {problem}") from problem
    shares = [sum(low <= moment / seconds < low + 0.25 for moment in moments) for low in (0.0, 0.25, 0.5, 0.75)]
    return (
        f"{stage:6}  {each.kills} kills at {min(moments):.3f} to {max(moments):.3f} of {seconds:.2f} s "
        f"({'/'.join(map(str, shares))} by quarters), whole after each, finished after {each.new}; "
        f"{each.ends} runs to the end, all equal to the undisturbed one"
    )


def undisturbed(stage: str, runner: Runner, root: Path) -> float:
    """Run a stage undisturbed, and put an older bundle or index in place for the kills; return the seconds.

    The first run tells what it imports while it works; the second, with all of that imported, is the one that counts.
    """
    from entity_expand.bundle.fakes import fake_bundle
    from entity_expand.types import Entity

    imports = root / f"{stage}.imports"
    runner.run(stage, root / "first" / stage, note=str(imports))
    seconds = runner.run(stage, root / "reference" / stage, imports=str(imports))
    if stage == "export":
        fake_bundle(root / "older" / "export", [Entity("1", "Norway"), Entity("2", "Sweden")])
    elif stage == "index":
        runner.run(stage, root / "older" / "index", modality="text")
    return seconds or 0.0


def run_sweep(stages: Sequence[str], kills: int, seed: int, root: Path) -> None:
    """Kill every stage so many times, and print a line for each.

    Raises:
        ViolationError: Something was left that may not be.
    """
    runner, draw = Runner(root), random.Random(seed)
    try:
        for stage in STAGES[: 1 + max(map(STAGES.index, stages))]:
            started = time.monotonic()
            seconds = undisturbed(stage, runner, root)
            if stage in stages:
                line = sweep(stage, runner, root, seconds, kills, draw)
                print(f"{line}; {time.monotonic() - started:.0f} s in all", flush=True)
    finally:
        runner.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--kills", type=int, default=50, help="for each stage")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        try:
            run_sweep(options.stages, options.kills, options.seed, Path(temporary))
        except ViolationError as problem:
            print(f"VIOLATION: {problem}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
