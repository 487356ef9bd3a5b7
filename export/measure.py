"""The exported graphs, compared with the model on sentences of the corpus and on whole expansions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from entity_expand.corpus import Corpus
from entity_expand.encoder.onnx_session import run_graph
from entity_expand.inputs.prepared import EncoderInput, Prepared
from entity_expand.inputs.text import MaskedTokenizer
from entity_expand.types import MODALITIES, Float32, Float64, Int64, Modality
from export.expansions import Agreement, agreement, seed_sets
from export.modalities import as_seen, taken
from export.parity import BOUNDS, Difference, check, difference
from export.samples import Samples
from export.settings import ExportSettings, Source
from export.to_onnx import run_torch
from export.verify import VerifiedGraph


def measured_on(
    corpus: Corpus,
    source: Source,
    samples: Samples,
    graphs: Sequence[VerifiedGraph],
    rows: Float64,
    settings: ExportSettings,
) -> tuple[Float32, dict[str, Any]]:
    """Encode the samples by the graphs and a part of them by torch, and compare the features and the expansions.

    Args:
        corpus: Where the samples are from.
        source: What is exported.
        samples: N sentences of n entities.
        graphs: The graph of both modalities in float32 first.
        rows: (V, W) float64 head rows [w, b].
        settings: How.

    Returns:
        The features (N, D) of the first graph, and what the manifest states.

    Raises:
        ParityError: A graph differs from the model by more than its variant may.
    """
    count = len(samples.entities)
    compared = np.unique(np.linspace(0, count - 1, min(count, settings.parity_entities)).astype(np.int64))
    entities = [source.entities[place] for place in samples.entities[compared]]
    own = samples.entities[compared]
    top_k = max(1, min(settings.top_k, len(compared) // 2))
    first: Float32 | None = None
    stated = {}
    for modality in MODALITIES:
        chosen = [graph for graph in graphs if graph.modality == modality]
        if not chosen:
            continue
        by_model, by_graph = _encoded(source, samples, chosen, compared, settings, whole=first is None)
        first = by_graph[0] if first is None else first
        means = samples.means(by_model)[compared]
        sets = seed_sets(corpus.root, entities, means, rows, own)
        both = np.isin(samples.owner, compared)
        for graph, features in zip(chosen, by_graph, strict=True):
            found = difference(by_model[both], features[both])
            agreed = agreement(sets, means, samples.means(features)[compared], rows, own, top_k)
            check(found, agreed, BOUNDS[graph.variant], f"the corpus ({graph.file})")
            stated[graph.file] = _stated(graph, found, agreed)
    assert first is not None  # the first graph sees both
    return first, {"samples_per_entity": samples.per_entity, "entities": len(compared), "graphs": stated}


def _encoded(
    source: Source,
    samples: Samples,
    graphs: Sequence[VerifiedGraph],
    compared: Int64,
    settings: ExportSettings,
    whole: bool,
) -> tuple[Float32, list[Float32]]:
    """Return the features (N, D) by torch and by each graph: of the compared, by the first of all if `whole`."""
    modality = graphs[0].modality
    both = np.isin(samples.owner, compared)
    numbers = np.arange(len(samples.inputs)) if whole else both.nonzero()[0]
    tokenizer = MaskedTokenizer.from_bytes(source.tokenizer, source.text)
    prepared = Prepared([_shown(samples.inputs[number], modality) for number in numbers], tokenizer, source.image)
    by_model = np.zeros((len(samples.inputs), source.model.head_rows()[0].shape[1]), np.float32)
    by_graph = [by_model.copy() for _ in graphs]
    with tqdm(total=len(numbers), desc=f"encode ({modality})", unit="sentence", disable=None) as bar:
        for batch in prepared.batches(settings.batch_size):
            places = numbers[batch.numbers]
            wanted = both[places].any()
            if wanted:
                by_model[places] = run_torch(source.model, as_seen(batch.feeds, modality, tokenizer))
            for number, graph in enumerate(graphs):
                if wanted or (whole and number == 0):
                    by_graph[number][places] = run_graph(graph.session, taken(batch.feeds, modality))
            bar.update(len(places))
    return by_model, by_graph


def _shown(item: EncoderInput, modality: Modality) -> EncoderInput:
    if modality == "both":
        return item
    return EncoderInput(item.text, item.mentions) if modality == "text" else EncoderInput("", (), item.image)


def _stated(graph: VerifiedGraph, found: Difference, agreed: Agreement) -> dict[str, Any]:
    return {
        "variant": graph.variant,
        "modality": graph.modality,
        "provider": graph.provider,
        "bytes": len(graph.content),
        "changes": dict(graph.changes),
        "probes": rounded(dataclasses.asdict(graph.found)),
        "samples": rounded(dataclasses.asdict(found)),
        "expansions": rounded(dataclasses.asdict(agreed)),
        "bounds": dataclasses.asdict(BOUNDS[graph.variant]),
    }


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    """Return the same with six significant digits."""
    return {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in values.items()}
