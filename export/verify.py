"""The exported graph, compared with the model on made-up inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from entity_expand.errors import EncoderError, ParityError
from entity_expand.onnx_session import graph_session, run_graph
from entity_expand.specs import encoder_spec
from entity_expand.text import MaskedTokenizer
from export.parity import Bounds, Difference, check, difference
from export.probes import example, probes
from export.settings import ExportSettings, Source
from export.to_onnx import cleaned, export_graph, fused, run_torch


@dataclass(frozen=True, slots=True, eq=False)
class VerifiedGraph:
    """A graph that agrees with its model on made-up inputs.

    Attributes:
        content: The ONNX file.
        session: It, loaded by onnxruntime.
        tokenizer: The model's.
        optimised: Whether operators were fused.
        found: The measured difference.
    """

    content: bytes
    session: Any
    tokenizer: MaskedTokenizer
    optimised: bool
    found: Difference


def verified_graph(source: Source, dimension: int, settings: ExportSettings) -> VerifiedGraph:
    """Export the graph and compare it on made-up inputs; a fused one that fails is left for the plain one.

    Args:
        source: What is exported.
        dimension: D.
        settings: How.

    Raises:
        ParityError: The graph is not as declared, does not run, or differs from the model.
    """
    tokenizer = MaskedTokenizer.from_bytes(source.tokenizer, source.text)
    size = source.image.size
    spec = encoder_spec(dimension, size)
    made = export_graph(source.model, spec, example(tokenizer, size, settings.seed), source.text.max_length)
    if settings.optimise:
        try:
            return _verified(source, cleaned(fused(made), spec), tokenizer, settings, optimised=True)
        except ParityError:
            pass
    return _verified(source, cleaned(made, spec), tokenizer, settings, optimised=False)


def _verified(
    source: Source, content: bytes, tokenizer: MaskedTokenizer, settings: ExportSettings, *, optimised: bool
) -> VerifiedGraph:
    try:
        session = graph_session(content)
        pairs = [
            (run_torch(source.model, feeds), run_graph(session, feeds))
            for feeds in probes(tokenizer, source.image.size, settings.seed)
        ]
    except EncoderError as problem:
        raise ParityError(f"The exported graph does not run: {problem}") from problem
    for model, graph in pairs:
        difference(model, graph)
    found = difference(*(np.concatenate(side) for side in zip(*pairs, strict=True)))
    check(found, None, Bounds(), "made-up inputs")
    return VerifiedGraph(content, session, tokenizer, optimised, found)
