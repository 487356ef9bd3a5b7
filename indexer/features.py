"""Encode a corpus into one mean feature per entity; killed at any moment, it goes on from the last whole group."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from tqdm import tqdm

from entity_expand.corpus import Corpus
from entity_expand.encoder import Encoder, EncoderInput
from entity_expand.errors import StoreError
from entity_expand.types import Float64, Int64, Modality, Sample

_GROUP = 32
_MOST_INPUTS = 256

Group = Sequence[Int64]
"""The samples of some entities that are encoded together: (n_i,) sample numbers of each."""


@runtime_checkable
class GroupEncoder(Protocol):
    """What computes the mean features of groups of entities elsewhere than in this process."""

    @property
    def dimension(self) -> int:
        """D, width of the feature."""
        ...

    def encode_groups(self, corpus: Corpus, groups: Sequence[Group], modality: Modality) -> Iterator[Float64]:
        """Yield for each group what `group_means` returns, in the order of `groups`."""
        ...


@dataclass(frozen=True, slots=True)
class Selection:
    """Which samples of a corpus an index is made from.

    Attributes:
        entities: (n,) positions in the corpus of the entities that have any, in id order.
        samples: n times (n_i,) sample numbers, in file order.
    """

    entities: Int64
    samples: tuple[Int64, ...]

    @property
    def count(self) -> int:
        """How many samples there are."""
        return sum(len(own) for own in self.samples)

    def showing(self, corpus: Corpus, modality: Modality) -> Selection:
        """Return what is left of this selection in a modality: samples with a sentence, or with a picture."""
        if modality == "both":
            return self
        parts = [own[[_shows(corpus.sample(number), modality) for number in own.tolist()]] for own in self.samples]
        kept = [number for number, own in enumerate(parts) if len(own)]
        return Selection(self.entities[kept], tuple(parts[number] for number in kept))

    def take(self, kept: Int64) -> Selection:
        """Return the part of the entities at the positions `kept` of this selection, in that order."""
        return Selection(self.entities[kept], tuple(self.samples[number] for number in kept.tolist()))


def select(corpus: Corpus, modality: Modality, split: str | None) -> Selection:
    """Choose the samples that have what the modality shows.

    Args:
        corpus: An opened corpus.
        modality: "text" leaves out samples without a sentence, "picture" those without a picture.
        split: Only samples of this split; None for all.
    """
    chosen = corpus.select(split)
    if modality != "both":
        chosen = np.array(
            [number for number in chosen.tolist() if _shows(corpus.sample(number), modality)], dtype=np.int64
        )
    of_entity = corpus.sample_entity[chosen]
    order = np.argsort(of_entity, kind="stable")
    entities, starts = np.unique(of_entity[order], return_index=True)
    return Selection(entities.astype(np.int64), tuple(np.split(chosen[order], starts[1:])) if len(entities) else ())


def _shows(sample: Sample, modality: Modality) -> bool:
    return bool(sample.text) if modality == "text" else sample.image is not None


def encoder_input(corpus: Corpus, sample: Sample, modality: Modality) -> EncoderInput:
    """Return what the encoder is shown of a sample."""
    text, mentions = ("", ()) if modality == "picture" else (sample.text, sample.mentions)
    return EncoderInput(text, mentions, None if modality == "text" else corpus.image_path(sample))


def mean_features(
    encoder: Encoder | GroupEncoder, corpus: Corpus, selection: Selection, modality: Modality, progress_file: Path
) -> Float64:
    """Return the mean feature of each entity, (n, D) float64, memory-mapped from `progress_file`.

    Entities are encoded in groups that do not depend on where an earlier run was stopped, so a resumed run gives the
    same bits. Finished groups are kept in `progress_file`, which must belong to this encoder, corpus and selection.

    Raises:
        EncoderError: The encoder refuses an input.
        StoreError: The disk is full, or the progress file cannot be written.
    """
    width = encoder.dimension
    done = _whole_groups(progress_file, width, len(selection.entities))
    starts = range(done, len(selection.entities), _GROUP)
    groups = [selection.samples[start : start + _GROUP] for start in starts]
    skipped = sum(len(own) for own in selection.samples[:done])
    with tqdm(total=selection.count, initial=skipped, desc="encode", unit="pair", disable=None) as bar:
        for own, means in zip(groups, _encoded(encoder, corpus, groups, modality), strict=True):
            _append(progress_file, means)
            bar.update(sum(len(numbers) for numbers in own))
    return np.memmap(progress_file, np.float64, "r", shape=(len(selection.entities), width)).view(np.ndarray)


def _append(progress_file: Path, means: Float64) -> None:
    try:
        with progress_file.open("ab") as handle:
            handle.write(means.tobytes())
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as problem:
        raise StoreError(
            f"Cannot write {progress_file}: {problem.strerror}. What is there will be used again."
        ) from problem


def _whole_groups(progress_file: Path, width: int, entities: int) -> int:
    """Cut a torn group off the file and return how many entities are done."""
    if not progress_file.exists():
        return 0
    rows = min(progress_file.stat().st_size // (8 * width), entities)
    done = rows if rows == entities else rows // _GROUP * _GROUP
    os.truncate(progress_file, 8 * width * done)
    return done


def _encoded(
    encoder: Encoder | GroupEncoder, corpus: Corpus, groups: Sequence[Group], modality: Modality
) -> Iterator[Float64]:
    if isinstance(encoder, GroupEncoder):
        return encoder.encode_groups(corpus, groups, modality) if groups else iter(())
    return (group_means(encoder, corpus, own, modality) for own in groups)


def group_means(encoder: Encoder, corpus: Corpus, own: Group, modality: Modality) -> Float64:
    """Return the mean feature of each entity of a group, (len(own), D) float64."""
    sums = np.zeros((len(own), encoder.dimension))
    owner = np.repeat(np.arange(len(own)), [len(numbers) for numbers in own])
    done = 0
    for batch in _batches(np.concatenate(list(own))):
        inputs = [encoder_input(corpus, corpus.sample(number), modality) for number in batch.tolist()]
        np.add.at(sums, owner[done : done + len(batch)], encoder.encode(inputs).astype(np.float64))
        done += len(batch)
    means: Float64 = sums / np.array([[len(numbers)] for numbers in own])
    return means


def _batches(numbers: Int64) -> Iterator[Int64]:
    for start in range(0, len(numbers), _MOST_INPUTS):
        yield numbers[start : start + _MOST_INPUTS]
