"""What a model on a server is called and takes, as those agree on who write its repository and those who ask it."""

from __future__ import annotations

from dataclasses import dataclass

from entity_expand.bundle import Bundle
from entity_expand.specs import GraphSpec, TensorSpec, Variant, encoder_spec, graph_file
from entity_expand.types import Modality

PREFIX = "entity-expand-"
LENGTHS = "lengths"
"""Parameter of a model: the lengths that sentences have to be filled up to, as "8,16,32"; absent if any will do."""
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
    """

    name: str
    version: int
    spec: GraphSpec
    origin: str

    def __str__(self) -> str:
        return f"{self.name}, version {self.version}"


def encoder_model(bundle: Bundle, modality: Modality = "both", variant: Variant = "fp32") -> Model:
    """Return the model that a bundle's encoder graph becomes."""
    name = PREFIX + graph_file(modality, variant).removesuffix(".onnx")
    spec = encoder_spec(bundle.dimension, bundle.image.size, modality)
    return Model(name, version_of(bundle.fingerprint), spec, f"the bundle at {bundle.path}")


def version_of(fingerprint: str) -> int:
    """Return the number of a version that stands for a fingerprint: its first 60 bits; folders are named by it."""
    return max(1, int(fingerprint[:15], 16))


def wire_axes(tensor: TensorSpec) -> tuple[int, ...]:
    """Return the axes of a tensor behind the batch, as a server declares them: -1 is free, one number a row is (1,)."""
    return tuple(-1 if isinstance(axis, str) else axis for axis in tensor.axes[1:]) or (1,)
