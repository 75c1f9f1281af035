"""What the pages of all experiments have in common."""

import dataclasses
import importlib.metadata
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_betavae import visualization
from keras_betavae._utils.tables import csv_text, markdown_table, read_columns, write_text
from keras_betavae.experiments import runs
from keras_betavae.experiments.settings import Settings

if TYPE_CHECKING:
    from keras_betavae.datasets import FactorDataset
    from keras_betavae.models.beta_vae import BetaVAE

_PACKAGES = (
    "keras-betavae",
    "tensorflow",
    "keras",
    "tensorflow-probability",
    "numpy",
    "scikit-learn",
    "optuna",
)


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """A run of an experiment.

    Attributes:
        labels: The label on each axis of the sweep.
        folder: Its folder.
    """

    labels: Mapping[str, str]
    folder: Path

    @property
    def settings(self) -> Settings:
        """What it was made from."""
        return runs.load_settings(self.folder)

    def data(self) -> "FactorDataset":
        """Returns its data."""
        data: Any = self.settings.load_data()
        return data

    def model(self) -> "BetaVAE":
        """Returns its trained model."""
        return runs.load_model(self.folder)

    def table(self, name: str) -> dict[str, np.ndarray]:
        """Returns the columns of one of its CSV files as floats, NaN for what is none."""
        return read_columns(self.folder / name, ["step"])

    @property
    def seconds(self) -> float:
        """Seconds of training, without scores and pictures."""
        return float(self.table("metrics.csv")["seconds"].sum())


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a table; floats get six digits."""
    lines = ([f"{v:.6g}" if isinstance(v, float | np.floating) else v for v in row] for row in rows)
    write_text(path, csv_text(header, lines))


def picture(path: Path, what: Any, caption: str) -> str:
    """Writes an image or a figure; returns the Markdown that shows it."""
    image = what if isinstance(what, np.ndarray) else visualization.figure_image(what)
    visualization.write_png(path, image)
    return f"![{caption}]({path.name})\n\n*{caption}*"


def origin(found: Sequence[FinishedRun]) -> str:
    """Returns what the runs were made from and with: settings, seeds, versions, seconds."""
    every = [each.settings.model_dump() for each in found]
    same = {k: v for k, v in every[0].items() if all(other[k] == v for other in every)}
    shown = [f"`{name}` {value}" for name, value in same.items() if value is not None]
    differ = [name for name in every[0] if name not in same]
    lines = [
        [
            *each.labels.values(),
            *(str(settings[name]) for name in differ),
            f"{each.seconds:,.0f}",
        ]
        for each, settings in zip(found, every, strict=True)
    ]
    header = [*found[0].labels, *(f"`{name}`" for name in differ), "seconds of training"]
    versions = ", ".join(
        [f"Python {platform.python_version()}"]
        + [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
    )
    total = sum(each.seconds for each in found)
    return "\n\n".join(
        [
            "## Made from",
            f"The same for all runs: {', '.join(shown)}.",
            markdown_table(header, lines, numbers=False),
            (
                f"{total:,.0f} seconds of training in all, of runs that may have shared the "
                f"{os.cpu_count()} cores ({platform.machine()}). {versions}."
            ),
        ]
    )


def mean_and_spread(values: np.ndarray, *, percent: bool = False) -> str:
    """Returns "mean ± standard deviation", the mean alone of one value."""
    scale, digits = (100.0, 1) if percent else (1.0, 3)
    text = f"{scale * np.mean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {scale * np.std(values, ddof=1):.{digits}f}"
    return text
