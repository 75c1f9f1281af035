"""DIP-VAE: the aggregated posterior's covariance is drawn to the prior's."""

import keras
import tensorflow as tf

from keras_betavae.objectives.base import Objective, batch_mean, mean_kl
from keras_betavae.objectives.schedules import Weight, checked_weight, weight_at


@keras.saving.register_keras_serializable(package="keras_betavae")
class DIP(Objective):
    r"""Adds to the KL what the codes' covariance lacks of the identity (DIP-VAE).

    .. math::
        R = \mathbb{E}_x \, \mathrm{KL}\left(q(z|x) \,\|\, p(z)\right)
        + \lambda_\mathrm{od} \sum_{i \ne j} \mathrm{Cov}_{ij}^2
        + \lambda_\mathrm{d} \sum_i (\mathrm{Cov}_{ii} - 1)^2

    Cov is that of the batch (on several replicas, of the global batch), divided by its size: of
    the posterior's means for kind `"i"`; with the mean of its variances added on the diagonal,
    which is the covariance of z itself, for kind `"ii"`.

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
    def charts(self) -> dict[str, tuple[str, ...]]:
        """Both sums over the covariance."""
        return {"covariance": ("covariance_off_diagonal", "covariance_diagonal")}

    def __call__(self, posterior, prior, z, step):
        """Returns KL + λ_od · off-diagonal + λ_d · diagonal, in nats."""
        del z
        off_diagonal, diagonal = self._distances(posterior)
        return (
            mean_kl(posterior, prior)
            + weight_at(self.lambda_od, step) * off_diagonal
            + weight_at(self.lambda_d, step) * diagonal
        )

    def diagnostics(self, posterior, prior, z, step):
        """Returns the two sums over the covariance, and the weights that are schedules."""
        names = ("covariance_off_diagonal", "covariance_diagonal")
        return {
            **dict(zip(names, self._distances(posterior), strict=True)),
            **self.scheduled(step, lambda_od=self.lambda_od, lambda_d=self.lambda_d),
        }

    def covariance(self, posterior) -> tf.Tensor:
        """Returns Cov, (latent_dim, latent_dim).

        Args:
            posterior: q(z|x), batch shape (batch,), event shape (latent_dim,).
        """
        mean = posterior.mean()
        centred = mean - batch_mean(mean)
        covariance = batch_mean(centred[:, :, tf.newaxis] * centred[:, tf.newaxis])
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
