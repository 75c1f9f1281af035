"""The fully connected networks."""

import math
from collections.abc import Sequence

import keras
from keras import KerasTensor, layers

from keras_betavae.networks.architectures import DENSE
from keras_betavae.networks.fitting import check_positive


def dense_encoder(
    input_shape: Sequence[int], latent_dim: int, units: Sequence[int] = DENSE.encoder
) -> keras.Model:
    """Returns the fully connected encoder of Higgins et al. for 2D shapes.

    Args:
        input_shape: Shape of one image or vector, without the batch.
        latent_dim: Number of latents, at least 1.
        units: Width of each ReLU layer.

    Raises:
        ValueError: If `latent_dim` or a dimension of `input_shape` is below 1.

    References:
        Higgins et al. 2017, Table 1.

    Example:
        >>> [tuple(t.shape) for t in dense_encoder((64, 64, 1), latent_dim=10).outputs]
        [(None, 10), (None, 10)]
    """
    check_positive(input_shape, latent_dim)
    image = keras.Input(tuple(input_shape), name="image")
    h = stacked(layers.Flatten()(image), units, "relu")
    return keras.Model(image, gaussian_head(h, latent_dim), name="dense_encoder")


def dense_decoder(
    latent_dim: int, output_shape: Sequence[int], units: Sequence[int] = DENSE.decoder
) -> keras.Model:
    """Returns the fully connected decoder of Higgins et al. for 2D shapes.

    Args:
        latent_dim: Number of latents, at least 1.
        output_shape: Shape of one image or vector, without the batch.
        units: Width of each tanh layer.

    Raises:
        ValueError: If `latent_dim` or a dimension of `output_shape` is below 1.

    References:
        Higgins et al. 2017, Table 1.

    Example:
        >>> dense_decoder(10, (64, 64, 1)).output_shape
        (None, 64, 64, 1)
    """
    check_positive(output_shape, latent_dim)
    z = keras.Input((latent_dim,), name="z")
    h = stacked(z, units, "tanh")
    h = layers.Dense(math.prod(output_shape), dtype="float32")(h)
    params = layers.Reshape(tuple(output_shape), dtype="float32", name="params")(h)
    return keras.Model(z, params, name="dense_decoder")


def discriminator(latent_dim: int, units: Sequence[int] = (1000,) * 6) -> keras.Model:
    """Returns FactorVAE's discriminator, with the logits of "a code" and "a permuted code".

    Args:
        latent_dim: Number of latents, at least 1.
        units: Width of each leaky ReLU layer (slope 0.2).

    Returns:
        A model from codes (batch, latent_dim) to logits (batch, 2).

    Raises:
        ValueError: If `latent_dim` is below 1.

    References:
        Kim & Mnih, Disentangling by Factorising, ICML 2018.

    Example:
        >>> discriminator(10).output_shape
        (None, 2)
    """
    check_positive((2,), latent_dim)
    z = keras.Input((latent_dim,), name="z")
    h = z
    for width in units:
        h = layers.LeakyReLU(negative_slope=0.2)(layers.Dense(width)(h))
    logits = layers.Dense(2, dtype="float32", name="logits")(h)
    return keras.Model(z, logits, name="discriminator")


def stacked(
    h: KerasTensor, units: Sequence[int], activation: str, initializer: str = "glorot_uniform"
) -> KerasTensor:
    """Returns the output of a stack of dense layers."""
    for width in units:
        h = layers.Dense(width, activation, kernel_initializer=initializer)(h)
    return h


def gaussian_head(h: KerasTensor, latent_dim: int) -> list[KerasTensor]:
    """Returns [mean, log_var] of the posterior."""
    # Under a mixed policy, outputs in 16 bits would quantize the codes and the logits.
    return [layers.Dense(latent_dim, dtype="float32", name=name)(h) for name in ("mean", "log_var")]
