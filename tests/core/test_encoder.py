"""Encoders: one behaviour suite over both, and what is special to each."""

import hashlib
import io
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from entity_expand.bundle import Bundle, write_bundle
from entity_expand.bundle.fakes import fake_bundle, fake_content
from entity_expand.encoder import Encoder, EncoderInput, FakeEncoder, OnnxEncoder
from entity_expand.errors import BundleError, EncoderError, MissingExtraError
from entity_expand.inputs import prepared as inputs_module
from entity_expand.inputs.image import load_rgb, to_pixels
from entity_expand.types import Entity

D, SIZE, VOCABULARY = 6, 8, 128
ENTITIES = (Entity("1", "Norway"), Entity("2", "Sweden"))
RANDOM = np.random.default_rng(7)
EMBEDDING = RANDOM.standard_normal((VOCABULARY, D)).astype(np.float32)
COLOURS = RANDOM.standard_normal((3, D)).astype(np.float32)
PLACE = RANDOM.standard_normal((1, D)).astype(np.float32)


def tiny_graph(scale: float = 1.0) -> bytes:
    """Sum of the ids' rows, plus mask position times a row, plus the mean colour times three rows if present."""
    constants = {"E": EMBEDDING, "C": COLOURS, "P": PLACE, "scale": np.array(scale, np.float32)}
    axes = {"a1": [1], "a2": [2], "a23": [2, 3]}
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    initializers += [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in axes.items()]
    steps = [
        ("Gather", ["E", "input_ids"], "rows", {}),
        ("Cast", ["attention_mask"], "mask", {"to": TensorProto.FLOAT}),
        ("Unsqueeze", ["mask", "a2"], "mask3", {}),
        ("Mul", ["rows", "mask3"], "masked", {}),
        ("ReduceSum", ["masked", "a1"], "text", {"keepdims": 0}),
        ("Cast", ["mask_position"], "position", {"to": TensorProto.FLOAT}),
        ("Unsqueeze", ["position", "a1"], "position2", {}),
        ("MatMul", ["position2", "P"], "place", {}),
        ("ReduceMean", ["pixels", "a23"], "colour", {"keepdims": 0}),
        ("MatMul", ["colour", "C"], "picture", {}),
        ("Unsqueeze", ["image_present", "a1"], "present", {}),
        ("Mul", ["picture", "present"], "shown", {}),
        ("Sum", ["text", "place", "shown"], "sum", {}),
        ("Mul", ["sum", "scale"], "feature", {}),
    ]
    nodes = [helper.make_node(kind, ins, [out], **attributes) for kind, ins, out, attributes in steps]
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"]),
        helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "length"]),
        helper.make_tensor_value_info("mask_position", TensorProto.INT64, ["batch"]),
        helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE]),
        helper.make_tensor_value_info("image_present", TensorProto.FLOAT, ["batch"]),
    ]
    output = helper.make_tensor_value_info("feature", TensorProto.FLOAT, ["batch", D])
    graph = helper.make_graph(nodes, "tiny", inputs, [output], initializers)
    opset = [helper.make_opsetid("", 20)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString())


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "b", replace(fake_content(ENTITIES, D), graph=tiny_graph()))


def expected(bundle: Bundle, item: EncoderInput) -> np.ndarray:
    """The tiny graph for one input, by hand."""
    masked = bundle.tokenizer.encode(item.text, item.mentions)
    feature = EMBEDDING[list(masked.ids)].sum(axis=0) + masked.mask_position * PLACE[0]
    if item.image is not None:
        feature += to_pixels(load_rgb(item.image, bundle.image), bundle.image).mean(axis=(1, 2)) @ COLOURS
    return feature


def png(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 9), colour).save(buffer, "PNG")
    return buffer.getvalue()


def sentence(words: int, colour: int | None = None) -> EncoderInput:
    text = "the old city of Oslo" + " or so" * words
    return EncoderInput(text, ((16, 20),), None if colour is None else png((colour, 255 - colour, 9)))


MIXED = [sentence(9, 3), sentence(0), EncoderInput("", (), png((9, 9, 9))), sentence(4, 200), EncoderInput("", ())] * 3


# Both


@pytest.fixture(params=["onnx", "fake"])
def any_encoder(request: pytest.FixtureRequest, bundle: Bundle) -> Encoder:
    return OnnxEncoder(bundle, batch_size=2) if request.param == "onnx" else FakeEncoder(D)


def test_features_have_the_stated_shape(any_encoder: Encoder) -> None:
    assert any_encoder.dimension == D
    for count in (0, 1, 5):
        features = any_encoder.encode(MIXED[:count])
        assert features.shape == (count, D) and features.dtype == np.float32


def test_features_come_in_the_order_of_the_inputs(any_encoder: Encoder) -> None:
    together = any_encoder.encode(MIXED)
    alone = np.concatenate([any_encoder.encode([item]) for item in MIXED])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert len({row.tobytes() for row in alone}) == 5


def test_the_picture_matters_and_the_name_does_not(any_encoder: Encoder) -> None:
    items = [sentence(1), sentence(1, 3), replace(sentence(1), text=sentence(1).text.replace("Oslo", "Rome"))]
    plain, pictured, renamed = any_encoder.encode(items)
    assert np.abs(plain - pictured).max() > 1e-3
    np.testing.assert_allclose(plain, renamed, atol=1e-5)


def test_a_missing_picture_counts_and_is_no_picture(any_encoder: OnnxEncoder | FakeEncoder, tmp_path: Path) -> None:
    absent = replace(sentence(1), image=tmp_path / "absent.png")
    features = any_encoder.encode([absent, sentence(1)])
    np.testing.assert_allclose(features[0], features[1], atol=1e-5)
    assert any_encoder.missing_pictures == 1


def test_a_picture_is_the_same_as_file_and_as_bytes(any_encoder: Encoder, tmp_path: Path) -> None:
    item = sentence(1, 77)
    assert isinstance(item.image, bytes)
    (tmp_path / "a.png").write_bytes(item.image)
    features = any_encoder.encode([item, replace(item, image=tmp_path / "a.png")])
    np.testing.assert_allclose(features[0], features[1], atol=1e-6)


def test_many_threads_get_the_same_features(any_encoder: Encoder) -> None:
    wanted = any_encoder.encode(MIXED)
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(any_encoder.encode(MIXED))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for result in results:
        np.testing.assert_allclose(result, wanted, atol=1e-6)


# OnnxEncoder


@pytest.mark.parametrize("batch_size", [1, 2, 4, 100])
def test_onnx_features_are_those_of_the_graph(bundle: Bundle, batch_size: int) -> None:
    features = OnnxEncoder(bundle, batch_size=batch_size, threads=1).encode(MIXED)
    np.testing.assert_allclose(features, [expected(bundle, item) for item in MIXED], atol=1e-5)


@pytest.mark.parametrize("broken", [b"", b"no picture", png((1, 2, 3))[:45]])
def test_a_broken_picture_counts_as_missing(bundle: Bundle, broken: bytes) -> None:
    encoder = OnnxEncoder(bundle)
    features = encoder.encode([replace(sentence(2), image=broken)] * 3 + [sentence(2)])
    np.testing.assert_allclose(features, [features[3]] * 4, atol=1e-6)
    assert encoder.missing_pictures == 1, "the same picture counts once"


def test_a_picture_is_decoded_once_in_a_call(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []

    def counting(source: object, config: object) -> object:
        decoded.append(source)
        return load_rgb(source, config)  # type: ignore[arg-type]

    monkeypatch.setattr(inputs_module, "load_rgb", counting)
    shared = Image.new("RGB", (4, 4), (9, 80, 200))
    items = [replace(sentence(words), image=shared) for words in (9, 0, 5, 1)]
    items += [sentence(words, colour) for words, colour in ((3, 1), (0, 1), (7, 2))]
    features = OnnxEncoder(bundle, batch_size=2).encode(items)
    assert len(decoded) == 3
    np.testing.assert_allclose(features, [expected(bundle, item) for item in items], atol=1e-5)


def test_a_mention_outside_its_text_is_refused_with_its_number(bundle: Bundle) -> None:
    with pytest.raises(EncoderError, match="Input 1: The mention"):
        OnnxEncoder(bundle).encode([sentence(1), EncoderInput("Oslo", ((0, 9),))])


def test_a_provider_that_is_not_there_is_refused(bundle: Bundle) -> None:
    with pytest.raises(EncoderError, match=r"NoSuchProvider is not available; .*CPUExecutionProvider"):
        OnnxEncoder(bundle, providers=("NoSuchProvider", "cpu"))
    with pytest.raises(EncoderError, match="not available"):
        OnnxEncoder(bundle, providers=())
    assert OnnxEncoder(bundle, providers=("CPU",)).providers == ("CPUExecutionProvider",)


@pytest.mark.parametrize(("providers", "extra"), [(("cpu",), "cpu"), (("cuda", "cpu"), "gpu")])
def test_without_onnxruntime_the_extra_is_named(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, providers: tuple[str, ...], extra: str
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=rf"entity-expand\[{extra}\]"):
        OnnxEncoder(bundle, providers=providers)


def test_a_graph_that_computes_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="cannot load the graph"):
        OnnxEncoder(fake_bundle(tmp_path / "b", ENTITIES, D))


def test_features_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    content = replace(fake_content(ENTITIES, D), graph=tiny_graph(float("inf")))
    with pytest.raises(EncoderError, match="not finite"):
        OnnxEncoder(write_bundle(tmp_path / "b", content)).encode([sentence(1)])


def test_external_data_written_by_onnx_is_refused(tmp_path: Path) -> None:
    model = onnx.load_from_string(tiny_graph())
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    content = replace(fake_content(ENTITIES, D), graph=(tmp_path / "m.onnx").read_bytes())
    with pytest.raises(BundleError, match="other files"):
        write_bundle(tmp_path / "b", content)


@pytest.mark.parametrize("inputs", ["", "  ", "The [[okapi]] eats leaves.", b"picture"])
def test_one_input_is_no_list(bundle: Bundle, inputs: str | bytes) -> None:
    with pytest.raises(EncoderError, match="A list of sentences"):
        OnnxEncoder(bundle).encode(inputs)


@pytest.mark.parametrize(
    "settings",
    [{"batch_size": 0}, {"batch_size": 2.5}, {"threads": 0}, {"threads": True}],
)
def test_sizes_below_one_are_refused(bundle: Bundle, settings: dict[str, int]) -> None:
    with pytest.raises(EncoderError, match="at least 1"):
        OnnxEncoder(bundle, **settings)  # type: ignore[arg-type]


def test_providers_are_a_list(bundle: Bundle) -> None:
    with pytest.raises(EncoderError, match=r"as \['cpu'\]"):
        OnnxEncoder(bundle, "cpu")


# FakeEncoder


def test_fake_features_are_means_of_word_hashes() -> None:
    def hashed(content: bytes) -> np.ndarray:
        return np.frombuffer(hashlib.shake_128(content).digest(2 * 3), "<i2") / 2**15

    item = EncoderInput("Oslo is old", ((0, 4),), b"picture")
    wanted = hashed(b"[MASK]") + (hashed(b"is") + hashed(b"old")) / 2 + hashed(b"picture")
    np.testing.assert_allclose(FakeEncoder(3).encode([item])[0], wanted, atol=1e-6)
    np.testing.assert_allclose(FakeEncoder(3).encode([EncoderInput("", ())])[0], hashed(b"[MASK]"), atol=1e-6)


@pytest.mark.parametrize("make", [lambda: FakeEncoder(0)])
def test_a_fake_without_width_is_refused(make: Callable[[], FakeEncoder]) -> None:
    with pytest.raises(EncoderError, match="at least 1"):
        make()


def test_sentences_with_marks_and_pictures_alone_are_encoded(bundle: Bundle, tmp_path: Path) -> None:
    picture = Image.fromarray(np.full((9, 9, 3), 200, np.uint8))
    picture.save(tmp_path / "p.png")
    plain = [
        EncoderInput("The okapi eats", ((4, 9),)),
        EncoderInput("", (), picture),
        EncoderInput("", (), tmp_path / "p.png"),
        EncoderInput("", (), (tmp_path / "p.png").read_bytes()),
        EncoderInput("", ()),
    ]
    short = ["The [[okapi]] eats", picture, tmp_path / "p.png", (tmp_path / "p.png").read_bytes(), " "]
    encoder = OnnxEncoder(bundle)
    np.testing.assert_array_equal(encoder.encode(short), encoder.encode(plain))


@pytest.mark.parametrize(
    ("item", "message"), [("The okapi eats", "Mark the mention"), (7, "not int"), (None, "NoneType")]
)
def test_what_cannot_be_encoded_is_named(bundle: Bundle, item: object, message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        OnnxEncoder(bundle).encode([item])  # type: ignore[list-item]


def test_many_pictures_are_decoded_by_threads_once_each(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[object, str]] = []

    def load(source: object, *rest: object) -> object:
        seen.append((source, threading.current_thread().name))
        return load_rgb(source, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(inputs_module, "load_rgb", load)
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(paths[:5]):
        Image.fromarray(np.full((9, 9, 3), 40 * number, np.uint8)).save(path)
    inputs = [EncoderInput("", (), path) for path in (*paths, *paths)]
    encoder = OnnxEncoder(bundle, batch_size=4)
    features = encoder.encode(inputs)
    assert sorted(source for source, _ in seen) == paths  # type: ignore[type-var]
    assert all(name.startswith("entity-expand-decode") for _, name in seen)
    assert encoder.missing_pictures == 1
    np.testing.assert_allclose(
        features, [expected(bundle, item) for item in [*inputs[:5], EncoderInput("", ())] * 2], atol=1e-5
    )
