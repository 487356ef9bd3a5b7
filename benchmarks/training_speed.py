"""Time training beside a trainer that computes everything anew in each step; both on the same batches, in turns.

    python benchmarks/training_speed.py [CORPUS] [--config training/configs/tiny-cupl.toml] [--steps 12] [--turns 5]

The plain trainer is the paper's way: in each step it decodes the pictures and runs the vision backbone and all text
layers, in float32, eager, without a cache. Model, first weights, batches, draws and optimiser are the same, and so are
the losses, which are compared first, without dropout. Nothing is hidden of any sample (`--hide` hides what the
settings say): a hidden picture would cost the plain side its backbone all the same.

CORPUS is a folder; without it, the demo corpus is written, or with `--made V` a made one of V entities. `--tasks` adds
both contrasts and the distillation, all in each step, with the weights of the paper's mode 4. `--full-size` has
backbones of the sizes of BERT-base and ResNet-50 with random weights. `--bfloat16`, `--int8` (of the cache),
`--compile` and `--compile-mode` (which compiles too) are for this trainer's side alone.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from training_sides import (
    CacheCost,
    Side,
    Turn,
    build_caches,
    cached_side,
    eager,
    mined,
    plain_side,
    without_dropout,
)
from training_worlds import full_size, write_made_corpus

from entity_expand.corpus import Corpus
from entity_expand.demo.build import write_demo_corpus
from training.config import TaskSettings, TrainingConfig
from training.loop import train
from training.pairs import EntityLists

ROOT = Path(__file__).parents[1]
PAIRS, ENTITIES, PER_ENTITY, EPOCHS = 434_675, 14_489, 64, 50
"""MESED's size and the paper's training."""
TOLERANCE = {"float32": 0.005, "bfloat16": 0.05}
"""Largest relative difference of a loss: float16 rounds what is cached to three digits."""


def settings_of(args: argparse.Namespace, scratch: Path) -> TrainingConfig:
    """Return the settings of both sides."""
    config = TrainingConfig.read(args.config)
    if args.full_size:
        config = full_size(config, scratch / "encoder")
    loop = config.loop
    loop = replace(
        loop, batch_size=args.batch or loop.batch_size,
        compile=loop.compile or args.compile or args.compile_mode is not None,
        compile_mode=args.compile_mode or loop.compile_mode,
        precision="bfloat16" if args.bfloat16 else loop.precision,
        cache_precision="int8" if args.int8 else loop.cache_precision,
    )  # fmt: skip
    data = config.data if args.hide else replace(config.data, hide_picture=0.0, hide_text=0.0)
    tasks = config.tasks
    if args.tasks:
        tasks = replace(tasks, schedule="joint", instance=0.5, cluster=0.2, distillation=0.02)
    return replace(config, loop=loop, data=data, tasks=tasks)


def corpus_folder(args: argparse.Namespace, scratch: Path) -> Path:
    """Return the folder of the corpus, written first where it is none of the caller's."""
    if args.corpus is not None:
        return Path(args.corpus)
    if args.made:
        write_made_corpus(scratch / "corpus", args.made)
    else:
        write_demo_corpus(scratch / "corpus")
    return scratch / "corpus"


def machine() -> str:
    """Return a line about the machine and what runs on it."""
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return (
        f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"{card}; Python {platform.python_version()}, torch {torch.__version__}; commit {commit}; "
        f"load {os.getloadavg()[0]:.1f}"
    )


def resident() -> int:
    """Return the resident size of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def over_epochs(config: TrainingConfig, corpus: Corpus, run: Path, cache: Path, epochs: int) -> list[str]:
    """Train whole epochs as a user does; return a row of a table for each, with the memory at its end."""
    rows: list[str] = []

    def say(line: str) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        card = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
        rows.append(f"| {len(rows) + 1} | {resident() / 2**20:.0f} | {peak / 2**20:.0f} | {card / 2**20:.0f} |")
        print(f"  {line}", file=sys.stderr)

    train(replace(config, loop=replace(config.loop, epochs=epochs)), corpus, run, cache=cache, say=say)
    return rows


def agreement(cached: Side, plain: Side, lists: EntityLists | None, steps: int) -> float:
    """Train both sides on the same batches without dropout; return the largest relative difference of a loss.

    Raises:
        SystemExit: They differ by more than rounding: unlike things would be compared.
    """
    with without_dropout(cached), without_dropout(plain):
        pairs = zip(cached.turn(0, lists, steps).losses, plain.turn(0, lists, steps).losses, strict=True)
        worst = max(abs(ours - theirs) / abs(theirs) for ours, theirs in pairs)
    if worst > TOLERANCE[cached.config.loop.precision]:
        raise SystemExit(f"The losses of both sides differ by up to {worst:.2%}: they do not train the same.")
    return worst


def in_turns(
    sides: tuple[Side, Side], lists: EntityLists | None, steps: tuple[int, int], turns: int
) -> list[tuple[Turn, Turn]]:
    """Take turns of so many steps, the first of which warms up and is left out."""
    found = []
    for epoch in range(turns + 1):
        pair = sides[0].turn(epoch, lists, steps[0]), sides[1].turn(epoch, lists, steps[1])
        print(f"  turn {epoch}: {pair[0].rate:.1f} and {pair[1].rate:.1f} pairs/s", file=sys.stderr)
        found.append(pair)
    return found[1:]


def report_sides(turns: list[tuple[Turn, Turn]], flops: list[float], peak: float | None) -> list[float]:
    """Print a table of both sides and return their pairs per second; `flops` are those of a pair."""
    rates = [statistics.median(pair[side].rate for pair in turns) for side in (0, 1)]
    print("| side | pairs/s, median | range | GFLOP per pair | GFLOP/s | MFU |\n|---|---|---|---|---|---|")
    for at, name in enumerate(("this trainer", "plain")):
        each, done = [pair[at].rate for pair in turns], rates[at] * flops[at]
        share = f"{done / (peak * 1e12):.2%}" if peak else "-"
        print(
            f"| {name} | {rates[at]:.1f} | {min(each):.1f} to {max(each):.1f} | {flops[at] / 1e9:.2f} "
            f"| {done / 1e9:.1f} | {share} |"
        )
    ratios = [ours.rate / theirs.rate for ours, theirs in turns]
    middle = statistics.median(ratios)
    print(f"\nratio: {middle:.2f} (median of {len(ratios)} turns, {min(ratios):.2f} to {max(ratios):.2f})")
    return rates


def epoch_views(tasks: TaskSettings, samples: int) -> int:
    """Return how many texts with their pictures an epoch shows, where a pass over the pairs has as many as samples.

    Each sample is one, each pair two; jointly there is one pass, in turn there are `passes` with each contrast.
    """
    contrasts = len(tasks.contrasts)
    passes = min(1, contrasts) if tasks.schedule == "joint" else contrasts * tasks.passes
    return samples * (1 + 2 * passes)


def report_costs(rates: list[float], tasks: TaskSettings, trained: int, cost: CacheCost) -> None:
    """Print what the cache costs, when it has paid, and the projection."""
    print(
        f"cache: {cost.text_seconds:.1f} s and {cost.text_bytes / 2**20:.1f} MiB for {cost.texts:,} texts, "
        f"{cost.picture_seconds:.1f} s and {cost.picture_bytes / 2**20:.1f} MiB for {cost.pictures:,} pictures"
    )
    views = epoch_views(tasks, trained)
    saved = views * (1 / rates[1] - 1 / rates[0])
    print(
        f"paid after {cost.seconds / saved:.2f} epochs of {views:,} texts with pictures ({assumed(tasks)})"
        if saved > 0
        else "the cache never pays"
    )
    building = PAIRS * (cost.text_seconds / cost.texts + cost.picture_seconds / cost.pictures)
    for schedule in ("joint", "phases") if tasks.contrasts else (tasks.schedule,):
        planned = replace(tasks, schedule=schedule)
        shown = epoch_views(planned, ENTITIES * PER_ENTITY) * EPOCHS
        print(
            f"MESED's size, {EPOCHS} epochs of V x {PER_ENTITY} samples ({assumed(planned)}): {shown / 1e6:.1f} "
            "million texts, each with its own picture, at these rates and with this V: "
            f"{(shown / rates[0] + building) / 3600:.1f} h, of these {building / 3600:.1f} h for the cache; plain "
            f"{shown / rates[1] / 3600:.0f} h"
        )


def assumed(tasks: TaskSettings) -> str:
    """Return in words what `epoch_views` counts besides the samples."""
    if not tasks.contrasts:
        return "no pairs"
    passes = "one pass" if tasks.schedule == "joint" else f"{tasks.passes} passes with each contrast in turn"
    return f"and {passes} over pairs, assumed to be as many as samples, of two texts each"


def measure(args: argparse.Namespace, config: TrainingConfig, corpus: Corpus, scratch: Path) -> None:
    """Measure one corpus and print all."""
    cache = scratch / "cache"
    cost = build_caches(config, corpus, scratch / "build", cache)
    rows = over_epochs(config, corpus, scratch / "epochs", cache, args.epochs) if args.epochs else []
    cached = cached_side(replace(config, loop=eager(config.loop)), corpus, scratch / "cached", cache)
    plain = plain_side(config, corpus, scratch / "plain", cache)
    if len(list(cache.glob("[tp]*-*"))) != 2:
        raise SystemExit("A second cache has been built: both sides do not have the same weights.")
    data, lists = cached.parts.source.data, mined(config, corpus, cached)
    print(f"corpus {corpus.content_hash[:16]}: V = {len(data.entities):,}, {data.trained:,} samples; {machine()}")
    print(f"largest difference of a loss over {args.check} steps: {agreement(cached, plain, lists, args.check):.5%}")
    counts = [cached.flops(0, lists), plain.flops(0, lists)]
    if config.loop.compile:
        cached = cached_side(config, corpus, scratch / "cached", cache)
    steps = args.steps * args.more, args.steps
    turns = in_turns((cached, plain), lists, steps, args.turns)
    print(f"{args.turns} turns of {steps[0]} and {steps[1]} steps of {turns[0][1].pairs // steps[1]} pairs each\n")
    rates = report_sides(turns, [flops / pairs for flops, pairs in counts], args.peak_tflops)
    report_costs(rates, config.tasks, data.trained, cost)
    if rows:
        print("\n| epoch | resident at its end, MiB | peak, MiB | peak on the GPU, MiB |\n|---|---|---|---|")
        print("\n".join(rows))


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags: Callable[..., object] = parser.add_argument
    flags("corpus", nargs="?", type=Path)
    flags("--config", type=Path, default=ROOT / "training" / "configs" / "tiny-cupl.toml")
    flags("--made", type=int, default=0, metavar="V")
    flags("--batch", type=int)
    flags("--steps", type=int, default=12, help="Steps of a turn of the plain side.")
    flags("--more", type=int, default=8, help="How many times as many this trainer takes, for turns of like length.")
    flags("--turns", type=int, default=5, help="Turns that count; one more warms up.")
    flags("--check", type=int, default=6, help="Steps whose losses are compared.")
    flags("--epochs", type=int, default=6, help="Whole epochs after which memory is read.")
    flags("--compile-mode", choices=("default", "reduce-overhead"), help="As [loop] compile_mode.")
    flags("--peak-tflops", type=float, help="Peak of the device, for the share of it that is used.")
    for name in ("tasks", "hide", "full-size", "bfloat16", "int8", "compile"):
        flags(f"--{name}", action="store_true")
    return parser.parse_args(arguments)


def main() -> None:
    args = parsed()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        config = settings_of(args, scratch)
        with Corpus.open(corpus_folder(args, scratch), per_mention=config.data.per_mention) as corpus:
            measure(args, config, corpus, scratch)


if __name__ == "__main__":
    main()
