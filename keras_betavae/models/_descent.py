"""How gradients are applied, and what XLA compiles."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_betavae import networks
from keras_betavae._utils.replicas import total


class Compilation(NamedTuple):
    """What XLA compiles.

    Attributes:
        whole_step: Keras's `jit_compile`.
        descent: Whether the optimizer step is compiled separately.
    """

    whole_step: bool | str
    descent: bool

    @classmethod
    def chosen(
        cls,
        jit_compile: bool | str,
        models: Sequence[keras.Model],
        *,
        run_eagerly: bool,
        strategy: tf.distribute.Strategy,
    ) -> "Compilation":
        """Returns what `jit_compile` of `BetaVAE.compile` stands for.

        On a CPU, "auto" compiles the whole step of dense networks, and only the optimizer step
        of others, because XLA's convolutions are slow there.
        """
        with strategy.scope():
            is_distributed = tf.distribute.has_strategy()
        has_gpu = bool(tf.config.list_logical_devices("GPU"))
        if jit_compile != "auto" or is_distributed or has_gpu or run_eagerly:
            return cls(jit_compile, descent=False)
        are_dense = networks.are_dense(*models)
        return cls(are_dense, descent=not are_dense)


def descend(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor | None],
    weights: Sequence[keras.Variable],
    sound: tf.Tensor,
    *,
    in_xla: bool,
) -> None:
    """Applies gradients, or zeros if the step is not sound; warns if there are none.

    Args:
        optimizer: The optimizer.
        gradients: One for each weight, None where there is none.
        weights: The trained weights.
        sound: Whether the step is sound.
        in_xla: Whether XLA compiles this part of the step.
    """
    if not weights:
        warnings.warn("all weights are frozen, so training changes nothing", stacklevel=2)
        return

    is_scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if is_scaled and tf.distribute.has_strategy():
        # It looks at the gradients of one replica before they are summed.
        overflow = total(tf.cast(~optimizer.check_finite(gradients), "int32")) > 0
        gradients = [
            None if g is None else tf.where(overflow, tf.constant(np.inf, g.dtype), g)
            for g in gradients
        ]

    def apply(gradients, sound):
        kept = [None if g is None else tf.where(sound, g, tf.zeros_like(g)) for g in gradients]
        optimizer.apply_gradients(zip(kept, weights, strict=True))

    if in_xla and not tf.distribute.has_strategy():
        # Keras's optimizers pass over the weights a dozen times, XLA only three.
        apply = tf.function(apply, jit_compile=True, autograph=False)
    apply(gradients, sound)
