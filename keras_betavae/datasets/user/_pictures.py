"""Picture files, opened with care and decoded when they are asked for."""

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from keras_betavae._utils.reading import damage_named
from keras_betavae.datasets._sources import Source

# Not all that Pillow knows: on some formats it starts other programs (EPS: Ghostscript), whatever
# the file's name.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


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
        with (
            damage_named(path, f"{path} cannot be read as a picture"),
            _opened(path) as file,
            Image.open(file, formats=FORMATS) as picture,
        ):
            if picture.mode == "F" or (picture.mode == "I" and picture.format != "PNG"):
                raise ValueError(f"its mode {picture.mode} has no range of its own")
            # JPEG decodes large photographs at a fraction of their size.
            picture.draft(None, (side, side))
            return scaled(ImageOps.exif_transpose(picture), self.image_shape, self.crop)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Opens a regular file, or a link to one: a pipe or device could block for ever.

    Raises:
        ValueError: If it is another kind of file.
    """
    # A pipe blocks when it is opened, before anything can be known of it.
    without_waiting = getattr(os, "O_NONBLOCK", 0)
    with open(path, "rb", opener=lambda p, flags: os.open(p, flags | without_waiting)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")
        yield file


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
