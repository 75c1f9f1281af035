"""Small models and data that the tests of the model share."""

import contextlib
import dataclasses
import functools
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from keras_betavae import BetaVAE, callbacks, metrics, networks, presets
from keras_betavae.evaluation import choice
from keras_betavae.experiments.runs import _finishing
from keras_betavae.metrics import _linear
from keras_betavae.objectives import Beta, Cost, Sample, mean_kl, weight_at

SHAPE = (8, 8, 1)
# For a few steps, which do not repay the making of a graph.
EAGER = {"run_eagerly": True, "jit_compile": False}


def tiny_networks(shape=SHAPE, latent_dim=3, units=(16,)):
    return {
        "encoder": networks.dense_encoder(shape, latent_dim, units),
        "decoder": networks.dense_decoder(latent_dim, shape, units),
    }


def tiny_vae(objective=None, likelihood=None, *, optimizer="adam", seed=0, compile=None, **kwargs):
    """A compiled model of few weights, the same ones for the same seed."""
    keras.utils.set_random_seed(seed)
    vae = BetaVAE(
        **tiny_networks(), objective=objective, likelihood=likelihood, seed=seed, **kwargs
    )
    vae.compile(optimizer=optimizer, **(compile or {"jit_compile": False}))
    return vae


@functools.cache
def _made(make, arguments, options):
    vae = make(*arguments, **dict(options))
    return vae, [variable.numpy() for variable in all_variables(vae)]


def reused(make=tiny_vae, *arguments, **options):
    """What `make` returns, made once and set back to its start each time.

    The graphs of a model take longer to make than a test trains it. Not for tests that change a
    model in another way than training does, or need two of the same kind.
    """
    vae, start = _made(make, arguments, tuple(options.items()))
    for variable, value in zip(all_variables(vae), start, strict=True):
        variable.assign(value)
    keras.utils.set_random_seed(0)
    return vae


def all_variables(vae):
    """What changes when a model trains."""
    optimizers = [vae.optimizer, getattr(vae, "discriminator_optimizer", None)]
    own = [variable for each in optimizers if each is not None for variable in each.variables]
    return [*vae.variables, *own]


def patterns(n=64, dtype="float32", seed=0):
    """Images of four fixed binary patterns: enough to learn from, in little time."""
    rng = np.random.default_rng(seed)
    images = (rng.random((4, *SHAPE)) < 0.5)[rng.integers(4, size=n)]
    return images.astype(dtype) * 255 if dtype == "uint8" else images.astype(dtype)


def without_noise(vae):
    """Makes the codes the posterior's means, but for exp(-10)."""
    log_var = vae.encoder.get_layer("log_var")
    log_var.set_weights([np.zeros(log_var.kernel.shape), np.full(log_var.bias.shape, -20.0)])
    return vae


def weights_of(vae):
    return [weight.numpy() for weight in vae.weights]


def gaussians(batch=5, latent_dim=3, seed=0):
    """Means, standard deviations (float64), q(z|x) and p(z)."""
    rng = np.random.default_rng(seed)
    mean, std = rng.normal(size=(batch, latent_dim)), rng.uniform(0.2, 2.0, (batch, latent_dim))
    return mean, std, normal(mean, std), normal(np.zeros(latent_dim), 1.0)


def normal(mean, std):
    return tfd.Independent(tfd.Normal(tf.cast(mean, "float32"), tf.cast(std, "float32")), 1)


def labels_for(objective, batch=5):
    """The labels that an objective wants; -1 is a missing one."""
    if not objective.n_labels:
        return None
    labels = np.arange(2 * batch).reshape(batch, 2) % objective.factor_sizes
    missing = np.arange(batch)[:, None] % 3 == 1
    return tf.constant(np.where(missing, -1, labels), "float32")


def cost(objective, posterior, prior, z=None, *, step=0, labels=None, state=None):
    """What an objective makes of one step, with a code and labels of some kind if none is given."""
    if z is None:
        z = posterior.sample(seed=[0, 0])
    if labels is None:
        labels = labels_for(objective, z.shape[0])
    state = objective.initial_state() if state is None else state
    return objective(
        Sample(posterior, prior, z, tf.constant(step), tf.constant(9.0), labels), state
    )


@keras.saving.register_keras_serializable(package="tests")
class Integral(Beta):
    """A user's objective with state: adds the running integral of the KL to β."""

    log_names = ("integral",)
    rate = 0.1

    def initial_state(self):
        return {"integral": 0.5}

    def __call__(self, sample, state):
        kl = mean_kl(sample.posterior, sample.prior)
        integral = state["integral"] + self.rate * tf.stop_gradient(kl)
        loss = (weight_at(self.beta, sample.step) + integral) * kl
        return Cost(loss, {"integral": integral}, {"integral": integral})


@contextlib.contextmanager
def dtype_policy(name):
    """Makes layers under a policy, and restores the one before."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextlib.contextmanager
def quick_scores():
    """Few scores of few points each, where their values do not matter."""
    scores = {name: metrics.SCORES[name] for name in ("mig_score", "active_units")}
    for name in ("beta_vae_score", "beta_vae_score_locatello", "beta_vae_score_scale_free"):
        score = metrics.SCORES[name]
        quick = partial(score.function, n_pairs=8, n_train=200, n_test=200)
        scores[name] = dataclasses.replace(score, function=quick)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "SCORES", scores)
        patch.setattr(_linear, "CHECK_EVERY", 100)
        patch.setattr(_linear, "MAX_STEPS", 200)
        yield


@contextlib.contextmanager
def narrow_networks():
    """Every recipe with narrow dense networks; other tests train convolutions."""
    narrow = {
        name: dataclasses.replace(
            recipe,
            encoder=partial(networks.dense_encoder, units=(16,)),
            decoder=partial(networks.dense_decoder, units=(16,)),
        )
        for name, recipe in presets._PRESETS.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(presets, "_PRESETS", narrow)
        yield


@contextlib.contextmanager
def quick_runs():
    """Runs of narrow networks with quick scores, and no pictures, which other tests look at."""
    with quick_scores(), narrow_networks(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(_finishing, "draw", lambda *_: None)
        patch.setattr(callbacks.LatentPictures, "draw", lambda _: None)
        yield


@contextlib.contextmanager
def no_exports():
    """Runs without a SavedModel, which other tests look at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BetaVAE, "export", lambda *_, **__: None)
        yield


@contextlib.contextmanager
def no_graphs():
    """TensorFlow without graphs, whose making few steps do not repay."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def plain_decoder(decoder):
    """Returns a convolutional decoder with Keras's own last layer, of the same weights."""
    channels = decoder.output_shape[-1]
    last = keras.layers.Conv2DTranspose(channels, 4, strides=2, padding="same", name="params")
    plain = keras.Model(decoder.input, last(decoder.layers[-2].output))
    last.set_weights(decoder.layers[-1].get_weights())
    return plain


def run_python(script, *arguments, **environment):
    """Runs a script in a fresh interpreter; returns the process."""
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
