"""The model card of a run: README.md for people, card.json with the same for programs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from entity_expand.config import to_mapping
from entity_expand.files import write_json, write_text
from training.config import TrainingConfig
from training.run.card_text import USE, card_text, limits
from training.run.facts import (
    MAP_DEFINITION,
    PAPER,
    CorpusFacts,
    ModelCard,
    described,
    device_name,
    differing,
    picture_backbone,
    settings_digest,
    text_backbone,
)
from training.run.measured import best_measured, last_measured, length
from training.run.metrics import read_metrics

FORMAT, VERSION = "entity-expand model card", 1
TEXT_NAME, JSON_NAME = "README.md", "card.json"


def card_of(
    run: Path,
    config: TrainingConfig,
    corpus: CorpusFacts,
    device: torch.device,
    *,
    best_checkpoint: str | None = None,
    last_checkpoint: str | None = None,
    protocol: str = "not recorded",
    definition: str = MAP_DEFINITION,
) -> ModelCard:
    """Put together the card of a run, its measurements from the metrics.jsonl in its folder.

    Args:
        run: Folder of the run, which names the model.
        config: All settings.
        corpus: The corpus.
        device: What it was trained on.
        best_checkpoint: Its path relative to the run folder.
        last_checkpoint: The newest one's.
        protocol: How queries were expanded for the validation.
        definition: What the values of the validation mean.
    """
    records = read_metrics(run / "metrics.jsonl")
    settings = to_mapping(config)
    return ModelCard(
        name=run.resolve().name,
        settings=settings,
        changed=differing(settings, to_mapping(TrainingConfig())),
        corpus=corpus,
        backbones=(text_backbone(config.text), picture_backbone(config.vision)),
        length=length(records, device_name(device), config.loop.precision, config.loop.seed),
        model=described(config),
        best=best_measured(records),
        last=last_measured(records),
        best_checkpoint=best_checkpoint,
        last_checkpoint=last_checkpoint,
        protocol=protocol,
        definition=definition,
    )


def write_card(run: Path, card: ModelCard) -> None:
    """Write README.md and card.json into the folder of a run, each replacing an earlier one when it is whole."""
    write_text(run / TEXT_NAME, card_text(card))
    write_json(run / JSON_NAME, card_mapping(card))


def card_mapping(card: ModelCard) -> dict[str, Any]:
    """Return what card.json holds: the attributes of the card, a digest of the settings, use and limits.

    Numbers that are not finite are null, for JSON has none.
    """
    about = {"format": FORMAT, "version": VERSION, "paper": PAPER, "settings_sha256": settings_digest(card.settings)}
    found: dict[str, Any] = _finite(dataclasses.asdict(card))
    return {**found, **about, "intended_use": USE, "limits": limits(card)}


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
