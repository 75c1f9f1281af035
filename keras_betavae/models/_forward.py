"""What the parts of a training step hand to each other."""

from typing import NamedTuple

import tensorflow as tf


class Forward(NamedTuple):
    """What one pass over a batch gives.

    Attributes:
        images: All images that were encoded, `(batch, *image_shape)`.
        z: Their codes, (batch, latent_dim).
        terms: What `compute_terms` returns.
        labels_are_sound: Whether the objective can use the labels that came with them.
    """

    images: tf.Tensor
    z: tf.Tensor
    terms: dict[str, tf.Tensor]
    labels_are_sound: tf.Tensor | bool
