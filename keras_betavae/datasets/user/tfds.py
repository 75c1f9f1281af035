"""Data sets of TensorFlow Datasets, if it is installed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from keras_betavae._utils.files import moved_into_place
from keras_betavae.datasets._unpacked import cache_folder, fill, mapped
from keras_betavae.datasets.factors import FactorDataset
from keras_betavae.datasets.images import ImageDataset
from keras_betavae.datasets.user._pictures import scaled

if TYPE_CHECKING:
    import tensorflow as tf


def from_tfds(
    name: str,
    split: str = "train",
    image_size: int | tuple[int, int] | None = None,
    *,
    crop: bool = True,
    data_dir: str | os.PathLike | None = None,
    cache_dir: str | os.PathLike | None = None,
) -> ImageDataset:
    """Makes a data set from TensorFlow Datasets (`dsprites`, `shapes3d`, `celeb_a`, ...).

    The feature `image` has the images; class labels and booleans become the factors (without the
    prefix `label_` in their names). The images are decoded once, into a memory map in the cache.

    Args:
        name: As in `tfds.builder`, with a configuration or version if needed.
        split: As in `tfds.load`: "train", "test[:1000]", ...
        image_size: Side of the images, or their height and width, to which they are scaled as
            in `from_folder`; None for the data set's own.
        crop: As in `from_folder`.
        data_dir: Where TensorFlow Datasets keeps its files; None for its own default.
        cache_dir: Where the decoded images are kept; None for Keras's own folder.

    Returns:
        A `FactorDataset`, in the order of the files (not a grid), or an `ImageDataset` if there are
        no such labels.

    Raises:
        ImportError: If tensorflow-datasets is not installed.
        ValueError: If the data set has no feature `image` of uint8, its images differ in size and
            no `image_size` is given, or some are binary and others are not.
        OSError: If the cache cannot be written.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            "from_tfds needs tensorflow-datasets; run: pip install tensorflow-datasets"
        ) from error
    builder = tfds.builder(name, data_dir=None if data_dir is None else os.fspath(data_dir))
    features = builder.info.features
    if "image" not in features or features["image"].np_dtype != np.uint8:
        raise ValueError(f"{name} must have a feature image of uint8, got {list(features)}")
    own_shape = features["image"].shape
    if image_size is not None:
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        shape = (height, width, own_shape[2])
    elif None in own_shape:
        raise ValueError(f"the images of {name} differ in size; give image_size")
    else:
        shape = own_shape
    labels = dict(_labels(features, tfds))
    place = builder.data_path  # A name and version may stand for other images in another folder.
    key = hashlib.sha256(repr((builder.info.full_name, str(place), split, shape, crop)).encode())
    target = cache_folder(cache_dir) / "tfds" / f"{builder.name}-{key.hexdigest()[:16]}.npy"
    factors_file = target.with_suffix(".factors.npy")
    if not target.is_file():
        builder.download_and_prepare()
        examples = builder.as_dataset(split=split, shuffle_files=False)
        blocks = _decoded(name, examples, tuple(labels.values()), shape, crop, factors_file)
        fill(target, (int(examples.cardinality()), *shape), blocks)
    images = mapped(target, (None, *shape))
    if not labels:
        return ImageDataset(images)
    sizes = [_size(features, path) for path in labels.values()]
    values = np.load(factors_file, allow_pickle=False)
    return FactorDataset(images, list(labels), sizes, factors=values)


def _decoded(
    name: str,
    examples: tf.data.Dataset,
    labels: tuple[tuple[str, ...], ...],
    shape: tuple[int, int, int],
    crop: bool,
    factors_file: Path,
) -> Iterator[np.ndarray]:
    """Yields the images of a data set, then writes its factors."""
    factors, scale = [], 0
    for example in examples.as_numpy_iterator():
        factors.append([int(_at(example, path)) for path in labels])
        image = example["image"]
        # Binary images may come as 0 and 1, as those of dsprites do. The first image that is not
        # black tells.
        highest = int(image.max())
        scale = scale or {0: 0, 1: 255}.get(highest, 1)
        if scale == 255 and highest > 1:
            raise ValueError(
                f"the images of {name} must be all binary or all of 256 levels, but some hold 0 "
                f"and 1 only and others up to {highest}"
            )
        image = image * np.uint8(scale)
        if image.shape != shape:
            picture = Image.fromarray(image[..., 0] if shape[2] == 1 else image)
            image = scaled(picture, shape, crop)
        yield image[np.newaxis]
    # The images are moved into place after this, so that they never lack their factors.
    with moved_into_place(factors_file) as aside, aside.open("wb") as file:
        np.save(file, np.array(factors, np.int64).reshape(len(factors), len(labels)))


def _labels(features: Any, tfds: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields the name and the path of each class label and boolean."""
    for name, feature in features.items():
        if isinstance(feature, tfds.features.FeaturesDict):
            for inner, path in _labels(feature, tfds):
                yield inner, (name, *path)
        elif isinstance(feature, tfds.features.ClassLabel) or (
            feature.shape == () and feature.np_dtype == np.bool_
        ):
            yield name.removeprefix("label_"), (name,)


def _at(example: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        example = example[name]
    return example


def _size(features: Any, path: tuple[str, ...]) -> int:
    return getattr(_at(features, path), "num_classes", 2)
