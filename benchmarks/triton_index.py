"""Index a corpus by the same model in torch, in onnxruntime here, and on a Triton server, and compare all three.

    python benchmarks/triton_index.py CHECKPOINT BUNDLE CORPUS FOLDER

CHECKPOINT is what BUNDLE was exported from; the indices go to FOLDER. Each query of the corpus is expanded over all
three indices.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus
from entity_expand.corpus.queries import read_queries
from entity_expand.encoder import Encoder, EncoderInput, OnnxEncoder
from entity_expand.expander import Expander
from entity_expand.inputs.prepared import Prepared
from entity_expand.stores.memory import MemoryStore
from entity_expand.triton.configuration import RepositorySettings
from entity_expand.triton.encoder import TritonEncoder
from entity_expand.triton.repository import encoder_content, write_repository
from entity_expand.types import Float32
from export.to_onnx import run_torch
from indexer import index_corpus
from servers.triton_node import TritonNode
from training.checkpoint import load_checkpoint

LENGTH = 50


class TorchEncoder:
    """An encoder that runs the model as it was trained, in eager mode."""

    missing_pictures = 0

    def __init__(self, checkpoint: Path, bundle: Bundle) -> None:
        self._model, self._bundle = load_checkpoint(checkpoint, "preferred").build_model(), bundle
        self.dimension = bundle.dimension

    def encode(self, inputs: Sequence[EncoderInput]) -> Float32:
        """Return the features (B, D) float32 of B inputs."""
        features = np.empty((len(inputs), self.dimension), np.float32)
        for batch in Prepared(inputs, self._bundle.tokenizer, self._bundle.image).batches(32):
            features[batch.numbers] = run_torch(self._model, batch.feeds)
        return features


def indexed(bundle: Bundle, encoder: Encoder, corpus: Path, folder: Path) -> tuple[MemoryStore, float]:
    """Return the index, and the seconds that it took."""
    with Corpus.open(corpus) as samples:
        begin = time.perf_counter()
        index_corpus(bundle, encoder, samples, folder)
        return MemoryStore.open(folder), time.perf_counter() - begin


def lists(store: MemoryStore, queries: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return the ids of the expansion of each query."""
    expander = Expander(store)
    return [tuple(each.id for each in expander.expand(seeds, LENGTH).results) for seeds in queries]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("checkpoint", "bundle", "corpus", "folder"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bundle = Bundle.open(arguments.bundle)
    queries = [query.seeds for query in read_queries(arguments.corpus / "query")]
    settings = RepositorySettings(backend="python")
    write_repository(arguments.folder / "models", [encoder_content(bundle, "both", "fp32", settings)], settings)
    with TritonNode(arguments.folder / "models") as node:
        sides: dict[str, Encoder] = {
            "torch, eager": TorchEncoder(arguments.checkpoint, bundle),
            "onnxruntime": OnnxEncoder(bundle, threads=1),
            "Triton, gRPC": TritonEncoder(bundle, f"triton://127.0.0.1:{node.grpc_port}", timeout=120),
        }
        made = {name: indexed(bundle, each, arguments.corpus, arguments.folder / name) for name, each in sides.items()}
    base = made["onnxruntime"][0]
    everyone = np.arange(base.meta.entities)
    wanted = lists(base, queries)
    print(f"{base.meta.entities} entities, {base.meta.samples} samples, {len(queries)} queries, lists of {LENGTH}\n")
    print("| encoder | same entities and sentences | features differ | same lists | overlap | seconds |")
    print("|---|---|---|---|---|---|")
    for name, (store, seconds) in made.items():
        same = store.meta == base.meta and store.records(everyone.tolist()) == base.records(everyone.tolist())
        mine, theirs = store.rows(everyone).scaled, base.rows(everyone).scaled
        apart = np.abs(mine - theirs).max() / np.abs(theirs).max()
        found = lists(store, queries)
        alike = sum(one == other for one, other in zip(found, wanted, strict=True))
        shared = np.mean([len({*one} & {*other}) / len(other) for one, other in zip(found, wanted, strict=True)])
        print(
            f"| {name} | {same} | {apart:.1e} | {alike} of {len(queries)} | {shared:.4f} | {seconds:.0f} |", flush=True
        )


if __name__ == "__main__":
    main()
