"""The base of all objectives, and the KL that most of them use."""

import abc
from collections.abc import Mapping
from typing import NamedTuple, Self

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from keras_betavae._utils.checks import SetOnce, made_from_config


class Sample(NamedTuple):
    """The tensors of one training step that an objective gets.

    Attributes:
        posterior: q(z|x), batch shape (batch,), event shape (latent_dim,).
        prior: p(z), event shape (latent_dim,).
        z: A sample of the posterior, (batch, latent_dim).
        step: The training steps done before this one, an integer scalar.
        reconstruction_loss: The batch mean of -log p(x|z) in nats, without gradient.
        labels: The y of `(x, y)` batches, (batch, n_labels), for an objective that asks for
            labels; None if the batch has no labels.
    """

    posterior: tfd.Independent
    prior: tfd.Independent
    z: tf.Tensor
    step: tf.Tensor | int
    reconstruction_loss: tf.Tensor
    labels: tf.Tensor | None = None


class Cost(NamedTuple):
    """The result of an objective.

    Attributes:
        loss: The scalar that is added to the reconstruction term, in nats.
        logs: Scalars to report, by the names in `Objective.log_names`.
        state: The objective's next state, with the names of `Objective.initial_state`.
    """

    loss: tf.Tensor
    logs: Mapping[str, tf.Tensor] = {}  # A `tf.function` could not return a read-only mapping.
    state: Mapping[str, tf.Tensor] = {}


class Objective(SetOnce, abc.ABC):
    """Base of all objectives: a pure function of one training step's tensors, without weights.

    With several replicas (`tf.distribute`) the model gathers these tensors, so every objective
    gets the global batch, the same on each replica.

    A subclass implements `__call__` and `get_config` and is registered with
    `keras.saving.register_keras_serializable`. Its attributes are set once, in the constructor:
    a compiled step would not see a later change. Use a schedule for a weight that changes, and
    state for a number that depends on earlier steps: the model keeps the state in variables,
    saves it, and passes it to the next step.

    Attributes:
        n_labels: Number of labels per image; if not 0, `Sample.labels` holds the y of the
            `(x, y)` batches.
    """

    n_labels = 0

    @abc.abstractmethod
    def __call__(self, sample: Sample, state: Mapping[str, tf.Tensor]) -> Cost:
        """Returns the cost of one step; called once per step.

        Args:
            sample: The step's tensors.
            state: Float scalars, `initial_state` before the first step.
        """

    def initial_state(self) -> dict[str, float]:
        """Returns the state before the first step; empty for most objectives."""
        return {}

    @property
    def log_names(self) -> tuple[str, ...]:
        """The names of `Cost.logs`, other than those of the model's own terms."""
        return ()

    @property
    def charts(self) -> dict[str, tuple[str, ...]]:
        """Charts for TensorBoard: names of `fit`'s logs, by the chart's title."""
        return {}

    def open_latents(self, step: tf.Tensor | int, latent_dim: int) -> tf.Tensor | None:
        """Returns 1 for the latents that the model uses at a step, 0 for others, (latent_dim,).

        The posterior of a closed latent is the prior, and the decoder gets 0. None means that all
        latents are open at every step.
        """
        del step, latent_dim
        return None

    def for_data(self, n_images: int) -> Self:
        """Returns the objective for a data set of `n_images` images; most do not depend on it."""
        del n_images
        return self

    def fits_data(self, n_images: int) -> bool:
        """Returns whether the objective is right for a data set of `n_images` images."""
        del n_images
        return True

    def labels_are_sound(self, labels: tf.Tensor | None) -> tf.Tensor | bool:
        """Returns whether a batch's labels are in range; otherwise the step is rejected."""
        del labels
        return True

    def advice(self, logs: Mapping[str, float], first_step: int, last_step: int) -> str | None:
        """Returns a warning about an epoch, or None.

        Args:
            logs: The epoch's means, as `fit` reports them.
            first_step: Training steps done before the epoch.
            last_step: Training steps done after it.
        """
        del logs, first_step, last_step
        return None

    def get_config(self) -> dict:
        """Returns the constructor's arguments, JSON-serializable."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> Self:
        """Creates the objective from `get_config`'s dictionary.

        Raises:
            TypeError: If an argument is missing, unknown or of the wrong kind.
            ValueError: If it is out of range, or the dictionary is otherwise wrong.
        """
        with made_from_config(cls.__name__):
            # Schedules and nested objectives are dictionaries in it.
            return cls(**keras.saving.deserialize_keras_object(config))


class Wrapper(Objective):
    """An objective that adds to an inner objective and forwards its methods.

    Attributes:
        objective: The inner objective.
    """

    objective: Objective

    def initial_state(self) -> dict[str, float]:
        """Returns that of the inner objective."""
        return self.objective.initial_state()

    @property
    def log_names(self) -> tuple[str, ...]:
        """Those of the inner objective."""
        return self.objective.log_names

    @property
    def charts(self) -> dict[str, tuple[str, ...]]:
        """Those of the inner objective."""
        return self.objective.charts

    def open_latents(self, step: tf.Tensor | int, latent_dim: int) -> tf.Tensor | None:
        """Returns those of the inner objective."""
        return self.objective.open_latents(step, latent_dim)

    def for_data(self, n_images: int) -> Self:
        """Returns the objective with the inner one for a data set of `n_images` images."""
        fitted = keras.saving.serialize_keras_object(self.objective.for_data(n_images))
        return self.from_config({**self.get_config(), "objective": fitted})

    def fits_data(self, n_images: int) -> bool:
        """Returns whether the inner objective is right for a data set of `n_images` images."""
        return self.objective.fits_data(n_images)

    def labels_are_sound(self, labels: tf.Tensor | None) -> tf.Tensor | bool:
        """Returns whether the inner objective accepts the labels."""
        return self.objective.labels_are_sound(labels)

    def advice(self, logs: Mapping[str, float], first_step: int, last_step: int) -> str | None:
        """Returns that of the inner objective."""
        return self.objective.advice(logs, first_step, last_step)


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


def mean_kl(posterior: tfd.Independent, prior: tfd.Independent) -> tf.Tensor:
    """Returns the KL summed over latents and averaged over the batch, in nats."""
    return batch_mean(tf.reduce_sum(kl_per_latent(posterior, prior), axis=-1))


def batch_mean(values: tf.Tensor) -> tf.Tensor:
    """Returns the mean over the batch; zeros if it is empty, as on a spare replica."""
    size = tf.cast(tf.shape(values)[0], values.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(values, axis=0), size)
