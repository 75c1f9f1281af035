"""Picture files, opened safely and decoded on demand."""

import contextlib
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps

from keras_betavae._utils.reading import damage_named
from keras_betavae.datasets._sources import Source

# Not all that Pillow knows: on some formats it starts other programs (EPS: Ghostscript), whatever
# the file's name.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
DEEP = ("I", "F")
"""What Pillow's modes of gray with more than 8 bits begin with."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


class Pictures(Source):
    """Picture files, decoded on demand."""

    def __init__(
        self,
        paths: Sequence[Path],
        image_shape: tuple[int, int, int],
        crop: bool,
        value_range: tuple[float, float] | None = None,
    ):
        self.paths = paths
        self.image_shape = image_shape
        self.crop = crop
        self._range = value_range
        self._lock = threading.Lock()

    def __len__(self):
        return len(self.paths)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Returns the decoded pictures of valid indices, uint8 `(n, *image_shape)`."""
        images = np.empty((len(indices), *self.image_shape), np.uint8)
        # Each batch has its own pool: a permanent one would not survive a fork.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            decoded = pool.map(self._decode, [self.paths[index] for index in indices])
            for number, image in enumerate(decoded):
                images[number] = image
        return images

    def _decode(self, path: Path) -> np.ndarray:
        # Twice either side, for a photograph may be turned.
        side = 2 * max(self.image_shape[:2])
        with _picture(path) as picture:
            # JPEG decodes large photographs at a fraction of their size.
            picture.draft(None, (side, side))
            is_deep = picture.mode.startswith(DEEP)
            upright = ImageOps.exif_transpose(picture)
        with damage_named(path, f"{path} cannot be read as a picture"):
            return scaled(
                upright, self.image_shape, self.crop, self._found_range() if is_deep else None
            )

    def _found_range(self) -> tuple[float, float]:
        """Returns the lowest and highest value of all pictures of more than 8 bits."""
        with self._lock:
            if self._range is None:
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    found = [ends for ends in pool.map(_deep_range, self.paths) if ends]
                lows, highs = zip(*(found or [(np.nan, np.nan)]), strict=True)
                self._range = min(lows), max(highs)
        return self._range


def _deep_range(path: Path) -> tuple[float, float] | None:
    """Returns the range of a picture of more than 8 bits; None of others and damaged ones."""
    try:
        with _picture(path) as picture:
            if picture.mode.startswith(DEEP):
                values = np.asarray(picture)
                values = values[np.isfinite(values)]
                return (float(values.min()), float(values.max())) if values.size else None
    except ValueError:
        pass  # An error names it when it is read.
    return None


def has_proportions(path: Path, height: int, width: int) -> bool:
    """Returns whether a picture scaled to a height and width is neither cropped nor stretched."""
    with _picture(path) as picture:
        own_width, own_height = picture.size
        if picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5:
            own_width, own_height = own_height, own_width
    # Up to half a pixel of the scaled picture.
    return abs(own_width * height / own_height - width) <= 0.5


@contextlib.contextmanager
def _picture(path: Path) -> Iterator[Image.Image]:
    """Opens a picture.

    Raises:
        ValueError: If it cannot be read as one.
    """
    with (
        damage_named(path, f"{path} cannot be read as a picture"),
        _opened(path) as file,
        Image.open(file, formats=FORMATS) as picture,
    ):
        yield picture


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Opens a regular file, or a link to one: a pipe or device could block forever.

    Raises:
        ValueError: If it is another kind of file.
    """
    # Opening a pipe would block before its type could be checked.
    without_waiting = getattr(os, "O_NONBLOCK", 0)
    with open(path, "rb", opener=lambda p, flags: os.open(p, flags | without_waiting)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")
        yield file


def scaled(
    picture: Image.Image,
    image_shape: tuple[int, ...],
    crop: bool,
    value_range: tuple[float, float] | None = None,
) -> np.ndarray:
    """Returns a picture at another size as uint8 (height, width, channels).

    Args:
        picture: The picture.
        image_shape: (height, width, 1 or 3).
        crop: Whether it is cropped evenly, or stretched.
        value_range: Values of a gray picture of more than 8 bits that become 0 and 255.
    """
    height, width, channels = image_shape
    if value_range is not None:
        picture = _with_8_bits(picture, *value_range)
    plain = _plain(picture, "L" if channels == 1 else "RGB")
    if crop:
        image = ImageOps.fit(plain, (width, height), Image.Resampling.LANCZOS)
    else:
        image = plain.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(image_shape)


def _with_8_bits(picture: Image.Image, low: float, high: float) -> Image.Image:
    values = np.asarray(picture).astype(np.float64)
    if not -np.inf < low < high < np.inf or not np.isfinite(values).all():
        raise ValueError(
            f"its mode {picture.mode} has no range: the values of all pictures are from {low:g} to "
            f"{high:g}; give value_range"
        )
    levels = (values - low).clip(0, high - low) * (255 / (high - low))
    return Image.fromarray(np.rint(levels).astype(np.uint8))


def _plain(picture: Image.Image, mode: str) -> Image.Image:
    """Returns a picture of 8 bits without transparency."""
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture.convert(mode)
