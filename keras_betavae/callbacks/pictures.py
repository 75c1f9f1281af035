"""Callbacks that draw what a model has learned in TensorBoard."""

import os
from typing import Any

import numpy as np
import tensorflow as tf

from keras_betavae import visualization
from keras_betavae.callbacks._summary import DrawingCallback
from keras_betavae.evaluation.inspection import as_dataset, inspect, showcase


class LatentTraversal(DrawingCallback):
    """Draws traversals of the latents, around a few images, in TensorBoard.

    Each image gives a grid under `traversal/`, with a row per latent.

    Args:
        images: Images `(n, *image_shape)`, in the format of the data; or a data set, for the first
            three images of `showcase`. For vectors and signals pass the data set, which has the
            names and the range of the plots.
        log_dir: TensorBoard's folder.
        every_n_epochs: Draws when training begins and after every n-th epoch.
        limit: Each latent varies from -limit to limit.
        n_steps: Images per row.

    Raises:
        ValueError: If `every_n_epochs` is below 1.

    Example:
        >>> callback = LatentTraversal(np.zeros((3, 64, 64, 1), "uint8"), log_dir="logs")
    """

    folder = "traversal"

    def __init__(
        self,
        images: Any,
        log_dir: str | os.PathLike,
        *,
        every_n_epochs: int = 1,
        limit: float = 3.0,
        n_steps: int = 11,
    ):
        super().__init__(log_dir, every_n_epochs)
        data = as_dataset(images)
        self.images = images if isinstance(images, np.ndarray) else showcase(data, 3)
        self.view = visualization.View.of(data)
        self.limit = limit
        self.n_steps = n_steps

    def draw(self) -> None:
        """Writes the pictures of the current model."""
        codes = np.asarray(self.model.encode(self.images)[0])
        grids = [self._picture(code) for code in codes]
        with self.writing():
            for index, grid in enumerate(grids):
                tf.summary.image(f"traversal/{index}", grid[None])

    def _picture(self, code: np.ndarray) -> np.ndarray:
        values = visualization.traversal_values("limit", self.n_steps, limit=self.limit)
        rows = visualization.traverse(self.model, code, values=values)
        if not self.view.is_series:
            return visualization.image_grid(self.view.cells(rows))
        labels = [f"z{latent}" for latent in range(len(code))]
        return visualization.figure_image(self.view.plot_traversal(rows, values, labels))


class LatentPictures(DrawingCallback):
    """Writes pictures of the model, and histograms of its codes, to TensorBoard.

    Before training and after every n-th epoch, it writes all pictures of `Inspection.pictures`, as
    `pictures/traversal`, `pictures/reconstructions` and so on, and the codes of each active latent
    as the histogram `posterior/latent_<i>`. The training's random streams are not used.

    Args:
        data: Images with factors, or without; or an array for `datasets.from_arrays`.
        log_dir: TensorBoard's folder.
        every_n_epochs: Draws after every n-th epoch.
        images: At least 2 images to reconstruct, `(n, *image_shape)`; by default 8 images of the
            data, always the same ones.
        n_images: Images that are drawn and encoded for the other pictures.

    Raises:
        ValueError: If a number is below 1, or there are fewer than 2 images.

    Example:
        >>> from keras_betavae.datasets import load_sprites
        >>> data = load_sprites(orientation=4, pos_x=4, pos_y=4)
        >>> callback = LatentPictures(data, "logs", n_images=500)
    """

    folder = "pictures"

    def __init__(
        self,
        data: Any,
        log_dir: str | os.PathLike,
        *,
        every_n_epochs: int = 1,
        images: np.ndarray | None = None,
        n_images: int = 10_000,
    ):
        super().__init__(log_dir, every_n_epochs)
        if n_images < 1:
            raise ValueError(f"n_images must be at least 1, got {n_images}")
        if images is not None and len(images) < 2:
            raise ValueError(f"images must be at least 2, got {len(images)}")
        self.data = data = as_dataset(data)
        self.images = showcase(data) if images is None else images
        self.n_images = n_images

    def draw(self) -> None:
        """Writes the pictures of the current model."""
        inspection = inspect(self.model, self.data, n=self.n_images)
        pictures = inspection.pictures(self.model, self.images)
        with self.writing():
            for name, picture in pictures.items():
                tf.summary.image(f"pictures/{name}", picture[None])
            for latent in inspection.active:
                tf.summary.histogram(f"posterior/latent_{latent}", inspection.codes[:, latent])
