"""Contact sheets of data sets, with a row for each factor."""

from typing import Any

import numpy as np

from keras_betavae._utils.names import one_line
from keras_betavae.visualization.images import image_grid, labeled_grid
from keras_betavae.visualization.series import View


def factor_sweep(data: Any, n_steps: int = 10) -> np.ndarray:
    """Returns images in which one factor varies and the others have their middle value.

    Args:
        data: A `FactorDataset`. If a combination of factors has no image, an image that shares
            most of them is used.
        n_steps: Images per row, evenly over the factor's values; a factor with fewer values
            repeats some.

    Returns:
        Images `(n_factors, n_steps, *image_shape)`, in the format of the data.

    Raises:
        ValueError: If `n_steps` is below 1.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1, got {n_steps}")
    sizes = np.array(data.factor_sizes)
    factors = np.tile(sizes // 2, (len(sizes), n_steps, 1))
    for k, size in enumerate(sizes):
        factors[k, :, k] = np.rint(np.linspace(0, size - 1, n_steps))
    wanted = factors.reshape(-1, len(sizes))
    if data.is_grid:
        indices = data.index_of(wanted)
    else:
        there = data.factors_at(np.arange(len(data)))
        # The varying factor has more weight than all others together.
        weights = np.eye(len(sizes), dtype=int) * len(sizes) + 1
        indices = np.array(
            [
                np.argmax((there == row) @ weights[number // n_steps])
                for number, row in enumerate(wanted)
            ]
        )
    return data.images_at(indices).reshape(*factors.shape[:2], *data.image_shape)


def contact_sheet(data: Any, n_steps: int = 10, *, seed: int = 0) -> np.ndarray:
    """Returns a picture of a data set: a row for each factor, with its name and size.

    Args:
        data: A `FactorDataset`; or an `ImageDataset`, of which five rows of images are drawn.
        n_steps: Images per row, as in `factor_sweep`.
        seed: Seed of that draw.

    Returns:
        uint8 (height, width, 3).
    """
    view = View.of(data)
    if not data.factor_names:
        images = data.images_at(data.sample_indices(5 * n_steps, seed))
        return image_grid(view.cells(images.reshape(5, n_steps, *data.image_shape)))
    labels = [
        f"{one_line(name)} ({size})"
        for name, size in zip(data.factor_names, data.factor_sizes, strict=True)
    ]
    return labeled_grid(view.cells(factor_sweep(data, n_steps)), labels)
