"""Data sets from batches of Keras or TensorFlow Datasets."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_betavae.datasets.images import ImageDataset
from keras_betavae.datasets.user.arrays import from_arrays


def from_batches(batches: Iterable, name: str = "class") -> ImageDataset:
    """Makes a data set from batches, such as `keras.utils.image_dataset_from_directory` returns.

    All images are held in memory, as uint8.

    Args:
        batches: A finite `tf.data.Dataset`, or another iterable, of images, (images, labels) or
            dicts with `image` and, if known, `label`. Images are uint8, or floats that are all
            from 0 to 1 or all from 0 to 255, (batch, height, width, channels). Labels are classes
            (batch,) or (batch, 1), or one-hot (batch, n_classes).
        name: Name of the factor that the labels become.

    Returns:
        A `FactorDataset` if there are labels, else an `ImageDataset`.

    Raises:
        ValueError: If the batches are endless or empty, or images or labels have another format.

    Example:
        >>> import tensorflow as tf
        >>> images = np.full((4, 8, 8, 1), 200, "float32")
        >>> from_batches(tf.data.Dataset.from_tensor_slices((images, [0, 1, 0, 1])).batch(2))
        FactorDataset(4 images (8, 8, 1); class 2)
    """
    import tensorflow as tf

    if (
        isinstance(batches, tf.data.Dataset)
        and batches.cardinality() == tf.data.INFINITE_CARDINALITY
    ):
        raise ValueError("batches must be finite, but are repeated forever; leave out repeat()")
    images, labels, scale = [], [], 0.0
    for batch in batches:
        x, y = _parted(batch)
        if x.dtype.kind == "f":
            highest = float(x.max(initial=0.0))
            # The first batch that is not black determines the range.
            scale = scale or (0.0 if highest == 0 else 255.0 if highest <= 1 else 1.0)
            if not 0 <= x.min(initial=0.0) <= highest * (scale or 1.0) <= 255:
                raise ValueError(
                    "images must be all from 0 to 1 or all from 0 to 255, got floats from "
                    f"{x.min():g} to {highest:g}"
                )
            x = np.rint(x * scale).astype(np.uint8)
        images.append(x)
        if y is not None:
            labels.append(y)
    if not images:
        raise ValueError("batches must hold images, got none")
    if not labels:
        return from_arrays(np.concatenate(images))
    return from_arrays(np.concatenate(images), np.concatenate(labels), [name])


def _parted(batch: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the images of a batch, and its labels as classes (batch,)."""
    if isinstance(batch, dict):
        if "image" not in batch:
            raise ValueError(f"a batch must have the entry image, got {', '.join(map(str, batch))}")
        batch = batch["image"], batch.get("label")
    x, y = batch if isinstance(batch, tuple | list) else (batch, None)
    if y is None:
        return np.asarray(x), None
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    elif y.ndim == 2 and (y >= 0).all() and np.allclose(y.sum(axis=1), 1):
        y = y.argmax(axis=1)  # They may be smoothed.
    if y.shape != (len(x),):
        raise ValueError(
            f"labels must be (batch,), (batch, 1) or one-hot, got {y.shape}; pass several labels "
            "of an image to datasets.from_arrays(images, factors)"
        )
    return np.asarray(x), y
