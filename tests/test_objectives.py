import inspect
from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_probability import distributions as tfd

from keras_betavae import objectives
from keras_betavae.objectives import (
    DIP,
    Beta,
    BetaTC,
    Capacity,
    Objective,
    SemiSupervised,
    kl_per_latent,
    mean_kl,
)
from keras_betavae.objectives.schedules import Cosine, Cyclical, Linear
from tests.helpers import patterns, tiny_vae

EXAMPLES = {
    "Beta": [Beta(), Beta(4.0), Beta(0.0), Beta(Linear(0.5, 4.0, n_steps=10))],
    "Capacity": [
        Capacity(),
        Capacity(10.0, 5.0, n_steps=7, min_capacity=0.5),
        Capacity(Cosine(1.0, 10.0, n_steps=5), 5.0),
    ],
    "BetaTC": [
        BetaTC(n_data=50),
        BetaTC(n_data=50, sampling="mws"),
        BetaTC(2.0, Cyclical(0.0, 6.0, n_steps=8), 0.5, n_data=50),
    ],
    "DIP": [DIP(), DIP("ii", 5.0, 5.0), DIP("ii", Linear(0.0, 10.0, n_steps=10))],
    "SemiSupervised": [
        SemiSupervised(Beta(4.0), (3, 6)),
        SemiSupervised(DIP("ii"), (3, 6), Linear(0.0, 10.0, 10), latents=(1, 0), loss="l2"),
    ],
}
ALL = [
    pytest.param(objective, id=f"{name}-{number}")
    for name, examples in EXAMPLES.items()
    for number, objective in enumerate(examples)
]
few = settings(max_examples=30, deadline=None)


def labels_for(objective, batch=5):
    """What a call of the objective wants beside the rest; -1 is a missing label."""
    if not objective.n_labels:
        return {}
    labels = np.arange(2 * batch).reshape(batch, 2) % objective.factor_sizes
    return {"labels": tf.constant(np.where(np.arange(batch)[:, None] % 3 == 1, -1, labels))}


def gaussians(batch=5, latent_dim=3, seed=0):
    """Means, standard deviations (float64), q(z|x) and p(z)."""
    rng = np.random.default_rng(seed)
    mean, std = rng.normal(size=(batch, latent_dim)), rng.uniform(0.2, 2.0, (batch, latent_dim))
    posterior = tfd.Independent(tfd.Normal(tf.cast(mean, "float32"), tf.cast(std, "float32")), 1)
    return mean, std, posterior, tfd.Independent(tfd.Normal(tf.zeros(latent_dim), 1.0), 1)


def closed_form_kl(mean, std):
    return 0.5 * (mean**2 + std**2 - 1.0) - np.log(std)


def paid(objective, posterior, prior, step=0):
    z, labels = posterior.sample(seed=[0, 0]), labels_for(objective)
    return float(objective(posterior, prior, z, tf.constant(step), **labels))


def test_every_objective_has_examples_here():
    defined = {
        name
        for name, value in inspect.getmembers(objectives, inspect.isclass)
        if issubclass(value, Objective) and not inspect.isabstract(value)
    }
    assert defined == set(EXAMPLES)


@pytest.mark.parametrize("objective", ALL)
def test_objectives_are_pure_functions_of_finite_scalar_value(objective):
    _, _, posterior, prior = gaussians()
    labels = labels_for(objective)
    arguments = (posterior, prior, posterior.sample(seed=[0, 0]), tf.constant(3))
    first, again = objective(*arguments, **labels), objective(*arguments, **labels)
    compiled = tf.function(objective, jit_compile=True)(*arguments, **labels)
    assert first.shape == ()
    assert np.isfinite(first)
    assert first == again
    np.testing.assert_allclose(first, compiled, rtol=1e-5)


@pytest.mark.parametrize("objective", ALL)
@pytest.mark.parametrize("reorder", [np.flip, partial(np.roll, shift=2)], ids=["flip", "roll"])
def test_objectives_do_not_depend_on_the_order_of_the_batch(objective, reorder):
    if getattr(objective, "sampling", None) == "mss" and reorder is np.flip:
        pytest.skip("the stratified weights know which image comes next")
    mean, std, posterior, prior = gaussians()
    z, labels, step = posterior.sample(seed=[0, 0]), labels_for(objective), tf.constant(3)
    moved_mean, moved_std, moved_z = (
        tf.cast(reorder(np.array(values), axis=0), "float32") for values in (mean, std, z)
    )
    moved_labels = {name: tf.constant(reorder(y.numpy(), axis=0)) for name, y in labels.items()}
    moved = tfd.Independent(tfd.Normal(moved_mean, moved_std), 1)
    assert float(objective(moved, prior, moved_z, step, **moved_labels)) == pytest.approx(
        float(objective(posterior, prior, z, step, **labels)), rel=1e-5
    )


@pytest.mark.parametrize("objective", ALL)
def test_objectives_propagate_gradients_to_the_posterior(objective):
    mean = tf.Variable([[1.0, -2.0]])
    with tf.GradientTape() as tape:
        posterior = tfd.Independent(tfd.Normal(mean, 0.5), 1)
        prior = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
        z, labels = posterior.sample(seed=[0, 0]), labels_for(objective, batch=1)
        value = objective(posterior, prior, z, tf.constant(1), **labels)
    gradient = tape.gradient(value, mean)
    pays_nothing = isinstance(objective, Beta) and objective.beta == 0.0
    assert np.all(np.isfinite(gradient))
    assert np.any(gradient != 0.0) != pays_nothing


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
    assert paid(Beta(beta), posterior, prior) == pytest.approx(beta * kl, rel=1e-5)
    assert paid(Beta(beta * factor), posterior, prior) == pytest.approx(
        factor * paid(Beta(beta), posterior, prior), rel=1e-5
    )


@few
@given(
    beta=st.floats(0.0, 1e3),
    input_size=st.integers(1, 10**6),
    latent_dim=st.integers(1, 1000),
)
def test_from_normalized_inverts_the_papers_normalisation(beta, input_size, latent_dim):
    beta_norm = beta * latent_dim / input_size
    objective = Beta.from_normalized(beta_norm, input_size=input_size, latent_dim=latent_dim)
    assert objective.beta == pytest.approx(beta, rel=1e-12)


class Watched(Beta):
    """Keeps the codes that it is shown."""

    def __call__(self, posterior, prior, z, step):
        self.z = z
        return super().__call__(posterior, prior, z, step)


def test_beta_of_one_is_the_negative_evidence_lower_bound():
    vae, images = tiny_vae(Watched(1.0)), patterns(8)
    loss = vae.compute_terms(images)["loss"]
    log_likelihood = vae.likelihood_of(vae.objective.z).log_prob(images)
    kl = tfd.kl_divergence(vae.posterior(images), vae.prior)
    assert float(loss) == pytest.approx(-float(tf.reduce_mean(log_likelihood - kl)), rel=1e-6)


def test_beta_of_one_is_the_negative_evidence_lower_bound_in_expectation():
    vae, images, n = tiny_vae(Beta(1.0)), patterns(8), 200
    terms = tf.function(vae.compute_terms)
    losses = np.array([terms(images)["loss"] for _ in range(n)])
    standard_error = np.std(losses) / np.sqrt(n)
    bound = float(tf.reduce_mean(tf.function(vae.elbo)(images, n_samples=10_000, seed=0)))
    assert abs(np.mean(losses) + bound) < 5.0 * standard_error


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 2.0), (25, 4.0), (50, 6.0), (100, 10.0), (101, 10.0), (10**9, 10.0)]
)
def test_capacity_rises_linearly_then_stays(step, expected):
    objective = Capacity(1.0, max_capacity=10.0, n_steps=100, min_capacity=2.0)
    assert float(objective.capacity(step)) == pytest.approx(expected)
    for seed in (0, 1):
        mean, std, posterior, prior = gaussians(seed=seed)
        z = posterior.sample(seed=[seed, 0])
        diagnostics = objective.diagnostics(posterior, prior, z, tf.constant(step))
        assert list(diagnostics) == ["capacity", "capacity_distance"]
        assert float(diagnostics["capacity"]) == pytest.approx(expected)
        assert float(diagnostics["capacity_distance"]) == pytest.approx(
            abs(closed_form_kl(mean, std).sum(axis=1).mean() - expected), rel=1e-4
        )


def test_beta_has_no_diagnostics():
    _, _, posterior, prior = gaussians()
    z = posterior.sample(seed=[0, 0])
    assert Beta(4.0).diagnostics(posterior, prior, z, tf.constant(3)) == {}


class Reporting(Beta):
    """Watches what it is called with."""

    def diagnostics(self, posterior, prior, z, step):
        return {
            "kl": mean_kl(posterior, prior),
            "squared_code": tf.reduce_mean(tf.square(z)),
            "at": tf.cast(step, "float32"),
        }


def test_an_objectives_diagnostics_see_what_it_sees_and_are_watched_beside_the_loss():
    vae = tiny_vae(Reporting(2.0), optimizer="sgd")
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
    assert {"kl", "squared_code", "at"} <= set(vae.compute_terms(images))


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


@pytest.mark.parametrize(
    ("steps_per_execution", "jit_compile"), [(1, False), (3, False), (1, True)]
)
def test_capacity_advances_inside_a_compiled_fit(jit_compile, steps_per_execution):
    # A learning rate of 0 leaves C alone to change, and C far above the KL makes the
    # loss gamma * (C - KL) + reconstruction, linear in the step.
    objective = Capacity(gamma=1000.0, max_capacity=400.0, n_steps=20, min_capacity=200.0)
    options = {"jit_compile": jit_compile, "steps_per_execution": steps_per_execution}
    vae = tiny_vae(objective, optimizer="sgd", compile=options)
    vae.optimizer.learning_rate = 0.0
    images = np.repeat(patterns(1), 12, axis=0)
    history = vae.fit(images, batch_size=4, epochs=9, verbose=0, shuffle=False).history
    # Each epoch has 3 steps; a step reads the iterations before it.
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
