"""The sentences of the training corpus that an export is measured with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entity_expand.corpus import Corpus
from entity_expand.encoder import EncoderInput
from entity_expand.types import AnyArray, Entity, Float64, Int64


@dataclass(frozen=True, slots=True)
class Samples:
    """A few sentences of every trained entity that the corpus has some of.

    Attributes:
        inputs: N sentences with their pictures.
        owner: (N,) int64, which of the n entities each belongs to.
        entities: (n,) int64 positions among the V trained entities.
        per_entity: The cap.
    """

    inputs: tuple[EncoderInput, ...]
    owner: Int64
    entities: Int64
    per_entity: int

    def means(self, features: AnyArray) -> Float64:
        """Return the mean feature of each entity, (n, D) float64, from features (N, D)."""
        sums = np.zeros((len(self.entities), features.shape[1]))
        np.add.at(sums, self.owner, features.astype(np.float64))
        return sums / np.bincount(self.owner, minlength=len(self.entities))[:, None]


def choose(corpus: Corpus, entities: tuple[Entity, ...], split: str | None, per_entity: int, most: int) -> Samples:
    """Choose sentences, spread evenly over each entity's.

    Args:
        corpus: The training corpus.
        entities: V trained entities in the head's order; those that the corpus lacks are left out.
        split: Which rows; None for all.
        per_entity: Most sentences of an entity.
        most: Lowers `per_entity`, down to one, so that all together do not exceed this.
    """
    per_entity = max(1, min(per_entity, most // max(1, len(entities))))
    allowed = np.zeros(len(corpus), np.bool_)
    allowed[corpus.select(split)] = True
    inputs: list[EncoderInput] = []
    owner: list[int] = []
    found: list[int] = []
    for position, entity in enumerate(entities):
        if entity.id not in corpus.positions:
            continue
        numbers = corpus.samples_of(corpus.positions[entity.id])
        numbers = numbers[allowed[numbers]]
        if len(numbers) == 0:
            continue
        places = np.unique(np.linspace(0, len(numbers) - 1, min(per_entity, len(numbers))).astype(np.int64))
        inputs += [_input(corpus, int(number)) for number in numbers[places]]
        owner += [len(found)] * len(places)
        found.append(position)
    return Samples(tuple(inputs), np.array(owner, np.int64), np.array(found, np.int64), per_entity)


def _input(corpus: Corpus, number: int) -> EncoderInput:
    sample = corpus.sample(number)
    return EncoderInput(sample.text, sample.mentions, corpus.image_path(sample))
