import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from keras_betavae.likelihoods import (
    MIN_SCALE,
    Bernoulli,
    ContinuousBernoulli,
    Gaussian,
    Laplace,
)
from tests.examples import LIKELIHOODS, all_of
from tests.helpers import EAGER, patterns, tiny_vae

ALL = list(all_of(LIKELIHOODS).values())
SHAPES = [(4, 4, 1), (2, 3, 3), (7,)]
LOGITS = [-50.0, -16.0, -1.0, -0.27, -1e-4, -1e-8, 0.0, 1e-8, 1e-4, 0.27, 1.0, 16.0, 50.0]
few = settings(max_examples=30, deadline=None)


def label(likelihood):
    return f"{type(likelihood).__name__}{list(likelihood.get_config().values())}"


def params_and_images(shape, batch=5, seed=0):
    rng = np.random.default_rng(seed)
    params = rng.normal(scale=3.0, size=(batch, *shape)).astype("float32")
    return params, rng.random((batch, *shape)).astype("float32")


def summed_over_pixels(values):
    return values.reshape(len(values), -1).sum(axis=1)


def cross_entropy(logits, targets):
    logits, targets = logits.astype("float64"), targets.astype("float64")
    return targets * special.log_expit(logits) + (1.0 - targets) * special.log_expit(-logits)


def continuous_bernoulli(x, logit):
    """The density normalized as its authors write it, in p and not in the logit."""
    p = special.expit(logit)
    normalizer = 2.0 if p == 0.5 else 2.0 * np.arctanh(1.0 - 2.0 * p) / (1.0 - 2.0 * p)
    return normalizer * p**x * (1.0 - p) ** (1.0 - x)


def density(likelihood, x, param):
    p = likelihood(tf.fill((len(x), 1), tf.constant(param, "float64")))
    return tf.exp(p.log_prob(x[:, None])).numpy()


def gradients(likelihood, params, images, jit_compile=False):
    """Of log_prob for the params and the images and of the mean for the params."""

    @tf.function(jit_compile=jit_compile)
    def differentiate(params, images):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([params, images])
            p = likelihood(params)
            log_prob, mean = p.log_prob(images), p.mean()
        slopes = tape.gradient(log_prob, [params, images])
        return log_prob, mean, *slopes, tape.gradient(mean, params)

    return [value.numpy() for value in differentiate(tf.constant(params), tf.constant(images))]


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
def test_log_prob_is_highest_at_the_mode(likelihood):
    params, images = params_and_images((4, 4, 1))
    p = likelihood(tf.constant(params))
    assert np.all(p.log_prob(p.mode()) > p.log_prob(images))


@pytest.mark.parametrize("likelihood", ALL, ids=label)
def test_a_likelihood_survives_json(likelihood):
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(likelihood)))
    restored = keras.saving.deserialize_keras_object(serialized)
    assert type(restored) is type(likelihood)
    assert restored.get_config() == likelihood.get_config()
    params, images = params_and_images((4, 4, 1))
    np.testing.assert_array_equal(
        restored(tf.constant(params)).log_prob(images),
        likelihood(tf.constant(params)).log_prob(images),
    )


@pytest.mark.parametrize("likelihood", ALL, ids=label)
def test_only_what_is_learned_has_weights(likelihood):
    assert len(likelihood.weights) == int(likelihood.get_config().get("learned", False))


@pytest.mark.parametrize("likelihood", ALL, ids=label)
def test_values_and_gradients_are_finite_at_extreme_params_and_pixels(likelihood):
    params, images = np.meshgrid(np.array(LOGITS, "float32"), np.float32([0.0, 0.3, 1.0]))
    for values in gradients(likelihood, params.reshape(-1, 1), images.reshape(-1, 1)):
        assert np.all(np.isfinite(values))


def test_values_and_gradients_are_finite_in_xla_too():
    params, images = np.meshgrid(np.array(LOGITS, "float32"), np.float32([0.0, 0.3, 1.0]))
    for likelihood in (ContinuousBernoulli(), Bernoulli(subtract_entropy=True)):
        for values in gradients(likelihood, params.reshape(-1, 1), images.reshape(-1, 1), True):
            assert np.all(np.isfinite(values))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bernoulli_is_scipys_on_binary_images(shape):
    params, gray = params_and_images(shape)
    images = (gray > 0.5).astype("float32")
    expected = stats.bernoulli(special.expit(params.astype("float64"))).logpmf(images)
    np.testing.assert_allclose(
        Bernoulli()(tf.constant(params)).log_prob(images), summed_over_pixels(expected), rtol=1e-5
    )


def test_bernoulli_is_the_cross_entropy_of_gray_targets():
    params, gray = params_and_images((4, 4, 1))
    log_prob = Bernoulli()(tf.constant(params)).log_prob(gray)
    np.testing.assert_allclose(log_prob, summed_over_pixels(cross_entropy(params, gray)), rtol=1e-5)


@few
@given(logit=st.floats(-1e4, 1e4), pixel=st.floats(0.0, 1.0))
def test_bernoulli_stays_finite_and_its_mean_a_gray_value(logit, pixel):
    p = Bernoulli()(tf.constant([[logit]], "float32"))
    assert np.isfinite(p.log_prob([[np.float32(pixel)]]))
    assert 0.0 <= float(p.mean()[0, 0]) <= 1.0
    assert float(p.mean()[0, 0]) == pytest.approx(special.expit(logit), abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bernoulli_without_entropy_is_the_negative_divergence(shape):
    params, gray = params_and_images(shape)
    pixels, probs = gray.astype("float64"), special.expit(params.astype("float64"))
    divergence = special.rel_entr(pixels, probs) + special.rel_entr(1.0 - pixels, 1.0 - probs)
    p = Bernoulli(subtract_entropy=True)(tf.constant(params))
    np.testing.assert_allclose(p.log_prob(gray), -summed_over_pixels(divergence), rtol=1e-5)
    np.testing.assert_allclose(p.mean(), probs, rtol=1e-5)


def test_bernoulli_without_entropy_differs_by_each_images_entropy_alone():
    params, gray = params_and_images((4, 4, 1))
    plain, gray_aware = (
        gradients(Bernoulli(subtract_entropy), params, gray) for subtract_entropy in (False, True)
    )
    entropy = stats.bernoulli(gray.astype("float64")).entropy()
    np.testing.assert_allclose(
        gray_aware[0] - plain[0], summed_over_pixels(entropy), rtol=1e-5, atol=1e-4
    )
    np.testing.assert_allclose(gray_aware[2], plain[2], rtol=1e-6)


def test_bernoulli_without_entropy_is_the_plain_one_on_binary_images():
    params, gray = params_and_images((4, 4, 1))
    images = (gray > 0.5).astype("float32")
    plain, gray_aware = (Bernoulli(flag)(tf.constant(params)) for flag in (False, True))
    np.testing.assert_array_equal(gray_aware.log_prob(images), plain.log_prob(images))


@few
@given(logit=st.floats(-1e4, 1e4), pixel=st.floats(0.0, 1.0))
def test_bernoulli_without_entropy_is_never_above_zero(logit, pixel):
    p = Bernoulli(subtract_entropy=True)(tf.constant([[logit]], "float32"))
    assert -np.inf < float(p.log_prob([[np.float32(pixel)]])[0]) <= 1e-6


@few
@given(logit=st.floats(-1e4, 1e4))
def test_bernoulli_without_entropy_is_zero_at_a_perfect_reconstruction(logit):
    p = Bernoulli(subtract_entropy=True)(tf.constant([[logit]], "float32"))
    assert float(p.log_prob(special.expit(np.array([[logit]], "float32")))[0]) == pytest.approx(
        0.0, abs=1e-6
    )


def test_continuous_bernoulli_is_its_closed_form():
    params, images = params_and_images((2, 3, 3))
    expected = [
        np.log(continuous_bernoulli(float(x), float(logit)))
        for x, logit in zip(images.ravel(), params.ravel(), strict=True)
    ]
    np.testing.assert_allclose(
        ContinuousBernoulli()(tf.constant(params)).log_prob(images),
        summed_over_pixels(np.reshape(expected, params.shape)),
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("logit", LOGITS)
def test_continuous_bernoulli_integrates_to_one_and_its_mean_is_the_integral(logit):
    likelihood = ContinuousBernoulli()
    total, _ = integrate.fixed_quad(lambda x: density(likelihood, x, logit), 0.0, 1.0, n=60)
    mean, _ = integrate.fixed_quad(lambda x: x * density(likelihood, x, logit), 0.0, 1.0, n=60)
    assert total == pytest.approx(1.0, abs=1e-6)
    shown = likelihood(tf.constant([[logit]], "float32")).mean()
    assert float(shown[0, 0]) == pytest.approx(mean, rel=1e-5)


def test_continuous_bernoullis_slope_is_the_distance_from_its_mean():
    params = np.array(LOGITS, "float32")[:, None]
    pixel = np.full_like(params, 0.3)
    _, mean, slope, _, _ = gradients(ContinuousBernoulli(), params, pixel)
    np.testing.assert_allclose(slope, pixel - mean, rtol=1e-4, atol=1e-5)


@few
@given(logit=st.floats(-1e4, 1e4), pixel=st.floats(0.0, 1.0))
def test_continuous_bernoulli_is_at_least_twice_the_cross_entropys_likelihood(logit, pixel):
    params, images = np.array([[logit]], "float32"), np.array([[pixel]], "float32")
    plain, continuous = (
        float(likelihood(tf.constant(params)).log_prob(images)[0])
        for likelihood in (Bernoulli(), ContinuousBernoulli())
    )
    assert continuous - plain >= np.log(2.0) - 1e-6 * max(1.0, abs(plain))


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_gaussian_is_scipys(scale):
    params, images = params_and_images((2, 3, 3))
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


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_laplace_is_scipys(scale):
    params, images = params_and_images((2, 3, 3))
    expected = stats.laplace(params.astype("float64"), scale).logpdf(images)
    p = Laplace(scale)(tf.constant(params))
    np.testing.assert_allclose(p.log_prob(images), summed_over_pixels(expected), rtol=1e-5)
    np.testing.assert_array_equal(p.mean(), params)


@pytest.mark.parametrize("kind", [Gaussian, Laplace])
@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_is_none_is_refused(kind, scale):
    with pytest.raises(ValueError, match="scale must be a finite number above 0, got"):
        kind(scale)


@pytest.mark.parametrize("scale", [MIN_SCALE, MIN_SCALE / 2])
def test_a_learned_scale_starts_above_its_floor(scale):
    with pytest.raises(ValueError, match=f"a learned scale must start above {MIN_SCALE}, got"):
        Gaussian(scale, learned=True)
    assert Gaussian(scale).scale == scale


@few
@given(scale=st.floats(2.0 * MIN_SCALE, 100.0))
def test_a_learned_gaussian_starts_as_the_fixed_one(scale):
    params, images = (tf.constant(values) for values in params_and_images((4, 4, 1)))
    learned, fixed = Gaussian(scale, learned=True), Gaussian(scale)
    assert float(learned.sigma) == pytest.approx(scale, rel=1e-5)
    assert float(fixed.sigma) == pytest.approx(scale, rel=1e-6)
    np.testing.assert_allclose(
        learned(params).log_prob(images), fixed(params).log_prob(images), rtol=1e-4, atol=1e-3
    )


@pytest.mark.parametrize("rms", [0.02, 5.0])
def test_a_learned_scale_becomes_the_residuals_root_mean_square(rms):
    params, _ = params_and_images((4, 4, 1))
    residuals = rms * np.random.default_rng(1).normal(size=params.shape).astype("float32")
    likelihood, images = Gaussian(learned=True), params + residuals
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build(likelihood.weights)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(likelihood(tf.constant(params)).log_prob(images))
        weights = [weight.value for weight in likelihood.weights]
        optimizer.apply(tape.gradient(loss, weights), likelihood.weights)

    for _ in range(300):
        step()
    expected = np.sqrt(np.mean((images - params).astype("float64") ** 2))
    assert float(likelihood.sigma) == pytest.approx(expected, rel=1e-3)
    assert likelihood.get_config()["scale"] == 1.0


def test_a_learned_scale_never_falls_below_its_floor():
    params, _ = params_and_images((4, 4, 1))
    likelihood = Gaussian(learned=True)
    likelihood.weights[0].assign(-1e4)
    p = likelihood(tf.constant(params))
    assert float(likelihood.sigma) == pytest.approx(MIN_SCALE)
    expected = stats.norm(params.astype("float64"), MIN_SCALE).logpdf(params)
    np.testing.assert_allclose(p.log_prob(params), summed_over_pixels(expected), rtol=1e-5)


def test_one_made_from_the_config_learns_a_scale_of_its_own_from_the_start():
    likelihood = Gaussian(0.5, learned=True)
    likelihood.weights[0].assign(2.0)
    fresh = Gaussian.from_config(likelihood.get_config())
    assert float(fresh.sigma) == pytest.approx(0.5)
    fresh.weights[0].assign(-2.0)
    assert float(likelihood.sigma) == pytest.approx(MIN_SCALE + np.exp(2.0))


def test_a_learned_scale_stays_float32_inside_a_layer_of_half_precision():
    likelihood, seen = Gaussian(learned=True), []
    layer = keras.layers.Lambda(
        lambda x: seen.append(likelihood.sigma.dtype) or x, dtype="mixed_float16"
    )
    assert layer(tf.ones((1, 1))).dtype == tf.float16
    assert set(seen) == {tf.float32}
    assert likelihood.weights[0].trainable


def test_only_the_bernoullis_bound_their_images():
    bounded = {type(likelihood).__name__ for likelihood in ALL if likelihood.support}
    assert bounded == {"Bernoulli", "ContinuousBernoulli"}
    assert Bernoulli.support == ContinuousBernoulli.support == (0.0, 1.0)


def test_a_learned_scale_is_trained_with_the_model():
    likelihood = Gaussian(1.0, learned=True)
    vae = tiny_vae(likelihood=likelihood, optimizer=keras.optimizers.Adam(0.1), compile=EAGER)
    assert any(weight is likelihood.weights[0] for weight in vae.trainable_variables)
    vae.fit(patterns(64), batch_size=16, verbose=0)
    assert float(likelihood.sigma) < 0.8
