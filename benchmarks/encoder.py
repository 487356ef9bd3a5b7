"""Time one encoder in four forms on the CPU: torch eager and compiled, onnxruntime in fp32 and int8, quality beside.

    python benchmarks/encoder.py RUN BUNDLE [--turns 15] [--batches 1 8 32 128] [--device cpu|cuda]
    python benchmarks/encoder.py --untrained training/configs/tiny-cupl.toml
    python benchmarks/encoder.py --full-size

RUN is a trained checkpoint, BUNDLE what `entity-expand export RUN BUNDLE --corpus CORPUS --variant int8` made of it;
the quality is what that measured, from the bundle's manifest. A pair is a made-up sentence of 32 ids and a picture's
pixels. All forms run in turns in this process, each after a pause and
a run that does not count; medians are compared. `--clock cpu` counts the processor's time of one
thread instead of the time that passes, for machines that are busy. `--device cuda` takes torch in bfloat16 and the fp16
graph, that with CUDA graphs, too.
`--untrained` takes the backbones of a configuration under fusion layers with random weights: speed without quality.
`--full-size` exports BERT-base and ResNet-50 shapes with random weights and tells time, size and parity.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from entity_expand.bundle import Bundle
from entity_expand.bundle.specs import encoder_spec, graph_file
from entity_expand.encoder.cuda_graphs import CapturedGraph
from entity_expand.encoder.onnx_session import graph_session, run_graph
from entity_expand.inputs.image import ImageConfig
from entity_expand.inputs.text import MaskedTokenizer, TextConfig
from export.modalities import feature_module
from export.parity import difference
from export.probes import example
from export.to_onnx import cleaned, export_graph, fused, run_torch
from export.variants import fp16, int8
from training.backbones import load_text, load_vision, text_folder
from training.checkpoint import load_checkpoint
from training.config import ModelConfig, TextSettings, TrainingConfig, VisionSettings
from training.model import MultiExpan

LENGTH = 32
SEED = 0
PAUSE = 0.2
"""Seconds before each turn: threads of the form before look for more work for a while, and would be in the way."""


def pairs(size: int, pixels: int, vocabulary: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(SEED)
    return {
        "input_ids": random.integers(999, vocabulary, (size, LENGTH)),
        "attention_mask": np.ones((size, LENGTH), np.int64),
        "mask_position": np.full(size, 5, np.int64),
        "pixels": random.standard_normal((size, 3, pixels, pixels), np.float32),
        "image_present": np.ones(size, np.float32),
    }


def by_torch(model: torch.nn.Module, device: str) -> Callable[[dict[str, np.ndarray]], object]:
    def run(feeds: dict[str, np.ndarray]) -> object:
        tensors = [torch.from_numpy(value).to(device) for value in feeds.values()]
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            return model(*tensors).float().cpu()

    return run


Side: TypeAlias = Callable[[dict[str, np.ndarray]], object]


def trained(run: Path, folder: Path, device: str, threads: int) -> tuple[dict[str, Side], ImageConfig, int, dict]:
    """Return the forms of a checkpoint and its bundle, how pictures and ids are made up, and the measured quality."""
    bundle = Bundle.open(folder)
    model = load_checkpoint(run, "preferred").build_model()
    variants = ("fp32", "int8") if device == "cpu" else ("fp32", "fp16")
    graphs = {each: bundle.read_graph("both", each) for each in variants if ("both", each) in bundle.graphs}
    sides = forms(feature_module(model, "both", bundle.tokenizer, bundle.image.size), graphs, device, threads)
    return sides, bundle.image, bundle.tokenizer.vocabulary, bundle.manifest.parity["graphs"]


def untrained(config: Path, device: str, threads: int) -> tuple[dict[str, Side], ImageConfig, int, dict]:
    """Return the same of a configuration whose fusion layers have random weights."""
    read = TrainingConfig.read(config)
    torch.manual_seed(SEED)
    folder = text_folder(read.text)
    tokenizer = MaskedTokenizer.from_file(folder / "tokenizer.json", TextConfig(max_length=read.text.max_length))
    model = MultiExpan(read.model, load_text(read.text, tokenizer.vocabulary), load_vision(read.vision), 100).eval()
    size = read.vision.size
    spec = encoder_spec(model.head_rows()[0].shape[1], size)
    module = feature_module(model, "both", tokenizer, size)
    graph, _ = fused(export_graph(module, spec, example(tokenizer, size, SEED), read.text.max_length))
    graphs = {"fp32": cleaned(graph, spec)}
    graphs |= {"fp16": cleaned(fp16(graph), spec)} if device == "cuda" else {"int8": cleaned(int8(graph)[0], spec)}
    return forms(module, graphs, device, threads), ImageConfig(size), tokenizer.vocabulary, {}


def forms(module: torch.nn.Module, graphs: dict[str, bytes], device: str, threads: int) -> dict[str, Side]:
    module = module.eval().to(device)
    compiled = torch.compile(module, dynamic=False)
    found = {"torch eager": by_torch(module, device), "torch compiled": by_torch(compiled, device)}
    for variant, content in graphs.items():
        session = graph_session(content, (device,), threads)
        found[f"onnxruntime {variant}"] = lambda feeds, session=session: run_graph(session, feeds)
        if device == "cuda":
            found[f"onnxruntime, CUDA graphs, {variant}"] = CapturedGraph(
                graph_session(content, (device,), threads, cuda_graphs=True)
            ).run
    return found


def compare(arguments: argparse.Namespace) -> None:
    clock = time.perf_counter
    if arguments.clock == "cpu":
        arguments.threads, clock = 1, time.thread_time
    torch.set_num_threads(arguments.threads)
    how = (arguments.device, arguments.threads)
    if arguments.untrained:
        sides, image, vocabulary, stated = untrained(arguments.untrained, *how)
    else:
        sides, image, vocabulary, stated = trained(arguments.run, arguments.bundle, *how)
    if arguments.no_compile:
        del sides["torch compiled"]
    print(f"{arguments.threads} threads, {arguments.clock} clock, L = {LENGTH}, {arguments.turns} turns, medians")
    print("| batch | form | ms | pairs/s | of torch eager | overlap@k | MAP |\n|---|---|---|---|---|---|---|")
    for size in arguments.batches:
        feeds = pairs(size, image.size, vocabulary)
        taken: dict[str, list[float]] = {name: [] for name in sides}
        for turn in range(arguments.turns + 2):
            for name, side in sides.items():
                time.sleep(PAUSE)
                side(feeds)
                start = clock()
                side(feeds)
                if turn >= 2:
                    taken[name].append(clock() - start)
        first = statistics.median(taken["torch eager"])
        for name, seconds in taken.items():
            middle = statistics.median(seconds)
            print(
                f"| {size} | {name} | {1e3 * middle:.1f} | {size / middle:.1f} | {first / middle:.2f} | "
                f"{quality(stated, name)} |",
                flush=True,
            )


def quality(stated: dict, name: str) -> str:
    measured = stated.get(graph_file("both", name.split()[-1]) if name.startswith("onnx") else "encoder.onnx", {})
    agreed = measured.get("expansions", {})
    if not name.startswith("onnx"):
        return f"1 | {agreed.get('model_map')}"
    return f"{agreed.get('overlap')} | {agreed.get('graph_map')}"


def full_size(threads: int) -> None:
    """Export BERT-base and ResNet-50 shapes, the paper's fusion, and compare the graphs with the model."""
    torch.manual_seed(SEED)
    torch.set_num_threads(threads)
    text = TextSettings(
        backbone="scratch", width=768, layers=12, heads=12, mlp=3072, max_length=152, trained_layers=-1,
        vocabulary=30_522,
    )  # fmt: skip
    vision = VisionSettings(backbone="resnet50", size=192, tokens="patches", patch=32, random_weights=True)
    config = ModelConfig(
        form="paper", norm="sublayer", heads=12, mlp=3072, visual_layers=3, cross_layers=3, clusters=71
    )
    model = MultiExpan(config, load_text(text, 30_522), load_vision(vision), 1000).eval()
    weights = sum(parameter.numel() for parameter in model.parameters())
    print(f"{weights / 1e6:.1f} million weights")
    from entity_expand.bundle.fakes import fake_tokenizer

    tokenizer = MaskedTokenizer.from_bytes(fake_tokenizer(), TextConfig(max_length=152))
    image = ImageConfig(192)
    spec = encoder_spec(768, image.size)
    start = time.perf_counter()
    made = export_graph(feature_module(model, "both", tokenizer, image.size), spec, example(tokenizer, 192, SEED), 152)
    exported = time.perf_counter()
    graph, counts = fused(made)
    done = time.perf_counter()
    print(f"export {exported - start:.0f} s, fusions {done - exported:.0f} s: {counts}")
    feeds = pairs(2, image.size, 30_522)
    wanted = run_torch(model, feeds)
    for name, content in (("fp32", cleaned(graph, spec)), ("int8", cleaned(int8(graph)[0], spec))):
        session = graph_session(content, threads=threads)
        found = difference(wanted, run_graph(session, feeds))
        times = []
        one = pairs(1, image.size, 30_522)
        for _ in range(7):
            start = time.perf_counter()
            run_graph(session, one)
            times.append(time.perf_counter() - start)
        print(
            f"{name}: {len(content) / 1e6:.0f} MB, largest difference {found.max_rel:.2e} of the scale, smallest "
            f"cosine {found.min_cosine:.6f}, {1e3 * statistics.median(times):.0f} ms a pair"
        )
    times = []
    for _ in range(5):
        start = time.perf_counter()
        run_torch(model, one)
        times.append(time.perf_counter() - start)
    print(f"torch eager: {1e3 * statistics.median(times):.0f} ms a pair")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--untrained", type=Path)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--full-size", action="store_true")
    arguments = parser.parse_args()
    if arguments.full_size:
        full_size(arguments.threads)
    elif arguments.untrained is None and (arguments.run is None or arguments.bundle is None):
        parser.error("RUN and BUNDLE are needed, or --untrained, or --full-size")
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
