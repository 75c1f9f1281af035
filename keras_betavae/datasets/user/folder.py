"""Pictures in a folder: CelebA, chairs, or your own."""

import contextlib
import csv
import glob
import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from keras_betavae._utils.files import is_aside
from keras_betavae.datasets._sources import Source, source_of
from keras_betavae.datasets._unpacked import fill, mapped
from keras_betavae.datasets.images import ImageDataset
from keras_betavae.datasets.user._pictures import SUFFIXES, Pictures, has_proportions
from keras_betavae.datasets.user.arrays import labeled


def from_folder(
    path: str | os.PathLike,
    image_size: int | tuple[int, int] = 64,
    channels: int = 3,
    *,
    crop: bool = True,
    factors: str | os.PathLike | None = None,
    continuous: Sequence[str] | None = None,
    class_folders: bool = False,
    value_range: tuple[float, float] | None = None,
    cache_dir: str | os.PathLike | None = None,
) -> ImageDataset:
    """Makes a data set from the pictures in a folder and its subfolders.

    Pictures are PNG, JPEG, WebP, BMP, GIF, TIFF or PPM files (the first of several frames), in the
    order of their paths. They are decoded in parallel threads each time they are needed, or once
    with `cache_dir`. Photographs are rotated upright, transparent pictures get a white background,
    and gray pictures with more than 8 bits are scaled to 8 bits.

    Args:
        path: The folder. Files and folders whose names begin with a dot, links to folders, and
            the folders of runs (`config.json` and `data.json`) are left out.
        image_size: Side of the images, or their height and width, to which pictures are scaled
            with a Lanczos filter.
        channels: 1 for gray, 3 for RGB.
        crop: Whether pictures with another aspect ratio are cropped evenly on both sides;
            otherwise they are stretched.
        factors: A CSV file: a header with the factors' names, then a row for each picture: its
            path relative to the folder, then the values of its factors (numbers or text).
            Pictures that it does not list are left out.
        continuous: Names of the continuous factors; the default is that of `from_arrays`.
        class_folders: Whether each picture's folder below `path` is its class, the factor
            `class`; the classes are sorted by name.
        value_range: For gray pictures with more than 8 bits, the values that become black and
            white, such as (0, 4095) for 12 bits. The default is the lowest and highest value in the
            folder, for which all pictures are read once.
        cache_dir: A folder for the decoded images, one byte per value. If a picture is added,
            removed or changed, all are decoded again.

    Returns:
        A `FactorDataset` if factors are given, otherwise an `ImageDataset`. Reading a picture that
        is damaged, has too many pixels for Pillow or is not a regular file raises a ValueError that
        names it. A picture that cannot be read at the moment raises an OSError. (A stream raises
        TensorFlow's error with the same message.)

    Raises:
        FileNotFoundError: If the folder or the CSV file does not exist.
        ValueError: If there are no pictures, an argument is outside its range, the CSV file does
            not fit, `class_folders` finds fewer than two classes or a picture outside of them,
            or, with `cache_dir`, a picture cannot be decoded.
        OSError: If a file cannot be read, or the cache cannot be written.
    """
    folder = Path(path)
    height, width = _size(image_size)
    if continuous and factors is None:
        raise ValueError(f"continuous names factors, which are not given, got {list(continuous)}")
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, got {channels}")
    if value_range is not None and not -math.inf < value_range[0] < value_range[1] < math.inf:
        raise ValueError(f"value_range must be two increasing numbers, got {value_range}")
    if class_folders and factors is not None:
        raise ValueError(
            f"class_folders must be left out if a CSV file has the factors, got {factors}"
        )
    names, head = _listed(folder), None
    rows: list[list[float | str]] | None = None
    if factors is not None:
        names, rows, head = _read_factors(Path(factors), folder, names)
    elif class_folders:
        rows, head = _classes(folder, names), ["class"]
    pictures = Pictures(
        [folder / name for name in names], (height, width, channels), crop, value_range
    )
    source: Source = pictures
    if cache_dir is not None:
        which = (str(folder.resolve()), str(factors), pictures.image_shape, crop, value_range)
        source = _cached(pictures, folder, Path(cache_dir), _digest(which))
    if rows is None:
        return ImageDataset(source)
    try:
        return labeled(source, rows, head, continuous)
    except ValueError as error:
        raise ValueError(f"{factors or folder}: {error}") from error


def count_other_proportions(
    path: str | os.PathLike,
    image_size: int | tuple[int, int],
    n: int = 100,
    *,
    factors: str | os.PathLike | None = None,
) -> tuple[int, int]:
    """Returns how many of a sample of pictures are cropped, or stretched, to a size.

    Args:
        path: The folder.
        image_size: As in `from_folder`.
        n: Number of pictures to check, evenly over the folder.
        factors: As in `from_folder`.

    Returns:
        The number of cropped pictures, and of checked pictures.

    Raises:
        FileNotFoundError: As `from_folder`.
        ValueError: If one of them cannot be read, or as `from_folder`.
    """
    folder, size = Path(path), _size(image_size)
    names = _listed(folder)
    if factors is not None:
        names, _, _ = _read_factors(Path(factors), folder, names)
    some = names[:: -(-len(names) // n)]
    return sum(not has_proportions(folder / name, *size) for name in some), len(some)


def _size(image_size: int | tuple[int, int]) -> tuple[int, int]:
    """Returns the height and width of `image_size`."""
    sides = np.asarray(image_size)
    if sides.shape not in ((), (2,)) or sides.dtype.kind not in "iu" or sides.min() < 1:
        raise ValueError(f"image_size must be one or two integers, at least 1, got {image_size}")
    height, width = np.broadcast_to(sides, 2).tolist()
    return height, width


def _classes(folder: Path, names: Sequence[str]) -> list[list[float | str]]:
    """Returns the first folder in each picture's path."""
    outside = next((name for name in names if "/" not in name), None)
    if outside is not None:
        raise ValueError(
            f"class_folders needs a folder for each class, but {folder} holds {outside}"
        )
    classes = [name.partition("/")[0] for name in names]
    if len(set(classes)) < 2:
        raise ValueError(f"class_folders needs two or more folders, but {folder} has {classes[0]}")
    return [[name] for name in classes]


def _listed(folder: Path) -> list[str]:
    """Returns the pictures' paths below the folder, with forward slashes, sorted.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If it has no pictures.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist or is not a folder")
    names = []

    def refuse(error: OSError) -> None:
        raise error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        if {"config.json", "data.json"} <= set(files):  # The pictures of a run are not data.
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                names.append((Path(parent) / name).relative_to(folder).as_posix())
    if not names:
        raise ValueError(f"{folder} holds no pictures ({', '.join(SUFFIXES)})")
    return sorted(names)


def _read_factors(
    path: Path, folder: Path, there: Sequence[str]
) -> tuple[list[str], list[list[float | str]], list[str]]:
    """Returns the pictures that a CSV file lists, their values, and the factors' names."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            head, *rows = [row for row in csv.reader(file, strict=True) if row]
        if any("\0" in value for row in (head, *rows) for value in row):
            raise ValueError("it holds NUL bytes")
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise ValueError(f"{path} is not a CSV file with a header: {error}") from error
    if len(head) < 2 or not rows:
        raise ValueError(f"{path} must have a column of paths, one or more of factors, and rows")
    if head[0] in there:
        raise ValueError(f"{path} must begin with a header, got {','.join(head)}")
    known, names = set(there), []
    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"{path}: the row {row} must have {len(head)} values, like the header")
        if not all(value.strip() for value in row):
            raise ValueError(f"{path}: the row {row} has empty cells")
        name = Path(row[0].strip().replace("\\", "/")).as_posix()
        if name not in known:
            twice = f"lists {name} twice" if name in there else f"lists {name}, not in {folder}"
            raise ValueError(f"{path} {twice}")
        known.remove(name)
        names.append(name)
    columns = [_numbers([row[k].strip() for row in rows]) for k in range(1, len(head))]
    values = [list(row) for row in zip(*columns, strict=True)]
    order = np.argsort(names, kind="stable")
    return (
        [names[i] for i in order],
        [values[i] for i in order],
        [name.strip() for name in head[1:]],
    )


def _numbers(column: list[str]) -> Sequence[float | str]:
    """Returns a column as numbers if all values are numbers, so 10 is sorted after 9."""
    if any("_" in value for value in column):  # Python would read 1_0 as 10.
        return column
    with contextlib.suppress(ValueError):
        whole = [int(value) for value in column]
        # As floats, large integers would no longer differ.
        return whole if max(map(abs, whole)) < 2**63 else column
    with contextlib.suppress(ValueError):
        return [float(value) for value in column]
    return column


def _cached(pictures: Pictures, folder: Path, cache_dir: Path, which: str) -> Source:
    """Returns a memory map of the decoded pictures, which is written the first time."""
    states = [(path, path.stat()) for path in pictures.paths]
    state = _digest(
        [(str(path.relative_to(folder)), s.st_size, s.st_mtime_ns) for path, s in states]
    )
    name = folder.resolve().name[:40]  # File systems take 255 bytes.
    target = cache_dir / f"{name}-{which}-{state}.npy"
    shape = (len(pictures), *pictures.image_shape)
    if not target.is_file():

        def blocks(size: int = 256) -> Iterator[np.ndarray]:
            for start in range(0, len(pictures), size):
                yield pictures.take(np.arange(start, min(start + size, len(pictures))))

        fill(target, shape, blocks())
        for former in cache_dir.glob(f"{glob.escape(name)}-{which}-*.npy"):
            if former != target and not is_aside(former):
                with contextlib.suppress(OSError):  # On Windows another process may use it.
                    former.unlink()
    return source_of(mapped(target, shape))


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]
