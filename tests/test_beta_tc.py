import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from tensorflow_probability import distributions as tfd

from keras_betavae.objectives import BetaTC, mean_kl
from tests.helpers import EAGER, cost, gaussians, patterns, tiny_vae

SAMPLINGS = ("mss", "mws")
PARTS = ["mutual_information_loss", "total_correlation_loss", "dimension_wise_kl_loss"]
every_sampling = pytest.mark.parametrize("sampling", SAMPLINGS)


def weights_by_loop(batch, n_data, sampling):
    weights = np.zeros((batch, batch))
    for i in range(batch):
        for k in range(batch):
            if batch == 1:
                weights[i, k] = 1.0
            elif sampling == "mws":
                weights[i, k] = 1.0 / (n_data * batch)
            elif k == i:
                weights[i, k] = 1.0 / n_data
            else:
                weights[i, k] = 1.0 / (batch - 1)
                if k == (i + 1) % batch:
                    weights[i, k] -= 1.0 / n_data
    return weights


def parts_by_loop(mean, std, z, n_data, sampling):
    batch, latent_dim = mean.shape
    weights, parts = weights_by_loop(batch, n_data, sampling), np.zeros((batch, 3))
    for i in range(batch):
        q, q_each = 0.0, np.zeros(latent_dim)
        for k in range(batch):
            densities = stats.norm.pdf(z[i], mean[k], std[k])
            q += weights[i, k] * np.prod(densities)
            q_each += weights[i, k] * densities
        log_q_given_x = stats.norm.logpdf(z[i], mean[i], std[i]).sum()
        log_q, log_product = np.log(q), np.log(q_each).sum()
        parts[i] = (
            log_q_given_x - log_q,
            log_q - log_product,
            log_product - stats.norm.logpdf(z[i]).sum(),
        )
    return parts.mean(axis=0)


@every_sampling
@pytest.mark.parametrize(
    ("batch", "n_data"), [(1, 1), (1, 9), (2, 2), (2, 737_280), (5, 5), (5, 50), (64, 737_280)]
)
def test_weights_are_those_of_a_double_loop(batch, n_data, sampling):
    log_weights = BetaTC(n_data=n_data, sampling=sampling).log_weights(batch)
    expected = np.log(weights_by_loop(batch, n_data, sampling))
    np.testing.assert_allclose(log_weights, expected, atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize(("batch", "n_data"), [(1, 1), (2, 2), (2, 7), (7, 7), (33, 10**6)])
def test_stratified_weights_of_a_code_sum_to_one(batch, n_data):
    weights = tf.exp(BetaTC(n_data=n_data).log_weights(batch))
    np.testing.assert_allclose(tf.reduce_sum(weights, axis=1), 1.0, rtol=1e-5)


@every_sampling
@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_parts_are_those_of_a_double_loop(batch, sampling):
    mean, std, posterior, prior = gaussians(batch, latent_dim=2, seed=batch)
    z = posterior.sample(seed=[0, batch])
    objective = BetaTC(2.0, 3.0, 0.5, n_data=20, sampling=sampling)
    expected = parts_by_loop(mean, std, np.array(z, "float64"), 20, sampling)
    loss, logs, _ = cost(objective, posterior, prior, z)
    assert list(logs) == PARTS
    np.testing.assert_allclose(list(logs.values()), expected, rtol=1e-5, atol=1e-6)
    assert float(loss) == pytest.approx(np.dot([2.0, 3.0, 0.5], expected), rel=1e-5)


@pytest.mark.parametrize("position", [0, 2, 3])
def test_stratified_estimate_is_unbiased_and_weighted_one_a_lower_bound(position):
    n, batch = 7, 4
    mean, std, _, _ = gaussians(n, latent_dim=3, seed=4)
    z = mean[0] + 0.3 * std[0]
    densities = stats.norm.pdf(z, mean, std)
    joint_and_each = np.column_stack([densities.prod(axis=1), densities])
    truth = joint_and_each.mean(axis=0)
    # Every ordered minibatch that has image 0 where the code's row is.
    batches = [
        np.insert(others, position, 0) for others in itertools.permutations(range(1, n), batch - 1)
    ]
    means = {}
    for sampling in SAMPLINGS:
        weights = np.exp(BetaTC(n_data=n, sampling=sampling).log_weights(batch))[position]
        means[sampling] = np.mean([weights @ joint_and_each[b] for b in batches], axis=0)
    np.testing.assert_allclose(means["mss"], truth, rtol=1e-5)
    assert np.all(means["mws"] < 0.9 * truth)


@every_sampling
def test_equal_weights_are_the_log_ratio_of_posterior_and_prior(sampling):
    _, _, posterior, prior = gaussians(8)
    z = posterior.sample(seed=[0, 0])
    value = cost(BetaTC(1.0, 1.0, 1.0, n_data=50, sampling=sampling), posterior, prior, z).loss
    log_ratio = tf.reduce_mean(posterior.log_prob(z) - prior.log_prob(z))
    np.testing.assert_allclose(value, log_ratio, rtol=1e-4, atol=1e-4)


@every_sampling
def test_equal_weights_are_the_kl_in_expectation(sampling):
    n = 60
    _, _, posterior, prior = gaussians(8)
    objective = BetaTC(1.0, 1.0, 1.0, n_data=50, sampling=sampling)
    codes = posterior.sample(n, seed=[3, 4])
    each = tf.function(lambda z: cost(objective, posterior, prior, z).loss)
    values = np.array([each(z) for z in codes])
    standard_error = np.std(values) / np.sqrt(n)
    assert abs(np.mean(values) - mean_kl(posterior, prior)) < 4.0 * standard_error


@every_sampling
def test_a_batch_of_one_image_has_no_mutual_information(sampling):
    _, _, posterior, prior = gaussians(1)
    parts = cost(BetaTC(n_data=50, sampling=sampling), posterior, prior).logs
    assert float(parts["mutual_information_loss"]) == pytest.approx(0.0, abs=1e-5)
    assert float(parts["total_correlation_loss"]) == pytest.approx(0.0, abs=1e-5)


@every_sampling
@pytest.mark.parametrize(("spread", "std"), [(1.0, 0.5), (100.0, 1e-3)])
def test_gradients_are_finite_even_of_codes_far_apart(sampling, spread, std):
    objective = BetaTC(n_data=10**6, sampling=sampling)
    mean = tf.Variable(spread * gaussians(6)[0], dtype="float32")
    log_std = tf.Variable(tf.fill(mean.shape, float(np.log(std))))
    prior = gaussians(6)[-1]
    with tf.GradientTape() as tape:
        posterior = tfd.Independent(tfd.Normal(mean, tf.exp(log_std)), 1)
        value = cost(objective, posterior, prior).loss
    gradients = np.array(tape.gradient(value, [mean, log_std]))
    assert np.all(np.isfinite(gradients))
    assert np.all(np.any(gradients != 0.0, axis=(1, 2)))


@every_sampling
def test_batches_of_unknown_size_give_the_same_in_one_trace(sampling):
    objective, traces = BetaTC(n_data=8, sampling=sampling), []

    @tf.function(input_signature=[tf.TensorSpec((None, 3))] * 3)
    def unknown(mean, std, z):
        traces.append(1)
        posterior = tfd.Independent(tfd.Normal(mean, std), 1)
        return cost(objective, posterior, gaussians()[-1], z).loss

    for batch in (1, 2, 8):
        _, _, posterior, prior = gaussians(batch)
        z = posterior.sample(seed=[0, 0])
        normal = posterior.distribution
        np.testing.assert_allclose(
            unknown(normal.loc, normal.scale, z),
            cost(objective, posterior, prior, z).loss,
            rtol=1e-5,
        )
    assert len(traces) == 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="n_data is below the batch"):
        unknown(*tf.ones((3, 9, 3)))


@every_sampling
def test_a_batch_larger_than_the_data_is_refused(sampling):
    _, _, posterior, prior = gaussians(5)
    objective = BetaTC(n_data=4, sampling=sampling)
    with pytest.raises(ValueError, match="n_data must be at least the batch's 5, got 4"):
        cost(objective, posterior, prior)


@pytest.mark.parametrize("as_stream", [False, True], ids=["arrays", "tf.data"])
def test_an_n_data_of_another_data_set_is_warned_of_once_and_for_data_sets_it(as_stream):
    images, options = patterns(64), {"epochs": 2, "verbose": 0, "batch_size": 64}
    if as_stream:
        images = tf.data.Dataset.from_tensor_slices(images).batch(64)
        options.pop("batch_size")
        options["validation_data"] = tf.data.Dataset.from_tensor_slices(patterns(8)).batch(8)
    far = BetaTC(n_data=737_280)
    with pytest.warns(
        UserWarning, match=r"the 64 of this data.* objective.for_data\(64\)"
    ) as caught:
        tiny_vae(far, optimizer="sgd", compile=EAGER).fit(images, **options)
    assert len(caught) == 1
    fitted = far.for_data(64)
    assert fitted.get_config() == {**far.get_config(), "n_data": 64}
    # A warning would be an error.
    tiny_vae(fitted, optimizer="sgd", compile=EAGER).fit(images, **options | {"epochs": 1})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": -1.0}, "alpha must be .* got -1.0"),
        ({"beta": float("nan")}, "beta must be a finite number"),
        ({"gamma": float("inf")}, "gamma must be a finite number"),
        ({"n_data": 0}, "n_data must be .* got 0"),
        ({"n_data": 1.5}, "n_data must be .* got 1.5"),
        ({"sampling": "mcs"}, "sampling must be 'mss' or 'mws', got 'mcs'"),
    ],
)
def test_values_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        BetaTC(**{"n_data": 50, **arguments})
