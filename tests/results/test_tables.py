"""Tables of results, and the table with pictures in a notebook."""

from __future__ import annotations

import csv
import dataclasses
import sys
from pathlib import Path

import pytest
from PIL import Image

from entity_expand import Evidence, Expander, Expansion, MissingExtraError
from entity_expand.results import notebook

HEAD = ["rank", "id", "name", "score", "similarity", "confidence", "rank_before", "verdict", "text", "image"]


def test_rows_have_the_same_keys(full: Expansion) -> None:
    first, second = full.to_dicts()
    assert list(first) == list(second) == [*HEAD, "attribute.half", "attribute.kind"]
    assert first["name"] == "Togo" and first["verdict"] == "accept" and first["image"] == "a/t.png"
    assert second["verdict"] is None and second["text"] == "" and second["attribute.kind"] is None


def test_pandas_gets_them(full: Expansion) -> None:
    frame = full.to_pandas()
    assert frame["name"].tolist() == ["Togo", "Benin"] and frame["score"].tolist() == [1.0, 1 / 2]
    assert list(dataclasses.replace(full, results=()).to_pandas().columns) == HEAD


def test_without_pandas_one_is_told(full: Expansion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"entity-expand\[pandas\]"):
        full.to_pandas()


HOSTILE = [
    "=1+2",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "  =1",
    "\r=1",
    "\n=1",
    "＝1",
    'say "x", y\nz',
    "plain",
    "=1;2\u202e",
]


def test_no_text_is_a_formula(full: Expansion, tmp_path: Path) -> None:
    first = full.results[0]
    results = tuple(dataclasses.replace(first, name=name, attributes={"=key": name}) for name in HOSTILE)
    negative = dataclasses.replace(first, score=-1.5)
    dataclasses.replace(full, results=(*results, negative)).to_csv(tmp_path / "set.csv")
    with (tmp_path / "set.csv").open(newline="", encoding="utf-8") as file:
        head, *rows = list(csv.reader(file))
    assert head[:10] == HEAD and all(len(row) == len(head) for row in rows)
    for row, name in zip(rows, HOSTILE, strict=False):
        assert row[2] == row[10] == (name if name[0] in "sp" else "'" + name)
        assert not row[2].lstrip(" ").startswith(tuple("=+-@\t\r\n＝"))
    assert float(rows[-1][3]) == -1.5, "numbers stay numbers"


def test_an_empty_list_has_a_head(full: Expansion, tmp_path: Path) -> None:
    dataclasses.replace(full, results=(), cutoff=None).to_csv(tmp_path / "set.csv")
    assert (tmp_path / "set.csv").read_text() == ",".join(HEAD) + "\n", "read with universal line ends"


def test_a_notebook_shows_pictures_and_escapes_all(world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "<script>alert(1)</script>"
    Image.new("RGB", (300, 200), (0, 128, 0)).save(tmp_path / "green.png")
    with Expander.open(world.index, pictures=tmp_path) as expander:
        found = expander.expand(["0"], 60)
        evidence = (Evidence(f"A {evil} b", ((2, 8),), "green.png"),)
        results = tuple(dataclasses.replace(each, name=evil, evidence=evidence) for each in found.results)
        shown = dataclasses.replace(found, results=results).accept(found.ids[0])
        text = shown._repr_html_()
        assert "<script" not in text and "A <b>&lt;scrip</b>t&gt;" in text
        assert text.count('<img alt="" src="data:image/jpeg;base64,') == 50 and "and 10 more" in text
        assert text.count("✓") == 1 and "similarity" in text
        monkeypatch.setattr(notebook, "_MOST_BYTES", 1500)
        assert 1 <= shown._repr_html_().count("<img") < 5
    assert "data:image" not in dataclasses.replace(shown, origin=type(shown.origin)())._repr_html_()


def test_confidence_takes_the_place_of_similarity(full: Expansion) -> None:
    text = full._repr_html_()
    assert "confidence" in text and "about 1 of them" in text
    assert text.count("opacity") == 1, "what is less likely is fainter"
