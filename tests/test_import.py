import inspect

import pytest

import keras_betavae
from tests.helpers import run_python

OTHER_BACKEND = """
import keras
keras.backend.backend = lambda: "jax"
import keras_betavae
"""
NO_TF_KERAS = """
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "tf_keras" else found(name, *rest)
import keras_betavae
"""
KEEPS_GLOBAL_STATE = """
import logging, os, random, warnings
import keras, numpy as np, tensorflow as tf
def state():
    return (
        list(warnings.filters), keras.config.dtype_policy().name, keras.config.floatx(),
        tf.get_logger().level, tf.random.get_global_generator, dict(os.environ),
        random.getstate(), np.random.get_state()[1].tolist(), logging.getLogger().level,
    )
# Plain TensorFlow Probability is imported first, for what it does is not ours.
import tensorflow_probability.python.distributions
before = state()
import keras_betavae
assert state() == before
"""


def test_importing_raises_no_warning():
    process = run_python("import warnings; warnings.simplefilter('error'); import keras_betavae")
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize(
    ("script", "lack", "remedy"),
    [
        (OTHER_BACKEND, "TensorFlow backend, but it is 'jax'", '"KERAS_BACKEND"] = "tensorflow"'),
        (NO_TF_KERAS, "needs tf_keras", "pip install tf-keras"),
    ],
    ids=["backend", "tf_keras"],
)
def test_a_missing_requirement_is_named_with_its_remedy(script, lack, remedy):
    process = run_python(script)
    assert process.returncode != 0
    last_line = process.stderr.strip().splitlines()[-1]
    assert last_line.startswith("ImportError: ")
    assert lack in last_line
    assert remedy in last_line


def test_importing_keeps_global_state():
    process = run_python(KEEPS_GLOBAL_STATE)
    assert process.returncode == 0, process.stderr


def test_everything_public_is_there_and_says_what_it_is():
    assert len(keras_betavae.__all__) == len(set(keras_betavae.__all__))
    for name in keras_betavae.__all__:
        assert inspect.getdoc(getattr(keras_betavae, name)), name
    assert keras_betavae.__version__
