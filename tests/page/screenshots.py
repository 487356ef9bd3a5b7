"""Take the pictures of the page for the documents: `python tests/page/screenshots.py ADDRESS docs/images`.

The service answers from the demo's index and is given the demo's bundle.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

SIZES = {"wide": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
SET = "#seed=GH&seed=ML&seed=SN"


def main(address: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        for size in SIZES:
            for scheme in ("light", "dark"):
                take(browser, address, folder, size, scheme)
        browser.close()


def take(browser: Browser, address: str, folder: Path, size: str, scheme: str) -> None:
    options = {"viewport": SIZES[size], "color_scheme": scheme, "reduced_motion": "reduce"}
    page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
    page.goto(f"{address}/{SET}")
    page.locator(".card").first.focus()
    for key in "aara":
        page.keyboard.press(key)
    page.wait_for_load_state("networkidle")
    keep(page.screenshot(), folder / f"page-{size}-{scheme}.png")
    page.keyboard.press("e")
    page.wait_for_timeout(1_000)
    page.locator("dialog img").evaluate_all("(all) => Promise.all(all.map((each) => each.decode()))")
    keep(page.screenshot(), folder / f"page-evidence-{size}-{scheme}.png")
    page.keyboard.press("Escape")
    if size == "phone":
        page.evaluate("window.scrollTo(0, 0)")
        page.get_by_role("combobox").press_sequentially("gu")
        page.get_by_role("option").first.wait_for()
        page.wait_for_timeout(1_000)
        keep(page.screenshot(), folder / f"page-seeds-{size}-{scheme}.png")
        page.keyboard.press("Escape")
    page.evaluate("window.scrollTo(0, 0)")
    page.get_by_role("combobox").fill("Ruritania")
    page.get_by_role("button", name="Something that is not in here").click()
    page.get_by_label("A sentence about it").fill("Ruritania sends its gold down the river to the coast.")
    page.get_by_label("A picture of it").set_input_files(
        {"name": "flag.png", "mimeType": "image/png", "buffer": flag()}
    )
    page.locator("#own img").evaluate("(each) => each.decode()")
    keep(page.screenshot(), folder / f"page-own-{size}-{scheme}.png")
    page.context.close()


def flag() -> bytes:
    """Return the picture of the flag of a country that is none."""
    stream = io.BytesIO()
    image = Image.new("RGB", (120, 80), (0, 110, 70))
    image.paste((250, 210, 40), (0, 26, 120, 54))
    image.save(stream, "PNG")
    return stream.getvalue()


def keep(content: bytes, path: Path) -> None:
    """Write a picture with 256 colours, which is what these need."""
    Image.open(io.BytesIO(content)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
