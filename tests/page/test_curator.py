"""A curator's whole job, done in a browser on the demo."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from entity_expand.results import Expansion

Opened = Callable[..., Page]


def add_seeds(page: Page, *beginnings: str) -> None:
    """Add seeds as someone does who types."""
    for beginning in beginnings:
        page.get_by_role("combobox", name="Add an example").press_sequentially(beginning)
        expect(page.get_by_role("option").first).to_be_visible()
        page.keyboard.press("Enter")


def test_enter_takes_what_was_typed_and_not_what_the_list_still_shows(visit: Opened, countries: str) -> None:
    page = visit(countries)
    field = page.get_by_role("combobox", name="Add an example")
    field.press_sequentially("g")
    expect(page.get_by_role("option").first).to_be_visible()
    expect(page.get_by_role("option").first).not_to_contain_text("Ghana")
    field.press_sequentially("hana")
    page.keyboard.press("Enter")
    expect(page.locator("#seeds .words")).to_have_text("Ghana")
    field.press_sequentially("mali")
    page.keyboard.press("Enter")
    expect(page.locator("#seeds .words")).to_have_text(["Ghana", "Mali"])


def names(page: Page) -> list[str]:
    """The results, by name, once an answer is shown."""
    expect(page.locator(".cards[aria-busy=false] .card").first).to_be_visible()
    return page.locator(".card h3").all_inner_texts()


def kept(page: Page) -> list[str]:
    return page.locator("#kept .words").all_inner_texts()


def saved(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    download.value.save_as(folder / download.value.suggested_filename)
    return folder / download.value.suggested_filename


def test_three_seeds_two_rejected_expanded_again_and_exported(visit: Opened, countries: str, tmp_path: Path) -> None:
    page = visit(countries)
    add_seeds(page, "gha", "mali", "seneg")
    page.get_by_role("button", name="Expand", exact=True).click()
    first = names(page)
    assert len(first) == 24 and not {"Ghana", "Mali", "Senegal"} & set(first)

    page.locator(".card").first.focus()
    for key in ("a", "r", "r", "a"):
        page.keyboard.press(key)
    assert kept(page) == [first[0], first[3]]
    expect(page.locator(".card:focus h3")).to_have_text(first[4])

    page.keyboard.press("x")
    expect(page.locator(".card h3").first).not_to_have_text(first[0])
    again = names(page)
    assert not {*first[:4], "Ghana", "Mali", "Senegal"} & set(again)
    new = page.locator(".card", has=page.locator(".fresh")).locator("h3").all_inner_texts()
    assert new == [name for name in again if name not in first]

    rows = list(csv.DictReader(saved(page, "CSV", tmp_path).read_text("utf-8").splitlines()))
    assert [(row["name"], row["verdict"]) for row in rows] == [
        *((seed, "seed") for seed in ("Ghana", "Mali", "Senegal")),
        (first[0], "accept"),
        (first[3], "accept"),
    ]
    assert all(row["attribute.continent"] and row["text"] for row in rows)

    loaded = Expansion.from_json(saved(page, "JSON", tmp_path))
    by_name = {result.name: result.id for result in loaded.results}
    assert [seed.name for seed in loaded.seeds] == ["Ghana", "Mali", "Senegal"]
    assert list(by_name) == again
    assert len(loaded.history.accepted) == len(loaded.history.rejected) == 2
    assert not set(loaded.history.rejected) & set(by_name.values())


def test_each_step_can_be_undone(visit: Opened, countries: str) -> None:
    page = visit(countries)
    add_seeds(page, "norw", "swed")
    page.keyboard.press("Enter")
    first = names(page)
    page.locator(".card").first.focus()
    page.keyboard.press("a")
    page.keyboard.press("r")
    page.get_by_role("button", name="Expand again").click()
    expect(page.locator(".card h3").first).not_to_have_text(first[0])
    page.keyboard.press("u")
    assert names(page) == first and kept(page) == [first[0]]
    page.keyboard.press("u")
    expect(page.locator("#refused")).to_be_hidden()
    page.keyboard.press("u")
    assert kept(page) == []
    for _ in range(3):
        page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Begin with a few examples")).to_be_visible()
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


def test_a_set_is_shared_by_its_address(visit: Opened, countries: str) -> None:
    page = visit(countries)
    add_seeds(page, "norw", "swed")
    page.keyboard.press("Enter")
    first = names(page)
    page.locator(".card").first.focus()
    page.keyboard.press("a")
    page.keyboard.press("r")
    other = visit(page.url)
    assert not set(first[:2]) & set(names(other))
    assert kept(other) == [first[0]]
    assert other.locator("#seeds .words").all_inner_texts() == ["Norway", "Sweden"]
    assert other.locator("#rejected .words").all_text_contents() == [first[1]]
    expect(other.locator("#kept img")).not_to_have_js_property("naturalWidth", 0)


def test_evidence_is_shown_on_demand(visit: Opened, countries: str) -> None:
    page = visit(f"{countries}/#seed=NO&seed=SE")
    first = names(page)
    page.locator(".card").first.focus()
    page.keyboard.press("e")
    sheet = page.get_by_role("dialog", name=first[0])
    expect(sheet).to_be_visible()
    expect(sheet.get_by_text("Why it is here")).to_be_visible()
    assert first[0] in sheet.locator("#sheet-sentences mark").all_inner_texts()
    assert sheet.locator("img").count() >= 1
    assert {"like Norway", "like Sweden"} == set(sheet.locator("#sheet-shares .words").all_inner_texts())
    expect(page.locator("#common")).to_contain_text("What they share: ")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog", name=first[1])).to_be_visible()
    page.keyboard.press("a")
    expect(page.locator("#sheet-accept")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    assert kept(page) == [first[1]]
    expect(page.locator(".card:focus h3")).to_have_text(first[1])
