"""The result of a forward pass."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf


class Forward(NamedTuple):
    """The result of one forward pass over a batch.

    Attributes:
        images: All images that were encoded, `(batch, *image_shape)`.
        z: Their codes, (batch, latent_dim).
        terms: What `compute_terms` returns.
        labels_are_sound: Whether the objective can use the labels that came with them.
        statistics: The networks' moving statistics before the pass.
    """

    images: tf.Tensor
    z: tf.Tensor
    terms: dict[str, tf.Tensor]
    labels_are_sound: tf.Tensor | bool
    statistics: Sequence[tf.Tensor] = ()


def layer_losses(*networks: keras.Model) -> tf.Tensor:
    """Returns the sum of the networks' layer losses: regularizers and `add_loss`."""
    found = [tf.cast(loss, "float32") for network in networks for loss in network.losses]
    return tf.add_n(found) if found else tf.constant(0.0)


def clipped(values: tf.Tensor, limit: float) -> tf.Tensor:
    """Returns values within ± a limit, with the gradient of the values themselves.

    The gradient of `clip_by_value` is 0 beyond the limit, and values there would never return.
    """
    return tf.grad_pass_through(lambda v: tf.clip_by_value(v, -limit, limit))(values)
