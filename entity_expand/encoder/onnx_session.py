"""The one door to onnxruntime: importing it, loading a graph, running it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from entity_expand.errors import EncoderError, MissingExtraError
from entity_expand.extras import imported
from entity_expand.types import AnyArray, Float32

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""Short names for onnxruntime's execution providers; the long names are understood too."""


def load_onnxruntime(extra: str = "cpu") -> Any:
    """Import onnxruntime.

    Raises:
        MissingExtraError: It is not installed; `extra`, "cpu" or "gpu", brings it. The two exclude each other.
    """
    return imported("onnxruntime", "onnxruntime" if extra == "cpu" else "onnxruntime-gpu", extra)


def available_providers() -> tuple[str, ...]:
    """Return the execution providers of the installed onnxruntime, by long name; () without it."""
    try:
        return tuple(load_onnxruntime().get_available_providers())
    except MissingExtraError:
        return ()


def _why(missing: Sequence[str]) -> str:
    """Say what a missing provider needs, if that is known."""
    if {PROVIDERS["cuda"], PROVIDERS["tensorrt"]}.isdisjoint(missing):
        return ""
    return " It was built for CPUs: install 'entity-expand[gpu]' in an environment without the extra cpu."


def graph_session(
    content: bytes,
    providers: Sequence[str] = ("cpu",),
    threads: int | None = None,
    tables: Mapping[str, AnyArray] | None = None,
    cuda_graphs: bool = False,
) -> Any:
    """Load an ONNX file into an onnxruntime session.

    Args:
        content: The file.
        providers: Execution providers by short or long name, in order of preference.
        threads: Threads of one operator; None leaves it to onnxruntime.
        tables: Tensors that the file leaves to others, by name; onnxruntime itself opens no file.
        cuda_graphs: For `cuda_graphs.CapturedGraph`; the first provider must be "cuda".

    Raises:
        MissingExtraError: onnxruntime is not installed.
        EncoderError: A provider is not available or fails, or the graph cannot be loaded.
    """
    wanted = [PROVIDERS.get(name.lower(), name) for name in providers]
    onnxruntime = load_onnxruntime("cpu" if wanted in ([], [PROVIDERS["cpu"]]) else "gpu")
    available = onnxruntime.get_available_providers()
    missing = [name for name in wanted if name not in available]
    if missing or not wanted:
        raise EncoderError(
            f"Execution provider {', '.join(missing) or '(none given)'} is not available; "
            f"this onnxruntime has {', '.join(available)}.{_why(missing)}"
        )
    if cuda_graphs and wanted[0] != PROVIDERS["cuda"]:
        raise EncoderError(f"CUDA graphs need the provider cuda in the first place, not {wanted[0]}.")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or 0
    if tables:
        held = [onnxruntime.OrtValue.ortvalue_from_numpy(table) for table in tables.values()]
        options.add_external_initializers(list(tables), held)
    captured = {PROVIDERS["cuda"]: {"enable_cuda_graph": "1"}} if cuda_graphs else {}
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=[(name, captured.get(name, {})) for name in wanted]
        )
    except Exception as problem:  # onnxruntime's errors share no other base
        raise EncoderError(f"onnxruntime cannot load the graph: {problem}") from problem
    failed = [name for name in wanted if name not in session.get_providers()]
    if failed:
        raise EncoderError(
            f"Execution provider {', '.join(failed)} could not be started (are its libraries installed?); "
            f"in use would be {', '.join(session.get_providers())}."
        )
    return session


def run_graph(session: Any, feeds: Mapping[str, AnyArray]) -> Float32:
    """Run an encoder graph on its inputs by name, and return the feature (B, D) float32.

    Raises:
        EncoderError: onnxruntime refuses the inputs or fails.
    """
    (found,) = run_session(session, ("feature",), feeds)
    return found


def run_session(session: Any, outputs: Sequence[str], feeds: Mapping[str, AnyArray]) -> list[AnyArray]:
    """Run a graph on its inputs by name, and return the outputs that are asked for.

    Raises:
        EncoderError: onnxruntime refuses the inputs or fails.
    """
    try:
        found: list[AnyArray] = session.run(list(outputs), dict(feeds))
    except Exception as problem:  # onnxruntime's errors share no other base
        raise EncoderError(f"onnxruntime failed: {problem}") from problem
    return found
