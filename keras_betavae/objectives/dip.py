"""DIP-VAE: the covariance of the aggregated posterior is pulled to the identity."""

from collections.abc import Mapping

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from keras_betavae.objectives.base import Cost, Objective, Sample, batch_mean, mean_kl
from keras_betavae.objectives.schedules import (
    Weight,
    checked_weight,
    scheduled,
    scheduled_names,
    weight_at,
)

_DISTANCES = ("covariance_off_diagonal", "covariance_diagonal")


@keras.saving.register_keras_serializable(package="keras_betavae")
class DIP(Objective):
    r"""Adds the distance of the codes' covariance from the identity to the KL (DIP-VAE).

    .. math::
        R = \mathbb{E}_x \, \mathrm{KL}\left(q(z|x) \,\|\, p(z)\right)
        + \lambda_\mathrm{od} \sum_{i \ne j} \mathrm{Cov}_{ij}^2
        + \lambda_\mathrm{d} \sum_i (\mathrm{Cov}_{ii} - 1)^2

    Cov is the covariance over the (global) batch, divided by its size. For kind `"i"` it is that of
    the posterior means. Kind `"ii"` adds the mean posterior variances on the diagonal, which gives
    the covariance of z itself.

    Args:
        kind: `"i"` or `"ii"`.
        lambda_od: Weight off the diagonal, at least 0, or a schedule.
        lambda_d: Weight on the diagonal, at least 0, or a schedule.

    Raises:
        ValueError: If `kind` is unknown, or a weight is negative or not finite.

    References:
        Kumar, Sattigeri & Balakrishnan, Variational Inference of Disentangled Latent
        Concepts from Unlabeled Observations, ICLR 2018.

    Example:
        >>> DIP("ii", lambda_od=10.0, lambda_d=10.0).get_config()
        {'kind': 'ii', 'lambda_od': 10.0, 'lambda_d': 10.0}
    """

    def __init__(self, kind: str = "i", lambda_od: Weight = 10.0, lambda_d: Weight = 100.0):
        if kind not in ("i", "ii"):
            raise ValueError(f"kind must be 'i' or 'ii', got {kind!r}")
        self.kind = kind
        self.lambda_od = checked_weight("lambda_od", lambda_od)
        self.lambda_d = checked_weight("lambda_d", lambda_d)

    @property
    def log_names(self) -> tuple[str, ...]:
        """Both sums over the covariance, and the weights that are schedules."""
        return (*_DISTANCES, *scheduled_names(**self._weights))

    @property
    def charts(self) -> dict[str, tuple[str, ...]]:
        """Both sums over the covariance."""
        return {"covariance": _DISTANCES}

    def __call__(self, sample: Sample, state: Mapping[str, tf.Tensor]) -> Cost:
        """Returns KL + λ_od · off-diagonal + λ_d · diagonal, in nats."""
        del state
        distances = self._distances(sample.posterior)
        weights = [weight_at(weight, sample.step) for weight in self._weights.values()]
        weighted = [weight * part for weight, part in zip(weights, distances, strict=True)]
        logs = dict(zip(_DISTANCES, distances, strict=True))
        return Cost(
            mean_kl(sample.posterior, sample.prior) + tf.add_n(weighted),
            {**logs, **scheduled(sample.step, **self._weights)},
        )

    @property
    def _weights(self) -> dict[str, Weight]:
        return {"lambda_od": self.lambda_od, "lambda_d": self.lambda_d}

    def covariance(self, posterior: tfd.Independent) -> tf.Tensor:
        """Returns Cov, (latent_dim, latent_dim).

        Args:
            posterior: q(z|x), batch shape (batch,), event shape (latent_dim,).
        """
        mean = posterior.mean()
        centered = mean - batch_mean(mean)
        covariance = batch_mean(centered[:, :, tf.newaxis] * centered[:, tf.newaxis])
        if self.kind == "ii":
            covariance += tf.linalg.diag(batch_mean(posterior.variance()))
        return covariance

    def _distances(self, posterior):
        covariance = self.covariance(posterior)
        variances = tf.linalg.diag_part(covariance)
        off_diagonal = covariance - tf.linalg.diag(variances)
        return tf.reduce_sum(off_diagonal**2), tf.reduce_sum((variances - 1.0) ** 2)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        names = ("kind", "lambda_od", "lambda_d")
        return keras.saving.serialize_keras_object({name: getattr(self, name) for name in names})
