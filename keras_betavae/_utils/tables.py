"""Tables as Markdown and CSV, and the text files that hold them."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_betavae._utils.files import moved_into_place
from keras_betavae._utils.names import printable

_FORMULA = re.compile(r"'*[=+@\t\r-]")
"""What a spreadsheet takes for a formula, and what looks like one that was quoted."""
_QUOTED = re.compile(f"'(?={_FORMULA.pattern})")


def number_text(value: float) -> str:
    """Returns a number as tables show it."""
    if np.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value and not 5e-4 <= abs(value) < 1e6:
        return f"{value:.1e}"
    return f"{value:.0f}" if value >= 2 and float(value).is_integer() else f"{value:.3f}"


def markdown_table(header: list[str], lines: list[list[str]], numbers: bool = True) -> str:
    """Returns a Markdown table; columns from the third on are numbers, unless told otherwise."""
    lines = [[printable(cell).replace("|", "\\|") for cell in line] for line in lines]
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

    Text that a spreadsheet would compute, since it begins with =, +, - or @, gets an apostrophe
    before it, which `read_table` takes off again. Numbers stay as they are.

    Args:
        header: The columns' names.
        rows: Values in the header's order, or by name; a name that a row lacks is left empty.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_cell, header))
    for row in rows:
        values = [row.get(name) for name in header] if isinstance(row, Mapping) else row
        writer.writerow(map(_cell, values))
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        value = value.replace("\r", " ")  # Unquoted, it would end the line.
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def read_table(path: Path) -> list[list[str]]:
    """Returns the rows of a CSV file, the header first, as `csv_text` was given them.

    Raises:
        ValueError: If it is not a CSV file.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a CSV file: {error}") from error
    return [[cell[1:] if _QUOTED.match(cell) else cell for cell in row] for row in rows]


def read_rows(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    """Returns the rows of a CSV file by column, without those that a killed process left short.

    Args:
        path: The file.
        needed: Columns that it must have.

    Raises:
        ValueError: If it is not such a file.
    """
    header, *rows = read_table(path) or [[]]
    if not set(needed) <= set(header) or any(len(row) > len(header) for row in rows):
        raise ValueError(
            f"{path} must have the columns {', '.join(needed)}, separated by commas, and no row "
            "longer than its header"
        )
    return [dict(zip(header, row, strict=True)) for row in rows if len(row) == len(header)]


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


def read_object(path: Path) -> dict[str, Any]:
    """Returns the object that a JSON file holds.

    Raises:
        ValueError: If it holds anything else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"it must be an object of JSON, got a {type(found).__name__}")
    return found


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file that is complete whenever it exists."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # It holds the name of a file that is not UTF-8.
        text = json.dumps(value, indent=2)
    write_text(path, text)


def finite_or_none(value: float | None) -> float | None:
    """Returns what JSON can hold."""
    return None if value is None or not np.isfinite(value) else value
