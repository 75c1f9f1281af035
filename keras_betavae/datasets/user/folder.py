"""Pictures in a folder: CelebA, chairs, anyone's own."""

import csv
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from keras_betavae.datasets._sources import Source, source_of
from keras_betavae.datasets.images import ImageDataset
from keras_betavae.datasets.released.release import fill, mapped
from keras_betavae.datasets.user.arrays import labelled

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def from_folder(
    path: str | os.PathLike,
    image_size: int | tuple[int, int] = 64,
    channels: int = 3,
    *,
    crop: bool = True,
    factors: str | os.PathLike | None = None,
    cache_dir: str | os.PathLike | None = None,
) -> ImageDataset:
    """Makes a data set of the pictures in a folder and the folders in it.

    Pictures are PNG, JPEG, WebP, BMP, GIF or TIFF (of several frames the first), in the order
    of their paths. They are decoded anew whenever they are asked for, in parallel threads, or,
    with `cache_dir`, once. Turned photographs are turned upright, transparent ones get a white
    ground, and 16-bit grey is scaled to 8.

    Args:
        path: The folder. Files and folders whose names begin with a dot, and folders
            that are links, are left out.
        image_size: Side of the images, or their height and width; pictures are scaled to
            it by Lanczos' filter.
        channels: 1 for grey, 3 for RGB.
        crop: Whether what does not fit the images' proportions is cut off evenly at both ends;
            otherwise the pictures are stretched.
        factors: A CSV file: a head with the factors' names, then a row for each picture, its
            path below the folder first and then its factors' values (numbers, or any text).
            Pictures that it does not list are left out.
        cache_dir: A folder for the decoded images, one byte a value. Pictures that are added,
            removed or changed are decoded anew.

    Returns:
        A `FactorDataset` where factors are given, else an `ImageDataset`. A picture that cannot
        be decoded raises a ValueError that names it when it is asked for (in a stream,
        TensorFlow's error with that message).

    Raises:
        FileNotFoundError: If there is no such folder or CSV file.
        ValueError: If there are no pictures, an argument is outside its range, the CSV file
            does not do or, with `cache_dir`, a picture cannot be decoded.
        OSError: If the cache cannot be written.
    """
    folder = Path(path)
    sides = np.asarray(image_size)
    if sides.shape not in ((), (2,)) or sides.dtype.kind not in "iu" or sides.min() < 1:
        raise ValueError(f"image_size must be one or two integers, at least 1, got {image_size}")
    height, width = np.broadcast_to(sides, 2).tolist()
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, got {channels}")
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    names, rows, head = _listed(folder), None, None
    if factors is not None:
        names, rows, head = _read_factors(Path(factors), folder, names)
    if not names:
        raise ValueError(f"{folder} holds no pictures ({', '.join(SUFFIXES)})")
    pictures = Pictures([folder / name for name in names], (height, width, channels), crop)
    source: Source = pictures
    if cache_dir is not None:
        which = (str(folder.resolve()), str(factors), pictures.image_shape, crop)
        source = _cached(pictures, folder, Path(cache_dir), _digest(which))
    if rows is None:
        return ImageDataset(source)
    try:
        return labelled(source, rows, head)
    except ValueError as error:
        raise ValueError(f"{factors}: {error}") from error


class Pictures(Source):
    """Picture files, decoded whenever they are asked for."""

    def __init__(self, paths: Sequence[Path], image_shape: tuple[int, int, int], crop: bool):
        self.paths = paths
        self.image_shape = image_shape
        self.crop = crop

    def __len__(self):
        return len(self.paths)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Returns the decoded pictures of valid indices, uint8 `(n, *image_shape)`."""
        images = np.empty((len(indices), *self.image_shape), np.uint8)
        # A pool of its own for each batch: one that is kept would not outlive a fork.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            decoded = pool.map(self._decode, [self.paths[index] for index in indices])
            for number, image in enumerate(decoded):
                images[number] = image
        return images

    def _decode(self, path: Path) -> np.ndarray:
        # Twice either side, for a photograph may be turned.
        side = 2 * max(self.image_shape[:2])
        try:
            with Image.open(path) as picture:
                if picture.mode == "F" or (picture.mode == "I" and picture.format != "PNG"):
                    raise ValueError(f"its mode {picture.mode} has no range of its own")
                # JPEG decodes large photographs at a fraction of their size.
                picture.draft(None, (side, side))
                return scaled(ImageOps.exif_transpose(picture), self.image_shape, self.crop)
        except FileNotFoundError:
            raise
        except Exception as error:
            # On damaged bytes Pillow's plugins raise many kinds.
            raise ValueError(f"{path} cannot be read as a picture: {error}") from error


def scaled(picture: Image.Image, image_shape: tuple[int, ...], crop: bool) -> np.ndarray:
    """Returns a picture at another size as uint8 (height, width, channels)."""
    height, width, channels = image_shape
    plain = _plain(picture, "L" if channels == 1 else "RGB")
    if crop:
        image = ImageOps.fit(plain, (width, height), Image.Resampling.LANCZOS)
    else:
        image = plain.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(image_shape)


def _plain(picture: Image.Image, mode: str) -> Image.Image:
    """Returns a picture without transparency, at 8 bits."""
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.int64).clip(0, 65_535)
        picture = Image.fromarray((values // 257).astype(np.uint8))
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture.convert(mode)


def _listed(folder: Path) -> list[str]:
    """Returns the pictures' paths below the folder, with forward slashes, sorted."""
    names = []

    def refuse(error: OSError) -> None:
        raise error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                names.append((Path(parent) / name).relative_to(folder).as_posix())
    return sorted(names)


def _read_factors(
    path: Path, folder: Path, there: Sequence[str]
) -> tuple[list[str], list[list[float | str]], list[str]]:
    """Returns the pictures that a CSV file lists, their values, and the factors' names."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            head, *rows = [row for row in csv.reader(file, strict=True) if row]
        if any("\0" in value for row in (head, *rows) for value in row):
            raise ValueError("it holds NUL bytes")
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise ValueError(f"{path} is no CSV file with a head: {error}") from error
    if len(head) < 2 or not rows:
        raise ValueError(f"{path} must have a column of paths, one or more of factors, and rows")
    known, names = set(there), []
    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"{path}: the row {row} has not {len(head)} values as the head has")
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


def _numbers(column: list[str]) -> list[float] | list[str]:
    """Returns a column as numbers, so that 10 comes after 9, if it is one of numbers."""
    if any("_" in value for value in column):  # Python would read 1_0 as 10.
        return column
    try:
        return [float(value) for value in column]
    except ValueError:
        return column


def _cached(pictures: Pictures, folder: Path, cache_dir: Path, which: str) -> Source:
    """Returns the decoded pictures as a memory map, written at the first time."""
    states = [(path, path.stat()) for path in pictures.paths]
    state = _digest(
        [(str(path.relative_to(folder)), s.st_size, s.st_mtime_ns) for path, s in states]
    )
    target = cache_dir / f"{folder.resolve().name}-{which}-{state}.npy"
    shape = (len(pictures), *pictures.image_shape)
    if not target.is_file():

        def blocks(size: int = 256) -> Iterator[np.ndarray]:
            for start in range(0, len(pictures), size):
                yield pictures.take(np.arange(start, min(start + size, len(pictures))))

        fill(target, shape, blocks())
        for former in cache_dir.glob(f"*-{which}-*.npy"):
            if former != target:
                former.unlink(missing_ok=True)
    return source_of(mapped(target, shape))


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]
