"""Masked sentences of entities, and their words as vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from entity_expand.corpus import Corpus
from entity_expand.errors import TrainingError
from entity_expand.extras import imported
from entity_expand.types import Float32, Int64


def masked_sentences(corpus: Corpus, samples: Int64, mask: str) -> list[list[str]]:
    """Return the sentences of each entity of the corpus, with each mention replaced by `mask`.

    Args:
        corpus: Has n entities.
        samples: (N,) sample numbers.
        mask: What stands for a mention.

    Returns:
        n lists, empty for an entity that has no sentence among the samples.
    """
    found: list[list[str]] = [[] for _ in corpus.entities]
    for number in samples.tolist():
        sample = corpus.sample(number)
        text = sample.text
        for start, end in sorted(sample.mentions, reverse=True):
            text = text[:start] + mask + text[end:]
        if text:
            found[sample.entity].append(text)
    return found


def tfidf(sentences: Sequence[Sequence[str]]) -> Float32:
    """Return a row of sublinear word counts times inverse document frequencies for each entity, of length 1.

    An entity is one document. English stop words and words of one entity alone are left out. The matrix is dense, so
    it is meant for thousands of entities.

    Args:
        sentences: Of n entities.

    Returns:
        (n, words) float32.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        TrainingError: No two entities share a word that is no stop word.
    """
    text = imported("sklearn.feature_extraction.text", "scikit-learn", "experiments")
    vectoriser = text.TfidfVectorizer(sublinear_tf=True, stop_words="english", min_df=2, dtype=np.float32)
    try:
        rows: Float32 = vectoriser.fit_transform(" ".join(texts) for texts in sentences).toarray()
    except ValueError as problem:
        raise TrainingError(f"TF-IDF needs words that several entities share: {problem}.") from problem
    return rows
