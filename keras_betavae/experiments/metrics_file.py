"""The rows of a run's `metrics.csv`."""

import csv
import warnings
from pathlib import Path

import keras

from keras_betavae._utils.files import moved_into_place


class MetricsFile(keras.callbacks.Callback):
    """Writes each epoch's logs as a row of a CSV file.

    The file is written as a whole and moved into place, so that it holds each epoch once, with
    all columns of all rows ("NA" where a row has none), and is on the disk before the
    callbacks that come after this one are called.

    Args:
        path: The file.
        n_epochs: Of the rows that it holds those of the first epochs stay, as many as this.
    """

    def __init__(self, path: Path, n_epochs: int = 0):
        super().__init__()
        self.path = path
        self._rows = {epoch: row for epoch, row in _read(path).items() if epoch < n_epochs}
        if len(self._rows) < n_epochs:
            warnings.warn(
                f"{path} has rows of {len(self._rows)} of the {n_epochs} intervals that are "
                "trained; what is missing was deleted, and cannot be had again",
                stacklevel=2,
            )

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds a row."""
        self._rows[epoch] = {"epoch": epoch, **dict(sorted((logs or {}).items()))}
        columns = list(dict.fromkeys(name for row in self._rows.values() for name in row))
        with moved_into_place(self.path) as aside, aside.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="NA")
            writer.writeheader()
            writer.writerows(self._rows.values())


def _read(path: Path) -> dict[int, dict]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # A row that lacks values was never written to its end.
    return {int(row["epoch"]): row for row in rows if None not in row.values()}
