from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_probability import distributions as tfd

from keras_betavae.objectives import Beta, Capacity, SemiSupervised, kl_per_latent, mean_kl
from keras_betavae.objectives.schedules import Linear
from tests.examples import OBJECTIVES, all_of
from tests.helpers import EAGER, cost, gaussians, labels_for, normal, patterns, tiny_vae

EXAMPLES = all_of(OBJECTIVES)
every_objective = pytest.mark.parametrize("objective", EXAMPLES.values(), ids=EXAMPLES)
few = settings(max_examples=30, deadline=None)


def closed_form_kl(mean, std):
    return 0.5 * (mean**2 + std**2 - 1.0) - np.log(std)


def paid(objective, posterior, prior, step=0):
    return float(cost(objective, posterior, prior, step=step).loss)


@every_objective
def test_objectives_are_pure_functions_of_finite_scalar_value(objective):
    _, _, posterior, prior = gaussians()
    (loss, logs, state), again = (cost(objective, posterior, prior, step=3) for _ in range(2))
    # XLA takes longest, so it compiles one example of each kind.
    in_xla = any(objective is examples[0] for examples in OBJECTIVES.values())
    compiled = tf.function(partial(cost, objective), jit_compile=in_xla)
    assert loss.shape == ()
    assert np.isfinite(loss)
    assert loss == again.loss
    assert tuple(logs) == objective.log_names
    assert set(state) == set(objective.initial_state())
    charted = {name for names in objective.charts.values() for name in names}
    assert charted <= {*objective.log_names, "kl_loss", "reconstruction_loss"}
    z = posterior.sample(seed=[0, 0])
    np.testing.assert_allclose(
        cost(objective, posterior, prior, z).loss, compiled(posterior, prior, z).loss, rtol=1e-5
    )


@every_objective
@pytest.mark.parametrize("reorder", [np.flip, partial(np.roll, shift=2)], ids=["flip", "roll"])
def test_objectives_do_not_depend_on_the_order_of_the_batch(objective, reorder):
    if getattr(objective, "sampling", None) == "mss" and reorder is np.flip:
        pytest.skip("the stratified weights know which image comes next")
    mean, std, posterior, prior = gaussians()
    z, labels = posterior.sample(seed=[0, 0]), labels_for(objective)
    moved_labels = None if labels is None else tf.constant(reorder(labels.numpy(), axis=0))
    moved = normal(reorder(mean, axis=0), reorder(std, axis=0))
    moved_z = tf.constant(reorder(z.numpy(), axis=0))
    assert float(
        cost(objective, moved, prior, moved_z, step=3, labels=moved_labels).loss
    ) == pytest.approx(
        float(cost(objective, posterior, prior, z, step=3, labels=labels).loss), rel=1e-5
    )


@every_objective
def test_objectives_propagate_gradients_to_the_posterior(objective):
    mean = tf.Variable([[1.0, -2.0, 0.5]])
    with tf.GradientTape() as tape:
        value = cost(objective, normal(mean, 0.5), normal(tf.zeros(3), 1.0), step=1).loss
    gradient = tape.gradient(value, mean)
    pays_nothing = isinstance(objective, Beta) and objective.beta == 0.0
    assert np.all(np.isfinite(gradient))
    assert np.any(gradient != 0.0) != pays_nothing


def test_an_attribute_is_set_once():
    for objective in (Beta(4.0), Capacity(), SemiSupervised(Beta(), (3,)), Linear(0.0, 1.0, 9)):
        for name in objective.get_config():
            with pytest.raises(AttributeError, match=f"{name} of a .* cannot be changed, since"):
                setattr(objective, name, 2.0)


def test_kl_is_the_closed_form():
    mean, std, posterior, prior = gaussians()
    kl = kl_per_latent(posterior, prior)
    np.testing.assert_allclose(kl, closed_form_kl(mean, std), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        tf.reduce_sum(kl, -1), tfd.kl_divergence(posterior, prior), rtol=1e-5
    )


def test_kl_is_within_the_error_of_monte_carlo():
    n = 20_000
    _, _, posterior, prior = gaussians()
    z = posterior.sample(n, seed=[1, 2])
    log_ratio = posterior.distribution.log_prob(z) - prior.distribution.log_prob(z)
    estimate = np.mean(log_ratio, axis=0, dtype="float64")
    standard_error = np.std(log_ratio, axis=0) / np.sqrt(n)
    error = np.abs(estimate - kl_per_latent(posterior, prior))
    assert np.all(error < 4.0 * standard_error + 1e-6)


@few
@given(
    mean=st.floats(-20.0, 20.0),
    log_std=st.floats(-8.0, 4.0),
)
def test_kl_is_nonnegative_and_exact_everywhere(mean, log_std):
    std = np.exp(log_std)
    posterior = tfd.Independent(tfd.Normal([[np.float32(mean)]], [[np.float32(std)]]), 1)
    kl = float(kl_per_latent(posterior, tfd.Independent(tfd.Normal([0.0], 1.0), 1))[0, 0])
    assert kl >= -1e-6
    assert kl == pytest.approx(closed_form_kl(mean, std), rel=1e-4, abs=1e-5)


@few
@given(beta=st.floats(0.0, 1e3), factor=st.floats(0.0, 1e3))
def test_beta_is_linear_in_beta(beta, factor):
    mean, std, posterior, prior = gaussians()
    kl = closed_form_kl(mean, std).sum(axis=1).mean()
    z = tf.zeros(mean.shape)
    once, again = (float(cost(Beta(b), posterior, prior, z).loss) for b in (beta, beta * factor))
    assert once == pytest.approx(beta * kl, rel=1e-5)
    assert again == pytest.approx(factor * once, rel=1e-5)


@few
@given(
    beta=st.floats(0.0, 1e3),
    input_size=st.integers(1, 10**6),
    latent_dim=st.integers(1, 1000),
)
def test_from_normalized_inverts_the_papers_normalization(beta, input_size, latent_dim):
    beta_norm = beta * latent_dim / input_size
    objective = Beta.from_normalized(beta_norm, input_size=input_size, latent_dim=latent_dim)
    assert objective.beta == pytest.approx(beta, rel=1e-12)


class Watched(Beta):
    """Keeps the codes that it is shown."""

    def __call__(self, sample, state):
        self.__dict__["z"] = sample.z
        return super().__call__(sample, state)


def test_beta_of_one_is_the_negative_evidence_lower_bound():
    vae, images = tiny_vae(Watched(1.0)), patterns(8)
    loss = vae.compute_terms(images)["loss"]
    log_likelihood = vae.likelihood_of(vae.objective.z).log_prob(images)
    kl = tfd.kl_divergence(vae.posterior(images), vae.prior)
    assert float(loss) == pytest.approx(-float(tf.reduce_mean(log_likelihood - kl)), rel=1e-6)


def test_beta_of_one_is_the_negative_evidence_lower_bound_in_expectation():
    vae, images, n = tiny_vae(Beta(1.0)), patterns(8), 100
    terms = tf.function(vae.compute_terms)
    losses = np.array([terms(images)["loss"] for _ in range(n)])
    standard_error = np.std(losses) / np.sqrt(n)
    bound = float(tf.reduce_mean(tf.function(vae.elbo)(images, n_samples=1_000, seed=0)))
    assert abs(np.mean(losses) + bound) < 5.0 * standard_error


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 2.0), (25, 4.0), (50, 6.0), (100, 10.0), (101, 10.0), (10**9, 10.0)]
)
def test_capacity_rises_linearly_then_stays(step, expected):
    objective = Capacity(1.0, max_capacity=10.0, n_steps=100, min_capacity=2.0)
    assert float(objective.capacity(step)) == pytest.approx(expected)
    for seed in (0, 1):
        mean, std, posterior, prior = gaussians(seed=seed)
        logs = cost(objective, posterior, prior, step=step).logs
        assert list(logs) == ["capacity", "capacity_distance"]
        assert float(logs["capacity"]) == pytest.approx(expected)
        assert float(logs["capacity_distance"]) == pytest.approx(
            abs(closed_form_kl(mean, std).sum(axis=1).mean() - expected), rel=1e-4
        )


class Reporting(Beta):
    """Logs what it is called with."""

    log_names = ("kl", "squared_code", "at")

    def __call__(self, sample, state):
        logs = {
            "kl": mean_kl(sample.posterior, sample.prior),
            "squared_code": tf.reduce_mean(tf.square(sample.z)),
            "at": tf.cast(sample.step, "float32"),
        }
        return super().__call__(sample, state)._replace(logs=logs)


def test_an_objectives_logs_are_of_what_it_sees_and_are_reported_with_the_loss():
    vae = tiny_vae(Reporting(2.0), optimizer="sgd", compile=EAGER)
    vae.optimizer.learning_rate = 0.0
    images = patterns(32)
    history = vae.fit(images, batch_size=8, epochs=2, verbose=0, shuffle=False).history
    names = ["loss", "reconstruction_loss", "kl_loss", "kl", "squared_code", "at"]
    assert set(history) == set(names)
    np.testing.assert_allclose(history["kl"], history["kl_loss"], rtol=1e-5)
    np.testing.assert_allclose(history["at"], [1.5, 5.5])
    # The codes' second moment is that of the posterior, but for the noise of 192 draws.
    posterior = vae.posterior(images)
    expected = np.mean(np.square(posterior.mean()) + posterior.variance())
    np.testing.assert_allclose(history["squared_code"], expected, rtol=0.4)


class Misreporting(Beta):
    """Promises another log than it returns."""

    log_names = ("promised",)

    def __call__(self, sample, state):
        return super().__call__(sample, state)._replace(logs={"returned": tf.constant(0.0)})


def test_logs_that_are_not_those_of_log_names_are_refused():
    vae = tiny_vae(Misreporting(), compile=EAGER)
    message = r"missing \['promised'\], not named \['returned'\]"
    for run in (vae.train_on_batch, vae.test_on_batch):
        with pytest.raises(ValueError, match=message):
            run(patterns(4))


@few
@given(
    low=st.floats(0.0, 100.0),
    rise=st.floats(0.0, 100.0),
    n_steps=st.integers(1, 10**6),
    steps=st.lists(st.integers(0, 2 * 10**6), min_size=2, max_size=5).map(sorted),
)
def test_capacity_is_monotone_within_its_bounds(low, rise, n_steps, steps):
    objective = Capacity(1.0, low + rise, n_steps, low)
    capacities = np.array([objective.capacity(step) for step in steps])
    tolerance = 1e-5 * (1.0 + low + rise)
    assert np.all(np.diff(capacities) >= 0.0)
    assert capacities[0] >= low - tolerance
    assert capacities[-1] <= low + rise + tolerance
    assert float(objective.capacity(n_steps)) == pytest.approx(low + rise, rel=1e-6)


@few
@given(offset=st.floats(-5.0, 5.0), gamma=st.floats(1e-3, 1000.0))
def test_capacity_pays_for_the_distance_above_and_below(offset, gamma):
    mean, std, posterior, prior = gaussians()
    kl = closed_form_kl(mean, std).sum(axis=1).mean()
    capacity = max(kl + offset, 0.0)
    objective = Capacity(gamma, capacity, n_steps=1)
    expected = gamma * abs(kl - capacity)
    assert paid(objective, posterior, prior, step=1) == pytest.approx(
        expected, rel=1e-4, abs=1e-5 * gamma
    )


def test_capacity_reads_the_batch_mean_and_not_each_image():
    posterior = tfd.Independent(tfd.Normal([[0.0], [2.0]], 1.0), 1)
    prior = tfd.Independent(tfd.Normal([0.0], 1.0), 1)
    np.testing.assert_allclose(kl_per_latent(posterior, prior), [[0.0], [2.0]])
    # The KLs are 0 and 2: on average at a capacity of 1, each image a nat away from it.
    assert paid(Capacity(1.0, 1.0, n_steps=1), posterior, prior, step=1) == pytest.approx(0.0)


def test_capacity_advances_inside_a_compiled_fit():
    # A learning rate of 0 leaves C alone to change, and C far above the KL makes the
    # loss gamma * (C - KL) + reconstruction, linear in the step.
    objective = Capacity(gamma=1000.0, max_capacity=400.0, n_steps=20, min_capacity=200.0)
    vae = tiny_vae(objective, optimizer="sgd")
    vae.optimizer.learning_rate = 0.0
    images = np.repeat(patterns(1), 12, axis=0)
    history = vae.fit(images, batch_size=4, epochs=9, verbose=0, shuffle=False).history
    # Each epoch has 3 steps; a step reads the number of those before it.
    steps = np.arange(27).reshape(9, 3)
    expected = (200.0 + 10.0 * np.minimum(steps, 20)).mean(axis=1)
    np.testing.assert_allclose(history["capacity"], expected, rtol=1e-5)
    kl = np.array(history["kl_loss"])
    np.testing.assert_allclose(
        np.subtract(history["loss"], history["reconstruction_loss"]),
        1000.0 * (expected - kl),
        rtol=1e-4,
    )
    assert int(vae.step) == 27


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Beta(-1.0), "beta must be .* at least 0, got -1.0"),
        (lambda: Beta(float("nan")), "beta must be a finite number"),
        (lambda: Beta(float("inf")), "beta must be a finite number"),
        (lambda: Beta.from_normalized(-0.1, 10, 2), "beta_norm must be .* got -0.1"),
        (lambda: Beta.from_normalized(0.1, 0, 2), "input_size must be at least 1, got 0"),
        (lambda: Beta.from_normalized(0.1, 10, 0), "latent_dim must be at least 1, got 0"),
        (lambda: Capacity(gamma=-1.0), "gamma must be .* got -1.0"),
        (lambda: Capacity(gamma=float("nan")), "gamma must be a finite number"),
        (lambda: Capacity(min_capacity=-1.0), "min_capacity must be .* got -1.0"),
        (lambda: Capacity(max_capacity=float("inf")), "max_capacity must be a finite number"),
        (lambda: Capacity(max_capacity=1.0, min_capacity=2.0), "max_capacity .* 1.0 < 2.0"),
        (lambda: Capacity(n_steps=0), "n_steps must be .* got 0"),
        (lambda: Capacity(n_steps=1.5), "n_steps must be .* got 1.5"),
        (lambda: Capacity(n_steps=float("nan")), "n_steps must be .* got nan"),
        (lambda: Capacity(n_steps=float("inf")), "n_steps must be .* got inf"),
    ],
)
def test_values_out_of_range_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
