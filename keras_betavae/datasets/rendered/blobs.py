"""Gaussian blobs that differ only in position."""

import numpy as np

from keras_betavae.datasets.catalog import Entry, register
from keras_betavae.datasets.factors import FactorDataset

FACTORS = {"pos_x": 32, "pos_y": 32}
IMAGE_SHAPE = (64, 64, 1)


def load_blobs(pos_x: int = 32, pos_y: int = 32, *, width: float = 6.0) -> FactorDataset:
    r"""Renders white Gaussian blobs on black 64×64 images, for a grid of positions.

    .. math:: x_{ij} = \exp\left(-\frac{(i - c_y)^2 + (j - c_x)^2}{2 \sigma^2}\right)

    rounded to 255 levels. The centers are spaced evenly, such that blobs are within the image up
    to two widths. Wider blobs change more of the image when they move: by linear theory, with
    Bernoulli pixels and β = 150, a latent encodes the position for widths of 6 pixels or more.

    Args:
        pos_x: Number of horizontal positions, at least 1; one is the leftmost.
        pos_y: Number of vertical positions, at least 1; one is the topmost.
        width: σ in pixels, above 0 and below 15.

    Returns:
        The full grid, pos_y varying fastest, as in `load_sprites`.

    Raises:
        ValueError: If a number is out of range.

    References:
        Burgess et al., Understanding disentangling in β-VAE, 2017, Figure 2, which states
        neither the blobs' width nor the positions.

    Example:
        >>> load_blobs(8, 8)
        FactorDataset(64 images (64, 64, 1); pos_x 8, pos_y 8)
    """
    for name, size in (("pos_x", pos_x), ("pos_y", pos_y)):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    if not 0.0 < width < 15.0:
        raise ValueError(f"width must be above 0 and below 15, got {width}")
    side = IMAGE_SHAPE[0]
    pixels, margin = np.arange(side), 2.0 * width
    rows, columns = (
        np.exp(-0.5 * ((pixels - np.linspace(margin, side - 1 - margin, n)[:, None]) / width) ** 2)
        for n in (pos_y, pos_x)
    )
    images = rows[None, :, :, None] * columns[:, None, None, :]
    levels = np.rint(255.0 * images).astype(np.uint8).reshape(-1, *IMAGE_SHAPE)
    return FactorDataset(levels, tuple(FACTORS), (pos_x, pos_y))


register(
    Entry(
        "blobs",
        "Gaussian blobs by position, rendered (Burgess et al. 2017)",
        IMAGE_SHAPE,
        FACTORS,
        load_blobs,
    )
)
