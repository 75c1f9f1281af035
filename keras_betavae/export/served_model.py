"""A SavedModel with the methods of the exported model."""

import os
from typing import Any

import numpy as np
import tensorflow as tf

_ENDPOINTS = ("encode", "decode", "reconstruct", "sample")


class ServedModel:
    """A SavedModel from `BetaVAE.export`, with the methods that pictures and scores need.

    Attributes:
        image_shape: Shape of one image.

    Args:
        path: The SavedModel's folder.

    Raises:
        FileNotFoundError: If there is no SavedModel.
        ValueError: If it is damaged, or lacks an endpoint of `BetaVAE.export`.
    """

    def __init__(self, path: str | os.PathLike):
        path = os.fspath(path)
        if not tf.io.gfile.exists(os.path.join(path, "saved_model.pb")):
            raise FileNotFoundError(f"{path} holds no SavedModel")
        try:
            self._served = tf.saved_model.load(path)
        except Exception as error:
            # TensorFlow raises many kinds of errors on damaged files.
            raise ValueError(f"{path} is a damaged SavedModel: {error}") from error
        missing = [name for name in _ENDPOINTS if not hasattr(self._served, name)]
        if missing:
            raise ValueError(f"{path} lacks {', '.join(missing)}, which BetaVAE.export writes")
        _, inputs = self._served.signatures["encode"].structured_input_signature
        self.image_shape = tuple(inputs["x"].shape[1:])

    def encode(self, x: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the posterior's mean and log-variance, each (batch, latent_dim)."""
        codes = self._served.encode(self._scaled(x))
        return codes["mean"], codes["log_var"]

    def decode(self, z: Any) -> tf.Tensor:
        """Returns the likelihood's mean images, `(batch, *image_shape)`."""
        return self._served.decode(tf.cast(z, "float32"))

    def reconstruct(self, x: Any) -> tf.Tensor:
        """Returns the images decoded from the posterior's means, `(batch, *image_shape)`."""
        return self._served.reconstruct(self._scaled(x))

    def sample(self, n: int, seed: int | None = None) -> tf.Tensor:
        """Returns the mean images of codes drawn from the prior, `(n, *image_shape)`.

        The same seed gives the codes of `BetaVAE.sample`; None draws one.

        Raises:
            ValueError: If `n` is below 1.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        return self._served.sample(tf.cast(n, "int32"), tf.cast(seed, "int32"))

    def _scaled(self, x: Any) -> tf.Tensor:
        """Returns images in the data's own range, which the exported model takes."""
        images = np.asarray(x)
        if images.shape[1:] != self.image_shape:
            raise ValueError(
                f"images must have the shape (batch, {', '.join(map(str, self.image_shape))}), got "
                f"{images.shape}"
            )
        if images.dtype.kind not in "iu":
            return tf.constant(images, "float32")
        if images.size and not 0 <= images.min() <= images.max() <= 255:
            raise ValueError(
                f"integer images must be 8-bit pixels from 0 to 255, got {images.dtype} from "
                f"{images.min()} to {images.max()}"
            )
        return tf.constant(images / 255.0, "float32")
