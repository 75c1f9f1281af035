"""Released files: downloaded, checked, and unpacked once into a memory map."""

import dataclasses
import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from keras_betavae._utils.files import moved_into_place
from keras_betavae._utils.reading import damage_named
from keras_betavae.datasets._unpacked import (
    Blocks,
    cache_folder,
    clear_left_aside,
    fill,
    make_folder,
    mapped,
)
from keras_betavae.datasets.catalog import Entry, ReleasedFile
from keras_betavae.datasets.factors import FactorDataset

_UNPACKED = "images.npy"


@dataclasses.dataclass(frozen=True)
class Release:
    """A released data set, which is a full grid.

    Attributes:
        name: Its name, and that of its folder in the cache.
        summary: A one-line description.
        files: Its files.
        factors: Number of values of each factor, by name.
        image_shape: (height, width, channels) of the returned images.
        read: Maps the files' paths to blocks of images in the grid's order, uint8; may raise
            anything on files that it cannot read.
    """

    name: str
    summary: str
    files: tuple[ReleasedFile, ...]
    factors: Mapping[str, int]
    image_shape: tuple[int, int, int]
    read: Callable[["Release", Sequence[Path]], Blocks]

    @property
    def factor_sizes(self) -> tuple[int, ...]:
        """The number of values of each factor."""
        return tuple(self.factors.values())

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, height, width, channels)."""
        return math.prod(self.factor_sizes), *self.image_shape

    def entry(self, loader: Callable[..., FactorDataset]) -> Entry:
        """Returns the data set's entry in the catalog."""
        return Entry(
            self.name, self.summary, self.image_shape, self.factors, loader, self.files, _UNPACKED
        )

    def load(
        self, path: str | os.PathLike | None, cache_dir: str | os.PathLike | None
    ) -> FactorDataset:
        """Returns the data set, from the cache if possible.

        Args:
            path: The released file, or the folder of the released files; None uses the cache, and
                downloads missing files. The released files are not read if the images are
                already unpacked.
            cache_dir: Where data sets are kept; None for Keras's own folder.

        Raises:
            FileNotFoundError: If a file is missing and cannot be fetched.
            OSError: If a file cannot be read now, or the cache cannot be written or has no room.
            ValueError: If a file is truncated, damaged or another one.
        """
        target = cache_folder(cache_dir) / self.name / _UNPACKED
        if not target.is_file():
            if path is None:
                how = how_to_get(self.files)
                files = [fetched(file, target.parent, how) for file in self.files]
            else:
                files = self._given(Path(path))
            self._check_hashes(files)
            fill(target, self.shape, self._blocks(files))
        return FactorDataset(mapped(target, self.shape), tuple(self.factors), self.factor_sizes)

    def _given(self, path: Path) -> list[Path]:
        several = len(self.files) > 1
        files = [path / file.name for file in self.files] if several or path.is_dir() else [path]
        for file in files:
            if not file.is_file():
                raise FileNotFoundError(f"{file} does not exist; {how_to_get(self.files)}")
        return files

    def _check_hashes(self, paths: Sequence[Path]) -> None:
        for path, file in zip(paths, self.files, strict=True):
            with path.open("rb") as opened:
                found = hashlib.file_digest(opened, "md5").hexdigest()
            if file.md5 not in (None, found):
                raise ValueError(
                    f"{path} is not the released {file.name}, or is truncated or damaged: its MD5 "
                    f"is {found}, not {file.md5}; {how_to_get(self.files)}"
                )

    def _blocks(self, files: Sequence[Path]) -> Blocks:
        paths = ", ".join(map(str, files))
        with damage_named(
            paths,
            f"{paths} cannot be read as {self.name}: truncated, damaged or other data; "
            f"{how_to_get(self.files)}",
        ):
            yield from self.read(self, files)


def how_to_get(files: Sequence[ReleasedFile]) -> str:
    """Returns advice for an error message."""
    urls = " ".join(file.url for file in files)
    which = " (the folder that holds the files)" if len(files) > 1 else ""
    return f"download {urls} and pass its path{which}"


def fetched(file: ReleasedFile, folder: Path, how_to_get_it: str) -> Path:
    """Returns a released file in a folder; downloads it if it is missing.

    Raises:
        FileNotFoundError: If it cannot be downloaded, or has another MD5.
        PermissionError: If the folder cannot be written to.
    """
    import keras

    target = folder / file.name
    if target.is_file():
        return target
    make_folder(folder)
    clear_left_aside(target)
    try:
        with moved_into_place(target) as aside:
            keras.utils.get_file(
                aside.name,
                file.url,
                file_hash=file.md5,
                hash_algorithm="md5",
                cache_dir=str(folder.absolute()),  # Keras would expand a ~.
                cache_subdir="",
            )
    except Exception as error:
        # Keras raises a bare Exception when it cannot reach the address.
        raise FileNotFoundError(
            f"{file.name} could not be fetched ({error}); {how_to_get_it}"
        ) from error
    return target


def npy_blocks(member: IO[bytes], shape: Sequence[int], block: int = 4_096) -> Blocks:
    """Yields the uint8 images of an open `.npy` file in blocks.

    Raises:
        ValueError: If it holds another array, or further bytes after it.
        EOFError: If it ends too early.
    """
    if np.lib.format.read_magic(member) != (1, 0):
        raise ValueError("unknown version of the npy format")
    found, fortran_order, dtype = np.lib.format.read_array_header_1_0(member)
    if found != tuple(shape) or fortran_order or dtype != np.uint8:
        raise ValueError(f"it holds {dtype} {found}, not uint8 {tuple(shape)}")
    size = math.prod(shape[1:])
    for start in range(0, shape[0], block):
        n = min(block, shape[0] - start)
        content = member.read(n * size)
        if len(content) < n * size:
            raise EOFError(f"it ends after {start} images")
        yield np.frombuffer(content, np.uint8).reshape(n, *shape[1:])
    # Reading to the end makes zipfile check the checksum.
    if member.read(1):
        raise ValueError("there are bytes after the last image")
