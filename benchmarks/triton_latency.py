"""Time an encoder on a Triton server beside the same graph in process, by clients, ways and batching.

    python benchmarks/triton_latency.py FOLDER [--clients 1 8 32] [--turns 60] [--requests 64] [--rounds 3]

A request is one pair: a sentence of 32 ids and a photo of 224 x 224 pixels. FOLDER keeps what is made once: a fused
encoder over MiniLM and EfficientNet-Lite0 whose layers above these are untrained, which takes as long as a trained one.
The servers run the Python backend with one instance of one thread, one with and one without dynamic batching. What is
compared runs in turns: pair by pair for one caller, round by round for several, which are tasks of one process that
send their next request when they have the answer to the last. Everything shares the cores of this machine.
"""

import argparse
import asyncio
import contextlib
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from entity_expand._version import __version__
from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus
from entity_expand.encoder import EncoderInput, OnnxEncoder
from entity_expand.inputs.prepared import Prepared
from entity_expand.triton.configuration import RepositorySettings
from entity_expand.triton.encoder import AsyncTritonEncoder, TritonEncoder
from entity_expand.triton.repository import encoder_content, write_repository
from servers.triton_node import TritonNode

ENTITIES, LENGTH = 60, 32
PERCENTILES = (50, 95, 99)
REST = 0.05


@dataclass(frozen=True)
class Timing:
    """Milliseconds of single requests, and how many were answered in a second by all clients together."""

    milliseconds: tuple[float, ...]
    rate: float

    def times(self) -> str:
        """Return the cells of a table."""
        return " | ".join(f"{np.percentile(self.milliseconds, each):.1f}" for each in PERCENTILES)


def made_bundle(folder: Path) -> Bundle:
    """Return the bundle of an untrained model, made on first use."""
    if not (folder / "bundle").exists():
        import torch
        from training_worlds import write_made_corpus

        from entity_expand.config import read_toml
        from entity_expand.inputs.text import TextConfig
        from export import ExportSettings, Source, export_source
        from training.backbones import encoder_folder, image_config, load_text, load_vision
        from training.config import TrainingConfig
        from training.model import MultiExpan

        config = read_toml(Path(__file__).parents[1] / "training" / "configs" / "tiny-cupl.toml", TrainingConfig)
        if not (folder / "corpus").exists():
            write_made_corpus(folder / "corpus", ENTITIES)
        tokenizer = (encoder_folder("minilm", "text.backbone") / "tokenizer.json").read_bytes()
        torch.manual_seed(0)
        text = load_text(config.text, 0)
        model = MultiExpan(config.model, text, load_vision(config.vision), ENTITIES, config.tasks).eval()
        with Corpus.open(folder / "corpus") as corpus:
            source = Source(
                model, corpus.entities, tokenizer, TextConfig(LENGTH), image_config(config.vision), corpus.content_hash
            )
            export_source(source, corpus, folder / "bundle", ExportSettings(samples_per_entity=1))
    return Bundle.open(folder / "bundle")


def inputs_of(folder: Path) -> list[EncoderInput]:
    """Return pairs whose pictures are in memory."""
    with Corpus.open(folder / "corpus") as corpus:
        samples = [corpus.sample(number) for number in range(len(corpus))]
        return [
            EncoderInput(each.text, each.mentions, (folder / "corpus" / each.image).read_bytes())
            for each in samples
            if each.image
        ]


async def timed(ask: Callable[[int], Awaitable[object]], clients: int, requests: int) -> Timing:
    """Let so many clients ask, each again and again, until all requests are answered."""
    taken: list[float] = []
    numbers = iter(range(requests))

    async def client() -> None:
        for number in numbers:
            begin = time.perf_counter()
            await ask(number)
            taken.append(1000 * (time.perf_counter() - begin))

    begin = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return Timing(tuple(taken), requests / (time.perf_counter() - begin))


def in_turns(sides: dict[str, Callable[[EncoderInput], object]], inputs: Sequence[EncoderInput], turns: int) -> None:
    """Ask each side for the same pair, one after the other, and print medians and ratios to the first."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(turns + 3):
        for name, ask in sides.items():
            time.sleep(REST)  # a process that has just been busy is served later by a busy machine
            begin = time.perf_counter()
            ask(inputs[number % 40])
            taken[name].append(1000 * (time.perf_counter() - begin))
    base = np.array(next(iter(taken.values()))[3:])
    print("| one pair at a time | p50 | p95 | p99 | median ratio |\n|---|---|---|---|---|")
    for name, found in taken.items():
        ratio = np.median(np.array(found[3:]) / base)
        print(f"| {name} | {Timing(tuple(found[3:]), 0).times()} | {ratio:.2f} |", flush=True)


def bare(bundle: Bundle, encoder: OnnxEncoder, inputs: Sequence[EncoderInput]) -> Callable[[EncoderInput], object]:
    """Return what runs the graph alone; pairs are made ready before."""
    ready = {}
    for item in inputs:
        (batch,) = Prepared([item], bundle.tokenizer, bundle.image).batches(1)
        ready[id(item)] = dict(batch.feeds)
    return lambda item: encoder._session("both").run(["feature"], ready[id(item)])


async def many(bundle: Bundle, where: str, inputs: Sequence[EncoderInput], clients: int, requests: int) -> Timing:
    """Let clients ask a server."""
    async with AsyncTritonEncoder(bundle, where, timeout=60) as encoder:

        async def ask(number: int) -> None:
            await encoder.encode([inputs[number % len(inputs)]])

        await timed(ask, clients, clients)
        return await timed(ask, clients, requests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument(
        "--turns", type=int, default=60, help="pairs of the comparison with the graph in process; 0 leaves it out"
    )
    parser.add_argument("--requests", type=int, default=64, help="by all clients together in one round")
    parser.add_argument("--rounds", type=int, default=3, help="of several clients; 0 leaves them out")
    parser.add_argument("--ways", nargs="+", default=["triton", "triton+http", "triton+shm"])
    arguments = parser.parse_args()
    bundle, inputs = made_bundle(arguments.folder), inputs_of(arguments.folder)
    print(f"entity-expand {__version__}, Python {platform.python_version()}; bundle {bundle.fingerprint[:12]}\n")
    nodes = {}
    with contextlib.ExitStack() as stack:
        for batching in ("none", "dynamic"):
            settings = RepositorySettings(backend="python", dynamic_batching=batching == "dynamic")
            models = arguments.folder / batching / "models"
            write_repository(models, [encoder_content(bundle, "both", "fp32", settings)], settings)
            nodes[batching] = stack.enter_context(TritonNode(models))

        def where(way: str, batching: str) -> str:
            node = nodes[batching]
            return f"{way}://127.0.0.1:{node.http_port if 'http' in way else node.grpc_port}"

        local = OnnxEncoder(bundle, threads=1)
        sides = {
            "in process": lambda item: local.encode([item]),
            "in process, graph alone": bare(bundle, local, inputs[:40]),
        }
        for way in arguments.ways:
            for batching in nodes:
                remote = stack.enter_context(TritonEncoder(bundle, where(way, batching), timeout=60))
                sides[f"{way}, batching {batching}"] = lambda item, remote=remote: remote.encode([item])
        if arguments.turns:
            in_turns(sides, inputs, arguments.turns)
        if not arguments.rounds:
            return
        print("\n| way | clients | batching | p50 | p95 | p99 | pairs/s |\n|---|---|---|---|---|---|---|")
        for way in arguments.ways:
            for clients in arguments.clients:
                rounds = [
                    (batching, asyncio.run(many(bundle, where(way, batching), inputs, clients, arguments.requests)))
                    for _ in range(arguments.rounds)
                    for batching in nodes
                ]
                for batching in nodes:
                    own = [found for each, found in rounds if each == batching]
                    joined = Timing(
                        tuple(t for each in own for t in each.milliseconds), np.median([e.rate for e in own])
                    )
                    print(f"| {way} | {clients} | {batching} | {joined.times()} | {joined.rate:.0f} |", flush=True)


if __name__ == "__main__":
    main()
