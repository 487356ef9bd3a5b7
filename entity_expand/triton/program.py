"""A model for Triton's Python backend: it runs the ONNX file beside it with onnxruntime, on the CPU.

This file is copied into model repositories as model.py and imports nothing of this project. Requests that the server
has put together are run as one batch: rows are joined, and shorter ones filled up with what the model's configuration
names for that input.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

Arrays = dict[str, "np.ndarray[Any, Any]"]


class TritonPythonModel:
    """One instance of the model, in a process of its own."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph; whatever is wrong with it, the server says when it starts."""
        config = json.loads(args["model_config"])
        given = {name: entry["string_value"] for name, entry in config["parameters"].items()}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(given["threads"])
        options.log_severity_level = 3
        graph = Path(args["model_repository"], args["model_version"], "model.onnx")
        self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]
        self._padding: dict[str, float] = json.loads(given["padding"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer requests together; if that fails, each alone, so that a bad one does not spoil the others."""
        feeds = [self._feeds(request) for request in requests]
        try:
            return [self._response(found) for found in self._run(feeds)]
        except Exception as problem:  # onnxruntime's errors share no other base
            if len(requests) == 1:
                code = pb_utils.TritonError.INVALID_ARG
                said = pb_utils.TritonError(f"onnxruntime refused the request: {problem}", code)
                return [pb_utils.InferenceResponse(output_tensors=[], error=said)]
        return [self.execute([request])[0] for request in requests]

    def _feeds(self, request: Any) -> Arrays:
        return {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}

    def _run(self, feeds: list[Arrays]) -> list[Arrays]:
        joined = {name: self._joined(name, [each[name] for each in feeds]) for name in self._inputs}
        found = dict(zip(self._outputs, self._session.run(self._outputs, joined), strict=True))
        ends = np.cumsum([len(each[self._inputs[0]]) for each in feeds])
        split = {name: np.split(rows, ends[:-1]) for name, rows in found.items()}
        return [{name: split[name][number] for name in self._outputs} for number in range(len(feeds))]

    def _joined(self, name: str, parts: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        if name not in self._padding or len(parts) == 1:
            return parts[0] if len(parts) == 1 else np.concatenate(parts)
        longest = max(part.shape[1] for part in parts)
        fill = self._padding[name]
        return np.concatenate(
            [np.pad(part, ((0, 0), (0, longest - part.shape[1])), constant_values=fill) for part in parts]
        )

    def _response(self, found: Arrays) -> Any:
        tensors = [pb_utils.Tensor(name, np.ascontiguousarray(rows)) for name, rows in found.items()]
        return pb_utils.InferenceResponse(output_tensors=tensors)
