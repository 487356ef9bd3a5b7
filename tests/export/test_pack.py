"""Whole exports: of a tiny model of the real kind, of misbehaving ones, and through the command."""

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from entity_expand.bundle import Bundle
from entity_expand.bundle.fakes import fake_bundle, fake_tokenizer
from entity_expand.cli import group
from entity_expand.corpus import Corpus
from entity_expand.encoder import EncoderInput, OnnxEncoder
from entity_expand.errors import BundleError, CheckpointError, MissingExtraError, ParityError
from entity_expand.inputs.image import load_rgb, to_pixels
from entity_expand.types import Entity
from export import ExportSettings, Source, export_checkpoint, export_source
from training.config import (
    AlignSettings,
    DataSettings,
    LoopSettings,
    ModelConfig,
    TextSettings,
    TrainingConfig,
    VisionSettings,
)
from training.loop import train
from training.model import MultiExpan

from .conftest import ENTITIES, IMAGE, TEXT, WIDTH, StandIn

MakeSource = Callable[..., Source]
PLAIN = ExportSettings(optimise=False, samples_per_entity=2)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus, tiny_model: MultiExpan) -> Bundle:
    source = Source(tiny_model, ENTITIES, fake_tokenizer(), TEXT, IMAGE, corpus.content_hash, "train")
    return export_source(source, corpus, tmp_path_factory.mktemp("bundles") / "b")


def all_inputs(corpus: Corpus) -> list[EncoderInput]:
    """Every sentence as it is, without its picture, and its picture alone."""
    inputs = []
    for number in range(len(corpus)):
        sample = corpus.sample(number)
        image = corpus.image_path(sample)
        inputs += [EncoderInput(sample.text, sample.mentions, image), EncoderInput(sample.text, sample.mentions)]
        inputs += [EncoderInput("", (), image)]
    return inputs


def by_torch(model: MultiExpan, bundle: Bundle, item: EncoderInput) -> np.ndarray:
    """One input alone through the model."""
    masked = bundle.tokenizer.encode(item.text, item.mentions)
    size = bundle.image.size
    pixels = np.zeros((3, size, size), np.float32)
    if item.image is not None:
        pixels = to_pixels(load_rgb(item.image, bundle.image), bundle.image)
    with torch.inference_mode():
        feature = model.feature(
            torch.tensor([masked.ids]),
            torch.ones(1, len(masked.ids), dtype=torch.int64),
            torch.tensor([masked.mask_position]),
            torch.from_numpy(pixels)[None],
            torch.tensor([float(item.image is not None)]),
        )
    return feature[0].numpy()


def test_the_bundle_holds_the_model(exported: Bundle, tiny_model: MultiExpan, corpus: Corpus) -> None:
    weight, bias = tiny_model.head_rows()
    np.testing.assert_array_equal(exported.head_weight, weight.detach().numpy())
    np.testing.assert_array_equal(exported.head_bias, bias.detach().numpy())
    assert exported.entities == ENTITIES and exported.dimension == WIDTH
    assert exported.manifest.trained_on == corpus.content_hash
    assert exported.channels == ("both", "text", "picture")


def test_the_manifest_states_what_was_measured(exported: Bundle) -> None:
    parity, ridge = exported.manifest.parity, exported.manifest.ridge
    measured = parity["graphs"]["encoder.onnx"]
    assert measured["samples"]["rows"] == 3 * len(ENTITIES) and measured["probes"]["rows"] == (1 + 2 + 5 + 3) * 5
    assert measured["samples"]["max_rel"] < 1e-4 and measured["samples"]["min_cosine"] > 0.9999
    assert (measured["expansions"]["overlap"], measured["expansions"]["top_k"]) == (1.0, len(ENTITIES) // 2)
    assert (parity["samples_per_entity"], parity["entities"], parity["optimised"]) == (4, len(ENTITIES), True)
    assert (ridge["fitted"], ridge["held_out"], ridge["seed"]) == (11, 1, 0)
    assert ridge["held_out_error"] > 0 and -1 <= ridge["held_out_cosine"] <= 1


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_the_encoder_equals_torch(exported: Bundle, tiny_model: MultiExpan, corpus: Corpus, batch_size: int) -> None:
    inputs = all_inputs(corpus)
    features = OnnxEncoder(exported, batch_size=batch_size, threads=1).encode(inputs)
    wanted = np.array([by_torch(tiny_model, exported, item) for item in inputs])
    np.testing.assert_allclose(features, wanted, atol=1e-5)


def test_the_encoder_is_safe_from_threads(exported: Bundle, corpus: Corpus) -> None:
    inputs, encoder = all_inputs(corpus), OnnxEncoder(exported, threads=1)
    wanted = encoder.encode(inputs)
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(encoder.encode(inputs))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and all(np.allclose(result, wanted, atol=1e-6) for result in results)


def test_no_file_of_the_bundle_names_a_path(exported: Bundle, corpus: Corpus) -> None:
    for file in exported.path.iterdir():
        content = file.read_bytes()
        for trace in (str(corpus.root).encode(), str(exported.path.parent).encode(), b"site-packages", b'.py"'):
            assert trace not in content, (file.name, trace)


def test_the_same_model_and_corpus_give_the_same_fingerprint(
    tmp_path: Path, corpus: Corpus, make_source: MakeSource
) -> None:
    first, second = (export_source(make_source(), corpus, tmp_path / name, PLAIN) for name in "ab")
    assert first.fingerprint == second.fingerprint
    assert first.manifest.parity["optimised"] is False


class Drifting(nn.Module):
    """Adds more at every call, which a graph cannot follow."""

    def __init__(self, step: float) -> None:
        super().__init__()
        self.step, self.calls = step, 0

    def forward(self, feature: Tensor) -> Tensor:
        self.calls += 1
        return feature + self.step * self.calls


@pytest.mark.parametrize("optimise", [True, False])
def test_a_graph_that_differs_leaves_no_bundle(
    tmp_path: Path, corpus: Corpus, make_source: MakeSource, optimise: bool
) -> None:
    older = fake_bundle(tmp_path / "b", ENTITIES)
    source = make_source(StandIn(200, Drifting(0.01)).eval())
    settings = replace(PLAIN, optimise=optimise)
    for name in ("b", "new"):
        with pytest.raises(ParityError, match=r"differs from the model on made-up inputs \(encoder\.onnx\): by up to"):
            export_source(source, corpus, tmp_path / name, settings)
    assert [file.name for file in tmp_path.iterdir()] == ["b"]
    assert Bundle.open(tmp_path / "b").fingerprint == older.fingerprint


def test_features_that_are_not_finite_are_refused(tmp_path: Path, corpus: Corpus, make_source: MakeSource) -> None:
    source = make_source(StandIn(200, lambda feature: feature / 0).eval())
    with pytest.raises(ParityError, match="not finite"):
        export_source(source, corpus, tmp_path / "b", PLAIN)


def test_another_corpus_is_refused_unless_any_will_do(tmp_path: Path, corpus: Corpus, make_source: MakeSource) -> None:
    source = make_source(corpus_hash="0" * 64)
    with pytest.raises(BundleError, match="not the corpus that was trained on"):
        export_source(source, corpus, tmp_path / "b", PLAIN)
    bundle = export_source(source, corpus, tmp_path / "b", replace(PLAIN, any_corpus=True))
    assert bundle.manifest.trained_on == "0" * 64


def test_a_corpus_without_the_entities_is_refused(tmp_path: Path, corpus: Corpus, make_source: MakeSource) -> None:
    entities = tuple(Entity(f"x{entity.id}", entity.name) for entity in ENTITIES)
    with pytest.raises(BundleError, match="no sentence of any of the 12 trained entities"):
        export_source(make_source(entities=entities), corpus, tmp_path / "b", PLAIN)


@pytest.mark.parametrize(
    ("fusion", "split", "width"), [("cross", "train", 16), ("experts", "*", 32), ("pooled", "*", 12 + 8)]
)
def test_the_command_exports_a_trained_checkpoint(
    tmp_path: Path, corpus: Corpus, fusion: str, split: str, width: int
) -> None:
    aligned = fusion == "pooled"
    config = TrainingConfig(
        text=TextSettings(
            backbone="scratch", vocabulary=64, width=16, layers=1, heads=2, mlp=16, max_length=16, trained_layers=-1
        ),
        vision=VisionSettings(backbone="scratch", trained=True, size=16, widths=(8,)),
        model=ModelConfig(
            fusion=fusion, heads=2, mlp=16, visual_layers=0, cross_layers=1, clusters=3,
            metric_width=12 if aligned else None,
        ),
        data=DataSettings(split=split),
        loop=LoopSettings(epochs=0 if aligned else 1, batch_size=12, device="cpu"),
        align=AlignSettings(within=aligned, rounds=int(aligned), neighbours=2),
    )  # fmt: skip
    train(config, corpus, tmp_path / "run")
    arguments = ["export", str(tmp_path / "run"), str(tmp_path / "b"), "--corpus", str(corpus.root), "--plain"]
    result = CliRunner().invoke(group, arguments, catch_exceptions=False)
    bundle = Bundle.open(tmp_path / "b")
    assert result.exit_code == 0 and bundle.fingerprint[:12] in result.output
    assert bundle.entities == ENTITIES and bundle.text.max_length == 16 and bundle.image.size == 16
    assert bundle.head_weight.shape[1] == width


def test_without_torch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "export"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"torch is not installed: pip install 'entity-expand\[export\]'"):
        CliRunner().invoke(group, ["export", "a", "b", "--corpus", "c"], catch_exceptions=False)


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        export_checkpoint(tmp_path, tmp_path / "b", tmp_path)
