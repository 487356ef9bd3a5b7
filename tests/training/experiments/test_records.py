from __future__ import annotations

from entity_expand.corpus import Query
from training.experiments.describe import Way
from training.experiments.measuring import Answer
from training.experiments.records import Records

TEXT, PICTURE = Way("text", "text"), Way("picture", "picture")


def answer(way: Way, *ids: str) -> Answer:
    return Answer(way, 3, {Query("bird", 0, ("1", "2", "3")): ids}, 0)


def test_processes_that_share_a_folder_keep_what_the_others_measured(tmp_path):
    path = tmp_path / "work" / "results.jsonl"
    first, second = Records(path), Records(path)
    first.add("one", [answer(TEXT, "4", "5")])
    second.add("two", [answer(PICTURE, "6")])
    first.add("one", [answer(PICTURE, "7")])
    again = Records(path)
    assert again.answers("one", TEXT) == [answer(TEXT, "4", "5")]
    assert again.answers("one", PICTURE) == [answer(PICTURE, "7")]
    assert again.answers("two", PICTURE) == [answer(PICTURE, "6")]


def test_a_line_that_a_crash_cut_off_takes_no_other_with_it(tmp_path):
    path = tmp_path / "results.jsonl"
    Records(path).add("one", [answer(TEXT, "4"), answer(PICTURE, "5")])
    path.write_bytes(path.read_bytes()[:-10])
    records = Records(path)
    assert not records.answers("one", PICTURE)
    records.add("one", [answer(PICTURE, "6")])
    again = Records(path)
    assert again.answers("one", TEXT) == [answer(TEXT, "4")]
    assert again.answers("one", PICTURE) == [answer(PICTURE, "6")]
