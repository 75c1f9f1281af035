# ruff: noqa: E402
"""The library as a whole; importing it imports TensorFlow, which takes seconds."""

import contextlib
import importlib.util
import os
import platform
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Holds back what TensorFlow logs before it reads TF_CPP_MIN_LOG_LEVEL, where that is 3."""
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "3":
        yield
        return
    try:
        stderr = os.dup(2)
    except OSError:  # There is none.
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


if "tensorflow" not in sys.modules:  # It reads both variables when it is first imported.
    # 3 also holds back "no CUDA", which is logged as an error.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if platform.machine() in ("x86_64", "AMD64"):
        # oneDNN trains convolutions faster. TensorFlow by itself turns it on only where the
        # processor has instructions for neural networks.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

with _quietly():
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
