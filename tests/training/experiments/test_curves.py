from __future__ import annotations

import json

import pytest

from training.config import TrainingConfig
from training.experiments.curves import MOST_LINES, Curve, Point, curve_of, curve_views, mean_curve
from training.experiments.describe import Variant
from training.experiments.plots import draw
from training.experiments.runner import Job, folder_of


def job(variant: str = "base", seed: int = 0) -> Job:
    return Job(Variant(variant), seed, TrainingConfig(), f"{variant}-{seed}")


def write(work, whose: Job, records, tail: str = "") -> None:
    folder = folder_of(whose, work)
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records) + tail)


def measured(step: int, epoch: int | None, quality: float, best: bool):
    named = {"aligned": True} if epoch is None else {"epoch": epoch}
    return {"step": step, **named, "validation": {"map@10": quality, "map@20": 1.0, "queries": 4}, "best": best}


def curve(variant: str, seed: int, *values: float, best: int | None = None) -> Curve:
    points = tuple(Point(epoch, value) for epoch, value in enumerate(values, 1))
    return Curve(variant, seed, points, best)


def test_a_curve_is_read_from_the_epochs_of_a_run(tmp_path):
    records = [
        {"step": 1, "loss": 3.0},
        measured(2, 1, 0.5, True),
        {"step": 4, "epoch": 2, "accuracy": 0.1, "seconds": 1.0},  # not every epoch need be measured
        measured(6, 3, 0.625, True),
        measured(8, 4, 0.6, False),
    ]
    write(tmp_path, job(), records, tail='{"step": 9, "val')
    found = curve_of(job(), tmp_path)
    assert found == Curve("base", 0, (Point(1, 0.5), Point(3, 0.625), Point(4, 0.6)), best=1)
    assert str(found) == "50.0, 62.5*, 60.0"


def test_a_run_that_is_gone_or_measured_nothing_says_so(tmp_path):
    assert str(curve_of(job(), tmp_path)) == "not kept"
    folder_of(job(seed=1), tmp_path).mkdir(parents=True)
    assert str(curve_of(job(seed=1), tmp_path)) == "not kept"
    write(tmp_path, job(seed=2), [{"step": 1, "epoch": 1, "seconds": 1.0}])
    assert str(curve_of(job(seed=2), tmp_path)) == "not measured"


def test_an_alignment_is_no_epoch(tmp_path):
    write(tmp_path, job(), [measured(2, 1, 0.5, True), measured(3, None, 0.75, True)])
    found = curve_of(job(), tmp_path)
    assert str(found) == "50.0, aligned 75.0*"
    assert mean_curve([found]) == {1: 0.5}
    table, panels = curve_views([found])
    assert '"aligned"' in table.text and not panels  # one point is no line


def test_means_are_over_the_trainings_and_the_epochs_that_all_have():
    curves = [curve("x", 0, 0.2, 0.4, 0.9), curve("x", 1, 0.4, 0.5), Curve("x", 2, None), Curve("x", 3, ())]
    assert mean_curve(curves) == {1: pytest.approx((0.2 + 0.4) / 2), 2: pytest.approx((0.4 + 0.5) / 2)}
    assert mean_curve(curves[2:]) == {}


def test_the_table_has_a_line_for_each_variant_and_the_panel_too(tmp_path):
    curves = [curve("x", 0, 0.2, 0.4, best=1), curve("x", 1, 0.4, 0.6, best=1), curve("y", 0, 0.3, 0.1, best=0)]
    table, (panel,) = curve_views([*curves, Curve("gone", 1, None)])
    assert table.head == ("", "seed 0", "seed 1")
    assert table.lines == (("x", "20.0, 40.0*", "40.0, 60.0*"), ("y", "30.0*, 10.0", "-"), ("gone", "-", "not kept"))
    assert "Not kept:" in table.text and "last panel" in table.text
    assert "Not kept:" not in curve_views(curves)[0].text
    assert [(each.label, each.x) for each in panel.series] == [("x", (1.0, 2.0)), ("y", (1.0, 2.0))]
    assert panel.series[0].y == (pytest.approx(100 * (0.2 + 0.4) / 2), pytest.approx(100 * (0.4 + 0.6) / 2))
    draw(tmp_path / "curves.png", [panel])


def test_more_variants_than_colours_have_no_panel():
    curves = [curve(f"variant {place}", 0, 0.2, 0.4) for place in range(MOST_LINES + 1)]
    table, panels = curve_views(curves)
    assert len(table.lines) == MOST_LINES + 1 and not panels and "panel" not in table.text
    assert len(curve_views(curves[1:])[1][0].series) == MOST_LINES
