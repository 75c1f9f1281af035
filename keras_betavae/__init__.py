"""β-VAE for Keras: train, score, watch and ship disentangled representations."""

import importlib.util
import os
import platform
import sys
import warnings

if "tensorflow" not in sys.modules and platform.machine() in ("x86_64", "AMD64"):
    # oneDNN trains convolutions faster. TensorFlow reads this when it is first imported, and by
    # itself turns oneDNN on only where the processor has instructions for neural networks.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"keras_betavae needs Keras's TensorFlow backend, but it is {keras.backend.backend()!r}; "
        'set os.environ["KERAS_BACKEND"] = "tensorflow" before keras is imported'
    )
if importlib.util.find_spec("tf_keras") is None:
    raise ImportError("TensorFlow Probability needs tf_keras; run: pip install tf-keras")
with warnings.catch_warnings():
    # TensorFlow Probability 0.25 asks distutils for versions, which is deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    import tensorflow_probability.python.distributions  # noqa: F401

from keras_betavae import (
    callbacks,
    datasets,
    evaluation,
    inspection,
    layers,
    likelihoods,
    metrics,
    networks,
    objectives,
    presets,
    runs,
    schedules,
    tensorboard,
    visualization,
)
from keras_betavae.beta_vae import BetaVAE
from keras_betavae.capacity import estimate_capacity
from keras_betavae.evaluation import evaluate
from keras_betavae.factor_vae import FactorVAE
from keras_betavae.pair_vae import AdaGVAE, GroupVAE

__all__ = [
    "AdaGVAE",
    "BetaVAE",
    "FactorVAE",
    "GroupVAE",
    "callbacks",
    "datasets",
    "estimate_capacity",
    "evaluate",
    "evaluation",
    "inspection",
    "layers",
    "likelihoods",
    "metrics",
    "networks",
    "objectives",
    "presets",
    "runs",
    "schedules",
    "tensorboard",
    "visualization",
]
__version__ = "0.1.0"
