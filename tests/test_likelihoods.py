import inspect

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from keras_betavae import likelihoods
from keras_betavae.likelihoods import Bernoulli, Gaussian, Likelihood

EXAMPLES = {"Bernoulli": [Bernoulli()], "Gaussian": [Gaussian(), Gaussian(0.1), Gaussian(3.0)]}
ALL = [likelihood for examples in EXAMPLES.values() for likelihood in examples]
SHAPES = [(4, 4, 1), (2, 3, 3), (7,)]
few = settings(max_examples=30, deadline=None)


def label(likelihood):
    return f"{type(likelihood).__name__}{list(likelihood.get_config().values())}"


def params_and_images(shape, batch=5, seed=0):
    rng = np.random.default_rng(seed)
    params = rng.normal(scale=3.0, size=(batch, *shape)).astype("float32")
    return params, rng.random((batch, *shape)).astype("float32")


def summed_over_pixels(values):
    return values.reshape(len(values), -1).sum(axis=1)


def test_every_likelihood_has_examples_here():
    defined = {
        name
        for name, value in inspect.getmembers(likelihoods, inspect.isclass)
        if issubclass(value, Likelihood) and not inspect.isabstract(value)
    }
    assert defined == set(EXAMPLES)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("likelihood", ALL, ids=label)
def test_a_likelihood_is_a_distribution_over_whole_images(likelihood, shape):
    params, images = params_and_images(shape)
    p = likelihood(tf.constant(params))
    assert p.batch_shape == (5,)
    assert p.event_shape == shape
    assert p.log_prob(images).shape == (5,)
    assert p.mean().shape == images.shape
    assert p.mean().dtype == tf.float32


@pytest.mark.parametrize("likelihood", ALL, ids=label)
def test_log_prob_is_summed_over_pixels_and_not_averaged(likelihood):
    params, images = params_and_images((2, 2, 1))
    whole = likelihood(tf.constant(params)).log_prob(images)
    pixels = likelihood(params.reshape(-1, 1)).log_prob(images.reshape(-1, 1))
    np.testing.assert_allclose(whole, summed_over_pixels(pixels.numpy().reshape(5, 4)), rtol=1e-5)


@pytest.mark.parametrize("likelihood", ALL, ids=label)
def test_log_prob_is_highest_at_the_mean_image(likelihood):
    params, images = params_and_images((4, 4, 1))
    p = likelihood(tf.constant(params))
    truth = tf.cast(p.mean() > 0.5, "float32") if likelihood.support else p.mean()
    assert np.all(p.log_prob(truth) > p.log_prob(images))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bernoulli_is_scipys_on_binary_images(shape):
    params, grey = params_and_images(shape)
    images = (grey > 0.5).astype("float32")
    expected = stats.bernoulli(special.expit(params.astype("float64"))).logpmf(images)
    np.testing.assert_allclose(
        Bernoulli()(tf.constant(params)).log_prob(images), summed_over_pixels(expected), rtol=1e-5
    )


def test_bernoulli_is_the_cross_entropy_of_grey_targets():
    params, grey = params_and_images((4, 4, 1))
    logits, targets = params.astype("float64"), grey.astype("float64")
    expected = targets * special.log_expit(logits) + (1.0 - targets) * special.log_expit(-logits)
    log_prob = Bernoulli()(tf.constant(params)).log_prob(grey)
    np.testing.assert_allclose(log_prob, summed_over_pixels(expected), rtol=1e-5)


@few
@given(logit=st.floats(-1e4, 1e4), pixel=st.floats(0.0, 1.0))
def test_bernoulli_stays_finite_and_its_mean_a_grey_value(logit, pixel):
    p = Bernoulli()(tf.constant([[logit]], "float32"))
    assert np.isfinite(p.log_prob([[np.float32(pixel)]]))
    assert 0.0 <= float(p.mean()[0, 0]) <= 1.0
    assert float(p.mean()[0, 0]) == pytest.approx(special.expit(logit), abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_gaussian_is_scipys(shape, scale):
    params, images = params_and_images(shape)
    expected = stats.norm(params.astype("float64"), scale).logpdf(images)
    p = Gaussian(scale)(tf.constant(params))
    np.testing.assert_allclose(p.log_prob(images), summed_over_pixels(expected), rtol=1e-5)
    np.testing.assert_array_equal(p.mean(), params)


@few
@given(scale=st.floats(0.01, 100.0), distance=st.floats(-10.0, 10.0))
def test_gaussian_keeps_its_half(scale, distance):
    p = Gaussian(scale)(tf.constant([[0.0]]))
    at_mean, away = float(p.log_prob([[0.0]])[0]), float(p.log_prob([[np.float32(distance)]])[0])
    expected = 0.5 * (distance / scale) ** 2
    assert at_mean - away == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert at_mean == pytest.approx(-np.log(scale * np.sqrt(2.0 * np.pi)), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_gaussian_refuses_a_scale_that_is_none(scale):
    with pytest.raises(ValueError, match="scale must be a finite number above 0, got"):
        Gaussian(scale)


def test_only_bernoulli_bounds_its_images():
    assert Bernoulli().support == (0.0, 1.0)
    assert Gaussian().support is None
