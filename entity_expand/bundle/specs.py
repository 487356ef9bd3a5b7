"""What the graphs of this project take and give: names, types and axes, for whoever makes or runs them."""

from __future__ import annotations

from dataclasses import dataclass

from entity_expand.types import MODALITIES, VARIANTS, Modality, Variant


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a graph.

    Attributes:
        name: As in the file.
        dtype: NumPy's name, such as "float32".
        axes: One entry an axis: a length, or the name of an axis whose length is free.
    """

    name: str
    dtype: str
    axes: tuple[str | int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} ({', '.join(map(str, self.axes))})"


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """All inputs and outputs of a graph, in the file's order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def differences(self, found: GraphSpec) -> tuple[str, ...]:
        """Say how `found` differs from this one; () if it does not. The order of the inputs is free."""
        lines = []
        for kind, expected, present in (
            ("input", self.inputs, found.inputs),
            ("output", self.outputs, found.outputs),
        ):
            have = {tensor.name: tensor for tensor in present}
            for tensor in expected:
                other = have.pop(tensor.name, None)
                if other is None:
                    lines.append(f"{kind} {tensor.name} is missing")
                elif other != tensor:
                    lines.append(f"{kind} is {other}, expected {tensor}")
            lines += [f"{kind} {name} is not expected" for name in have]
        return tuple(lines)


def encoder_spec(dimension: int, size: int, modality: Modality = "both") -> GraphSpec:
    """Return what an encoder graph of a bundle takes and gives.

    All variants of a graph take and give the same. The graph of "both" takes five inputs, and either modality may be
    missing in any row. The graph of "text" takes the first three, that of "picture" the last two; each gives what the
    graph of "both" does with the other modality missing.

    Args:
        dimension: D, width of the feature.
        size: Height and width of the pixels.
        modality: What the graph sees.
    """
    text = (
        TensorSpec("input_ids", "int64", ("batch", "length")),
        TensorSpec("attention_mask", "int64", ("batch", "length")),
        TensorSpec("mask_position", "int64", ("batch",)),
    )
    picture = (
        TensorSpec("pixels", "float32", ("batch", 3, size, size)),
        TensorSpec("image_present", "float32", ("batch",)),
    )
    inputs = {"both": (*text, *picture), "text": text, "picture": picture}
    return GraphSpec(inputs[modality], (TensorSpec("feature", "float32", ("batch", dimension)),))


def graph_file(modality: Modality = "both", variant: Variant = "fp32") -> str:
    """Return the name of the file that an encoder graph of a bundle is kept in, such as "encoder-text-int8.onnx"."""
    parts = ["encoder"] + [modality] * (modality != "both") + [variant] * (variant != "fp32")
    return "-".join(parts) + ".onnx"


GRAPHS: dict[str, tuple[Modality, Variant]] = {
    graph_file(modality, variant): (modality, variant) for modality in MODALITIES for variant in VARIANTS
}
"""The encoder graphs that a bundle may hold, by file; every bundle holds the first, and all declare `encoder_spec`."""


def scorer_spec(width: int) -> GraphSpec:
    """Return what the scorer takes and gives: the best candidates for sets of seeds, among entities that it holds.

    The scorer holds the centred head rows R (N, W) and the scaled features G (N, W) of N entities. A set's query is

        q = query + [Σ_s weights_s G[s] ; both_directions Σ_s weights_s R[s]]                       (2 W,)

    and candidate v scores [R[v] ; G[v]] · q. Inputs, for B sets of S seeds:

        seeds            places of the seeds among the N; -1 for none, such as one that fills a shorter set up
        weights          what each seed counts
        query            what seeds outside the N add to q; zeros for none
        excluded         places that are no candidates beside the seeds; -1 for none
        both_directions  λ: 0 scores as the paper does
        k                how many candidates; the largest of the batch counts, and at most N

    Outputs, best first, equal scores by rising place:

        positions        places of the candidates; -1 where fewer than k are left
        scores           their scores; -inf there

    Args:
        width: W = D + 1.
    """
    return GraphSpec(
        inputs=(
            TensorSpec("seeds", "int64", ("batch", "seeds")),
            TensorSpec("weights", "float32", ("batch", "seeds")),
            TensorSpec("query", "float32", ("batch", 2 * width)),
            TensorSpec("excluded", "int64", ("batch", "excluded")),
            TensorSpec("both_directions", "float32", ("batch", 1)),
            TensorSpec("k", "int64", ("batch", 1)),
        ),
        outputs=(
            TensorSpec("positions", "int64", ("batch", "k")),
            TensorSpec("scores", "float32", ("batch", "k")),
        ),
    )
