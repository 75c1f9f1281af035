import json
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras.optimizers.schedules import PolynomialDecay

from keras_betavae.objectives import DIP, Beta, BetaTC, Capacity, SemiSupervised
from keras_betavae.objectives.schedules import Cosine, Cyclical, Linear, Staircase
from tests.examples import SCHEDULES, all_of
from tests.helpers import EAGER, cost, gaussians, patterns, tiny_vae

STEPS = np.concatenate([np.arange(60), [10**3, 10**6, 10**9]])
few = settings(max_examples=30, deadline=None)
EXAMPLES = all_of(SCHEDULES)
every_schedule = pytest.mark.parametrize("schedule", EXAMPLES.values(), ids=EXAMPLES)
# The name that a weight is logged by, and an objective with the weight.
WEIGHTS = {
    "Beta": ("beta", Beta),
    "Capacity": ("gamma", lambda weight: Capacity(weight, 5.0)),
    "BetaTC_alpha": ("alpha", lambda weight: BetaTC(alpha=weight, n_data=50)),
    "BetaTC_beta": ("beta", lambda weight: BetaTC(beta=weight, n_data=50)),
    "BetaTC_gamma": ("gamma", lambda weight: BetaTC(gamma=weight, n_data=50)),
    "DIP_od": ("lambda_od", lambda weight: DIP("i", lambda_od=weight)),
    "DIP_d": ("lambda_d", lambda weight: DIP("ii", lambda_d=weight)),
    "SemiSupervised": ("gamma_supervised", lambda weight: SemiSupervised(Beta(), (3, 6), weight)),
    "wrapped": ("beta", lambda weight: SemiSupervised(Beta(weight), (3, 6))),
}
every_weight = pytest.mark.parametrize(("name", "build"), WEIGHTS.values(), ids=WEIGHTS)


def copied(value):
    """Through JSON and back."""
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(value)))
    return keras.saving.deserialize_keras_object(config)


def ramps():
    weight, n_steps = st.floats(0.0, 1e6), st.integers(1, 10**6)
    smooth = st.builds(
        lambda kind, *a: kind(*a), st.sampled_from([Linear, Cosine]), weight, weight, n_steps
    )
    cycles, ramp = st.integers(1, 9), st.floats(1e-3, 1.0)
    return smooth | st.builds(Cyclical, weight, weight, n_steps, cycles, ramp)


def test_linear_is_numpys_interpolation():
    for start, end in ((0.5, 4.0), (4.0, 0.0)):
        values = [float(Linear(start, end, n_steps=12)(step)) for step in STEPS]
        np.testing.assert_allclose(values, np.interp(STEPS, [0, 12], [start, end]), rtol=1e-6)


def test_cosine_is_half_a_wave():
    for start, end in ((0.5, 4.0), (4.0, 0.0)):
        values = [float(Cosine(start, end, n_steps=12)(step)) for step in STEPS]
        wave = np.cos(np.pi * np.minimum(STEPS, 12) / 12)
        expected = (start + end) / 2 + (start - end) / 2 * wave
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("n_cycles", "ramp"), [(1, 1.0), (3, 0.5), (4, 0.75)])
def test_cyclical_is_the_same_ramp_again_and_again_and_then_the_end(n_cycles, ramp):
    schedule = Cyclical(0.5, 4.0, n_steps=12, n_cycles=n_cycles, ramp=ramp)
    values = [float(schedule(step)) for step in STEPS]
    cycle = np.interp(np.arange(12), [0.0, 12 * ramp], [0.5, 4.0])
    expected = np.full(len(STEPS), 4.0)
    expected[: 12 * n_cycles] = np.tile(cycle, n_cycles)
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_a_staircase_rises_and_rests():
    schedule = Staircase(0.5, 3.5, n_steps=8, n_stairs=3, ramp=0.5)
    corners = [0, 4, 8, 12, 16, 20, 24]
    expected = np.interp(STEPS, corners, [0.5, 1.5, 1.5, 2.5, 2.5, 3.5, 3.5])
    values = [float(schedule(step)) for step in STEPS]
    np.testing.assert_allclose(values, expected, rtol=1e-6)


@every_schedule
def test_a_delay_moves_the_whole_schedule(schedule):
    later = type(schedule).from_config({**schedule.get_config(), "delay": 5})
    assert [float(later(step)) for step in range(6)] == [schedule.start] * 6
    np.testing.assert_array_equal([later(s + 5) for s in STEPS], [schedule(s) for s in STEPS])


def test_cyclical_takes_cycles_of_any_length():
    schedule = Cyclical(0.0, 1.0, n_steps=10**9, n_cycles=4)
    assert float(schedule(tf.constant(25 * 10**7, "int64"))) == pytest.approx(0.5)
    assert float(schedule(tf.constant(325 * 10**7, "int64"))) == pytest.approx(0.5)
    assert float(schedule(tf.constant(4 * 10**9, "int64"))) == 1.0


@few
@given(schedule=ramps(), steps=st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4))
def test_schedules_stay_between_start_and_end_and_end_there(schedule, steps):
    low, high = sorted([schedule.start, schedule.end])
    values = np.array([schedule(step) for step in steps])
    tolerance = 1e-6 * high + 1e-30  # below, a float32 is 0
    assert np.all((low - tolerance <= values) & (values <= high + tolerance))
    last = schedule.n_steps * getattr(schedule, "n_cycles", 1)
    np.testing.assert_allclose(schedule(0), schedule.start, atol=tolerance)
    for step in (last, last + 1, 2**31 - 1):
        np.testing.assert_allclose(schedule(step), schedule.end, atol=tolerance)


@few
@given(
    low=st.floats(0.0, 100.0),
    rise=st.floats(0.0, 100.0),
    n_steps=st.integers(1, 10**6),
    step=st.integers(0, 2 * 10**6),
)
def test_the_capacity_of_capacity_is_linear(low, rise, n_steps, step):
    capacity = Capacity(1.0, low + rise, n_steps, low).capacity
    assert capacity(step) == Linear(low, low + rise, n_steps)(step)


@every_schedule
def test_schedules_survive_json(schedule):
    copy = copied(schedule)
    assert type(copy) is type(schedule)
    assert copy.get_config() == schedule.get_config()
    assert [copy(step) for step in range(40)] == [schedule(step) for step in range(40)]


@every_schedule
def test_a_compiled_graph_reads_the_current_step_without_a_new_trace(schedule):
    step, traces = tf.Variable(0, dtype="int64"), []

    @tf.function(jit_compile=True)
    def read():
        traces.append(1)
        return schedule(step)

    values = []
    for now in range(40):
        step.assign(now)
        values.append(read())
    assert len(traces) == 1
    assert len(set(map(float, values))) > 3
    np.testing.assert_allclose(values, [schedule(now) for now in range(40)], rtol=1e-5)


@every_weight
@pytest.mark.parametrize(
    "schedule",
    [Linear(1.0, 5.0, n_steps=10), PolynomialDecay(5.0, 10, 1.0, power=2.0)],
    ids=["ours", "kerass"],
)
def test_a_scheduled_weight_is_the_weight_at_the_step_also_through_json(name, build, schedule):
    _, _, posterior, prior = gaussians()
    scheduled = copied(build(schedule))
    assert scheduled.get_config() == build(schedule).get_config()
    for step in (0, 3, 11):
        fixed = cost(build(float(schedule(step))), posterior, prior, step=step)
        found = cost(scheduled, posterior, prior, step=step)
        assert float(found.loss) == pytest.approx(float(fixed.loss), rel=1e-6)
        assert float(found.logs[name]) == pytest.approx(float(schedule(step)))
        assert found.logs.keys() - fixed.logs.keys() == {name}


def test_the_weight_moves_during_fit_and_is_in_its_history():
    # In a graph, tests/test_objectives.py fits the schedule of a capacity.
    schedule = Linear(0.0, 4.0, n_steps=4)
    vae = tiny_vae(Beta(schedule), optimizer="sgd", compile=EAGER)
    history = vae.fit(patterns(16), batch_size=8, epochs=3, verbose=0).history
    # Each epoch has 2 steps; a step reads the number of those before it.
    expected = np.array([schedule(step) for step in range(6)]).reshape(3, 2).mean(axis=1)
    np.testing.assert_allclose(history["beta"], expected, rtol=1e-5)
    assert np.all(np.diff(history["beta"]) > 0.0)


@pytest.mark.parametrize("kind", [Linear, Cosine, Cyclical, partial(Staircase, n_stairs=2)])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": -1.0}, "start must be .* at least 0, got -1.0"),
        ({"start": float("nan")}, "start must be a finite number"),
        ({"end": -1.0}, "end must be .* at least 0, got -1.0"),
        ({"end": float("inf")}, "end must be a finite number"),
        ({"end": Linear(0.0, 1.0, 2)}, "end must be a finite number"),
        ({"n_steps": 0}, "n_steps must be .* got 0"),
        ({"n_steps": 1.5}, "n_steps must be .* got 1.5"),
        ({"n_steps": float("nan")}, "n_steps must be .* got nan"),
        ({"delay": -1}, "delay must be a whole number of at least 0, got -1"),
    ],
)
def test_values_out_of_range_are_refused(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**{"start": 0.0, "end": 1.0, "n_steps": 10, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_cycles": 0}, "n_cycles must be .* got 0"),
        ({"n_cycles": 1.5}, "n_cycles must be .* got 1.5"),
        ({"ramp": 0.0}, "ramp must be above 0 and at most 1, got 0.0"),
        ({"ramp": 1.1}, "ramp must be above 0 and at most 1, got 1.1"),
        ({"ramp": float("nan")}, "ramp must be above 0 and at most 1, got nan"),
    ],
)
def test_cycles_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Cyclical(0.0, 1.0, 10, **arguments)


def test_stairs_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"n_stairs must be .* got 0"):
        Staircase(0.0, 1.0, 10, n_stairs=0)


def test_a_schedule_is_no_capacity():
    with pytest.raises(ValueError, match="max_capacity must be a finite number"):
        Capacity(max_capacity=Linear(0.0, 1.0, 10))
