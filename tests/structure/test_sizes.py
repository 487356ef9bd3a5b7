"""Modules and functions stay short."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Module

MODULE_LINES = 300
FUNCTION_LINES = 60
EXCEPTIONS: dict[str, str] = {}
"""Reason by `path` of a module or `path:function` that may be longer."""


def too_long(modules: tuple[Module, ...]) -> dict[str, int]:
    found = {}
    for module in modules:
        found[module.path] = module.text.count("\n") if module.text.count("\n") > MODULE_LINES else 0
        for node in ast.walk(module.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                found[f"{module.path}:{node.name}"] = lines if lines > FUNCTION_LINES else 0
    return {where: lines for where, lines in found.items() if lines}


def test_modules_and_functions_are_short(modules: tuple[Module, ...]) -> None:
    found = too_long(modules)
    assert {where: lines for where, lines in found.items() if where not in EXCEPTIONS} == {}
    assert set(EXCEPTIONS) - set(found) == set(), "exceptions that are no longer needed"
    assert all(EXCEPTIONS.values()), "each exception has its reason"
