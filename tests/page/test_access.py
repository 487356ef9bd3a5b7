"""Who has no mouse, does not see, or works on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from page.conftest import PHONE, WIDE
from page.test_curator import add_seeds, kept, names

Opened = Callable[..., Page]
SET = "/#seed=NO&seed=SE&accept=DK&reject=FR"

NAMELESS = """() => [...document.querySelectorAll("button, input, select, summary, [role=listbox], ol, dialog")]
    .filter((each) => each.checkVisibility())
    .filter((each) => !(each.ariaLabel || each.ariaLabelledByElements?.length || each.labels?.length || each.innerText))
    .map((each) => each.outerHTML)"""

SMALL = """() => [...document.querySelectorAll("button, select, input:not([type=checkbox], [type=radio])")]
    .filter((each) => each.checkVisibility())
    .filter((each) => each.getBoundingClientRect().height < 44 || each.getBoundingClientRect().width < 44)
    .map((each) => each.outerHTML)"""

# Text that has less than 4.5 : 1 against the colour behind it, by the formula of WCAG 2; pictures stand behind none.
FAINT = """() => {
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
        .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const faint = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest(":disabled")) continue;
        const pair = [light(parse(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
        if ((pair[0] + 0.05) / (pair[1] + 0.05) < 4.5) faint.push([walker.currentNode.data, element.className]);
    }
    return faint;
}"""


def test_the_whole_job_needs_no_mouse(visit: Opened, countries: str) -> None:
    page = visit(countries)
    expect(page.get_by_text("163 entities")).to_be_visible()
    page.keyboard.press("/")
    for beginning in ("norw", "swed"):
        page.keyboard.type(beginning)
        expect(page.get_by_role("option").first).to_be_visible()
        expect(page.get_by_role("combobox")).to_have_attribute("aria-activedescendant", "found-0")
        page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    first = names(page)
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.card')"):
            break
    page.keyboard.press("ArrowRight")
    page.keyboard.press("a")
    assert kept(page) == [first[1]]
    expect(page.get_by_role("status")).to_have_text(f"Accepted {first[1]}. 3 entities in the set.")
    expect(page.locator(".card").nth(1)).to_have_attribute("aria-label", f"2, {first[1]}, accepted")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=f"Accept {first[2]}")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name=f"Reject {first[2]}")).to_have_attribute("aria-pressed", "true")


def test_focus_stays_where_a_row_was_taken_away(visit: Opened, countries: str) -> None:
    page = visit(countries)
    add_seeds(page, "norw", "swed", "denm")
    page.get_by_role("button", name="Remove Sweden").press("Enter")
    expect(page.get_by_role("button", name="Remove Denmark")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_role("combobox")).to_be_focused()


def test_single_keys_can_be_turned_off(visit: Opened, countries: str) -> None:
    page = visit(countries + SET)
    names(page)
    page.keyboard.press("?")
    page.get_by_label("Single keys do this").uncheck()
    page.keyboard.press("Escape")
    page.locator(".card").first.focus()
    page.keyboard.press("a")
    assert len(kept(page)) == 1
    page.reload()
    names(page)
    page.locator(".card").first.focus()
    page.keyboard.press("a")
    page.keyboard.press("ArrowRight")
    assert len(kept(page)) == 1
    expect(page.locator(".card").nth(1)).to_be_focused()


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_and_hit(visit: Opened, countries: str, size: dict[str, int], scheme: str) -> None:
    page = visit(countries + SET, size, color_scheme=scheme)
    names(page)
    page.locator(".card").first.focus()
    page.keyboard.press("r")
    page.get_by_text("Narrow the results").click()
    page.locator("#refused-title").click()
    for summary in page.locator(".facet > summary").all():
        summary.click()
    for each in ("page", "sheet"):
        if each == "sheet":
            page.locator(".card").first.focus()
            page.keyboard.press("e")
            expect(page.get_by_role("dialog")).to_be_visible()
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(FAINT) == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        if size is PHONE:
            assert page.evaluate(SMALL) == []
