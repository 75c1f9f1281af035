"""The convolutional networks.

They take images of any height and width of at least 8. Each layer halves the sides, rounding up; a
side of 4 to 6 pixels stays as it is. The layers nearest to the code are the published ones, and
layers like the first are added or dropped next to the image. A decoder has the feature maps of its
encoder: if a side was odd, the last row or column of the doubled maps is cropped, which makes the
convolution the transpose of the encoder's.
"""

import math
from collections.abc import Sequence

import keras
from keras import KerasTensor, layers

from keras_betavae.networks.architectures import (
    BROADCAST,
    BURGESS,
    CONV,
    LOCATELLO,
    PATCHES,
    Convolutional,
)
from keras_betavae.networks.dense import gaussian_head, stacked
from keras_betavae.networks.fitting import map_sizes
from keras_betavae.networks.layers import (
    Conv2DTranspose,
    Coordinates,
    DepthToSpace,
    SpatialBroadcast,
    Translations,
)


def conv_encoder(input_shape: Sequence[int], latent_dim: int) -> keras.Model:
    """Returns the encoder of Higgins et al. for chairs, faces and CelebA.

    32, 32, 64 and 64 filters of 4×4, then 256 dense units. These are the layers for 64×64, which
    is halved to 4×4. Other sizes are halved until each side has 4 to 6 pixels: layers like the
    first are added or dropped next to the image.

    Args:
        input_shape: (height, width, channels), height and width at least 8.
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
    """Returns the mirror of `conv_encoder`, with 4×4 kernels only.

    Args:
        latent_dim: Number of latents, at least 1.
        output_shape: As `input_shape` of `conv_encoder`.

    Raises:
        ValueError: As `conv_encoder`.

    References:
        Higgins et al. 2017, Table 1; Locatello et al. 2019, Table 1.

    Example:
        >>> conv_decoder(32, (178, 218, 3)).output_shape
        (None, 178, 218, 3)
    """
    return _decoder("conv_decoder", CONV, latent_dim, output_shape)


def burgess_encoder(input_shape: Sequence[int], latent_dim: int) -> keras.Model:
    """Returns the encoder of Burgess et al.: layers of 32 filters of 4×4, then 256, 256 units.

    The paper names no initializer. The kernels of ReLU layers are drawn as by He et al.: with
    Glorot's initializer, the objective `Capacity` lets a whole layer die in its first steps.

    Args:
        input_shape: As in `conv_encoder`.
        latent_dim: Number of latents, at least 1.

    Raises:
        ValueError: As `conv_encoder`.

    References:
        Burgess et al. 2017, appendix. He et al., Delving Deep into Rectifiers, ICCV 2015.

    Example:
        >>> burgess_encoder((64, 64, 1), latent_dim=10).name
        'burgess_encoder'
    """
    return _encoder("burgess_encoder", BURGESS, input_shape, latent_dim)


def burgess_decoder(latent_dim: int, output_shape: Sequence[int]) -> keras.Model:
    """Returns the mirror of `burgess_encoder`, initialized alike.

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
    """Returns the encoder of Locatello et al.: `conv_encoder` with two last kernels of 2×2.

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
    """Returns a decoder that gets the coordinates of each grid cell with the code.

    Other decoders must learn each position separately. Here the code and the coordinates are
    broadcast to a grid, 8×8 for an image of 64×64, followed by two 3×3 convolutions with 64
    filters; transposed 4×4 convolutions with 32 filters double the sides. Comparing a latent
    with a coordinate moves the object, so positions are found early and align with latents.

    Args:
        latent_dim: Number of latents, at least 1.
        output_shape: As `input_shape` of `conv_encoder`.

    Raises:
        ValueError: As `conv_encoder`.

    References:
        Watters et al., Spatial Broadcast Decoder, 2019, whose grid is the whole image; a grid of
        8×8 is much faster on a CPU (Locatello et al., Slot Attention, NeurIPS 2020).

    Example:
        >>> broadcast_decoder(10, (64, 64, 3)).output_shape
        (None, 64, 64, 3)
    """
    maps = map_sizes(output_shape, latent_dim)
    finer = maps[: max(1, len(maps) - 1)]  # The grid is that of the second coarsest feature maps.
    z = keras.Input((latent_dim,), name="z")
    h = SpatialBroadcast(finer[-1][1])(z)
    for width in BROADCAST.filters:
        h = layers.Conv2D(width, 3, padding="same", activation="relu")(h)
    h = _doubled(h, [BROADCAST.doubling] * (len(finer) - 1), finer[:0:-1])
    return keras.Model(z, _params(h, output_shape), name="broadcast_decoder")


def patch_encoder(input_shape: Sequence[int], latent_dim: int) -> keras.Model:
    """Returns an encoder of patches with their coordinates.

    32 filters on patches of 4×4, to which the coordinates are added, then 64 filters of 3×3 with
    stride 2 down to the coarsest feature maps, then 256 dense units.

    Args:
        input_shape: As in `conv_encoder`.
        latent_dim: Number of latents, at least 1.

    Raises:
        ValueError: As `conv_encoder`.

    Example:
        >>> patch_encoder((64, 64, 1), latent_dim=10).count_params()
        324660
    """
    maps = map_sizes(input_shape, latent_dim, least=2)  # A patch replaces two halvings.
    image = keras.Input(tuple(input_shape), name="image")
    first, other = PATCHES.filters
    side = PATCHES.patch
    h = layers.Conv2D(first, side, strides=side, padding="same", activation="relu")(image)
    h = Coordinates()(h)
    for sizes in maps[2:]:
        h = layers.Conv2D(other, 3, _strides(*sizes), padding="same", activation="relu")(h)
    h = stacked(layers.Flatten()(h), [PATCHES.dense], "relu")
    return keras.Model(image, gaussian_head(h, latent_dim), name="patch_encoder")


def patch_decoder(latent_dim: int, output_shape: Sequence[int]) -> keras.Model:
    """Returns a broadcast decoder that draws patches, which is faster on a CPU.

    The code and the coordinates are broadcast to the grid of `broadcast_decoder`. Dense layers of
    128 and 64 units at each cell are followed by a 3×3 convolution with 64 filters, transposed 4×4
    convolutions with 32 filters that double the sides, and a last one whose channels are the pixels
    of 2×2 patches. The first two latents are initialized as shifts of the grid
    (`layers.Translations`), so positions align with them.

    Args:
        latent_dim: Number of latents, at least 1.
        output_shape: As `input_shape` of `conv_encoder`.

    Raises:
        ValueError: As `conv_encoder`.

    References:
        As in `broadcast_decoder`; Shi et al., CVPR 2016, for the patches.

    Example:
        >>> patch_decoder(10, (64, 64, 1)).output_shape
        (None, 64, 64, 1)
    """
    maps = map_sizes(output_shape, latent_dim, least=2)
    finer = maps[: max(2, len(maps) - 1)]
    z = keras.Input((latent_dim,), name="z")
    first, *others = PATCHES.units
    h = SpatialBroadcast(finer[-1][1])(z)
    h = layers.Dense(first, activation="relu", kernel_initializer=Translations())(h)
    h = stacked(h, others, "relu")
    h = layers.Conv2D(PATCHES.mixing, 3, padding="same", activation="relu")(h)
    h = _doubled(h, [PATCHES.doubling] * (len(finer) - 2), finer[:1:-1])
    pixels = layers.Conv2DTranspose(4 * output_shape[-1], 4, strides=2, padding="same")(h)
    pixels = _cut(pixels, maps[0][1])
    params = DepthToSpace(2, dtype="float32", name="params")(pixels)
    return keras.Model(z, _cut(params, output_shape, "float32"), name="patch_decoder")


# Published as equal to those of Higgins et al.; the broadcast decoder has no encoder of its own.
locatello_decoder = conv_decoder
broadcast_encoder = conv_encoder


def _encoder(
    name: str, published: Convolutional, input_shape: Sequence[int], latent_dim: int
) -> keras.Model:
    maps = map_sizes(input_shape, latent_dim)
    image = keras.Input(tuple(input_shape), name="image")
    h = image
    for (filters, kernel), sizes in zip(published.layers_for(len(maps)), maps, strict=True):
        h = layers.Conv2D(
            filters,
            kernel,
            _strides(*sizes),
            padding="same",
            activation="relu",
            kernel_initializer=published.initializer,
        )(h)
    h = stacked(layers.Flatten()(h), published.dense, "relu", published.initializer)
    return keras.Model(image, gaussian_head(h, latent_dim), name=name)


def _decoder(
    name: str, published: Convolutional, latent_dim: int, output_shape: Sequence[int]
) -> keras.Model:
    maps = map_sizes(output_shape, latent_dim)
    *inner, last = [filters for filters, _ in published.layers_for(len(maps))]
    shape = (*maps[-1][1], last)
    z = keras.Input((latent_dim,), name="z")
    units = [*reversed(published.dense), math.prod(shape)]
    h = stacked(z, units, "relu", published.initializer)
    h = layers.Reshape(shape)(h)
    h = _doubled(h, inner[::-1], maps[:0:-1], published.initializer)
    return keras.Model(z, _params(h, output_shape), name=name)


def _strides(larger: tuple[int, int], smaller: tuple[int, int]) -> tuple[int, ...]:
    return tuple(1 if before == after else 2 for before, after in zip(larger, smaller, strict=True))


def _doubled(
    h: KerasTensor,
    filters: Sequence[int],
    maps: Sequence[tuple[tuple[int, int], tuple[int, int]]],
    initializer: str = "glorot_uniform",
) -> KerasTensor:
    """Returns feature maps that undo the halvings of `maps`, starting with the coarsest."""
    for width, (larger, smaller) in zip(filters, maps, strict=True):
        h = layers.Conv2DTranspose(
            width,
            4,
            strides=_strides(larger, smaller),
            padding="same",
            activation="relu",
            kernel_initializer=initializer,
        )(h)
        h = _cut(h, larger)
    return h


def _params(h: KerasTensor, output_shape: Sequence[int]) -> KerasTensor:
    """Returns the decoder's output, twice as large as its maps."""
    params = Conv2DTranspose(output_shape[-1], dtype="float32", name="params")(h)
    return _cut(params, output_shape, "float32")


def _cut(h: KerasTensor, shape: Sequence[int], dtype: str | None = None) -> KerasTensor:
    """Returns feature maps without a surplus last row or column."""
    bottom, right = h.shape[1] - shape[0], h.shape[2] - shape[1]
    if not bottom and not right:
        return h
    return layers.Cropping2D(((0, bottom), (0, right)), dtype=dtype)(h)
