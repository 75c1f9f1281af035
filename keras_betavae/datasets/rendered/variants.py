"""Harder variants of gray images, with random colors, noise or photographs."""

import math
import operator
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from keras_betavae.datasets._dsprites import FACTORS, IMAGE_SHAPE
from keras_betavae.datasets._sources import Changed
from keras_betavae.datasets.catalog import Entry, register
from keras_betavae.datasets.factors import FactorDataset
from keras_betavae.datasets.images import ImageDataset
from keras_betavae.datasets.rendered.sprites import load_sprites

Data = TypeVar("Data", bound=ImageDataset)


def with_colors(data: Data, seed: int = 0) -> Data:
    """Gives each image a random color (Color-dSprites).

    Each channel of an image is multiplied by a number drawn from [0.5, 1]. The draws depend only
    on the seed and the image's index, so an image is always the same. Apply this before a
    split, or images of both parts get the same draws.

    Args:
        data: Gray images, such as `load_sprites()`.
        seed: Seed of the colors, at least 0.

    Returns:
        The data set with images of three channels.

    Raises:
        ValueError: If the images are not gray, or the seed is negative.

    References:
        Locatello et al., Challenging Common Assumptions in the Unsupervised Learning of
        Disentangled Representations, ICML 2019.

    Example:
        >>> from keras_betavae.datasets import load_sprites
        >>> with_colors(load_sprites(orientation=2, pos_x=2, pos_y=2)).image_shape
        (64, 64, 3)
    """

    def change(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.rint(image * rng.uniform(0.5, 1.0, 3))

    return _changed(data, seed, change)


def with_noise(data: Data, seed: int = 0) -> Data:
    """Puts noise behind each image (Noisy-dSprites).

    A uniform draw from 0 to 255 is added to each value, and the sum is clipped to 255: white
    stays white and black becomes noise. Draws are as in `with_colors`.

    Args:
        data: Gray images, such as `load_sprites()`.
        seed: Seed of the noise, at least 0.

    Returns:
        The same data set, with images of three channels.

    Raises:
        ValueError: If the images are not gray, or the seed is negative.

    References:
        Locatello et al. 2019, as in `with_colors`.
    """

    def change(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        shape = (*image.shape[:2], 3)
        noise = np.frombuffer(rng.bytes(math.prod(shape)), np.uint8).reshape(shape)
        return np.minimum(image.astype(np.int16) + noise, 255)

    return _changed(data, seed, change)


def with_pictures(data: Data, pictures: Sequence[np.ndarray] | None = None, seed: int = 0) -> Data:
    """Puts a part of a picture behind each image (like Scream-dSprites).

    A random part of a random picture is averaged with a random color. Where the image is white,
    the result is inverted. Draws are as in `with_colors`.

    Args:
        data: Gray images, such as `load_sprites()`.
        pictures: uint8 pictures (height, width, 3), each at least as large as the images;
            the two photographs that come with scikit-learn by default.
        seed: Seed of the parts and colors, at least 0.

    Returns:
        The same data set, with images of three channels.

    Raises:
        ValueError: If the images are not gray, a picture does not fit, or the seed is negative.

    References:
        Locatello et al. 2019, as in `with_colors`; they use Munch's The Scream.
    """
    if pictures is None:
        from sklearn.datasets import load_sample_images

        pictures = load_sample_images().images
    pictures = [np.asarray(picture) for picture in pictures]
    _check_gray(data)
    height, width, _ = data.image_shape
    for picture in pictures:
        fits = picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8
        if not fits or picture.shape[0] < height or picture.shape[1] < width:
            raise ValueError(
                f"pictures must be uint8 of shape (height, width, 3), at least {height} by "
                f"{width}, got {picture.dtype} {picture.shape}"
            )
    if not pictures:
        raise ValueError("pictures must hold at least one picture, got none")

    def change(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        picture = pictures[rng.integers(len(pictures))]
        top = rng.integers(picture.shape[0] - height + 1)
        left = rng.integers(picture.shape[1] - width + 1)
        part = picture[top : top + height, left : left + width]
        behind = (part + rng.uniform(0.0, 255.0, 3)) / 2.0
        share = image / 255.0
        return np.rint(behind * (1.0 - share) + (255.0 - behind) * share)

    return _changed(data, seed, change)


def _check_gray(data: ImageDataset) -> None:
    if data.dtype != "uint8" or data.image_shape[2:] != (1,):
        raise ValueError(
            "images must be uint8 with one channel, got "
            f"{data.dtype} of the shape {data.image_shape}"
        )


def _changed(
    data: Data, seed: int, change: Callable[[np.ndarray, np.random.Generator], np.ndarray]
) -> Data:
    _check_gray(data)
    if not 0 <= operator.index(seed) < 2**64:
        raise ValueError(f"seed must be from 0 to below 2**64, got {seed}")
    shape = (*data.image_shape[:2], 3)

    def change_all(images: np.ndarray, indices: np.ndarray) -> np.ndarray:
        changed = np.empty((len(images), *shape), np.uint8)
        for number, (image, index) in enumerate(zip(images, indices, strict=True)):
            # Each image has its own stream, at the cost of a key.
            rng = np.random.Generator(np.random.Philox(key=np.array([seed, index], np.uint64)))
            changed[number] = change(image, rng)
        return changed

    return data._with(Changed(data._images, shape, change_all))


def _register(name: str, summary: str, change: Callable[[FactorDataset], FactorDataset]) -> None:
    def loader(*grid: int) -> FactorDataset:
        return change(load_sprites(*grid))

    register(Entry(name, summary, (*IMAGE_SHAPE[:2], 3), FACTORS, loader))


_register("sprites_colors", "sprites in random colors", with_colors)
_register("sprites_noise", "sprites in front of noise", with_noise)
_register("sprites_pictures", "sprites in front of photographs", with_pictures)
