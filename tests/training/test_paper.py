"""`training/configs/paper.toml` trains as the paper does: its phases in their order, its losses, what it trains."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from entity_expand.corpus import Corpus, Query, write_queries
from training import phases
from training.checkpoint import load_checkpoint
from training.config import TrainingConfig
from training.loop import train
from training.tasks import contrasts, entity
from training.tokenizer import train_wordpiece

PAPER = TrainingConfig.read(Path(__file__).parents[2] / "training" / "configs" / "paper.toml")
BATCH, PER_ENTITY, ENTITIES = 50, 20, 10


@pytest.fixture
def queried(corpus_folder, tmp_path):
    folder = tmp_path / "queried"
    shutil.copytree(corpus_folder, folder)
    write_queries(folder / "query", [Query(name, 0, tuple(ids)) for name, ids in (("a", "012"), ("b", "567"))])
    with Corpus.open(folder, per_mention=True) as opened:
        yield opened


@pytest.fixture
def small(queried, tmp_path) -> TrainingConfig:
    """The paper's settings, with small backbones of random weights and small batches in the place of its own."""
    folder, change = tmp_path / "bert", dataclasses.replace
    texts = [queried.sample(number).text for number in range(len(queried))]
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=300, **sizes)).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(train_wordpiece(texts, 300))
    return change(
        PAPER,
        text=change(PAPER.text, backbone=str(folder)),
        vision=change(PAPER.vision, weights=None, random_weights=True, size=64),
        model=change(PAPER.model, mlp=32),
        data=change(PAPER.data, samples_per_entity=PER_ENTITY),
        loop=change(PAPER.loop, epochs=2, batch_size=BATCH, log_steps=1, device="cpu"),
    )


class Spy:
    """Notes what a loss is asked for, and computes it."""

    def __init__(self, patch, module, name):
        self.asked, self._loss = [], getattr(module, name)
        patch.setattr(module, name, self)

    def __call__(self, *tensors, **settings):
        self.asked.append((tensors, settings))
        return self._loss(*tensors, **settings)


def test_the_phases_of_the_paper_in_their_order(small, queried, tmp_path, monkeypatch):
    instance, cluster = (Spy(monkeypatch, contrasts, f"{name}_contrast_loss") for name in ("instance", "cluster"))
    taught, passes = Spy(monkeypatch, entity, "distilled_entity_loss"), Spy(monkeypatch, phases, "ordered")
    train(small, queried, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "phase" in line]
    predictions = ENTITIES * PER_ENTITY // BATCH
    found = [[line["phase"] for line in steps if line["epoch"] == epoch] for epoch in (1, 2)]
    pairs = 2 * (len(passes.asked[0][0][0]) // BATCH)
    # Lists come after the first epoch. Two passes over the pairs with either contrast, then masked entities.
    assert found[0] == ["entity"] * predictions
    assert found[1] == ["instance"] * pairs + ["cluster"] * pairs + ["entity"] * predictions
    assert pairs and [(each["turn"], each["together"]) for _, each in passes.asked] == [(n, False) for n in range(4)]
    weights = {"instance": 0.5, "cluster": 0.2, "entity": 1.0}
    for line in steps:
        assert line["losses"].keys() == {line["phase"]}
        assert line["loss"] == pytest.approx(weights[line["phase"]] * line["losses"][line["phase"]])
        assert line["rate_factor"] == 1.0
    assert len(instance.asked) == len(cluster.asked) == pairs and len(taught.asked) == 2 * predictions
    assert all(tensors[0].shape == (BATCH, 128) and settings["ignored"] is None for tensors, settings in instance.asked)
    assert all(tensors[0].shape == (BATCH, 71) and settings["form"] == "paper" for tensors, settings in cluster.asked)
    assert all(not tensors[1].requires_grad for tensors, _ in taught.asked)
    assert all(settings == {"share": 0.02, "smoothing": 0.075, "form": "paper"} for _, settings in taught.asked)


@pytest.mark.parametrize(
    ("entity_weight", "instance_weight", "cluster_weight", "distilled"),
    [(1.0, 0.0, 0.0, 0.0), (0.5, 0.5, 0.0, 0.0), (0.8, 0.0, 0.2, 0.0), (1.0, 0.0, 0.0, 0.02)],
    ids=["mode 0", "mode 1", "mode 2", "mode 3"],
)
def test_the_other_modes_of_the_paper(
    entity_weight, instance_weight, cluster_weight, distilled, small, queried, tmp_path, monkeypatch
):
    taught = Spy(monkeypatch, entity, "distilled_entity_loss")
    tasks = dataclasses.replace(
        small.tasks, entity=entity_weight, instance=instance_weight, cluster=cluster_weight, distillation=distilled
    )
    train(dataclasses.replace(small, tasks=tasks), queried, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "phase" in line]
    weights = {"instance": instance_weight, "cluster": cluster_weight, "entity": entity_weight}
    order = [name for name, weight in weights.items() if weight]
    assert list(dict.fromkeys(line["phase"] for line in steps if line["epoch"] == 2)) == order
    for line in steps:
        assert line["loss"] == pytest.approx(weights[line["phase"]] * line["losses"][line["phase"]])
    kept = load_checkpoint(tmp_path / "run").path / "teacher.safetensors"
    assert bool(taught.asked) == kept.is_file() == bool(distilled)


def test_what_is_trained_is_the_last_text_layer_and_all_above(small, queried, tmp_path):
    change = dataclasses.replace
    once = change(small, loop=change(small.loop, epochs=1), mining=change(small.mining, start=0))
    train(once, queried, tmp_path / "run")
    found = load_checkpoint(tmp_path / "run")
    trained = {name for name, each in found.build_model().named_parameters() if each.requires_grad}
    assert trained == {key.rpartition("/")[0] for key in found.optimizer_tensors()}
    layers = {name.split(".")[4] for name in trained if name.startswith("text.")}
    assert layers == {"1"} and not any(name.startswith("vision.") for name in trained)
    teacher = {key.removeprefix("teacher.") for key in found.teacher_tensors()}
    assert {"visual_position", "head.rows.weight"} <= teacher
    assert not any(name.startswith(("projection_head", "cluster_head")) for name in teacher)
