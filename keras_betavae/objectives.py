"""What is paid for the information in the code: the terms beside the reconstruction."""

import abc

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd


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

    A subclass implements `__call__` and `get_config` and is registered with
    `keras.saving.register_keras_serializable`.
    """

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

    def get_config(self) -> dict:
        """Returns the constructor's arguments, JSON-serialisable."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> "Objective":
        """Creates the objective from `get_config`'s dictionary."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="keras_betavae")
class Beta(Objective):
    r"""Weighs the KL to the prior by a constant β (β-VAE).

    .. math:: R = \beta \, \mathbb{E}_x \, \mathrm{KL}\left(q(z|x) \,\|\, p(z)\right)

    β = 1 gives the negative evidence lower bound; a larger β buys independent
    latents with reconstruction.

    Args:
        beta: Weight of the KL in nats, at least 0.

    Raises:
        ValueError: If `beta` is negative or not finite.

    References:
        Higgins et al., β-VAE: Learning Basic Visual Concepts with a Constrained
        Variational Framework, ICLR 2017, Eq. 4.

    Example:
        >>> Beta(4.0).get_config()
        {'beta': 4.0}
    """

    def __init__(self, beta: float = 1.0):
        self.beta = _finite("beta", beta, minimum=0.0)

    @classmethod
    def from_normalized(cls, beta_norm: float, input_size: int, latent_dim: int) -> "Beta":
        r"""Creates the objective from the papers' normalised weight.

        .. math:: \beta = \beta_\mathrm{norm} \, N / M

        Args:
            beta_norm: The weight per input value and latent, at least 0.
            input_size: N, the number of values of one image (64 · 64 · 1 for dSprites).
            latent_dim: M, the number of latents.

        Returns:
            `Beta` with the weight that multiplies a KL in nats.

        Raises:
            ValueError: If `beta_norm` is negative, or a size is below 1.

        References:
            Higgins et al. 2017, section 4.2.

        Example:
            >>> Beta.from_normalized(4 * 10 / 4096, input_size=4096, latent_dim=10).beta
            4.0
        """
        for name, size in (("input_size", input_size), ("latent_dim", latent_dim)):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        return cls(_finite("beta_norm", beta_norm, minimum=0.0) * input_size / latent_dim)

    def __call__(self, posterior, prior, z, step):
        """Returns β · KL, batch mean, in nats."""
        del z, step
        return self.beta * mean_kl(posterior, prior)

    def get_config(self) -> dict:
        """Returns `{"beta": ...}`."""
        return {"beta": self.beta}


@keras.saving.register_keras_serializable(package="keras_betavae")
class Capacity(Objective):
    r"""Holds the KL at a capacity that grows over training (controlled capacity).

    .. math::
        R = \gamma \, \left| \mathbb{E}_x \, \mathrm{KL}\left(q(z|x) \,\|\, p(z)\right)
        - C(t) \right|, \qquad
        C(t) = C_\mathrm{min} + (C_\mathrm{max} - C_\mathrm{min}) \min(t / T, 1)

    The KL inside the bars is the batch's mean (on several replicas, each one's own).
    Its authors advise to choose γ such that the KL stays within 1 nat of C, and C_max
    as the KL that good reconstructions need.

    Args:
        gamma: Weight of the distance, at least 0.
        max_capacity: C_max in nats, at least `min_capacity`.
        n_steps: T, the training steps over which C rises, at least 1.
        min_capacity: C_min in nats, at least 0.

    Raises:
        ValueError: If an argument is outside its range or not finite.

    References:
        Burgess et al., Understanding disentangling in β-VAE, NIPS 2017 workshop, Eq. 8.

    Example:
        >>> objective = Capacity(gamma=1000.0, max_capacity=25.0, n_steps=100_000)
        >>> float(objective.capacity(50_000))
        12.5
    """

    def __init__(
        self,
        gamma: float = 1000.0,
        max_capacity: float = 25.0,
        n_steps: int = 100_000,
        min_capacity: float = 0.0,
    ):
        self.gamma = _finite("gamma", gamma, minimum=0.0)
        self.min_capacity = _finite("min_capacity", min_capacity, minimum=0.0)
        self.max_capacity = _finite("max_capacity", max_capacity)
        if self.max_capacity < self.min_capacity:
            raise ValueError(
                f"max_capacity must be at least min_capacity, got {max_capacity} < {min_capacity}"
            )
        if not 1 <= n_steps < float("inf") or n_steps != int(n_steps):
            raise ValueError(f"n_steps must be a whole number of at least 1, got {n_steps}")
        self.n_steps = int(n_steps)

    def capacity(self, step: tf.Tensor | int) -> tf.Tensor:
        """Returns C at a training step, in nats."""
        progress = tf.minimum(tf.cast(step, "float32") / self.n_steps, 1.0)
        return self.min_capacity + (self.max_capacity - self.min_capacity) * progress

    def __call__(self, posterior, prior, z, step):
        """Returns γ · |KL − C|, the KL being the batch mean."""
        del z
        return self.gamma * tf.abs(mean_kl(posterior, prior) - self.capacity(step))

    def diagnostics(self, posterior, prior, z, step):
        """Returns C under the name `capacity`, in nats."""
        del posterior, prior, z
        return {"capacity": self.capacity(step)}

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "gamma": self.gamma,
            "max_capacity": self.max_capacity,
            "n_steps": self.n_steps,
            "min_capacity": self.min_capacity,
        }


def mean_kl(posterior: tfd.Independent, prior: tfd.Independent) -> tf.Tensor:
    """Returns the KL summed over latents and averaged over the batch, in nats."""
    return batch_mean(tf.reduce_sum(kl_per_latent(posterior, prior), axis=-1))


def batch_mean(values: tf.Tensor) -> tf.Tensor:
    """Returns the mean over the batch; zeros if there is none, as on a replica in excess."""
    size = tf.cast(tf.shape(values)[0], values.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(values, axis=0), size)


def _finite(name: str, value: float, minimum: float = -float("inf")) -> float:
    if not (minimum <= value < float("inf")):
        raise ValueError(f"{name} must be a finite number of at least {minimum:g}, got {value}")
    return float(value)
