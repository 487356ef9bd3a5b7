"""Which channels count in an expansion, and how much."""

from __future__ import annotations

from entity_expand.channels.fusion import Channel, ChannelWeights
from entity_expand.errors import QueryError
from entity_expand.stores.base import Facts

DEFAULT = ChannelWeights(model=1.0, lexical=0.2)
"""What counts where nothing was fitted: little, since words help some corpora and harm others; see docs/channels.md."""


def fitted_weights(facts: Facts) -> ChannelWeights | None:
    """Return the weights that were fitted for such an index, if it has all their channels."""
    if facts.fitted is None:
        return None
    found = facts.fitted.channels_in(facts.meta.modality, facts.meta.late_fusion)
    if found is None or not set(found.weights.counting()) <= {"model", *facts.channels}:
        return None
    return found.weights


def weights_for(chosen: ChannelWeights | None, facts: Facts) -> dict[Channel, float]:
    """Return the weights of the channels that count: those chosen, or else those fitted, or else the defaults.

    Raises:
        QueryError: The index has not one of them.
    """
    if chosen is None:
        chosen = fitted_weights(facts) or DEFAULT
    counting = chosen.counting()
    for name in counting:
        if name != "model" and name not in facts.channels:
            how = "Index it again" if name == "lexical" else "Index with `--modalities`"
            raise QueryError(f"The index has no {name} channel, which the strategy 'hybrid' asks for. {how}.")
    return counting
