"""Equal trials of the variants of an experiment."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import training.experiments.runner as module
import training.experiments.tuning as tuning
from entity_expand.errors import TrainingError
from training.experiments.command import Request, perform, planned
from training.experiments.curves import Curve, Point
from training.experiments.describe import Experiment, Variant, ways_of
from training.experiments.registry import OBJECTIVES
from training.experiments.runner import folder_of, plan
from training.experiments.tuning import Trial, trial_jobs, trial_table, tuned

EXPERIMENT = Experiment(
    "small", "A small one", "Which rate?",
    (Variant("base"), Variant("text", (("validation.modality", "text"),))),
    ways_of("both at once", "both"), rates=(1e-3, 5e-3),
)  # fmt: skip
QUALITY = {("base", 1e-3): 0.25, ("base", 5e-3): 0.5, ("text", 1e-3): 0.75, ("text", 5e-3): 0.125}


@pytest.fixture
def measured(monkeypatch):
    """Trainings that are not done, and have known curves."""
    trained = []

    def pretend(job, corpus, work, say):
        trained.append((job.variant.name, job.config.loop.learning_rate, job.seed))

    def curve(job, work):
        quality = QUALITY[job.variant.name, job.config.loop.learning_rate]
        return Curve(job.variant.name, job.seed, (Point(1, quality), Point(2, quality / 2)), 0)

    monkeypatch.setattr(tuning, "trained", pretend)
    monkeypatch.setattr(tuning, "curve_of", curve)
    return trained


def test_each_variant_gets_its_own_best_rate_after_as_many_trials(asked, config, tmp_path, measured):
    found, trials = tuned(EXPERIMENT, config, asked, tmp_path, lambda _: None)
    assert sorted(measured) == sorted((*key, config.loop.seed) for key in QUALITY)
    assert [(each.variant, each.rate, each.quality) for each in trials] == [(*key, QUALITY[key]) for key in QUALITY]
    rates = {job.variant.name: job.config.loop.learning_rate for job in plan(found, config, asked, 2)}
    assert rates == {"base": 5e-3, "text": 1e-3}
    assert replace(found, variants=EXPERIMENT.variants) == EXPERIMENT


def test_without_rates_nothing_is_tried(asked, config, tmp_path, measured):
    plain = replace(EXPERIMENT, rates=())
    assert tuned(plain, config, asked, tmp_path, lambda _: None) == (plain, [])
    assert measured == []
    assert trial_jobs(plain, config, asked) == []


def test_the_table_has_every_curve_and_marks_the_choice():
    trials = [
        Trial("base", 1e-3, Curve("base", 0, (Point(1, 0.25), Point(2, 0.5)), 1)),
        Trial("base", 5e-3, Curve("base", 0, (Point(1, 0.375),), 0)),
    ]
    table = trial_table(trials)
    assert table.head == ("", "0.001", "0.005")
    assert table.lines == (("base", "25.0, 50.0*; chosen", "37.5*"),)


def test_a_trial_without_validation_is_refused(asked, config, tmp_path, measured, monkeypatch):
    for points in (None, ()):
        monkeypatch.setattr(tuning, "curve_of", lambda job, _, points=points: Curve(job.variant.name, 0, points))
        with pytest.raises(TrainingError, match=r"trial of 'base' at loop\.learning_rate = 0\.001 has no validation"):
            tuned(EXPERIMENT, config, asked, tmp_path, lambda _: None)


def test_a_document_has_the_trials_and_what_was_trained_at_the_chosen_rates(asked, config, tmp_path, monkeypatch):
    request = Request(EXPERIMENT, config, 2, tmp_path / "work")
    plan_before = "\n".join(planned(request, asked))
    assert "trials: each variant at 0.001, 0.005" in plan_before
    out = tmp_path / "small.md"
    perform(request, asked, out, lambda _: None)
    text = out.read_text()
    assert "## Trials" in text
    chosen = {}
    for rate, job in trial_jobs(EXPERIMENT, config, asked):
        records = map(json.loads, (folder_of(job, request.work) / "metrics.jsonl").read_text().splitlines())
        quality = max(each["validation"]["map@10"] for each in records if "validation" in each)
        chosen[job.variant.name] = max(chosen.get(job.variant.name, (-1.0, 0.0)), (quality, -rate))
    for name, (_, rate) in chosen.items():
        assert f"loop.learning_rate = {-rate!r}" in text.split("## Variants")[1].split(f"| {name} |")[1].split("\n")[0]

    def never(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(module, "train", never)
    perform(request, asked, out, lambda _: None)
    assert out.read_text() == text


def test_the_objectives_are_tried_at_equal_rates():
    assert len(OBJECTIVES.rates) >= 3
    assert not any("loop.learning_rate" in dict(each.changes) for each in OBJECTIVES.variants)
