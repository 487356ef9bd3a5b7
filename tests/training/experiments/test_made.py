from __future__ import annotations

from training.experiments.made import Made, described

OLD, NEW = Made("one core", "1234567"), Made("two cores", "89abcde and changes")


def test_what_was_made_alike_is_one_line():
    assert described({"trained": [NEW, NEW], "asked": [NEW], "drawn": [NEW]}) == [
        "Trained, asked and drawn on two cores; commit 89abcde and changes."
    ]


def test_what_was_made_elsewhere_says_so():
    lines = described({"trained": [NEW, OLD], "asked": [], "drawn": [NEW]})
    assert lines == [
        "Trained on one core; commit 1234567, and on two cores; commit 89abcde and changes.",
        "Drawn on two cores; commit 89abcde and changes.",
    ]


def test_a_record_keeps_what_made_it():
    assert Made.of({**NEW.kept(), "steps": 3}) == NEW
    assert str(Made.of({"steps": 3})) == "an unknown machine; commit unknown"


def test_this_machine_and_this_code():
    here = Made.here()
    assert "cores" in here.machine and "torch" in here.machine and here.commit
    assert Made.here() is here
