"""Which sentences an export is measured with, and the made-up ones."""

import numpy as np

from entity_expand.corpus import Corpus
from entity_expand.inputs.text import MaskedTokenizer
from entity_expand.types import Entity
from export.probes import CASES, example, probes
from export.samples import choose

from .conftest import ENTITIES, IMAGE, TEXT


def test_every_entity_gives_as_many_sentences_as_allowed(corpus: Corpus) -> None:
    for per_entity, most, wanted in ((4, 1000, 3), (2, 1000, 2), (4, 24, 2), (4, 1, 1)):
        samples = choose(corpus, ENTITIES, "train", per_entity, most)
        assert np.bincount(samples.owner).tolist() == [wanted] * len(ENTITIES)
        assert len(samples.inputs) == len(samples.owner)
    assert samples.per_entity == 1


def test_sentences_are_spread_over_the_entitys(corpus: Corpus) -> None:
    samples = choose(corpus, ENTITIES[3:4], None, 2, 1000)
    wanted = [corpus.sample(int(number)).text for number in corpus.samples_of(3)[[0, 2]]]
    assert [item.text for item in samples.inputs] == wanted
    assert [item.image is not None for item in samples.inputs] == [False, True]


def test_entities_that_the_corpus_lacks_are_left_out(corpus: Corpus) -> None:
    entities = (Entity("999", "Nowhere"), ENTITIES[5], ENTITIES[2])
    samples = choose(corpus, entities, "train", 1, 1000)
    assert samples.entities.tolist() == [1, 2]
    assert ["Entity5" in item.text for item in samples.inputs] == [True, False]


def test_means_are_taken_over_each_entitys_sentences(corpus: Corpus) -> None:
    samples = choose(corpus, ENTITIES[:2], None, 2, 1000)
    features = np.array([[1, 2], [3, 4], [5, 6], [7, 9]], np.float32)
    np.testing.assert_array_equal(samples.means(features), [[(1 + 3) / 2, (2 + 4) / 2], [(5 + 7) / 2, (6 + 9) / 2]])


def test_probes_cover_shapes_and_cases(tokenizer: MaskedTokenizer) -> None:
    made = list(probes(tokenizer, IMAGE.size, seed=0))
    shapes = {feeds["input_ids"].shape for feeds in made}
    assert shapes == {(1, 3), (2, 7), (5, 4), (3, TEXT.max_length)}
    assert len(made) == len(shapes) * len(CASES)
    for feeds in made:
        rows, length = feeds["input_ids"].shape
        used = feeds["attention_mask"].sum(axis=1)
        assert (used >= 3).all() and (used <= length).all() and used[0] == max(used)
        assert (feeds["mask_position"] < used).all()
        assert feeds["input_ids"].max() < tokenizer.vocabulary
        assert feeds["pixels"].shape == (rows, 3, IMAGE.size, IMAGE.size)
        assert {name: value.dtype.name for name, value in feeds.items()} == {
            "input_ids": "int64",
            "attention_mask": "int64",
            "mask_position": "int64",
            "pixels": "float32",
            "image_present": "float32",
        }
    assert {tuple(feeds["image_present"]) for feeds in made} >= {(1.0,) * 5, (0.0,) * 5, (0.0, 1.0, 0.0, 1.0, 0.0)}


def test_the_example_has_a_padded_row_without_a_picture(tokenizer: MaskedTokenizer) -> None:
    feeds = example(tokenizer, IMAGE.size, seed=0)
    assert feeds["attention_mask"].sum(axis=1).tolist() == [7, 6]
    assert feeds["image_present"].tolist() == [1, 0]
