from __future__ import annotations

from training.experiments.registry import EXPERIMENTS
from training.experiments.rows import BASELINE, Row, reference_of


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
