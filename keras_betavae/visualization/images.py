"""Pictures as arrays: grids of images, with or without labels, and files of them."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_betavae._utils.files import local_path, moved_into_place
from keras_betavae._utils.protocols import Autoencoder


def reconstructions(model: Autoencoder, images: np.ndarray) -> np.ndarray:
    """Returns images and their reconstructions.

    Args:
        model: Anything with a method `reconstruct`.
        images: uint8, or floats in the model's own range, `(n, *image_shape)`.

    Returns:
        float32 images `(2, n, *image_shape)`, in the model's own range.
    """
    scale = np.float32(1 / 255 if images.dtype.kind in "iu" else 1)
    shown = (images * scale).astype(np.float32, copy=False)
    return np.stack([shown, np.asarray(model.reconstruct(images))])


def image_grid(images: np.ndarray, *, padding: int = 2, zoom: int = 1) -> np.ndarray:
    """Arranges images in rows and columns, with gray lines between them.

    Args:
        images: Floats (rows, columns, height, width, channels), clipped to 0 to 1. With more than
            three channels, the first three are shown as red, green and blue; with two, the
            first is shown.
        padding: Pixels between and around the images.
        zoom: Each pixel becomes a square of this side.

    Returns:
        uint8 (height, width, 3).

    Raises:
        ValueError: If the shape is wrong.

    Example:
        >>> image_grid(np.zeros((2, 3, 8, 8, 1)), padding=1).shape
        (19, 28, 3)
    """
    images = np.asarray(images)
    if images.ndim != 5:
        raise ValueError(
            "images must have the shape (rows, columns, height, width, channels), got "
            f"{images.shape}"
        )
    images = images[..., : 3 if images.shape[-1] >= 3 else 1]
    pixels = np.rint(np.clip(images, 0.0, 1.0) * 255).astype(np.uint8)
    pixels = pixels.repeat(zoom, axis=2).repeat(zoom, axis=3)
    margins = [(0, 0), (0, 0), (padding, 0), (padding, 0), (0, 0)]
    pixels = np.pad(pixels, margins, constant_values=_GRAY)
    rows, columns, height, width, channels = pixels.shape
    grid = pixels.swapaxes(1, 2).reshape(rows * height, columns * width, channels)
    grid = np.pad(grid, [(0, padding), (0, padding), (0, 0)], constant_values=_GRAY)
    return grid if channels == 3 else grid.repeat(3, axis=2)


def labeled_grid(
    images: np.ndarray, labels: Sequence[str], *, padding: int = 2, zoom: int = 1
) -> np.ndarray:
    """Arranges images as `image_grid` does, with a label to the left of each row.

    Args:
        images: As in `image_grid`.
        labels: A label for each row, in black on white.
        padding: As in `image_grid`.
        zoom: As in `image_grid`.

    Returns:
        uint8 (height, width, 3).

    Raises:
        ValueError: If the shape is wrong, or the number of labels is not that of the rows.
    """
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    grid = image_grid(images, padding=padding, zoom=zoom)
    if len(labels) != len(images):
        raise ValueError(f"there must be {len(images)} labels, one per row, got {len(labels)}")
    row_height = (len(grid) - padding) // len(images)
    # Pillow's own font has no Greek letters.
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    font = ImageFont.truetype(os.fspath(path), max(9, min(14, row_height // 3)))
    margin = 16 + max(int(font.getlength(label)) for label in labels)
    sheet = Image.new("RGB", (margin + grid.shape[1], len(grid)), "white")
    sheet.paste(Image.fromarray(grid), (margin, 0))
    draw = ImageDraw.Draw(sheet)
    for row, label in enumerate(labels):
        draw.text((8, (row + 0.5) * row_height), label, fill="black", font=font, anchor="lm")
    return np.array(sheet)


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes a uint8 image (height, width, 3) to a PNG file."""
    from PIL import Image

    with moved_into_place(local_path(path)) as aside:
        Image.fromarray(image).save(aside, format="png")


def write_animation(
    path: str | os.PathLike, frames: Sequence[np.ndarray], *, milliseconds: int = 100
) -> None:
    """Writes uint8 images (height, width, 3) to an animation that loops forever.

    Args:
        path: A file that ends in `.gif` (256 colors) or `.webp` (all colors, lossless).
        frames: The images, all of one shape.
        milliseconds: Time per image.

    Raises:
        ValueError: If the file has another ending.
    """
    from PIL import Image

    options = {".gif": {}, ".webp": {"lossless": True}}
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in options:
        raise ValueError(f"the file must end in .gif or .webp, got {os.fspath(path)!r}")
    first, *rest = [Image.fromarray(frame) for frame in frames]
    with moved_into_place(local_path(path)) as aside:
        first.save(
            aside,
            format=suffix[1:],
            save_all=True,
            append_images=rest,
            duration=milliseconds,
            loop=0,
            **options[suffix],
        )


_GRAY = 128
