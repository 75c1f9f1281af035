"""Cars3D as released (Reed et al. 2015)."""

import gzip
import os
import struct
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from keras_betavae.datasets._unpacked import Blocks
from keras_betavae.datasets.catalog import ReleasedFile, register
from keras_betavae.datasets.factors import FactorDataset
from keras_betavae.datasets.released.release import Release

# In a MATLAB 5 file: types of elements; an array's type, and one of its flags.
_UINT8, _MATRIX, _COMPRESSED = 2, 14, 15
_UINT8_ARRAY, _LOGICAL = 9, 2


def load_cars3d(
    path: str | os.PathLike | None = None, *, cache_dir: str | os.PathLike | None = None
) -> FactorDataset:
    """Loads Cars3D, 17,568 images, scaled from 128×128×3 to 64×64×3 (Lanczos).

    The factors are elevation, azimuth and object (the cars in the order of the released
    files' names). The images are unpacked once into a memory map in the cache (206 MiB).

    Args:
        path: The released `nips2015-analogy-data.tar.gz`; None downloads it once to the cache.
        cache_dir: Where data sets are kept; None for Keras's own folder.

    Returns:
        The full grid.

    Raises:
        FileNotFoundError: If the file is missing and cannot be fetched.
        OSError: If it cannot be read now, or the cache cannot be written or has no room.
        ValueError: If the file is truncated, damaged or another one.

    References:
        Reed, Zhang, Zhang & Lee, Deep Visual Analogy-Making, NeurIPS 2015; scaled as in
        Locatello et al. 2019.
    """
    return CARS3D.load(path, cache_dir)


def _read(release: Release, files: Sequence[Path]) -> Blocks:
    images = np.empty((*release.factor_sizes, *release.image_shape), np.uint8)
    n_elevations, n_azimuths, n_cars = release.factor_sizes
    with gzip.open(files[0]) as packed, tarfile.open(fileobj=packed, mode="r:") as archive:
        members = [
            member
            for member in archive
            if member.isfile() and Path(member.name).match("data/cars/*.mat")
        ]
        names = sorted(member.name for member in members)
        if len(set(names)) != n_cars or len(names) != n_cars:
            raise ValueError(f"it holds {len(names)} files data/cars/*.mat, not {n_cars}")
        for member in members:  # In the archive's order: gzip cannot go back.
            content = archive.extractfile(member)
            meshes = read_mat(content.read() if content else b"", "im")
            if meshes.shape != (128, 128, 3, n_azimuths, n_elevations):
                raise ValueError(f"{member.name} holds {meshes.shape}")
            car = names.index(member.name)
            for elevation in range(n_elevations):
                for azimuth in range(n_azimuths):
                    picture = Image.fromarray(np.ascontiguousarray(meshes[..., azimuth, elevation]))
                    small = picture.resize(release.image_shape[1::-1], Image.Resampling.LANCZOS)
                    images[elevation, azimuth, car] = np.asarray(small)
        # Reading to the end makes gzip compare the checksum.
        while packed.read(2**20):
            pass
    yield images.reshape(release.shape)


def read_mat(content: bytes, name: str) -> np.ndarray:
    """Reads a uint8 array of a MATLAB 5 file.

    SciPy's reader crashes the whole process on some damaged bytes.

    Raises:
        ValueError: If it is not such a file, or does not hold such an array.
        EOFError: If it ends too early.
    """
    if content[124:128] != b"\x00\x01IM":
        raise ValueError("it is not a little-endian MATLAB 5 file")
    for kind, element in _elements(content[128:]):
        if kind == _COMPRESSED:
            ((kind, element),) = _elements(zlib.decompress(element))
        if kind != _MATRIX:
            continue
        (_, flags), (_, dims), (_, label), *values = _elements(element)
        if label != name.encode():
            continue
        kinds = [kind for kind, _ in values]
        if flags[0] != _UINT8_ARRAY or flags[1] & _LOGICAL or kinds != [_UINT8]:
            raise ValueError(f"{name} is not an array of uint8")
        shape = np.frombuffer(dims, "<i4").tolist()
        return np.frombuffer(values[0][1], np.uint8).reshape(shape, order="F")
    raise ValueError(f"it does not hold {name}")


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields the types and contents of a MATLAB 5 file's elements."""
    start = 0
    while start < len(content):
        kind, size = struct.unpack_from("<II", content, start)
        if kind >> 16:  # Up to four bytes, in the place of their number.
            kind, size = kind & 0xFFFF, kind >> 16
            begin, following = start + 4, start + 8
        else:
            begin = start + 8
            following = begin + size + (0 if kind == _COMPRESSED else -size % 8)
        if begin + size > len(content):
            raise EOFError(f"it ends within an element of {size} bytes")
        yield kind, content[begin : begin + size]
        start = following


CARS3D = Release(
    "cars3d",
    "Cars3D (Reed et al. 2015)",
    (
        ReleasedFile(
            "http://www.scottreed.info/files/nips2015-analogy-data.tar.gz",
            "4e866a7919c1beedf53964e6f7a23686",
        ),
    ),
    {"elevation": 4, "azimuth": 24, "object": 183},
    (64, 64, 3),
    _read,
)
register(CARS3D.entry(load_cars3d))
