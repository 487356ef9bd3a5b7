"""What an export is made from, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from entity_expand.config import check, setting
from entity_expand.errors import ConfigError
from entity_expand.inputs.image import ImageConfig
from entity_expand.inputs.text import TextConfig
from entity_expand.types import MODALITIES, VARIANTS, Entity, Modality, Variant
from export.to_onnx import FeatureModel


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How an export is made and measured.

    Attributes:
        variants: How the graphs compute; "fp32" is always among them.
        modalities: What the graphs see; "both" is always among them. Every modality gets every variant.
        optimise: Fuse operators for onnxruntime.
        samples_per_entity: Most sentences of an entity that are encoded to measure parity and fit the ridge map.
        max_samples: Lowers that, down to one, on a corpus with many entities.
        parity_entities: Most entities, spread evenly, whose sentences go through torch too.
        top_k: Length of the lists that are compared, at most half the vocabulary.
        batch_size: Sentences that are run together.
        seed: Of the made-up inputs and of what is held out.
        any_corpus: Accept a corpus with another content hash than the one trained on.
        checkpoint: Which one of a run; None takes the best on the validation queries if there is one, else the latest.
    """

    variants: tuple[Variant, ...] = ("fp32",)
    modalities: tuple[Modality, ...] = ("both",)
    optimise: bool = True
    samples_per_entity: int = setting(4, low=1)
    max_samples: int = setting(20_000, low=1)
    parity_entities: int = setting(1000, low=1)
    top_k: int = setting(50, low=1)
    batch_size: int = setting(32, low=1)
    seed: int = setting(0, low=0)
    any_corpus: bool = False
    checkpoint: Literal["best", "latest"] | None = None

    def __post_init__(self) -> None:
        check(self)
        wrong = [*(set(self.variants) - set(VARIANTS)), *(set(self.modalities) - set(MODALITIES))]
        if wrong:
            raise ConfigError(f"Unknown variants or modalities: {', '.join(map(repr, wrong))}.")

    @property
    def graphs(self) -> tuple[tuple[Modality, Variant], ...]:
        """What is exported, that for both in fp32 first."""
        modalities = [each for each in MODALITIES if each in self.modalities or each == "both"]
        variants = [each for each in VARIANTS if each in self.variants or each == "fp32"]
        return tuple((modality, variant) for modality in modalities for variant in variants)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What is exported.

    Attributes:
        model: On the CPU, in evaluation mode.
        entities: V entities in the order of the head's rows.
        tokenizer: Bytes of a tokenizer.json.
        text: How sentences become ids.
        image: How pictures become pixels.
        corpus_hash: Content hash of the training corpus.
        split: Rows that were trained on; None for all.
    """

    model: FeatureModel
    entities: tuple[Entity, ...]
    tokenizer: bytes
    text: TextConfig
    image: ImageConfig
    corpus_hash: str
    split: str | None = None
