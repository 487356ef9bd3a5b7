"""Results as rows of a table: dictionaries, pandas, CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entity_expand.extras import imported
from entity_expand.files import write_result
from entity_expand.results.expansion import Expansion

if TYPE_CHECKING:
    import pandas as pd

# What spreadsheets take for the start of a formula, in both widths, or skip before one.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
COLUMNS = ("rank", "id", "name", "score", "similarity", "confidence", "rank_before", "verdict", "text", "image")


def to_rows(expansion: Expansion) -> list[dict[str, Any]]:
    """Return a flat dictionary per result, all with the same keys, in the same order.

    The first sentence and the first picture stand for the evidence; "verdict" is "accept", "reject" or None.
    """
    keys = sorted({key for result in expansion.results for key in result.attributes})
    verdicts = dict.fromkeys(expansion.history.accepted, "accept") | dict.fromkeys(expansion.history.rejected, "reject")
    rows = []
    for result in expansion.results:
        row = {name: getattr(result, name) for name in COLUMNS[:7]}
        row["verdict"] = verdicts.get(result.id)
        row["text"] = next((item.text for item in result.evidence if item.text), "")
        row["image"] = next((item.image for item in result.evidence if item.image is not None), None)
        rows.append({**row, **{f"attribute.{key}": result.attributes.get(key) for key in keys}})
    return rows


def to_frame(expansion: Expansion) -> pd.DataFrame:
    """Return the rows as a data frame.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    rows = to_rows(expansion)
    columns = list(rows[0]) if rows else list(COLUMNS)
    frame: pd.DataFrame = imported("pandas", "pandas", "pandas").DataFrame(rows, columns=columns)
    return frame


def write_table(expansion: Expansion, path: Path) -> None:
    """Write the rows as CSV in UTF-8; a text that a spreadsheet would compute gets a ' in front."""
    rows = to_rows(expansion)
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow([_harmless(name) for name in (rows[0] if rows else COLUMNS)])
    writer.writerows([_harmless(value) for value in row.values()] for row in rows)
    write_result(path, stream.getvalue())


def _harmless(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA):
        return "'" + value
    return value
