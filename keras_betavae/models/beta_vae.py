"""The β-VAE as a Keras model: distributions inside, tensors outside."""

import operator
import os
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from keras_betavae import export, networks, presets
from keras_betavae._utils.checks import made_from_config, whole
from keras_betavae._utils.replicas import Share, reducible
from keras_betavae.likelihoods import Bernoulli, Likelihood
from keras_betavae.models import _batches, _saving
from keras_betavae.models._bounds import sampled_bounds
from keras_betavae.models._changes import Traced, check_overrides
from keras_betavae.models._descent import Compilation, descend
from keras_betavae.models._faults import FaultWatch
from keras_betavae.models._fitting import check_parts, fitted_to_data
from keras_betavae.models._forward import Forward, clipped, cost_of, layer_losses, log_likelihood_of
from keras_betavae.models._graphs import Graphs
from keras_betavae.models._images import ImageInput
from keras_betavae.models._means import RunningMeans
from keras_betavae.models._statistics import moving_statistics, restore_statistics
from keras_betavae.models._streams import RandomStreams
from keras_betavae.objectives import Beta, Objective, Sample, batch_mean, kl_per_latent


@keras.saving.register_keras_serializable(package="keras_betavae")
class BetaVAE(keras.Model):
    r"""A variational autoencoder with an exchangeable regularizer, such as β · KL (β-VAE).

    .. math::
        \mathcal{L} = \mathbb{E}_{q(z|x)}\left[-\log p(x|z)\right] + R

    with one sample of z per image and R given by `objective`. The reconstruction term and the KL
    are in nats, summed over pixels or latents and averaged over the batch. The losses of layers
    (regularizers, `add_loss`) are added to it.

    `fit`, `evaluate` and the methods below take images of shape `(batch, *image_shape)`: floats are
    not rescaled, integers (uint8) are divided by 255, and booleans become 0 and 1. Labels are used
    only by an objective that asks for them.

    The model counts its training steps (`step`) for schedules, and keeps the objective's state
    (`objective_state`). Both are saved with the weights, are the same on every replica, and are
    kept when the model is compiled with another optimizer. `compute_terms(..., training=True)`
    updates both, as `fit` does, in your own training loop.

    The networks, the objective and the likelihood cannot be replaced, because a compiled step
    would not see the change. Make a new model instead. Layers may be frozen between two trainings;
    unfreezing them, or giving them other weights, needs `compile`.

    Args:
        encoder: Maps images to `[mean, log_var]`, each (batch, latent_dim).
        decoder: Maps codes (batch, latent_dim) to the likelihood's unactivated
            parameters, `(batch, *image_shape)`.
        objective: The regularizer R; `Beta(1.0)` by default.
        likelihood: Makes p(x|z) from the decoder's output; `Bernoulli()` by default.
        log_var_limit: Log-variances are clipped to ± this value, which normal training never
            reaches; None for no clipping.
        seed: Seed of the codes drawn in training, evaluation and by `sample`.
        name: Name of the model.

    Raises:
        ValueError: If the parts do not fit each other (such as `Bernoulli` and a decoder that ends
            in a sigmoid), or `log_var_limit` is not above 0.

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
        self.autocast = False  # Keras would round images to 16 bits before they are scaled.
        self.image_shape, self.latent_dim = networks.fitting_shapes(encoder, decoder)
        self.encoder = encoder
        self.decoder = decoder
        self.objective = Beta(1.0) if objective is None else objective
        self.likelihood = Bernoulli() if likelihood is None else likelihood
        self.log_var_limit = log_var_limit
        check_parts(self)
        # Keras does not track the variables of a plain object.
        self._likelihood_weights = list(self.likelihood.weights)
        self.seed = None if seed is None else operator.index(seed)
        self._streams = RandomStreams(self.seed)
        # Keras tracks attributes of the model.
        self.seed_generator, self._other_seeds = self._streams.generators
        self.step_counter = self._own_weight("step", 0, "int64")
        self._state = {
            name: self._own_weight(name, value, "float32")
            for name, value in self.objective.initial_state().items()
        }
        self._means = RunningMeans(self.latent_dim)
        self._means.add("loss", "reconstruction_loss", "kl_loss", *self.objective.log_names)
        self._input = ImageInput(self.image_shape, self.likelihood)
        self._faults = FaultWatch(self._input)
        self._graphs = Graphs()
        self._traced = Traced()
        self._compilation = Compilation(whole_step=False, descent=False)
        self.train_function: Callable | None = None
        self.test_function: Callable | None = None
        self.built = True

    _fixed = frozenset(
        {"encoder", "decoder", "objective", "likelihood", "log_var_limit", "seed", "image_shape"}
        | {"latent_dim", "seed_generator", "step_counter"}
    )

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        check_overrides(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._fixed and name in self.__dict__:
            raise AttributeError(
                f"{name} of a {type(self).__name__} cannot be changed: a compiled step would not "
                "see it, and the old one's weights would stay; make a new model with it"
            )
        super().__setattr__(name, value)

    def _own_weight(self, name: str, value: float, dtype: str) -> keras.Variable:
        initializer = keras.initializers.Constant(value)
        return self.add_weight(
            shape=(), initializer=initializer, dtype=dtype, trainable=False, name=name
        )

    @classmethod
    def from_preset(
        cls, preset: str, data: Any = None, *, verbose: bool = True, **overrides: Any
    ) -> "BetaVAE":
        """Creates a compiled model from a preset.

        The model has the preset's class (`FactorVAE` for "locatello_factor"), unless the method
        is called on another derived class.

        Args:
            preset: One of `presets.names()`.
            data: A data set to whose shape and size the preset is adapted.
            verbose: Whether to print one line with the changes for `data`.
            **overrides: `input_shape`, `latent_dim`, `objective`, `likelihood` and `optimizer`
                replace the preset's; `steps`, if training takes other than the preset's, stretches
                its schedule of the learning rate; `standardization=data.mean_and_std()` is passed
                to `networks.standardized` and `Gaussian`; all others to the constructor.

        Raises:
            ValueError: If the preset is unknown, or has no `Gaussian` to standardize.

        Example:
            >>> vae = BetaVAE.from_preset("higgins_dsprites", latent_dim=6)
            >>> vae.objective.beta, vae.latent_dim, type(vae.optimizer).__name__
            (4.0, 6, 'Adagrad')
        """
        overrides = fitted_to_data(preset, data, overrides, verbose)
        kind, arguments, optimizer = presets.model_of(preset, cls, overrides)
        vae = kind(**arguments)
        vae.compile(optimizer=optimizer)
        return vae

    @property
    def step(self) -> tf.Tensor:
        """The number of training steps done, an int64 scalar."""
        return tf.convert_to_tensor(self.step_counter)

    @property
    def objective_state(self) -> dict[str, tf.Tensor]:
        """The objective's state, scalars by name."""
        return {name: tf.convert_to_tensor(variable) for name, variable in self._state.items()}

    @property
    def latent_kl(self) -> tf.Tensor:
        """The running mean of each latent's KL over the epoch, in nats, (latent_dim,)."""
        return self._means.latent_kl.result()

    @property
    def n_images_seen(self) -> int:
        """The number of images in the epoch so far."""
        return int(tf.convert_to_tensor(self._means.latent_kl.count))

    @property
    def prior(self) -> tfd.Independent:
        """p(z): independent standard normals of event shape (latent_dim,)."""
        zeros = tf.zeros(self.latent_dim)
        return tfd.Independent(tfd.Normal(zeros, tf.ones_like(zeros)), 1)

    def posterior(self, x: tf.Tensor, training: bool = False) -> tfd.Independent:
        """Returns q(z|x): independent normals, batch shape (batch,), event (latent_dim,)."""
        x = tf.convert_to_tensor(x)
        self._input.check(x)
        mean, log_var = self._encode(x, training)
        return tfd.Independent(tfd.Normal(mean, tf.exp(0.5 * log_var)), 1)

    def likelihood_of(self, z: tf.Tensor, training: bool = False) -> tfd.Independent:
        """Returns p(x|z): batch shape (batch,), event shape `image_shape`."""
        parameters = self.decoder(self._opened(z), training=training)
        return self.likelihood(tf.cast(parameters, "float32"))

    def encode(self, x: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the posterior's mean and log-variance, each (batch, latent_dim).

        Raises:
            ValueError: If the images' shape is not `(batch, *image_shape)` or, outside of a
                `tf.function`, integers are not from 0 to 255.
        """
        x = tf.convert_to_tensor(x)
        self._input.check(x)
        return self._fast(self._encode)(x, training)

    def _encode(self, x, training):
        mean, log_var = self.encoder(self.scaled(x), training=training)
        mean, log_var = tf.cast(mean, "float32"), tf.cast(log_var, "float32")
        if self.log_var_limit is not None:
            log_var = clipped(log_var, self.log_var_limit)
        return self._opened(mean), self._opened(log_var)

    def _opened(self, values: tf.Tensor) -> tf.Tensor:
        """Returns values (batch, latent_dim), with 0 for closed latents."""
        # The variable is read, and so exported, only for an objective that closes latents.
        is_open = self.objective.open_latents(self.step_counter.value, self.latent_dim)
        return values if is_open is None else values * tf.cast(is_open, values.dtype)

    def scaled(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the encoder's input, float32: integers divided by 255."""
        return self._input.scaled(x)

    def decode(self, z: tf.Tensor) -> tf.Tensor:
        """Returns the likelihood's mean images, `(batch, *image_shape)`."""
        return self._fast(self._decode)(tf.convert_to_tensor(z))

    def _decode(self, z):
        return self.likelihood_of(z).mean()

    def _fast(self, method: Callable) -> Callable:
        """Returns a method as a graph if that is faster."""
        if not tf.executing_eagerly() or self.run_eagerly:
            return method
        return self._graphs.of(method, self.encoder, self.decoder)

    def reconstruct(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the images decoded from the posterior's means, `(batch, *image_shape)`."""
        return self.decode(self.encode(x)[0])

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns `reconstruct(inputs)`, with the networks in the given mode."""
        mean, _ = self.encode(inputs, training=training)
        return self.likelihood_of(mean, training=training).mean()

    def sample(self, n: int | tf.Tensor, seed: int | tf.Tensor | None = None) -> tf.Tensor:
        """Returns the mean images of `n` codes drawn from the prior, `(n, *image_shape)`.

        Args:
            n: Number of images, at least 1.
            seed: The same seed gives the same codes, here and in the SavedModel; None uses a
                random stream of the model that training does not use.

        Raises:
            ValueError: If `n` is below 1.
        """
        if not tf.is_tensor(n) and operator.index(n) < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        return self.decode(self.prior.sample(n, seed=self._streams.stateless_seed(seed)))

    _sampled_bounds = sampled_bounds

    def elbo(
        self, x: tf.Tensor, n_samples: int = 1, seed: int | tf.Tensor | None = None
    ) -> tf.Tensor:
        r"""Returns the evidence lower bound of each image (β = 1), in nats.

        .. math:: \mathbb{E}_{q(z|x)}[\log p(x|z)] - \mathrm{KL}\left(q(z|x) \,\|\, p(z)\right)

        Args:
            x: Images, `(batch, *image_shape)`.
            n_samples: Samples of z per image for the expectation.
            seed: As in `sample`.

        Returns:
            A tensor (batch,).

        Raises:
            ValueError: If `n_samples` is below 1 or, outside of a `tf.function`, images are
                outside the likelihood's support.
        """
        self._input.check_support(x)
        log_likelihoods, _, kl = self._fast(self._sampled_bounds)(
            x, self._streams.seeds(seed, n_samples)
        )
        return tf.reduce_mean(log_likelihoods, axis=0) - kl

    def log_likelihood(
        self, x: tf.Tensor, n_samples: int = 100, seed: int | tf.Tensor | None = None
    ) -> tf.Tensor:
        r"""Returns the importance-weighted bound on log p(x) of each image, in nats.

        .. math::
            \log \frac{1}{n} \sum_{i=1}^{n} \frac{p(x|z_i) \, p(z_i)}{q(z_i|x)},
            \qquad z_i \sim q(z|x)

        Its expectation is at least the ELBO, increases with n and converges to log p(x).

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
        self._input.check_support(x)
        log_likelihoods, log_ratios, _ = self._fast(self._sampled_bounds)(
            x, self._streams.seeds(seed, n_samples)
        )
        return tfp.math.reduce_logmeanexp(log_likelihoods + log_ratios, axis=0)

    def compute_terms(
        self, x: tf.Tensor, y: tf.Tensor | None = None, training: bool = False
    ) -> dict[str, tf.Tensor]:
        """Returns the terms of the loss on one batch, in training and in evaluation.

        Args:
            x: Images, `(batch, *image_shape)`.
            y: Labels, for an objective that uses them.
            training: Passed to the networks. If true, this counts as a training step, which updates
                `step` and `objective_state`.

        Returns:
            The scalars `loss`, `reconstruction_loss`, `kl_loss` and the objective's logs, and
            `latent_kl`, the KL of each latent, (latent_dim,); all are batch means, in nats.
        """
        return self._forward(x, y, training).terms

    def _encoded(self, x, y, training) -> tuple[tf.Tensor, tfd.Independent, tf.Tensor | None]:
        """Returns the images of a batch, their posteriors, and their labels."""
        return x, self.posterior(x, training=training), y

    def _forward(self, x: tf.Tensor, y: tf.Tensor | None, training: bool) -> Forward:
        """Runs the forward pass over a batch.

        The codes' noise is drawn, and the objective computed, for the global batch, so any number
        of replicas computes the same.
        """
        before = moving_statistics(self._networks())
        images, posterior, labels = self._encoded(x, y, training)
        prior, share = self.prior, Share(tf.shape(images)[0])
        whole = share.gathered_posterior(posterior)
        z_whole = whole.sample(seed=self._streams.next(training))
        z = share.own(z_whole)
        likelihood = self.likelihood_of(z, training=training)
        log_likelihood = log_likelihood_of(self._input.scaled(images), likelihood)
        reconstruction_loss = -batch_mean(log_likelihood)
        latent_kl = batch_mean(kl_per_latent(posterior, prior))
        if self.objective.n_labels and labels is not None:
            labels = share.gathered(tf.cast(labels, "float32"))
        else:
            labels = None
        seen = tf.stop_gradient(share.mean(reconstruction_loss))
        sample = Sample(whole, prior, z_whole, self.step, seen, labels)
        loss, logs, state = cost_of(self.objective, sample, self.objective_state)
        if training:
            self._move_on(state)
        terms = {
            "loss": reconstruction_loss + loss + layer_losses(self.encoder, self.decoder),
            "reconstruction_loss": reconstruction_loss,
            "kl_loss": tf.reduce_sum(latent_kl),
            "latent_kl": latent_kl,
            **logs,
        }
        return Forward(images, z, terms, self.objective.labels_are_sound(labels), before)

    def _move_on(self, state: Mapping[str, tf.Tensor]) -> None:
        """Counts a training step and keeps the objective's next state."""
        self.step_counter.assign(self.step_counter.value + 1)
        for name, variable in self._state.items():
            value = tf.stop_gradient(state[name])
            # One bad batch, whose step is left out, must not stay in the state.
            variable.assign(tf.where(tf.math.is_finite(value), value, variable.value))

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Runs one step of the optimizer; returns the running means."""
        x, y = _batches.unpacked(data)
        with tf.GradientTape() as tape:
            found = self._forward(x, y, training=True)
            loss = self._scaled_loss(self.optimizer, found.terms["loss"], x)
        self._descend(self.optimizer, tape.gradient(loss, self._own_weights), found)
        return self._track(found.terms, x)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Evaluates one batch; returns the running means."""
        x, y = _batches.unpacked(data)
        found = self._forward(x, y, training=False)
        self._note_faults(found, [])
        return self._track(found.terms, x)

    def predict_step(self, data: Any) -> tf.Tensor:
        """Returns the reconstructions of one batch."""
        x, _ = _batches.unpacked(data)
        return self(x, training=False)

    @staticmethod
    def _scaled_loss(optimizer, loss: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        # The optimizer sums the replicas' gradients.
        return optimizer.scale_loss(loss * Share(tf.shape(x)[0]).fraction)

    def _descend(self, optimizer, gradients, found: Forward, weights: list | None = None) -> None:
        """Applies gradients; if the step is not sound, applies zeros and records it."""
        watched = []
        if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            # It expects scaled gradients to overflow, and leaves out such steps.
            watched = [gradient for gradient in gradients if gradient is not None]
        sound = self._note_faults(found, watched)
        restore_statistics(self._networks(), found.statistics, sound)
        weights = self._own_weights if weights is None else weights
        descend(optimizer, gradients, weights, sound, in_xla=self._compilation.descent)

    def _note_faults(self, found: Forward, gradients: list[tf.Tensor]) -> tf.Tensor:
        """Returns whether a step is sound; records it if not."""
        return self._faults.update_state(
            tf.maximum(self.step, 1),
            images=found.images,
            values=[found.terms["loss"], *gradients, *moving_statistics(self._networks())],
            labels_are_sound=found.labels_are_sound,
        )

    def _networks(self) -> tuple[keras.Model, ...]:
        return self.encoder, self.decoder

    @property
    def _own_weights(self) -> list:
        """The weights that `optimizer` trains."""
        return self.trainable_variables

    def _track(self, terms: dict[str, tf.Tensor], x: tf.Tensor) -> dict[str, tf.Tensor]:
        self._means.update(terms, tf.shape(x)[0])
        return reducible(self.get_metrics_result())

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The metrics that Keras resets at the start of an epoch or an evaluation."""
        own = [*self._means.metrics, self._faults]
        return own + [m for m in super().metrics if all(m is not each for each in own)]

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        """Returns the running means of the scalar terms by name."""
        return self._means.results()

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains as `keras.Model.fit` does.

        Raises:
            ValueError: If there are no images, they are a list, some are NaN or outside the
                likelihood's support, or labels are out of range.
            FloatingPointError: If the loss, its gradients or a layer's moving statistics become
                NaN or infinite.
        """
        self._check_input(x, kwargs)
        if isinstance(x, tf.data.Dataset) and len(args) < 8:  # The eighth is `shuffle`.
            # Keras would warn that it does not shuffle a dataset, although nobody asked for that.
            kwargs.setdefault("shuffle", False)
        return super().fit(x, *args, **_batches.with_checks(x, args, kwargs))

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluates as `keras.Model.evaluate` does; raises as `fit`."""
        self._check_input(x, kwargs)
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Returns the reconstructions of many images, as `keras.Model.predict` does."""
        self._check_input(x, kwargs)
        return super().predict(x, *args, **kwargs)

    def _check_input(self, x: Any, options: Mapping[str, Any]) -> None:
        _batches.check_input(x, options)
        if hasattr(x, "shape"):
            # The compiled step may have been traced for any shape by now.
            self._input.check_array(x)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Does nothing: the constructor and `compile` have built everything.

        Keras 3.15 calls this at the start of `fit` under a strategy. Its own version reduces a
        batch over workers, which fails for uint8.
        """

    def make_train_function(self, force: bool = False) -> None:
        """Wraps Keras's training function with the check for faults, again after a change."""
        self._check_optimizers()
        changed = self._traced.has_changed(self, "train")
        if self.train_function is None or force or changed:
            super().make_train_function(force=True)
            self.train_function = self._faults.checked(
                self.train_function, self.distribute_strategy
            )

    def make_test_function(self, force: bool = False) -> None:
        """Wraps Keras's evaluation function with the check for faults."""
        if self._traced.has_changed(self, "test") or self.test_function is None or force:
            super().make_test_function(force=True)
            self.test_function = self._faults.checked(self.test_function, self.distribute_strategy)

    def make_predict_function(self, force: bool = False) -> None:
        """Makes Keras's function for `predict`, again after a change."""
        super().make_predict_function(force or self._traced.has_changed(self, "predict"))

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "adam",
        *,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
        **unsupported: Any,
    ) -> None:
        """Configures training. The model computes its own loss.

        Args:
            optimizer: A Keras optimizer or its name.
            run_eagerly: As in `keras.Model.compile`.
            steps_per_execution: As in `keras.Model.compile`.
            jit_compile: Whether XLA compiles the whole step. "auto" follows Keras's rule with a
                GPU. On a CPU it compiles the whole step of dense networks, and only the optimizer
                step of others; under a `tf.distribute.Strategy` it compiles nothing.
            auto_scale_loss: As in `keras.Model.compile`.
            **unsupported: Other arguments raise an error.

        Raises:
            TypeError: If a loss, metrics or other arguments are given.
            ValueError: If there is no optimizer, or `steps_per_execution` is below 1.
        """
        if optimizer is None:
            raise ValueError("optimizer must be a Keras optimizer or its name, got None")
        if unsupported:
            raise TypeError(
                f"compile takes no {', '.join(unsupported)}: the loss is the model's own, given "
                "by its objective and likelihood"
            )
        self._as_compiled = {"auto_scale_loss": auto_scale_loss, "jit_compile": jit_compile}
        self._compilation = Compilation.chosen(
            jit_compile,
            (self.encoder, self.decoder),
            run_eagerly=run_eagerly,
            strategy=self.distribute_strategy,
        )
        self._graphs.clear()
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=whole("steps_per_execution", steps_per_execution),
            jit_compile=self._compilation.whole_step,
            auto_scale_loss=auto_scale_loss,
        )
        # So a model that is saved before its first step can be loaded.
        with self.distribute_strategy.scope():
            self.optimizer.build(self._own_weights)
        self._traced.keep_optimizer(self, "optimizer", self._own_weights)

    def _check_optimizers(self) -> None:
        self._traced.check_optimizer(self, "optimizer", self._own_weights)

    def compile_from_config(self, config: dict) -> None:
        """Compiles as a saved model was; Keras calls this when it loads one."""
        self.compile(**_saving.compile_arguments(config))

    def get_compile_config(self) -> dict:
        """Returns the arguments of `compile`; Keras drops one and replaces "auto"."""
        config = super().get_compile_config()
        return {**config, **self._as_compiled} if config else config

    def save_own_variables(self, store: dict) -> None:
        """Saves the states of the random streams too, which Keras leaves out."""
        super().save_own_variables(store)
        _saving.save_streams(self, store)

    def load_own_variables(self, store: dict) -> None:
        """Restores what `save_own_variables` saved."""
        super().load_own_variables(_saving.load_streams(self, store))

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        *,
        verbose: bool = True,
        **options: Any,
    ) -> None:
        """Writes the model for serving, see `keras_betavae.export.write`.

        Args:
            filepath: The folder.
            format: `"tf_saved_model"`, `"onnx"` or `"litert"`.
            verbose: Whether to print what was written.
            **options: Options of the format.

        Raises:
            FileExistsError: If the folder of a SavedModel holds something else.
            ImportError: If a package that the format needs is missing.
            ValueError: If the format is unknown or does not support an operation of the networks,
                or if the networks do not compute in float32 (ONNX and LiteRT).
        """
        export.write(self, filepath, format, **options)
        if verbose:
            print(f"Exported to {os.fspath(filepath)}")

    def get_config(self) -> dict:
        """Returns the constructor's arguments, JSON-serializable."""
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
