"""Small models and data that the tests of the model share."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_betavae import BetaVAE, callbacks, metrics, networks
from keras_betavae.evaluation import scoring
from keras_betavae.experiments.runs import _finishing
from keras_betavae.metrics import _linear

SHAPE = (8, 8, 1)


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


def patterns(n=64, dtype="float32", seed=0):
    """Images of four fixed binary patterns: enough to learn from, in little time."""
    rng = np.random.default_rng(seed)
    images = (rng.random((4, *SHAPE)) < 0.5)[rng.integers(4, size=n)]
    return images.astype(dtype) * 255 if dtype == "uint8" else images.astype(dtype)


def weights_of(vae):
    return [weight.numpy() for weight in vae.weights]


@contextlib.contextmanager
def quick_scores():
    """Few scores of few points each, where their values do not matter."""
    scores = {name: metrics.SCORES[name] for name in ("mig_score", "active_units")}
    for name in ("beta_vae_score", "beta_vae_score_locatello", "beta_vae_score_scale_free"):
        score = metrics.SCORES[name]
        quick = partial(score.function, n_pairs=8, n_train=200, n_test=200)
        scores[name] = dataclasses.replace(score, function=quick)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "SCORES", scores)
        patch.setattr(_linear, "CHECK_EVERY", 100)
        patch.setattr(_linear, "MAX_STEPS", 200)
        yield


@contextlib.contextmanager
def quick_runs():
    """Runs with quick scores, and without the pictures, which other tests look at."""
    with quick_scores(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(_finishing, "draw", lambda *_: None)
        patch.setattr(callbacks.LatentPictures, "draw", lambda _: None)
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
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def on_two_replicas(script):
    """Runs a script on two logical CPUs, `two` being their strategy; returns the JSON it prints."""
    process = run_python(TWO_REPLICAS + script)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


TWO_REPLICAS = """
import json
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert two.num_replicas_in_sync == 2
"""
