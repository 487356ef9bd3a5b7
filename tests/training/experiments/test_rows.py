from __future__ import annotations

import pytest

from entity_expand.corpus import Query
from training.experiments.describe import Experiment, Variant, Way
from training.experiments.made import Made
from training.experiments.measuring import Answer, Questions
from training.experiments.records import Result
from training.experiments.registry import DOMAINS, EXPERIMENTS
from training.experiments.rows import BASELINE, Row, reference_of, rows_of
from training.experiments.views import margin_table, quality_table


def row(variant: str, family: str, about: str = "") -> Row:
    return Row(variant, family, "", 1, {}, {}, about=about)


def test_what_has_no_counterpart_is_compared_with_both_at_once():
    experiment = EXPERIMENTS["pictures"]
    picture, both, text = (row("base", family) for family in ("picture, whole", "both at once, whole", "text"))
    untrained, other = row(BASELINE, "late fusion"), row(BASELINE, "late fusion", about="animals")
    rows = [picture, both, text, untrained, other]
    assert reference_of(text, rows, experiment) is text
    assert reference_of(row("changed", "text"), rows, experiment) is text
    assert reference_of(untrained, rows, experiment) is both
    assert reference_of(untrained, [picture, untrained], experiment) is picture
    assert reference_of(other, rows, experiment) is None


def test_differences_are_over_the_queries_of_both():
    truth = {"a": frozenset("0123"), "b": frozenset("5678")}
    good, bad = {Query("a", 0, ("0",)): ("1", "2", "3")}, {Query("b", 0, ("5",)): ("0", "1", "2")}
    whole, part = (Row("base", "", "", 1, {3: {0: lists}}, truth) for lists in ({**good, **bad}, bad))
    other = Row("base", "", "", 1, {3: {0: dict.fromkeys(bad, ("6", "7", "8"))}}, truth)
    assert whole.values(3)[0] == 0.5 and part.values(3)[0] == 0.0
    assert whole.less(part, 3).mean == 0.0 and part.less(whole, 3).mean == 0.0
    assert whole.less(other, 3).mean == -1.0
    assert margin_table([whole, part]).lines == (("base: ", "+0.0", "0 of 1"),)


def test_baselines_about_domains_are_compared_with_the_row_that_they_should_beat():
    first, half = "trained on all", "trained on the other half"
    rows = [
        row(first, f"{kind}, {score}", "about x") for score in ("λ = 0", "λ = 1") for kind in ("text", "both at once")
    ]
    same = row(half, "text, λ = 0", "about x")
    assert reference_of(row(BASELINE, "TF-IDF", "about x"), rows, DOMAINS) is rows[3]
    assert reference_of(same, [*rows, same], DOMAINS) is rows[0]


@pytest.mark.parametrize(
    ("kept", "shown"), [(4, "λ = 1"), (3, "λ = 1 (1 query left out)"), (1, "λ = 1 (3 queries left out)")]
)
def test_the_quality_table_says_how_many_queries_of_reported_classes_were_left_out(kept, shown):
    way = Way("text", "text", both_directions=1.0)
    reported = tuple(Query("a", number, (str(number),)) for number in range(4))
    chosen = Query("b", 0, ("5",)), Query("b", 1, ("6",))
    truth = {"a": frozenset("01234"), "b": frozenset("5678")}
    questions = Questions({3: (*reported, *chosen)}, truth, frozenset("b"))
    lists = dict.fromkeys((*reported[:kept], chosen[0]), ("4", "7"))
    experiment = Experiment("small", "", "", (Variant("base"),), (way,))
    result = Result("run", "base", 0, Answer(way, 3, lists, (*reported[kept:], chosen[1])), Made("", ""))
    table = quality_table(rows_of(experiment, [result], [], questions), experiment)
    assert [line[:3] for line in table.lines] == [("base: text", shown, "1")]
    assert ("Left out" in table.text) == ("left out" in shown)
