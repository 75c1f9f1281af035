"""SmallNORB as released (LeCun et al. 2004)."""

import gzip
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from keras_betavae._utils.reading import damage_named
from keras_betavae.datasets._unpacked import Blocks
from keras_betavae.datasets.catalog import ReleasedFile, register
from keras_betavae.datasets.factors import FactorDataset
from keras_betavae.datasets.released.release import Release

_MAGIC = {"|u1": 0x1E3D4C55, "<i4": 0x1E3D4C54}


def load_small_norb(
    path: str | os.PathLike | None = None, *, cache_dir: str | os.PathLike | None = None
) -> FactorDataset:
    """Loads SmallNORB, 48,600 gray images, scaled from 96×96 to 64×64×1 (Lanczos).

    The factors are category, instance, elevation, azimuth and lighting. The images are those of
    the left camera, as in Locatello et al. 2019. The released training set (instances 4, 6, 7,
    8, 9) and test set (0, 1, 2, 3, 5) together are the full grid;
    `data.only({"instance": (4, 6, 7, 8, 9)})` is the training set. The images are unpacked once
    into a memory map in the cache (190 MiB).

    Args:
        path: The folder with the six released `.mat.gz` files; None downloads them once to
            the cache.
        cache_dir: Where data sets are kept; None for Keras's own folder.

    Returns:
        The full grid.

    Raises:
        FileNotFoundError: If a file is missing and cannot be fetched.
        OSError: If one cannot be read now, or the cache cannot be written or has no room.
        ValueError: If a file is truncated, damaged or another one.

    References:
        LeCun, Huang & Bottou, Learning Methods for Generic Object Recognition with
        Invariance to Pose and Lighting, CVPR 2004.
    """
    return SMALL_NORB.load(path, cache_dir)


def _read(release: Release, files: Sequence[Path]) -> Blocks:
    n = release.shape[0] // 2
    size = release.image_shape[1::-1]
    images = np.empty(release.shape, np.uint8)
    seen = np.zeros(release.shape[0], bool)
    for data, category, information in zip(files[::3], files[1::3], files[2::3], strict=True):
        pictures = _read_file(data, "|u1", (n, 2, 96, 96))[:, 0]
        classes = _read_file(category, "<i4", (n,))
        instance, elevation, azimuth, lighting = _read_file(information, "<i4", (n, 4)).T
        if (azimuth % 2).any():
            raise ValueError(f"{information} holds odd azimuths")
        # Out of range raises.
        factors = (classes, instance, elevation, azimuth // 2, lighting)
        cells = np.ravel_multi_index(factors, release.factor_sizes)
        seen[cells] = True
        for cell, picture in zip(cells, pictures, strict=True):
            small = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
            images[cell, ..., 0] = np.asarray(small)
    if not seen.all():
        raise ValueError(f"{(~seen).sum()} combinations of factors have no image")
    yield images


def _read_file(path: Path, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    with damage_named(path, path.name), gzip.open(path, "rb") as file:
        return read_matrix(file, dtype, shape)


def read_matrix(file: BinaryIO | gzip.GzipFile, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Reads NORB's binary matrix: a magic number, the dimensions, then the values.

    The number of dimensions and at least three of them are little-endian 32-bit integers;
    those past the number of dimensions mean nothing.

    Raises:
        ValueError: If it is not such a matrix, of another type or shape, or followed by more.
        EOFError: If it ends too early.
    """
    header = np.frombuffer(file.read(8), "<i4")
    if len(header) < 2 or header[0] != _MAGIC[dtype]:
        raise ValueError(f"it does not begin with the magic number {_MAGIC[dtype]:#x}")
    n_dims = int(header[1])
    dims = np.frombuffer(file.read(4 * max(3, len(shape))), "<i4")
    if n_dims != len(shape) or tuple(dims[:n_dims]) != shape:
        raise ValueError(f"it is a matrix of {n_dims} dimensions {dims.tolist()}, not {shape}")
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    content = file.read(n_bytes)
    if len(content) < n_bytes:
        raise EOFError(f"it ends after {len(content)} of {n_bytes} bytes")
    # Reading to the end makes gzip compare the checksum.
    if file.read(1):
        raise ValueError("there are bytes after the last value")
    return np.frombuffer(content, dtype).reshape(shape)


_URL = "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/smallnorb-"
_TRAINING, _TESTING = "5x46789x9x18x6x2x96x96-training", "5x01235x9x18x6x2x96x96-testing"
SMALL_NORB = Release(
    "small_norb",
    "SmallNORB (LeCun et al. 2004)",
    (
        ReleasedFile(f"{_URL}{_TRAINING}-dat.mat.gz", "66054832f9accfe74a0f4c36a75bc0a2"),
        ReleasedFile(f"{_URL}{_TRAINING}-cat.mat.gz", "23c8b86101fbf0904a000b43d3ed2fd9"),
        ReleasedFile(f"{_URL}{_TRAINING}-info.mat.gz", "51dee1210a742582ff607dfd94e332e3"),
        ReleasedFile(f"{_URL}{_TESTING}-dat.mat.gz", "e4ad715691ed5a3a5f138751a4ceb071"),
        ReleasedFile(f"{_URL}{_TESTING}-cat.mat.gz", "5aa791cd7e6016cf957ce9bdb93b8603"),
        ReleasedFile(f"{_URL}{_TESTING}-info.mat.gz", "a9454f3864d7fd4bb3ea7fc3eb84924e"),
    ),
    {"category": 5, "instance": 10, "elevation": 9, "azimuth": 18, "lighting": 6},
    (64, 64, 1),
    _read,
)
register(SMALL_NORB.entry(load_small_norb))
