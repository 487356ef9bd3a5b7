from __future__ import annotations

import logging
import sys

import pytest

from entity_expand.errors import MissingExtraError
from training.config import TrainingConfig
from training.loop import train
from training.run.metrics import read_metrics
from training.run.trackers import CallbackTracker, TensorBoardTracker, Trackers, flatten

EPOCH = {
    "step": 8, "epoch": 2, "loss": 1.5, "losses": {"entity": 1.0}, "accuracy": 0.5, "best": True, "note": "none",
    "held_out": {"both": {"loss": 2.0, "accuracy": 0.25}}, "validation": {"map@10": 0.75, "seeds": 3}, "left": None,
}  # fmt: skip


class Broken:
    def __init__(self) -> None:
        self.asked = 0

    def record(self, step, values):
        self.asked += 1
        raise RuntimeError("no route to the service")

    def close(self):
        raise OSError("closed already")


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_records_are_flattened():
    assert flatten(EPOCH) == {
        "epoch": 2, "loss": 1.5, "losses/entity": 1.0, "accuracy": 0.5, "best": 1.0, "held_out/both/loss": 2.0,
        "held_out/both/accuracy": 0.25, "validation/map@10": 0.75, "validation/seeds": 3,
    }  # fmt: skip


def test_single_steps_have_names_of_their_own():
    record = {"step": 8, "phase": "joint", "loss": 1.5, "losses": {"entity": 1.0}}
    assert flatten(record) == {"step/loss": 1.5, "step/losses/entity": 1.0}


def test_all_trackers_get_the_values_and_cannot_change_them():
    got: list[tuple[int, dict[str, float]]] = []

    def spoil(step, values):
        values["loss"] = 0.0

    trackers = Trackers([CallbackTracker(spoil), CallbackTracker(lambda step, values: got.append((step, values)))])
    with trackers:
        trackers.write(EPOCH)
    assert got == [(8, flatten(EPOCH))]


def test_a_failing_tracker_is_logged_once_and_stops_nothing(caplog):
    broken, got = Broken(), []
    with (
        caplog.at_level(logging.WARNING),
        Trackers([broken, CallbackTracker(lambda step, _: got.append(step))]) as trackers,
    ):
        for step in (1, 2, 3):
            trackers.write({"step": step, "loss": 1.0})
    assert (broken.asked, got) == (3, [1, 2, 3])
    (message,) = caplog.messages
    assert message == "The tracker Broken failed, training goes on: RuntimeError: no route to the service"


def test_an_interruption_passes_through_and_closes_the_trackers():
    closed = []

    class Interrupted(Broken):
        def record(self, step, values):
            raise KeyboardInterrupt

        def close(self):
            closed.append(True)

    with pytest.raises(KeyboardInterrupt), Trackers([Interrupted()]) as trackers:
        trackers.write({"step": 1})
    assert closed == [True]


def test_tensorboard_gets_scalars(tmp_path):
    with Trackers([TensorBoardTracker(tmp_path / "events")]) as trackers:
        trackers.write({"step": 4, "loss": 3.0})
        trackers.write(EPOCH)
    found = scalars(tmp_path / "events")
    assert found["step/loss"] == [(4, 3.0)]
    assert found["held_out/both/accuracy"] == [(8, 0.25)]
    assert found["validation/map_10"] == [(8, 0.75)]


def test_events_are_on_the_disk_before_the_tracker_is_closed(tmp_path):
    tracker = TensorBoardTracker(tmp_path)
    tracker.record(1, {"loss": 2.0})
    assert scalars(tmp_path) == {"loss": [(1, 2.0)]}
    tracker.close()


def test_events_after_the_checkpoint_are_purged_when_a_run_goes_on(tmp_path):
    first = TensorBoardTracker(tmp_path)
    for step in (1, 2, 3, 4, 5):
        first.record(step, {"loss": float(step)})
    first.close()
    resumed = TensorBoardTracker(tmp_path, step=3)
    resumed.record(4, {"loss": 40.0})
    resumed.close()
    assert scalars(tmp_path) == {"loss": [(1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0)]}


def test_a_new_run_hides_what_a_run_without_a_checkpoint_left(tmp_path):
    TensorBoardTracker(tmp_path).record(1, {"loss": 1.0})
    again = TensorBoardTracker(tmp_path)
    again.record(1, {"loss": 10.0})
    again.close()
    assert scalars(tmp_path) == {"loss": [(1, 10.0)]}


def test_a_missing_package_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"tensorboard is not installed: .*\[train\]"):
        TensorBoardTracker(tmp_path)


class Kept:
    def __init__(self) -> None:
        self.got: list[tuple[int, dict[str, float]]] = []
        self.closed = False

    def record(self, step, values):
        assert not self.closed
        self.got.append((step, dict(values)))

    def close(self):
        self.closed = True


def test_a_run_gives_its_trackers_and_tensorboard_what_it_writes(corpus, settings_file, tmp_path, monkeypatch):
    monkeypatch.setattr("training.summary.write_summary", lambda *_: None)  # curves and card take long
    run, trackers, got = tmp_path / "run", [], []
    for epochs in (1, 2):  # the second call goes on from the first one's checkpoint
        settings = settings_file(epochs).read_text().replace("log_steps = 1", "log_steps = 2")
        (tmp_path / "settings.toml").write_text(settings)
        trackers.append(Kept())
        callback = CallbackTracker(lambda step, values: got.append((step, dict(values))))
        config = TrainingConfig.read(tmp_path / "settings.toml")
        train(config, corpus, run, trackers=[trackers[-1], callback], reports=True)
    records = read_metrics(run / "metrics.jsonl")
    # 50 samples in batches of 8 are 7 steps; an epoch's line stands behind those of its steps.
    assert [(record["step"], "phase" in record) for record in records] == [
        (2, True), (4, True), (6, True), (7, False), (8, True), (10, True), (12, True), (14, True), (14, False),
    ]  # fmt: skip
    assert got == [(record["step"], flatten(record)) for record in records]
    assert [each.got for each in trackers] == [got[:4], got[4:]]
    assert all(each.closed for each in trackers)
    assert {"step/loss", "step/losses/entity", "step/rate_factor", "step/gradient_norm"} <= got[0][1].keys()
    assert {"loss", "losses/entity", "accuracy", "held_out/both/accuracy"} <= got[3][1].keys()
    found = scalars(run / "tensorboard")
    assert found.keys() == {name for _, values in got for name in values}
    for name, points in found.items():
        expected = [(step, values[name]) for step, values in got if name in values]
        assert [step for step, _ in points] == [step for step, _ in expected]
        assert [value for _, value in points] == pytest.approx([value for _, value in expected], rel=1e-6)


def test_trackers_of_a_run_that_fails_are_closed(corpus, settings_file, tmp_path, monkeypatch):
    tracker = Kept()

    def interrupted(*step):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.trainer.Trainer._step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(TrainingConfig.read(settings_file(1)), corpus, tmp_path / "run", trackers=[tracker])
    assert tracker.closed
