"""Model repositories: their form for GPUs, and what a real server says of those for the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from entity_expand.bundle import Bundle
from entity_expand.bundle.specs import graph_file
from entity_expand.cli import group
from entity_expand.errors import ConfigError, EntityExpandError
from entity_expand.triton.configuration import RepositorySettings, configuration
from entity_expand.triton.models import encoder_model, version_of
from entity_expand.triton.pbtxt import Word, written
from entity_expand.triton.repository import encoder_content, encoder_models, write_repository
from servers.elasticsearch_node import ask
from servers.triton_node import TritonNode


def parsed(bundle: Bundle, settings: RepositorySettings) -> Any:
    """The configuration of the fused encoder, read as the server would."""
    text = written(configuration(encoder_content(bundle, "both", "fp32", settings), settings))
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def write(folder: Path, bundle: Bundle, settings: RepositorySettings) -> Path:
    write_repository(folder, encoder_models(bundle, settings), settings)
    return folder


def test_messages_are_written_as_text() -> None:
    message = {"a": 'say "é"', "b": Word("KIND"), "c": [1, -2], "d": {"e": True, "f": {}}}
    assert written(message) == 'a: "say \\"\\u00e9\\""\nb: KIND\nc: 1\nc: -2\nd {\n  e: true\n  f {\n  }\n}\n'


def test_a_version_stands_for_a_fingerprint() -> None:
    assert version_of("0" * 64) == 1 and version_of("f" * 64) == 2**60 - 1
    assert version_of("0" * 14 + "a" + "0" * 49) == 10


def test_the_models_for_gpus_are_as_the_server_wants_them(bundle: Bundle) -> None:
    config = parsed(bundle, RepositorySettings(instances=2, tensorrt=True))
    assert (config.name, config.backend, config.max_batch_size) == ("entity-expand-encoder", "onnxruntime", 32)
    inputs = {each.name: each for each in config.input}
    assert [*inputs["input_ids"].dims] == [-1] and [*inputs["pixels"].dims] == [3, 32, 32]
    assert [*inputs["mask_position"].dims] == [1] and inputs["mask_position"].HasField("reshape")
    assert not any(each.allow_ragged_batch for each in config.input), "that backend cannot fill up"
    assert config.parameters["lengths"].string_value == "8,16,32,48"
    assert [each.batch_size for each in config.model_warmup] == [1, 1, 1, 1, 32]
    assert [each.inputs["input_ids"].dims[0] for each in config.model_warmup] == [8, 16, 32, 48, 48]
    (instances,) = config.instance_group
    assert (instances.count, instances.kind) == (2, model_config_pb2.ModelInstanceGroup.KIND_GPU)
    assert config.HasField("dynamic_batching") and not config.dynamic_batching.HasField("default_queue_policy")
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert (accelerator.name, accelerator.parameters["precision_mode"]) == ("tensorrt", "FP32")


def test_a_queue_may_have_a_limit(bundle: Bundle) -> None:
    policy = parsed(bundle, RepositorySettings(queue=9)).dynamic_batching.default_queue_policy
    assert (policy.max_queue_size, policy.allow_timeout_override) == (9, True)
    assert policy.timeout_action == model_config_pb2.ModelQueuePolicy.REJECT


def test_batching_and_tensorrt_can_be_left_out(bundle: Bundle) -> None:
    config = parsed(bundle, RepositorySettings(dynamic_batching=False))
    assert not config.HasField("dynamic_batching") and not config.HasField("optimization")


def test_the_warm_up_has_valid_ids(bundle: Bundle, tmp_path: Path) -> None:
    settings = RepositorySettings()
    folder = write(tmp_path / "models", bundle, settings) / "entity-expand-encoder"
    ids = np.frombuffer((folder / "warmup" / "1-input_ids").read_bytes(), "<i8")
    assert len(ids) == 16 and ids[0] != ids[1] != ids[-1] and (ids[1:-1] == bundle.tokenizer.mask_id).all()
    assert not (folder / "warmup" / "1-pixels").exists(), "zeros need no file"
    graph = folder / str(version_of(bundle.fingerprint)) / "model.onnx"
    assert graph.read_bytes() == (bundle.path / graph_file()).read_bytes()


def test_a_repository_is_written_as_a_whole(bundle: Bundle, tmp_path: Path) -> None:
    folder, settings = tmp_path / "models", RepositorySettings()
    write(folder, bundle, settings)
    (folder / "old").mkdir()
    write(folder, bundle, RepositorySettings(backend="python"))
    assert [each.name for each in folder.iterdir()] == ["entity-expand-encoder"]
    assert [each.name for each in tmp_path.iterdir()] == ["models"]
    (tmp_path / "file").touch()
    with pytest.raises(EntityExpandError, match="is a file"):
        write_repository(tmp_path / "file", [], settings)


def test_wrong_settings_are_refused() -> None:
    for wrong in ({"backend": "tensorflow"}, {"max_batch": 0}, {"instances": True}):
        with pytest.raises(ConfigError):
            RepositorySettings(**wrong)  # type: ignore[arg-type]


def test_a_real_server_declares_what_the_bundle_says(node: TritonNode, bundle: Bundle) -> None:
    model = encoder_model(bundle)
    status, found = ask("GET", f"{node.url}/v2/models/{model.name}")
    assert status == 200 and found["versions"] == [str(model.version)]
    assert {each["name"]: each["shape"] for each in found["inputs"]} == {
        "input_ids": [-1, -1],
        "attention_mask": [-1, -1],
        "mask_position": [-1, 1],
        "pixels": [-1, 3, 32, 32],
        "image_present": [-1, 1],
    }
    assert found["outputs"] == [{"name": "feature", "datatype": "FP32", "shape": [-1, 96]}]


def test_the_command_writes_the_models_of_a_bundle(bundle: Bundle, tmp_path: Path) -> None:
    from click.testing import CliRunner

    arguments = ["export", str(bundle.path), "--triton", str(tmp_path / "models"), "--backend", "python"]
    done = CliRunner().invoke(group, arguments, catch_exceptions=False)
    assert done.exit_code == 0 and "python backend, entity-expand-encoder, version" in done.output
    padding = json.dumps({"input_ids": 0, "attention_mask": 0})
    config = text_format.Parse(
        (tmp_path / "models" / "entity-expand-encoder" / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
    )
    assert config.parameters["padding"].string_value == padding and "lengths" not in config.parameters
    assert [each.allow_ragged_batch for each in config.input] == [True, True, False, False, False]


def test_a_bundle_alone_needs_a_folder_for_triton(bundle: Bundle) -> None:
    from click.testing import CliRunner

    done = CliRunner().invoke(group, ["export", str(bundle.path)])
    assert done.exit_code == 2 and "with --triton, a bundle alone will do" in done.output
