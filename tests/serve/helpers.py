"""How answers are read in these tests."""

from __future__ import annotations

from typing import Any

from entity_expand.serve.answers import ProblemAnswer


def problem(response: Any) -> ProblemAnswer:
    """What was answered instead of a result."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    found = ProblemAnswer.model_validate(response.json())
    assert found.status == response.status_code and "Traceback" not in response.text
    assert found.request_id == response.headers["x-request-id"]
    return found
