"""β-VAE and its controlled-capacity successor: the KL as a whole has a price."""

import keras
import tensorflow as tf

from keras_betavae._checks import finite, whole
from keras_betavae.objectives._base import Objective, mean_kl
from keras_betavae.schedules import Linear, Weight, checked_weight, weight_at


@keras.saving.register_keras_serializable(package="keras_betavae")
class Beta(Objective):
    r"""Weighs the KL to the prior by β (β-VAE).

    .. math:: R = \beta \, \mathbb{E}_x \, \mathrm{KL}\left(q(z|x) \,\|\, p(z)\right)

    β = 1 gives the negative evidence lower bound; a larger β buys independent
    latents with reconstruction.

    Args:
        beta: Weight of the KL in nats, at least 0, or a schedule.

    Raises:
        ValueError: If `beta` is negative or not finite.

    References:
        Higgins et al., β-VAE: Learning Basic Visual Concepts with a Constrained
        Variational Framework, ICLR 2017, Eq. 4.

    Example:
        >>> Beta(4.0).get_config()
        {'beta': 4.0}
    """

    def __init__(self, beta: Weight = 1.0):
        self.beta = checked_weight("beta", beta)

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
        return cls(finite("beta_norm", beta_norm, minimum=0.0) * input_size / latent_dim)

    def __call__(self, posterior, prior, z, step):
        """Returns β · KL, batch mean, in nats."""
        del z
        return weight_at(self.beta, step) * mean_kl(posterior, prior)

    def diagnostics(self, posterior, prior, z, step):
        """Returns β if it is a schedule."""
        del posterior, prior, z
        return self.scheduled(step, beta=self.beta)

    def get_config(self) -> dict:
        """Returns `{"beta": ...}`."""
        return keras.saving.serialize_keras_object({"beta": self.beta})


@keras.saving.register_keras_serializable(package="keras_betavae")
class Capacity(Objective):
    r"""Holds the KL at a capacity that grows over training (controlled capacity).

    .. math::
        R = \gamma \, \left| \mathbb{E}_x \, \mathrm{KL}\left(q(z|x) \,\|\, p(z)\right)
        - C(t) \right|, \qquad
        C(t) = C_\mathrm{min} + (C_\mathrm{max} - C_\mathrm{min}) \min(t / T, 1)

    The KL inside the bars is the batch's mean (on several replicas, the global batch's).
    Its authors advise to choose γ such that the KL stays within 1 nat of C, and C_max
    as the KL that good reconstructions need.

    Args:
        gamma: Weight of the distance, at least 0, or a schedule.
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
        gamma: Weight = 1000.0,
        max_capacity: float = 25.0,
        n_steps: int = 100_000,
        min_capacity: float = 0.0,
    ):
        self.gamma = checked_weight("gamma", gamma)
        self.min_capacity = finite("min_capacity", min_capacity, minimum=0.0)
        self.max_capacity = finite("max_capacity", max_capacity)
        if self.max_capacity < self.min_capacity:
            raise ValueError(
                f"max_capacity must be at least min_capacity, got {max_capacity} < {min_capacity}"
            )
        self.n_steps = whole("n_steps", n_steps)

    @property
    def capacity(self) -> Linear:
        """C in nats, a function of the training step."""
        return Linear(self.min_capacity, self.max_capacity, self.n_steps)

    def __call__(self, posterior, prior, z, step):
        """Returns γ · |KL − C|, the KL being the batch mean."""
        return weight_at(self.gamma, step) * self._distance(posterior, prior, step)

    def diagnostics(self, posterior, prior, z, step):
        """Returns C as `capacity`, and the KL's distance from it as `capacity_distance`."""
        return {
            "capacity": self.capacity(step),
            "capacity_distance": self._distance(posterior, prior, step),
            **self.scheduled(step, gamma=self.gamma),
        }

    def _distance(self, posterior, prior, step):
        return tf.abs(mean_kl(posterior, prior) - self.capacity(step))

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return keras.saving.serialize_keras_object(
            {
                "gamma": self.gamma,
                "max_capacity": self.max_capacity,
                "n_steps": self.n_steps,
                "min_capacity": self.min_capacity,
            }
        )
