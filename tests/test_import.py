import inspect

import pytest

import keras_betavae
from tests.helpers import run_python

FIRST_OF_ALL = """
import os, sys, warnings
warnings.simplefilter("error")
import keras_betavae, tensorflow
tensorflow.zeros(1)  # This looks for devices.
print(os.environ["TF_ENABLE_ONEDNN_OPTS"], "tensorboard.plugins" in sys.modules)
"""
WITHOUT = """
import importlib.util, sys
import keras

def error_of_import():
    for name in [name for name in sys.modules if name.startswith("keras_betavae")]:
        del sys.modules[name]
    try:
        import keras_betavae
    except ImportError as error:
        return error

found, importlib.util.find_spec = importlib.util.find_spec, lambda name, *rest: (
    None if name == "tf_keras" else found(name, *rest)
)
print(error_of_import())
importlib.util.find_spec = found
keras.backend.backend = lambda: "jax"
print(error_of_import())
"""
KEEPS_STATE = """
import logging, os, random, sys, warnings
import keras, numpy as np, tensorflow as tf
def state():
    return (
        list(warnings.filters), keras.config.dtype_policy().name, keras.config.floatx(),
        tf.get_logger().level, tf.random.get_global_generator, dict(os.environ),
        random.getstate(), np.random.get_state()[1].tolist(), logging.getLogger().level,
    )
# Plain TensorFlow Probability is imported first, for what it does is not ours.
import tensorflow_probability.python.distributions
before, modules = state(), set(sys.modules)
import keras_betavae
assert state() == before
print(*sorted({name.split(".")[0] for name in set(sys.modules) - modules}))
# tf.data's from_generator changes malloc under Python 3.11, and says so.
data = keras_betavae.datasets.load_sprites(scale=2, orientation=4, pos_x=4, pos_y=4)
next(iter(data.to_tf_data(4)))
next(iter(data.to_pairs(1, 4)))
next(iter(data.to_partly_labeled(10, 4)))
"""
HEAVY = {"sklearn", "matplotlib", "tensorboard", "h5py", "scipy", "joblib"}


def test_it_is_imported_first_of_all_and_names_a_missing_requirement_with_its_remedy(monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    process = run_python(FIRST_OF_ALL + WITHOUT)
    assert process.returncode == 0, process.stderr  # A warning is an error.
    assert process.stderr == ""  # TensorFlow logs oneDNN, cudart and the lack of CUDA devices.
    onednn_and_tensorboard, no_tf_keras, other_backend = process.stdout.splitlines()[-3:]
    assert onednn_and_tensorboard == "1 False"
    assert "needs tf_keras" in no_tf_keras
    assert "pip install tf-keras" in no_tf_keras
    assert "TensorFlow backend, but it is 'jax'" in other_backend
    assert '"KERAS_BACKEND"] = "tensorflow"' in other_backend


@pytest.mark.slow
def test_importing_keeps_global_state_and_brings_little_and_streams_leave_malloc_as_it_is():
    process = run_python(KEEPS_STATE, TF_CPP_MIN_LOG_LEVEL="0", TF_ENABLE_ONEDNN_OPTS="0")
    assert process.returncode == 0, process.stderr
    assert not HEAVY & set(process.stdout.split())
    assert "Memory patch" not in process.stderr


def test_everything_public_is_there_and_says_what_it_is():
    assert len(keras_betavae.__all__) == len(set(keras_betavae.__all__))
    for name in keras_betavae.__all__:
        assert inspect.getdoc(getattr(keras_betavae, name)), name
    assert keras_betavae.__version__
