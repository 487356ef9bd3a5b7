from __future__ import annotations

import json
import math
import sys

import pytest
from PIL import Image

from entity_expand.errors import MissingExtraError
from training.run.curves import panels, phase_starts, thinned, write_curves


def step_record(step, phase="entity", **losses):
    losses = losses or {"entity": 5.0 / step}
    return {
        "step": step, "epoch": 1, "phase": phase, "losses": losses, "loss": sum(losses.values()),
        "rate_factor": 1.0, "gradient_norm": 0.5,
    }  # fmt: skip


def epoch_record(step, quality=0.5, best=False):
    return {
        "step": step, "epoch": 1, "loss": 2.0, "losses": {"entity": 2.0}, "accuracy": 0.5, "seconds": 3.0,
        "pairs_per_second": 100.0, "held_out": {"both": {"loss": 1.0, "accuracy": 0.4}},
        "validation": {"map@10": quality, "map@20": 0.9 * quality, "queries": 5, "seeds": 3}, "best": best,
    }  # fmt: skip


def write(path, records, tail=""):
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + tail)
    return path


def test_a_run_has_its_panels():
    records = [*(step_record(step) for step in range(1, 5)), epoch_record(4, 0.5, True), epoch_record(8, 0.6, True)]
    found = {panel.title: panel for panel in panels([*records, epoch_record(12, 0.4)])}
    assert list(found) == [
        "loss", "accuracy", "held-out loss", "validation", "factor of the learning rate", "norm of the gradient",
        "pairs per second",
    ]  # fmt: skip
    faint, mean = found["loss"].lines
    assert (faint.label, faint.faint, faint.points) == ("entity", True, tuple((s, 5.0 / s) for s in (1.0, 2, 3, 4)))
    assert (mean.label, mean.faint, mean.points) == ("entity", False, ((4, 2.0), (8, 2.0), (12, 2.0)))
    assert [line.label for line in found["accuracy"].lines] == ["training", "held out, both"]
    assert [line.label for line in found["validation"].lines] == ["MAP@10", "MAP@20"]
    assert found["validation"].best == 8


def test_several_tasks_have_lines_of_their_own_and_a_sum():
    (loss, *_) = panels([step_record(1), step_record(2, entity=2.0, cluster=1.0)])
    assert {line.label: line.points for line in loss.lines} == {
        "entity": ((1, 5.0), (2, 2.0)),
        "cluster": ((2, 1.0),),
        "all": ((1, 5.0), (2, 3.0)),
    }


def test_what_is_missing_or_no_number_costs_its_panel_only():
    records = [
        {"step": 1, "loss": float("nan"), "losses": None, "rate_factor": "x"},
        {"step": 2, "accuracy": 0.5, "held_out": {"both": None}, "validation": [], "best": None},
        {"step": 3, "loss": 1.0},
    ]
    assert [(panel.title, [line.points for line in panel.lines]) for panel in panels(records)] == [
        ("loss", [((3, 1.0),)]),
        ("accuracy", [((2, 0.5),)]),
    ]
    assert panels([]) == ()


def test_phases_begin_where_their_name_changes():
    names = ["entity", "entity", "instance", "instance", "joint"]
    records = [step_record(10 * place, name) for place, name in enumerate(names, start=1)]
    assert phase_starts([*records[:2], epoch_record(20), *records[2:]]) == ((30, "instance"), (50, "joint"))
    assert phase_starts([{"step": 1}]) == ()


def test_long_lines_are_averaged_in_groups():
    points = [(float(step), float(step % 2)) for step in range(1000)]
    found = thinned(points, most=100)
    assert len(found) == 100
    assert found[0] == (sum(range(10)) / 10, 0.5)
    assert thinned(points[:3], most=100) == points[:3]
    assert thinned([], most=100) == []


@pytest.mark.parametrize(
    "records",
    [
        [step_record(1)],
        [epoch_record(1)],
        [{"step": 0, "loss": 0.0}],
        [{**step_record(1), "gradient_norm": 0.0}, {**step_record(2), "loss": -1.0}],
        [
            *(step_record(step, "joint" if step > 50 else "entity") for step in range(1, 100)),
            epoch_record(99, 0.5, True),
        ],
    ],
    ids=["step", "epoch", "zero", "no logarithm", "run"],
)
def test_a_picture_is_drawn(tmp_path, records):
    pyplot = "matplotlib.pyplot" in sys.modules
    path = write_curves(write(tmp_path / "metrics.jsonl", records, tail='{"step": 3, "lo'), tmp_path)
    assert path == tmp_path / "curves.png"
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width > 300
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 5
    assert {each.name for each in tmp_path.iterdir()} == {"curves.png", "metrics.jsonl"}
    assert ("matplotlib.pyplot" in sys.modules) == pyplot


def test_nothing_is_written_while_there_is_nothing_to_draw(tmp_path):
    assert write_curves(tmp_path / "missing.jsonl", tmp_path) is None
    assert write_curves(write(tmp_path / "metrics.jsonl", [{"step": 1, "loss": math.inf}]), tmp_path) is None
    assert not (tmp_path / "curves.png").exists()


def test_a_missing_package_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"matplotlib is not installed: .*\[train\]"):
        write_curves(write(tmp_path / "metrics.jsonl", [step_record(1)]), tmp_path)
    assert not (tmp_path / "curves.png").exists()
