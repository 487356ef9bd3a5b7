"""An example that is not in the index: told by a sentence, shown by a picture."""

from __future__ import annotations

import base64
import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from entity_expand.demo import bundle_path
from entity_expand.query import NewSeed
from entity_expand.results import Expansion
from page.conftest import PHONE, WIDE, service
from page.hostile import HARM, LONG
from page.test_access import FAINT, NAMELESS, SMALL
from page.test_curator import add_seeds, names, saved

Opened = Callable[..., Page]
SENTENCE = "[[Ruritania]] has fjords, and its trawlers land cod."
OPENER = "Something that is not in here"

DROP = """(dialog, [name, type, content]) => {
    const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name, { type }));
    for (const kind of ["dragenter", "dragover", "drop"]) {
        dialog.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
    }
}"""


@pytest.fixture(scope="module")
def encoding(demo: Path) -> Iterator[str]:
    """A service that can encode."""
    with service(demo, "--title", "Countries", "--bundle", str(bundle_path())) as address:
        yield address


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    Image.new("RGB", (60, 40), (10, 20, 160)).save(tmp_path / "flag.png")
    return tmp_path / "flag.png"


def fill(page: Page, name: str, text: str = "", picture: Path | None = None) -> None:
    page.get_by_role("button", name=OPENER).click()
    form = page.get_by_role("dialog", name=OPENER)
    form.get_by_label("Name").fill(name)
    form.get_by_label("A sentence about it").fill(text)
    if picture is not None:
        form.get_by_label("A picture of it").set_input_files(picture)


def seeds(page: Page) -> list[str]:
    return page.locator("#seeds .words").all_inner_texts()


def test_it_is_a_seed_like_any_other(visit: Opened, encoding: str, flag: Path, tmp_path: Path) -> None:
    page = visit(encoding)
    add_seeds(page, "norw")
    fill(page, "Ruritania", SENTENCE, flag)
    page.get_by_role("button", name="Add as an example").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert seeds(page) == ["Norway", "Ruritania"]
    chip = page.locator("#seeds .row").last
    expect(chip.locator(".fresh")).to_have_text("own")
    assert chip.locator("img").evaluate("(each) => each.decode().then(() => each.naturalWidth)") == 60

    with page.expect_request("**/v1/expand") as request:
        page.get_by_role("button", name="Expand", exact=True).click()
    picture = base64.b64encode(flag.read_bytes()).decode()
    asked: dict[str, Any] = request.value.post_data_json
    assert asked["seeds"] == ["NO", {"text": SENTENCE, "image": picture, "name": "Ruritania"}]
    shown = names(page)
    assert len(shown) == 24 and "Norway" not in shown
    page.locator(".card").first.focus()
    page.keyboard.press("e")
    expect(page.get_by_text("like Ruritania")).to_be_visible()
    page.keyboard.press("Escape")

    loaded = Expansion.from_json(saved(page, "JSON", tmp_path))
    assert loaded.query.seeds == ("NO", NewSeed(SENTENCE, flag.read_bytes(), "Ruritania"))
    assert [(seed.id, seed.name) for seed in loaded.seeds] == [("NO", "Norway"), ("", "Ruritania")]
    rows = list(csv.DictReader(saved(page, "CSV", tmp_path).read_text("utf-8").splitlines()))
    assert [(row["id"], row["name"]) for row in rows] == [("NO", "Norway"), ("", "Ruritania")]
    assert rows[1]["text"] == "Ruritania has fjords, and its trawlers land cod."

    page.get_by_role("button", name="Remove Ruritania").click()
    assert seeds(page) == ["Norway"]
    page.get_by_role("button", name="Undo").click()
    assert seeds(page) == ["Norway", "Ruritania"]


def test_a_link_leaves_it_out_and_says_so(visit: Opened, encoding: str, flag: Path) -> None:
    page = visit(encoding)
    fill(page, "Ruritania", SENTENCE)
    page.get_by_role("button", name="Add as an example").click()
    expect(page.get_by_text("The link leaves out Ruritania")).to_be_visible()
    expect(page.get_by_role("button", name="Copy link")).to_be_disabled()
    page.get_by_role("button", name="Expand", exact=True).click()
    first = names(page)
    page.locator(".card").first.focus()
    page.keyboard.press("a")
    assert page.url.count("=") == 1 and "Ruritania" not in page.url
    other = visit(page.url)
    names(other)
    assert seeds(other) == first[:1]
    add_seeds(page, "mongol")
    assert first[0] != "Mongolia" and "seed=MN&accept=" in page.url


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_form_needs_no_mouse_and_can_be_read(
    visit: Opened, encoding: str, flag: Path, size: dict[str, int], scheme: str
) -> None:
    page = visit(encoding, size, color_scheme=scheme)
    page.on("filechooser", lambda chooser: chooser.set_files(flag))
    page.get_by_role("combobox").press_sequentially("Ruritania")
    expect(page.get_by_text("No name begins so.")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Ruritania")
    expect(page.get_by_label("A sentence about it")).to_be_focused()
    page.keyboard.type("Nothing is said of it by name. x a")
    page.keyboard.press("Tab")
    expect(page.get_by_label("A picture of it")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("flag.png")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("does not hold the name “Ruritania”")
    expect(page.get_by_label("A sentence about it")).to_be_focused()
    assert page.evaluate(NAMELESS) == [] and page.evaluate(FAINT) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert size is WIDE or page.evaluate(SMALL) == []
    page.keyboard.press("Control+A")
    page.keyboard.type(SENTENCE)
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert seeds(page) == ["Ruritania"]
    expect(page.get_by_role("button", name=OPENER)).to_be_focused()
    assert page.evaluate(FAINT) == [] and (size is WIDE or page.evaluate(SMALL) == [])


def test_what_is_wrong_is_said_in_the_form(visit: Opened, encoding: str, tmp_path: Path) -> None:
    page = visit(encoding)
    said = page.get_by_role("dialog").get_by_role("alert")
    fill(page, " ")
    page.get_by_label("Name", exact=True).press("Enter")
    expect(said).to_have_text("Give it a name.")
    page.get_by_label("Name", exact=True).fill("Ruritania")
    page.get_by_label("Name", exact=True).press("Enter")
    expect(said).to_have_text("Give a sentence, a picture, or both.")
    (tmp_path / "none.png").write_bytes(b"not a picture")
    page.get_by_label("A picture of it").set_input_files(tmp_path / "none.png")
    expect(said).to_be_hidden()
    page.get_by_role("button", name="Add as an example").click()
    expect(said).to_contain_text("broken or none of JPEG")
    (tmp_path / "large.png").write_bytes(bytes((8 << 20) + 1))
    page.get_by_label("A picture of it").set_input_files(tmp_path / "large.png")
    page.get_by_role("button", name="Add as an example").click()
    expect(said).to_have_text("The picture has 8.0 MB; at most 8.0 are taken.")
    page.get_by_role("button", name="Without the picture").click()
    expect(page.get_by_label("A picture of it")).to_be_focused()
    page.route("**/v1/encode", lambda route: route.abort())
    page.get_by_label("A sentence about it").fill(SENTENCE)
    page.get_by_role("button", name="Add as an example").click()
    expect(said).to_contain_text("The service does not answer")
    page.keyboard.press("Escape")
    assert seeds(page) == []


def test_a_picture_can_be_dropped(visit: Opened, encoding: str, flag: Path) -> None:
    page = visit(encoding)
    fill(page, "Ruritania")
    content = base64.b64encode(flag.read_bytes()).decode()
    page.locator("#own").evaluate(DROP, ["dropped.png", "image/png", content])
    expect(page.get_by_text("dropped.png")).to_be_visible()
    assert page.locator("#own-preview img").evaluate("(each) => each.decode().then(() => each.naturalWidth)") == 60
    page.get_by_role("button", name="Add as an example").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Expand", exact=True).click()
    assert len(names(page)) == 24


def test_harm_in_it_stays_text(visit: Opened, encoding: str) -> None:
    page = visit(encoding)
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>window.harmed = 1</script></svg>"
    for harm in (*HARM, LONG):
        fill(page, harm, f"{harm} is said of {harm}.")
        page.get_by_role("button", name="Add as an example").click()
        expect(page.get_by_role("dialog")).to_be_hidden()
    assert seeds(page) == [*HARM, LONG]
    assert page.evaluate(
        "[...document.querySelectorAll('.panel')].every((each) => each.scrollWidth <= each.clientWidth)"
    )
    fill(page, HARM[0])
    page.locator("#own").evaluate(DROP, [HARM[0], "image/svg+xml", base64.b64encode(svg).decode()])
    expect(page.locator("#own-picked")).to_have_text(HARM[0])
    page.get_by_role("button", name="Add as an example").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("broken or none of JPEG")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Expand", exact=True).click()
    names(page)
    page.locator(".card").first.focus()
    page.keyboard.press("e")
    expect(page.locator("#sheet-shares .meter").first).to_be_visible()
    assert page.evaluate("[window.harmed, ({}).polluted]") == [None, None]
    assert page.locator("script").count() == 1 and page.locator("iframe, object, [onerror], [onload]").count() == 0


def test_a_service_that_cannot_encode_offers_none(visit: Opened, countries: str) -> None:
    page = visit(countries)
    expect(page.get_by_text("163 entities")).to_be_visible()
    expect(page.get_by_role("button", name=OPENER)).to_be_hidden()
