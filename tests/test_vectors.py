"""Vectors and signals: arrays and tables as they are, and models that keep their units."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy.stats import norm

from keras_betavae import BetaVAE, networks
from keras_betavae.datasets import FactorDataset, from_arrays, from_table
from keras_betavae.export.served_model import ServedModel
from keras_betavae.likelihoods import Gaussian

MEAN, STD = np.array([900.0, 0.1, -3.0]), np.array([300.0, 0.02, 1.0])


def vectors(n=200):
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(n, 1))
    return MEAN + STD * (hidden * [1, -1, 0.5] + 0.3 * rng.normal(size=(n, 3)))


@pytest.fixture(scope="module")
def vae():
    data = from_arrays(vectors())
    keras.utils.set_random_seed(0)
    model = BetaVAE.from_preset(
        "vectors",
        input_shape=(3,),
        latent_dim=2,
        encoder=networks.dense_encoder((3,), 2, units=(16,)),
        decoder=networks.dense_decoder(2, (3,), units=(16,)),
        standardization=data.mean_and_std(),
        optimizer=keras.optimizers.Adam(5e-3),
        seed=0,
    )
    model.fit(data.to_tf_data(50, seed=0, repeat=True), steps_per_epoch=240, verbose=0)
    return model


# Data.


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "uint8", "bool"])
def test_vectors_stay_as_they_are(dtype):
    values = (vectors(6) > 0).astype(dtype) if dtype == "bool" else vectors(6).astype(dtype)
    data = from_arrays(values, columns=["area", "smoothness", "depth"])
    assert (data.image_shape, data.dtype, data.kind) == ((3,), "float32", "vectors")
    np.testing.assert_array_equal(data.images_at(range(6)), values.astype("float32"))
    (batch,) = data.to_tf_data(6, shuffle=False)
    assert batch.dtype == tf.float32
    assert data.split(0.5)[0].columns == ("area", "smoothness", "depth")


def test_floats_of_three_axes_are_signals_and_no_8_bit_images():
    signals = np.random.default_rng(0).random((4, 30, 1))
    data = from_arrays(signals)
    assert (data.image_shape, data.dtype, data.columns) == ((30, 1), "float32", ("0",))
    np.testing.assert_array_equal(data.images_at(range(4)), signals.astype("float32"))
    square = np.random.default_rng(0).random((4, 12, 12))
    assert from_arrays(square).image_shape == (12, 12, 1)
    assert from_arrays(square, kind="signals").image_shape == (12, 12)
    assert from_arrays(square - 0.5).kind == "signals"


def test_standardized_images_stay_real():
    images = np.random.default_rng(0).normal(size=(5, 8, 8, 3))
    data = from_arrays(images)
    assert (data.dtype, data.kind) == ("float32", "images")
    mean, std = data.mean_and_std()
    np.testing.assert_allclose(mean, images.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(std, images.std((0, 1, 2)), rtol=1e-5)


def test_mean_and_deviation_are_exact_far_from_0_and_1_for_constants():
    values = np.stack([1e4 + np.arange(8.0), np.full(8, 0.1)], axis=1)
    mean, std = from_arrays(values.astype("float32")).mean_and_std()
    np.testing.assert_allclose(mean, values.mean(0), rtol=1e-6)
    np.testing.assert_allclose(std, [np.arange(8).std(), 1.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        ([[1.0, np.nan], [1.0, 2.0]], {}, "1 rows hold NaN.*first is row 0"),
        ([["a", "b"]], {}, "must be numbers, got <U1"),
        ([[1.0, 2.0]], {"columns": ["a"]}, "must be 2 different names, got .'a'"),
        (np.zeros((2, 9, 9)), {"kind": "sounds"}, "kind must be images or signals, got 'sounds'"),
        (np.zeros((2, 9)), {"kind": "images"}, "images must have three or four axes, got the sha"),
        (np.zeros((2, 9)), {"continuous": ["age"]}, "continuous names factors, which are not giv"),
        ([[1e39, 1.0], [2.0, 3.0]], {}, "within float32's range, got 1e[+]39"),
    ],
)
def test_arrays_that_do_not_do_are_refused(values, options, words):
    with pytest.raises(ValueError, match=words):
        from_arrays(values, **options)


FRAME = pd.DataFrame(
    {"size": [1.5, 2.5, 3.5], "is_new": [True, False, True], "kind": ["a", "b", "a"]}
)


def test_a_table_is_read_from_a_frame_and_from_a_file(tmp_path):
    FRAME.to_csv(tmp_path / "frame.csv", index=False)
    for table in (FRAME, tmp_path / "frame.csv"):
        data = from_table(table, factors=["kind"])
        assert isinstance(data, FactorDataset)
        assert data.columns == ("size", "is_new")
        np.testing.assert_array_equal(data.images_at([0, 1]), [[1.5, 1], [2.5, 0]])
        assert data.factors_at([0, 1, 2]).tolist() == [[0], [1], [0]]
    assert from_table(FRAME, columns=["size"]).image_shape == (1,)


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        (FRAME, {}, "columns must be of numbers, got kind.*get_dummies"),
        (FRAME, {"factors": ["age"]}, "factors must be names of columns, size.*got age"),
        (FRAME, {"factors": "kind"}, "got kind"),
        (FRAME.assign(size=[1, None, 2]), {"factors": ["kind"]}, "missing in size.*dropna"),
        (FRAME[["size", "size"]], {}, "different names, got .'size', 'size'"),
    ],
)
def test_tables_that_do_not_do_are_refused(table, options, words):
    with pytest.raises(ValueError, match=words):
        from_table(table, **options)


@pytest.mark.parametrize("start", [1_700_000_000, 1_700_000_000.0])
def test_what_float32_would_lose_is_told(start):
    seconds = start + np.arange(100)
    with pytest.warns(
        UserWarning, match="column 1 is from 1.7e[+]09 .*fewer than 32 values.*an offset"
    ):
        from_table(pd.DataFrame({"x": np.arange(100), "t": seconds}))
    assert from_table(pd.DataFrame({"t": seconds - start})).columns == ("t",)


# Models.


def test_reconstructions_and_elbo_are_in_the_units_of_the_data(vae):
    x = vectors().astype("float32")
    assert np.abs((vae.reconstruct(x) - x) / STD).mean() < 0.5
    # In closed form from the networks' outputs, with the sample of z that the model draws.
    mean, log_var = (np.asarray(part, "float64") for part in vae.encode(x))
    std = from_arrays(x).mean_and_std()[1]
    sigma = float(vae.likelihood.sigma)
    z = mean + np.exp(log_var / 2) * np.random.default_rng(0).normal(size=(400, *mean.shape))
    decoded = np.asarray(vae.decode(z.reshape(-1, 2).astype("float32"))).reshape(400, -1, 3)
    log_likelihood = norm.logpdf(x, decoded, sigma * std).sum(-1).mean(0)
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).sum(-1)
    found = vae.elbo(x, n_samples=400, seed=0).numpy()
    np.testing.assert_allclose(found.mean(), (log_likelihood - kl).mean(), atol=0.05)


def test_the_elbo_finds_what_is_not_like_the_data(vae):
    x = vectors().astype("float32")
    odd = x.copy()
    odd[:, 1] = 2 * MEAN[1] - odd[:, 1]  # Each column is as it was, their relation is not.
    usual, unusual = (vae.elbo(v, n_samples=10, seed=0).numpy() for v in (x, odd))
    assert np.mean(unusual[:, None] < usual) > 0.7  # The area under the ROC curve.


def test_standardization_travels_with_the_files(vae, tmp_path):
    x = vectors(5).astype("float32")
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    vae.export(tmp_path / "served", verbose=False)
    for model in (loaded, ServedModel(tmp_path / "served")):
        np.testing.assert_allclose(model.reconstruct(x), vae.reconstruct(x), rtol=1e-5)
    np.testing.assert_array_equal(loaded.elbo(x, seed=1), vae.elbo(x, seed=1))


def test_standardized_networks_are_dense_to_xla_and_refuse_other_columns(vae):
    assert networks.are_dense(vae.encoder, vae.decoder)
    pair = networks.dense_encoder((3,), 2, units=(4,)), networks.dense_decoder(2, (3,), units=(4,))
    with pytest.raises(ValueError, match="mean and std must hold 3 values"):
        networks.standardized(*pair, mean=[0.0], std=[1.0])
    with pytest.raises(ValueError, match=r"from 1e-07 to 1e\+19, .* another unit"):
        networks.standardized(*pair, mean=np.zeros(3), std=[1.0, 1e-12, 1.0])
    with pytest.raises(ValueError, match="std above 0"):
        networks.standardized(*pair, mean=np.zeros(3), std=np.zeros(3))
    with pytest.raises(ValueError, match="needs the likelihood Gaussian, got Bernoulli"):
        BetaVAE.from_preset("higgins_quick", input_shape=(3,), standardization=(MEAN, STD))
    with pytest.raises(ValueError, match="finite number above 0"):
        Gaussian(units=[1.0, 0.0])


@pytest.mark.parametrize("shape", [(8, 1), (9, 2), (100, 3), (257, 1)])
def test_networks_of_signals_take_any_length(shape):
    encoder, decoder = networks.conv1d_encoder(shape, 2), networks.conv1d_decoder(2, shape)
    assert networks.fitting_shapes(encoder, decoder) == (shape, 2)
    mean, _ = encoder(np.zeros((2, *shape), "float32"))
    assert decoder(mean).shape == (2, *shape)


def test_signals_too_short_are_refused():
    with pytest.raises(ValueError, match=r"length of at least 8, got \(7, 1\); dense_encoder"):
        networks.conv1d_encoder((7, 1), 2)
