"""From a checkpoint to a bundle: export, measure, fit, write."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from entity_expand.bundle import Bundle, BundleContent, write_bundle
from entity_expand.corpus import Corpus
from entity_expand.errors import BundleError
from entity_expand.inputs import Prepared
from entity_expand.onnx_session import run_graph
from entity_expand.scoring import head_rows
from entity_expand.types import MODALITIES, Float32, Float64, Modality
from export.parity import Bounds, Difference, check, difference, overlap
from export.samples import Samples, choose
from export.settings import ExportSettings, Source
from export.to_onnx import OPSET, run_torch
from export.verify import VerifiedGraph, verified_graph
from training.ridge import RidgeFit, fit_ridge

_DEFAULT = ExportSettings()


def export_checkpoint(checkpoint: Path, bundle: Path, corpus: Path, settings: ExportSettings = _DEFAULT) -> Bundle:
    """Export a checkpoint, in place of an older bundle at `bundle`.

    Args:
        checkpoint: A checkpoint's folder, or a run's, of which `settings.checkpoint` is taken.
        bundle: Where to.
        corpus: The training corpus.
        settings: How.

    Raises:
        CheckpointError: The checkpoint is missing or damaged.
        BundleError: The corpus is another than the one trained on, or has none of the entities, or `bundle` is a file.
        ParityError: The graph is not as declared, or differs from the model; no bundle is left.
    """
    from training.checkpoint import load_checkpoint
    from training.config import ALL_SPLITS

    if bundle.is_file():
        raise BundleError(f"{bundle} is a file, but a bundle is a folder; choose another path.")
    read = load_checkpoint(checkpoint, settings.checkpoint or "preferred")
    with Corpus.open(corpus, per_mention=read.config.data.per_mention) as opened:
        source = Source(
            model=read.build_model(),
            entities=read.entities,
            tokenizer=read.tokenizer_path.read_bytes(),
            text=read.text_config,
            image=read.image_config,
            corpus_hash=read.corpus_hash,
            split=None if read.config.data.split == ALL_SPLITS else read.config.data.split,
        )
        return export_source(source, opened, bundle, settings)


def export_source(source: Source, corpus: Corpus, bundle: Path, settings: ExportSettings = _DEFAULT) -> Bundle:
    """Export a model, measure the graph against it, fit the ridge map, and write the bundle.

    Raises:
        BundleError: The corpus is another than the one trained on, or has none of the entities.
        ParityError: The graph is not as declared, or differs from the model; no bundle is left.
    """
    if not settings.any_corpus and corpus.content_hash != source.corpus_hash:
        raise BundleError(
            f"{corpus.root} is not the corpus that was trained on: its content hash is "
            f"{corpus.content_hash[:12]}..., the checkpoint's {source.corpus_hash[:12]}...; give that one, or "
            "allow any."
        )
    samples = choose(corpus, source.entities, source.split, settings.samples_per_entity, settings.max_samples)
    if len(samples.entities) == 0:
        raise BundleError(f"{corpus.root} has no sentence of any of the {len(source.entities)} trained entities.")
    weight, bias = (tensor.detach().float().numpy() for tensor in source.model.head_rows())
    rows = head_rows(weight, bias)
    made = verified_graph(source, weight.shape[1], settings)
    features, parity = _measured(source, made, samples, rows, settings)
    fit = fit_ridge(samples.means(features), rows[samples.entities], settings.seed)
    content = BundleContent(
        graph=made.content,
        tokenizer=source.tokenizer,
        head_weight=weight,
        head_bias=bias,
        ridge=fit.matrix,
        entities=source.entities,
        text=source.text,
        image=source.image,
        trained_on=source.corpus_hash,
        channels=_channels(samples),
        parity=parity,
        ridge_report=_ridge_report(fit, settings),
    )
    return write_bundle(bundle, content)


def _measured(
    source: Source, made: VerifiedGraph, samples: Samples, rows: Float64, settings: ExportSettings
) -> tuple[Float32, dict[str, Any]]:
    """Encode the samples, a part of them by torch too; return the graph's features and the numbers to state."""
    n = len(samples.entities)
    compared = np.unique(np.linspace(0, n - 1, min(n, settings.parity_entities)).astype(np.int64))
    both = np.isin(samples.owner, compared)
    prepared = Prepared(samples.inputs, made.tokenizer, source.image)
    by_graph = np.zeros((len(samples.inputs), rows.shape[1] - 1), np.float32)
    by_model = by_graph.copy()
    with tqdm(total=len(samples.inputs), desc="encode", unit="sentence", disable=None) as bar:
        for batch in prepared.batches(settings.batch_size):
            by_graph[batch.numbers] = run_graph(made.session, batch.feeds)
            if both[batch.numbers].any():
                by_model[batch.numbers] = run_torch(source.model, batch.feeds)
            bar.update(len(batch.numbers))
    found = difference(by_model[both], by_graph[both])
    top_k = max(1, min(settings.top_k, len(rows) // 2))
    agreed = overlap(
        samples.means(by_model)[compared],
        samples.means(by_graph)[compared],
        rows,
        samples.entities[compared],
        top_k,
    )
    check(found, agreed, Bounds(), "the corpus")
    return by_graph, _parity_report(made, samples, found, agreed, top_k, len(compared))


def _parity_report(
    made: VerifiedGraph, samples: Samples, found: Difference, agreed: float, top_k: int, entities: int
) -> dict[str, Any]:
    return {
        "precision": "float32",
        "opset": OPSET,
        "optimised": made.optimised,
        "probes": _rounded(dataclasses.asdict(made.found)),
        "samples": _rounded(dataclasses.asdict(found)),
        "samples_per_entity": samples.per_entity,
        "entities": entities,
        "top_k": top_k,
        "overlap": _significant(agreed),
        "bounds": dataclasses.asdict(Bounds()),
    }


def _ridge_report(fit: RidgeFit, settings: ExportSettings) -> dict[str, Any]:
    stated = {key: value for key, value in dataclasses.asdict(fit).items() if key != "matrix"}
    return _rounded(stated) | {"seed": settings.seed}


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: _significant(value) if isinstance(value, float) else value for key, value in values.items()}


def _significant(value: float) -> float:
    return float(f"{value:.6g}")


def _channels(samples: Samples) -> tuple[Modality, ...]:
    """Return the modalities that the training corpus has."""
    text = any(item.text for item in samples.inputs)
    picture = any(item.image is not None for item in samples.inputs)
    return MODALITIES if text and picture else ("text",) if text else ("picture",)
