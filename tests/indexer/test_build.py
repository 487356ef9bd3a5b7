"""Indexing: what is stored, what happens at a kill, to two runs at once, and to a damaged index."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from entity_expand import Expander, MemoryStore, StoreError
from entity_expand.corpus import Corpus
from entity_expand.encoder import FakeEncoder
from entity_expand.errors import ConfigError, CorpusError
from entity_expand.files import locked
from entity_expand.search.scoring import scores_between
from entity_expand.stores.memory import current_version
from indexer import IndexSettings, index_corpus

COUNT = 40


class StoppingEncoder(FakeEncoder):
    """Stops like a killed process after some inputs."""

    def __init__(self, dimension: int, limit: int) -> None:
        super().__init__(dimension)
        self.limit, self.seen = limit, 0

    def encode(self, inputs):
        self.seen += len(inputs)
        if self.seen > self.limit:
            raise KeyboardInterrupt
        return super().encode(inputs)


def contents(root: Path) -> dict[str, bytes]:
    version = current_version(root)
    return {file.name: file.read_bytes() for file in version.iterdir()}


def digests_of(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest()[:8] for name, content in sorted(files.items())}


def digests(root: Path) -> dict[str, str]:
    return digests_of(contents(root))


def test_an_index_holds_what_the_corpus_shows(corpus_folder, bundle, encoder, tmp_path) -> None:
    with Corpus.open(corpus_folder) as corpus:
        report = index_corpus(bundle, encoder, corpus, tmp_path / "index")
    assert (report.entities, report.samples, report.without_samples) == (COUNT - 1, 3 * (COUNT - 1), 1)
    assert report.trained == COUNT - 2
    store = MemoryStore.open(tmp_path / "index")
    assert store.meta.bundle == bundle.fingerprint
    record = store.records([5])[0]
    assert (record.entity.name, record.samples, len(record.evidence), record.trained) == ("Place 5", 3, 3, True)
    assert not store.records([COUNT - 2])[0].trained
    rows = store.rows(np.arange(COUNT - 1))
    np.testing.assert_array_equal(scores_between(rows, rows), store.whole(0.0)._table)
    store.close()


def test_features_are_means_over_the_samples(corpus_folder, bundle, encoder, tmp_path) -> None:
    from indexer.features import encoder_input, mean_features, select

    with Corpus.open(corpus_folder) as corpus:
        selection = select(corpus, "both", None)
        features = mean_features(encoder, corpus, selection, "both", tmp_path / "progress")
        own = [encoder_input(corpus, corpus.sample(n), "both") for n in corpus.samples_of(4).tolist()]
    np.testing.assert_allclose(features[4], sum(encoder.encode([item])[0].astype(float) for item in own) / 3)


def test_what_an_encoder_raises_is_no_failure_to_write(corpus_folder, encoder, tmp_path) -> None:
    from indexer.features import mean_features, select

    class Broken(FakeEncoder):
        def encode(self, inputs):
            raise ConnectionResetError("gone")

    with Corpus.open(corpus_folder) as corpus:
        selection = select(corpus, "both", None)
        with pytest.raises(ConnectionResetError, match="gone"):
            mean_features(Broken(encoder.dimension), corpus, selection, "both", tmp_path / "progress")
        with pytest.raises(StoreError, match=r"Cannot write .*No such file"):
            mean_features(encoder, corpus, selection, "both", tmp_path / "absent" / "progress")


@pytest.mark.parametrize(("modality", "samples"), [("text", 3 * (COUNT - 1)), ("picture", COUNT - 1 + 2)])
def test_a_modality_hides_the_other(corpus_folder, bundle, encoder, tmp_path, modality, samples) -> None:
    with Corpus.open(corpus_folder) as corpus:
        report = index_corpus(bundle, encoder, corpus, tmp_path / "i", IndexSettings(modality=modality))
    assert report.samples in (samples, samples - 2)  # the two references to a missing file may be dropped on reading


def test_late_fusion_weighs_what_was_encoded_apart(corpus_folder, bundle, encoder, tmp_path) -> None:
    def scaled(name: str, settings: IndexSettings) -> np.ndarray:
        with Corpus.open(corpus_folder) as corpus:
            index_corpus(bundle, encoder, corpus, tmp_path / name, settings)
        store = MemoryStore.open(tmp_path / name)
        rows = store.rows(np.arange(store.meta.entities))
        store.close()
        return rows.scaled * rows.deviation[:, None]

    text, picture = scaled("t", IndexSettings(modality="text")), scaled("p", IndexSettings(modality="picture"))
    fused = scaled("f", IndexSettings(late_fusion=0.25))
    np.testing.assert_allclose(fused, 0.75 * text + 0.25 * picture, atol=1e-6)
    np.testing.assert_allclose(scaled("0", IndexSettings(late_fusion=0.0)), text, atol=1e-6)
    for wrong in ({"late_fusion": 1.5}, {"late_fusion": 0.5, "modality": "text"}):
        with pytest.raises(ConfigError, match="late_fusion"):
            IndexSettings(**wrong)


def test_a_split_is_indexed_alone(corpus_folder, bundle, encoder, tmp_path) -> None:
    with Corpus.open(corpus_folder) as corpus:
        report = index_corpus(bundle, encoder, corpus, tmp_path / "i", IndexSettings(split="test"))
        assert report.samples == COUNT - 1
        with pytest.raises(CorpusError, match="nowhere"):
            index_corpus(bundle, encoder, corpus, tmp_path / "i", IndexSettings(split="nowhere"))


def test_the_same_again_is_up_to_date(corpus_folder, bundle, encoder, tmp_path) -> None:
    with Corpus.open(corpus_folder) as corpus:
        first = index_corpus(bundle, encoder, corpus, tmp_path / "i")
        before = contents(tmp_path / "i")
        again = index_corpus(bundle, encoder, corpus, tmp_path / "i")
    assert (first.up_to_date, again.up_to_date) == (False, True)
    assert contents(tmp_path / "i") == before


def test_a_stopped_run_leaves_the_old_index_and_goes_on(corpus_folder, bundle, encoder, tmp_path) -> None:
    root = tmp_path / "index"
    with Corpus.open(corpus_folder) as corpus:
        index_corpus(bundle, encoder, corpus, root, IndexSettings(split="test"))
        old = contents(root)
        with pytest.raises(KeyboardInterrupt):
            index_corpus(bundle, StoppingEncoder(bundle.dimension, 100), corpus, root)
        assert contents(root) == old
        resumed = StoppingEncoder(bundle.dimension, 10**9)
        index_corpus(bundle, resumed, corpus, root)
        assert resumed.seen == 3 * (COUNT - 1 - 32)  # the first group of 32 entities was done
        index_corpus(bundle, encoder, corpus, tmp_path / "other")
    assert contents(root) == contents(tmp_path / "other")
    assert not (root / "building").exists()


def test_features_of_variants_are_kept_apart(corpus_folder, bundle, encoder, tmp_path) -> None:
    class Int8(StoppingEncoder):
        variant = "int8"

        def encode(self, inputs):
            return super().encode(inputs) + np.float32(0.01)

    root, other = tmp_path / "index", Int8(bundle.dimension, 10**9)
    with Corpus.open(corpus_folder) as corpus:
        with pytest.raises(KeyboardInterrupt):
            index_corpus(bundle, StoppingEncoder(bundle.dimension, 100), corpus, root)
        assert index_corpus(bundle, other, corpus, root).samples == other.seen
        assert index_corpus(bundle, other, corpus, root).up_to_date
        assert MemoryStore.open(root).meta.variant == "int8"
        index_corpus(bundle, other, corpus, tmp_path / "other")
        assert contents(root) == contents(tmp_path / "other")
        assert not index_corpus(bundle, encoder, corpus, root).up_to_date
        assert contents(root) != contents(tmp_path / "other")


def test_a_reader_keeps_its_version(corpus_folder, bundle, encoder, tmp_path) -> None:
    root = tmp_path / "index"
    with Corpus.open(corpus_folder) as corpus:
        index_corpus(bundle, encoder, corpus, root, IndexSettings(split="test"))
        with Expander.open(root) as reader:
            before = reader.expand(["Place 2"], 10)
            index_corpus(bundle, encoder, corpus, root)
            assert reader.expand(["Place 2"], 10) == before
            with ThreadPoolExecutor(2) as pool:
                assert list(pool.map(lambda _: reader.expand(["Place 2"], 10), range(4))) == [before] * 4
        with Expander.open(root) as reader:
            assert reader.expand(["Place 2"], 10) != before


CHILD = """
import sys, time
from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus
from entity_expand.encoder import FakeEncoder
from indexer import index_corpus

class Slow(FakeEncoder):
    def encode(self, inputs):
        time.sleep(0.05)
        return super().encode(inputs)

bundle = Bundle.open(sys.argv[1])
print("ready", flush=True)
with Corpus.open(sys.argv[2]) as corpus:
    index_corpus(bundle, Slow(bundle.dimension), corpus, sys.argv[3])
"""


def test_kill_nine_at_any_moment(corpus_folder, bundle, encoder, tmp_path) -> None:
    root = tmp_path / "index"
    with Corpus.open(corpus_folder) as corpus:
        index_corpus(bundle, encoder, corpus, root, IndexSettings(split="test"))
        old = contents(root)
        index_corpus(bundle, encoder, corpus, tmp_path / "other")
    wanted = contents(tmp_path / "other")
    for delay in (0.0, 0.03, 0.08, 0.12, 0.16):
        arguments = [sys.executable, "-c", CHILD, str(bundle.path), str(corpus_folder), str(root)]
        child = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        time.sleep(delay)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert digests(root) in (digests_of(old), digests_of(wanted))
        Expander.open(root).close()
    with Corpus.open(corpus_folder) as corpus:
        index_corpus(bundle, encoder, corpus, root)
    assert digests(root) == digests_of(wanted)


def test_the_second_of_two_runs_is_told(corpus_folder, bundle, encoder, tmp_path) -> None:
    root = tmp_path / "i"
    with Corpus.open(corpus_folder) as corpus, locked(root / ".lock"):
        with pytest.raises(StoreError, match="Another run") as caught:
            index_corpus(bundle, encoder, corpus, root)
        assert str(root) in str(caught.value)


def test_what_does_not_fit_is_refused(corpus_folder, bundle, tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    with Corpus.open(corpus_folder) as corpus:
        with pytest.raises(StoreError, match="yields 3 numbers"):
            index_corpus(bundle, FakeEncoder(3), corpus, tmp_path / "i")
        with pytest.raises(StoreError, match="is a file"):
            index_corpus(bundle, FakeEncoder(bundle.dimension), corpus, tmp_path / "file")
    with pytest.raises(ConfigError):
        IndexSettings(modality="sound")


@pytest.mark.parametrize("name", ["meta.json", "head.npy", "scaled.npy", "scalars.npy", "table.npy", "names.sqlite"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "noise"])
def test_a_damaged_index_is_refused(corpus_folder, bundle, encoder, tmp_path, name: str, damage: str) -> None:
    root = tmp_path / "i"
    with Corpus.open(corpus_folder) as corpus:
        index_corpus(bundle, encoder, corpus, root)
    file = current_version(root) / name
    whole = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes({"empty": b"", "cut": whole[: len(whole) // 3], "noise": bytes(range(256)) * 4}[damage])
    if (name, damage) == ("table.npy", "missing"):
        Expander.open(root).close()  # the table is an option
        return
    if (name, damage) == ("names.sqlite", "empty"):
        damage = "cut"
    with pytest.raises(StoreError), Expander.open(root) as expander:
        expander.expand(["Place 2"])


@pytest.mark.parametrize("text", ["", "../../etc", "no-such-version\n", "a\0b"])
def test_a_pointer_that_leads_nowhere_is_refused(corpus_folder, bundle, encoder, tmp_path, text: str) -> None:
    with Corpus.open(corpus_folder) as corpus:
        index_corpus(bundle, encoder, corpus, tmp_path / "i")
    (tmp_path / "i" / "CURRENT").write_text(text)
    with pytest.raises(StoreError):
        Expander.open(tmp_path / "i")
    with pytest.raises(StoreError, match="holds no index"):
        Expander.open(tmp_path / "nothing")
