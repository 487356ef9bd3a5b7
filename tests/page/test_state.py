"""What the page asks and writes, by its own modules, without a person in between."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page

from entity_expand.results import Expansion

Opened = Callable[..., Page]

QUESTION = """async ([seeds, accepted, rejected, shown, more]) => {
    const { EMPTY, question } = await import("/page/state.js");
    const lists = Object.entries({ seeds, accepted, rejected, results: shown });
    const state = Object.fromEntries(lists.map(([name, ids]) => [name, ids.map((id) => ({ id }))]));
    return question({ ...EMPTY, ...state }, { seeds: 4, results: 10 }, more);
}"""

LINK = """async (fragment) => {
    const { fromLink, toLink } = await import("/page/link.js");
    return toLink(fromLink(fragment, ["paper", "mean"]));
}"""

TABLE = """async (entities) => {
    const { EMPTY } = await import("/page/state.js");
    const { toCsv } = await import("/page/files.js");
    return toCsv({ ...EMPTY, seeds: entities });
}"""

FILES = """async (entities) => {
    const { EMPTY, withSeed } = await import("/page/state.js");
    const { fromLink } = await import("/page/link.js");
    const { toCsv, toJson } = await import("/page/files.js");
    const state = entities.reduce(withSeed, { ...EMPTY, ...fromLink("#seed=7&accept=8", []) });
    return [toCsv(state), toJson(state)];
}"""


def test_what_is_asked_stays_within_the_limit_on_seeds(visit: Opened, hostile: str) -> None:
    page = visit(hostile)
    asked: dict[str, Any] = page.evaluate(QUESTION, [["a", "b"], ["c", "d", "e"], ["f"], ["c", "f", "x"], False])
    assert (asked["seeds"], asked["negative"], asked["exclude"]) == (["a", "b", "d", "e"], ["f"], ["c"])
    assert (asked["size"], asked["filter"]) == (10, None)
    asked = page.evaluate(QUESTION, [["a"], ["c"], list("fghij"), ["c", "f", "x", "y"], True])
    assert (asked["seeds"], asked["negative"]) == (["a", "c"], list("ghij"))
    assert asked["exclude"] == ["f", "x", "y"]


def test_addresses_are_read_as_they_are_written(visit: Opened, hostile: str) -> None:
    page = visit(hostile)
    whole = "seed=a&seed=%3Cb%3E&accept=c&reject=d&is.kind=x&is.kind=y&begins=n&modality=text&strategy=mean"
    assert page.evaluate(LINK, f"#{whole}") == whole
    assert page.evaluate(LINK, "#seed=a&reject=a&seed=&strategy=none&modality=sound&is.=x&other=y") == "seed=a"
    assert page.evaluate(LINK, "#" + "&".join(f"seed={n}" for n in range(1_005))).count("seed=") == 1_000


def test_tables_hold_texts_that_spreadsheets_do_not_compute(visit: Opened, hostile: str) -> None:
    page = visit(hostile)
    names = ['say "a, b"', "=1+1", " @x", "two\nlines", "-5", "plain"]
    evidence = [{"text": "", "mentions": [], "image": None}, {"text": "+ it", "mentions": [], "image": None}]
    entities = [
        {"id": str(n), "name": name, "attributes": {"=k": "v"}, "evidence": evidence} for n, name in enumerate(names)
    ]
    written = page.evaluate(TABLE, entities)
    head, *rows = csv.reader(written.splitlines(keepends=True))
    assert head == ["id", "name", "verdict", "rank", "score", "confidence", "text", "attribute.=k"]
    assert [row[1] for row in rows] == ['say "a, b"', "'=1+1", "' @x", "two\nlines", "'-5", "plain"]
    assert [row[2:] for row in rows] == [["seed", "", "", "", "'+ it", "v"]] * len(names)


def test_sets_can_be_saved_before_they_were_expanded(visit: Opened, hostile: str) -> None:
    page = visit(hostile)
    found = page.evaluate("fetch('/v1/entities?limit=2').then((answer) => answer.json())")["entities"]
    table, form = page.evaluate(FILES, found)
    rows = list(csv.DictReader(table.splitlines()))
    assert [row["id"] for row in rows] == ["7", *(each["id"] for each in found), "8"]
    assert (rows[0]["name"], rows[-1]["verdict"]) == ("7", "accept")
    loaded = Expansion.from_dict(json.loads(form))
    assert [seed.name for seed in loaded.seeds] == ["7", *(each["name"] for each in found)]
    assert loaded.history.accepted == ("8",)
