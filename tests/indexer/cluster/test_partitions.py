"""What a worker does, without Ray: partitions there and back, and the checks of a machine that lacks something."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from entity_expand._version import __version__
from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus
from entity_expand.encoder import FakeEncoder
from entity_expand.errors import BundleError, ConfigError, CorpusError, MissingExtraError
from indexer.cluster.partitions import PartitionWorker, from_row, means_of, to_row
from indexer.features import group_means, select


def worker(known: Bundle, corpus: Path, **changed) -> PartitionWorker:
    arguments = {
        "bundle": known.path,
        "fingerprint": known.fingerprint,
        "fetch_corpus": lambda: Corpus.open(corpus),
        "modality": "both",
        "opening": lambda opened: FakeEncoder(opened.dimension),
        "version": __version__,
    }
    return PartitionWorker(**(arguments | changed))


def test_a_partition_is_sent_as_a_row() -> None:
    group = [np.array([4, 9]), np.array([1]), np.array([7, 8, 12])]
    row = to_row(3, group)
    assert row == {"number": 3, "samples": [4, 9, 1, 7, 8, 12], "counts": [2, 1, 3]}
    assert [own.tolist() for own in from_row(row)] == [own.tolist() for own in group]


def test_a_worker_gives_the_features_to_the_last_bit(many, small_bundle) -> None:
    encoder = FakeEncoder(small_bundle.dimension)
    with Corpus.open(many) as corpus:
        group = select(corpus, "both", None).samples[88:92]
        row = worker(small_bundle, many)(to_row(5, group))
        expected = group_means(encoder, corpus, group, "both")
    assert row["number"] == 5
    np.testing.assert_array_equal(means_of(row, small_bundle.dimension), expected)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"version": "0.0"}, ConfigError, "install the same"),
        ({"fingerprint": "0" * 64}, BundleError, "another bundle"),
        ({"bundle": Path("/nowhere")}, BundleError, "/nowhere"),
    ],
)
def test_a_machine_that_differs_is_refused(many, small_bundle, changed, error, message) -> None:
    with pytest.raises(error, match=message):
        worker(small_bundle, many, **changed)(to_row(0, [np.array([0])]))


def test_a_machine_without_the_pictures_is_refused(many, small_bundle, tmp_path) -> None:
    with Corpus.open(many) as corpus:
        unlike = PartitionWorker(
            small_bundle.path, small_bundle.fingerprint, lambda: corpus, "both",
            lambda bundle: FakeEncoder(bundle.dimension), __version__,
        )  # fmt: skip
        corpus._source = replace(corpus._source, root=tmp_path)  # the same rows where no pictures are
        with pytest.raises(CorpusError, match=r"sea\.png is not on"):
            unlike(to_row(0, [np.array([1])]))


def test_an_error_with_arguments_comes_back_from_a_process() -> None:
    error = pickle.loads(pickle.dumps(MissingExtraError("onnxruntime", "cpu")))
    assert (error.package, error.extra, str(error)) == (
        "onnxruntime",
        "cpu",
        str(MissingExtraError("onnxruntime", "cpu")),
    )
