"""The moving statistics of layers, which a forward pass changes before it is known to be sound."""

from collections.abc import Iterable, Sequence

import keras
import tensorflow as tf


def moving_statistics(networks: Iterable[keras.Model]) -> list[tf.Tensor]:
    """Returns the values of the networks' floats that no optimizer trains."""
    return [tf.identity(variable.value) for variable in _statistics(networks)]


def restore_statistics(
    networks: Iterable[keras.Model], before: Sequence[tf.Tensor], sound: tf.Tensor
) -> None:
    """Sets moving statistics back to what they were before a pass that is not sound."""
    for variable, value in zip(_statistics(networks), before, strict=True):
        variable.assign(tf.where(sound, variable.value, value))


def _statistics(networks: Iterable[keras.Model]) -> list[keras.Variable]:
    return [
        variable
        for network in networks
        for variable in network.non_trainable_variables
        if tf.as_dtype(variable.dtype).is_floating
    ]
