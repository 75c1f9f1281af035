"""Checks that a run resumes with the same data."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_betavae._utils.names import one_line
from keras_betavae._utils.tables import read_object, write_json
from keras_betavae.datasets import ImageDataset

_N_IMAGES = 1_000
_TOLERANCE = 1.0
"""Tolerated difference of an image's mean gray level between decoder versions."""


def check_data(path: Path, data: ImageDataset) -> None:
    """Records the data of a run, or compares it with the record.

    Args:
        path: The record, `data.json`. It has the factors' names and sizes, and the classes and mean
            gray levels of evenly spaced images.
        data: The data.

    Raises:
        ValueError: If the data differ, or the record is damaged.
    """
    now = _described(data)
    if not path.is_file():
        write_json(path, now)
        return
    try:
        before = read_object(path)
        levels = np.array(before["mean_levels"], float)
        names = [str(name) for name in before["factor_names"]]
        factors = [before[name] for name in ("factor_sizes", "factors")]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not describe a run's data: {error}") from error
    advice = f"start a new run, or delete {path} to continue with these data"
    if names != now["factor_names"]:
        said = [", ".join(map(one_line, each)) or "none" for each in (now["factor_names"], names)]
        raise ValueError(f"the data's factors are {said[0]}, but were {said[1]}; {advice}")
    if factors != [now["factor_sizes"], now["factors"]]:
        raise ValueError(f"the factors' values have changed; {advice}")
    found = np.array(now["mean_levels"])
    if levels.shape != found.shape or (np.abs(levels - found) > _TOLERANCE).any():
        raise ValueError(f"the images have changed since the run was started; {advice}")


def _described(data: ImageDataset) -> dict[str, Any]:
    indices = np.linspace(0, len(data) - 1, min(_N_IMAGES, len(data))).astype(int)
    images = data.images_at(indices)
    levels = images.reshape(len(images), -1).mean(axis=1, dtype=np.float64)
    return {
        "factor_names": list(data.factor_names),
        "factor_sizes": list(data.factor_sizes),
        "factors": data.factors_at(indices).tolist(),
        "mean_levels": levels.round(2).tolist(),
    }
