"""Data sets from tables: a CSV file or a data frame, with a vector for each row."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_betavae._utils.reading import damage_named
from keras_betavae.datasets.images import ImageDataset
from keras_betavae.datasets.user.arrays import from_arrays


def from_table(
    table: Any,
    *,
    factors: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    continuous: Sequence[str] | None = None,
) -> ImageDataset:
    """Makes a data set from a table: each row is a vector.

    Args:
        table: A pandas `DataFrame`, or the path of a CSV file with a header.
        factors: Columns of known factors (numbers or text), which are left out of the vectors.
        columns: Columns of numbers or booleans for the vectors; by default all other columns.
        continuous: As in `from_arrays`.

    Returns:
        A `FactorDataset` of vectors if there are factors, otherwise an `ImageDataset`. Values keep
        their units; `networks.standardized` standardizes them within the model.

    Raises:
        ImportError: If pandas is missing.
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not a CSV file or has no rows, or if a column is missing, is not
            numeric, or has missing values.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"length": [1.5, 2.5], "width": [3.0, 1.0], "kind": ["a", "b"]})
        >>> from_table(frame, factors=["kind"])
        FactorDataset(2 vectors (2,); kind 2)
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "from_table needs the package pandas; install the extra: "
            "pip install '.[table]' in a checkout"
        ) from error
    if isinstance(table, str | os.PathLike):
        if not os.path.isfile(table):  # pandas would wait for a pipe, and fetch an address.
            raise FileNotFoundError(f"there is no file {table}")
        path = table
        with damage_named(path, f"{path} is not a CSV file with a header"):
            table = pandas.read_csv(path)
        _check_header(path, list(table.columns))
    if not len(table):
        raise ValueError("table must have rows, got none")
    if not table.columns.is_unique:
        raise ValueError(f"columns must have different names, got {list(table.columns)}")
    for name, given in (("factors", factors), ("columns", columns or ())):
        missing = [each for each in given if each not in table.columns]
        if missing or isinstance(given, str):
            raise ValueError(
                f"{name} must be names of columns, {', '.join(map(str, table.columns))}, got "
                f"{given if isinstance(given, str) else ', '.join(map(str, missing))}"
            )
    chosen = [c for c in table.columns if c not in factors] if columns is None else list(columns)
    types = pandas.api.types
    text = [str(c) for c in chosen if not types.is_numeric_dtype(table[c])]
    if text or not chosen:
        raise ValueError(
            f"columns must be of numbers, got {', '.join(text) or 'none'}; name text columns as "
            "factors, leave them out, or encode them with pandas.get_dummies"
        )
    gaps = [str(c) for c in [*chosen, *factors] if table[c].isna().any()]
    if gaps:
        raise ValueError(
            f"values are missing in {', '.join(gaps)}; drop those rows with dropna(), or fill them "
            "in with fillna()"
        )
    return from_arrays(
        table[chosen].to_numpy(np.float64),
        [list(row) for row in table[list(factors)].itertuples(index=False)] if factors else None,
        list(map(str, factors)) if factors else None,
        continuous=continuous,
        columns=list(map(str, chosen)),
    )


def _check_header(path: str | os.PathLike, header: list[str]) -> None:
    """Raises a ValueError if a CSV file's first line is not a header, or has other separators."""
    import pandas

    if len(header) == 1 and any(separator in header[0] for separator in ";\t"):
        raise ValueError(f"{path} must have commas between its values, got {header[0]!r}")
    unnamed = [name for name in header if name.startswith("Unnamed: ")]
    if unnamed:
        raise ValueError(
            f"{path} has columns without a name, such as number {unnamed[0].split()[-1]}; an index "
            "of pandas is left out by to_csv(..., index=False)"
        )
    if pandas.to_numeric(pandas.Series(header), errors="coerce").notna().all():
        raise ValueError(f"{path} must begin with a header, got {','.join(header)}")
