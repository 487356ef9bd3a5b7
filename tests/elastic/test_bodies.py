"""Bodies and documents as pure functions, and that a real server takes them as they are meant."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import struct
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest

from contract.world import ALL, World, make_world, serve
from entity_expand import (
    ConfigError,
    Expander,
    ExpandSettings,
    Filter,
    IndexChangedError,
    MemoryStore,
    QueryError,
    SearchSettings,
    StoreError,
)
from entity_expand.elastic.bodies import (
    VectorOptions,
    decode_floats,
    encode_floats,
    filter_clauses,
    inner_product,
    knn,
    mapping,
)
from entity_expand.elastic.cache import RecordCache, RowCache
from entity_expand.elastic.calls import answers
from entity_expand.elastic.connection import Answer, Call
from entity_expand.elastic.documents import pack_rows, padded, padded_width, unpack_rows, vector_text
from entity_expand.elastic.frame import Frame, frame_of
from entity_expand.elastic.hybrid import RankedHit, knn_of_seeds, read_index, rerank
from entity_expand.elastic.searches import SearchOptions, View
from entity_expand.elastic.state import IndexState
from entity_expand.elastic.store import ElasticStore
from entity_expand.search.frame import PairFrame
from entity_expand.search.scoring import EntityRows, query_vector
from entity_expand.stores.base import Describe, Facts, IndexMeta, Lookup, Matching, Nearest, Request, Rows, Suggest
from servers.elasticsearch_node import ask

QUERY = np.array([1.0, -2.0, 0.5, 3.0])
VECTOR = base64.b64encode(struct.pack(">8f", 1.0, -2.0, 0.5, 3.0, 0.0, 0.0, 0.0, 0.0)).decode()
NONE = np.empty(0, dtype=np.int64)
FRAME = Frame(np.zeros(3), PairFrame(np.zeros(4), 1.0))
META = IndexMeta("b", "c", "/corpus", "both", None, "", 3, 10, 2, 2, 4, "1")
COLUMNS = {"_source": False, "stored_fields": "_none_", "track_total_hits": False}
PARAMS = {"allow_partial_search_results": "false", "preference": "copy"}


def view(options: VectorOptions | None = None, packed: bool = True) -> View:
    facts = Facts(META, {"head": 9.0}, np.zeros(3), exact=True)
    state = IndexState("places-1", facts, options or VectorOptions(), 0, packed, {None: FRAME})
    return View(state, RowCache(3, 1 << 16), RecordCache(10))


def asked(
    *requests: Request[Any], seen: View | None = None, options: SearchOptions | None = None
) -> Generator[Call, Answer, list[Any]]:
    return answers(requests, seen or view(), options or SearchOptions(), "copy")


def hit(place: int, score: float | None = None, **fields: Any) -> dict[str, Any]:
    columns = {name: [value] for name, value in ({"place": place, "revision": 70 + place} | fields).items()}
    return {"_index": "places-1", "_id": f"id {place}", "_score": score, "fields": columns}


def ranked(place: int, score: float, revision: int = 70) -> dict[str, Any]:
    return {"sort": [score, place, revision]}


def found(*hits: dict[str, Any]) -> Answer:
    return Answer(200, {"hits": {"hits": list(hits)}})


def end(steps: Generator[Call, Answer, list[Any]], answer: Answer) -> list[Any]:
    with pytest.raises(StopIteration) as caught:
        steps.send(answer)
    result: list[Any] = caught.value.value
    return result


def test_a_nearest_search_is_sent_like_this() -> None:
    steps = asked(Nearest("head", QUERY, 2, np.array([4, 9]), Filter(attributes={"kind": ["a", "b"]})))
    body = {
        "knn": {
            "field": "head",
            "query_vector": VECTOR,
            "k": 2,
            "num_candidates": 4,
            "filter": {
                "bool": {
                    "must_not": [{"terms": {"place": [4, 9]}}],
                    "filter": [{"terms": {"attributes.kind": ["a", "b"]}}],
                }
            },
        },
        "size": 2,
        "sort": ["_score", "place", "revision"],
        **COLUMNS,
    }
    paths = "took,timed_out,_shards,hits.hits.sort,error,status"
    assert next(steps) == Call("POST", "/places-1/_search", body, {**PARAMS, "filter_path": paths})
    (hits,) = end(steps, found(ranked(3, 5.0), ranked(7, 5.0)))
    assert hits.positions.tolist() == [3, 7] and hits.floor == 5.0 - 1.0


def test_several_searches_are_sent_together() -> None:
    steps = asked(Nearest("head", QUERY, 1, NONE), Matching(None))
    call = next(steps)
    header = b'{"allow_partial_search_results":false,"preference":"copy"}'
    assert (call.method, call.path, call.params) == ("POST", "/places-1/_msearch", {})
    assert isinstance(call.body, list)
    assert call.body[0::2] == [header, header]
    assert call.body[1].startswith(b'{"knn":{"field":"head","query_vector":"')
    assert call.body[3] == (
        b'{"query":{"bool":{"filter":[]}},"size":10000,"sort":[{"place":"asc"}],"_source":false,'
        b'"stored_fields":"_none_","docvalue_fields":["place"],"track_total_hits":false}'
    )
    parts = [{"hits": {"hits": [ranked(1, 0.5)]}}, {"hits": {"hits": [hit(1), hit(2)]}}]
    hits, matching = end(steps, Answer(200, {"responses": parts}))
    assert hits.floor == 1.0 - 1.0 / 0.5 and matching.tolist() == [1, 2]


def test_rows_and_what_to_show_are_asked_for_like_this() -> None:
    seen = view()
    rows = EntityRows(np.eye(2, 4, dtype=np.float32), -np.eye(2, 4, dtype=np.float32), np.ones(2), np.zeros(2))
    steps = asked(Rows(np.array([5, 3, 5])), seen=seen)
    query = {"bool": {"filter": [{"terms": {"place": [3, 5]}}]}}
    fields = {"_source": ["rows"], "docvalue_fields": ["place", "revision"]}
    body = {"query": query, "size": 2, "track_total_hits": False, **fields}
    assert next(steps) == Call("POST", "/places-1/_search", body, PARAMS)
    hits = [hit(5) | {"_source": {"rows": pack_rows(rows, 1)}}, hit(3) | {"_source": {"rows": pack_rows(rows, 0)}}]
    (got,) = end(steps, found(*hits))
    assert np.array_equal(got.head, rows.head[[1, 0, 1]])
    with pytest.raises(StopIteration):  # all is cached
        next(asked(Rows(np.array([3, 5])), seen=seen))
    steps = asked(Describe((3,)))
    shown = ["id", "name", "aliases", "attributes", "trained", "samples", "evidence"]
    body = {"query": {"bool": {"filter": [{"terms": {"place": [3]}}]}}, "size": 1, "track_total_hits": False}
    assert next(steps).body == {**body, "_source": shown, "docvalue_fields": ["place", "revision"]}


def test_texts_are_looked_up_like_this() -> None:
    steps = asked(Lookup(("Åre", "7")))
    either = [{"terms": {"id": ["Åre", "7"]}}, {"terms": {"spellings": ["7", "are"]}}]
    assert next(steps).body == {
        "query": {"bool": {"filter": [{"bool": {"should": either}}]}},
        "size": 108,
        "sort": [{"place": "asc"}],
        "docvalue_fields": ["place", "revision", "id", "spellings"],
        **COLUMNS,
    }
    first, second = hit(2, id="7"), hit(9, id="x")
    first["fields"]["spellings"], second["fields"]["spellings"] = ["seven"], ["7", "are"]
    assert end(steps, found(first, second)) == [((9,), (2,))]


def test_a_row_of_another_revision_than_the_hit_is_fetched_again() -> None:
    seen, rows = (
        view(),
        EntityRows(np.eye(1, 4, dtype=np.float32), np.eye(1, 4, dtype=np.float32), np.ones(1), QUERY[:1]),
    )
    seen.cache.put(np.array([5]), np.array([1]), rows)
    with pytest.raises(StopIteration):
        next(asked(Rows(np.array([5])), seen=seen))
    steps = asked(Nearest("head", QUERY, 1, NONE), seen=seen)
    next(steps)
    end(steps, found(ranked(5, 2.0, 2)))
    assert next(asked(Rows(np.array([5])), seen=seen)).path == "/places-1/_search"


def test_parts_are_asked_for_apart_like_this() -> None:
    state = view().state
    frame = Frame(np.zeros(3), PairFrame(np.array([1.0, 0.0, 0.0, 0.0]), 2.0))
    frames = {None: FRAME, "text": FRAME, "picture": frame}
    seen = View(dataclasses.replace(state, frames=frames), RowCache(3, 1 << 16), RecordCache(10))
    places = np.array([3])
    pair = np.array([2.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    steps = asked(Rows(places, "picture"), Nearest("pair", pair, 1, NONE, part="picture"), Rows(places), seen=seen)
    search, pictures, own = (json.loads(line) for line in next(steps).body[1::2])  # type: ignore[index]
    assert search["knn"]["field"] == "picture_pair"
    sent = np.frombuffer(base64.b64decode(search["knn"]["query_vector"]), ">f4")
    assert sent.tolist() == [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]  # balanced as the vectors of that part
    assert (pictures["_source"], own["_source"]) == (["picture_rows"], ["rows"])
    rows = EntityRows(np.eye(1, 4, dtype=np.float32), np.eye(1, 4, dtype=np.float32), np.ones(1), np.zeros(1))
    hits = [ranked(3, 5.0), hit(3) | {"_source": {}}, hit(3) | {"_source": {"rows": pack_rows(rows, 0)}}]
    responses = [{"hits": {"hits": [each]}} for each in hits]
    absent, nearest, present = end(steps, Answer(200, {"responses": responses}))
    assert nearest.floor == 4.0 + 1.0  # what the products lack of the scores
    assert absent.deviation.tolist() == [0.0] and not absent.head.any() and present.deviation.tolist() == [1.0]
    with pytest.raises(StopIteration):  # all is cached, and apart
        next(asked(Rows(places, "picture"), Rows(places), seen=seen))
    assert next(asked(Rows(places, "text"), seen=seen)).body["_source"] == ["text_rows"]  # type: ignore[index]


def test_more_than_the_server_gives_at_once_is_capped() -> None:
    steps = asked(Nearest("head", QUERY, 12_000, NONE))
    body = next(steps).body
    assert body["size"] == body["knn"]["k"] == body["knn"]["num_candidates"] == 10_000  # type: ignore[index]
    (hits,) = end(steps, found(*(ranked(n, 10_001.0 - n) for n in range(10_000))))
    assert len(hits.positions) == 10_000 and hits.positions[-1] == 9_999 and hits.floor == 1.0


def test_no_request_grows_without_bound() -> None:
    steps = asked(*[Nearest("head", QUERY, 1, NONE)] * 130)
    together = [next(steps)]
    together.append(steps.send(Answer(200, {"responses": [{"hits": {"hits": [ranked(3, 2.0)]}}] * 128})))
    assert [len(call.body or ()) for call in together] == [2 * 128, 2 * 2]
    found_hits = end(steps, Answer(200, {"responses": [{"hits": {"hits": [ranked(4, 2.0)]}}] * 2}))
    assert [hits.positions.tolist() for hits in found_hits] == [[3]] * 128 + [[4]] * 2

    ones = np.ones((1, 4), dtype=np.float32)
    steps = asked(Rows(np.arange(10_001)[::-1]))
    body, start = next(steps).body, 0
    for size in (10_000, 1):
        assert body["size"] == size  # type: ignore[index]
        rows = [EntityRows(ones, ones, np.full(1, n), np.zeros(1)) for n in range(start, start + size)]
        hits = [hit(start + n) | {"_source": {"rows": pack_rows(each, 0)}} for n, each in enumerate(rows)]
        start += size
        if size > 1:
            body = steps.send(found(*hits)).body
    assert end(steps, found(*hits))[0].deviation.tolist() == list(range(10_000, -1, -1))


def test_texts_beyond_what_a_search_takes_are_looked_up_in_parts() -> None:
    texts = (*(f"n{number}" for number in range(10_000)), "twin")
    steps = asked(Lookup(texts))
    both = hit(8, id="x")
    both["fields"]["spellings"] = ["n5", "twin"]
    assert next(steps).body["size"] == 10_000  # type: ignore[index]
    assert steps.send(found(both)).body["size"] == 104  # type: ignore[index]
    (readings,) = end(steps, found(both))
    assert readings[5] == readings[-1] == (8,) and not any(readings[6:-1])


def test_graphs_and_quantised_vectors() -> None:
    def section(seen: View, options: SearchOptions, size: int = 400) -> Any:
        return next(asked(Nearest("head", QUERY, size, NONE), seen=seen, options=options)).body["knn"]  # type: ignore[index]

    assert section(view(VectorOptions("hnsw")), SearchOptions())["num_candidates"] == 800
    assert section(view(VectorOptions("hnsw")), SearchOptions(candidates=1000))["num_candidates"] == 1000
    assert section(view(VectorOptions("hnsw")), SearchOptions(candidates=10))["num_candidates"] == 400
    assert "rescore_vector" not in section(view(VectorOptions("hnsw")), SearchOptions(rescore=3.0))
    quantised = view(VectorOptions("bbq_hnsw", rescore=2.0))
    assert section(quantised, SearchOptions())["rescore_vector"] == {"oversample": 2.0}
    assert section(quantised, SearchOptions(rescore=3.0))["rescore_vector"] == {"oversample": 3.0}
    for method, times in (("bbq_flat", 4.0), ("int8_hnsw", 2.0)):
        assert section(view(VectorOptions(method)), SearchOptions())["rescore_vector"] == {"oversample": times}
    assert section(view(packed=False), SearchOptions())["query_vector"] == [1.0, -2.0, 0.5, 3.0, 0.0, 0.0, 0.0, 0.0]


def test_no_clause_has_more_terms_than_the_server_takes() -> None:
    section = next(asked(Nearest("head", QUERY, 1, np.arange(120_000)))).body["knn"]  # type: ignore[index]
    parts = [clause["terms"]["place"] for clause in section["filter"]["bool"]["must_not"]]
    assert [len(part) for part in parts] == [50_000, 50_000, 20_000]
    assert [place for part in parts for place in part] == list(range(120_000))


def test_what_has_gone_or_is_not_ours() -> None:
    steps = asked(Rows(np.array([3, 5])))
    next(steps)
    with pytest.raises(IndexChangedError, match="place 5"):
        steps.send(found(hit(3) | {"_source": {"rows": "AAAA"}}))
    steps = asked(Rows(np.array([3])))
    next(steps)
    with pytest.raises(StoreError, match="'id 3' of places-1"):
        steps.send(found(hit(3) | {"_source": {"rows": "AAAA"}}))
    steps = asked(Describe((3,)))
    next(steps)
    with pytest.raises(StoreError, match="'id 3' of places-1"):
        steps.send(found(hit(3) | {"_source": {"id": "7", "name": "Seven"}}))
    steps = asked(Nearest("head", QUERY, 1, NONE))
    next(steps)
    with pytest.raises(StoreError, match="no 'place'"):
        steps.send(found(ranked(2**63 - 1, 1.0)))


def test_an_answer_that_was_filtered_holds_no_entry_for_no_hits() -> None:
    steps = asked(Nearest("head", QUERY, 1, NONE))
    next(steps)
    (hits,) = end(steps, Answer(200, {"timed_out": False, "_shards": {"failed": 0}}))
    assert not len(hits.positions) and hits.floor == -np.inf
    steps = asked(Nearest("head", QUERY, 1, NONE))
    next(steps)
    with pytest.raises(KeyError):
        steps.send(Answer(200, {}))


def test_nearest_searches_that_are_sent_together_are_filtered_too() -> None:
    steps = asked(Nearest("head", QUERY, 1, NONE), Nearest("head", QUERY, 1, NONE))
    paths = next(steps).params["filter_path"].split(",")
    assert "took" in paths and "responses.hits.hits.sort" in paths and "responses.error" in paths


def test_similar_names_are_none_for_blank_texts() -> None:
    with pytest.raises(StopIteration) as caught:
        next(asked(Suggest("  ", 3)))
    assert caught.value.value == [()]


def test_a_mapping() -> None:
    made = mapping(3, VectorOptions("int8_hnsw", "bfloat16", 2.0, ("head",)), {"own": 1})
    assert (made["dynamic"], made["_meta"]) == ("strict", {"own": 1})
    assert made["properties"]["head"] == {
        "type": "dense_vector",
        "dims": 8,
        "element_type": "bfloat16",
        "similarity": "max_inner_product",
        "index": True,
        "index_options": {"type": "int8_hnsw", "rescore_vector": {"oversample": 0}},
    }
    assert not {"pair", "feature"} & set(made["properties"])
    assert mapping(3, VectorOptions())["properties"]["pair"]["index_options"] == {"type": "flat"}
    fields = mapping(3, VectorOptions(), parts=("picture",))["properties"]
    assert fields["picture_rows"] == {"type": "binary"} and not any(name.startswith("text_") for name in fields)
    assert all(fields[f"picture_{name}"] == fields[name] for name in ("head", "pair", "feature"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "ivf"},
        {"element_type": "bit"},
        {"rescore": 2.0},
        {"method": "bbq_flat", "rescore": 0.5},
        {"fields": ("pair",)},
        {"fields": ("head", "tail")},
    ],
)
def test_options_that_do_not_fit_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        VectorOptions(**wrong)


def test_vectors_are_padded_to_whole_lanes() -> None:
    assert [padded_width(n) for n in (1, 8, 9, 769)] == [8, 8, 16, 776]
    assert padded(QUERY).tolist() == [1.0, -2.0, 0.5, 3.0, 0.0, 0.0, 0.0, 0.0]
    assert vector_text(padded(QUERY)) == VECTOR


def test_rows_are_packed_without_loss() -> None:
    random = np.random.default_rng(0)
    head, scaled = random.normal(size=(2, 5, 4)).astype(np.float32)
    rows = EntityRows(head, scaled, random.normal(size=5), random.normal(size=5))
    found_rows = unpack_rows([pack_rows(rows, n) for n in (4, 0, 1)], 3)
    for name in ("head", "scaled", "deviation", "log_offset"):
        assert np.array_equal(getattr(found_rows, name), getattr(rows, name)[[4, 0, 1]])
    assert len(unpack_rows([], 3)) == 0
    for wrong in ("AAAA", "no base64!", pack_rows(rows, 0)[:-4]):
        with pytest.raises(ValueError):
            unpack_rows([wrong], 3)
    assert np.array_equal(decode_floats(encode_floats(QUERY)), QUERY)


@pytest.mark.parametrize("product", [0.0, 7.25, 1e6, -0.5, -3.0, -1e4])
def test_scores_turn_back_into_inner_products(product: float) -> None:
    score = product + 1 if product >= 0 else 1 / (1 - product)
    assert inner_product(score) == pytest.approx(product, rel=1e-12)


SCRIPTED: list[dict[str, Any]] = [
    {"script": {"script": "true"}},
    {"bool": {"must": [{"match_all": {}}, {"bool": {"filter": {"script": {"script": "true"}}}}]}},
    {"script_score": {"query": {"match_all": {}}, "script": {"source": "1"}}},
    {"function_score": {"functions": [{"script_score": {"script": "1"}}]}},
    {"terms_set": {"aliases": {"terms": ["a"], "minimum_should_match_script": {"source": "1"}}}},
    {"intervals": {"text": {"match": {"query": "a", "filter": {"script": {"source": "true"}}}}}},
    {"wrapper": {"query": base64.b64encode(b'{"script": {"script": "true"}}').decode()}},
    {"dis_max": {"queries": ({"script": {"script": "true"}},)}},
]


@pytest.mark.parametrize("query", SCRIPTED)
def test_scripts_are_refused_before_anything_is_sent(query: dict[str, Any]) -> None:
    filtered = Filter(query=query)
    for request in (Nearest("head", QUERY, 1, NONE, filtered), Matching(filtered)):
        with pytest.raises(QueryError, match="script"):
            next(asked(Lookup(("7",)), request))
        next(asked(request, options=SearchOptions(allow_scripts=True)))
    assert filter_clauses(filtered, allow_scripts=True) == [query]


def test_words_that_only_look_like_scripts_are_not_refused() -> None:
    harmless = {"term": {"attributes.description": "a script, wrapper"}}
    attributes = {"description": ["script"], "script": ["wrapper"]}
    assert filter_clauses(Filter(attributes, "Åre", harmless)) == [
        {"terms": {"attributes.description": ["script"]}},
        {"terms": {"attributes.script": ["wrapper"]}},
        {"prefix": {"spellings": {"value": "are"}}},
        harmless,
    ]
    assert filter_clauses(None) == filter_clauses(Filter()) == []
    assert "filter" not in knn("head", QUERY, 1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def search(url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    status, content = ask("POST", f"{url}/_search", body)
    assert status == 200, content
    hits: list[dict[str, Any]] = content["hits"]["hits"]
    return hits


def test_the_server_scores_as_expected(elasticsearch_url: str, index_name: str) -> None:
    url, options = f"{elasticsearch_url}/{index_name}", VectorOptions(fields=("head",))
    ask("PUT", url, {"mappings": mapping(3, options)})
    vectors = np.array([[1, 0, 0, 0.5], [0, 2, 0, 0], [-1, 4, 3, 2], [0, 0, 0, 0]])
    for place, vector in enumerate(vectors):
        ask("PUT", f"{url}/_doc/{place}", {"place": place, "head": vector_text(padded(vector))})
    ask("POST", f"{url}/_refresh")
    for packed in (True, False):
        hits = search(url, {"knn": knn("head", QUERY, 4, packed=packed), "size": 4})
        right = {str(place): float(vector @ QUERY) for place, vector in enumerate(vectors)}  # 2.5, -4, -1.5, 0
        assert [each["_id"] for each in hits] == sorted(right, key=lambda place: -right[place])
        assert {each["_id"]: inner_product(each["_score"]) for each in hits} == pytest.approx(right, rel=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        ExpandSettings(),
        ExpandSettings(both_directions=1.0),
        ExpandSettings(space="features"),
        ExpandSettings(search=SearchSettings(window=2, rerank=False)),
    ],
)
def test_hits_of_any_search_are_ranked_again(
    elasticsearch_url: str, index_name: str, world: World, tmp_path, settings: ExpandSettings
) -> None:
    url = f"{elasticsearch_url}/{index_name}"
    serve(world, url, tmp_path)
    fields = {"_source": ["place", "rows"], "sort": [{"name": "desc"}]}
    everything = search(url, {"query": {"match_all": {}}, "size": ALL, **fields})
    seeds = [each for name in ("3", "0", "36") for each in search(url, {"query": {"term": {"id": name}}, **fields})]
    table, index = MemoryStore.open(world.index), read_index(ask("GET", f"{url}/_mapping")[1])
    try:
        ranking = rerank(everything, seeds, 20, index, settings)
        right = Expander(table).expand(["3", "0", "36"], 20, settings=settings)
        places = [each.hit["_source"]["place"] for each in ranking]
        assert [record.entity.id for record in table.records(places)] == right.ids
        for column in ("score", "similarity"):
            expected = [getattr(result, column) for result in right.results]
            assert [getattr(each, column) for each in ranking] == pytest.approx(expected, rel=1e-5)
        some = [each for each in everything if each["_source"]["place"] % 2]
        half = rerank(some, seeds, 100, index, settings)
        assert isinstance(half[0], RankedHit)
        assert {each.hit["_source"]["place"] for each in half} == {each["_source"]["place"] for each in some} - {3}
        for wrong, text in (({"_source": {"place": 1}}, "lacks"), ({"_source": {"place": 1, "rows": "AAAA"}}, "fit")):
            with pytest.raises(QueryError, match=text):
                rerank([wrong], seeds, 20, index, settings)
    finally:
        table.close()


def test_a_section_of_ones_own_is_asked_as_hard_as_an_expansion() -> None:
    ones = np.ones((1, 4), dtype=np.float32)
    seed = {"_source": {"place": 3, "rows": pack_rows(EntityRows(ones, ones, np.ones(1), np.zeros(1)), 0)}}
    section = knn_of_seeds([seed], 10, view(VectorOptions("bbq_hnsw")).state)
    assert section["num_candidates"] == 20 and section["rescore_vector"] == {"oversample": 4.0}
    assert "rescore_vector" not in knn_of_seeds([seed], 10, view(VectorOptions("hnsw")).state)


def test_a_pair_of_equal_halves_without_a_common_mean_has_the_same_scores() -> None:
    random = np.random.default_rng(5)
    head = random.standard_normal((50, 4), np.float32)
    scaled = 20 * (random.standard_normal((50, 4), np.float32) + np.float32(2))  # long, with a mean that all share
    rows = EntityRows(head, scaled, np.ones(50), np.zeros(50))
    frame, query = frame_of(rows), random.standard_normal(8)
    stored = frame.vectors(rows, ("pair",))["pair"].astype(np.float64)
    assert stored.shape == (50, 8)
    lengths = np.linalg.norm(stored[:, :4], axis=1).mean(), np.linalg.norm(stored[:, 4:], axis=1).mean()
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-5)
    np.testing.assert_allclose(stored[:, 4:].mean(axis=0), 0, atol=1e-4)
    scores = np.concatenate([head, scaled], axis=1).astype(np.float64) @ query
    products = stored @ frame.sent("pair", query) + frame.lacking("pair", query)
    np.testing.assert_allclose(products, scores, rtol=1e-5, atol=1e-4)
    assert frame.sent("head", query) is query and frame.lacking("head", query) == 0.0


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_section_for_seeds_finds_what_the_store_finds(
    elasticsearch_url: str, index_name: str, world: World, tmp_path, weight: float
) -> None:
    url, settings = f"{elasticsearch_url}/{index_name}", ExpandSettings(both_directions=weight)
    serve(world, url, tmp_path)
    index = read_index(ask("GET", f"{url}/_mapping")[1])
    fields = {"_source": ["place", "rows"]}
    seeds = [each for name in ("3", "0") for each in search(url, {"query": {"term": {"id": name}}, **fields})]
    found = search(url, {"knn": knn_of_seeds(seeds, 10, index, settings), "size": 10, **fields})
    places = np.array(sorted(each["_source"]["place"] for each in seeds))
    with contextlib.closing(ElasticStore.open(url)) as store:
        reader = store.begin()
        (rows,) = reader.answer([Rows(places)])
        field, query = ("pair" if weight else "head"), query_vector(rows, weight)
        (hits,) = reader.answer([Nearest(field, query, 10, places)])
    assert [each["_source"]["place"] for each in found] == hits.positions.tolist()
    scores = MemoryStore.open(world.index).nearest(Nearest(field, query, 10, places))
    assert hits.positions.tolist() == scores.positions.tolist() and hits.floor == pytest.approx(scores.floor, rel=1e-5)
