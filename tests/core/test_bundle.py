"""Bundles: written whole, the same twice, and refused when any part is not as stated."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entity_expand.bundle import Bundle, BundleContent, write_bundle
from entity_expand.bundle.fakes import fake_bundle, fake_content
from entity_expand.bundle.folder import FILES
from entity_expand.bundle.graph import _put, hollow_graph, read_spec
from entity_expand.bundle.manifest import read_manifest
from entity_expand.bundle.specs import GRAPHS, GraphSpec, TensorSpec, encoder_spec, graph_file
from entity_expand.errors import BundleError
from entity_expand.files import sha256_of
from entity_expand.inputs.image import ImageConfig
from entity_expand.inputs.text import TextConfig
from entity_expand.types import Entity

ENTITIES = (
    Entity("1", "Norway", ("Norge",), {"continent": "Europe"}),
    Entity("2", "Sweden"),
    Entity("10", 'Ünïcode\u2028\ud83d\ude00 "quoted"\n'.encode("utf-16", "surrogatepass").decode("utf-16")),
)
ARRAYS = ("head_weight", "head_bias", "ridge")


@pytest.fixture
def content() -> BundleContent:
    return fake_content(ENTITIES, dimension=4)


@pytest.fixture
def path(tmp_path: Path, content: BundleContent) -> Path:
    write_bundle(tmp_path / "b", content)
    return tmp_path / "b"


def restate(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest, and make its hashes, sizes and fingerprint fit again."""
    manifest = json.loads((path / "manifest.json").read_text())
    for name in FILES:
        file = path / name
        if file.is_file():
            manifest["files"][name] = {"sha256": sha256_of(file), "bytes": file.stat().st_size}
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))
    try:
        read_manifest(manifest, FILES)
    except BundleError as error:
        if "fingerprint" in str(error):
            manifest["fingerprint"] = str(error).split("'")[-2]
            (path / "manifest.json").write_text(json.dumps(manifest))


def test_what_is_written_is_read(path: Path, content: BundleContent) -> None:
    bundle = Bundle.open(path)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(bundle, name), getattr(content, name))
        assert getattr(bundle, name).dtype == np.float32 and not getattr(bundle, name).flags.writeable
    assert bundle.entities == ENTITIES
    assert (bundle.dimension, bundle.vocabulary) == (4, 3)
    assert (bundle.text, bundle.image) == (content.text, content.image)
    assert bundle.channels == ("both", "text", "picture")
    assert bundle.manifest.trained_on == content.trained_on
    assert bundle.read_graph() == content.graph
    assert bundle.tokenizer.encode("", ()).mask_position == 1
    assert {file.name for file in path.iterdir()} == {*FILES, "manifest.json"}


def test_configurations_survive(tmp_path: Path, content: BundleContent) -> None:
    text = TextConfig(max_length=64, form="whole_word")
    image = ImageConfig(8, resize=9, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), interpolation="bilinear")
    bundle = write_bundle(tmp_path / "b", replace(content, text=text, image=image, channels=("text",)))
    assert (bundle.text, bundle.image, bundle.channels) == (text, image, ("text",))


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, content: BundleContent) -> None:
    first, second = (write_bundle(tmp_path / name, content) for name in "ab")
    assert first.fingerprint == second.fingerprint
    for name in (*FILES, "manifest.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"parity": {"max_abs": 0.5}},
        {"trained_on": "0" * 64},
        {"text": TextConfig(max_length=99)},
        {"head_bias": np.ones(3, np.float32)},
        {"entities": tuple(reversed(ENTITIES))},
    ],
)
def test_any_change_changes_the_fingerprint(tmp_path: Path, content: BundleContent, change: dict[str, Any]) -> None:
    bundle = write_bundle(tmp_path / "b", replace(content, **change))
    assert bundle.fingerprint != write_bundle(tmp_path / "a", content).fingerprint


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_each_file_broken_in_turn_is_refused(path: Path, name: str) -> None:
    file = path / name
    whole = file.read_bytes()
    middle = len(whole) // 2
    for broken in (whole[:-3], whole + b"\0", b"", whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]):
        file.write_bytes(broken)
        with pytest.raises(BundleError):
            Bundle.open(path)
    file.unlink()
    with pytest.raises(BundleError, match=f"{name}"):
        Bundle.open(path)
    file.write_bytes(whole)
    Bundle.open(path)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_links_that_leave_the_bundle_are_refused(path: Path, name: str) -> None:
    outside = path.parent / name
    shutil.move(path / name, outside)
    (path / name).symlink_to(outside)
    with pytest.raises(BundleError, match="link"):
        Bundle.open(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format="zip"), "format"),
        (lambda m: m.update(version=2), "version 2, this release reads 1"),
        (lambda m: m.update(version=True), "version True"),
        (lambda m: m.update(extra=1), "extra"),
        (lambda m: m.pop("image"), "image"),
        (lambda m: m.update(dimension=5), r"feature float32 \(batch, 4\), expected feature float32 \(batch, 5\)"),
        (lambda m: m.update(dimension=0), "dimension"),
        (lambda m: m.update(dimension="4"), "dimension"),
        (lambda m: m.update(dimension=10**12), "dimension"),
        (lambda m: m.update(vocabulary=4), "entities.jsonl holds 3 whole lines, expected 4"),
        (lambda m: m.update(vocabulary=10**12), "vocabulary"),
        (lambda m: m["image"].update(size=16), r"pixels float32 \(batch, 3, 8, 8\), expected"),
        (lambda m: m["image"].update(colour="red"), "colour"),
        (lambda m: m["image"].update(mean=["a", 0, 0]), "mean"),
        (lambda m: m["text"].update(form="bytes"), "form"),
        (lambda m: m.update(text=[]), "text"),
        (lambda m: m.update(channels=[]), "channels"),
        (lambda m: m.update(channels=["both", "both"]), "channels"),
        (lambda m: m.update(channels=["smell"]), "channels"),
        (lambda m: m.update(channels="both"), "channels"),
        (lambda m: m.update(trained_on="../x"), "trained_on"),
        (lambda m: m.update(parity=float("nan")), "parity"),
        (lambda m: m["parity"].update(worst=float("nan")), "JSON"),
        (lambda m: m["files"].update({"../../etc/passwd": m["files"]["ridge.npy"]}), "passwd"),
        (lambda m: m["files"].pop("ridge.npy"), "ridge.npy"),
        (lambda m: m["files"].update({"ridge.npy": 3}), "ridge.npy"),
        (lambda m: m["files"]["ridge.npy"].update(bytes=-1), "bytes"),
        (lambda m: m["files"]["ridge.npy"].update(bytes=10**11), "above the limit"),
        (lambda m: m["files"]["ridge.npy"].update(sha256="0" * 64), "SHA-256"),
    ],
)
def test_manifests_that_do_not_fit_are_refused(
    path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    restate(path, change)
    with pytest.raises(BundleError, match=message):
        Bundle.open(path)


def test_a_changed_manifest_is_noticed(path: Path) -> None:
    file = path / "manifest.json"
    file.write_text(file.read_text().replace('"max_length": 128', '"max_length": 127'))
    with pytest.raises(BundleError, match="fingerprint"):
        Bundle.open(path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4), np.float64), "<f8"),
        (np.zeros((4, 3), np.float32), r"\(4, 3\)"),
        (np.zeros((3, 4), ">f4"), ">f4"),
        (np.asfortranarray(np.ones((3, 4), np.float32)), "'fortran_order': True"),
        (np.full((3, 4), np.nan, np.float32), "not finite"),
        (np.zeros((3, 4), object), "'descr': '|O'"),
    ],
)
def test_arrays_of_another_kind_are_refused(path: Path, array: np.ndarray, message: str) -> None:
    np.save(path / "head_weight.npy", array)
    restate(path, lambda _: None)
    with pytest.raises(BundleError, match=message):
        Bundle.open(path)


@pytest.mark.parametrize("broken", [b"", b"\x93NUMPY", b"PK\x03\x04" * 30, b"\x93NUMPY\x01\x00\xff\xff{"])
def test_arrays_with_broken_headers_are_refused(path: Path, broken: bytes) -> None:
    (path / "head_weight.npy").write_bytes(broken + b" " * 10)
    restate(path, lambda _: None)
    with pytest.raises(BundleError, match=r"head_weight\.npy should be a \.npy file"):
        Bundle.open(path)


def test_arrays_of_another_length_are_refused(path: Path) -> None:
    with (path / "head_bias.npy").open("ab") as handle:
        handle.write(b"\0" * 4)
    restate(path, lambda _: None)
    with pytest.raises(BundleError, match="16 bytes of numbers"):
        Bundle.open(path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"id": "1", "name": "a"}\n' * 3, "same id"),
        ('{"id": "1", "name": "a"}\n{"id": "2", "name": 3}\n{"id": "3", "name": "c"}\n', "Line 2.*else than text"),
        ('{"id": "1"}\n{"id": "2"}\n{"id": "3"}\n', "Line 1.*id and name"),
        ('{"id": "1", "name": "a", "aliases": "b"}\n' * 3, "aliases"),
        ('{"id": "1", "name": "a", "attributes": {"b": 1}}\n' * 3, "else than text"),
        ("[1]\n[2]\n[3]\n", "Line 1"),
        ("[\n[\n[\n", "Line 1.*JSON"),
        ("[" * 99_999 + "\n\n\n", "Line 1.*JSON"),
        ('{"id": "1", "name": "a"}', "whole lines"),
    ],
)
def test_entities_that_do_not_fit_are_refused(path: Path, lines: str, message: str) -> None:
    (path / "entities.jsonl").write_text(lines)
    restate(path, lambda _: None)
    with pytest.raises(BundleError, match=message):
        Bundle.open(path)


def test_a_broken_tokenizer_is_refused(path: Path) -> None:
    (path / "tokenizer.json").write_text("{}")
    restate(path, lambda _: None)
    with pytest.raises(BundleError, match=r"tokenizer\.json cannot be read"):
        Bundle.open(path)


def field(number: int, value: bytes | int) -> bytes:
    """Write one protobuf field of at most 127 bytes or below 128."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


EXTERNAL = field(13, field(1, b"location") + field(2, b"../secret"))


@pytest.mark.parametrize(
    "graph",
    [
        field(7, field(5, EXTERNAL)),
        field(7, field(5, field(14, 1))),
        field(7, field(1, field(5, field(5, EXTERNAL)))),
        field(7, field(1, field(5, field(6, field(5, EXTERNAL))))),
        field(7, field(15, field(1, EXTERNAL))),
        bytes([25 << 3 & 127 | 2 | 128, 25 >> 4, len(field(7, field(5, field(10, EXTERNAL))))])
        + field(7, field(5, field(10, EXTERNAL))),
        field(7, field(1, field(4, b"EPContext"))),
    ],
)
def test_graphs_that_point_elsewhere_are_refused(path: Path, graph: bytes) -> None:
    (path / "encoder.onnx").write_bytes((path / "encoder.onnx").read_bytes() + graph)
    restate(path, lambda _: None)
    with pytest.raises(BundleError, match=r"other files|compiled context"):
        Bundle.open(path)


@pytest.mark.parametrize("node", [field(7, b"evil.ops"), field(5, field(6, field(1, field(7, b"evil.ops"))))])
def test_custom_operators_are_refused(path: Path, node: bytes) -> None:
    with (path / "encoder.onnx").open("ab") as file:
        file.write(field(7, field(1, node)))
    restate(path, lambda _: None)
    with pytest.raises(BundleError, match=r"custom operators, of evil\.ops"):
        Bundle.open(path)


def test_operators_that_the_file_defines_itself_are_none() -> None:
    function = field(1, b"f") + field(10, b"own") + field(7, field(4, b"Add"))
    length = len(function)
    defined = bytes([25 << 3 & 127 | 2 | 128, 25 >> 4, length]) + function
    assert read_spec(field(7, field(1, field(4, b"f") + field(7, b"own"))) + defined) == GraphSpec((), ())


@pytest.fixture
def further(content: BundleContent) -> BundleContent:
    """A bundle with a graph for texts beside that for both."""
    graphs = {graph_file("text", "int8"): hollow_graph(encoder_spec(4, 8, "text"))}
    return replace(content, further=graphs)


def test_graphs_have_names_of_their_own() -> None:
    assert len(GRAPHS) == 9 and next(iter(GRAPHS)) == "encoder.onnx"
    assert GRAPHS["encoder-picture.onnx"] == ("picture", "fp32")
    assert GRAPHS["encoder-int8.onnx"] == ("both", "int8")


def test_further_graphs_are_read(tmp_path: Path, further: BundleContent) -> None:
    bundle = write_bundle(tmp_path / "c", further)
    assert bundle.graphs == (("both", "fp32"), ("text", "int8"))
    assert bundle.read_graph("text", "int8") == further.further["encoder-text-int8.onnx"]
    with pytest.raises(BundleError, match=r"no encoder-int8\.onnx, but fp32 \(both\), int8 \(text\); export it"):
        bundle.read_graph(variant="int8")


@pytest.mark.parametrize("name", ["encoder-text.onnx", "encoder-picture-int8.onnx"])
def test_further_graphs_that_take_something_else_are_refused(tmp_path: Path, content: BundleContent, name: str) -> None:
    changed = replace(content, further={name: content.graph})
    with pytest.raises(BundleError, match=f"{name} does not fit the manifest"):
        write_bundle(tmp_path / "c", changed)


def test_hostile_further_graphs_are_refused(tmp_path: Path, further: BundleContent) -> None:
    """What is held against the first graph is held against all: other files, custom operators, links, changes."""
    name = graph_file("text", "int8")
    graph = further.further[name]
    absolute = field(7, field(5, field(13, field(1, b"location") + field(2, b"/etc/hostname"))))
    for part, message in (
        (field(7, field(5, EXTERNAL)), "other files"),
        (absolute, "other files"),
        (field(7, field(1, field(7, b"evil.ops"))), "custom operators"),
    ):
        with pytest.raises(BundleError, match=message):
            write_bundle(tmp_path / "c", replace(further, further={name: graph + part}))
    bundle = write_bundle(tmp_path / "c", further)
    file, outside = bundle.path / name, tmp_path / "outside.onnx"
    file.rename(outside)
    with pytest.raises(BundleError, match=f"{name} is missing"):
        Bundle.open(bundle.path)
    file.symlink_to(outside)
    with pytest.raises(BundleError, match=r"leaves .* through a link"):
        Bundle.open(bundle.path)
    file.unlink()
    file.write_bytes(graph[:-1] + b"\0")
    with pytest.raises(BundleError, match=r"SHA-256"):
        Bundle.open(bundle.path)


@pytest.mark.parametrize("name", ["extra.onnx", "encoder-fp64.onnx", "../encoder-int8.onnx"])
def test_graphs_of_other_names_are_refused(tmp_path: Path, content: BundleContent, name: str) -> None:
    with pytest.raises(BundleError, match="missing or unknown"):
        write_bundle(tmp_path / "c", replace(content, further={name: content.graph}))
    assert list(tmp_path.glob("**/*")) == []


@pytest.mark.parametrize("graph", [b"", b"\xff" * 40, b"no graph at all", b"\x3a\x7f", b"\x3b"])
def test_files_that_are_no_graph_are_refused(path: Path, graph: bytes) -> None:
    (path / "encoder.onnx").write_bytes(graph)
    restate(path, lambda m: m["files"]["encoder.onnx"].update(bytes=max(1, len(graph))))
    with pytest.raises(BundleError):
        Bundle.open(path)


def test_endless_nesting_is_refused() -> None:
    inner = b""
    for _ in range(60):
        inner = _put(6, _put(1, _put(5, inner)))
    with pytest.raises(BundleError, match="nested deeper"):
        read_spec(_put(7, _put(1, _put(5, inner))))


def test_a_manifest_that_nests_without_end_is_refused(path: Path) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    for _ in range(100_000):
        manifest["parity"] = {"deeper": manifest["parity"]}
    with pytest.raises(BundleError, match="cannot be written as JSON"):
        read_manifest(manifest, FILES)


def test_a_declared_graph_is_read_back() -> None:
    spec = encoder_spec(4, 300)
    assert read_spec(hollow_graph(spec)) == spec
    assert spec.differences(spec) == ()


def test_differences_are_named() -> None:
    spec = GraphSpec((TensorSpec("a", "int64", ("batch",)), TensorSpec("b", "int64", ("batch", 2))), ())
    found = GraphSpec((TensorSpec("b", "int64", (1, 2)), TensorSpec("c", "int64", ())), ())
    assert spec.differences(found) == (
        "input a is missing",
        "input is b int64 (1, 2), expected b int64 (batch, 2)",
        "input c is not expected",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"head_weight": np.zeros((3, 5), np.float32)},
        {"head_weight": np.zeros((3, 4), np.float64)},
        {"head_bias": np.zeros(2, np.float32)},
        {"ridge": np.zeros((4, 4), np.float32)},
        {"ridge": np.full((5, 5), np.inf, np.float32)},
        {"entities": ENTITIES[:2]},
        {"entities": ENTITIES[:2] + ENTITIES[:1]},
        {"graph": b"no graph"},
        {"tokenizer": b"{}"},
        {"image": ImageConfig(9)},
        {"channels": ()},
        {"trained_on": "yesterday"},
        {"parity": {"worst": float("nan")}},
        {"parity": {"worst": np.float32(1)}},
    ],
)
def test_content_that_does_not_fit_is_not_written(path: Path, content: BundleContent, change: dict[str, Any]) -> None:
    before = Bundle.open(path).fingerprint
    with pytest.raises(BundleError):
        write_bundle(path, replace(content, **change))
    assert Bundle.open(path).fingerprint == before
    assert [file.name for file in path.parent.iterdir()] == ["b"], "nothing is left beside it"


def test_an_older_bundle_survives_a_kill(path: Path) -> None:
    """The two states that a kill can leave: an unfinished folder beside, and the old one moved aside."""
    before = Bundle.open(path).fingerprint
    (path.parent / ".b.1.part").mkdir()
    path.rename(path.parent / ".b.old")
    assert Bundle.open(path).fingerprint == before
    assert fake_bundle(path, ENTITIES, seed=5).fingerprint != before


def test_a_missing_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle at"):
        Bundle.open(tmp_path / "absent")
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Bundle.open(tmp_path)


def test_a_graph_that_changes_after_opening_is_noticed(path: Path) -> None:
    bundle = Bundle.open(path)
    content = bytearray((path / "encoder.onnx").read_bytes())
    content[-1] ^= 1
    (path / "encoder.onnx").write_bytes(content)
    with pytest.raises(BundleError, match="SHA-256"):
        bundle.read_graph()


KILLED = """
import os, sys
from pathlib import Path
from entity_expand import renaming
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.types import Entity

left = int(sys.argv[2])
rename = Path.rename

def counted(self, target):
    global left
    if left == 0:
        os._exit(9)
    left -= 1
    return rename(self, target)

Path.rename = Path.replace = counted
renaming.ctypes.CDLL = lambda *_, **__: object()  # as on a system that cannot exchange two folders in one step
fake_bundle(Path(sys.argv[1]), (Entity("1", "Norway"),), seed=5)
"""


@pytest.mark.parametrize("renames", [0, 1, 2, 3, 4])
def test_a_process_that_is_killed_leaves_one_whole_bundle(path: Path, tmp_path: Path, renames: int) -> None:
    """Killed before its n-th rename: the manifest's, the old folder's, the new one's, the old one's, or not at all."""
    before = Bundle.open(path).fingerprint
    command = [sys.executable, "-c", KILLED, str(path), str(renames)]
    killed = subprocess.run(command, check=False).returncode
    assert killed == (9 if renames < 4 else 0)
    assert (Bundle.open(path).fingerprint == before) == (renames < 3)
    again = fake_bundle(path, ENTITIES[:1], seed=5)
    assert Bundle.open(path).fingerprint == again.fingerprint
    assert [file.name for file in tmp_path.iterdir()] == ["b"], "nothing is left of the killed process"
