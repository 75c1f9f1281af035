"""Batches of images: what a model and a data set take."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_betavae import BetaVAE
from keras_betavae.datasets import FactorDataset, ImageDataset, from_batches
from keras_betavae.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian
from tests.helpers import no_graphs, tiny_networks

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), dtype="uint8")
LABELS = np.array([2, 0, 1, 0, 1, 2])


def all_of(data):
    return data.images_at(np.arange(len(data)))


@pytest.mark.parametrize("dtype", ["uint8", "float32", "unit"])
@pytest.mark.parametrize("form", ["images", "pair", "one-hot", "column", "dict"])
def test_batches_become_a_data_set(form, dtype):
    x = {"uint8": IMAGES, "float32": IMAGES.astype("float32"), "unit": IMAGES / 255.0}[dtype]
    batches = {
        "images": x,
        "pair": (x, LABELS),
        "one-hot": (x, np.eye(3, dtype="float32")[LABELS]),
        "column": (x, LABELS[:, None]),
        "dict": {"image": x, "label": LABELS},
    }[form]
    data = from_batches(tf.data.Dataset.from_tensor_slices(batches).batch(4))
    np.testing.assert_array_equal(all_of(data), IMAGES)
    if form == "images":
        assert type(data) is ImageDataset
    else:
        assert isinstance(data, FactorDataset)
        assert data.factor_names == ("class",)
        np.testing.assert_array_equal(data.factors_at(range(6))[:, 0], LABELS)


def test_keras_batches_of_a_folder_become_a_data_set(tmp_path):
    for name, level in (("a/0", 0), ("a/1", 90), ("b/0", 180)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (9, 9), level).save(tmp_path / f"{name}.png")
    batches = keras.utils.image_dataset_from_directory(
        tmp_path,
        color_mode="grayscale",
        image_size=(8, 8),
        batch_size=2,
        shuffle=False,
        verbose=False,
    )
    data = from_batches(batches, name="letter")
    assert all_of(data).mean(axis=(1, 2, 3)).tolist() == [0, 90, 180]
    assert data.factors_at(range(3)).tolist() == [[0], [0], [1]]
    assert data.factor_names == ("letter",)


@pytest.mark.parametrize(
    ("batches", "words"),
    [
        ([], "must hold images, got none"),
        ([{"x": IMAGES}], "must have the entry image, got x"),
        ([(IMAGES, np.zeros((6, 2, 2)))], r"labels must be \(batch,\).* got \(6, 2, 2\)"),
        ([(IMAGES, [[2, 30, 11]] * 6)], r"got \(6, 3\); pass several labels"),
        ([(IMAGES, [[0, 1, 1]] * 6)], r"got \(6, 3\)"),
        ([IMAGES / 255.0, IMAGES * 1.0], "all from 0 to 1 or all from 0 to 255"),
        ([IMAGES - 200.0], "got floats from -2"),
        (tf.data.Dataset.from_tensors(IMAGES).repeat(), "must be finite"),
    ],
)
def test_other_batches_are_refused(batches, words):
    with pytest.raises(ValueError, match=words):
        from_batches(batches)


def small_vae(**parts):
    return BetaVAE(**{**tiny_networks((8, 8, 1)), "seed": 0, **parts})


def test_a_model_trains_on_dicts_as_on_images():
    vaes = []
    for form in (lambda x: x, lambda x: {"image": x, "label": tf.zeros(tf.shape(x)[0])}):
        keras.utils.set_random_seed(0)
        vae = small_vae()
        vae.compile("sgd")
        batches = tf.data.Dataset.from_tensor_slices(IMAGES).batch(3).map(form)
        with no_graphs():
            vae.fit(batches, verbose=0)
        vaes.append(vae)
    for ours, theirs in zip(*(vae.weights for vae in vaes), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_integers_that_are_all_0_or_1_are_refused():
    vae = small_vae()
    vae.compile("sgd")
    with pytest.raises(ValueError, match=r"all are 0 or 1; pass images.astype\(bool\)"):
        vae.fit((IMAGES > 127).astype("uint8"))
    with no_graphs():
        vae.fit(IMAGES > 127, verbose=0)
        vae.evaluate(np.zeros_like(IMAGES), verbose=0)


def ending_in(activation, where):
    z = keras.Input((2,))
    if where == "layer":
        h = keras.layers.Dense(64)(z)
        h = keras.layers.Activation(activation)(h)
    elif where == "operation":
        h = getattr(keras.ops, activation)(keras.layers.Dense(64)(z))
    else:
        h = keras.layers.Dense(64, activation=activation)(z)
    decoder = keras.Model(z, keras.layers.Reshape((8, 8, 1))(h))
    return keras.Model(z, decoder(z)) if where == "inner model" else decoder


@pytest.mark.parametrize("where", ["argument", "layer", "operation", "inner model"])
@pytest.mark.parametrize("likelihood", [Bernoulli(), ContinuousBernoulli()])
def test_a_decoder_that_ends_in_a_sigmoid_is_refused_where_logits_are_needed(where, likelihood):
    parts = {**tiny_networks((8, 8, 1), 2), "decoder": ending_in("sigmoid", where)}
    name = type(likelihood).__name__
    with pytest.raises(ValueError, match=f"decoder ends in sigmoid, but {name} takes logits"):
        BetaVAE(**parts, likelihood=likelihood)
    assert BetaVAE(**parts, likelihood=Gaussian()).latent_dim == 2


@pytest.mark.parametrize("activation", ["linear", "tanh"])
def test_activations_of_either_sign_are_left_to_the_user(activation):
    decoder = ending_in(activation, "argument")
    assert BetaVAE(**{**tiny_networks((8, 8, 1), 2), "decoder": decoder}).decoder is decoder
