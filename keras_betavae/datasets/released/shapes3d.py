"""3D Shapes as released (Burgess & Kim 2018)."""

import os
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from keras_betavae.datasets._sources import Hdf5
from keras_betavae.datasets._unpacked import Blocks
from keras_betavae.datasets.catalog import ReleasedFile, register
from keras_betavae.datasets.factors import FactorDataset
from keras_betavae.datasets.released.release import Release


def load_shapes3d(
    path: str | os.PathLike | None = None, *, cache_dir: str | os.PathLike | None = None
) -> FactorDataset:
    """Loads 3D Shapes, 480,000 images of 64×64×3.

    The factors are floor_hue, wall_hue, object_hue, scale, shape and orientation. The
    released HDF5 file is unpacked once into a memory map in the cache (5.5 GiB).

    Args:
        path: The released `3dshapes.h5`; None downloads it once to the cache.
        cache_dir: Where data sets are kept; None for Keras's own folder.

    Returns:
        The full grid, in the released order.

    Raises:
        FileNotFoundError: If the file is missing and cannot be fetched.
        OSError: If it cannot be read now, or the cache cannot be written or has no room.
        ValueError: If the file is truncated, damaged or another one.

    References:
        Burgess & Kim, 3D Shapes Dataset, 2018.
    """
    return SHAPES3D.load(path, cache_dir)


def _read(release: Release, files: Sequence[Path]) -> Blocks:
    with h5py.File(files[0], "r") as file:
        images, labels = file["images"], file["labels"]
        if images.shape != release.shape or images.dtype != np.uint8:
            raise ValueError(f"images are {images.dtype} {images.shape}, not uint8 {release.shape}")
        if labels.shape != (len(images), len(release.factor_sizes)):
            raise ValueError(f"labels are {labels.shape}")
        classes = [np.unique(values, return_inverse=True)[1] for values in labels[:].T]
        cells = np.ravel_multi_index(classes, release.factor_sizes)
        if not np.array_equal(cells, np.arange(len(images))):
            raise ValueError("its labels do not count through the factors, the last one fastest")
        size = Hdf5(images).block
        for start in range(0, len(images), size):
            yield images[start : start + size]


SHAPES3D = Release(
    "shapes3d",
    "3D Shapes (Burgess & Kim 2018)",
    (
        ReleasedFile(
            "https://storage.googleapis.com/3d-shapes/3dshapes.h5",
            "099a2078d58cec4daad0702c55d06868",
        ),
    ),
    {
        "floor_hue": 10,
        "wall_hue": 10,
        "object_hue": 10,
        "scale": 8,
        "shape": 4,
        "orientation": 15,
    },
    (64, 64, 3),
    _read,
)
register(SHAPES3D.entry(load_shapes3d))
