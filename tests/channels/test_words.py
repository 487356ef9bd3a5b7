"""The file of words gives the cosines of TF-IDF vectors."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from entity_expand import StoreError
from entity_expand.stores import words
from entity_expand.stores.lexical import LexicalNearest, LexicalQuery, LexicalScores
from entity_expand.stores.words import Words, write_words

TEXTS = ["salt wave wave only", "salt wave tide", "rock snow", "", "Rock rock tide the", "salt wave"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_words(tmp_path / "words.sqlite", TEXTS)
    return tmp_path / "words.sqlite"


def vectors(texts: list[str]) -> list[dict[str, float]]:
    counts = [Counter(text.lower().split()) for text in texts]
    df = Counter(term for own in counts for term in own)
    made = []
    for own in counts:
        raw = {t: (1 + math.log(c)) * math.log(len(texts) / df[t]) for t, c in own.items() if df[t] > 1}
        length = math.sqrt(sum(weight**2 for weight in raw.values())) or 1.0
        made.append({term: weight / length for term, weight in raw.items()})
    return made


def cosines(one: dict[str, float], others: list[dict[str, float]]) -> np.ndarray:
    return np.array([sum(weight * other.get(term, 0.0) for term, weight in one.items()) for other in others])


def asked(seeds: list[int], weights: list[float], texts: tuple[str, ...] = ()) -> LexicalQuery:
    return LexicalQuery(np.array(seeds, dtype=np.int64), texts, np.array(weights))


def test_scores_are_cosines(file: Path) -> None:
    known, everyone = vectors(TEXTS), np.arange(6)
    opened = Words(file, 6)
    found = opened.scores(LexicalScores(asked([0, 4], [1.5, 0.5]), everyone))
    right = (1.5 * cosines(known[0], known) + 0.5 * cosines(known[4], known)) / 2
    assert found == pytest.approx(right, rel=1e-5)
    assert opened.scores(LexicalScores(asked([3], [1.0]), everyone)).tolist() == [0.0] * 6
    new = opened.scores(LexicalScores(asked([], [1.0], ("SALT unheard wave wave",)), everyone))
    assert new == pytest.approx(cosines(known[0], known), rel=1e-5)
    assert opened.scores(LexicalScores(asked([0], [1.0]), np.array([2, 5]))) == pytest.approx(
        cosines(known[0], known)[[2, 5]]
    )
    opened.close()


def test_nearest_share_words_and_pass(file: Path) -> None:
    opened, nobody = Words(file, 6), np.empty(0, np.int64)
    best = cosines(vectors(TEXTS)[0], vectors(TEXTS))
    order = [n for n in np.argsort(-best, kind="stable").tolist() if best[n] > 0 and n != 0]
    found = opened.nearest(LexicalNearest(asked([0], [1.0]), 10, np.array([0])), None)
    assert found.positions.tolist() == order and found.scores == pytest.approx(best[order], rel=1e-5)
    assert opened.nearest(LexicalNearest(asked([0], [1.0]), 1, np.array([0])), None).positions.tolist() == order[:1]
    passing = opened.nearest(LexicalNearest(asked([0], [1.0]), 10, nobody), np.array([1, 2]))
    assert passing.positions.tolist() == [1]
    opened.close()


def test_heaviest_terms_of_a_seed_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "QUERY_TERMS", 1)
    write_words(tmp_path / "w", ["rare often", "rare often", "often", "other other", "other"])
    opened = Words(tmp_path / "w", 5)
    # "rare" (2 of 5) outweighs "often" (3 of 5), so the third shares nothing that is asked for.
    assert opened.scores(LexicalScores(asked([0], [1.0]), np.arange(5)))[2] == 0.0
    assert opened.scores(LexicalScores(asked([], [1.0], ("often rare",)), np.arange(5)))[2] == 0.0
    opened.close()


def test_an_index_without_sentences(tmp_path: Path) -> None:
    write_words(tmp_path / "w", [])
    opened = Words(tmp_path / "w", 0)
    assert (
        len(opened.nearest(LexicalNearest(asked([], [1.0], ("a b",)), 3, np.empty(0, np.int64)), None).positions) == 0
    )
    opened.close()


@pytest.mark.parametrize(
    "damage",
    ["UPDATE term SET entities = x'010203'", "UPDATE term SET entities = x'ff00000000000000'", "DROP TABLE term", None],
)
def test_damage_is_told(file: Path, damage: str | None) -> None:
    if damage is None:
        file.write_bytes(b"no database" * 100)
    else:
        connection = sqlite3.connect(file)
        connection.execute(damage)
        connection.commit()
        connection.close()
    with pytest.raises(StoreError, match="Build the index again"):
        opened = Words(file, 6)
        try:
            opened.scores(LexicalScores(asked([0], [1.0]), np.arange(6)))
        finally:
            opened.close()


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Build the index again"):
        Words(tmp_path / "none", 6)
