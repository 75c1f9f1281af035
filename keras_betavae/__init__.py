"""β-VAE for Keras: train, score, watch and ship disentangled representations."""

import importlib.util
import warnings

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
    likelihoods,
    metrics,
    networks,
    objectives,
    presets,
    runs,
    visualization,
)
from keras_betavae.beta_vae import BetaVAE
from keras_betavae.evaluation import evaluate

__all__ = [
    "BetaVAE",
    "callbacks",
    "datasets",
    "evaluate",
    "evaluation",
    "likelihoods",
    "metrics",
    "networks",
    "objectives",
    "presets",
    "runs",
    "visualization",
]
__version__ = "0.1.0"
