"""What a model card holds, and what of it the settings and the machine tell."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from entity_expand._version import __version__
from training.config import ALL_LAYERS, TextSettings, TrainingConfig, VisionSettings
from training.run.measured import Length, Measured

PAPER = "https://arxiv.org/abs/2307.14878"
_WHAT = "A multi-modal model for entity set expansion: three names go in, the ranked rest of their set comes out."
_FUSED = {
    "cross": "a text encoder and an image network, fused by transformers",
    "experts": "a text encoder and an image network, kept apart to the end, whose scores are added",
    "pooled": "the mean states of a text encoder and of an image network, side by side, without layers above them",
}
_LEARNED = {
    "entity": "to name the entity behind a mask",
    "words": "to fill in hidden words",
    "matching": "to tell whether a picture belongs to a text",
    "image_text": "to tell which picture belongs to which text, before they are fused",
    "instance": "to bring samples of entities that its own lists put together near each other",
    "cluster": "to put samples of such entities into the same clusters",
}
_FITTED = (
    "maps and rows of the entities are fitted in closed form, so that samples of one entity and entities that are each "
    "other's nearest lie together"
)
_EXPORT = "`entity-expand export` makes a bundle of it that runs without torch."
_MINILM = (
    "all-MiniLM-L6-v2, pretrained on English text and on about a billion pairs of English sentences from the web, "
    "among them encyclopaedias and forums"
)
_IMAGENET = "the pictures and the labels of ImageNet-1k: a corpus that names the same things is no fair test of it"
_NOTHING = "nothing before this corpus"
MAP_DEFINITION = (
    "MAP@K: the sum over hits at place i of (hits up to i) / i, divided by the smaller of K and the size of the "
    "class, seeds taken out of list and class; the mean over the classes of each query number, then over the query "
    "numbers. 1 is a perfect list."
)


@dataclass(frozen=True)
class Backbone:
    """One of the two backbones.

    Attributes:
        part: "text" or "picture".
        name: Its name in the settings.
        seen: What it was trained on before.
        trained: What of it this run trains.
    """

    part: str
    name: str
    seen: str
    trained: str


@dataclass(frozen=True)
class CorpusFacts:
    """The corpus of a run.

    Attributes:
        name: What it is called, such as its folder's name.
        content_hash: Of all its content.
        split: The split that was trained on.
        entities: Entities of the corpus.
        trained_entities: Entities with a row in the head.
        samples: Samples that were trained on.
        held_out: Samples that loss and accuracy were measured on.
        pictures: Different pictures of the samples, None if they were not counted.
    """

    name: str
    content_hash: str
    split: str
    entities: int
    trained_entities: int
    samples: int
    held_out: int = 0
    pictures: int | None = None


@dataclass(frozen=True)
class ModelCard:
    """What there is to know of a trained model.

    Attributes:
        name: Name of the model, such as its run folder's.
        settings: All settings as nested mappings, as config.json has them.
        changed: The settings that differ from the defaults by dotted name, None where a default was taken away.
        corpus, backbones, length: See there.
        model: What it is, as Markdown; see `described`.
        best, last: What was measured at the checkpoint that was best in validation and at the newest; None if nothing
            was measured there.
        best_checkpoint, last_checkpoint: Their paths relative to the run folder, None where there is none.
        protocol: How queries were expanded for the validation, in words; docs/measuring.md has the names.
        definition: What the values of the validation mean.
        entity_expand_version: Of the program that wrote it.
    """

    name: str
    settings: Mapping[str, Any]
    changed: Mapping[str, Any]
    corpus: CorpusFacts
    backbones: tuple[Backbone, ...]
    length: Length
    model: str
    best: Measured | None = None
    last: Measured | None = None
    best_checkpoint: str | None = None
    last_checkpoint: str | None = None
    protocol: str = "not recorded"
    definition: str = MAP_DEFINITION
    entity_expand_version: str = __version__


def described(config: TrainingConfig) -> str:
    """Say what a model is by its form and its tasks, as Markdown."""
    tasks, fused = config.tasks, _FUSED[config.model.fusion]
    learned = [text for name, text in _LEARNED.items() if getattr(tasks, name)] if config.loop.epochs else []
    done = [f"it learns {_listed(learned)}"] if learned else []
    done += [_FITTED] if config.align.wanted else []
    paper = config.model.fusion == "cross" and bool(tasks.entity) and bool(learned)
    named = f"MultiExpan of the paper [arXiv 2307.14878]({PAPER}): " if paper else ""
    return f"{_WHAT} It is {named}{fused}; {'; then '.join(done)}. {_EXPORT}"


def _listed(texts: Sequence[str]) -> str:
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def text_backbone(settings: TextSettings) -> Backbone:
    """Describe the text backbone."""
    name = settings.backbone
    if name == "minilm":
        seen = _MINILM
    elif name != "scratch":
        seen = "what the folder's own description says; this project does not know it"
    elif settings.vectors is None:
        seen = _NOTHING
    else:
        unknown = "an encoder from a folder, which this project does not know"
        source = _MINILM if settings.vectors == "minilm" else unknown
        seen = f"{_NOTHING}; but its words start from vectors of {source}"
    layers = settings.trained_layers
    trained = {ALL_LAYERS: "all", 0: "nothing", 1: "its last layer"}.get(layers, f"its last {layers} layers")
    return Backbone("text", name, seen, trained)


def picture_backbone(settings: VisionSettings) -> Backbone:
    """Describe the picture backbone."""
    name = settings.backbone
    if name == "efficientnet-lite0":
        seen = _IMAGENET
    elif name == "scratch" or settings.random_weights:
        seen = _NOTHING
    elif name == "resnet50":
        seen = f"what its file of weights was trained on; torchvision's weights have seen {_IMAGENET}"
    else:
        seen = "what its file of weights was trained on; this project does not know it"
    return Backbone("picture", name, seen, "all" if settings.trained else "nothing")


def device_name(device: torch.device) -> str:
    """Return a device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}), {torch.get_num_threads()} threads"


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 of settings as lower-case hex, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def differing(settings: Mapping[str, Any], defaults: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Return the settings that are not the default by dotted name; None where a default was taken away."""
    found: dict[str, Any] = {}
    for key in sorted(settings.keys() | defaults.keys()):
        here, usual = settings.get(key), defaults.get(key)
        if isinstance(here, Mapping) and isinstance(usual, Mapping):
            found |= differing(here, usual, f"{where}{key}.")
        elif here != usual:
            found[f"{where}{key}"] = here
    return found
