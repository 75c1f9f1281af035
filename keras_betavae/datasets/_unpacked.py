"""Images unpacked to `.npy` files, which are written atomically and memory-mapped."""

import contextlib
import glob
import io
import math
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from keras_betavae._utils.files import left_aside, moved_into_place
from keras_betavae._utils.reading import damage_named

Blocks: TypeAlias = Iterator[np.ndarray]


def cache_folder(cache_dir: str | os.PathLike | None = None) -> Path:
    """Returns the folder of all data sets, by default `datasets` in Keras's folder."""
    if cache_dir is not None:
        return Path(cache_dir)
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"


def make_folder(folder: Path) -> None:
    """Makes a folder that can be written to.

    Raises:
        PermissionError: If it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise PermissionError(
            f"{folder} cannot be written to; choose another folder with cache_dir"
        )


def clear_left_aside(target: Path) -> None:
    """Deletes the temporary files of processes that were killed more than a day ago."""
    for left in left_aside(target.parent, glob.escape(target.name)):
        with contextlib.suppress(FileNotFoundError):  # Another process has just finished it.
            if time.time() - left.stat().st_mtime > 86_400:
                left.unlink()


def fill(target: Path, shape: Sequence[int], blocks: Blocks) -> None:
    """Writes blocks of images to a `.npy` file atomically.

    Raises:
        OSError: If the folder cannot be written to, or has no room.
        ValueError: If the blocks do not add up to the shape.
    """
    import keras

    make_folder(target.parent)
    clear_left_aside(target)
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
    # Not open_memmap: its file is sparse, so that a disk that fills up ends the process by SIGBUS
    # instead of raising an error. A buffer could still find no room when it is closed.
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
        OSError: If the file cannot be read now.
        ValueError: If it is damaged.
    """
    with damage_named(target, f"{target} is damaged; delete it, and it is unpacked again"):
        images = np.lib.format.open_memmap(target, mode="r")
        fits = len(images.shape) == len(shape) and all(
            size in (None, found) for size, found in zip(shape, images.shape, strict=True)
        )
        if images.dtype != np.uint8 or not fits:
            raise ValueError(f"it holds {images.dtype} {images.shape}, not uint8 {tuple(shape)}")
    return images
