import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from keras_betavae.objectives import Beta, BetaTC, Capacity, Sample, SemiSupervised
from tests.helpers import EAGER, cost, gaussians, normal, patterns, reused, tiny_vae, weights_of

SIZES = (3, 6)
LABELS = np.array([[0, 5], [2, -1], [-1, -1], [-1, 3], [1, 0]])
losses = pytest.mark.parametrize("loss", ["xent", "l2"])
few = settings(max_examples=20, deadline=None)


def supervised_by_loop(mean, labels, loss, latents=(0, 1)):
    total, n_labeled = 0.0, 0
    for image in range(len(mean)):
        has_label = False
        for factor, latent in enumerate(latents):
            if labels[image, factor] < 0:
                continue
            has_label = True
            target = labels[image, factor] / SIZES[factor]
            probability = expit(mean[image, latent])
            if loss == "l2":
                total += (probability - target) ** 2
            else:
                total -= target * np.log(probability)
                total -= (1.0 - target) * np.log(expit(-mean[image, latent]))
        n_labeled += has_label
    return total / n_labeled if n_labeled else 0.0


def supervised(objective, labels, seed=0):
    """The supervised loss as the difference that it makes, and as it is watched."""
    _, _, posterior, prior = gaussians(len(labels), seed=seed)
    loss, logs, _ = cost(objective, posterior, prior, labels=tf.constant(labels))
    unsupervised = cost(objective.objective, posterior, prior).loss
    return float(loss - unsupervised), float(logs["supervised_loss"])


def gradient_of(objective, labels):
    mean, std, _, prior = gaussians(len(labels))
    mean = tf.Variable(mean, dtype="float32")
    with tf.GradientTape() as tape:
        value = cost(objective, normal(mean, std), prior, labels=tf.constant(labels)).loss
    return np.array(tape.gradient(value, mean, unconnected_gradients="zero"))


@losses
@few
@given(data=st.data(), batch=st.integers(1, 6), seed=st.integers(0, 99))
def test_supervised_loss_is_that_of_a_loop_over_known_labels(loss, data, batch, seed):
    row = st.tuples(*(st.integers(-1, size - 1) for size in SIZES))
    labels = np.array(data.draw(st.lists(row, min_size=batch, max_size=batch)))
    latents = data.draw(st.permutations(range(3)))[:2]
    expected = supervised_by_loop(gaussians(batch, seed=seed)[0], labels, loss, latents)
    objective = SemiSupervised(Beta(0.0), SIZES, 7.0, latents=latents, loss=loss)
    paid, watched = supervised(objective, labels, seed)
    assert paid == pytest.approx(7.0 * expected, rel=1e-5, abs=1e-6)
    assert watched == pytest.approx(expected, rel=1e-5, abs=1e-6)


@losses
@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
def test_partly_missing_labels_are_left_out(loss, dtype):
    expected = supervised_by_loop(gaussians()[0], LABELS, loss)
    paid, watched = supervised(SemiSupervised(Beta(2.0), SIZES, loss=loss), LABELS.astype(dtype))
    assert watched == pytest.approx(expected, rel=1e-5)
    assert paid == pytest.approx(10.0 * expected, rel=1e-4)


@losses
def test_missing_labels_get_no_gradient_and_known_ones_do(loss):
    objective = SemiSupervised(Beta(0.0), SIZES, latents=(2, 0), loss=loss)
    gradient = gradient_of(objective, LABELS)
    np.testing.assert_array_equal(gradient[:, [2, 0]] != 0.0, LABELS >= 0)
    np.testing.assert_array_equal(gradient[:, 1], 0.0)


@losses
@pytest.mark.parametrize("missing", [-1, -1.0, np.nan])
def test_without_labels_in_the_batch_the_wrapped_objective_is_left(loss, missing):
    labels = np.full((5, 2), missing)
    objective = SemiSupervised(Beta(4.0), SIZES, loss=loss)
    assert supervised(objective, labels) == (0.0, 0.0)
    # The supervised loss has finite gradients there: zeros.
    kl_only = SemiSupervised(Beta(4.0), SIZES, gamma=0.0, loss=loss)
    np.testing.assert_array_equal(gradient_of(objective, labels), gradient_of(kl_only, labels))
    assert np.all(np.isfinite(gradient_of(objective, labels)))


@losses
def test_labels_of_unknown_batch_size_do_not_change_the_value(loss):
    objective = SemiSupervised(Beta(4.0), SIZES, loss=loss)
    _, _, posterior, prior = gaussians()
    labels = tf.constant(LABELS)

    @tf.function(input_signature=[tf.TensorSpec((None, 2), labels.dtype)])
    def unknown(labels):
        return cost(objective, posterior, prior, labels=labels).loss

    expected = cost(objective, posterior, prior, labels=labels).loss
    np.testing.assert_allclose(unknown(labels), expected, rtol=1e-6)


def test_logs_charts_and_the_fit_to_data_are_those_of_the_wrapped_objective():
    _, _, posterior, prior = gaussians()
    objective = SemiSupervised(Capacity(10.0, 5.0), SIZES)
    logs = cost(objective, posterior, prior, labels=tf.constant(LABELS)).logs
    assert list(logs) == ["capacity", "capacity_distance", "supervised_loss"]
    assert objective.charts.items() > Capacity().charts.items()
    far = SemiSupervised(BetaTC(n_data=1_000), SIZES)
    assert not far.fits_data(64)
    assert far.for_data(64).fits_data(64)
    assert far.for_data(64).objective.n_data == 64


def semi_supervised(gamma=1.0):
    return tiny_vae(SemiSupervised(Beta(), SIZES, gamma=gamma), optimizer="sgd", compile=EAGER)


@pytest.mark.parametrize("wrong", [3, -2, 10**6, 0.5])
def test_labels_out_of_range_stop_a_fit_and_leave_the_weights(wrong):
    labels = np.full((8, 2), 1.0)
    labels[5, 0] = wrong  # Of three classes.
    vae = reused(semi_supervised)
    before = weights_of(vae.encoder)
    with pytest.raises(ValueError, match=r"labels of step 1 are out of range: each must be"):
        vae.fit(patterns(8), labels, verbose=0)
    for weight, other in zip(before, weights_of(vae.encoder), strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, r"y of the shape \(batch, 2\), got none"),
        (np.zeros((5, 3), int), r"y of the shape \(batch, 2\), got \(5, 3\)"),
        (np.zeros(5, int), r"y of the shape \(batch, 2\), got \(5,\)"),
        (np.zeros((5, 2, 1), int), r"y of the shape \(batch, 2\), got \(5, 2, 1\)"),
    ],
)
def test_labels_of_another_shape_are_refused(labels, message):
    _, _, posterior, prior = gaussians()
    objective = SemiSupervised(Beta(), SIZES)
    labels = None if labels is None else tf.constant(labels)
    sample = Sample(posterior, prior, posterior.sample(seed=[0, 0]), 0, tf.constant(0.0), labels)
    with pytest.raises(ValueError, match=message):
        objective(sample, {})


def test_latents_beyond_the_codes_are_refused():
    _, _, posterior, prior = gaussians(latent_dim=3)
    objective = SemiSupervised(Beta(), SIZES, latents=(0, 3))
    with pytest.raises(ValueError, match=r"latents must be below 3, got \(0, 3\)"):
        cost(objective, posterior, prior, labels=tf.constant(LABELS))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objective": SemiSupervised(Beta(), SIZES)}, "objective must be one that uses no labels"),
        ({"objective": "beta"}, "objective must be .* got 'beta'"),
        ({"factor_sizes": ()}, "latents must be .* 0 factors"),
        ({"factor_sizes": (3, 0)}, "factor_sizes must be .* got 0"),
        ({"gamma": -1.0}, "gamma must be .* got -1.0"),
        ({"gamma": float("nan")}, "gamma must be a finite number"),
        ({"latents": (1, 1)}, r"latents must be different latents, .* got \(1, 1\)"),
        ({"latents": (0, 1, 1)}, r"latents must be .* got \(0, 1, 1\)"),
        ({"latents": (0, 1, 2)}, r"latents must be .* got \(0, 1, 2\)"),
        ({"latents": (0,)}, r"latents must be .* got \(0,\)"),
        ({"latents": (0, -1)}, r"latents must be .* got \(0, -1\)"),
        ({"loss": "l1"}, "loss must be 'xent' or 'l2', got 'l1'"),
    ],
)
def test_values_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SemiSupervised(**{"objective": Beta(), "factor_sizes": SIZES, **arguments})


def test_fit_takes_labels_and_lowers_their_loss():
    images = patterns(32)
    labels = np.stack([images[:, 0, 0, 0] * 2, np.full(32, -1)], axis=1).astype("int64")
    vae = semi_supervised(gamma=100.0)
    history = vae.fit(images, labels, batch_size=32, epochs=3, verbose=0).history
    assert history["supervised_loss"][-1] < history["supervised_loss"][0]
    with pytest.raises(ValueError, match="labels must come as"):
        vae.fit(images, verbose=0)
