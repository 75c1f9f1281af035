"""The library as a whole; importing it imports TensorFlow, which takes seconds."""

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

from keras_betavae import (  # noqa: F401
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
from keras_betavae.evaluation import evaluate  # noqa: F401
from keras_betavae.models import (  # noqa: F401
    AdaGVAE,
    BetaVAE,
    FactorVAE,
    GroupVAE,
    estimate_capacity,
)
