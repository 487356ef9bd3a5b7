"""The bundle: the folder that export hands over, which runs without torch and is checked when it is opened."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from entity_expand import files
from entity_expand.bundle.graph import read_spec
from entity_expand.bundle.manifest import FileRecord, Manifest, checked_channels, read_manifest
from entity_expand.bundle.specs import GRAPHS, encoder_spec, graph_file
from entity_expand.bundle.tables import ENTITY_CAP, HEADER_CAP, entity_lines, npy_bytes, read_entities, read_npy
from entity_expand.errors import BundleError, EncoderError
from entity_expand.inputs.image import ImageConfig
from entity_expand.inputs.text import TOKENIZER_CAP, MaskedTokenizer, TextConfig
from entity_expand.types import MODALITIES, Entity, Float32, Modality, Variant

MANIFEST = "manifest.json"
GRAPH = graph_file()
TOKENIZER = "tokenizer.json"
HEAD_WEIGHT = "head_weight.npy"
HEAD_BIAS = "head_bias.npy"
RIDGE = "ridge.npy"
ENTITIES = "entities.jsonl"
FILES = (GRAPH, TOKENIZER, HEAD_WEIGHT, HEAD_BIAS, RIDGE, ENTITIES)
FURTHER = tuple(name for name in GRAPHS if name != GRAPH)
"""Files that a bundle may hold beside `FILES`."""

_MANIFEST_CAP = 1 << 20
_GRAPH_CAP = (2 << 30) - 1


@dataclass(frozen=True, slots=True, eq=False)
class BundleContent:
    """All that a bundle is written from.

    Attributes:
        graph: The ONNX file of the graph of both modalities in float32, as `encoder_spec` declares it.
        tokenizer: The `tokenizer.json` of the tokenizers library.
        head_weight: (V, D) float32, rows of the entity head's last layer.
        head_bias: (V,) float32.
        ridge: (D+1, D+1) float32, maps a row [g, 1] (as row @ ridge) to [w, b].
        entities: V entities in the head's order.
        text: How sentences become ids.
        image: How pictures become pixels.
        trained_on: Content hash of the training corpus, SHA-256 as hex.
        channels: Modalities that the model was made for.
        parity: Goes into the manifest.
        ridge_report: Goes into the manifest.
        further: Other graphs as ONNX files, by the names of `GRAPHS`.
    """

    graph: bytes
    tokenizer: bytes
    head_weight: Float32
    head_bias: Float32
    ridge: Float32
    entities: Sequence[Entity]
    text: TextConfig
    image: ImageConfig
    trained_on: str
    channels: tuple[Modality, ...] = MODALITIES
    parity: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    ridge_report: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    further: Mapping[str, bytes] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """An opened bundle whose files were all found as the manifest states them. Arrays are read-only.

    Attributes:
        path: The folder.
        manifest: What it states.
        fingerprint: SHA-256 that stands for the whole bundle.
        entities: V trained entities in the head's order.
        head_weight: (V, D) float32.
        head_bias: (V,) float32.
        ridge: (D+1, D+1) float32, maps a row [g, 1] (as row @ ridge) to [w, b].
        tokenizer: Ready to use.
    """

    path: Path
    manifest: Manifest
    fingerprint: str
    entities: tuple[Entity, ...]
    head_weight: Float32
    head_bias: Float32
    ridge: Float32
    tokenizer: MaskedTokenizer

    @classmethod
    def open(cls, path: Path | str) -> Bundle:
        """Open a bundle and check all of it: sizes, hashes, shapes, types, and that nothing points elsewhere.

        Raises:
            BundleError: A file is missing, damaged, of another version, or does not fit the others.
        """
        return _opened(files.settle(Path(path)))

    @property
    def dimension(self) -> int:
        """D, width of the feature."""
        return self.manifest.dimension

    @property
    def vocabulary(self) -> int:
        """V, number of trained entities."""
        return self.manifest.vocabulary

    @property
    def text(self) -> TextConfig:
        """How sentences become ids."""
        return self.manifest.text

    @property
    def image(self) -> ImageConfig:
        """How pictures become pixels."""
        return self.manifest.image

    @property
    def channels(self) -> tuple[Modality, ...]:
        """Modalities that the model was made for."""
        return self.manifest.channels

    @property
    def graphs(self) -> tuple[tuple[Modality, Variant], ...]:
        """What the encoder graphs that are here see, and how they compute."""
        return tuple(what for name, what in GRAPHS.items() if name in self.manifest.files)

    def alone(self, variant: Variant) -> frozenset[Modality]:
        """Return the modalities that have a graph of their own for inputs that lack the other one."""
        return frozenset(seen for seen, computed in self.graphs if computed == variant and seen != "both")

    def read_graph(self, modality: Modality = "both", variant: Variant = "fp32") -> bytes:
        """Read an ONNX file, and check again that it is the one of the manifest.

        Raises:
            BundleError: The bundle has no such graph, or the file has changed since the bundle was opened.
        """
        name = graph_file(modality, variant)
        if name not in self.manifest.files:
            present = ", ".join(f"{variant} ({modality})" for modality, variant in self.graphs)
            raise BundleError(f"{self.path} has no {name}, but {present}; export it with `--variant {variant}`.")
        return _read(self.path, name, self.manifest.files[name], _GRAPH_CAP)


def write_bundle(path: Path, content: BundleContent) -> Bundle:
    """Write a bundle as a whole, in place of an older one at `path`, and open it.

    The same content gives the same bytes and the same fingerprint. The new folder is checked before it takes
    its place; until then the older bundle stays as it is.

    Raises:
        BundleError: The content does not fit together; nothing is left of it.
        EntityExpandError: `path` is there and no bundle.
    """
    contents = _contents(content)
    manifest = Manifest(
        dimension=content.head_weight.shape[-1],
        vocabulary=len(content.entities),
        files={name: FileRecord(_sha256(data), len(data)) for name, data in contents.items()},
        text=content.text,
        image=content.image,
        channels=checked_channels(content.channels),
        trained_on=content.trained_on,
        parity=content.parity,
        ridge=content.ridge_report,
    ).to_json()
    read_manifest(manifest, FILES, FURTHER)  # no name may lead out of the folder
    with files.new_folder(path, MANIFEST) as folder:
        for name, data in contents.items():
            (folder / name).write_bytes(data)
        files.write_json(folder / MANIFEST, manifest)
        bundle = _opened(folder)
    return dataclasses.replace(bundle, path=path)


def _contents(content: BundleContent) -> dict[str, bytes]:
    return {
        GRAPH: content.graph,
        TOKENIZER: content.tokenizer,
        HEAD_WEIGHT: npy_bytes(content.head_weight, HEAD_WEIGHT),
        HEAD_BIAS: npy_bytes(content.head_bias, HEAD_BIAS),
        RIDGE: npy_bytes(content.ridge, RIDGE),
        ENTITIES: entity_lines(content.entities),
        **content.further,
    }


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _opened(folder: Path) -> Bundle:
    if not folder.is_dir():
        raise BundleError(f"There is no bundle at {folder}; make one with `entity-expand export`.")
    stated = files.read_json(files.confined(folder, MANIFEST, BundleError), _MANIFEST_CAP, BundleError)
    manifest = read_manifest(stated, FILES, FURTHER)
    width, count = manifest.dimension, manifest.vocabulary

    def read(name: str, cap: int) -> bytes:
        return _read(folder, name, manifest.files[name], cap)

    def array(name: str, *shape: int) -> Float32:
        return read_npy(read(name, HEADER_CAP + 4 * int(np.prod(shape))), name, shape)

    for name in manifest.files.keys() & GRAPHS.keys():
        spec = encoder_spec(width, manifest.image.size, GRAPHS[name][0])
        differences = spec.differences(read_spec(read(name, _GRAPH_CAP)))
        if differences:
            raise BundleError(f"{name} does not fit the manifest: {'; '.join(differences)}.")
    try:
        tokenizer = MaskedTokenizer.from_bytes(read(TOKENIZER, TOKENIZER_CAP), manifest.text, TOKENIZER)
    except EncoderError as problem:
        raise BundleError(str(problem)) from problem
    return Bundle(
        path=folder,
        manifest=manifest,
        fingerprint=manifest.fingerprint,
        entities=read_entities(read(ENTITIES, ENTITY_CAP * count), ENTITIES, count),
        head_weight=array(HEAD_WEIGHT, count, width),
        head_bias=array(HEAD_BIAS, count),
        ridge=array(RIDGE, width + 1, width + 1),
        tokenizer=tokenizer,
    )


def _read(folder: Path, name: str, record: FileRecord, cap: int) -> bytes:
    """Read one file and compare it with its record; `cap` bounds what is read."""
    path = files.confined(folder, name, BundleError)
    if record.bytes > cap:
        raise BundleError(f"{name} is stated with {record.bytes:,} bytes, above the limit of {cap:,}.")
    if not path.is_file():
        raise BundleError(f"{name} is missing from the bundle at {folder}.")
    size = path.stat().st_size
    if size != record.bytes:
        raise BundleError(f"{name} has {size:,} bytes, the manifest states {record.bytes:,}.")
    content = files.read_capped(path, cap, BundleError)
    if _sha256(content) != record.sha256:
        raise BundleError(f"{name} has been changed: its SHA-256 is not the one that the manifest states.")
    return content
