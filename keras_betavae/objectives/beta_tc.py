"""β-TCVAE: three parts of the KL, each with its own weight."""

from collections.abc import Mapping
from typing import Self

import keras
import tensorflow as tf

from keras_betavae._utils import replicas as _replicas
from keras_betavae._utils.checks import whole
from keras_betavae.objectives.base import Cost, Objective, Sample
from keras_betavae.objectives.schedules import (
    Weight,
    checked_weight,
    scheduled,
    scheduled_names,
    weight_at,
)

_PARTS = ("mutual_information_loss", "total_correlation_loss", "dimension_wise_kl_loss")


@keras.saving.register_keras_serializable(package="keras_betavae")
class BetaTC(Objective):
    r"""Weighs mutual information, total correlation and dimension-wise KL (β-TCVAE).

    .. math::
        R = \alpha \, \mathbb{E}\left[\log \frac{q(z|x)}{q(z)}\right]
        + \beta \, \mathbb{E}\left[\log \frac{q(z)}{\prod_j q(z_j)}\right]
        + \gamma \, \mathbb{E}\left[\sum_j \log \frac{q(z_j)}{p(z_j)}\right]

    α = β = γ = 1 gives the KL in expectation. The aggregated posterior q(z) is estimated from the
    batch, q(z(x_i)) ≈ Σ_k w_ik q(z(x_i)|x_k), and so is each q(z_j), with N images in the data
    and B in the batch, drawn without replacement:

    - `"mss"`, stratified: w_ii = 1/N, w_ik = 1/(B−1) − 1/N for the next image of the batch
      (k = i + 1, cyclically), and 1/(B−1) for the others. Each row sums to 1 and the estimate
      of q is unbiased; the estimate of log q is too low, by Jensen's inequality.
    - `"mws"`, weighted: w_ik = 1/(N B), a lower bound.

    For a batch of one image, q(z) is taken to be q(z|x). With several replicas the estimate uses
    the global batch; each replica computes a share of the rows.

    Args:
        alpha: α, weight of the mutual information of image and code, or a schedule.
        beta: β, weight of the total correlation, or a schedule.
        gamma: γ, weight of the dimension-wise KL, or a schedule.
        n_data: N, the number of images in the data set, at least the batch size.
        sampling: `"mss"` or `"mws"`.

    Raises:
        ValueError: If a weight is negative or not finite, `n_data` is below 1 or below the batch
            size, or `sampling` is unknown.

    References:
        Chen et al., Isolating Sources of Disentanglement in Variational Autoencoders,
        NeurIPS 2018. The stratified weights are those of the paper; published code sets other
        entries.

    Example:
        >>> BetaTC(beta=6.0, n_data=737_280).sampling
        'mss'
    """

    def __init__(
        self,
        alpha: Weight = 1.0,
        beta: Weight = 4.0,
        gamma: Weight = 1.0,
        *,
        n_data: int,
        sampling: str = "mss",
    ):
        self.alpha = checked_weight("alpha", alpha)
        self.beta = checked_weight("beta", beta)
        self.gamma = checked_weight("gamma", gamma)
        self.n_data = whole("n_data", n_data)
        if sampling not in ("mss", "mws"):
            raise ValueError(f"sampling must be 'mss' or 'mws', got {sampling!r}")
        self.sampling = sampling

    def for_data(self, n_images: int) -> Self:
        """Returns the objective with `n_data` set to the number of images."""
        return self.from_config({**self.get_config(), "n_data": n_images})

    def fits_data(self, n_images: int) -> bool:
        """Returns whether `n_data` is within a factor of 2 of the number of images.

        The mutual information and the total correlation are off by up to ln(n_data / N).
        """
        return self.n_data <= 2 * n_images and n_images <= 2 * self.n_data

    @property
    def log_names(self) -> tuple[str, ...]:
        """The three parts, and the weights that are schedules."""
        return (*_PARTS, *scheduled_names(**self._weights))

    @property
    def charts(self) -> dict[str, tuple[str, ...]]:
        """The three parts of the KL."""
        return {"parts of the KL, nats": _PARTS}

    def __call__(self, sample: Sample, state: Mapping[str, tf.Tensor]) -> Cost:
        """Returns α · MI + β · TC + γ · dimension-wise KL, batch means, in nats."""
        del state
        parts = self._parts(sample)
        weights = [weight_at(weight, sample.step) for weight in self._weights.values()]
        loss = tf.add_n([weight * part for weight, part in zip(weights, parts, strict=True)])
        logs = dict(zip(_PARTS, parts, strict=True))
        return Cost(loss, {**logs, **scheduled(sample.step, **self._weights)})

    @property
    def _weights(self) -> dict[str, Weight]:
        return {"alpha": self.alpha, "beta": self.beta, "gamma": self.gamma}

    def log_weights(
        self,
        batch_size: tf.Tensor | int,
        rows: tuple[tf.Tensor | int, tf.Tensor | int] | None = None,
    ) -> tf.Tensor:
        """Returns log w, the log-weights of q(z|x_k) in q(z(x_i)).

        Args:
            batch_size: B, at most N.
            rows: The first row, and the row after the last; None for all.

        Returns:
            A tensor (rows, B), a row per code.

        Raises:
            ValueError: If the batch is larger than the data set.
        """
        known = tf.get_static_value(batch_size)
        if known is not None and known > self.n_data:
            raise ValueError(f"n_data must be at least the batch's {known}, got {self.n_data}")
        if known is None:
            tf.debugging.assert_less_equal(batch_size, self.n_data, "n_data is below the batch")
        size, n = tf.cast(batch_size, "float32"), float(self.n_data)
        code = tf.range(*(rows or (0, batch_size)))[:, tf.newaxis]
        image = tf.range(batch_size)[tf.newaxis]
        if self.sampling == "mws":
            weights = tf.fill(tf.shape(code - image), 1.0 / (n * size))
        else:
            others = 1.0 / tf.maximum(size - 1.0, 1.0)
            following = tf.cast(image == (code + 1) % batch_size, "float32")
            weights = tf.where(image == code, 1.0 / n, others - following / n)
        alone = tf.equal(batch_size, 1)
        return tf.where(alone, tf.zeros_like(weights), tf.math.log(weights))

    def _parts(self, sample: Sample) -> list[tf.Tensor]:
        posterior, prior, z = sample.posterior, sample.prior, sample.z
        n = z.shape[0] or tf.shape(z)[0]
        rows = slice(*_replicas.lot(n))
        log_weights = self.log_weights(n, (rows.start, rows.stop))
        log_q_each = posterior.distribution.log_prob(z[rows, tf.newaxis])
        log_q = tf.reduce_logsumexp(tf.reduce_sum(log_q_each, -1) + log_weights, 1)
        log_q_product = tf.reduce_sum(
            tf.reduce_logsumexp(log_q_each + log_weights[:, :, tf.newaxis], 1), -1
        )
        log_q_own, log_p = posterior.log_prob(z)[rows], prior.log_prob(z)[rows]
        parts = (log_q_own - log_q, log_q - log_q_product, log_q_product - log_p)
        sums = _replicas.total(tf.reduce_sum(tf.stack(parts), axis=-1))
        return tf.unstack(tf.math.divide_no_nan(sums, tf.cast(n, sums.dtype)))

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        names = ("alpha", "beta", "gamma", "n_data", "sampling")
        return keras.saving.serialize_keras_object({name: getattr(self, name) for name in names})
