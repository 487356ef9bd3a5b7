from __future__ import annotations

import pytest

import training.experiments.runner as module
from entity_expand.corpus import Query, read_truth, write_queries, write_truth
from training.experiments.describe import Experiment, Variant, Way, ways_of
from training.experiments.domains import domain_jobs, halves_of, read_domains
from training.experiments.measuring import Answer, Questions
from training.experiments.records import Records
from training.experiments.registry import DOMAINS
from training.experiments.runner import measured, plan

TEXT, PICTURE = Way("text", "text"), Way("picture", "picture")
BIRD, TOOL = Query("bird", 0, ("1", "2", "3")), Query("tool", 0, ("7", "8", "9"))
QUERIES = {3: (BIRD,)}


def answer(way: Way, *ids: str) -> Answer:
    return Answer(way, 3, {BIRD: ids}, ())


def test_processes_that_share_a_folder_keep_what_the_others_measured(tmp_path):
    path = tmp_path / "work" / "results.jsonl"
    first, second = Records(path), Records(path)
    first.add("one", [answer(TEXT, "4", "5")])
    second.add("two", [answer(PICTURE, "6")])
    first.add("one", [answer(PICTURE, "7")])
    again = Records(path)
    assert again.answers("one", TEXT, QUERIES) == [answer(TEXT, "4", "5")]
    assert again.answers("one", PICTURE, QUERIES) == [answer(PICTURE, "7")]
    assert again.answers("two", PICTURE, QUERIES) == [answer(PICTURE, "6")]


def test_a_line_that_a_crash_cut_off_takes_no_other_with_it(tmp_path):
    path = tmp_path / "results.jsonl"
    Records(path).add("one", [answer(TEXT, "4"), answer(PICTURE, "5")])
    path.write_bytes(path.read_bytes()[:-10])
    records = Records(path)
    assert not records.answers("one", PICTURE, QUERIES)
    records.add("one", [answer(PICTURE, "6")])
    again = Records(path)
    assert again.answers("one", TEXT, QUERIES) == [answer(TEXT, "4")]
    assert again.answers("one", PICTURE, QUERIES) == [answer(PICTURE, "6")]


def test_answers_are_of_every_number_of_seeds_and_of_exactly_the_present_queries(tmp_path):
    path = tmp_path / "results.jsonl"
    three = Answer(TEXT, 3, {BIRD: ("4", "5")}, (TOOL,))
    five = Answer(TEXT, 5, {}, (BIRD,))
    Records(path).add("one", [three, five])
    assert Records(path).answers("one", TEXT, {3: (BIRD, TOOL), 5: (BIRD,)}) == [three, five]
    assert Records(path).answers("one", TEXT, {3: (TOOL, BIRD)}) == [three]
    other = Query("tool", 0, ("7", "8", "6"))
    for queries in ({3: (BIRD,)}, {3: (BIRD, other)}, {3: (BIRD, TOOL, other)}, {3: (BIRD, TOOL), 5: (TOOL,)}):
        assert Records(path).answers("one", TEXT, queries) == []
    first, _ = path.read_text().splitlines(keepends=True)
    path.write_text(first)  # a crash came between the lines
    assert Records(path).answers("one", TEXT, {3: (BIRD, TOOL), 5: (BIRD,)}) == []


def test_queries_that_changed_are_asked_again(copied, config, tmp_path, monkeypatch):
    """Or lists for the old ones would be reported; those of reported classes change no training."""
    asked_for = []

    def pretend(run, config, corpus, ways, questions, cache):
        asked_for.append(len(ways))
        each = [(way, seeds, queries) for way in ways for seeds, queries in questions.queries.items()]
        return [Answer(way, seeds, dict.fromkeys(queries, ("9",)), ()) for way, seeds, queries in each]

    monkeypatch.setattr(module, "trained_to_ask", lambda job, corpus, work, say: tmp_path)
    monkeypatch.setattr(module, "ask_run", pretend)
    small = Experiment("small", "", "", (Variant("base"),), ways_of("text", "text"))

    def lists():
        questions = Questions.of(copied, config.validation)
        jobs = plan(small, config, copied, 1)
        found = measured(small, jobs, copied, questions, tmp_path / "work", lambda _: None)
        assert all({*each.answer.lists} == {*questions.queries[each.answer.seeds]} for each in found)
        return jobs[0].key, len(found)

    key, _ = before = lists()
    assert before == lists() == (key, 2 * 5) and asked_for == [5]
    records = tmp_path / "work" / "results.jsonl"
    records.write_text("".join(records.read_text().splitlines(keepends=True)[:-1]))
    assert lists() == before and asked_for == [5, 1]
    write_queries(copied.root / "query", [Query("a", 0, ("3", "2"))])
    assert lists() == before and asked_for == [5, 1, 5]


@pytest.mark.parametrize("change", ["query", "truth"])
def test_what_validates_names_the_run(copied, config, tmp_path, change):
    """Or a best epoch would be kept that was chosen by other queries or by another truth."""

    def keys():
        halves = halves_of(copied, read_truth(copied.root / "gt"), read_domains(copied))
        return [job.key for job in domain_jobs(DOMAINS, config, copied, halves, tmp_path / "work", 1)]

    before = keys()
    if change == "query":
        write_queries(copied.root / "query", [Query("d", 0, ("9", "8"))])
    else:
        write_truth(copied.root / "gt", {"d": [(each, "") for each in ("6", "7", "8", "9", "none")]})
    whole, *halves = zip(before, keys(), strict=True)
    assert whole[0] != whole[1]
    assert sum(one != other for one, other in halves) == 1  # d is in one of them
