"""Write a model repository, for ONNX Runtime on GPUs or for the Python backend, which needs none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from entity_expand import files
from entity_expand.bundle import Bundle
from entity_expand.scorer.folder import ScorerFolder
from entity_expand.triton.configuration import (
    ModelContent,
    RepositorySettings,
    WarmUp,
    configuration,
    warm_up_files,
)
from entity_expand.triton.models import PREFIX, Model, encoder_model, scorer_model
from entity_expand.triton.pbtxt import written
from entity_expand.types import AnyArray, Modality, Variant

_PROGRAM = Path(__file__).with_name("program.py")
_SHORTEST = 8
_SEEDS = (4, 16, 64, 256, 1024)


def encoder_content(bundle: Bundle, modality: Modality, variant: Variant, settings: RepositorySettings) -> ModelContent:
    """Return the model of one encoder graph of a bundle; the graph in 8-bit integers stays on the CPU everywhere."""
    model = encoder_model(bundle, modality, variant)
    lengths = tuple(_lengths(bundle.text.max_length)) if model.padding and settings.backend == "onnxruntime" else ()
    warm_up = [WarmUp(_sentence(bundle, model, length)) for length in lengths or (bundle.text.max_length,)]
    warm_up.append(WarmUp(warm_up[-1].feeds, settings.max_batch))
    return ModelContent(
        model=model,
        graph=bundle.read_graph(modality, variant),
        fingerprint=bundle.fingerprint,
        on_gpu=variant != "int8",
        tensorrt=True,
        lengths=lengths,
        warm_up=tuple(warm_up),
    )


def encoder_models(bundle: Bundle, settings: RepositorySettings) -> list[ModelContent]:
    """Return the models of all encoder graphs of a bundle."""
    return [encoder_content(bundle, modality, variant, settings) for modality, variant in bundle.graphs]


def scorer_content(folder: ScorerFolder, settings: RepositorySettings) -> ModelContent:
    """Return the model of a scorer, which holds the rows of all its entities."""
    model = scorer_model(folder)
    lengths = _SEEDS if settings.backend == "onnxruntime" else ()
    warm_up = [WarmUp(_seeds(folder, length)) for length in lengths or (1,)]
    warm_up.append(WarmUp(warm_up[0].feeds, settings.max_batch))
    return ModelContent(
        model=model,
        graph=folder.graph,
        fingerprint=folder.fingerprint,
        on_gpu=True,
        tensorrt=False,
        lengths=lengths,
        warm_up=tuple(warm_up),
        beside=folder.data,
    )


def write_repository(path: Path, models: Sequence[ModelContent], settings: RepositorySettings) -> None:
    """Write a model repository as a whole, in place of an older one at `path`.

    Raises:
        EntityExpandError: `path` is there and no repository of models of this project.
    """
    with files.new_folder(path, f"{PREFIX}*/config.pbtxt") as folder:
        for content in models:
            own = folder / content.model.name
            version = own / str(content.model.version)
            version.mkdir(parents=True)
            (version / "model.onnx").write_bytes(content.graph)
            if content.beside is not None:
                shutil.copyfile(content.beside, version / content.beside.name)
            if settings.backend == "python":
                (version / "model.py").write_bytes(_PROGRAM.read_bytes())
            (own / "config.pbtxt").write_text(written(configuration(content, settings)), encoding="utf-8")
            (own / "warmup").mkdir()
            for name, array in warm_up_files(content).items():
                (own / "warmup" / name).write_bytes(array.tobytes())


def _lengths(longest: int) -> Iterator[int]:
    """Yield the lengths that sentences are filled up to: doubling, the longest last."""
    length = _SHORTEST
    while length < longest:
        yield length
        length *= 2
    yield longest


def _sentence(bundle: Bundle, model: Model, length: int) -> dict[str, AnyArray]:
    """Return one row of valid inputs of an encoder: a sentence of masks that has this length, and a black picture."""
    start, mask, end = bundle.tokenizer.encode("x", ((0, 1),)).ids
    size = bundle.image.size
    row = {
        "input_ids": np.array([start, *(mask for _ in range(length - 2)), end], "<i8"),
        "attention_mask": np.ones(length, "<i8"),
        "mask_position": np.ones(1, "<i8"),
        "pixels": np.zeros((3, size, size), "<f4"),
        "image_present": np.ones(1, "<f4"),
    }
    return {tensor.name: row[tensor.name] for tensor in model.spec.inputs}


def _seeds(folder: ScorerFolder, length: int) -> dict[str, AnyArray]:
    """Return one row of valid inputs of a scorer: the first entity is the seed, and nothing else is excluded."""
    nobody = np.full(length, -1, "<i8")
    return {
        "seeds": np.concatenate([np.zeros(1, "<i8"), nobody[1:]]),
        "weights": np.ones(length, "<f4"),
        "query": np.zeros(2 * folder.width, "<f4"),
        "excluded": nobody,
        "both_directions": np.ones(1, "<f4"),
        "k": np.ones(1, "<i8"),
    }
