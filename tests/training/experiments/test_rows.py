from __future__ import annotations

import pytest

from entity_expand.corpus import Query
from training.experiments.describe import Experiment, Variant, Way
from training.experiments.measuring import Answer, Questions
from training.experiments.records import Result
from training.experiments.registry import EXPERIMENTS
from training.experiments.rows import BASELINE, Row, reference_of, rows_of
from training.experiments.views import quality_table


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
    result = Result("run", "base", 0, Answer(way, 3, lists, (*reported[kept:], chosen[1])))
    table = quality_table(rows_of(experiment, [result], [], questions), experiment)
    assert [line[:3] for line in table.lines] == [("base: text", shown, "1")]
    assert ("Left out" in table.text) == ("left out" in shown)
