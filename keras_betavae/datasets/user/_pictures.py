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
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import (
    IMAGELENGTH,
    IMAGEWIDTH,
    PHOTOMETRIC_INTERPRETATION,
    TiffImageFile,
)

from keras_betavae._utils.reading import damage_named
from keras_betavae.datasets._sources import Source

# Not all that Pillow knows: on some formats it starts other programs (EPS: Ghostscript), whatever
# the file's name.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
DEEP = ("I", "F")
"""What Pillow's modes of gray with more than 8 bits begin with."""
_WHITE_IS_ZERO = 0
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
            is_deep, coding = picture.mode.startswith(DEEP), _Coding(picture)
            upright = ImageOps.exif_transpose(picture)
        with damage_named(path, f"{path} cannot be read as a picture"):
            if is_deep:
                upright = coding.with_8_bits(upright, *self._found_range())
            return scaled(upright, self.image_shape, self.crop)

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
                values = _Coding(picture).values(picture)
                values = values[np.isfinite(values)]
                return (float(values.min()), float(values.max())) if values.size else None
    except ValueError:
        pass  # An error names it when it is read.
    return None


def has_proportions(path: Path, height: int, width: int) -> bool:
    """Returns whether a picture scaled to a height and width is neither cropped nor stretched."""
    with _picture(path) as picture:
        own_width, own_height = picture.size
        if isinstance(picture, TiffImageFile):  # Some versions of Pillow turn its size.
            own_width, own_height = picture.tag_v2[IMAGEWIDTH], picture.tag_v2[IMAGELENGTH]
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


class _Coding:
    """What the numbers of a gray picture of more than 8 bits mean.

    It is made before Pillow decodes the picture.
    """

    def __init__(self, picture: Image.Image):
        self._scale, self._is_inverted = 1.0, False
        if isinstance(picture, PpmImageFile) and picture.mode == "I":
            arguments = picture.tile[0][3]
            if isinstance(arguments, tuple):  # Pillow scales the highest value to that of 16 bits.
                self._scale = arguments[1] / 65_535
        elif isinstance(picture, TiffImageFile):
            self._is_inverted = picture.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO

    def values(self, picture: Image.Image) -> np.ndarray:
        """Returns the values that the file holds, float64 (height, width)."""
        values = np.asarray(picture).astype(np.float64)
        return values if self._scale == 1.0 else np.rint(values * self._scale)

    def with_8_bits(self, picture: Image.Image, low: float, high: float) -> Image.Image:
        """Returns the picture with the levels 0 to 255 for the values from `low` to `high`."""
        values = self.values(picture)
        if not -np.inf < low < high < np.inf or not np.isfinite(values).all():
            raise ValueError(
                f"its mode {picture.mode} has no range: the values of all pictures are from "
                f"{low:g} to {high:g}; give value_range"
            )
        levels = np.rint((values - low).clip(0, high - low) * (255 / (high - low)))
        return Image.fromarray((255 - levels if self._is_inverted else levels).astype(np.uint8))


def scaled(picture: Image.Image, image_shape: tuple[int, ...], crop: bool) -> np.ndarray:
    """Returns a picture of 8 bits at another size as uint8 (height, width, channels).

    Args:
        picture: The picture.
        image_shape: (height, width, 1 or 3).
        crop: Whether it is cropped evenly, or stretched.
    """
    height, width, channels = image_shape
    plain = _plain(picture, "L" if channels == 1 else "RGB")
    if crop:
        image = ImageOps.fit(plain, (width, height), Image.Resampling.LANCZOS)
    else:
        image = plain.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(image_shape)


def _plain(picture: Image.Image, mode: str) -> Image.Image:
    """Returns a picture of 8 bits without transparency."""
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture.convert(mode)
