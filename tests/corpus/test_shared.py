from __future__ import annotations

import json
from pathlib import Path

import pytest

from entity_expand.corpus import Corpus, read_queries, read_truth

pytestmark = pytest.mark.shared


def whole_word_ids(text: str, spans: tuple[tuple[int, int], ...], vocabulary: dict[str, int]) -> list[int]:
    """Encode as the original does: lower-case, one mask, every word looked up whole."""
    [(start, end)] = spans
    before, after = text[:start].lower().split(), text[end:].lower().split()
    words = ["[CLS]", *before, None, *after, "[SEP]"]
    unknown = vocabulary["[UNK]"]
    special = {"[CLS]", "[SEP]"}
    ids = []
    for number, word in enumerate(words):
        if word is None:
            ids.append(vocabulary["[MASK]"])
        elif word in special and 0 < number < len(words) - 1:
            ids.append(unknown)
        else:
            ids.append(vocabulary.get(word, unknown))
    return ids


def test_per_mention_gives_the_originals_samples(shared: Path) -> None:
    folder = shared / "reference" / "pipeline" / "entity2sents"
    vocabulary = {word: i for i, word in enumerate((folder / "vocab.txt").read_text().split("\n")) if word}
    expected = json.loads((folder / "expected.json").read_text())["token_ids"]
    with Corpus.open(folder, per_mention=True) as corpus:
        found: dict[str, list[tuple[int, list[int]]]] = {}
        for position, entity in enumerate(corpus.entities):
            samples = [corpus.sample(int(number)) for number in corpus.samples_of(position)]
            found[entity.id] = [(s.line, whole_word_ids(s.text, s.mentions, vocabulary)) for s in samples]
    mask_was_old = whole_word_ids("gamma was old", ((0, 5),), vocabulary)
    # What the original drops and we keep: the mention after an unknown id on line 11, the sentence of line 12
    # without its picture, and entities with fewer than two samples.
    assert [line for line, _ in found["7"]] == [2, 3, 6, 11, 11, 12]
    assert found["7"][4][1] == found["7"][3][1]
    assert found["7"][5][1] == mask_was_old
    kept = {identifier: [ids for _, ids in samples] for identifier, samples in found.items()}
    kept["7"] = kept["7"][:4]
    assert [line for line, _ in found["300"]] == [10]
    assert found["301"] == []
    del kept["300"], kept["301"]
    assert kept == expected


def test_edge_cases_are_counted(shared: Path) -> None:
    corpus = Corpus.open(shared / "reference" / "pipeline" / "entity2sents")
    counted = {(p.kind, p.reason): (p.count, p.lines) for p in corpus.report.problems}
    assert counted == {
        ("row", "no mention"): (1, (8,)),
        ("mention", "repeated mention"): (1, (11,)),
        ("mention", "unknown entity id"): (1, (11,)),
        ("picture", "no such file"): (1, (12,)),
    }
    assert len(corpus) == 13
    assert {s.image for s in map(corpus.sample, range(13))} == {None, *(f"img/{k}.png" for k in range(6))}
    both = corpus.sample(int(corpus.samples_of(corpus.positions["25"])[1]))
    assert both.mentions == ((0, len("Beta River")), (27, 27 + len("Beta River")))


@pytest.mark.parametrize(
    ("name", "rows", "entities", "pictures", "classes"),
    [("imagenet-cupl-tiny", 960, 120, 183, 8), ("imagenet-cupl", 33318, 996, 2643, 40)],
)
def test_data_sets_are_read_whole(
    shared: Path, name: str, rows: int, entities: int, pictures: int, classes: int
) -> None:
    folder = shared / "data" / name
    with Corpus.open(folder, strict=True) as corpus:
        assert (len(corpus), len(corpus.entities), corpus.report.pictures) == (rows, entities, pictures)
        assert [entity.id for entity in corpus.entities] == [str(number) for number in range(entities)]
        assert corpus.splits == ("train",)
        with (folder / "sentences.json").open() as handle:
            lines = [json.loads(line) for line in handle]
        for number in range(0, rows, 97):
            sample = corpus.sample(number)
            mention = lines[number]["entityMentions"][0]
            start, end = sample.mentions[0]
            assert corpus.entities[sample.entity].id == str(mention["entityId"])
            assert sample.text[start:end] == " ".join(lines[number]["tokens"][mention["start"] : mention["end"] + 1])
            assert corpus.image_path(sample) == folder / lines[number]["image"]
        for queries, seeds in (("query", 3), ("query_seed=5", 5)):
            read = read_queries(folder / queries)
            assert [(q.class_name, q.number) for q in read] == sorted((q.class_name, q.number) for q in read)
            assert len(read) == 5 * classes
            assert {len(q.seeds) for q in read} == {seeds}
        truth = read_truth(folder / "gt")
        assert len(truth) == classes
        assert all(set(q.seeds) <= truth[q.class_name] <= set(corpus.positions) for q in read)
