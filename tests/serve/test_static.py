"""The files of the page: which are served, and under which policy."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from entity_expand.serve.http import add_problems
from entity_expand.serve.static import add_page


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    (folder / "parts").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>é</title>", encoding="utf-8")
    (folder / "parts" / "app.js").write_text("export {};\n")
    (folder / "notes.py").write_text("secret\n")
    (tmp_path / "secret.js").write_text("secret\n")
    return folder


def opened(folder: Path) -> TestClient:
    app = FastAPI(docs_url=None, redoc_url=None)
    add_page(app, folder)
    add_problems(app)
    return TestClient(app)


def test_the_page_and_its_parts_are_served(page: Path) -> None:
    client = opened(page)
    index, script = client.get("/"), client.get("/page/parts/app.js")
    assert index.text == "<!doctype html><title>é</title>"
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    assert script.text == "export {};\n" and script.headers["content-type"].startswith("text/javascript")
    for response in (index, script):
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert client.head("/").status_code == 200 and client.head("/").content == b""


def test_what_has_not_changed_is_not_sent_again(page: Path) -> None:
    client = opened(page)
    tag = client.get("/").headers["etag"]
    same = client.get("/", headers={"if-none-match": tag})
    assert same.status_code == 304 and same.content == b""
    assert client.get("/", headers={"if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "path", ["notes.py", "../secret.js", "..%2Fsecret.js", "%2e%2e/secret.js", "", "parts", "/etc/passwd"]
)
def test_nothing_else_is(page: Path, path: str) -> None:
    response = opened(page).get(f"/page/{path}")
    assert response.status_code == 404 and "secret\n" not in response.text


def test_without_a_page_there_is_nothing(tmp_path: Path) -> None:
    assert opened(tmp_path / "none").get("/").status_code == 404
