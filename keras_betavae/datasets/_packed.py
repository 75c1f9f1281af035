"""Binary images at one bit a pixel."""

import math
from collections.abc import Sequence

import numpy as np


def n_bytes(image_shape: Sequence[int]) -> int:
    """Returns the bytes that one packed image takes."""
    return -(-math.prod(image_shape) // 8)


def pack(images: np.ndarray) -> np.ndarray:
    """Packs images (n, ...), zero or not zero, into (n, bytes)."""
    return np.packbits(images.reshape(len(images), -1), axis=-1)


def unpack(packed: np.ndarray, image_shape: Sequence[int]) -> np.ndarray:
    """Unpacks (..., bytes) into uint8 images (..., *image_shape) of 0 and 255."""
    bits = np.unpackbits(packed, axis=-1, count=math.prod(image_shape))
    return np.negative(bits, out=bits).reshape(*packed.shape[:-1], *image_shape)
