"""The network computes what the paper's code computes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from training.config import ModelConfig
from training.model import Block, MultiExpan, Transformer
from training.text import TextEncoder

TOLERANCE = 1e-5


LAYERS = 3
BLOCK = {
    "0.fn.linear_layers.0": "attention.query",
    "0.fn.linear_layers.1": "attention.key",
    "0.fn.linear_layers.2": "attention.value",
    "0.fn.output_linear": "attention.output",
    "0.norm": "attention_norm",
    "1.fn.net.0": "mlp.0",
    "1.fn.net.3": "mlp.3",
    "1.norm": "mlp_norm",
}
HEADS = {
    "head.0": "head.trunk.0",
    "head.2": "head.trunk.2",
    "head.4": "head.rows",
    "projection_head": "projection_head",
    "cluster_head": "cluster_head",
    "visual_linear": "visual_linear",
    "bert": "text.model",
}
TINY = ModelConfig(form="paper", clusters=5)
WIDTH, VOCABULARY, PATCHES, CHANNELS = 24, 30, 36, 2048


def tensors(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, torch.Tensor]:
    names = [name for name in arrays if name.startswith(prefix)]
    return {name.removeprefix(prefix): torch.from_numpy(arrays[name].astype(np.float32)) for name in names}


def transformer_state(theirs: Mapping[str, torch.Tensor], prefix: str = "") -> dict[str, torch.Tensor]:
    return {
        f"layers.{layer}.{our}.{kind}": theirs[f"{prefix}layers.{layer}.{their}.{kind}"]
        for layer in range(LAYERS)
        for their, our in BLOCK.items()
        for kind in ("weight", "bias")
    }


def model_state(theirs: Mapping[str, torch.Tensor], suffix: str = "") -> dict[str, torch.Tensor]:
    """Translate the state of the whole model; `suffix` "_m" takes the momentum copy's where there is one."""
    state = {"visual_position": theirs[f"visual_pos_embedding{suffix}"]}
    for stack in ("visual_transformer", "cross_transformer"):
        found = transformer_state(theirs, f"{stack}{suffix}.")
        state |= {f"{stack}.{name}": value for name, value in found.items()}
    for their, our in HEADS.items():
        first, _, rest = their.partition(".")
        copied = f"{first}{suffix}.{rest}" if f"{first}{suffix}.0.weight" in theirs or their == "bert" else their
        copied = copied.rstrip(".")
        state |= {
            our + name.removeprefix(copied): value
            for name, value in theirs.items()
            if name.startswith(f"{copied}.") and "pooler" not in name
        }
    return state


class Tokens(nn.Module):
    """Vision backbone of the reference's tests: the tokens come as they are."""

    width, count, frozen = CHANNELS, PATCHES, True

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens


def tiny_model(state: Mapping[str, torch.Tensor]) -> MultiExpan:
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 12, "intermediate_size": 32}
    bert = BertModel(BertConfig(vocab_size=40, max_position_embeddings=160, **sizes))
    model = MultiExpan(TINY, TextEncoder(bert, 1), Tokens(), VOCABULARY)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert all("num_batches" in name or "position_ids" in name for name in missing)
    return model.eval()


def bare_transformer(state: Mapping[str, torch.Tensor]) -> Transformer:
    transformer = Transformer(WIDTH, LAYERS, TINY)
    transformer.load_state_dict(state)
    return transformer.eval()


def _naive_block(x, keys, weights, heads, hidden):
    """One sequence (T, D) in float64, as the specification words it: norm behind the sub-layer, before the sum."""

    def linear(name, rows):
        return rows @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name, rows):
        centred = rows - rows.mean(1, keepdims=True)
        scaled = centred / np.sqrt(rows.var(1, keepdims=True) + 1e-5)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    q, k, v = (linear(f"attention.{part}", x) for part in ("query", "key", "value"))
    size = x.shape[1] // heads
    mixed = np.zeros_like(x)
    for head in range(heads):
        columns = slice(head * size, (head + 1) * size)
        scores = q[:, columns] @ k[:, columns].T / math.sqrt(size)
        scores = np.where(keys[None, :] == 0, hidden, scores)
        shares = np.exp(scores - scores.max(1, keepdims=True))
        mixed[:, columns] = shares / shares.sum(1, keepdims=True) @ v[:, columns]
    x = x + norm("attention_norm", linear("attention.output", mixed))
    inner = linear("mlp.0", x)
    inner = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
    return x + norm("mlp_norm", linear("mlp.3", inner))


@pytest.mark.parametrize(("form", "hidden"), [("paper", -1e9), ("corrected", -1e4)])
def test_block_against_a_naive_one(form, hidden):
    torch.manual_seed(3)
    block = Block(8, ModelConfig(form=form, heads=2, mlp=20)).double().eval()
    weights = {name: value.numpy() for name, value in block.state_dict().items()}
    x, keys = torch.randn(2, 5, 8).double(), torch.tensor([[1, 1, 1, 0, 0], [1, 0, 1, 1, 1]]).double()
    with torch.no_grad():
        found = block(x, keys).numpy()
    for row in range(2):
        expected = _naive_block(x[row].numpy(), keys[row].numpy(), weights, 2, hidden)
        assert np.abs(found[row] - expected).max() < 1e-12


@pytest.fixture(scope="module")
def tiny(shared):
    return np.load(shared / "reference" / "model_tiny.npz", allow_pickle=False)


@pytest.mark.shared
def test_bare_transformer(tiny):
    transformer = bare_transformer(transformer_state(tensors(tiny, "trans/")))
    x, keys = torch.from_numpy(tiny["trans_in"]), torch.from_numpy(tiny["trans_mask"])
    with torch.no_grad():
        masked, whole = transformer(x, keys).numpy(), transformer(x).numpy()
    assert np.abs(masked - tiny["trans_out_masked"]).max() < TOLERANCE
    assert np.abs(whole - tiny["trans_out_nomask"]).max() < TOLERANCE


def _fused(model, tiny):
    ids = torch.from_numpy(tiny["model_ids"].astype(np.int64))
    tokens = torch.from_numpy(tiny["model_img"].astype(np.float32))
    mask = (ids != 0).long()
    position = (ids == 4).long().argmax(1)
    with torch.no_grad():
        states = model.text(ids, mask)
        return states, model.encode(ids, mask, position, tokens, torch.ones(len(ids)))


@pytest.mark.shared
def test_whole_model(tiny):
    model = tiny_model(model_state(tensors(tiny, "model/")))
    states, h = _fused(model, tiny)
    with torch.no_grad():
        outputs = {
            "model_out_logp": model.log_probabilities(h),
            "model_out_projection": model.project(h),
            "model_out_cluster": model.cluster(h),
        }
        weight, bias = model.head_rows()
        by_hand = torch.log_softmax(model.trunk(h) @ weight.T + bias, dim=1)
    shown = torch.from_numpy(tiny["model_ids"]) != 0
    assert np.abs(states.numpy() - tiny["model_bert_out"])[shown.numpy()].max() < TOLERANCE
    for name, value in outputs.items():
        assert np.abs(value.numpy() - tiny[name]).max() < TOLERANCE, name
    assert np.abs(by_hand.numpy() - tiny["model_out_logp"]).max() < TOLERANCE


@pytest.mark.shared
def test_momentum_copy_after_one_average(tiny):
    theirs = tensors(tiny, "model/")
    averaged = {
        name: 0.995 * value + 0.005 * theirs[_student(name)] if _student(name) in theirs else value
        for name, value in theirs.items()
        if _student(name) != name and not name.startswith("visual_pos")
    }
    teacher = model_state(theirs | averaged, suffix="_m")
    # The reference never updates the copy's position embedding.
    assert torch.equal(teacher["visual_position"], theirs["visual_pos_embedding_m"])
    model = tiny_model(teacher)
    _, h = _fused(model, tiny)
    with torch.no_grad():
        found = model.log_probabilities(h).numpy()
    assert np.abs(found - tiny["model_out_logp_momentum_after_one_ema"]).max() < TOLERANCE


def _student(name):
    part, _, rest = name.partition(".")
    return f"{part.removesuffix('_m')}.{rest}" if rest else part.removesuffix("_m")
