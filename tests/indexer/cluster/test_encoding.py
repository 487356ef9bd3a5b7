"""A corpus that is encoded by two workers is indexed as by one process, also when a worker dies on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus
from entity_expand.encoder import Encoder, FakeEncoder
from entity_expand.errors import DeadlineError, EncoderError, ModelMismatchError
from entity_expand.stores.memory import current_version
from indexer import ElasticSettings, IndexSettings, index_corpus
from indexer.cluster import RayEncoder, RaySettings
from servers.elasticsearch_node import ask

pytestmark = [
    pytest.mark.usefixtures("ray_here"),
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\..*"),  # Ray uses what it deprecates
]
TWO = RaySettings(workers=2)


def contents(root: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in current_version(root).iterdir()}


@pytest.fixture(scope="module")
def alone(many: Path, small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process makes of the corpus."""
    root = tmp_path_factory.mktemp("alone") / "index"
    with Corpus.open(many) as corpus:
        index_corpus(small_bundle, FakeEncoder(small_bundle.dimension), corpus, root)
    return contents(root)


def opening(folder: Path, fatal: str = "", *, once: bool = True) -> Callable[[Bundle], Encoder]:
    """Return what opens an encoder that leaves its process' number in a folder, and dies at a text."""

    class Fatal(FakeEncoder):  # inside, so that it is sent to the workers, who do not see this module
        def encode(self, inputs):
            (folder / str(os.getpid())).touch()
            if fatal and any(fatal in item.text for item in inputs) and not (once and (folder / "died").exists()):
                (folder / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().encode(inputs)

    return lambda bundle: Fatal(bundle.dimension)


def refusing(error: Exception, text: str) -> Callable[[Bundle], Encoder]:
    class Refusing(FakeEncoder):
        def encode(self, inputs):
            if any(text in item.text for item in inputs):
                raise error
            return super().encode(inputs)

    return lambda bundle: Refusing(bundle.dimension)


def test_a_worker_dies_half_way_and_the_index_is_the_same(many, small_bundle, alone, tmp_path) -> None:
    with Corpus.open(many) as corpus, RayEncoder(small_bundle, TWO, opening(tmp_path, "word150 ")) as encoder:
        report = index_corpus(small_bundle, encoder, corpus, tmp_path / "index")
    assert report.entities == 290
    assert contents(tmp_path / "index") == alone
    processes = {file.name for file in tmp_path.iterdir() if file.name.isdigit()}
    assert (tmp_path / "died").exists() and len(processes) >= 3  # two, and the one in place of that which died


def test_what_workers_raise_is_told_and_the_next_run_goes_on(many, small_bundle, alone, tmp_path) -> None:
    root, wrong = tmp_path / "index", ModelMismatchError("word200 is not for this model")
    seen = []

    class Counting(FakeEncoder):
        def encode(self, inputs):
            seen.extend(inputs)
            return super().encode(inputs)

    with Corpus.open(many) as corpus:
        with (
            pytest.raises(ModelMismatchError, match="word200 is not"),
            RayEncoder(small_bundle, RaySettings(workers=1), refusing(wrong, "word200 ")) as encoder,
        ):
            index_corpus(small_bundle, encoder, corpus, root)
        assert not (root / "CURRENT").exists()
        index_corpus(small_bundle, Counting(small_bundle.dimension), corpus, root)
        assert len(seen) <= len(corpus) - sum(1 + number % 3 for number in range(32))  # a group at least was there
    assert contents(root) == alone


def test_texts_and_pictures_apart(many, small_bundle, tmp_path) -> None:
    settings = IndexSettings(late_fusion=0.4)
    with Corpus.open(many) as corpus, RayEncoder(small_bundle, TWO, opening(tmp_path)) as encoder:
        index_corpus(small_bundle, encoder, corpus, tmp_path / "there", settings)
        index_corpus(small_bundle, FakeEncoder(small_bundle.dimension), corpus, tmp_path / "here", settings)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_an_index_on_a_server_is_the_same(many, small_bundle, elasticsearch_url, index_name, tmp_path) -> None:
    def found(encoder, name: str) -> list[tuple[str, dict]]:
        where, settings = f"{elasticsearch_url}/{index_name}-{name}", ElasticSettings(work=tmp_path / name)
        report = index_corpus(small_bundle, encoder, corpus, where, elastic=settings)
        assert report.load is not None and report.load.sent == 290
        _, answer = ask("POST", f"{where}/_search", {"size": 290, "sort": ["place"]})
        return [(hit["_id"], hit["_source"]) for hit in answer["hits"]["hits"]]

    with Corpus.open(many) as corpus, RayEncoder(small_bundle, TWO, opening(tmp_path, "word250 ")) as encoder:
        assert found(encoder, "many") == found(FakeEncoder(small_bundle.dimension), "one")
    assert (tmp_path / "died").exists()


def test_a_partition_that_kills_every_worker_ends_the_run(many, small_bundle, tmp_path) -> None:
    settings = RaySettings(workers=2, patience=4)
    with (
        Corpus.open(many) as corpus,
        pytest.raises(DeadlineError, match="No partition was finished for 4 s"),
        RayEncoder(small_bundle, settings, opening(tmp_path, "word0 ", once=False)) as encoder,
    ):
        index_corpus(small_bundle, encoder, corpus, tmp_path / "index")


def test_a_cluster_without_room_is_told(many, small_bundle, tmp_path) -> None:
    with (
        Corpus.open(many) as corpus,
        pytest.raises(EncoderError, match="0 GPUs"),
        RayEncoder(small_bundle, RaySettings(where="cuda")) as encoder,
    ):
        index_corpus(small_bundle, encoder, corpus, tmp_path / "index")
