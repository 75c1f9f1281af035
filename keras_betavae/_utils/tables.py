"""Tables as Markdown and CSV, and the text files that hold them."""

import csv
import io
import json
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


def read_rows(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    """Returns the rows of a CSV file by column, without those that a killed process left short.

    Args:
        path: The file.
        needed: Columns that it must have.

    Raises:
        ValueError: If it is not such a file.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows, header = list(reader), reader.fieldnames or ()
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a CSV file: {error}") from error
    if not set(needed) <= set(header) or any(None in row for row in rows):
        raise ValueError(
            f"{path} must have the columns {', '.join(needed)}, separated by commas, and no row "
            "longer than its header"
        )
    return [row for row in rows if None not in row.values()]


def read_columns(path: Path, needed: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns the columns of a CSV file of numbers as floats, NaN where there is no number.

    Args:
        path: The file.
        needed: Columns that it must have.

    Raises:
        ValueError: If it is not such a file.
    """
    rows = read_rows(path, needed)
    try:
        return {
            name: np.array([float("nan" if row[name] in ("", "NA") else row[name]) for row in rows])
            for name in (rows[0] if rows else needed)
        }
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} must hold numbers: {error}") from error


def write_text(path: Path, text: str) -> None:
    """Writes a text file that is complete whenever it exists; a line break ends it."""
    with moved_into_place(path) as aside:
        aside.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file that is complete whenever it exists."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False))


def finite_or_none(value: float | None) -> float | None:
    """Returns what JSON can hold."""
    return None if value is None or not np.isfinite(value) else value
