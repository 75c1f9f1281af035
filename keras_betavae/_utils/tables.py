"""Tables as Markdown and as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_betavae._utils.files import moved_into_place


def number_text(value: float) -> str:
    """Returns a number as tables show it."""
    if np.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value and not 5e-4 <= abs(value) < 1e6:
        return f"{value:.1e}"
    return f"{value:.0f}" if value >= 2 and float(value).is_integer() else f"{value:.3f}"


def markdown_table(header: list[str], lines: list[list[str]], numbers: bool = True) -> str:
    """Returns a Markdown table; columns from the third on are numbers, unless told otherwise."""
    lines = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    # GitHub takes no rule without a dash.
    widths = [max(1, *map(len, column)) for column in zip(header, *lines, strict=True)]
    left = [not numbers or n < 2 for n in range(len(header))]
    rule = [
        "-" * w if is_left else "-" * (w - 1) + ":" for w, is_left in zip(widths, left, strict=True)
    ]
    rows = [header, rule, *lines]
    return "\n".join(
        "| "
        + " | ".join(
            cell.ljust(w) if is_left else cell.rjust(w)
            for cell, w, is_left in zip(row, widths, left, strict=True)
        )
        + " |"
        for row in rows
    )


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any] | Mapping[str, Any]]) -> str:
    """Returns a table as CSV.

    Args:
        header: The columns' names.
        rows: Values in the header's order, or by name; a name that a row lacks is left empty.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([row.get(name) for name in header] if isinstance(row, Mapping) else row)
    return out.getvalue()


def write_text(path: Path, text: str) -> None:
    """Writes a text file that is complete whenever it exists; a line break ends it."""
    with moved_into_place(path) as aside:
        aside.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def finite_or_none(value: float | None) -> float | None:
    """Returns what JSON can hold."""
    return None if value is None or not np.isfinite(value) else value
