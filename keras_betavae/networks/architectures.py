"""The papers' encoders and decoders, as plain functional Keras models.

An encoder maps images `(batch, *image_shape)` to `[mean, log_var]`, each
(batch, latent_dim); a decoder maps codes (batch, latent_dim) to the likelihood's
unactivated parameters `(batch, *image_shape)`.

The convolutional networks halve the image with stride 2 down to 4×4. The papers
state them for 64×64 (four layers); for other sides the layers nearest to the code
stay as published, and layers like the first are added or dropped next to the image.

- `dense`: no convolutions; encoder 1200, 1200 ReLU, decoder 1200, 1200, 1200 tanh.
- `conv`: filters 32, 32, 64, 64, all 4×4; dense 256.
- `burgess`: filters 32, 32, 32, 32, all 4×4; dense 256, 256.
- `locatello`: filters 32, 32, 64, 64, of which the last two are 2×2; dense 256. Its decoder
  is that of `conv`.
- `broadcast`: the encoder of `conv`; the decoder lays the code, with coordinates, on a grid of
  8×8, where two 3×3 convolutions have 64 filters; 4×4 ones of 32 double the side.

References:
    dense, conv: Higgins et al. 2017, Table 1. burgess: Burgess et al. 2017,
    appendix. locatello: Locatello et al., Challenging Common Assumptions in the
    Unsupervised Learning of Disentangled Representations, ICML 2019, Table 1.
    broadcast: after Watters et al., Spatial Broadcast Decoder, 2019, whose grid is the
    whole image; 8×8 as in Locatello et al., Slot Attention, NeurIPS 2020.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_betavae.networks import layers as own_layers


def dense_encoder(
    input_shape: Sequence[int], latent_dim: int, units: Sequence[int] = (1200, 1200)
) -> keras.Model:
    """Returns the fully connected encoder of Higgins et al. for 2D shapes.

    Args:
        input_shape: Shape of one image or vector, without the batch.
        latent_dim: Number of latents, at least 1.
        units: Width of each ReLU layer.

    Raises:
        ValueError: If `latent_dim` or a dimension of `input_shape` is below 1.

    Example:
        >>> [tuple(t.shape) for t in dense_encoder((64, 64, 1), latent_dim=10).outputs]
        [(None, 10), (None, 10)]
    """
    _check_positive(input_shape, latent_dim)
    image = keras.Input(tuple(input_shape), name="image")
    h = layers.Flatten()(image)
    for width in units:
        h = layers.Dense(width, activation="relu")(h)
    return keras.Model(image, _gaussian_head(h, latent_dim), name="dense_encoder")


def dense_decoder(
    latent_dim: int, output_shape: Sequence[int], units: Sequence[int] = (1200, 1200, 1200)
) -> keras.Model:
    """Returns the fully connected decoder of Higgins et al. for 2D shapes.

    Args:
        latent_dim: Number of latents, at least 1.
        output_shape: Shape of one image or vector, without the batch.
        units: Width of each tanh layer.

    Raises:
        ValueError: If `latent_dim` or a dimension of `output_shape` is below 1.

    Example:
        >>> dense_decoder(10, (64, 64, 1)).output_shape
        (None, 64, 64, 1)
    """
    _check_positive(output_shape, latent_dim)
    z = keras.Input((latent_dim,), name="z")
    h = z
    for width in units:
        h = layers.Dense(width, activation="tanh")(h)
    h = layers.Dense(math.prod(output_shape), dtype="float32")(h)
    params = layers.Reshape(tuple(output_shape), dtype="float32", name="params")(h)
    return keras.Model(z, params, name="dense_decoder")


def conv_encoder(input_shape: Sequence[int], latent_dim: int) -> keras.Model:
    """Returns the convolutional encoder of Higgins et al. for chairs, faces and CelebA.

    Args:
        input_shape: (side, side, channels), side a power of two from 32 to 256.
        latent_dim: Number of latents, at least 1.

    Raises:
        ValueError: If `input_shape` is no such square or `latent_dim` is below 1.

    Example:
        >>> conv_encoder((64, 64, 3), latent_dim=32).output_shape
        [(None, 32), (None, 32)]
    """
    filters = [32, 32, 64, 64]
    return _conv_encoder("conv_encoder", input_shape, latent_dim, filters, [4] * 4, [256])


def conv_decoder(latent_dim: int, output_shape: Sequence[int]) -> keras.Model:
    """Returns the mirror of `conv_encoder`.

    Args:
        latent_dim: Number of latents, at least 1.
        output_shape: (side, side, channels), side a power of two from 32 to 256.

    Raises:
        ValueError: If `output_shape` is no such square or `latent_dim` is below 1.

    Example:
        >>> conv_decoder(32, (128, 128, 3)).output_shape
        (None, 128, 128, 3)
    """
    return _conv_decoder("conv_decoder", latent_dim, output_shape, [32, 32, 64, 64], [256])


def burgess_encoder(input_shape: Sequence[int], latent_dim: int) -> keras.Model:
    """Returns the convolutional encoder of Burgess et al.

    Args:
        input_shape: (side, side, channels), side a power of two from 32 to 256.
        latent_dim: Number of latents, at least 1.

    Raises:
        ValueError: If `input_shape` is no such square or `latent_dim` is below 1.

    Example:
        >>> burgess_encoder((64, 64, 1), latent_dim=10).name
        'burgess_encoder'
    """
    filters = [32, 32, 32, 32]
    return _conv_encoder("burgess_encoder", input_shape, latent_dim, filters, [4] * 4, [256, 256])


def burgess_decoder(latent_dim: int, output_shape: Sequence[int]) -> keras.Model:
    """Returns the mirror of `burgess_encoder`.

    Args:
        latent_dim: Number of latents, at least 1.
        output_shape: (side, side, channels), side a power of two from 32 to 256.

    Raises:
        ValueError: If `output_shape` is no such square or `latent_dim` is below 1.

    Example:
        >>> burgess_decoder(10, (64, 64, 1)).output_shape
        (None, 64, 64, 1)
    """
    return _conv_decoder("burgess_decoder", latent_dim, output_shape, [32] * 4, [256, 256])


def locatello_encoder(input_shape: Sequence[int], latent_dim: int) -> keras.Model:
    """Returns the encoder of Locatello et al., whose last two kernels are 2×2.

    Args:
        input_shape: (side, side, channels), side a power of two from 32 to 256.
        latent_dim: Number of latents, at least 1.

    Raises:
        ValueError: If `input_shape` is no such square or `latent_dim` is below 1.

    Example:
        >>> encoder = locatello_encoder((64, 64, 1), latent_dim=10)
        >>> [layer.kernel_size[0] for layer in encoder.layers if hasattr(layer, "kernel_size")]
        [4, 4, 2, 2]
    """
    filters, kernels = [32, 32, 64, 64], [4, 4, 2, 2]
    return _conv_encoder("locatello_encoder", input_shape, latent_dim, filters, kernels, [256])


def locatello_decoder(latent_dim: int, output_shape: Sequence[int]) -> keras.Model:
    """Returns the decoder of Locatello et al., which equals `conv_decoder`.

    Args:
        latent_dim: Number of latents, at least 1.
        output_shape: (side, side, channels), side a power of two from 32 to 256.

    Raises:
        ValueError: If `output_shape` is no such square or `latent_dim` is below 1.

    Example:
        >>> locatello_decoder(10, (64, 64, 3)).output_shape
        (None, 64, 64, 3)
    """
    return _conv_decoder("locatello_decoder", latent_dim, output_shape, [32, 32, 64, 64], [256])


def broadcast_encoder(input_shape: Sequence[int], latent_dim: int) -> keras.Model:
    """Returns the encoder beside `broadcast_decoder`, which equals `conv_encoder`.

    Args:
        input_shape: (side, side, channels), side a power of two from 32 to 256.
        latent_dim: Number of latents, at least 1.

    Raises:
        ValueError: If `input_shape` is no such square or `latent_dim` is below 1.

    Example:
        >>> broadcast_encoder((64, 64, 1), latent_dim=10).name
        'broadcast_encoder'
    """
    filters = [32, 32, 64, 64]
    return _conv_encoder("broadcast_encoder", input_shape, latent_dim, filters, [4] * 4, [256])


def broadcast_decoder(latent_dim: int, output_shape: Sequence[int]) -> keras.Model:
    """Returns a decoder that knows where in the image it is.

    A decoder must otherwise learn every position by itself. Here one latent that is compared
    with a coordinate moves what is drawn, so that positions are found early and lie along
    latents.

    Args:
        latent_dim: Number of latents, at least 1.
        output_shape: (side, side, channels), side a power of two from 32 to 256.

    Raises:
        ValueError: If `output_shape` is no such square or `latent_dim` is below 1.

    References:
        Watters et al., Spatial Broadcast Decoder, 2019, whose grid is the whole image; a grid
        of 8×8 costs a CPU far less (Locatello et al., Slot Attention, NeurIPS 2020).

    Example:
        >>> broadcast_decoder(10, (64, 64, 3)).output_shape
        (None, 64, 64, 3)
    """
    n_layers = _check_square(output_shape, latent_dim)
    z = keras.Input((latent_dim,), name="z")
    h = own_layers.SpatialBroadcast(8)(z)
    for _ in range(2):
        h = layers.Conv2D(64, 3, padding="same", activation="relu")(h)
    # The grid is twice the side of the other decoders', and the last layer doubles too.
    for _ in range(n_layers - 2):
        h = layers.Conv2DTranspose(32, 4, strides=2, padding="same", activation="relu")(h)
    params = own_layers.Conv2DTranspose(output_shape[-1], dtype="float32", name="params")(h)
    return keras.Model(z, params, name="broadcast_decoder")


def discriminator(latent_dim: int, units: Sequence[int] = (1000,) * 6) -> keras.Model:
    """Returns FactorVAE's discriminator: logits of "a code" and of "a permuted code".

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
    _check_positive((2,), latent_dim)
    z = keras.Input((latent_dim,), name="z")
    h = z
    for width in units:
        h = layers.LeakyReLU(negative_slope=0.2)(layers.Dense(width)(h))
    logits = layers.Dense(2, dtype="float32", name="logits")(h)
    return keras.Model(z, logits, name="discriminator")


def fitting_shapes(encoder: keras.Model, decoder: keras.Model) -> tuple[tuple[int, ...], int]:
    """Returns (image_shape, latent_dim) that both networks agree on.

    Raises:
        ValueError: If they are no encoder and decoder of the same images and codes.
    """
    # A model that is not built has no shapes.
    outputs: Any = getattr(encoder, "output_shape", None)
    is_list = isinstance(outputs, list) and isinstance(encoder.output, (list, tuple))
    if not is_list or len(outputs) != 2 or outputs[0] != outputs[1]:
        raise ValueError(
            "encoder must return [mean, log_var] of one shape (batch, latent_dim), got the "
            f"output shape {outputs}"
        )
    latent_shape, image_shape = outputs[0][1:], encoder.input_shape[1:]
    codes, images = (getattr(decoder, f"{end}_shape", None) for end in ("input", "output"))
    if len(latent_shape) != 1 or codes is None or codes[1:] != latent_shape:
        raise ValueError(
            f"decoder must take the encoder's codes: the encoder gives (batch, "
            f"{', '.join(map(str, latent_shape))}), the decoder takes {codes}"
        )
    if images is None or images[1:] != image_shape:
        raise ValueError(
            f"decoder must return the encoder's images: the encoder takes "
            f"{encoder.input_shape}, the decoder returns {images}"
        )
    return tuple(image_shape), latent_shape[0]


def are_dense(*models: keras.Model) -> bool:
    """Returns whether the models hold dense layers, and others that only reshape."""
    kinds = (layers.InputLayer, layers.Flatten, layers.Reshape, layers.Dense)
    return all(type(layer) in kinds for model in models for layer in model.layers)


def _conv_encoder(name, input_shape, latent_dim, filters, kernels, units):
    n_layers = _check_square(input_shape, latent_dim)
    image = keras.Input(tuple(input_shape), name="image")
    h = image
    for width, kernel in zip(_fit(filters, n_layers), _fit(kernels, n_layers), strict=True):
        h = layers.Conv2D(width, kernel, strides=2, padding="same", activation="relu")(h)
    h = layers.Flatten()(h)
    for width in units:
        h = layers.Dense(width, activation="relu")(h)
    return keras.Model(image, _gaussian_head(h, latent_dim), name=name)


def _conv_decoder(name, latent_dim, output_shape, encoder_filters, units):
    n_layers = _check_square(output_shape, latent_dim)
    *inner, last = _fit(encoder_filters, n_layers)
    z = keras.Input((latent_dim,), name="z")
    h = z
    for width in [*units, 4 * 4 * last]:
        h = layers.Dense(width, activation="relu")(h)
    h = layers.Reshape((4, 4, last))(h)
    for width in reversed(inner):
        h = layers.Conv2DTranspose(width, 4, strides=2, padding="same", activation="relu")(h)
    params = own_layers.Conv2DTranspose(output_shape[-1], dtype="float32", name="params")(h)
    return keras.Model(z, params, name=name)


def _gaussian_head(h, latent_dim):
    # Under a mixed policy, outputs in 16 bits would quantise the codes and the logits.
    return [layers.Dense(latent_dim, dtype="float32", name=name)(h) for name in ("mean", "log_var")]


def _fit(published: list[int], n_layers: int) -> list[int]:
    """Keeps the end of a list stated for 64×64; repeats its first entry before it."""
    return published[:1] * (n_layers - len(published)) + published[-n_layers:]


def _check_square(shape: Sequence[int], latent_dim: int) -> int:
    """Returns the number of stride-2 layers between an image and 4×4."""
    _check_positive(shape, latent_dim)
    if len(shape) != 3 or shape[0] != shape[1] or shape[0] not in (32, 64, 128, 256):
        raise ValueError(
            "image shape must be (side, side, channels) with side 32, 64, 128 or 256, got "
            f"{tuple(shape)}; dense_encoder and dense_decoder (the preset higgins_quick) take any"
        )
    return int(math.log2(shape[0])) - 2


def _check_positive(shape: Sequence[int], latent_dim: int) -> None:
    if latent_dim < 1:
        raise ValueError(f"latent_dim must be at least 1, got {latent_dim}")
    if not shape or any(size is None or size < 1 for size in shape):
        raise ValueError(f"image shape must hold whole numbers of at least 1, got {tuple(shape)}")
