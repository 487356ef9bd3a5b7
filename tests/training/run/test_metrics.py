from __future__ import annotations

import json

import pytest

from training.run.metrics import MetricsLog, at, is_of_epoch, keys, number, numbers, read_metrics


def test_what_came_after_the_checkpoint_is_dropped_when_a_run_goes_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, 0)
    for step in (1, 2, 3, 4):
        log.write({"step": step})
    MetricsLog(path, 2).write({"step": 3, "again": True})
    assert read_metrics(path) == ({"step": 1}, {"step": 2}, {"step": 3, "again": True})


def test_a_new_run_begins_with_nothing(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n')
    MetricsLog(path, 0)
    assert read_metrics(path) == ()


def test_lines_that_are_no_records_are_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n\n7\n["step"]\n{"loss": 2}\n{"step": "x"}\n{"step": NaN}\n{"step": 2, "l\xff')
    assert read_metrics(path) == ({"step": 1},)
    assert read_metrics(tmp_path / "missing.jsonl") == ()


def test_a_line_cut_by_a_crash_is_dropped_when_the_run_goes_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "lo')
    MetricsLog(path, 5).write({"step": 6})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"step": 1}, {"step": 6}]


@pytest.mark.parametrize(
    ("record", "of_epoch"),
    [
        ({"step": 3, "epoch": 1, "phase": "joint", "losses": {}, "loss": 1.0, "rate_factor": 0.5}, False),
        ({"step": 3, "epoch": 1, "loss": 1.0, "accuracy": 0.5}, True),
        ({"step": 3, "validation": {}}, True),
        ({"step": 3, "aligned": True}, True),
        ({"step": 3}, False),
    ],
)
def test_records_of_epochs_are_told_from_those_of_steps(record, of_epoch):
    assert is_of_epoch(record) is of_epoch


def test_nested_values_are_read_whatever_they_are():
    record = {"a": {"b": 2, "c": "x", "d": True, "e": float("nan"), "f": None}, "g": 3}
    assert (at(record, "a", "b"), at(record, "a", "z"), at(record, "g", "b")) == (2, None, None)
    assert (number(2), number(True), number("2"), number(float("inf"))) == (2.0, None, None, None)
    assert (numbers(record["a"]), numbers(3)) == ({"b": 2.0}, {})
    assert (keys(record), keys(None)) == (("a", "g"), ())
