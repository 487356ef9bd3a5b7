"""Damage to an index in a folder: whoever reads is told, and indexing once more mends it."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from entity_expand import Expander, MemoryStore, StoreError, UnknownSeedError
from entity_expand.bundle import Bundle
from entity_expand.calibration.fitted import FILE, Confidence, Fitted, write_fitted
from entity_expand.corpus import Corpus
from entity_expand.encoder import FakeEncoder
from entity_expand.stores import writing
from entity_expand.stores.filters import Filter
from entity_expand.stores.lexical import LexicalQuery, LexicalScores
from entity_expand.stores.memory import current_version
from entity_expand.stores.names import Names
from indexer import IndexReport, IndexSettings, index_corpus, keep_fitted

PARTS = IndexSettings(modalities=True)
ROWS = ("head.npy", "scaled.npy", "scalars.npy")
STORED = ["meta.json", "names.sqlite", "words.sqlite", "table.npy", "files.json"]
STORED += [part + name for part in ("", "text-", "picture-") for name in ROWS]
ENTITIES = 39


@pytest.fixture
def bundle(built: Path, tmp_path: Path) -> Bundle:
    return Bundle.open(shutil.copytree(built / "bundle", tmp_path / "bundle"))


@pytest.fixture
def index(built: Path, bundle: Bundle, encoder: FakeEncoder, tmp_path: Path) -> Callable[[], IndexReport]:
    """Copy the index, and return what builds it again."""
    shutil.copytree(built / "i", tmp_path / "i")

    def again() -> IndexReport:
        with Corpus.open(built / "corpus") as corpus:
            return index_corpus(bundle, encoder, corpus, tmp_path / "i", PARTS)

    return again


def contents(root: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in current_version(root).iterdir()}


def noise(file: Path) -> None:
    middle = file.stat().st_size // 2
    with file.open("r+b") as handle:
        handle.seek(middle)
        handle.write(b"\xff" * 40)


def fitted_for(bundle: Bundle, lists: int) -> Fitted:
    coefficients = (-3.0, 0.5, -0.1, 0.2, 0.1, -0.3)
    return Fitted(bundle.fingerprint, (Confidence("heads", 1.0, "both", coefficients, 3, lists),))


@pytest.mark.parametrize("damage", [Path.unlink, noise])
@pytest.mark.parametrize("name", STORED)
def test_indexing_again_mends_any_file(index, tmp_path, name: str, damage: Callable[[Path], None]) -> None:
    whole = contents(tmp_path / "i")
    assert set(whole) == set(STORED)
    damage(current_version(tmp_path / "i") / name)
    assert not index().up_to_date
    assert contents(tmp_path / "i") == whole
    assert index().up_to_date


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b"", b"elsewhere\n", b"a" * 300])
def test_indexing_again_mends_what_names_the_version(index, tmp_path, content: bytes) -> None:
    whole = contents(tmp_path / "i")
    (tmp_path / "i" / "CURRENT").write_bytes(content)
    assert not index().up_to_date
    assert contents(tmp_path / "i") == whole


def test_a_folder_in_place_of_a_file_is_mended_and_a_file_more_is_removed(index, tmp_path) -> None:
    whole, version = contents(tmp_path / "i"), current_version(tmp_path / "i")
    (version / "head.npy").unlink()
    (version / "head.npy").mkdir()
    assert not index().up_to_date and contents(tmp_path / "i") == whole
    (version / "more.npy").touch()
    assert not index().up_to_date and contents(tmp_path / "i") == whole


def test_what_a_killed_writer_left_is_no_damage(index, tmp_path) -> None:
    (current_version(tmp_path / "i") / f".{FILE}.7-1.part").touch()
    assert index().up_to_date


def test_what_was_fitted_outlives_damage_elsewhere(index, bundle: Bundle, tmp_path) -> None:
    keep_fitted(tmp_path / "i", fitted_for(bundle, lists=9))
    assert index().up_to_date
    noise(current_version(tmp_path / "i") / "head.npy")
    assert not index().up_to_date
    assert MemoryStore.open(tmp_path / "i").facts.fitted == fitted_for(bundle, lists=9)
    noise(current_version(tmp_path / "i") / FILE)
    assert not index().up_to_date
    assert MemoryStore.open(tmp_path / "i").facts.fitted is None


def test_what_is_missing_of_the_bundle_is_brought_without_encoding(
    index, encoder, bundle, tmp_path, monkeypatch
) -> None:
    write_fitted(bundle.path, fitted_for(bundle, lists=5))
    monkeypatch.setattr(encoder, "encode", None)
    assert not index().up_to_date
    assert MemoryStore.open(tmp_path / "i").facts.fitted == fitted_for(bundle, lists=5)
    assert index().up_to_date


def test_the_index_in_use_stays_until_the_mended_one_is_whole(index, tmp_path, monkeypatch) -> None:
    (current_version(tmp_path / "i") / "table.npy").unlink()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(writing, "put", killed)
        index()
    with Expander.open(tmp_path / "i") as expander:
        assert expander.expand(["Place 2"], 5).ids


def use(root: Path) -> None:
    """Ask all that the files of names and words answer, and look at all of it."""
    with Expander.open(root) as expander:
        for found in expander.expand(["Place 2"], ENTITIES).results:
            assert list(found.evidence)
        names = expander.store._names
        names.lookup("p3"), names.suggestions("Plaec 3", 5), names.beginning("p", 100), names.facets(100)
        names.matching(Filter(name_prefix="place")), names.matching(Filter(attributes={"kind": ["a"]}))
        assert all(len(record.evidence) for record in names.records(range(ENTITIES)))
        query = LexicalQuery(np.arange(ENTITIES), ("rock and wave",), np.ones(ENTITIES + 1))
        assert np.isfinite(expander.store._words.scores(LexicalScores(query, np.arange(ENTITIES)))).all()


def used(root: Path) -> str:
    try:
        use(root)
    except StoreError as problem:
        return str(problem)
    except UnknownSeedError:  # the name itself is another now
        return ""
    return ""


@pytest.mark.parametrize("lost", [1, 8, 100, 4096])
def test_a_cut_file_of_names_is_told(index, tmp_path, lost: int) -> None:
    file = current_version(tmp_path / "i") / "names.sqlite"
    file.write_bytes(file.read_bytes()[:-lost])
    with pytest.raises(StoreError, match="Build the index again"):
        use(tmp_path / "i")


@pytest.mark.parametrize("name", ["names.sqlite", "words.sqlite"])
def test_noise_in_a_file_of_sqlite_is_told_or_does_no_harm(index, tmp_path, name: str) -> None:
    file = current_version(tmp_path / "i") / name
    whole, draw, told = file.read_bytes(), random.Random(7), 0
    for turn in range(60):
        start, length = draw.randrange(len(whole)), draw.choice([1, 8, 100])
        garbage = (b"\xff" * length, b"\0" * length, draw.randbytes(length))[turn % 3]
        file.write_bytes((whole[:start] + garbage + whole[start + length :])[: len(whole)])
        problem = used(tmp_path / "i")
        assert not problem or problem.endswith("Build the index again.")
        told += bool(problem)
    assert told


CHANGES = [
    "UPDATE entity SET evidence = '[[1]]' WHERE position = 3",
    "UPDATE entity SET evidence = '[\"a' WHERE position = 3",
    "UPDATE entity SET attributes = '[1]' WHERE position = 3",
    "UPDATE entity SET aliases = x'ff' WHERE position = 3",
    "UPDATE entity SET name = x'ff' WHERE position = 3",
    "UPDATE entity SET position = 4000 WHERE position = 3",
    "UPDATE spelling SET position = 4000 WHERE position = 3",
    "DELETE FROM entity WHERE position = 3",
]


@pytest.mark.parametrize("change", CHANGES)
def test_names_that_are_none_are_told(index, tmp_path, change: str) -> None:
    connection = sqlite3.connect(current_version(tmp_path / "i") / "names.sqlite")
    connection.execute(change)
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match=r"names.sqlite cannot be read: .*Build the index again"):
        use(tmp_path / "i")


def test_names_that_cannot_be_opened_are_told(tmp_path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    (tmp_path / "names.sqlite").touch()
    monkeypatch.setattr(sqlite3, "connect", refuse)
    with pytest.raises(StoreError, match=r"unable to open database file\. Build the index again"):
        Names(tmp_path / "names.sqlite", 1)


@pytest.mark.parametrize("refused", ["CURRENT", "versions"])
def test_an_unreadable_folder_is_told(index, tmp_path, monkeypatch, refused: str) -> None:
    stat = Path.stat

    def forbidding(path: Path, **options: bool) -> object:
        if refused in path.parts:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", forbidding)
    monkeypatch.setattr(Path, "is_file", lambda path: bool(path.stat()))  # as before Python 3.14
    monkeypatch.setattr(Path, "is_dir", lambda path: bool(path.stat()))
    with pytest.raises(StoreError, match=r"Cannot read the index .*: Permission denied"):
        MemoryStore.open(tmp_path / "i")


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("name", [part + name for part in ("", "text-") for name in ROWS])
def test_numbers_that_are_not_finite_are_told(index, tmp_path, name: str, number: float) -> None:
    file = current_version(tmp_path / "i") / name
    array = np.load(file)
    array[ENTITIES // 2, -1] = number
    np.save(file, array)
    with pytest.raises(StoreError, match=r"not finite. Build the index again"), Expander.open(tmp_path / "i") as opened:
        opened.expand(["Place 2"], 5)
