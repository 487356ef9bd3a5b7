"""Every endpoint asked as its description allows, and as it does not: never an error of the service's own."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from entity_expand import Expander, Expansion
from entity_expand.query import STRATEGIES
from entity_expand.serve.app import create_app
from entity_expand.serve.settings import ServeSettings
from entity_expand.types import MODALITIES

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
HERE = {"host": "localhost"}
EXAMPLES = 25
OPERATIONS = [
    "GET /healthz",
    "GET /readyz",
    "GET /v1/entities",
    "GET /v1/entities/{id}",
    "GET /v1/index",
    "GET /v1/pictures/{path}",
    "POST /v1/encode",
    "POST /v1/expand",
    "POST /v1/expand/batch",
    "POST /v1/explain",
    "POST /v1/explain/set",
]
NAMES = st.sampled_from(["0", "3", "place 6", "P-9", "a", "c/d e", "Place 12", "nobody"])
NUMBERS = st.floats(1e-3, 1e3)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "both_directions": st.sampled_from([0, 0.5, 1e6]),
        "space": st.sampled_from(["heads", "features"]),
        "pool_size": st.integers(1, 40),
        "max_fetches": st.integers(1, 3),
        "search": st.fixed_dictionaries(
            {}, optional={"window": st.integers(1, 100), "member_weight": st.floats(0, 1), "rerank": st.booleans()}
        ),
    },
)
QUERIES = st.fixed_dictionaries(
    {"seeds": st.lists(NAMES, min_size=1, max_size=4, unique=True)},
    optional={
        "size": st.integers(1, 20),
        "negative": st.lists(NAMES, max_size=3),
        "weights": st.lists(NUMBERS, min_size=1, max_size=4),
        "exclude": st.lists(NAMES, max_size=3),
        "strategy": st.sampled_from([None, *STRATEGIES]),
        "modality": st.sampled_from([None, *MODALITIES]),
        "rerank": st.sampled_from([None, True, False]),
        "settings": SETTINGS,
        "filter": st.fixed_dictionaries(
            {}, optional={"attributes": st.just({"kind": ["k0", "k2"]}), "name_prefix": st.sampled_from(["p", "", "q"])}
        ),
    },
)


@pytest.fixture(scope="module")
def operations(expander: Expander) -> dict[str, Any]:
    app = create_app(expander, ServeSettings(size=20, batch=3))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers=HERE)
    return {operation.label: operation for operation in (found.ok() for found in schema.get_all_operations())}


def test_all_operations_are_asked(operations: dict[str, Any]) -> None:
    assert sorted(operations) == OPERATIONS


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_endpoint_answers_as_described(operations: dict[str, Any], operation: str, mode: GenerationMode) -> None:
    if mode is GenerationMode.NEGATIVE and operation in OPERATIONS[:2] + OPERATIONS[4:5]:
        return  # they take nothing that could be wrong

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operations[operation].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        case.call_and_validate(checks=CHECKS, headers=HERE)

    ask()


@settings(
    max_examples=3 * EXAMPLES, deadline=None, derandomize=True, database=None,
    phases=[Phase.generate], suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(asked=QUERIES)
def test_known_seeds_with_any_options_are_expanded_or_refused(client: TestClient, asked: dict[str, Any]) -> None:
    response = client.post("/v1/expand", json=asked)
    content = response.json()
    assert response.status_code in (200, 422), content
    if response.status_code == 200:
        del content["pictures"]
        assert len(Expansion.from_dict(content).results) <= asked.get("size", 20)
