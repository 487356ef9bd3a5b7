"""What each endpoint answers, and what it refuses."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from entity_expand import Expander, ExpandSettings, Expansion, Filter, SearchSettings
from entity_expand.bundle import Bundle
from entity_expand.channels.fusion import ChannelWeights
from entity_expand.config import to_mapping
from entity_expand.encoder import EncoderInput, FakeEncoder
from entity_expand.seeds.newcomers import SeedEncoder
from entity_expand.serve.answers import (
    BatchAnswer,
    EntitiesAnswer,
    ExpansionAnswer,
    ExplanationAnswer,
    FeaturesAnswer,
    IndexAnswer,
    SetExplanationAnswer,
    WholeEntityAnswer,
)
from entity_expand.serve.app import create_app
from entity_expand.serve.settings import ServeSettings
from serve.helpers import problem
from serve.worlds import COUNT, SCRIPT


def test_an_expansion_is_that_of_the_library(client: TestClient, expander: Expander) -> None:
    asked = {
        "seeds": ["3", "place 6"],
        "size": 12,
        "exclude": ["P-9"],
        "filter": {"attributes": {"kind": ["k0", "k1"]}, "name_prefix": "PLACE"},
    }
    response = client.post("/v1/expand", json=asked)
    found = ExpansionAnswer.model_validate(response.json())
    right = expander.expand(["3", "6"], 12, exclude=["9"], filter=Filter({"kind": ["k0", "k1"]}, name_prefix="place"))
    assert [each.id for each in found.results] == right.ids and right.ids
    assert [each.score for each in found.results] == [each.score for each in right.results]
    assert [each.name for each in found.seeds] == ["Place 3", "Place 6"]
    assert found.results[0].evidence[0].text == right.results[0].evidence[0].text
    assert "9" not in right.ids and found.exact


def test_pictures_of_a_set_have_addresses_that_lead_to_them(client: TestClient, world: Path) -> None:
    found = client.post("/v1/expand", json={"seeds": ["0", "3"], "size": 3}).json()
    assert found["pictures"] == {"0": "/v1/pictures/im%20ages/0.png"}
    picture = client.get(found["pictures"]["0"])
    assert picture.content == (world / "corpus" / "im ages" / "0.png").read_bytes()
    assert picture.headers["content-type"] == "image/png"
    assert "sandbox" in picture.headers["content-security-policy"]


def test_pictures_are_shrunk_for_those_who_ask(expander: Expander, tmp_path: Path) -> None:
    Image.new("RGB", (400, 300), (10, 200, 30)).save(tmp_path / "large.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "large.png").read_bytes()[:-40])
    own = Expander(expander.store, tmp_path)
    with TestClient(create_app(own), base_url="http://localhost") as client:
        small = client.get("/v1/pictures/large.png?side=40")
        assert small.headers["content-type"] == "image/jpeg"
        with Image.open(io.BytesIO(small.content)) as image:
            assert image.size == (40, 30)
        same = client.get("/v1/pictures/large.png?side=400")
        assert same.content == (tmp_path / "large.png").read_bytes() and same.headers["content-type"] == "image/png"
        assert problem(client.get("/v1/pictures/large.png?side=1")).status == 422
        assert problem(client.get("/v1/pictures/broken.png?side=40")).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "corpus.json", "im%20ages", "im%20ages/1.png", "", ".", "%00", "../index/CURRENT", "..%2F..%2Fetc%2Fpasswd",
        "%2Fetc%2Fpasswd", "im%20ages/..%5C0.png",
    ],
)  # fmt: skip
def test_nothing_but_pictures_is_handed_out(client: TestClient, path: str) -> None:
    assert problem(client.get(f"/v1/pictures/{path}")).type.endswith("not-found")


def test_entities_are_found_by_how_a_name_begins(client: TestClient) -> None:
    found = EntitiesAnswer.model_validate(client.get("/v1/entities", params={"prefix": "pLaCe 1", "limit": 3}).json())
    assert [each.name for each in found.entities] == ["Place 1", "Place 10", "Place 11"]
    assert found.entities[0].attributes == {"kind": "k1"} and found.entities[0].aliases == ["P-1"]
    assert len(client.get("/v1/entities").json()["entities"]) == 20
    assert client.get("/v1/entities", params={"prefix": "place 0"}).json()["entities"][0]["picture"]


@pytest.mark.parametrize(
    ("name", "ids"), [("Mercury", ["a", "b"]), ("p-7", ["7"]), ("c/d e", ["c/d e"]), ("nobody", []), ("Merc", [])]
)
def test_entities_are_looked_up(client: TestClient, name: str, ids: list[str]) -> None:
    assert [each["id"] for each in client.get("/v1/entities", params={"name": name}).json()["entities"]] == ids


def test_one_entity_comes_with_its_evidence(client: TestClient) -> None:
    found = WholeEntityAnswer.model_validate(client.get("/v1/entities/0").json())
    assert found.name == "Place 0" and found.samples == 2 and len(found.evidence) == 2
    assert found.pictures == ["/v1/pictures/im%20ages/0.png", None]
    assert client.get("/v1/entities/c%2Fd%20e").json()["name"] == SCRIPT
    assert problem(client.get("/v1/entities/P-0")).status == 404
    assert problem(client.get("/v1/entities/")).status == 404


def test_the_index_says_what_it_is(client: TestClient) -> None:
    found = IndexAnswer.model_validate(client.get("/v1/index").json())
    assert (found.title, found.entities, found.limits.seeds, found.limits.results) == ("places", COUNT + 3, 5, 20)
    assert found.exact and found.strategies[0] == "paper" and {"both", "hybrid"} <= set(found.strategies)
    assert found.modalities == ["both"]
    (kind,) = found.attributes
    assert (kind.key, kind.distinct) == ("kind", 3)
    assert [(each.value, each.entities) for each in kind.values] == [(f"k{n}", COUNT // 3) for n in range(3)]


def test_every_strategy_that_it_names_can_be_asked_for(client: TestClient) -> None:
    for strategy in client.get("/v1/index").json()["strategies"]:
        response = client.post("/v1/expand", json={"seeds": ["3", "6"], "size": 5, "strategy": strategy})
        assert response.status_code == 200 and len(response.json()["results"]) == 5


def test_settings_are_those_of_the_library(client: TestClient, expander: Expander) -> None:
    settings = ExpandSettings(both_directions=0.5, search=SearchSettings(window=2, member_weight=0.3))
    asked = {"seeds": ["3", "6"], "size": 9, "settings": to_mapping(settings)}
    answer = client.post("/v1/expand", json=asked).json()
    assert answer.pop("pictures") == {}
    found = Expansion.from_dict(answer)
    assert found == expander.expand(["3", "6"], 9, settings=settings) and found.query.settings == settings


def test_channels_are_weighed_as_in_the_library(client: TestClient, expander: Expander) -> None:
    settings = ExpandSettings(channels=ChannelWeights(model=0.5, lexical=2.0))
    asked = {"seeds": ["3", "6"], "size": 9, "strategy": "hybrid"}
    answer = client.post("/v1/expand", json={**asked, "settings": to_mapping(settings)}).json()
    usual = client.post("/v1/expand", json=asked).json()["results"]
    assert [each["score"] for each in answer["results"]] != [each["score"] for each in usual]
    assert set(answer.pop("pictures")) <= {"0"}
    assert Expansion.from_dict(answer) == expander.expand(["3", "6"], 9, strategy="hybrid", settings=settings)


def test_it_is_alive_and_ready(client: TestClient) -> None:
    assert client.get("/healthz").json() == client.get("/readyz").json() == {"status": "ok"}


def test_an_unknown_seed_is_a_problem_with_suggestions(client: TestClient) -> None:
    found = problem(client.post("/v1/expand", json={"seeds": ["Mercuri"]}))
    assert (found.status, found.type) == (422, "urn:entity-expand:problem:unknown-seed")
    assert (found.seed, found.suggestions) == ("Mercuri", ["Mercury"])


def test_an_ambiguous_seed_is_a_problem_with_readings(client: TestClient) -> None:
    found = problem(client.post("/v1/expand", json={"seeds": ["Mercury"]}))
    assert found.type.endswith("ambiguous-seed") and found.readings is not None
    assert [reading.id for reading in found.readings] == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "#/seeds"),
        ({"seeds": []}, "#/seeds"),
        ({"seeds": ["0"], "sise": 3}, "#/sise"),
        ({"seeds": ["0"], "size": 0}, "#/size"),
        ({"seeds": ["0"], "size": 21}, "at most 20 results"),
        ({"seeds": [str(n) for n in range(6)]}, "at most 5 seeds"),
        ({"seeds": ["0"], "negative": [str(n) for n in range(1, 7)]}, "at most 5 negatives"),
        ({"seeds": ["0", "0"]}, "more than once"),
        ({"seeds": ["0"], "weights": [0]}, "#/weights/0"),
        ({"seeds": ["0"], "strategy": "guess"}, "#/strategy"),
        ({"seeds": ["0"], "filter": {"query": {"match_all": {}}}}, "#/filter/query"),
        ({"seeds": ["0"], "filter": {"attributes": {"kind": list("abcde")}}}, "at most 4 values"),
        ({"seeds": ["0"], "settings": {"search": {"window": 101}}}, "#/settings/search/window"),
        ({"seeds": ["0"], "settings": {"space": "features"}, "rerank": True}, "no"),
        ({"seeds": ["0"], "settings": {"channels": {"model": 0}}}, "one of them is more"),
        ({"seeds": ["0"], "settings": {"channels": {"words": 1}}}, "#/settings/channels/words"),
        ({"seeds": [{"text": " "}]}, "needs a text"),
        ({"seeds": [{"image": "no base64!"}]}, "no base64"),
        ({"seeds": [{"image": "bm8gcGljdHVyZQ=="}]}, "broken or none of"),
    ],
)
def test_what_is_wrong_with_a_query_is_said(client: TestClient, body: dict, said: str) -> None:
    found = problem(client.post("/v1/expand", json=body))
    assert found.status == 422 and said in found.detail


def test_a_batch_is_one_by_one(client: TestClient) -> None:
    good, unknown = {"seeds": ["3", "6"], "size": 4}, {"seeds": ["Mercuri"]}
    long, broken = {"seeds": ["3"], "size": 21}, {"seeds": [{"image": "bm8gcGljdHVyZQ=="}]}
    response = client.post("/v1/expand/batch", json={"queries": [unknown, good, long, broken, good]})
    assert response.status_code == 200
    found = response.json()["results"]
    assert found[1] == found[4] == client.post("/v1/expand", json=good).json()
    assert [each.get("type", "").rpartition(":")[2] for each in found] == ["unknown-seed", "", "query", "picture", ""]
    assert len(BatchAnswer.model_validate(response.json()).results) == 5
    flat = {"seeds": ["0"], "settings": {"space": "features"}, "rerank": True}
    found = client.post("/v1/expand/batch", json={"queries": [good, flat]}).json()["results"]
    assert "results" in found[0] and "ranked again" in found[1]["detail"]


def test_a_batch_has_a_limit(client: TestClient) -> None:
    asked = {"queries": [{"seeds": ["0"]}] * 6}
    assert "at most 5 expansions" in problem(client.post("/v1/expand/batch", json=asked)).detail


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"{", "application/json", 422),
        (b"[" * 100_000, "application/json", 400),
        (b'{"seeds": ["0"]}', "text/plain", 422),
        (b"\xff\xfe", "application/json", 422),
        (b'{"seeds": ["\\ud800"]}', "application/json", 422),
        (b'{"seeds": ["0"], "weights": [NaN]}', "application/json", 422),
    ],
)
def test_bodies_that_are_no_json_are_refused(client: TestClient, content, media_type, status) -> None:
    assert problem(client.post("/v1/expand", content=content, headers={"content-type": media_type})).status == status


def test_there_is_nothing_elsewhere(client: TestClient) -> None:
    assert problem(client.get("/v1/nothing")).status == 404
    assert problem(client.get("/v1/expand")).status == 405
    assert problem(client.get("/docs")).status == 404


@pytest.mark.parametrize("asked", [{}, {"size": 9, "strategy": "both", "negative": ["4"]}])
def test_results_are_explained_from_their_question_or_their_page(client: TestClient, asked: dict) -> None:
    query = {"seeds": ["3", "6"], **asked}
    page = client.post("/v1/expand", json=query).json()
    which = page["results"][2]["id"]
    by_query = client.post("/v1/explain", json={"query": query, "id": which})
    by_page = client.post("/v1/explain", json={"expansion": page, "id": which})
    assert by_query.status_code == 200 and by_query.json() == by_page.json()
    found = ExplanationAnswer.model_validate(by_query.json())
    assert found.result.id == which and {each.seed.id for each in found.contributions} == {"3", "6"}
    assert sum(each.share for each in found.contributions) == pytest.approx(found.result.similarity)
    assert [each.seed.id for each in found.against] == asked.get("negative", [])
    whole = client.post("/v1/explain/set", json={"expansion": page})
    assert whole.json() == client.post("/v1/explain/set", json={"query": query}).json()
    assert SetExplanationAnswer.model_validate(whole.json()).members == min(22, asked.get("size", 20) + 2)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"id": "9"}, "either a query or an expansion"),
        ({"id": "9", "query": {"seeds": ["3"]}, "expansion": {}}, "either a query or an expansion"),
        ({"id": "no such", "query": {"seeds": ["3"]}}, "No result has"),
        ({"id": "9", "expansion": {"format": "other"}}, "entity-expand expansion"),
        ({"id": "9", "query": {"seeds": ["3"], "size": 21}}, "at most 20 results"),
    ],
)
def test_explanations_of_nothing_are_refused(client: TestClient, body: dict, said: str) -> None:
    found = problem(client.post("/v1/explain", json=body))
    assert found.status == 422 and said in found.detail


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seeds": ["", "6"]}, "no id"),
        ({"negatives": ["4", "4"]}, "something twice"),
        ({"negatives": ["4", "6"]}, "something twice"),
        ({"negatives": ["4", "P-4"]}, "the same entity"),
        ({"seeds": ["3", "P-3"]}, "more than once"),
    ],
)
def test_pages_whose_parts_do_not_fit_are_refused(client: TestClient, changed: dict, said: str) -> None:
    page = client.post("/v1/expand", json={"seeds": ["3", "6"], "negative": ["4", "5"], "size": 9}).json()
    for name, ids in changed.items():
        page[name] = [{**given, "id": each} for given, each in zip(page[name], ids, strict=True)]
    found = problem(client.post("/v1/explain", json={"expansion": page, "id": page["results"][0]["id"]}))
    assert found.status == 422 and said in found.detail


@pytest.mark.parametrize("path", ["results/0/score", "results/0/confidence", "query/settings/both_directions"])
def test_pages_with_numbers_beyond_a_float_are_refused(client: TestClient, path: str) -> None:
    page = client.post("/v1/expand", json={"seeds": ["3"], "size": 2, "settings": {}}).json()
    *parents, last = path.split("/")
    inside = page
    for step in parents:
        inside = inside[int(step) if isinstance(inside, list) else step]
    inside[last] = 10**400
    found = problem(client.post("/v1/explain", json={"expansion": page, "id": page["results"][0]["id"]}))
    assert found.status == 422 and "a finite number" in found.detail


def test_settings_beyond_the_largest_weight_are_refused(client: TestClient) -> None:
    for value in (2e6, 10**400):
        for settings in ({"both_directions": value}, {"search": {"rank_weight": value}}, {"channels": {"text": value}}):
            assert problem(client.post("/v1/expand", json={"seeds": ["3"], "settings": settings})).status == 422


def test_without_a_bundle_nothing_is_encoded(client: TestClient) -> None:
    assert not client.get("/v1/index").json()["new_seeds"]
    found = problem(client.post("/v1/encode", json={"inputs": [{"text": "The [[okapi]] eats leaves."}]}))
    assert found.status == 422 and "--bundle" in found.detail


def large_picture(side: int) -> str:
    """The first bytes of a PNG of so many pixels a side, as base64: enough for its header, and nothing to decode."""
    stream = io.BytesIO()
    Image.new("P", (side, side)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()[:60]).decode()


def test_pictures_are_not_decoded_before_they_are_encoded(client: TestClient) -> None:
    seed = {"text": "", "image": large_picture(4_000), "name": "large"}
    for path, body in [("expand", {"seeds": ["3", seed]}), ("encode", {"inputs": [seed]})]:
        found = problem(client.post(f"/v1/{path}", json=body))
        assert found.status == 422 and ("nothing to encode it with" in found.detail or "--bundle" in found.detail)


def test_pictures_of_a_question_and_of_a_page_have_the_same_limits(expander: Expander) -> None:
    app = create_app(expander, ServeSettings(picture_pixels=1_000, picture_bytes=2_000))
    with TestClient(app, base_url="http://localhost") as client:
        page = client.post("/v1/expand", json={"seeds": ["3", "6"], "size": 3}).json()
        long = base64.b64encode(b"x" * 2_001).decode()
        for image, said in [(large_picture(40), "40 x 40 pixels"), (long, "2,001 bytes"), ("AAAA", "none of JPEG")]:
            seed = {"text": "", "image": image, "name": "large"}
            page["query"] |= {"seeds": ["3", seed], "negative": []}
            page["seeds"][1]["id"] = ""
            for body in ({"expansion": page, "id": "9"}, {"query": {"seeds": ["3", seed]}, "id": "9"}):
                found = problem(client.post("/v1/explain", json=body))
                assert found.type.endswith("picture") and said in found.detail


def test_with_a_bundle_new_seeds_are_encoded(world: Path, expander: Expander) -> None:
    bundle = Bundle.open(world / "bundle")
    encoding = Expander(expander.store, encoder=SeedEncoder(bundle, FakeEncoder(bundle.dimension)))
    picture = base64.b64encode((world / "corpus" / "im ages" / "0.png").read_bytes()).decode()
    inputs = [{"text": "The [[okapi]] has salt wave tide."}, {"text": "An [[ibis]].", "image": picture}]
    app = create_app(encoding, ServeSettings(batch=2))
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/v1/index").json()["new_seeds"]
        found = FeaturesAnswer.model_validate(client.post("/v1/encode", json={"inputs": inputs}).json())
        assert found.bundle == bundle.fingerprint and found.dimension == bundle.dimension
        assert [len(each) for each in found.features] == [found.dimension] * 2
        (own,) = FakeEncoder(bundle.dimension).encode([EncoderInput("The okapi has salt wave tide.", ((4, 9),), None)])
        assert found.features[0] == pytest.approx(own.tolist(), abs=1e-5)
        answer = client.post("/v1/expand", json={"seeds": ["3", inputs[1]], "size": 4}).json()
        assert [seed["name"] for seed in answer["seeds"]] == ["Place 3", "ibis"] and len(answer["results"]) == 4
        assert "at most 2 inputs" in problem(client.post("/v1/encode", json={"inputs": inputs * 2})).detail
