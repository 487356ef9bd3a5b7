"""What never changes in a run, computed once: token ids or frozen layers' states, and pictures' tokens or pixels."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from entity_expand.corpus import Corpus
from entity_expand.errors import ImageError, TrainingError
from entity_expand.files import replacing, sha256_of, write_json
from entity_expand.inputs.image import ImageConfig, load_rgb, to_pixels
from entity_expand.inputs.text import MaskedTokenizer
from entity_expand.types import AnyArray, Bool, Int64, UInt8
from training.arrays import fill, finished, read_array
from training.backbones import describe_text, state_hash
from training.cached import PictureCache, TextCache
from training.config import Precision
from training.packed import SCALE_BYTES, pack
from training.text import TextEncoder
from training.vision import VisionTokens

_LOG = logging.getLogger(__name__)
_VERSION = 2
_SENTENCES, _PICTURES = 64, 32
_THREADS = 4


def text_cache(
    cache: Path, corpus: Corpus, samples: Int64, tokenizer_path: Path, tokenizer: MaskedTokenizer,
    encoder: TextEncoder, precision: Precision = None,
) -> TextCache:  # fmt: skip
    """Open the text cache of a corpus and an encoder, built first where it is missing.

    Args:
        cache: Folder of all caches.
        corpus: The corpus.
        samples: (N,) int64 sample numbers.
        tokenizer_path: File of `tokenizer`, for the fingerprint.
        tokenizer: Makes the ids.
        encoder: Its frozen layers are run, on the device it is on.
        precision: `LoopSettings.cache_precision`, of the states.

    Raises:
        TrainingError: The disk has too little room, half precision cannot hold the states, or the cache is damaged.
    """
    frozen = {name: value for name, value in encoder.named_parameters() if not value.requires_grad}
    key: dict[str, object] = {
        "kind": "text",
        "tokenizer": sha256_of(tokenizer_path),
        "config": asdict(tokenizer.config),
        "layers": encoder.frozen_layers,
    }
    if encoder.frozen:
        key |= {"weights": state_hash(frozen), "architecture": describe_text(encoder), **_named(precision)}

    def build(folder: Path) -> None:
        if not (folder / "offsets.npy").is_file():
            _write_ids(folder, corpus, samples, tokenizer)
        if encoder.frozen:
            _write_states(folder, encoder, tokenizer, precision)

    folder = finished(cache / f"text-{_fingerprint(corpus, samples, key)}", build)
    return TextCache(
        _load(folder, "offsets"), _load(folder, "ids"), _load(folder, "mask_position"), _load(folder, "has_text"),
        read_array(folder / "states.npy", "r") if encoder.frozen else None,
        tokenizer.padding_id, tokenizer.mask_id,
    )  # fmt: skip


def picture_cache(
    cache: Path, corpus: Corpus, samples: Int64, config: ImageConfig, backbone: VisionTokens,
    precision: Precision = None,
) -> PictureCache:  # fmt: skip
    """Open the picture cache of a corpus and a backbone, built first where it is missing.

    Args:
        cache: Folder of all caches.
        corpus: The corpus.
        samples: (N,) int64 sample numbers.
        config: How files become pixels.
        backbone: Run on every distinct picture if it is frozen, on the device it is on.
        precision: `LoopSettings.cache_precision`, of the tokens of a frozen backbone.

    Raises:
        TrainingError: The disk has too little room, half precision cannot hold the tokens, or the cache is damaged.
    """
    key: dict[str, object] = {"kind": "pictures", "size": [config.size, config.resize, config.interpolation]}
    if backbone.frozen:
        key |= {"scale": [config.mean, config.std], **frozen_key(backbone), **_named(precision)}

    def build(folder: Path) -> None:
        paths, picture_of = _pictures(corpus, samples)
        _write_pictures(folder, paths, config, backbone, precision)
        broken: Bool = _load(folder, "broken")
        for path in [paths[row] for row in np.flatnonzero(broken).tolist()][:5]:
            _LOG.warning("A broken picture counts as missing: %s (%d in all)", path, broken.sum())
        gone = (picture_of >= 0) & broken[picture_of] if len(broken) else picture_of >= 0
        _save(folder / "picture_of.npy", np.where(gone, -1, picture_of))

    folder = finished(cache / f"pictures-{_fingerprint(corpus, samples, key)}", build)
    return PictureCache(_load(folder, "picture_of"), read_array(folder / "values.npy", "r"))


def frozen_key(backbone: VisionTokens) -> dict[str, object]:
    """Return what the tokens of a frozen backbone depend on besides the pixels."""
    return {
        "tokens": [backbone.patches, backbone.patch, backbone.count], "architecture": repr(backbone.network),
        "weights": state_hash(backbone.state_dict()),
    }  # fmt: skip


def _named(precision: Precision) -> dict[str, object]:
    return {} if precision is None else {"precision": precision}


def _fingerprint(corpus: Corpus, samples: Int64, key: dict[str, object]) -> str:
    chosen = hashlib.sha256(corpus.sample_entity[samples].tobytes() + samples.tobytes()).hexdigest()
    whole = {"version": _VERSION, "corpus": corpus.content_hash, "samples": chosen, **key}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]


def _load(folder: Path, name: str) -> AnyArray:
    return read_array(folder / f"{name}.npy")


def _save(path: Path, array: AnyArray) -> None:
    with replacing(path) as beside, beside.open("wb") as handle:
        np.save(handle, array, allow_pickle=False)


def _write_ids(folder: Path, corpus: Corpus, samples: Int64, tokenizer: MaskedTokenizer) -> None:
    ids: list[AnyArray] = []
    positions, has_text = [], []
    for number in tqdm(samples.tolist(), desc="tokenise", disable=None, leave=False):
        sample = corpus.sample(number)
        masked = tokenizer.encode(sample.text, sample.mentions)
        ids.append(np.array(masked.ids, np.int32))
        positions.append(masked.mask_position)
        has_text.append(bool(sample.text))
    missing = tokenizer.encode("", ())
    ids.append(np.array(missing.ids, np.int32))
    _save(folder / "ids.npy", np.concatenate(ids))
    _save(folder / "mask_position.npy", np.array([*positions, missing.mask_position], np.int32))
    _save(folder / "has_text.npy", np.array(has_text, np.bool_))
    _save(folder / "offsets.npy", np.cumsum([0, *map(len, ids)], dtype=np.int64))


def _write_states(folder: Path, encoder: TextEncoder, tokenizer: MaskedTokenizer, precision: Precision) -> None:
    offsets = _load(folder, "offsets")
    positions, has_text = _load(folder, "mask_position"), _load(folder, "has_text")
    ids = _load(folder, "ids")
    plain = TextCache(offsets, ids, positions, has_text, None, tokenizer.padding_id, tokenizer.mask_id)
    by_length = np.argsort(np.diff(offsets), kind="stable")  # batches of like length need little padding
    device = next(encoder.parameters()).device

    def compute(states: AnyArray, block: int) -> None:
        items = by_length[block * _SENTENCES : (block + 1) * _SENTENCES]
        ids, mask, _ = plain.padded(items)
        with torch.no_grad():
            rows = encoder.lower(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device))
        kept = _kept(rows, precision)
        for row, item in enumerate(items.tolist()):
            states[offsets[item] : offsets[item + 1]] = kept[row, : offsets[item + 1] - offsets[item]]

    width, dtype = _form(encoder.width, precision)
    shape = (int(offsets[-1]), width)
    encoder.eval()
    fill(folder / "states.npy", shape, dtype, -(-len(by_length) // _SENTENCES), compute, "frozen text layers")


def _pictures(corpus: Corpus, samples: Int64) -> tuple[list[Path], Int64]:
    rows: dict[Path, int] = {}
    picture_of = np.full(len(samples), -1, np.int64)
    for row, number in enumerate(tqdm(samples.tolist(), desc="list pictures", disable=None, leave=False)):
        path = corpus.image_path(corpus.sample(number))
        if path is not None:
            picture_of[row] = rows.setdefault(path, len(rows))
    return list(rows), picture_of


def _write_pictures(
    folder: Path, paths: Sequence[Path], config: ImageConfig, backbone: VisionTokens, precision: Precision
) -> None:
    if not (folder / "broken.npy").is_file():
        _save(folder / "broken.npy", np.zeros(len(paths), np.bool_))
        write_json(folder / "about.json", {"pictures": len(paths), "image": asdict(config)})
    broken = read_array(folder / "broken.npy", "r+") if paths else np.zeros(0, np.bool_)
    tensor = next(backbone.parameters(), torch.zeros(0))
    backbone.eval()

    def compute(values: AnyArray, block: int) -> None:
        chosen = slice(block * _PICTURES, (block + 1) * _PICTURES)
        found = list(pool.map(lambda path: _pixels(path, config), paths[chosen]))
        broken[chosen] = [rgb is None for rgb in found]
        if isinstance(broken, np.memmap):
            broken.flush()  # before the progress that counts this block
        blank = np.zeros((config.size, config.size, 3), np.uint8)
        whole = [blank if rgb is None else rgb for rgb in found]
        if not backbone.frozen:
            values[chosen] = np.stack(whole).transpose(0, 3, 1, 2)  # (block, 3, H, W)
            return
        pixels = torch.from_numpy(np.stack([to_pixels(rgb, config) for rgb in whole])).to(tensor.device)
        with torch.no_grad():
            values[chosen] = _kept(backbone(pixels), precision)  # (block, P, C)

    width, dtype = _form(backbone.width, precision) if backbone.frozen else (config.size, "uint8")
    inner = (backbone.count, width) if backbone.frozen else (3, config.size, width)
    with ThreadPoolExecutor(_THREADS) as pool:
        blocks = -(-len(paths) // _PICTURES)
        fill(folder / "values.npy", (max(1, len(paths)), *inner), dtype, blocks, compute, "pictures")


def _pixels(path: Path, config: ImageConfig) -> UInt8 | None:
    try:
        return load_rgb(path, config)
    except ImageError:
        return None


def _form(width: int, precision: Precision) -> tuple[int, str]:
    """Return the length of a vector in the cache and the dtype of its numbers."""
    return (width, "float16") if precision is None else (width + SCALE_BYTES, "int8")


def _kept(rows: torch.Tensor, precision: Precision) -> AnyArray:
    half = in_half(rows)
    return half if precision is None else pack(half)


def in_half(rows: torch.Tensor) -> AnyArray:
    """Return what a frozen backbone gave, of any shape, as float16.

    Raises:
        TrainingError: A number is not finite, or too large for half precision.
    """
    half = rows.float().cpu().numpy().astype(np.float16)
    if not np.isfinite(half).all():
        raise TrainingError("A frozen backbone gave numbers that half precision cannot hold; check its weights.")
    return half
