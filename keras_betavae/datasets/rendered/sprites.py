"""Procedural dSprites: the released data set's images, rendered offline."""

import itertools

import numpy as np

from keras_betavae.datasets._dsprites import FACTORS, IMAGE_SHAPE
from keras_betavae.datasets._sources import packed_bytes
from keras_betavae.datasets.catalog import Entry, register
from keras_betavae.datasets.factors import FactorDataset
from keras_betavae.datasets.rendered import _polygons

SHAPES = ("square", "ellipse", "heart")


def load_sprites(
    shape: int = 3, scale: int = 6, orientation: int = 40, pos_x: int = 32, pos_y: int = 32
) -> FactorDataset:
    """Renders dSprites' binary 64×64 images for a grid of factor values.

    The default is the whole grid of 737,280 images, in the order of `load_dsprites`. It takes
    about a second and 360 MiB, at one bit per pixel. The values of a factor are spaced evenly
    over its range: scale from 0.5 to 1, orientation from 0 to 2π (both included, as released),
    positions from 0 to 1. Shapes are square, ellipse and heart. A factor with one value has
    the lowest.

    Args:
        shape: Number of shapes, 1 to 3.
        scale: Number of scales, at least 1.
        orientation: Number of orientations, at least 1.
        pos_x: Number of horizontal positions, at least 1.
        pos_y: Number of vertical positions, at least 1.

    Returns:
        The full grid, the last factor varying fastest.

    Raises:
        ValueError: If a number is out of range.

    References:
        Matthey, Higgins, Hassabis & Lerchner, dSprites: Disentanglement testing
        sprites dataset, 2017. The package contains no part of the data set: the images
        follow from its polygons and a GPU's fill rules, which reproduce every frame of the
        authors' animation that was compared.

    Example:
        >>> data = load_sprites(scale=2, orientation=4, pos_x=8, pos_y=8)
        >>> data
        FactorDataset(1,536 images (64, 64, 1); shape 3, scale 2, orientation 4, pos_x 8, pos_y 8)
    """
    sizes = (shape, scale, orientation, pos_x, pos_y)
    for name, size in zip(FACTORS, sizes, strict=True):
        if size < 1 or (name == "shape" and size > len(SHAPES)):
            raise ValueError(f"{name} must be at least 1 (and at most 3 shapes), got {size}")
    packed = np.empty((*sizes, packed_bytes(IMAGE_SHAPE)), np.uint8)
    scales = np.linspace(0.5, 1.0, scale)
    angles = np.linspace(0.0, 2.0 * np.pi, orientation)
    x, y = np.linspace(0.0, 1.0, pos_x), np.linspace(0.0, 1.0, pos_y)
    for i, j, k in itertools.product(range(shape), range(scale), range(orientation)):
        packed[i, j, k] = _polygons.render_packed(SHAPES[i], scales[j], angles[k], x, y)
    images = packed.reshape(-1, packed.shape[-1])
    return FactorDataset(images, tuple(FACTORS), sizes, packed_shape=IMAGE_SHAPE)


register(
    Entry("sprites", "dSprites, rendered offline in seconds", IMAGE_SHAPE, FACTORS, load_sprites)
)
