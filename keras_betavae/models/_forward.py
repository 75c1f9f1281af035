"""The result of a forward pass, and its terms."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_betavae.objectives import Cost, Objective, Sample


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


def log_likelihood_of(images: tf.Tensor, likelihood: Any) -> tf.Tensor:
    """Returns log p(x|z) of each image under a distribution of images, (batch,), in nats.

    Raises:
        ValueError: If the distribution gives one for each pixel, with which a sum over the batch
            would broadcast.
    """
    found = likelihood.log_prob(images)
    if found.shape.rank != 1:
        raise ValueError(
            "the likelihood's log_prob must have the shape (batch,), got "
            f"{tuple(found.shape)}; wrap its distribution in tfp.distributions.Independent"
        )
    return found


def cost_of(objective: Objective, sample: Sample, state: Mapping[str, tf.Tensor]) -> Cost:
    """Returns an objective's cost.

    Raises:
        TypeError: If it is not a `Cost`.
        ValueError: If its loss is not a scalar, or the names in its state have changed.
    """
    cost, name = objective(sample, state), type(objective).__name__
    if not isinstance(cost, Cost):
        raise TypeError(f"{name} must return a Cost, got {type(cost).__name__}")
    if tf.convert_to_tensor(cost.loss).shape.rank != 0:
        raise ValueError(
            f"the loss of {name} must be a scalar, the mean over the batch, got the shape "
            f"{tuple(cost.loss.shape)}"
        )
    if set(cost.state) != set(state):
        raise ValueError(f"{name} must return the state {sorted(state)}, got {sorted(cost.state)}")
    return cost
