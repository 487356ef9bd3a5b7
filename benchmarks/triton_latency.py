"""Time an encoder on a Triton server beside the same graph in process, by clients, ways and batching.

    python benchmarks/triton_latency.py FOLDER [--clients 1 8 32] [--requests 60] [--ways triton triton+http triton+shm]

A request is one pair: a sentence of 32 ids and a photo of 224 x 224 pixels. FOLDER keeps what is made once: a fused
encoder over MiniLM and EfficientNet-Lite0 whose layers above these are untrained, which takes as long as a trained one.
The server runs the Python backend with one instance of one thread; clients are tasks of one process, each of which
sends its next request when it has the answer to the last. Everything shares the cores of this machine.
"""

import argparse
import asyncio
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
from entity_expand.inputs import Prepared
from entity_expand.triton.configuration import RepositorySettings
from entity_expand.triton.encoder import AsyncTritonEncoder, TritonEncoder
from entity_expand.triton.repository import encoder_content, write_repository
from servers.triton_node import TritonNode

ENTITIES, LENGTH = 60, 32
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Timing:
    """Milliseconds of single requests, and how many were answered in a second by all clients together."""

    milliseconds: tuple[float, ...]
    rate: float

    def row(self) -> str:
        """Return the cells of a table."""
        times = " | ".join(f"{np.percentile(self.milliseconds, each):.1f}" for each in PERCENTILES)
        return f"{times} | {self.rate:.0f}"


def made_bundle(folder: Path) -> Bundle:
    """Return the bundle of an untrained model, made on first use."""
    if not (folder / "bundle").exists():
        import torch
        from training_worlds import write_made_corpus

        from entity_expand.config import read_toml
        from entity_expand.text import TextConfig
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


def in_process(bundle: Bundle, inputs: Sequence[EncoderInput], requests: int) -> tuple[Timing, Timing]:
    """Return times of the graph in this process, with and without making a pair ready."""
    encoder = OnnxEncoder(bundle, threads=1)
    feeds = [next(iter(Prepared([each], bundle.tokenizer, bundle.image).batches(1))).feeds for each in inputs]
    session = encoder._session

    async def whole(number: int) -> None:
        encoder.encode([inputs[number % len(inputs)]])

    async def bare(number: int) -> None:
        session.run(["feature"], dict(feeds[number % len(feeds)]))

    asyncio.run(timed(whole, 1, 5))
    return asyncio.run(timed(whole, 1, requests)), asyncio.run(timed(bare, 1, requests))


async def through_server(
    bundle: Bundle, where: str, inputs: Sequence[EncoderInput], clients: int, requests: int
) -> Timing:
    async with AsyncTritonEncoder(bundle, where, timeout=60) as encoder:

        async def ask(number: int) -> None:
            await encoder.encode([inputs[number % len(inputs)]])

        await timed(ask, clients, 2 * clients)
        return await timed(ask, clients, requests)


def waiting(bundle: Bundle, where: str, inputs: Sequence[EncoderInput], requests: int) -> Timing:
    """Return times of the encoder for threads, with a single caller."""
    with TritonEncoder(bundle, where, timeout=60) as encoder:

        async def ask(number: int) -> None:
            encoder.encode([inputs[number % len(inputs)]])

        asyncio.run(timed(ask, 1, 5))
        return asyncio.run(timed(ask, 1, requests))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--requests", type=int, default=60, help="of one client; eight times as many of more")
    parser.add_argument("--ways", nargs="+", default=["triton", "triton+http", "triton+shm"])
    arguments = parser.parse_args()
    bundle, inputs = made_bundle(arguments.folder), inputs_of(arguments.folder)
    print(f"entity-expand {__version__}, Python {platform.python_version()}; bundle {bundle.fingerprint[:12]}")
    print("| batching | way | clients | p50 | p95 | p99 | pairs/s |\n|---|---|---|---|---|---|---|")
    whole, bare = in_process(bundle, inputs, arguments.requests)
    print(f"| | in process | 1 | {whole.row()} |\n| | in process, the graph alone | 1 | {bare.row()} |")
    for batching in (False, True):
        settings = RepositorySettings(backend="python", dynamic_batching=batching)
        folder = arguments.folder / f"models-{batching}"
        write_repository(folder, [encoder_content(bundle, "both", "fp32", settings)], settings)
        with TritonNode(folder) as node:
            for way in arguments.ways:
                where = f"{way}://127.0.0.1:{node.http_port if 'http' in way else node.grpc_port}"
                found = waiting(bundle, where, inputs, arguments.requests)
                print(f"| {'dynamic' if batching else 'none'} | {way}, waiting | 1 | {found.row()} |", flush=True)
                for clients in arguments.clients:
                    count = arguments.requests * (1 if clients == 1 else 4)
                    found = asyncio.run(through_server(bundle, where, inputs, clients, count))
                    print(f"| {'dynamic' if batching else 'none'} | {way} | {clients} | {found.row()} |", flush=True)
        # The same as before, to see whether the machine changed its pace meanwhile.
        again = in_process(bundle, inputs, arguments.requests)[0]
        print(f"| | in process, again | 1 | {again.row()} |", flush=True)


if __name__ == "__main__":
    main()
