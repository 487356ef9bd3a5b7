"""From a checkpoint to a bundle: export, measure, fit, write."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from entity_expand.bundle import Bundle, BundleContent, write_bundle
from entity_expand.bundle.folder import MANIFEST
from entity_expand.corpus import Corpus
from entity_expand.errors import BundleError
from entity_expand.files import check_replaceable
from entity_expand.inputs.text import MaskedTokenizer
from entity_expand.search.scoring import head_rows
from entity_expand.types import MODALITIES, Modality
from export.measure import measured_on, rounded
from export.samples import Samples, choose
from export.settings import ExportSettings, Source
from export.to_onnx import OPSET
from export.verify import verified_graphs
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
        BundleError: The corpus is another than the one trained on, or has none of the entities.
        EntityExpandError: `bundle` is there and no bundle.
        ParityError: The graph is not as declared, or differs from the model; no bundle is left.
    """
    from training.checkpoint import load_checkpoint
    from training.config import ALL_SPLITS

    check_replaceable(bundle, MANIFEST)
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
    tokenizer = MaskedTokenizer.from_bytes(source.tokenizer, source.text)
    graphs = tuple(verified_graphs(source, tokenizer, weight.shape[1], settings))
    features, measured = measured_on(corpus, source, samples, graphs, rows, settings)
    fit = fit_ridge(samples.means(features), rows[samples.entities], settings.seed)
    content = BundleContent(
        graph=graphs[0].content,
        tokenizer=source.tokenizer,
        head_weight=weight,
        head_bias=bias,
        ridge=fit.matrix,
        entities=source.entities,
        text=source.text,
        image=source.image,
        trained_on=source.corpus_hash,
        channels=_channels(samples),
        parity={"opset": OPSET, "optimised": settings.optimise, **measured},
        ridge_report=_ridge_report(fit, settings),
        further={graph.file: graph.content for graph in graphs[1:]},
    )
    return write_bundle(bundle, content)


def _ridge_report(fit: RidgeFit, settings: ExportSettings) -> dict[str, Any]:
    stated = {key: value for key, value in dataclasses.asdict(fit).items() if key != "matrix"}
    return rounded(stated) | {"seed": settings.seed}


def _channels(samples: Samples) -> tuple[Modality, ...]:
    """Return the modalities that the training corpus has."""
    text = any(item.text for item in samples.inputs)
    picture = any(item.image is not None for item in samples.inputs)
    return MODALITIES if text and picture else ("text",) if text else ("picture",)
