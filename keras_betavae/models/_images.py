"""Checks and scaling of a model's images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_betavae._utils.checks import unmasked
from keras_betavae.likelihoods import Likelihood


class ImageInput:
    """The shape and range of a model's images.

    Args:
        shape: Shape of one image.
        likelihood: The likelihood, which defines the range.
    """

    def __init__(self, shape: Sequence[int], likelihood: Likelihood):
        self.shape, self._likelihood = tuple(shape), likelihood

    def scaled(self, x: Any) -> tf.Tensor:
        """Returns the networks' input: integers divided by 255, all as float32.

        Raises:
            ValueError: If their shape is wrong, or they are complex.
        """
        x = tf.convert_to_tensor(x)
        self.check_shape(x.shape)
        if x.dtype.is_complex:
            raise ValueError(f"images must be real numbers, got {x.dtype.name}")
        return tf.cast(x, "float32") * (1.0 / 255.0 if x.dtype.is_integer else 1.0)

    def check_shape(self, shape: Sequence[int | None]) -> None:
        """Checks the shape of a batch.

        Raises:
            ValueError: If it is not `(batch, *shape)`.
        """
        found = tf.TensorShape(shape)
        if found.rank is None:
            raise ValueError(
                "batches must have a known shape; give output_signature to Dataset.from_generator"
            )
        if found.rank == 0 or not found[1:].is_compatible_with(self.shape):
            raise ValueError(
                f"images must have the shape (batch, {', '.join(map(str, self.shape))}) that the "
                f"encoder takes, got {tuple(found)}"
            )

    def check(self, x: Any) -> None:
        """Checks the shape of images, and that integers are 8-bit pixels.

        Within a `tf.function`, which cannot raise, only the shape is checked.

        Raises:
            ValueError: If either is wrong.
        """
        images = tf.convert_to_tensor(x)
        self.check_shape(images.shape)
        if images.dtype.is_integer and images.dtype != tf.uint8 and tf.executing_eagerly():
            low, high = tf.reduce_min(images), tf.reduce_max(images)
            if low < 0 or high > 255:
                raise ValueError(
                    f"integer images must be 8-bit pixels from 0 to 255, got {images.dtype.name} "
                    f"from {low} to {high}; scale them to floats"
                )

    def check_array(self, x: Any) -> None:
        """Checks the whole input of `fit`, `evaluate` or `predict`.

        Raises:
            ValueError: If its shape is wrong, it is not of numbers, or it is an array of integers
                that are all 0 or 1, which the model would see as nearly black.
        """
        self.check_shape(x.shape)
        unmasked("images", x)
        if isinstance(x, np.ndarray) and x.dtype.kind not in "biufcV":  # V is bfloat16.
            raise ValueError(f"images must be numbers, got an array of {x.dtype}")
        if not isinstance(x, np.ndarray) or x.dtype.kind not in "iu":
            return
        highest = 0
        for start in range(0, len(x), 1_024):
            highest = max(highest, int(x[start : start + 1_024].max()))
            if highest > 1:
                return
        if highest == 1:
            raise ValueError(
                "integer images must be 8-bit pixels from 0 to 255, where 255 is white, but all "
                "are 0 or 1; pass images.astype(bool) if they are black and white"
            )

    def check_support(self, x: Any) -> None:
        """Checks the range of images, except within a `tf.function`, which cannot raise.

        Raises:
            ValueError: If some are outside the likelihood's support.
        """
        images, support = self.scaled(x), self._likelihood.support
        if support and tf.executing_eagerly():
            low, high = support
            if not tf.reduce_all((images >= low) & (images <= high)):
                raise ValueError(f"images must be within [{low:g}, {high:g}], or be uint8")
        self.check(x)

    def are_sound(self, images: Any) -> tf.Tensor:
        """Returns whether all images are within the likelihood's support and finite.

        Integers must be 8-bit pixels, whatever the support.
        """
        given, support = tf.convert_to_tensor(images), self._likelihood.support
        low, high = support or (tf.float32.min, tf.float32.max)
        if not given.dtype.is_floating:
            low, high = max(low, 0.0), min(high, 1.0)
            if given.dtype in (tf.uint8, tf.bool) and (low, high) == (0.0, 1.0):
                return tf.constant(True)  # These are scaled to [0, 1].
        images = self.scaled(given)
        # A comparison with NaN is false.
        return tf.reduce_all((images >= low) & (images <= high))

    @property
    def range_text(self) -> str:
        """The requirement on images, for an error message."""
        text = "finite, and integers from 0 to 255"
        if not self._likelihood.support:
            return text
        low, high = self._likelihood.support
        return f"within [{low:g}, {high:g}] under {type(self._likelihood).__name__}"
