"""The configuration of a model for Triton, as the fields of its `ModelConfig`; pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from entity_expand.bundle.specs import TensorSpec
from entity_expand.config import check, setting
from entity_expand.triton.models import FINGERPRINT, LENGTHS, WIRE_TYPES, Model, wire_axes
from entity_expand.triton.pbtxt import Value, Word
from entity_expand.types import AnyArray

Backend: TypeAlias = Literal["onnxruntime", "python"]


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """How the models of a repository are run.

    Attributes:
        backend: "onnxruntime" for GPUs, or "python", which runs onnxruntime on the CPU.
        max_batch: Most rows that are run together, of one request or of several.
        instances: Copies of each model that run side by side, on each GPU or on the CPU.
        threads: Threads of one operator, with "python".
        dynamic_batching: Put requests that wait together into one batch.
        queue_delay: Microseconds that a request waits for others; also paid by one that comes alone.
        queue: Requests that may wait, further ones are refused as overload, and so is one that waits for longer than
            its client does. None for neither: a server with such rules forgets now and then to wake up, and lets a
            request wait for half a second (docs/results/triton.md).
        tensorrt: With "onnxruntime", let TensorRT run what it can; it is built when a model is loaded.
    """

    backend: Backend = "onnxruntime"
    max_batch: int = setting(32, low=1, high=4096)
    instances: int = setting(1, low=1, high=256)
    threads: int = setting(1, low=1, high=1024)
    dynamic_batching: bool = True
    queue_delay: int = setting(0, low=0, high=1_000_000)
    queue: int | None = setting(None, low=1, high=1_000_000)
    tensorrt: bool = False

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class WarmUp:
    """One made-up request that is run when a model is loaded.

    Attributes:
        feeds: One row for each input, without the axis of the batch.
        rows: How many such rows.
    """

    feeds: Mapping[str, AnyArray]
    rows: int = 1


@dataclass(frozen=True, slots=True)
class ModelContent:
    """What the folder of a model is written from.

    Attributes:
        model: Name, version and what it takes.
        graph: The ONNX file.
        fingerprint: What it was made from.
        on_gpu: Whether "onnxruntime" runs it on a GPU.
        tensorrt: Whether TensorRT may be asked to.
        lengths: To which clients fill rows up, so that requests have one shape and can be put together; () for any.
        warm_up: Run when the model is loaded.
        beside: A file that the graph refers to.
    """

    model: Model
    graph: bytes
    fingerprint: str
    on_gpu: bool
    tensorrt: bool
    lengths: tuple[int, ...]
    warm_up: tuple[WarmUp, ...]
    beside: Path | None = None


def configuration(content: ModelContent, settings: RepositorySettings) -> dict[str, Value]:
    """Return the configuration of a model, as the fields of Triton's `ModelConfig`."""
    on_gpu = content.on_gpu and settings.backend == "onnxruntime"
    parameters = {FINGERPRINT: content.fingerprint}
    if content.lengths:
        parameters[LENGTHS] = ",".join(map(str, content.lengths))
    if settings.backend == "python":
        parameters |= {"threads": str(settings.threads), "padding": json.dumps(dict(content.model.padding))}
    ragged = content.model.padding if settings.backend == "python" else {}
    config: dict[str, Value] = {
        "name": content.model.name,
        "backend": settings.backend,
        "max_batch_size": settings.max_batch,
        "input": [_tensor(tensor, tensor.name in ragged) for tensor in content.model.spec.inputs],
        "output": [_tensor(tensor, False) for tensor in content.model.spec.outputs],
        "instance_group": {"count": settings.instances, "kind": Word("KIND_GPU" if on_gpu else "KIND_CPU")},
        "parameters": [{"key": key, "value": {"string_value": value}} for key, value in parameters.items()],
        "model_warmup": [_warm_up(number, content) for number in range(len(content.warm_up))],
    }
    if settings.dynamic_batching:
        config["dynamic_batching"] = _batching(settings)
    if settings.tensorrt and content.tensorrt and on_gpu:
        precision = {"key": "precision_mode", "value": "FP16" if content.model.name.endswith("fp16") else "FP32"}
        accelerator: Value = {"name": "tensorrt", "parameters": precision}
        config["optimization"] = {"execution_accelerators": {"gpu_execution_accelerator": accelerator}}
    return config


def _batching(settings: RepositorySettings) -> dict[str, Value]:
    found: dict[str, Value] = {"max_queue_delay_microseconds": settings.queue_delay}
    if settings.queue is not None:
        found["default_queue_policy"] = {
            "timeout_action": Word("REJECT"),
            "allow_timeout_override": True,
            "max_queue_size": settings.queue,
        }
    return found


def _tensor(tensor: TensorSpec, ragged: bool) -> dict[str, Value]:
    found: dict[str, Value] = {
        "name": tensor.name,
        "data_type": Word("TYPE_" + WIRE_TYPES[tensor.dtype]),
        "dims": list(wire_axes(tensor)),
    }
    if len(tensor.axes) == 1:
        found["reshape"] = {}  # a server knows no rows without an axis; the graph is given none
    if ragged:
        found["allow_ragged_batch"] = True
    return found


def warm_up_files(content: ModelContent) -> dict[str, AnyArray]:
    """Return the rows of made-up requests by the file that the configuration names; rows of zeros need none."""
    return {
        f"{number}-{name}": row
        for number, warm_up in enumerate(content.warm_up)
        for name, row in warm_up.feeds.items()
        if row.any()
    }


def _warm_up(number: int, content: ModelContent) -> dict[str, Value]:
    warm_up = content.warm_up[number]
    inputs: list[Value] = []
    for tensor in content.model.spec.inputs:
        row = warm_up.feeds[tensor.name]
        data: dict[str, Value] = {"input_data_file": f"{number}-{tensor.name}"} if row.any() else {"zero_data": True}
        described = {"data_type": Word("TYPE_" + WIRE_TYPES[tensor.dtype]), "dims": list(row.shape), **data}
        inputs.append({"key": tensor.name, "value": described})
    return {"name": f"warm-up {number}", "batch_size": warm_up.rows, "inputs": inputs}
