from __future__ import annotations

import pytest

from entity_expand.corpus import Query
from training.experiments.command import shown
from training.experiments.ranks import LEAST_QUERIES, more_seeds_tables, rank_panels, rank_table
from training.experiments.registry import SEEDS
from training.experiments.rows import BASELINE, Row
from training.experiments.statistics import estimate

TRUTH = {"long": frozenset("123456"), "short": frozenset("abcd")}
# One seed each leaves five members to be found, and three.
LONG = tuple(Query("long", number, ("1",)) for number in range(LEAST_QUERIES))
SHORT = tuple(Query("short", number, ("a",)) for number in range(2))
RIGHT, FIRST, LAST = list("23456"), list("2xyzv"), list("xyz2v")


def row(variant: str, family: str, lists) -> Row:
    return Row(variant, family, "", 1, lists, TRUTH)


def each_gets(ids, queries=LONG):
    return dict.fromkeys(queries, ids)


def test_what_more_seeds_bring_is_paired_by_training():
    trained = row(
        "base",
        "text",
        {3: {0: each_gets(FIRST), 1: each_gets(LAST)}, 5: {0: each_gets(RIGHT), 1: each_gets(LAST), 2: {}}},
    )
    untrained = row(BASELINE, "TF-IDF", {3: {0: each_gets(FIRST)}, 5: {0: each_gets(LAST)}})
    apart = row("base", "picture", {3: {0: each_gets(FIRST)}, 5: {1: each_gets(FIRST)}})
    (table,) = more_seeds_tables([trained, untrained, apart, row("base", "one", {3: {0: each_gets(FIRST)}})])
    # Of five members: all at their places, one at the first, one at the fourth.
    right, first, last = 1.0, (1 / 1) / 5, (1 / 4) / 5
    gain = estimate([right - first, last - last])
    assert table.head == ("", "5 seeds less 3 seeds")
    assert table.lines == (
        ("base: text", f"+{100 * gain.mean:.1f} ± {100 * gain.half:.1f}"),
        ("TF-IDF", f"{100 * (last - first):.1f}"),
        ("base: picture", "-"),
        ("base: one", "-"),
    )


def test_one_number_of_seeds_has_none_to_compare():
    assert more_seeds_tables([row("base", "text", {3: {0: each_gets(FIRST)}})]) == []


def test_drift_has_the_mean_of_the_trainings_and_the_queries_that_are_left():
    one = {**each_gets(FIRST), **each_gets(list("bcd"), SHORT)}
    other = {**each_gets(RIGHT), **each_gets(list("bxd"), SHORT)}
    found = rank_table([row("base", "text", {3: {0: one, 1: other}}), row(BASELINE, "TF-IDF", {3: {0: one}})])
    assert found.head == ("rank", *map(str, range(1, 11)))
    trained, untrained, left = found.lines
    assert trained[0] == "base: text, 3 seeds" and left[0] == "queries left, 3 seeds"
    # Rank 2: of twelve queries the two short ones hit, then the ten long ones. Rank 4: the long ones alone are left.
    assert trained[1:6] == tuple(
        str(estimate(each)) for each in ([1, 1], [2 / 12, 10 / 12], [2 / 12, 1], [0, 1], [0, 1])
    )
    assert untrained[1:6] == tuple(f"{100 * each:.1f}" for each in (1, 2 / 12, 2 / 12, 0, 0))
    assert trained[6:] == untrained[6:] == ("-",) * 5
    assert left[1:] == ("12", "12", "12", "10", "10", "0", "0", "0", "0", "0")


def test_rows_that_were_asked_other_queries_have_counts_of_their_own():
    all_of_them = row("base", "text", {3: {0: each_gets(FIRST)}, 5: {0: each_gets(FIRST)}})
    fewer = row("base", "picture", {3: {0: each_gets(FIRST, LONG[:4])}})
    lines = [(each[0], each[1]) for each in rank_table([all_of_them, fewer]).lines]
    assert lines == [
        ("base: text, 3 seeds", "100.0"),
        ("base: picture, 3 seeds", "100.0"),
        ("queries left of base: text, 3 seeds", "10"),
        ("queries left of base: picture, 3 seeds", "4"),
        ("base: text, 5 seeds", "100.0"),
        ("queries left, 5 seeds", "10"),
    ]


def test_the_curve_stops_where_too_few_queries_are_left():
    lists = {**each_gets(FIRST, LONG[:-1]), **each_gets(list("bcd"), SHORT)}
    (panel,) = rank_panels([row("base", "text", {3: {0: lists}, 5: {0: each_gets(FIRST)}})])
    # Eleven queries have three members to find, nine of them two more; the others are ten with five.
    assert [(each.label, each.x) for each in panel.series] == [
        ("base: text, 3 seeds", (1.0, 2.0, 3.0)), ("base: text, 5 seeds", (1.0, 2.0, 3.0, 4.0, 5.0)),
    ]  # fmt: skip
    assert panel.series[0].y == pytest.approx((100.0, 100 * 2 / 11, 100 * 2 / 11))
    assert rank_panels([row("base", "text", {3: {0: each_gets(FIRST, LONG[:-1])}})]) == []


def test_the_experiment_of_seeds_shows_both(asked):
    rows = [row("base", "both at once", {3: {0: each_gets(FIRST)}, 5: {0: each_gets(RIGHT)}})]
    tables, panels = shown(SEEDS, rows, asked)
    assert [each.title for each in tables] == ["Quality", "More seeds", "Drift along the list"]
    assert [each.title for each in panels] == ["drift along the list"]
