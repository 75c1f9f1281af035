"""What every objective is, and the KL that most are made of."""

import abc
from typing import Self

import keras
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule
from tensorflow_probability import distributions as tfd

from keras_betavae._utils.checks import made_from_config
from keras_betavae.objectives.schedules import Weight


def kl_per_latent(posterior: tfd.Independent, prior: tfd.Independent) -> tf.Tensor:
    r"""Returns the closed-form KL of each latent of each image, in nats.

    .. math:: \mathrm{KL}\left(q(z_j|x) \,\|\, p(z_j)\right)

    Args:
        posterior: q(z|x), independent normals; batch shape (batch,), event shape
            (latent_dim,).
        prior: p(z), independent normals of the same event shape.

    Returns:
        A tensor (batch, latent_dim).

    Example:
        >>> prior = tfd.Independent(tfd.Normal([0.0, 0.0], 1.0), 1)
        >>> posterior = tfd.Independent(tfd.Normal([[1.0, 0.0]], 1.0), 1)
        >>> kl_per_latent(posterior, prior).numpy()
        array([[0.5, 0. ]], dtype=float32)
    """
    return tfd.kl_divergence(posterior.distribution, prior.distribution)


class Objective(abc.ABC):
    """Base of all objectives: a weightless, pure function of one training step's tensors.

    On several replicas (`tf.distribute`) the model gathers these tensors, so that every objective
    sees the global batch, on each replica alike, and knows nothing of replicas.

    A subclass implements `__call__` and `get_config` and is registered with
    `keras.saving.register_keras_serializable`.

    Attributes:
        n_labels: How many labels an image has; if not 0, `__call__` and `diagnostics`
            are also given `labels=`, the y of the `(x, y)` batches, (batch, n_labels).
    """

    n_labels = 0

    @abc.abstractmethod
    def __call__(
        self,
        posterior: tfd.Independent,
        prior: tfd.Independent,
        z: tf.Tensor,
        step: tf.Tensor,
    ) -> tf.Tensor:
        """Returns the scalar that is added to the reconstruction term, in nats.

        Args:
            posterior: q(z|x), batch shape (batch,), event shape (latent_dim,).
            prior: p(z), event shape (latent_dim,).
            z: A sample of the posterior, (batch, latent_dim).
            step: `optimizer.iterations`, an integer scalar.
        """

    def diagnostics(
        self,
        posterior: tfd.Independent,
        prior: tfd.Independent,
        z: tf.Tensor,
        step: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Returns named scalars to watch beside the loss (none here), from the same arguments."""
        del posterior, prior, z, step
        return {}

    def for_data(self, n_images: int) -> Self:
        """Returns the objective fitted to a data set of so many images; most need no fitting."""
        del n_images
        return self

    @property
    def charts(self) -> dict[str, tuple[str, ...]]:
        """Charts that are worth drawing: names of `fit`'s logs by the chart's title."""
        return {}

    def get_config(self) -> dict:
        """Returns the constructor's arguments, JSON-serialisable."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> Self:
        """Creates the objective from `get_config`'s dictionary.

        Raises:
            TypeError: If an argument is missing, unknown or of the wrong kind.
            ValueError: If it is out of range, or the dictionary is otherwise wrong.
        """
        with made_from_config(cls.__name__):
            # Schedules, and objectives within objectives, are dictionaries there.
            return cls(**keras.saving.deserialize_keras_object(config))

    @staticmethod
    def scheduled(step: tf.Tensor, **weights: Weight) -> dict[str, tf.Tensor]:
        """Returns those of the weights that are schedules, at a step: worth watching."""
        return {
            name: weight(step)
            for name, weight in weights.items()
            if isinstance(weight, LearningRateSchedule)
        }


def mean_kl(posterior: tfd.Independent, prior: tfd.Independent) -> tf.Tensor:
    """Returns the KL summed over latents and averaged over the batch, in nats."""
    return batch_mean(tf.reduce_sum(kl_per_latent(posterior, prior), axis=-1))


def batch_mean(values: tf.Tensor) -> tf.Tensor:
    """Returns the mean over the batch; zeros if there is none, as on a replica in excess."""
    size = tf.cast(tf.shape(values)[0], values.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(values, axis=0), size)
