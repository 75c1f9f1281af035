"""Convolutional networks for signals."""

import math
from collections.abc import Sequence

import keras
from keras import layers

from keras_betavae.networks.architectures import CONV
from keras_betavae.networks.dense import gaussian_head, stacked
from keras_betavae.networks.fitting import check_positive

SHORTEST = 8
"""Signals are halved until they have at most this length."""
KERNEL = 4


def conv1d_encoder(input_shape: Sequence[int], latent_dim: int) -> keras.Model:
    """Returns a convolutional encoder of signals.

    Convolutions with kernel 4, stride 2 and 32, 32, 64, 64, 64, ... filters, at least one and until
    the length is at most 8, then 256 dense units: `conv_encoder` along one axis. Half of an odd
    length is rounded up.

    Args:
        input_shape: (length, channels), length at least 8.
        latent_dim: Number of latents, at least 1.

    Raises:
        ValueError: If the shape is not supported, or `latent_dim` is below 1.

    Example:
        >>> conv1d_encoder((256, 1), latent_dim=6).output_shape
        [(None, 6), (None, 6)]
    """
    lengths = _lengths(input_shape, latent_dim)
    signal = keras.Input(tuple(input_shape), name="signal")
    h = signal
    for number in range(len(lengths) - 1):
        h = layers.Conv1D(_filters(number), KERNEL, strides=2, padding="same", activation="relu")(h)
    h = stacked(layers.Flatten()(h), CONV.dense, "relu")
    return keras.Model(signal, gaussian_head(h, latent_dim), name="conv1d_encoder")


def conv1d_decoder(latent_dim: int, output_shape: Sequence[int]) -> keras.Model:
    """Returns the mirror of `conv1d_encoder`.

    Args:
        latent_dim: Number of latents, at least 1.
        output_shape: (length, channels), length at least 8.

    Raises:
        ValueError: As `conv1d_encoder`.

    Example:
        >>> conv1d_decoder(6, (250, 3)).output_shape
        (None, 250, 3)
    """
    *lengths, shortest = _lengths(output_shape, latent_dim)
    z = keras.Input((latent_dim,), name="z")
    h = stacked(z, CONV.dense, "relu")
    filters = _filters(len(lengths) - 1)
    h = layers.Dense(shortest * filters, activation="relu")(h)
    h = layers.Reshape((shortest, filters))(h)
    for number in reversed(range(len(lengths))):
        last = number == 0
        h = layers.Conv1DTranspose(
            output_shape[1] if last else _filters(number - 1),
            KERNEL,
            strides=2,
            padding="same",
            activation=None if last else "relu",
            dtype="float32" if last else None,
        )(h)
        if h.shape[1] != lengths[number]:
            h = layers.Cropping1D((0, 1), dtype="float32" if last else None)(h)
    return keras.Model(z, h, name="conv1d_decoder")


def _filters(number: int) -> int:
    """Returns the filters of the encoder's convolution with the given index."""
    return CONV.filters[min(number, len(CONV.filters) - 1)]


def _lengths(shape: Sequence[int], latent_dim: int) -> list[int]:
    """Returns the length of the signal before and after each convolution."""
    check_positive(shape, latent_dim)
    if len(shape) != 2 or shape[0] < SHORTEST:
        raise ValueError(
            f"signal shape must be (length, channels) with a length of at least {SHORTEST}, got "
            f"{tuple(shape)}; dense_encoder and dense_decoder take any shape"
        )
    lengths = [shape[0], math.ceil(shape[0] / 2)]
    while lengths[-1] > SHORTEST:
        lengths.append(math.ceil(lengths[-1] / 2))
    return lengths
