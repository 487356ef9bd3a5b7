"""Features of a corpus, kept in a file: encoding all sentences again for each experiment would take minutes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from entity_expand.corpus import Corpus
from entity_expand.errors import TrainingError
from entity_expand.files import replacing
from entity_expand.types import AnyArray, Int64
from training.baselines.front import Features
from training.baselines.vectors import VectorTable
from training.config import TrainingConfig

_VERSION = 1


def stored_features(
    corpus: Corpus, samples: Int64, config: TrainingConfig, cache: Path, checkpoints: Sequence[Path] = ()
) -> Features:
    """Return what `Features.of` does, computed once for each corpus, choice of samples, backbones and checkpoints.

    Backbones and checkpoints are known by their settings and folders: remove the file where weights have changed.

    Raises:
        TrainingError: The file is damaged.
    """
    about = {
        "version": _VERSION, "corpus": corpus.content_hash, "samples": hashlib.sha256(samples.tobytes()).hexdigest(),
        "text": [config.text.backbone, config.text.max_length], "vision": asdict(config.vision),
        "checkpoints": [str(folder) for folder in checkpoints],
    }  # fmt: skip
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    file = cache / f"features-{key}.npz"
    if not file.is_file():
        _write(file, Features.of(corpus, samples, config, cache, checkpoints))
    return _read(file)


def _write(file: Path, features: Features) -> None:
    arrays: dict[str, AnyArray] = {"ids": np.array(features.ids)}
    for field in fields(Features):
        table = getattr(features, field.name)
        if isinstance(table, VectorTable):
            arrays[f"table {field.name}"] = table.vectors.astype(np.float32)
    for model, part in features.pretrained:
        arrays[f"pretrained {json.dumps([model, part])}"] = features.pretrained[model, part].vectors.astype(np.float32)
    with replacing(file) as beside, beside.open("wb") as handle:
        np.savez(handle, allow_pickle=False, **arrays)


def _read(file: Path) -> Features:
    try:
        return _features(file)
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as problem:
        raise TrainingError(f"Cannot read {file}: {problem}; delete it, and it is computed anew.") from problem


def _features(file: Path) -> Features:
    with file.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
        ids = tuple(arrays["ids"].tolist())

        def table(field: str, name: str) -> VectorTable | None:
            key = f"table {field}"
            return VectorTable(name, ids, arrays[key]) if key in arrays else None

        pretrained = {}
        for key in arrays.files:
            if key.startswith("pretrained "):
                model, part = json.loads(key.removeprefix("pretrained "))
                pretrained[model, part] = VectorTable(f"{model}, {part}", ids, arrays[key])
        return Features(
            ids, VectorTable("TF-IDF", ids, arrays["table words"]), table("names", "name only"),
            table("tokens", "sentence means"), table("mask", "at the mask"), table("pictures", "pictures"), pretrained,
        )  # fmt: skip
