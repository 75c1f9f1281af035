"""A callback that writes the information in each latent to a CSV file."""

import os

import numpy as np

from keras_betavae._utils.files import local_path
from keras_betavae._utils.replicas import is_chief
from keras_betavae._utils.tables import csv_text, read_table, write_text
from keras_betavae.callbacks._summary import SummaryCallback
from keras_betavae.datasets import ImageDataset
from keras_betavae.evaluation.inspection import Inspection, inspect


class LatentTable(SummaryCallback):
    """Writes the KL and the mutual information of each latent to a CSV file.

    Before training and after every n-th epoch, it adds a line for each latent: `step`, `latent`,
    its KL `kl`, and its mutual information with each factor under the factor's name, in nats. Lines
    of later steps than the first step of training are dropped, so a resumed training continues the
    file. The training's random streams are not used.

    Args:
        data: Images with factors, or without.
        path: The file.
        every_n_epochs: Writes after every n-th epoch.
        n_images: Images that are drawn and encoded.

    Raises:
        ValueError: If a number is below 1, or the path is a URL.

    Example:
        >>> from keras_betavae.datasets import load_blobs
        >>> callback = LatentTable(load_blobs(8, 8), "latents.csv")
    """

    def __init__(
        self,
        data: ImageDataset,
        path: str | os.PathLike,
        *,
        every_n_epochs: int = 1,
        n_images: int = 10_000,
    ):
        super().__init__(None, every_n_epochs)
        if n_images < 1:
            raise ValueError(f"n_images must be at least 1, got {n_images}")
        self.data = data
        self.path = local_path(path)
        self.n_images = n_images
        self._lines: list[list] = []

    def begin(self, epoch: int) -> None:
        """Keeps the lines of earlier steps and adds those of the current model.

        Raises:
            ValueError: If the file is not such a table, or has other factors.
        """
        if is_chief(self.model):
            found = inspect(self.model, self.data, n=self.n_images)
            self._lines = self._earlier_lines(found) if self.path.is_file() else []
            self._add(found)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Adds lines at the end of an interval."""
        if self.is_due(epoch) and is_chief(self.model):
            self._add(inspect(self.model, self.data, n=self.n_images))

    def _earlier_lines(self, found: Inspection) -> list[list]:
        rows = read_table(self.path)
        if rows and rows[0] != _header(found):
            raise ValueError(
                f"{self.path} has the columns {', '.join(rows[0])}, but this training's are "
                f"{', '.join(_header(found))}; move the file away, or train with the factors of "
                "before"
            )
        try:
            return [row for row in rows[1:] if int(row[0]) < self.step]
        except (IndexError, ValueError) as error:
            raise ValueError(f"{self.path} must begin each line with a step: {error}") from error

    def _add(self, found: Inspection) -> None:
        carried = np.column_stack([found.kl, found.information])
        self._lines += [
            [self.step, latent, *(f"{value:.5g}" for value in row)]
            for latent, row in enumerate(carried)
        ]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.path, csv_text(_header(found), self._lines))


def _header(found: Inspection) -> list[str]:
    own = ["step", "latent", "kl"]
    return own + [f"{name} (factor)" if name in own else name for name in found.factor_names]
