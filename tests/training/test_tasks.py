"""The contrasts as tasks: which pairs of a step they take for negatives, in either form."""

from __future__ import annotations

import pytest
import torch

from entity_expand.errors import ConfigError
from training.backbones import load_text, load_vision
from training.config import LoopSettings, ModelConfig, TaskSettings, TextSettings, TrainingConfig, VisionSettings
from training.config.tasks import CONTRASTS, SAMPLE_TASKS
from training.data import Batch
from training.distributed import World
from training.losses import instance_contrast_loss
from training.model import MultiExpan
from training.network import Network
from training.tasks import tasks_of
from training.tasks.base import PairContext
from training.tasks.contrasts import ClusterTask, InstanceTask

ALL_DIFFER = [0, 1, 2, 3, 4, 5]
ONE_MEETS_ITSELF = [0, 0, 1, 2, 3, 4]  # the first sides of the first two pairs are of one entity


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    text = load_text(TextSettings(backbone="scratch", trained_layers=-1, width=8, heads=2, mlp=8, max_length=12), 30)
    vision = load_vision(VisionSettings(backbone="scratch", trained=True, size=16, widths=(4,), pool=1))
    model = MultiExpan(ModelConfig(heads=2, mlp=8, visual_layers=1, cross_layers=1, clusters=3), text, vision, 6)
    return Network(model.eval(), (torch.zeros(3, 1, 1), torch.ones(3, 1, 1)), LoopSettings())


def _model(fusion, **tasks):
    torch.manual_seed(0)
    text = load_text(TextSettings(backbone="scratch", trained_layers=-1, width=8, heads=2, mlp=8, max_length=12), 30)
    vision = load_vision(VisionSettings(backbone="scratch", trained=True, size=16, widths=(4,), pool=1))
    config = ModelConfig(fusion=fusion, heads=2, mlp=8, visual_layers=0, cross_layers=1, clusters=3)
    return MultiExpan(config, text, vision, 6, TaskSettings(**tasks)).eval()


def test_each_task_there_is_can_be_trained():
    weights = dict.fromkeys((*SAMPLE_TASKS, *CONTRASTS), 0.5)
    settings = TaskSettings(**weights)
    assert (settings.of_samples, settings.contrasts) == (SAMPLE_TASKS, CONTRASTS)
    found = tasks_of(TrainingConfig(tasks=settings))
    assert (tuple(found.samples), tuple(found.pairs), found.weights) == (SAMPLE_TASKS, CONTRASTS, weights)
    for name in weights:
        alone = TaskSettings(**{"entity": 0.0, name: 1.0})
        assert (*alone.of_samples, *alone.contrasts) == (name,)
    with pytest.raises(ConfigError, match="All weights are 0"):
        TaskSettings(entity=0.0)


@pytest.mark.parametrize("fusion", ["cross", "experts"])
def test_matching_can_tell_whether_two_parts_fit(fusion):
    model = _model(fusion, matching=1.0)
    states, mask, position = torch.randn(2, 5, 8), torch.ones(2, 5), torch.tensor([1, 2])
    tokens, shown = torch.randn(2, 1, 4), torch.ones(2)
    with torch.no_grad():
        own = model.matching_head(model.fuse(states, mask, position, tokens, shown))
        swapped = model.matching_head(model.fuse(states, mask, position, tokens.flip(0), shown))
    # A sum of what the text and what the picture says would come to the same when two pictures change places.
    assert (own.sum(0) - swapped.sum(0)).abs().max() > 1e-5


def test_what_experts_compare_passes_their_own_layers():
    model = _model("experts", image_text=1.0)
    network = Network(model, (torch.zeros(3, 1, 1), torch.ones(3, 1, 1)), LoopSettings())
    batch = Batch(
        torch.randint(1, 30, (2, 5)), torch.ones(2, 5, dtype=torch.int64), torch.tensor([1, 2]), torch.randn(2, 1, 4),
        torch.tensor([1.0, 0.0]), torch.tensor([0, 1]), torch.tensor([True, False]),
    )  # fmt: skip
    text, picture = network.projections(network.view(batch), batch)
    text.sum().backward(retain_graph=True)
    assert all(each.grad is not None for each in model.cross_transformer.parameters())
    assert not model.visual_linear[0].weight.grad.any()
    picture.sum().backward()
    assert model.visual_linear[0].weight.grad.any()


@pytest.fixture
def pairs(network):
    def of(labels):
        first, second = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1))
        return PairContext(network, World(), first, second, torch.tensor(labels))

    return of


def test_samples_of_one_entity_repel_each_other_in_the_papers_form_alone(network, pairs):
    paper, corrected = (InstanceTask(TaskSettings(instance=1.0, form=form)) for form in ("paper", "corrected"))
    apart, meeting = pairs(ALL_DIFFER), pairs(ONE_MEETS_ITSELF)
    assert paper(apart).value == corrected(apart).value == paper(meeting).value
    assert abs(corrected(meeting).value - paper(meeting).value) > 1e-3
    rows = network.model.project(meeting.first), network.model.project(meeting.second)
    ignored = torch.eye(6, dtype=torch.bool)
    ignored[0, 1] = ignored[1, 0] = True
    assert corrected(meeting).value == instance_contrast_loss(*rows, ignored=ignored)
    assert (corrected(meeting).count, corrected(meeting).whole) == (3.0, 3.0)


def test_the_papers_cluster_contrast_fails_where_the_corrected_one_does_not(network, pairs, monkeypatch):
    paper, corrected = (ClusterTask(TaskSettings(cluster=1.0, form=form)) for form in ("paper", "corrected"))
    context = pairs(ALL_DIFFER)
    assert paper(context).value.item() == pytest.approx(corrected(context).value.item(), rel=1e-4)
    # All are sure of the first cluster, and the others are empty.
    monkeypatch.setattr(network.model, "cluster", lambda h: torch.eye(3)[[0] * len(h)])
    assert paper(context).value.isnan()
    assert corrected(context).value.isfinite()
