"""Pictures as arrays: traversals, reconstructions, grids, and the files they go to."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np


def traverse(
    model: Any,
    code: np.ndarray,
    *,
    latents: Sequence[int] | np.ndarray | None = None,
    limit: float = 3.0,
    n_steps: int = 11,
) -> np.ndarray:
    """Returns what the decoder shows when one latent varies and the others stay.

    Args:
        model: Anything with a method `decode`, from codes (n, latent_dim) to images.
        code: The code around which one moves, (latent_dim,).
        latents: The latents to vary, one row each; None for all.
        limit: Each latent runs from -limit to limit, in units of the prior's standard
            deviation.
        n_steps: Images per row, at least 2.

    Returns:
        float32 images (rows, n_steps, height, width, channels), from one call of the
        decoder.

    Raises:
        ValueError: If `code` is no vector or `n_steps` is below 2.
    """
    code = np.asarray(code, dtype=np.float32)
    if code.ndim != 1:
        raise ValueError(f"code must have the shape (latent_dim,), got {code.shape}")
    if n_steps < 2:
        raise ValueError(f"n_steps must be at least 2, got {n_steps}")
    rows = np.arange(len(code)) if latents is None else np.asarray(latents)
    codes = np.tile(code, (len(rows), n_steps, 1))
    codes[np.arange(len(rows)), :, rows] = np.linspace(-limit, limit, n_steps, dtype=np.float32)
    images = np.asarray(model.decode(codes.reshape(-1, len(code))))
    return images.reshape(len(rows), n_steps, *images.shape[1:])


def reconstructions(model: Any, images: np.ndarray) -> np.ndarray:
    """Returns images above what the model makes of them.

    Args:
        model: Anything with a method `reconstruct`.
        images: uint8, or floats from 0 to 1, (n, height, width, channels).

    Returns:
        float32 images (2, n, height, width, channels), 0 to 1.
    """
    scale = np.float32(1 / 255 if images.dtype.kind in "iu" else 1)
    shown = (images * scale).astype(np.float32, copy=False)
    return np.stack([shown, np.asarray(model.reconstruct(images))])


def image_grid(images: np.ndarray, *, padding: int = 2, zoom: int = 1) -> np.ndarray:
    """Lays images out in rows and columns, with grey lines between them.

    Args:
        images: Floats (rows, columns, height, width, channels) of 1 or 3 channels;
            values are clipped to 0 to 1.
        padding: Pixels between and around the images.
        zoom: Each pixel becomes a square of this side.

    Returns:
        uint8 (height, width, 3).

    Raises:
        ValueError: If the shape is another.

    Example:
        >>> image_grid(np.zeros((2, 3, 8, 8, 1)), padding=1).shape
        (19, 28, 3)
    """
    images = np.asarray(images)
    if images.ndim != 5 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"images must have the shape (rows, columns, height, width, 1 or 3), got {images.shape}"
        )
    pixels = np.rint(np.clip(images, 0.0, 1.0) * 255).astype(np.uint8)
    pixels = pixels.repeat(zoom, axis=2).repeat(zoom, axis=3)
    margins = [(0, 0), (0, 0), (padding, 0), (padding, 0), (0, 0)]
    pixels = np.pad(pixels, margins, constant_values=_GREY)
    rows, columns, height, width, channels = pixels.shape
    grid = pixels.swapaxes(1, 2).reshape(rows * height, columns * width, channels)
    grid = np.pad(grid, [(0, padding), (0, padding), (0, 0)], constant_values=_GREY)
    return grid if channels == 3 else grid.repeat(3, axis=2)


def factor_sweep(data: Any, n_steps: int = 10) -> np.ndarray:
    """Returns images in which one factor varies and the others stay at their middle.

    Args:
        data: A `FactorDataset`. Where a combination of factors has no image, one that shares
            most of them stands in.
        n_steps: Images per row, evenly over the factor's values; a factor of fewer values
            repeats some.

    Returns:
        uint8 images (n_factors, n_steps, height, width, channels).

    Raises:
        ValueError: If `n_steps` is below 1.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1, got {n_steps}")
    sizes = np.array(data.factor_sizes)
    factors = np.tile(sizes // 2, (len(sizes), n_steps, 1))
    for k, size in enumerate(sizes):
        factors[k, :, k] = np.rint(np.linspace(0, size - 1, n_steps))
    wanted = factors.reshape(-1, len(sizes))
    if data.is_grid:
        indices = data.index_of(wanted)
    else:
        there = data.factors_at(np.arange(len(data)))
        # The factor that varies counts more than all others together.
        weights = np.eye(len(sizes), dtype=int) * len(sizes) + 1
        indices = np.array(
            [
                np.argmax((there == row) @ weights[number // n_steps])
                for number, row in enumerate(wanted)
            ]
        )
    return data.images_at(indices).reshape(*factors.shape[:2], *data.image_shape)


def contact_sheet(data: Any, n_steps: int = 10, *, seed: int = 0) -> np.ndarray:
    """Returns a picture of a data set: a row for each factor, with its name and size.

    Args:
        data: A `FactorDataset`; of an `ImageDataset`, five rows of images are drawn.
        n_steps: Images per row, as in `factor_sweep`.
        seed: Seed of that draw.

    Returns:
        uint8 (height, width, 3).
    """
    if not data.factor_names:
        images = data.images_at(data.sample_indices(5 * n_steps, seed))
        return image_grid(images.reshape(5, n_steps, *data.image_shape) / 255)
    from PIL import Image, ImageDraw, ImageFont

    grid = image_grid(factor_sweep(data, n_steps) / 255)
    row_height = (len(grid) - 2) // len(data.factor_sizes)
    labels = [
        f"{name} ({size})" for name, size in zip(data.factor_names, data.factor_sizes, strict=True)
    ]
    font = ImageFont.load_default(max(10, min(16, row_height // 3)))
    margin = 16 + max(int(font.getlength(label)) for label in labels)
    sheet = Image.new("RGB", (margin + grid.shape[1], len(grid)), "white")
    sheet.paste(Image.fromarray(grid), (margin, 0))
    draw = ImageDraw.Draw(sheet)
    for k, label in enumerate(labels):
        draw.text((8, int((k + 0.5) * row_height)), label, fill="black", font=font, anchor="lm")
    return np.asarray(sheet)


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes a uint8 image (height, width, 3) to a PNG file."""
    from PIL import Image

    Image.fromarray(image).save(path, format="png")


def write_gif(
    path: str | os.PathLike, frames: Sequence[np.ndarray], *, milliseconds: int = 100
) -> None:
    """Writes uint8 images (height, width, 3) to an animated GIF that plays for ever.

    Args:
        path: The file.
        frames: The images, all of one shape.
        milliseconds: Time that each is shown for.
    """
    from PIL import Image

    first, *rest = [Image.fromarray(frame) for frame in frames]
    first.save(path, format="gif", save_all=True, append_images=rest, duration=milliseconds, loop=0)


def write_traversal(path: str | os.PathLike, rows: np.ndarray, *, zoom: int = 1) -> None:
    """Writes a traversal: all steps side by side to a PNG, or one after another to a GIF.

    Args:
        path: A file that ends in `.png` or `.gif`; the GIF runs there and back.
        rows: Images of `traverse`, (rows, n_steps, height, width, channels).
        zoom: As in `image_grid`.

    Raises:
        ValueError: If the file's ending is another.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".png":
        write_png(path, image_grid(rows, zoom=zoom))
    elif suffix == ".gif":
        n_steps = rows.shape[1]
        order = [*range(n_steps), *range(n_steps - 2, 0, -1)]
        write_gif(path, [image_grid(rows[None, :, step], zoom=zoom) for step in order])
    else:
        raise ValueError(f"the file must end in .png or .gif, got {os.fspath(path)!r}")


_GREY = 128
