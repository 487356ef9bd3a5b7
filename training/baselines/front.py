"""All baselines of a corpus: untrained features of its entities, alone and fused late, in every direction they have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from entity_expand.corpus import Corpus
from entity_expand.types import Int64
from training.baselines.pictures import picture_means
from training.baselines.pretrained import Pretrained, entity_vectors
from training.baselines.ranking import Baseline, by_mean, by_scores, standardised
from training.baselines.sentences import Encoder
from training.baselines.vectors import VectorTable, centred, joined, whitened
from training.baselines.words import masked_sentences, tfidf
from training.config import TrainingConfig

FAMILIES = (
    "random", "name only", "TF-IDF", "sentence means", "at the mask", "pictures", "late fusion",
    "late fusion with TF-IDF",
)  # fmt: skip
"""The rows that baselines are candidates for; those of pretrained checkpoints are named by the checkpoint."""
PICTURE_WEIGHTS = (0.05, 0.1, 0.25, 0.5, 1.0)
_DIRECTIONS = (0.0, 1.0)


@dataclass(frozen=True)
class Features:
    """Untrained features of the n entities that have samples.

    Attributes:
        ids: n ids, in the order of the corpus.
        words: TF-IDF of the masked sentences.
        names, tokens, mask: Of the text encoder: the name, the mean of the sentences, the state at the mask. None
            where the encoder starts at random.
        pictures: Of the vision backbone. None where it starts at random.
        pretrained: Vectors of further checkpoints, by (checkpoint, what they are of).
    """

    ids: tuple[str, ...]
    words: VectorTable
    names: VectorTable | None
    tokens: VectorTable | None
    mask: VectorTable | None
    pictures: VectorTable | None
    pretrained: dict[tuple[str, str], VectorTable]

    @classmethod
    def of(
        cls, corpus: Corpus, samples: Int64, config: TrainingConfig, cache: Path, checkpoints: Sequence[Path] = ()
    ) -> Features:
        """Compute the features with the backbones that a training run has.

        Args:
            corpus: The corpus.
            samples: (N,) sample numbers, those that are trained on.
            config: Names the backbones.
            cache: Folder of the caches, shared with training runs.
            checkpoints: Folders of CLIP-like and BLIP-like models.

        Raises:
            ConfigError: A backbone or a checkpoint cannot be loaded.
            MissingExtraError: A package is not installed.
        """
        kept = np.unique(corpus.sample_entity[samples]).astype(np.int64)
        ids = tuple(corpus.entities[place].id for place in kept.tolist())
        names = tokens = mask = pictures = None
        if config.text.backbone != "scratch":
            encoder = Encoder.load(config.text.backbone, config.text.max_length)
            means = encoder.means(corpus, samples)
            names = VectorTable("name only", ids, encoder.names(corpus)[kept])
            tokens = VectorTable("sentence means", ids, means.tokens[kept])
            mask = VectorTable("at the mask", ids, means.mask[kept])
        if config.vision.backbone != "scratch" and not config.vision.random_weights:
            vectors = picture_means(corpus, samples, config.vision, cache)[kept]
            pictures = VectorTable("pictures", ids, vectors) if vectors.any() else None
        sentences = masked_sentences(corpus, samples, "")
        words = VectorTable("TF-IDF", ids, tfidf([sentences[place] for place in kept.tolist()]))
        found = {}
        for folder in checkpoints:
            for part, rows in entity_vectors(Pretrained.load(folder), corpus, samples).items():
                found[folder.name, part] = VectorTable(f"{folder.name}, {part}", ids, rows[kept])
        return cls(ids, words, names, tokens, mask, pictures, found)


def baselines(features: Features, families: Sequence[str] | None = None) -> list[Baseline]:
    """Return all baselines that the features allow, as candidates of their families.

    Args:
        features: Of the entities.
        families: Which of `FAMILIES`, and "pretrained" for the checkpoints; None takes all.
    """
    wanted = {*FAMILIES, "pretrained"} if families is None else set(families)
    found = [each for each in _single(features) if each.family in wanted]
    if features.tokens is not None and features.pictures is not None:
        found += [each for each in _late(features, features.tokens, features.pictures) if each.family in wanted]
    return found + (list(_checkpoints(features)) if "pretrained" in wanted else [])


def _single(features: Features) -> Iterator[Baseline]:
    random = np.random.default_rng(0).standard_normal((len(features.ids), 64))
    yield by_mean(VectorTable("random", features.ids, random), "random")
    for table in (features.words, features.names, features.tokens, features.mask, features.pictures):
        if table is not None:
            yield from _forms(table, table.name, white=table is features.pictures)


def _forms(table: VectorTable, family: str, *, white: bool = False) -> Iterator[Baseline]:
    """Yield a table raw, centred and, if asked, whitened, by the mean and by standardised scores in both directions."""
    forms = {"": table.vectors, ", centred": centred(table.vectors)}
    forms |= {", whitened": whitened(table.vectors)} if white else {}
    for form, vectors in forms.items():
        made = table.renamed(f"{table.name}{form}", vectors)
        yield by_mean(made, family)
        channel = standardised(made)
        for weight in _DIRECTIONS:
            yield by_scores([channel], [1.0], f"{made.name}, scores, λ = {weight:g}", family, weight)


def _late(features: Features, tokens: VectorTable, pictures: VectorTable) -> Iterator[Baseline]:
    """Yield sums of centred text and weighed pictures, the words of TF-IDF beside them or not."""
    text = tokens.renamed("text", centred(tokens.vectors))
    words = features.words.renamed("words", centred(features.words.vectors))
    for form, vectors in {"centred": centred(pictures.vectors), "whitened": whitened(pictures.vectors)}.items():
        tables = [text, pictures.renamed(f"{form} pictures", vectors), words]
        yield from _fused(tables[:2], (), "late fusion", "late fusion")
        yield from _fused(tables, (1.0,), "late fusion with TF-IDF", "late fusion with TF-IDF")


def _fused(tables: Sequence[VectorTable], others: Sequence[float], name: str, family: str) -> Iterator[Baseline]:
    """Yield sums of a first table and a second one, the pictures, at several weights: of features and of scores."""
    channels = [standardised(table) for table in tables]
    for weight in PICTURE_WEIGHTS:
        weights, called = [1.0, weight, *others], f"{name}, {weight:g} × {tables[1].name}"
        yield by_mean(joined(tables, weights, f"{called}, features"), family)
        for both in _DIRECTIONS:
            yield by_scores(channels, weights, f"{called}, scores, λ = {both:g}", family, both)


def _checkpoints(features: Features) -> Iterator[Baseline]:
    for (model, part), table in features.pretrained.items():
        yield from _forms(table, f"{model}, {part}")
    for model in dict.fromkeys(model for model, _ in features.pretrained):
        own = {part: table for (name, part), table in features.pretrained.items() if name == model}
        if "sentences" in own and "pictures" in own:
            tables = [own[part].renamed(part, centred(own[part].vectors)) for part in ("sentences", "pictures")]
            yield from _fused(tables, (), f"{model}, sentences", f"{model}, both")
