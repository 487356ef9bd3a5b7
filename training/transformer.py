"""The transformer over pictures, and over texts and pictures together."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from entity_expand.errors import ConfigError
from training.config import ModelConfig

_HIDDEN = {"paper": -1e9, "corrected": -1e4}


class Attention(nn.Module):
    """Multi-head attention with biases and no dropout behind it.

    Raises:
        ConfigError: The width is no multiple of the heads.
    """

    def __init__(self, width: int, heads: int, dropout: float, hidden: float) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(
                f"model.heads is {heads}, which does not divide the width {width} of the text backbone; choose a "
                "number that does."
            )
        self.heads, self.dropout, self.hidden = heads, dropout, hidden
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)  # (B, heads, T, D / heads)

    def forward(self, x: Tensor, keys: Tensor | None, rows: Tensor | None = None) -> Tensor:
        """Attend to the visible rows.

        Args:
            x: (B, T, D), attended to.
            keys: (B, T) float, 1 visible and 0 hidden; None hides nothing.
            rows: (B, Q, D), attending; None for `x`.

        Returns:
            (B, Q, D).
        """
        asking = x if rows is None else rows
        q, k, v = self._split(self.query(asking)), self._split(self.key(x)), self._split(self.value(x))
        bias = None if keys is None else ((1.0 - keys) * self.hidden)[:, None, None, :].to(q.dtype)  # (B, 1, 1, T)
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout)
        found: Tensor = self.output(mixed.transpose(1, 2).flatten(2))  # (B, Q, D)
        return found


class Block(nn.Module):
    """Attention and a two-layer perceptron, each with a norm and a residual sum."""

    def __init__(self, width: int, config: ModelConfig) -> None:
        super().__init__()
        self.inside = config.norm == "sublayer"
        self.attention = Attention(width, config.heads, config.dropout, _HIDDEN[config.form])
        self.attention_norm = nn.LayerNorm(width)
        drop = config.dropout
        layers = (
            nn.Linear(width, config.mlp),
            nn.GELU(),
            nn.Dropout(drop),
            nn.Linear(config.mlp, width),
            nn.Dropout(drop),
        )
        self.mlp = nn.Sequential(*layers)
        self.mlp_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, keys: Tensor | None, rows: Tensor | None = None) -> Tensor:
        """Return what becomes of rows (B, Q, D) among x (B, T, D); arguments as in `Attention`."""
        out: Tensor = x if rows is None else rows
        if self.inside:
            out = out + cast(Tensor, self.attention_norm(self.attention(x, keys, rows)))
            return out + cast(Tensor, self.mlp_norm(self.mlp(out)))
        asking = None if rows is None else self.attention_norm(rows)
        out = out + cast(Tensor, self.attention(self.attention_norm(x), keys, asking))
        return out + cast(Tensor, self.mlp(self.mlp_norm(out)))


class Transformer(nn.Module):
    """A stack of blocks, followed by a norm only where blocks normalise their input."""

    def __init__(self, width: int, layers: int, config: ModelConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(width, config) for _ in range(layers))
        self.norm = nn.LayerNorm(width) if config.norm == "pre" else nn.Identity()

    def forward(self, x: Tensor, keys: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to (B, T, D); `keys` as in `Attention`."""
        for layer in self.layers:
            x = layer(x, keys)
        return cast(Tensor, self.norm(x))

    def row(self, x: Tensor, keys: Tensor | None, position: Tensor) -> Tensor:
        """Return the rows (B, D) of the result at positions (B,) int64: all that the last layer computes then."""
        for layer in self.layers[:-1]:
            x = layer(x, keys)
        asked = at(x, position)[:, None]  # (B, 1, D)
        out: Tensor = self.norm(self.layers[-1](x, keys, asked)).squeeze(1)
        return out


def at(rows: Tensor, position: Tensor) -> Tensor:
    """Return the rows (B, D) at positions (B,) int64, of (B, T, D)."""
    place = position[:, None, None].expand(-1, 1, rows.shape[2])  # (B, 1, D)
    found: Tensor = rows.gather(1, place).squeeze(1)
    return found
