"""What helps with the work: filters, further results, keys, troubles and what the index may offer."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from entity_expand.results import Expansion
from page.conftest import PHONE, service
from page.test_curator import add_seeds, names, saved

Opened = Callable[..., Page]
NORDIC = "/#seed=NO&seed=SE"


def with_answer(page: Page, path: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Have the page get the service's answers, changed."""

    def handle(route: Route) -> None:
        response = route.fetch()
        answer = response.json()
        change(answer)
        route.fulfill(response=response, json=answer)

    page.route(path, handle)


def test_filters_narrow_the_results_and_can_be_cleared(visit: Opened, countries: str, tmp_path: Path) -> None:
    page = visit(countries + NORDIC)
    names(page)
    page.get_by_text("Narrow the results").click()
    page.locator(".facet > summary", has_text="continent").click()
    page.get_by_role("checkbox", name="Asia").check()
    expect(page.get_by_text("Narrow the results (1)")).to_be_visible()
    names(page)
    loaded = Expansion.from_json(saved(page, "JSON", tmp_path))
    assert {result.attributes["continent"] for result in loaded.results} == {"Asia"}
    assert loaded.query.filter is not None and loaded.query.filter.attributes == {"continent": ("Asia",)}

    page.get_by_label("Name begins with").fill("zzz")
    expect(page.get_by_text("Nothing else is found")).to_be_visible()
    assert "begins=zzz" in page.url and "is.continent=Asia" in page.url
    page.get_by_role("button", name="Clear filters").click()
    assert len(names(page)) == 24
    expect(page.get_by_label("Name begins with")).to_have_value("")


def test_a_name_that_is_being_typed_is_not_taken_away_by_what_arrives_meanwhile(visit: Opened, countries: str) -> None:
    page = visit(countries + NORDIC)
    names(page)
    page.get_by_text("Narrow the results").click()
    page.evaluate(
        """() => {
            const field = document.getElementById("begins");
            field.value = "De";
            field.dispatchEvent(new Event("input", {bubbles: true}));
            document.querySelector("[aria-label^='Accept']").click();
        }"""
    )
    expect(page.get_by_label("Name begins with")).to_have_value("De")
    expect(page.locator(".card h3")).to_have_text(["Denmark"])


def test_more_results_follow_those_that_are_shown(visit: Opened, countries: str) -> None:
    page = visit(countries + NORDIC)
    first = names(page)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".card")).to_have_count(48)
    both = names(page)
    assert both[:24] == first and len(set(both)) == 48
    expect(page.locator(".card:focus h3")).to_have_text(both[24])


def paste(page: Page, text: str) -> None:
    page.get_by_role("combobox").evaluate(
        """(field, text) => {
            const clipboardData = new DataTransfer();
            clipboardData.setData("text", text);
            field.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));
        }""",
        text,
    )


def test_a_pasted_list_becomes_seeds(visit: Opened, countries: str) -> None:
    page = visit(countries)
    paste(page, "Norway; Sweden, NL\nAtlantis")
    expect(page.get_by_role("alert")).to_contain_text("Atlantis")
    assert page.locator("#seeds .words").all_inner_texts() == ["Norway", "Sweden", "Netherlands"]


def test_what_is_left_out_of_a_pasted_list_is_named(visit: Opened, countries: str) -> None:
    page = visit(countries)
    with_answer(page, "**/v1/index", lambda answer: answer["limits"].update(seeds=2))
    page.reload()
    expect(page.get_by_text("163 entities")).to_be_visible()
    paste(page, "Norway, Atlantis, Sweden, Denmark")
    expect(page.get_by_role("alert")).to_contain_text("Atlantis. At most 2 at once; left out: Sweden, Denmark")
    assert page.locator("#seeds .words").all_inner_texts() == ["Norway"]


def test_a_list_may_be_pasted_before_the_service_answers(visit: Opened, countries: str) -> None:
    page = visit(countries)
    page.route("**/v1/index", lambda route: None)
    page.reload()
    paste(page, "Norway, Sweden")
    expect(page.locator("#seeds .words")).to_have_text(["Norway", "Sweden"])


def test_a_list_does_not_open_once_the_field_was_left(visit: Opened, countries: str) -> None:
    page = visit(countries)
    page.get_by_role("combobox").evaluate(
        """(field) => {
            field.focus();
            field.value = "norw";
            field.dispatchEvent(new Event("input", {bubbles: true}));
            field.blur();
        }"""
    )
    page.wait_for_timeout(300)
    expect(page.get_by_role("combobox")).to_have_attribute("aria-expanded", "false")


@pytest.mark.parametrize("body", ["<html>", '{"format": "entity-exp', ""])
def test_an_answer_that_cannot_be_read_is_said(visit: Opened, countries: str, body: str) -> None:
    page = visit(countries + NORDIC)
    names(page)
    page.route("**/v1/expand", lambda route: route.fulfill(status=200, body=body))
    page.get_by_role("button", name="Expand again").click()
    expect(page.get_by_role("alert")).to_contain_text("none of its own")


def test_a_misspelt_seed_gets_suggestions(visit: Opened, countries: str) -> None:
    page = visit(f"{countries}/#seed=Norwya&seed=SE")
    page.get_by_role("alert").get_by_role("button", name="Norway").click()
    assert "Denmark" in names(page)
    assert page.locator("#seeds .words").all_inner_texts() == ["Sweden", "Norway"]
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_service_that_does_not_answer_is_said_and_asked_again(visit: Opened, countries: str) -> None:
    page = visit(countries + NORDIC)
    first = names(page)
    page.route("**/v1/expand", lambda route: route.abort())
    page.get_by_role("button", name="Expand again").click()
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    page.unroute("**/v1/expand")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_be_hidden()
    assert names(page) == first


def test_a_busy_service_is_asked_once_more(visit: Opened, countries: str) -> None:
    page = visit(countries)
    asked: list[str] = []

    def handle(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            route.fulfill(status=503, headers={"retry-after": "1"}, body="{}")
        else:
            route.continue_()

    page.route("**/v1/expand", handle)
    page.goto(countries + NORDIC)
    assert len(names(page)) == 24 and len(asked) == 2


def test_a_service_with_keys_asks_for_one(visit: Opened, demo: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("page: secret-of-20-letters\n")
    (tmp_path / "keys").chmod(0o600)
    with service(demo, "--api-key-file", str(tmp_path / "keys")) as address:
        page = visit(address + NORDIC)
        for key in ("secret-of-another-one", "secret-of-20-letters"):
            page.get_by_label("API key").fill(key)
            page.get_by_role("button", name="Go on").click()
        names(page)
        expect(page.locator(".card img").first).to_have_attribute("src", re.compile("^blob:"))
        expect(page.locator(".card img").first).not_to_have_js_property("naturalWidth", 0)
        turned: set[str] = set()

        def once(route: Route) -> None:
            first = route.request.url not in turned
            turned.add(route.request.url)
            route.fulfill(status=429, headers={"retry-after": "0"}) if first else route.continue_()

        page.route("**/v1/pictures/**", once)
        page.reload()
        names(page)
        expect(page.locator(".card img").first).not_to_have_js_property("naturalWidth", 0)
        assert turned
        expect(page.get_by_role("dialog")).to_be_hidden()
        assert "secret" not in page.url + page.content()


def test_the_switch_between_text_and_picture_is_where_the_index_has_both(visit: Opened, countries: str) -> None:
    page = visit(countries + NORDIC)
    names(page)
    expect(page.locator("#modalities")).to_be_hidden()


@pytest.mark.parametrize("where", ["hostile", "hostile_served"])
def test_what_the_switch_between_text_and_picture_does(
    visit: Opened, where: str, request: pytest.FixtureRequest
) -> None:
    page = visit(request.getfixturevalue(where))
    add_seeds(page, "𝕊1 ", "𝕊4 ")
    page.keyboard.press("Enter")
    names(page)
    page.get_by_text("Narrow the results").click()
    expect(page.get_by_label("Text and picture")).to_be_checked()
    for part in ("Text", "Picture"):
        with page.expect_response("**/v1/expand") as answer:
            page.get_by_label(part, exact=True).check(force=True)
        assert answer.value.json()["query"]["modality"] == part.lower()
        names(page)
        assert page.url.endswith(f"modality={part.lower()}")
    page.reload()
    names(page)
    expect(page.locator("input[value=picture]")).to_be_checked()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_confidence_and_cutoff_are_shown_where_there_are_some(visit: Opened, countries: str) -> None:
    def sure(answer: dict[str, Any]) -> None:
        answer["cutoff"] = 3
        answer["results"][0]["confidence"] = 0.825

    page = visit(countries)
    with_answer(page, "**/v1/expand", sure)
    page.goto(countries + NORDIC)
    names(page)
    assert page.locator(".sure").all_inner_texts() == ["83 %"]
    assert page.locator("#cards > li").nth(3).inner_text() == "Up to here about 3 likely members"


@pytest.mark.parametrize(("first", "then", "end"), [(3, 5, 3), (24, 5, 29), (24, None, 24), (None, None, None)])
def test_the_cutoff_stays_where_it_is_when_more_is_shown(
    visit: Opened, countries: str, tmp_path: Path, first: int | None, then: int | None, end: int | None
) -> None:
    page, likely = visit(countries), iter([first, then])
    with_answer(page, "**/v1/expand", lambda answer: answer.update(cutoff=next(likely)))
    page.goto(countries + NORDIC)
    names(page)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".card")).to_have_count(48)
    assert page.locator(".end").count() == (end is not None)
    if end is not None:
        assert page.locator("#cards > li").nth(end).inner_text() == f"Up to here about {end} likely members"
    assert Expansion.from_json(saved(page, "JSON", tmp_path)).cutoff == end


def test_an_address_that_is_shown_already_is_not_asked_again(visit: Opened, countries: str) -> None:
    page, asked = visit(countries + NORDIC), list[str]()
    names(page)
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/v1/expand") else None)
    page.evaluate("window.dispatchEvent(new Event('hashchange'))")
    with page.expect_response("**/v1/expand"):
        page.get_by_role("button", name="Expand again").first.click()
    assert len(asked) == 1


def test_what_is_done_before_the_service_answers_is_kept(visit: Opened, countries: str) -> None:
    page = visit(countries)
    held: list[Route] = []
    page.route("**/v1/index", lambda route: held.append(route))
    page.reload()
    page.get_by_role("combobox").press_sequentially("norw")
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.evaluate("window.dispatchEvent(new Event('hashchange'))")
    held[0].continue_()
    expect(page.get_by_text("163 entities")).to_be_visible()
    assert page.locator("#seeds .words").all_inner_texts() == ["Norway"]


def test_pictures_come_when_they_are_near(visit: Opened, countries: str) -> None:
    page = visit(countries, PHONE)
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url) if "/v1/pictures/" in request.url else None)
    page.goto(countries + NORDIC)
    names(page)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".card")).to_have_count(48)
    page.locator(".card").first.scroll_into_view_if_needed()
    assert len(asked) < 48
    last = page.locator(".card img").last
    last.scroll_into_view_if_needed()
    assert last.evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0
