"""Runs on a GPU without the price of starting each kernel anew: captured once for a shape, then replayed."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from entity_expand.encoder.onnx_session import load_onnxruntime
from entity_expand.errors import EncoderError
from entity_expand.types import AnyArray, Float32

LENGTH_MULTIPLE = 16
"""Sentences are padded to multiples of this, so that there are few shapes."""
SHAPES = 32
_ID = "gpu_graph_id"
_NO_GRAPH = -1


class _Held:
    """Inputs and the output of one shape, at addresses on the device that do not change."""

    def __init__(self, runtime: Any, session: Any, device: str, feeds: Mapping[str, AnyArray], number: int) -> None:
        self._session, self._binding = session, session.io_binding()
        self._options = _options(runtime, number)
        self._inputs = {}
        for name, value in feeds.items():
            held = runtime.OrtValue.ortvalue_from_shape_and_type(value.shape, value.dtype, device, 0)
            self._binding.bind_ortvalue_input(name, held)
            self._inputs[name] = held
        (output,) = session.get_outputs()
        shape = (len(next(iter(feeds.values()))), output.shape[-1])
        self._output = runtime.OrtValue.ortvalue_from_shape_and_type(shape, np.float32, device, 0)
        self._binding.bind_ortvalue_output(output.name, self._output)

    def run(self, feeds: Mapping[str, AnyArray]) -> Float32:
        for name, value in feeds.items():
            self._inputs[name].update_inplace(np.ascontiguousarray(value))
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding, self._options)
        self._binding.synchronize_outputs()
        found: Float32 = self._output.numpy()
        return found.copy()


class CapturedGraph:
    """Runs an encoder graph that was loaded with `graph_session(..., cuda_graphs=True)`; one run at a time.

    Of each shape of the inputs the first run is captured, and later ones replay it on new numbers. Once `most` shapes
    are held, others are run without a capture.

    Args:
        session: Its only output is (B, D) float32.
        device: "cuda"; on "cpu" the same buffers are bound, and nothing is captured.
        most: Most shapes that are held.
    """

    def __init__(self, session: Any, device: str = "cuda", most: int = SHAPES) -> None:
        self._runtime = load_onnxruntime("gpu" if device == "cuda" else "cpu")
        self._session, self._device, self._most = session, device, most
        self._held: dict[tuple[tuple[int, ...], ...], _Held] = {}
        self._numbers = itertools.count(1)  # none is given twice: onnxruntime would replay what it stands for
        self._lock = threading.Lock()

    def run(self, feeds: Mapping[str, AnyArray]) -> Float32:
        """Return the feature (B, D) float32 of the inputs by name.

        Raises:
            EncoderError: onnxruntime refuses the inputs, or cannot capture the graph.
        """
        shape = tuple(value.shape for value in feeds.values())
        with self._lock:
            try:
                if shape not in self._held and len(self._held) < self._most:
                    number = next(self._numbers)
                    self._held[shape] = _Held(self._runtime, self._session, self._device, feeds, number)
                if shape in self._held:
                    return self._held[shape].run(feeds)
                (found,) = self._session.run(None, dict(feeds), _options(self._runtime, _NO_GRAPH))
            except Exception as problem:  # onnxruntime's errors share no other base
                self._held.pop(shape, None)
                raise EncoderError(f"onnxruntime failed on fixed buffers: {problem}") from problem
        feature: Float32 = found
        return feature


def _options(runtime: Any, number: int) -> Any:
    options = runtime.RunOptions()
    options.add_run_config_entry(_ID, str(number))
    return options
