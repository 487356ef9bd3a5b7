"""The alignment in closed form: its maths on made features, and as the last phase of a run."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from entity_expand.cli import group
from entity_expand.corpus import Corpus, Query, write_queries, write_truth
from entity_expand.errors import ConfigError, TrainingError
from training.aligner import Aligner, check_samples
from training.alignment import Alignment, Moments, neighbour_scatter, whitening
from training.checkpoint import load_checkpoint, newest
from training.config import AlignSettings, TrainingConfig
from training.features import Samples
from training.loop import train
from training.metric import Metric

POOLED = """
[align]
within = true
rounds = 1
neighbours = 2
"""


def _scatter(random, size):
    root = random.normal(size=(size, 2 * size))
    return root @ root.T / (2 * size)


def test_whitening_makes_a_scatter_round():
    scatter = _scatter(np.random.default_rng(1), 6)
    found = whitening(scatter, 1e-9)
    assert found.T @ scatter @ found == pytest.approx(np.eye(6), abs=1e-6)
    # A large share of the mean variance everywhere leaves nothing but a scale.
    gentle = whitening(scatter, 1e6)
    assert gentle.T @ gentle * 1e6 * np.trace(scatter) / 6 == pytest.approx(np.eye(6), abs=1e-4)


def test_a_direction_without_scatter_is_finite():
    assert np.isfinite(whitening(np.zeros((3, 3)), 1.0)).all()


def test_neighbour_scatter_is_that_of_a_loop():
    random = np.random.default_rng(2)
    means, present = random.normal(size=(7, 4)), np.array([1, 1, 0, 1, 1, 1, 1], dtype=bool)
    neighbours = random.integers(0, 7, (7, 3))
    pairs = [(a, b) for a in range(7) for b in neighbours[a] if present[a] and present[b]]
    apart = np.array([means[a] - means[b] for a, b in pairs])
    assert neighbour_scatter(means, present, neighbours) == pytest.approx(apart.T @ apart / (2 * len(pairs)))


def _classes(noise, seed=3):
    """Four classes of ten in three directions of a space of eight, the others drowned in noise that entities share."""
    random = np.random.default_rng(seed)
    label = np.repeat(np.arange(4), 10)
    means = np.zeros((40, 8))
    means[:, :3] = random.normal(size=(4, 3))[label] + 0.1 * random.normal(size=(40, 3))
    means[:, 3:] = noise * random.normal(size=(40, 5))
    return label, means


def _purity(rows, label):
    """Share of the nine nearest by cosine that are of an entity's class."""
    cosines = rows @ rows.T / np.linalg.norm(rows, axis=1)[:, None] / np.linalg.norm(rows, axis=1)
    np.fill_diagonal(cosines, -np.inf)
    nearest = np.argsort(-cosines, axis=1)[:, :9]
    return (label[nearest] == label[:, None]).mean()


def test_scatter_within_entities_says_which_directions_are_noise():
    label, means = _classes(noise=2.0)
    scatter = np.diag([0.01] * 3 + [4.0] * 5)
    alignment = Alignment([Moments(means, np.ones(40, dtype=bool), scatter)], 8, 1.0)
    (before,) = alignment.fitted()
    alignment.within((0.001,))
    (after,) = alignment.fitted()
    assert _purity(after.rows, label) > 0.85 > 0.6 > _purity(before.rows, label)


def test_neighbours_teach_one_part_what_the_other_knows():
    label, clear = _classes(noise=0.1)
    _, dim = _classes(noise=1.5, seed=4)
    here, flat = np.ones(40, dtype=bool), np.eye(8)
    alignment = Alignment([Moments(clear, here, flat), Moments(dim, here, flat)], 8, 1.0)
    before = alignment.fitted()
    cosines = before[0].rows @ before[0].rows.T
    np.fill_diagonal(cosines, -np.inf)
    alignment.between(np.argsort(-cosines, axis=1)[:, :4], 0.01)
    after = alignment.fitted()
    assert _purity(after[1].rows, label) > _purity(before[1].rows, label) + 0.2


def test_what_is_fitted_fits_together():
    random = np.random.default_rng(5)
    means, present = random.normal(size=(12, 6)), np.arange(12) != 4
    means[4] = 0.0
    alignment = Alignment([Moments(means, present, _scatter(random, 6))] * 2, 5, 0.25)
    alignment.within((0.1, 0.1))
    text, picture = alignment.fitted()
    assert text.matrix.shape == (5, 6)
    assert means[present] @ text.matrix.T + text.offset == pytest.approx(text.means[present])
    assert not text.means[4].any() and not text.rows[4].any()
    length = np.linalg.norm(text.rows[present], axis=1)
    assert length == pytest.approx(length[0])
    # Both parts are the same, so the second counts by its weight alone.
    assert picture.rows @ picture.means.T == pytest.approx(0.25 * text.rows @ text.means.T)


def test_a_metric_leaves_out_what_is_missing():
    metric = Metric((3, 2), 2)
    for layer in metric.maps:
        torch.nn.init.ones_(layer.bias)
    g = torch.tensor([[1.0, 2.0, 3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 4.0, 5.0]])
    found = metric(g)
    assert metric.widths == (2, 2)
    assert not found[0, 2:].any() and not found[1, :2].any()
    assert found[1, 2:].tolist() == [4.0 + 1.0, 5.0 + 1.0]


def _aligned(features, samples, **settings):
    """Align a head whose two parts have three and two numbers on given features (N, 5), and return its weights."""
    torch.manual_seed(0)
    head = SimpleNamespace(metric=Metric((3, 2), 2), rows=torch.nn.Linear(4, int(samples.labels.max()) + 1))
    model = SimpleNamespace(head=head, vocabulary=head.rows.out_features)

    def trunk(rows, hide_picture, hide_text):
        found = torch.from_numpy(features[rows].astype(np.float32))
        found[hide_text, :3], found[hide_picture, 3:] = 0.0, 0.0
        return found

    check_samples(head.metric, samples)
    with torch.no_grad():
        Aligner(model, trunk, samples, AlignSettings(within=True, rounds=1, neighbours=2, **settings)).align(None)
    return [head.rows.weight, *head.metric.parameters()]


def _made(pictures):
    """Return features of 24 samples of 8 entities, and the samples, which have the pictures (24,) or none, -1."""
    features = np.random.default_rng(7).normal(size=(24, 5)).astype(np.float32)
    features[:, 3:] = features[np.maximum(pictures, 0), 3:] * (pictures[:, None] >= 0)
    return features, Samples(np.repeat(np.arange(8), 3), np.ones(24, dtype=bool), pictures)


def test_texts_that_say_nothing_do_not_count():
    features, samples = _made(np.arange(24))
    bare = np.zeros((8, 5), np.float32)  # a sentence of the mention alone
    more = Samples(
        np.concatenate([samples.labels, np.arange(8)]), np.ones(32, dtype=bool), np.append(np.arange(24), [-1] * 8)
    )
    for one, other in zip(
        _aligned(features, samples), _aligned(np.concatenate([features, bare]), more), strict=True
    ):  # fmt: skip
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (np.full(24, -1), "whose pictures differ, but none has any"),
        (np.where(np.arange(24) < 3, np.arange(24), -1), "whose pictures differ, but 1 has any"),
        (np.zeros(24, dtype=int), "whose pictures differ, but all have the same one"),
    ],
)
def test_parts_that_tell_no_entities_apart_are_named(pictures, message):
    with pytest.raises(TrainingError, match=message):
        _aligned(*_made(pictures))


def test_features_that_tell_no_entities_apart_or_are_not_finite_are_named():
    features, samples = _made(np.arange(24))
    features[:, 3:] = features[0, 3:]  # copies of one picture
    with pytest.raises(TrainingError, match=r"whose pictures differ, but all look alike.*model\.fusion = 'cross'"):
        _aligned(features, samples)
    features[5, 0] = np.nan
    with pytest.raises(TrainingError, match="features of texts are not finite"):
        _aligned(features, samples)


def test_what_cannot_be_aligned_ends_a_run_before_its_first_epoch(corpus_folder, settings_file, tmp_path):
    folder = tmp_path / "plain"
    shutil.copytree(corpus_folder, folder)
    for picture in (folder / "images").iterdir():
        picture.write_bytes(b"no picture")
    config = _pooled(settings_file, epochs=2)
    with Corpus.open(folder) as plain, pytest.raises(TrainingError, match="pictures differ, but none has any"):
        train(config, plain, tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def _pooled(settings_file, epochs=0, extra=POOLED):
    path = settings_file(epochs=epochs, extra=extra)
    path.write_text(path.read_text().replace("[model]\n", '[model]\nfusion = "pooled"\nmetric_width = 16\n'))
    return TrainingConfig.read(path)


def test_a_pooled_run_is_aligned_and_done(corpus, settings_file, tmp_path):
    run = tmp_path / "run"
    config = _pooled(settings_file)
    said = []
    progress = train(config, corpus, run, say=said.append)
    assert progress.aligned and progress.step == 1
    assert any(line.startswith("aligned") for line in said)
    assert json.loads((run / "metrics.jsonl").read_text()) == {"step": 1, "aligned": True}
    state = load_checkpoint(run).model_state
    first = (newest(run) / "model.safetensors").read_bytes()
    assert state["head.rows.weight"].abs().sum() > 0 and not state["head.rows.bias"].any()
    assert train(config, corpus, run) == progress  # nothing is left to do
    train(config, corpus, tmp_path / "again", cache=run / "cache")
    assert (newest(tmp_path / "again") / "model.safetensors").read_bytes() == first


def test_the_reports_of_an_aligned_run(corpus_folder, tmp_path, settings_file):
    folder = tmp_path / "queried"
    shutil.copytree(corpus_folder, folder)
    classes = {"early": "01234", "late": "56789"}
    write_queries(folder / "query", [Query(name, 0, tuple(ids[:3])) for name, ids in classes.items()])
    write_truth(folder / "gt", {name: [(each, each) for each in ids] for name, ids in classes.items()})
    _pooled(settings_file, extra=POOLED + '[validation]\nqueries = "query"\nclasses = ["early", "late"]\n')
    arguments = ["train", str(tmp_path / "settings.toml"), "--corpus", str(folder), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(group, arguments, catch_exceptions=False)
    assert result.exit_code == 0 and "aligned: validation MAP@10" in result.output
    (record,) = (json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert record["best"] and 0.0 < record["validation"]["map@10"] <= 1.0
    assert json.loads((tmp_path / "run" / "best.json").read_text())["checkpoint"] == "step-00000001"
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert "map@10" in json.dumps(card["best"])
    assert (tmp_path / "run" / "curves.png").is_file()


def test_epochs_of_training_are_aligned_afterwards(corpus, settings_file, tmp_path):
    config = _pooled(settings_file, epochs=2, extra="\n[align]\nrounds = 1\nneighbours = 2\n")
    progress = train(config, corpus, tmp_path / "run")
    assert progress.aligned and progress.epoch == 2
    aligned = load_checkpoint(tmp_path / "run")
    assert aligned.step == progress.step
    held = aligned.model_state["head.rows.weight"].norm(dim=1)
    assert held.max() > 0


@pytest.mark.parametrize(
    ("model", "extra", "message"),
    [
        ("", POOLED, "needs model.metric_width"),
        ('fusion = "pooled"\nmetric_width = 16\n', "", "nothing would be trained"),
        ('fusion = "pooled"\nmetric_width = 16\n', POOLED + "[tasks]\nmatching = 0.5\n", r"no rows for the tasks"),
    ],
)
def test_settings_that_do_not_fit_together(settings_file, model, extra, message):
    path = settings_file(epochs=0, extra=extra)
    path.write_text(path.read_text().replace("[model]\n", f"[model]\n{model}"))
    with pytest.raises(ConfigError, match=message):
        TrainingConfig.read(path)
