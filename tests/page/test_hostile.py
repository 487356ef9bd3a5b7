"""Names, sentences, attributes and addresses that carry script: they are shown as what they are, text."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page, expect

from page.hostile import HARM, LONG, entities
from page.test_curator import names, saved

Opened = Callable[..., Page]


def unharmed(page: Page) -> None:
    assert page.evaluate("[window.harmed, ({}).polluted]") == [None, None]
    assert page.locator("script").count() == 1
    assert page.locator("iframe, object, embed, base, [onerror], [onload]").count() == 0
    assert page.evaluate(
        "[...document.images].every((each) => !each.src || /^.(v1.pictures|page)/.test(new URL(each.src).pathname))"
    )


def test_a_corpus_that_means_harm_does_none(visit: Opened, hostile: str, tmp_path: Path) -> None:
    page = visit(hostile)
    known = {entity.name for entity in entities()}
    for beginning in ("𝕊1 ", "𝕊4 ", "alias <img"):
        page.get_by_role("combobox").press_sequentially(beginning)
        expect(page.get_by_role("option").first).to_be_visible()
        unharmed(page)
        page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert set(names(page)) <= known
    page.locator(".card").first.focus()
    for _ in HARM:
        page.keyboard.press("e")
        expect(page.get_by_role("dialog")).to_be_visible()
        assert page.locator("#sheet-sentences mark").first.inner_text() in known
        expect(page.locator("#sheet-shares .meter").first).to_be_visible()
        page.keyboard.press("a")
        page.keyboard.press("Escape")
        page.keyboard.press("ArrowRight")
    page.get_by_text("Narrow the results").click()
    for each in page.locator(".facet > summary").all():
        each.click()
    page.get_by_role("checkbox", name="polluted").check()
    expect(page.locator(".cards[aria-busy=false] .card").first).to_be_visible()
    unharmed(page)
    rows = list(csv.reader(saved(page, "CSV", tmp_path).read_text("utf-8").splitlines()))
    assert not [cell for row in rows for cell in row if cell.startswith("=")]
    assert any(cell == "'=HYPERLINK(1)" for row in rows for cell in row)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_an_address_that_means_harm_does_none(visit: Opened, hostile: str) -> None:
    parts = "&".join(f"{key}={quote(harm)}" for harm in HARM for key in ("seed", "accept", "begins", "strategy"))
    page = visit(f"{hostile}/#{parts}&is.__proto__=polluted&modality=<b>&seed={LONG}")
    expect(page.get_by_role("alert")).to_be_visible()
    unharmed(page)
