"""Which channels count in an expansion, and how much."""

from __future__ import annotations

from entity_expand.channels.fusion import Channel, ChannelWeights
from entity_expand.errors import QueryError
from entity_expand.stores.base import Facts

DEFAULT = ChannelWeights(model=1.0, lexical=1.0, picture=0.25)
"""What counts where nothing was fitted; channels that an index has not are left out, except the lexical one."""


def weights_for(chosen: ChannelWeights | None, facts: Facts) -> dict[Channel, float]:
    """Return the weights of the channels that count: those chosen, or else those fitted, or else the defaults.

    Raises:
        QueryError: The index has not one of them.
    """
    if chosen is not None:
        counting = chosen.counting()
    else:
        counting = DEFAULT.counting()
        counting = {name: each for name, each in counting.items() if name in ("model", "lexical", *facts.channels)}
    for name in counting:
        if name != "model" and name not in facts.channels:
            how = "Index it again" if name == "lexical" else "Index with `--modalities`"
            raise QueryError(f"The index has no {name} channel, which the strategy 'hybrid' asks for. {how}.")
    return counting
