import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_betavae as kbv
from keras_betavae.networks.layers import (
    Conv2DTranspose,
    Coordinates,
    DepthToSpace,
    SpatialBroadcast,
    Translations,
)
from tests.helpers import plain_decoder


def twins(filters, shape, **options):
    """Returns the layer and Keras's own, of the same random weights."""
    layer = Conv2DTranspose(filters, **options)
    plain = keras.layers.Conv2DTranspose(filters, 4, strides=2, padding="same", **options)
    rng = np.random.default_rng(0)
    for one in (layer, plain):
        one.build((None, *shape))
    weights = [rng.normal(size=w.shape).astype("float32") for w in plain.weights]
    for one in (layer, plain):
        one.set_weights(weights)
    return layer, plain


def brute_force(x, kernel, bias):
    """Adds each pixel's patch of 4×4 where it belongs."""
    batch, height, width, _ = x.shape
    y = np.zeros((batch, 2 * height + 2, 2 * width + 2, kernel.shape[2]))
    for i in range(height):
        for j in range(width):
            patch = np.einsum("bc,uvfc->buvf", x[:, i, j], kernel)
            y[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += patch
    return y[:, 1:-1, 1:-1] + bias


@settings(max_examples=6, deadline=None)  # XLA compiles each shape
@given(
    st.integers(1, 3), st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3)
)
def test_it_adds_overlapping_patches(batch, height, width, channels, filters):
    layer, _ = twins(filters, (height, width, channels))
    x = np.random.default_rng(1).normal(size=(batch, height, width, channels)).astype("float32")
    expected = brute_force(x, *layer.get_weights())
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("filters", "options", "jit_compile"),
    [(3, {}, False), (1, {"use_bias": False}, False), (1, {"activation": "tanh"}, True)],
)
def test_values_and_gradients_are_those_of_keras(filters, options, jit_compile):
    shape = (8, 6, 5)
    x = tf.random.stateless_normal((4, *shape), (0, 1))
    upstream = tf.random.stateless_normal((4, 16, 12, filters), (0, 2))
    results = []
    for layer in twins(filters, shape, **options):

        @tf.function(jit_compile=jit_compile)
        def run(x, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x, training=True)
                total = tf.reduce_sum(y * upstream)
            return y, *tape.gradient(total, [x, *(w.value for w in layer.weights)])

        results.append(run(x))
    for ours, keras_own in zip(*results, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-4, atol=1e-4)


def test_a_second_derivative_is_that_of_keras():
    x = tf.random.stateless_normal((2, 3, 3, 2), (0, 1))
    results = []
    for layer in twins(1, x.shape[1:], activation="tanh"):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(layer(x, training=True))
            slope = tf.reduce_sum(inner.gradient(y, x) ** 2)
        results.append(outer.gradient(slope, x))
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4)


def test_outside_of_training_it_is_keras_to_the_last_bit():
    layer, plain = twins(1, (8, 8, 4))
    x = tf.random.stateless_normal((3, 8, 8, 4), (0, 1))
    np.testing.assert_array_equal(layer(x), plain(x))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("kernel_size", 3),
        ("kernel_size", (4, 2)),
        ("strides", 1),
        ("padding", "valid"),
        ("data_format", "channels_first"),
        ("output_padding", 1),
    ],
)
def test_other_geometries_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be .*Conv2DTranspose takes others"):
        Conv2DTranspose(1, **{argument: value})


def test_weights_load_either_way(tmp_path):
    decoder = kbv.networks.conv_decoder(3, (32, 32, 3))
    z = tf.random.stateless_normal((5, 3), (0, 0))
    for source, target in (
        (decoder, plain_decoder(kbv.networks.conv_decoder(3, (32, 32, 3)))),
        (plain_decoder(decoder), kbv.networks.conv_decoder(3, (32, 32, 3))),
    ):
        source.save_weights(tmp_path / "decoder.weights.h5")
        target.load_weights(tmp_path / "decoder.weights.h5")
        np.testing.assert_array_equal(target(z), source(z))


@pytest.mark.parametrize(
    "layer", [Conv2DTranspose(3, activation="tanh", name="params"), SpatialBroadcast(5, name="at")]
)
def test_layers_round_trip_through_their_config(layer):
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(2, 9), st.integers(2, 9))
def test_a_code_is_laid_beside_the_coordinates_of_each_place(batch, latent_dim, height, width):
    z = np.random.default_rng(0).normal(size=(batch, latent_dim)).astype("float32")
    y = SpatialBroadcast((height, width))(z).numpy()
    assert y.shape == (batch, height, width, latent_dim + 2)
    for row in range(height):
        for column in range(width):
            np.testing.assert_array_equal(y[:, row, column, :latent_dim], z)
            at = [-1 + 2 * column / (width - 1), -1 + 2 * row / (height - 1)]
            np.testing.assert_allclose(y[:, row, column, latent_dim:], [at] * batch, atol=1e-6)


def test_a_code_of_half_precision_stays_so():
    z = tf.zeros((2, 3), tf.float16)
    assert SpatialBroadcast(4, dtype="float16")(z).dtype == tf.float16


@pytest.mark.parametrize("size", [1, (4, 1), (4,), (4, 4, 4)])
def test_a_grid_of_one_place_is_refused(size):
    with pytest.raises(ValueError, match="size must be one or two numbers of at least 2, got"):
        SpatialBroadcast(size)


def test_the_channels_of_a_place_become_a_square_of_pixels():
    x = np.random.default_rng(0).normal(size=(2, 3, 2, 12)).astype("float32")
    found = np.asarray(DepthToSpace(2)(x))
    assert found.shape == (2, 6, 4, 3)
    for u, v in np.ndindex(2, 2):
        first = (2 * u + v) * 3
        np.testing.assert_array_equal(found[:, u::2, v::2], x[..., first : first + 3])
    layer = DepthToSpace.from_config(DepthToSpace(2, name="own").get_config())
    assert (layer.size, layer.name) == (2, "own")
    with pytest.raises(ValueError, match="size must be at least 1"):
        DepthToSpace(0)


def test_coordinates_come_after_the_channels():
    h = np.random.default_rng(0).normal(size=(2, 5, 9, 3)).astype("float32")
    found = np.asarray(Coordinates()(h))
    np.testing.assert_array_equal(found[..., :3], h)
    for i, j in np.ndindex(5, 9):
        np.testing.assert_allclose(found[:, i, j, 3:], [[j / 4 - 1, i / 2 - 1]] * 2)


@pytest.mark.parametrize("latent_dim", [1, 2, 10])
def test_the_first_latents_begin_as_shifts_of_the_grid(latent_dim):
    broadcast = SpatialBroadcast(5)
    dense = keras.layers.Dense(7, kernel_initializer=Translations(seed=0))
    start = np.zeros((1, latent_dim), "float32")
    there = np.asarray(dense(broadcast(start)))[0]
    for latent, axis in zip(range(latent_dim), (1, 0), strict=False):
        moved = start.copy()
        moved[0, latent] = 0.5  # The distance between two places.
        found = np.asarray(dense(broadcast(moved)))[0]
        kept, shifted = np.delete(found, -1, axis), np.delete(there, 0, axis)
        np.testing.assert_allclose(kept, shifted, rtol=1e-5, atol=1e-6)
    kernel = np.asarray(dense.kernel)
    assert len(np.unique(kernel.round(7), axis=0)) == max(2, latent_dim)
    limit = np.sqrt(6.0 / (latent_dim + 2 + 7))
    assert np.abs(kernel).max() <= limit
