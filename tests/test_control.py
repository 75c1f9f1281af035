import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_betavae import BetaVAE
from keras_betavae.objectives import ControlledCapacity, Linear, Staircase, TargetReconstruction
from keras_betavae.objectives.base import Sample
from tests.helpers import EAGER, dtype_policy, normal, patterns, tiny_networks, tiny_vae, weights_of

PRIOR = normal(np.zeros(1), 1.0)


def sample_of(kl, step=0, reconstruction=0.0):
    """A sample of one latent whose KL is known: the mean is the root of twice it."""
    mean = tf.sqrt(2.0 * tf.cast(kl, "float32"))
    posterior = normal(tf.reshape(mean, (1, 1)), 1.0)
    return Sample(posterior, PRIOR, posterior.mean(), step, tf.cast(reconstruction, "float32"))


def betas_of(objective, kls):
    """The β of each step, and that of the step after the last."""
    state, betas = objective.initial_state(), []
    for step, kl in enumerate(kls):
        loss, logs, state = objective(sample_of(kl, step), state)
        assert float(loss) == pytest.approx(float(logs["beta"]) * kl, rel=1e-5)
        betas.append(float(logs["beta"]))
    return [*betas, float(objective.beta(state))]


KLS = np.random.default_rng(0).uniform(0.0, 12.0, 60)
TARGET = 5.0


def test_the_logarithm_follows_its_equation():
    beta, last, expected = 20.0, 0.0, [20.0]
    for kl in KLS:
        error = last + (TARGET - kl - last) / 4
        beta = np.clip(beta * np.exp(-0.3 * (error - last) - 0.05 * error), 12.0, 30.0)
        last = error
        expected.append(beta)
    bounds = {"initial_beta": 20.0, "min_beta": 12.0, "max_beta": 30.0}
    found = betas_of(ControlledCapacity(TARGET, kp=0.3, ki=0.05, smoothing=4, **bounds), KLS)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert min(found) == pytest.approx(12.0)
    assert max(found) == pytest.approx(30.0)


def test_controlvae_follows_its_code():
    # The released code's loop: P + 1 + I, where I rests while that was below 1 the step before,
    # here only if it would fall further.
    kp, ki, integral, unclipped, expected = 0.5, 0.1, 0.0, 1.0, []
    for kl in KLS:
        error = TARGET - kl
        if unclipped >= 1.0 or error < 0:
            integral -= ki * error
        unclipped = kp / (1.0 + np.exp(error)) + 1.0 + integral
        expected.append(max(unclipped, 1.0))
    objective = ControlledCapacity(TARGET, "pi", kp=kp, ki=ki, initial_beta=1.0 + kp / 2)
    np.testing.assert_allclose(betas_of(objective, KLS)[1:], expected, rtol=1e-4)
    assert 1.0 in expected
    assert max(expected) > 2.0


def test_dynamicvae_follows_its_code_but_for_the_average():
    kp, ki, beta, last, expected = 0.5, 0.2, 2.0, 0.0, [2.0]
    for kl in KLS:
        error = last + (TARGET - kl - last) / 5
        change = kp * (1.0 / (1.0 + np.exp(error)) - 1.0 / (1.0 + np.exp(last)))
        beta += change - (ki * error if beta >= 1.5 or error < 0 else 0.0)
        last = error
        expected.append(max(beta, 1.5))
    bounds = {"initial_beta": 2.0, "min_beta": 1.5}
    objective = ControlledCapacity(TARGET, "incremental", kp=kp, ki=ki, **bounds)
    np.testing.assert_allclose(betas_of(objective, KLS), expected, rtol=1e-4)
    assert 1.5 in expected


@pytest.mark.parametrize("controller", ["pi", "incremental"])
@pytest.mark.parametrize("capacity", [15.0, 25.0])
def test_beta_returns_from_its_bounds(controller, capacity):
    """The KL is 30 − 6 ln β, with a delay of 50 steps; it starts far from C."""
    bounds = {"min_beta": 1.0, "max_beta": 100.0, "initial_beta": 1.0}
    objective = ControlledCapacity(capacity, controller, smoothing=1, **bounds)
    state = {name: tf.constant(value) for name, value in objective.initial_state().items()}

    @tf.function
    def run(kl, state):
        for _ in tf.range(20_000):
            state = objective._next_state(state, capacity - kl)
            kl += (30.0 - 6.0 * tf.math.log(objective.beta(state)) - kl) / 50.0
        return kl

    assert float(run(tf.constant(0.5), state)) == pytest.approx(capacity, abs=0.1)


@pytest.mark.parametrize("controller", ["log", "pi", "incremental"])
def test_the_first_beta_is_the_one_asked_for(controller):
    objective = ControlledCapacity(TARGET, controller, initial_beta=7.0)
    assert betas_of(objective, []) == [pytest.approx(7.0)]


def simulated(objective, plant, value, noise, seen):
    """The value of a plant at each step, which follows from the integral and the value before.

    Args:
        objective: The controller.
        plant: The next value, a function of the integral and of this value.
        value: The first.
        noise: What is added to each value that the controller sees.
        seen: The KL and the reconstruction loss, a function of a value.
    """

    def moved(last, inputs):
        value, state = last
        step, noise = inputs
        kl, reconstruction = seen(value + noise)
        state = dict(objective(sample_of(kl, step, reconstruction), state).state)
        return plant(state["integral"], value), state

    start = {name: tf.constant(each) for name, each in objective.initial_state().items()}
    inputs = tf.range(len(noise)), tf.constant(noise, "float32")
    run = tf.function(lambda *inputs: tf.scan(moved, inputs, (tf.constant(value), start))[0])
    return np.append(value, run(*inputs).numpy()[:-1])


@pytest.mark.parametrize(
    ("gain", "delay"),
    [
        (2.0, 5.0),
        (2.0, 300.0),
        pytest.param(4.0, 50.0, marks=pytest.mark.slow),
        (8.0, 5.0),
        (8.0, 300.0),
    ],
)
def test_the_default_gains_follow_a_ramp_without_ringing(gain, delay):
    # A plant whose KL nears 14 - gain · ln β in `delay` steps, seen through a batch's noise.
    # ControlVAE's own ramp is 18 nats in 600,000 steps; this one is 50 times as steep.
    ramp, steps = Linear(0.5, 18.5, 12_000), 12_000
    objective = ControlledCapacity(ramp, initial_beta=float(np.exp(13.5 / gain)), max_beta=1e9)
    noise = np.random.default_rng(0).normal(0.0, 0.5, steps)

    def plant(integral, kl):
        return kl + (14.0 - gain * integral - kl) / delay

    kls = simulated(objective, plant, 0.5, noise, lambda kl: (tf.maximum(kl, 0.0), 0.0))
    settled = (kls - ramp(np.arange(steps)).numpy())[1_000:]
    assert np.abs(settled).max() < 0.5
    # What rings swings about its mean; the noise alone moves the KL of a fast plant by 0.15.
    assert settled.std() < 0.2


def test_target_reconstruction_holds_a_plant_at_its_target():
    # The reconstruction of a plant rises by 12 nats with ln β, from 70 at β = 1.
    objective = TargetReconstruction(90.0, initial_beta=0.1)
    noise = np.random.default_rng(0).normal(0.0, 2.0, 6_000)

    def plant(integral, loss):
        return loss + (70.0 + 12.0 * integral - loss) / 50.0

    losses = simulated(objective, plant, 60.0, noise, lambda loss: (1.0, loss))
    settled = losses[-1_000:]
    assert settled.mean() == pytest.approx(90.0, abs=0.5)
    assert settled.std() < 1.0
    assert losses.max() < 95.0


def test_a_run_in_two_halves_is_that_in_one(tmp_path):
    def fitted(vae, first, last):
        batches = tf.data.Dataset.from_tensor_slices(patterns(32)).batch(8)
        vae.fit(batches.skip(first), steps_per_epoch=last - first, verbose=0)
        return vae

    def new():
        objective = ControlledCapacity(Staircase(0.5, 4.0, n_steps=2, n_stairs=3))
        return tiny_vae(objective, optimizer="sgd", compile=EAGER)

    fitted(new(), 0, 2).save(tmp_path / "half.keras")
    resumed = fitted(keras.saving.load_model(tmp_path / "half.keras"), 2, 4)
    whole = fitted(new(), 0, 4)
    assert resumed.objective_state == whole.objective_state
    for weight, other in zip(weights_of(resumed), weights_of(whole), strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.parametrize(
    ("policy", "options"),
    [
        ("float32", {"jit_compile": False, "steps_per_execution": 3}),
        ("float32", {"jit_compile": True}),
        ("mixed_bfloat16", EAGER),
    ],
    ids=["accumulation, steps_per_execution", "jit_compile", "mixed_bfloat16"],
)
def test_every_way_of_training_moves_beta_by_the_kl_of_each_step(policy, options):
    objective = ControlledCapacity(5.0, ki=0.1)
    several = "steps_per_execution" in options
    # The weights do not move, so that the KL of each batch can be known.
    optimizer = keras.optimizers.SGD(0.0, gradient_accumulation_steps=2 if several else None)
    with dtype_policy(policy):
        vae = BetaVAE(**tiny_networks(units=()), objective=objective, seed=0)
        vae.compile(optimizer, **options)
    images = patterns(48)
    vae.fit(images, batch_size=8, shuffle=False, verbose=0)
    mean, log_var = (np.asarray(part) for part in vae.encode(images))
    kls = 0.5 * (mean**2 + np.exp(log_var) - log_var - 1.0).sum(axis=1).reshape(6, 8).mean(axis=1)
    state = objective.initial_state()
    for step, kl in enumerate(kls):
        state = objective(sample_of(kl, step), state).state
    for name, value in state.items():
        assert float(value) != objective.initial_state()[name]
        np.testing.assert_allclose(vae.objective_state[name], value, rtol=1e-4)


def test_no_gradient_passes_the_controller():
    mean = tf.Variable([[1.5]])
    objective = ControlledCapacity(5.0, initial_beta=3.0)
    with tf.GradientTape(persistent=True) as tape:
        posterior = normal(mean, 1.0)
        sample = Sample(posterior, PRIOR, posterior.mean(), 0, tf.constant(0.0))
        loss, _, state = objective(sample, objective.initial_state())
    np.testing.assert_allclose(tape.gradient(loss, mean), [[3.0 * 1.5]], rtol=1e-6)
    assert tape.gradient(state["integral"], mean) is None


def test_a_capacity_out_of_reach_is_warned_of():
    objective = ControlledCapacity(20.0, min_beta=0.5)
    logs = {"beta": 0.5, "kl_loss": 12.0, "capacity": 20.0, "capacity_distance": 8.0}
    assert "min_beta" in objective.advice(logs, 100, 200)
    assert objective.advice(logs, 0, 100) is None  # β starts at its bound.
    assert objective.advice(logs | {"beta": 1.0}, 100, 200) is None
    assert objective.advice(logs | {"capacity_distance": 0.9}, 100, 200) is None
    assert objective.advice(logs | {"kl_loss": 28.0}, 100, 200) is None
    assert objective.advice(logs | {"beta": 1e4}, 100, 200) is None
    assert "max_beta" in objective.advice(logs | {"beta": 1e4, "kl_loss": 28.0}, 100, 200)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"controller": "pid"}, "controller must be one of log, pi, incremental"),
        ({"min_beta": 0.0}, "min_beta must be above 0"),
        ({"min_beta": 3.0, "max_beta": 2.0}, "max_beta must be a finite number of at least 3"),
        ({"initial_beta": 1e9}, "initial_beta must be at most max_beta"),
        ({"kp": -1.0}, "kp must be a finite number of at least 0"),
        ({"ki": np.nan}, "ki must be a finite number"),
        ({"smoothing": 0.5}, "smoothing must be a whole number"),
        ({"capacity": -1.0}, "capacity must be a finite number of at least 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ControlledCapacity(**arguments)


def test_a_target_is_a_finite_number():
    with pytest.raises(ValueError, match="target must be a finite number"):
        TargetReconstruction(np.inf)
    with pytest.raises(ValueError, match="min_beta must be above 0"):
        TargetReconstruction(80.0, min_beta=0.0)
