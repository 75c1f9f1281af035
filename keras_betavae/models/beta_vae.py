"""The β-VAE as a Keras model: distributions inside, tensors outside."""

import dataclasses
import math
import operator
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from keras_betavae import networks, presets
from keras_betavae._utils.checks import made_from_config
from keras_betavae._utils.replicas import Share
from keras_betavae.likelihoods import Bernoulli, Likelihood
from keras_betavae.models._training import TrainedModel
from keras_betavae.objectives import Beta, Objective, batch_mean, kl_per_latent


@keras.saving.register_keras_serializable(package="keras_betavae")
class BetaVAE(TrainedModel):
    r"""A variational autoencoder whose objective sets the price of the code.

    .. math::
        \mathcal{L} = \mathbb{E}_{q(z|x)}\left[-\log p(x|z)\right] + R

    with one sample of z per image and R given by `objective`. The reconstruction
    term and the KL are in nats, summed over pixels or latents and averaged over the
    batch.

    `fit`, `evaluate` and the methods below take images of shape
    `(batch, *image_shape)`: floats as they are, integers (uint8) divided by 255, booleans as 0
    and 1. Labels that come with the images are used only by an objective that asks for them.

    Args:
        encoder: Maps images to `[mean, log_var]`, each (batch, latent_dim).
        decoder: Maps codes (batch, latent_dim) to the likelihood's unactivated
            parameters, `(batch, *image_shape)`.
        objective: What is added to the reconstruction term; `Beta(1.0)` by default.
        likelihood: p(x|z) from the decoder's output; `Bernoulli()` by default.
        log_var_limit: The log-variances are clamped to ± this, which a healthy model
            never reaches; None for no clamp.
        seed: Seed of the codes drawn in training, evaluation and by `sample`.
        name: Name of the model.

    Raises:
        ValueError: If the encoder and the decoder fit neither each other nor the
            images, or `log_var_limit` is not above 0.

    References:
        Higgins et al., β-VAE: Learning Basic Visual Concepts with a Constrained
        Variational Framework, ICLR 2017. Kingma & Welling, Auto-Encoding Variational
        Bayes, ICLR 2014.

    Example:
        >>> from keras_betavae import networks
        >>> vae = BetaVAE(
        ...     encoder=networks.dense_encoder((8, 8, 1), latent_dim=2, units=(16,)),
        ...     decoder=networks.dense_decoder(2, (8, 8, 1), units=(16,)),
        ...     objective=Beta(4.0),
        ... )
        >>> mean, log_var = vae.encode(tf.zeros((3, 8, 8, 1)))
        >>> mean.shape
        TensorShape([3, 2])
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        objective: Objective | None = None,
        likelihood: Likelihood | None = None,
        *,
        log_var_limit: float | None = 20.0,
        seed: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.image_shape, self.latent_dim = networks.fitting_shapes(encoder, decoder)
        if log_var_limit is not None and not 0.0 < log_var_limit < math.inf:
            raise ValueError(f"log_var_limit must be above 0 or None, got {log_var_limit}")
        self.encoder = encoder
        self.decoder = decoder
        self.objective = Beta(1.0) if objective is None else objective
        self.likelihood = Bernoulli() if likelihood is None else likelihood
        for part, kind in ((self.objective, Objective), (self.likelihood, Likelihood)):
            if not isinstance(part, kind):
                raise ValueError(f"{kind.__name__.lower()} must be a {kind.__name__}, got {part!r}")
        # A plain object's variables would not be tracked.
        self._likelihood_weights = list(self.likelihood.weights)
        self.log_var_limit = log_var_limit
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        # Evaluating or sampling in between must not change how training goes on.
        self._other_seeds = keras.random.SeedGenerator(None if seed is None else seed + 1)
        self._watch(self._diagnostic_names())
        self.built = True

    @classmethod
    def from_preset(cls, preset: str, **overrides: Any) -> "BetaVAE":
        """Creates a compiled model from a paper's recipe.

        The model is of the recipe's class (`FactorVAE` for "locatello_factor"), or of the class
        that this is called on, if that is another.

        Args:
            preset: One of `presets.names()`.
            **overrides: `input_shape`, `latent_dim`, `objective`, `likelihood` and
                `optimizer` replace the recipe's; whatever else the constructor takes
                (`encoder`, `decoder`, `seed`, ...) is passed to it.

        Raises:
            ValueError: If there is no such preset.

        Example:
            >>> vae = BetaVAE.from_preset("higgins_dsprites", latent_dim=6)
            >>> vae.objective.beta, vae.latent_dim, type(vae.optimizer).__name__
            (4.0, 6, 'Adagrad')
        """
        recipe = presets.get(preset)
        replaced = {
            name: overrides.pop(name)
            for name in ("input_shape", "latent_dim", "objective", "likelihood")
            if name in overrides
        }
        recipe = dataclasses.replace(recipe, **replaced)
        optimizer = overrides.pop("optimizer", None) or recipe.optimizer()
        model = keras.saving.get_registered_object(f"keras_betavae>{recipe.model}")
        if not issubclass(model, cls):
            model, recipe = cls, dataclasses.replace(recipe, options={})
        vae = model(**{**recipe.model_arguments(), **overrides})
        vae.compile(optimizer=optimizer)
        return vae

    @property
    def prior(self) -> tfd.Independent:
        """p(z): independent standard normals of event shape (latent_dim,)."""
        zeros = tf.zeros(self.latent_dim)
        return tfd.Independent(tfd.Normal(zeros, tf.ones_like(zeros)), 1)

    def posterior(self, x: tf.Tensor, training: bool = False) -> tfd.Independent:
        """Returns q(z|x): independent normals, batch shape (batch,), event (latent_dim,)."""
        mean, log_var = self.encode(x, training=training)
        return tfd.Independent(tfd.Normal(mean, tf.exp(0.5 * log_var)), 1)

    def likelihood_of(self, z: tf.Tensor, training: bool = False) -> tfd.Independent:
        """Returns p(x|z): batch shape (batch,), event shape `image_shape`."""
        return self.likelihood(tf.cast(self.decoder(z, training=training), "float32"))

    def encode(self, x: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the posterior's mean and log-variance, each (batch, latent_dim).

        Raises:
            ValueError: If the images' shape is not `(batch, *image_shape)`.
        """
        x = tf.convert_to_tensor(x)
        self._check_shape(x.shape)
        encode = self._encode_in_graph if self._calls_graphs else self._encode
        return encode(x, training)

    def _encode(self, x, training):
        mean, log_var = self.encoder(self._scaled(x), training=training)
        mean, log_var = tf.cast(mean, "float32"), tf.cast(log_var, "float32")
        if self.log_var_limit is not None:
            log_var = tf.clip_by_value(log_var, -self.log_var_limit, self.log_var_limit)
        return mean, log_var

    def decode(self, z: tf.Tensor) -> tf.Tensor:
        """Returns the likelihood's mean images, `(batch, *image_shape)`."""
        decode = self._decode_in_graph if self._calls_graphs else self._decode
        return decode(tf.convert_to_tensor(z))

    def _decode(self, z):
        return self.likelihood_of(z).mean()

    _encode_in_graph = tf.function(_encode, reduce_retracing=True)
    _decode_in_graph = tf.function(_decode, reduce_retracing=True)

    @property
    def _calls_graphs(self) -> bool:
        """Whether `encode` and `decode` run as graphs, which is faster."""
        return tf.executing_eagerly() and not self.run_eagerly

    def reconstruct(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the images decoded from the posterior's means, `(batch, *image_shape)`."""
        return self.decode(self.encode(x)[0])

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns `reconstruct(inputs)`; the networks run in the given mode."""
        mean, _ = self.encode(inputs, training=training)
        return self.likelihood_of(mean, training=training).mean()

    def sample(self, n: int | tf.Tensor, seed: int | tf.Tensor | None = None) -> tf.Tensor:
        """Returns the mean images of `n` codes drawn from the prior, `(n, *image_shape)`.

        Args:
            n: Number of images, at least 1.
            seed: The same seed gives the same codes, here and in the SavedModel; None
                draws on from a stream of the model that training does not use.

        Raises:
            ValueError: If `n` is below 1.
        """
        if not tf.is_tensor(n) and operator.index(n) < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        return self.decode(self.prior.sample(n, seed=self._stateless_seed(seed)))

    def elbo(
        self, x: tf.Tensor, n_samples: int = 1, seed: int | tf.Tensor | None = None
    ) -> tf.Tensor:
        r"""Returns the evidence lower bound of each image (β = 1), in nats.

        .. math:: \mathbb{E}_{q(z|x)}[\log p(x|z)] - \mathrm{KL}\left(q(z|x) \,\|\, p(z)\right)

        Args:
            x: Images, `(batch, *image_shape)`.
            n_samples: Samples of z per image that the expectation is taken over.
            seed: As in `sample`.

        Returns:
            A tensor (batch,).

        Raises:
            ValueError: If `n_samples` is below 1 or, outside of a `tf.function`, images are
                outside the likelihood's support.
        """
        self._check_support(x)
        log_likelihoods, _, kl = self._sampled_bounds(x, self._seeds(seed, n_samples))
        return tf.reduce_mean(log_likelihoods, axis=0) - kl

    def log_likelihood(
        self, x: tf.Tensor, n_samples: int = 100, seed: int | tf.Tensor | None = None
    ) -> tf.Tensor:
        r"""Returns the importance-weighted bound on log p(x) of each image, in nats.

        .. math::
            \log \frac{1}{n} \sum_{i=1}^{n} \frac{p(x|z_i) \, p(z_i)}{q(z_i|x)},
            \qquad z_i \sim q(z|x)

        Its expectation is at least the ELBO, rises with n and tends to log p(x).

        Args:
            x: Images, `(batch, *image_shape)`.
            n_samples: n, at least 1.
            seed: As in `sample`.

        Returns:
            A tensor (batch,).

        Raises:
            ValueError: As `elbo`.

        References:
            Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, ICLR 2016.
        """
        self._check_support(x)
        log_likelihoods, log_ratios, _ = self._sampled_bounds(x, self._seeds(seed, n_samples))
        return tfp.math.reduce_logmeanexp(log_likelihoods + log_ratios, axis=0)

    def compute_terms(
        self, x: tf.Tensor, y: tf.Tensor | None = None, training: bool = False
    ) -> dict[str, tf.Tensor]:
        """Returns the terms of the loss on one batch; both steps run through here.

        Args:
            x: Images, `(batch, *image_shape)`.
            y: What came with the images; labels, for an objective that uses them.
            training: Passed to the networks.

        Returns:
            The scalars `loss`, `reconstruction_loss`, `kl_loss` and the objective's
            diagnostics, and `latent_kl`, the KL of each latent, (latent_dim,); all are
            batch means, in nats.
        """
        posterior = self.posterior(x, training=training)
        return self._terms(posterior, x, training, y)[0]

    def _terms(self, posterior, x, training, labels=None, parts=1) -> tuple[dict, tf.Tensor]:
        """Returns the terms of the loss, and the codes they were computed from.

        The codes' noise is drawn, and the objective paid, for the global batch: any number of
        replicas computes what one does.
        """
        step = self.optimizer.iterations if self.compiled else tf.constant(0)
        prior = self.prior
        share = Share(tf.shape(x)[0] // parts)
        whole = self._gathered(posterior, share, parts)
        z_whole = whole.sample(seed=self._next_seed(training))
        z = share.own(z_whole, parts)
        log_likelihood = self.likelihood_of(z, training=training).log_prob(self._scaled(x))
        reconstruction_loss = -batch_mean(log_likelihood)
        latent_kl = batch_mean(kl_per_latent(posterior, prior))
        arguments = {"posterior": whole, "prior": prior, "z": z_whole, "step": step}
        if self.objective.n_labels:
            given = labels is not None
            arguments["labels"] = share.gathered(tf.cast(labels, "float32")) if given else None
        terms = {
            "loss": reconstruction_loss + self.objective(**arguments),
            "reconstruction_loss": reconstruction_loss,
            "kl_loss": tf.reduce_sum(latent_kl),
            "latent_kl": latent_kl,
            **self.objective.diagnostics(**arguments),
        }
        return terms, z

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Runs one step of the optimiser; returns the running means."""
        x, y = self._unpacked(data)
        with tf.GradientTape() as tape:
            terms = self.compute_terms(x, y, training=True)
            images = self._images(x, y)
            loss = self._scaled_loss(self.optimizer, terms["loss"], images)
        self._descend(self.optimizer, tape, loss, self._own_weights, terms["loss"], images)
        return self._track(terms, images)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Evaluates one batch; returns the running means."""
        x, y = self._unpacked(data)
        terms = self.compute_terms(x, y)
        images = self._images(x, y)
        self._note_faults([terms["loss"]], images, self.optimizer.iterations + 1)
        return self._track(terms, images)

    def _images(self, x: tf.Tensor, y: tf.Tensor | None) -> tf.Tensor:
        """Returns all images of a batch."""
        del y
        return x

    def get_config(self) -> dict:
        """Returns the constructor's arguments, JSON-serialisable."""
        parts = {
            name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in ("encoder", "decoder", "objective", "likelihood")
        }
        options = {"log_var_limit": self.log_var_limit, "seed": self.seed}
        return {**super().get_config(), **parts, **options}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> "BetaVAE":
        """Creates the model from `get_config`'s dictionary.

        Raises:
            TypeError: If an argument is missing, unknown or of the wrong kind.
            ValueError: If it is out of range, or the dictionary is otherwise wrong.
        """
        with made_from_config(cls.__name__):
            return cls(**keras.saving.deserialize_keras_object(config, custom_objects))

    def _diagnostic_names(self) -> list[str]:
        z = tf.zeros((2, self.latent_dim))
        posterior = tfd.Independent(tfd.Normal(z, tf.ones_like(z)), 1)
        n_labels = self.objective.n_labels
        labels = {"labels": tf.zeros((2, n_labels))} if n_labels else {}
        return list(self.objective.diagnostics(posterior, self.prior, z, tf.constant(0), **labels))

    def _scaled(self, x: tf.Tensor) -> tf.Tensor:
        x = tf.convert_to_tensor(x)
        self._check_shape(x.shape)
        scale = 1.0 / 255.0 if x.dtype.is_integer else 1.0
        return tf.cast(x, "float32") * scale

    @tf.function(reduce_retracing=True)
    def _sampled_bounds(
        self, x: tf.Tensor, seeds: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns log p(x|z) and log p(z)/q(z|x), (n_samples, batch), and the KL, (batch,)."""
        posterior, prior, images = self.posterior(x), self.prior, self._scaled(x)

        def sampled(seed):
            z = posterior.sample(seed=seed)
            log_ratio = prior.log_prob(z) - posterior.log_prob(z)
            return self.likelihood_of(z).log_prob(images), log_ratio

        # One sample at a time: memory does not grow with their number.
        log_likelihoods, log_ratios = tf.map_fn(
            sampled, seeds, fn_output_signature=("float32", "float32")
        )
        kl = tf.reduce_sum(kl_per_latent(posterior, prior), axis=-1)
        return log_likelihoods, log_ratios, kl

    def _check_shape(self, shape: tf.TensorShape) -> None:
        if shape.rank == 0 or not shape[1:].is_compatible_with(self.image_shape):
            raise ValueError(
                f"images must have the shape (batch, {', '.join(map(str, self.image_shape))}) "
                f"that the encoder takes, got {tuple(shape)}"
            )

    @staticmethod
    def _gathered(posterior: tfd.Independent, share: Share, parts: int = 1) -> tfd.Independent:
        """Returns the posteriors of the global batch."""
        if share.is_all:
            return posterior
        normal = posterior.distribution
        moments = share.gathered(tf.concat([normal.loc, normal.scale], axis=-1), parts)
        return tfd.Independent(tfd.Normal(*tf.split(moments, 2, axis=-1)), 1)

    def _next_seed(self, training: bool) -> tf.Tensor:
        """Returns a new pair for TFP's stateless sampling, the same one on all replicas."""
        generator = self.seed_generator if training else self._other_seeds
        return tf.cast(generator.next(), "int32")

    def _stateless_seed(self, seed: int | tf.Tensor | None) -> tf.Tensor:
        """Returns the pair of a given seed, or a new one, another on each replica."""
        if seed is not None:
            return tf.stack([tf.cast(seed, "int32"), 0])
        state = self._next_seed(training=False)
        replica = tf.distribute.get_replica_context()
        if replica is None or replica.num_replicas_in_sync == 1:
            return state
        return tf.random.experimental.stateless_fold_in(state, replica.replica_id_in_sync_group)

    def _seeds(self, seed: int | tf.Tensor | None, n: int) -> tf.Tensor:
        if n < 1:
            raise ValueError(f"n_samples must be at least 1, got {n}")
        return tf.stack(tfp.random.split_seed(self._stateless_seed(seed), n))

    def _check_support(self, x: tf.Tensor) -> None:
        images, support = self._scaled(x), self.likelihood.support
        if support and tf.executing_eagerly():
            low, high = support
            if not tf.reduce_all((images >= low) & (images <= high)):
                raise ValueError(f"images must be within [{low:g}, {high:g}], or be uint8")
