"""Count requests that a Triton server forgets for half a second, by the rules of its queue.

    python benchmarks/triton_stalls.py FOLDER [--requests 400] [--clients 1 2 4]

The demo's small encoder, the Python backend on the CPU, texts alone, so that an answer takes milliseconds.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from triton_latency import many

from entity_expand.bundle import Bundle
from entity_expand.demo import bundle_path
from entity_expand.encoder import EncoderInput
from entity_expand.triton.configuration import RepositorySettings
from entity_expand.triton.repository import encoder_content, write_repository
from servers.triton_node import TritonNode

SIDES = {
    "no batching": RepositorySettings(backend="python", dynamic_batching=False),
    "batching": RepositorySettings(backend="python"),
    "batching, queue of 256": RepositorySettings(backend="python", queue=256),
    "batching, two instances": RepositorySettings(backend="python", instances=2),
    "batching, two instances, queue of 256": RepositorySettings(backend="python", instances=2, queue=256),
}
LONG = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 4])
    arguments = parser.parse_args()
    bundle = Bundle.open(bundle_path())
    inputs = [EncoderInput("The old city of Oslo lies by the sea.", ((16, 20),))]
    print("| server | clients | p50 | p99 | above 300 ms |\n|---|---|---|---|---|")
    for number, (name, settings) in enumerate(SIDES.items()):
        models = arguments.folder / str(number) / "models"
        write_repository(models, [encoder_content(bundle, "both", "fp32", settings)], settings)
        with TritonNode(models) as node:
            for clients in arguments.clients:
                where = f"triton://127.0.0.1:{node.grpc_port}"
                taken = np.array(asyncio.run(many(bundle, where, inputs, clients, arguments.requests)).milliseconds)
                times = " | ".join(f"{np.percentile(taken, each):.1f}" for each in (50, 99))
                print(f"| {name} | {clients} | {times} | {(taken > LONG).sum()} of {len(taken)} |", flush=True)


if __name__ == "__main__":
    main()
