"""Measure a bundle on a corpus with text, with pictures, and with both, beside baselines that need no training.

    python benchmarks/quality.py BUNDLE CORPUS [--split test] [--minilm] [--both-directions 1]

Every list is made by the single-query protocol. MAP@K takes the seeds out of the truth and divides by min(|truth|, K).
The baselines see the same samples: TF-IDF of the masked sentences and, by `--minilm`, mean embeddings of MiniLM and of
the names alone, raw and centred, by cosine to the mean of the seeds and by standardised scores; and a random order.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from entity_expand import ExpandSettings, MemoryStore
from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus, Query, read_queries, read_truth
from entity_expand.encoder import OnnxEncoder
from entity_expand.evaluate import evaluate, quality
from entity_expand.metrics import average_precision
from entity_expand.types import MODALITIES
from indexer import IndexSettings, index_corpus
from training.baselines import Features, baselines, ranked
from training.config import ALL_LAYERS, TextSettings, TrainingConfig, VisionSettings

CUTS = (10, 20, 50)


def baseline_lists(
    corpus: Corpus, split: str | None, queries: Sequence[Query], with_minilm: bool
) -> dict[str, dict[Query, list[str]]]:
    text = TextSettings() if with_minilm else TextSettings(backbone="scratch", trained_layers=ALL_LAYERS)
    config = TrainingConfig(text=text, vision=VisionSettings(backbone="scratch", trained=True))
    with tempfile.TemporaryDirectory() as cache:
        features = Features.of(corpus, corpus.select(split), config, Path(cache))
    found = baselines(features, ("random", "TF-IDF", "name only", "sentence means"))
    return {baseline.name: ranked(baseline, queries) for baseline in found}


def row(name: str, lists: Mapping[Query, Sequence[str]], truth: Mapping[str, frozenset[str]], kinds: Mapping) -> str:
    overall = quality(lists, truth).map
    cells = [f"{100 * overall[cut]:.1f}" for cut in CUTS]
    for kind in sorted(set(kinds.values())):
        own = [query for query in lists if kinds[query.class_name] == kind]
        values = [average_precision(list(lists[q]), truth[q.class_name] - set(q.seeds), 10) for q in own]
        cells.append(f"{100 * fmean(values):.1f}")
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--minilm", action="store_true")
    parser.add_argument("--late-fusion", type=float, nargs="*", default=[0.25])
    parser.add_argument("--both-directions", type=float, nargs="*", default=[0.0, 1.0])
    args = parser.parse_args()
    bundle = Bundle.open(args.bundle)
    encoder, truth = OnnxEncoder(bundle), read_truth(args.corpus / "gt")
    described = args.corpus / "classes.json"
    table = json.loads(described.read_text()) if described.is_file() else {}
    kinds = {name: one["kind"] for name, one in table.items()} or dict.fromkeys(truth, "all classes")
    with Corpus.open(args.corpus) as corpus, tempfile.TemporaryDirectory() as folder:
        stores = {}
        wanted = {modality: IndexSettings(modality=modality, split=args.split) for modality in MODALITIES}
        for weight in args.late_fusion:
            wanted[f"late fusion {weight:g}"] = IndexSettings(split=args.split, late_fusion=weight)
        for number, (name, settings) in enumerate(wanted.items()):
            index_corpus(bundle, encoder, corpus, Path(folder) / str(number), settings)
            stores[name] = MemoryStore.open(Path(folder) / str(number))
        for seeds, name in ((3, "query"), (5, "query_seed=5")):
            queries = read_queries(args.corpus / name)
            heads = [*(f"MAP@{cut}" for cut in CUTS), *(f"@10 by {kind}" for kind in sorted(set(kinds.values())))]
            print(f"\n| {seeds} seeds | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
            for label, lists in baseline_lists(corpus, args.split, queries, args.minilm).items():
                print(row(label, lists, truth, kinds))
            for modality, store in stores.items():
                for label, settings in variants(args.both_directions):
                    found = evaluate(store, queries, truth, protocol="single", settings=settings)
                    lists = {query: found.rankings[query.class_name, query.number] for query in queries}
                    print(row(f"model, {modality}, {label}", lists, truth, kinds), flush=True)


def variants(weights: Sequence[float]) -> list[tuple[str, ExpandSettings]]:
    found = [(f"λ = {weight:g}", ExpandSettings(both_directions=weight)) for weight in weights]
    return [*found, ("features", ExpandSettings(space="features"))]


if __name__ == "__main__":
    main()
