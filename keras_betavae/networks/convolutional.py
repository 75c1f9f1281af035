"""The convolutional networks: an image is halved down to 4×4, and doubled again."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_betavae.networks.architectures import (
    BROADCAST,
    BURGESS,
    CONV,
    LOCATELLO,
    PATCHES,
    Convolutional,
)
from keras_betavae.networks.dense import gaussian_head, stacked
from keras_betavae.networks.fitting import COARSEST, halvings
from keras_betavae.networks.layers import (
    Conv2DTranspose,
    Coordinates,
    DepthToSpace,
    SpatialBroadcast,
    Translations,
)


def conv_encoder(input_shape: Sequence[int], latent_dim: int) -> keras.Model:
    """Returns the encoder of Higgins et al. for chairs, faces and CelebA.

    Filters 32, 32, 64, 64 of 4×4, then 256 dense units. These are the layers for 64×64; for
    other sides the layers nearest to the code stay, and layers like the first are added or
    dropped next to the image.

    Args:
        input_shape: (side, side, channels), side a power of two from 32 to 256.
        latent_dim: Number of latents, at least 1.

    Raises:
        ValueError: If the networks do not take `input_shape`, or `latent_dim` is below 1.

    References:
        Higgins et al. 2017, Table 1.

    Example:
        >>> conv_encoder((64, 64, 3), latent_dim=32).output_shape
        [(None, 32), (None, 32)]
    """
    return _encoder("conv_encoder", CONV, input_shape, latent_dim)


def conv_decoder(latent_dim: int, output_shape: Sequence[int]) -> keras.Model:
    """Returns the mirror of `conv_encoder`, whose kernels are all 4×4.

    Args:
        latent_dim: Number of latents, at least 1.
        output_shape: As `input_shape` of `conv_encoder`.

    Raises:
        ValueError: As `conv_encoder`.

    References:
        Higgins et al. 2017, Table 1; Locatello et al. 2019, Table 1.

    Example:
        >>> conv_decoder(32, (128, 128, 3)).output_shape
        (None, 128, 128, 3)
    """
    return _decoder("conv_decoder", CONV, latent_dim, output_shape)


def burgess_encoder(input_shape: Sequence[int], latent_dim: int) -> keras.Model:
    """Returns the encoder of Burgess et al.: 32 filters of 4×4 each, then 256, 256 dense units.

    Args:
        input_shape: As in `conv_encoder`.
        latent_dim: Number of latents, at least 1.

    Raises:
        ValueError: As `conv_encoder`.

    References:
        Burgess et al. 2017, appendix.

    Example:
        >>> burgess_encoder((64, 64, 1), latent_dim=10).name
        'burgess_encoder'
    """
    return _encoder("burgess_encoder", BURGESS, input_shape, latent_dim)


def burgess_decoder(latent_dim: int, output_shape: Sequence[int]) -> keras.Model:
    """Returns the mirror of `burgess_encoder`.

    Args:
        latent_dim: Number of latents, at least 1.
        output_shape: As `input_shape` of `conv_encoder`.

    Raises:
        ValueError: As `conv_encoder`.

    References:
        Burgess et al. 2017, appendix.

    Example:
        >>> burgess_decoder(10, (64, 64, 1)).output_shape
        (None, 64, 64, 1)
    """
    return _decoder("burgess_decoder", BURGESS, latent_dim, output_shape)


def locatello_encoder(input_shape: Sequence[int], latent_dim: int) -> keras.Model:
    """Returns the encoder of Locatello et al.: `conv_encoder`, but its last two kernels are 2×2.

    Args:
        input_shape: As in `conv_encoder`.
        latent_dim: Number of latents, at least 1.

    Raises:
        ValueError: As `conv_encoder`.

    References:
        Locatello et al., Challenging Common Assumptions in the Unsupervised Learning of
        Disentangled Representations, ICML 2019, Table 1.

    Example:
        >>> encoder = locatello_encoder((64, 64, 1), latent_dim=10)
        >>> [layer.kernel_size[0] for layer in encoder.layers if hasattr(layer, "kernel_size")]
        [4, 4, 2, 2]
    """
    return _encoder("locatello_encoder", LOCATELLO, input_shape, latent_dim)


def broadcast_decoder(latent_dim: int, output_shape: Sequence[int]) -> keras.Model:
    """Returns a decoder that receives the coordinates of each place with the code.

    Other decoders must learn every position separately. Here the code is laid with the
    coordinates on an 8×8 grid, where two 3×3 convolutions have 64 filters; transposed 4×4 ones of
    32 double the side. A latent that is compared with a coordinate moves what is drawn, so
    positions are found early and align with latents.

    Args:
        latent_dim: Number of latents, at least 1.
        output_shape: As `input_shape` of `conv_encoder`.

    Raises:
        ValueError: As `conv_encoder`.

    References:
        Watters et al., Spatial Broadcast Decoder, 2019, whose grid is the whole image; a grid
        of 8×8 costs a CPU far less (Locatello et al., Slot Attention, NeurIPS 2020).

    Example:
        >>> broadcast_decoder(10, (64, 64, 3)).output_shape
        (None, 64, 64, 3)
    """
    n_layers = halvings(output_shape, latent_dim)
    z = keras.Input((latent_dim,), name="z")
    h = SpatialBroadcast(BROADCAST.grid)(z)
    for width in BROADCAST.filters:
        h = layers.Conv2D(width, 3, padding="same", activation="relu")(h)
    # The grid is twice the side of the other decoders', and the last layer doubles too.
    return _doubled("broadcast_decoder", z, h, [BROADCAST.doubling] * (n_layers - 2), output_shape)


def patch_encoder(input_shape: Sequence[int], latent_dim: int) -> keras.Model:
    """Returns an encoder that begins with patches and knows where in the image they are.

    32 filters on patches of 4×4, to which the coordinates are added, then 64 of 3×3 and stride 2
    down to 4×4, then 256 dense units.

    Args:
        input_shape: As in `conv_encoder`.
        latent_dim: Number of latents, at least 1.

    Raises:
        ValueError: As `conv_encoder`.

    Example:
        >>> patch_encoder((64, 64, 1), latent_dim=10).count_params()
        324660
    """
    n_layers = halvings(input_shape, latent_dim)
    image = keras.Input(tuple(input_shape), name="image")
    first, other = PATCHES.filters
    side = PATCHES.patch
    h = layers.Conv2D(first, side, strides=side, padding="same", activation="relu")(image)
    h = Coordinates()(h)
    for _ in range(n_layers - 2):  # A patch halves twice.
        h = layers.Conv2D(other, 3, strides=2, padding="same", activation="relu")(h)
    h = stacked(layers.Flatten()(h), [PATCHES.dense], "relu")
    return keras.Model(image, gaussian_head(h, latent_dim), name="patch_encoder")


def patch_decoder(latent_dim: int, output_shape: Sequence[int]) -> keras.Model:
    """Returns a broadcast decoder that draws patches, which is cheaper on a CPU.

    The code is laid with the coordinates on an 8×8 grid. At each place dense layers of 128 and 64
    units see them; then come a 3×3 convolution of 64 filters, transposed 4×4 ones of 32 that double
    the side, and a last one whose channels are the pixels of 2×2 patches. The first two latents
    begin as shifts of the grid (`layers.Translations`), so that positions are found along them.

    Args:
        latent_dim: Number of latents, at least 1.
        output_shape: As `input_shape` of `conv_encoder`.

    Raises:
        ValueError: As `conv_encoder`.

    References:
        As `broadcast_decoder`; Shi et al., CVPR 2016, for the patches.

    Example:
        >>> patch_decoder(10, (64, 64, 1)).output_shape
        (None, 64, 64, 1)
    """
    n_layers = halvings(output_shape, latent_dim)
    z = keras.Input((latent_dim,), name="z")
    first, *others = PATCHES.units
    h = SpatialBroadcast(PATCHES.grid)(z)
    h = layers.Dense(first, activation="relu", kernel_initializer=Translations())(h)
    h = stacked(h, others, "relu")
    h = layers.Conv2D(PATCHES.mixing, 3, padding="same", activation="relu")(h)
    # The grid is 8×8, and the last two layers double.
    h = _doublings(h, [PATCHES.doubling] * (n_layers - 3))
    pixels = layers.Conv2DTranspose(4 * output_shape[-1], 4, strides=2, padding="same")(h)
    params = DepthToSpace(2, dtype="float32", name="params")(pixels)
    return keras.Model(z, params, name="patch_decoder")


# Published as equal to those of Higgins et al.; the broadcast decoder has no encoder of its own.
locatello_decoder = conv_decoder
broadcast_encoder = conv_encoder


def _encoder(
    name: str, published: Convolutional, input_shape: Sequence[int], latent_dim: int
) -> keras.Model:
    n_layers = halvings(input_shape, latent_dim)
    image = keras.Input(tuple(input_shape), name="image")
    h = image
    for filters, kernel in published.layers_for(n_layers):
        h = layers.Conv2D(filters, kernel, strides=2, padding="same", activation="relu")(h)
    h = stacked(layers.Flatten()(h), published.dense, "relu")
    return keras.Model(image, gaussian_head(h, latent_dim), name=name)


def _decoder(
    name: str, published: Convolutional, latent_dim: int, output_shape: Sequence[int]
) -> keras.Model:
    *inner, last = [
        filters for filters, _ in published.layers_for(halvings(output_shape, latent_dim))
    ]
    z = keras.Input((latent_dim,), name="z")
    h = stacked(z, [*reversed(published.dense), COARSEST * COARSEST * last], "relu")
    h = layers.Reshape((COARSEST, COARSEST, last))(h)
    return _doubled(name, z, h, inner[::-1], output_shape)


def _doubled(
    name: str,
    z: keras.KerasTensor,
    h: keras.KerasTensor,
    filters: Sequence[int],
    output_shape: Sequence[int],
) -> keras.Model:
    """Returns the decoder whose side is doubled by each of `filters` and by the last layer."""
    h = _doublings(h, filters)
    params = Conv2DTranspose(output_shape[-1], dtype="float32", name="params")(h)
    return keras.Model(z, params, name=name)


def _doublings(h: keras.KerasTensor, filters: Sequence[int]) -> keras.KerasTensor:
    for width in filters:
        h = layers.Conv2DTranspose(width, 4, strides=2, padding="same", activation="relu")(h)
    return h
