"""A model's methods in the form that exporters need."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_betavae._utils.files import check_own_places, flush_to_disk, moved_into_place


def named(function: Callable, *names: str) -> Callable:
    """Returns a function whose outputs are a dict with the given names."""

    def call(*inputs: Any) -> dict[str, tf.Tensor]:
        outputs = function(*inputs)
        return dict(zip(names, outputs if len(names) > 1 else [outputs], strict=True))

    return call


class Network(keras.Model):
    """A method of a model as a network, for Keras's exporters."""

    def __init__(self, vae: keras.Model, function: Callable):
        # A half-precision policy would cast the images.
        super().__init__(name="network", dtype="float32")
        self.vae = vae
        self.function = function
        self.built = True

    def call(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the function's outputs."""
        return self.function(inputs)


def encoder_and_decoder(vae: Any) -> dict[str, tuple[Network, tf.TensorSpec]]:
    """Returns both networks, in the model's own range, and their inputs.

    Raises:
        ValueError: If they do not compute in float32.
    """
    dtypes = {layer.compute_dtype for part in (vae.encoder, vae.decoder) for layer in _layers(part)}
    if dtypes != {"float32"}:
        raise ValueError(
            "ONNX and LiteRT need networks that compute in float32, got "
            f"{', '.join(sorted(dtypes))}; make the model under the dtype policy float32 and load "
            "the weights of this one into it"
        )
    x = tf.TensorSpec((None, *vae.image_shape), "float32", name="x")
    z = tf.TensorSpec((None, vae.latent_dim), "float32", name="z")
    return {
        "encoder": (Network(vae, named(vae.encode, "mean", "log_var")), x),
        "decoder": (Network(vae, named(vae.decode, "images")), z),
    }


def _layers(network: keras.Model) -> Iterator[keras.Layer]:
    """Yields the layers of a network and of the networks in it."""
    for layer in network.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


@contextlib.contextmanager
def all_or_none(folder: Path, names: Sequence[str]) -> Iterator[dict[str, Path]]:
    """Yields temporary paths; at the end, all files are moved into the folder, or none.

    Only a process that is killed between the last two moves leaves files of two exports.
    """
    is_new = not folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    check_own_places(folder, files=names)
    try:
        with contextlib.ExitStack() as stack:
            asides = [stack.enter_context(moved_into_place(folder / name)) for name in names]
            yield dict(zip(names, asides, strict=True))
            for aside in asides:
                flush_to_disk(aside)
    except BaseException:
        if is_new and not any(folder.iterdir()):
            folder.rmdir()
        raise
