"""Seeds that are not in the index, encoded as its entities were when it was made."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import numpy as np

from entity_expand.bundle import Bundle
from entity_expand.encoder import Encoder, EncoderInput, open_encoder
from entity_expand.errors import ConfigError, IndexMismatchError, QueryError
from entity_expand.query import NewSeed, opened_picture
from entity_expand.search.scoring import EntityRows, entity_rows, head_rows, head_statistics, predicted_rows
from entity_expand.seeds.encode import shows
from entity_expand.stores.base import IndexMeta
from entity_expand.types import Float64, Modality, Variant

# An entity that has only the kind that counts nothing is still what that kind says; as when an index is made.
_LEAST_SHARE = 1e-9


class SeedEncoder:
    """Makes rows of new seeds: their features by the encoder, their head rows by the bundle's ridge map.

    Safe for use from several threads if the encoder is.

    Args:
        bundle: The bundle that the index was made with.
        encoder: What encodes, or where the graphs run that encoded the index, as for `open_encoder`.

    Raises:
        ConfigError: The encoder does not fit the bundle.
    """

    def __init__(self, bundle: Bundle, encoder: Encoder | str | None = None) -> None:
        self.bundle = bundle
        self._encoder, self._opened = encoder, dict[Variant, Encoder]()
        self._lock, self._closing = threading.Lock(), ExitStack()
        if encoder is not None and not isinstance(encoder, str) and encoder.dimension != bundle.dimension:
            raise ConfigError(
                f"The encoder yields {encoder.dimension} numbers, the bundle's head takes {bundle.dimension}."
            )
        self._vocabulary = head_rows(bundle.head_weight, bundle.head_bias)
        self._statistics = head_statistics(self._vocabulary)

    @classmethod
    def open(cls, bundle: Bundle | Path | str | None, encoder: Encoder | str | None) -> SeedEncoder | None:
        """Return what encodes by a bundle, an opened one or a folder; None if neither is given.

        Raises:
            BundleError: The bundle is missing or damaged.
            ConfigError: An encoder without a bundle, or one that does not fit it.
        """
        if bundle is not None:
            return cls(bundle if isinstance(bundle, Bundle) else Bundle.open(bundle), encoder)
        if encoder is not None:
            raise ConfigError("An encoder alone gives no scores: name the bundle that the index was made with, too.")
        return None

    def close(self) -> None:
        """Close what was opened to encode with; an encoder that was handed over stays open."""
        self._closing.close()

    def check(self, meta: IndexMeta) -> None:
        """See that the index was made with the bundle, and that what encodes is there.

        Raises:
            IndexMismatchError: It was made with another.
            MissingExtraError: onnxruntime or tritonclient is needed and not installed.
            BundleError, ConfigError, EncoderError, ServerError: As `open_encoder`.
        """
        if meta.bundle != self.bundle.fingerprint:
            raise IndexMismatchError(
                f"The index was made with the bundle {meta.bundle[:12]}, not with {self.bundle.fingerprint[:12]} of "
                f"{self.bundle.path}; open it with that one, or build it again."
            )
        self._encoder_of(meta)

    def _encoder_of(self, meta: IndexMeta) -> Encoder:
        """Return what encodes as the index was encoded, opened once for each variant."""
        if self._encoder is not None and not isinstance(self._encoder, str):
            return self._encoder
        with self._lock:
            if meta.variant not in self._opened:
                opened = open_encoder(self._encoder, self.bundle, variant=meta.variant)
                if isinstance(opened, AbstractContextManager):
                    self._closing.enter_context(opened)
                self._opened[meta.variant] = opened
            return self._opened[meta.variant]

    def rows(self, seeds: Sequence[NewSeed], meta: IndexMeta) -> EntityRows:
        """Return the rows of new seeds, in their order, as the index would hold them.

        Args:
            seeds: S of them.
            meta: What the index is made of.

        Raises:
            QueryError: A seed lacks what the index compares, or its picture cannot be read.
            IndexMismatchError: The index was made with another bundle.
            EncoderError: The encoder failed.
        """
        self.check(meta)
        features = self._features(seeds, meta)
        own = predicted_rows(features, self.bundle.ridge)
        return entity_rows(features, own, self._vocabulary, self._statistics)

    def _features(self, seeds: Sequence[NewSeed], meta: IndexMeta) -> Float64:
        """Return (S, D): of each seed what is seen of it, weighed as the index weighs its kinds."""
        shares: dict[Modality, float] = {meta.modality: 1.0}
        if meta.late_fusion is not None:
            shares = {"text": 1 - meta.late_fusion, "picture": meta.late_fusion}
        inputs, owners, weights = [], [], []
        for number, seed in enumerate(seeds):
            seen = [modality for modality in shares if shows(seed, modality)]
            if not seen:
                raise QueryError(f"The index compares {meta.modality}s, and the new seed {seed.called!r} has none.")
            inputs += [_input(seed, modality) for modality in seen]
            owners += [number] * len(seen)
            weights += [max(shares[modality], _LEAST_SHARE) for modality in seen]
        features = np.zeros((len(seeds), self.bundle.dimension))
        np.add.at(features, owners, self._encoder_of(meta).encode(inputs) * np.array(weights)[:, None])
        total = np.bincount(owners, weights, len(seeds)).astype(np.float64)
        return features / total[:, None]


def _input(seed: NewSeed, modality: Modality) -> EncoderInput:
    """Return what the encoder is shown; a picture that cannot be read is refused here, where encoders leave it out."""
    text, mentions = ("", ()) if modality == "picture" else seed.sentence
    image = None if modality == "text" else seed.image
    if image is not None:
        opened_picture(seed, image)
    return EncoderInput(text, mentions, image)
