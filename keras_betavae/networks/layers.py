"""Layers that Keras lacks, or computes more slowly."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def _coordinates(height: int, width: int) -> np.ndarray:
    """Returns (x_j, y_i) of each cell (i, j), (height, width, 2)."""
    x, y = np.linspace(-1.0, 1.0, width), np.linspace(-1.0, 1.0, height)
    return np.stack(np.meshgrid(x, y), axis=-1)


@keras.saving.register_keras_serializable(package="keras_betavae")
class SpatialBroadcast(keras.layers.Layer):
    r"""Repeats a code at each cell of a grid, with the cell's coordinates.

    .. math::
        h_{ij} = (z, \; x_j, \; y_i), \qquad
        x_j = -1 + \frac{2j}{width - 1}, \qquad y_i = -1 + \frac{2i}{height - 1}

    Args:
        size: Height and width of the grid, each at least 2, or one number for both.
        **kwargs: As in `keras.layers.Layer`.

    Raises:
        ValueError: If `size` is not one or two numbers of at least 2.

    References:
        Watters et al., Spatial Broadcast Decoder, 2019.

    Example:
        >>> SpatialBroadcast((6, 8))(tf.ones((2, 10))).shape
        TensorShape([2, 6, 8, 12])
    """

    def __init__(self, size: int | Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        sides = (size, size) if isinstance(size, int) else tuple(size)
        if len(sides) != 2 or min(sides) < 2:
            raise ValueError(f"size must be one or two numbers of at least 2, got {size}")
        self.size = sides

    def call(self, z: tf.Tensor) -> tf.Tensor:
        """Returns (batch, height, width, latent_dim + 2) of codes (batch, latent_dim)."""
        grid = tf.constant(_coordinates(*self.size), z.dtype)
        shape = tf.shape(z)[0], *self.size
        codes = tf.broadcast_to(z[:, None, None, :], (*shape, z.shape[1]))
        return tf.concat([codes, tf.broadcast_to(grid, (*shape, 2))], axis=-1)

    def get_config(self) -> dict:
        """Returns the arguments."""
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable(package="keras_betavae")
class Translations(keras.initializers.Initializer):
    r"""Glorot's uniform initializer, with the first two latents initialized as shifts of the grid.

    For a dense layer on the output of `SpatialBroadcast`, (z, x_j, y_i):

    .. math:: W_{z_1} = W_x, \qquad W_{z_2} = W_y

    The layer then depends on x_j + z_1 and y_i + z_2. So these two latents encode the position of
    moving objects, which is otherwise encoded along any two directions. A single latent is
    initialized as the shift along x.

    Args:
        seed: Seed of the other weights.

    Example:
        >>> kernel = Translations()((12, 128))
        >>> bool(tf.reduce_all(kernel[:2] == kernel[-2:]))
        True
    """

    def __init__(self, seed: int | None = None):
        self.seed = seed
        self._others = keras.initializers.GlorotUniform(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> tf.Tensor:
        """Returns the weights, (latent_dim + 2, units)."""
        kernel = tf.convert_to_tensor(self._others(shape, dtype))
        n = min(2, shape[0] - 2)
        return tf.concat([kernel[-2 : len(kernel) - 2 + n], kernel[n:]], axis=0)

    def get_config(self) -> dict:
        """Returns the arguments."""
        return {"seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_betavae")
class Coordinates(keras.layers.Layer):
    r"""Adds the coordinates of each cell to its channels.

    .. math::
        h'_{ij} = (h_{ij}, \; x_j, \; y_i), \qquad
        x_j = -1 + \frac{2j}{width - 1}, \qquad y_i = -1 + \frac{2i}{height - 1}

    References:
        Liu et al., An Intriguing Failing of Convolutional Neural Networks and the CoordConv
        Solution, NeurIPS 2018.

    Example:
        >>> Coordinates()(tf.ones((2, 16, 16, 32))).shape
        TensorShape([2, 16, 16, 34])
    """

    def call(self, h: tf.Tensor) -> tf.Tensor:
        """Returns (batch, height, width, channels + 2)."""
        grid = tf.constant(_coordinates(*h.shape[1:3]), h.dtype)
        shape = tf.shape(h)[0], *grid.shape
        return tf.concat([h, tf.broadcast_to(grid, shape)], axis=-1)


@keras.saving.register_keras_serializable(package="keras_betavae")
class DepthToSpace(keras.layers.Layer):
    r"""Rearranges the channels of each cell into a square of pixels.

    .. math:: y_{si+u, \, sj+v, \, c} = x_{i, \, j, \, (su + v) C + c}, \qquad 0 \le u, v < s

    Args:
        size: s, the side of the square.
        **kwargs: As in `keras.layers.Layer`.

    Raises:
        ValueError: If `size` is below 1.

    References:
        Shi et al., Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
        Convolutional Neural Network, CVPR 2016.

    Example:
        >>> DepthToSpace(2)(tf.ones((2, 32, 32, 12))).shape
        TensorShape([2, 64, 64, 3])
    """

    def __init__(self, size: int, **kwargs: Any):
        super().__init__(**kwargs)
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.size = size

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Returns (batch, size · height, size · width, channels / size²)."""
        return tf.nn.depth_to_space(x, self.size)

    def get_config(self) -> dict:
        """Returns the arguments."""
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable(package="keras_betavae")
class Conv2DTranspose(keras.layers.Conv2DTranspose):
    r"""`keras.layers.Conv2DTranspose` with kernel 4, stride 2 and "same" padding, for few filters.

    .. math::
        y_{mn} = b + \sum_{2i+u-1=m} \; \sum_{2j+v-1=n} K_{uv} \, x_{ij}, \qquad 0 \le u, v < 4

    In training on a CPU, it computes one matrix product and adds the overlapping 4×4 patches,
    compiled by XLA: the general convolution is inefficient for few filters. Otherwise, and for
    gradients, it is Keras's layer. Weight files are interchangeable with Keras's layer.

    Args:
        filters: Channels of the output; the layer is faster for one to three.
        kernel_size: Only (4, 4) is supported.
        strides: Only (2, 2) is supported.
        padding: Only "same" is supported.
        **kwargs: As in `keras.layers.Conv2DTranspose`.

    Raises:
        ValueError: If the kernel, stride, padding or data format is not supported.

    Example:
        >>> Conv2DTranspose(1)(tf.ones((2, 32, 32, 8))).shape
        TensorShape([2, 64, 64, 1])
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any = (4, 4),
        strides: Any = (2, 2),
        padding: str = "same",
        **kwargs: Any,
    ):
        super().__init__(filters, kernel_size, strides=strides, padding=padding, **kwargs)
        for name, only in (
            ("kernel_size", (4, 4)),
            ("strides", (2, 2)),
            ("padding", "same"),
            ("data_format", "channels_last"),
            ("dilation_rate", (1, 1)),
            ("output_padding", None),
        ):
            if getattr(self, name) != only:
                raise ValueError(
                    f"{name} must be {only}, got {getattr(self, name)}; "
                    "keras.layers.Conv2DTranspose takes others"
                )

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the layer's output, (batch, 2 height, 2 width, filters)."""
        if training is not True or tf.config.list_logical_devices("GPU"):
            return super().call(inputs)
        y = _deconvolved(inputs, tf.convert_to_tensor(self.kernel))
        if self.use_bias:
            y = tf.nn.bias_add(y, tf.convert_to_tensor(self.bias))
        return self.activation(y)


@tf.custom_gradient
def _deconvolved(x, kernel):
    def gradient(dy):
        dx = tf.nn.conv2d(dy, kernel, 2, "SAME")
        d_kernel = tf.raw_ops.Conv2DBackpropFilter(
            input=dy,
            filter_sizes=tf.shape(kernel),
            out_backprop=x,
            strides=(1, 2, 2, 1),
            padding="SAME",
        )
        return dx, d_kernel

    return _overlap_add(x, kernel), gradient


@tf.function(jit_compile=True, autograph=False)
def _overlap_add(x, kernel):
    batch, height, width = tf.shape(x)[0], x.shape[1], x.shape[2]
    filters, channels = kernel.shape[2:]
    flat = tf.reshape(x, (-1, channels)), tf.reshape(kernel, (-1, channels))
    patches = tf.matmul(*flat, transpose_b=True)
    rows = tf.reshape(patches, (batch, height, width, 4, 4, filters))
    rows = _overlapped(rows, axis=1, patch_axis=3)
    both = _overlapped(rows, axis=3, patch_axis=4)
    return tf.reshape(both, (batch, 2 * height, 2 * width, filters))


def _overlapped(patches, axis, patch_axis):
    """Adds overlapping patches of 4 at a distance of 2, which begin 1 before the image."""
    first, second, third, fourth = tf.unstack(patches, axis=patch_axis)
    length = patches.shape[axis]

    def moved(part, before):
        paddings = [[0, 0]] * len(part.shape)
        paddings[axis] = [before, 1 - before]
        start = [0] * len(part.shape)
        start[axis] = 1 - before
        size = [-1] * len(part.shape)
        size[axis] = length
        return tf.slice(tf.pad(part, paddings), start, size)

    return tf.stack([second + moved(fourth, 1), third + moved(first, 0)], axis=axis + 1)
