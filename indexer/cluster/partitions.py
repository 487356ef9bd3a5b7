"""What a worker does: it holds one encoder, and turns partitions of a corpus into mean features."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from entity_expand._version import __version__
from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus
from entity_expand.encoder import Encoder
from entity_expand.errors import BundleError, ConfigError, CorpusError
from entity_expand.types import Float64, Modality
from indexer.features import Group, group_means

Opening = Callable[[Bundle], Encoder]


def to_row(number: int, group: Group) -> dict[str, Any]:
    """Return a partition as a row of a data set: which samples, of how many entities."""
    return {
        "number": number,
        "samples": np.concatenate(list(group)).tolist(),
        "counts": [len(own) for own in group],
    }


def from_row(row: Mapping[str, Any]) -> Group:
    """Return the partition of `to_row`."""
    bounds = np.cumsum(row["counts"])[:-1]
    return np.split(np.asarray(row["samples"], dtype=np.int64), bounds)


def means_of(row: Mapping[str, Any], width: int) -> Float64:
    """Return the mean features (n, D) float64 that a worker made of a partition."""
    return np.frombuffer(row["means"], np.float64).reshape(-1, width)


class PartitionWorker:
    """Encodes partitions in a process of its own.

    The bundle, the corpus and the encoder are opened at the first partition, so that what fails there is told as the
    error that it is.

    Args:
        bundle: Folder of the bundle, which must be at the same place on all machines.
        fingerprint: What the bundle must be.
        fetch_corpus: Returns the corpus.
        modality: What the encoder is shown.
        opening: Opens the encoder of the bundle.
        version: Of this package, where the partitions are made.
    """

    def __init__(
        self,
        bundle: Path,
        fingerprint: str,
        fetch_corpus: Callable[[], Corpus],
        modality: Modality,
        opening: Opening,
        version: str,
    ) -> None:
        self._bundle, self._fingerprint, self._version = bundle, fingerprint, version
        self._fetch_corpus, self._opening, self._modality = fetch_corpus, opening, modality
        self._opened: tuple[Encoder, Corpus] | None = None

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the mean features of a partition, and how many of its pictures could not be read.

        Raises:
            ConfigError: Another version of this package is installed here.
            BundleError: The bundle is not here, or another one is.
            CorpusError: The corpus or one of its pictures is not here.
            EncoderError: The encoder cannot be opened, or refuses an input.
        """
        encoder, corpus = self._opened = self._opened or self._open()
        group, before = from_row(row), _missing(encoder)
        means = group_means(encoder, corpus, group, self._modality)
        missing = _missing(encoder) - before
        if missing:
            _check_pictures(corpus, group)
        return {"number": row["number"], "means": means.tobytes(), "missing": missing}

    def _open(self) -> tuple[Encoder, Corpus]:
        here = os.uname().nodename
        if __version__ != self._version:
            raise ConfigError(
                f"{here} has entity-expand {__version__}, the indexer {self._version}; install the same everywhere."
            )
        bundle = Bundle.open(self._bundle)
        if bundle.fingerprint != self._fingerprint:
            raise BundleError(f"{self._bundle} on {here} is another bundle; all machines must see the same folder.")
        return self._opening(bundle), self._fetch_corpus()


def _check_pictures(corpus: Corpus, group: Sequence[Any]) -> None:
    """Refuse a machine that lacks pictures, which would silently count as missing."""
    for number in np.concatenate(list(group)).tolist():
        path = corpus.image_path(corpus.sample(number))
        if path is not None and not path.exists():
            raise CorpusError(
                f"{path} is not on {os.uname().nodename}; all machines must see the corpus and its pictures at the "
                "same place."
            )


def _missing(encoder: Encoder) -> int:
    return int(getattr(encoder, "missing_pictures", 0))
