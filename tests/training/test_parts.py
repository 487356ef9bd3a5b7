from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, RobertaConfig, RobertaModel

from entity_expand.errors import ConfigError, TrainingError
from training.backbones import describe_text, load_text, text_like
from training.config import LoopSettings, ModelConfig, TextSettings
from training.distributed import World
from training.losses import masked_entity_loss
from training.model import EntityHead, MultiExpan
from training.optim import optimizer_of
from training.parts import together
from training.text import TextEncoder
from training.vision import SmallNetwork, VisionTokens

SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 20, "vocab_size": 30}
DISTIL = {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 20, "vocab_size": 30}
MODELS = {
    "bert": lambda: BertModel(BertConfig(**SIZES)),
    "distilbert": lambda: DistilBertModel(DistilBertConfig(**DISTIL)),
    "roberta": lambda: RobertaModel(RobertaConfig(**SIZES)),
}
SMALL = ModelConfig(heads=2, mlp=12, visual_layers=1, cross_layers=1, clusters=3)


def _inputs(batch=3, length=6):
    ids = torch.randint(3, 30, (batch, length))
    mask = torch.ones(batch, length, dtype=torch.long)
    mask[1, 4:] = 0
    return ids, mask


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("trained", [0, 1, 2])
def test_lower_and_upper_layers_together_are_the_whole(name, trained):
    torch.manual_seed(0)
    encoder = TextEncoder(MODELS[name]().eval(), trained).eval()
    ids, mask = _inputs()
    with torch.no_grad():
        whole, parts = encoder(ids, mask), encoder.upper(encoder.lower(ids, mask), mask)
    assert torch.equal(whole[mask.bool()], parts[mask.bool()])
    names = [name for name, value in encoder.named_parameters() if value.requires_grad]
    layers = {int(part) for name in names for part in name.split(".") if part.isdigit()}
    assert layers == set(range(3 - trained, 3))


def test_frozen_layers_stay_in_evaluation_mode():
    encoder = TextEncoder(MODELS["bert"]().eval(), 1).train()
    flags = [layer.training for layer in encoder.model.encoder.layer]
    assert flags == [False, False, True]
    assert not encoder.model.embeddings.training
    vision = VisionTokens(SmallNetwork((4,)), size=8, tokens="map")
    assert not MultiExpan(SMALL, encoder, vision, 5).train().vision.network.training
    paper = ModelConfig(form="paper", heads=2, mlp=12)
    assert not any(layer.training for layer in MultiExpan(paper, encoder, vision, 5).train().text.modules())


def test_models_that_cannot_be_cut_are_refused():
    class Odd(BertModel):
        def forward(self, **inputs):
            found = super().forward(**inputs)
            found.last_hidden_state = found.last_hidden_state * 2
            return found

    with pytest.raises(ConfigError, match="trained_layers = -1"):
        TextEncoder(Odd(BertConfig(**SIZES)).eval(), 1)
    with pytest.raises(ConfigError, match="there are 3 layers"):
        TextEncoder(MODELS["bert"](), 4)
    with pytest.raises(ConfigError, match="BERT-like"):
        TextEncoder(nn.Linear(1, 1), -1) if hasattr(nn.Linear(1, 1), "config") else TextEncoder(_Bare(), -1)


class _Bare(nn.Module):
    class config:  # noqa: N801
        hidden_size = 3


def test_a_description_gives_the_same_architecture():
    settings = TextSettings(backbone="scratch", trained_layers=-1, width=16, heads=2, layers=1, mlp=20, max_length=20)
    encoder = load_text(settings, 50).eval()
    other = text_like(settings, describe_text(encoder)).eval()
    other.load_state_dict(encoder.state_dict())
    ids, mask = _inputs()
    assert torch.equal(other(ids, mask), encoder(ids, mask))


def test_a_local_folder(tmp_path):
    MODELS["bert"]().save_pretrained(tmp_path)
    settings = TextSettings(backbone=str(tmp_path), max_length=16)
    with pytest.raises(ConfigError, match=r"tokenizer\.json is missing"):
        load_text(settings, 0)
    (tmp_path / "tokenizer.json").write_text("{}")
    assert load_text(settings, 0).frozen_layers == 2
    with pytest.raises(ConfigError, match="positions"):
        load_text(TextSettings(backbone=str(tmp_path), max_length=1000), 0)


def _model(config=SMALL, vocabulary=5):
    torch.manual_seed(1)
    vision = VisionTokens(SmallNetwork((4, 8)), size=16, tokens="map", frozen=False)
    return MultiExpan(config, TextEncoder(MODELS["bert"](), -1), vision, vocabulary)


def _arguments(present=(1.0, 0.0, 1.0)):
    ids, mask = _inputs()
    return [ids, mask, torch.tensor([1, 2, 3]), torch.randn(3, 3, 16, 16), torch.tensor(present)]


def test_a_hidden_picture_and_padding_change_nothing():
    model = _model().eval()
    arguments = _arguments()
    other = [value.clone() for value in arguments]
    other[3][1] = 100.0
    other[0][1, 4:] = 7
    with torch.no_grad():
        before, after = model.feature(*arguments), model.feature(*other)
    assert torch.equal(before, after)
    other[3][0] = 100.0
    with torch.no_grad():
        assert not torch.allclose(model.feature(*other)[0], before[0])


def test_feature_and_rows_give_the_log_probabilities():
    model = _model().eval()
    arguments = _arguments()
    with torch.no_grad():
        weight, bias = model.head_rows()
        expected = torch.log_softmax(model.feature(*arguments) @ weight.T + bias, 1)
        assert torch.allclose(model(*arguments), expected, atol=1e-6)
        h = model.encode(*arguments)
        assert torch.allclose(model.project(h).norm(dim=1), torch.ones(3), atol=1e-5)
        assert torch.allclose(model.cluster(h).sum(1), torch.ones(3), atol=1e-5)


def test_only_the_papers_form_drops_logits_out():
    h = torch.randn(64, 8)
    for form, expected in (("paper", True), ("corrected", False)):
        torch.manual_seed(0)
        head = EntityHead(8, 8, 40, ModelConfig(form=form, head_dropout=0.5)).train()
        head.trunk.eval()
        with torch.no_grad():
            changed = not torch.equal(head(h), torch.log_softmax(head.rows(head.trunk(h)), 1))
        assert changed is expected


def test_one_step_reaches_every_trained_weight():
    model = _model().train()
    loss = masked_entity_loss(model(*_arguments()), torch.tensor([0, 1, 2]))
    loss.backward()
    for name, value in model.named_parameters():
        if name.startswith(("projection_head", "cluster_head")):
            assert value.grad is None, name
        elif "key.bias" not in name:  # a shift of all keys leaves a softmax as it is
            assert value.grad is not None, name
            assert value.grad.abs().sum() > 0, name


def test_the_loss_by_hand():
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64))
    found = masked_entity_loss(logits, torch.tensor([0]), 0.1).item()
    by_hand = 0.9 * np.log(0.9 / 0.5) + 2 * 0.05 * np.log(0.05 / 0.25)
    assert abs(found - by_hand) < 1e-12
    assert masked_entity_loss(torch.tensor([[0.0, -np.inf]]), torch.tensor([0]), 0.0).item() == 0.0


def test_biases_and_norms_do_not_decay():
    model = _model()
    optimizer = optimizer_of(model, LoopSettings(weight_decay=0.1, backbone_learning_rate=1e-5))
    names = {id(value): name for name, value in model.named_parameters()}
    for group in optimizer.param_groups:
        for value in group["params"]:
            name = names[id(value)]
            assert (group["weight_decay"] == 0.1) == (value.ndim > 1), name
            assert (group["lr"] == 1e-5) == name.startswith(("text.", "vision.")), name
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(names)


def _experts():
    torch.manual_seed(0)
    vision = VisionTokens(SmallNetwork((4, 8)), size=16, tokens="map", frozen=False)
    config = ModelConfig(fusion="experts", heads=2, mlp=16, visual_layers=1, cross_layers=1)
    settings = TextSettings(backbone="scratch", trained_layers=-1, width=8, layers=1, heads=2, mlp=16, max_length=16)
    return MultiExpan(config, load_text(settings, 40), vision, vocabulary=5).eval()


def test_experts_say_nothing_of_what_is_missing():
    model = _experts()
    ids, mask = torch.tensor([[2, 7, 4, 8, 3], [2, 4, 3, 0, 0]]), torch.tensor([[1] * 5, [1, 1, 1, 0, 0]])
    position, pixels = torch.tensor([2, 1]), torch.rand(2, 3, 16, 16)
    g = model.feature(ids, mask, position, pixels, torch.tensor([1.0, 1.0]))
    assert g.shape == (2, 16)
    assert g[0].ne(0).all() and g[1, 8:].ne(0).all()
    assert torch.equal(g[1, :8], torch.zeros(8))  # the second text is start, mask, end
    hidden = model.feature(ids, mask, position, pixels, torch.tensor([0.0, 0.0]))
    assert torch.equal(hidden[:, 8:], torch.zeros(2, 8))
    torch.testing.assert_close(hidden[0, :8], g[0, :8])  # a picture changes nothing of what the text says


def test_the_logits_of_experts_are_added():
    model = _experts()
    h = torch.randn(3, 16)
    text, picture = h.clone(), h.clone()
    text[:, 8:], picture[:, :8] = 0.0, 0.0
    rows, bias = model.head_rows()
    both, one, other = (model.trunk(part) @ rows.T for part in (h, text, picture))
    torch.testing.assert_close(both, one + other)
    torch.testing.assert_close(model.log_probabilities(h), torch.log_softmax(one + other + bias, dim=-1))


def test_channels_of_pictures_drop_out_in_training_alone():
    torch.manual_seed(0)
    vision = VisionTokens(SmallNetwork((4, 8)), size=16, tokens="map", frozen=False)
    config = ModelConfig(heads=2, mlp=16, visual_layers=0, cross_layers=1, head_dropout=0.0, visual_dropout=0.9)
    settings = TextSettings(backbone="scratch", trained_layers=-1, width=8, layers=1, heads=2, mlp=16, max_length=16)
    model = MultiExpan(config, load_text(settings, 40), vision, vocabulary=5).eval()
    tokens = torch.rand(2, 16, 8)
    same = model.visual_rows(tokens)
    torch.testing.assert_close(model.visual_rows(tokens), same, rtol=0, atol=0)
    assert not torch.allclose(model.train().visual_rows(tokens), same)


def test_several_processes_do_not_cut_samples_where_norms_count_those_of_all():
    model = _model()
    model.vision = VisionTokens(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), size=8, tokens="map", frozen=False
    )
    gpu, two = torch.device("cuda", 0), World(0, 2)
    with pytest.raises(TrainingError, match=r"loop\.accumulate is 2.*set accumulate = 1"):
        together(model, two, gpu, 2)
    assert isinstance(together(model, World(), gpu, 2).vision.network[1], nn.BatchNorm2d)
    assert isinstance(together(model, two, gpu, 1).vision.network[1], nn.SyncBatchNorm)
