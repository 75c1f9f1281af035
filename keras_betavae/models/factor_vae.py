"""FactorVAE: a discriminator estimates the total correlation of the latents."""

from typing import Any

import keras
import tensorflow as tf

from keras_betavae import networks
from keras_betavae._utils.replicas import Share
from keras_betavae.models import _batches
from keras_betavae.models._forward import Forward, layer_losses
from keras_betavae.models.beta_vae import BetaVAE
from keras_betavae.objectives import batch_mean
from keras_betavae.objectives.schedules import (
    Weight,
    checked_weight,
    scheduled,
    scheduled_names,
    weight_at,
)


@keras.saving.register_keras_serializable(package="keras_betavae")
class FactorVAE(BetaVAE):
    r"""A VAE that penalizes the total correlation of its codes, estimated by a density ratio.

    .. math::
        \mathcal{L} = \mathbb{E}_{q(z|x)}\left[-\log p(x|z)\right] + R + \gamma \,
        \mathbb{E}_{q(z)}\left[\log \frac{D(z)}{1 - D(z)}\right]

    The discriminator D is trained at the same time to distinguish codes from codes whose latents
    are permuted over the batch independently of each other. So log D/(1 − D) approaches
    log q(z) / Π_j q(z_j). Each batch is split in two: the first half trains the VAE and provides
    the codes of D; the second half, encoded afterwards, provides the codes to permute. Use twice
    the batch size of other models. With several replicas, each halves its own images, and codes
    are permuted over all replicas. No gradient of D's loss reaches the encoder, and none of the
    VAE's loss reaches D.

    `fit` also reports `total_correlation_loss` (the estimate, in nats) and `discriminator_loss`
    (log 2 if D cannot distinguish the two).

    Args:
        encoder: As in `BetaVAE`.
        decoder: As in `BetaVAE`.
        gamma: γ, weight of the total correlation, at least 0, or a schedule.
        discriminator: Maps codes (batch, latent_dim) to the logits (batch, 2) of "a code" and
            "a permuted code"; `networks.discriminator(latent_dim)` by default.
        objective: R; `Beta(1.0)`, the KL, by default.
        **kwargs: As in `BetaVAE`.

    Raises:
        ValueError: As `BetaVAE`; if `gamma` is negative, the discriminator does not fit, or the
            objective logs a `total_correlation_loss` of its own, as `BetaTC` does.

    References:
        Kim & Mnih, Disentangling by Factorising, ICML 2018.

    Example:
        >>> vae = FactorVAE(
        ...     encoder=networks.dense_encoder((8, 8, 1), latent_dim=2, units=(16,)),
        ...     decoder=networks.dense_decoder(2, (8, 8, 1), units=(16,)),
        ...     gamma=30.0,
        ...     discriminator=networks.discriminator(2, units=(32,)),
        ... )
        >>> vae.compile(keras.optimizers.Adam(1e-4))
        >>> vae.total_correlation(tf.zeros((5, 2))).shape
        TensorShape([])
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        gamma: Weight = 10.0,
        discriminator: keras.Model | None = None,
        **kwargs: Any,
    ):
        super().__init__(encoder, decoder, **kwargs)
        self.gamma = checked_weight("gamma", gamma)
        if discriminator is None:
            discriminator = networks.discriminator(self.latent_dim)
        shapes = [getattr(discriminator, f"{end}_shape", None) for end in ("input", "output")]
        if shapes != [(None, self.latent_dim), (None, 2)]:
            raise ValueError(
                f"discriminator must map (batch, {self.latent_dim}) to (batch, 2), got {shapes}"
            )
        self.discriminator = discriminator
        self._means.add(
            "total_correlation_loss", "discriminator_loss", *scheduled_names(gamma=self.gamma)
        )

    _fixed = BetaVAE._fixed | {"gamma", "discriminator"}

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "adam",
        discriminator_optimizer: keras.optimizers.Optimizer | None = None,
        **kwargs: Any,
    ) -> None:
        """Configures training.

        Args:
            optimizer: Optimizer of the encoder and the decoder.
            discriminator_optimizer: Optimizer of the discriminator; the paper's
                `Adam(1e-4, beta_1=0.5, beta_2=0.9)` by default.
            **kwargs: As in `BetaVAE.compile`.

        Raises:
            ValueError: If the optimizer is a `MultiOptimizer`, which fails at the end of `fit` on
                the discriminator's weights.
        """
        if type(optimizer).__name__ == "MultiOptimizer":
            raise ValueError("FactorVAE takes one optimizer, got a MultiOptimizer")
        super().compile(optimizer, **kwargs)
        with self.distribute_strategy.scope():
            chosen = keras.optimizers.get(
                discriminator_optimizer or keras.optimizers.Adam(1e-4, beta_1=0.5, beta_2=0.9)
            )
            is_scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
            if is_scaled and not isinstance(chosen, keras.optimizers.LossScaleOptimizer):
                chosen = keras.optimizers.LossScaleOptimizer(chosen)
            chosen.build(self.discriminator.trainable_variables)
        self.discriminator_optimizer = chosen
        weights = self.discriminator.trainable_variables
        self._traced.keep_optimizer(self, "discriminator_optimizer", weights)

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains as `BetaVAE.fit`; an optimizer's `use_ema` holds for the discriminator too."""
        history = super().fit(*args, **kwargs)
        if history.epoch:
            weights = self.discriminator.trainable_variables
            self.discriminator_optimizer.finalize_variable_values(weights)
        return history

    def _check_optimizers(self) -> None:
        super()._check_optimizers()
        weights = self.discriminator.trainable_variables
        self._traced.check_optimizer(self, "discriminator_optimizer", weights)

    def total_correlation(self, z: tf.Tensor) -> tf.Tensor:
        """Returns the density-ratio estimate of the codes' total correlation, in nats.

        Gradients flow to the codes, not to the discriminator.

        Args:
            z: Codes, (batch, latent_dim).
        """
        weights = [tf.stop_gradient(v.value) for v in self.discriminator.trainable_variables]
        others = [tf.stop_gradient(v.value) for v in self.discriminator.non_trainable_variables]
        logits, _ = self.discriminator.stateless_call(weights, others, z)
        logits = tf.cast(logits, "float32")
        return batch_mean(logits[:, 0] - logits[:, 1])

    def discriminator_loss(
        self, z: tf.Tensor, permuted: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Returns the discriminator's cross-entropy on codes and permuted codes, in nats.

        Gradients flow to the discriminator, not to the codes.

        Args:
            z: Codes, (batch, latent_dim).
            permuted: Codes after `permute`, (batch, latent_dim).
            training: Passed to the discriminator.
        """
        losses = []
        for label, codes in enumerate((z, permuted)):
            logits = self.discriminator(tf.stop_gradient(codes), training=training)
            logits = tf.cast(logits, "float32")
            losses.append(batch_mean(-tf.nn.log_softmax(logits)[:, label]))
        return 0.5 * tf.add_n(losses)

    def permute(self, z: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns the codes with each latent permuted over the batch independently.

        Args:
            z: Codes, (batch, latent_dim).
            seed: A pair of integers for TensorFlow's stateless random functions.
        """
        order = tf.argsort(tf.random.stateless_uniform(tf.shape(z), seed), axis=0)
        return tf.transpose(tf.gather(tf.transpose(z), tf.transpose(order), batch_dims=1))

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Runs one step of both optimizers; returns the running means."""
        images, y = _batches.unpacked(data)
        n = tf.shape(images)[0]
        half = (n + 1) // 2
        # The middle image of an odd batch is in both halves, so neither is empty.
        x, x_other = images[:half], images[n - half :]
        y = None if y is None else y[:half]
        with tf.GradientTape() as tape:
            found = self._forward(x, y, training=True)
            loss = self._scaled_loss(self.optimizer, found.terms["loss"], x)
        gradients = tape.gradient(loss, self._own_weights)
        self._descend(self.optimizer, gradients, found._replace(images=images))

        permuted = self._permuted(x_other, training=True)
        with tf.GradientTape() as tape:
            discriminator_loss = self.discriminator_loss(found.z, permuted, training=True)
            loss = discriminator_loss + layer_losses(self.discriminator)
            loss = self._scaled_loss(self.discriminator_optimizer, loss, x)
        weights = self.discriminator.trainable_variables
        terms = {**found.terms, "discriminator_loss": discriminator_loss}
        watched = found._replace(images=images, terms={"loss": discriminator_loss})
        gradients = tape.gradient(loss, weights)
        self._descend(self.discriminator_optimizer, gradients, watched, weights)
        return self._track(terms, images)

    def _forward(self, x: tf.Tensor, y: tf.Tensor | None, training: bool) -> Forward:
        step = self.step
        found = super()._forward(x, y, training)
        correlation = self.total_correlation(found.z)
        terms = {
            **found.terms,
            "loss": found.terms["loss"] + weight_at(self.gamma, step) * correlation,
            "total_correlation_loss": correlation,
            **scheduled(step, gamma=self.gamma),
        }
        if not training:
            permuted = self._permuted(found.images)
            terms["discriminator_loss"] = self.discriminator_loss(found.z, permuted)
        return found._replace(terms=terms)

    def _permuted(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        share = Share(tf.shape(x)[0])
        whole = share.gathered_posterior(self.posterior(x, training=training))
        z = whole.sample(seed=self._streams.next(training))
        return share.own(self.permute(z, self._streams.next(training)))

    def _networks(self) -> tuple[keras.Model, ...]:
        return *super()._networks(), self.discriminator

    @property
    def _own_weights(self) -> list:
        others = {id(weight) for weight in self.discriminator.trainable_variables}
        return [weight for weight in self.trainable_variables if id(weight) not in others]

    def get_compile_config(self) -> dict:
        """Returns `compile`'s arguments."""
        config = super().get_compile_config()
        if not config:
            return config
        optimizer = keras.saving.serialize_keras_object(self.discriminator_optimizer)
        return {**config, "discriminator_optimizer": optimizer}

    def get_config(self) -> dict:
        """Returns the constructor's arguments, JSON-serializable."""
        own = keras.saving.serialize_keras_object(
            {"gamma": self.gamma, "discriminator": self.discriminator}
        )
        return {**super().get_config(), **own}
