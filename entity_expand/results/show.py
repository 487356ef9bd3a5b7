"""An expansion for people: a table for the terminal, a page with pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from entity_expand.errors import ImageError
from entity_expand.explain.about import Explanation, SetExplanation
from entity_expand.inputs.image import open_picture
from entity_expand.results.expansion import Expansion, Result
from entity_expand.stores.base import Evidence

_THUMBNAIL = 240
_LONGEST_LINE = 76
_SHOWN = 6


def _printable(text: str) -> str:
    """Return text that cannot steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def _first_sentence(evidence: Sequence[Evidence]) -> str:
    return next((item.text for item in evidence if item.text), "")


def _said(result: Result) -> str:
    """Return how sure the expansion is of a result, or failing that how similar it is to the seeds."""
    return f"{result.similarity:6.2f}" if result.confidence is None else f"{100 * result.confidence:4.0f} %"


def table(expansion: Expansion) -> str:
    """Return a table: rank, name, confidence or similarity, and a sentence that names the entity."""
    width = max([4, *(len(_printable(result.name)) for result in expansion.results)])
    likely = "" if expansion.cutoff is None else f", about {expansion.cutoff} of them likely members"
    seeds = ", ".join(_printable(seed.name) for seed in expansion.seeds)
    lines = [f"{seeds} and {len(expansion.results)} more{likely}:"]
    for result in expansion.results:
        sentence = _printable(_first_sentence(result.evidence))
        cut = sentence if len(sentence) <= _LONGEST_LINE else sentence[: _LONGEST_LINE - 1] + "…"
        lines.append(f"{result.rank:4}  {_printable(result.name):{width}}  {_said(result)}  {cut}".rstrip())
        if result.rank == expansion.cutoff and result.rank < len(expansion.results):
            lines.append(f"      {'-' * width}  less likely:")
    return "\n".join(lines)


def explanation_lines(about: SetExplanation, explanations: Sequence[Explanation]) -> str:
    """Return what holds a set together and why some results are in it, as lines of text."""
    words = ", ".join(_printable(word.text) for word in about.words[:_SHOWN])
    centre = ", ".join(_printable(each.name) for each in about.neighbours[:_SHOWN])
    lines = [f"The set: {_printable(about.label) or 'no label'}"]
    lines += [f"  words of its members: {words}"] if words else []
    lines += [f"  near its centre: {centre}"] if centre else []
    for each in explanations:
        first = each.contributions[0]
        said = f"nearest {_printable(first.seed.name)}, which adds {first.share:.2f} of {each.result.similarity:.2f}"
        shared = ", ".join(_printable(word) for word in each.words[:_SHOWN])
        lines.append(f"{each.result.rank:4}  {_printable(each.result.name)}: {said}{f'; {shared}' if shared else ''}")
    return "\n".join(lines)


def thumbnail(picture: Path, side: int) -> str:
    """Return an <img> with the picture inside, or "" if it cannot be read.

    Args:
        picture: The file.
        side: Longest side in pixels.
    """
    try:
        image = open_picture(picture)
    except ImageError:
        return ""
    image.thumbnail((side, side))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=85)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}">'


def _marked(item: Evidence) -> str:
    """Return a sentence with the entity's mentions in bold, every character of the corpus escaped."""
    parts, done = [], 0
    for start, end in sorted(item.mentions):
        parts += [escape(item.text[done:start]), "<b>", escape(item.text[start:end]), "</b>"]
        done = end
    return "".join(parts) + escape(item.text[done:])


def marked_sentence(evidence: Sequence[Evidence]) -> str:
    """Return the first sentence with the entity's mentions in bold, every character of the corpus escaped."""
    return next((_marked(item) for item in evidence if item.text), "")


def _card(name: str, note: str, evidence: Sequence[Evidence], picture: Path | None) -> str:
    shown = "" if picture is None else thumbnail(picture, _THUMBNAIL)
    frame = shown or '<div class="none">no picture</div>'
    return f"<li>{frame}<h2>{escape(name)}</h2><p class=note>{escape(note)}</p><p>{marked_sentence(evidence)}</p></li>"


def page(expansion: Expansion, picture_of: Callable[[Sequence[Evidence]], Path | None]) -> str:
    """Return a page that needs nothing beside itself: every picture is inside it.

    Args:
        expansion: What to show.
        picture_of: Finds the file of the first picture among some evidence.
    """
    given = "".join(_card(seed.name, "seed", seed.evidence, picture_of(seed.evidence)) for seed in expansion.seeds)
    found = "".join(
        _card(result.name, f"{result.rank} · {_said(result).strip()}", result.evidence, picture_of(result.evidence))
        for result in expansion.results
    )
    title = escape(", ".join(seed.name for seed in expansion.seeds))
    return _PAGE.format(title=title, count=len(expansion.results), seeds=given, results=found)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title} and more</title>
<style>
:root {{ color-scheme: light dark; --line: #8884; --quiet: #888; }}
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; font-weight: 600; }}
ul {{ list-style: none; padding: 0; display: grid; gap: 1rem;
      grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); }}
li {{ border: 1px solid var(--line); border-radius: .6rem; overflow: hidden; padding-bottom: .6rem; }}
li img, .none {{ display: block; width: 100%; aspect-ratio: 4 / 3; object-fit: contain; background: #8881; }}
.none {{ display: grid; place-items: center; color: var(--quiet); background: #8881; }}
h2 {{ font-size: 1rem; margin: .6rem .8rem 0; }}
p {{ font-size: .85rem; margin: .2rem .8rem; }}
.note {{ color: var(--quiet); }}
.seeds li {{ border-color: #2a7; }}
</style></head><body>
<h1>{title} and {count} more</h1>
<ul class="seeds">{seeds}</ul>
<ul>{results}</ul>
</body></html>
"""
