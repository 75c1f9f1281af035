"""Layers of Keras computed in another way, where that is faster; weights and values are Keras's."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_betavae")
class Conv2DTranspose(keras.layers.Conv2DTranspose):
    r"""`keras.layers.Conv2DTranspose` of kernel 4, stride 2 and "same" padding, for few filters.

    .. math::
        y_{mn} = b + \sum_{2i+u-1=m} \; \sum_{2j+v-1=n} K_{uv} \, x_{ij}, \qquad 0 \le u, v < 4

    Training on a CPU it takes one matrix product, whose 4×4 patches are then added where they
    overlap, compiled by XLA: the general convolution leaves most of the machine idle when there
    are few filters to make. The gradients, and all else, are Keras's.

    A file of weights fits this layer and Keras's alike.

    Args:
        filters: Channels of the output; one to three are worth this layer.
        kernel_size: (4, 4) and no other, as `strides` is (2, 2) and `padding` "same".
        strides: See there.
        padding: See there.
        **kwargs: As in `keras.layers.Conv2DTranspose`.

    Raises:
        ValueError: If the kernel, the stride, the padding or the format of the images is another.

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


@tf.function(jit_compile=True)
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
    """Adds patches of 4 that lie 2 apart and begin 1 before the image; 2 per patch remain."""
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
