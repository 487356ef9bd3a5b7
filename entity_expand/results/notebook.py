"""An expansion in a notebook: a table with pictures, which needs nothing beside itself."""

from __future__ import annotations

from html import escape

from entity_expand.results.expansion import Expansion, Result
from entity_expand.results.show import marked_sentence, thumbnail

_MOST_ROWS = 50
_PICTURE = 72
_MOST_BYTES = 2 << 20
_HEAD = "<tr><th>rank</th><th></th><th>name</th><th>{said}</th><th></th></tr>"


def as_html(expansion: Expansion) -> str:
    """Return a table of the first results; every text of the corpus is escaped, pictures end at some megabytes."""
    seeds = escape(", ".join(seed.name for seed in expansion.seeds))
    calibrated = any(result.confidence is not None for result in expansion.results)
    rows, room = [], _MOST_BYTES
    for result in expansion.results[:_MOST_ROWS]:
        picture = _picture(expansion, result) if room > 0 else ""
        room -= len(picture)
        rows.append(_row(expansion, result, picture, calibrated))
    left = len(expansion.results) - len(rows)
    head = _HEAD.format(said="confidence" if calibrated else "similarity")
    likely = f", about {expansion.cutoff} of them likely members" if expansion.cutoff is not None else ""
    return (
        f"<p><b>{seeds}</b> and {len(expansion.results)} more{likely}</p>"
        f'<table style="text-align: left">{head}{"".join(rows)}</table>' + (f"<p>and {left} more</p>" if left else "")
    )


def _picture(expansion: Expansion, result: Result) -> str:
    maker = expansion.origin.maker
    file = None if maker is None else maker.picture(result.evidence)
    return "" if file is None else thumbnail(file, _PICTURE)


def _row(expansion: Expansion, result: Result, picture: str, calibrated: bool) -> str:
    history = expansion.history
    mark = "✓ " if result.id in history.accepted else "✗ " if result.id in history.rejected else ""
    value = result.confidence if calibrated else result.similarity
    said = "" if value is None else f"{value:.2f}"
    sentence = marked_sentence(result.evidence)
    cutoff = expansion.cutoff
    faint = ' style="opacity: .6"' if cutoff is not None and result.rank > cutoff else ""
    return (
        f"<tr{faint}><td>{result.rank}</td><td>{picture}</td><td>{mark}<b>{escape(result.name)}</b></td>"
        f"<td>{said}</td><td>{sentence}</td></tr>"
    )
