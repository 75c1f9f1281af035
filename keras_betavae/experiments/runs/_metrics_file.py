"""The rows of a run's `metrics.csv`."""

import warnings
from pathlib import Path
from typing import Any

import keras

from keras_betavae._utils.tables import csv_text, read_rows, write_text


class MetricsFile(keras.callbacks.Callback):
    """Writes each epoch's logs as a row of a CSV file.

    The whole file is rewritten and moved into place. So it has each epoch once, with the columns
    of all rows ("NA" for missing values), and is on disk before later callbacks are called.

    Args:
        path: The file.
        n_epochs: The number of epochs already trained; rows of later epochs are dropped.

    Raises:
        ValueError: If the file exists and is not such a table.
    """

    def __init__(self, path: Path, n_epochs: int = 0):
        super().__init__()
        self.path = path
        self._rows = {epoch: row for epoch, row in _read(path).items() if epoch < n_epochs}
        if len(self._rows) < n_epochs:
            warnings.warn(
                f"{path} has rows of {len(self._rows)} of the {n_epochs} intervals that are "
                "trained; the missing rows were deleted and cannot be restored",
                stacklevel=2,
            )

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds a row."""
        self._rows[epoch] = {"epoch": epoch, **dict(sorted((logs or {}).items()))}
        columns = list(dict.fromkeys(name for row in self._rows.values() for name in row))
        blank = dict.fromkeys(columns, "NA")
        write_text(self.path, csv_text(columns, [blank | row for row in self._rows.values()]))


def _read(path: Path) -> dict[int, dict[str, Any]]:
    if not path.is_file():
        return {}
    rows = read_rows(path, ["epoch"])
    try:
        return {int(row["epoch"]): row for row in rows}
    except ValueError as error:
        raise ValueError(f"{path} must number its epochs: {error}") from error
