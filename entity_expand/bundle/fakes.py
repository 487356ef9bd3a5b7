"""A bundle without a model, to be used with `FakeEncoder`: for tests of whatever needs a bundle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from entity_expand.bundle.folder import Bundle, BundleContent, write_bundle
from entity_expand.bundle.graph import hollow_graph
from entity_expand.bundle.specs import encoder_spec
from entity_expand.inputs.image import ImageConfig
from entity_expand.inputs.text import TextConfig
from entity_expand.types import Entity

_SIZE = 8
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def fake_content(entities: Sequence[Entity], dimension: int = 16, seed: int = 0) -> BundleContent:
    """Return the content of a bundle with random head rows and a graph that only declares its inputs and outputs.

    Args:
        entities: V entities, in the head's order.
        dimension: D, to be that of the `FakeEncoder`.
        seed: Of the head rows and the ridge map.
    """
    random = np.random.default_rng(seed)
    width = dimension + 1
    return BundleContent(
        graph=hollow_graph(encoder_spec(dimension, _SIZE)),
        tokenizer=fake_tokenizer(),
        head_weight=random.standard_normal((len(entities), dimension), np.float32),
        head_bias=random.standard_normal(len(entities), np.float32),
        ridge=random.standard_normal((width, width), np.float32) / np.float32(width),
        entities=tuple(entities),
        text=TextConfig(),
        image=ImageConfig(_SIZE),
        trained_on=hashlib.sha256(b"no corpus").hexdigest(),
    )


def fake_bundle(path: Path, entities: Sequence[Entity], dimension: int = 16, seed: int = 0) -> Bundle:
    """Write the bundle of `fake_content` to `path` and open it."""
    return write_bundle(path, fake_content(entities, dimension, seed))


def fake_tokenizer() -> bytes:
    """Return a lower-casing word-piece `tokenizer.json` that spells every ASCII letter and digit."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = [*_SPECIAL, *letters, *(f"##{letter}" for letter in letters), *".,;:!?-()[]'\""]
    added: list[dict[str, Any]] = [
        {"id": number, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for number, token in enumerate(_SPECIAL)
    ]  # fmt: skip
    model = {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {piece: number for number, piece in enumerate(pieces)},
    }
    normalizer = {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    }
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": added,
            "normalizer": normalizer,
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "model": model,
        }
    ).encode()
