"""The exported graphs, made and compared with the model on made-up inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from entity_expand.bundle.specs import encoder_spec, graph_file
from entity_expand.encoder.onnx_session import PROVIDERS, available_providers, graph_session, run_graph
from entity_expand.errors import EncoderError, ParityError
from entity_expand.inputs.text import MaskedTokenizer
from entity_expand.types import Modality, Variant
from export.modalities import as_seen, feature_module, taken
from export.parity import BOUNDS, Difference, check, difference
from export.probes import example, probes
from export.settings import ExportSettings, Source
from export.to_onnx import cleaned, export_graph, fused, run_torch
from export.variants import fp16, int8


@dataclass(frozen=True, slots=True, eq=False)
class VerifiedGraph:
    """A graph that agrees with its model on made-up inputs.

    Attributes:
        modality: What it sees.
        variant: How it computes.
        content: The ONNX file.
        session: It, loaded by onnxruntime.
        provider: The execution provider of the session, by long name.
        changes: How often operators were fused, and how many products were quantised.
        found: The measured difference.
    """

    modality: Modality
    variant: Variant
    content: bytes
    session: Any
    provider: str
    changes: Mapping[str, int]
    found: Difference

    @property
    def file(self) -> str:
        """Its name in a bundle."""
        return graph_file(self.modality, self.variant)


def verified_graphs(
    source: Source, tokenizer: MaskedTokenizer, dimension: int, settings: ExportSettings
) -> Iterator[VerifiedGraph]:
    """Export the graphs that the settings name, each compared with the model on made-up inputs.

    Args:
        source: What is exported.
        tokenizer: The model's.
        dimension: D.
        settings: How.

    Raises:
        ParityError: A graph is not as declared, does not run, holds attention that is not recognised, or differs from
            the model.
    """
    made: dict[Modality, tuple[Any, Mapping[str, int]]] = {}
    for modality, variant in settings.graphs:
        if modality not in made:
            made[modality] = _made(source, tokenizer, dimension, modality, settings)
        graph, fusions = made[modality]
        changes = dict(fusions)
        if variant == "int8":
            graph, changes["int8_products"] = int8(graph)
        elif variant == "fp16":
            graph = fp16(graph)
        content = cleaned(graph, encoder_spec(dimension, source.image.size, modality))
        yield _verified(source, tokenizer, (modality, variant), content, changes, settings)


def _made(
    source: Source, tokenizer: MaskedTokenizer, dimension: int, modality: Modality, settings: ExportSettings
) -> tuple[Any, Mapping[str, int]]:
    size = source.image.size
    graph = export_graph(
        feature_module(source.model, modality, tokenizer, size),
        encoder_spec(dimension, size, modality),
        taken(example(tokenizer, size, settings.seed), modality),
        source.text.max_length,
    )
    return fused(graph) if settings.optimise else (graph, {})


def _verified(
    source: Source,
    tokenizer: MaskedTokenizer,
    what: tuple[Modality, Variant],
    content: bytes,
    changes: Mapping[str, int],
    settings: ExportSettings,
) -> VerifiedGraph:
    modality, variant = what
    name, provider = graph_file(*what), shipped_for(variant)
    try:
        session = graph_session(content, (provider,))
        pairs = []
        for feeds in probes(tokenizer, source.image.size, settings.seed):
            seen = as_seen(feeds, modality, tokenizer)
            pairs.append((run_torch(source.model, seen), run_graph(session, taken(seen, modality))))
    except EncoderError as problem:
        raise ParityError(f"The exported {name} does not run: {problem}") from problem
    for model, graph in pairs:
        difference(model, graph)
    found = difference(*(np.concatenate(side) for side in zip(*pairs, strict=True)))
    check(found, None, BOUNDS[variant], f"made-up inputs ({name})")
    return VerifiedGraph(modality, variant, content, session, provider, changes, found)


def shipped_for(variant: Variant) -> str:
    """Return the execution provider that a variant is verified on: for float16 a GPU's, if there is one."""
    gpu = PROVIDERS["cuda"]
    return gpu if variant == "fp16" and gpu in available_providers() else PROVIDERS["cpu"]
