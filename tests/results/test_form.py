"""The JSON form: it comes back as it went, and whatever is not of that form is refused."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from entity_expand import Expander, ExpandQuery, Expansion, ExpansionError, NewSeed, QueryError
from entity_expand.inputs.image import open_picture
from entity_expand.results.form import query_form
from entity_expand.results.reading import read_query


def test_it_comes_back_as_it_went(full) -> None:
    form = json.loads(json.dumps(full.to_dict(), allow_nan=False))
    again = Expansion.from_dict(form)
    assert again == full and again.query == full.query
    assert again.to_dict() == form


def test_real_expansions_come_back(expander: Expander, tmp_path: Path) -> None:
    found = expander.expand(["0", "Place 3"], 70).accept("Place 6", "9")
    found.to_json(tmp_path / "set.json")
    again = Expansion.from_json(str(tmp_path / "set.json"))
    assert again == found and list(again.query.seeds) == ["0", "Place 3"] and again.history.accepted == ("6", "9")
    assert expander.more(again) == found.more()


def test_pictures_of_new_seeds_travel(full, tmp_path: Path) -> None:
    picture = Image.new("RGB", (2, 1), (255, 0, 0))
    picture.save(tmp_path / "red.png")
    query = ExpandQuery((NewSeed(image=picture), NewSeed(image=tmp_path / "red.png")))
    whole = dataclasses.replace(full, query=query, seeds=full.seeds[1:] * 2, negatives=())
    again = Expansion.from_dict(whole.to_dict())
    assert [seed.image for seed in again.query.seeds] == [(tmp_path / "red.png").read_bytes()] * 2


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "F", "HSV", "LAB", "I", "I;16", "RGBa", "LA", "P", "1"])
def test_pictures_of_all_modes_travel_as_they_are_seen(mode: str) -> None:
    picture = Image.new(mode, (3, 2), 77)
    form = query_form(ExpandQuery([NewSeed(image=picture)]))
    again = read_query(json.loads(json.dumps(form))).seeds[0].image
    assert open_picture(again).tobytes() == open_picture(picture).tobytes()


def test_a_turned_picture_is_turned_once(tmp_path: Path) -> None:
    turn = Image.Exif()
    turn[0x0112] = 6
    Image.linear_gradient("L").crop((0, 0, 3, 200)).save(tmp_path / "turned.png", exif=turn)
    with Image.open(tmp_path / "turned.png") as picture:
        picture.info["icc_profile"] = b"colours"
        again = read_query(query_form(ExpandQuery([NewSeed(image=picture)]))).seeds[0].image
        assert open_picture(again).tobytes() == open_picture(picture).tobytes() and b"iCCP" not in again
    assert open_picture(again).size == (200, 3)


def closed() -> Image.Image:
    picture = Image.new("RGB", (1, 1))
    picture.close()
    return picture


@pytest.mark.parametrize("picture", [Image.new("RGB", (0, 0)), closed(), Path("nowhere.png")])
def test_a_picture_that_cannot_be_used_has_no_form(picture: Any) -> None:
    with pytest.raises(QueryError):
        query_form(ExpandQuery([NewSeed(image=picture)]))


def test_an_empty_picture_is_not_none() -> None:
    form = query_form(ExpandQuery([NewSeed(image=b"")]))
    assert form["seeds"][0]["image"] == "" and read_query(form).seeds[0].image == b""


def test_a_copy_for_another_process_forgets_its_expander(expander: Expander) -> None:
    found = expander.expand(["0"], 3)
    again = pickle.loads(pickle.dumps(found))
    assert again == found and found.origin.maker is expander and again.origin.maker is None
    assert copy.deepcopy(found) == found


def change(form: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split("/")
    inside: Any = form
    for step in parents:
        inside = inside[int(step) if isinstance(inside, list) else step]
    inside[int(last) if isinstance(inside, list) else last] = value


DEEP: Any = []
for _ in range(60):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("format", "something else"),
        ("version", 2),
        ("version", "1"),
        ("extra", 1),
        ("exact", 1),
        ("fetches", -1),
        ("fetches", True),
        ("cutoff", 3),
        ("cutoff", -1),
        ("seeds", {}),
        ("seeds/0/id", 7),
        ("seeds/0/more", 7),
        ("seeds/0/id", ""),
        ("seeds/1/id", "8"),
        ("seeds/1/id", "7"),
        ("negatives/0/id", "7"),
        ("negatives/1/id", "8"),
        ("negatives", []),
        ("results/0/rank", 2),
        ("results/1/id", "id1"),
        ("results/0/score", float("nan")),
        ("results/0/similarity", "3"),
        ("results/0/score", 10**400),
        ("results/0/similarity", -(10**400)),
        ("results/0/confidence", 10**400),
        ("results/0/score", [10**5000]),
        ("query/weights", [1.0, 10**400]),
        ("query/settings/both_directions", 10**400),
        ("query/settings/both_directions", 2e6),
        ("query/settings/channels", {"model": 10**400}),
        ("query/settings/search", []),
        ("query/seeds/1/image", [10**5000]),
        ("results/0/confidence", 1.5),
        ("results/0/rank_before", 0),
        ("results/0/attributes", {"kind": 1}),
        ("results/0/name", "\ud800"),
        ("results/0/evidence/0/text", None),
        ("results/0/evidence/0/mentions", [[0, 99]]),
        ("results/0/evidence/0/mentions", [[2, 2]]),
        ("results/0/evidence/0/mentions", [[0]]),
        ("results/0/evidence/0/image", "../../etc/passwd"),
        ("results/0/evidence/0/image", "/etc/passwd"),
        ("results/0/evidence/0/image", ""),
        ("query", None),
        ("query/seeds", []),
        ("query/seeds", "Ghana"),
        ("query/seeds/1/image", "no base64!"),
        ("query/seeds/1/text", ""),
        ("query/size", 10_001),
        ("query/weights", [1.0]),
        ("query/weights", [1.0, "2"]),
        ("query/strategy", "worst"),
        ("query/modality", 3),
        ("query/rerank", "no"),
        ("query/settings", {"no_such": 1}),
        ("query/settings", []),
        ("query/settings/both_directions", -1),
        ("query/settings/pool_size", 0),
        ("query/filter/query", DEEP),
        ("query/filter/query", {"deep": DEEP}),
        ("query/filter/attributes", {"kind": "a"}),
        ("query/filter/attributes", ["kind"]),
        ("history/decisions/0/verdict", "maybe"),
        ("history/decisions/0/verdict", ["accept"]),
        ("history/decisions/0/ids", []),
        ("history/decisions/0/ids", ["nobody"]),
        ("history/shown", ["old", "old"]),
        ("history/shown", ["id1", "old"]),
    ],
)
def test_what_is_not_of_the_form_is_refused(full, path: str, value: Any) -> None:
    form = full.to_dict()
    image_cleared = path == "query/seeds/1/text"
    change(form, path, value)
    if image_cleared:
        form["query"]["seeds"][1]["image"] = None
    with pytest.raises(ExpansionError):
        Expansion.from_dict(form)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def paths(form: Any, path: str = "") -> list[str]:
    members = form.items() if isinstance(form, dict) else enumerate(form) if isinstance(form, list) else ()
    return [path, *(inner for key, member in members for inner in paths(member, f"{path}/{key}".lstrip("/")))]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_anywhere_it_is_read_or_refused(full, data: st.DataObject) -> None:
    form = full.to_dict()
    path = data.draw(st.sampled_from(paths(form)[1:]))
    change(form, path, data.draw(JSON))
    with contextlib.suppress(ExpansionError):
        Expansion.from_dict(form)


def test_every_key_is_needed(full) -> None:
    for key in full.to_dict():
        form = full.to_dict()
        del form[key]
        with pytest.raises(ExpansionError):
            Expansion.from_dict(form)


@pytest.mark.parametrize("content", [None, [], "x", 7, {}, {"format": []}])
def test_anything_else_is_refused(content: Any) -> None:
    with pytest.raises(ExpansionError, match="entity-expand expansion"):
        Expansion.from_dict(content)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[]"])
def test_files_that_hold_something_else(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "set.json").write_bytes(content)
    with pytest.raises(ExpansionError, match=r"set\.json"):
        Expansion.from_json(tmp_path / "set.json")


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ExpansionError, match="Cannot read"):
        Expansion.from_json(tmp_path / "set.json")
