"""Networks that standardize their input and undo it in their output."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers


def standardized(
    encoder: keras.Model, decoder: keras.Model, mean: Sequence[float], std: Sequence[float]
) -> tuple[keras.Model, keras.Model]:
    r"""Returns networks that work on standardized values in a model with the data's own units.

    .. math::
        q(z|x) = q\left(z \,\middle|\, \frac{x - \mu}{s}\right), \qquad
        m(z) = \mu + s \, \mathrm{decoder}(z)

    The mean μ and the standard deviation s of each column or channel are part of the networks, and
    so of every file and SavedModel. With `Gaussian(learned=True, units=std)`, reconstructions,
    `elbo` and `log_likelihood` are in the data's own units.

    Args:
        encoder: Encoder of standardized values.
        decoder: Decoder that returns the mean of standardized values.
        mean: μ, (columns,) or (channels,), from `ImageDataset.mean_and_std`.
        std: s, of the same shape, above 0.

    Returns:
        The encoder and the decoder.

    Raises:
        ValueError: If `mean` or `std` does not fit the last axis, or `std` is not from 1e-7 to
            1e19.

    Example:
        >>> from keras_betavae.networks import dense_decoder, dense_encoder
        >>> networks = dense_encoder((2,), 1, units=(8,)), dense_decoder(1, (2,), units=(8,))
        >>> encoder, decoder = standardized(*networks, mean=[900.0, 0.1], std=[300.0, 0.02])
        >>> decoder.output_shape
        (None, 2)
    """
    n = encoder.input_shape[-1]
    center, scale = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    if center.shape != (n,) or scale.shape != (n,):
        raise ValueError(
            f"mean and std must hold {n} values, one for each column or channel, got "
            f"{center.shape} and {scale.shape}"
        )
    if not (np.isfinite(center).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError(f"mean and std must be finite and std above 0, got {mean} and {std}")
    least, most = keras.config.epsilon(), 1e19  # Keras's bound, and that of squares in float32.
    if not (least <= scale.min() and scale.max() <= most):
        raise ValueError(
            f"std must be from {least:g} to {most:g}, got {std}; give the column another unit"
        )

    def layer(name: str, invert: bool) -> layers.Layer:
        # Under a mixed policy, 16 bits would quantize the values.
        return layers.Normalization(
            mean=center.tolist(),
            variance=(scale**2).tolist(),
            invert=invert,
            dtype="float32",
            name=name,
        )

    x, z = keras.Input(encoder.input_shape[1:], name="x"), keras.Input(decoder.input_shape[1:])
    heads = list(encoder(layer("standardize", False)(x)))
    values = layer("to_units", True)(decoder(z))
    return (
        keras.Model(x, heads, name=f"standardized_{encoder.name}"),
        keras.Model(z, values, name=f"standardized_{decoder.name}"),
    )
