"""One row of the transformer against the same row of all, and heads that do not fit."""

import pytest
import torch

from entity_expand.errors import ConfigError
from training.config import ModelConfig
from training.transformer import Transformer, at


@pytest.mark.parametrize("norm", ["sublayer", "pre"])
@pytest.mark.parametrize("layers", [1, 3])
def test_one_row_is_that_of_all(norm, layers):
    torch.manual_seed(0)
    network = Transformer(24, layers, ModelConfig(norm=norm, heads=4, mlp=32, dropout=0.0)).double()
    x = torch.randn(5, 7, 24, dtype=torch.float64, requires_grad=True)
    keys = torch.ones(5, 7, dtype=torch.float64)
    keys[1, 4:] = 0.0
    position = torch.tensor([0, 3, 6, 2, 2])
    alone, all_rows = network.row(x, keys, position), at(network(x, keys), position)
    torch.testing.assert_close(alone, all_rows, rtol=0, atol=1e-12)
    weights = torch.randn(5, 24, dtype=torch.float64)
    (first,) = torch.autograd.grad((alone * weights).sum(), x)
    (second,) = torch.autograd.grad((all_rows * weights).sum(), x)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-12)


def test_heads_divide_the_width():
    with pytest.raises(ConfigError, match=r"model\.heads is 5, which does not divide the width 24"):
        Transformer(24, 1, ModelConfig(heads=5))
