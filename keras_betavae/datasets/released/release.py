"""Released files: fetched, checked, and unpacked once into a memory map."""

import contextlib
import dataclasses
import glob
import hashlib
import io
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TypeAlias

import keras
import numpy as np

from keras_betavae._utils.files import left_aside, moved_into_place
from keras_betavae.datasets.factors import FactorDataset

Blocks: TypeAlias = Iterator[np.ndarray]


@dataclasses.dataclass(frozen=True)
class ReleasedFile:
    """A file as its authors released it.

    Attributes:
        url: Where it is.
        md5: Its MD5; None if it is not known.
    """

    url: str
    md5: str | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rsplit("/", 1)[-1]


@dataclasses.dataclass(frozen=True)
class Release:
    """A data set as its authors released it, a full grid once it is read.

    Attributes:
        name: Its name here, and of its folder in the cache.
        files: Its files.
        factor_names: One name per factor.
        factor_sizes: Number of values of each factor.
        image_shape: (height, width, channels) of the images that are returned.
        read: From the files' paths to the images in the grid's order, uint8, in blocks; raises
            anything on files that it cannot read.
    """

    name: str
    files: tuple[ReleasedFile, ...]
    factor_names: tuple[str, ...]
    factor_sizes: tuple[int, ...]
    image_shape: tuple[int, int, int]
    read: Callable[["Release", Sequence[Path]], Blocks]

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, height, width, channels)."""
        return math.prod(self.factor_sizes), *self.image_shape

    def unpacked_file(self, cache_dir: str | os.PathLike | None = None) -> Path:
        """Returns where the unpacked images are, or will be."""
        return cache_folder(cache_dir) / self.name / "images.npy"

    def load(
        self, path: str | os.PathLike | None, cache_dir: str | os.PathLike | None
    ) -> FactorDataset:
        """Returns the data set, from the cache if it is there.

        Args:
            path: The released file, or the folder that holds the released files; None takes
                them from the cache, and fetches them to it. Where the images are unpacked already,
                the released files are not looked at.
            cache_dir: Where data sets are kept; None for that of Keras.

        Raises:
            FileNotFoundError: If a file is missing and cannot be fetched.
            PermissionError: If a file may not be read, or the cache may not be written.
            OSError: If the cache has no room.
            ValueError: If a file is truncated, damaged or another one.
        """
        target = self.unpacked_file(cache_dir)
        if not target.is_file():
            if path is None:
                how = self.how_to_get_it()
                files = [fetched(file, target.parent, how) for file in self.files]
            else:
                files = self._given(Path(path))
            self._check_hashes(files)
            fill(target, self.shape, self._blocks(files))
        return FactorDataset(mapped(target, self.shape), self.factor_names, self.factor_sizes)

    def how_to_get_it(self) -> str:
        """Returns advice for an error's message."""
        urls = " ".join(file.url for file in self.files)
        return f"download {urls} and pass its path" + (
            " (the folder that holds the files)" if len(self.files) > 1 else ""
        )

    def _given(self, path: Path) -> list[Path]:
        several = len(self.files) > 1
        files = [path / file.name for file in self.files] if several or path.is_dir() else [path]
        for file in files:
            if not file.is_file():
                raise FileNotFoundError(f"there is no file {file}; {self.how_to_get_it()}")
        return files

    def _check_hashes(self, paths: Sequence[Path]) -> None:
        for path, file in zip(paths, self.files, strict=True):
            try:
                with path.open("rb") as opened:
                    found = hashlib.file_digest(opened, "md5").hexdigest()
            except PermissionError as error:
                raise PermissionError(f"{path} may not be read: {error}") from error
            if file.md5 not in (None, found):
                raise ValueError(
                    f"{path} is not the released {file.name}, or is truncated or damaged: its MD5 "
                    f"is {found}, not {file.md5}; {self.how_to_get_it()}"
                )

    def _blocks(self, files: Sequence[Path]) -> Blocks:
        try:
            yield from self.read(self, files)
        except Exception as error:
            # On damaged bytes the readers of zip, gzip, tar, HDF5 and MATLAB files raise dozens
            # of kinds.
            raise ValueError(
                f"{', '.join(map(str, files))} cannot be read as {self.name}: truncated, damaged "
                f"or other data ({error}); {self.how_to_get_it()}"
            ) from error


def cache_folder(cache_dir: str | os.PathLike | None = None) -> Path:
    """Returns the folder of all data sets, by default `datasets` where Keras has its own."""
    if cache_dir is not None:
        return Path(cache_dir)
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"


def fetched(file: ReleasedFile, folder: Path, how_to_get_it: str) -> Path:
    """Returns a released file in a folder, fetched if it is not there.

    Raises:
        FileNotFoundError: If it cannot be fetched, or not as it was released.
        PermissionError: If the folder cannot be written to.
    """
    target = folder / file.name
    if target.is_file():
        return target
    make_folder(folder)
    _clear_left_aside(target)
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


def fill(target: Path, shape: Sequence[int], blocks: Blocks) -> None:
    """Writes images that come in blocks to a `.npy` file, which is whole once it is there.

    Raises:
        OSError: If the folder cannot be written to, or has no room.
        ValueError: If the blocks do not add up to the shape.
    """
    make_folder(target.parent)
    _clear_left_aside(target)
    needed, free = math.prod(shape), shutil.disk_usage(target.parent).free
    if needed > free:
        raise OSError(
            f"{target.parent} has no room for the unpacked images: {needed / 2**30:.1f} GiB are "
            f"needed, {free / 2**30:.1f} are free; choose another folder with cache_dir"
        )
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
    )
    progress = keras.utils.Progbar(shape[0], unit_name="image")
    n = 0
    # A buffer could still find no room when it is closed.
    with moved_into_place(target) as aside, aside.open("wb", buffering=0) as file:
        _write(file, header.getbuffer(), target)
        for block in blocks:
            if block.dtype != np.uint8 or block.shape[1:] != tuple(shape[1:]):
                raise ValueError(
                    f"images are {block.dtype} {block.shape[1:]}, not uint8 {shape[1:]}"
                )
            _write(file, np.ascontiguousarray(block).reshape(-1).data, target)
            n += len(block)
            progress.update(min(n, shape[0]))
        if n != shape[0]:
            raise ValueError(f"there are {n} images, not {shape[0]}")


def _clear_left_aside(target: Path) -> None:
    """Deletes what killed processes left more than a day ago of their writing a file."""
    for left in left_aside(target.parent, glob.escape(target.name)):
        with contextlib.suppress(FileNotFoundError):  # Another process has just finished it.
            if time.time() - left.stat().st_mtime > 86_400:
                left.unlink()


def _write(file: io.FileIO, content: memoryview, target: Path) -> None:
    try:
        while content:
            content = content[file.write(content) :]
    except OSError as error:
        raise OSError(
            error.errno, f"the images could not be unpacked to {target} ({error})"
        ) from error


def mapped(target: Path, shape: Sequence[int | None]) -> np.ndarray:
    """Returns a memory map of unpacked images.

    Args:
        target: The `.npy` file.
        shape: Their shape; None where a number is not known.

    Raises:
        PermissionError: If the file may not be read.
        ValueError: If it is damaged.
    """
    try:
        images = np.load(target, mmap_mode="r", allow_pickle=False)
        fits = len(images.shape) == len(shape) and all(
            size in (None, found) for size, found in zip(shape, images.shape, strict=True)
        )
        if images.dtype != np.uint8 or not fits:
            raise ValueError(f"it holds {images.dtype} {images.shape}, not uint8 {tuple(shape)}")
    except PermissionError as error:
        raise PermissionError(f"{target} may not be read: {error}") from error
    except Exception as error:
        # NumPy's header parser raises many kinds on damaged bytes.
        raise ValueError(f"{target} is damaged; delete it to unpack anew ({error})") from error
    return images


def make_folder(folder: Path) -> None:
    """Makes a folder that can be written to.

    Raises:
        PermissionError: If it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise PermissionError(f"{folder} cannot be written to; choose another one with cache_dir")


def npy_blocks(member: IO[bytes], shape: Sequence[int], block: int = 4_096) -> Blocks:
    """Yields the uint8 images of an open `.npy` file in blocks.

    Raises:
        ValueError: If it holds another array, or goes on after it.
        EOFError: If it ends before.
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
    # Reading to the end makes zipfile compare the checksum.
    if member.read(1):
        raise ValueError("it goes on after the last image")
