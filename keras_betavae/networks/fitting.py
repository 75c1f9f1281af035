"""Shapes of networks, and checks that an encoder and a decoder fit each other."""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

SMALLEST = 8
"""The smallest side of the convolutional networks' images."""
COARSEST = 6
"""The largest side of the coarsest feature maps."""


def map_sizes(
    shape: Sequence[int], latent_dim: int, least: int = 1
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Returns the sizes of the feature maps, from the image to the coarsest.

    Each side is halved, rounding up, until 4 to 6 pixels are left. A side of that length stays
    as it is while the other is halved further.

    Args:
        shape: (height, width, channels).
        latent_dim: Number of latents, which is also checked.
        least: Minimum number of halvings of each side.

    Returns:
        The (height, width) before and after each halving.

    Raises:
        ValueError: If the convolutional networks do not support the shape, or `latent_dim` is
            below 1.

    Example:
        >>> map_sizes((28, 44, 1), latent_dim=10)
        [((28, 44), (14, 22)), ((14, 22), (7, 11)), ((7, 11), (4, 6))]
    """
    check_positive(shape, latent_dim)
    if len(shape) != 3 or min(shape[:2]) < SMALLEST:
        raise ValueError(
            f"image shape must be (height, width, channels) with sides of at least {SMALLEST}, got "
            f"{tuple(shape)}; dense_encoder and dense_decoder (the preset higgins_quick) take any"
        )
    sizes = [(int(shape[0]), int(shape[1]))]
    while max(sizes[-1]) > COARSEST or len(sizes) <= least:
        height, width = (
            -(-side // 2) if side > COARSEST or len(sizes) <= least else side for side in sizes[-1]
        )
        sizes.append((height, width))
    return list(itertools.pairwise(sizes))


def check_positive(shape: Sequence[int], latent_dim: int) -> None:
    """Checks that the numbers of pixels and latents are positive.

    Raises:
        ValueError: If `latent_dim` or a dimension is below 1.
    """
    if latent_dim < 1:
        raise ValueError(f"latent_dim must be at least 1, got {latent_dim}")
    if not shape or any(size is None or size < 1 for size in shape):
        raise ValueError(f"image shape must hold whole numbers of at least 1, got {tuple(shape)}")


def fitting_shapes(encoder: keras.Model, decoder: keras.Model) -> tuple[tuple[int, ...], int]:
    """Returns (image_shape, latent_dim) of both networks.

    Raises:
        ValueError: If they are not an encoder and a decoder of the same images and codes.
    """
    for name, network in (("encoder", encoder), ("decoder", decoder)):
        # Keras does not know the shapes of a subclassed model, or of a model that is not built.
        if getattr(network, "output_shape", None) is None:
            raise ValueError(
                f"{name} must be a functional model, got a {type(network).__name__}, whose shapes "
                "are not known; make one of it: x = keras.Input(shape); "
                f"keras.Model(x, {name}(x))"
            )
    outputs: Any = getattr(encoder, "output_shape", None)
    is_list = isinstance(outputs, list) and isinstance(encoder.output, (list, tuple))
    if not is_list or len(outputs) != 2 or outputs[0] != outputs[1]:
        kind = "" if is_list or len(outputs) != 2 else f" of a {type(encoder.output).__name__}"
        raise ValueError(
            "encoder must return [mean, log_var] of one shape (batch, latent_dim), got the "
            f"output shape {outputs}{kind}"
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
    """Returns whether the models have only dense layers and layers that reshape or rescale."""
    kinds = (
        layers.InputLayer,
        layers.Flatten,
        layers.Reshape,
        layers.Dense,
        layers.Normalization,
    )
    return all(
        are_dense(layer) if isinstance(layer, keras.Model) else type(layer) in kinds
        for model in models
        for layer in model.layers
    )


def last_activation(network: keras.Model) -> str | None:
    """Returns the name of a network's last activation, or None if it is not known.

    Layers that only reshape or crop are skipped.
    """
    tensor: Any = getattr(network, "output", None)
    while isinstance(tensor, keras.KerasTensor):
        operation: Any = tensor._keras_history.operation
        if isinstance(operation, keras.Model):
            return last_activation(operation)
        activation = getattr(operation, "activation", operation)
        if not isinstance(operation, _RESHAPING):
            return getattr(activation, "__name__", type(activation).__name__).lower()
        tensor = operation.input
    return None


_RESHAPING = layers.Reshape, layers.Flatten, layers.Permute, layers.Cropping2D, layers.Cropping1D
