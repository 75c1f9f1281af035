import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_betavae import BetaVAE, estimate_capacity
from keras_betavae.datasets import ImageDataset, from_arrays
from keras_betavae.likelihoods import Gaussian
from keras_betavae.models.estimate_capacity import _image_shape, _untrained
from keras_betavae.objectives import Capacity
from tests.helpers import narrow_networks, patterns, tiny_vae, weights_of


def batches():
    return tf.data.Dataset.from_tensor_slices(patterns(64)).batch(16)


def model(**options):
    return tiny_vae(Capacity(1.0, 5.0), optimizer=keras.optimizers.Adam(1e-2), **options)


def test_four_patterns_need_at_least_what_tells_them_apart_and_less_if_a_code_is_dear():
    # The mean KL is no less than the information between image and code, which has to reach
    # the entropy of four patterns for all to be reconstructed.
    counts = np.unique(patterns(64).reshape(64, -1), axis=0, return_counts=True)[1]
    entropy = -np.sum(counts / 64 * np.log(counts / 64))
    capacity = estimate_capacity(model(), batches(), beta=0.1, steps=100)
    assert entropy < capacity < 100.0
    assert estimate_capacity(model(), batches(), beta=10.0, steps=100) < capacity


def test_a_preset_and_images_without_factors_will_do():
    data = ImageDataset(patterns(64, dtype="uint8"))
    with narrow_networks():
        assert estimate_capacity("higgins_quick", data, steps=10, batch_size=8) > 0.0


def test_a_preset_is_fitted_to_the_data_and_the_steps(monkeypatch):
    made = {}
    new = BetaVAE.from_preset.__func__

    def from_preset(cls, *arguments, **options):
        made["like"] = new(cls, *arguments, **options)
        return made["like"]

    monkeypatch.setattr(BetaVAE, "from_preset", classmethod(from_preset))
    rows = np.random.default_rng(0).normal(900.0, 300.0, (64, 3))
    # In the data's own units, the KL of these values would be in the thousands.
    assert 0.0 < estimate_capacity("vectors", from_arrays(rows), steps=20) < 50.0
    with narrow_networks():
        estimate_capacity("higgins_quick", ImageDataset(patterns(64, dtype="uint8")), steps=100)
    rate = made["like"].optimizer.get_config()["learning_rate"]["config"]
    assert rate["warmup_steps"] + rate["decay_steps"] == 100


@pytest.mark.parametrize("is_nested", [False, True])
def test_what_layers_were_adapted_to_stays(is_nested):
    adapted = keras.layers.Normalization()
    adapted.adapt(np.random.default_rng(0).normal(3.0, 2.0, (50, 3)))
    first = keras.Sequential([keras.Input((3,)), adapted]) if is_nested else adapted
    network = keras.Sequential([keras.Input((3,)), first, keras.layers.Dense(2)])
    copy = _untrained(network)
    x = np.random.default_rng(1).normal(size=(4, 3))
    np.testing.assert_array_equal(copy.layers[0](x), adapted(x))
    assert (copy.layers[1].get_weights()[0] != network.layers[1].get_weights()[0]).any()


def test_streams_are_of_images():
    pairs = tf.data.Dataset.from_tensors((tf.zeros((2, 8, 8, 1)), tf.zeros((2, 3))))
    assert _image_shape(pairs) == (8, 8, 1)
    named = tf.data.Dataset.from_tensors({"image": tf.zeros((2, 8, 8, 1))})
    with pytest.raises(ValueError, match="data must be batches of images"):
        estimate_capacity("sprites_quick", named)
    with pytest.raises(TypeError, match="from_arrays takes arrays"):
        estimate_capacity("sprites_quick", patterns(64))


def test_the_model_stays_as_it_is_and_a_seed_repeats():
    vae = model(likelihood=Gaussian(0.5, learned=True))
    before, states = weights_of(vae), (random.getstate(), np.random.get_state()[1].tolist())
    first, again = (estimate_capacity(vae, batches(), steps=10, seed=4) for _ in range(2))
    assert first == again
    assert states == (random.getstate(), np.random.get_state()[1].tolist())
    for weight, other in zip(before, weights_of(vae), strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"steps": 9}, "steps"), ({"steps": 10.5}, "steps"), ({"beta": -1.0}, "beta")],
)
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        estimate_capacity(model(), batches(), **options)


def test_a_model_that_is_not_compiled_is_refused():
    vae = model()
    uncompiled = type(vae).from_config(vae.get_config())
    with pytest.raises(ValueError, match="compiled"):
        estimate_capacity(uncompiled, batches())
