"""What a model on a server is called and takes, as those agree on who write its repository and those who ask it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from entity_expand.bundle import Bundle
from entity_expand.bundle.specs import GraphSpec, TensorSpec, encoder_spec, graph_file, scorer_spec
from entity_expand.errors import ModelMismatchError
from entity_expand.scorer.folder import ScorerFolder
from entity_expand.types import AnyArray, Modality, Variant

PREFIX = "entity-expand-"
LENGTHS = "lengths"
"""Parameter of a model: the lengths that free axes have to be filled up to, as "8,16,32"; absent if any will do."""
WIRE_TYPES = {"int64": "INT64", "float32": "FP32"}
"""What a server calls the types of numbers."""
FINGERPRINT = "fingerprint"
"""Parameter of a model: what it was made from, for people to read; its version says the same to programs."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model of a server.

    Attributes:
        name: Folder in the model repository.
        version: Number of its version. It stands for the content, so a server cannot answer with another one.
        spec: What its graph takes and gives.
        origin: What it was made from, for messages: "the bundle at PATH".
        padding: What shorter rows are filled up with, so that requests have one shape, by input; other inputs have no
            axis whose length is free.
    """

    name: str
    version: int
    spec: GraphSpec
    origin: str
    padding: Mapping[str, int]

    def __str__(self) -> str:
        return f"{self.name}, version {self.version}"


def encoder_model(bundle: Bundle, modality: Modality = "both", variant: Variant = "fp32") -> Model:
    """Return the model that a bundle's encoder graph becomes."""
    name = PREFIX + graph_file(modality, variant).removesuffix(".onnx")
    spec = encoder_spec(bundle.dimension, bundle.image.size, modality)
    padding = {"input_ids": bundle.tokenizer.padding_id, "attention_mask": 0} if modality != "picture" else {}
    return Model(name, version_of(bundle.fingerprint), spec, f"the bundle at {bundle.path}", padding)


def scorer_model(folder: ScorerFolder) -> Model:
    """Return the model that a scorer becomes."""
    padding = {"seeds": -1, "weights": 0, "excluded": -1}
    version = version_of(folder.fingerprint)
    return Model(PREFIX + "scorer", version, scorer_spec(folder.width), f"the scorer at {folder.path}", padding)


def version_of(fingerprint: str) -> int:
    """Return the number of a version that stands for a fingerprint: its first 60 bits; folders are named by it."""
    return max(1, int(fingerprint[:15], 16))


def wire_axes(tensor: TensorSpec) -> tuple[int, ...]:
    """Return the axes of a tensor behind the batch, as a server declares them: -1 is free, one number a row is (1,)."""
    return tuple(-1 if isinstance(axis, str) else axis for axis in tensor.axes[1:]) or (1,)


@dataclass(frozen=True, slots=True)
class Served:
    """How a server runs a model.

    Attributes:
        max_batch: Most rows of one request.
        lengths: To which rows are to be filled up, ascending; () for any.
    """

    max_batch: int
    lengths: tuple[int, ...]

    def filled_up(self, model: Model, feeds: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Return the inputs with free axes as long as the server wants them; what is longer than any stays as it is."""
        found = dict(feeds)
        for name, filler in model.padding.items():
            length = max(1, feeds[name].shape[1])  # an axis of length 0 cannot be sent
            length = next((each for each in self.lengths if each >= length), length)
            more = length - feeds[name].shape[1]
            if more:
                found[name] = np.pad(feeds[name], ((0, 0), (0, more)), constant_values=filler)
        return found


def check_served(model: Model, metadata: Mapping[str, Any], config: Mapping[str, Any], where: str) -> Served:
    """Compare what a server says of a model with what it must be.

    Args:
        model: What it must be.
        metadata: As the server answers, numbers perhaps as text.
        config: Its configuration.
        where: The server, for messages.

    Raises:
        ModelMismatchError: Inputs or outputs differ, or the configuration cannot be read.
    """
    try:
        found = _declared(metadata["inputs"]), _declared(metadata["outputs"])
        max_batch = int(config["max_batch_size"])
        lengths = config.get("parameters", {}).get(LENGTHS, {}).get("string_value", "")
        served = Served(max_batch, tuple(sorted(int(each) for each in lengths.split(",") if each)))
    except (LookupError, TypeError, ValueError, AttributeError) as problem:
        raise ModelMismatchError(f"{where} describes {model} in a way that cannot be read: {problem!r}.") from problem
    expected = _expected(model.spec.inputs), _expected(model.spec.outputs)
    if found != expected or max_batch < 1:
        raise ModelMismatchError(
            f"{where} serves {model} with inputs {found[0]}, outputs {found[1]} and batches up to {max_batch}, but "
            f"{model.origin} needs {expected[0]} and {expected[1]}; serve the repository that was written for it."
        )
    return served


def _declared(tensors: list[Mapping[str, Any]]) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {each["name"]: (str(each["datatype"]), tuple(int(axis) for axis in each["shape"])) for each in tensors}


def _expected(tensors: tuple[TensorSpec, ...]) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {each.name: (WIRE_TYPES[each.dtype], (-1, *wire_axes(each))) for each in tensors}
