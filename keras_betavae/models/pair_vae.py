"""Learning from pairs of images that share some factors: AdaGVAE and GroupVAE."""

import abc
import operator
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from keras_betavae.models.beta_vae import BetaVAE


class PairVAE(BetaVAE):
    """Base of models that are trained on pairs `(x, y)` of images and their partners.

    In the latents that a pair shares, both images get the same posterior. The loss is that of
    `BetaVAE` over all images of the batch.
    """

    def __init__(self, *args: Any, average: str, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if average not in ("arithmetic", "product"):
            raise ValueError(f"average must be 'arithmetic' or 'product', got {average!r}")
        if self.objective.n_labels:
            raise ValueError("objective must use no labels: the y of a batch are the partners")
        self.average = average

    _fixed = BetaVAE._fixed | {"average", "shared"}

    @abc.abstractmethod
    def shared_latents(self, first: tfd.Normal, second: tfd.Normal) -> tf.Tensor:
        """Returns which latents a pair shares, booleans (batch, latent_dim).

        Args:
            first: q(z_j|x) of the first images, batch shape (batch, latent_dim).
            second: q(z_j|x) of their partners, of the same shape.
        """

    def pair_posterior(self, x: tf.Tensor, y: tf.Tensor, training: bool = False) -> tfd.Independent:
        """Returns the posteriors of pairs, equal in the latents that they share.

        Args:
            x: Images, `(batch, *image_shape)`.
            y: Their partners, of the same shape.
            training: Passed to the encoder.

        Returns:
            Independent normals of batch shape (2 · batch,): those of x, then those of y.

        Raises:
            ValueError: If there are no partners, or the two differ in shape.
        """
        images = self._interleaved(x, y)
        pairs = self._averaged(self.posterior(images, training=training)).distribution
        mean, scale = (tf.concat([v[0::2], v[1::2]], axis=0) for v in (pairs.loc, pairs.scale))
        return tfd.Independent(tfd.Normal(mean, scale), 1)

    def _encoded(self, x, y, training) -> tuple[tf.Tensor, tfd.Independent, None]:
        """Returns the images of a batch of pairs, each followed by its partner."""
        if y is None and not training:
            return x, self.posterior(x), None
        images = self._interleaved(x, y)
        return images, self._averaged(self.posterior(images, training=training)), None

    def _averaged(self, posterior: tfd.Independent) -> tfd.Independent:
        """Returns the posteriors of interleaved pairs, equal in the latents that they share."""
        own = posterior.distribution
        means, variances = (tf.stack([v[0::2], v[1::2]]) for v in (own.mean(), own.variance()))
        scales = tf.sqrt(variances)
        shared = self.shared_latents(*(tfd.Normal(means[k], scales[k]) for k in range(2)))
        is_open = self.objective.open_latents(self.step, self.latent_dim)
        if is_open is not None:
            shared &= is_open > 0  # The product of two priors is not the prior.
        if self.average == "arithmetic":
            mean, variance = tf.reduce_mean(means, axis=0), tf.reduce_mean(variances, axis=0)
        else:
            total = tf.reduce_sum(variances, axis=0)
            mean = (means[0] * variances[1] + means[1] * variances[0]) / total
            variance = variances[0] * variances[1] / total
        parts = (means, mean), (scales, tf.sqrt(variance))
        mean, scale = (_interleave(tf.where(shared, common, each)) for each, common in parts)
        return tfd.Independent(tfd.Normal(mean, scale), 1)

    def fit(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> keras.callbacks.History:
        """Trains as `BetaVAE.fit` does, on images and their partners.

        Raises:
            ValueError: Also if there are no partners, or they differ in shape.
        """
        if hasattr(y, "shape"):
            # The compiled step may have been traced for any shape by now.
            self._input.check_array(y)
        return super().fit(x, y, *args, **kwargs)

    def _interleaved(self, x, y):
        """Returns each image followed by its partner, so a replica gets whole pairs."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} is trained on pairs: fit(x, y), y being the partners of x, "
                "or batches of FactorDataset.to_pairs"
            )
        x, y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
        if not x.shape.is_compatible_with(y.shape):
            raise ValueError(
                f"x and y must be images and their partners, of one shape, got {tuple(x.shape)} "
                f"and {tuple(y.shape)}"
            )
        tf.debugging.assert_equal(tf.shape(x)[0], tf.shape(y)[0], "x and y must pair up")
        if x.dtype != y.dtype:
            x, y = self._input.scaled(x), self._input.scaled(y)
        return _interleave(tf.stack([x, y]))

    def get_config(self) -> dict:
        """Returns the constructor's arguments, JSON-serializable."""
        return {**super().get_config(), "average": self.average}


def _interleave(pairs: tf.Tensor) -> tf.Tensor:
    """Returns (2, batch, ...) as (2 · batch, ...), with the rows of a pair adjacent."""
    return tf.reshape(tf.stack(tf.unstack(pairs), axis=1), (-1, *pairs.shape[2:]))


@keras.saving.register_keras_serializable(package="keras_betavae")
class AdaGVAE(PairVAE):
    r"""Learns from pairs that differ in a few unknown factors (Ada-GVAE).

    .. math::
        \delta_j = \mathrm{KL}\left(q(z_j|x) \,\|\, q(z_j|y)\right), \qquad
        z_j \text{ is shared if } \delta_j < \frac{\max_i \delta_i + \min_i \delta_i}{2}

    In the latents that they share, the images of a pair get the average of their posteriors; in
    the others they keep their own.

    Args:
        encoder: As in `BetaVAE`.
        decoder: As in `BetaVAE`.
        objective: As in `BetaVAE`, computed from the averaged posteriors.
        likelihood: As in `BetaVAE`.
        average: `"arithmetic"`: means and variances are averaged (Ada-GVAE); `"product"`: the
            normalized product of the two densities (Ada-ML-VAE).
        **kwargs: As in `BetaVAE`.

    Raises:
        ValueError: As `BetaVAE`; if `average` is unknown or the objective uses labels.

    References:
        Locatello et al., Weakly-Supervised Disentanglement Without Compromises, ICML
        2020.

    Example:
        >>> from keras_betavae import networks
        >>> vae = AdaGVAE(
        ...     encoder=networks.dense_encoder((8, 8, 1), latent_dim=2, units=(16,)),
        ...     decoder=networks.dense_decoder(2, (8, 8, 1), units=(16,)),
        ... )
        >>> vae.pair_posterior(tf.zeros((3, 8, 8, 1)), tf.ones((3, 8, 8, 1))).batch_shape
        TensorShape([6])
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        objective: Any = None,
        likelihood: Any = None,
        *,
        average: str = "arithmetic",
        **kwargs: Any,
    ):
        super().__init__(encoder, decoder, objective, likelihood, average=average, **kwargs)

    def shared_latents(self, first: tfd.Normal, second: tfd.Normal) -> tf.Tensor:
        """Returns which latents differ by less than the midpoint, (batch, latent_dim)."""
        distance = tfd.kl_divergence(first, second)
        highest = tf.reduce_max(distance, axis=-1, keepdims=True)
        is_open = self.objective.open_latents(self.step, self.latent_dim)
        # The posteriors of closed latents are equal in all pairs.
        opened = distance if is_open is None else tf.where(is_open > 0, distance, highest)
        lowest = tf.reduce_min(opened, axis=-1, keepdims=True)
        return distance < 0.5 * (highest + lowest)


@keras.saving.register_keras_serializable(package="keras_betavae")
class GroupVAE(PairVAE):
    r"""Learns from pairs that share known factors, encoded by given latents (ML-VAE, GVAE).

    .. math:: q(z_j|x, y) \propto q(z_j|x) \, q(z_j|y) \quad \text{for } j \text{ in } S

    The latents in S encode what the images of a pair have in common, the others what is specific
    to each image.

    Args:
        encoder: As in `BetaVAE`.
        decoder: As in `BetaVAE`.
        shared: S, the latents that a pair shares, counted from 0.
        average: `"product"`: the normalized product of the two densities (ML-VAE), whose
            variance is 1 / (1/σ₁² + 1/σ₂²); `"arithmetic"`: means and variances are averaged
            (GVAE).
        **kwargs: As in `BetaVAE`.

    Raises:
        ValueError: As `BetaVAE`; if `shared` is empty, has all latents or has unknown ones; if
            `average` is unknown or the objective uses labels.

    References:
        Bouchacourt, Tomioka & Nowozin, Multi-Level Variational Autoencoder, AAAI 2018;
        Hosoya, Group-based Learning of Disentangled Representations, IJCAI 2019.

    Example:
        >>> from keras_betavae import networks
        >>> vae = GroupVAE(
        ...     encoder=networks.dense_encoder((8, 8, 1), latent_dim=3, units=(16,)),
        ...     decoder=networks.dense_decoder(3, (8, 8, 1), units=(16,)),
        ...     shared=(0,),
        ... )
        >>> posterior = vae.pair_posterior(tf.zeros((1, 8, 8, 1)), tf.ones((1, 8, 8, 1)))
        >>> tf.equal(*posterior.mean()).numpy()[0]
        np.True_
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        shared: Sequence[int],
        *,
        average: str = "product",
        **kwargs: Any,
    ):
        super().__init__(encoder, decoder, average=average, **kwargs)
        self.shared = tuple(sorted({operator.index(latent) for latent in shared}))
        inside = all(0 <= latent < self.latent_dim for latent in self.shared)
        if not inside or not 0 < len(self.shared) < self.latent_dim:
            raise ValueError(
                f"shared must hold some of the latents 0 to {self.latent_dim - 1} and not all, "
                f"got {self.shared}"
            )

    def shared_latents(self, first: tfd.Normal, second: tfd.Normal) -> tf.Tensor:
        """Returns S for each pair, (batch, latent_dim)."""
        del second
        shared = tf.constant([latent in self.shared for latent in range(self.latent_dim)])
        return tf.broadcast_to(shared, tf.shape(first.loc))

    def get_config(self) -> dict:
        """Returns the constructor's arguments, JSON-serializable."""
        return {**super().get_config(), "shared": list(self.shared)}
