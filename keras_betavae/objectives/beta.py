"""β-VAE: the KL is weighted by β."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from keras_betavae._utils.checks import finite
from keras_betavae.objectives.base import Cost, Objective, Sample, mean_kl
from keras_betavae.objectives.schedules import (
    Weight,
    checked_weight,
    scheduled,
    scheduled_names,
    weight_at,
)


@keras.saving.register_keras_serializable(package="keras_betavae")
class Beta(Objective):
    r"""Weighs the KL to the prior by β (β-VAE).

    .. math:: R = \beta \, \mathbb{E}_x \, \mathrm{KL}\left(q(z|x) \,\|\, p(z)\right)

    β = 1 gives the negative evidence lower bound; a larger β favors independent latents
    over reconstruction.

    Args:
        beta: β, weight of the KL in nats, at least 0, or a schedule.

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
        r"""Creates the objective from the paper's normalized weight.

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

    @property
    def log_names(self) -> tuple[str, ...]:
        """β if it is a schedule."""
        return scheduled_names(beta=self.beta)

    def __call__(self, sample: Sample, state: Mapping[str, tf.Tensor]) -> Cost:
        """Returns β · KL, batch mean, in nats."""
        del state
        kl = mean_kl(sample.posterior, sample.prior)
        return Cost(weight_at(self.beta, sample.step) * kl, scheduled(sample.step, beta=self.beta))

    def get_config(self) -> dict:
        """Returns `{"beta": ...}`."""
        return keras.saving.serialize_keras_object({"beta": self.beta})
