"""β-VAE for Keras: train, score, watch and ship disentangled representations."""

import importlib
import importlib.util
import os
import platform
import sys
import types
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
    export,
    likelihoods,
    metrics,
    models,
    networks,
    objectives,
    presets,
    visualization,
)
from keras_betavae.evaluation import evaluate
from keras_betavae.models import AdaGVAE, BetaVAE, FactorVAE, GroupVAE, estimate_capacity

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
    "experiments",
    "export",
    "likelihoods",
    "metrics",
    "models",
    "networks",
    "objectives",
    "presets",
    "visualization",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> types.ModuleType:
    """Imports `experiments` when it is first used; most users never need it."""
    if name == "experiments":
        return importlib.import_module("keras_betavae.experiments")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
