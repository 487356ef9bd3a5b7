"""The same service over a search server: the same answers, and problems when the server is gone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from entity_expand import Expander
from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus
from entity_expand.elastic.store import ElasticStore
from entity_expand.encoder import FakeEncoder
from entity_expand.serve.app import create_app
from entity_expand.serve.settings import ServeSettings
from indexer import ElasticSettings, IndexSettings, index_corpus
from serve.helpers import problem
from servers.fixtures import delete_all
from servers.proxy import Proxy

ASKED = {"seeds": ["3", "place 6"], "size": 7, "exclude": ["P-9"], "filter": {"attributes": {"kind": ["k0", "k1"]}}}


@pytest.fixture(scope="module")
def served(world: Path, elasticsearch_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    address = f"{elasticsearch_url}/service-{uuid.uuid4().hex[:12]}"
    bundle = Bundle.open(world / "bundle")
    try:
        with Corpus.open(world / "corpus") as corpus:
            work = ElasticSettings(work=tmp_path_factory.mktemp("work"), merge=False)
            settings = IndexSettings(modalities=True)
            index_corpus(bundle, FakeEncoder(bundle.dimension), corpus, address, settings, elastic=work)
        yield address
    finally:
        delete_all(elasticsearch_url, address.rpartition("/")[2])


def test_answers_are_those_of_the_embedded_index(served: str, client: TestClient) -> None:
    with Expander.open(served) as expander:
        app = create_app(expander, client.app.state.service.settings)  # type: ignore[attr-defined]
        with TestClient(app, base_url="http://localhost") as other:
            for path in ("/v1/entities?prefix=place%201", "/v1/entities?name=mercury", "/v1/entities/0", "/readyz"):
                assert other.get(path).json() == client.get(path).json()
            one, two = (each.post("/v1/expand", json=ASKED).json() for each in (other, client))
            assert [result["id"] for result in one["results"]] == [result["id"] for result in two["results"]]
            assert one["seeds"] == two["seeds"] and one["exact"]
            facts, right = other.get("/v1/index").json(), client.get("/v1/index").json()
            assert facts["attributes"] == right["attributes"] and facts["entities"] == right["entities"]
            batch = other.post("/v1/expand/batch", json={"queries": [ASKED, {"seeds": ["Mercuri"]}, ASKED]}).json()
            assert batch["results"][0]["results"] == batch["results"][2]["results"]
            assert batch["results"][1]["suggestions"] == ["Mercury"]


def test_modalities_that_the_index_knows_can_be_asked_for(served: str) -> None:
    with Expander.open(served) as expander:
        app = create_app(expander, ServeSettings())
        with TestClient(app, base_url="http://localhost") as client:
            assert client.get("/v1/index").json()["modalities"] == ["both", "text", "picture"]
            found = client.post("/v1/expand", json={"seeds": ["3", "6"], "modality": "text"}).json()
            assert [each["id"] for each in found["results"]] == expander.expand(["3", "6"], modality="text").ids
            refused = problem(client.post("/v1/expand", json={"seeds": ["3", "0"], "modality": "picture"}))
            assert refused.status == 422 and "Place 3 have no picture" in refused.detail


def test_a_search_server_that_is_gone_is_a_problem(served: str, elasticsearch_url: str) -> None:
    with Proxy(elasticsearch_url) as proxy:
        expander = Expander(ElasticStore.open(served.replace(elasticsearch_url, proxy.url), recheck=0.0))
        app = create_app(expander, ServeSettings(seconds=1.0))
    with expander, TestClient(app, base_url="http://localhost") as client:
        for response in (client.post("/v1/expand", json=ASKED), client.get("/readyz")):
            found = problem(response)
            assert found.status in (503, 504) and response.headers["retry-after"]
            assert proxy.url not in response.text
        assert client.get("/healthz").status_code == 200
